//! What Alertmanager refuses a whole configuration for, so that it does not get in with one object.

use serde_json::{Map, Value};

use super::Defaults;
use super::fields::Integration;
use super::place::Place;
use crate::validate::{Fault, quoted, template_fault};

/// Names that VictorOps gives a meaning to.
const VICTOROPS_RESERVED: [&str; 7] = [
    "routing_key",
    "message_type",
    "state_message",
    "entity_display_name",
    "monitoring_tool",
    "entity_id",
    "entity_state",
];

/// What Alertmanager refuses a whole configuration for, so it must not get in with one object.
pub(super) fn check(
    defaults: &Defaults,
    integration: &Integration,
    out: &Map<String, Value>,
    at: &Place<'_>,
) -> Result<(), Fault> {
    let has = |name: &str| out.get(name).is_some_and(|value| value.as_str() != Some(""));
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    let need = |ok: bool, found: &str, write: &str| match ok {
        true => Ok(()),
        false => Err(at.fault(found, write)),
    };
    match integration.to {
        "opsgenie_configs" => {
            need(has("api_key") || defaults.has("opsgenie_api_key"), "no apiKey", "apiKey")?;
            each(out, "responders", at, responder)
        }
        "pagerduty_configs" => {
            need(any(&["routing_key", "service_key"]), "neither routingKey nor serviceKey", "one of the two")
        }
        "slack_configs" => {
            let global = ["slack_api_url", "slack_app_token"].iter().any(|name| defaults.has(name));
            need(has("api_url") || global, "no apiURL, and no global one", "apiURL")?;
            each(out, "fields", at, |field, at| filled(field, &["title", "value"], at))?;
            each(out, "actions", at, slack_action)
        }
        "webhook_configs" => {
            need(has("url"), "neither url nor urlSecret", "one of the two")?;
            let most = out.get("max_alerts").and_then(Value::as_i64);
            need(
                most.is_none_or(|most| (0..=i64::from(i32::MAX)).contains(&most)),
                "maxAlerts out of range",
                "0 for all, or more",
            )
        }
        "wechat_configs" => {
            need(has("api_secret") || defaults.has("wechat_api_secret"), "no apiSecret", "apiSecret")?;
            need(has("corp_id") || defaults.has("wechat_api_corp_id"), "no corpID", "corpID")?;
            one_of(out, "message_type", &["text", "markdown"], at)
        }
        "email_configs" => {
            need(has("to"), "no address", "to, the address to send to")?;
            need(
                has("smarthost") || defaults.has("smtp_smarthost"),
                "no smarthost, and no global one",
                "smarthost, such as mail.example.com:587",
            )?;
            let write = "from, the address that messages come from";
            need(has("from") || defaults.has("smtp_from"), "no from, and no global one", write)?;
            distinct_headers(out, at)
        }
        "victorops_configs" => {
            need(has("api_key") || defaults.has("victorops_api_key"), "no apiKey", "apiKey")?;
            need(has("routing_key"), "no routingKey", "routingKey")?;
            let custom = out.get("custom_fields").and_then(Value::as_object);
            let taken = custom.into_iter().flat_map(Map::keys);
            match taken.into_iter().find(|key| VICTOROPS_RESERVED.contains(&key.as_str())) {
                Some(key) => Err(at
                    .key("customFields")
                    .fault(format!("{key}, which VictorOps gives a meaning"), "another key")),
                None => Ok(()),
            }
        }
        "pushover_configs" => {
            need(any(&["user_key", "user_key_file"]), "no userKey, or an empty one", "userKey")?;
            need(any(&["token", "token_file"]), "no token, or an empty one", "token")?;
            let on = |name: &str| out.get(name).and_then(Value::as_bool) == Some(true);
            need(!(on("html") && on("monospace")), "both html and monospace", "one of the two")
        }
        "sns_configs" => {
            let ways = ["targetARN", "topicARN", "phoneNumber"];
            let set = ["target_arn", "topic_arn", "phone_number"].iter().filter(|name| has(name)).count();
            need(set == 1, &format!("{set} of {}", ways.join(", ")), "exactly one of them")
        }
        "telegram_configs" => {
            let token = any(&["bot_token", "bot_token_file"]);
            let global = defaults.has("telegram_bot_token");
            need(token || global, "no botToken, or an empty one", "botToken")?;
            need(has("chat_id"), "no chatID", "chatID, the number of a chat")?;
            one_of(out, "parse_mode", &["MarkdownV2", "Markdown", "HTML"], at)
        }
        "discord_configs" => need(has("webhook_url"), "no apiURL", "apiURL"),
        "webex_configs" => {
            need(has("room_id"), "no roomID", "roomID")?;
            let http = out.get("http_config").and_then(|http| http.get("authorization"));
            let write = "httpConfig.authorization, which Webex asks for";
            need(http.is_some(), "no httpConfig.authorization", write)
        }
        "msteams_configs" => need(has("webhook_url"), "no webhookUrl", "webhookUrl"),
        "msteamsv2_configs" => need(has("webhook_url"), "no webhookURL", "webhookURL"),
        "mattermost_configs" => {
            let global = defaults.has("mattermost_webhook_url");
            need(has("webhook_url") || global, "no webhookURL", "webhookURL")?;
            each(out, "attachments", at, |attachment, at| match attachment.as_object() {
                Some(own) => each(own, "fields", at, |field, at| filled(field, &["title", "value"], at)),
                None => Ok(()),
            })
        }
        "rocketchat_configs" => {
            let (token, id) = (defaults.has("rocketchat_token"), defaults.has("rocketchat_token_id"));
            need(has("token") || token, "no token", "token")?;
            need(has("token_id") || id, "no tokenID", "tokenID")
        }
        _ => Ok(()),
    }
}

