use serde_json::{Value, json};

use super::RuleFile;
use super::objects::*;
use crate::scrape::version::Version;

fn settings() -> RuleSettings {
    RuleSettings::of(Version::new(3, 5, 0))
}

fn object(groups: Value) -> Value {
    json!({
        "kind": KIND,
        "metadata": { "namespace": "team", "name": "rules", "uid": "0f0e-1" },
        "spec": { "groups": groups },
    })
}

fn one(rule: Value) -> Value {
    object(json!([{ "name": "g", "rules": [rule] }]))
}

fn file(built: &BuiltRules) -> RuleFile {
    serde_saphyr::from_slice(&built.fragment.bytes).unwrap()
}

fn fault(settings: &RuleSettings, object: &Value) -> String {
    build_rules(settings, object).expect_err(&object.to_string()).to_string()
}

fn full() -> Value {
    object(json!([{
        "name": "g",
        "interval": "30s",
        "query_offset": "1m",
        "limit": 10,
        "labels": { "team": "a" },
        "partial_response_strategy": "warn",
        "rules": [
            { "record": "job:up:sum", "expr": "sum by (job) (up)", "labels": { "x": "y" } },
            {
                "alert": "Down",
                "expr": "up == 0",
                "for": "5m",
                "keep_firing_for": "10m",
                "labels": { "severity": "critical" },
                "annotations": { "summary": "{{ $labels.job }} is down" },
            },
            { "record": "one", "expr": 1, "for": "" },
        ],
    }]))
}

#[test]
fn an_object_is_one_file_named_by_its_uid_with_every_field() {
    let built = build_rules(&settings(), &full()).unwrap();
    assert_eq!(built.fragment.path, "rules/object.0f0e-1.yaml");
    assert_eq!((built.groups, built.rules, built.notes.len()), (1, 3, 0));
    let text = String::from_utf8(built.fragment.bytes.to_vec()).unwrap();
    let read: Value = serde_saphyr::from_str(&text).unwrap();
    let mut want = full()["spec"].clone();
    want["groups"][0].as_object_mut().unwrap().remove("partial_response_strategy");
    want["groups"][0]["rules"][2] = json!({ "record": "one", "expr": "1" });
    assert_eq!(read, want);
    // The name stays where the content changes, and another object has another one.
    let changed = build_rules(&settings(), &object(json!([]))).unwrap();
    assert_eq!(changed.fragment.path, built.fragment.path);
    let mut other = full();
    other["metadata"]["uid"] = json!("");
    assert_ne!(build_rules(&settings(), &other).unwrap().fragment.path, built.fragment.path);
}

#[test]
fn what_the_engine_does_not_know_is_left_out_and_told() {
    let old = RuleSettings { version: Version::new(2, 30, 0), ..settings() };
    let mut object = full();
    object["spec"]["groups"][0]["rules"][2]["expr"] = json!("1");
    let built = build_rules(&old, &object).unwrap();
    let group = &file(&built).groups[0];
    assert_eq!((&group.query_offset, group.limit, group.labels.len()), (&None, None, 0));
    assert_eq!(group.rules[1].keep_firing_for, None);
    let told = built.notes.join("\n");
    for word in ["query_offset", "limit", "labels", "keep_firing_for", "needs 2.53", "needs 3.0"] {
        assert!(told.contains(word), "{told}");
    }
    assert_eq!(
        build_rules(&RuleSettings { version: Version::new(2, 53, 0), ..settings() }, &object)
            .unwrap()
            .notes
            .len(),
        1
    );
}

