use super::*;
use crate::desired::fixtures::valid;

const ALL: [Role; 3] = Role::ALL;

fn files(spec: &str, roles: &[Role]) -> BTreeMap<String, RuleFile> {
    let roles = roles.iter().copied().collect();
    fragments(&valid(spec), &roles)
        .unwrap()
        .into_iter()
        .map(|f| (f.path, serde_saphyr::from_slice(&f.bytes).unwrap()))
        .collect()
}

fn alerts(files: &BTreeMap<String, RuleFile>) -> BTreeSet<String> {
    let rules = files.values().flat_map(|f| &f.groups).flat_map(|g| &g.rules);
    rules.filter_map(|r| r.alert.clone()).collect()
}

/// A person who is woken must read what is wrong; a route must find how bad it is.
#[test]
fn every_alert_of_the_library_says_what_and_how_bad() {
    let mut names = BTreeSet::new();
    for (_, file) in library().unwrap() {
        for rule in file.groups.iter().flat_map(|g| &g.rules) {
            let name = rule.alert.clone().unwrap();
            assert!(names.insert(name.clone()), "{name} is there twice");
            promql_parser::parser::parse(&rule.expr).unwrap_or_else(|e| panic!("{name}: {e}"));
            let severity = rule.labels.get("severity").map(String::as_str);
            assert!(matches!(severity, Some("none" | "info" | "warning" | "critical")), "{name}");
            for annotation in ["summary", "description"] {
                assert!(
                    rule.annotations.get(annotation).is_some_and(|t| !t.is_empty()),
                    "{name}: {annotation}"
                );
            }
        }
    }
    assert!(names.len() >= 12 && names == library_alerts().unwrap());
}

#[test]
fn a_disabled_alert_is_left_out_and_the_others_stay() {
    let before = alerts(&files("{}", &ALL));
    let after = alerts(&files("rules: { disabled: [TargetDown, PrometheusWALCorrupted] }", &ALL));
    let gone: Vec<&String> = before.difference(&after).collect();
    assert_eq!(gone, ["PrometheusWALCorrupted", "TargetDown"]);
    assert!(after.contains("Watchdog"));
}

#[test]
fn a_file_with_nothing_left_is_no_file() {
    let files = files("rules: { disabled: [Watchdog, TargetDown] }", &ALL);
    assert!(!files.contains_key("rules/library.general.yaml"), "{:?}", files.keys());
}

#[test]
fn alerts_about_alertmanager_need_one() {
    let files = files("{}", &[Role::Metrics]);
    assert!(!files.contains_key("rules/library.alerting.yaml"));
    assert!(!alerts(&files).contains("PrometheusNotConnectedToAlertmanager"));
}

#[test]
fn each_group_of_the_stack_is_a_file_whatever_its_name() {
    let files = files(
        "rules: { groups: [
           { name: a/b, interval: 1m, rules: [{ alert: X, expr: up == 0, for: 5m, keepFiringFor: 1m, labels: { severity: page } }] },
           { name: a-b, rules: [{ record: 'job:up:sum', expr: sum(up) by (job) }] }] }",
        &ALL,
    );
    let mine: Vec<&String> = files.keys().filter(|path| path.starts_with("rules/group.a-b-")).collect();
    assert_eq!(mine.len(), 2, "{:?}", files.keys());
    let group = files.values().flat_map(|f| &f.groups).find(|g| g.name == "a/b").unwrap();
    assert_eq!(group.interval.as_deref(), Some("1m"));
    assert_eq!(group.rules[0].keep_firing_for.as_deref(), Some("1m"));
    assert_eq!(group.rules[0].labels["severity"], "page");
}

#[test]
fn a_name_that_is_no_alert_is_told_with_the_nearest() {
    let told = unknown(&valid("rules: { disabled: [Watchdog, TargetDwon] }")).unwrap();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].object, "spec.rules.disabled[1]");
    assert!(told[0].reason.contains("TargetDown, if that"), "{}", told[0].reason);
}
