use serde_json::{Value, json};

use super::*;
use crate::scrape::assets::HeldAssets;

pub(super) fn settings() -> Settings {
    Settings {
        version: "0.33.1".parse().unwrap(),
        strategy: Strategy::OnNamespace,
        alertmanager_namespace: "monitoring".to_owned(),
        tls_dir: "/tls".to_owned(),
        files: FilesFrom::Assets,
        hide_secrets: false,
        defaults: Defaults::default(),
    }
}

pub(super) fn assets() -> HeldAssets {
    let mut assets = HeldAssets::default();
    assets.add(&json!({
        "kind": "Secret",
        "metadata": { "namespace": "team", "name": "s" },
        "stringData": {
            "url": "https://hook.example/T0KEN\n",
            "key": "K3Y",
            "pem": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
            "empty": "",
        },
        "data": { "binary": "//79" },
    }));
    assets.add(&json!({
        "kind": "ConfigMap",
        "metadata": { "namespace": "team", "name": "c" },
        "data": { "id": "client", "pem": "-----BEGIN CERTIFICATE-----\n" },
    }));
    assets.add(&json!({
        "kind": "Secret",
        "metadata": { "namespace": "other", "name": "foreign" },
        "stringData": { "key": "not yours" },
    }));
    assets
}

pub(super) fn config(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": API_VERSIONS[0],
        "kind": KIND,
        "metadata": { "namespace": "team", "name": name },
        "spec": spec,
    })
}

fn with_receiver(receiver: Value) -> Value {
    let mut receiver = receiver;
    receiver["name"] = json!("r");
    config("a", json!({ "route": { "receiver": "r" }, "receivers": [receiver] }))
}

fn built(settings: &Settings, receiver: Value) -> Value {
    build_routing(settings, &with_receiver(receiver), &assets()).unwrap().receivers[0].clone()
}

fn fault(settings: &Settings, object: &Value) -> String {
    build_routing(settings, object, &assets()).expect_err(&object.to_string()).to_string()
}

pub(super) fn base() -> Base {
    let text = "route: { receiver: none, routes: [{ receiver: none, matchers: [own=\"1\"] }] }\nreceivers: [{ name: none }]\n";
    Base::from_yaml(text, settings().version).unwrap()
}

/// A part that depends on nothing else can be kept; what comes of many must not depend on the order they come
/// in.
#[test]
fn parts_are_merged_in_the_order_of_their_ids_before_the_routes_of_the_base() {
    let spec = |label: &str| {
        json!({
            "route": { "receiver": "r", "matchers": [{ "name": label, "value": "1", "matchType": "=" }],
                "muteTimeIntervals": ["night"] },
            "receivers": [{ "name": "r" }],
            "inhibitRules": [{ "sourceMatch": [{ "name": "a", "value": "b" }], "equal": ["c"] }],
            "muteTimeIntervals": [{ "name": "night",
                "timeIntervals": [{ "times": [{ "startTime": "22:00", "endTime": "24:00" }] }] }],
        })
    };
    let parts: Vec<Built> = ["b", "a"]
        .map(|name| build_routing(&settings(), &config(name, spec(name)), &assets()).unwrap())
        .to_vec();
    let merged = base().merge(&parts);
    assert_eq!(merged, base().merge(parts.iter().rev()));
    let routes = merged["route"]["routes"].as_array().unwrap();
    let receivers: Vec<&str> = routes.iter().map(|r| r["receiver"].as_str().unwrap()).collect();
    assert_eq!(receivers, ["team/a/r", "team/b/r", "none"]);
    assert_eq!(routes[0]["continue"], true);
    assert_eq!(routes[0]["matchers"], json!(["a=\"1\"", "namespace=\"team\""]));
    assert_eq!(routes[0]["mute_time_intervals"], json!(["team/a/night"]));
    assert!(routes[2].get("continue").is_none());
    assert_eq!(merged["mute_time_intervals"][1]["name"], "team/b/night");
    assert_eq!(merged["inhibit_rules"][0]["source_matchers"], json!(["a=\"b\"", "namespace=\"team\""]));
    assert_eq!(merged["inhibit_rules"][0]["target_matchers"], json!(["namespace=\"team\""]));
    assert_eq!(base().merge([]), Value::Object(base().config));
}

