//! Prometheus and Alertmanager, handed over to prometheus-operator: its resources instead of workloads and their
//! configuration. Accounts, rights and Services stay ours, so every address is the same.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use obstack_crds::pickup::{Operator, Pickup, Selector};
use obstack_crds::status::Rejected;
use obstack_crds::workload::Storage;
use serde_json::{Map, Value, json};

use super::engine::{build_claim, build_claim_policy, build_service_account};
use super::object::List;
use super::service::{build_disruption_budget, build_service, metadata};
use super::sizing::{replicas, resources, volume};
use super::workload::{Pod, build_unpatched, knobs};
use super::{Context, DesiredError, images, prometheus, rbac, security};
use crate::decide::Plan;
use crate::endpoint::Endpoint;
use crate::names::{LABEL_MANAGED_BY, LABEL_STACK, Role, StackId};
use crate::running::{CURRENT, Fragment};
use crate::scrape::sources::NAME_LABEL;
use crate::scrape::{Configs, authored};
use crate::validate::{REPLICA_LABEL, Valid};
use crate::yaml::emit;

/// `apiVersion` of every resource that is written.
const API_VERSION: &str = "monitoring.coreos.com/v1";
/// Key of the Secret with the stack's own scrape jobs.
const SCRAPE_KEY: &str = "scrape.yaml";
/// Key that prometheus-operator reads of the Secret with Alertmanager's configuration.
const ALERTMANAGER_KEY: &str = "alertmanager.yaml";
/// Longest name of a stack whose Alertmanager can have pods: prometheus-operator puts a word before the name of its
/// StatefulSet, and Kubernetes takes 52 characters of that before it refuses its pods.
const LONGEST_NAME: usize = 30;
/// Folder that prometheus-operator mounts Secrets below, one folder each.
const SECRETS: &str = "/etc/alertmanager/secrets";
/// What of Prometheus' main file has a field of its own, or is prometheus-operator's business.
const MAIN_FILE: [&str; 7] =
    ["global", "rule_files", "scrape_config_files", "alerting", "remote_write", "remote_read", "storage"];
/// The same of `global`.
const GLOBAL: [&str; 11] = [
    "scrape_interval",
    "scrape_timeout",
    "evaluation_interval",
    "external_labels",
    "sample_limit",
    "target_limit",
    "label_limit",
    "label_name_length_limit",
    "label_value_length_limit",
    "keep_dropped_targets",
    "body_size_limit",
];

/// The objects of a role that is handed over.
pub(super) fn build(
    role: Role,
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    configs: &Configs,
    list: &mut List,
) -> Result<(), DesiredError> {
    let stack = &valid.id;
    let files = configs.handed_over.get(&role).ok_or(DesiredError::NoConfiguration(role.as_str()))?;
    list.add(role, &build_service_account(stack, role))?;
    list.add(role, &build_service(stack, role, role == Role::Metrics && replicas(valid, role) > 1))?;
    list.add(role, &build_disruption_budget(stack, role))?;
    match role {
        Role::Metrics => {
            rbac::add_discovery(valid, context.operator_namespace.as_deref(), &configs.reach, list)?;
            list.add(role, &build_secret(stack, role, "scrape", SCRAPE_KEY, &scrape_jobs(files)?))?;
            for rule in build_rules(valid, files)? {
                list.add_untyped(role, rule);
            }
            list.add_untyped(role, build_prometheus(valid, plan, context, configs, files)?);
        }
        _ => {
            let (config, secrets) = alertmanager_config(files)?;
            list.add(role, &build_secret(stack, role, "config", ALERTMANAGER_KEY, &config))?;
            list.add_untyped(role, build_alertmanager(valid, plan, context, &secrets)?);
        }
    }
    Ok(())
}

