//! Columns that `kubectl get` shows for built-in kinds.

use super::super::{meta, table};
use super::{Column, Source};
use serde_json::{Value, json};

type Cell = fn(&Value) -> Value;

/// Name, type, priority, and the cell.
type Row = (&'static str, &'static str, i64, Cell);

const NAME: Row = ("Name", "string", 0, name);
const AGE: Row = ("Age", "string", 0, age);

/// All columns of a built-in kind.
pub(crate) fn of(kind: &str) -> Vec<Column> {
    let rows: Vec<Row> = match kind {
        "Event" => vec![
            ("Last Seen", "string", 0, event::last_seen),
            ("Type", "string", 0, |o| get(o, "/type")),
            ("Reason", "string", 0, |o| get(o, "/reason")),
            ("Object", "string", 0, event::object),
            ("Subobject", "string", 1, |o| get(o, "/involvedObject/fieldPath")),
            ("Source", "string", 1, |o| get(o, "/source/component")),
            ("Message", "string", 0, |o| text(o, "/message").trim().into()),
            ("First Seen", "string", 1, event::first_seen),
            ("Count", "string", 1, |o| number(o, "/count").max(1).into()),
            ("Name", "string", 1, name),
        ],
        "Role" | "ClusterRole" | "CustomResourceDefinition" => {
            vec![NAME, ("Created At", "date", 0, |o| meta::text(o, "creationTimestamp").into())]
        }
        _ => {
            let mut rows = vec![NAME];
            let (before, after) = middle(kind);
            rows.extend(before);
            rows.push(AGE);
            rows.extend(after);
            rows
        }
    };
    rows.into_iter()
        .map(|(name, kind, priority, cell)| Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
            format: if name == "Name" { "name".to_owned() } else { String::new() },
            description: String::new(),
            priority,
            source: Source::Compute(cell),
        })
        .collect()
}

