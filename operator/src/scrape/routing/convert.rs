//! What an object says, field by field, as Alertmanager's configuration.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fields::{Field, INTEGRATIONS, Integration, Kind};
use super::place::{self, Place};
use super::{FilesFrom, Settings, check, url};
use crate::scrape::assets::{AssetError, Assets};
use crate::validate::{Fault, quoted};

/// Most bytes of contents that one object can bring in: the same Secret can be named any number of times.
const MAX_CONTENT_BYTES: usize = 2 << 20;
/// What stands for a content where contents are not shown.
pub(super) const HIDDEN: &str = "<secret>";
/// One object on its way into configuration.
pub(super) struct Converter<'a> {
    pub(super) settings: &'a Settings,
    assets: &'a dyn Assets,
    /// The object's namespace: contents of others are out of reach.
    pub(super) namespace: &'a str,
    /// Files that the configuration names, by path.
    pub(super) files: BTreeMap<String, Vec<u8>>,
    content_bytes: usize,
}

impl<'a> Converter<'a> {
    pub(super) fn new(settings: &'a Settings, assets: &'a dyn Assets, namespace: &'a str) -> Self {
        Self { settings, assets, namespace, files: BTreeMap::new(), content_bytes: 0 }
    }

    /// A receiver with all its integrations, under its name in the merged configuration.
    pub(super) fn receiver(
        &mut self,
        receiver: &Value,
        name: String,
        at: &Place<'_>,
    ) -> Result<Value, Fault> {
        let fields = place::object(receiver, at)?;
        let mut out = Map::new();
        out.insert("name".to_owned(), Value::from(name));
        for integration in &INTEGRATIONS {
            let list_at = at.key(integration.from);
            let mut configs = Vec::new();
            for (index, config) in place::list(fields, integration.from, at)?.iter().enumerate() {
                configs.push(self.integration(integration, config, &list_at.index(index))?);
            }
            if !configs.is_empty() {
                out.insert(integration.to.to_owned(), Value::Array(configs));
            }
        }
        Ok(Value::Object(out))
    }

    fn integration(
        &mut self,
        integration: &Integration,
        config: &Value,
        at: &Place<'_>,
    ) -> Result<Value, Fault> {
        if self.settings.version < integration.since {
            let found = format!("{} with Alertmanager {}", integration.from, self.settings.version);
            return Err(at.fault(found, format!("it for {} or newer only", integration.since)));
        }
        let from = place::object(config, at)?;
        let mut out = self.fields(integration.fields, from, at)?;
        if let Some(flag) = place::flag(from, "sendResolved", at)? {
            out.insert("send_resolved".to_owned(), Value::from(flag));
        }
        check::check(&self.settings.defaults, integration, &out, at)?;
        Ok(Value::Object(out))
    }

    /// The fields of a table.
    pub(super) fn fields(
        &mut self,
        table: &[Field],
        from: &Map<String, Value>,
        at: &Place<'_>,
    ) -> Result<Map<String, Value>, Fault> {
        let mut out = Map::new();
        for field in table {
            let value = place::get(from, field.from);
            let written = match value {
                Some(value) => self.value(field.kind, value, &at.key(field.from))?,
                None => match field.kind {
                    Kind::TextAlways => Some(Value::from("")),
                    Kind::FlagAlways => Some(Value::from(false)),
                    Kind::FlagOrNull => Some(Value::Null),
                    _ => None,
                },
            };
            if let Some(written) = written {
                out.insert(field.to.to_owned(), written);
            }
        }
        Ok(out)
    }

