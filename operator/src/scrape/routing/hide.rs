//! A configuration that is shown and not run: what Alertmanager itself holds secret is not written.

use serde_json::Value;

use super::convert::HIDDEN;

/// Fields whose values are secret wherever they stand.
const SECRET: &[&str] = &[
    "access_key",
    "alert_source_token",
    "api_key",
    "api_secret",
    "app_token",
    "auth_password",
    "auth_secret",
    "bearer_token",
    "bot_token",
    "client_secret",
    "credentials",
    "hipchat_auth_token",
    "http_headers",
    "mattermost_webhook_url",
    "opsgenie_api_key",
    "password",
    "proxy_connect_header",
    "rocketchat_token",
    "rocketchat_token_id",
    "routing_key",
    "secret_key",
    "service_key",
    "slack_api_url",
    "slack_app_token",
    "smtp_auth_password",
    "smtp_auth_secret",
    "telegram_bot_token",
    "token",
    "token_id",
    "user_key",
    "victorops_api_key",
    "webhook_url",
    "wechat_api_secret",
];
/// Lists in which one more field is: a URL of theirs is all that one needs to send.
const URLS: &[(&str, &str)] =
    &[("slack_configs", "api_url"), ("webhook_configs", "url"), ("incidentio_configs", "url")];

/// Puts `<secret>` in place of secrets.
pub(super) fn hide(value: &mut Value, list: &str) {
    match value {
        // What stands in a list is told by the list's name.
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, list)),
        Value::Object(fields) => {
            for (name, field) in fields {
                if SECRET.contains(&name.as_str()) || URLS.contains(&(list, name)) {
                    *field = Value::from(HIDDEN);
                } else {
                    hide(field, name);
                }
            }
        }
        _ => {}
    }
}
