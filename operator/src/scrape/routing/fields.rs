//! The fields of every integration, as data: what an AlertmanagerConfig calls it, what Alertmanager calls it,
//! and how one becomes the other.

use super::version::Version;

/// How a value is read and written. Where nothing else is said, what is empty is left out.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A text.
    Text,
    /// A text that is written even where it is empty: an empty one switches a default off.
    TextKept,
    /// A text that is written always.
    TextAlways,
    /// True or false; false is left out.
    Flag,
    /// True or false; false is written where it was written.
    FlagKept,
    /// True or false; false is written always.
    FlagAlways,
    /// True, false or null, always written.
    FlagOrNull,
    /// A whole number; zero is left out.
    Number,
    /// A URL.
    Url,
    /// A URL, or a template that becomes one.
    UrlTemplate,
    /// A duration.
    Duration,
    /// A duration of Go's: hours are the largest unit.
    GoDuration,
    /// As `GoDuration`, written as it was where Go reads it.
    GoDurationText,
    /// A key of a Secret.
    Secret,
    /// A key of a Secret with a URL.
    SecretUrl,
    /// A list of texts.
    Texts,
    /// A map of texts.
    TextMap,
    /// A list of `key` and `value` that becomes a map.
    Pairs,
    /// An object with fields.
    Object(&'static [Field]),
    /// A list of objects.
    List(&'static [Field]),
    /// `host:port` in one text.
    HostPort,
    /// `httpConfig`.
    Http,
    /// `tlsConfig`.
    Tls,
    /// `sigv4`.
    SigV4,
    /// `threading` of e-mails.
    Threading,
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    /// Its name in the API.
    pub(super) from: &'static str,
    /// Its name in Alertmanager's configuration.
    pub(super) to: &'static str,
    /// How it is read and written.
    pub(super) kind: Kind,
}

/// One kind of notification.
#[derive(Clone, Copy, Debug)]
pub(super) struct Integration {
    /// The list in a receiver of the API.
    pub(super) from: &'static str,
    /// The list in a receiver of Alertmanager.
    pub(super) to: &'static str,
    /// Its fields; `sendResolved` is known everywhere.
    pub(super) fields: &'static [Field],
    /// The first version of Alertmanager that has it.
    pub(super) since: Version,
}

const fn field(from: &'static str, to: &'static str, kind: Kind) -> Field {
    Field { from, to, kind }
}

/// Every integration that an AlertmanagerConfig can name.
pub(super) const INTEGRATIONS: [Integration; 16] = {
    const fn of(from: &'static str, to: &'static str, since: u32, fields: &'static [Field]) -> Integration {
        Integration { from, to, fields, since: Version::minor(since) }
    }
    [
        of("opsgenieConfigs", "opsgenie_configs", 0, OPSGENIE),
        of("pagerdutyConfigs", "pagerduty_configs", 0, PAGERDUTY),
        of("slackConfigs", "slack_configs", 0, SLACK),
        of("webhookConfigs", "webhook_configs", 0, WEBHOOK),
        of("wechatConfigs", "wechat_configs", 0, WECHAT),
        of("emailConfigs", "email_configs", 0, EMAIL),
        of("pushoverConfigs", "pushover_configs", 0, PUSHOVER),
        of("victoropsConfigs", "victorops_configs", 0, VICTOROPS),
        of("snsConfigs", "sns_configs", 0, SNS),
        of("telegramConfigs", "telegram_configs", 24, TELEGRAM),
        of("discordConfigs", "discord_configs", 25, DISCORD),
        of("webexConfigs", "webex_configs", 25, WEBEX),
        of("msteamsConfigs", "msteams_configs", 26, MSTEAMS),
        of("msteamsv2Configs", "msteamsv2_configs", 28, MSTEAMS_V2),
        of("rocketchatConfigs", "rocketchat_configs", 28, ROCKETCHAT),
        of("mattermostConfigs", "mattermost_configs", 30, MATTERMOST),
    ]
};

const OPSGENIE: &[Field] = &[
    field("apiKey", "api_key", Kind::Secret),
    field("apiURL", "api_url", Kind::Url),
    field("message", "message", Kind::Text),
    field("description", "description", Kind::Text),
    field("source", "source", Kind::Text),
    field("tags", "tags", Kind::Text),
    field("note", "note", Kind::Text),
    field("priority", "priority", Kind::Text),
    field("updateAlerts", "update_alerts", Kind::FlagKept),
    field("details", "details", Kind::Pairs),
    field("responders", "responders", Kind::List(RESPONDER)),
    field("entity", "entity", Kind::Text),
    field("actions", "actions", Kind::Text),
    field("httpConfig", "http_config", Kind::Http),
];
const RESPONDER: &[Field] = &[
    field("id", "id", Kind::Text),
    field("name", "name", Kind::Text),
    field("username", "username", Kind::Text),
    field("type", "type", Kind::Text),
];

const PAGERDUTY: &[Field] = &[
    field("routingKey", "routing_key", Kind::Secret),
    field("serviceKey", "service_key", Kind::Secret),
    field("url", "url", Kind::Url),
    field("client", "client", Kind::Text),
    field("clientURL", "client_url", Kind::UrlTemplate),
    field("description", "description", Kind::Text),
    field("severity", "severity", Kind::Text),
    field("class", "class", Kind::Text),
    field("group", "group", Kind::Text),
    field("component", "component", Kind::Text),
    field("details", "details", Kind::Pairs),
    field("pagerDutyImageConfigs", "images", Kind::List(PAGERDUTY_IMAGE)),
    field("pagerDutyLinkConfigs", "links", Kind::List(PAGERDUTY_LINK)),
    field("source", "source", Kind::Text),
    field("timeout", "timeout", Kind::GoDuration),
    field("httpConfig", "http_config", Kind::Http),
];
const PAGERDUTY_IMAGE: &[Field] = &[
    field("src", "src", Kind::UrlTemplate),
    field("href", "href", Kind::UrlTemplate),
    field("alt", "alt", Kind::Text),
];
const PAGERDUTY_LINK: &[Field] =
    &[field("href", "href", Kind::UrlTemplate), field("alt", "text", Kind::Text)];

const SLACK: &[Field] = &[
    field("apiURL", "api_url", Kind::SecretUrl),
    field("channel", "channel", Kind::Text),
    field("username", "username", Kind::Text),
    field("color", "color", Kind::Text),
    field("title", "title", Kind::Text),
    field("titleLink", "title_link", Kind::Text),
    field("pretext", "pretext", Kind::Text),
    field("text", "text", Kind::Text),
    field("fields", "fields", Kind::List(SHORT_FIELD)),
    field("shortFields", "short_fields", Kind::Flag),
    field("footer", "footer", Kind::Text),
    field("fallback", "fallback", Kind::Text),
    field("callbackId", "callback_id", Kind::Text),
    field("iconEmoji", "icon_emoji", Kind::Text),
    field("iconURL", "icon_url", Kind::Text),
    field("imageURL", "image_url", Kind::Text),
    field("thumbURL", "thumb_url", Kind::Text),
    field("linkNames", "link_names", Kind::Flag),
    field("mrkdwnIn", "mrkdwn_in", Kind::Texts),
    field("actions", "actions", Kind::List(SLACK_ACTION)),
    field("messageText", "message_text", Kind::Text),
    field("updateMessage", "update_message", Kind::FlagKept),
    field("timeout", "timeout", Kind::GoDuration),
    field("httpConfig", "http_config", Kind::Http),
];
const SHORT_FIELD: &[Field] = &[
    field("title", "title", Kind::Text),
    field("value", "value", Kind::Text),
    field("short", "short", Kind::Flag),
];
const SLACK_ACTION: &[Field] = &[
    field("type", "type", Kind::Text),
    field("text", "text", Kind::Text),
    field("url", "url", Kind::Text),
    field("style", "style", Kind::Text),
    field("name", "name", Kind::Text),
    field("value", "value", Kind::Text),
    field("confirm", "confirm", Kind::Object(SLACK_CONFIRM)),
];
const SLACK_CONFIRM: &[Field] = &[
    field("text", "text", Kind::Text),
    field("title", "title", Kind::Text),
    field("okText", "ok_text", Kind::Text),
    field("dismissText", "dismiss_text", Kind::Text),
];

const WEBHOOK: &[Field] = &[
    field("url", "url", Kind::UrlTemplate),
    // It goes before the URL in plain text, so it stands behind it here.
    field("urlSecret", "url", Kind::SecretUrl),
    field("maxAlerts", "max_alerts", Kind::Number),
    field("timeout", "timeout", Kind::GoDuration),
    field("httpConfig", "http_config", Kind::Http),
];

const WECHAT: &[Field] = &[
    field("apiSecret", "api_secret", Kind::Secret),
    field("apiURL", "api_url", Kind::Url),
    field("corpID", "corp_id", Kind::Text),
    field("agentID", "agent_id", Kind::Text),
    field("toUser", "to_user", Kind::Text),
    field("toParty", "to_party", Kind::Text),
    field("toTag", "to_tag", Kind::Text),
    field("message", "message", Kind::Text),
    field("messageType", "message_type", Kind::Text),
    field("httpConfig", "http_config", Kind::Http),
];

const EMAIL: &[Field] = &[
    field("to", "to", Kind::Text),
    field("from", "from", Kind::Text),
    field("hello", "hello", Kind::Text),
    field("smarthost", "smarthost", Kind::HostPort),
    field("authUsername", "auth_username", Kind::Text),
    field("authPassword", "auth_password", Kind::Secret),
    field("authSecret", "auth_secret", Kind::Secret),
    field("authIdentity", "auth_identity", Kind::Text),
    field("headers", "headers", Kind::Pairs),
    field("html", "html", Kind::TextKept),
    field("text", "text", Kind::TextKept),
    field("requireTLS", "require_tls", Kind::FlagKept),
    field("forceImplicitTLS", "force_implicit_tls", Kind::FlagKept),
    field("threading", "threading", Kind::Threading),
    field("tlsConfig", "tls_config", Kind::Tls),
];

const VICTOROPS: &[Field] = &[
    field("apiKey", "api_key", Kind::Secret),
    field("apiUrl", "api_url", Kind::Url),
    field("routingKey", "routing_key", Kind::Text),
    field("messageType", "message_type", Kind::Text),
    field("entityDisplayName", "entity_display_name", Kind::Text),
    field("stateMessage", "state_message", Kind::Text),
    field("monitoringTool", "monitoring_tool", Kind::Text),
    field("customFields", "custom_fields", Kind::Pairs),
    field("httpConfig", "http_config", Kind::Http),
];

const PUSHOVER: &[Field] = &[
    field("userKey", "user_key", Kind::Secret),
    field("userKeyFile", "user_key_file", Kind::Text),
    field("token", "token", Kind::Secret),
    field("tokenFile", "token_file", Kind::Text),
    field("title", "title", Kind::Text),
    field("message", "message", Kind::Text),
    field("url", "url", Kind::UrlTemplate),
    field("urlTitle", "url_title", Kind::Text),
    field("ttl", "ttl", Kind::GoDurationText),
    field("device", "device", Kind::Text),
    field("sound", "sound", Kind::Text),
    field("priority", "priority", Kind::Text),
    field("retry", "retry", Kind::GoDuration),
    field("expire", "expire", Kind::GoDuration),
    field("html", "html", Kind::FlagKept),
    field("monospace", "monospace", Kind::FlagKept),
    field("httpConfig", "http_config", Kind::Http),
];

const SNS: &[Field] = &[
    field("apiURL", "api_url", Kind::UrlTemplate),
    field("sigv4", "sigv4", Kind::SigV4),
    field("topicARN", "topic_arn", Kind::Text),
    field("subject", "subject", Kind::Text),
    field("phoneNumber", "phone_number", Kind::Text),
    field("targetARN", "target_arn", Kind::Text),
    field("message", "message", Kind::Text),
    field("attributes", "attributes", Kind::TextMap),
    field("useAWSHTTPClient", "use_aws_http_client", Kind::Flag),
    field("httpConfig", "http_config", Kind::Http),
];

const TELEGRAM: &[Field] = &[
    field("apiURL", "api_url", Kind::Url),
    field("botToken", "bot_token", Kind::Secret),
    field("botTokenFile", "bot_token_file", Kind::Text),
    field("chatID", "chat_id", Kind::Number),
    field("messageThreadID", "message_thread_id", Kind::Number),
    field("message", "message", Kind::Text),
    field("disableNotifications", "disable_notifications", Kind::Flag),
    field("parseMode", "parse_mode", Kind::Text),
    field("httpConfig", "http_config", Kind::Http),
];

const DISCORD: &[Field] = &[
    field("apiURL", "webhook_url", Kind::SecretUrl),
    field("title", "title", Kind::Text),
    field("message", "message", Kind::Text),
    field("content", "content", Kind::Text),
    field("username", "username", Kind::Text),
    field("avatarURL", "avatar_url", Kind::UrlTemplate),
    field("httpConfig", "http_config", Kind::Http),
];

const WEBEX: &[Field] = &[
    field("apiURL", "api_url", Kind::Url),
    field("message", "message", Kind::Text),
    field("roomID", "room_id", Kind::Text),
    field("httpConfig", "http_config", Kind::Http),
];

const MSTEAMS: &[Field] = &[
    field("webhookUrl", "webhook_url", Kind::SecretUrl),
    field("title", "title", Kind::Text),
    field("summary", "summary", Kind::Text),
    field("text", "text", Kind::Text),
    field("httpConfig", "http_config", Kind::Http),
];

const MSTEAMS_V2: &[Field] = &[
    field("webhookURL", "webhook_url", Kind::SecretUrl),
    field("title", "title", Kind::Text),
    field("text", "text", Kind::Text),
    field("httpConfig", "http_config", Kind::Http),
];

const ROCKETCHAT: &[Field] = &[
    field("apiURL", "api_url", Kind::Url),
    field("channel", "channel", Kind::Text),
    field("token", "token", Kind::Secret),
    field("tokenID", "token_id", Kind::Secret),
    field("color", "color", Kind::Text),
    field("emoji", "emoji", Kind::Text),
    field("iconURL", "icon_url", Kind::UrlTemplate),
    field("text", "text", Kind::Text),
    field("title", "title", Kind::Text),
    field("titleLink", "title_link", Kind::UrlTemplate),
    field("fields", "fields", Kind::List(ROCKETCHAT_FIELD)),
    field("shortFields", "short_fields", Kind::FlagAlways),
    field("imageURL", "image_url", Kind::UrlTemplate),
    field("thumbURL", "thumb_url", Kind::UrlTemplate),
    field("linkNames", "link_names", Kind::FlagAlways),
    field("actions", "actions", Kind::List(ROCKETCHAT_ACTION)),
    field("httpConfig", "http_config", Kind::Http),
];
const ROCKETCHAT_FIELD: &[Field] = &[
    field("title", "title", Kind::Text),
    field("value", "value", Kind::Text),
    field("short", "short", Kind::FlagOrNull),
];
// The peers write is_webview and msg_in_chat_window besides, which no Alertmanager reads.
const ROCKETCHAT_ACTION: &[Field] = &[
    field("text", "text", Kind::Text),
    field("url", "url", Kind::UrlTemplate),
    field("msg", "msg", Kind::Text),
];

const MATTERMOST: &[Field] = &[
    field("webhookURL", "webhook_url", Kind::SecretUrl),
    field("channel", "channel", Kind::Text),
    field("username", "username", Kind::Text),
    field("text", "text", Kind::TextAlways),
    field("iconURL", "icon_url", Kind::UrlTemplate),
    field("iconEmoji", "icon_emoji", Kind::Text),
    field("attachments", "attachments", Kind::List(MATTERMOST_ATTACHMENT)),
    field("props", "props", Kind::Object(&[field("card", "card", Kind::TextKept)])),
    field("priority", "priority", Kind::Object(MATTERMOST_PRIORITY)),
    field("httpConfig", "http_config", Kind::Http),
];
const MATTERMOST_ATTACHMENT: &[Field] = &[
    field("fallback", "fallback", Kind::Text),
    field("color", "color", Kind::Text),
    field("pretext", "pretext", Kind::Text),
    field("text", "text", Kind::Text),
    field("authorName", "author_name", Kind::Text),
    field("authorLink", "author_link", Kind::UrlTemplate),
    field("authorIcon", "author_icon", Kind::UrlTemplate),
    field("title", "title", Kind::Text),
    field("titleLink", "title_link", Kind::UrlTemplate),
    field("fields", "fields", Kind::List(SHORT_FIELD)),
    field("thumbURL", "thumb_url", Kind::UrlTemplate),
    field("footer", "footer", Kind::Text),
    field("footerIcon", "footer_icon", Kind::UrlTemplate),
    field("imageURL", "image_url", Kind::UrlTemplate),
];
const MATTERMOST_PRIORITY: &[Field] = &[
    field("priority", "priority", Kind::Text),
    field("requestedAck", "requested_ack", Kind::FlagKept),
    field("persistentNotifications", "persistent_notifications", Kind::FlagKept),
];