/// Columns before and after the age.
fn middle(kind: &str) -> (Vec<Row>, Vec<Row>) {
    match kind {
        "Pod" => (
            vec![
                ("Ready", "string", 0, pod::ready),
                ("Status", "string", 0, pod::status),
                ("Restarts", "string", 0, pod::restarts),
            ],
            vec![
                ("IP", "string", 1, |o| or_none(text(o, "/status/podIP"))),
                ("Node", "string", 1, |o| or_none(text(o, "/spec/nodeName"))),
                ("Nominated Node", "string", 1, |o| or_none(text(o, "/status/nominatedNodeName"))),
                ("Readiness Gates", "string", 1, |_| "<none>".into()),
            ],
        ),
        "StatefulSet" => (
            vec![("Ready", "string", 0, |o| ratio(o, "/status/readyReplicas", "/spec/replicas"))],
            vec![CONTAINERS, IMAGES],
        ),
        "Deployment" => (
            vec![
                ("Ready", "string", 0, |o| ratio(o, "/status/readyReplicas", "/spec/replicas")),
                ("Up-to-date", "string", 0, |o| number(o, "/status/updatedReplicas").into()),
                ("Available", "string", 0, |o| number(o, "/status/availableReplicas").into()),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "ReplicaSet" => (
            vec![
                ("Desired", "integer", 0, |o| number(o, "/spec/replicas").into()),
                ("Current", "integer", 0, |o| number(o, "/status/replicas").into()),
                ("Ready", "integer", 0, |o| number(o, "/status/readyReplicas").into()),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "DaemonSet" => (
            vec![
                ("Desired", "integer", 0, |o| number(o, "/status/desiredNumberScheduled").into()),
                ("Current", "integer", 0, |o| number(o, "/status/currentNumberScheduled").into()),
                ("Ready", "integer", 0, |o| number(o, "/status/numberReady").into()),
                ("Up-to-date", "integer", 0, |o| number(o, "/status/updatedNumberScheduled").into()),
                ("Available", "integer", 0, |o| number(o, "/status/numberAvailable").into()),
                ("Node Selector", "string", 0, |o| pairs(o, "/spec/template/spec/nodeSelector")),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "Job" => (
            vec![
                ("Status", "string", 0, job::status),
                ("Completions", "string", 0, |o| ratio(o, "/status/succeeded", "/spec/completions")),
                ("Duration", "string", 0, job::duration),
            ],
            vec![CONTAINERS, IMAGES, SELECTOR],
        ),
        "CronJob" => (
            vec![
                ("Schedule", "string", 0, |o| get(o, "/spec/schedule")),
                ("Timezone", "string", 0, |o| or_none(text(o, "/spec/timeZone"))),
                ("Suspend", "boolean", 0, |o| boolean(o, "/spec/suspend")),
                ("Active", "integer", 0, |o| count(o, "/status/active").into()),
                ("Last Schedule", "string", 0, |o| since(o, "/status/lastScheduleTime")),
            ],
            vec![],
        ),
        "Service" => (
            vec![
                ("Type", "string", 0, |o| get(o, "/spec/type")),
                ("Cluster-IP", "string", 0, |o| or_none(text(o, "/spec/clusterIP"))),
                ("External-IP", "string", 0, |o| or_none(text(o, "/spec/externalName"))),
                ("Port(s)", "string", 0, service_ports),
            ],
            vec![("Selector", "string", 1, |o| pairs(o, "/spec/selector"))],
        ),
        "Secret" => (
            vec![
                ("Type", "string", 0, |o| get(o, "/type")),
                ("Data", "string", 0, |o| count(o, "/data").into()),
            ],
            vec![],
        ),
        "ConfigMap" => {
            (vec![("Data", "string", 0, |o| (count(o, "/data") + count(o, "/binaryData")).into())], vec![])
        }
        "ServiceAccount" => (vec![("Secrets", "string", 0, |o| count(o, "/secrets").into())], vec![]),
        "Namespace" => (vec![("Status", "string", 0, |o| get(o, "/status/phase"))], vec![]),
        "Lease" => (vec![("Holder", "string", 0, |o| get(o, "/spec/holderIdentity"))], vec![]),
        "Endpoints" => (vec![("Endpoints", "string", 0, endpoints)], vec![]),
        "EndpointSlice" => (
            vec![
                ("AddressType", "string", 0, |o| get(o, "/addressType")),
                ("Ports", "string", 0, slice_ports),
                ("Endpoints", "string", 0, slice_addresses),
            ],
            vec![],
        ),
        _ => less_used(kind),
    }
}

fn less_used(kind: &str) -> (Vec<Row>, Vec<Row>) {
    match kind {
        "Node" => (
            vec![("Status", "string", 0, node_status), ("Roles", "string", 0, node_roles)],
            vec![
                ("Version", "string", 0, |o| get(o, "/status/nodeInfo/kubeletVersion")),
                ("Internal-IP", "string", 1, |o| node_address(o, "InternalIP")),
                ("External-IP", "string", 1, |o| node_address(o, "ExternalIP")),
                ("OS-Image", "string", 1, |o| unknown(o, "/status/nodeInfo/osImage")),
                ("Kernel-Version", "string", 1, |o| unknown(o, "/status/nodeInfo/kernelVersion")),
                ("Container-Runtime", "string", 1, |o| {
                    unknown(o, "/status/nodeInfo/containerRuntimeVersion")
                }),
            ],
        ),
        "PersistentVolumeClaim" => (
            vec![
                ("Status", "string", 0, claim_status),
                ("Volume", "string", 0, |o| get(o, "/spec/volumeName")),
                ("Capacity", "string", 0, |o| get(o, "/status/capacity/storage")),
                ("Access Modes", "string", 0, |o| access_modes(o, "/status/accessModes")),
                ("StorageClass", "string", 0, |o| get(o, "/spec/storageClassName")),
                ("VolumeAttributesClass", "string", 0, |_| "<unset>".into()),
            ],
            vec![("VolumeMode", "string", 1, |o| get(o, "/spec/volumeMode"))],
        ),
        "PersistentVolume" => (
            vec![
                ("Capacity", "string", 0, |o| get(o, "/spec/capacity/storage")),
                ("Access Modes", "string", 0, |o| access_modes(o, "/spec/accessModes")),
                ("Reclaim Policy", "string", 0, |o| get(o, "/spec/persistentVolumeReclaimPolicy")),
                ("Status", "string", 0, |o| get(o, "/status/phase")),
                ("Claim", "string", 0, volume_claim),
                ("StorageClass", "string", 0, |o| get(o, "/spec/storageClassName")),
                ("VolumeAttributesClass", "string", 0, |_| "<unset>".into()),
                ("Reason", "string", 0, |o| get(o, "/status/reason")),
            ],
            vec![("VolumeMode", "string", 1, |o| get(o, "/spec/volumeMode"))],
        ),
        "StorageClass" => (
            vec![
                ("Provisioner", "string", 0, |o| get(o, "/provisioner")),
                ("ReclaimPolicy", "string", 0, |o| get(o, "/reclaimPolicy")),
                ("VolumeBindingMode", "string", 0, |o| get(o, "/volumeBindingMode")),
                ("AllowVolumeExpansion", "string", 0, |o| boolean(o, "/allowVolumeExpansion")),
            ],
            vec![],
        ),
        "PodDisruptionBudget" => (
            vec![
                ("Min Available", "string", 0, |o| or_absent(o, "/spec/minAvailable")),
                ("Max Unavailable", "string", 0, |o| or_absent(o, "/spec/maxUnavailable")),
                ("Allowed Disruptions", "string", 0, |o| number(o, "/status/disruptionsAllowed").into()),
            ],
            vec![],
        ),
        "RoleBinding" | "ClusterRoleBinding" => (
            vec![("Role", "string", 0, |o| {
                format!("{}/{}", text(o, "/roleRef/kind"), text(o, "/roleRef/name")).into()
            })],
            vec![("ServiceAccounts", "string", 1, bound_accounts)],
        ),
        "Ingress" => (
            vec![
                ("Class", "string", 0, |o| or_none(text(o, "/spec/ingressClassName"))),
                ("Hosts", "string", 0, ingress_hosts),
                ("Address", "string", 0, |_| "".into()),
                ("Ports", "string", 0, |o| if count(o, "/spec/tls") > 0 { "80, 443" } else { "80" }.into()),
            ],
            vec![],
        ),
        "IngressClass" => (vec![("Controller", "string", 0, |o| get(o, "/spec/controller"))], vec![]),
        "NetworkPolicy" => {
            (vec![("Pod-Selector", "string", 0, |o| pairs(o, "/spec/podSelector/matchLabels"))], vec![])
        }
        "ControllerRevision" => (
            vec![
                ("Controller", "string", 0, controller),
                ("Revision", "string", 0, |o| number(o, "/revision").into()),
            ],
            vec![],
        ),
        "PriorityClass" => (
            vec![
                ("Value", "integer", 0, |o| number(o, "/value").into()),
                ("Global-Default", "boolean", 0, |o| boolean(o, "/globalDefault")),
            ],
            vec![("PreemptionPolicy", "string", 0, |o| get(o, "/preemptionPolicy"))],
        ),
        _ => (vec![], vec![]),
    }
}

const CONTAINERS: Row = ("Containers", "string", 1, |o| containers(o, "name"));
const IMAGES: Row = ("Images", "string", 1, |o| containers(o, "image"));
const SELECTOR: Row = ("Selector", "string", 1, |o| pairs(o, "/spec/selector/matchLabels"));

fn name(object: &Value) -> Value {
    meta::name(object).into()
}

fn age(object: &Value) -> Value {
    table::age(meta::text(object, "creationTimestamp")).into()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn get(object: &Value, pointer: &str) -> Value {
    text(object, pointer).into()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn boolean(object: &Value, pointer: &str) -> Value {
    object.pointer(pointer).and_then(Value::as_bool).unwrap_or(false).into()
}

fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn count(object: &Value, pointer: &str) -> usize {
    match object.pointer(pointer) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(map)) => map.len(),
        _ => 0,
    }
}

fn or_none(text: &str) -> Value {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

fn unknown(object: &Value, pointer: &str) -> Value {
    let found = text(object, pointer);
    if found.is_empty() { "<unknown>".into() } else { found.into() }
}

fn or_absent(object: &Value, pointer: &str) -> Value {
    match object.pointer(pointer) {
        None | Some(Value::Null) => "N/A".into(),
        Some(Value::String(text)) => text.clone().into(),
        Some(other) => other.to_string().into(),
    }
}

fn ratio(object: &Value, part: &str, whole: &str) -> Value {
    format!("{}/{}", number(object, part), number(object, whole)).into()
}

fn since(object: &Value, pointer: &str) -> Value {
    let time = text(object, pointer);
    if time.is_empty() { "<none>".into() } else { table::age(time).into() }
}

fn joined(parts: Vec<String>) -> Value {
    or_none(&parts.join(","))
}

fn pairs(object: &Value, pointer: &str) -> Value {
    let map = object.pointer(pointer).and_then(Value::as_object);
    let list =
        map.into_iter().flatten().map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default())).collect();
    joined(list)
}

fn containers(object: &Value, field: &str) -> Value {
    let list = items(object, "/spec/template/spec/containers");
    let parts: Vec<&str> = list.filter_map(|c| c[field].as_str()).collect();
    parts.join(",").into()
}

fn service_ports(object: &Value) -> Value {
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
fn shortened(parts: Vec<String>) -> Value {
    let more = parts.len().saturating_sub(3);
    let shown: Vec<String> = parts.into_iter().take(3).collect();
    let text = shown.join(",");
    if more > 0 { format!("{text} + {more} more...").into() } else { or_none(&text) }
}

fn endpoints(object: &Value) -> Value {
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

fn slice_ports(object: &Value) -> Value {
    let found: Vec<String> =
        items(object, "/ports").filter_map(|p| p["port"].as_i64()).map(|p| p.to_string()).collect();
    if found.is_empty() { "<unset>".into() } else { shortened(found) }
}

fn slice_addresses(object: &Value) -> Value {
    let list = items(object, "/endpoints").flat_map(|e| items(e, "/addresses"));
    let found: Vec<String> = list.filter_map(|a| a.as_str().map(str::to_owned)).collect();
    if found.is_empty() { "<unset>".into() } else { shortened(found) }
}

fn node_status(object: &Value) -> Value {
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

fn node_roles(object: &Value) -> Value {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let roles = labels.into_iter().flatten();
    joined(roles.filter_map(|(k, _)| k.strip_prefix("node-role.kubernetes.io/").map(str::to_owned)).collect())
}

fn node_address(object: &Value, kind: &str) -> Value {
    let found = items(object, "/status/addresses").find(|a| a["type"] == kind);
    or_none(found.and_then(|a| a["address"].as_str()).unwrap_or_default())
}

fn claim_status(object: &Value) -> Value {
    if meta::is_deleting(object) { "Terminating".into() } else { get(object, "/status/phase") }
}

fn access_modes(object: &Value, pointer: &str) -> Value {
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

fn volume_claim(object: &Value) -> Value {
    if object.pointer("/spec/claimRef").is_none() {
        return "".into();
    }
    format!("{}/{}", text(object, "/spec/claimRef/namespace"), text(object, "/spec/claimRef/name")).into()
}

fn bound_accounts(object: &Value) -> Value {
    let list = items(object, "/subjects").filter(|s| s["kind"] == "ServiceAccount");
    let names: Vec<String> = list
        .map(|s| {
            let part = |key: &str| s[key].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", part("namespace"), part("name"))
        })
        .collect();
    names.join(", ").into()
}

fn ingress_hosts(object: &Value) -> Value {
    let hosts: Vec<String> = items(object, "/spec/rules")
        .map(|r| r["host"].as_str().filter(|h| !h.is_empty()).unwrap_or("*").to_owned())
        .collect();
    if hosts.is_empty() { "*".into() } else { shortened(hosts) }
}

fn controller(object: &Value) -> Value {
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

mod event {
    use super::{Value, meta, since, table, text};

    pub(super) fn last_seen(object: &Value) -> Value {
        let places = ["/series/lastObservedTime", "/lastTimestamp", "/eventTime"];
        let found = places.iter().map(|p| text(object, p)).find(|t| !t.is_empty());
        table::age(found.unwrap_or(meta::text(object, "creationTimestamp"))).into()
    }

    pub(super) fn first_seen(object: &Value) -> Value {
        let place = if text(object, "/firstTimestamp").is_empty() { "/eventTime" } else { "/firstTimestamp" };
        since(object, place)
    }

    pub(super) fn object(object: &Value) -> Value {
        let kind = text(object, "/involvedObject/kind").to_lowercase();
        format!("{kind}/{}", text(object, "/involvedObject/name")).into()
    }
}

mod job {
    use super::{Value, items, json, meta, table, text};

    pub(super) fn status(object: &Value) -> Value {
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

    pub(super) fn duration(object: &Value) -> Value {
        let time = |pointer: &str| text(object, pointer).parse::<jiff::Timestamp>().ok();
        match (time("/status/startTime"), time("/status/completionTime")) {
            (None, _) => json!(""),
            (Some(_), None) => table::age(text(object, "/status/startTime")).into(),
            (Some(start), Some(end)) => table::duration(end.duration_since(start).as_secs()).into(),
        }
    }
}

mod pod {
    use super::{Value, count, get, items, meta, table, text};

    pub(super) fn ready(object: &Value) -> Value {
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

    pub(super) fn status(object: &Value) -> Value {
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

    pub(super) fn restarts(object: &Value) -> Value {
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
