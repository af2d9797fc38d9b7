//! Alertmanager's configuration: the routes and receivers of a stack.

use std::collections::BTreeMap;

use obstack_crds::stack::{Alerting, Grouping, Receiver, Slack, Webhook};
use obstack_crds::status::Rejected;
use obstack_crds::workload::SecretKey;
use serde_json::{Map, Value, json};

use super::file;
use super::routing::{self, Base};
use super::sources::Objects;
use crate::rules::tripwires;
use crate::running::{CURRENT, Fragment, KeptOut, generation_glob, object_in};
use crate::validate::Valid;
use crate::yaml::EmitError;

/// The title of a message: state, how many, and which.
const SLACK_TITLE: &str = concat!(
    r#"[{{ .Status | toUpper }}{{ if eq .Status "firing" }}:{{ .Alerts.Firing | len }}{{ end }}] "#,
    r#"{{ if .CommonLabels.alertname }}{{ .CommonLabels.alertname }}{{ else }}{{ .GroupLabels.SortedPairs.Values | join " " }}{{ end }}"#,
    r#"{{ if .CommonLabels.namespace }} in {{ .CommonLabels.namespace }}{{ end }}"#
);
/// The text: for each alert what it says, what to do, and where to look.
const SLACK_TEXT: &str = concat!(
    "{{ range .Alerts }}",
    "*{{ if .Annotations.summary }}{{ .Annotations.summary }}{{ else }}{{ .Labels.alertname }}{{ end }}*",
    "{{ if .Labels.severity }} ({{ .Labels.severity }}){{ end }}\n",
    "{{ if .Annotations.description }}{{ .Annotations.description }}\n{{ end }}",
    "{{ if .Annotations.runbook_url }}<{{ .Annotations.runbook_url }}|Runbook> {{ end }}",
    "{{ if .GeneratorURL }}<{{ .GeneratorURL }}|Query>{{ end }}\n",
    "{{ end }}"
);
const SLACK_COLOR: &str = concat!(
    r#"{{ if ne .Status "firing" }}good"#,
    r#"{{ else if eq .CommonLabels.severity "critical" }}danger{{ else }}warning{{ end }}"#
);
/// How alerts are grouped where a stack says nothing: one message per kind of trouble and namespace.
const GROUP_BY: [&str; 2] = ["alertname", "namespace"];
const GROUP_WAIT: &str = "30s";
const GROUP_INTERVAL: &str = "5m";
const REPEAT_INTERVAL: &str = "12h";
/// How alerts of tripped trade-offs are grouped: one message per decision.
const DECISION_BY: [&str; 4] = ["component", "namespace", "record", "stack"];
/// When a tripped trade-off that stays so is told again: Alertmanager forgets after 120 hours what it has told, and
/// tells it anew then in any case.
const DECISION_REPEAT: &str = "120h";

/// Alertmanager's files, and what is not in them.
pub(super) struct Made {
    pub(super) fragments: Vec<Fragment>,
    /// What the stack asks for and cannot be written.
    pub(super) rejected: Vec<Rejected>,
    /// Objects that the engine refused, and that are still the same.
    pub(super) kept_out: Vec<KeptOut>,
}

