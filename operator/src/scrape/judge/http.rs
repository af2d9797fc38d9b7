//! Whether a client can authenticate, encrypt and find its proxy.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::names::{bounded, readable_url};
use super::{Rejection, Under, fault, names};
use crate::scrape::contents::Holder;
use crate::scrape::objects::http::Sigv4;
use crate::scrape::objects::{
    Authorization, BasicAuth, KeyRef, OAuth2, Proxy, SafeAuthorization, SafeTls, SecretOrConfigMap, Tls,
};
use crate::scrape::references::{Scope, UNSEEN};

/// Ways of authenticating of one client, of which at most one may be used.
#[derive(Clone, Copy, Default)]
pub(crate) struct Auth<'a> {
    pub(crate) basic: Option<&'a BasicAuth>,
    pub(crate) authorization: Option<&'a SafeAuthorization>,
    pub(crate) oauth2: Option<&'a OAuth2>,
    pub(crate) bearer: Option<&'a KeyRef>,
}

/// Judges how a client authenticates.
pub(crate) fn judge_auth(scope: &Scope<'_>, auth: Auth<'_>) -> Result<(), Rejection> {
    let bearer = auth.bearer.filter(|key| !key.name.is_empty());
    at_most_one(&[
        ("authorization", auth.authorization.is_some()),
        ("basicAuth", auth.basic.is_some()),
        ("bearerTokenSecret", bearer.is_some()),
        ("oauth2", auth.oauth2.is_some()),
    ])?;
    if let Some(key) = bearer {
        scope.read("bearerTokenSecret", Holder::Secret, key)?;
    }
    if let Some(basic) = auth.basic {
        judge_basic(scope, basic).under("basicAuth")?;
    }
    if let Some(authorization) = auth.authorization {
        judge_authorization(scope, authorization).under("authorization")?;
    }
    if let Some(oauth2) = auth.oauth2 {
        judge_oauth2(scope, oauth2).under("oauth2")?;
    }
    Ok(())
}

/// Judges that at most one of some fields is there.
pub(crate) fn at_most_one(fields: &[(&str, bool)]) -> Result<(), Rejection> {
    let mut there = fields.iter().filter(|(_, there)| *there).map(|(name, _)| *name);
    match (there.next(), there.next()) {
        (Some(first), Some(second)) => {
            Err(fault("", format!("{first} and {second}"), "one way of authenticating only"))
        }
        _ => Ok(()),
    }
}

pub(crate) fn judge_basic(scope: &Scope<'_>, basic: &BasicAuth) -> Result<(), Rejection> {
    scope.read("username", Holder::Secret, &basic.username)?;
    scope.read("password", Holder::Secret, &basic.password)?;
    Ok(())
}

pub(crate) fn judge_authorization(
    scope: &Scope<'_>,
    authorization: &SafeAuthorization,
) -> Result<(), Rejection> {
    judge_scheme(authorization)?;
    match &authorization.credentials {
        Some(key) if !key.name.is_empty() => scope.read("credentials", Holder::Secret, key).map(drop),
        _ => Ok(()),
    }
}

fn judge_scheme(authorization: &SafeAuthorization) -> Result<(), Rejection> {
    bounded("type", &authorization.scheme)?;
    if authorization.scheme.trim().eq_ignore_ascii_case("basic") {
        return Err(fault("type", "Basic", "basicAuth with a name and a password instead"));
    }
    Ok(())
}

/// Judges what can be judged without contents.
pub(crate) fn judge_authorization_shape(authorization: &Authorization) -> Result<(), Rejection> {
    judge_scheme(&authorization.safe)?;
    let named = authorization.safe.credentials.as_ref().is_some_and(|key| !key.name.is_empty());
    if named && !authorization.credentials_file.is_empty() {
        return Err(fault("", "credentials and credentialsFile", "one of both"));
    }
    Ok(())
}