/// What a stack asks for and prometheus-operator does not take, each with what a person can do.
pub(super) fn rejected(
    valid: &Valid,
    context: &Context,
    configs: &Configs,
    roles: &BTreeSet<Role>,
) -> Vec<Rejected> {
    let mut rejected = Vec::new();
    let mut reject = |object: String, reason: String| rejected.push(Rejected { object, reason });
    for role in roles.iter().filter(|role| configs.handed_over.contains_key(role)) {
        if knobs(valid, *role).pod_template.is_some() {
            reject(
                format!("spec.{}.podTemplate", role.as_str()),
                format!(
                    "prometheus-operator makes the pods, and takes no patch of their template; leave it out and \
                     add the fields to the resource {} by hand, or choose Native in spec.decisions.delivery",
                    valid.id.child(*role)
                ),
            );
        }
    }
    if valid.id.name.len() > LONGEST_NAME {
        reject(
            "metadata.name".to_owned(),
            format!(
                "it has {} characters, and prometheus-operator can make no pods of such names; make the stack anew \
                 with a name of at most {LONGEST_NAME}, or choose Native in spec.decisions.delivery",
                valid.id.name.len()
            ),
        );
    }
    let Some(files) = configs.handed_over.get(&Role::Metrics) else { return rejected };
    let taken = &valid.spec.rules.objects;
    if is_enabled(taken) && !taken.selector.selects(&rule_labels(valid)) {
        reject(
            "spec.rules.objects.selector".to_owned(),
            format!(
                "it leaves out the stack's own rules, because prometheus-operator takes all rules by one selector; \
                 write one that takes objects with the labels {LABEL_STACK}={} and {LABEL_MANAGED_BY}=obstack too",
                valid.id.name
            ),
        );
    }
    let home = namespace_labels(valid, context);
    if let Some(missing) =
        taken.namespace_selector.as_ref().filter(|_| is_enabled(taken)).and_then(|s| s.missing(&home))
    {
        reject(
            "spec.rules.objects.namespaceSelector".to_owned(),
            format!(
                "it wants {missing}, and so leaves out the stack's own rules, because prometheus-operator takes all \
                 rules by one selector; label the namespace {} so, or widen the selector",
                valid.id.namespace
            ),
        );
    }
    let main = content(files, "main").unwrap_or_default();
    for (of, known) in [(&main, &MAIN_FILE[..]), (&main["global"], &GLOBAL[..])] {
        for (field, _) in of.as_object().into_iter().flatten().filter(|(f, _)| !known.contains(&f.as_str())) {
            reject(
                "spec.decisions.delivery".to_owned(),
                format!(
                    "{field} of Prometheus' configuration is not handed over to prometheus-operator; leave out what \
                     asks for it, or choose Native"
                ),
            );
        }
    }
    rejected
}

