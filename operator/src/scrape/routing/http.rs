//! How Alertmanager speaks to others: authorization, TLS, proxies, OAuth 2.0, AWS signatures.

use serde_json::{Map, Value};

use super::convert::Converter;
use super::fields::{Field, Kind};
use super::place::{self, Place};
use super::url;
use super::version::Version;
use crate::validate::{Fault, quoted};

const FLAGS: &[Field] = &[
    Field { from: "followRedirects", to: "follow_redirects", kind: Kind::FlagKept },
    Field { from: "enableHttp2", to: "enable_http2", kind: Kind::FlagKept },
];
const TLS_VERSIONS: [&str; 4] = ["TLS10", "TLS11", "TLS12", "TLS13"];

impl Converter<'_> {
    /// `httpConfig` as `http_config`.
    pub(super) fn http(&mut self, value: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
        let from = place::object(value, at)?;
        let set: Vec<&str> = ["basicAuth", "oauth2", "authorization", "bearerTokenSecret"]
            .into_iter()
            .filter(|name| place::get(from, name).is_some())
            .collect();
        if set.len() > 1 {
            return Err(at.fault(set.join(" and "), "one of them"));
        }
        let mut out = self.fields(FLAGS, from, at)?;
        if let Some(basic) = place::get(from, "basicAuth") {
            let basic = self.basic_auth(basic, &at.key("basicAuth"))?;
            if !basic.is_empty() {
                out.insert("basic_auth".to_owned(), Value::Object(basic));
            }
        }
        if let Some(authorization) = place::get(from, "authorization")
            && let Some(read) = self.authorization(authorization, &at.key("authorization"))?
        {
            out.insert("authorization".to_owned(), read);
        }
        if let Some(token) = place::get(from, "bearerTokenSecret") {
            let token = self.secret(token, &at.key("bearerTokenSecret"))?;
            if !token.is_empty() {
                out.insert("bearer_token".to_owned(), Value::from(token));
            }
        }
        if let Some(tls) = place::get(from, "tlsConfig") {
            out.insert("tls_config".to_owned(), Value::Object(self.tls(tls, &at.key("tlsConfig"))?));
        }
        if let Some(oauth2) = place::get(from, "oauth2") {
            out.insert("oauth2".to_owned(), Value::Object(self.oauth2(oauth2, &at.key("oauth2"))?));
        }
        out.extend(self.proxy(from, at)?);
        // An older name of the same field, which goes before it where it says something.
        let older = place::text(from, "proxyURL", at)?;
        if !older.is_empty() {
            url_of_proxy(older, &at.key("proxyURL"))?;
            out.insert("proxy_url".to_owned(), Value::from(older));
        }
        Ok(out)
    }

    /// Below 0.25 a proxy that is asked for would be left out in silence, and messages go past it.
    pub(super) fn check_proxy_version(&self, value: &Value, at: &Place<'_>) -> Result<(), Fault> {
        let from = place::object(value, at)?;
        let newer = ["noProxy", "proxyFromEnvironment", "proxyConnectHeader"];
        match newer.into_iter().find(|name| place::get(from, name).is_some()) {
            Some(name) if self.settings.version < Version::minor(25) => {
                let found = format!("{name} with Alertmanager {}", self.settings.version);
                Err(at.key(name).fault(found, "it for 0.25.0 or newer only"))
            }
            _ => Ok(()),
        }
    }

    fn basic_auth(&mut self, value: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
        const FIELDS: &[Field] = &[
            Field { from: "username", to: "username", kind: Kind::Secret },
            Field { from: "password", to: "password", kind: Kind::Secret },
        ];
        let mut from = place::object(value, at)?.clone();
        // An empty selector is what serialisers write for one that is not there.
        from.retain(|_, selector| !is_empty_selector(selector));
        self.fields(FIELDS, &from, at)
    }

    fn authorization(&mut self, value: &Value, at: &Place<'_>) -> Result<Option<Value>, Fault> {
        let from = place::object(value, at)?;
        let kind = place::text(from, "type", at)?.trim();
        if kind.eq_ignore_ascii_case("basic") {
            return Err(at.key("type").fault("Basic", "basicAuth instead of authorization"));
        }
        let Some(selector) = place::get(from, "credentials").filter(|s| !is_empty_selector(s)) else {
            return Err(at.fault("no credentials", "credentials, a key of a Secret"));
        };
        let credentials = self.secret(selector, &at.key("credentials"))?;
        if credentials.is_empty() {
            return Ok(None);
        }
        let kind = if kind.is_empty() { "Bearer" } else { kind };
        Ok(Some(serde_json::json!({ "type": kind, "credentials": credentials })))
    }

    fn oauth2(&mut self, value: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
        let from = place::object(value, at)?;
        let need = |name: &str| {
            let written = place::get(from, name);
            written.ok_or_else(|| at.fault(format!("no {name}"), name))
        };
        let token_url = place::as_text(need("tokenUrl")?, &at.key("tokenUrl"))?;
        if token_url.is_empty() {
            return Err(at.key("tokenUrl").fault("an empty text", "the URL that gives tokens"));
        }
        let mut out = self.proxy(from, at)?;
        let client = self.secret_or_config_map(need("clientId")?, &at.key("clientId"))?;
        out.insert("client_id".to_owned(), Value::from(client));
        let secret = self.secret(need("clientSecret")?, &at.key("clientSecret"))?;
        out.insert("client_secret".to_owned(), Value::from(secret));
        out.insert("token_url".to_owned(), Value::from(token_url));
        const FIELDS: &[Field] = &[
            Field { from: "scopes", to: "scopes", kind: Kind::Texts },
            Field { from: "endpointParams", to: "endpoint_params", kind: Kind::TextMap },
            Field { from: "tlsConfig", to: "tls_config", kind: Kind::Tls },
        ];
        out.extend(self.fields(FIELDS, from, at)?);
        Ok(out)
    }

    fn proxy(&mut self, from: &Map<String, Value>, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
        const FIELDS: &[Field] = &[
            Field { from: "proxyUrl", to: "proxy_url", kind: Kind::Text },
            Field { from: "noProxy", to: "no_proxy", kind: Kind::Text },
            Field { from: "proxyFromEnvironment", to: "proxy_from_environment", kind: Kind::Flag },
        ];
        let mut out = self.fields(FIELDS, from, at)?;
        if let Some(text) = out.get("proxy_url").and_then(Value::as_str) {
            url_of_proxy(text, &at.key("proxyUrl"))?;
        }
        if let Some(headers) = place::get(from, "proxyConnectHeader") {
            let at = at.key("proxyConnectHeader");
            let mut read = Map::new();
            for name in place::object(headers, &at)?.keys() {
                let list_at = at.key(name);
                let mut values = Vec::new();
                for (index, selector) in
                    place::list(place::object(headers, &at)?, name, &at)?.iter().enumerate()
                {
                    values.push(Value::from(self.secret(selector, &list_at.index(index))?));
                }
                read.insert(name.clone(), Value::Array(values));
            }
            if !read.is_empty() {
                out.insert("proxy_connect_header".to_owned(), Value::Object(read));
            }
        }
        Ok(out)
    }

    /// `tlsConfig` as `tls_config`. Certificates and keys become files.
    pub(super) fn tls(&mut self, value: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
        let from = place::object(value, at)?;
        let mut out = Map::new();
        let mut version = |name: &str, to: &str| -> Result<Option<usize>, Fault> {
            let text = place::text(from, name, at)?;
            if text.is_empty() {
                return Ok(None);
            }
            let rank = TLS_VERSIONS.iter().position(|known| *known == text);
            let rank = rank.ok_or_else(|| {
                at.key(name).fault(quoted(text), format!("one of {}", TLS_VERSIONS.join(", ")))
            })?;
            out.insert(to.to_owned(), Value::from(text));
            Ok(Some(rank))
        };
        let (least, most) = (version("minVersion", "min_version")?, version("maxVersion", "max_version")?);
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            return Err(at.fault("minVersion above maxVersion", "maxVersion that is at least minVersion"));
        }
        for (name, to) in [("ca", "ca_file"), ("cert", "cert_file")] {
            let Some(selector) = place::get(from, name) else { continue };
            let at = at.key(name);
            let fields = place::object(selector, &at)?;
            let path = match (place::get(fields, "secret"), place::get(fields, "configMap")) {
                (None, None) => continue,
                (Some(secret), None) => self.file(secret, &at.key("secret"), false)?,
                (None, Some(map)) => self.file(map, &at.key("configMap"), true)?,
                (Some(_), Some(_)) => return Err(at.fault("both secret and configMap", "one of the two")),
            };
            out.insert(to.to_owned(), Value::from(path));
        }
        if let Some(selector) = place::get(from, "keySecret").filter(|s| !is_empty_selector(s)) {
            out.insert("key_file".to_owned(), Value::from(self.file(selector, &at.key("keySecret"), false)?));
        }
        match (out.contains_key("cert_file"), out.contains_key("key_file")) {
            (true, false) => return Err(at.fault("cert without keySecret", "both of them")),
            (false, true) => return Err(at.fault("keySecret without cert", "both of them")),
            _ => {}
        }
        let server = place::text(from, "serverName", at)?;
        if !server.is_empty() {
            out.insert("server_name".to_owned(), Value::from(server));
        }
        let skip = place::flag(from, "insecureSkipVerify", at)?.unwrap_or(false);
        out.insert("insecure_skip_verify".to_owned(), Value::from(skip));
        Ok(out)
    }

    /// `sigv4`. Keys count in pairs only, as with the peers.
    pub(super) fn sigv4(&mut self, value: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
        const FIELDS: &[Field] = &[
            Field { from: "region", to: "region", kind: Kind::Text },
            Field { from: "profile", to: "profile", kind: Kind::Text },
            Field { from: "roleArn", to: "role_arn", kind: Kind::Text },
        ];
        const KEYS: &[Field] = &[
            Field { from: "accessKey", to: "access_key", kind: Kind::Secret },
            Field { from: "secretKey", to: "secret_key", kind: Kind::Secret },
        ];
        let from = place::object(value, at)?;
        let mut out = self.fields(FIELDS, from, at)?;
        match KEYS.iter().filter(|field| place::get(from, field.from).is_some()).count() {
            0 => {}
            2 => out.extend(self.fields(KEYS, from, at)?),
            _ => return Err(at.fault("one of accessKey and secretKey", "both of them or none")),
        }
        let external = place::text(from, "externalId", at)?;
        if !external.is_empty() && self.settings.version >= Version::minor(34) {
            out.insert("external_id".to_owned(), Value::from(external));
        }
        Ok(out)
    }
}

/// Whether a selector names nothing: `{}`, or an empty name as serialisers write it.
fn is_empty_selector(selector: &Value) -> bool {
    selector.as_object().is_some_and(|fields| {
        ["name", "key"]
            .iter()
            .all(|key| matches!(fields.get(*key), None | Some(Value::Null)) || fields[*key] == "")
    })
}

/// A proxy can speak more than http; what is surely no URL is refused.
fn url_of_proxy(text: &str, at: &Place<'_>) -> Result<(), Fault> {
    match text.split_once("://") {
        Some((scheme, rest))
            if !scheme.is_empty() && !rest.is_empty() && !text.contains(char::is_control) =>
        {
            if matches!(scheme, "http" | "https") { url::check(text, at) } else { Ok(()) }
        }
        _ => Err(at.fault("no URL", "the URL of a proxy, such as http://proxy.example.com:3128")),
    }
}
