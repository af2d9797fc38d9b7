//! Where samples are sent to and read from, by the field names of `monitoring.coreos.com`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::{Authorization, BasicAuth, OAuth2, Proxy, Sigv4, Tls};
use crate::relabel::Relabel;
use crate::workload::SecretKey;

/// A place that samples are sent to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::schema::at_most_one(
    &["basicAuth", "authorization", "oauth2", "sigv4", "azureAd", "bearerTokenFile"]
)))]
pub struct RemoteWrite {
    /// Address.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub url: String,
    /// Name in the engine's own metrics, unique among the places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Version of the protocol: `V1.0` or `V2.0`. Left out: `V1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4), regex(pattern = r"^V[12]\.0$"))]
    pub message_version: Option<String>,
    /// Whether exemplars are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_exemplars: Option<bool>,
    /// Whether native histograms are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_native_histograms: Option<bool>,
    /// Time after which a request is given up, a Prometheus duration. Left out: `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub remote_timeout: Option<String>,
    /// Headers of each request. What is secret has fields of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub headers: BTreeMap<String, String>,
    /// Steps that samples go through before they are sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub write_relabel_configs: Vec<Relabel>,
    /// A user's name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The header `Authorization`: bearer tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Client credentials of OAuth 2.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// Signatures of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<Sigv4>,
    /// Tokens of Microsoft Entra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub azure_ad: Option<AzureAd>,
    /// File of the engine's pod with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub bearer_token_file: Option<String>,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<Tls>,
    /// The way there.
    #[serde(default, flatten)]
    pub proxy: Proxy,
    /// Whether redirects are followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_redirects: Option<bool>,
    /// Whether HTTP/2 is spoken.
    #[serde(default, rename = "enableHTTP2", skip_serializing_if = "Option::is_none")]
    pub enable_http2: Option<bool>,
    /// How what waits is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_config: Option<QueueConfig>,
    /// Whether and how metadata is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata_config: Option<MetadataConfig>,
    /// Whether another address of the name is taken for each connection. Needs Prometheus 3.1.
    #[serde(default, rename = "roundRobinDNS", skip_serializing_if = "Option::is_none")]
    pub round_robin_dns: Option<bool>,
}

/// How what waits is sent. Zero is as left out: the engine's own value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueConfig {
    /// Samples that wait in each shard.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000_000))]
    pub capacity: Option<i32>,
    /// Least shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub min_shards: Option<i32>,
    /// Most shards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub max_shards: Option<i32>,
    /// Most samples of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub max_samples_per_send: Option<i32>,
    /// Time after which what waits is sent in any case, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub batch_send_deadline: Option<String>,
    /// First wait after a failure, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub min_backoff: Option<String>,
    /// Longest wait after a failure, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub max_backoff: Option<String>,
    /// Whether what was refused with 429 is sent again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub retry_on_rate_limit: bool,
    /// Age from which samples are thrown away instead, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub sample_age_limit: Option<String>,
}

/// Whether and how metadata is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MetadataConfig {
    /// Whether it is sent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub send: bool,
    /// How often, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub send_interval: Option<String>,
    /// Most entries of one request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_samples_per_send: Option<i32>,
}

/// Tokens of Microsoft Entra, by one of four ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = crate::schema::at_most_one(
    &["managedIdentity", "oauth", "sdk", "workloadIdentity"]
)))]
pub struct AzureAd {
    /// Cloud. Left out: the public one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), regex(pattern = r"^Azure(China|Government|Public)$"))]
    pub cloud: Option<String>,
    /// The identity of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_identity: Option<ManagedIdentity>,
    /// An application's credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oauth: Option<AzureOAuth>,
    /// What the environment says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sdk: Option<AzureSdk>,
    /// The identity of the pod. Needs Prometheus 3.7.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
    /// Scope of the tokens. Needs Prometheus 3.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    pub scope: Option<String>,
}

/// The identity of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ManagedIdentity {
    /// Its id. Left out: that of the system, from Prometheus 3.5 on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub client_id: Option<String>,
}

/// An application's credentials.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AzureOAuth {
    /// The application's id.
    #[schemars(length(min = 1, max = 64))]
    pub client_id: String,
    /// Where its secret is.
    pub client_secret: SecretKey,
    /// The tenant's id.
    #[schemars(length(min = 1, max = 64))]
    pub tenant_id: String,
}

/// What the environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AzureSdk {
    /// The tenant's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub tenant_id: Option<String>,
}

/// The identity of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadIdentity {
    /// Its id.
    #[schemars(length(min = 1, max = 64))]
    pub client_id: String,
    /// The tenant's id.
    #[schemars(length(min = 1, max = 64))]
    pub tenant_id: String,
}

/// A place that samples are read from beside the engine's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::schema::at_most_one(
    &["basicAuth", "authorization", "oauth2", "bearerTokenFile"]
)))]
pub struct RemoteRead {
    /// Address.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub url: String,
    /// Name in the engine's own metrics, unique among the places.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
    /// Labels that a query must ask for, with their values; else the place is not asked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub required_matchers: BTreeMap<String, String>,
    /// Time after which a request is given up, a Prometheus duration. Left out: `1m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub remote_timeout: Option<String>,
    /// Headers of each request. What is secret has fields of its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub headers: BTreeMap<String, String>,
    /// Whether it is asked also for times of which the engine has samples.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_recent: bool,
    /// A user's name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The header `Authorization`: bearer tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Client credentials of OAuth 2.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// File of the engine's pod with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub bearer_token_file: Option<String>,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<Tls>,
    /// The way there.
    #[serde(default, flatten)]
    pub proxy: Proxy,
    /// Whether redirects are followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_redirects: Option<bool>,
    /// Whether the external labels are asked for too. Left out: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter_external_labels: Option<bool>,
}
