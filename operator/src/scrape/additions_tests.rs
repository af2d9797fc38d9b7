use std::sync::Arc;

use serde_json::{Value, json};

use super::assets::HeldAssets;
use super::contents::{Content, Holder, Known, Place};
use super::sources::{Cache, ObjectSettings, Source, SourceKind, references_of};
use crate::names::StackId;
use crate::running::{CURRENT, Fragment};
use crate::validate::{Valid, validate};

fn valid(spec: Value) -> Valid {
    let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
    validate(id, &serde_json::from_value(spec).unwrap(), None).unwrap()
}

fn settings(spec: Value) -> ObjectSettings {
    ObjectSettings::of(&valid(spec), "3.5.0", "0.28.1").unwrap()
}

fn secret(name: &str, data: Value) -> Value {
    let metadata = json!({ "name": name, "namespace": "monitoring" });
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data })
}

fn held(secrets: &[Value]) -> HeldAssets {
    let mut held = HeldAssets::default();
    secrets.iter().for_each(|secret| held.add(secret));
    held
}

fn text(fragments: &[Fragment], path: &str) -> String {
    let found = fragments.iter().find(|fragment| fragment.path == path);
    String::from_utf8(found.unwrap_or_else(|| panic!("no {path}")).bytes.to_vec()).unwrap()
}

fn yaml(fragments: &[Fragment], path: &str) -> Value {
    serde_saphyr::from_str(&text(fragments, path)).unwrap()
}

fn login(key: &str) -> Value {
    json!({ "name": "login", "key": key })
}

fn with_password(url: &str) -> Value {
    json!({ "url": url, "basicAuth": { "username": login("user"), "password": login("word") } })
}

/// The files of the metrics store of a stack with these Secrets, and what was left out.
fn files(spec: Value, secrets: &[Value]) -> (Vec<Fragment>, Vec<String>) {
    let valid = valid(spec);
    let settings = ObjectSettings::of(&valid, "3.5.0", "0.28.1").unwrap();
    let additions = settings.additions(&held(secrets));
    let roles = crate::names::Role::ALL.into_iter().collect();
    let mut files = super::prometheus::fragments(&valid, &roles, Some("obstack-system"), &additions).unwrap();
    files.extend(additions.fragments.iter().cloned());
    let told = |one: obstack_crds::status::Rejected| format!("{}: {}", one.object, one.reason);
    (files, additions.rejected().map(told).collect())
}

