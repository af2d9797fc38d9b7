//! Replicas, volumes, resources and the usual knobs of each workload.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use obstack_crds::stack::{Availability, ObservabilityStackSpec};
use obstack_crds::workload::{Storage, Workload};
use serde_json::Value;

use crate::units::Bytes;

use super::grammar::{is_dns_subdomain, is_label_name, is_label_value, is_qualified_name};
use super::{ENVIRONMENT_LABEL, Faults, REPLICA_LABEL, Requirements, child_path, quoted};

pub(super) fn metrics(spec: &ObservabilityStackSpec, requirements: &Requirements, faults: &mut Faults) {
    replicas("spec.metrics.replicas", spec.metrics.replicas, 8, requirements, faults);
    storage("spec.metrics.storage", &spec.metrics.storage, faults);
    workload("spec.metrics", &spec.metrics.workload, faults);
    for (name, value) in &spec.metrics.external_labels {
        let path = child_path("spec.metrics.externalLabels", name);
        if name == ENVIRONMENT_LABEL {
            faults.add(path, format!("the reserved label {name}"), "spec.environment instead");
        } else if name == REPLICA_LABEL {
            let write = "another name: the operator sets this one to tell replicas apart";
            faults.add(path, format!("the reserved label {name}"), write);
        } else if !is_label_name(name) {
            let write = "a label's name of letters, digits and underscores that starts with a letter, such as cluster";
            faults.add(path, quoted(name), write);
        } else if value.is_empty() {
            faults.add(path, "an empty value", "a value: an empty label is no label");
        }
    }
}

pub(super) fn alerting(spec: &ObservabilityStackSpec, requirements: &Requirements, faults: &mut Faults) {
    replicas("spec.alerting.replicas", spec.alerting.replicas, 9, requirements, faults);
    storage("spec.alerting.storage", &spec.alerting.storage, faults);
    workload("spec.alerting", &spec.alerting.workload, faults);
}

pub(super) fn dashboards(spec: &ObservabilityStackSpec, faults: &mut Faults) {
    if let Some(replicas) = spec.dashboards.replicas
        && !(0..=8).contains(&replicas)
    {
        faults.add("spec.dashboards.replicas", replicas, "a number from 0 to 8");
    }
    workload("spec.dashboards", &spec.dashboards.workload, faults);
}

fn replicas(path: &str, written: Option<i32>, most: i32, requirements: &Requirements, faults: &mut Faults) {
    let Some(replicas) = written else { return };
    if !(1..=most).contains(&replicas) {
        faults.add(path, replicas, format!("a number from 1 to {most}"));
    } else if replicas == 1 && requirements.availability == Availability::Replicated {
        let write = "2 or more, or spec.requirements.availability: Single";
        faults.add(path, "1 replica where availability is Replicated", write);
    }
}

fn storage(path: &str, storage: &Storage, faults: &mut Faults) {
    faults.read::<Bytes>(&format!("{path}.size"), storage.size.as_deref());
    if let Some(class) = &storage.class_name {
        object_name(&format!("{path}.className"), class, "a StorageClass", faults);
    }
}

fn object_name(path: &str, name: &str, what: &str, faults: &mut Faults) {
    if !is_dns_subdomain(name) {
        faults.add(
            path,
            quoted(name),
            format!("the name of {what}: lower case letters, digits, dashes and dots"),
        );
    }
}

/// The usual knobs.
fn workload(path: &str, workload: &Workload, faults: &mut Faults) {
    for (index, secret) in workload.pull_secrets.iter().enumerate() {
        object_name(&format!("{path}.pullSecrets[{index}]"), secret, "a Secret", faults);
    }
    if let Some(class) = &workload.priority_class {
        object_name(&format!("{path}.priorityClass"), class, "a PriorityClass", faults);
    }
    label_map(&format!("{path}.nodeSelector"), &workload.node_selector, true, faults);
    label_map(&format!("{path}.labels"), &workload.labels, true, faults);
    label_map(&format!("{path}.annotations"), &workload.annotations, false, faults);
    for name in workload.labels.keys().filter(|name| name.starts_with("obstack.io/")) {
        let write = "another key: the pods' selector is made of labels of obstack.io";
        faults.add(child_path(&format!("{path}.labels"), name), format!("the reserved label {name}"), write);
    }
    if let Some(resources) = &workload.resources {
        limits(&format!("{path}.resources"), resources, faults);
    }
    if let Some(patch) = &workload.pod_template {
        pod_template(&format!("{path}.podTemplate"), patch, faults);
    }
}

