//! What prometheus-operator is given says the same as what our own engines run.

use std::collections::BTreeSet;

use obstack_crds::workload::SecretKey;
use serde_json::json;

use super::fixtures::{configs_of, context, plan, valid};
use super::*;
use crate::decide::Resources;
use crate::running::Fragment;
use crate::scrape::HANDED_OVER;
use crate::scrape::settings::Settings;

const ROLES: [Role; 3] = Role::ALL;

fn handed_over(roles: &[Role]) -> Plan {
    let mut plan = plan(roles);
    let delivery = plan.decisions.iter_mut().find(|d| d.component == Component::Delivery).unwrap();
    delivery.in_force = Some(HANDED_OVER.to_owned());
    plan
}

fn secrets() -> BTreeMap<SecretKey, Vec<u8>> {
    let key = SecretKey { name: "hook".to_owned(), key: "url".to_owned() };
    BTreeMap::from([(key, b"https://hook.example/T0KEN".to_vec())])
}

fn build_in(spec: &str, roles: &[Role], context: &Context) -> Wanted {
    let (valid, plan) = (valid(spec), handed_over(roles));
    let configs = configs_of(&valid, &plan, &secrets(), context.operator_namespace.as_deref());
    desired(&valid, &plan, context, &configs).unwrap()
}

fn build(spec: &str) -> Wanted {
    build_in(spec, &ROLES, &context())
}

fn find<'a>(wanted: &'a Wanted, kind: &str, name: &str) -> Option<&'a Value> {
    let is = |o: &&WantedObject| o.body["kind"] == kind && o.body["metadata"]["name"] == name;
    wanted.objects.iter().find(is).map(|object| &object.body)
}

fn get<'a>(wanted: &'a Wanted, kind: &str, name: &str) -> &'a Value {
    find(wanted, kind, name).unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// What is in a key of a Secret, as YAML.
fn content(secret: &Value, key: &str) -> Value {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(secret["data"][key].as_str().unwrap());
    serde_saphyr::from_str(std::str::from_utf8(&bytes.unwrap()).unwrap()).unwrap()
}

/// The files of our own Prometheus whose keys begin so, reloaders aside.
fn native(spec: &str, prefix: &str) -> Vec<(String, Value)> {
    let (valid, plan) = (valid(spec), plan(&ROLES));
    let configs = configs_of(&valid, &plan, &secrets(), Some("obstack-system"));
    let of = |fragment: &Fragment| {
        let name = fragment.key.strip_prefix(prefix)?.to_owned();
        let text = std::str::from_utf8(&fragment.bytes).unwrap();
        (!name.contains("reloader")).then(|| (name, serde_saphyr::from_str(text).unwrap()))
    };
    configs.generations[&Role::Metrics].fragments().filter_map(of).collect()
}

const SPEC: &str = "
requirements: { activeSeries: 100k, retention: 15d, availability: Replicated }
metrics: { externalLabels: { region: 'a$b' } }
rules: { groups: [{ name: 'Own _Rules', rules: [{ record: one, expr: vector(1) }] }] }
alerting:
  route: { receiver: team }
  receivers: [{ name: team, webhook: [{ urlSecret: { name: hook, key: url } }] }]
";

