//! Validation of built-in types: names, required fields, and what may not change.

use super::super::errors::Cause;
use super::super::meta;
use super::Resource;
use serde_json::{Value, json};

const STATEFULSET_MUTABLE: &[&str] = &[
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];
const STATEFULSET_TEXT: &str = "updates to statefulset spec for fields other than 'replicas', 'ordinals', \
    'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and \
    'minReadySeconds' are forbidden";

const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, \
    '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
    validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
    and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
    validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    !text.is_empty()
        && text.chars().all(|c| edge(c) || c == '-')
        && text.starts_with(edge)
        && text.ends_with(edge)
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// What is wrong with an object's metadata.
pub(crate) fn metadata(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = meta::name(object);
    let at = "metadata.name";
    let value = Value::String(name.to_owned());
    if name.is_empty() {
        causes.push(Cause::required(at, "name or generateName is required"));
    } else if resource.group == "rbac.authorization.k8s.io" {
        if name.contains('/') || name.contains('%') || matches!(name, "." | "..") {
            causes.push(Cause::invalid(at, &value, "may not contain '/'"));
        }
    } else if resource.is("", "services") {
        if name.contains('.') {
            causes.push(Cause::invalid(at, &value, "must not contain dots"));
        } else if !is_label(name) {
            causes.push(Cause::invalid(at, &value, LABEL_TEXT));
        } else if name.len() > 63 {
            causes.push(Cause::invalid(at, &value, "must be no more than 63 characters"));
        }
    } else if resource.is("", "namespaces") {
        if !is_label(name) {
            causes.push(Cause::invalid(at, &value, LABEL_TEXT));
        } else if name.len() > 63 {
            causes.push(Cause::invalid(at, &value, "must be no more than 63 characters"));
        }
    } else if !is_subdomain(name) {
        causes.push(Cause::invalid(at, &value, SUBDOMAIN_TEXT));
    } else if name.len() > 253 {
        causes.push(Cause::invalid(at, &value, "must be no more than 253 characters"));
    }
    causes.extend(changed_metadata(object));
    causes
}

/// What is wrong with the metadata that an update may change.
pub(crate) fn changed_metadata(object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    labels(object.pointer("/metadata/labels"), "metadata.labels", &mut causes);
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    for key in annotations.into_iter().flatten().map(|(k, _)| k) {
        qualified_name(&key.to_lowercase(), key, "metadata.annotations", &mut causes);
    }
    owners(object, &mut causes);
    for (index, finalizer) in meta::list(object, "finalizers").into_iter().enumerate() {
        let value = Value::from(finalizer);
        qualified_name(finalizer, finalizer, "metadata.finalizers", &mut causes);
        if !finalizer.contains('/') && !matches!(finalizer, "foregroundDeletion" | "orphan" | "kubernetes") {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(format!("metadata.finalizers[{index}]"), &value, why));
        }
    }
    causes
}

/// An owner is named by all of its fields.
fn owners(object: &Value, causes: &mut Vec<Cause>) {
    let owners = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    for (index, owner) in owners.into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                let at = format!("metadata.ownerReferences[{index}].{field}");
                causes.push(Cause::required(at, "must not be empty"));
            }
        }
    }
}

fn labels(labels: Option<&Value>, at: &str, causes: &mut Vec<Cause>) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        qualified_name(key, key, at, causes);
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid(at, value, "must be no more than 63 bytes"));
        } else if let Some(why) = label_value(text) {
            causes.push(Cause::invalid(at, value, why));
        }
    }
}

/// What is wrong with the value of a label.
pub(crate) fn label_value(text: &str) -> Option<&'static str> {
    (!text.is_empty() && !is_name_part(text)).then_some(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start \
         and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for \
         validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    )
}

fn is_name_part(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    text.chars().all(|c| edge(c) || matches!(c, '-' | '_' | '.'))
        && text.starts_with(edge)
        && text.ends_with(edge)
}