/// Whether a field of an object says something.
fn has(fields: &Value, name: &str) -> bool {
    fields.get(name).is_some_and(|value| value.as_str() != Some(""))
}

/// Checks each entry of a list.
fn each(
    out: &Map<String, Value>,
    list: &str,
    at: &Place<'_>,
    check: impl Fn(&Value, &Place<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let list_at = at.key(list);
    let items = out.get(list).and_then(Value::as_array).into_iter().flatten().enumerate();
    items.into_iter().try_for_each(|(index, item)| check(item, &list_at.index(index)))
}

/// Holds that fields are there and not empty.
fn filled(item: &Value, names: &[&str], at: &Place<'_>) -> Result<(), Fault> {
    match names.iter().find(|name| !has(item, name)) {
        Some(name) => Err(at.fault(format!("no {name}"), name)),
        None => Ok(()),
    }
}

/// Holds that a field is one of some words, if it is there.
fn one_of(out: &Map<String, Value>, name: &str, words: &[&str], at: &Place<'_>) -> Result<(), Fault> {
    match out.get(name).and_then(Value::as_str) {
        Some(text) if !words.contains(&text) => {
            Err(at.key(name).fault(quoted(text), format!("one of {}", words.join(", "))))
        }
        _ => Ok(()),
    }
}

fn responder(item: &Value, at: &Place<'_>) -> Result<(), Fault> {
    const TYPES: [&str; 5] = ["team", "teams", "user", "escalation", "schedule"];
    if !["id", "name", "username"].iter().any(|name| has(item, name)) {
        return Err(at.fault("none of id, name and username", "one of them"));
    }
    let kind = item["type"].as_str().unwrap_or_default();
    if let Some(write) = template_fault(kind) {
        return Err(at.key("type").fault(quoted(kind), write));
    }
    // What a template becomes is judged when it is filled in.
    if !kind.contains("{{") && !TYPES.contains(&kind.to_lowercase().as_str()) {
        return Err(at.key("type").fault(quoted(kind), format!("one of {}", TYPES.join(", "))));
    }
    Ok(())
}

fn slack_action(item: &Value, at: &Place<'_>) -> Result<(), Fault> {
    filled(item, &["type", "text"], at)?;
    if !has(item, "name") && !has(item, "url") {
        return Err(at.fault("neither name nor url", "one of the two"));
    }
    match item.get("confirm") {
        Some(confirm) => filled(confirm, &["text"], &at.key("confirm")),
        None => Ok(()),
    }
}

/// Headers of e-mails are the same header in any case.
fn distinct_headers(out: &Map<String, Value>, at: &Place<'_>) -> Result<(), Fault> {
    let mut seen = std::collections::BTreeSet::new();
    let headers = out.get("headers").and_then(Value::as_object).into_iter().flat_map(Map::keys);
    for name in headers {
        if !seen.insert(name.to_ascii_lowercase()) {
            let found = format!("the header {} twice", quoted(name));
            return Err(at.key("headers").fault(found, "each header once"));
        }
    }
    Ok(())
}
