use obstack_crds::Component;

use obstack_crds::ObservabilityStackSpec;
use obstack_crds::record::ChosenBy;
use obstack_crds::stack::{Availability, Override};

use super::catalog::{FILES, HEAD};
use super::testing::{catalog, valid, with};
use crate::observe::{ClusterFacts, Fact};
use crate::validate::{Quality, validate};

use super::*;

fn plan(valid: &Valid) -> Plan {
    decide(valid, &DecideFacts::offline(), &Previous::default(), &catalog())
}

fn choice(plan: &Plan, component: Component) -> Option<&str> {
    plan.get(component).unwrap().chosen.as_deref()
}

#[test]
fn a_small_stack_is_prometheus_and_deploys() {
    let plan = plan(&valid());
    let choices: Vec<_> = Component::ALL.into_iter().map(|c| choice(&plan, c).unwrap()).collect();
    assert_eq!(
        choices,
        ["Prometheus", "None", "BuiltInScrape", "Alertmanager", "Grafana", "None", "None", "Native"]
    );
    assert!(plan.decisions.iter().all(|d| d.deployable));
}

#[test]
fn fifty_million_series_choose_something_else_and_say_why() {
    let plan = plan(&with(|r| r.active_series = "50M".parse().unwrap()));
    let store = plan.get(Component::MetricsStore).unwrap();
    assert_ne!(store.chosen.as_deref(), Some("Prometheus"));
    assert!(!store.deployable);
    let out: Vec<_> = store.eliminated.iter().filter(|e| e.option == "Prometheus").collect();
    assert!(out.iter().any(|e| e.requirement == "requirements.activeSeries" && e.reason.contains("50M")));
}

/// The decision for a component of a stack that is written as YAML.
fn store_of(spec: &str, component: Component) -> Decision {
    let spec: ObservabilityStackSpec = serde_saphyr::from_str(spec).unwrap();
    let valid = validate(valid().id, &spec, None).unwrap();
    plan(&valid).get(component).unwrap().clone()
}

#[test]
fn the_winner_varies_with_what_is_asked_for() {
    for (spec, component, wanted) in [
        ("{}", Component::MetricsStore, "Prometheus"),
        ("{ environment: prod }", Component::MetricsStore, "Prometheus"),
        ("{ requirements: { activeSeries: 50M } }", Component::MetricsStore, "VictoriaMetricsSingle"),
        ("{ requirements: { activeSeries: 300M } }", Component::MetricsStore, "External"),
        (
            "{ requirements: { activeSeries: 300M, budget: { monthlyCost: '1000' } } }",
            Component::MetricsStore,
            "VictoriaMetricsCluster",
        ),
        (
            "{ requirements: { activeSeries: 80M, scrapeInterval: 15s, retention: 2y, budget: { monthlyCost: '5000' } },
               priorities: { cost: 1, reliability: 5, performanceEfficiency: 1, compatibility: 5,
                             maintainability: 0, security: 1, flexibility: 5 } }",
            Component::MetricsStore,
            "VictoriaMetricsCluster",
        ),
        (
            "{ priorities: { cost: 0, reliability: 0, performanceEfficiency: 5, compatibility: 0,
                             maintainability: 0, security: 0, flexibility: 0 } }",
            Component::MetricsStore,
            "VictoriaMetricsSingle",
        ),
        ("{ requirements: { licences: { deny: [Apache-2.0] } } }", Component::MetricsStore, "External"),
        ("{ requirements: { licences: { deny: [AGPL-3.0] } } }", Component::Dashboards, "None"),
        ("{ exposure: { host: obs.example.com, className: internal } }", Component::Exposure, "Ingress"),
        ("{ exposure: { host: obs.example.com } }", Component::Exposure, "HTTPRoute"),
        (
            "{ alerting: { route: { receiver: team }, receivers: [ { name: team, slack: [ { apiUrl: { name: s, key: url } } ] } ] } }",
            Component::Notification,
            "Slack",
        ),
    ] {
        let decision = store_of(spec, component);
        assert_eq!(decision.chosen.as_deref(), Some(wanted), "{spec}\n{:#?}", decision.eliminated);
        let known = catalog().option(component, wanted).unwrap().deployable;
        assert_eq!(decision.deployable, known, "{spec}");
    }
}

