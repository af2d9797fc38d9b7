//! What becomes of AlertmanagerConfigs and PrometheusRules, judged by the tools of the engines themselves.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use obstack::rules::objects::{RuleSettings, build_rules};
use obstack::scrape::assets::HeldAssets;
use obstack::scrape::routing::{Base, FilesFrom, Settings, Strategy, build_routing};
use obstack::yaml::emit;
use obstack_tests::mutate::{Random, mutate};
use serde_json::{Value, json};

/// Longest that a tool may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Runs a tool on files; what it said where it refuses.
fn judged<P: AsRef<Path>>(tool: &str, arguments: &[&str], files: &[P]) -> Result<(), String> {
    obstack_tests::parts::require();
    let binary = obstack_tests::parts::find(tool).unwrap();
    let told = tempfile::NamedTempFile::new().unwrap();
    let output = || Stdio::from(told.reopen().unwrap());
    let mut child = Command::new(binary)
        .args(arguments)
        .args(files.iter().map(AsRef::as_ref))
        .stdin(Stdio::null())
        .stdout(output())
        .stderr(output())
        .spawn()
        .unwrap();
    let end = Instant::now() + TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            break child.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if status.success() { Ok(()) } else { Err(std::fs::read_to_string(told.path()).unwrap()) }
}

fn object(kind: &str, api: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": format!("monitoring.coreos.com/{api}"),
        "kind": kind,
        "metadata": { "namespace": "team", "name": name, "uid": format!("uid-{name}") },
        "spec": spec,
    })
}

/// A receiver with every integration, and every kind of field in it.
fn receiver() -> Value {
    let key = json!({ "name": "s", "key": "key" });
    let url = json!({ "name": "s", "key": "url" });
    let http = json!({
        "oauth2": { "clientId": { "secret": key }, "clientSecret": key, "tokenUrl": "https://t.example",
            "scopes": ["a"], "endpointParams": { "b": "c" }, "tlsConfig": { "insecureSkipVerify": true } },
        "tlsConfig": { "ca": { "secret": { "name": "s", "key": "pem" } }, "serverName": "x", "minVersion": "TLS12" },
        "proxyUrl": "http://proxy.example:3128", "noProxy": "10.0.0.0/8",
        "proxyConnectHeader": { "X-A": [key] }, "followRedirects": false, "enableHttp2": false,
    });
    json!({
        "name": "all",
        "opsgenieConfigs": [{ "apiKey": key, "apiURL": "https://o.example", "message": "m", "priority": "P1",
            "updateAlerts": true, "details": [{ "key": "a", "value": "b" }], "entity": "e", "actions": "x",
            "responders": [{ "type": "team", "name": "t" }], "tags": "t", "note": "n", "httpConfig": http }],
        "pagerdutyConfigs": [{ "routingKey": key, "url": "https://p.example", "client": "c", "clientURL": "{{ .ExternalURL }}",
            "severity": "s", "class": "c", "component": "c", "group": "g", "source": "s", "timeout": "10s",
            "details": [{ "key": "a", "value": "b" }], "pagerDutyImageConfigs": [{ "src": "https://i.example", "alt": "a" }],
            "pagerDutyLinkConfigs": [{ "href": "https://l.example", "alt": "t" }] }],
        "slackConfigs": [{ "apiURL": url, "channel": "#c", "fields": [{ "title": "t", "value": "v", "short": true }],
            "actions": [{ "type": "button", "text": "x", "url": "https://u.example", "name": "n",
                "confirm": { "text": "t", "okText": "o", "dismissText": "d" } }],
            "shortFields": true, "linkNames": true, "mrkdwnIn": ["text"], "callbackId": "c", "titleLink": "https://t.example",
            "messageText": "m", "timeout": "5s" }],
        "webhookConfigs": [{ "urlSecret": url, "maxAlerts": 5, "timeout": "24h", "sendResolved": false,
            "httpConfig": { "authorization": { "type": "Token", "credentials": key } } }],
        "wechatConfigs": [{ "apiSecret": key, "corpID": "c", "agentID": "a", "toUser": "u", "toParty": "p", "toTag": "t",
            "messageType": "markdown" }],
        "emailConfigs": [{ "to": "a@b.example", "from": "c@d.example", "smarthost": "mail.example:587", "hello": "h",
            "authUsername": "u", "authPassword": key, "authSecret": key, "authIdentity": "i", "html": "", "text": "t",
            "headers": [{ "key": "Subject", "value": "s" }], "requireTLS": true, "forceImplicitTLS": false,
            "threading": { "threadByDate": "Daily" }, "tlsConfig": { "serverName": "x" } }],
        "pushoverConfigs": [{ "userKey": key, "token": key, "retry": "1m", "expire": "24h", "ttl": "1d", "device": "d",
            "sound": "s", "priority": "2", "html": true, "monospace": false, "url": "https://u.example", "urlTitle": "t" }],
        "victoropsConfigs": [{ "apiKey": key, "apiUrl": "https://v.example/", "routingKey": "r", "messageType": "m",
            "customFields": [{ "key": "a", "value": "b" }] }],
        "snsConfigs": [{ "apiURL": "https://sns.example", "topicARN": "arn:t", "subject": "s", "attributes": { "a": "b" },
            "sigv4": { "region": "r", "accessKey": key, "secretKey": key, "profile": "p", "roleArn": "a" } }],
        "telegramConfigs": [{ "botToken": key, "chatID": -5, "messageThreadID": 3, "parseMode": "HTML",
            "apiURL": "https://t.example", "disableNotifications": true }],
        "discordConfigs": [{ "apiURL": url, "content": "c", "username": "u", "avatarURL": "https://a.example" }],
        "webexConfigs": [{ "roomID": "r", "message": "m", "httpConfig": { "authorization": { "credentials": key } } }],
        "msteamsConfigs": [{ "webhookUrl": url, "title": "t", "summary": "s", "text": "t" }],
        "msteamsv2Configs": [{ "webhookURL": url, "title": "t", "text": "t" }],
        "rocketchatConfigs": [{ "token": key, "tokenID": key, "channel": "#c", "fields": [{ "title": "t", "value": "v" }],
            "actions": [{ "text": "t", "url": "https://u.example", "msg": "m" }], "emoji": ":x:", "shortFields": true }],
        "mattermostConfigs": [{ "webhookURL": url, "text": "t", "channel": "c", "props": { "card": "c" },
            "attachments": [{ "fallback": "f", "fields": [{ "title": "t", "value": "v" }], "titleLink": "https://t.example" }],
            "priority": { "priority": "urgent", "requestedAck": true } }],
    })
}