/// The Prometheus resource.
fn build_prometheus(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    configs: &Configs,
    files: &[Fragment],
) -> Result<Value, DesiredError> {
    let role = Role::Metrics;
    let stack = &valid.id;
    let mut global = content(files, "main")?["global"].take();
    let mut labels = global["external_labels"].take();
    if let Some(labels) = labels.as_object_mut() {
        labels.remove(REPLICA_LABEL);
    }
    let mut spec = common(valid, plan, context, role, &valid.spec.metrics.storage)?;
    let mut authored = authored(valid, files)?;
    let mut alerting = authored.remove("alerting").unwrap_or_default();
    spec.extend(authored);
    let mut set = |field: &str, value: Value| drop(spec.insert(field.to_owned(), value));
    set("scrapeInterval", global["scrape_interval"].take());
    set("scrapeTimeout", global["scrape_timeout"].take());
    set("evaluationInterval", global["evaluation_interval"].take());
    set("externalLabels", labels);
    set("replicaExternalLabelName", json!(REPLICA_LABEL));
    // Left out, it would add a label that our own Prometheus does not have.
    set("prometheusExternalLabelName", json!(""));
    // Dollars in external labels are written twice, which versions before 3.0 read so only with this.
    set("enableFeatures", json!(["expand-external-labels"]));
    set("retention", json!(valid.requirements.retention.to_string()));
    // A single unit: sums of several are refused there.
    let kept = prometheus::retention_size(volume(plan, context, role)?);
    set("retentionSize", json!(format!("{}MiB", kept.0 >> 20)));
    set("maximumStartupDurationSeconds", json!(prometheus::startup_seconds(valid)));
    set("rules", json!({ "alert": { "resendDelay": valid.alert_resend_delay().to_string() } }));
    // What our account may read is slices.
    set("serviceDiscoveryRole", json!("EndpointSlice"));
    set("additionalScrapeConfigs", json!({ "name": stack.child_with(role, "scrape"), "key": SCRAPE_KEY }));
    if configs.handed_over.contains_key(&Role::Alerting) {
        let endpoint = Endpoint::of(stack, Role::Alerting);
        let alertmanager = json!({
            "namespace": stack.namespace,
            "name": stack.child(Role::Alerting),
            "port": "http",
            "scheme": endpoint.scheme,
            "pathPrefix": endpoint.prefix,
            "apiVersion": "v2",
        });
        match alerting["alertmanagers"].as_array_mut() {
            Some(others) => others.insert(0, alertmanager),
            None => alerting = json!({ "alertmanagers": [alertmanager] }),
        }
    }
    set("alerting", alerting);
    let objects = &valid.spec.collection.objects;
    // Without any selector prometheus-operator would leave the configuration to somebody else, so one that finds
    // nothing stands for none.
    let taken = if is_enabled(objects) {
        selector(&objects.selector)
    } else {
        json!({ "matchLabels": stack.labels() })
    };
    for kind in ["serviceMonitor", "podMonitor", "probe", "scrapeConfig"] {
        set(&format!("{kind}Selector"), taken.clone());
        set(&format!("{kind}NamespaceSelector"), namespaces(objects));
    }
    let rules = &valid.spec.rules.objects;
    let taken =
        if is_enabled(rules) { selector(&rules.selector) } else { json!({ "matchLabels": stack.labels() }) };
    set("ruleSelector", taken);
    set("ruleNamespaceSelector", namespaces(rules));
    Ok(resource(stack, role, "Prometheus", spec))
}

/// What the stack's author set in the words of that resource. Additional jobs stand beside the stack's own.
fn authored(valid: &Valid, files: &[Fragment]) -> Result<Map<String, Value>, DesiredError> {
    let fields = authored::fields(&valid.spec);
    let mut fields = fields.map_err(|fault| DesiredError::Encoding(fault.to_string()))?;
    fields.remove("additionalScrapeConfigs");
    if valid.spec.tenancy.enforced_namespace_label.is_none() {
        return Ok(fields);
    }
    // The stack's own rules are about all namespaces.
    let own = rule_files(files).map(|(_, name)| {
        json!({
            "group": "monitoring.coreos.com",
            "resource": "prometheusrules",
            "namespace": valid.id.namespace,
            "name": rule_name(valid, name),
        })
    });
    let excluded = fields.entry("excludedFromEnforcement").or_insert_with(|| json!([]));
    excluded.as_array_mut().into_iter().for_each(|list| list.extend(own.clone()));
    Ok(fields)
}

/// The Alertmanager resource.
fn build_alertmanager(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    secrets: &BTreeSet<String>,
) -> Result<Value, DesiredError> {
    let role = Role::Alerting;
    let mut spec = common(valid, plan, context, role, &valid.spec.alerting.storage)?;
    let mut set = |field: &str, value: Value| drop(spec.insert(field.to_owned(), value));
    set("configSecret", json!(valid.id.child_with(role, "config")));
    if !secrets.is_empty() {
        set("secrets", json!(secrets));
    }
    let objects = &valid.spec.alerting.objects;
    if is_enabled(objects) {
        set("alertmanagerConfigSelector", selector(&objects.selector));
        set("alertmanagerConfigNamespaceSelector", namespaces(objects));
    }
    Ok(resource(&valid.id, role, "Alertmanager", spec))
}