#[test]
fn every_elimination_carries_its_numbers() {
    for (change, requirement, words) in [
        ("{ requirements: { recoveryTime: 1s } }", "requirements.recoveryTime", "1s are allowed"),
        (
            "{ requirements: { budget: { memory: 100Mi } } }",
            "requirements.budget.memory",
            "the budget is 100Mi",
        ),
        ("{ requirements: { budget: { storage: 512Mi } } }", "requirements.budget.storage", "of disk"),
        (
            "{ requirements: { retention: 10y, activeSeries: 20M, recoveryTime: 2h } }",
            "requirements.retention",
            "on each volume",
        ),
        (
            "{ requirements: { licences: { deny: [Apache-2.0] } } }",
            "requirements.licences.deny",
            "Apache-2.0 is denied",
        ),
    ] {
        let store = store_of(change, Component::MetricsStore);
        let found =
            store.eliminated.iter().find(|e| e.option == "Prometheus" && e.requirement == requirement);
        assert!(found.is_some_and(|e| e.reason.contains(words)), "{change}: {:#?}", store.eliminated);
    }
}

#[test]
fn a_person_goes_before_the_engine_and_the_record_says_what_breaks() {
    let mut valid = with(|r| r.active_series = "50M".parse().unwrap());
    let choose = Override { choose: "Prometheus".into(), because: "we shard by hand".into() };
    valid.overrides.insert(Component::MetricsStore, choose);
    let store = plan(&valid).get(Component::MetricsStore).unwrap().clone();
    assert_eq!(store.chosen_by, ChosenBy::Person);
    assert_eq!(store.in_force.as_deref(), Some("Prometheus"));
    assert_eq!(store.engine_would_choose.as_deref(), Some("VictoriaMetricsSingle"));
    assert!(store.violates.iter().any(|v| v.requirement == "requirements.activeSeries"));
    assert!(store.statement.contains("a person chose") && store.statement.contains("we shard by hand"));

    let choose = Override { choose: "Whisper".into(), because: "nostalgia".into() };
    valid.overrides.insert(Component::MetricsStore, choose);
    let store = plan(&valid).get(Component::MetricsStore).unwrap().clone();
    assert!(!store.deployable);
    assert!(
        store.violates[0].reason.contains("write Prometheus, VictoriaMetricsSingle"),
        "{:?}",
        store.violates
    );
}

#[test]
fn a_long_retention_that_the_chosen_store_breaks_is_kept_elsewhere() {
    let mut valid = with(|r| {
        r.active_series = "20M".parse().unwrap();
        r.retention = "10y".parse().unwrap();
        r.recovery_time = "2h".parse().unwrap();
    });
    let choose = Override { choose: "Prometheus".into(), because: "we know it".into() };
    valid.overrides.insert(Component::MetricsStore, choose);
    let plan = plan(&valid);
    assert_ne!(choice(&plan, Component::LongTermStorage), Some("None"));
}

#[test]
fn what_is_not_known_changes_nothing() {
    let mut valid = valid();
    valid.spec.exposure.host = Some("obs.example.com".into());
    valid.spec.exposure.class_name = None;
    let missing = DecideFacts { cluster: Fact::Known(ClusterFacts::default()), measured: None };
    let plan = decide(&valid, &missing, &Previous::default(), &catalog());
    let exposure = plan.get(Component::Exposure).unwrap();
    assert_eq!(exposure.chosen, None);
    assert!(
        exposure.relaxations.iter().any(|r| r.contains("leave out exposure.host")),
        "{:?}",
        exposure.relaxations
    );

    // An option that the engine may choose by itself, and whose types the cluster may lack.
    let catalog = without_persons_word();
    let previous = Previous::default().with(Component::Delivery, "Native", &catalog.version);
    let mut weights = valid.clone();
    weights.priorities =
        Quality::ALL.into_iter().map(|q| (q, u8::from(q == Quality::Compatibility))).collect();
    let plan = decide(&weights, &DecideFacts::offline(), &previous, &catalog);
    let delivery = plan.get(Component::Delivery).unwrap();
    assert_eq!(delivery.chosen.as_deref(), Some("Native"));
    assert!(delivery.uncertain.is_some());
    assert!(delivery.ranking.iter().any(|ranked| ranked.option == "PrometheusOperator"));
}

/// The catalog with a delivery that needs no person's word.
fn without_persons_word() -> Catalog {
    let mut files = FILES;
    let delivery = files.iter_mut().find(|(name, _)| *name == "delivery.yaml").unwrap();
    let text = delivery.1.replacen("    needs: [delivery]\n", "", 1);
    assert_ne!(text, delivery.1);
    delivery.1 = &text;
    Catalog::parse(HEAD, &files).unwrap()
}

