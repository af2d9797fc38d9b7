//! Deployments: ReplicaSets, one per template, with replicas moved from old ones to the new one.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentCondition, DeploymentSpec, DeploymentStatus, ReplicaSet, ReplicaSetSpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::{Action, Plan, View, controlled_by, short_hash};

const HASH: &str = "pod-template-hash";
const REVISION: &str = "deployment.kubernetes.io/revision";

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    for deployment in view.caches.deployments.all() {
        let namespace = deployment.namespace().unwrap_or_default();
        let sets = view.caches.replica_sets.in_namespace(&namespace);
        let sets: Vec<_> = sets.into_iter().filter(|set| controlled_by(&*deployment, &**set)).collect();
        let pods = view.caches.pods.in_namespace(&namespace);
        let left = sets
            .iter()
            .any(|set| set.spec.replicas == Some(0) && pods.iter().any(|pod| controlled_by(&**set, &**pod)));
        plan.extend(plan_one(&deployment, &sets, left, view.now));
    }
    plan
}

/// Number of pods that a bound stands for: a number, or a share of the replicas.
fn bound(value: Option<&IntOrString>, replicas: i32, round_up: bool) -> i32 {
    match value {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let share =
                text.trim_end_matches('%').parse::<f64>().unwrap_or(25.0) / 100.0 * f64::from(replicas);
            (if round_up { share.ceil() } else { share.floor() }) as i32
        }
        None => bound(Some(&IntOrString::String("25%".to_owned())), replicas, round_up),
    }
}

fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(1)
}

fn scaled(set: &ReplicaSet, replicas: i32) -> Option<Action> {
    (size(set) != replicas).then(|| Action::patch(set, json!({ "spec": { "replicas": replicas } })))
}

fn available(set: &ReplicaSet) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

fn revision(set: &ReplicaSet) -> i64 {
    set.annotations().get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// What one Deployment lacks, given its ReplicaSets and whether pods of emptied ones are `left`.
fn plan_one(deployment: &Deployment, sets: &[Arc<ReplicaSet>], left: bool, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let spec = &deployment.spec;
    let hash = short_hash(&spec.template);
    let name = format!("{}-{hash}", deployment.name_any());
    let current = sets.iter().find(|set| set.name_any() == name);
    let old: Vec<_> = sets.iter().filter(|set| set.name_any() != name).collect();
    let newest = old.iter().map(|set| revision(set)).max().unwrap_or(0);
    let replicas = spec.replicas.unwrap_or(1);
    let number = current.map_or(newest + 1, |set| revision(set).max(newest + 1));
    if deployment.metadata.deletion_timestamp.is_none() && spec.paused != Some(true) {
        match current {
            None => {
                let first = if old.iter().all(|set| size(set) == 0) && !left { replicas } else { 0 };
                plan.actions.push(Action::create(&new_set(deployment, spec, &hash, name, first, number)));
            }
            Some(current) => {
                if revision(current) != number {
                    let patch = json!({ "metadata": { "annotations": { REVISION: number.to_string() } } });
                    plan.actions.push(Action::patch(&**current, patch));
                }
                plan.actions.extend(roll(spec, current, &old, left));
            }
        }
        if deployment.annotations().get(REVISION) != Some(&number.to_string()) {
            let patch = json!({ "metadata": { "annotations": { REVISION: number.to_string() } } });
            plan.actions.push(Action::patch(deployment, patch));
        }
        let mut empty: Vec<_> = old
            .iter()
            .filter(|set| size(set) == 0 && set.status.as_ref().is_none_or(|status| status.replicas == 0))
            .collect();
        empty.sort_by_key(|set| revision(set));
        let keep = usize::try_from(spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
        let spare = empty.len().saturating_sub(keep);
        plan.actions.extend(empty.iter().take(spare).map(|set| Action::delete(&****set)));
    }
    let (status, wake) = status(deployment, spec, current.map(|set| &**set), sets, now);
    if let Some(wake) = wake {
        plan.wake_in(wake);
    }
    plan.actions.extend(Action::status(deployment, deployment.status.as_ref(), &status));
    plan
}

fn new_set(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    hash: &str,
    name: String,
    replicas: i32,
    number: i64,
) -> ReplicaSet {
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.to_owned());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH.to_owned(), hash.to_owned());
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: deployment.namespace(),
            labels: Some(labels),
            annotations: Some([(REVISION.to_owned(), number.to_string())].into()),
            owner_references: deployment.controller_owner_ref(&()).map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        spec: ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        },
        status: None,
    }
}

