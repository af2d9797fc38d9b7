//! Pure: engines that prometheus-operator runs. What must be there for that, and what stays until they do run.

use std::collections::BTreeSet;

use kube::ResourceExt;
use kube::api::DynamicObject;
use obstack_crds::{Component, DecisionRecord};

use super::held::Held;
use crate::apply::{Failure, ObjectKey, Owner};
use crate::decide::Plan;
use crate::desired::WantedObject;
use crate::error::Class;
use crate::names::Role;
use crate::observe::handed::said;
use crate::observe::kinds::{Kind, OWNED};
use crate::observe::{Fact, Facts};
use crate::scrape::{HANDED_OVER, deployed_roles, is_handed_over};
use crate::status::TYPES_MISSING;

/// The kind of the resource that stands for the workload of a role.
const RESOURCES: [(Role, &str); 2] = [(Role::Metrics, "Prometheus"), (Role::Alerting, "Alertmanager")];

/// Whether a stack hands its engines over, or once did: what it owns of prometheus-operator's types must be known.
pub(super) fn is_concerned(plan: &Plan, records: &[DecisionRecord]) -> bool {
    let once = |record: &DecisionRecord| {
        record.spec.component == Component::Delivery && record.spec.chosen.as_deref() == Some(HANDED_OVER)
    };
    is_handed_over(plan) || records.iter().any(once)
}

/// Whether the types that a plan needs are there.
///
/// # Errors
/// What is not known.
pub(super) fn has_types(plan: &Plan, facts: &Facts, served: &Fact<bool>) -> Result<bool, String> {
    if !is_handed_over(plan) {
        return Ok(true);
    }
    match served {
        Fact::Unavailable(reason) => Err(format!("the types of prometheus-operator: {reason}")),
        Fact::Known(false) => Ok(false),
        Fact::Known(true) => {
            let unread = |kind: &Kind| match facts.owned.get(kind.name) {
                Some(Fact::Unavailable(reason)) => Some(format!("{} objects: {reason}", kind.name)),
                _ => None,
            };
            OWNED.iter().filter(|kind| kind.is_handed_over()).find_map(unread).map_or(Ok(true), Err)
        }
    }
}

/// What is said where they are not.
pub(super) fn missing(owner: &Owner) -> Failure {
    Failure {
        object: ObjectKey {
            kind: "Prometheus".to_owned(),
            namespace: Some(owner.id.namespace.clone()),
            name: owner.id.child(Role::Metrics),
        },
        component: Component::Delivery,
        class: Class::Blocked,
        reason: "TypesMissing",
        message: TYPES_MISSING.to_owned(),
    }
}

/// The objects that can be written now: none of a type that the cluster lacks, and no configuration that is held
/// back, which here is an object like any other.
pub(super) fn writable<'a>(
    plan: &Plan,
    wanted: &'a [WantedObject],
    has_types: bool,
    held: &[Held],
) -> Vec<&'a WantedObject> {
    let handed_over = is_handed_over(plan);
    let can = |object: &&WantedObject| {
        let kind = object.body["kind"].as_str().unwrap_or_default();
        let lacks = !has_types && Kind::of(kind).is_some_and(Kind::is_handed_over);
        let is_held = handed_over
            && ["Secret", "Alertmanager"].contains(&kind)
            && held.iter().any(|(component, _)| *component == object.component);
        !lacks && !is_held
    };
    wanted.iter().filter(can).collect()
}

/// Components whose engines go from one operator to the other: what ran before stays until what comes after it runs.
pub(super) fn still_running(owner: &Owner, plan: &Plan, facts: &Facts) -> BTreeSet<Component> {
    let handed_over = is_handed_over(plan);
    let roles = deployed_roles(plan);
    let between = |(role, resource): &(Role, &'static str)| {
        let (before, after) =
            if handed_over { ("StatefulSet", *resource) } else { (*resource, "StatefulSet") };
        let find = |kind: &str| find(facts, kind, &owner.id.child(*role));
        roles.contains(role) && find(before).is_some() && !find(after).is_some_and(runs)
    };
    RESOURCES.iter().filter(|one| between(one)).map(|(role, _)| role.component()).collect()
}

fn find<'a>(facts: &'a Facts, kind: &str, name: &str) -> Option<&'a DynamicObject> {
    let objects = facts.owned.get(kind)?.known()?;
    objects.iter().map(AsRef::as_ref).find(|object| object.name_any() == name)
}

