use obstack_crds::stack::Override;

use super::*;
use crate::decide::testing::{catalog, valid, with};
use crate::decide::{Catalog, DecideFacts, Previous, decide};
use crate::observe::{ClusterFacts, Fact};

fn facts() -> DecideFacts {
    DecideFacts { cluster: Fact::Known(ClusterFacts::default()), measured: None }
}

fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().unwrap()
}

/// One reconcile: decides with what the records say, and makes the first `writes` writes.
fn step_with(
    valid: &Valid,
    facts: &DecideFacts,
    catalog: &Catalog,
    records: &[DecisionRecord],
    writes: usize,
) -> Vec<DecisionRecord> {
    let plan = decide(valid, facts, &Previous::of_records(records), catalog);
    let actions = next(&plan, valid, records, now());
    after(records, &actions[..actions.len().min(writes)])
}

fn settle(valid: &Valid, records: &[DecisionRecord]) -> Vec<DecisionRecord> {
    let records = step_with(valid, &facts(), &catalog(), records, usize::MAX);
    let again = step_with(valid, &facts(), &catalog(), &records, usize::MAX);
    assert_eq!(again, records, "the second run has nothing to write");
    records
}

fn store(records: &[DecisionRecord]) -> Vec<(u32, Option<&str>, Phase, bool)> {
    let of = records.iter().filter(|r| r.spec.component == Component::MetricsStore);
    of.map(|r| (r.spec.number, r.spec.chosen.as_deref(), phase(r).unwrap(), r.spec.reaffirms)).collect()
}

fn choose(option: &str, because: &str) -> Override {
    Override { choose: option.into(), because: because.into() }
}

#[test]
fn first_records_are_accepted_and_named() {
    let records = settle(&valid(), &[]);
    assert_eq!(records.len(), 8);
    let first = &records[0];
    assert_eq!(first.metadata.name.as_deref(), Some("main-metrics-store-0001"));
    assert_eq!(first.metadata.owner_references, None);
    assert_eq!(first.metadata.labels.as_ref().unwrap()["obstack.io/component"], "metricsStore");
    assert_eq!(first.spec.decided_at, "2026-11-21T12:00:00Z");
    assert_eq!(store(&records), [(1, Some("Prometheus"), Phase::Accepted, false)]);
}

#[test]
fn a_change_of_bounds_alone_reaffirms() {
    let records = settle(&valid(), &[]);
    let records = settle(&with(|r| r.active_series = "60k".parse().unwrap()), &records);
    assert_eq!(
        store(&records),
        [(1, Some("Prometheus"), Phase::Superseded, false), (2, Some("Prometheus"), Phase::Accepted, true)]
    );
    let by = records[0].status.as_ref().unwrap().superseded_by.as_deref();
    assert_eq!(by, Some("main-metrics-store-0002"));
    let second = records.iter().find(|r| r.spec.number == 2).unwrap();
    assert_eq!(second.spec.supersedes.as_deref(), Some("main-metrics-store-0001"));
}

/// A record says what its engine evaluates, the durations included.
#[test]
fn what_a_tripwire_evaluates_is_part_of_a_record() {
    let valid = with(|r| r.availability = obstack_crds::stack::Availability::Replicated);
    let records = settle(&valid, &[]);
    let mut catalog = catalog();
    assert!(catalog.divide(Component::Alerting, "peers-failing", 15));
    assert!(!catalog.divide(Component::Alerting, "memory", 15));
    let records = step_with(&valid, &facts(), &catalog, &records, usize::MAX);
    let of = records.iter().filter(|r| r.spec.component == Component::Alerting);
    let waits: Vec<_> = of.map(|r| (r.spec.reaffirms, r.spec.tripwires[0].for_.as_str())).collect();
    assert_eq!(waits, [(false, "15m"), (true, "1m")]);
    let in_force: Vec<_> = all_in_force(&valid.id, &records).iter().map(|r| r.spec.number).collect();
    assert_eq!(in_force, [1, 1, 1, 2, 1, 1, 1, 1]);
}

#[test]
fn the_first_records_are_those_that_a_first_look_writes() {
    let valid = valid();
    let plan = decide(&valid, &facts(), &Previous::of_records(&[]), &catalog());
    let names = |records: &[DecisionRecord]| -> Vec<_> {
        all_in_force(&valid.id, records).iter().map(|r| r.metadata.name.clone()).collect()
    };
    assert_eq!(names(&first(&plan, &valid)), names(&settle(&valid, &[])));
    assert_eq!(names(&first(&plan, &valid)).len(), 8);
}

