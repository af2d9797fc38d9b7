//! EndpointSlices: where the pods that a Service selects are reached. One slice per Service: the sandbox
//! never has the thousand endpoints that would need a second.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ObjectReference, Pod, Service, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::selector::map_matches;
use super::{Action, Plan, View, merge_patch, pods, short_hash};

/// Label that names the Service of a slice.
pub(crate) const SERVICE: &str = "kubernetes.io/service-name";
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    for service in view.caches.services.all() {
        let namespace = service.namespace().unwrap_or_default();
        let name = slice_name(&service);
        let present = view.caches.slices.get(&namespace, &name);
        let selects = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).is_some();
        if !selects || service.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let wanted = build(&service, &view.caches.pods.in_namespace(&namespace));
        match present {
            None => plan.actions.push(Action::create(&wanted)),
            Some(present) => plan.actions.extend(change(&present, &wanted)),
        }
    }
    // A server without garbage collection of its own would keep slices of Services that are gone.
    for slice in view.caches.slices.all() {
        let namespace = slice.namespace().unwrap_or_default();
        let ours = slice.labels().get(MANAGED_BY).is_some_and(|manager| manager == MANAGER);
        let orphan = slice
            .labels()
            .get(SERVICE)
            .is_some_and(|service| view.caches.services.get(&namespace, service).is_none());
        if ours && orphan && slice.metadata.deletion_timestamp.is_none() {
            plan.actions.push(Action::delete(&*slice));
        }
    }
    plan
}

fn slice_name(service: &Service) -> String {
    format!("{}-{}", service.name_any(), &short_hash(&service.uid())[..5])
}

/// The patch that brings a slice up to date; none where it is.
fn change(present: &EndpointSlice, wanted: &EndpointSlice) -> Option<Action> {
    let view = |slice: &EndpointSlice| {
        json!({
            "metadata": { "labels": slice.metadata.labels },
            "endpoints": slice.endpoints,
            "ports": slice.ports,
        })
    };
    merge_patch(&view(present), &view(wanted)).map(|patch| Action::patch(present, patch))
}

