//! What a stack says whose engines prometheus-operator runs.

use super::*;
use crate::observe::ClusterFacts;

fn handed_over(served: bool, conditions: Value) -> Case {
    let word = json!({ "choose": "PrometheusOperator", "because": "it is there" });
    let mut case = case(json!({ "decisions": { "delivery": word } }));
    let cluster = ClusterFacts { prometheus_operator: served, ..ClusterFacts::default() };
    case.facts.cluster = Fact::Known(cluster);
    for (engine, kind, role) in [(0, "Prometheus", Role::Metrics), (1, "Alertmanager", Role::Alerting)] {
        case.engines[engine] =
            WantedEngine { generation: None, flags: BTreeMap::new(), ..super::engine(role, kind) };
        let object = json!({
            "apiVersion": "monitoring.coreos.com/v1", "kind": kind,
            "metadata": { "name": format!("main-{}", role.as_str()), "generation": 2 },
            "status": { "availableReplicas": 1, "conditions": conditions }
        });
        let object = Arc::new(serde_json::from_value(object).unwrap());
        case.facts.owned.insert(kind.to_owned(), Fact::Known(vec![object]));
    }
    case.facts.owned.insert("StatefulSet".to_owned(), Fact::Known(Vec::new()));
    case
}

fn state(status: &ObservabilityStackStatus, component: Component) -> (ComponentState, String) {
    let found = status.components.iter().find(|one| one.component == component).unwrap();
    (found.state, found.message.clone().unwrap_or_default())
}

fn condition(kind: &str, status: &str, observed: i64) -> Value {
    json!({ "type": kind, "status": status, "observedGeneration": observed, "reason": "Why", "message": "so" })
}

#[test]
fn a_component_stands_as_its_resource_says() {
    use ComponentState as S;
    for (conditions, wanted, words) in [
        (json!([condition("Available", "True", 2), condition("Reconciled", "True", 2)]), S::Ready, ""),
        (
            json!([]),
            S::Progressing,
            "prometheus-operator has not said anything of Prometheus main-metrics yet",
        ),
        // What it said before the last change says nothing of it.
        (json!([condition("Available", "True", 1)]), S::Progressing, "has not said anything"),
        (
            json!([condition("Available", "Degraded", 2)]),
            S::Progressing,
            "1 of 1 replicas are available (Why: so)",
        ),
        (
            json!([condition("Available", "True", 2), condition("Reconciled", "False", 2)]),
            S::Pending,
            "prometheus-operator cannot reconcile it: Why: so",
        ),
    ] {
        let status = handed_over(true, conditions.clone()).derive();
        let (state, message) = state(&status, Component::MetricsStore);
        assert_eq!(state, wanted, "{conditions}: {message}");
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_engines_run_is_unknown_for_a_reason() {
    let status = handed_over(true, json!([condition("Available", "True", 2)])).derive();
    let of = |kind: &str| status.conditions.iter().find(|condition| condition.type_ == kind).unwrap();
    let live = of(CONFIGURATION_LIVE);
    assert_eq!((live.status.as_str(), live.reason.as_str()), ("Unknown", RUN_BY_OTHERS));
    assert!(live.message.contains("choose Native in spec.decisions.delivery"), "{}", live.message);
    assert_eq!((of(READY).status.as_str(), of(DEGRADED).status.as_str()), ("True", "False"));
    assert_eq!(of(PROGRESSING).status, "False");
}

#[test]
fn without_the_types_it_says_what_to_install() {
    let status = handed_over(false, json!([])).derive();
    let (delivery, message) = state(&status, Component::Delivery);
    assert_eq!((delivery, message.as_str()), (ComponentState::Pending, TYPES_MISSING));
    assert_eq!(state(&status, Component::MetricsStore).0, ComponentState::Pending);
    assert_eq!(state(&status, Component::Dashboards).0, ComponentState::Ready);
    assert!(status.look_at.unwrap().contains("prometheus-operator"));
}
