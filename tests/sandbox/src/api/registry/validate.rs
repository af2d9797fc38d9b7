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
const SERVICE_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start \
    with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex \
    used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

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
        if !is_label(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
            causes.push(Cause::invalid(at, &value, SERVICE_TEXT));
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
    labels(object.pointer("/metadata/labels"), "metadata.labels", &mut causes);
    let annotations = object.pointer("/metadata/annotations").and_then(Value::as_object);
    for key in annotations.into_iter().flatten().map(|(k, _)| k) {
        qualified_name(&key.to_lowercase(), key, "metadata.annotations", &mut causes);
    }
    causes
}

fn labels(labels: Option<&Value>, at: &str, causes: &mut Vec<Cause>) {
    for (key, value) in labels.and_then(Value::as_object).into_iter().flatten() {
        qualified_name(key, key, at, causes);
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            causes.push(Cause::invalid(at, value, "must be no more than 63 bytes"));
        } else if !text.is_empty() && !is_name_part(text) {
            causes.push(Cause::invalid(
                at,
                value,
                "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', \
                 and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or \
                 '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ));
        }
    }
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
            pod_spec(&new["spec"]["template"]["spec"], "spec.template.spec", &mut causes);
            let restart = &new["spec"]["template"]["spec"]["restartPolicy"];
            if restart == "Always" {
                let supported = ["OnFailure".to_owned(), "Never".to_owned()];
                causes.push(Cause::not_supported("spec.template.spec.restartPolicy", restart, &supported));
            }
            if let Some(old) = old {
                immutable(new, old, "/spec/template", "spec.template", &mut causes);
                immutable(new, old, "/spec/selector", "spec.selector", &mut causes);
            }
        }
        ("", "pods") => pod(new, old, &mut causes),
        ("", "services") => service(new, old, &mut causes),
        ("", "secrets" | "configmaps") => contents(resource, new, old, &mut causes),
        ("apiextensions.k8s.io", "customresourcedefinitions") => {
            causes.extend(super::crd::faults(new));
            if let Some(old) = old {
                immutable(new, old, "/spec/group", "spec.group", &mut causes);
                immutable(new, old, "/spec/scope", "spec.scope", &mut causes);
                immutable(new, old, "/spec/names/kind", "spec.names.kind", &mut causes);
            }
        }
        ("", "persistentvolumeclaims") => claim(new, old, &mut causes),
        ("rbac.authorization.k8s.io", "rolebindings" | "clusterrolebindings") => {
            if let Some(old) = old
                && new["roleRef"] != old["roleRef"]
            {
                causes.push(Cause::invalid("roleRef", &new["roleRef"], "cannot change roleRef"));
            }
        }
        _ => {}
    }
    causes
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
    if wanted.into_iter().flatten().any(|(key, value)| labels.get(key) != Some(value)) {
        causes.push(Cause::invalid(
            "spec.template.metadata.labels",
            &labels,
            "`selector` does not match template `labels`",
        ));
    }
    if let Some(replicas) = spec.get("replicas").and_then(Value::as_i64).filter(|r| *r < 0) {
        causes.push(Cause::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0"));
    }
    pod_spec(&spec["template"]["spec"], "spec.template.spec", causes);
    let Some(old) = old else { return };
    if resource.plural == "statefulsets" {
        let frozen = |object: &Value| {
            let mut spec = object["spec"].clone();
            if let Some(map) = spec.as_object_mut() {
                map.retain(|field, _| !STATEFULSET_MUTABLE.contains(&field.as_str()));
            }
            spec
        };
        if frozen(new) != frozen(old) {
            causes.push(Cause::forbidden("spec", STATEFULSET_TEXT));
        }
    } else {
        immutable(new, old, "/spec/selector", "spec.selector", causes);
    }
}

fn pod_spec(spec: &Value, at: &str, causes: &mut Vec<Cause>) {
    let containers = spec.get("containers").and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        causes.push(Cause::required(format!("{at}.containers"), ""));
    }
    let volumes = spec.get("volumes").and_then(Value::as_array);
    let volumes: Vec<&str> = volumes.into_iter().flatten().filter_map(|v| v["name"].as_str()).collect();
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
            let mounts = container.get("volumeMounts").and_then(Value::as_array);
            for (index, mount) in mounts.into_iter().flatten().enumerate() {
                let volume = mount["name"].as_str().unwrap_or_default();
                if !volumes.contains(&volume) && !is_claim_mount(at.as_str()) {
                    let field = format!("{at}.volumeMounts[{index}].name");
                    let text = format!("Not found: \"{volume}\"");
                    causes.push(Cause::new("FieldValueNotFound", field, text));
                }
            }
        }
    }
}

/// Templates of StatefulSets may mount volumes that their claim templates will add.
fn is_claim_mount(at: &str) -> bool {
    at.starts_with("spec.template.")
}

fn pod(new: &Value, old: Option<&Value>, causes: &mut Vec<Cause>) {
    let Some(old) = old else {
        pod_spec(&new["spec"], "spec", causes);
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
        if !port["port"].as_i64().is_some_and(|p| (1..=65535).contains(&p)) {
            causes.push(Cause::invalid(
                format!("{at}.port"),
                &port["port"],
                "must be between 1 and 65535, inclusive",
            ));
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
        let at = if resource.plural == "secrets" { "data" } else { "" };
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
    if spec.pointer("/resources/requests/storage").is_none() {
        causes.push(Cause::required("spec.resources[storage]", ""));
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