    /// One value; none where it is left out.
    fn value(&mut self, kind: Kind, value: &Value, at: &Place<'_>) -> Result<Option<Value>, Fault> {
        let full = |map: Map<String, Value>| (!map.is_empty()).then_some(Value::Object(map));
        Ok(match kind {
            Kind::Text => text_unless_empty(place::as_text(value, at)?),
            Kind::TextKept | Kind::TextAlways => Some(Value::from(place::as_text(value, at)?)),
            Kind::Flag => place::as_flag(value, at)?.then_some(Value::from(true)),
            Kind::FlagKept | Kind::FlagAlways | Kind::FlagOrNull => {
                Some(Value::from(place::as_flag(value, at)?))
            }
            Kind::Number => Some(place::as_number(value, at)?).filter(|n| *n != 0).map(Value::from),
            Kind::Url => {
                let text = place::as_text(value, at)?;
                if !text.is_empty() {
                    url::check(text, at)?;
                }
                text_unless_empty(text)
            }
            Kind::UrlTemplate => {
                let text = place::as_text(value, at)?;
                if !text.is_empty() {
                    url::check_template(text, at)?;
                }
                text_unless_empty(text)
            }
            Kind::Duration | Kind::GoDuration | Kind::GoDurationText => {
                let text = place::as_text(value, at)?;
                if text.is_empty() {
                    return Ok(None);
                }
                let read = place::duration(text, at)?;
                Some(Value::from(match kind {
                    Kind::GoDuration => place::in_go_units(&read),
                    Kind::GoDurationText if !text.contains(['y', 'w', 'd']) => text.to_owned(),
                    Kind::GoDurationText => place::in_go_units(&read),
                    _ => read,
                }))
            }
            Kind::Secret => text_unless_empty(&self.secret(value, at)?),
            Kind::SecretUrl => Some(Value::from(self.secret_url(value, at)?)),
            Kind::Texts => {
                let Value::Array(items) = value else { return Err(at.fault("no list", "a list of texts")) };
                let read = |(index, item)| place::as_text(item, &at.index(index)).map(Value::from);
                let texts = items.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
                (!texts.is_empty()).then_some(Value::Array(texts))
            }
            Kind::TextMap => full(place::text_map(value, at)?),
            Kind::Pairs => full(pairs(value, at)?),
            Kind::Object(table) => Some(Value::Object(self.fields(table, place::object(value, at)?, at)?)),
            Kind::List(table) => {
                let Value::Array(items) = value else { return Err(at.fault("no list", "a list of objects")) };
                let mut out = Vec::new();
                for (index, item) in items.iter().enumerate() {
                    let at = at.index(index);
                    out.push(Value::Object(self.fields(table, place::object(item, &at)?, &at)?));
                }
                (!out.is_empty()).then_some(Value::Array(out))
            }
            Kind::HostPort => {
                let text = place::as_text(value, at)?;
                if !text.is_empty() && !is_host_port(text) {
                    return Err(at.fault(quoted(text), "a host and a port, such as mail.example.com:587"));
                }
                text_unless_empty(text)
            }
            Kind::Http => {
                self.check_proxy_version(value, at)?;
                Some(Value::Object(self.http(value, at)?))
            }
            Kind::Tls => Some(Value::Object(self.tls(value, at)?)),
            Kind::SigV4 => full(self.sigv4(value, at)?),
            Kind::Threading => Some(threading(value, at)?),
        })
    }

    /// The content of a key of a Secret in the object's own namespace.
    pub(super) fn secret(&mut self, selector: &Value, at: &Place<'_>) -> Result<String, Fault> {
        let text = self.secret_text(selector, at)?;
        Ok(if self.settings.hide_secrets { HIDDEN.to_owned() } else { text })
    }

    /// As [`Self::secret`], a URL. Spaces and line breaks around it are no part of it.
    pub(super) fn secret_url(&mut self, selector: &Value, at: &Place<'_>) -> Result<String, Fault> {
        let text = self.secret_text(selector, at)?;
        url::check(text.trim(), at)?;
        Ok(if self.settings.hide_secrets { HIDDEN.to_owned() } else { text.trim().to_owned() })
    }

    /// The content of a key of a Secret, or of a ConfigMap where the selector names one.
    pub(super) fn secret_or_config_map(&mut self, selector: &Value, at: &Place<'_>) -> Result<String, Fault> {
        let fields = place::object(selector, at)?;
        match (place::get(fields, "secret"), place::get(fields, "configMap")) {
            (Some(secret), None) => self.secret(secret, &at.key("secret")),
            (None, Some(map)) => {
                let at = at.key("configMap");
                let (name, key) = name_and_key(map, &at, "ConfigMap")?;
                let content = self.assets.config_map(self.namespace, name, key);
                self.text_of(content, "ConfigMap", (name, key), &at)
            }
            (Some(_), Some(_)) => Err(at.fault("both secret and configMap", "one of the two")),
            (None, None) => Err(at.fault("neither secret nor configMap", "one of the two")),
        }
    }

    fn secret_text(&mut self, selector: &Value, at: &Place<'_>) -> Result<String, Fault> {
        let (name, key) = name_and_key(selector, at, "Secret")?;
        let content = self.assets.secret(self.namespace, name, key);
        self.text_of(content, "Secret", (name, key), at)
    }

    fn text_of(
        &mut self,
        content: Result<&'a [u8], AssetError>,
        kind: &str,
        (name, key): (&str, &str),
        at: &Place<'_>,
    ) -> Result<String, Fault> {
        let bytes = self.content(content, kind, (name, key), at)?;
        let text = std::str::from_utf8(bytes).map_err(|_| {
            let found = format!("binary content under {key} in the {kind} {}/{name}", self.namespace);
            at.fault(found, "a text there")
        })?;
        Ok(text.to_owned())
    }