/// Whether all replicas of a workload run as it says now.
fn runs(workload: &DynamicObject) -> bool {
    if workload.types.as_ref().is_some_and(|types| types.kind != "StatefulSet") {
        return said(workload, "Available").is_some_and(|said| said.status == "True");
    }
    let (spec, status) = (&workload.data["spec"], &workload.data["status"]);
    status["observedGeneration"].as_i64() >= workload.metadata.generation
        && status["readyReplicas"].as_i64().unwrap_or(0) >= spec["replicas"].as_i64().unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::decide::testing::observed;
    use crate::desired::Policy;
    use crate::desired::fixtures;
    use crate::names::StackId;

    fn owner() -> Owner {
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        Owner { id, uid: "u".to_owned() }
    }

    fn plan(handed_over: bool) -> Plan {
        let mut plan = fixtures::plan(&Role::ALL);
        let delivery = plan.decisions.iter_mut().find(|d| d.component == Component::Delivery).unwrap();
        delivery.in_force = Some(if handed_over { HANDED_OVER } else { "Native" }.to_owned());
        plan
    }

    fn object(kind: &str, generation: i64, status: Value) -> Arc<DynamicObject> {
        let object = json!({
            "apiVersion": "x/v1", "kind": kind,
            "metadata": { "name": "main-metrics", "namespace": "monitoring", "generation": generation },
            "spec": { "replicas": 2 }, "status": status
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn facts(objects: &[(&str, Arc<DynamicObject>)]) -> Facts {
        let mut facts = observed(&[]);
        for (kind, object) in objects {
            facts.owned.insert((*kind).to_owned(), Fact::Known(vec![object.clone()]));
        }
        facts
    }

    #[test]
    fn what_runs_stays_until_the_other_operator_says_that_its_engines_run() {
        let set = object("StatefulSet", 1, json!({ "observedGeneration": 1, "readyReplicas": 2 }));
        let available = |status: &str, observed: i64| {
            let condition = json!({ "type": "Available", "status": status, "observedGeneration": observed });
            object("Prometheus", 2, json!({ "conditions": [condition] }))
        };
        let stays = |plan: &Plan, facts: &Facts| still_running(&owner(), plan, facts);
        let metrics = BTreeSet::from([Component::MetricsStore]);
        let over = plan(true);
        assert_eq!(stays(&over, &facts(&[("StatefulSet", set.clone())])), metrics);
        for (resource, stay) in [
            (object("Prometheus", 2, json!({})), true),
            (available("False", 2), true),
            (available("True", 1), true),
            (available("True", 2), false),
        ] {
            let facts = facts(&[("StatefulSet", set.clone()), ("Prometheus", resource)]);
            assert_eq!(!stays(&over, &facts).is_empty(), stay, "{:?}", facts.owned);
        }
        // And back.
        let back = plan(false);
        let slow = object("StatefulSet", 1, json!({ "observedGeneration": 1, "readyReplicas": 1 }));
        let resource = || available("True", 2);
        assert_eq!(stays(&back, &facts(&[("Prometheus", resource())])), metrics);
        assert_eq!(stays(&back, &facts(&[("Prometheus", resource()), ("StatefulSet", slow)])), metrics);
        assert!(stays(&back, &facts(&[("Prometheus", resource()), ("StatefulSet", set)])).is_empty());
    }

    #[test]
    fn without_the_types_all_else_is_written_and_what_is_not_known_is_waited_for() {
        let object = |kind: &str, component| {
            let body = json!({ "kind": kind });
            WantedObject { body, component, policy: Policy::Apply }
        };
        let wanted = [
            object("Prometheus", Component::MetricsStore),
            object("Secret", Component::Alerting),
            object("Service", Component::Alerting),
        ];
        let kinds = |plan: &Plan, has_types, held: &[Held]| {
            let list = writable(plan, &wanted, has_types, held);
            list.iter().map(|object| object.body["kind"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let over = plan(true);
        assert_eq!(kinds(&over, true, &[]), ["Prometheus", "Secret", "Service"]);
        assert_eq!(kinds(&over, false, &[]), ["Secret", "Service"]);
        let held = [(Component::Alerting, "a Secret could not be read".to_owned())];
        assert_eq!(kinds(&over, true, &held), ["Prometheus", "Service"]);
        assert_eq!(kinds(&plan(false), true, &held), ["Prometheus", "Secret", "Service"]);

        let facts = observed(&[]);
        let unknown = Fact::Unavailable("503".to_owned());
        assert!(has_types(&over, &facts, &unknown).unwrap_err().contains("503"));
        assert_eq!(has_types(&over, &facts, &Fact::Known(false)), Ok(false));
        assert_eq!(has_types(&over, &facts, &Fact::Known(true)), Ok(true));
        assert_eq!(has_types(&plan(false), &facts, &unknown), Ok(true));
        let mut unread = observed(&[]);
        unread.owned.insert("Prometheus".to_owned(), Fact::Unavailable("503".to_owned()));
        assert!(has_types(&over, &unread, &Fact::Known(true)).unwrap_err().contains("Prometheus"));
    }
}