#[test]
fn a_secret_that_is_missing_costs_what_refers_to_it_alone() {
    let spec = json!({ "metrics": { "remoteWrite": [
        with_password("https://a.example"),
        { "url": "https://b.example" }
    ] } });
    let (parts, told) = files(spec.clone(), &[]);
    let urls = |parts: &[Fragment]| -> Vec<String> {
        let main = yaml(parts, "prometheus.yaml");
        main["remote_write"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["url"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(urls(&parts), ["https://b.example"]);
    assert_eq!(
        told,
        [
            "spec.metrics.remoteWrite[0].basicAuth.username: found Secret monitoring/login, which does not exist; \
          write the name of a Secret in namespace monitoring"
        ]
    );
    let there = [secret("login", json!({ "user": "me", "word": "w0rd" }))];
    let (parts, told) = files(spec, &there);
    assert_eq!(told, [""; 0]);
    assert_eq!(urls(&parts), ["https://a.example", "https://b.example"]);
    assert_eq!(yaml(&parts, "prometheus.yaml")["remote_write"][0]["basic_auth"]["password"], "w0rd");
}

#[test]
fn the_order_of_entries_leaves_no_trace() {
    let main = |urls: [&str; 2]| {
        let spec = json!({ "metrics": { "remoteWrite": urls.map(|url| json!({ "url": url })) } });
        text(&files(spec, &[]).0, "prometheus.yaml")
    };
    assert_eq!(
        main(["https://a.example", "https://b.example"]),
        main(["https://b.example", "https://a.example"])
    );
}

#[test]
fn certificates_become_files_that_the_engine_can_reach() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let spec = json!({ "metrics": { "remoteWrite": [
        { "url": "https://a.example", "tlsConfig": { "ca": { "secret": login("ca") } } }
    ] } });
    let (parts, told) = files(spec, &[secret("login", json!({ "ca": pem }))]);
    assert_eq!(told, [""; 0]);
    let main = yaml(&parts, "prometheus.yaml");
    let file = main["remote_write"][0]["tls_config"]["ca_file"].as_str().unwrap().to_owned();
    let path = file.strip_prefix(CURRENT).unwrap().trim_start_matches('/');
    assert_eq!(text(&parts, path), pem);
}

#[test]
fn limits_hold_for_others_and_not_for_the_stack_itself() {
    let spec = json!({
        "collection": { "sampleLimit": 9000, "bodySizeLimit": "5MB" },
        "tenancy": { "enforcedSampleLimit": 500, "enforcedLabelLimit": 30, "enforcedNamespaceLabel": "tenant" }
    });
    let (parts, _) = files(spec, &[]);
    let global = &yaml(&parts, "prometheus.yaml")["global"];
    assert_eq!((&global["sample_limit"], &global["label_limit"]), (&json!(500), &json!(30)));
    assert_eq!(global["body_size_limit"], "5MB");
    let lesser =
        json!({ "collection": { "bodySizeLimit": "5MB" }, "tenancy": { "enforcedBodySizeLimit": "1MB" } });
    assert_eq!(yaml(&files(lesser, &[]).0, "prometheus.yaml")["global"]["body_size_limit"], "1MB");
    for own in ["metrics", "alerting", "reloader", "operator"] {
        let job = &yaml(&parts, &format!("scrape/{own}.yaml"))["scrape_configs"][0];
        assert!(job["sample_limit"].as_u64() > Some(100_000_000), "{own}: {job}");
        assert!(job["label_limit"].as_u64() > Some(100_000_000) && job["body_size_limit"] == "1TB", "{own}");
    }
    for annotated in ["services", "pods"] {
        let job = &yaml(&parts, &format!("scrape/annotated-{annotated}.yaml"))["scrape_configs"][0];
        let last = job["relabel_configs"].as_array().unwrap().last().unwrap();
        let wanted = json!({ "source_labels": ["__meta_kubernetes_namespace"], "target_label": "tenant" });
        assert_eq!(last, &wanted, "what is annotated has its tenant");
        assert!(job.get("sample_limit").is_none(), "the engine's own limit holds");
    }
}

#[test]
fn nothing_said_changes_nothing() {
    let (parts, told) = files(json!({}), &[]);
    let main = yaml(&parts, "prometheus.yaml");
    let keys: Vec<&String> = main.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert_eq!(told, [""; 0]);
}

#[test]
fn jobs_and_steps_are_taken_over_as_they_were_written() {
    let spec = json!({
        "collection": { "additionalScrapeConfigs": { "name": "more", "key": "jobs" } },
        "metrics": { "additionalAlertRelabelConfigs": { "name": "more", "key": "alerts" } }
    });
    let jobs = "- job_name: a\n  static_configs: [{ targets: ['x:1'] }]\n- job_name: a\n- metrics_path: /\n\
                - job_name: podMonitor/x\n";
    let more = |alerts: &str| [secret("more", json!({ "jobs": jobs, "alerts": alerts }))];
    let (parts, told) = files(spec.clone(), &more("- { source_labels: [a], regex: b, action: drop }\n"));
    let own: Vec<&Fragment> =
        parts.iter().filter(|part| part.key.starts_with("scrape/additional.")).collect();
    assert_eq!(own.len(), 1);
    let job = &yaml(&parts, &own[0].path)["scrape_configs"][0];
    assert_eq!(job, &json!({ "job_name": "a", "static_configs": [{ "targets": ["x:1"] }] }));
    let paths: Vec<&str> = told.iter().map(|line| line.split(": ").next().unwrap()).collect();
    let place = |index: usize| format!("spec.collection.additionalScrapeConfigs[{index}].job_name");
    assert_eq!(paths, [place(1), place(2), place(3)]);
    assert_eq!(super::home_of(&own[0].key), Some("spec.collection.additionalScrapeConfigs"));
    let steps = yaml(&parts, "prometheus.yaml")["alerting"]["alert_relabel_configs"].clone();
    assert_eq!(steps[1], json!({ "source_labels": ["a"], "regex": "b", "action": "drop" }));

    // Steps act one after the other: half of them would mean something else.
    let half = "- { source_labels: [a], regex: b, action: drop }\n- { regex: '(', action: labeldrop }\n";
    let (parts, told) = files(spec.clone(), &more(half));
    let steps = yaml(&parts, "prometheus.yaml")["alerting"]["alert_relabel_configs"].clone();
    assert_eq!(steps.as_array().unwrap().len(), 1, "the stack's own");
    let last = told.iter().find(|line| line.contains("Alert")).unwrap();
    assert!(last.starts_with("spec.metrics.additionalAlertRelabelConfigs[1].regex: found \"(\""), "{last}");

    for (alerts, wanted) in [
        ("- { sourceLabels: [a] }", "[0].sourceLabels: found an unknown field; write one of source_labels"),
        ("a: b", ": found no list of YAML"),
        ("- 1", "[0]: found no block"),
    ] {
        let (_, told) = files(spec.clone(), &more(alerts));
        let found = told.iter().any(|line| line.contains(&format!("additionalAlertRelabelConfigs{wanted}")));
        assert!(found, "{alerts}: {told:?}");
    }
}

#[test]
fn more_alertmanagers_are_told_and_looked_for() {
    let spec = json!({ "metrics": { "alerting": { "alertmanagers": [
        { "name": "shared", "namespace": "platform", "port": "web" }
    ] } } });
    let (parts, _) = files(spec.clone(), &[]);
    let told = yaml(&parts, "prometheus.yaml")["alerting"]["alertmanagers"].clone();
    assert_eq!(told.as_array().unwrap().len(), 2, "{told}");
    assert_eq!(told[1]["kubernetes_sd_configs"][0]["namespaces"]["names"], json!(["platform"]));
    let objects = Cache::default().build(&settings(spec), &[], &Known::new());
    assert!(objects.reach.namespaces.contains("platform"));
}

fn monitor(spec: Value) -> Arc<Source> {
    let object = json!({
        "metadata": { "namespace": "shop", "name": "web", "uid": "uid-web", "resourceVersion": "1" },
        "spec": spec
    });
    Arc::new(Source::of(SourceKind::ServiceMonitor, "v1", &object).unwrap())
}

fn place(name: &str) -> Place {
    Place { holder: Holder::Secret, namespace: "monitoring".to_owned(), name: name.to_owned() }
}

fn word(word: &str) -> Arc<Content> {
    let key = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
    Arc::new(Content::Keys([key("user", "me"), key("word", word)].into()))
}

#[test]
fn where_samples_go_builds_no_object_anew_and_follows_its_secret() {
    let (mut cache, mut known) = (Cache::default(), Known::new());
    let web = [monitor(json!({ "selector": {}, "endpoints": [{ "port": "http" }] }))];
    cache.build(&settings(json!({})), &web, &known);
    assert_eq!(cache.built(), 1);

    let sending = settings(json!({ "metrics": { "remoteWrite": [with_password("https://a.example")] } }));
    assert_eq!(references_of(&sending), [place("login")].into());
    let first = cache.build(&sending, &web, &known);
    assert_eq!((cache.built(), first.unknown), (0, [place("login")].into()));

    known.insert(place("login"), word("one"));
    let password = |cache: &mut Cache, known: &Known| {
        let objects = cache.build(&sending, &web, known);
        assert_eq!(cache.built(), 0);
        objects.additions.remote_write[0]["basic_auth"]["password"].clone()
    };
    assert_eq!(password(&mut cache, &known), "one");
    known.insert(place("login"), word("two"));
    assert_eq!(password(&mut cache, &known), "two");
    known.insert(place("login"), Arc::new(Content::Missing));
    let gone = cache.build(&sending, &web, &known);
    assert_eq!((gone.additions.remote_write.len(), gone.additions.faults.len()), (0, 1));
    assert_eq!(gone.fragments.len(), 1, "the object's jobs go on");
}

#[test]
fn what_an_author_sets_holds_for_every_object() {
    let built = |spec: Value, object: Value| {
        let objects = Cache::default().build(&settings(spec), &[monitor(object)], &Known::new());
        let jobs = objects.fragments.iter().next().map(|fragment| {
            let read: Value = serde_saphyr::from_str(std::str::from_utf8(&fragment.bytes).unwrap()).unwrap();
            read["scrape_configs"][0].clone()
        });
        (jobs.unwrap_or_default(), objects)
    };
    let endpoints = json!([{ "port": "http", "honorLabels": true, "scrapeTimeout": "5s" }]);
    let any = json!({ "selector": {}, "endpoints": endpoints, "namespaceSelector": { "any": true } });

    let (job, objects) = built(json!({}), any.clone());
    assert_eq!(objects.rejected, [], "its timeout is held against the stack's interval");
    assert!(objects.reach.everywhere && job["honor_labels"] == true);
    let strict = json!({
        "collection": { "ignoreNamespaceSelectors": true, "overrideHonorLabels": true },
        "tenancy": { "enforcedNamespaceLabel": "tenant", "enforcedTargetLimit": 10 }
    });
    let (job, objects) = built(strict, any);
    assert!(!objects.reach.everywhere && objects.reach.namespaces == ["shop".to_owned()].into());
    assert_eq!(job["kubernetes_sd_configs"][0]["namespaces"]["names"], json!(["shop"]));
    assert_eq!(job["honor_labels"], false);
    let enforced = json!({ "target_label": "tenant", "replacement": "shop" });
    for steps in ["relabel_configs", "metric_relabel_configs"] {
        assert!(job[steps].as_array().unwrap().contains(&enforced), "{steps}: {job}");
    }

    let file =
        json!({ "selector": {}, "endpoints": [{ "port": "http", "bearerTokenFile": "/var/run/token" }] });
    let (_, objects) = built(json!({}), file.clone());
    assert!(objects.rejected[0].reason.starts_with("spec.endpoints[0].bearerTokenFile: found a file"));
    let (job, _) = built(json!({ "collection": { "arbitraryFSAccessThroughSMs": { "deny": false } } }), file);
    assert_eq!(job["bearer_token_file"], "/var/run/token");

    let chosen = json!({ "selector": {}, "endpoints": [{ "port": "http" }], "scrapeClass": "a" });
    let class = json!({ "name": "a", "authorization": { "credentials": login("token") } });
    let spec = json!({ "collection": { "scrapeClasses": [class] } });
    let missing = Known::from([(place("login"), Arc::new(Content::Missing))]);
    let objects = Cache::default().build(&settings(spec), &[monitor(chosen)], &missing);
    let why = &objects.rejected[0].reason;
    assert!(
        why.contains("Secret monitoring/login, which does not exist"),
        "the class's own namespace: {why}"
    );
    let told: Vec<String> = objects.additions.rejected().map(|one| one.object).collect();
    assert_eq!(told, ["spec.collection.scrapeClasses[0].authorization.credentials"]);
}

#[test]
fn rules_of_objects_are_held_to_their_namespace_unless_they_are_excluded() {
    let rule = |name: &str| {
        let groups = json!([{ "name": "g", "rules": [{ "record": "a", "expr": "sum(up)" }] }]);
        let metadata = json!({ "namespace": "shop", "name": name, "uid": format!("uid-{name}") });
        let object = json!({ "metadata": metadata, "spec": { "groups": groups } });
        Arc::new(Source::of(SourceKind::PrometheusRule, "v1", &object).unwrap())
    };
    let spec = json!({ "tenancy": {
        "enforcedNamespaceLabel": "tenant",
        "excludedFromEnforcement": [
            { "resource": "prometheusrules", "namespace": "shop", "name": "free" },
            { "resource": "servicemonitors", "namespace": "shop" }
        ]
    } });
    let objects = Cache::default().build(&settings(spec), &[rule("free"), rule("held")], &Known::new());
    let files: Vec<Fragment> = objects.fragments.iter().cloned().collect();
    let free = text(&files, "rules/object.uid-free.yaml");
    let held = text(&files, "rules/object.uid-held.yaml");
    assert!(!free.contains("tenant"), "{free}");
    assert!(held.contains("up{tenant=\"shop\"}") || held.contains("up{tenant=\\\"shop\\\"}"), "{held}");
}

#[test]
fn a_class_that_only_a_newer_engine_knows_is_left_out_by_itself() {
    let spec = json!({ "collection": { "scrapeClasses": [
        { "name": "new", "relabelings": [{ "targetLabel": "a.b", "sourceLabels": ["a.b"] }] },
        { "name": "good" }
    ] } });
    let settings = ObjectSettings::of(&valid(spec), "2.53.0", "0.28.1").unwrap();
    let faults = settings.additions(&held(&[])).faults;
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(faults[0].path.starts_with("spec.collection.scrapeClasses[0].relabelings[0]"), "{faults:?}");
}
