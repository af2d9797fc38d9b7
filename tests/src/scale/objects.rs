//! Generated objects of one size: what the benchmarks build from and the trials of large clusters load. The file is
//! part of the benchmarks too, so it needs nothing but JSON.

use serde_json::{Value, json};

/// A ServiceMonitor of two endpoints with three relabelings each, as in the measurements of prometheus-operator.
/// Monitors are spread over that many namespaces; `version` makes one differ from itself.
pub fn monitor(index: usize, namespaces: usize, version: usize) -> Value {
    let endpoint = |port: &str| {
        json!({
            "port": port, "interval": "30s", "path": "/metrics",
            "relabelings": [
                { "sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node" },
                { "sourceLabels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)", "action": "drop" },
                { "targetLabel": "version", "replacement": format!("v{version}") },
            ],
        })
    };
    json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "ServiceMonitor",
        "metadata": {
            "name": format!("app-{index}"), "namespace": namespace(index, namespaces), "uid": uid(index),
            "resourceVersion": format!("{}", version + 1), "labels": { "app": format!("app-{index}") },
        },
        "spec": {
            "selector": { "matchLabels": { "app": format!("app-{index}") } },
            "endpoints": [endpoint("metrics"), endpoint("admin")],
        },
    })
}

/// A monitor whose job takes about 600 bytes compressed: an expression that resembles nothing else.
pub fn wide_monitor(index: usize, namespaces: usize) -> Value {
    let mut object = monitor(index, namespaces, 0);
    let mut state = (index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let words: Vec<String> = (0..60)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        })
        .collect();
    object["spec"]["endpoints"] = json!([{
        "port": "metrics", "interval": "30s",
        "metricRelabelings": [{ "sourceLabels": ["__name__"], "action": "drop", "regex": words.join("|") }],
    }]);
    object
}

/// A PrometheusRule of five rules.
pub fn rule(index: usize, namespaces: usize, version: usize) -> Value {
    let one = |number: usize| {
        json!({
            "alert": format!("App{index}Trouble{number}"), "for": "5m",
            "expr": format!(
                "sum(rate(http_requests_total{{job=\"app-{index}\",code=~\"5..\"}}[5m])) / \
                 sum(rate(http_requests_total{{job=\"app-{index}\"}}[5m])) > 0.0{number}"
            ),
            "labels": { "severity": "warning", "version": format!("v{version}") },
            "annotations": {
                "summary": format!("app-{index} answers with errors"),
                "description": "{{ $value | humanizePercentage }} of the requests of {{ $labels.job }} fail.",
            },
        })
    };
    json!({
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
        "metadata": { "name": format!("rules-{index}"), "namespace": namespace(index, namespaces) },
        "spec": { "groups": [{ "name": format!("app-{index}"), "rules": (1..=5).map(one).collect::<Vec<_>>() }] },
    })
}

/// A Secret that nothing refers to.
pub fn secret(index: usize, namespaces: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": format!("secret-{index}"), "namespace": namespace(index, namespaces),
            "labels": { "app": format!("app-{index}") },
        },
        "stringData": { "password": "x".repeat(512), "user": format!("user-{index}") },
    })
}

/// The namespace of the object of this number.
pub fn namespace(index: usize, namespaces: usize) -> String {
    format!("team-{}", index % namespaces)
}

fn uid(index: usize) -> String {
    format!("{:08x}-0000-4000-8000-{index:012x}", index.wrapping_mul(0x9e37_79b1) & 0xffff_ffff)
}
