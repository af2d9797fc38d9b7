//! Prometheus' main file and its scrape jobs: the stack's own parts, the operator, and what is annotated.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::additions::Additions;
use super::discovery::{OPERATOR_LABEL, OPERATOR_NAME, discovered_namespaces, service_discovery};
use super::file;
use crate::endpoint::Endpoint;
use crate::names::{Role, StackId, own_job};
use crate::running::{CURRENT, Fragment, generation_glob};
use crate::units::PromDuration;
use crate::validate::{ENVIRONMENT_LABEL, REPLICA_LABEL, Valid};
use crate::yaml::EmitError;

/// Time after which a scrape is given up, at most: Prometheus' own default.
const SCRAPE_TIMEOUT: PromDuration = PromDuration::from_secs(10);

/// All fragments but the rules.
pub(super) fn fragments(
    valid: &Valid,
    roles: &BTreeSet<Role>,
    operator_namespace: Option<&str>,
    additions: &Additions,
) -> Result<Vec<Fragment>, EmitError> {
    let mut main = main_file(valid, roles);
    additions.add_to(&mut main);
    let mut fragments = vec![file("main", "prometheus.yaml", &main)?];
    let mut job = |name: &str, content: Value| -> Result<(), EmitError> {
        let content = json!({ "scrape_configs": [content] });
        fragments.push(file(&format!("scrape/{name}"), &format!("scrape/{name}.yaml"), &content)?);
        Ok(())
    };
    for role in roles {
        job(role.as_str(), additions.free(build_part_job(&valid.id, *role)))?;
    }
    job("reloader", additions.free(build_reloader_job(&valid.id, roles)))?;
    if let Some(namespace) = operator_namespace {
        job("operator", additions.free(build_operator_job(namespace)))?;
    }
    let pods = valid.spec.collection.pods != Some(false);
    if valid.spec.collection.services != Some(false) {
        job("annotated-services", held(build_services_job(valid, pods), additions))?;
    }
    if pods {
        job("annotated-pods", held(build_pods_job(valid, operator_namespace), additions))?;
    }
    Ok(fragments)
}