/// The slice of a Service with a selector, given the pods of its namespace.
fn build(service: &Service, pods: &[Arc<Pod>]) -> EndpointSlice {
    let spec = service.spec.clone().unwrap_or_default();
    let selector = spec.selector.clone().unwrap_or_default();
    let mut chosen: Vec<_> = pods
        .iter()
        .filter(|pod| map_matches(&selector, pod.metadata.labels.as_ref()) && !pods::is_over(pod))
        .filter(|pod| address(pod).is_some())
        .collect();
    chosen.sort_by_key(|pod| pod.name_any());
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.insert(SERVICE.to_owned(), service.name_any());
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    if spec.cluster_ip.as_deref() == Some("None") {
        labels.insert("service.kubernetes.io/headless".to_owned(), String::new());
    }
    EndpointSlice {
        metadata: ObjectMeta {
            name: Some(slice_name(service)),
            namespace: service.namespace(),
            labels: Some(labels),
            owner_references: service.controller_owner_ref(&()).map(|reference| vec![reference]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints: Some(chosen.iter().map(|pod| endpoint(service, &spec, pod)).collect()),
        ports: Some(ports(&spec, &chosen)),
    }
}

fn address(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref().filter(|address| !address.is_empty())
}

fn endpoint(service: &Service, spec: &ServiceSpec, pod: &Pod) -> Endpoint {
    let serving = pods::is_ready(pod);
    let terminating = pods::is_terminating(pod);
    let always = spec.publish_not_ready_addresses == Some(true);
    let pod_spec = pod.spec.as_ref();
    let in_subdomain = pod_spec.and_then(|spec| spec.subdomain.as_deref()) == Some(&service.name_any());
    Endpoint {
        addresses: address(pod).map(str::to_owned).into_iter().collect(),
        conditions: Some(EndpointConditions {
            ready: Some(always || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: pod_spec.and_then(|spec| spec.hostname.clone()).filter(|_| in_subdomain),
        node_name: pod_spec.and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: pod.namespace(),
            name: Some(pod.name_any()),
            uid: pod.uid(),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

/// The ports of a slice. A port by name is looked up in the pods; a name that no pod has is left out.
fn ports(spec: &ServiceSpec, pods: &[&Arc<Pod>]) -> Vec<EndpointPort> {
    let by_name = |name: &str| {
        pods.iter().find_map(|pod| {
            let spec = pod.spec.as_ref()?;
            let sidecars = spec.init_containers.iter().flatten();
            let mut ports =
                spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
            ports.find(|port| port.name.as_deref() == Some(name)).map(|port| port.container_port)
        })
    };
    spec.ports
        .iter()
        .flatten()
        .filter_map(|port| {
            let number = match &port.target_port {
                Some(IntOrString::Int(number)) if *number != 0 => *number,
                Some(IntOrString::String(name)) => by_name(name)?,
                _ => port.port,
            };
            Some(EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(number),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec, ServicePort};
    use k8s_openapi::jiff::Timestamp;

    use super::*;
    use crate::controllers::pods::fixtures::{meta, ready};

    fn pod(name: &str) -> Pod {
        let port =
            ContainerPort { name: Some("web".into()), container_port: 9090, ..ContainerPort::default() };
        let container = Container { ports: Some(vec![port]), ..Container::default() };
        let mut pod = Pod { metadata: meta(name), ..Pod::default() };
        pod.metadata.labels = Some([("app".to_owned(), "x".to_owned())].into());
        pod.spec = Some(PodSpec {
            containers: vec![container],
            node_name: Some("node".into()),
            hostname: Some(name.to_owned()),
            subdomain: Some("svc".into()),
            ..PodSpec::default()
        });
        ready(pod, Timestamp::UNIX_EPOCH)
    }

    fn service(target: IntOrString) -> Service {
        let port = ServicePort {
            name: Some("http".into()),
            port: 80,
            target_port: Some(target),
            ..ServicePort::default()
        };
        let spec = ServiceSpec {
            selector: Some([("app".to_owned(), "x".to_owned())].into()),
            ports: Some(vec![port]),
            ..ServiceSpec::default()
        };
        Service { metadata: meta("svc"), spec: Some(spec), status: None }
    }

    #[test]
    fn endpoints_say_whether_they_are_ready_and_whose_they_are() {
        let mut unready = pod("b");
        unready.status.as_mut().unwrap().conditions = None;
        let mut leaving = pod("c");
        leaving.metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(Timestamp::UNIX_EPOCH));
        let pods: Vec<_> = [pod("a"), unready, leaving].into_iter().map(Arc::new).collect();
        let slice = build(&service(IntOrString::String("web".into())), &pods);
        assert_eq!(slice.ports.as_ref().unwrap()[0].port, Some(9090));
        let endpoints = slice.endpoints.as_ref().unwrap();
        let conditions: Vec<_> = endpoints
            .iter()
            .map(|endpoint| endpoint.conditions.clone().unwrap())
            .map(|conditions| (conditions.ready, conditions.serving, conditions.terminating))
            .collect();
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(conditions, [(yes, yes, no), (no, no, no), (no, yes, yes)]);
        assert_eq!(endpoints[0].hostname.as_deref(), Some("a"));
        assert_eq!(endpoints[0].target_ref.as_ref().unwrap().uid.as_deref(), Some("uid-a"));
        assert!(change(&slice, &slice.clone()).is_none());
    }

    #[test]
    fn not_ready_addresses_are_published_where_the_service_says_so() {
        let mut service = service(IntOrString::Int(9090));
        service.spec.as_mut().unwrap().publish_not_ready_addresses = Some(true);
        let mut unready = pod("b");
        unready.status.as_mut().unwrap().conditions = None;
        let slice = build(&service, &[Arc::new(unready)]);
        let conditions = slice.endpoints.unwrap()[0].conditions.clone().unwrap();
        assert_eq!((conditions.ready, conditions.serving), (Some(true), Some(false)));
    }
}
