//! Jobs: pods that run to their end. Indexed jobs are not served; their pods are treated as equal.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus, UncountedTerminatedPods};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::{Action, Plan, View, controlled_by, pods, short_hash};

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    for job in view.caches.jobs.all() {
        let owned = view.caches.pods.in_namespace(&job.namespace().unwrap_or_default());
        let owned: Vec<_> = owned.into_iter().filter(|pod| controlled_by(&*job, &**pod)).collect();
        plan.extend(plan_one(&job, &owned, view.now));
    }
    plan
}

fn seconds(value: i64) -> Duration {
    Duration::from_secs(u64::try_from(value).unwrap_or(0))
}

/// Type, reason and message of the condition that ends a job, where it is over.
fn verdict(
    job: &Job,
    succeeded: i32,
    failed: i32,
    now: Timestamp,
    plan: &mut Plan,
) -> Option<(&'static str, &'static str, String)> {
    let spec = job.spec.as_ref()?;
    if succeeded >= spec.completions.unwrap_or(1) {
        let message = "Reached expected number of succeeded pods".to_owned();
        return Some(("Complete", "CompletionsReached", message));
    }
    if failed > spec.backoff_limit.unwrap_or(6) {
        let message = "Job has reached the specified backoff limit".to_owned();
        return Some(("Failed", "BackoffLimitExceeded", message));
    }
    let deadline = seconds(spec.active_deadline_seconds?);
    let started = job.status.as_ref()?.start_time.as_ref()?.0;
    let ran = now.duration_since(started).unsigned_abs();
    if ran >= deadline {
        let message = "Job was active longer than specified deadline".to_owned();
        return Some(("Failed", "DeadlineExceeded", message));
    }
    plan.wake_in(deadline - ran);
    None
}

fn plan_one(job: &Job, owned: &[Arc<Pod>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &job.spec else { return plan };
    let count = |phase: &str| {
        i32::try_from(owned.iter().filter(|pod| pods::phase(pod) == phase).count()).unwrap_or(i32::MAX)
    };
    let (succeeded, failed) = (count("Succeeded"), count("Failed"));
    let active: Vec<_> =
        owned.iter().filter(|pod| !pods::is_over(pod) && !pods::is_terminating(pod)).collect();
    let old = job.status.clone().unwrap_or_default();
    let over = old.conditions.iter().flatten().find(|condition| {
        matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
    });
    if let Some(over) = over {
        plan.actions.extend(active.iter().map(|pod| Action::delete(&***pod)));
        if let Some(ttl) = spec.ttl_seconds_after_finished {
            let ended = over.last_transition_time.as_ref().map_or(now, |time| time.0);
            let left = seconds(ttl.into()).saturating_sub(now.duration_since(ended).unsigned_abs());
            if left.is_zero() {
                plan.actions.push(Action::delete(job));
            } else {
                plan.wake_in(left);
            }
        }
        return plan;
    }
    let verdict = verdict(job, succeeded, failed, now, &mut plan);
    let running = i32::try_from(active.len()).unwrap_or(i32::MAX);
    if verdict.is_none() && job.metadata.deletion_timestamp.is_none() && spec.suspend != Some(true) {
        let left = spec.completions.unwrap_or(1) - succeeded;
        let wanted = spec.parallelism.unwrap_or(1).min(left);
        for slot in 0..(wanted - running).max(0) {
            let name = format!("{}-{}", job.name_any(), &short_hash(&(job.uid(), owned.len(), slot))[..5]);
            plan.actions.push(Action::create(&pods::from_template(job, &spec.template, name)));
        }
    }
    let ready = i32::try_from(active.iter().filter(|pod| pods::is_ready(pod)).count()).unwrap_or(i32::MAX);
    let mut status = JobStatus {
        active: Some(if verdict.is_some() { 0 } else { running }).filter(|number| *number > 0),
        succeeded: Some(succeeded).filter(|number| *number > 0),
        failed: Some(failed).filter(|number| *number > 0),
        ready: Some(if verdict.is_some() { 0 } else { ready }),
        terminating: Some(0),
        uncounted_terminated_pods: Some(UncountedTerminatedPods::default()),
        start_time: old.start_time.clone().or(Some(Time(now))),
        ..JobStatus::default()
    };
    if let Some((kind, reason, message)) = verdict {
        plan.actions.extend(active.iter().map(|pod| Action::delete(&***pod)));
        if kind == "Complete" {
            status.completion_time = Some(Time(now));
        }
        let condition = |kind: &str| JobCondition {
            type_: kind.to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message.clone()),
            last_transition_time: Some(Time(now)),
            last_probe_time: Some(Time(now)),
        };
        // The aim is told before the end.
        let aim = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
        status.conditions = Some(vec![condition(aim), condition(kind)]);
    }
    plan.actions.extend(Action::status(job, job.status.as_ref(), &status));
    plan
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::batch::v1::JobSpec;
    use k8s_openapi::api::core::v1::PodStatus;

    use super::*;
    use crate::controllers::pods::fixtures::meta;

    fn pod(name: &str, phase: &str) -> Arc<Pod> {
        let status = PodStatus { phase: Some(phase.to_owned()), ..PodStatus::default() };
        Arc::new(Pod { metadata: meta(name), spec: None, status: Some(status) })
    }

    fn job(completions: i32, backoff_limit: i32) -> Job {
        let spec = JobSpec {
            completions: Some(completions),
            backoff_limit: Some(backoff_limit),
            ..JobSpec::default()
        };
        Job { metadata: meta("job"), spec: Some(spec), status: None }
    }

    fn ends_with(plan: &Plan) -> Option<String> {
        plan.actions.iter().find_map(|action| match action {
            Action::PatchStatus(_, patch) => {
                patch["status"]["conditions"][0]["reason"].as_str().map(str::to_owned)
            }
            _ => None,
        })
    }

    #[test]
    fn a_job_makes_pods_until_enough_have_succeeded_or_too_many_failed() {
        let now = Timestamp::UNIX_EPOCH;
        let creates = |plan: &Plan| plan.actions.iter().filter(|a| matches!(a, Action::Create(..))).count();
        assert_eq!(creates(&plan_one(&job(2, 1), &[], now)), 1);
        assert_eq!(creates(&plan_one(&job(2, 1), &[pod("a", "Running")], now)), 0);
        assert_eq!(creates(&plan_one(&job(2, 1), &[pod("a", "Succeeded")], now)), 1);
        let plan = plan_one(&job(1, 1), &[pod("a", "Succeeded")], now);
        assert_eq!(ends_with(&plan).as_deref(), Some("CompletionsReached"));
        let plan = plan_one(&job(1, 1), &[pod("a", "Failed"), pod("b", "Failed")], now);
        assert_eq!(ends_with(&plan).as_deref(), Some("BackoffLimitExceeded"));
        assert_eq!(creates(&plan), 0);
    }
}
