//! The metrics store.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::client::{BasicAuth, Proxy, SafeAuthorization, Sigv4, Tls};
use crate::relabel::Relabel;
use crate::remote::{RemoteRead, RemoteWrite};
use crate::stack::is_default;
use crate::workload::{SecretKey, Storage, Workload};

/// The metrics store.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Metrics {
    /// Identical servers, each with all data. Left out: 1, or 2 where availability is `Replicated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8))]
    pub replicas: Option<i32>,
    /// The volume of each replica.
    #[serde(skip_serializing_if = "is_default")]
    pub storage: Storage,
    /// Labels that leave the stack with each alert and sample.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub external_labels: BTreeMap<String, String>,
    /// Time between two evaluations of a rule, a Prometheus duration. Left out: the scrape interval.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub evaluation_interval: Option<String>,
    /// How long after a firing alert was sent it is sent again, a Prometheus duration. Left out: `1m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub alert_resend_delay: Option<String>,
    /// Where samples are sent to.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remote_write: Vec<RemoteWrite>,
    /// Where samples are read from beside the engine's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub remote_read: Vec<RemoteRead>,
    /// How samples are kept.
    #[serde(skip_serializing_if = "is_default")]
    pub tsdb: Tsdb,
    /// How exemplars are kept.
    #[serde(skip_serializing_if = "is_default")]
    pub exemplars: Exemplars,
    /// Alertmanagers that are told beside the stack's own.
    #[serde(rename = "alerting", skip_serializing_if = "is_default")]
    pub more_alerting: MoreAlerting,
    /// Secret with a list of steps of relabelling as Prometheus reads them, which alerts go through before they are
    /// sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_alert_relabel_configs: Option<SecretKey>,
    /// The usual knobs.
    #[serde(flatten)]
    pub workload: Workload,
}

/// How samples are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tsdb {
    /// How much older than the newest sample of a series another one may be, a Prometheus duration. Left out: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub out_of_order_time_window: Option<String>,
}

/// How exemplars are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Exemplars {
    /// Most exemplars in memory, about 100 bytes each, the oldest of which go first. Left out, or 0: none. The first
    /// number restarts the engine, replica by replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000_000))]
    pub max_size: Option<i64>,
}

/// Alertmanagers that are told beside the stack's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MoreAlerting {
    /// Services with their endpoints, each of which is told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub alertmanagers: Vec<AlertmanagerEndpoints>,
}

/// A Service whose endpoints are Alertmanagers, by the field names of `monitoring.coreos.com`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = crate::schema::at_most_one(
    &["basicAuth", "authorization", "sigv4", "bearerTokenFile"]
)))]
pub struct AlertmanagerEndpoints {
    /// Namespace of the Service. Left out: the stack's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// Name of the Service.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// Name or number of its port.
    #[schemars(schema_with = "crate::schema::int_or_string")]
    pub port: serde_json::Value,
    /// `http` or `https`. Left out: `http`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = r"^(http|https|HTTP|HTTPS)$"))]
    pub scheme: Option<String>,
    /// What its paths begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub path_prefix: Option<String>,
    /// Time after which a request is given up, a Prometheus duration. Left out: `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub timeout: Option<String>,
    /// Whether HTTP/2 is spoken.
    #[serde(default, rename = "enableHttp2", skip_serializing_if = "Option::is_none")]
    pub enable_http2: Option<bool>,
    /// `v2`, which is all that Prometheus 3 speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2), regex(pattern = r"^[vV]2$"))]
    pub api_version: Option<String>,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<Tls>,
    /// A user's name and password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// The header `Authorization`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<SafeAuthorization>,
    /// Signatures of AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sigv4: Option<Sigv4>,
    /// File of the engine's pod with a bearer token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub bearer_token_file: Option<String>,
    /// The way there.
    #[serde(default, flatten)]
    pub proxy: Proxy,
    /// Steps that the endpoints go through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub relabelings: Vec<Relabel>,
    /// Steps that alerts for these go through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub alert_relabelings: Vec<Relabel>,
}
