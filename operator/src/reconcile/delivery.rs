//! Between what is wanted of the running configuration and what is written now: what the cluster holds, what
//! replicas say, and what engines refused.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use kube::ResourceExt;
use obstack_crds::status::Rejected;

use super::World;
use crate::apply::writer::RequestError;
use crate::apply::{Done, ObjectKey, Owner};
use crate::names::Role;
use crate::observe::observer::{address, is_ready};
use crate::observe::{Facts, Refusal, ReloaderFact};
use crate::running::delivery::{self, Held, Replica, Write};
use crate::running::{
    Engine, Generation, KeptOut, MAX_KEPT_OUT, Packing, Which, carrier_names, digest, object_in, part_secret,
};
use crate::scrape::home_of;
use crate::scrape::sources::{Objects, SourceKind};

/// The generations of a stack.
pub(super) type Generations = BTreeMap<Role, Arc<Generation>>;

/// The roles whose engines are configured by files.
const CONFIGURED: [(Role, Engine); 2] =
    [(Role::Metrics, Engine::Prometheus), (Role::Alerting, Engine::Alertmanager)];

/// What the cluster holds of a stack's configuration, by role.
pub(super) type AllHeld = BTreeMap<Role, Held>;

impl World {
    /// What the cluster holds of the configuration of every role.
    pub(super) async fn held(&self, owner: &Owner) -> Result<AllHeld, RequestError> {
        let mut all = AllHeld::new();
        for (role, _) in CONFIGURED {
            all.insert(role, self.applier.held(owner, role).await?);
        }
        Ok(all)
    }

    /// What packing goes by: the generations that were built last, and what the candidates leave out.
    pub(super) fn packing(&self, owner: &Owner, held: &AllHeld) -> Packing {
        let generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let before = |(role, engine)| Some((engine, generations.get(&owner.uid)?.get(&role)?.clone()));
        let kept_out = |(role, engine)| Some((engine, held.get(&role)?.candidate.as_ref()?.kept_out.clone()));
        Packing {
            before: CONFIGURED.into_iter().filter_map(before).collect(),
            kept_out: CONFIGURED.into_iter().filter_map(kept_out).collect(),
        }
    }

    /// Remembers what was built: the next generation is built on it.
    pub(super) fn remember(&self, owner: &Owner, built: &Generations) {
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        generations.insert(owner.uid.clone(), built.clone());
    }

    /// Writes what is to be written now, and says what is waited for.
    pub(super) async fn deliver(
        &self,
        owner: &Owner,
        generations: &Generations,
        held: &AllHeld,
        facts: &Facts,
        done: &mut Done,
    ) -> Vec<String> {
        let mut waits = Vec::new();
        let broken = done.broken();
        for (role, generation) in generations.iter().filter(|(role, _)| !broken.contains(&role.component())) {
            let Some(held) = held.get(role) else { continue };
            let secret = |slot, index| part_secret(&owner.id, *role, slot, index);
            let next = delivery::next(generation, held, &replicas(facts, *role), secret);
            waits.extend(next.waits.clone());
            self.applier.deliver(owner, *role, generation, &next, done).await;
            if next.writes.iter().any(|write| matches!(write, Write::Pointer(Which::Candidate, _))) {
                let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
                delivered.insert(owner.uid.clone(), Instant::now());
            }
            if done.stopped {
                break;
            }
        }
        waits
    }
}

/// The Secrets that can carry the configuration of these roles: none of them is pruned.
pub(super) fn carriers(owner: &Owner, generations: &Generations) -> BTreeSet<ObjectKey> {
    let key =
        |name| ObjectKey { kind: "Secret".to_owned(), namespace: Some(owner.id.namespace.clone()), name };
    generations.keys().flat_map(|role| carrier_names(&owner.id, *role)).map(key).collect()
}

/// Adds to what is left out what replicas refuse of these generations, where the file at fault is known. Gives
/// whether anything was added.
pub(super) fn note_refusals(
    packing: &mut Packing,
    generations: &Generations,
    facts: &Facts,
    objects: &Objects,
) -> bool {
    let mut noted = false;
    for (role, generation) in generations {
        let kept_out = packing.kept_out.entry(generation.engine).or_default();
        // What is left out no longer, because it changed or went, makes room.
        kept_out.clone_from(&generation.kept_out);
        for refusal in facts.refusals.get(role).into_iter().flat_map(BTreeMap::values) {
            if let Some(out) = culprit(generation, refusal, objects)
                && kept_out.len() < MAX_KEPT_OUT
                && !kept_out.iter().any(|known| known.key == out.key)
            {
                tracing::warn!(key = out.key, reason = out.reason, "a part of the configuration is left out");
                kept_out.push(out);
                noted = true;
            }
        }
    }
    noted
}

/// The fragment at fault. The main file is none: without it there is no configuration.
fn culprit(generation: &Generation, refusal: &Refusal, objects: &Objects) -> Option<KeptOut> {
    if refusal.generation != generation.digest {
        return None;
    }
    let path = refusal.path.as_deref().filter(|path| *path != generation.engine.main_file())?;
    // Of a file that objects share, one object is at fault.
    if let Some(id) = object_in(path) {
        let part = objects.routing.iter().find(|part| part.id == id)?;
        return KeptOut::new(path, part.digest(), path, &refusal.reason);
    }
    let fragment = generation.fragments().find(|fragment| fragment.path == path)?;
    KeptOut::new(&fragment.key, digest(&fragment.bytes), path, &refusal.reason)
}