/// Moves replicas from the old sets to the current one, as far as the strategy allows now.
fn roll(spec: &DeploymentSpec, current: &ReplicaSet, old: &[&Arc<ReplicaSet>], left: bool) -> Vec<Action> {
    let replicas = spec.replicas.unwrap_or(1);
    let strategy = spec.strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
        let emptied: Vec<_> = old.iter().filter_map(|set| scaled(set, 0)).collect();
        if !emptied.is_empty() {
            return emptied;
        }
        let running =
            left || old.iter().any(|set| set.status.as_ref().is_some_and(|status| status.replicas > 0));
        return if running { Vec::new() } else { scaled(current, replicas).into_iter().collect() };
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let surge = bound(rolling.and_then(|rolling| rolling.max_surge.as_ref()), replicas, true);
    let mut unavailable =
        bound(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), replicas, false);
    if surge == 0 && unavailable == 0 {
        unavailable = 1;
    }
    let old_total: i32 = old.iter().map(|set| size(set)).sum();
    let mut actions = Vec::new();
    let room = (replicas + surge - old_total - size(current)).max(0);
    let next = if size(current) > replicas { replicas } else { replicas.min(size(current) + room) };
    actions.extend(scaled(current, next));

    // Pods that are not available cost nothing to take away; available ones only down to the minimum.
    let all_available: i32 = available(current) + old.iter().map(|set| available(set)).sum::<i32>();
    let current_pending = size(current) - available(current);
    let mut spare = (old_total + size(current) - (replicas - unavailable) - current_pending).max(0);
    let mut spare_available = (all_available - (replicas - unavailable)).max(0);
    let mut oldest_first: Vec<_> = old.iter().filter(|set| size(set) > 0).collect();
    oldest_first.sort_by_key(|set| revision(set));
    for set in oldest_first {
        let broken = (size(set) - available(set)).min(spare).max(0);
        let sound = (size(set) - broken).min(spare - broken).min(spare_available).max(0);
        spare -= broken + sound;
        spare_available -= sound;
        actions.extend(scaled(set, size(set) - broken - sound));
    }
    actions
}

fn condition(
    deployment: &Deployment,
    kind: &str,
    (status, reason, message): (&str, &str, String),
    now: Timestamp,
) -> DeploymentCondition {
    let present = deployment.status.as_ref().and_then(|status| {
        status.conditions.as_ref()?.iter().find(|condition| condition.type_.as_deref() == Some(kind))
    });
    let same_status = present.filter(|present| present.status.as_deref() == Some(status));
    let same = same_status.filter(|present| present.reason.as_deref() == Some(reason));
    DeploymentCondition {
        type_: Some(kind.to_owned()),
        status: Some(status.to_owned()),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_transition_time: same_status
            .and_then(|present| present.last_transition_time.clone())
            .or(Some(Time(now))),
        last_update_time: same.and_then(|present| present.last_update_time.clone()).or(Some(Time(now))),
    }
}

