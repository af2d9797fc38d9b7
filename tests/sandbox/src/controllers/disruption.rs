//! PodDisruptionBudgets: how many pods may be taken away now.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::selector::matches;
use super::{Action, Plan, View, pods};

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    for budget in view.caches.budgets.all() {
        let pods = view.caches.pods.in_namespace(&budget.namespace().unwrap_or_default());
        let status = status(&budget, &pods, view.now);
        plan.actions.extend(Action::status(&*budget, budget.status.as_ref(), &status));
    }
    plan
}

/// A number of pods, or a share of them rounded up.
fn number(value: &IntOrString, of: i32) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            (text.trim_end_matches('%').parse::<f64>().unwrap_or(0.0) / 100.0 * f64::from(of)).ceil() as i32
        }
    }
}

fn status(budget: &PodDisruptionBudget, pods: &[Arc<Pod>], now: Timestamp) -> PodDisruptionBudgetStatus {
    let spec = budget.spec.clone().unwrap_or_default();
    let covered: Vec<_> = pods
        .iter()
        .filter(|pod| !pods::is_over(pod))
        .filter(|pod| {
            spec.selector.as_ref().is_some_and(|selector| matches(selector, pod.metadata.labels.as_ref()))
        })
        .collect();
    let expected = i32::try_from(covered.len()).unwrap_or(i32::MAX);
    let healthy = covered.iter().filter(|pod| pods::is_ready(pod) && !pods::is_terminating(pod)).count();
    let healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
    let desired = match (&spec.min_available, &spec.max_unavailable) {
        (Some(minimum), _) => number(minimum, expected),
        (None, Some(maximum)) => (expected - number(maximum, expected)).max(0),
        (None, None) => expected.min(1),
    };
    let allowed = if expected == 0 { 0 } else { (healthy - desired).max(0) };
    let (state, reason) =
        if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let old = budget.status.as_ref().and_then(|status| status.conditions.as_ref()?.first());
    let since =
        old.filter(|old| old.status == state).map_or(Time(now), |old| old.last_transition_time.clone());
    PodDisruptionBudgetStatus {
        current_healthy: Some(healthy),
        desired_healthy: Some(desired),
        disruptions_allowed: Some(allowed),
        expected_pods: Some(expected),
        observed_generation: budget.metadata.generation,
        disrupted_pods: budget.status.as_ref().and_then(|status| status.disrupted_pods.clone()),
        conditions: Some(vec![Condition {
            type_: "DisruptionAllowed".to_owned(),
            status: state.to_owned(),
            reason: reason.to_owned(),
            message: String::new(),
            last_transition_time: since,
            observed_generation: budget.metadata.generation,
        }]),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

    use super::*;
    use crate::controllers::pods::fixtures::{meta, ready};

    #[test]
    fn a_budget_counts_what_may_go() {
        let now = Timestamp::UNIX_EPOCH;
        let pods: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .map(|name| Arc::new(ready(Pod { metadata: meta(name), ..Pod::default() }, now)))
            .collect();
        let budget = |min: Option<i32>, max: Option<&str>| PodDisruptionBudget {
            metadata: meta("budget"),
            spec: Some(PodDisruptionBudgetSpec {
                min_available: min.map(IntOrString::Int),
                max_unavailable: max.map(|max| IntOrString::String(max.to_owned())),
                selector: Some(LabelSelector::default()),
                ..PodDisruptionBudgetSpec::default()
            }),
            status: None,
        };
        assert_eq!(status(&budget(Some(2), None), &pods, now).disruptions_allowed, Some(1));
        assert_eq!(status(&budget(Some(3), None), &pods, now).disruptions_allowed, Some(0));
        assert_eq!(status(&budget(None, Some("50%")), &pods, now).disruptions_allowed, Some(2));
        assert_eq!(status(&budget(None, Some("50%")), &[], now).disruptions_allowed, Some(0));
    }
}
