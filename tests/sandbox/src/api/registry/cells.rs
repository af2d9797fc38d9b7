//! Cells of the tables of built-in kinds: what `kubectl get` shows of an object.

use super::super::{meta, table};
use serde_json::{Value, json};

pub(super) fn name(object: &Value) -> Value {
    if object["kind"] == "StorageClass"
        && meta::annotation(object, "storageclass.kubernetes.io/is-default-class") == Some("true")
    {
        return format!("{} (default)", meta::name(object)).into();
    }
    meta::name(object).into()
}

/// The served versions of a definition.
pub(super) fn definition_versions(object: &Value) -> Value {
    let versions = object.pointer("/spec/versions").and_then(Value::as_array).into_iter().flatten();
    let served = versions.filter(|version| version["served"] == true).map(|version| {
        let stored = if version["storage"] == true { "(storage)" } else { "" };
        format!("{}{stored}", text(version, "/name"))
    });
    served.collect::<Vec<_>>().join(",").into()
}

pub(super) fn age(object: &Value) -> Value {
    table::age(meta::text(object, "creationTimestamp")).into()
}

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn get(object: &Value, pointer: &str) -> Value {
    text(object, pointer).into()
}

pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

pub(super) fn boolean(object: &Value, pointer: &str) -> Value {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false).into()
}

pub(super) fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

pub(super) fn count(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    }
}

pub(super) fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

pub(super) fn unknown(object: &Value, pointer: &str) -> Value {
    let found = text(object, pointer);
    if found.is_empty() { "<unknown>".into() } else { found.into() }
}

pub(super) fn or_absent(object: &Value, pointer: &str) -> Value {
    match object.pointer(pointer) {
        None | Some(Value::Null) => "N/A".into(),
        Some(Value::String(text)) => text.clone().into(),
        Some(other) => other.to_string().into(),
    }
}

pub(super) fn ratio(object: &Value, part: &str, whole: &str) -> Value {
    format!("{}/{}", number(object, part), number(object, whole)).into()
}

pub(super) fn since(object: &Value, pointer: &str) -> Value {
    let time = text(object, pointer);
    if time.is_empty() { "<none>".into() } else { table::age(time).into() }
}

pub(super) fn joined(parts: Vec<String>) -> Value {
    or_none(&parts.join(","))
}

pub(super) fn pairs(object: &Value, pointer: &str) -> Value {
    let map = object.pointer(pointer).and_then(Value::as_object);
    let list =
        map.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    joined(list)
}

pub(super) fn containers(object: &Value, field: &str) -> Value {
    let list = items(object, "/spec/template/spec/containers");
    let parts: Vec<&str> = list.filter_map(|c| c[field].as_str()).collect();
    parts.join(",").into()
}

pub(super) fn service_ports(object: &Value) -> Value {
    let list = items(object, "/spec/ports").map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_i64().filter(|p| *p > 0) {
            Some(node) => format!("{}:{node}/{protocol}", port["port"]),
            None => format!("{}/{protocol}", port["port"]),
        }
    });
    joined(list.collect())
}

/// The first three of a list, and how many more there are.
pub(super) fn shortened(parts: Vec<String>) -> Value {
    let more = parts.len().saturating_sub(3);
    let shown: Vec<String> = parts.into_iter().take(3).collect();
    let text = shown.join(",");
    if more > 0 { format!("{text} + {more} more...").into() } else { or_none(&text) }
}

pub(super) fn endpoints(object: &Value) -> Value {
    let mut parts = Vec::new();
    for subset in items(object, "/subsets") {
        for address in items(subset, "/addresses") {
            let ip = address["ip"].as_str().unwrap_or_default();
            let mut ports = items(subset, "/ports").map(|p| format!("{ip}:{}", p["port"])).peekable();
            if ports.peek().is_none() {
                parts.push(ip.to_owned());
            }
            parts.extend(ports);
        }
    }
    shortened(parts)
}

pub(super) fn slice_ports(object: &Value) -> Value {
    let found: Vec<String> =
        items(object, "/ports").filter_map(|p| p["port"].as_i64()).map(|p| p.to_string()).collect();
    if found.is_empty() { "<unset>".into() } else { shortened(found) }
}

pub(super) fn slice_addresses(object: &Value) -> Value {
    let list = items(object, "/endpoints").flat_map(|e| items(e, "/addresses"));
    let found: Vec<String> = list.filter_map(|a| a.as_str().map(str::to_owned)).collect();
    if found.is_empty() { "<unset>".into() } else { shortened(found) }
}