#[test]
fn prometheus_operator_comes_in_by_a_persons_word_alone() {
    let served = ClusterFacts { prometheus_operator: true, ..ClusterFacts::default() };
    let served = DecideFacts { cluster: Fact::Known(served), measured: None };
    for quality in Quality::ALL {
        let mut valid = valid();
        valid.priorities = Quality::ALL.into_iter().map(|q| (q, if q == quality { 5 } else { 0 })).collect();
        let plan = decide(&valid, &served, &Previous::default(), &catalog());
        let delivery = plan.get(Component::Delivery).unwrap();
        assert_eq!(delivery.chosen.as_deref(), Some("Native"), "{quality:?}");
        assert_eq!(delivery.flip_points.iter().find(|flip| flip.to.is_some()), None, "{quality:?}");
        let out = delivery.eliminated.iter().find(|e| e.option == "PrometheusOperator").unwrap();
        assert_eq!(out.requirement, "decisions.delivery");
    }
    let mut valid = valid();
    let choose = Override { choose: "PrometheusOperator".into(), because: "it is there already".into() };
    valid.overrides.insert(Component::Delivery, choose);
    let delivery = |facts: &DecideFacts, previous: &Previous| {
        decide(&valid, facts, previous, &catalog()).get(Component::Delivery).unwrap().clone()
    };
    let chosen = delivery(&served, &Previous::default());
    assert_eq!(
        (chosen.chosen_by, chosen.in_force.as_deref()),
        (ChosenBy::Person, Some("PrometheusOperator"))
    );
    assert!(chosen.deployable && chosen.violates.is_empty(), "{:?}", chosen.violates);
    assert_eq!(chosen.tripwires.len(), 1);
    // A cluster without the types breaks no word: it is said.
    let missing = DecideFacts { cluster: Fact::Known(ClusterFacts::default()), measured: None };
    let chosen = delivery(&missing, &Previous::default());
    assert_eq!(chosen.in_force.as_deref(), Some("PrometheusOperator"));
    assert_eq!(chosen.violates[0].requirement, "cluster");
    // The word taken back, plain objects come back by themselves: nothing that the option holds is lost.
    let before = Previous::default().with(Component::Delivery, "PrometheusOperator", &catalog().version);
    valid.overrides.clear();
    let back = decide(&valid, &served, &before, &catalog());
    assert_eq!(back.deployed(Component::Delivery), Some("Native"));
}

#[test]
fn sizes_are_small_for_small_stacks_and_keep_to_the_budget() {
    let small = plan(&valid());
    let store = small.sizing_of(Component::MetricsStore).unwrap();
    assert_eq!(store.memory_request, "512Mi".parse().unwrap());
    assert_eq!(store.memory_limit, "1Gi".parse().unwrap());
    assert_eq!(store.replicas, 1);
    let mib = |n: u64| crate::units::Bytes(n << 20);
    assert!(store.disk >= mib(4096) && store.disk <= mib(8192), "{}", store.disk);
    assert_eq!(small.sizing_of(Component::Exposure), None);

    let tight = plan(&with(|r| {
        r.active_series = "1M".parse().unwrap();
        r.availability = Availability::Replicated;
        r.budget_memory = Some("6Gi".parse().unwrap());
    }));
    let store = tight.sizing_of(Component::MetricsStore).unwrap();
    assert_eq!(store.replicas, 2);
    assert!(store.memory_limit <= mib(3072) && store.memory_request <= store.memory_limit, "{store:?}");
}

#[test]
fn no_entry_without_range_unit_source_date_and_speaker() {
    let broken = |from: &str, to: &str| {
        let mut files = FILES;
        assert!(files[0].1.contains(from), "{from}");
        let text = files[0].1.replacen(from, to, 1);
        files[0].1 = &text;
        Catalog::parse(HEAD, &files).unwrap_err().to_string()
    };
    for (from, to, says) in [
        ("unit: bytes, source: robust-memory", "source: robust-memory", "missing field"),
        ("low: 2000, high: 8000", "low: 2000", "missing field"),
        ("low: 2000, high: 8000", "low: 9000, high: 8000", "low <= high"),
        ("unit: bytes, source: robust-memory", "unit: bytes, source: hearsay", "not known"),
        ("date: \"2023-12\", who: independent", "who: independent", "missing field"),
        ("date: \"2023-12\", who: independent", "date: \"2023-12\"", "missing field"),
        ("date: \"2023-12\"", "date: \"lately\"", "YYYY-MM"),
        ("low: 50, high: 72, judgement: true", "low: 60, high: 62, judgement: true", "range of 20"),
        ("low: 50, high: 72, judgement: true", "low: 50, high: 72", "name a source"),
        ("quote: \"16 to 64 TiB\"", "quote: \"\"", "as its source has it"),
        ("        quote: \"16 to 64 TiB\"\n", "", "missing field"),
        ("unit: bytes, source: robust-memory", "unit: '', source: robust-memory", "write a unit"),
        ("unit: bytes, source: robust-memory", "unit: Gi, source: robust-memory", "write bytes"),
        ("unit: bytes, source: robust-memory,", "unit: bytes,", "missing field"),
        (
            "quality: performanceEfficiency, source: robust-memory,",
            "quality: performanceEfficiency,",
            "missing field",
        ),
        (
            "quality: reliability, source: prometheus-faq",
            "quality: reliability, source: hearsay",
            "unknown source",
        ),
        ("title: \"Prometheus documentation: FAQ\"", "title: \"\"", "write its title"),
        ("who: independent", "who: everybody", "unknown variant"),
        (
            "        basis: { low: 0.7, high: 0.9, unit: \"share of the limit\", source: ours, quote: \"room for a replay\" }\n",
            "",
            "needs a basis",
        ),
        ("licence: Apache-2.0", "licence: Apache-2.0\n    licenze: x", "unknown field"),
    ] {
        let error = broken(from, to);
        assert!(error.contains(says), "{from} -> {to}: {error}");
    }
}

