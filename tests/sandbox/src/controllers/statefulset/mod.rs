//! StatefulSets: pods with a number, in order, each with its own claims.

mod claims;
mod revision;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use revision::Revisions;

use super::{Action, Plan, View, controlled_by, pods};

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    for set in view.caches.stateful_sets.all() {
        plan.extend(plan_one(view, &set));
    }
    plan
}

/// What one StatefulSet lacks.
fn plan_one(view: &View<'_>, set: &StatefulSet) -> Plan {
    let mut plan = Plan::default();
    let spec = &set.spec;
    let namespace = set.namespace().unwrap_or_default();
    let owned: BTreeMap<i32, Arc<Pod>> = view
        .caches
        .pods
        .in_namespace(&namespace)
        .into_iter()
        .filter(|pod| controlled_by(set, &**pod))
        .filter_map(|pod| Some((ordinal_of(set, &pod)?, pod)))
        .collect();
    let known: Vec<_> = view
        .caches
        .revisions
        .in_namespace(&namespace)
        .into_iter()
        .filter(|revision| controlled_by(set, &**revision))
        .collect();
    let in_use: Vec<_> = owned.values().filter_map(|pod| revision_of(pod)).collect();
    let (revisions, history) = revision::resolve(set, &spec.template, &known, &in_use);
    plan.actions.extend(history);
    let observed = Observed { view, set, spec, owned: &owned, revisions: &revisions };
    if set.metadata.deletion_timestamp.is_none() {
        plan.actions.extend(observed.pods());
    }
    observed.finish(&mut plan);
    plan
}

/// The number at the end of a pod's name, where the rest of it is the set's name.
fn ordinal_of(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    pod.name_any().strip_prefix(&set.name_any())?.strip_prefix('-')?.parse().ok()
}

/// Name of the revision that a pod was made from.
fn revision_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get(revision::LABEL).map(String::as_str)
}

/// One StatefulSet with everything that belongs to it.
struct Observed<'a> {
    view: &'a View<'a>,
    set: &'a StatefulSet,
    spec: &'a StatefulSetSpec,
    owned: &'a BTreeMap<i32, Arc<Pod>>,
    revisions: &'a Revisions,
}