fn qualified_name(key: &str, shown: &str, at: &str, causes: &mut Vec<Cause>) {
    let (prefix, name) = key.rsplit_once('/').map_or((None, key), |(p, n)| (Some(p), n));
    let value = Value::String(shown.to_owned());
    if let Some(prefix) = prefix
        && !is_subdomain(prefix)
    {
        causes.push(Cause::invalid(at, &value, format!("prefix part {SUBDOMAIN_TEXT}")));
    }
    if name.is_empty() || !is_name_part(name) {
        causes.push(Cause::invalid(
            at,
            &value,
            "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
             alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
             '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ));
    } else if name.len() > 63 {
        causes.push(Cause::invalid(at, &value, "name part must be no more than 63 bytes"));
    }
}

/// What is wrong with a built-in object; `old` is the stored one on an update.
pub(crate) fn object(resource: &Resource, new: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut causes = Vec::new();
    match (resource.group.as_str(), resource.plural.as_str()) {
        ("apps", "statefulsets" | "deployments" | "daemonsets" | "replicasets") => {
            workload(resource, new, old, &mut causes);
        }
        ("batch", "jobs") => {
            pod_spec(&new["spec"]["template"]["spec"], "spec.template.spec", &[], &mut causes);
            if new["spec"]["template"]["spec"]["restartPolicy"] == "Always" {
                let why = "valid values: \"OnFailure\", \"Never\"";
                causes.push(Cause::required("spec.template.spec.restartPolicy", why));
            }
            if let Some(old) = old {
                for field in ["template", "selector", "completions", "completionMode"] {
                    immutable(new, old, &format!("/spec/{field}"), &format!("spec.{field}"), &mut causes);
                }
            }
        }
        ("", "pods") => pod(new, old, &mut causes),
        ("", "services") => service(new, old, &mut causes),
        ("", "secrets" | "configmaps") => contents(resource, new, old, &mut causes),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            causes.extend(super::crd::faults(new, old.is_none()));
            if let Some(old) = old {
                immutable(new, old, "/spec/group", "spec.group", &mut causes);
                immutable(new, old, "/spec/scope", "spec.scope", &mut causes);
                immutable(new, old, "/spec/names/kind", "spec.names.kind", &mut causes);
                immutable(new, old, "/spec/names/plural", "spec.names.plural", &mut causes);
            }
        }
        ("", "persistentvolumeclaims") => claim(new, old, &mut causes),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            if let Some(old) = old
                && new["roleRef"] != old["roleRef"]
            {
                causes.push(Cause::invalid("roleRef", &new["roleRef"], "field is immutable"));
            }
        }
        ("discovery.k8s.io", "endpointslices") => {
            if let Some(old) = old {
                kept(new, old, "addressType", &mut causes);
            }
            let mut names: Vec<&Value> = Vec::new();
            for (index, port) in new["ports"].as_array().into_iter().flatten().enumerate() {
                if names.contains(&&port["name"]) {
                    let text = format!("Duplicate value: {}", port["name"]);
                    causes.push(Cause::new("FieldValueDuplicate", format!("ports[{index}].name"), text));
                }
                names.push(&port["name"]);
            }
        }
        ("storage.k8s.io", "storageclasses") => {
            if let Some(old) = old {
                kept(new, old, "provisioner", &mut causes);
            }
        }
        ("scheduling.k8s.io", "priorityclasses") if old.is_some_and(|old| old["value"] != new["value"]) => {
            causes.push(Cause::forbidden("value", "may not be changed in an update."));
        }
        ("policy", "poddisruptionbudgets") => {
            let spec = &new["spec"];
            if !spec["minAvailable"].is_null() && !spec["maxUnavailable"].is_null() {
                causes.push(Cause::invalid(
                    "spec",
                    spec,
                    "minAvailable and maxUnavailable cannot be both set",
                ));
            }
        }
        ("" | "events.k8s.io", "events") => event(new, &mut causes),
        _ => {}
    }
    super::values::check(resource, new, &mut causes);
    causes
}

