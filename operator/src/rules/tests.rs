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

mod wires {
    use super::*;
    use crate::decide::{Catalog, DecideFacts, Plan, Previous, decide, records};
    use crate::rules::tripwires::{self, ALERTS, build_group};

    struct Case {
        valid: Valid,
        plan: Plan,
        records: Vec<obstack_crds::DecisionRecord>,
    }

    fn case(spec: &str) -> Case {
        let valid = valid(spec);
        let catalog = Catalog::embedded().unwrap();
        let plan = decide(&valid, &DecideFacts::offline(), &Previous::default(), &catalog);
        let records = records::first(&plan, &valid);
        Case { valid, plan, records }
    }

    const REPLICATED: &str = "requirements: { availability: Replicated }
alerting: { route: { receiver: a }, receivers: [{ name: a, webhook: [{ url: 'http://hook/x' }] }] }";

    impl Case {
        fn files(&self) -> BTreeMap<String, RuleFile> {
            let roles = crate::scrape::deployed_roles(&self.plan);
            tripwires::fragments(&self.valid, &self.plan, &roles, &self.records)
                .unwrap()
                .into_iter()
                .map(|f| (f.key, serde_saphyr::from_slice(&f.bytes).unwrap()))
                .collect()
        }

        fn record(&mut self, component: obstack_crds::Component) -> &mut obstack_crds::DecisionRecord {
            self.records.iter_mut().find(|r| r.spec.component == component).unwrap()
        }
    }

    #[test]
    fn each_wire_of_each_record_in_force_has_five_rules_that_name_it() {
        let case = case(REPLICATED);
        let files = case.files();
        let names: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "rules/tripwires.alerting",
                "rules/tripwires.collection",
                "rules/tripwires.metricsStore",
                "rules/tripwires.notification"
            ]
        );
        for file in files.values() {
            let [group] = file.groups.as_slice() else { panic!("{file:?}") };
            let component = group.name.strip_prefix("obstack-tripwires-").unwrap();
            let spec = &case.records.iter().find(|r| r.spec.component.id() == component).unwrap().spec;
            // What no engine can judge has no rules.
            let wires: Vec<_> = spec.tripwires.iter().filter(|wire| wire.judged_by.is_engine()).collect();
            assert_eq!(group.rules.len(), 5 * wires.len());
            for (wire, rules) in wires.into_iter().zip(group.rules.chunks(5)) {
                let series: Vec<&str> = rules[..2].iter().filter_map(|r| r.record.as_deref()).collect();
                assert_eq!(series, [tripwires::VALUE, tripwires::PRESSURE]);
                let alerts: Vec<&str> = rules[2..].iter().filter_map(|r| r.alert.as_deref()).collect();
                assert_eq!(alerts, ALERTS);
                // What the record says is what runs.
                assert!(rules[0].expr.contains(&wire.expr) && rules[0].expr.contains(&wire.guard));
                assert!(rules[1].expr.ends_with(&format!(" / {}", wire.bound)));
                for rule in rules {
                    let stack = &spec.stack;
                    let of = |name: &str| rule.labels.get(name).map(String::as_str);
                    let record = crate::decide::records::name(&case.valid.id, spec.component, 1);
                    assert_eq!((of("namespace"), of("stack")), (Some("monitoring"), Some(stack.as_str())));
                    assert_eq!(of("record"), Some(record.as_str()));
                    assert_eq!((of("component"), of("tripwire")), (Some(component), Some(wire.id.as_str())));
                    promql_parser::parser::parse(&rule.expr).unwrap_or_else(|e| panic!("{}: {e}", rule.expr));
                }
                let severities: Vec<&str> =
                    rules[2..].iter().map(|r| r.labels["severity"].as_str()).collect();
                assert_eq!(severities, ["warning", "none", "none"]);
                let waits: Vec<_> = rules[2..].iter().map(|r| r.for_.as_deref()).collect();
                assert_eq!(waits, [Some(wire.for_.as_str()); 3]);
                let held: Vec<_> = rules[2..].iter().map(|r| r.keep_firing_for.as_deref()).collect();
                assert_eq!(held, [Some(wire.keep_firing_for.as_str()), Some(&wire.keep_firing_for), None]);
            }
        }
    }

    #[test]
    fn a_record_that_is_not_in_force_or_not_deployed_has_no_rules() {
        let store = obstack_crds::Component::MetricsStore;
        let none = |case: &Case| !case.files().contains_key("rules/tripwires.metricsStore");
        let mut proposed = case("{}");
        assert!(!none(&proposed));
        proposed.record(store).status.as_mut().unwrap().phase = Some(obstack_crds::record::Phase::Proposed);
        assert!(none(&proposed));
        let mut moved = case("{}");
        moved.record(store).spec.chosen = Some("Thanos".into());
        assert!(none(&moved));
        // Nothing evaluates rules where the store is another one.
        let other = case("decisions: { metricsStore: { choose: Mimir, because: x } }");
        assert!(none(&other) && !crate::scrape::deployed_roles(&other.plan).contains(&Role::Metrics));
        // What has no engine in the stack cannot be asked.
        let alone = case("{}");
        let roles = BTreeSet::from([Role::Metrics]);
        let files = tripwires::fragments(
            &case(REPLICATED).valid,
            &case(REPLICATED).plan,
            &roles,
            &case(REPLICATED).records,
        );
        let keys: Vec<String> = files.unwrap().into_iter().map(|f| f.key).collect();
        assert_eq!(keys, ["rules/tripwires.metricsStore", "rules/tripwires.collection"]);
        assert!(!alone.files().contains_key("rules/tripwires.notification"));
    }

    #[test]
    fn the_newest_record_in_force_names_the_rules() {
        let mut case = case("{}");
        let mut newer = case.record(obstack_crds::Component::MetricsStore).clone();
        newer.metadata.name = Some("main-metrics-store-0007".into());
        newer.spec.number = 7;
        newer.spec.tripwires[0].bound = "0.7".into();
        case.records.push(newer);
        let rules = &case.files()["rules/tripwires.metricsStore"].groups[0].rules;
        assert!(rules.iter().all(|rule| rule.labels["record"] == "main-metrics-store-0007"));
        assert!(rules[1].expr.ends_with(" / 0.7"));
    }

    #[test]
    fn a_wire_without_a_bound_is_left_out_and_texts_are_no_templates() {
        let mut case = case("{}");
        let id = case.valid.id.clone();
        let spec = &mut case.record(obstack_crds::Component::MetricsStore).spec;
        let all = build_group(&id, "r", spec).rules.len();
        spec.tripwires[0].bound = "NaN".into();
        spec.tripwires[1].bound = "0".into();
        spec.tripwires[2].cost = "{{ $labels }} \"quoted\"".into();
        spec.tripwires[2].next = None;
        let rules = build_group(&id, "r", spec).rules;
        assert_eq!(rules.len(), all - 10);
        let tripped = rules.iter().find(|r| r.alert.as_deref() == Some(tripwires::TRIPPED)).unwrap();
        let description = &tripped.annotations["description"];
        assert!(description.contains(r#"{{ "{{" }} $labels }} "quoted""#), "{description}");
        assert!(description.contains("No other option does better"), "{description}");
    }

    #[test]
    fn alerts_of_tripwires_cannot_be_disabled() {
        for alert in ALERTS {
            let told = unknown(&valid(&format!("rules: {{ disabled: [{alert}] }}"))).unwrap();
            assert!(told[0].reason.contains("cannot be left out"), "{}", told[0].reason);
        }
    }
}