pub(crate) fn judge_oauth2(scope: &Scope<'_>, oauth2: &OAuth2) -> Result<(), Rejection> {
    if oauth2.token_url.is_empty() {
        return Err(fault("tokenUrl", "none", "the address that gives tokens"));
    }
    bounded("tokenUrl", &oauth2.token_url)?;
    for (name, value) in &oauth2.endpoint_params {
        names::key("endpointParams", name)?;
        bounded("endpointParams", value)?;
    }
    let id = &oauth2.client_id;
    judge_one_of(id).under("clientId")?;
    if id.is_empty() {
        return Err(fault("clientId", "none", "secret or configMap with a name and a key"));
    }
    read_either(scope, "clientId", id)?;
    scope.read("clientSecret", Holder::Secret, &oauth2.client_secret)?;
    judge_proxy(scope, &oauth2.proxy)?;
    if let Some(tls) = &oauth2.tls_config {
        judge_safe_tls(scope, tls).under("tlsConfig")?;
    }
    Ok(())
}

fn judge_one_of(either: &SecretOrConfigMap) -> Result<(), Rejection> {
    if either.secret.is_some() && either.config_map.is_some() {
        return Err(fault("", "secret and configMap", "one of both"));
    }
    Ok(())
}

fn read_either<'a>(
    scope: &Scope<'a>,
    path: &str,
    either: &SecretOrConfigMap,
) -> Result<Option<&'a str>, Rejection> {
    match (&either.secret, &either.config_map) {
        (Some(key), _) => scope.read(path, Holder::Secret, key).map(Some),
        (None, Some(key)) => scope.read(path, Holder::ConfigMap, key).map(Some),
        (None, None) => Ok(None),
    }
}

/// Judges TLS with material from Secrets and ConfigMaps, the material included.
pub(crate) fn judge_safe_tls(scope: &Scope<'_>, tls: &SafeTls) -> Result<(), Rejection> {
    judge_safe_shape(tls, false, false)?;
    judge_material(scope, tls)
}

/// Judges TLS with material from anywhere.
pub(crate) fn judge_tls(scope: &Scope<'_>, tls: &Tls) -> Result<(), Rejection> {
    judge_tls_shape(tls)?;
    judge_material(scope, &tls.safe)
}

fn judge_material(scope: &Scope<'_>, tls: &SafeTls) -> Result<(), Rejection> {
    for (path, either) in [("ca", &tls.ca), ("cert", &tls.cert)] {
        if let Some(text) = read_either(scope, path, either)? {
            judge_pem(path, text, true)?;
        }
    }
    match &tls.key_secret {
        Some(key) => judge_pem("keySecret", scope.read("keySecret", Holder::Secret, key)?, false),
        None => Ok(()),
    }
}

/// Judges what can be judged of TLS without contents.
pub(crate) fn judge_tls_shape(tls: &Tls) -> Result<(), Rejection> {
    for (file, path, there) in [
        (&tls.ca_file, "ca", !tls.safe.ca.is_empty()),
        (&tls.cert_file, "cert", !tls.safe.cert.is_empty()),
        (&tls.key_file, "keySecret", tls.safe.key_secret.is_some()),
    ] {
        bounded(path, file)?;
        if !file.is_empty() && there {
            return Err(fault(path, "a reference and a file", "one of both"));
        }
    }
    judge_safe_shape(&tls.safe, !tls.cert_file.is_empty(), !tls.key_file.is_empty())
}

fn judge_safe_shape(tls: &SafeTls, cert_file: bool, key_file: bool) -> Result<(), Rejection> {
    judge_one_of(&tls.ca).under("ca")?;
    judge_one_of(&tls.cert).under("cert")?;
    let cert = !tls.cert.is_empty() || cert_file;
    let key = tls.key_secret.is_some() || key_file;
    if cert && !key {
        return Err(fault("keySecret", "a certificate without its key", "the key too, or neither"));
    }
    if key && !cert {
        return Err(fault("cert", "a key without its certificate", "the certificate too, or neither"));
    }
    const VERSIONS: [&str; 4] = ["TLS10", "TLS11", "TLS12", "TLS13"];
    names::word("minVersion", tls.min_version.as_deref(), &VERSIONS, false)?;
    names::word("maxVersion", tls.max_version.as_deref(), &VERSIONS, false)?;
    if let (Some(least), Some(most)) = (&tls.min_version, &tls.max_version)
        && most < least
    {
        return Err(fault("maxVersion", format!("{most}, below minVersion {least}"), "a version not below"));
    }
    bounded("serverName", tls.server_name.as_deref().unwrap_or_default())
}

