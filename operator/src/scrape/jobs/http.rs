//! How a client authenticates, encrypts and goes through a proxy, as the engine reads it.

use super::{Yaml, there};
use crate::scrape::contents::Holder;
use crate::scrape::judge::{Rejection, fault};
use crate::scrape::objects::http::Sigv4;
use crate::scrape::objects::{
    Authorization, BasicAuth, KeyRef, OAuth2, Proxy, SafeAuthorization, SafeTls, SecretOrConfigMap, Tls,
};
use crate::scrape::references::{AssetFile, Scope};
use crate::scrape::settings::Settings;

/// What a block is written with: the engine's settings and the namespace that references mean.
#[derive(Clone, Copy)]
pub(crate) struct Client<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) scope: Scope<'a>,
}

/// TLS of a client after its scrape class has filled it in.
#[derive(Clone, Copy)]
pub(crate) struct TlsView<'a> {
    safe: &'a SafeTls,
    /// The namespace that references mean, where it is not the client's own.
    scope: Option<Scope<'a>>,
    ca_file: &'a str,
    cert_file: &'a str,
    key_file: &'a str,
}

impl<'a> TlsView<'a> {
    pub(crate) fn safe(safe: &'a SafeTls) -> Self {
        Self { safe, scope: None, ca_file: "", cert_file: "", key_file: "" }
    }

    pub(crate) fn full(tls: &'a Tls) -> Self {
        Self {
            safe: &tls.safe,
            scope: None,
            ca_file: &tls.ca_file,
            cert_file: &tls.cert_file,
            key_file: &tls.key_file,
        }
    }

    /// A client's own TLS with the files of its class where it has none, or that of its class. A class belongs to
    /// the engine, and its references mean the engine's namespace.
    pub(crate) fn of_class(own: Option<Self>, class: Option<&'a Tls>, engine: Scope<'a>) -> Option<Self> {
        let Some(class) = class else { return own };
        let Some(mut own) = own else { return Some(Self { scope: Some(engine), ..Self::full(class) }) };
        if own.ca_file.is_empty() && own.safe.ca.is_empty() {
            own.ca_file = &class.ca_file;
        }
        if own.cert_file.is_empty() && own.safe.cert.is_empty() {
            own.cert_file = &class.cert_file;
        }
        if own.key_file.is_empty() && own.safe.key_secret.is_none() {
            own.key_file = &class.key_file;
        }
        Some(own)
    }
}

impl<'a> Client<'a> {
    pub(crate) fn at_least(&self, major: u64, minor: u64) -> bool {
        self.settings.version.at_least(major, minor, 0)
    }

    pub(crate) fn basic(&self, y: &mut Yaml, basic: Option<&BasicAuth>) -> Result<(), Rejection> {
        let Some(basic) = basic else { return Ok(()) };
        y.map("basic_auth", |y| {
            y.text("username", self.scope.secret("basicAuth.username", &basic.username)?);
            y.text("password", self.scope.secret("basicAuth.password", &basic.password)?);
            Ok(())
        })
    }

    pub(crate) fn bearer(&self, y: &mut Yaml, key: Option<&KeyRef>) -> Result<(), Rejection> {
        match key.filter(|key| !key.name.is_empty()) {
            // An empty one is none.
            Some(key) => {
                y.text_if("bearer_token", there(self.scope.secret("bearerTokenSecret", key)?));
                Ok(())
            }
            None => Ok(()),
        }
    }

    pub(crate) fn safe_authorization(
        &self,
        y: &mut Yaml,
        authorization: Option<&SafeAuthorization>,
    ) -> Result<(), Rejection> {
        let Some(authorization) = authorization else { return Ok(()) };
        self.authorization_fields(y, authorization, "", self.scope)
    }

    pub(crate) fn authorization(
        &self,
        y: &mut Yaml,
        authorization: Option<&Authorization>,
    ) -> Result<(), Rejection> {
        let Some(authorization) = authorization else { return Ok(()) };
        self.authorization_fields(y, &authorization.safe, &authorization.credentials_file, self.scope)
    }

