//! The API types of `monitoring.coreos.com`, as far as tests need them: names and versions, and any content. What
//! is in their objects is judged by the operator alone.

use serde_json::{Value, json};

/// Their group.
pub const GROUP: &str = "monitoring.coreos.com";
/// Kind, resource, and versions with the one that is stored first.
const KINDS: [(&str, &str, &[&str]); 8] = [
    ("ServiceMonitor", "servicemonitors", &["v1"]),
    ("PodMonitor", "podmonitors", &["v1"]),
    ("Probe", "probes", &["v1"]),
    ("PrometheusRule", "prometheusrules", &["v1"]),
    ("ScrapeConfig", "scrapeconfigs", &["v1alpha1"]),
    ("AlertmanagerConfig", "alertmanagerconfigs", &["v1alpha1"]),
    ("Prometheus", "prometheuses", &["v1"]),
    ("Alertmanager", "alertmanagers", &["v1"]),
];
/// Kinds with a status of their own, which is no part of what is applied.
const WITH_STATUS: [&str; 2] = ["Prometheus", "Alertmanager"];

/// The definitions.
pub fn definitions() -> Vec<Value> {
    KINDS.iter().map(|(kind, plural, versions)| definition(kind, plural, versions)).collect()
}

fn definition(kind: &str, plural: &str, versions: &[&str]) -> Value {
    let any = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let versions: Vec<Value> = versions
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let schema = json!({ "type": "object", "properties": { "spec": any, "status": any } });
            let mut version = json!({
                "name": name, "served": true, "storage": place == 0, "schema": { "openAPIV3Schema": schema }
            });
            if WITH_STATUS.contains(&kind) {
                version["subresources"] = json!({ "status": {} });
            }
            version
        })
        .collect();
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}") },
        "spec": {
            "group": GROUP, "scope": "Namespaced", "versions": versions,
            "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List") }
        }
    })
}

/// An object of one of the kinds.
pub fn object(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    let version = KINDS.iter().find(|known| known.0 == kind).map_or("v1", |known| known.2[0]);
    json!({
        "apiVersion": format!("{GROUP}/{version}"), "kind": kind,
        "metadata": { "name": name, "namespace": namespace }, "spec": spec
    })
}
