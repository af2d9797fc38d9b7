//! ServiceMonitor.

use std::borrow::Cow;

use super::http::TlsView;
use super::kubernetes::{Discovery, by_role};
use super::relabel::{self, Of};
use super::{Job, Yaml, there};
use crate::scrape::judge::Rejection;
use crate::scrape::objects::monitors::EndpointOf;
use crate::scrape::objects::{Endpoint, IntOrString, ServiceMonitorSpec};

/// Writes a job for each endpoint and gives their number.
pub(super) fn write(y: &mut Yaml, job: &Job<'_>, spec: &ServiceMonitorSpec) -> Result<usize, Rejection> {
    for (index, endpoint) in spec.endpoints.iter().enumerate() {
        y.item(|y| write_endpoint(y, job, spec, endpoint, index))?;
        super::judge_size(y)?;
    }
    Ok(spec.endpoints.len())
}

fn write_endpoint(
    y: &mut Yaml,
    job: &Job<'_>,
    spec: &ServiceMonitorSpec,
    endpoint: &Endpoint,
    index: usize,
) -> Result<(), Rejection> {
    let settings = job.settings();
    let class = settings.class(spec.scrape_class.as_deref());
    let role = settings.endpoints_role(spec.service_discovery_role.as_deref());
    job.job_name(y, Some(index));
    job.honor_labels(y, endpoint.honor_labels);
    job.honor_timestamps(y, endpoint.honor_timestamps);
    job.track_staleness(y, endpoint.track_timestamps_staleness);
    let attach = spec.attach_metadata.as_ref().or(class.and_then(|class| class.attach_metadata.as_ref()));
    let roles = [role, "service"];
    let discovery = Discovery {
        role,
        attach: attach.map(|attach| (attach, (2, 37))),
        selector: by_role(spec.selector_mechanism.as_deref()).then_some((&spec.selector, &roles[..])),
    };
    job.discover(y, &spec.namespace_selector, discovery)?;
    job.request(y, endpoint);
    job.redirects_and_http2(y, endpoint.follow_redirects, endpoint.enable_http2);
    let tls = TlsView::of_class(
        endpoint.own.tls_config.as_deref().map(TlsView::full),
        class.and_then(|class| class.tls_config.as_ref()),
        job.engine,
    );
    y.text_if("bearer_token_file", there(&endpoint.own.bearer_token_file));
    job.authenticate(y, endpoint, tls, class, !endpoint.own.bearer_token_file.is_empty())?;

    y.list("relabel_configs", |y| {
        relabel::first(y);
        if !by_role(spec.selector_mechanism.as_deref()) {
            relabel::selected(y, Of::Service, &spec.selector);
        }
        let slices = role == "endpointslice";
        keep_port(y, endpoint, slices);
        y.items_as_written(if slices { TARGET_OF_SLICE } else { TARGET_OF_ENDPOINTS });
        y.items_as_written(NAMES);
        if endpoint.filter_running != Some(false) {
            relabel::running(y);
        }
        for label in &spec.target_labels {
            relabel::take_over(y, Of::Service, label, &relabel::sanitized(label));
        }
        for label in spec.pod_target_labels.iter().chain(&settings.spec.pod_target_labels) {
            relabel::take_over(y, Of::Pod, label, &relabel::sanitized(label));
        }
        y.items_as_written(JOB);
        if !spec.job_label.is_empty() {
            relabel::take_over(y, Of::Service, &spec.job_label, "job");
        }
        if let Some(port) = port_name(endpoint) {
            relabel::set(y, "endpoint", &port);
        }
        class.into_iter().flat_map(|class| &class.relabelings).for_each(|step| relabel::written(y, step));
        job.own_steps(y, &endpoint.relabelings);
        job.sharded(y, "__address__");
        Ok::<(), Rejection>(())
    })?;

    job.limits(y, &spec.limits);
    job.histograms(y, &spec.histograms);
    job.protocols(
        y,
        &spec.scrape_protocols,
        spec.fallback_scrape_protocol
            .as_deref()
            .or(class.and_then(|class| class.fallback_scrape_protocol.as_deref())),
    );
    job.body_size(y, spec.body_size_limit.as_deref());
    let of_class = class.map_or(&[][..], |class| &class.metric_relabelings);
    job.metric_relabelings(y, of_class, &endpoint.metric_relabelings);
    Ok(())
}

/// Keeps the endpoint's port; a name of the Service's port goes before one of the pod's.
fn keep_port(y: &mut Yaml, endpoint: &Endpoint, slices: bool) {
    if let Some(port) = endpoint.port.as_deref().and_then(there) {
        let label = match slices {
            true => "__meta_kubernetes_endpointslice_port_name",
            false => "__meta_kubernetes_endpoint_port_name",
        };
        return relabel::filter(y, "keep", &[label], port);
    }
    keep_target_port(y, endpoint.target_port.as_ref());
}

/// Keeps a port of the pod by name or number.
pub(super) fn keep_target_port(y: &mut Yaml, port: Option<&IntOrString>) {
    match port {
        Some(IntOrString::Text(name)) if !name.is_empty() => {
            relabel::filter(y, "keep", &["__meta_kubernetes_pod_container_port_name"], name);
        }
        Some(IntOrString::Int(number)) if *number != 0 => {
            relabel::keep_number(y, "__meta_kubernetes_pod_container_port_number", *number);
        }
        _ => {}
    }
}

/// What the label `endpoint` says.
pub(super) fn port_name<O>(endpoint: &EndpointOf<O>) -> Option<Cow<'_, str>> {
    match endpoint.port.as_deref().and_then(there) {
        Some(port) => Some(port.into()),
        None => endpoint.target_port.as_ref().map(IntOrString::text).filter(|port| !port.is_empty()),
    }
}

/// The node or the pod behind an address of Endpoints.
const TARGET_OF_ENDPOINTS: &str = r#"  - source_labels:
    - __meta_kubernetes_endpoint_address_target_kind
    - __meta_kubernetes_endpoint_address_target_name
    separator: ";"
    regex: "Node;(.*)"
    replacement: "${1}"
    target_label: node
  - source_labels:
    - __meta_kubernetes_endpoint_address_target_kind
    - __meta_kubernetes_endpoint_address_target_name
    separator: ";"
    regex: "Pod;(.*)"
    replacement: "${1}"
    target_label: pod
"#;

/// The same of an EndpointSlice.
const TARGET_OF_SLICE: &str = r#"  - source_labels:
    - __meta_kubernetes_endpointslice_address_target_kind
    - __meta_kubernetes_endpointslice_address_target_name
    separator: ";"
    regex: "Node;(.*)"
    replacement: "${1}"
    target_label: node
  - source_labels:
    - __meta_kubernetes_endpointslice_address_target_kind
    - __meta_kubernetes_endpointslice_address_target_name
    separator: ";"
    regex: "Pod;(.*)"
    replacement: "${1}"
    target_label: pod
"#;

/// Labels that say where a target is.
const NAMES: &str = r"  - source_labels:
    - __meta_kubernetes_namespace
    target_label: namespace
  - source_labels:
    - __meta_kubernetes_service_name
    target_label: service
  - source_labels:
    - __meta_kubernetes_pod_name
    target_label: pod
  - source_labels:
    - __meta_kubernetes_pod_container_name
    target_label: container
";

/// The job is the Service, unless a label of it says otherwise.
const JOB: &str = r#"  - source_labels:
    - __meta_kubernetes_service_name
    target_label: job
    replacement: "${1}"
"#;
