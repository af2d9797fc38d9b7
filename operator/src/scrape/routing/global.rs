//! The global part of a configuration, from `spec.alertmanagerConfiguration.global` of an Alertmanager.

use serde_json::{Map, Value};

use super::convert::Converter;
use super::fields::{Field, Kind};
use super::place::{self, Place};
use super::version::Version;
use crate::validate::{Fault, quoted};

const fn field(from: &'static str, to: &'static str, kind: Kind) -> Field {
    Field { from, to, kind }
}

const TOP: &[Field] = &[
    field("resolveTimeout", "resolve_timeout", Kind::Duration),
    field("slackApiUrl", "slack_api_url", Kind::SecretUrl),
    field("opsGenieApiUrl", "opsgenie_api_url", Kind::SecretUrl),
    field("opsGenieApiKey", "opsgenie_api_key", Kind::Secret),
    field("pagerdutyUrl", "pagerduty_url", Kind::Url),
    field("httpConfig", "http_config", Kind::Http),
];

/// A part of the API, the first version of Alertmanager that knows it, and its fields.
type Part = (&'static str, u32, &'static [Field]);

const PARTS: [Part; 8] = [
    (
        "smtp",
        0,
        &[
            field("from", "smtp_from", Kind::Text),
            field("hello", "smtp_hello", Kind::Text),
            field("authUsername", "smtp_auth_username", Kind::Text),
            field("authPassword", "smtp_auth_password", Kind::Secret),
            field("authIdentity", "smtp_auth_identity", Kind::Text),
            field("authSecret", "smtp_auth_secret", Kind::Secret),
            field("requireTLS", "smtp_require_tls", Kind::FlagKept),
            field("forceImplicitTLS", "smtp_force_implicit_tls", Kind::FlagKept),
            field("tlsConfig", "smtp_tls_config", Kind::Tls),
        ],
    ),
    (
        "telegram",
        24,
        &[
            field("apiURL", "telegram_api_url", Kind::Url),
            field("botToken", "telegram_bot_token", Kind::Secret),
            field("botTokenFile", "telegram_bot_token_file", Kind::Text),
        ],
    ),
    ("jira", 28, &[field("apiURL", "jira_api_url", Kind::Url)]),
    (
        "victorops",
        0,
        &[
            field("apiURL", "victorops_api_url", Kind::Url),
            field("apiKey", "victorops_api_key", Kind::Secret),
        ],
    ),
    (
        "rocketChat",
        28,
        &[
            field("apiURL", "rocketchat_api_url", Kind::Url),
            field("token", "rocketchat_token", Kind::Secret),
            field("tokenID", "rocketchat_token_id", Kind::Secret),
        ],
    ),
    ("webex", 25, &[field("apiURL", "webex_api_url", Kind::Url)]),
    (
        "wechat",
        0,
        &[
            field("apiURL", "wechat_api_url", Kind::Url),
            field("apiSecret", "wechat_api_secret", Kind::Secret),
            field("apiCorpID", "wechat_api_corp_id", Kind::Text),
        ],
    ),
    ("mattermost", 32, &[field("webhookURL", "mattermost_webhook_url", Kind::SecretUrl)]),
];

impl Converter<'_> {
    /// The global part.
    pub(super) fn global(&mut self, global: &Value, at: &Place<'_>) -> Result<Map<String, Value>, Fault> {
        let from = place::object(global, at)?;
        let mut out = self.fields(TOP, from, at)?;
        for (name, since, table) in PARTS {
            let Some(part) = place::get(from, name) else { continue };
            let at = at.key(name);
            let version = self.settings.version;
            if version < Version::minor(since) {
                let found = format!("{name} with Alertmanager {version}");
                return Err(at.fault(found, format!("it for 0.{since}.0 or newer only")));
            }
            let part = place::object(part, &at)?;
            out.extend(self.fields(table, part, &at)?);
            if let Some(host) = place::get(part, "smartHost").filter(|_| name == "smtp") {
                out.insert("smtp_smarthost".to_owned(), Value::from(smart_host(host, &at.key("smartHost"))?));
            }
        }
        Ok(out)
    }
}

fn smart_host(value: &Value, at: &Place<'_>) -> Result<String, Fault> {
    let fields = place::object(value, at)?;
    let read = |key| -> Result<&str, Fault> {
        let text = place::text(fields, key, at)?;
        let plain = !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        if plain { Ok(text) } else { Err(at.key(key).fault(quoted(text), "a host and a port")) }
    };
    let (host, port) = (read("host")?, read("port")?);
    Ok(if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") })
}
