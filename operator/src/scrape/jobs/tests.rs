//! What no golden case shows: that one object cannot spoil or read what belongs to others.

use serde_json::{Value, json};

use super::*;
use crate::scrape::assets::HeldAssets;
use crate::scrape::objects::Kind;

fn settings(spec: Value) -> Settings {
    let object = json!({
        "kind": "Prometheus",
        "metadata": { "namespace": "monitoring", "name": "main" },
        "spec": spec,
    });
    Settings::read(&object, None).unwrap()
}

fn service_monitor(spec: Value) -> Monitor {
    let object = json!({ "metadata": { "namespace": "team", "name": "web" }, "spec": spec });
    Monitor::read(Kind::ServiceMonitor, &object).unwrap()
}

fn secret(namespace: &str, name: &str, data: Value) -> HeldAssets {
    let mut held = HeldAssets::default();
    held.add(&json!({
        "kind": "Secret", "metadata": { "namespace": namespace, "name": name }, "stringData": data,
    }));
    held
}

fn jobs(built: &Built) -> Vec<Value> {
    serde_saphyr::from_str(built.jobs()).unwrap()
}

const CA: &str = "-----BEGIN CERTIFICATE-----\nTUlJQw==\n-----END CERTIFICATE-----\n";

#[test]
fn a_secret_of_another_namespace_cannot_be_read() {
    let held = secret("other", "s", json!({ "user": "u", "password": "p" }));
    let key = |key: &str| json!({ "name": "s", "key": key });
    let auth = json!({ "username": key("user"), "password": key("password") });
    let monitor =
        service_monitor(json!({ "endpoints": [{ "port": "a" }, { "port": "b", "basicAuth": auth }] }));
    let rejection = build(&settings(json!({})), &monitor, &held).unwrap_err();
    assert_eq!(rejection.path, "spec.endpoints[1].basicAuth.username");
    assert!(rejection.found.contains("Secret team/s, which does not exist"), "{rejection}");
    assert_eq!((rejection.kind, &*rejection.namespace, &*rejection.name), ("ServiceMonitor", "team", "web"));
}

#[test]
fn a_class_fills_in_and_gives_no_second_way_of_authenticating() {
    let class = json!([{
        "name": "mesh", "default": true,
        "authorization": { "credentials": { "name": "mesh", "key": "token" } },
        "tlsConfig": { "ca": { "secret": { "name": "mesh", "key": "ca" } } },
    }]);
    let settings = settings(json!({ "scrapeClasses": class }));
    let mut held = secret("team", "s", json!({ "user": "u", "password": "p" }));
    held.add(&json!({
        "kind": "Secret",
        "metadata": { "namespace": "monitoring", "name": "mesh" },
        "stringData": { "token": "t", "ca": CA },
    }));
    let key = |key: &str| json!({ "name": "s", "key": key });
    let auth = json!({ "username": key("user"), "password": key("password") });
    let monitor =
        service_monitor(json!({ "endpoints": [{ "port": "a" }, { "port": "b", "basicAuth": auth }] }));
    let built = build(&settings, &monitor, &held).unwrap();
    let jobs = jobs(&built);
    assert_eq!(jobs[0]["authorization"], json!({ "type": "Bearer", "credentials": "t" }));
    assert_eq!(jobs[1].get("authorization"), None, "an engine takes one way only");
    assert_eq!(jobs[1]["basic_auth"]["username"], "u");
    // A class belongs to the engine, so its material is that of the engine's namespace.
    assert_eq!(jobs[0]["tls_config"]["ca_file"], "/etc/prometheus/certs/0_monitoring_mesh_ca");
    let files: Vec<&str> = built.files.iter().map(|file| file.from.namespace.as_str()).collect();
    assert_eq!(files, ["monitoring"], "each file once");
}

#[test]
fn files_of_the_pod_are_denied_where_the_stack_says_so() {
    let denied = settings(json!({ "arbitraryFSAccessThroughSMs": { "deny": true } }));
    let held = HeldAssets::default();
    for (endpoint, path) in [
        (json!({ "bearerTokenFile": "/var/run/secrets/token" }), "spec.endpoints[0].bearerTokenFile"),
        (json!({ "tlsConfig": { "caFile": "/etc/passwd" } }), "spec.endpoints[0].tlsConfig.caFile"),
    ] {
        let monitor = service_monitor(json!({ "endpoints": [endpoint] }));
        assert_eq!(build(&denied, &monitor, &held).unwrap_err().path, path);
        build(&settings(json!({})), &monitor, &held).unwrap();
    }
}