impl Observed<'_> {
    fn range(&self) -> std::ops::Range<i32> {
        let start = self.spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
        start..start.saturating_add(self.spec.replicas.unwrap_or(1).max(0))
    }

    fn parallel(&self) -> bool {
        self.spec.pod_management_policy.as_deref() == Some("Parallel")
    }

    fn partition(&self) -> i32 {
        let strategy = self.spec.update_strategy.as_ref();
        strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition).unwrap_or(0)
    }

    fn on_delete(&self) -> bool {
        self.spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete")
    }

    /// Healthy: running, ready, and not on its way out.
    fn healthy(pod: &Pod) -> bool {
        pods::is_ready(pod) && !pods::is_terminating(pod)
    }

    fn available(&self, pod: &Pod) -> bool {
        pods::available_in(pod, self.spec.min_ready_seconds.unwrap_or(0), self.view.now)
            .is_some_and(|wait| wait.is_zero())
    }

    /// Writes that bring the pods nearer to what is wanted: all at once where the set is parallel, else the
    /// first step that is due.
    fn pods(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        let one_by_one = !self.parallel();
        for ordinal in self.range() {
            let Some(pod) = self.owned.get(&ordinal) else {
                actions.extend(self.create(ordinal));
                if one_by_one {
                    return actions;
                }
                continue;
            };
            actions.extend(claims::owners(self.view, self.set, ordinal, Some(pod), false));
            if pods::is_over(pod) && !pods::is_terminating(pod) {
                actions.push(Action::delete(&**pod));
            }
            if one_by_one && (!Self::healthy(pod) || !self.available(pod)) {
                return actions;
            }
        }
        let mut condemned: Vec<_> =
            self.owned.iter().filter(|(ordinal, _)| !self.range().contains(ordinal)).collect();
        condemned.reverse();
        for (ordinal, pod) in &condemned {
            actions.extend(claims::owners(self.view, self.set, **ordinal, Some(pod), true));
            if !pods::is_terminating(pod) {
                actions.push(Action::delete(&***pod));
            }
            if one_by_one {
                return actions;
            }
        }
        if condemned.is_empty() && !self.on_delete() {
            actions.extend(self.update());
        }
        actions
    }

    /// The claims of an ordinal that are not there, and its pod.
    fn create(&self, ordinal: i32) -> Vec<Action> {
        let namespace = self.set.namespace().unwrap_or_default();
        let mut actions: Vec<_> = claims::of_ordinal(self.set, ordinal)
            .iter()
            .filter(|(_, claim)| self.view.caches.claims.get(&namespace, &claim.name_any()).is_none())
            .map(|(_, claim)| Action::create(claim))
            .collect();
        let current = self.set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
        let (template, revision) =
            self.revisions.for_ordinal(&self.spec.template, ordinal, self.partition(), current);
        let name = format!("{}-{ordinal}", self.set.name_any());
        let mut pod = pods::from_template(self.set, template, name.clone());
        let labels = pod.metadata.labels.get_or_insert_default();
        labels.insert(revision::LABEL.to_owned(), revision.to_owned());
        labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), name.clone());
        labels.insert("apps.kubernetes.io/pod-index".to_owned(), ordinal.to_string());
        if let Some(spec) = &mut pod.spec {
            spec.hostname = Some(name);
            spec.subdomain = self.spec.service_name.clone().filter(|name| !name.is_empty());
        }
        claims::mount(self.set, ordinal, &mut pod);
        actions.push(Action::create(&pod));
        actions
    }

    /// The next pod of a rolling update: from the highest number down to the partition, and never a second
    /// one while one is not healthy.
    fn update(&self) -> Option<Action> {
        let from = self.range().start.max(self.partition());
        for ordinal in (from..self.range().end).rev() {
            let pod = self.owned.get(&ordinal)?;
            if revision_of(pod) != Some(&self.revisions.update) && !pods::is_terminating(pod) {
                return Some(Action::delete(&**pod));
            }
            if !Self::healthy(pod) || !self.available(pod) {
                return None;
            }
        }
        None
    }

    /// The status, and when to look again.
    fn finish(&self, plan: &mut Plan) {
        let count = |test: &dyn Fn(&Pod) -> bool| {
            i32::try_from(self.owned.values().filter(|pod| test(pod)).count()).unwrap_or(i32::MAX)
        };
        let living = |pod: &Pod| !pods::is_terminating(pod);
        let of = |name: &str, pod: &Pod| living(pod) && revision_of(pod) == Some(name);
        let ready = count(&|pod| pods::is_ready(pod));
        let updated = count(&|pod| of(&self.revisions.update, pod));
        let wanted = i32::try_from(self.range().len()).unwrap_or(i32::MAX);
        let mut current = self.revisions.current.clone();
        let replicas = count(&|_| true);
        if !self.on_delete() && updated == wanted && ready == wanted && replicas == wanted {
            current.clone_from(&self.revisions.update);
        }
        let min_ready = self.spec.min_ready_seconds.unwrap_or(0);
        for pod in self.owned.values() {
            if let Some(wait) =
                pods::available_in(pod, min_ready, self.view.now).filter(|wait| !wait.is_zero())
            {
                plan.wake_in(wait);
            }
        }
        let status = StatefulSetStatus {
            replicas,
            ready_replicas: Some(ready).filter(|number| *number > 0),
            available_replicas: Some(count(&|pod| self.available(pod))),
            current_replicas: Some(count(&|pod| of(&current, pod))).filter(|number| *number > 0),
            updated_replicas: Some(updated).filter(|number| *number > 0),
            current_revision: Some(current),
            update_revision: Some(self.revisions.update.clone()),
            observed_generation: self.set.metadata.generation,
            collision_count: Some(0),
            conditions: None,
        };
        plan.actions.extend(Action::status(self.set, self.set.status.as_ref(), &status));
    }
}
