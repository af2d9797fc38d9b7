use std::sync::Arc;

use serde_json::{Value, json};

use super::build::{ObjectSettings, Objects};
use super::*;
use crate::names::StackId;
use crate::scrape::contents::{Content, Holder, Known, Place};
use crate::validate::validate;

fn settings() -> ObjectSettings {
    let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
    let valid = validate(id, &Default::default(), None).unwrap();
    ObjectSettings::of(&valid, "3.5.0", "0.28.1").unwrap()
}

fn object(kind: SourceKind, name: &str, revision: &str, spec: Value) -> Arc<Source> {
    let object = json!({
        "metadata": { "namespace": "shop", "name": name, "uid": format!("uid-{name}"), "resourceVersion": revision },
        "spec": spec
    });
    Arc::new(Source::of(kind, kind.versions()[0], &object).unwrap())
}

fn monitor(name: &str, revision: &str) -> Arc<Source> {
    let spec = json!({ "selector": {}, "endpoints": [{ "port": "http", "path": format!("/{revision}") }] });
    object(SourceKind::ServiceMonitor, name, revision, spec)
}

fn with_password(name: &str) -> Arc<Source> {
    let key = |key: &str| json!({ "name": "login", "key": key });
    let login = json!({ "username": key("user"), "password": key("word") });
    let spec = json!({ "selector": {}, "endpoints": [{ "port": "http", "basicAuth": login }] });
    object(SourceKind::ServiceMonitor, name, "1", spec)
}

fn login() -> Place {
    Place { holder: Holder::Secret, namespace: "shop".to_owned(), name: "login".to_owned() }
}

fn word(word: &str) -> Arc<Content> {
    let key = |key: &str, value: &str| (key.to_owned(), value.as_bytes().to_vec());
    Arc::new(Content::Keys([key("user", "me"), key("word", word)].into()))
}

fn paths(objects: &Objects) -> Vec<&str> {
    objects.fragments.iter().map(|fragment| fragment.path.as_str()).collect()
}

fn text(objects: &Objects, path: &str) -> String {
    let fragment = objects.fragments.iter().find(|fragment| fragment.path == path).unwrap();
    String::from_utf8(fragment.bytes.to_vec()).unwrap()
}

#[test]
fn only_what_changed_is_built_again() {
    let (mut cache, known, settings) = (Cache::default(), Known::new(), settings());
    let (a, b) = (monitor("a", "1"), monitor("b", "1"));
    let first = cache.build(&settings, &[a.clone(), b.clone()], &known);
    assert_eq!(cache.built(), 2);
    assert_eq!(paths(&first), ["scrape/object.uid-a.yaml", "scrape/object.uid-b.yaml"]);

    let again = cache.build(&settings, &[b.clone(), a.clone()], &known);
    assert_eq!(cache.built(), 0);
    assert_eq!(again.fragments, first.fragments, "the order in which objects come leaves no trace");

    let changed = cache.build(&settings, &[a.clone(), monitor("b", "2")], &known);
    assert_eq!(cache.built(), 1);
    assert_eq!(text(&changed, paths(&first)[0]), text(&first, paths(&first)[0]));
    assert!(text(&changed, paths(&first)[1]).contains("/2"));

    let fewer = cache.build(&settings, &[a], &known);
    assert_eq!((cache.built(), paths(&fewer)), (0, vec!["scrape/object.uid-a.yaml"]));
}

#[test]
fn what_an_object_refers_to_is_read_first_and_builds_it_again_when_it_changes() {
    let (mut cache, mut known, settings) = (Cache::default(), Known::new(), settings());
    let picked = [with_password("a"), monitor("b", "1")];
    let first = cache.build(&settings, &picked, &known);
    assert_eq!(first.unknown, [login()].into());
    assert_eq!(paths(&first), ["scrape/object.uid-b.yaml"], "the others do not wait for it");

    known.insert(login(), word("one"));
    let second = cache.build(&settings, &picked, &known);
    assert_eq!((cache.built(), second.unknown.len()), (1, 0));
    assert!(text(&second, "scrape/object.uid-a.yaml").contains("one"));

    known.insert(login(), word("two"));
    let third = cache.build(&settings, &picked, &known);
    assert_eq!(cache.built(), 1);
    assert!(text(&third, "scrape/object.uid-a.yaml").contains("two"));
}