fn status(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    current: Option<&ReplicaSet>,
    sets: &[Arc<ReplicaSet>],
    now: Timestamp,
) -> (DeploymentStatus, Option<Duration>) {
    let sum = |field: &dyn Fn(&ReplicaSet) -> i32| sets.iter().map(|set| field(set)).sum::<i32>();
    let replicas = spec.replicas.unwrap_or(1);
    let total = sum(&|set| set.status.as_ref().map_or(0, |status| status.replicas));
    let ready = sum(&|set| set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0));
    let up = sum(&available);
    let updated = current.and_then(|set| set.status.as_ref()).map_or(0, |status| status.replicas);
    let rolling = spec.strategy.as_ref().and_then(|strategy| strategy.rolling_update.as_ref());
    let tolerated = bound(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), replicas, false);
    let available_now = if up >= replicas - tolerated {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_owned())
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.".to_owned())
    };
    let complete = updated == replicas && total == replicas && up == replicas;
    let set_name = current.map_or_else(|| deployment.name_any(), ResourceExt::name_any);
    let old_progress = deployment.status.as_ref().and_then(|status| {
        status.conditions.as_ref()?.iter().find(|condition| condition.type_.as_deref() == Some("Progressing"))
    });
    let progressing = if complete {
        ("True", "NewReplicaSetAvailable", format!("ReplicaSet \"{set_name}\" has successfully progressed."))
    } else {
        ("True", "ReplicaSetUpdated", format!("ReplicaSet \"{set_name}\" is progressing."))
    };
    let deadline =
        Duration::from_secs(u64::try_from(spec.progress_deadline_seconds.unwrap_or(600)).unwrap_or(600));
    let mut wake = None;
    let old_status = deployment.status.clone().unwrap_or_default();
    let moved = old_status.updated_replicas.unwrap_or(0) != updated
        || old_status.available_replicas.unwrap_or(0) != up
        || old_status.observed_generation != deployment.metadata.generation;
    let mut progress = condition(deployment, "Progressing", progressing, now);
    if !complete {
        let since = old_progress.and_then(|condition| condition.last_update_time.as_ref());
        let waited = since.map_or(Duration::ZERO, |since| now.duration_since(since.0).unsigned_abs());
        let timed_out = old_progress.is_some_and(|old| old.status.as_deref() == Some("False"));
        if moved {
            progress.last_update_time = Some(Time(now));
            wake = Some(deadline);
        } else if timed_out || waited >= deadline {
            let message = format!("ReplicaSet \"{set_name}\" has timed out progressing.");
            let late = ("False", "ProgressDeadlineExceeded", message);
            progress = condition(deployment, "Progressing", late, now);
        } else {
            wake = Some(deadline - waited);
        }
    }
    let some = |number: i32| Some(number).filter(|number| *number > 0);
    let status = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(total),
        updated_replicas: some(updated),
        ready_replicas: some(ready),
        available_replicas: some(up),
        unavailable_replicas: some(total.max(replicas) - up),
        conditions: Some(vec![condition(deployment, "Available", available_now, now), progress]),
        ..DeploymentStatus::default()
    };
    (status, wake)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::{DeploymentStrategy, ReplicaSetStatus};

    use super::*;
    use crate::controllers::pods::fixtures::meta;

    fn deployment(replicas: i32, strategy: &str) -> Deployment {
        let strategy = DeploymentStrategy { type_: Some(strategy.to_owned()), rolling_update: None };
        let spec = DeploymentSpec {
            replicas: Some(replicas),
            strategy: Some(strategy),
            ..DeploymentSpec::default()
        };
        Deployment { metadata: meta("app"), spec, status: None }
    }

    /// Carries plans out; every pod is available one step after it was asked for.
    fn run(deployment: &mut Deployment, sets: &mut Vec<Arc<ReplicaSet>>) -> Vec<Vec<(i32, i32)>> {
        let mut trail = Vec::new();
        for _ in 0..50 {
            let plan = plan_one(deployment, sets, false, Timestamp::UNIX_EPOCH);
            if plan.actions.is_empty() {
                return trail;
            }
            for action in plan.actions {
                match action {
                    Action::Create(_, mut body) => {
                        body["metadata"]["uid"] = "uid-set".into();
                        sets.push(Arc::new(serde_json::from_value(body).unwrap()));
                    }
                    Action::Patch(target, patch) if target.resource.kind == "ReplicaSet" => {
                        let set = sets.iter_mut().find(|set| set.name_any() == target.name).unwrap();
                        let mut value = serde_json::to_value(&**set).unwrap();
                        json_patch::merge(&mut value, &patch);
                        *set = Arc::new(serde_json::from_value(value).unwrap());
                    }
                    Action::Patch(_, patch) | Action::PatchStatus(_, patch) => {
                        let mut value = serde_json::to_value(&*deployment).unwrap();
                        json_patch::merge(&mut value, &patch);
                        *deployment = serde_json::from_value(value).unwrap();
                    }
                    other => panic!("unexpected {other:?}"),
                }
            }
            for set in sets.iter_mut() {
                let mut next = (**set).clone();
                let replicas = size(set);
                next.status = Some(ReplicaSetStatus {
                    replicas,
                    ready_replicas: Some(replicas),
                    available_replicas: Some(replicas),
                    ..ReplicaSetStatus::default()
                });
                *set = Arc::new(next);
            }
            trail.push(sets.iter().map(|set| (size(set), available(set))).collect());
        }
        panic!("never at rest: {trail:?}");
    }

    fn change_template(deployment: &mut Deployment) {
        let template = &mut deployment.spec.template;
        template.metadata.get_or_insert_default().labels = Some([("v".to_owned(), "2".to_owned())].into());
        deployment.metadata.generation = Some(2);
    }

    #[test]
    fn a_rolling_update_keeps_enough_available() {
        let (mut deployment, mut sets) = (deployment(4, "RollingUpdate"), Vec::new());
        run(&mut deployment, &mut sets);
        assert_eq!(sets.iter().map(|set| size(set)).collect::<Vec<_>>(), [4]);
        change_template(&mut deployment);
        let trail = run(&mut deployment, &mut sets);
        assert!(trail.iter().all(|sizes| sizes.iter().map(|(_, up)| up).sum::<i32>() >= 3), "{trail:?}");
        assert!(trail.iter().all(|sizes| sizes.iter().map(|(size, _)| size).sum::<i32>() <= 5), "{trail:?}");
        assert_eq!(sets.iter().map(|set| size(set)).collect::<Vec<_>>(), [0, 4]);
        let status = deployment.status.as_ref().unwrap();
        let progress = &status.conditions.as_ref().unwrap()[1];
        assert_eq!(progress.reason.as_deref(), Some("NewReplicaSetAvailable"));
        assert_eq!(deployment.annotations()[REVISION], "2");
    }

    #[test]
    fn recreate_never_runs_two_templates_at_once() {
        let (mut deployment, mut sets) = (deployment(2, "Recreate"), Vec::new());
        run(&mut deployment, &mut sets);
        change_template(&mut deployment);
        let trail = run(&mut deployment, &mut sets);
        assert!(
            trail.iter().all(|sizes| sizes.iter().filter(|(size, _)| *size > 0).count() <= 1),
            "{trail:?}"
        );
        assert_eq!(sets.iter().map(|set| size(set)).collect::<Vec<_>>(), [0, 2]);
    }
}