/// What both resources have: how their pods are placed, and what they take.
fn common(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    role: Role,
    storage: &Storage,
) -> Result<Map<String, Value>, DesiredError> {
    let stack = &valid.id;
    let knobs = knobs(valid, role);
    let endpoint = Endpoint::of(stack, role);
    let pod = Pod {
        role,
        uses_api: role == Role::Metrics,
        user: security::NOBODY,
        grace_seconds: 0,
        annotations: BTreeMap::new(),
        init_containers: Vec::new(),
        containers: Vec::new(),
        volumes: Vec::new(),
    };
    let pod = build_unpatched(valid, pod)?.spec.unwrap_or_default();
    let mut labels = knobs.labels.clone();
    // By these our Services and the operator find the pods.
    labels.extend(stack.selector(role));
    let version = images::wanted_version(valid, role).map(|version| format!("v{version}"));
    let version = version.unwrap_or_else(|| images::default_image(valid.defaults_version, role).1.to_owned());
    let built = json!({
        "version": version,
        "image": images::image(valid, role),
        "imagePullSecrets": pod.image_pull_secrets,
        "replicas": replicas(valid, role),
        "podMetadata": { "labels": labels, "annotations": some(&knobs.annotations) },
        "serviceAccountName": pod.service_account_name,
        "automountServiceAccountToken": pod.automount_service_account_token,
        "portName": "http",
        "externalUrl": endpoint.url(),
        "routePrefix": endpoint.prefix,
        "resources": resources(valid, plan, role)?,
        "storage": { "volumeClaimTemplate": build_claim(valid, plan, context, role, storage)? },
        "persistentVolumeClaimRetentionPolicy": build_claim_policy(valid),
        "securityContext": pod.security_context,
        "nodeSelector": pod.node_selector,
        "tolerations": pod.tolerations,
        "affinity": pod.affinity,
        "topologySpreadConstraints": pod.topology_spread_constraints,
        "priorityClassName": pod.priority_class_name,
    });
    match built {
        Value::Object(mut fields) => {
            for template in
                fields.get_mut("storage").into_iter().filter_map(|s| s.get_mut("volumeClaimTemplate"))
            {
                if let Some(template) = template.as_object_mut() {
                    template.retain(|field, _| ["metadata", "spec"].contains(&field.as_str()));
                }
            }
            Ok(fields)
        }
        _ => Ok(Map::new()),
    }
}

fn resource(stack: &StackId, role: Role, kind: &str, spec: Map<String, Value>) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata(stack, role, stack.child(role)),
        "spec": spec,
    })
}

/// The stack's own rules, a resource for each file.
fn build_rules(valid: &Valid, files: &[Fragment]) -> Result<Vec<Value>, DesiredError> {
    let labels = rule_labels(valid);
    let build = |(file, name): (&Fragment, &str)| {
        let mut metadata = metadata(&valid.id, Role::Metrics, rule_name(valid, name));
        metadata.labels = Some(labels.clone());
        Ok(json!({
            "apiVersion": API_VERSION,
            "kind": "PrometheusRule",
            "metadata": metadata,
            "spec": { "groups": read(file)?["groups"].take() },
        }))
    };
    rule_files(files).map(build).collect()
}

/// Files of rules, each with its name.
fn rule_files(files: &[Fragment]) -> impl Iterator<Item = (&Fragment, &str)> + Clone {
    files.iter().filter_map(|file| Some((file, file.key.strip_prefix("rules/")?)))
}

fn rule_name(valid: &Valid, file: &str) -> String {
    valid.id.child_with(Role::Metrics, &plain(file))
}

/// A name that an object can have. Names of groups end in a hash, so no two become the same.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// Labels of the stack's own rules: those of every object of the stack, and what the stack's selector of rules asks
/// for, because one selector takes both.
fn rule_labels(valid: &Valid) -> BTreeMap<String, String> {
    let own = valid.id.role_labels(Role::Metrics);
    let Pickup { selector: Selector { match_labels, match_expressions }, .. } = &valid.spec.rules.objects;
    let mut labels = match_labels.clone();
    for wish in match_expressions {
        let value = match wish.operator {
            Operator::In => wish.values.iter().min().cloned(),
            Operator::Exists => Some("obstack".to_owned()),
            Operator::NotIn | Operator::DoesNotExist => None,
        };
        if let Some(value) = value {
            labels.entry(wish.key.clone()).or_insert(value);
        }
    }
    labels.extend(own);
    labels
}