/// An event belongs to the namespace of what it tells of, and a new one says when it was.
fn event(new: &Value, causes: &mut Vec<Cause>) {
    let place = new.pointer("/involvedObject/namespace").and_then(Value::as_str).unwrap_or_default();
    let own = meta::namespace(new);
    let elsewhere = if place.is_empty() { own != "default" } else { place != own };
    if elsewhere {
        let value = Value::from(place);
        causes.push(Cause::invalid("involvedObject.namespace", &value, "does not match event.namespace"));
    }
    let old_form = ["firstTimestamp", "lastTimestamp", "count"].iter().any(|field| !new[*field].is_null());
    let component = new["reportingComponent"].as_str().unwrap_or_default();
    if new["eventTime"].is_null() && !old_form && (!component.is_empty() || new["source"] == json!({})) {
        causes.push(Cause::required("eventTime", ""));
    }
}

/// As [`immutable`], in the words of the kinds whose validation is declared on their types.
fn kept(new: &Value, old: &Value, field: &str, causes: &mut Vec<Cause>) {
    if new.get(field) != old.get(field) {
        let text = "Invalid value: null: field is immutable".to_owned();
        causes.push(Cause::new("FieldValueInvalid", field, text));
    }
}

fn immutable(new: &Value, old: &Value, pointer: &str, at: &str, causes: &mut Vec<Cause>) {
    let found = new.pointer(pointer).unwrap_or(&Value::Null);
    if Some(found) != old.pointer(pointer).or(Some(&Value::Null)) {
        causes.push(Cause::invalid(at, found, "field is immutable"));
    }
}

fn workload(resource: &Resource, new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    let selector = &spec["selector"];
    if selector.is_null() {
        causes.push(Cause::required("spec.selector", ""));
    } else if selector.as_object().is_some_and(|m| m.is_empty()) {
        causes.push(Cause::invalid("spec.selector", selector, "empty selector is invalid for deployment"));
    }
    let labels = spec.pointer("/template/metadata/labels").cloned().unwrap_or_else(|| json!({}));
    let wanted = selector.get("matchLabels").and_then(Value::as_object);
    let differs = wanted.into_iter().flatten().any(|(key, value)| labels.get(key) != Some(value));
    if differs || selector.is_null() {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &labels,
            "`selector` does not match template `labels`",
        ));
    }
    if let Some(replicas) = spec.get("replicas").and_then(Value::as_i64).filter(|r| *r < 0) {
        causes.push(Cause::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0"));
    }
    let templates = spec.get("volumeClaimTemplates").and_then(Value::as_array).into_iter().flatten();
    let claims: Vec<&str> = templates.filter_map(|claim| claim.pointer("/metadata/name")?.as_str()).collect();
    pod_spec(&spec["template"]["spec"], "spec.template.spec", &claims, causes);
    let Some(old) = old else { return };
    if resource.plural == "statefulsets" {
        let frozen = |object: &Value| {
            let mut spec = object["spec"].clone();
            if let Some(map) = spec.as_object_mut() {
                map.retain(|field, _| !STATEFULSET_MUTABLE.contains(&field.as_str()));
            }
            spec
        };
        let before = causes.len();
        immutable(new, old, "/spec/serviceName", "spec.serviceName", causes);
        immutable(new, old, "/spec/podManagementPolicy", "spec.podManagementPolicy", causes);
        immutable(new, old, "/spec/selector", "spec.selector", causes);
        if causes.len() == before && frozen(new) != frozen(old) {
            causes.push(Cause::forbidden("spec", STATEFULSET_TEXT));
        }
    } else {
        immutable(new, old, "/spec/selector", "spec.selector", causes);
    }
}

