//! What a version of Alertmanager does not know: left out where messages still come, an error where they
//! would go astray.

use serde_json::{Map, Value};

use super::gates::{self, Gates};
use super::place::{self, Place};
use super::version::Version;
use crate::validate::{Fault, quoted};

/// Fits configuration to one version of Alertmanager.
pub(super) struct Sanitizer {
    version: Version,
    /// What was left out, each with its reason.
    pub(super) notes: Vec<String>,
}

type Done = Result<(), Fault>;

impl Sanitizer {
    pub(super) fn new(version: Version) -> Self {
        Self { version, notes: Vec::new() }
    }

    fn below(&self, minor: u32) -> bool {
        self.version < Version::minor(minor)
    }

    /// A part of a configuration, by the name that prometheus-operator has for its type: `route`, `receiver`,
    /// `httpClientConfig`, `webhookConfig`; `alertmanagerConfig` is all of it.
    pub(super) fn part(&mut self, kind: &str, part: &mut Value) -> Done {
        let root = Place::root(kind);
        match kind {
            "alertmanagerConfig" => self.config(part),
            "globalConfig" => self.global(part, &root),
            "route" => self.route(part, &root),
            "inhibitRule" => self.inhibit_rule(part, &root),
            "timeInterval" => self.interval(part, &root),
            "receiver" => self.receiver(part, &root),
            "httpClientConfig" => self.http(part, &root),
            "tlsConfig" => self.tls(part, &root),
            "proxyConfig" => self.proxy(part, &root),
            "oauth2" => self.oauth2(part, &root),
            "opsgenieResponder" => self.responder(part, &root),
            _ => {
                let name = kind.strip_suffix("Config").unwrap_or(kind).to_ascii_lowercase();
                let list = format!("{name}_configs");
                match gates::INTEGRATIONS.iter().find(|gates| gates.list == list) {
                    Some(gates) => self.integration(gates, part, &root),
                    None => Err(root.fault("a part that is not known", "the name of a part")),
                }
            }
        }
    }

    /// A whole configuration.
    pub(super) fn config(&mut self, config: &mut Value) -> Done {
        let root = Place::root("config");
        let Some(fields) = config.as_object_mut() else {
            return Err(root.fault("no object", "Alertmanager's configuration"));
        };
        if let Some(global) = fields.get_mut("global").filter(|value| !value.is_null()) {
            self.global(global, &root.key("global"))?;
        }
        self.each(fields, "receivers", &root, Self::receiver)?;
        self.each(fields, "inhibit_rules", &root, Self::inhibit_rule)?;
        for (name, minor) in [("mute_time_intervals", 22), ("time_intervals", 24)] {
            if self.below(minor) {
                self.drop(fields, name, minor, &root);
            }
            self.each(fields, name, &root, Self::interval)?;
        }
        match fields.get_mut("route").filter(|value| !value.is_null()) {
            Some(route) => self.route(route, &root.key("route")),
            None => Ok(()),
        }
    }

