//! Since when Alertmanager knows what, as data. A number is the minor version: 28 is 0.28.0.

/// What holds for the fields of one integration.
pub(super) struct Gates {
    /// The list in a receiver.
    pub(super) list: &'static str,
    /// The version that brought it; before it the integration is an error, as nobody would be told anything.
    pub(super) since: u32,
    /// Fields that came later; before that they are left out.
    pub(super) fields: &'static [(&'static str, u32)],
    /// Two ways to say one thing: the first counts.
    pub(super) preferred: &'static [(&'static str, &'static str)],
    /// Two fields that must not stand together.
    pub(super) either: &'static [(&'static str, &'static str)],
    /// Of each group at least one must be there.
    pub(super) needed: &'static [&'static [&'static str]],
}

pub(super) const GLOBAL: &[(&str, u32)] = &[
    ("smtp_tls_config", 28),
    ("slack_api_url_file", 22),
    ("slack_app_token", 30),
    ("slack_app_token_file", 30),
    ("slack_app_url", 30),
    ("opsgenie_api_key_file", 24),
    ("smtp_auth_password_file", 25),
    ("victorops_api_key_file", 25),
    ("wechat_api_secret_file", 31),
    ("telegram_bot_token", 31),
    ("telegram_bot_token_file", 31),
    ("smtp_auth_secret_file", 31),
    ("smtp_force_implicit_tls", 31),
    ("mattermost_webhook_url", 32),
    ("mattermost_webhook_url_file", 32),
];

pub(super) const GLOBAL_PREFERRED: &[(&str, &str)] = &[
    ("slack_api_url", "slack_api_url_file"),
    ("slack_app_token", "slack_app_token_file"),
    ("smtp_auth_password", "smtp_auth_password_file"),
    ("smtp_auth_secret", "smtp_auth_secret_file"),
    ("victorops_api_key", "victorops_api_key_file"),
    ("wechat_api_secret", "wechat_api_secret_file"),
    ("telegram_bot_token", "telegram_bot_token_file"),
    ("mattermost_webhook_url", "mattermost_webhook_url_file"),
];

pub(super) const HTTP: &[(&str, u32)] =
    &[("follow_redirects", 22), ("enable_http2", 25), ("http_headers", 28)];

pub(super) const TLS: &[(&str, u32)] = &[("min_version", 25), ("max_version", 25)];

pub(super) const PROXY: &[(&str, u32)] =
    &[("proxy_from_environment", 26), ("no_proxy", 26), ("proxy_connect_header", 26)];

pub(super) const ROUTE: &[(&str, u32)] = &[("mute_time_intervals", 22), ("active_time_intervals", 24)];

const NONE: Gates = Gates { list: "", since: 0, fields: &[], preferred: &[], either: &[], needed: &[] };

pub(super) const INTEGRATIONS: &[Gates] = &[
    Gates {
        list: "email_configs",
        fields: &[
            ("auth_password_file", 25),
            ("threading", 30),
            ("force_implicit_tls", 31),
            ("auth_secret_file", 31),
        ],
        preferred: &[("auth_password", "auth_password_file"), ("auth_secret", "auth_secret_file")],
        ..NONE
    },
    Gates {
        list: "opsgenie_configs",
        fields: &[("actions", 24), ("entity", 24), ("update_alerts", 24), ("api_key_file", 24)],
        preferred: &[("api_key", "api_key_file")],
        ..NONE
    },
    Gates {
        list: "pagerduty_configs",
        fields: &[("source", 25), ("routing_key_file", 25), ("service_key_file", 25), ("timeout", 30)],
        preferred: &[("service_key", "service_key_file"), ("routing_key", "routing_key_file")],
        ..NONE
    },
    Gates {
        list: "pushover_configs",
        fields: &[("user_key_file", 26), ("token_file", 26), ("device", 26), ("ttl", 27)],
        preferred: &[("user_key", "user_key_file"), ("token", "token_file")],
        needed: &[&["user_key", "user_key_file"], &["token", "token_file"]],
        ..NONE
    },
    Gates {
        list: "slack_configs",
        fields: &[
            ("api_url_file", 22),
            ("timeout", 30),
            ("app_token", 30),
            ("app_token_file", 30),
            ("app_url", 30),
            ("message_text", 31),
            ("update_message", 32),
        ],
        preferred: &[("app_token", "app_token_file"), ("api_url", "api_url_file")],
        ..NONE
    },
    Gates {
        list: "victorops_configs",
        fields: &[("api_key_file", 25)],
        preferred: &[("api_key", "api_key_file")],
        ..NONE
    },
    Gates {
        list: "webhook_configs",
        fields: &[("url_file", 26), ("timeout", 28), ("payload", 32)],
        preferred: &[("url", "url_file")],
        ..NONE
    },
    Gates {
        list: "wechat_configs",
        fields: &[("api_secret_file", 31)],
        preferred: &[("api_secret", "api_secret_file")],
        ..NONE
    },
    Gates { list: "sns_configs", fields: &[("use_aws_http_client", 33)], ..NONE },
    Gates {
        list: "telegram_configs",
        since: 24,
        fields: &[("bot_token_file", 26), ("message_thread_id", 26), ("chat_id_file", 31)],
        preferred: &[("bot_token", "bot_token_file"), ("chat_id", "chat_id_file")],
        needed: &[&["chat_id", "chat_id_file"]],
        ..NONE
    },
    Gates {
        list: "discord_configs",
        since: 25,
        fields: &[("webhook_url_file", 28), ("content", 28), ("username", 28), ("avatar_url", 28)],
        either: &[("webhook_url", "webhook_url_file")],
        needed: &[&["webhook_url", "webhook_url_file"]],
        ..NONE
    },
    Gates { list: "webex_configs", since: 25, needed: &[&["room_id"]], ..NONE },
    Gates {
        list: "msteams_configs",
        since: 26,
        fields: &[("summary", 27)],
        needed: &[&["webhook_url", "webhook_url_file"]],
        ..NONE
    },
    Gates {
        list: "msteamsv2_configs",
        since: 28,
        either: &[("webhook_url", "webhook_url_file")],
        needed: &[&["webhook_url", "webhook_url_file"]],
        ..NONE
    },
    Gates {
        list: "jira_configs",
        since: 28,
        fields: &[("api_type", 29)],
        needed: &[&["project"], &["issue_type"]],
        ..NONE
    },
    Gates {
        list: "rocketchat_configs",
        since: 28,
        either: &[("token", "token_file"), ("token_id", "token_id_file")],
        ..NONE
    },
    Gates {
        list: "incidentio_configs",
        since: 29,
        either: &[("url", "url_file"), ("alert_source_token", "alert_source_token_file")],
        needed: &[&["url", "url_file"]],
        ..NONE
    },
    Gates {
        list: "mattermost_configs",
        since: 30,
        fields: &[
            ("fallback", 32),
            ("color", 32),
            ("pretext", 32),
            ("author_name", 32),
            ("author_link", 32),
            ("author_icon", 32),
            ("title", 32),
            ("title_link", 32),
            ("thumb_url", 32),
            ("footer", 32),
            ("footer_icon", 32),
            ("image_url", 32),
            ("fields", 32),
        ],
        preferred: &[("webhook_url", "webhook_url_file")],
        ..NONE
    },
];