#[test]
fn moving_a_store_is_proposed_and_accepted_by_editing_the_stack() {
    let small = settle(&valid(), &[]);
    let mut large = with(|r| r.active_series = "50M".parse().unwrap());
    let plan = decide(&large, &facts(), &Previous::of_records(&small), &catalog());
    let decision = plan.get(Component::MetricsStore).unwrap();
    assert_eq!(decision.in_force.as_deref(), Some("Prometheus"));
    let proposed = decision.chosen.clone().unwrap();
    assert_ne!(proposed, "Prometheus");

    let records = settle(&large, &small);
    assert_eq!(
        store(&records),
        [
            (1, Some("Prometheus"), Phase::Accepted, false),
            (2, Some(proposed.as_str()), Phase::Proposed, false)
        ]
    );
    let status = &statuses(&plan, &large, &records)[0];
    assert_eq!((status.record.as_str(), status.phase), ("main-metrics-store-0002", Phase::Proposed));
    assert_eq!(status.choice.as_deref(), Some("Prometheus"));

    // Another number, another proposal; one is open at most.
    large.requirements.active_series = "60M".parse().unwrap();
    large.requirements.retention = "60d".parse().unwrap();
    let records = settle(&large, &records);
    let open = store(&records).iter().filter(|r| r.2 == Phase::Proposed).count();
    assert_eq!(open, 1);

    let mut accepted = large.clone();
    accepted.overrides.insert(Component::MetricsStore, choose(&proposed, "we move in March"));
    let moved = settle(&accepted, &records);
    let last = store(&moved).last().copied().unwrap();
    assert_eq!((last.1, last.2), (Some(proposed.as_str()), Phase::Accepted));
    assert_eq!(store(&moved).iter().filter(|r| r.2 == Phase::Accepted).count(), 1);

    let mut refused = large;
    refused.overrides.insert(Component::MetricsStore, choose("Prometheus", "we shard it"));
    let stayed = settle(&refused, &records);
    let phases: Vec<_> = store(&stayed).iter().map(|r| r.2).collect();
    assert!(phases.contains(&Phase::Rejected));
    assert_eq!(phases.last(), Some(&Phase::Accepted));
}

#[test]
fn a_proposal_that_no_longer_holds_is_closed() {
    let small = settle(&valid(), &[]);
    let records = settle(&with(|r| r.active_series = "50M".parse().unwrap()), &small);
    let records = settle(&valid(), &records);
    let phases: Vec<_> = store(&records).iter().map(|r| (r.0, r.2)).collect();
    assert_eq!(phases, [(1, Phase::Accepted), (2, Phase::Superseded)]);
}

#[test]
fn a_run_cut_off_at_any_write_ends_the_same() {
    let mut person = with(|r| r.active_series = "2M".parse().unwrap());
    person.overrides.insert(Component::Dashboards, choose("Perses", "licence"));
    let start = settle(&valid(), &[]);
    for (valid, records) in [(&valid(), Vec::new()), (&person, start)] {
        let whole = settle(valid, &records);
        let plan = decide(valid, &facts(), &Previous::of_records(&records), &catalog());
        let all = next(&plan, valid, &records, now()).len();
        assert!(all >= 4);
        for writes in 0..=all {
            let cut = step_with(valid, &facts(), &catalog(), &records, writes);
            assert!(settle(valid, &cut) == whole, "cut off after {writes} writes");
        }
    }
}

#[test]
fn a_half_written_record_of_other_inputs_is_set_aside() {
    let records = settle(&valid(), &[]);
    let other = with(|r| r.active_series = "60k".parse().unwrap());
    let cut = step_with(&other, &facts(), &catalog(), &records, 1);
    assert_eq!(cut.len(), records.len() + 1);
    let back = settle(&valid(), &cut);
    assert_eq!(
        store(&back),
        [(1, Some("Prometheus"), Phase::Accepted, false), (2, Some("Prometheus"), Phase::Superseded, true)]
    );
}

