//! How an engine authenticates, encrypts and goes through a proxy, by the field names of `monitoring.coreos.com`.
//! Every reference means the stack's own namespace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::stack::is_default;
use crate::workload::SecretKey;

/// A key of a Secret or of a ConfigMap; one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = crate::schema::at_most_one(&["secret", "configMap"])))]
pub struct SecretOrConfigMap {
    /// A key of a Secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretKey>,
    /// A key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map: Option<SecretKey>,
}

/// A user's name and password.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuth {
    /// Where the name is.
    pub username: SecretKey,
    /// Where the password is.
    pub password: SecretKey,
}

/// The header `Authorization` with credentials from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SafeAuthorization {
    /// What stands before the credentials. Left out: `Bearer`. Not `Basic`: that is `basicAuth`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub scheme: String,
    /// Where the credentials are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretKey>,
}

/// The header `Authorization` with credentials from a Secret or from a file of the engine's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Authorization {
    /// What is not a file.
    #[serde(flatten)]
    pub safe: SafeAuthorization,
    /// File of the engine's pod with the credentials.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub credentials_file: String,
}

/// Client credentials of OAuth 2.0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// Where the client's id is.
    pub client_id: SecretOrConfigMap,
    /// Where the client's secret is.
    pub client_secret: SecretKey,
    /// Address that gives tokens.
    #[schemars(length(min = 1, max = 2048))]
    pub token_url: String,
    /// Scopes that are asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 1024)))]
    pub scopes: Vec<String>,
    /// Parameters added to the address.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub endpoint_params: BTreeMap<String, String>,
    /// TLS towards the address that gives tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<SafeTls>,
    /// The way to the address that gives tokens.
    #[serde(default, flatten)]
    pub proxy: Proxy,
}

/// TLS with material from Secrets and ConfigMaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SafeTls {
    /// Certificates of authorities, PEM. Left out: those of the engine's image.
    #[serde(skip_serializing_if = "is_default")]
    pub ca: SecretOrConfigMap,
    /// The client's certificate, PEM; `keySecret` too then.
    #[serde(skip_serializing_if = "is_default")]
    pub cert: SecretOrConfigMap,
    /// The client's private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_secret: Option<SecretKey>,
    /// Name that the server's certificate must have. Left out: the host of the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub server_name: Option<String>,
    /// Whether the server's certificate is not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// Oldest version that is spoken: `TLS10` to `TLS13`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = r"^TLS1[0-3]$"))]
    pub min_version: Option<String>,
    /// Newest version that is spoken: `TLS10` to `TLS13`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 5), regex(pattern = r"^TLS1[0-3]$"))]
    pub max_version: Option<String>,
}

/// TLS with material from Secrets and ConfigMaps, or from files of the engine's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tls {
    /// What is not a file.
    #[serde(flatten)]
    pub safe: SafeTls,
    /// File with certificates of authorities.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub ca_file: String,
    /// File with the client's certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub cert_file: String,
    /// File with the client's private key.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub key_file: String,
}

/// The way through a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Proxy {
    /// Address of the proxy.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub proxy_url: Option<String>,
    /// Hosts that are reached without it, separated by commas.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub no_proxy: Option<String>,
    /// Whether the engine's environment says which proxy; either this or `proxyUrl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_from_environment: Option<bool>,
    /// Headers for the proxy: where the values of each are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::key_lists")]
    pub proxy_connect_header: Option<BTreeMap<String, Vec<SecretKey>>>,
}

/// Signatures of AWS, version 4.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Sigv4 {
    /// Region. Left out: that of the pod's own credentials.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 128))]
    pub region: String,
    /// Where the access key is; `secretKey` too then. Left out: the pod's own credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<SecretKey>,
    /// Where the secret key is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretKey>,
    /// Profile.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 253))]
    pub profile: String,
    /// Role that is assumed.
    #[serde(skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub role_arn: String,
    /// Whether tokens come from the endpoint of FIPS.
    #[serde(rename = "useFIPSSTSEndpoint", skip_serializing_if = "Option::is_none")]
    pub use_fips_sts_endpoint: Option<bool>,
}