#[test]
fn an_object_at_fault_is_kept_out_by_itself() {
    let mut cache = Cache::default();
    let known = Known::from([(login(), Arc::new(Content::Missing))]);
    let broken = json!({ "selector": {}, "endpoints": [{ "port": "http", "interval": "soon" }] });
    let rule =
        |expr: &str| json!({ "groups": [{ "name": "g", "rules": [{ "record": "a", "expr": expr }] }] });
    let picked = [
        object(SourceKind::ServiceMonitor, "broken", "1", broken),
        with_password("secretless"),
        monitor("good", "1"),
        object(SourceKind::PrometheusRule, "rules", "1", rule("up")),
        object(SourceKind::PrometheusRule, "wrong", "1", rule("up(")),
        object(SourceKind::ScrapeConfig, "typo", "1", json!({ "staticConfigs": "no list" })),
    ];
    let objects = cache.build(&settings(), &picked, &known);
    assert_eq!(paths(&objects), ["rules/object.uid-rules.yaml", "scrape/object.uid-good.yaml"]);
    let named: Vec<&str> = objects.rejected.iter().map(|rejected| rejected.object.as_str()).collect();
    assert_eq!(
        named,
        [
            "ServiceMonitor/shop/broken",
            "ServiceMonitor/shop/secretless",
            "ScrapeConfig/shop/typo",
            "PrometheusRule/shop/wrong"
        ]
    );
    assert!(objects.rejected.iter().all(|rejected| rejected.reason.contains("write ")), "{objects:#?}");
    let counts: Vec<(&str, i32, i32)> =
        objects.counts.iter().map(|count| (count.kind.as_str(), count.picked_up, count.rejected)).collect();
    assert_eq!(counts, [("ServiceMonitor", 1, 2), ("ScrapeConfig", 0, 1), ("PrometheusRule", 1, 1)]);
}

#[test]
fn routes_of_objects_stand_before_those_of_the_stack() {
    let spec = json!({
        "route": { "receiver": "team" },
        "receivers": [{ "name": "team", "webhookConfigs": [{ "url": "http://hooks.example/x" }] }]
    });
    let source = object(SourceKind::AlertmanagerConfig, "team-a", "1", spec);
    let objects = Cache::default().build(&settings(), &[source], &Known::new());
    assert_eq!(objects.rejected, []);
    assert_eq!(objects.routing.len(), 1);
}

#[test]
fn the_store_is_let_into_the_namespaces_that_objects_name() {
    let looks_in = |name: &str, namespaces: Value| {
        let spec =
            json!({ "selector": {}, "endpoints": [{ "port": "http" }], "namespaceSelector": namespaces });
        object(SourceKind::ServiceMonitor, name, "1", spec)
    };
    let reach = |picked: &[Arc<Source>]| Cache::default().build(&settings(), picked, &Known::new()).reach;
    assert_eq!(reach(&[monitor("a", "1")]).namespaces, ["shop".to_owned()].into());
    let named = reach(&[looks_in("a", json!({ "matchNames": ["kube-system", "web"] }))]);
    assert_eq!(named.namespaces, ["kube-system".to_owned(), "web".to_owned()].into());
    assert!(!named.everywhere && reach(&[looks_in("a", json!({ "any": true }))]).everywhere);
    let broken = json!({ "endpoints": [{ "port": "http", "interval": "soon" }], "namespaceSelector": { "any": true } });
    assert!(!reach(&[object(SourceKind::ServiceMonitor, "broken", "1", broken)]).everywhere);
}

#[test]
fn a_fragment_leads_back_to_its_object() {
    let objects = Cache::default().build(&settings(), &[monitor("a", "1")], &Known::new());
    let key = &objects.fragments.iter().next().unwrap().key;
    assert_eq!(objects.source_of(key).unwrap().key.to_string(), "ServiceMonitor/shop/a");
    assert_eq!(objects.source_of("rules/library.watchdog"), None);
    assert_eq!(objects.source_named("ServiceMonitor/shop/a").unwrap().uid, "uid-a");
}