/// Judges that a text holds a block of PEM.
fn judge_pem(path: &str, text: &str, certificate: bool) -> Result<(), Rejection> {
    let wanted = if certificate { "CERTIFICATE-----" } else { "PRIVATE KEY-----" };
    let block = |text: &str| -> Option<()> {
        let (_, after) = text.split_once("-----BEGIN ")?;
        let (label, body) = after.split_once("-----")?;
        let (body, end) = body.split_once("-----END ")?;
        end.starts_with(label).then_some(())?;
        // An encrypted key has headers before its body.
        let body: String = body.split("\n\n").last()?.split_whitespace().collect();
        let bytes = STANDARD.decode(body).ok()?;
        (format!("{label}-----").ends_with(wanted) && !bytes.is_empty()).then_some(())
    };
    match block(text) {
        Some(()) => Ok(()),
        None if text == UNSEEN => Ok(()),
        None => {
            let what = if certificate { "a certificate" } else { "a private key" };
            Err(fault(path, "a key that holds no PEM", format!("{what} in PEM")))
        }
    }
}

pub(crate) fn judge_proxy(scope: &Scope<'_>, proxy: &Proxy) -> Result<(), Rejection> {
    let url = proxy.proxy_url.as_deref().unwrap_or_default();
    let none = proxy.no_proxy.as_deref().unwrap_or_default();
    let environment = proxy.proxy_from_environment == Some(true);
    if !url.is_empty() {
        bounded("proxyUrl", url)?;
        readable_url("proxyUrl", url)?;
    }
    bounded("noProxy", none)?;
    let headers = proxy.proxy_connect_header.as_ref().filter(|headers| !headers.is_empty());
    if environment && !url.is_empty() {
        return Err(fault("proxyUrl", "an address beside proxyFromEnvironment", "one of both"));
    }
    if environment && !none.is_empty() {
        return Err(fault("noProxy", "hosts beside proxyFromEnvironment", "proxyUrl instead of the latter"));
    }
    if !none.is_empty() && url.is_empty() {
        return Err(fault("noProxy", "hosts without proxyUrl", "proxyUrl too"));
    }
    if headers.is_some() && !environment && url.is_empty() {
        let found = "headers without a proxy";
        return Err(fault("proxyConnectHeader", found, "proxyUrl or proxyFromEnvironment too"));
    }
    for (name, keys) in headers.into_iter().flatten() {
        judge_header_name(name).under("proxyConnectHeader")?;
        for (index, key) in keys.iter().enumerate() {
            scope.read("", Holder::Secret, key).at(&format!("proxyConnectHeader.{name}"), index)?;
        }
    }
    Ok(())
}

/// Judges the name of a header.
pub(crate) fn judge_header_name(name: &str) -> Result<(), Rejection> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || name.len() > 256 || !name.bytes().all(token) {
        return Err(fault("", format!("{name:?}"), "the name of a header"));
    }
    Ok(())
}

pub(crate) fn judge_sigv4(scope: &Scope<'_>, sigv4: &Sigv4) -> Result<(), Rejection> {
    match (&sigv4.access_key, &sigv4.secret_key) {
        (None, None) => Ok(()),
        (Some(access), Some(secret)) => {
            scope.read("accessKey", Holder::Secret, access)?;
            scope.read("secretKey", Holder::Secret, secret)?;
            Ok(())
        }
        _ => Err(fault("", "one of accessKey and secretKey", "both, or neither")),
    }
}