/// A selector, without a trace of the order of its lists, which means nothing.
fn selector(written: &Selector) -> Value {
    let mut selector = written.clone();
    selector.match_expressions.iter_mut().for_each(|wish| wish.values.sort());
    selector.match_expressions.sort_by_cached_key(ToString::to_string);
    json!(selector)
}

fn is_enabled(pickup: &Pickup) -> bool {
    pickup.enabled != Some(false)
}

/// Left out, a namespace selector means the resource's own namespace, there as here.
fn namespaces(pickup: &Pickup) -> Value {
    pickup.namespace_selector.as_ref().filter(|_| is_enabled(pickup)).map_or(Value::Null, selector)
}

fn namespace_labels(valid: &Valid, context: &Context) -> BTreeMap<String, String> {
    let mut labels = context.namespace_labels.clone();
    labels.insert(NAME_LABEL.to_owned(), valid.id.namespace.clone());
    labels
}

/// The stack's own scrape jobs as one list.
fn scrape_jobs(files: &[Fragment]) -> Result<String, DesiredError> {
    let mut jobs = Vec::new();
    for file in files.iter().filter(|file| file.key.starts_with("scrape/")) {
        if let Value::Array(more) = read(file)?["scrape_configs"].take() {
            jobs.extend(more);
        }
    }
    emit(&jobs).map_err(|e| DesiredError::Encoding(e.to_string()))
}

/// Alertmanager's configuration as prometheus-operator reads it, and the Secrets that it names files of.
fn alertmanager_config(files: &[Fragment]) -> Result<(String, BTreeSet<String>), DesiredError> {
    let mut config = content(files, "main")?;
    if let Some(fields) = config.as_object_mut() {
        // It names the generation, and nothing else: see `crate::running`.
        fields.remove("templates");
    }
    let mut secrets = BTreeSet::new();
    for file in files {
        let Some((name, key)) = file.key.strip_prefix("secret/").and_then(|rest| rest.split_once('/')) else {
            continue;
        };
        secrets.insert(name.to_owned());
        replace(&mut config, &format!("{CURRENT}/{}", file.path), &format!("{SECRETS}/{name}/{key}"));
    }
    let text = emit(&config).map_err(|e| DesiredError::Encoding(e.to_string()))?;
    Ok((text, secrets))
}

/// Puts one text in the place of another, wherever it stands as a whole.
fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, from, to)),
        Value::Array(items) => items.iter_mut().for_each(|value| replace(value, from, to)),
        _ => {}
    }
}

fn build_secret(stack: &StackId, role: Role, suffix: &str, key: &str, text: &str) -> Secret {
    Secret {
        metadata: metadata(stack, role, stack.child_with(role, suffix)),
        data: Some(BTreeMap::from([(key.to_owned(), ByteString(text.as_bytes().to_vec()))])),
        type_: Some("Opaque".to_owned()),
        ..Default::default()
    }
}

/// The content of the file with this key.
fn content(files: &[Fragment], key: &str) -> Result<Value, DesiredError> {
    files.iter().find(|file| file.key == key).map_or(Ok(Value::Null), read)
}

fn read(file: &Fragment) -> Result<Value, DesiredError> {
    let fault = |e: &dyn std::fmt::Display| DesiredError::Encoding(format!("{}: {e}", file.path));
    let text = std::str::from_utf8(&file.bytes).map_err(|e| fault(&e))?;
    serde_saphyr::from_str(text).map_err(|e| fault(&e))
}

fn some(map: &BTreeMap<String, String>) -> Option<&BTreeMap<String, String>> {
    (!map.is_empty()).then_some(map)
}