/// A job whose targets others annotate: each gets its namespace under the enforced label, before which a label of
/// the same name that samples bring is renamed.
fn held(mut job: Value, additions: &Additions) -> Value {
    if let Some(label) = &additions.namespace_label
        && let Some(steps) = job["relabel_configs"].as_array_mut()
    {
        let step = copy("__meta_kubernetes_namespace", label);
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    job
}

fn main_file(valid: &Valid, roles: &BTreeSet<Role>) -> Value {
    let interval = valid.requirements.scrape_interval;
    let mut labels: Map<String, Value> = Map::new();
    for (name, value) in &valid.spec.metrics.external_labels {
        // Prometheus expands `$` in external labels: a person's dollar sign is written twice.
        labels.insert(name.clone(), value.replace('$', "$$").into());
    }
    labels.insert(ENVIRONMENT_LABEL.into(), valid.environment.as_str().into());
    labels.insert(REPLICA_LABEL.into(), "${POD_NAME}".into());
    let mut alerting = json!({
        // Replicas send the same alert; Alertmanager recognises it only without what tells them apart.
        "alert_relabel_configs": [{ "action": "labeldrop", "regex": REPLICA_LABEL }],
    });
    if roles.contains(&Role::Alerting) {
        alerting["alertmanagers"] = json!([build_alertmanagers(&valid.id)]);
    }
    json!({
        "global": {
            "scrape_interval": interval.to_string(),
            "scrape_timeout": interval.min(SCRAPE_TIMEOUT).to_string(),
            "evaluation_interval": valid.evaluation_interval.to_string(),
            "external_labels": labels,
        },
        "rule_files": [format!("{CURRENT}/rules/*.yaml"), generation_glob()],
        "scrape_config_files": [format!("{CURRENT}/scrape/*.yaml")],
        "alerting": alerting,
    })
}

/// Every replica of Alertmanager is told by itself, never through a balancing address.
fn build_alertmanagers(stack: &StackId) -> Value {
    let endpoint = Endpoint::of(stack, Role::Alerting);
    json!({
        "api_version": "v2",
        "scheme": endpoint.scheme,
        "path_prefix": endpoint.prefix,
        "kubernetes_sd_configs": own_endpoints(stack),
        "relabel_configs": [
            keep("__meta_kubernetes_service_name", &stack.child(Role::Alerting)),
            keep("__meta_kubernetes_endpointslice_port_name", "http"),
        ],
    })
}

/// One and the same discovery for all jobs of the stack's own namespace: Prometheus then runs it once.
fn own_endpoints(stack: &StackId) -> Value {
    json!([{ "role": "endpointslice", "namespaces": { "names": [stack.namespace] } }])
}

fn build_part_job(stack: &StackId, role: Role) -> Value {
    let endpoint = Endpoint::of(stack, role);
    json!({
        "job_name": own_job(role.as_str()),
        "scheme": endpoint.scheme,
        "metrics_path": endpoint.path("/metrics"),
        "kubernetes_sd_configs": own_endpoints(stack),
        "relabel_configs": part_relabeling(&stack.child(role), "http"),
    })
}

fn build_reloader_job(stack: &StackId, roles: &BTreeSet<Role>) -> Value {
    let services: Vec<String> = roles
        .iter()
        .filter(|role| **role != Role::Dashboards)
        .map(|role| stack.child_with(*role, "headless"))
        .collect();
    json!({
        "job_name": own_job("reloader"),
        "kubernetes_sd_configs": own_endpoints(stack),
        "relabel_configs": part_relabeling(&services.join("|"), "reloader"),
    })
}

fn part_relabeling(services: &str, port: &str) -> Value {
    json!([
        keep("__meta_kubernetes_service_name", services),
        keep("__meta_kubernetes_endpointslice_port_name", port),
        running(),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_service_name", "service"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy("__meta_kubernetes_pod_node_name", "node"),
    ])
}

/// The operator's pods say themselves by annotation where they are scraped.
fn build_operator_job(namespace: &str) -> Value {
    json!({
        "job_name": own_job("operator"),
        "kubernetes_sd_configs": [{ "role": "pod", "namespaces": { "names": [namespace] } }],
        "relabel_configs": [
            keep(OPERATOR_LABEL, OPERATOR_NAME),
            keep("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"),
            running(),
            annotated_scheme("pod"),
            annotated_path("pod"),
            annotated_port("pod"),
            copy("__meta_kubernetes_namespace", "namespace"),
            copy("__meta_kubernetes_pod_name", "pod"),
            copy("__meta_kubernetes_pod_node_name", "node"),
            copy("__meta_kubernetes_pod_container_name", "container"),
        ],
    })
}

fn build_services_job(valid: &Valid, pods_too: bool) -> Value {
    let mut relabeling =
        vec![keep("__meta_kubernetes_service_annotation_prometheus_io_scrape", "true"), running()];
    if pods_too {
        // A pod that is annotated itself is the other job's target.
        relabeling.push(json!({
            "action": "drop",
            "source_labels": ["__meta_kubernetes_pod_annotation_prometheus_io_scrape"],
            "regex": "true",
        }));
    }
    relabeling.extend([
        annotated_scheme("service"),
        annotated_path("service"),
        annotated_port("service"),
        copy("__meta_kubernetes_service_name", "job"),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_service_name", "service"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy("__meta_kubernetes_pod_node_name", "node"),
    ]);
    json!({
        "job_name": "annotated-services",
        "kubernetes_sd_configs": [service_discovery("endpointslice", &discovered_namespaces(valid))],
        "relabel_configs": relabeling,
    })
}

fn build_pods_job(valid: &Valid, operator_namespace: Option<&str>) -> Value {
    let mut relabeling =
        vec![keep("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"), running()];
    if let Some(namespace) = operator_namespace {
        // The operator has a job of its own.
        relabeling.push(json!({
            "action": "drop",
            "source_labels": ["__meta_kubernetes_namespace", OPERATOR_LABEL],
            "regex": format!("{namespace};{OPERATOR_NAME}"),
        }));
    }
    relabeling.extend([
        annotated_scheme("pod"),
        annotated_path("pod"),
        annotated_port("pod"),
        // The recommended label names the application; without it, the older habit does.
        named_job("__meta_kubernetes_pod_label_app"),
        named_job("__meta_kubernetes_pod_label_app_kubernetes_io_name"),
        copy("__meta_kubernetes_namespace", "namespace"),
        copy("__meta_kubernetes_pod_name", "pod"),
        copy("__meta_kubernetes_pod_node_name", "node"),
        copy("__meta_kubernetes_pod_container_name", "container"),
    ]);
    json!({
        "job_name": "annotated-pods",
        "kubernetes_sd_configs": [service_discovery("pod", &discovered_namespaces(valid))],
        "relabel_configs": relabeling,
    })
}

fn keep(label: &str, regex: &str) -> Value {
    json!({ "action": "keep", "source_labels": [label], "regex": regex })
}

/// Leaves out pods that have not started, which would be down for a reason that their stack's status tells
/// better, and those that have ended, which keep their address for a while although another pod may have it.
fn running() -> Value {
    json!({
        "action": "drop",
        "source_labels": ["__meta_kubernetes_pod_phase"],
        "regex": "Pending|Succeeded|Failed",
    })
}

fn copy(from: &str, to: &str) -> Value {
    json!({ "source_labels": [from], "target_label": to })
}

fn named_job(from: &str) -> Value {
    json!({ "source_labels": [from], "regex": "(.+)", "target_label": "job" })
}

fn annotated_scheme(kind: &str) -> Value {
    json!({
        "source_labels": [format!("__meta_kubernetes_{kind}_annotation_prometheus_io_scheme")],
        "regex": "(https?)",
        "target_label": "__scheme__",
    })
}

fn annotated_path(kind: &str) -> Value {
    json!({
        "source_labels": [format!("__meta_kubernetes_{kind}_annotation_prometheus_io_path")],
        "regex": "(.+)",
        "target_label": "__metrics_path__",
    })
}

/// The port of an annotation replaces that of the address, or is added to an address without one. Addresses
/// can be of IPv6, in brackets.
fn annotated_port(kind: &str) -> Value {
    json!({
        "source_labels": ["__address__", format!("__meta_kubernetes_{kind}_annotation_prometheus_io_port")],
        "regex": r"(.+?)(?::\d+)?;(\d+)",
        "replacement": "$1:$2",
        "target_label": "__address__",
    })
}
