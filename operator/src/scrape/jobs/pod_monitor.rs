//! PodMonitor.

use super::http::TlsView;
use super::kubernetes::{Discovery, by_role};
use super::relabel::{self, Of};
use super::service_monitor::{keep_target_port, port_name};
use super::{Job, Yaml, there};
use crate::scrape::judge::Rejection;
use crate::scrape::objects::http::SafeTls;
use crate::scrape::objects::{PodEndpoint, PodMonitorSpec};
use crate::scrape::settings::Role;

/// Writes a job for each endpoint and gives their number.
pub(super) fn write(y: &mut Yaml, job: &Job<'_>, spec: &PodMonitorSpec) -> Result<usize, Rejection> {
    for (index, endpoint) in spec.pod_metrics_endpoints.iter().enumerate() {
        y.item(|y| write_endpoint(y, job, spec, endpoint, index))?;
        super::judge_size(y)?;
    }
    Ok(spec.pod_metrics_endpoints.len())
}

fn write_endpoint(
    y: &mut Yaml,
    job: &Job<'_>,
    spec: &PodMonitorSpec,
    endpoint: &PodEndpoint,
    index: usize,
) -> Result<(), Rejection> {
    let settings = job.settings();
    let class = settings.class(spec.scrape_class.as_deref());
    job.job_name(y, Some(index));
    job.honor_labels(y, endpoint.honor_labels);
    job.honor_timestamps(y, endpoint.honor_timestamps);
    job.track_staleness(y, endpoint.track_timestamps_staleness);
    let attach = spec.attach_metadata.as_ref().or(class.and_then(|class| class.attach_metadata.as_ref()));
    let by_role = by_role(spec.selector_mechanism.as_deref());
    let discovery = Discovery {
        role: "pod",
        attach: attach.map(|attach| (attach, (2, 35))),
        selector: by_role.then_some((&spec.selector, &["pod"][..])),
    };
    job.discover(y, &spec.namespace_selector, discovery)?;
    job.request(y, endpoint);
    job.redirects_and_http2(y, endpoint.follow_redirects, endpoint.enable_http2);
    let own = endpoint.own.tls_config.as_deref().filter(|tls| **tls != SafeTls::default()).map(TlsView::safe);
    let tls = TlsView::of_class(own, class.and_then(|class| class.tls_config.as_ref()), job.engine);
    job.authenticate(y, endpoint, tls, class, false)?;

    y.list("relabel_configs", |y| {
        relabel::first(y);
        if endpoint.filter_running != Some(false) {
            relabel::running(y);
        }
        if !by_role {
            relabel::selected(y, Of::Pod, &spec.selector);
        }
        keep_port(y, endpoint);
        y.items_as_written(NAMES);
        for label in spec.pod_target_labels.iter().chain(&settings.spec.pod_target_labels) {
            relabel::take_over(y, Of::Pod, label, &relabel::sanitized(label));
        }
        relabel::set(y, "job", &format!("{}/{}", job.monitor.namespace, job.monitor.name));
        if !spec.job_label.is_empty() {
            relabel::take_over(y, Of::Pod, &spec.job_label, "job");
        }
        if let Some(port) = port_name(endpoint) {
            relabel::set(y, "endpoint", &port);
        }
        class.into_iter().flat_map(|class| &class.relabelings).for_each(|step| relabel::written(y, step));
        job.own_steps(y, &endpoint.relabelings);
        // An engine on each node shares nothing.
        if settings.role != Role::NodeAgent {
            job.sharded(y, "__address__");
        }
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

fn keep_port(y: &mut Yaml, endpoint: &PodEndpoint) {
    let number = endpoint.own.port_number.filter(|number| *number != 0);
    match (endpoint.port.as_deref().and_then(there), number) {
        (Some(name), _) => relabel::filter(y, "keep", &["__meta_kubernetes_pod_container_port_name"], name),
        (None, Some(number)) => {
            relabel::keep_number(y, "__meta_kubernetes_pod_container_port_number", number);
        }
        (None, None) => keep_target_port(y, endpoint.target_port.as_ref()),
    }
}

/// Labels that say where a target is.
const NAMES: &str = r"  - source_labels:
    - __meta_kubernetes_namespace
    target_label: namespace
  - source_labels:
    - __meta_kubernetes_pod_container_name
    target_label: container
  - source_labels:
    - __meta_kubernetes_pod_name
    target_label: pod
";
