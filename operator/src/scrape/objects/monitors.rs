//! ServiceMonitor, PodMonitor and Probe, `monitoring.coreos.com/v1`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http::{BasicAuth, OAuth2, Proxy, SafeAuthorization, SafeTls, Tls};
use super::{
    AttachMetadata, Histograms, IntOrString, KeyRef, LabelSelector, Limits, NamespaceSelector, Relabel,
    lenient,
};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServiceMonitorSpec {
    #[serde(deserialize_with = "lenient")]
    pub(crate) job_label: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) target_labels: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) pod_target_labels: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) endpoints: Vec<Endpoint>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) selector: LabelSelector,
    pub(crate) selector_mechanism: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) namespace_selector: NamespaceSelector,
    pub(crate) service_discovery_role: Option<String>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    #[serde(flatten)]
    pub(crate) histograms: Histograms,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_protocols: Vec<String>,
    pub(crate) fallback_scrape_protocol: Option<String>,
    pub(crate) attach_metadata: Option<AttachMetadata>,
    #[serde(rename = "scrapeClass")]
    pub(crate) scrape_class: Option<String>,
    pub(crate) body_size_limit: Option<String>,
}

/// An endpoint of a Service.
pub(crate) type Endpoint = EndpointOf<OfService>;
/// An endpoint of a Pod.
pub(crate) type PodEndpoint = EndpointOf<OfPod>;

/// What endpoints of Services and of Pods have in common, and what only one of them has. The few fields of the latter
/// are flattened, and not the many of the former: serde copies what it flattens. What is large and rare is boxed: reading
/// an endpoint moves it several times.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct EndpointOf<O> {
    #[serde(flatten)]
    pub(crate) own: O,
    pub(crate) port: Option<String>,
    pub(crate) target_port: Option<IntOrString>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) path: String,
    pub(crate) scheme: Option<String>,
    pub(crate) params: Option<BTreeMap<String, Vec<String>>>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) interval: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_timeout: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) honor_labels: bool,
    pub(crate) honor_timestamps: Option<bool>,
    pub(crate) track_timestamps_staleness: Option<bool>,
    #[serde(rename = "metricRelabelings", deserialize_with = "lenient")]
    pub(crate) metric_relabelings: Vec<Relabel>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) relabelings: Vec<Relabel>,
    pub(crate) filter_running: Option<bool>,
    pub(crate) authorization: Option<Box<SafeAuthorization>>,
    pub(crate) basic_auth: Option<Box<BasicAuth>>,
    pub(crate) oauth2: Option<Box<OAuth2>>,
    pub(crate) bearer_token_secret: Option<KeyRef>,
    pub(crate) follow_redirects: Option<bool>,
    #[serde(rename = "enableHttp2")]
    pub(crate) enable_http2: Option<bool>,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
}

/// What only endpoints of Services have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OfService {
    pub(crate) tls_config: Option<Box<Tls>>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token_file: String,
}

/// What only endpoints of Pods have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OfPod {
    pub(crate) port_number: Option<i64>,
    pub(crate) tls_config: Option<Box<SafeTls>>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodMonitorSpec {
    #[serde(deserialize_with = "lenient")]
    pub(crate) job_label: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) pod_target_labels: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) pod_metrics_endpoints: Vec<PodEndpoint>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) selector: LabelSelector,
    pub(crate) selector_mechanism: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) namespace_selector: NamespaceSelector,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    #[serde(flatten)]
    pub(crate) histograms: Histograms,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_protocols: Vec<String>,
    pub(crate) fallback_scrape_protocol: Option<String>,
    pub(crate) attach_metadata: Option<AttachMetadata>,
    #[serde(rename = "scrapeClass")]
    pub(crate) scrape_class: Option<String>,
    pub(crate) body_size_limit: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ProbeSpec {
    #[serde(deserialize_with = "lenient")]
    pub(crate) job_name: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) prober: Prober,
    #[serde(deserialize_with = "lenient")]
    pub(crate) module: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) params: Vec<ProbeParam>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) targets: ProbeTargets,
    #[serde(deserialize_with = "lenient")]
    pub(crate) interval: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_timeout: String,
    pub(crate) tls_config: Option<SafeTls>,
    pub(crate) bearer_token_secret: Option<KeyRef>,
    pub(crate) basic_auth: Option<BasicAuth>,
    pub(crate) oauth2: Option<OAuth2>,
    #[serde(rename = "metricRelabelings", deserialize_with = "lenient")]
    pub(crate) metric_relabelings: Vec<Relabel>,
    pub(crate) authorization: Option<SafeAuthorization>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    #[serde(flatten)]
    pub(crate) histograms: Histograms,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_protocols: Vec<String>,
    pub(crate) fallback_scrape_protocol: Option<String>,
    #[serde(rename = "scrapeClass")]
    pub(crate) scrape_class: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ProbeParam {
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) values: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Prober {
    #[serde(deserialize_with = "lenient")]
    pub(crate) url: String,
    pub(crate) scheme: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ProbeTargets {
    pub(crate) static_config: Option<ProbeStatic>,
    pub(crate) ingress: Option<ProbeIngress>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ProbeStatic {
    #[serde(rename = "static", deserialize_with = "lenient")]
    pub(crate) targets: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) labels: BTreeMap<String, String>,
    #[serde(rename = "relabelingConfigs", deserialize_with = "lenient")]
    pub(crate) relabelings: Vec<Relabel>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ProbeIngress {
    #[serde(deserialize_with = "lenient")]
    pub(crate) selector: LabelSelector,
    #[serde(deserialize_with = "lenient")]
    pub(crate) namespace_selector: NamespaceSelector,
    #[serde(rename = "relabelingConfigs", deserialize_with = "lenient")]
    pub(crate) relabelings: Vec<Relabel>,
}