#[test]
fn both_versions_of_the_api_become_the_same() {
    let interval = json!([{ "name": "i", "timeIntervals": [{ "weekdays": ["monday"] }] }]);
    let alpha = config(
        "a",
        json!({
            "route": { "receiver": "r", "activeTimeIntervals": ["i"], "matchers": [{ "name": "n", "value": "v" }] },
            "receivers": [{ "name": "r" }],
            "muteTimeIntervals": interval,
        }),
    );
    let mut beta = alpha.clone();
    beta["apiVersion"] = json!(API_VERSIONS[1]);
    let spec = beta["spec"].as_object_mut().unwrap();
    let intervals = spec.remove("muteTimeIntervals").unwrap();
    spec.insert("timeIntervals".to_owned(), intervals);
    beta["spec"]["route"]["matchers"][0]["matchType"] = json!("=");
    let build = |object| build_routing(&settings(), object, &assets()).unwrap();
    assert!(build(&alpha) == build(&beta));
}

#[test]
fn a_strategy_says_whose_alerts_an_object_gets() {
    let object = |namespace: &str| {
        let mut object = config("a", json!({ "route": { "receiver": "r" }, "receivers": [{ "name": "r" }] }));
        object["metadata"]["namespace"] = json!(namespace);
        object
    };
    for (strategy, namespace, held) in [
        (Strategy::OnNamespace, "team", true),
        (Strategy::OnNamespace, "monitoring", true),
        (Strategy::OnNamespaceExceptForAlertmanagerNamespace, "team", true),
        (Strategy::OnNamespaceExceptForAlertmanagerNamespace, "monitoring", false),
        (Strategy::None, "team", false),
        (Strategy::from_type("unheard of"), "team", true),
    ] {
        let settings = Settings { strategy, ..settings() };
        let route = build_routing(&settings, &object(namespace), &assets()).unwrap().route.unwrap();
        assert_eq!(route.get("matchers").is_some(), held, "{strategy:?} {namespace}");
        assert_eq!(route["continue"], true);
    }
}

#[test]
fn contents_come_from_the_objects_own_namespace_only() {
    let slack =
        |name: &str, key: &str| json!({ "slackConfigs": [{ "apiURL": { "name": name, "key": key } }] });
    let read = built(&settings(), slack("s", "url"));
    assert_eq!(read["slack_configs"][0]["api_url"], "https://hook.example/T0KEN");
    for (name, key, word) in [
        ("foreign", "key", "Secret team/foreign, which does not exist"),
        ("s", "no", "no key \"no\""),
        ("s", "binary", "binary content"),
        ("s", "key", "no URL"),
        ("../other/foreign", "key", "the name of a Secret"),
        ("s", "a/b", "a key of the Secret"),
    ] {
        let told = fault(&settings(), &with_receiver(slack(name, key)));
        assert!(told.contains(word) && told.contains("spec.receivers[0].slackConfigs[0].apiURL"), "{told}");
        assert!(!told.contains("T0KEN") && !told.contains("K3Y") && !told.contains("not yours"), "{told}");
    }
}

#[test]
fn secrets_are_hidden_where_they_are_only_shown() {
    let hidden = Settings { hide_secrets: true, ..settings() };
    let receiver = json!({
        "slackConfigs": [{ "apiURL": { "name": "s", "key": "url" },
            "httpConfig": { "basicAuth": { "password": { "name": "s", "key": "key" } } } }],
    });
    let text = built(&hidden, receiver.clone()).to_string();
    assert!(!text.contains("T0KEN") && !text.contains("K3Y") && text.contains("<secret>"), "{text}");
    let part = build_routing(&settings(), &with_receiver(receiver), &assets()).unwrap();
    assert!(!format!("{part:?}").contains("K3Y"));
    assert!(!format!("{:?}", assets()).contains("K3Y"));
}