/// The fragments, without the objects of `kept_out` that are still as they were refused.
pub(super) fn fragments(
    valid: &Valid,
    secrets: &BTreeMap<SecretKey, Vec<u8>>,
    objects: &Objects,
    kept_out: &[KeptOut],
) -> Result<Made, EmitError> {
    let mut urls = Urls { secrets, used: BTreeMap::new(), rejected: Vec::new() };
    let mut config = build_config(&valid.spec.alerting, &mut urls);
    let mut files = BTreeMap::new();
    let refused = |part: &routing::Built| {
        let known = kept_out.iter().find(|out| object_in(&out.key) == Some(part.id.as_str()))?;
        (known.digest == part.digest()).then(|| known.clone())
    };
    let left_out: BTreeMap<&str, KeptOut> =
        objects.routing.iter().filter_map(|part| Some((part.id.as_str(), refused(part)?))).collect();
    let taken = objects.routing.iter().map(|part| &**part);
    let parts: Vec<&routing::Built> = taken.filter(|part| !left_out.contains_key(part.id.as_str())).collect();
    if !parts.is_empty() {
        let parts = parts.into_iter();
        config = Base::own(config).merge(parts.clone());
        files.extend(parts.flat_map(|part| part.files.iter()));
    }
    let mut fragments = vec![file("main", "alertmanager.yaml", &config)?];
    fragments.extend(files.into_iter().map(|(path, bytes)| {
        let path = path.strip_prefix(CURRENT).unwrap_or(path).trim_start_matches('/').to_owned();
        Fragment::new(format!("asset/{path}"), path, bytes.clone())
    }));
    fragments.extend(urls.used.into_iter().map(|(key, bytes)| {
        Fragment::new(format!("secret/{}/{}", key.name, key.key), secret_path(&key), bytes)
    }));
    let kept_out = left_out.into_values().collect();
    Ok(Made { fragments, rejected: urls.rejected, kept_out })
}

/// Where the content of a Secret's key is put, below `current/`.
fn secret_path(key: &SecretKey) -> String {
    format!("secrets/{}/key.{}", key.name, key.key)
}

/// The URLs that are secret: each is a file of its own, so that the configuration's text holds none.
struct Urls<'a> {
    secrets: &'a BTreeMap<SecretKey, Vec<u8>>,
    used: BTreeMap<SecretKey, Vec<u8>>,
    rejected: Vec<Rejected>,
}

impl Urls<'_> {
    /// The path of a file with the URL, or none and a reason. No reason repeats content.
    fn file(&mut self, key: &SecretKey, path: &str) -> Option<String> {
        let SecretKey { name, key: entry } = key;
        let reason = match self.secrets.get(key).map(|bytes| std::str::from_utf8(bytes).map(str::trim)) {
            Some(Ok(url)) if url.starts_with("http://") || url.starts_with("https://") => {
                self.used.insert(key.clone(), url.as_bytes().to_vec());
                return Some(format!("{CURRENT}/{}", secret_path(key)));
            }
            Some(_) => format!(
                "key {entry} of Secret {name} holds no URL; store one that starts with https:// or http://"
            ),
            None => format!(
                "key {entry} of Secret {name} does not exist; create it with the URL: kubectl create secret generic {name} --from-literal={entry}=URL"
            ),
        };
        self.rejected.push(Rejected { object: path.to_owned(), reason });
        None
    }
}

fn build_config(alerting: &Alerting, urls: &mut Urls<'_>) -> Value {
    let nobody = nobody(alerting);
    let mut receivers: Vec<Value> = alerting
        .receivers
        .iter()
        .enumerate()
        .map(|(index, receiver)| build_receiver(receiver, &format!("spec.alerting.receivers[{index}]"), urls))
        .collect();
    receivers.push(json!({ "name": nobody }));
    // The order of receivers means nothing, so that of the spec leaves no trace.
    receivers.sort_by(|a, b| a["name"].as_str().cmp(&b["name"].as_str()));
    json!({
        "route": build_route(alerting, nobody),
        "receivers": receivers,
        // The worse alert stands for the lesser one of the same name.
        "inhibit_rules": [{
            "source_matchers": ["severity=\"critical\""],
            "target_matchers": ["severity=~\"warning|info\""],
            "equal": ["alertname", "namespace"],
        }],
        "templates": [generation_glob()],
    })
}

/// Name of the receiver that tells nobody; another one where a person took it.
fn nobody(alerting: &Alerting) -> &'static str {
    let taken = alerting.receivers.iter().any(|r| r.name == "null");
    if taken { "obstack-null" } else { "null" }
}