pub(super) fn node_status(object: &Value) -> Value {
    let ready = items(object, "/status/conditions").find(|c| c["type"] == "Ready");
    let mut text = match ready.map(|c| &c["status"]) {
        Some(status) if status == "True" => "Ready",
        Some(status) if status == "Unknown" => "Unknown",
        _ => "NotReady",
    }
    .to_owned();
    if object["spec"]["unschedulable"] == true {
        text += ",SchedulingDisabled";
    }
    text.into()
}

pub(super) fn node_roles(object: &Value) -> Value {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let roles = labels.into_iter().flatten();
    joined(roles.filter_map(|(k, _)| k.strip_prefix("node-role.kubernetes.io/").map(str::to_owned)).collect())
}

pub(super) fn node_address(object: &Value, kind: &str) -> Value {
    let found = items(object, "/status/addresses").find(|a| a["type"] == kind);
    or_none(found.and_then(|a| a["address"].as_str()).unwrap_or_default())
}

pub(super) fn claim_status(object: &Value) -> Value {
    if meta::is_deleting(object) { "Terminating".into() } else { get(object, "/status/phase") }
}

pub(super) fn access_modes(object: &Value, pointer: &str) -> Value {
    let modes: Vec<&str> = items(object, pointer)
        .filter_map(|mode| {
            Some(match mode.as_str()? {
                "ReadWriteOnce" => "RWO",
                "ReadOnlyMany" => "ROX",
                "ReadWriteMany" => "RWX",
                "ReadWriteOncePod" => "RWOP",
                _ => return None,
            })
        })
        .collect();
    modes.join(",").into()
}

pub(super) fn volume_claim(object: &Value) -> Value {
    if object.pointer("/spec/claimRef").is_none() {
        return "".into();
    }
    format!("{}/{}", text(object, "/spec/claimRef/namespace"), text(object, "/spec/claimRef/name")).into()
}

pub(super) fn bound(object: &Value, kind: &str) -> Value {
    let list = items(object, "/subjects").filter(|subject| subject["kind"] == kind);
    let names: Vec<&str> = list.filter_map(|subject| subject["name"].as_str()).collect();
    names.join(", ").into()
}

pub(super) fn bound_accounts(object: &Value) -> Value {
    let list = items(object, "/subjects").filter(|s| s["kind"] == "ServiceAccount");
    let names: Vec<String> = list
        .map(|s| {
            let part = |key: &str| s[key].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", part("namespace"), part("name"))
        })
        .collect();
    names.join(", ").into()
}

pub(super) fn ingress_hosts(object: &Value) -> Value {
    let hosts: Vec<String> = items(object, "/spec/rules")
        .map(|r| r["host"].as_str().filter(|h| !h.is_empty()).unwrap_or("*").to_owned())
        .collect();
    if hosts.is_empty() { "*".into() } else { shortened(hosts) }
}

pub(super) fn controller(object: &Value) -> Value {
    let owner = items(object, "/metadata/ownerReferences").find(|o| o["controller"] == true);
    match owner {
        Some(owner) => {
            let part = |key: &str| owner[key].as_str().unwrap_or_default();
            let group = part("apiVersion").split_once('/').map_or(String::new(), |(g, _)| format!(".{g}"));
            format!("{}{group}/{}", part("kind").to_lowercase(), part("name")).into()
        }
        None => "<none>".into(),
    }
}

pub(super) mod event {
    use super::{Value, meta, since, table, text};

    pub(in super::super) fn last_seen(object: &Value) -> Value {
        let places = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"];
        let found = places.iter().map(|p| text(object, p)).find(|t| !t.is_empty());
        table::age(found.unwrap_or(meta::text(object, "creationTimestamp"))).into()
    }

    pub(in super::super) fn first_seen(object: &Value) -> Value {
        let place = if text(object, "/firstTimestamp").is_empty() { "/eventTime" } else { "/firstTimestamp" };
        since(object, place)
    }

    pub(in super::super) fn object(object: &Value) -> Value {
        let kind = text(object, "/involvedObject/kind").to_lowercase();
        format!("{kind}/{}", text(object, "/involvedObject/name")).into()
    }
}

pub(super) mod job {
    use super::{Value, items, json, meta, table, text};

    pub(in super::super) fn status(object: &Value) -> Value {
        let holds = |kind: &str| {
            items(object, "/status/conditions").any(|c| c["type"] == kind && c["status"] == "True")
        };
        for (kind, shown) in [("Complete", "Complete"), ("Failed", "Failed")] {
            if holds(kind) {
                return shown.into();
            }
        }
        if meta::is_deleting(object) {
            return "Terminating".into();
        }
        if holds("Suspended") { "Suspended".into() } else { "Running".into() }
    }