#[test]
fn a_rule_that_the_engine_refuses_is_told_with_its_place() {
    for (rule, place, words) in [
        (json!({ "expr": "up" }), "spec.groups[0].rules[0]", "neither alert nor record"),
        (json!({ "alert": "A", "record": "b", "expr": "up" }), "rules[0]", "both alert and record"),
        (json!({ "alert": "A" }), "rules[0].expr", "no expression"),
        (json!({ "alert": "A", "expr": "up{" }), "rules[0].expr", "broken PromQL"),
        (json!({ "alert": "A", "expr": "rat(up[5m])" }), "rules[0].expr", "rate"),
        (json!({ "alert": "A", "expr": "up[5m]" }), "rules[0].expr", "range"),
        (json!({ "alert": "A", "expr": "up", "for": "5 minutes" }), "rules[0].for", "duration"),
        (json!({ "record": "a", "expr": "up", "for": "5m" }), "rules[0].for", "alerts only"),
        (json!({ "record": "a", "expr": "up", "annotations": { "a": "b" } }), "annotations", "alerts only"),
        (json!({ "alert": "A", "expr": "up", "labels": { "__name__": "b" } }), "__name__", "severity"),
        (json!({ "alert": "A", "expr": "up", "annotations": { "a": "{{ $value" } }), "annotations.a", "}}"),
        (json!({ "alert": "A", "expr": ["up"] }), "rules[0].expr", "a list"),
        (json!("up"), "rules[0]", "a text"),
    ] {
        let told = fault(&settings(), &one(rule));
        assert!(told.contains(place), "{told}");
        assert!(told.contains(words) && told.contains("; write "), "{told}");
    }
    let twice = object(json!([{ "name": "g" }, { "name": "g" }]));
    assert!(fault(&settings(), &twice).contains("a second time"));
    assert!(fault(&settings(), &object(json!({ "name": "g" }))).contains("a list"));
    // From 3.0 names are any text; before that they are not.
    let dotted = one(json!({ "record": "a.b", "expr": "up" }));
    assert!(build_rules(&settings(), &dotted).is_ok());
    assert!(
        fault(&RuleSettings { version: Version::new(2, 53, 0), ..settings() }, &dotted).contains("record")
    );
    // A function of an engine that is newer than our parser is left to the engine.
    let newer = one(json!({ "record": "a", "expr": "brand_new_function(up)" }));
    assert!(build_rules(&settings(), &newer).is_ok());
}

#[test]
fn expressions_and_labels_are_held_to_the_namespace() {
    let held = RuleSettings {
        enforced_namespace_label: Some("namespace".to_owned()),
        excluded: vec![
            Excluded { namespace: "team".to_owned(), name: Some("free".to_owned()) },
            Excluded { namespace: "platform".to_owned(), name: None },
        ],
        ..settings()
    };
    let built = build_rules(&held, &full()).unwrap();
    for rule in &file(&built).groups[0].rules {
        assert_eq!(rule.labels["namespace"], "team");
    }
    assert_eq!(file(&built).groups[0].rules[0].expr, r#"sum by (job) (up{namespace="team"})"#);
    let newer = one(json!({ "record": "a", "expr": "brand_new_function(up)" }));
    assert!(fault(&held, &newer).contains("cannot be enforced"));
    for (namespace, name) in [("team", "free"), ("platform", "any")] {
        let mut free = full();
        free["metadata"]["namespace"] = json!(namespace);
        free["metadata"]["name"] = json!(name);
        let built = build_rules(&held, &free).unwrap();
        assert_eq!(file(&built).groups[0].rules[0].expr, "sum by (job) (up)");
    }
}

#[test]
fn sizes_are_bounded_and_deep_expressions_end_nothing() {
    for expr in [
        format!("{}up{}", "(".repeat(30_000), ")".repeat(30_000)),
        format!("up{}", "+up".repeat(20_000)),
        format!("{}up", "-".repeat(60_000)),
        format!("up{}", " and up".repeat(9_000)),
        "x".repeat(100_000),
    ] {
        assert!(
            fault(&settings(), &one(json!({ "record": "a", "expr": expr }))).contains("at most")
                || fault(&settings(), &one(json!({ "record": "a", "expr": expr }))).contains("shorter")
        );
    }
    let wide = format!("up{}", " or up".repeat(400));
    assert!(build_rules(&settings(), &one(json!({ "record": "a", "expr": wide }))).is_ok());
    let large: Vec<Value> =
        (0..20_000).map(|n| json!({ "record": format!("r{n}"), "expr": "x".repeat(60) })).collect();
    let told = fault(&settings(), &object(json!([{ "name": "g", "rules": large }])));
    assert!(told.contains("bytes") && told.contains("smaller objects"), "{told}");
}

#[test]
fn tenancy_is_read_as_the_peers_write_it() {
    let prometheus = json!({ "spec": {
        "enforcedNamespaceLabel": "ns",
        "excludedFromEnforcement": [
            { "resource": "prometheusrules", "namespace": "a", "name": "x" },
            { "resource": "prometheusrules", "namespace": "b" },
            { "resource": "servicemonitors", "namespace": "c" },
            { "resource": "prometheusrules" },
        ],
        "prometheusRulesExcludedFromEnforce": [
            { "ruleNamespace": "d", "ruleName": "y" },
            { "ruleNamespace": "e" },
        ],
    } });
    let read = RuleSettings::read(&prometheus, Version::new(3, 5, 0));
    assert_eq!(read.enforced_namespace_label.as_deref(), Some("ns"));
    let excluded: Vec<(&str, Option<&str>)> =
        read.excluded.iter().map(|e| (e.namespace.as_str(), e.name.as_deref())).collect();
    assert_eq!(excluded, [("d", Some("y")), ("a", Some("x")), ("b", None)]);
    assert_eq!(RuleSettings::read(&json!({}), Version::new(3, 5, 0)), settings());
}