#[test]
fn certificates_become_files_beside_the_configuration() {
    let tls = json!({
        "ca": { "configMap": { "name": "c", "key": "pem" } },
        "cert": { "secret": { "name": "s", "key": "pem" } },
        "keySecret": { "name": "s", "key": "pem" },
    });
    let receiver =
        |tls: Value| json!({ "webhookConfigs": [{ "url": "http://h", "httpConfig": { "tlsConfig": tls } }] });
    let part = build_routing(&settings(), &with_receiver(receiver(tls)), &assets()).unwrap();
    let written = &part.receivers[0]["webhook_configs"][0]["http_config"]["tls_config"];
    assert_eq!(
        written,
        &json!({ "ca_file": "/tls/1_team_c_pem", "cert_file": "/tls/0_team_s_pem",
            "key_file": "/tls/0_team_s_pem", "insecure_skip_verify": false })
    );
    assert_eq!(part.files.keys().collect::<Vec<_>>(), ["/tls/0_team_s_pem", "/tls/1_team_c_pem"]);
    for (tls, word) in [
        (json!({ "ca": { "secret": { "name": "s", "key": "key" } } }), "no PEM"),
        (json!({ "ca": { "secret": { "name": "gone", "key": "key" } } }), "does not exist"),
        (json!({ "cert": { "secret": { "name": "s", "key": "pem" } } }), "cert without keySecret"),
        (json!({ "minVersion": "TLS13", "maxVersion": "TLS12" }), "minVersion above"),
        (json!({ "minVersion": "SSL3" }), "TLS12"),
    ] {
        assert!(fault(&settings(), &with_receiver(receiver(tls.clone()))).contains(word), "{tls}");
    }
}

/// Every integration once, with every kind of field that it has; what comes out is what Alertmanager reads.
#[test]
fn every_integration_is_written_in_alertmanagers_words() {
    let key = json!({ "name": "s", "key": "key" });
    let url = json!({ "name": "s", "key": "url" });
    let receiver = json!({
        "opsgenieConfigs": [{ "apiKey": key, "updateAlerts": false, "details": [{ "key": "a", "value": "b" }],
            "responders": [{ "type": "teams", "name": "t" }], "sendResolved": false }],
        "pagerdutyConfigs": [{ "routingKey": key, "pagerDutyLinkConfigs": [{ "href": "http://h", "alt": "t" }],
            "timeout": "90s" }],
        "webhookConfigs": [{ "url": "http://plain", "urlSecret": url, "maxAlerts": 0, "timeout": "" }],
        "wechatConfigs": [{ "apiSecret": key, "corpID": "c" }],
        "emailConfigs": [{ "to": "a@b", "from": "c@d", "smarthost": "m:25", "html": "", "requireTLS": false,
            "headers": [{ "key": "Subject", "value": "s" }], "tlsConfig": {} }],
        "pushoverConfigs": [{ "userKey": key, "token": key, "retry": "60s", "expire": "24h", "ttl": "1d", "sound": "siren", "html": true }],
        "victoropsConfigs": [{ "apiKey": key, "routingKey": "k", "apiUrl": "https://v" }],
        "snsConfigs": [{ "topicARN": "t", "sigv4": { "region": "r", "accessKey": key, "secretKey": key },
            "attributes": { "a": "b" } }],
        "telegramConfigs": [{ "botToken": key, "chatID": -1, "disableNotifications": false }],
        "discordConfigs": [{ "apiURL": url, "avatarURL": "https://a" }],
        "webexConfigs": [{ "roomID": "r", "httpConfig": { "authorization": { "credentials": key } } }],
        "msteamsConfigs": [{ "webhookUrl": url, "summary": "s" }],
        "msteamsv2Configs": [{ "webhookURL": url }],
        "rocketchatConfigs": [{ "token": key, "tokenID": key, "fields": [{ "title": "t" }],
            "actions": [{ "text": "x" }] }],
        "mattermostConfigs": [{ "webhookURL": url, "priority": { "priority": "urgent", "requestedAck": false } }],
    });
    let read = built(&settings(), receiver);
    let want = json!({
        "name": "team/a/r",
        "opsgenie_configs": [{ "api_key": "K3Y", "update_alerts": false, "details": { "a": "b" },
            "responders": [{ "type": "teams", "name": "t" }], "send_resolved": false }],
        "pagerduty_configs": [{ "routing_key": "K3Y", "links": [{ "href": "http://h", "text": "t" }],
            "timeout": "1m30s" }],
        "webhook_configs": [{ "url": "https://hook.example/T0KEN" }],
        "wechat_configs": [{ "api_secret": "K3Y", "corp_id": "c" }],
        "email_configs": [{ "to": "a@b", "from": "c@d", "smarthost": "m:25", "html": "", "require_tls": false,
            "headers": { "Subject": "s" }, "tls_config": { "insecure_skip_verify": false } }],
        "pushover_configs": [{ "user_key": "K3Y", "token": "K3Y", "retry": "1m", "expire": "24h", "ttl": "24h", "sound": "siren", "html": true }],
        "victorops_configs": [{ "api_key": "K3Y", "routing_key": "k", "api_url": "https://v" }],
        "sns_configs": [{ "topic_arn": "t", "sigv4": { "region": "r", "access_key": "K3Y", "secret_key": "K3Y" },
            "attributes": { "a": "b" } }],
        "telegram_configs": [{ "bot_token": "K3Y", "chat_id": -1 }],
        "discord_configs": [{ "webhook_url": "https://hook.example/T0KEN", "avatar_url": "https://a" }],
        "webex_configs": [{ "room_id": "r",
            "http_config": { "authorization": { "type": "Bearer", "credentials": "K3Y" } } }],
        "msteams_configs": [{ "webhook_url": "https://hook.example/T0KEN", "summary": "s" }],
        "msteamsv2_configs": [{ "webhook_url": "https://hook.example/T0KEN" }],
        "rocketchat_configs": [{ "token": "K3Y", "token_id": "K3Y", "short_fields": false, "link_names": false,
            "fields": [{ "title": "t", "short": null }],
            "actions": [{ "text": "x" }] }],
        "mattermost_configs": [{ "webhook_url": "https://hook.example/T0KEN", "text": "",
            "priority": { "priority": "urgent", "requested_ack": false } }],
    });
    assert_eq!(read, want);
}

