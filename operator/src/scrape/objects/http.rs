//! How a client authenticates, encrypts and goes through a proxy.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{KeyRef, lenient};

/// A key of a Secret or of a ConfigMap; one of both.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SecretOrConfigMap {
    pub(crate) secret: Option<KeyRef>,
    pub(crate) config_map: Option<KeyRef>,
}

impl SecretOrConfigMap {
    pub(crate) fn is_empty(&self) -> bool {
        self.secret.is_none() && self.config_map.is_none()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct BasicAuth {
    #[serde(deserialize_with = "lenient")]
    pub(crate) username: KeyRef,
    #[serde(deserialize_with = "lenient")]
    pub(crate) password: KeyRef,
}

/// A header with credentials from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct SafeAuthorization {
    #[serde(rename = "type", deserialize_with = "lenient")]
    pub(crate) scheme: String,
    pub(crate) credentials: Option<KeyRef>,
}

/// A header with credentials from a Secret or from a file of the engine's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Authorization {
    #[serde(flatten)]
    pub(crate) safe: SafeAuthorization,
    #[serde(deserialize_with = "lenient")]
    pub(crate) credentials_file: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OAuth2 {
    #[serde(deserialize_with = "lenient")]
    pub(crate) client_id: SecretOrConfigMap,
    #[serde(deserialize_with = "lenient")]
    pub(crate) client_secret: KeyRef,
    #[serde(deserialize_with = "lenient")]
    pub(crate) token_url: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) scopes: Vec<String>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) endpoint_params: BTreeMap<String, String>,
    pub(crate) tls_config: Option<SafeTls>,
    #[serde(flatten)]
    pub(crate) proxy: Proxy,
}

/// TLS with material from Secrets and ConfigMaps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct SafeTls {
    #[serde(deserialize_with = "lenient")]
    pub(crate) ca: SecretOrConfigMap,
    #[serde(deserialize_with = "lenient")]
    pub(crate) cert: SecretOrConfigMap,
    pub(crate) key_secret: Option<KeyRef>,
    pub(crate) server_name: Option<String>,
    pub(crate) insecure_skip_verify: Option<bool>,
    pub(crate) min_version: Option<String>,
    pub(crate) max_version: Option<String>,
}

/// TLS with material from Secrets and ConfigMaps, or from files of the engine's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Tls {
    #[serde(flatten)]
    pub(crate) safe: SafeTls,
    #[serde(deserialize_with = "lenient")]
    pub(crate) ca_file: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) cert_file: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) key_file: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Proxy {
    pub(crate) proxy_url: Option<String>,
    pub(crate) no_proxy: Option<String>,
    pub(crate) proxy_from_environment: Option<bool>,
    pub(crate) proxy_connect_header: Option<BTreeMap<String, Vec<KeyRef>>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Sigv4 {
    #[serde(deserialize_with = "lenient")]
    pub(crate) region: String,
    pub(crate) access_key: Option<KeyRef>,
    pub(crate) secret_key: Option<KeyRef>,
    #[serde(deserialize_with = "lenient")]
    pub(crate) profile: String,
    #[serde(deserialize_with = "lenient")]
    pub(crate) role_arn: String,
    #[serde(rename = "useFIPSSTSEndpoint")]
    pub(crate) use_fips_sts_endpoint: Option<bool>,
}
