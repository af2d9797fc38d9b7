//! The scheduler of the sandbox: any ready node that a pod's node selector accepts, the emptiest first.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::json;

use super::{Action, Plan, Target, View, pods};

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    let nodes: Vec<_> = view.caches.nodes.all();
    let pods = view.caches.pods.all();
    let mut load: BTreeMap<String, usize> = nodes.iter().map(|node| (node.name_any(), 0)).collect();
    for node in pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()) {
        *load.entry(node).or_default() += 1;
    }
    for pod in pods.iter().filter(|pod| waits(pod)) {
        let fitting = nodes.iter().filter(|node| fits(pod, node)).map(|node| node.name_any());
        match fitting.min_by_key(|node| load.get(node).copied()) {
            Some(node) => {
                *load.entry(node.clone()).or_default() += 1;
                plan.actions.push(Action::Bind(Target::of(&**pod), node));
            }
            None => plan.actions.extend(unschedulable(pod, nodes.len(), view)),
        }
    }
    plan
}

/// Whether a pod waits for a node.
fn waits(pod: &Pod) -> bool {
    let Some(spec) = &pod.spec else { return false };
    spec.node_name.as_ref().is_none_or(String::is_empty)
        && spec.scheduling_gates.as_ref().is_none_or(Vec::is_empty)
        && spec.scheduler_name.as_deref().is_none_or(|name| name == "default-scheduler")
        && !pods::is_terminating(pod)
        && !pods::is_over(pod)
}

fn fits(pod: &Pod, node: &Node) -> bool {
    let selector = pod.spec.as_ref().and_then(|spec| spec.node_selector.clone()).unwrap_or_default();
    let ready =
        node.status.as_ref().and_then(|status| status.conditions.as_ref()).is_some_and(|conditions| {
            conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
        });
    let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    ready && !cordoned && selector.iter().all(|(key, value)| node.labels().get(key) == Some(value))
}

/// Says on the pod that no node takes it, once.
fn unschedulable(pod: &Pod, nodes: usize, view: &View<'_>) -> Option<Action> {
    let message =
        format!("0/{nodes} nodes are available: none is ready and matches the pod's node selector.");
    let present = pod.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default();
    if present.iter().any(|condition| {
        condition.type_ == "PodScheduled" && condition.message.as_deref() == Some(message.as_str())
    }) {
        return None;
    }
    let mut conditions: Vec<_> =
        present.into_iter().filter(|condition| condition.type_ != "PodScheduled").collect();
    conditions.push(PodCondition {
        type_: "PodScheduled".to_owned(),
        status: "False".to_owned(),
        reason: Some("Unschedulable".to_owned()),
        message: Some(message),
        last_transition_time: Some(Time(view.now)),
        ..PodCondition::default()
    });
    let patch = json!({ "status": { "phase": "Pending", "conditions": conditions } });
    Some(Action::PatchStatus(Target::of(pod), patch))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{NodeCondition, NodeStatus, PodSpec};

    use super::*;
    use crate::controllers::pods::fixtures::meta;

    #[test]
    fn a_pod_goes_to_a_ready_node_that_its_selector_accepts() {
        let ready =
            NodeCondition { type_: "Ready".into(), status: "True".into(), ..NodeCondition::default() };
        let mut node = Node { metadata: meta("node"), ..Node::default() };
        let mut pod = Pod { metadata: meta("pod"), spec: Some(PodSpec::default()), status: None };
        assert!(waits(&pod) && !fits(&pod, &node));
        node.status = Some(NodeStatus { conditions: Some(vec![ready]), ..NodeStatus::default() });
        assert!(fits(&pod, &node));
        pod.spec.as_mut().unwrap().node_selector = Some([("disk".into(), "fast".into())].into());
        assert!(!fits(&pod, &node));
        pod.spec.as_mut().unwrap().node_name = Some("node".into());
        assert!(!waits(&pod));
    }
}