    pub(in super::super) fn duration(object: &Value) -> Value {
        let time = |pointer: &str| text(object, pointer).parse::<jiff::Timestamp>().ok();
        match (time("/status/startTime"), time("/status/completionTime")) {
            (None, _) => json!(""),
            (Some(_), None) => table::age(text(object, "/status/startTime")).into(),
            (Some(start), Some(end)) => table::duration(end.duration_since(start).as_secs()).into(),
        }
    }
}

pub(super) mod pod {
    use super::{Value, count, get, items, meta, table, text};

    pub(in super::super) fn ready(object: &Value) -> Value {
        let always = |c: &&Value| c["restartPolicy"] == "Always";
        let sidecars: Vec<&str> =
            items(object, "/spec/initContainers").filter(always).filter_map(|c| c["name"].as_str()).collect();
        let total = count(object, "/spec/containers") + sidecars.len();
        let ready = items(object, "/status/containerStatuses").filter(|s| s["ready"] == true).count();
        let ready = ready
            + items(object, "/status/initContainerStatuses")
                .filter(|s| s["ready"] == true && s["name"].as_str().is_some_and(|n| sidecars.contains(&n)))
                .count();
        format!("{ready}/{total}").into()
    }

    pub(in super::super) fn status(object: &Value) -> Value {
        let mut reason = text(object, "/status/phase").to_owned();
        if !text(object, "/status/reason").is_empty() {
            reason = text(object, "/status/reason").to_owned();
        }
        let inits = count(object, "/spec/initContainers");
        let mut initializing = false;
        for (index, status) in items(object, "/status/initContainerStatuses").enumerate() {
            let terminated = &status["state"]["terminated"];
            let started = status["started"] == true && is_sidecar(object, status);
            if terminated["exitCode"] == 0 || started {
                continue;
            }
            reason = if terminated.is_object() {
                format!("Init:{}", ended(terminated))
            } else {
                match status.pointer("/state/waiting/reason").and_then(Value::as_str) {
                    Some(why) if !why.is_empty() && why != "PodInitializing" => format!("Init:{why}"),
                    _ => format!("Init:{index}/{inits}"),
                }
            };
            initializing = true;
            break;
        }
        if !initializing {
            let mut running = false;
            let statuses: Vec<&Value> = items(object, "/status/containerStatuses").collect();
            for status in statuses.iter().rev() {
                if let Some(why) = status.pointer("/state/waiting/reason").and_then(Value::as_str) {
                    reason = why.to_owned();
                } else if status["state"]["terminated"].is_object() {
                    reason = ended(&status["state"]["terminated"]);
                } else if status["ready"] == true && status["state"]["running"].is_object() {
                    running = true;
                }
            }
            if reason == "Completed" && running {
                let ready = items(object, "/status/conditions")
                    .any(|c| c["type"] == "Ready" && c["status"] == "True");
                reason = if ready { "Running" } else { "NotReady" }.to_owned();
            }
        }
        if meta::is_deleting(object) {
            let gone = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
            if !gone {
                reason = "Terminating".to_owned();
            }
        }
        reason.into()
    }

    fn is_sidecar(object: &Value, status: &Value) -> bool {
        items(object, "/spec/initContainers")
            .any(|c| c["name"] == status["name"] && c["restartPolicy"] == "Always")
    }

    fn ended(terminated: &Value) -> String {
        match terminated["reason"].as_str().filter(|r| !r.is_empty()) {
            Some(reason) => reason.to_owned(),
            None => match terminated["signal"].as_i64().filter(|s| *s != 0) {
                Some(signal) => format!("Signal:{signal}"),
                None => format!("ExitCode:{}", terminated["exitCode"]),
            },
        }
    }

    pub(in super::super) fn restarts(object: &Value) -> Value {
        let statuses: Vec<&Value> = items(object, "/status/containerStatuses").collect();
        let total: i64 = statuses.iter().filter_map(|s| s["restartCount"].as_i64()).sum();
        let last = statuses
            .iter()
            .map(|s| get(s, "/lastState/terminated/finishedAt"))
            .filter_map(|t| t.as_str().and_then(|t| t.parse::<jiff::Timestamp>().ok()))
            .max();
        match last {
            Some(time) if total > 0 => format!("{total} ({} ago)", table::age(&time.to_string())).into(),
            _ => total.to_string().into(),
        }
    }
}
