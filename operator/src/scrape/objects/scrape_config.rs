//! ScrapeConfig, `monitoring.coreos.com/v1alpha1`. Blocks of discovery stay as they were written: each kind of
//! discovery is a table in [`super::super::jobs::discovery`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::http::{BasicAuth, OAuth2, Proxy, SafeAuthorization, SafeTls};
use super::{Histograms, Limits, Relabel, lenient};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ScrapeConfigSpec {
    pub(crate) job_name: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) relabelings: Vec<Relabel>,
    pub(crate) metrics_path: Option<String>,
    pub(crate) scrape_interval: Option<String>,
    pub(crate) scrape_timeout: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scrape_protocols: Vec<String>,
    pub(crate) fallback_scrape_protocol: Option<String>,
    pub(crate) honor_timestamps: Option<bool>,
    pub(crate) track_timestamps_staleness: Option<bool>,
    pub(crate) honor_labels: Option<bool>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) params: BTreeMap<String, Vec<String>>,
    pub(crate) scheme: Option<String>,
    pub(crate) enable_compression: Option<bool>,
    #[serde(rename = "enableHTTP2", alias = "enableHttp2")]
    pub(crate) enable_http2: Option<bool>,
    pub(crate) basic_auth: Option<BasicAuth>,
    pub(crate) authorization: Option<SafeAuthorization>,
    pub(crate) oauth2: Option<OAuth2>,
    pub(crate) tls_config: Option<SafeTls>,
    #[serde(flatten)]
    pub(crate) limits: Limits,
    #[serde(flatten)]
    pub(crate) histograms: Histograms,
    #[serde(rename = "metricRelabelings", deserialize_with = "lenient")]
    pub(crate) metric_relabelings: Vec<Relabel>,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
    #[serde(rename = "scrapeClass")]
    pub(crate) scrape_class: Option<String>,
    pub(crate) body_size_limit: Option<String>,
    pub(crate) name_validation_scheme: Option<String>,
    pub(crate) name_escaping_scheme: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) static_configs: Vec<StaticConfig>,
    /// The rest; of it, what ends in `SDConfigs` is read.
    #[serde(flatten)]
    pub(crate) rest: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct StaticConfig {
    #[serde(deserialize_with = "lenient")]
    pub(crate) targets: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) labels: BTreeMap<String, String>,
}