fn build_route(alerting: &Alerting, nobody: &str) -> Value {
    let top = alerting.route.clone().unwrap_or_default();
    let receiver = if alerting.route.is_some() { top.receiver.as_str() } else { nobody };
    let mut route = Map::from_iter([
        ("receiver".to_owned(), json!(receiver)),
        ("group_by".to_owned(), json!(GROUP_BY)),
        ("group_wait".to_owned(), json!(GROUP_WAIT)),
        ("group_interval".to_owned(), json!(GROUP_INTERVAL)),
        ("repeat_interval".to_owned(), json!(REPEAT_INTERVAL)),
    ]);
    route.extend(grouping(&top.grouping));
    // The state of decisions comes before a person's routes, which could tell it again and again: only what has
    // tripped is told, once, to whom the stack's own route names.
    let quiet = format!("alertname=~\"{}|{}\"", tripwires::AT_RISK, tripwires::UNKNOWN);
    let mut routes = vec![
        json!({ "receiver": nobody, "matchers": [quiet] }),
        json!({
            "receiver": receiver,
            "matchers": [format!("alertname=\"{}\"", tripwires::TRIPPED)],
            "group_by": DECISION_BY,
            "repeat_interval": DECISION_REPEAT,
        }),
    ];
    routes.extend(top.routes.iter().map(|child| {
        let mut route = grouping(&child.grouping);
        route.insert("receiver".into(), json!(child.receiver));
        route.insert("matchers".into(), json!(sorted(&child.matchers)));
        if child.continue_ {
            route.insert("continue".into(), json!(true));
        }
        Value::Object(route)
    }));
    // It always fires, for whoever watches from outside; a child route that takes it says who that is.
    routes.push(json!({ "receiver": nobody, "matchers": ["alertname=\"Watchdog\""] }));
    route.insert("routes".into(), Value::Array(routes));
    Value::Object(route)
}

fn grouping(grouping: &Grouping) -> Map<String, Value> {
    let mut map = Map::new();
    if !grouping.group_by.is_empty() {
        map.insert("group_by".into(), json!(sorted(&grouping.group_by)));
    }
    for (name, value) in [
        ("group_wait", &grouping.group_wait),
        ("group_interval", &grouping.group_interval),
        ("repeat_interval", &grouping.repeat_interval),
    ] {
        if let Some(value) = value {
            map.insert(name.into(), json!(value));
        }
    }
    map
}

/// A list whose order means nothing.
fn sorted(list: &[String]) -> Vec<&String> {
    let mut sorted: Vec<&String> = list.iter().collect();
    sorted.sort();
    sorted
}

fn build_receiver(receiver: &Receiver, path: &str, urls: &mut Urls<'_>) -> Value {
    let slack: Vec<Value> = receiver
        .slack
        .iter()
        .enumerate()
        .filter_map(|(index, slack)| build_slack(slack, &format!("{path}.slack[{index}]"), urls))
        .collect();
    let webhook: Vec<Value> = receiver
        .webhook
        .iter()
        .enumerate()
        .filter_map(|(index, webhook)| build_webhook(webhook, &format!("{path}.webhook[{index}]"), urls))
        .collect();
    let mut built = json!({ "name": receiver.name });
    if !slack.is_empty() {
        built["slack_configs"] = slack.into();
    }
    if !webhook.is_empty() {
        built["webhook_configs"] = webhook.into();
    }
    built
}

fn build_slack(slack: &Slack, path: &str, urls: &mut Urls<'_>) -> Option<Value> {
    let url = urls.file(&slack.api_url, &format!("{path}.apiUrl"))?;
    let mut built = json!({
        "api_url_file": url,
        "send_resolved": slack.send_resolved.unwrap_or(true),
        "title": SLACK_TITLE,
        "text": SLACK_TEXT,
        "color": SLACK_COLOR,
    });
    if let Some(channel) = &slack.channel {
        built["channel"] = json!(channel);
    }
    Some(built)
}

fn build_webhook(webhook: &Webhook, path: &str, urls: &mut Urls<'_>) -> Option<Value> {
    let mut built = json!({ "send_resolved": webhook.send_resolved.unwrap_or(true) });
    match (&webhook.url_secret, &webhook.url) {
        (Some(key), _) => built["url_file"] = json!(urls.file(key, &format!("{path}.urlSecret"))?),
        (None, Some(url)) => built["url"] = json!(url),
        (None, None) => return None,
    }
    Some(built)
}
