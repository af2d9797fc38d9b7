//! Pure: what is held back while something is not known. What is not known changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::Component;
use obstack_crds::workload::SecretKey;

use crate::decide::Plan;
use crate::names::Role;
use crate::observe::{Fact, Facts};

use super::delivery::Generations;

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

/// The configuration that is delivered: all but what is held back. Workloads and Services do not depend on it.
pub(super) fn delivered(generations: &Generations, held: &[Held]) -> Generations {
    let is_held = |role: &Role| held.iter().any(|(component, _)| *component == role.component());
    generations.iter().filter(|(role, _)| !is_held(role)).map(|(role, g)| (*role, g.clone())).collect()
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
    use std::sync::Arc;

    use super::*;
    use crate::running::{Engine, Fragment, Generation};

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
            reloaders: BTreeMap::new(),
            wires: BTreeMap::new(),
            readings: BTreeMap::new(),
        }
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
        let main = |engine: Engine| vec![Fragment::new("main", engine.main_file(), b"{}".to_vec())];
        let built = |engine: Engine| Arc::new(Generation::build(engine, main(engine)).unwrap());
        let all = Generations::from([
            (Role::Metrics, built(Engine::Prometheus)),
            (Role::Alerting, built(Engine::Alertmanager)),
        ]);
        assert_eq!(delivered(&all, &held).into_keys().collect::<Vec<_>>(), [Role::Metrics]);
        assert_eq!(delivered(&all, &[]), all);
    }

    #[test]
    fn a_missing_secret_holds_nothing_back() {
        assert_eq!(held_back(&facts(&[("missing", Fact::Known(None))])), []);
    }
}