    /// A client's own credentials, or those of its class.
    pub(crate) fn authorization_of_class(
        &self,
        y: &mut Yaml,
        own: Option<&SafeAuthorization>,
        class: Option<&Authorization>,
        engine: Scope<'a>,
    ) -> Result<(), Rejection> {
        let own = own.filter(|own| **own != SafeAuthorization::default());
        match (own, class) {
            (None, None) => Ok(()),
            (Some(own), None) => self.authorization_fields(y, own, "", self.scope),
            (None, Some(class)) => self.authorization_fields(y, &class.safe, &class.credentials_file, engine),
            (Some(own), Some(_)) if own.credentials.is_some() => {
                self.authorization_fields(y, own, "", self.scope)
            }
            (Some(own), Some(class)) => {
                let filled = SafeAuthorization {
                    scheme: own.scheme.clone(),
                    credentials: class.safe.credentials.clone(),
                };
                let file = if filled.credentials.is_some() { "" } else { class.credentials_file.as_str() };
                self.authorization_fields(y, &filled, file, engine)
            }
        }
    }

    fn authorization_fields(
        &self,
        y: &mut Yaml,
        authorization: &SafeAuthorization,
        file: &str,
        scope: Scope<'_>,
    ) -> Result<(), Rejection> {
        if !self.at_least(2, 26) {
            return Ok(());
        }
        y.map("authorization", |y| {
            let scheme = authorization.scheme.trim();
            y.text("type", if authorization.scheme.is_empty() { "Bearer" } else { scheme });
            if let Some(key) = authorization.credentials.as_ref().filter(|key| !key.name.is_empty()) {
                y.text_if("credentials", there(scope.secret("authorization.credentials", key)?));
            }
            if !file.is_empty() {
                y.text("credentials_file", file);
            }
            Ok(())
        })
    }

    pub(crate) fn oauth2(&self, y: &mut Yaml, oauth2: Option<&OAuth2>) -> Result<(), Rejection> {
        let Some(oauth2) = oauth2.filter(|_| self.at_least(2, 27)) else { return Ok(()) };
        let known = self.at_least(2, 43);
        y.map("oauth2", |y| {
            y.text("client_id", self.either("oauth2.clientId", &oauth2.client_id)?);
            y.text("client_secret", self.scope.secret("oauth2.clientSecret", &oauth2.client_secret)?);
            y.text("token_url", &oauth2.token_url);
            if !oauth2.scopes.is_empty() {
                y.texts("scopes", &oauth2.scopes);
            }
            if !oauth2.endpoint_params.is_empty() {
                y.pairs("endpoint_params", pairs(&oauth2.endpoint_params));
            }
            if known {
                self.proxy(y, &oauth2.proxy)?;
                self.tls(y, oauth2.tls_config.as_ref().map(TlsView::safe))?;
            }
            Ok(())
        })
    }