#[test]
fn resources_stand_where_workloads_and_their_configuration_were() {
    let wanted = build(SPEC);
    let of_engines = |object: &&WantedObject| object.component != Component::Dashboards;
    for object in wanted.objects.iter().filter(of_engines) {
        let kind = object.body["kind"].as_str().unwrap();
        assert!(!["StatefulSet", "Deployment", "ConfigMap"].contains(&kind), "{}", object.body["metadata"]);
    }
    for name in ["main-metrics-candidate", "main-metrics-a-0", "main-alerting-candidate"] {
        assert_eq!(find(&wanted, "Secret", name), None, "nothing of ours reads it");
    }
    // Addresses, accounts and rights are the same.
    let native = {
        let (valid, plan) = (valid(SPEC), plan(&ROLES));
        let configs = configs_of(&valid, &plan, &secrets(), Some("obstack-system"));
        desired(&valid, &plan, &context(), &configs).unwrap()
    };
    for (kind, name) in [
        ("Service", "main-metrics"),
        ("Service", "main-alerting"),
        ("ServiceAccount", "main-metrics"),
        ("Role", "main-metrics-discovery"),
        ("PodDisruptionBudget", "main-metrics"),
        ("Deployment", "main-dashboards"),
    ] {
        assert_eq!(get(&wanted, kind, name), get(&native, kind, name));
    }
    let prometheus = get(&wanted, "Prometheus", "main-metrics");
    let selector = &get(&wanted, "Service", "main-metrics")["spec"]["selector"];
    assert_eq!(prometheus["spec"]["podMetadata"]["labels"], *selector, "the Service finds the pods");
    assert_eq!(prometheus["spec"]["portName"], "http");
    assert_eq!(prometheus["spec"]["serviceAccountName"], "main-metrics");
    let set = &get(&native, "StatefulSet", "main-metrics")["spec"];
    let (pod, spec) = (&set["template"]["spec"], &prometheus["spec"]);
    assert_eq!(spec["replicas"], set["replicas"]);
    let engine = pod["containers"].as_array().unwrap().iter().find(|c| c["name"] == "prometheus").unwrap();
    assert_eq!(spec["resources"], engine["resources"]);
    assert_eq!(spec["image"], engine["image"]);
    assert_eq!(spec["version"], "v3.5.0");
    for field in ["affinity", "securityContext", "topologySpreadConstraints"] {
        assert_eq!(spec[field], pod[field], "{field}");
    }
    let claim = &spec["storage"]["volumeClaimTemplate"];
    assert_eq!(claim["spec"], set["volumeClaimTemplates"][0]["spec"]);
    assert!(claim.get("apiVersion").is_none() && claim.get("kind").is_none());
    assert_eq!(spec["persistentVolumeClaimRetentionPolicy"], set["persistentVolumeClaimRetentionPolicy"]);
}

