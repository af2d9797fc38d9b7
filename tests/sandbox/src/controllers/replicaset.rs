//! ReplicaSets: so many pods of one template.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::{Action, Plan, View, controlled_by, pods};

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    for set in view.caches.replica_sets.all() {
        let namespace = set.namespace().unwrap_or_default();
        let owned: Vec<_> = view.caches.pods.in_namespace(&namespace);
        let owned: Vec<_> = owned.into_iter().filter(|pod| controlled_by(&*set, &**pod)).collect();
        plan.extend(plan_one(&set, &owned, view.now));
    }
    plan
}

/// What one ReplicaSet lacks, given the pods that it owns.
fn plan_one(set: &ReplicaSet, owned: &[Arc<Pod>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let spec = &set.spec;
    let active: Vec<_> =
        owned.iter().filter(|pod| !pods::is_over(pod) && !pods::is_terminating(pod)).collect();
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    if set.metadata.deletion_timestamp.is_none() {
        if let Some(template) = &spec.template {
            for name in free_names(set, owned).take(wanted.saturating_sub(active.len())) {
                plan.actions.push(Action::create(&pods::from_template(set, template, name)));
            }
        }
        // Those that are least use go first: not ready, then youngest.
        let mut spare = active.clone();
        spare.sort_by_key(|pod| {
            (pods::is_ready(pod), std::cmp::Reverse(pod.creation_timestamp().map(|time| time.0)))
        });
        for pod in spare.iter().take(active.len().saturating_sub(wanted)) {
            plan.actions.push(Action::delete(&***pod));
        }
        for pod in owned.iter().filter(|pod| pods::is_over(pod) && !pods::is_terminating(pod)) {
            plan.actions.push(Action::delete(&**pod));
        }
    }
    let waits: Vec<_> = active
        .iter()
        .filter_map(|pod| pods::available_in(pod, spec.min_ready_seconds.unwrap_or(0), now))
        .collect();
    for wait in waits.iter().filter(|wait| !wait.is_zero()) {
        plan.wake_in(*wait);
    }
    let count = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
    let status = ReplicaSetStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: Some(count(active.len())).filter(|number| *number > 0),
        ready_replicas: Some(count(waits.len())).filter(|number| *number > 0),
        available_replicas: Some(count(waits.iter().filter(|wait| wait.is_zero()).count()))
            .filter(|number| *number > 0),
        observed_generation: set.metadata.generation,
        ..ReplicaSetStatus::default()
    };
    plan.actions.extend(Action::status(set, set.status.as_ref(), &status));
    plan
}

/// Names for new pods that no present pod has. They follow from the set's UID and a count, so that a look
/// at an old cache tries a name that exists instead of making one pod too many.
fn free_names<'a>(set: &'a ReplicaSet, owned: &'a [Arc<Pod>]) -> impl Iterator<Item = String> + 'a {
    let newest = owned.iter().filter_map(|pod| pod.creation_timestamp()).map(|time| time.0).max();
    (0u32..)
        .map(move |slot| {
            let hash = super::short_hash(&(set.uid(), newest.map(|time| time.to_string()), slot));
            format!("{}-{}", set.name_any(), &hash[..5])
        })
        .filter(|name| !owned.iter().any(|pod| pod.name_any() == *name))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::ReplicaSetSpec;
    use k8s_openapi::api::core::v1::PodTemplateSpec;

    use super::*;
    use crate::controllers::pods::fixtures::{meta, ready};

    fn set(replicas: i32) -> ReplicaSet {
        ReplicaSet {
            metadata: meta("web"),
            spec: ReplicaSetSpec {
                replicas: Some(replicas),
                template: Some(PodTemplateSpec::default()),
                ..ReplicaSetSpec::default()
            },
            status: None,
        }
    }

    fn made(plan: &Plan) -> Vec<Arc<Pod>> {
        plan.actions
            .iter()
            .filter_map(|action| match action {
                Action::Create(_, body) => serde_json::from_value(body.clone()).ok().map(Arc::new),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn missing_pods_are_made_and_spare_ones_go_unready_first() {
        let now = Timestamp::now();
        let pods = made(&plan_one(&set(3), &[], now));
        assert_eq!(pods.len(), 3);
        let mut pods: Vec<_> = pods.iter().map(|pod| Arc::new(ready((**pod).clone(), now))).collect();
        let unready = Arc::new(Pod { status: None, ..(*pods[1]).clone() });
        pods[1] = unready.clone();
        let plan = plan_one(&set(2), &pods, now);
        let deleted: Vec<_> = plan
            .actions
            .iter()
            .filter_map(|action| match action {
                Action::Delete(target) => Some(target.name.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(deleted, [unready.name_any()]);
    }

    #[test]
    fn at_rest_nothing_is_written() {
        let now = Timestamp::now();
        let mut set = set(1);
        let pods: Vec<_> =
            made(&plan_one(&set, &[], now)).iter().map(|pod| Arc::new(ready((**pod).clone(), now))).collect();
        let plan = plan_one(&set, &pods, now);
        let [Action::PatchStatus(_, patch)] = plan.actions.as_slice() else { panic!("{plan:?}") };
        set.status = serde_json::from_value(patch["status"].clone()).unwrap();
        assert_eq!(plan_one(&set, &pods, now), Plan::default());
    }
}