fn routing_spec() -> Value {
    json!({
        "route": {
            "receiver": "all", "groupBy": ["..."], "groupWait": "30s", "groupInterval": "0s", "repeatInterval": "4h",
            "matchers": [{ "name": "a", "value": "b\"\\\n", "matchType": "!=" }, { "name": "größe", "value": ".+", "matchType": "=~" }],
            "muteTimeIntervals": ["i"],
            "routes": [{ "matchers": [{ "name": "c", "value": "d", "matchType": "!~" }], "activeTimeIntervals": ["i"] }],
        },
        "receivers": [receiver()],
        "inhibitRules": [{ "sourceMatch": [{ "name": "a", "value": "b" }], "targetMatch": [{ "name": "c", "value": "d.*", "regex": true }],
            "equal": ["e"] }],
        "muteTimeIntervals": [{ "name": "i", "timeIntervals": [{ "times": [{ "startTime": "08:00", "endTime": "24:00" }],
            "weekdays": ["Monday:friday"], "daysOfMonth": [{ "start": 1, "end": -1 }], "months": ["january:3"], "years": ["2030:2031"] }] }],
    })
}

#[test]
fn amtool_takes_what_becomes_of_every_field() {
    let dir = tempfile::tempdir().unwrap();
    let mut assets = HeldAssets::default();
    assets.add(&json!({ "kind": "Secret", "metadata": { "namespace": "team", "name": "s" }, "stringData": {
        "key": "k: {{ #'\"", "url": "https://hook.example/x\n",
        "pem": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n" } }));
    let base = json!({ "route": { "receiver": "none" }, "receivers": [{ "name": "none" }] });
    let version = "0.33.1".parse().unwrap();
    let base = Base::from_config(base, version).unwrap();
    let settings = Settings {
        version,
        strategy: Strategy::OnNamespace,
        alertmanager_namespace: "monitoring".to_owned(),
        tls_dir: dir.path().display().to_string(),
        files: FilesFrom::Assets,
        hide_secrets: false,
        defaults: base.defaults(),
    };
    let part = |name: &str| {
        let object = object("AlertmanagerConfig", "v1alpha1", name, routing_spec());
        build_routing(&settings, &object, &assets).unwrap()
    };
    let parts = [part("a"), part("b")];
    for (path, content) in parts.iter().flat_map(|part| &part.files) {
        std::fs::write(path, content).unwrap();
    }
    let file = dir.path().join("alertmanager.yaml");
    std::fs::write(&file, emit(&base.merge(&parts)).unwrap()).unwrap();
    judged("amtool", &["check-config"], &[&file]).unwrap_or_else(|told| panic!("{told}"));
    assert_eq!(parts[0].notes, Vec::<String>::new());

    // What we refuse alone, amtool would refuse with everybody's: a receiver that leads nowhere.
    let broken = json!({
        "route": { "receiver": "none" },
        "receivers": [{ "name": "none", "slack_configs": [{}] }],
    });
    std::fs::write(&file, emit(&broken).unwrap()).unwrap();
    assert!(judged("amtool", &["check-config"], &[&file]).unwrap_err().contains("Slack API URL"));
}

#[test]
fn promtool_takes_what_becomes_of_every_rule() {
    let dir = tempfile::tempdir().unwrap();
    let rules = json!([
        { "record": "job:up:sum", "expr": "sum by (job) (up)", "labels": { "x": "y" } },
        { "record": "one", "expr": 1 },
        { "record": "a.b", "expr": "{\"a.c\"}" },
        { "alert": "Down", "expr": "up == 0 unless on (pod) absent(x)", "for": "5m", "keep_firing_for": "10m",
            "labels": { "severity": "critical" }, "annotations": { "summary": "{{ $labels.job }}: {{ $value | humanize }}" } },
        { "alert": "Many", "expr": "topk(scalar(n), rate(x_total{a=~\"b|c\"}[5m] offset 1h)) > 1_000 or max_over_time(y[1h:5m]) > 2" },
    ]);
    let group = json!({ "name": "g", "interval": "30s", "query_offset": "1m", "limit": 10, "labels": { "team": "a" },
        "partial_response_strategy": "warn", "rules": rules });
    let object = object("PrometheusRule", "v1", "r", json!({ "groups": [group] }));
    let free = RuleSettings::of("3.5.0".parse().unwrap());
    let built = build_rules(&free, &object).unwrap();
    let file = dir.path().join("rules.yaml");
    std::fs::write(&file, &built.fragment.bytes).unwrap();
    judged("promtool", &["check", "rules"], &[&file]).unwrap_or_else(|told| panic!("{told}"));

    // Held to a namespace: what our parser cannot read is refused; the rest is what promtool takes too.
    let held = RuleSettings { enforced_namespace_label: Some("namespace".to_owned()), ..free };
    let mut readable = object;
    let rules = readable["spec"]["groups"][0]["rules"].as_array_mut().unwrap();
    rules.retain(|rule| build_rules(&held, &one(rule)).is_ok());
    assert!(rules.len() >= 3, "{rules:?}");
    let built = build_rules(&held, &readable).unwrap();
    std::fs::write(&file, &built.fragment.bytes).unwrap();
    judged("promtool", &["check", "rules"], &[&file]).unwrap_or_else(|told| panic!("{told}"));
}

fn rules_spec() -> Value {
    json!({ "groups": [
        { "name": "a", "interval": "30s", "query_offset": "1m", "limit": 10, "labels": { "team": "a" }, "rules": [
            { "record": "job:up:sum", "expr": "sum by (job) (rate(x_total{a=~\"b|c\"}[5m] offset 1h))", "labels": { "x": "y" } },
            { "record": "one", "expr": 1 },
        ] },
        { "name": "b", "rules": [{ "alert": "Down", "expr": "up == 0", "for": "5m", "keep_firing_for": "10m",
            "labels": { "severity": "critical" },
            "annotations": { "summary": "{{ $labels.job }}: {{ $value | humanize }}" } }] },
    ] })
}

/// As with routing: a thousand spoilt objects, and whatever is taken makes a file that Prometheus takes.
#[test]
fn whatever_is_taken_prometheus_takes_too() {
    let free = RuleSettings::of("3.5.0".parse().unwrap());
    let held = RuleSettings { enforced_namespace_label: Some("namespace".to_owned()), ..free.clone() };
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(7);
    let mut files = Vec::new();
    for n in 0..1000 {
        let mut spoilt = object("PrometheusRule", "v1", &format!("spoilt-{n:03}"), rules_spec());
        mutate(&mut spoilt, &mut random);
        let Ok(built) = build_rules(if n % 2 == 0 { &free } else { &held }, &spoilt) else { continue };
        // Very large ones are built, but reading all of them would test promtool's patience and not us.
        if built.fragment.bytes.len() < 1 << 16 {
            files.push(dir.path().join(format!("{n:03}.yaml")));
            std::fs::write(files.last().unwrap(), &built.fragment.bytes).unwrap();
        }
    }
    assert!(files.len() > 100 && files.len() < 950, "{} of 1000 taken", files.len());
    if let Err(told) = judged("promtool", &["check", "rules"], &files) {
        let alone = files.iter().filter_map(|file| judged("promtool", &["check", "rules"], &[file]).err());
        panic!("{told}\n{:#?}", alone.collect::<Vec<_>>());
    }
}

fn one(rule: &Value) -> Value {
    object("PrometheusRule", "v1", "r", json!({ "groups": [{ "name": "g", "rules": [rule] }] }))
}

/// A thousand objects, each broken in one place, beside two hundred good ones: those that are taken make together a
/// configuration that Alertmanager takes, and in it the good ones are as they are alone.
#[test]
fn whatever_is_taken_alertmanager_takes_too() {
    let mut assets = HeldAssets::default();
    assets.add(&json!({ "kind": "Secret", "metadata": { "namespace": "team", "name": "s" }, "stringData": {
        "key": "k", "url": "https://hook.example/x", "pem": "-----BEGIN CERTIFICATE-----\n" } }));
    let base = json!({ "route": { "receiver": "none" }, "receivers": [{ "name": "none" }] });
    let version = "0.33.1".parse().unwrap();
    let base = Base::from_config(base, version).unwrap();
    let settings = Settings {
        version,
        strategy: Strategy::OnNamespace,
        alertmanager_namespace: "monitoring".to_owned(),
        tls_dir: "/tls".to_owned(),
        files: FilesFrom::Assets,
        hide_secrets: false,
        defaults: base.defaults(),
    };
    let spec_of = |name: &str| object("AlertmanagerConfig", "v1alpha1", name, routing_spec());
    let good: Vec<_> = (0..200)
        .map(|n| build_routing(&settings, &spec_of(&format!("good-{n:03}")), &assets).unwrap())
        .collect();
    let mut random = Random::new(5);
    let mut taken = Vec::new();
    for n in 0..1000 {
        let mut spoilt = spec_of(&format!("spoilt-{n:03}"));
        mutate(&mut spoilt, &mut random);
        let part = build_routing(&settings, &spoilt, &assets);
        // Very large ones are built, but a file of all of them would test amtool's memory and not us.
        if spoilt.to_string().len() < 1 << 16 {
            taken.extend(part);
        }
    }
    assert!(taken.len() > 100 && taken.len() < 950, "{} of 1000 taken", taken.len());

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("alertmanager.yaml");
    let judge = |parts: &[_]| {
        std::fs::write(&file, emit(&base.merge(parts)).unwrap()).unwrap();
        judged("amtool", &["check-config"], &[&file])
    };
    if let Err(told) = judge(&taken) {
        let alone =
            taken.iter().filter_map(|part| Some((part.id.clone(), judge(std::slice::from_ref(part)).err()?)));
        panic!("{told}\n{:#?}", alone.collect::<Vec<_>>());
    }

    let receivers = |config: &Value| -> Vec<String> {
        let own = config["receivers"].as_array().unwrap().iter();
        let own = own.filter(|receiver| receiver["name"].as_str().unwrap().starts_with("team/good-"));
        own.map(|receiver| emit(receiver).unwrap()).collect()
    };
    let alone = receivers(&base.merge(&good));
    assert_eq!(alone.len(), 200);
    assert_eq!(receivers(&base.merge(good.iter().chain(&taken))), alone);
}
