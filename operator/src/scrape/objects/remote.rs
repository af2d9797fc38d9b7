//! Where samples are sent to and read from.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http::{Authorization, BasicAuth, OAuth2, Proxy, Sigv4, Tls};
use super::{KeyRef, Relabel, lenient};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RemoteWrite {
    #[serde(deserialize_with = "lenient")]
    pub(crate) url: String,
    pub(crate) name: Option<String>,
    pub(crate) message_version: Option<String>,
    pub(crate) send_exemplars: Option<bool>,
    pub(crate) send_native_histograms: Option<bool>,
    pub(crate) remote_timeout: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) write_relabel_configs: Vec<Relabel>,
    pub(crate) basic_auth: Option<BasicAuth>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token_file: String,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) oauth2: Option<OAuth2>,
    pub(crate) sigv4: Option<Sigv4>,
    pub(crate) azure_ad: Option<AzureAd>,
    pub(crate) tls_config: Option<Tls>,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
    pub(crate) follow_redirects: Option<bool>,
    #[serde(rename = "enableHTTP2")]
    pub(crate) enable_http2: Option<bool>,
    pub(crate) queue_config: Option<Queue>,
    pub(crate) metadata_config: Option<MetadataConfig>,
    #[serde(rename = "roundRobinDNS")]
    pub(crate) round_robin_dns: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AzureAd {
    pub(crate) cloud: Option<String>,
    pub(crate) managed_identity: Option<ManagedIdentity>,
    pub(crate) oauth: Option<AzureOAuth>,
    pub(crate) sdk: Option<AzureSdk>,
    pub(crate) workload_identity: Option<WorkloadIdentity>,
    pub(crate) scope: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ManagedIdentity {
    pub(crate) client_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AzureOAuth {
    #[serde(deserialize_with = "lenient")]
    pub(crate) client_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) client_secret: KeyRef,
    #[serde(deserialize_with = "lenient")]
    pub(crate) tenant_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct AzureSdk {
    pub(crate) tenant_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct WorkloadIdentity {
    #[serde(deserialize_with = "lenient")]
    pub(crate) client_id: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) tenant_id: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Queue {
    #[serde(deserialize_with = "lenient")]
    pub(crate) capacity: i64,
    #[serde(deserialize_with = "lenient")]
    pub(crate) min_shards: i64,
    #[serde(deserialize_with = "lenient")]
    pub(crate) max_shards: i64,
    #[serde(deserialize_with = "lenient")]
    pub(crate) max_samples_per_send: i64,
    pub(crate) batch_send_deadline: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) max_retries: i64,
    pub(crate) min_backoff: Option<String>,
    pub(crate) max_backoff: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) retry_on_rate_limit: bool,
    pub(crate) sample_age_limit: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct MetadataConfig {
    #[serde(deserialize_with = "lenient")]
    pub(crate) send: bool,
    #[serde(deserialize_with = "lenient")]
    pub(crate) send_interval: String,
    pub(crate) max_samples_per_send: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct RemoteRead {
    #[serde(deserialize_with = "lenient")]
    pub(crate) url: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) name: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) required_matchers: BTreeMap<String, String>,
    pub(crate) remote_timeout: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) headers: BTreeMap<String, String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) read_recent: bool,
    pub(crate) oauth2: Option<OAuth2>,
    pub(crate) basic_auth: Option<BasicAuth>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token_file: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) bearer_token: String,
    pub(crate) authorization: Option<Authorization>,
    pub(crate) tls_config: Option<Tls>,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
    pub(crate) follow_redirects: Option<bool>,
    pub(crate) filter_external_labels: Option<bool>,
}