/// The arithmetic of the metrics store of two stacks, as a reader checks it by hand.
fn example() -> String {
    use std::fmt::Write;
    let mut out = String::new();
    for (spec, title) in [
        ("{}", "An empty spec"),
        (
            "{ requirements: { activeSeries: 50M, budget: { memory: 512Gi } }, priorities: { cost: 5, reliability: 5 } }",
            "A large stack",
        ),
    ] {
        let parsed: ObservabilityStackSpec = serde_saphyr::from_str(spec).unwrap();
        let valid = validate(valid().id, &parsed, None).unwrap();
        let plan = plan(&valid);
        let store = plan.get(Component::MetricsStore).unwrap();
        writeln!(out, "\n**{title}**: `spec: {spec}`\n").unwrap();
        for e in &store.eliminated {
            writeln!(out, "* {} is ruled out by `{}`. {}", e.option, e.requirement, e.reason).unwrap();
        }
        for s in &store.sizing {
            writeln!(out, "* {} of {}: {}", s.quantity, store.chosen.as_ref().unwrap(), s.arithmetic)
                .unwrap();
        }
        let weights: Vec<u8> = Quality::ALL.iter().map(|q| valid.priorities[q]).collect();
        let names: Vec<_> = Quality::ALL.iter().map(|q| q.id()).collect();
        writeln!(out, "\n| option | {} | total |", names.join(" | ")).unwrap();
        writeln!(out, "|---|{}---|", "---|".repeat(names.len())).unwrap();
        let shown: Vec<_> = weights.iter().map(|w| format!("weight {w}")).collect();
        writeln!(out, "| | {} | sum {} |", shown.join(" | "), weights.iter().sum::<u8>()).unwrap();
        let range = |r: obstack_crds::record::Range| format!("{:.1} to {:.1}", r.low, r.high);
        for ranked in &store.ranking {
            let scores: Vec<_> = names.iter().map(|n| range(ranked.scores[*n])).collect();
            writeln!(out, "| {} | {} | {} |", ranked.option, scores.join(" | "), range(ranked.total))
                .unwrap();
        }
        let first = &store.ranking[0];
        let sum = |end: fn(&obstack_crds::record::Range) -> f64| {
            let terms: Vec<_> = names
                .iter()
                .zip(&weights)
                .map(|(n, w)| format!("{w} x {:.1}", end(&first.scores[*n])))
                .collect();
            terms.join(" + ")
        };
        let all: u8 = weights.iter().sum();
        writeln!(
            out,
            "\nThe low end of {}: ({}) / {all} = {:.1}.",
            first.option,
            sum(|r| r.low),
            first.total.low
        )
        .unwrap();
        writeln!(out, "{}", store.tie.as_deref().unwrap_or("No total overlaps with it.")).unwrap();
    }
    out
}

#[test]
fn the_example_in_the_book() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/decisions.md");
    let book = std::fs::read_to_string(path).unwrap();
    let (before, rest) = book.split_once("the_example_in_the_book -->\n").unwrap();
    let (shown, after) = rest.split_once("\n<!-- end of example -->").unwrap_or(("", rest));
    let made = example();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let after = after.trim_start_matches("<!-- end of example -->");
        let text = format!("{before}the_example_in_the_book -->\n{made}\n<!-- end of example -->{after}");
        std::fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(shown, made, "write it anew with UPDATE_GOLDEN=1");
}
