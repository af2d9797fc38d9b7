//! The pod template of every workload: the usual knobs, soft spread, and the stack's own patch on top.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, LocalObjectReference, PodAffinityTerm, PodAntiAffinity, PodSpec, PodTemplateSpec,
    TopologySpreadConstraint, Volume, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use obstack_crds::workload::Workload;

use super::patch::{self, Misfit};
use super::{DesiredError, security};
use crate::names::{Role, StackId};
use crate::validate::Valid;

const HOSTNAME: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// What is particular to a role's pods.
pub(super) struct Pod {
    pub(super) role: Role,
    /// Whether its processes talk to the API server.
    pub(super) uses_api: bool,
    pub(super) user: i64,
    /// Seconds between the request to end and the end by force.
    pub(super) grace_seconds: i64,
    pub(super) annotations: BTreeMap<String, String>,
    pub(super) init_containers: Vec<Container>,
    pub(super) containers: Vec<Container>,
    pub(super) volumes: Vec<Volume>,
}

/// The usual knobs of a role.
pub(super) fn knobs(valid: &Valid, role: Role) -> &Workload {
    match role {
        Role::Metrics => &valid.spec.metrics.workload,
        Role::Alerting => &valid.spec.alerting.workload,
        Role::Dashboards => &valid.spec.dashboards.workload,
    }
}

/// The pod template of a role.
pub(super) fn build_template(valid: &Valid, pod: Pod) -> Result<PodTemplateSpec, DesiredError> {
    let role = pod.role;
    let template = build_unpatched(valid, pod)?;
    match &knobs(valid, role).pod_template {
        Some(wished) => patched(valid, role, template, wished),
        None => Ok(template),
    }
}

/// The same without the stack's own patch.
pub(super) fn build_unpatched(valid: &Valid, pod: Pod) -> Result<PodTemplateSpec, DesiredError> {
    let stack = &valid.id;
    let role = pod.role;
    let knobs = knobs(valid, role);
    let mut labels = knobs.labels.clone();
    labels.extend(stack.role_labels(role));
    let mut annotations = knobs.annotations.clone();
    annotations.extend(pod.annotations);
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: some_map(annotations),
            ..Default::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(stack.child(role)),
            automount_service_account_token: Some(pod.uses_api),
            // Variables of every Service of the namespace are of no use, and change with each new one.
            enable_service_links: Some(false),
            security_context: Some(security::build_pod(pod.user)),
            termination_grace_period_seconds: Some(pod.grace_seconds),
            init_containers: some_list(pod.init_containers),
            containers: pod.containers,
            volumes: some_list(pod.volumes),
            image_pull_secrets: some_list(
                knobs.pull_secrets.iter().map(|name| LocalObjectReference { name: name.clone() }).collect(),
            ),
            node_selector: some_map(knobs.node_selector.clone()),
            tolerations: some_list(sorted(&knobs.tolerations)?),
            affinity: Some(knobs.affinity.clone().unwrap_or_else(|| build_affinity(stack, role))),
            topology_spread_constraints: Some(if knobs.topology_spread.is_empty() {
                vec![build_spread(stack, role, ZONE), build_spread(stack, role, HOSTNAME)]
            } else {
                sorted(&knobs.topology_spread)?
            }),
            priority_class_name: knobs.priority_class.clone(),
            ..Default::default()
        }),
    })
}

/// The template with the stack's own patch on it. What selects the pods is put back: a workload whose
/// template its own selector does not match is refused by the API server.
fn patched(
    valid: &Valid,
    role: Role,
    template: PodTemplateSpec,
    wished: &serde_json::Value,
) -> Result<PodTemplateSpec, DesiredError> {
    let error = |Misfit { found, write }: Misfit| DesiredError::PodTemplate {
        path: format!("spec.{}.podTemplate", role.as_str()),
        found,
        write,
    };
    let mut value = serde_json::to_value(template).map_err(|e| DesiredError::Encoding(e.to_string()))?;
    patch::merge(&mut value, wished).map_err(error)?;
    let unfit = |e: serde_json::Error| Misfit {
        found: format!("a patch that leaves no pod template ({e})"),
        write: "fields of a pod template as the API has them".to_owned(),
    };
    let mut template: PodTemplateSpec = serde_json::from_value(value).map_err(|e| error(unfit(e)))?;
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.extend(valid.id.role_labels(role));
    Ok(template)
}

/// Replicas prefer different nodes, and share one where there is no other.
fn build_affinity(stack: &StackId, role: Role) -> Affinity {
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                weight: 100,
                pod_affinity_term: PodAffinityTerm {
                    label_selector: Some(selector(stack, role)),
                    topology_key: HOSTNAME.into(),
                    ..Default::default()
                },
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn build_spread(stack: &StackId, role: Role, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(selector(stack, role)),
        ..Default::default()
    }
}

/// The selector of a role's pods.
pub(super) fn selector(stack: &StackId, role: Role) -> LabelSelector {
    LabelSelector { match_labels: Some(stack.selector(role)), ..Default::default() }
}

/// A list whose order means nothing: that of the spec leaves no trace.
fn sorted<T: Clone + serde::Serialize>(list: &[T]) -> Result<Vec<T>, DesiredError> {
    let key = |item: &T| serde_json::to_string(item).map_err(|e| DesiredError::Encoding(e.to_string()));
    let mut keyed: Vec<(String, T)> =
        list.iter().map(|item| Ok((key(item)?, item.clone()))).collect::<Result<_, DesiredError>>()?;
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

fn some_list<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn some_map<V>(map: BTreeMap<String, V>) -> Option<BTreeMap<String, V>> {
    (!map.is_empty()).then_some(map)
}