#[test]
fn what_alertmanager_refuses_as_a_whole_is_refused_alone() {
    let key = json!({ "name": "s", "key": "key" });
    let empty = json!({ "name": "s", "key": "empty" });
    let url = json!({ "name": "s", "key": "url" });
    for (receiver, words) in [
        (json!({ "slackConfigs": [{}] }), "apiURL"),
        (json!({ "opsgenieConfigs": [{ "apiKey": empty }] }), "apiKey"),
        (json!({ "pagerdutyConfigs": [{}] }), "routingKey"),
        (json!({ "webhookConfigs": [{}] }), "urlSecret"),
        (json!({ "webhookConfigs": [{ "url": "example.com" }] }), "http://"),
        (json!({ "wechatConfigs": [{ "apiSecret": key }] }), "corpID"),
        (json!({ "emailConfigs": [{ "from": "a", "smarthost": "b:1" }] }), "to"),
        (json!({ "emailConfigs": [{ "to": "a", "from": "a" }] }), "smarthost"),
        (json!({ "emailConfigs": [{ "to": "a", "smarthost": "b:1" }] }), "from"),
        (json!({ "emailConfigs": [{ "to": "a", "from": "a", "smarthost": "b" }] }), "port"),
        (
            json!({ "emailConfigs": [{ "to": "a", "from": "a", "smarthost": "b:1",
            "headers": [{ "key": "A", "value": "" }, { "key": "a", "value": "" }] }] }),
            "twice",
        ),
        (
            json!({ "victoropsConfigs": [{ "apiKey": key, "routingKey": "k",
            "customFields": [{ "key": "entity_id", "value": "v" }] }] }),
            "entity_id",
        ),
        (json!({ "pushoverConfigs": [{ "userKey": empty, "token": key }] }), "userKey"),
        (
            json!({ "pushoverConfigs": [{ "userKey": key, "token": key, "html": true, "monospace": true }] }),
            "both",
        ),
        (json!({ "snsConfigs": [{ "topicARN": "a", "targetARN": "b" }] }), "exactly one"),
        (json!({ "snsConfigs": [{ "topicARN": "a", "sigv4": { "accessKey": key } }] }), "both of them"),
        (json!({ "telegramConfigs": [{ "botToken": key }] }), "chatID"),
        (json!({ "telegramConfigs": [{ "chatID": 1 }] }), "botToken"),
        (json!({ "discordConfigs": [{}] }), "apiURL"),
        (json!({ "webexConfigs": [{ "roomID": "r" }] }), "authorization"),
        (json!({ "rocketchatConfigs": [{ "token": key }] }), "tokenID"),
        (json!({ "opsgenieConfigs": [{ "apiKey": key, "responders": [{ "type": "team" }] }] }), "username"),
        (
            json!({ "opsgenieConfigs": [{ "apiKey": key, "responders": [{ "type": "x", "id": "a" }] }] }),
            "schedule",
        ),
        (json!({ "wechatConfigs": [{ "apiSecret": key, "corpID": "c", "messageType": "x" }] }), "markdown"),
        (json!({ "telegramConfigs": [{ "botToken": key, "chatID": 1, "parseMode": "x" }] }), "HTML"),
        (json!({ "slackConfigs": [{ "apiURL": url, "fields": [{ "title": "t" }] }] }), "no value"),
        (
            json!({ "slackConfigs": [{ "apiURL": url, "actions": [{ "type": "t", "text": "x" }] }] }),
            "neither name nor url",
        ),
        (
            json!({ "slackConfigs": [{ "apiURL": url,
            "actions": [{ "type": "t", "text": "x", "name": "n", "confirm": {} }] }] }),
            "confirm",
        ),
        (json!({ "webhookConfigs": [{ "url": "http://h", "maxAlerts": -1 }] }), "maxAlerts"),
        (
            json!({ "mattermostConfigs": [{ "webhookURL": url, "attachments": [{ "fields": [{ "value": "v" }] }] }] }),
            "attachments[0].fields[0]: found no title",
        ),
        (json!({ "slackConfigs": [{ "title": 1 }] }), "a text"),
        (json!({ "slackConfigs": { "title": "x" } }), "a list"),
        (json!({ "webhookConfigs": [{ "url": "http://h", "timeout": "5 s" }] }), "duration"),
        (
            json!({ "webhookConfigs": [{ "url": "http://h", "httpConfig": { "bearerTokenSecret": key,
            "authorization": { "credentials": key } } }] }),
            "one of them",
        ),
        (
            json!({ "webhookConfigs": [{ "url": "http://h",
            "httpConfig": { "authorization": { "type": "Basic", "credentials": key } } }] }),
            "basicAuth",
        ),
        (json!({ "webhookConfigs": [{ "url": "http://h", "httpConfig": { "noProxy": "x" } }] }), "proxy_url"),
        (
            json!({ "webhookConfigs": [{ "url": "http://h", "httpConfig": { "proxyUrl": "proxy" } }] }),
            "proxy",
        ),
    ] {
        let told = fault(&settings(), &with_receiver(receiver.clone()));
        assert!(told.contains(words) && told.contains("; write "), "{receiver}: {told}");
    }
}