#[test]
fn a_stack_of_the_same_name_takes_the_records_up() {
    let mut chosen = valid();
    chosen.overrides.insert(Component::MetricsStore, choose("VictoriaMetricsSingle", "we know it"));
    let records = settle(&chosen, &[]);
    // The stack is deleted and made again without the override: what holds the data stays in force.
    let again = settle(&valid(), &records);
    let plan = decide(&valid(), &facts(), &Previous::of_records(&records), &catalog());
    assert_eq!(plan.get(Component::MetricsStore).unwrap().in_force.as_deref(), Some("VictoriaMetricsSingle"));
    assert_eq!(store(&again).iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_new_catalog_yields_at_most_a_proposal() {
    let records = settle(&valid(), &[]);
    let mut newer = catalog();
    newer.version = "2027.1.1".into();
    assert_eq!(
        step_with(&valid(), &facts(), &newer, &records, usize::MAX),
        records,
        "same decisions, no writes"
    );

    newer.forbid(Component::Alerting, "Alertmanager");
    let plan = decide(&valid(), &facts(), &Previous::of_records(&records), &newer);
    let alerting = plan.get(Component::Alerting).unwrap();
    assert_ne!(alerting.chosen.as_deref(), Some("Alertmanager"));
    assert_eq!(alerting.in_force.as_deref(), Some("Alertmanager"));
}

#[test]
fn an_unavailable_fact_writes_nothing() {
    let records = settle(&valid(), &[]);
    let unknown = DecideFacts::offline();
    assert_eq!(step_with(&valid(), &unknown, &catalog(), &records, usize::MAX), records);
}

#[test]
fn the_history_is_bounded_and_numbers_go_on() {
    let mut records = settle(&valid(), &[]);
    for n in 0..30 {
        let next = with(|r| r.active_series = crate::units::SeriesCount(60_000 + n * 1_000));
        records = settle(&next, &records);
    }
    let store = store(&records);
    assert_eq!(store.len(), HISTORY_LIMIT + 1);
    assert_eq!(store.last().map(|r| (r.0, r.2)), Some((31, Phase::Accepted)));
}

#[test]
fn all_eliminated_keeps_what_runs_and_says_what_to_relax() {
    let records = settle(&valid(), &[]);
    let impossible = with(|r| r.budget_memory = Some("16Mi".parse().unwrap()));
    let plan = decide(&impossible, &facts(), &Previous::of_records(&records), &catalog());
    let store = plan.get(Component::MetricsStore).unwrap();
    assert_eq!(store.chosen, None);
    assert_eq!(store.in_force.as_deref(), Some("Prometheus"));
    assert!(
        store.relaxations.iter().any(|r| r.contains("raise requirements.budget.memory to")),
        "{:?}",
        store.relaxations
    );
    let records = settle(&impossible, &records);
    assert_eq!(self::store(&records)[1], (2, None, Phase::Proposed, false));
}

/// Every string and list against the bounds of the schema: the API server refuses what breaks them.
fn within(schema: &serde_json::Value, value: &serde_json::Value, path: &str) {
    let most = |name: &str| schema.get(name).and_then(serde_json::Value::as_u64).unwrap_or(u64::MAX);
    match value {
        serde_json::Value::String(text) => {
            assert!(text.chars().count() as u64 <= most("maxLength"), "{path}: {text}")
        }
        serde_json::Value::Array(items) => {
            assert!(items.len() as u64 <= most("maxItems"), "{path}");
            items.iter().for_each(|item| within(&schema["items"], item, &format!("{path}[]")));
        }
        serde_json::Value::Object(map) => {
            assert!(map.len() as u64 <= most("maxProperties"), "{path}");
            for (key, item) in map {
                let of = schema["properties"].get(key).unwrap_or(&schema["additionalProperties"]);
                assert!(of.is_object(), "{path}.{key} is not in the schema");
                within(of, item, &format!("{path}.{key}"));
            }
        }
        _ => {}
    }
}

#[test]
fn the_largest_stack_fits_into_records() {
    let mut large = with(|r| {
        r.licences_deny =
            (0..16).map(|i| format!("{i:0>64}")).chain(["AGPL-3.0".into(), "Apache-2.0".into()]).collect();
        r.budget_memory = Some("1Mi".parse().unwrap());
        r.budget_storage = Some("1Mi".parse().unwrap());
        r.budget_monthly_cents = Some(1);
        r.active_series = crate::units::SeriesCount(999_999_999_999);
        r.recovery_time = "1ms".parse().unwrap();
    });
    large.id.name = "n".repeat(36);
    large.id.namespace = "n".repeat(63);
    large.spec.exposure.host = Some("h".repeat(253));
    for component in Component::ALL {
        large.overrides.insert(component, choose(&"X".repeat(64), &"b".repeat(1_024)));
    }
    let schema = serde_json::to_value(<DecisionRecord as kube::CustomResourceExt>::crd()).unwrap();
    let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let people = step_with(&large, &facts(), &catalog(), &[], usize::MAX);
    large.overrides.clear();
    let engine = step_with(&large, &facts(), &catalog(), &people, usize::MAX);
    let plain = step_with(&valid(), &facts(), &catalog(), &[], usize::MAX);
    for record in people.iter().chain(&engine).chain(&plain) {
        within(&schema["spec"], &serde_json::to_value(&record.spec).unwrap(), "spec");
        within(&schema["status"], &serde_json::to_value(&record.status).unwrap(), "status");
        assert!(record.metadata.name.as_ref().unwrap().len() <= 63);
    }
}