#[test]
fn what_an_author_sets_for_objects_is_handed_over_in_its_own_words() {
    let wanted = build(
        "
collection: { scrapeClasses: [{ name: slow, default: true }], sampleLimit: 5000 }
tenancy: { enforcedNamespaceLabel: team, enforcedSampleLimit: 9000 }
metrics:
  remoteWrite: [{ url: 'http://far.example/write' }]
  alerting: { alertmanagers: [{ namespace: ops, name: shared, port: web }] }
rules: { groups: [{ name: own, rules: [{ record: one, expr: vector(1) }] }] }
",
    );
    let spec = &get(&wanted, "Prometheus", "main-metrics")["spec"];
    assert_eq!(spec["scrapeClasses"], json!([{ "name": "slow", "default": true }]));
    assert_eq!([&spec["sampleLimit"], &spec["enforcedSampleLimit"]], [5000, 9000]);
    assert_eq!(spec["enforcedNamespaceLabel"], "team");
    assert_eq!(spec["remoteWrite"][0]["url"], "http://far.example/write");
    let to: Vec<&str> = spec["alerting"]["alertmanagers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(to, ["main-alerting", "shared"]);
    // The stack's own rules see every namespace.
    let excluded = spec["excludedFromEnforcement"].as_array().unwrap();
    let rules = wanted.objects.iter().filter(|object| object.body["kind"] == "PrometheusRule");
    let names: BTreeSet<&str> = rules.map(|rule| rule.body["metadata"]["name"].as_str().unwrap()).collect();
    assert_eq!(excluded.iter().map(|one| one["name"].as_str().unwrap()).collect::<BTreeSet<_>>(), names);
    assert_eq!(wanted.rejected, []);
}

#[test]
fn the_engine_is_told_what_our_own_is_told() {
    let wanted = build(SPEC);
    let prometheus = get(&wanted, "Prometheus", "main-metrics");
    let spec = &prometheus["spec"];
    let main = &native(SPEC, "main")[0].1;
    assert_eq!(spec["scrapeInterval"], main["global"]["scrape_interval"]);
    assert_eq!(spec["scrapeTimeout"], main["global"]["scrape_timeout"]);
    assert_eq!(spec["evaluationInterval"], main["global"]["evaluation_interval"]);
    assert_eq!(spec["externalLabels"], json!({ "environment": "dev", "region": "a$$b" }));
    assert_eq!(spec["replicaExternalLabelName"], "replica");
    assert_eq!(spec["prometheusExternalLabelName"], "");
    assert_eq!(spec["retention"], "15d");
    let size = spec["retentionSize"].as_str().unwrap().strip_suffix("MiB").unwrap();
    assert!(size.parse::<u64>().is_ok(), "one number and one unit: {size}");
    assert_eq!(spec["routePrefix"], "/prometheus");
    assert_eq!(spec["externalUrl"], "http://main-metrics.monitoring.svc:9090/prometheus");
    assert_eq!(
        spec["alerting"]["alertmanagers"],
        json!([{
            "namespace": "monitoring", "name": "main-alerting", "port": "http", "scheme": "http",
            "pathPrefix": "/alertmanager", "apiVersion": "v2"
        }])
    );
    // What reads others' resources reads this one.
    Settings::read(prometheus, None).unwrap();

    let key = &spec["additionalScrapeConfigs"];
    let secret = get(&wanted, "Secret", key["name"].as_str().unwrap());
    let jobs = content(secret, key["key"].as_str().unwrap());
    let own: Vec<Value> = native(SPEC, "scrape/")
        .into_iter()
        .flat_map(|(_, file)| file["scrape_configs"].as_array().unwrap().clone())
        .collect();
    let by_name = |jobs: &[Value]| -> BTreeMap<String, Value> {
        jobs.iter().map(|job| (job["job_name"].as_str().unwrap().to_owned(), job.clone())).collect()
    };
    assert!(own.len() >= 5);
    assert_eq!(by_name(jobs.as_array().unwrap()), by_name(&own));

    let rules: BTreeMap<String, Value> = wanted
        .objects
        .iter()
        .filter(|object| object.body["kind"] == "PrometheusRule")
        .map(|object| &object.body)
        .map(|body| (body["metadata"]["name"].as_str().unwrap().to_owned(), body["spec"]["groups"].clone()))
        .collect();
    let own = native(SPEC, "rules/");
    assert_eq!(rules.len(), own.len());
    for (name, file) in own {
        assert!(rules.values().any(|groups| *groups == file["groups"]), "{name}");
    }
    for name in rules.keys() {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        assert!(name.chars().all(plain) && name.starts_with("main-metrics-"), "{name}");
    }
}

#[test]
fn alertmanager_reads_secrets_where_prometheus_operator_mounts_them() {
    let wanted = build(SPEC);
    let spec = &get(&wanted, "Alertmanager", "main-alerting")["spec"];
    assert_eq!(spec["secrets"], json!(["hook"]));
    assert_eq!(spec["routePrefix"], "/alertmanager");
    assert_eq!(spec["automountServiceAccountToken"], false);
    let secret = get(&wanted, "Secret", spec["configSecret"].as_str().unwrap());
    assert!(!secret.to_string().contains("T0KEN"));
    let config = content(secret, "alertmanager.yaml");
    assert!(config.get("templates").is_none());
    let receivers = config["receivers"].as_array().unwrap();
    let team = receivers.iter().find(|receiver| receiver["name"] == "team").unwrap();
    assert_eq!(team["webhook_configs"][0]["url_file"], "/etc/alertmanager/secrets/hook/url");
    assert_eq!(spec["alertmanagerConfigSelector"], json!({}));
    assert_eq!(spec.get("alertmanagerConfigNamespaceSelector"), None, "the own namespace");
}

#[test]
fn selectors_say_the_same_there() {
    let wanted = build("{}");
    let spec = &get(&wanted, "Prometheus", "main-metrics")["spec"];
    for kind in ["serviceMonitor", "podMonitor", "probe", "scrapeConfig", "rule"] {
        assert_eq!(spec[format!("{kind}Selector")], json!({}), "everything");
        assert_eq!(spec.get(format!("{kind}NamespaceSelector")), None, "of the own namespace");
    }
    let wanted = build(
        "
collection: { objects: { selector: { matchLabels: { team: a } }, namespaceSelector: {} } }
rules:
  objects:
    selector: { matchLabels: { release: main }, matchExpressions: [{ key: tier, operator: In, values: [x, y] }] }
alerting: { objects: { enabled: false } }
",
    );
    let spec = &get(&wanted, "Prometheus", "main-metrics")["spec"];
    assert_eq!(spec["probeSelector"], json!({ "matchLabels": { "team": "a" } }));
    assert_eq!(spec["probeNamespaceSelector"], json!({}));
    let rule = wanted.objects.iter().find(|object| object.body["kind"] == "PrometheusRule").unwrap();
    let labels = &rule.body["metadata"]["labels"];
    assert_eq!((&labels["release"], &labels["tier"]), (&json!("main"), &json!("x")), "so they are taken too");
    assert_eq!(labels["obstack.io/stack"], "main");
    assert_eq!(get(&wanted, "Alertmanager", "main-alerting")["spec"].get("alertmanagerConfigSelector"), None);
    assert_eq!(wanted.rejected, []);

    // No selector at all would mean that nobody writes the configuration.
    let wanted =
        build("{ collection: { objects: { enabled: false } }, rules: { objects: { enabled: false } } }");
    let spec = &get(&wanted, "Prometheus", "main-metrics")["spec"];
    let none =
        json!({ "matchLabels": { "app.kubernetes.io/managed-by": "obstack", "obstack.io/stack": "main" } });
    assert_eq!(spec["serviceMonitorSelector"], none);
    assert_eq!(spec["ruleSelector"], none, "the own rules are still taken");
}

#[test]
fn what_is_not_handed_over_is_said() {
    let objects = |wanted: &Wanted| wanted.rejected.iter().map(|r| r.object.clone()).collect::<Vec<_>>();
    let wanted = build(
        "
metrics: { podTemplate: { spec: { hostNetwork: true } } }
rules: { objects: { selector: { matchLabels: { app.kubernetes.io/managed-by: Helm } } } }
",
    );
    assert_eq!(objects(&wanted), ["spec.metrics.podTemplate", "spec.rules.objects.selector"]);

    let spec = "rules: { objects: { namespaceSelector: { matchLabels: { team: a } } } }";
    assert_eq!(objects(&build(spec)), ["spec.rules.objects.namespaceSelector"]);
    let labels = BTreeMap::from([("team".to_owned(), "a".to_owned())]);
    let labelled = Context { namespace_labels: labels, ..context() };
    assert_eq!(objects(&build_in(spec, &ROLES, &labelled)), Vec::<String>::new());
}

#[test]
fn claims_that_exist_stay_to_the_letter() {
    let first = build("{}");
    let before = get(&first, "Prometheus", "main-metrics");
    let (role, pinned) = Pinned::of(&serde_json::from_value(before.clone()).unwrap()).unwrap();
    assert_eq!(role, Role::Metrics);
    let running = Context { pinned: BTreeMap::from([(role, pinned)]), ..context() };
    let mut plan = handed_over(&ROLES);
    for decision in &mut plan.decisions {
        decision.resources = decision.resources.map(|size| Resources { disk: Bytes(200 << 30), ..size });
    }
    let valid = valid("{}");
    let configs = configs_of(&valid, &plan, &secrets(), Some("obstack-system"));
    let again = desired(&valid, &plan, &running, &configs).unwrap();
    let after = get(&again, "Prometheus", "main-metrics");
    assert_eq!(after["spec"]["storage"], before["spec"]["storage"]);
    assert_eq!(again.rejected[0].object, "spec.metrics.storage");
}