/// What is wrong with a pod's spec; `claims` are volumes that come from elsewhere.
fn pod_spec(spec: &Value, at: &str, claims: &[&str], causes: &mut Vec<Cause>) {
    let containers = spec.get("containers").and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        causes.push(Cause::required(format!("{at}.containers"), ""));
    }
    let volumes = spec.get("volumes").and_then(Value::as_array);
    let volumes: Vec<&str> = volumes.into_iter().flatten().filter_map(|v| v["name"].as_str()).collect();
    for (index, volume) in volumes.iter().enumerate().filter(|(index, name)| volumes[..*index].contains(name))
    {
        let text = format!("Duplicate value: \"{volume}\"");
        causes.push(Cause::new("FieldValueDuplicate", format!("{at}.volumes[{index}].name"), text));
    }
    let mut names: Vec<&str> = Vec::new();
    for list in ["initContainers", "containers"] {
        let found = spec.get(list).and_then(Value::as_array);
        for (index, container) in found.into_iter().flatten().enumerate() {
            let at = format!("{at}.{list}[{index}]");
            let name = container["name"].as_str().unwrap_or_default();
            if name.is_empty() {
                causes.push(Cause::required(format!("{at}.name"), ""));
            } else if names.contains(&name) {
                let text = format!("Duplicate value: \"{name}\"");
                causes.push(Cause::new("FieldValueDuplicate", format!("{at}.name"), text));
            } else if !is_label(name) || name.len() > 63 {
                causes.push(Cause::invalid(format!("{at}.name"), &container["name"], LABEL_TEXT));
            }
            names.push(name);
            if container["image"].as_str().unwrap_or_default().is_empty() {
                causes.push(Cause::required(format!("{at}.image"), ""));
            }
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                let found = &container[probe];
                let handlers = ["exec", "httpGet", "tcpSocket", "grpc"];
                if found.is_object() && handlers.iter().all(|handler| found[*handler].is_null()) {
                    causes.push(Cause::required(format!("{at}.{probe}"), "must specify a handler type"));
                }
            }
            let mounts = container.get("volumeMounts").and_then(Value::as_array);
            for (index, mount) in mounts.into_iter().flatten().enumerate() {
                let volume = mount["name"].as_str().unwrap_or_default();
                if !volumes.contains(&volume) && !claims.contains(&volume) {
                    let field = format!("{at}.volumeMounts[{index}].name");
                    let text = format!("Not found: \"{volume}\"");
                    causes.push(Cause::new("FieldValueNotFound", field, text));
                }
            }
        }
    }
}

fn pod(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let Some(old) = old else {
        pod_spec(&new["spec"], "spec", &[], causes);
        return;
    };
    let frozen = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(map) = spec.as_object_mut() {
            for field in [
                "activeDeadlineSeconds",
                "terminationGracePeriodSeconds",
                "tolerations",
                "nodeName",
                "schedulingGates",
            ] {
                map.remove(field);
            }
            for list in ["containers", "initContainers"] {
                for container in map.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    meta::as_map(container).remove("image");
                }
            }
        }
        spec
    };
    let moved = old.pointer("/spec/nodeName").is_some() && old["spec"]["nodeName"] != new["spec"]["nodeName"];
    if frozen(new) != frozen(old) || moved {
        causes.push(Cause::forbidden(
            "spec",
            "pod updates may not change fields other than `spec.containers[*].image`,\
             `spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to \
             existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was \
             previously negative)",
        ));
    }
}

fn service(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    let kind = spec["type"].as_str().unwrap_or("ClusterIP");
    let headless = spec["clusterIP"] == "None";
    let ports = spec.get("ports").and_then(Value::as_array).cloned().unwrap_or_default();
    if ports.is_empty() && !headless && kind != "ExternalName" {
        causes.push(Cause::required("spec.ports", ""));
    }
    labels(spec.get("selector"), "spec.selector", causes);
    let mut names: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let at = format!("spec.ports[{index}]");
        let name = port["name"].as_str().unwrap_or_default();
        if name.is_empty() && ports.len() > 1 {
            causes.push(Cause::required(format!("{at}.name"), ""));
        } else if !name.is_empty() && names.contains(&name) {
            let text = format!("Duplicate value: \"{name}\"");
            causes.push(Cause::new("FieldValueDuplicate", format!("{at}.name"), text));
        }
        names.push(name);
        for field in ["port", "targetPort"] {
            let found = &port[field];
            let named = field == "targetPort" && !found.is_i64();
            if !named && !found.as_i64().is_some_and(|p| (1..=65535).contains(&p)) {
                let why = "must be between 1 and 65535, inclusive";
                causes.push(Cause::invalid(format!("{at}.{field}"), found, why));
            }
        }
    }
    if let Some(old) = old
        && kind != "ExternalName"
        && old["spec"]["type"] != "ExternalName"
        && old["spec"]["clusterIP"].is_string()
        && old["spec"]["clusterIP"] != spec["clusterIP"]
    {
        causes.push(Cause::invalid(
            "spec.clusterIPs[0]",
            &json!([spec["clusterIP"]]),
            "may not change once set",
        ));
    }
}