    /// Text of a key of a Secret or a ConfigMap.
    fn either(&self, path: &str, either: &SecretOrConfigMap) -> Result<&'a str, Rejection> {
        match (&either.secret, &either.config_map) {
            (Some(key), _) => self.scope.read(path, Holder::Secret, key),
            (None, Some(key)) => self.scope.read(path, Holder::ConfigMap, key),
            (None, None) => Err(fault(path, "none", "secret or configMap with a name and a key")),
        }
    }

    pub(crate) fn proxy(&self, y: &mut Yaml, proxy: &Proxy) -> Result<(), Rejection> {
        y.text_if("proxy_url", proxy.proxy_url.as_deref());
        if !self.at_least(2, 43) {
            return Ok(());
        }
        y.text_if("no_proxy", proxy.no_proxy.as_deref());
        y.plain_if("proxy_from_environment", proxy.proxy_from_environment);
        let Some(headers) = &proxy.proxy_connect_header else { return Ok(()) };
        let mut lists = Vec::with_capacity(headers.len());
        for (name, keys) in headers {
            let path = format!("proxyConnectHeader.{name}");
            let mut values = Vec::with_capacity(keys.len());
            for key in keys {
                values.push(self.scope.secret(&path, key)?);
            }
            lists.push((name, values));
        }
        y.lists("proxy_connect_header", lists.iter().map(|(name, values)| (*name, values)));
        Ok(())
    }

    pub(crate) fn tls(&self, y: &mut Yaml, tls: Option<TlsView<'_>>) -> Result<(), Rejection> {
        let Some(tls) = tls else { return Ok(()) };
        let client = Self { settings: self.settings, scope: self.scope };
        y.map("tls_config", |y| {
            y.plain_if("insecure_skip_verify", tls.safe.insecure_skip_verify);
            let scope = tls.scope.as_ref().unwrap_or(&client.scope);
            client.material(y, scope, "ca", either_key(&tls.safe.ca), tls.ca_file)?;
            client.material(y, scope, "cert", either_key(&tls.safe.cert), tls.cert_file)?;
            let key = tls.safe.key_secret.as_ref().map(|key| (Holder::Secret, key));
            client.material(y, scope, "key", key, tls.key_file)?;
            y.text_if("server_name", tls.safe.server_name.as_deref().filter(|name| !name.is_empty()));
            if client.at_least(2, 35) {
                y.text_if("min_version", tls.safe.min_version.as_deref());
            }
            if client.at_least(2, 41) {
                y.text_if("max_version", tls.safe.max_version.as_deref());
            }
            Ok(())
        })
    }

    /// One piece of TLS material: from a reference, by its file or in place, or from a file of the pod.
    fn material(
        &self,
        y: &mut Yaml,
        scope: &Scope<'_>,
        name: &str,
        key: Option<(Holder, &KeyRef)>,
        file: &str,
    ) -> Result<(), Rejection> {
        let Some((source, key)) = key else {
            if !file.is_empty() {
                y.text(&format!("{name}_file"), file);
            }
            return Ok(());
        };
        if self.settings.inline_tls {
            y.text(name, scope.read("tlsConfig", source, key)?);
            return Ok(());
        }
        let number = match source {
            Holder::Secret => 0,
            Holder::ConfigMap => 1,
        };
        let folder = &self.settings.places.certificates;
        let path = format!("{folder}/{number}_{}_{}_{}", scope.namespace, key.name, key.key);
        y.text(&format!("{name}_file"), &path);
        y.files.push(AssetFile { path, from: scope.reference(source, key) });
        Ok(())
    }

    pub(crate) fn sigv4(&self, y: &mut Yaml, sigv4: Option<&Sigv4>) -> Result<(), Rejection> {
        let Some(sigv4) = sigv4 else { return Ok(()) };
        y.map("sigv4", |y| {
            let text = |y: &mut Yaml, name: &str, value: &str| {
                y.text_if(name, Some(value).filter(|value| !value.is_empty()));
            };
            text(y, "region", &sigv4.region);
            if let (Some(access), Some(secret)) = (&sigv4.access_key, &sigv4.secret_key) {
                y.text("access_key", self.scope.secret("sigv4.accessKey", access)?);
                y.text("secret_key", self.scope.secret("sigv4.secretKey", secret)?);
            }
            text(y, "profile", &sigv4.profile);
            text(y, "role_arn", &sigv4.role_arn);
            if self.at_least(2, 54) {
                y.plain_if("use_fips_sts_endpoint", sigv4.use_fips_sts_endpoint);
            }
            Ok(())
        })
    }
}

fn either_key(either: &SecretOrConfigMap) -> Option<(Holder, &KeyRef)> {
    match (&either.secret, &either.config_map) {
        (Some(key), _) => Some((Holder::Secret, key)),
        (None, Some(key)) => Some((Holder::ConfigMap, key)),
        (None, None) => None,
    }
}

/// Pairs of a map, as they are written.
pub(crate) fn pairs(map: &std::collections::BTreeMap<String, String>) -> impl Iterator<Item = (&str, &str)> {
    map.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}
