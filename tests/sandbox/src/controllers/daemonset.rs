//! DaemonSets: one pod on every node that the template accepts.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::{Action, Plan, View, controlled_by, pods, short_hash};

const HASH: &str = "controller-revision-hash";

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    let nodes = view.caches.nodes.all();
    for set in view.caches.daemon_sets.all() {
        let owned = view.caches.pods.in_namespace(&set.namespace().unwrap_or_default());
        let owned: Vec<_> = owned.into_iter().filter(|pod| controlled_by(&*set, &**pod)).collect();
        plan.extend(plan_one(&set, &nodes, &owned, view.now));
    }
    plan
}

fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref()
}

/// What one DaemonSet lacks, given all nodes and the pods that it owns. An update replaces one pod at a time.
fn plan_one(set: &DaemonSet, nodes: &[Arc<Node>], owned: &[Arc<Pod>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let spec = &set.spec;
    let hash = short_hash(&spec.template);
    let wanted_selector =
        spec.template.spec.as_ref().and_then(|spec| spec.node_selector.clone()).unwrap_or_default();
    let wanted: Vec<_> = nodes
        .iter()
        .filter(|node| wanted_selector.iter().all(|(key, value)| node.labels().get(key) == Some(value)))
        .map(|node| node.name_any())
        .collect();
    let current = |pod: &Pod| pod.labels().get(HASH) == Some(&hash);
    let (mut scheduled, mut ready, mut up, mut updated) = (0, 0, 0, 0);
    let mut disturbed = false;
    for node in &wanted {
        let here: Vec<_> = owned.iter().filter(|pod| node_of(pod) == Some(node.as_str())).collect();
        if here.is_empty() {
            let name = format!("{}-{}", set.name_any(), &short_hash(&(set.uid(), node, &hash))[..5]);
            let mut pod = pods::from_template(set, &spec.template, name);
            pod.metadata.labels.get_or_insert_default().insert(HASH.to_owned(), hash.clone());
            if let Some(pod_spec) = &mut pod.spec {
                pod_spec.node_name = Some(node.clone());
            }
            plan.actions.push(Action::create(&pod));
            disturbed = true;
        }
        for pod in here {
            scheduled += 1;
            updated += i32::from(current(pod));
            ready += i32::from(pods::is_ready(pod));
            let wait = pods::available_in(pod, spec.min_ready_seconds.unwrap_or(0), now);
            up += i32::from(wait.is_some_and(|wait| wait.is_zero()));
            disturbed |= !wait.is_some_and(|wait| wait.is_zero());
            if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                plan.wake_in(wait);
            }
            if pods::is_over(pod) && !pods::is_terminating(pod) {
                plan.actions.push(Action::delete(&**pod));
            }
        }
    }
    let stray = owned.iter().filter(|pod| {
        !pods::is_terminating(pod) && !node_of(pod).is_some_and(|node| wanted.iter().any(|name| name == node))
    });
    plan.actions.extend(stray.map(|pod| Action::delete(&**pod)));
    let on_delete =
        spec.update_strategy.as_ref().and_then(|update| update.type_.as_deref()) == Some("OnDelete");
    if let Some(old) = owned.iter().find(|pod| !current(pod) && !pods::is_terminating(pod))
        && !on_delete
        && (!disturbed || !pods::is_ready(old))
    {
        plan.actions.push(Action::delete(&**old));
    }
    if set.metadata.deletion_timestamp.is_some() {
        plan.actions.clear();
    }
    let desired = i32::try_from(wanted.len()).unwrap_or(i32::MAX);
    let status = DaemonSetStatus {
        current_number_scheduled: scheduled,
        desired_number_scheduled: desired,
        number_ready: ready,
        number_available: Some(up).filter(|number| *number > 0),
        number_unavailable: Some(desired - up).filter(|number| *number > 0),
        updated_number_scheduled: Some(updated).filter(|number| *number > 0),
        number_misscheduled: 0,
        observed_generation: set.metadata.generation,
        ..DaemonSetStatus::default()
    };
    plan.actions.extend(Action::status(set, set.status.as_ref(), &status));
    plan
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::apps::v1::DaemonSetSpec;
    use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};

    use super::*;
    use crate::controllers::pods::fixtures::meta;

    #[test]
    fn each_node_that_is_accepted_gets_one_pod() {
        let node = |name: &str, disk: &str| {
            let mut node = Node { metadata: meta(name), ..Node::default() };
            node.metadata.labels = Some([("disk".to_owned(), disk.to_owned())].into());
            Arc::new(node)
        };
        let spec = PodSpec {
            node_selector: Some([("disk".to_owned(), "fast".to_owned())].into()),
            ..PodSpec::default()
        };
        let set = DaemonSet {
            metadata: meta("agent"),
            spec: DaemonSetSpec {
                template: PodTemplateSpec { metadata: None, spec: Some(spec) },
                ..DaemonSetSpec::default()
            },
            status: None,
        };
        let plan = plan_one(&set, &[node("a", "fast"), node("b", "slow")], &[], Timestamp::UNIX_EPOCH);
        let Action::Create(_, body) = &plan.actions[0] else { panic!("{plan:?}") };
        assert_eq!(body["spec"]["nodeName"], "a");
        assert_eq!(plan.actions.len(), 2, "one pod and the status");
    }
}