/// What was left out, as the status names it.
pub(super) fn rejected(generations: &Generations, objects: &Objects) -> Vec<Rejected> {
    let named = |key: &str| match object_in(key) {
        Some(id) => format!("{}/{id}", SourceKind::AlertmanagerConfig),
        None => objects
            .source_of(key)
            .map_or_else(|| home_of(key).unwrap_or(key).to_owned(), |source| source.key.to_string()),
    };
    let one = |out: &KeptOut| Rejected {
        object: named(&out.key),
        reason: format!("its engine refuses it, so it is left out until it changes: {}", out.reason),
    };
    generations.values().flat_map(|generation| &generation.kept_out).map(one).collect()
}

/// What the replicas of a role say. A pod that has no address yet mounts what is there when it starts; one that
/// is going will not start again.
fn replicas(facts: &Facts, role: Role) -> Vec<Replica> {
    let pods = facts.pods.known().and_then(|pods| pods.get(&role)).into_iter().flatten();
    let present = pods.filter(|pod| pod.metadata.deletion_timestamp.is_none() && address(pod).is_some());
    present
        .map(|pod| {
            let name = pod.name_any();
            let reloader = facts.reloaders.get(&role).and_then(|pods| pods.get(&name)?.known());
            let engine = facts.engines.get(&role).and_then(|pods| pods.get(&name)?.known());
            let says = engine.and_then(|engine| engine.generation.clone());
            // One that was loaded in part is refused, and runs only where there was nothing to go back to.
            let whole = |reloader: &&ReloaderFact| {
                let refused = reloader.refused.as_ref().map(|refused| &refused.generation);
                refused.is_none_or(|refused| reloader.confirmed.as_ref() != Some(refused))
            };
            let confirmed = reloader.filter(whole).and_then(|reloader| reloader.confirmed.clone());
            Replica {
                ready: is_ready(pod),
                // Both have to say so: the engine names a generation also where it loaded it in part.
                confirmed: confirmed.filter(|confirmed| says.as_ref() == Some(confirmed)),
                mounted: reloader.and_then(|reloader| reloader.mounted.clone()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::testing::observed;
    use crate::observe::{EngineFact, Fact};
    use crate::running::Fragment;

    fn generation(rule: &str, packing: &Packing) -> Arc<Generation> {
        let fragments = vec![
            Fragment::new("main", "prometheus.yaml", b"global: {}".to_vec()),
            Fragment::new("mine", "rules/mine.yaml", rule.as_bytes()),
        ];
        packing.build(Engine::Prometheus, fragments).unwrap()
    }

    fn refusal(generation: &Generation, path: &str) -> Refusal {
        let path = Some(path.to_owned());
        Refusal { generation: generation.digest.clone(), reason: "no".to_owned(), path }
    }

    #[test]
    fn what_a_replica_refuses_is_left_out_until_it_changes() {
        let mut packing = Packing::default();
        let built = generation("bad", &packing);
        let all = Generations::from([(Role::Metrics, built.clone())]);
        let mut facts = observed(&[]);
        let mut refuse = |refusal| {
            facts.refusals = BTreeMap::from([(Role::Metrics, BTreeMap::from([("p".to_owned(), refusal)]))]);
            facts.clone()
        };
        let other = generation("other", &packing);
        for refused in [refusal(&built, "prometheus.yaml"), refusal(&other, "rules/mine.yaml")] {
            assert!(!note_refusals(&mut packing, &all, &refuse(refused), &Objects::default()));
        }
        let facts = refuse(refusal(&built, "rules/mine.yaml"));
        assert!(note_refusals(&mut packing, &all, &facts, &Objects::default()));
        let without = generation("bad", &packing);
        assert_eq!(without.paths(), ["prometheus.yaml"]);
        let all = Generations::from([(Role::Metrics, without)]);
        assert_eq!(rejected(&all, &Objects::default())[0].object, "mine");
        assert!(!note_refusals(&mut packing, &all, &facts, &Objects::default()), "it is noted once");
        let mended = Generations::from([(Role::Metrics, generation("good", &packing))]);
        assert!(rejected(&mended, &Objects::default()).is_empty());
        note_refusals(&mut packing, &mended, &facts, &Objects::default());
        assert!(packing.kept_out[&Engine::Prometheus].is_empty(), "and makes room");
    }

    #[test]
    fn a_replica_has_confirmed_what_its_engine_and_its_reloader_both_name() {
        let mut facts = observed(&[]);
        let pod = |name: &str, ip: Option<&str>| {
            serde_json::from_value(json!({
                "metadata": { "name": name },
                "status": { "podIP": ip, "conditions": [{ "type": "Ready", "status": "True" }] }
            }))
            .unwrap()
        };
        let pods = vec![pod("a", Some("10.0.0.1")), pod("b", Some("10.0.0.2")), pod("c", None)];
        facts.pods = Fact::Known(BTreeMap::from([(Role::Metrics, pods)]));
        let engine = |generation: &str| {
            let generation = Some(generation.to_owned());
            Fact::Known(EngineFact { generation, flags: None, version: String::new() })
        };
        let said = [("a", "one"), ("b", "two")].map(|(pod, said)| (pod.to_owned(), engine(said)));
        facts.engines = BTreeMap::from([(Role::Metrics, BTreeMap::from(said))]);
        let reloader = || {
            let confirmed = Some("one".to_owned());
            Fact::Known(ReloaderFact { confirmed, mounted: Some("m".to_owned()), refused: None })
        };
        let said = ["a", "b"].map(|pod| (pod.to_owned(), reloader()));
        facts.reloaders = BTreeMap::from([(Role::Metrics, BTreeMap::from(said))]);
        let replicas = replicas(&facts, Role::Metrics);
        let confirmed: Vec<_> = replicas.iter().map(|replica| replica.confirmed.as_deref()).collect();
        assert_eq!(confirmed, [Some("one"), None], "a pod without an address mounts what is there");
        assert!(replicas.iter().all(|replica| replica.ready && replica.mounted.as_deref() == Some("m")));
    }
}