    fn each(
        &mut self,
        fields: &mut Map<String, Value>,
        name: &str,
        at: &Place<'_>,
        work: fn(&mut Self, &mut Value, &Place<'_>) -> Done,
    ) -> Done {
        let list_at = at.key(name);
        let items = fields.get_mut(name).and_then(Value::as_array_mut).into_iter().flatten();
        for (index, item) in items.enumerate() {
            work(self, item, &list_at.index(index))?;
        }
        Ok(())
    }

    /// Leaves a field out, with a note.
    fn drop(&mut self, fields: &mut Map<String, Value>, name: &str, minor: u32, at: &Place<'_>) {
        if fields.remove(name).is_some_and(|value| !is_nothing(&value)) {
            self.notes.push(format!(
                "{}: left out: Alertmanager {} does not know it; it needs 0.{minor}.0",
                at.key(name),
                self.version
            ));
        }
    }

    fn gate(&mut self, fields: &mut Map<String, Value>, gates: &[(&str, u32)], at: &Place<'_>) {
        for &(name, minor) in gates {
            if self.below(minor) {
                self.drop(fields, name, minor, at);
            }
        }
    }

    /// Of two ways to say one thing the first counts.
    fn prefer(&mut self, fields: &mut Map<String, Value>, pairs: &[(&str, &str)], at: &Place<'_>) {
        for (first, second) in pairs {
            if is_set(fields, first) && is_set(fields, second) {
                fields.remove(*second);
                self.notes.push(format!("{}: left out: {first} goes before it", at.key(second)));
            }
        }
    }

    fn global(&mut self, global: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = global.as_object_mut() else { return Err(at.fault("no object", "fields")) };
        if let Some(http) = fields.get_mut("http_config").filter(|value| !value.is_null()) {
            self.http(http, &at.key("http_config"))?;
        }
        self.gate(fields, gates::GLOBAL, at);
        self.prefer(fields, gates::GLOBAL_PREFERRED, at);
        if let Some(tls) = fields.get_mut("smtp_tls_config").filter(|value| !value.is_null()) {
            self.tls(tls, &at.key("smtp_tls_config"))?;
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let token = is_set(fields, "slack_app_token") || is_set(fields, "slack_app_token_file");
        match (text("slack_api_url"), text("slack_app_url")) {
            (Some(api), Some(app)) if token && api != app => {
                let found = "slack_app_token beside a slack_api_url that is not slack_app_url";
                Err(at.fault(found, "one of slack_app_token and slack_api_url"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn receiver(&mut self, receiver: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = receiver.as_object_mut() else { return Err(at.fault("no object", "a receiver")) };
        for gates in gates::INTEGRATIONS {
            let list_at = at.key(gates.list);
            let items = fields.get_mut(gates.list).and_then(Value::as_array_mut).into_iter().flatten();
            for (index, item) in items.enumerate() {
                self.integration(gates, item, &list_at.index(index))?;
            }
        }
        Ok(())
    }

    fn integration(&mut self, gates: &Gates, config: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = config.as_object_mut() else { return Err(at.fault("no object", "fields")) };
        if self.below(gates.since) {
            let found = format!("{} with Alertmanager {}", gates.list, self.version);
            return Err(at.fault(found, format!("it for 0.{}.0 or newer only", gates.since)));
        }
        self.gate(fields, gates.fields, at);
        for pair in gates.either {
            if is_set(fields, pair.0) && is_set(fields, pair.1) {
                return Err(at.fault(format!("both {} and {}", pair.0, pair.1), "one of the two"));
            }
        }
        self.prefer(fields, gates.preferred, at);
        for names in gates.needed {
            if !names.iter().any(|name| is_set(fields, name)) {
                return Err(at.fault(format!("no {}", names.join(" or ")), names.join(" or ")));
            }
        }
        self.special(gates.list, fields, at)?;
        for (name, work) in [("http_config", Self::http as Work), ("tls_config", Self::tls as Work)] {
            if let Some(value) = fields.get_mut(name).filter(|value| !value.is_null()) {
                work(self, value, &at.key(name))?;
            }
        }
        Ok(())
    }

    /// What holds for one integration only.
    fn special(&mut self, list: &str, fields: &mut Map<String, Value>, at: &Place<'_>) -> Done {
        let on =
            |fields: &Map<String, Value>, name: &str| fields.get(name).and_then(Value::as_bool) == Some(true);
        match list {
            "opsgenie_configs" => self.each(fields, "responders", at, Self::responder),
            "pagerduty_configs" if self.below(30) => {
                let details = fields.get("details").and_then(Value::as_object);
                match details.into_iter().flatten().find(|(_, value)| !value.is_string()) {
                    Some((key, _)) => {
                        let found = format!("details.{key}, which is no text");
                        Err(at.fault(found, "texts only before Alertmanager 0.30.0"))
                    }
                    None => Ok(()),
                }
            }
            "pushover_configs" => {
                if self.below(29) && on(fields, "monospace") {
                    fields.insert("monospace".to_owned(), Value::from(false));
                    self.notes
                        .push(format!("{}: switched off: it needs Alertmanager 0.29.0", at.key("monospace")));
                }
                match on(fields, "html") && on(fields, "monospace") {
                    true => Err(at.fault("both html and monospace", "one of the two")),
                    false => Ok(()),
                }
            }
            "slack_configs" => {
                let token = ["app_token", "app_token_file"].iter().any(|name| is_set(fields, name));
                let url = ["api_url", "api_url_file"].iter().any(|name| is_set(fields, name));
                match token && url {
                    true => Err(at.fault("an app token beside api_url", "one of the two")),
                    false => Ok(()),
                }
            }
            "telegram_configs" if self.below(31) => {
                match ["bot_token", "bot_token_file"].iter().any(|name| is_set(fields, name)) {
                    true => Ok(()),
                    false => Err(at.fault("no bot_token or bot_token_file", "one of the two")),
                }
            }
            "jira_configs" => match fields.get("api_type").and_then(Value::as_str) {
                None | Some("" | "auto" | "cloud" | "datacenter") => Ok(()),
                Some(other) => Err(at.key("api_type").fault(quoted(other), "auto, cloud or datacenter")),
            },
            "mattermost_configs" if self.below(32) => {
                match ["webhook_url", "webhook_url_file"].iter().any(|name| is_set(fields, name)) {
                    true => Ok(()),
                    false => Err(at.fault("no webhook_url or webhook_url_file", "one of the two")),
                }
            }
            _ => Ok(()),
        }
    }

    fn responder(&mut self, responder: &mut Value, at: &Place<'_>) -> Done {
        if self.below(24) && responder["type"] == "teams" {
            return Err(at.key("type").fault("teams", "it for Alertmanager 0.24.0 or newer only"));
        }
        Ok(())
    }

    pub(super) fn http(&mut self, http: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = http.as_object_mut() else { return Err(at.fault("no object", "fields")) };
        for name in ["authorization", "oauth2"] {
            if self.below(22) && fields.get(name).is_some_and(|value| !value.is_null()) {
                let found = format!("{name} with Alertmanager {}", self.version);
                return Err(at.fault(found, "it for 0.22.0 or newer only"));
            }
        }
        self.gate(fields, gates::HTTP, at);
        if let Some(tls) = fields.get_mut("tls_config").filter(|value| !value.is_null()) {
            self.tls(tls, &at.key("tls_config"))?;
        }
        self.proxy(http, at)?;
        match http.get_mut("oauth2").filter(|value| !value.is_null()) {
            Some(oauth2) => self.oauth2(oauth2, &at.key("oauth2")),
            None => Ok(()),
        }
    }

    fn tls(&mut self, tls: &mut Value, at: &Place<'_>) -> Done {
        const VERSIONS: [&str; 4] = ["TLS10", "TLS11", "TLS12", "TLS13"];
        let Some(fields) = tls.as_object_mut() else { return Err(at.fault("no object", "fields")) };
        self.gate(fields, gates::TLS, at);
        let rank = |name: &str| match fields.get(name).and_then(Value::as_str) {
            None | Some("") => Ok(None),
            Some(text) => match VERSIONS.iter().position(|known| *known == text) {
                Some(rank) => Ok(Some(rank)),
                None => Err(at.key(name).fault(quoted(text), format!("one of {}", VERSIONS.join(", ")))),
            },
        };
        match (rank("min_version")?, rank("max_version")?) {
            (Some(least), Some(most)) if least > most => {
                Err(at.fault("min_version above max_version", "max_version that is at least min_version"))
            }
            _ => Ok(()),
        }
    }

    fn proxy(&mut self, owner: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = owner.as_object_mut() else { return Err(at.fault("no object", "fields")) };
        if self.below(26) {
            self.gate(fields, gates::PROXY, at);
            return Ok(());
        }
        let (url, none) = (is_set(fields, "proxy_url"), is_set(fields, "no_proxy"));
        let (environment, header) =
            (is_set(fields, "proxy_from_environment"), is_set(fields, "proxy_connect_header"));
        let wrong = match () {
            () if header && !environment && !url => {
                Some(("proxy_connect_header without a proxy", "proxy_url too"))
            }
            () if environment && url => Some(("both proxy_from_environment and proxy_url", "one of the two")),
            () if environment && none => {
                Some(("both proxy_from_environment and no_proxy", "NO_PROXY in the environment"))
            }
            () if none && !url => Some(("no_proxy without proxy_url", "proxy_url too")),
            () => None,
        };
        wrong.map_or(Ok(()), |(found, write)| Err(at.fault(found, write)))
    }

    fn oauth2(&mut self, oauth2: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = oauth2.as_object_mut() else { return Err(at.fault("no object", "fields")) };
        let any = ["proxy_url", "no_proxy", "proxy_connect_header"].iter().any(|name| is_set(fields, name));
        if self.below(25) && any {
            let names = ["proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header"];
            for name in names {
                self.drop(fields, name, 25, at);
            }
        }
        Ok(())
    }

    pub(super) fn inhibit_rule(&mut self, rule: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = rule.as_object_mut() else { return Err(at.fault("no object", "an inhibit rule")) };
        if self.below(22) {
            for name in ["target_matchers", "source_matchers"] {
                if is_set(fields, name) {
                    let found = format!("{name} with Alertmanager {}", self.version);
                    return Err(at.fault(found, "it for 0.22.0 or newer only"));
                }
            }
            return Ok(());
        }
        let names = [
            "target_match",
            "target_match_re",
            "target_matchers",
            "source_match",
            "source_match_re",
            "source_matchers",
            "equal",
        ];
        for name in names {
            remove_nothing(fields, name);
        }
        Ok(())
    }

    pub(super) fn interval(&mut self, interval: &mut Value, at: &Place<'_>) -> Done {
        let list_at = at.key("time_intervals");
        let parts = interval.get_mut("time_intervals").and_then(Value::as_array_mut).into_iter().flatten();
        for (index, part) in parts.enumerate() {
            if let Some(fields) = part.as_object_mut()
                && self.below(25)
            {
                self.drop(fields, "location", 25, &list_at.index(index));
            }
        }
        Ok(())
    }

    pub(super) fn route(&mut self, route: &mut Value, at: &Place<'_>) -> Done {
        let Some(fields) = route.as_object_mut() else { return Err(at.fault("no object", "a route")) };
        if self.below(22) && is_set(fields, "matchers") {
            let found = format!("matchers with Alertmanager {}", self.version);
            return Err(at.fault(found, "them for 0.22.0 or newer only"));
        }
        self.gate(fields, gates::ROUTE, at);
        for name in ["group_wait", "group_interval", "repeat_interval"] {
            let Some(text) = fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty()) else {
                continue;
            };
            place::duration(text, &at.key(name))?;
            // Alertmanager refuses nothing as an interval; nothing said is its default.
            if name != "group_wait" && place::is_zero_duration(text) {
                fields.remove(name);
            }
        }
        self.each(fields, "routes", at, Self::route)?;
        for name in ["match", "match_re", "matchers"] {
            remove_nothing(fields, name);
        }
        Ok(())
    }
}

type Work = fn(&mut Sanitizer, &mut Value, &Place<'_>) -> Done;

/// Whether a field says something.
fn is_set(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).is_some_and(|value| !is_nothing(value))
}

/// Whether a value says as much as its absence.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::Bool(true) => false,
    }
}

fn remove_nothing(fields: &mut Map<String, Value>, name: &str) {
    if fields.get(name).is_some_and(is_nothing) {
        fields.remove(name);
    }
}
