//! Services of a role, named by it, and its disruption budget.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::endpoint::Endpoint;
use crate::names::{Role, StackId};

/// Metadata of an object of a role.
pub(super) fn metadata(stack: &StackId, role: Role, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(stack.namespace.clone()),
        labels: Some(stack.role_labels(role)),
        ..Default::default()
    }
}

/// The Service that people and other parts use. With `sticky`, a client stays with one replica: replicas
/// that scrape by themselves do not hold the same samples.
pub(super) fn build_service(stack: &StackId, role: Role, sticky: bool) -> Service {
    let endpoint = Endpoint::of(stack, role);
    Service {
        metadata: metadata(stack, role, stack.child(role)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            selector: Some(stack.selector(role)),
            session_affinity: sticky.then(|| "ClientIP".into()),
            ports: Some(vec![port("http", i32::from(endpoint.port), "TCP")]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The Service that gives each replica a name, ready or not.
pub(super) fn build_headless(stack: &StackId, role: Role, more: Vec<ServicePort>) -> Service {
    let endpoint = Endpoint::of(stack, role);
    let mut ports = vec![port("http", i32::from(endpoint.port), "TCP")];
    ports.extend(more);
    Service {
        metadata: metadata(stack, role, stack.child_with(role, "headless")),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(stack.selector(role)),
            ports: Some(ports),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// A port of a Service and the container's port of the same name.
pub(super) fn port(name: &str, number: i32, protocol: &str) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: number,
        protocol: Some(protocol.into()),
        target_port: Some(IntOrString::String(name.into())),
        ..Default::default()
    }
}

/// One replica at a time may be taken away: that never blocks the drain of a node, even of the only replica.
pub(super) fn build_disruption_budget(stack: &StackId, role: Role) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: metadata(stack, role, stack.child(role)),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(LabelSelector { match_labels: Some(stack.selector(role)), ..Default::default() }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