#[test]
fn what_the_base_gives_may_be_left_out() {
    let config = json!({
        "global": { "slack_api_url_file": "/f", "smtp_from": "a", "smtp_smarthost": "b:1", "opsgenie_api_key": "" },
        "route": { "receiver": "none" },
        "receivers": [{ "name": "none" }],
    });
    let base = Base::from_config(config, settings().version).unwrap();
    let settings = Settings { defaults: base.defaults(), ..settings() };
    built(&settings, json!({ "slackConfigs": [{}], "emailConfigs": [{ "to": "a" }] }));
    assert!(fault(&settings, &with_receiver(json!({ "opsgenieConfigs": [{}] }))).contains("apiKey"));
}

#[test]
fn routes_and_matchers_at_fault_are_told_with_their_place() {
    let object = |route: Value| config("a", json!({ "route": route, "receivers": [{ "name": "ops" }] }));
    for (route, place, words) in [
        (json!({}), "spec.route.receiver", "no receiver"),
        (json!({ "receiver": "opz" }), "spec.route.receiver", "ops, if that is what is meant"),
        (
            json!({ "receiver": "ops", "routes": [{ "severity": "x" }] }),
            "spec.route.routes[0]",
            "\"severity\"",
        ),
        (json!({ "receiver": "ops", "routes": [{ "reciever": "ops" }] }), "routes[0]", "write receiver"),
        (json!({ "receiver": "ops", "groupBy": ["a", "a"] }), "groupBy[1]", "second time"),
        (json!({ "receiver": "ops", "groupBy": ["...", "a"] }), "groupBy[0]", "alone"),
        (json!({ "receiver": "ops", "groupWait": "soon" }), "groupWait", "duration"),
        (json!({ "receiver": "ops", "muteTimeIntervals": ["x"] }), "muteTimeIntervals[0]", "does not exist"),
        (
            json!({ "receiver": "ops", "matchers": [{ "name": "", "value": "a" }] }),
            "matchers[0].name",
            "label",
        ),
        (
            json!({ "receiver": "ops", "matchers": [{ "name": "a", "matchType": "~" }] }),
            "matchType",
            "one of",
        ),
        (
            json!({ "receiver": "ops", "matchers": [{ "name": "a", "value": "(", "matchType": "=~" }] }),
            "matchers[0].value",
            "regular expression",
        ),
        (
            json!({ "receiver": "ops", "matchers": [{ "name": "a", "value": "[", "regex": true }] }),
            "matchers[0].value",
            "regular expression",
        ),
    ] {
        let told = fault(&settings(), &object(route.clone()));
        assert!(told.contains(place) && told.contains(words), "{route}: {told}");
    }
    let twice = config("a", json!({ "receivers": [{ "name": "a" }, { "name": "a" }] }));
    assert!(fault(&settings(), &twice).contains("a second time"));
    let deep = (0..200)
        .fold(json!({ "receiver": "ops" }), |route, _| json!({ "receiver": "ops", "routes": [route] }));
    assert!(fault(&settings(), &object(deep)).contains("fewer routes below routes"));
}

