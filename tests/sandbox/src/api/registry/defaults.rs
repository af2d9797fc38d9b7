//! Defaults of built-in types that depend on other fields. Those that stand alone are in `field_defaults.rs`.

use super::super::meta;
use super::Resource;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What every object of a kind has, because its Go struct writes it even when it is empty. A null stands for a
/// list that is always written; it counts as there for ownership and is not stored.
const ALWAYS: &[(&str, &str)] = &[
    (
        "cronjobs.batch",
        r#"{"spec":{"jobTemplate":{"metadata":{},"spec":{"template":{"metadata":{},
        "spec":{"containers":null}}}}},"status":{}}"#,
    ),
    (
        "daemonsets.apps",
        r#"{"spec":{"template":{"metadata":{},"spec":{"containers":null}},"updateStrategy":{}},
        "status":{"currentNumberScheduled":0,"desiredNumberScheduled":0,"numberMisscheduled":0,"numberReady":0}}"#,
    ),
    (
        "deployments.apps",
        r#"{"spec":{"strategy":{},"template":{"metadata":{},"spec":{"containers":null}}},
        "status":{}}"#,
    ),
    ("ingresses.networking.k8s.io", r#"{"spec":{},"status":{"loadBalancer":{}}}"#),
    ("jobs.batch", r#"{"spec":{"template":{"metadata":{},"spec":{"containers":null}}},"status":{}}"#),
    ("leases.coordination.k8s.io", r#"{"spec":{}}"#),
    ("namespaces", r#"{"spec":{},"status":{}}"#),
    ("networkpolicies.networking.k8s.io", r#"{"spec":{"podSelector":{}}}"#),
    ("nodes", r#"{"spec":{},"status":{}}"#),
    ("persistentvolumeclaims", r#"{"spec":{"resources":{}},"status":{}}"#),
    ("persistentvolumes", r#"{"spec":{},"status":{}}"#),
    (
        "poddisruptionbudgets.policy",
        r#"{"spec":{},"status":{"currentHealthy":0,"desiredHealthy":0,
        "disruptionsAllowed":0,"expectedPods":0}}"#,
    ),
    ("pods", r#"{"spec":{"containers":null},"status":{}}"#),
    (
        "replicasets.apps",
        r#"{"spec":{"template":{"metadata":{},"spec":{"containers":null}}},
        "status":{"replicas":0}}"#,
    ),
    ("services", r#"{"spec":{},"status":{"loadBalancer":{}}}"#),
    (
        "statefulsets.apps",
        r#"{"spec":{"template":{"metadata":{},"spec":{"containers":null}},"updateStrategy":{}},
        "status":{"availableReplicas":0,"replicas":0}}"#,
    ),
];

static SKELETONS: LazyLock<BTreeMap<&'static str, Value>> = LazyLock::new(|| {
    ALWAYS.iter().filter_map(|(name, json)| Some((*name, serde_json::from_str(json).ok()?))).collect()
});

/// The object with what its kind always has.
pub(crate) fn with_skeleton(resource: &Resource, object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(skeleton) = SKELETONS.get(resource.qualified().as_str()) {
        fill(&mut object, skeleton, true);
    }
    object
}

fn fill(object: &mut Value, skeleton: &Value, nulls: bool) {
    let (Value::Object(map), Value::Object(skeleton)) = (object, skeleton) else { return };
    for (name, value) in skeleton {
        match map.get_mut(name) {
            Some(found) => fill(found, value, nulls),
            None if value.is_null() && !nulls => {}
            None => {
                let mut fresh = if value.is_object() { json!({}) } else { value.clone() };
                fill(&mut fresh, value, nulls);
                map.insert(name.clone(), fresh);
            }
        }
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn default(map: &mut Map<String, Value>, field: &str, value: impl FnOnce() -> Value) {
    if !map.contains_key(field) {
        map.insert(field.to_owned(), value());
    }
}

/// Fills in defaults of a built-in object, in place.
pub(crate) fn apply(resource: &Resource, object: &mut Value) {
    match resource.plural.as_str() {
        "pods" if resource.group.is_empty() => {
            let spec = meta::map_at(object, "spec");
            pod_spec(spec);
            requests_from_limits(spec);
        }
        "statefulsets" => {
            template(object, "/spec/template");
            if text(object, "/spec/updateStrategy/type") == "RollingUpdate" {
                let strategy = meta::as_map(&mut object["spec"]["updateStrategy"]);
                let rolling = meta::as_map(strategy.entry("rollingUpdate").or_insert(Value::Null));
                default(rolling, "partition", || json!(0));
                default(rolling, "maxUnavailable", || json!(1));
            }
            let claims = object.pointer_mut("/spec/volumeClaimTemplates").and_then(Value::as_array_mut);
            for claim in claims.into_iter().flatten() {
                let claim = meta::as_map(claim);
                claim.insert("apiVersion".into(), "v1".into());
                claim.insert("kind".into(), "PersistentVolumeClaim".into());
                default(claim, "status", || json!({"phase": "Pending"}));
                default(meta::as_map(claim.entry("spec").or_insert(Value::Null)), "volumeMode", || {
                    "Filesystem".into()
                });
            }
        }
        "deployments" => {
            template(object, "/spec/template");
            rolling_update(object, "strategy", "25%", "25%");
        }
        "daemonsets" => {
            template(object, "/spec/template");
            rolling_update(object, "updateStrategy", "0", "1");
            let annotations =
                meta::as_map(meta::metadata(object).entry("annotations").or_insert(Value::Null));
            default(annotations, "deprecated.daemonset.template.generation", || "1".into());
        }
        "replicasets" => {
            if object.pointer("/spec/selector").is_none() {
                let labels = object.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
                object["spec"]["selector"] = json!({ "matchLabels": labels });
            }
            template(object, "/spec/template");
        }
        "jobs" if resource.group == "batch" => {
            template(object, "/spec/template");
            let spec = meta::map_at(object, "spec");
            // Not defaults of the type: the template of a CronJob does without them.
            for (field, value) in [
                ("backoffLimit", json!(6)),
                ("completionMode", json!("NonIndexed")),
                ("manualSelector", json!(false)),
                ("parallelism", json!(1)),
                ("podReplacementPolicy", json!("TerminatingOrFailed")),
                ("suspend", json!(false)),
            ] {
                default(spec, field, || value);
            }
            if !spec.contains_key("completions") && spec.get("parallelism") == Some(&json!(1)) {
                spec.insert("completions".into(), json!(1));
            }
        }
        "cronjobs" => {
            if let Some(job) = object.pointer_mut("/spec/jobTemplate/spec/template/spec") {
                pod_spec(meta::as_map(job));
            }
        }
        "services" => service(meta::map_at(object, "spec")),
        "events" => event(meta::as_map(object)),
        "networkpolicies" => {
            let spec = meta::map_at(object, "spec");
            let egress = spec.contains_key("egress");
            default(spec, "policyTypes", || {
                if egress { json!(["Ingress", "Egress"]) } else { json!(["Ingress"]) }
            });
        }
        "rolebindings" | "clusterrolebindings" => {
            for subject in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
                let group =
                    if subject["kind"] == "ServiceAccount" { "" } else { "rbac.authorization.k8s.io" };
                if !group.is_empty() {
                    default(meta::as_map(subject), "apiGroup", || group.into());
                }
            }
            if let Some(role) = object.get_mut("roleRef") {
                default(meta::as_map(role), "apiGroup", || "rbac.authorization.k8s.io".into());
            }
        }
        "namespaces" => {
            default(meta::map_at(object, "spec"), "finalizers", || json!(["kubernetes"]));
            default(meta::map_at(object, "status"), "phase", || "Active".into());
            let name = meta::name(object).to_owned();
            if !name.is_empty() {
                let labels = meta::as_map(meta::metadata(object).entry("labels").or_insert(Value::Null));
                labels.insert("kubernetes.io/metadata.name".into(), name.into());
            }
        }
        "persistentvolumeclaims" => default(meta::map_at(object, "status"), "phase", || "Pending".into()),
        "persistentvolumes" => {
            let status = meta::map_at(object, "status");
            default(status, "phase", || "Pending".into());
            default(status, "lastPhaseTransitionTime", || meta::now().into());
        }
        "customresourcedefinitions" => super::crd::complete(object),
        "secrets" => string_data(object),
        _ => {}
    }
    if let Some(skeleton) = SKELETONS.get(resource.qualified().as_str()) {
        fill(object, skeleton, false);
    }
    if resource.is("", "pods") {
        default(meta::map_at(object, "status"), "phase", || "Pending".into());
        let class = qos_class(&object["spec"]);
        default(meta::map_at(object, "status"), "qosClass", || class.into());
    }
}

/// What an event always has, because its Go struct writes it even when it is empty.
fn event(object: &mut Map<String, Value>) {
    for (field, empty) in [
        ("eventTime", Value::Null),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
        ("reportingComponent", "".into()),
        ("reportingInstance", "".into()),
        ("source", json!({})),
    ] {
        default(object, field, || empty);
    }
}

fn string_data(object: &mut Value) {
    use base64::Engine as _;
    let Some(Value::Object(plain)) = meta::as_map(object).remove("stringData") else { return };
    let data = meta::map_at(object, "data");
    for (key, value) in plain {
        let bytes = value.as_str().unwrap_or_default().as_bytes().to_vec();
        data.insert(key, base64::engine::general_purpose::STANDARD.encode(bytes).into());
    }
}

fn rolling_update(object: &mut Value, field: &str, surge: &str, unavailable: &str) {
    if text(object, &format!("/spec/{field}/type")) != "RollingUpdate" {
        return;
    }
    let number = |text: &str| text.parse::<i64>().map_or_else(|_| json!(text), |n| json!(n));
    let strategy = meta::as_map(&mut object["spec"][field]);
    let rolling = meta::as_map(strategy.entry("rollingUpdate").or_insert(Value::Null));
    default(rolling, "maxSurge", || number(surge));
    default(rolling, "maxUnavailable", || number(unavailable));
}

fn template(object: &mut Value, pointer: &str) {
    if let Some(template) = object.pointer_mut(pointer) {
        pod_spec(meta::map_at(template, "spec"));
    }
}

fn pod_spec(spec: &mut Map<String, Value>) {
    // The old and the new name of the account are kept the same.
    match (spec.get("serviceAccountName").cloned(), spec.get("serviceAccount").cloned()) {
        (Some(name), _) => {
            spec.insert("serviceAccount".into(), name);
        }
        (None, Some(name)) => {
            spec.insert("serviceAccountName".into(), name);
        }
        (None, None) => {}
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            container_defaults(meta::as_map(container));
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        let volume = meta::as_map(volume);
        if volume.len() == 1 && volume.contains_key("name") {
            volume.insert("emptyDir".into(), json!({}));
        }
    }
}

fn container_defaults(container: &mut Map<String, Value>) {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default().to_owned();
    default(container, "imagePullPolicy", || pull_policy(&image).into());
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(grpc) = container.get_mut(probe).and_then(|p| p.get_mut("grpc")) {
            default(meta::as_map(grpc), "service", || "".into());
        }
    }
}

/// A pod requests what it is limited to, where it says nothing else. A template does not: its pods will.
fn requests_from_limits(spec: &mut Map<String, Value>) {
    for list in ["containers", "initContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) else {
                continue;
            };
            let Some(limits) = resources.get("limits").and_then(Value::as_object).cloned() else { continue };
            let requests = meta::as_map(resources.entry("requests").or_insert(Value::Null));
            for (name, value) in limits {
                default(requests, &name, || value);
            }
        }
    }
}

fn pull_policy(image: &str) -> &'static str {
    if image.contains('@') {
        return "IfNotPresent";
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    match last.split_once(':') {
        None | Some((_, "latest")) => "Always",
        Some(_) => "IfNotPresent",
    }
}

fn service(spec: &mut Map<String, Value>) {
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("ClusterIP").to_owned();
    if kind != "ExternalName" {
        default(spec, "internalTrafficPolicy", || "Cluster".into());
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        default(spec, "externalTrafficPolicy", || "Cluster".into());
    }
    if kind == "LoadBalancer" {
        default(spec, "allocateLoadBalancerNodePorts", || json!(true));
    }
    if spec.get("sessionAffinity").and_then(Value::as_str) == Some("ClientIP") {
        default(spec, "sessionAffinityConfig", || json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        let number = port.get("port").cloned().unwrap_or_default();
        let port = meta::as_map(port);
        if matches!(port.get("targetPort"), None | Some(Value::Null)) {
            port.insert("targetPort".into(), number);
        }
    }
}

fn qos_class(spec: &Value) -> &'static str {
    let lists = ["containers", "initContainers"];
    let containers: Vec<&Value> = lists.iter().filter_map(|l| spec.get(*l)?.as_array()).flatten().collect();
    let resource =
        |c: &Value, kind: &str, name: &str| c.pointer(&format!("/resources/{kind}/{name}")).cloned();
    let any = containers.iter().any(|c| {
        ["requests", "limits"].iter().any(|k| ["cpu", "memory"].iter().any(|n| resource(c, k, n).is_some()))
    });
    let all = containers.iter().all(|c| {
        ["cpu", "memory"].iter().all(|n| {
            let limit = resource(c, "limits", n);
            limit.is_some() && resource(c, "requests", n) == limit
        })
    });
    match (any, all) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

/// Names of an event's fields in `events.k8s.io/v1` and in the core group, which stores them.
const EVENT_FIELDS: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

fn rename(object: &mut Value, pairs: impl Iterator<Item = (&'static str, &'static str)>) {
    let map = meta::as_map(object);
    for (from, to) in pairs {
        if let Some(value) = map.remove(from) {
            map.insert(to.to_owned(), value);
        }
    }
}

/// An object of `events.k8s.io` in the stored form; others as they are.
pub(crate) fn events_in(resource: &Resource, mut object: Value) -> Value {
    if resource.group == "events.k8s.io" {
        rename(&mut object, EVENT_FIELDS.iter().copied());
    }
    object
}

/// A stored object in the form of `events.k8s.io`, where that is asked for.
pub(crate) fn events_out(resource: &Resource, mut object: Value) -> Value {
    if resource.group == "events.k8s.io" {
        rename(&mut object, EVENT_FIELDS.iter().map(|(new, old)| (*old, *new)));
        let map = meta::as_map(&mut object);
        for field in ["reportingController", "reportingInstance"] {
            if map.get(field).is_some_and(|found| found == "") {
                map.remove(field);
            }
        }
    }
    object
}
