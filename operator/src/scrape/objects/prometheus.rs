//! What an engine is told: the fields of Prometheus (`v1`) and PrometheusAgent (`v1alpha1`) that its
//! configuration depends on. A stack's own settings are mapped onto the same type.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::http::{Authorization, BasicAuth, Proxy, SafeAuthorization, Sigv4, Tls};
use super::remote::{RemoteRead, RemoteWrite};
use super::{IntOrString, KeyRef, Limits, Quantity, Relabel, lenient};

/// Settings of an engine by the peers' field names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PrometheusSpec {
    pub(crate) version: Option<String>,
    pub(crate) shards: Option<i64>,
    /// `StatefulSet` or `DaemonSet`; only of an agent.
    pub(crate) mode: Option<String>,

    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_interval: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_timeout: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) evaluation_interval: String,
    pub(crate) rule_query_offset: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_protocols: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) external_labels: BTreeMap<String, String>,
    pub(crate) prometheus_external_label_name: Option<String>,
    pub(crate) replica_external_label_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) query_log_file: String,
    pub(crate) scrape_failure_log_file: Option<String>,
    pub(crate) name_validation_scheme: Option<String>,
    pub(crate) name_escaping_scheme: Option<String>,
    #[serde(rename = "convertClassicHistogramsToNHCB")]
    pub(crate) convert_classic_histograms_to_nhcb: Option<bool>,
    pub(crate) scrape_classic_histograms: Option<bool>,
    pub(crate) scrape_native_histograms: Option<bool>,
    pub(crate) runtime: Option<Runtime>,
    /// Whatever it says: a selector that is there has `rule_files` written.
    pub(crate) rule_selector: Option<Value>,

    #[serde(flatten)]
    pub(crate) limits: Limits,
    pub(crate) body_size_limit: Option<String>,
    pub(crate) enforced_sample_limit: Option<u64>,
    pub(crate) enforced_target_limit: Option<u64>,
    pub(crate) enforced_label_limit: Option<u64>,
    pub(crate) enforced_label_name_length_limit: Option<u64>,
    pub(crate) enforced_label_value_length_limit: Option<u64>,
    pub(crate) enforced_keep_dropped_targets: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) enforced_body_size_limit: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) enforced_namespace_label: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) excluded_from_enforcement: Vec<ObjectReference>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) override_honor_labels: bool,
    #[serde(deserialize_with = "lenient")]
    pub(crate) override_honor_timestamps: bool,
    #[serde(deserialize_with = "lenient")]
    pub(crate) ignore_namespace_selectors: bool,
    #[serde(rename = "arbitraryFSAccessThroughSMs", deserialize_with = "lenient")]
    pub(crate) arbitrary_fs_access: ArbitraryFsAccess,
    #[serde(deserialize_with = "lenient")]
    pub(crate) pod_target_labels: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_classes: Vec<ScrapeClass>,
    pub(crate) service_discovery_role: Option<String>,
    #[serde(rename = "apiserverConfig")]
    pub(crate) apiserver_config: Option<ApiServer>,

    pub(crate) additional_scrape_configs: Option<KeyRef>,
    pub(crate) additional_alert_relabel_configs: Option<KeyRef>,
    pub(crate) additional_alert_manager_configs: Option<KeyRef>,
    pub(crate) alerting: Option<Alerting>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) remote_write: Vec<RemoteWrite>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) remote_read: Vec<RemoteRead>,
    pub(crate) tsdb: Option<Tsdb>,
    pub(crate) exemplars: Option<Exemplars>,
    #[serde(rename = "tracingConfig")]
    pub(crate) tracing: Option<Tracing>,
    pub(crate) otlp: Option<Otlp>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ArbitraryFsAccess {
    #[serde(deserialize_with = "lenient")]
    pub(crate) deny: bool,
    /// Whether what is denied is allowed to objects of the engine's own namespace: a stack's own default.
    #[serde(skip)]
    pub(crate) own_namespace_may: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Runtime {
    #[serde(rename = "goGC")]
    pub(crate) go_gc: Option<i64>,
}

/// An object that the enforced namespace label leaves alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct ObjectReference {
    #[serde(deserialize_with = "lenient")]
    pub(crate) group: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) resource: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) namespace: String,
    /// Empty: every object of the namespace.
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
}

/// Defaults that objects choose by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ScrapeClass {
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    pub(crate) default: Option<bool>,
    pub(crate) fallback_scrape_protocol: Option<String>,
    pub(crate) tls_config: Option<Tls>,
    pub(crate) authorization: Option<Authorization>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) relabelings: Vec<Relabel>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) metric_relabelings: Vec<Relabel>,
    pub(crate) attach_metadata: Option<AttachMetadata>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct AttachMetadata {
    pub(crate) node: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ApiServer {
    #[serde(deserialize_with = "lenient")]
    pub(crate) host: String,
    pub(crate) basic_auth: Option<BasicAuth>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token_file: String,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) tls_config: Option<Tls>,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct Alerting {
    #[serde(deserialize_with = "lenient")]
    pub(crate) alertmanagers: Vec<AlertmanagerEndpoints>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AlertmanagerEndpoints {
    pub(crate) namespace: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    pub(crate) port: Option<IntOrString>,
    pub(crate) scheme: Option<String>,
    pub(crate) path_prefix: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) enable_http2: Option<bool>,
    pub(crate) tls_config: Option<Tls>,
    pub(crate) basic_auth: Option<BasicAuth>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token_file: String,
    pub(crate) authorization: Option<SafeAuthorization>,
    pub(crate) sigv4: Option<Sigv4>,
    pub(crate) api_version: Option<String>,
    #[serde(rename = "relabelings", deserialize_with = "lenient")]
    pub(crate) relabelings: Vec<Relabel>,
    #[serde(rename = "alertRelabelings", deserialize_with = "lenient")]
    pub(crate) alert_relabelings: Vec<Relabel>,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Tsdb {
    pub(crate) out_of_order_time_window: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Exemplars {
    pub(crate) max_size: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Tracing {
    pub(crate) client_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) endpoint: String,
    pub(crate) sampling_fraction: Option<Quantity>,
    pub(crate) insecure: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) compression: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) tls_config: Option<Tls>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Otlp {
    pub(crate) promote_all_resource_attributes: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) ignore_resource_attributes: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) promote_resource_attributes: Vec<String>,
    pub(crate) translation_strategy: Option<String>,
    pub(crate) keep_identifying_resource_attributes: Option<bool>,
    #[serde(rename = "convertHistogramsToNHCB")]
    pub(crate) convert_histograms_to_nhcb: Option<bool>,
    pub(crate) promote_scope_metadata: Option<bool>,
}