#[test]
fn matchers_are_written_for_the_parser_of_the_version() {
    let route = |version: &str, matcher: Value| {
        let settings = Settings { version: version.parse().unwrap(), ..settings() };
        let spec =
            json!({ "route": { "receiver": "r", "matchers": [matcher] }, "receivers": [{ "name": "r" }] });
        build_routing(&settings, &config("a", spec), &assets()).map(|built| built.route.unwrap())
    };
    let first = |version, matcher| route(version, matcher).unwrap()["matchers"][0].clone();
    let text = json!({ "name": "a", "value": "x\"\\\ny", "matchType": "!=" });
    assert_eq!(first("0.22.0", text.clone()), r#"a!="x\"\\\ny""#);
    assert_eq!(first("0.22.0", json!({ "name": "a", "value": ".*", "regex": true })), "a=~\".*\"");
    let utf8 = json!({ "name": "größe.é", "value": "1" });
    assert_eq!(first("0.27.0", utf8.clone()), "\"größe.é\"=\"1\"");
    assert!(route("0.26.0", utf8).unwrap_err().to_string().contains("0.27.0"));
    // Before 0.22 they are two maps, and an operator is not known.
    assert!(route("0.21.0", text).unwrap_err().to_string().contains("0.22.0"));
    let old = route("0.21.0", json!({ "name": "a", "value": ".*", "regex": true })).unwrap();
    assert_eq!((&old["match_re"], &old["match"]), (&json!({ "a": ".*" }), &json!({ "namespace": "team" })));
}

#[test]
fn what_a_version_does_not_know_is_left_out_and_told() {
    let old = Settings { version: "0.24.0".parse().unwrap(), ..settings() };
    let key = json!({ "name": "s", "key": "key" });
    let object = with_receiver(json!({
        "pagerdutyConfigs": [{ "routingKey": key, "source": "s", "httpConfig": { "enableHttp2": true } }],
    }));
    let part = build_routing(&old, &object, &assets()).unwrap();
    assert_eq!(part.receivers[0]["pagerduty_configs"], json!([{ "routing_key": "K3Y", "http_config": {} }]));
    let told = part.notes.join("\n");
    assert!(told.contains("pagerduty_configs[0].source: left out") && told.contains("0.25.0"), "{told}");
    assert!(told.contains("enable_http2"), "{told}");
    let discord = with_receiver(json!({ "discordConfigs": [{ "apiURL": { "name": "s", "key": "url" } }] }));
    assert!(fault(&old, &discord).contains("0.25.0 or newer"));
    let proxy =
        with_receiver(json!({ "webhookConfigs": [{ "url": "http://h", "httpConfig": { "noProxy": "x" } }] }));
    assert!(fault(&old, &proxy).contains("0.25.0"));
}

#[test]
fn bases_are_read_within_bounds() {
    let version = settings().version;
    for (text, words) in [
        ("", "config"),
        ("[]", "no object"),
        ("route: {}", "no receiver"),
        ("receivers: []", "no route"),
        ("route: { receiver: a, continue: true }", "continue"),
        ("route: { receiver: a, matchers: [x=y] }", "first route"),
        ("route: [", "YAML"),
        ("route: { receiver: a, group_wait: never }", "duration"),
    ] {
        let told = Base::from_yaml(text, version).expect_err(text).to_string();
        assert!(told.contains(words), "{text}: {told}");
    }
    // Each line names the one before ten times: without a budget this is 10^9 texts.
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..9 {
        let before = format!("*a{},", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{before}]\n"));
    }
    bomb.push_str("route: { receiver: a }\n");
    assert!(Base::from_yaml(&bomb, version).is_err());
    assert!(
        Base::from_yaml(&"x".repeat(MAX_BASE_BYTES + 1), version).unwrap_err().to_string().contains("bytes")
    );
    let deep = format!("route: {}a{}", "[".repeat(5000), "]".repeat(5000));
    assert!(Base::from_yaml(&deep, version).is_err());
}

/// One Secret named again and again must not fill the memory.
#[test]
fn contents_of_one_object_are_bounded() {
    let mut assets = assets();
    assets.add(&json!({ "kind": "Secret", "metadata": { "namespace": "team", "name": "large" },
        "stringData": { "key": "x".repeat(1 << 20) } }));
    let one = json!({ "routingKey": { "name": "large", "key": "key" } });
    let object = with_receiver(json!({ "pagerdutyConfigs": vec![one; 1000] }));
    let told = build_routing(&settings(), &object, &assets).unwrap_err().to_string();
    assert!(told.contains("bytes of contents"), "{told}");
}

#[test]
fn a_base_of_one_object_takes_its_global_part_along() {
    let object = config(
        "a",
        json!({
            "route": { "receiver": "r" },
            "receivers": [{ "name": "r", "slackConfigs": [{}] }],
        }),
    );
    let global = json!({
        "slackApiUrl": { "name": "s", "key": "url" },
        "resolveTimeout": "5m",
        "smtp": { "smartHost": { "host": "::1", "port": "25" }, "requireTLS": false,
            "tlsConfig": { "ca": { "secret": { "name": "s", "key": "pem" } } } },
    });
    let base = Base::from_object(&settings(), &object, Some(&global), &assets()).unwrap();
    assert_eq!(
        Value::Object(base.config.clone()),
        json!({
            "global": { "slack_api_url": "https://hook.example/T0KEN", "resolve_timeout": "5m",
                "smtp_smarthost": "[::1]:25", "smtp_require_tls": false,
                "smtp_tls_config": { "ca_file": "/tls/0_team_s_pem", "insecure_skip_verify": false } },
            "route": { "receiver": "team/a/r" },
            "receivers": [{ "name": "team/a/r", "slack_configs": [{}] }],
            "templates": [],
        })
    );
    assert_eq!(base.files.len(), 1);
    assert!(Base::from_object(&settings(), &object, None, &assets()).is_err());
    let told = |global: Value| {
        Base::from_object(&settings(), &object, Some(&global), &assets()).unwrap_err().to_string()
    };
    assert!(told(json!({ "pagerdutyUrl": "example.com" })).contains("global.pagerdutyUrl"));
    assert!(told(json!({ "telegram": { "apiURL": "://x" } })).contains("global.telegram.apiURL"));
    let old = Settings { version: "0.27.0".parse().unwrap(), ..settings() };
    let jira = json!({ "jira": { "apiURL": "https://j" } });
    assert!(
        Base::from_object(&old, &object, Some(&jira), &assets()).unwrap_err().to_string().contains("0.28.0")
    );
}