fn contents(resource: &Resource, new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    for field in ["data", "binaryData"] {
        for (key, _) in new.get(field).and_then(Value::as_object).into_iter().flatten() {
            let fine = !key.is_empty()
                && key.len() <= 253
                && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
                && !matches!(key.as_str(), "." | "..");
            if !fine {
                causes.push(Cause::invalid(
                    format!("{field}[{key}]"),
                    &Value::String(key.clone()),
                    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. \
                     'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')",
                ));
            }
        }
    }
    let size: usize = ["data", "binaryData"]
        .iter()
        .filter_map(|f| new.get(*f)?.as_object())
        .flatten()
        .map(|(_, v)| v.as_str().map_or(0, str::len))
        .sum();
    // Secrets and binary data are base64 here: three bytes in four.
    let size = if resource.plural == "secrets" { size / 4 * 3 } else { size };
    if size > 1_048_576 {
        let at = if resource.plural == "secrets" { "data" } else { "[]" };
        causes.push(Cause::new(
            "FieldValueTooLong",
            at,
            "Too long: may not be more than 1048576 bytes".to_owned(),
        ));
    }
    let Some(old) = old else { return };
    if resource.plural == "secrets" {
        immutable(new, old, "/type", "type", causes);
    }
    if old["immutable"] == true {
        if new["immutable"] != true {
            causes.push(Cause::forbidden("immutable", "field is immutable when `immutable` is set"));
        }
        for field in ["data", "binaryData"] {
            if new.get(field) != old.get(field) {
                causes.push(Cause::forbidden(field, "field is immutable when `immutable` is set"));
            }
        }
    }
}

fn claim(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let spec = &new["spec"];
    if spec.get("accessModes").and_then(Value::as_array).is_none_or(Vec::is_empty) {
        causes.push(Cause::required("spec.accessModes", "at least 1 access mode is required"));
    }
    let modes = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"].map(str::to_owned);
    for mode in spec["accessModes"].as_array().into_iter().flatten() {
        if !modes.iter().any(|known| mode == known) {
            causes.push(Cause::not_supported("spec.accessModes", mode, &modes));
        }
    }
    match spec.pointer("/resources/requests/storage") {
        None => causes.push(Cause::required("spec.resources[storage]", "")),
        Some(size) if size == "0" || size.as_str().is_some_and(|s| s.starts_with('-')) => {
            causes.push(Cause::invalid("spec.resources[storage]", size, "must be greater than zero"));
        }
        Some(_) => {}
    }
    let Some(old) = old else { return };
    let frozen = |object: &Value| {
        let mut spec = object["spec"].clone();
        if let Some(map) = spec.as_object_mut() {
            map.remove("resources");
            map.remove("volumeAttributesClassName");
        }
        spec
    };
    let mut before = frozen(old);
    // Binding and the default class fill in what was not there.
    for field in ["volumeName", "storageClassName"] {
        if before.get(field).is_none_or(|v| v == "")
            && let Some(value) = spec.get(field)
        {
            before[field] = value.clone();
        }
    }
    if before != frozen(new) {
        causes.push(Cause::forbidden(
            "spec",
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
             claims",
        ));
    }
}
