//! Pure: what is held back while something is not known. What is not known changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::Component;
use obstack_crds::workload::SecretKey;

use crate::decide::Plan;
use crate::desired::WantedObject;
use crate::observe::{Fact, Facts};

/// A component whose configuration is held back, and why.
pub(super) type Held = (Component, String);

/// The contents that are known. One that is known to be missing is not in it, and costs its receiver.
pub(super) fn known_secrets(facts: &Facts) -> BTreeMap<SecretKey, Vec<u8>> {
    let value = |fact: &Fact<Option<Vec<u8>>>| fact.known().cloned().flatten();
    facts.secrets.iter().filter_map(|(key, fact)| Some((key.clone(), value(fact)?))).collect()
}

/// Which components' configuration is held back, because something in it could not be read.
pub(super) fn held_back(facts: &Facts) -> Vec<Held> {
    let unread = facts.secrets.iter().find_map(|(key, fact)| match fact {
        Fact::Unavailable(reason) => Some(format!(
            "Secret {} could not be read, so the configuration stays as it is: {reason}",
            key.name
        )),
        Fact::Known(_) => None,
    });
    unread.map(|reason| (Component::Alerting, reason)).into_iter().collect()
}

/// What is wanted, without the configuration that is held back. Workloads and Services do not depend on it.
pub(super) fn without(wanted: Vec<WantedObject>, held: &[Held]) -> Vec<WantedObject> {
    let is_held = |object: &WantedObject| {
        object.body["kind"] == "Secret" && held.iter().any(|(component, _)| *component == object.component)
    };
    wanted.into_iter().filter(|object| !is_held(object)).collect()
}

/// Components of which nothing is pruned: those whose objects are not all known to be wanted or not, and those
/// whose choice cannot be deployed, because what runs is better than nothing.
pub(super) fn kept(plan: &Plan, held: &[Held]) -> BTreeSet<Component> {
    let undeployed = plan.decisions.iter().filter(|decision| {
        decision.in_force.is_none() || !decision.deployable || decision.uncertain.is_some()
    });
    undeployed
        .map(|decision| decision.component)
        .chain(held.iter().map(|(component, _)| *component))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::desired::Policy;

    fn facts(secrets: &[(&str, Fact<Option<Vec<u8>>>)]) -> Facts {
        let key = |name: &str| SecretKey { name: name.to_owned(), key: "url".to_owned() };
        Facts {
            cluster: Fact::Unavailable(String::new()),
            owned: BTreeMap::new(),
            pods: Fact::Unavailable(String::new()),
            secrets: secrets.iter().map(|(name, fact)| (key(name), fact.clone())).collect(),
            records: Fact::Known(Vec::new()),
            engines: BTreeMap::new(),
            refusals: BTreeMap::new(),
            wires: BTreeMap::new(),
            readings: BTreeMap::new(),
        }
    }

    fn object(kind: &str, component: Component) -> WantedObject {
        WantedObject { body: json!({ "kind": kind }), component, policy: Policy::Apply }
    }

    #[test]
    fn a_secret_that_cannot_be_read_holds_back_the_configuration_and_nothing_else() {
        let facts = facts(&[
            ("known", Fact::Known(Some(b"x".to_vec()))),
            ("missing", Fact::Known(None)),
            ("unread", Fact::Unavailable("503".to_owned())),
        ]);
        assert_eq!(known_secrets(&facts).len(), 1);
        let held = held_back(&facts);
        assert_eq!(held.len(), 1);
        let wanted = vec![
            object("Secret", Component::Alerting),
            object("StatefulSet", Component::Alerting),
            object("Secret", Component::MetricsStore),
        ];
        assert_eq!(without(wanted.clone(), &held), wanted[1..]);
        assert_eq!(without(wanted.clone(), &[]), wanted);
    }

    #[test]
    fn a_missing_secret_holds_nothing_back() {
        assert_eq!(held_back(&facts(&[("missing", Fact::Known(None))])), []);
    }
}