    /// A content that is there, counted against what one object can bring in.
    fn content(
        &mut self,
        content: Result<&'a [u8], AssetError>,
        kind: &str,
        (name, key): (&str, &str),
        at: &Place<'_>,
    ) -> Result<&'a [u8], Fault> {
        let namespace = self.namespace;
        let bytes = content.map_err(|error| match error {
            AssetError::NoObject => {
                let found = format!("the {kind} {namespace}/{name}, which does not exist");
                at.fault(found, "the name of one in the same namespace, or create it")
            }
            AssetError::NoKey => {
                let found = format!("the {kind} {namespace}/{name}, which has no key {}", quoted(key));
                at.fault(found, "a key that it has, or add the key")
            }
        })?;
        self.content_bytes += bytes.len();
        if self.content_bytes > MAX_CONTENT_BYTES {
            let found = format!("more than {MAX_CONTENT_BYTES} bytes of contents in one object");
            return Err(at.fault(found, "several smaller objects"));
        }
        Ok(bytes)
    }

    /// A content as a file beside the configuration; its path.
    pub(super) fn file(
        &mut self,
        selector: &Value,
        at: &Place<'_>,
        config_map: bool,
    ) -> Result<String, Fault> {
        let kind = if config_map { "ConfigMap" } else { "Secret" };
        let (name, key) = name_and_key(selector, at, kind)?;
        let path = format!(
            "{}/{}_{}_{name}_{key}",
            self.settings.tls_dir,
            if config_map { 1 } else { 0 },
            self.namespace
        );
        if self.settings.files == FilesFrom::Assets {
            let assets = self.assets;
            let content = match config_map {
                true => assets.config_map(self.namespace, name, key),
                false => assets.secret(self.namespace, name, key),
            };
            let bytes = self.content(content, kind, (name, key), at)?;
            if !is_pem(bytes) {
                let found = format!("no PEM under {key} in the {kind} {}/{name}", self.namespace);
                return Err(at.fault(found, "a certificate or a key in PEM there"));
            }
            self.files.insert(path.clone(), bytes.to_vec());
        }
        Ok(path)
    }
}

fn text_unless_empty(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::from(text))
}

/// Name and key of a selector.
fn name_and_key<'v>(selector: &'v Value, at: &Place<'_>, kind: &str) -> Result<(&'v str, &'v str), Fault> {
    let fields = place::object(selector, at)?;
    let (name, key) = (place::text(fields, "name", at)?, place::text(fields, "key", at)?);
    // They become parts of a path, and no name or key of Kubernetes has anything else.
    let plain = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    if name.is_empty() || !plain(name) {
        return Err(at.key("name").fault(quoted(name), format!("the name of a {kind}")));
    }
    if key.is_empty() || !plain(key) {
        return Err(at.key("key").fault(quoted(key), format!("a key of the {kind}")));
    }
    Ok((name, key))
}

/// A list of `key` and `value` as a map; the last of two alike counts.
fn pairs(value: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
    let Value::Array(items) = value else { return Err(at.fault("no list", "a list of key and value")) };
    let mut out = Map::new();
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let fields = place::object(item, &at)?;
        let (key, value) = (place::text(fields, "key", &at)?, place::text(fields, "value", &at)?);
        out.insert(key.to_owned(), Value::from(value));
    }
    Ok(out)
}

fn threading(value: &Value, at: &Place<'_>) -> Result<Value, Fault> {
    let by = place::text(place::object(value, at)?, "threadByDate", at)?;
    let by = match by {
        "" | "Daily" => "daily",
        "None" => "none",
        other => return Err(at.key("threadByDate").fault(quoted(other), "Daily or None")),
    };
    Ok(serde_json::json!({ "enabled": true, "thread_by_date": by }))
}

/// Whether a text is a host and a port, an IPv6 address in brackets.
fn is_host_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let plain =
        |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    let host = bare.map_or(!host.contains([':', '[', ']']) && plain(host), plain);
    host && plain(port)
}

fn is_pem(bytes: &[u8]) -> bool {
    let marker = b"-----BEGIN ";
    std::str::from_utf8(bytes).is_ok() && bytes.windows(marker.len()).any(|window| window == marker)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_with_ports_are_told() {
        for text in ["a:1", "mail.example.com:587", "[::1]:25", "a:smtp"] {
            assert!(is_host_port(text), "{text}");
        }
        for text in ["a", ":25", "a:", "::1:25", "[::1]", "a b:1", "[::1:25"] {
            assert!(!is_host_port(text), "{text}");
        }
    }
}