#[test]
fn the_enforced_label_has_the_last_word_on_targets_and_samples() {
    let held = HeldAssets::default();
    let settings = settings(json!({
        "enforcedNamespaceLabel": "tenant",
        "excludedFromEnforcement": [{ "resource": "servicemonitors", "namespace": "kube-system" }],
    }));
    let steal = json!([{ "targetLabel": "tenant", "replacement": "victim" }]);
    let spec = json!({ "endpoints": [{ "port": "a", "relabelings": steal, "metricRelabelings": steal }] });
    let last = |monitor: &Monitor, field: &str| {
        let jobs = jobs(&build(&settings, monitor, &held).unwrap());
        let steps = jobs[0][field].as_array().unwrap().clone();
        steps.into_iter().rfind(|step| step["target_label"] == "tenant").unwrap()["replacement"].clone()
    };
    let monitor = service_monitor(spec.clone());
    assert_eq!(last(&monitor, "relabel_configs"), "team");
    assert_eq!(last(&monitor, "metric_relabel_configs"), "team");
    let excluded = Monitor { namespace: "kube-system".to_owned(), ..monitor };
    assert_eq!(last(&excluded, "relabel_configs"), "victim");
    let scrape = json!({ "metadata": { "namespace": "team", "name": "x" }, "spec": {} });
    let scrape = Monitor::read(Kind::ScrapeConfig, &scrape).unwrap();
    assert_eq!(last(&scrape, "relabel_configs"), "team", "also without relabelings of its own");
}

#[test]
fn what_an_object_becomes_is_bounded() {
    let held = HeldAssets::default();
    let many: Vec<Value> = (0..501).map(|_| json!({ "port": "a" })).collect();
    let rejection = build(&settings(json!({})), &service_monitor(json!({ "endpoints": many })), &held);
    assert_eq!(rejection.unwrap_err().path, "spec.endpoints");
    let labels: Vec<String> = (0..1_000).map(|i| format!("label-{i}")).collect();
    let wide = json!({ "podTargetLabels": labels, "endpoints": many[..100] });
    let rejection = build(&settings(json!({})), &service_monitor(wide), &held).unwrap_err();
    assert!(rejection.found.contains("4 MiB"), "{rejection}");
}

#[test]
fn a_field_is_written_from_the_version_that_knows_it() {
    let held = HeldAssets::default();
    let monitor = service_monitor(json!({
        "fallbackScrapeProtocol": "PrometheusText0.0.4",
        "scrapeClassicHistograms": true,
        "endpoints": [{ "port": "a" }],
    }));
    let of = |version: &str| {
        let settings = settings(json!({ "version": version }));
        jobs(&build(&settings, &monitor, &held).unwrap()).remove(0)
    };
    let (old, new) = (of("2.53.0"), of("3.5.0"));
    assert_eq!(old.get("fallback_scrape_protocol"), None);
    assert_eq!(new["fallback_scrape_protocol"], "PrometheusText0.0.4");
    assert_eq!(old["scrape_classic_histograms"], true);
    assert_eq!(new["always_scrape_classic_histograms"], true);
}

#[test]
fn an_object_depends_on_its_own_secrets_only() {
    let held = secret("team", "s", json!({ "token": "t" }));
    let key = json!({ "name": "s", "key": "token" });
    let spec = json!({ "endpoints": [{ "port": "a", "authorization": { "credentials": key } }] });
    let alone = build(&settings(json!({})), &service_monitor(spec.clone()), &held).unwrap();
    let mut more = secret("team", "s", json!({ "token": "t" }));
    more.add(&json!({
        "kind": "Secret", "metadata": { "namespace": "team", "name": "z" }, "stringData": { "token": "q" },
    }));
    assert_eq!(build(&settings(json!({})), &service_monitor(spec), &more).unwrap(), alone);
}