fn label_map(path: &str, map: &BTreeMap<String, String>, values: bool, faults: &mut Faults) {
    for (key, value) in map {
        let path = child_path(path, key);
        if !is_qualified_name(key) {
            faults.add(path, quoted(key), "a key of Kubernetes, such as team or example.com/team");
        } else if values && !is_label_value(value) {
            let write =
                "at most 63 letters, digits, dashes, dots and underscores, a letter or digit at each end";
            faults.add(path, quoted(value), write);
        }
    }
}

fn limits(path: &str, resources: &ResourceRequirements, faults: &mut Faults) {
    let empty = BTreeMap::new();
    let requests = resources.requests.as_ref().unwrap_or(&empty);
    let limits = resources.limits.as_ref().unwrap_or(&empty);
    for (side, amounts) in [("requests", requests), ("limits", limits)] {
        for (name, amount) in amounts {
            if quantity(amount).is_none() {
                let path = child_path(&format!("{path}.{side}"), name);
                faults.add(
                    path,
                    quoted(&amount.0),
                    "a Kubernetes quantity, such as 500m for cpu or 2Gi for memory",
                );
            }
        }
    }
    for (name, limit) in limits {
        let request = requests.get(name);
        let pair = request.and_then(quantity).zip(quantity(limit));
        if pair.is_some_and(|(request, limit)| request > limit) {
            let request = request.map_or("", |r| r.0.as_str());
            let found = format!("a limit of {} below the request of {request}", limit.0);
            let write = "a limit no lower than the request";
            faults.add(child_path(&format!("{path}.limits"), name), found, write);
        }
    }
}

/// A quantity as a number; none where it is no quantity, or negative.
fn quantity(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.as_str();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024f64,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    Some(number * factor)
}

/// A patch holds only what a pod template has.
fn pod_template(path: &str, patch: &Value, faults: &mut Faults) {
    let Some(fields) = patch.as_object() else {
        return faults.add(path, "no object", "a patch of the pod template with metadata, spec or both");
    };
    for (name, value) in fields {
        let path = child_path(path, name);
        if name != "metadata" && name != "spec" {
            faults.add(
                path,
                format!("the field {name}"),
                "metadata or spec: the patch is one of the pod template",
            );
        } else if !value.is_object() {
            faults.add(path, "no object", "an object");
        }
    }
}

/// What is written down explicitly must fit the budget.
pub(super) fn budget(spec: &ObservabilityStackSpec, requirements: &Requirements, faults: &mut Faults) {
    let by_availability = match requirements.availability {
        Availability::Single => 1,
        Availability::Replicated => 2,
    };
    let metrics = spec.metrics.replicas.unwrap_or(by_availability).max(0) as f64;
    let alerting = spec.alerting.replicas.unwrap_or(by_availability).max(0) as f64;
    let dashboards = spec.dashboards.replicas.unwrap_or(1).max(0) as f64;

    let size = |storage: &Storage| {
        storage.size.as_deref().and_then(|s| s.parse::<Bytes>().ok()).map_or(0.0, Bytes::as_f64)
    };
    let volumes = metrics * size(&spec.metrics.storage) + alerting * size(&spec.alerting.storage);
    within("storage", "the sizes of the volumes", volumes, requirements.budget_storage, faults);

    let memory = |workload: &Workload| {
        let requests = workload.resources.as_ref().and_then(|r| r.requests.as_ref());
        requests.and_then(|r| r.get("memory")).and_then(quantity).unwrap_or(0.0)
    };
    let requests = metrics * memory(&spec.metrics.workload)
        + alerting * memory(&spec.alerting.workload)
        + dashboards * memory(&spec.dashboards.workload);
    within("memory", "the requests for memory", requests, requirements.budget_memory, faults);
}

fn within(name: &str, what: &str, needed: f64, budget: Option<Bytes>, faults: &mut Faults) {
    let Some(budget) = budget.filter(|budget| needed > budget.as_f64()) else { return };
    let needed = Bytes(needed as u64);
    let found = format!("a budget of {budget} below the {needed} that {what} of all replicas add up to");
    faults.add(
        format!("spec.requirements.budget.{name}"),
        found,
        format!("{needed} or more, or ask for less"),
    );
}
