use obstack_crds::record::Phase;

use super::*;
use crate::decide::measured::COMPONENT;
use crate::decide::testing::{catalog, valid};
use crate::decide::{DecideFacts, Previous, decide, records};
use crate::observe::{ClusterFacts, Fact};

fn option() -> OptionEntry {
    catalog().option(COMPONENT, "Prometheus").unwrap().clone()
}

/// A Prometheus of 100k series that has run for two days.
fn answers() -> Answers {
    Answers::from([
        (UPTIME, 172_800.0),
        (SERIES, 100_000.0),
        (RESIDENT, 415e6),
        (CREATED, 50_000.0),
        (QUERIES, 2.34),
        (COMPACTED, 30.0),
        (CHUNK_BYTES_PER_SAMPLE, 1.2),
        (DISK_BYTES, 1.5e9),
        (SAMPLES, 1e9),
        (BLOCKS, 5.0),
        (KEPT, 4.0 * 86_400.0),
    ])
}

fn but(changes: &[(&'static str, Option<f64>)]) -> Reading {
    let mut answers = answers();
    for (name, value) in changes {
        match value {
            Some(value) => answers.insert(name, *value),
            None => answers.remove(name),
        };
    }
    read(&option(), &answers, &ENOUGH)
}

#[test]
fn answers_come_to_rounded_values() {
    let reading = but(&[]);
    assert_eq!(reading.lacking, []);
    let wanted = Measurements {
        option: Some("Prometheus".into()),
        active_series: Some(100_000.0),
        // 415 MB less the 100 MB of an idle server.
        bytes_per_series: Some(3_200.0),
        // 1.5 GB less 1.2 GB of chunks are index: of 100k series in each of 5 blocks, and of 50k more a day for 4
        // days, 430 bytes each. What is not of the 300k series created goes with the samples.
        index_bytes_per_series: Some(430.0),
        bytes_per_sample: Some(1.4),
        series_churn_per_day: Some(0.5),
        queries_per_second: Some(2.3),
    };
    assert_eq!(reading.measurements, wanted);
}

#[test]
fn too_little_data_gives_no_value_but_the_reason() {
    for (changes, quantity, words) in [
        (vec![(UPTIME, Some(20_000.0))], Quantity::BytesPerSeries, "it has run for 5.6 h; 24 h are needed"),
        (vec![(UPTIME, Some(40_000.0))], Quantity::BytesPerSample, "it has run for 11 h; 24 h are needed"),
        (vec![(SERIES, Some(900.0))], Quantity::ActiveSeries, "900 active series; 1k are needed"),
        (vec![(RESIDENT, Some(150e6))], Quantity::BytesPerSeries, "an idle server takes"),
        (vec![(COMPACTED, Some(0.0))], Quantity::BytesPerSample, "0 blocks written; 1 are needed"),
        (vec![(SAMPLES, Some(1e4))], Quantity::BytesPerSample, "10k samples on the disk; 1M are needed"),
        (vec![(SAMPLES, Some(5e9))], Quantity::BytesPerSample, "the rate has changed"),
        (vec![(SAMPLES, Some(1e8))], Quantity::BytesPerSample, "the rate has changed"),
        (vec![(QUERIES, None)], Quantity::QueriesPerSecond, "no value for queries; let it scrape itself"),
        (vec![(RESIDENT, Some(f64::NAN))], Quantity::BytesPerSeries, "NaN"),
    ] {
        let reading = but(&changes);
        assert_eq!(reading.measurements.get(quantity), None, "{changes:?}");
        let reason = reading.lacking.iter().find(|(lacking, _)| *lacking == quantity);
        let reason = &reason.unwrap_or_else(|| panic!("{changes:?}: no reason")).1;
        assert!(reason.contains(words), "{changes:?}: {reason}");
    }
    // VictoriaMetrics has no blocks to wait for.
    let other = but(&[(COMPACTED, None), (CHUNK_BYTES_PER_SAMPLE, None)]);
    assert_eq!(other.measurements.bytes_per_sample, Some(1.5));
}

#[test]
fn the_two_terms_of_disk_come_to_what_lies_on_it() {
    // One index for all: 100k series, 50k more a day for 4 days.
    let apart = [(COMPACTED, None), (CHUNK_BYTES_PER_SAMPLE, None), (BLOCKS, None), (INDEX_BYTES, Some(3e8))];
    let reading = but(&apart);
    assert_eq!(reading.lacking, []);
    let values = &reading.measurements;
    assert_eq!((values.bytes_per_sample, values.index_bytes_per_series), (Some(1.2), Some(1_000.0)));

    for changes in [&apart[..], &[]] {
        let answers = but(changes).answers;
        let found = index(&answers, &ENOUGH).unwrap();
        let (sample, created) = found.terms(1.5e9, 1e9);
        assert!((sample * 1e9 + created * found.created - 1.5e9).abs() < 1.0, "{found:?}");
    }
}

#[test]
fn an_index_that_is_not_told_apart_stays_in_the_bytes_per_sample_and_that_is_said() {
    for (changes, words) in [
        (vec![(CHUNK_BYTES_PER_SAMPLE, None)], "the engine does not tell its index apart"),
        (vec![(BLOCKS, None)], "the engine does not tell its index apart"),
        (vec![(KEPT, None)], "does not tell how many series its index holds"),
        (vec![(CREATED, Some(f64::NAN))], "does not tell how many series its index holds"),
        (vec![(INDEX_BYTES, Some(0.0))], "its index comes to 0 of 1.4Gi"),
        (vec![(INDEX_BYTES, Some(2e9))], "its index comes to 1.9Gi of 1.4Gi"),
    ] {
        let reading = but(&changes);
        let values = &reading.measurements;
        assert_eq!(
            (values.bytes_per_sample, values.index_bytes_per_series),
            (Some(1.5), None),
            "{changes:?}"
        );
        let lacking = reading.lacking.iter().find(|(lacking, _)| *lacking == Quantity::IndexBytesPerSeries);
        let reason = &lacking.unwrap_or_else(|| panic!("{changes:?}: no reason")).1;
        assert!(reason.contains(words) && reason.ends_with("it is in the bytes per sample"), "{reason}");
    }
}

#[test]
fn both_terms_of_disk_are_taken_over_together() {
    let of = |per_sample, index| Measurements {
        bytes_per_sample: per_sample,
        index_bytes_per_series: index,
        ..Measurements::default()
    };
    let kept = of(Some(1.2), Some(400.0));
    // One figure for both: the old second term would be counted twice.
    assert_eq!(merged(kept.clone(), &of(Some(1.5), None)), of(Some(1.5), None));
    assert_eq!(merged(of(Some(1.5), None), &of(Some(1.2), Some(300.0))), of(Some(1.2), Some(300.0)));
    assert_eq!(merged(kept.clone(), &of(None, None)), kept);
}

#[test]
fn every_question_is_a_query_of_the_engine_that_is_meant() {
    for question in Engine::ALL.into_iter().flat_map(Engine::questions) {
        for matchers in ["", r#"job="a",instance="b:1""#] {
            let query = question.query(matchers, ENOUGH.window);
            assert!(!query.contains("{of}") && !query.contains("{window}"), "{query}");
            promql_parser::parser::parse(&query).unwrap_or_else(|error| panic!("{query}: {error}"));
            let selectors = query.matches('{').count();
            assert_eq!(
                query.matches(r#"job="a",instance="b:1","#).count(),
                if matchers.is_empty() { 0 } else { selectors }
            );
        }
    }
}

fn at(day: i64, hour: i64) -> Timestamp {
    let begin: Timestamp = "2026-11-01T00:00:00Z".parse().unwrap();
    Timestamp::from_second(begin.as_second() + day * 86_400 + hour * 3_600).unwrap()
}

fn reading(bytes_per_series: f64, active_series: f64) -> Measurements {
    let mut values = Measurements { option: Some("Prometheus".into()), ..Measurements::default() };
    values.set(Quantity::BytesPerSeries, Some(bytes_per_series));
    values.set(Quantity::ActiveSeries, Some(active_series));
    values
}

/// One reconcile, with what it would write.
fn step(
    records: &[DecisionRecord],
    reading: Option<&Measurements>,
    now: Timestamp,
) -> (Vec<DecisionRecord>, usize) {
    let measured = in_force(records, reading, now);
    let facts = DecideFacts { cluster: Fact::Known(ClusterFacts::default()), measured };
    let plan = decide(&valid(), &facts, &Previous::of_records(records), &catalog());
    let actions = records::next(&plan, &valid(), records, now);
    (records::after(records, &actions), actions.len())
}

fn stores(records: &[DecisionRecord]) -> Vec<(u32, bool, Option<Phase>, Option<f64>)> {
    let of = records.iter().filter(|record| record.spec.component == COMPONENT);
    let figure = |record: &DecisionRecord| {
        record.spec.measured.iter().find(|m| m.quantity == "bytesPerSeries").map(|m| m.measured)
    };
    of.map(|r| (r.spec.number, r.spec.reaffirms, r.status.as_ref().unwrap().phase, figure(r))).collect()
}

#[test]
fn measured_values_enter_at_epochs_only_and_nothing_is_written_between_them() {
    let (records, _) = step(&[], None, at(0, 0));
    assert_eq!(stores(&records), [(1, false, Some(Phase::Accepted), None)]);

    // Load alone is no epoch.
    let mut load = reading(1.0, 40_000.0);
    load.bytes_per_series = None;
    assert_eq!(step(&records, Some(&load), at(0, 5)).1, 0);

    // The first time that there is enough data, a record reaffirms the choice.
    let (records, writes) = step(&records, Some(&reading(3_000.0, 40_000.0)), at(0, 6));
    assert!(writes > 0);
    let first = (1, false, Some(Phase::Superseded), None);
    assert_eq!(stores(&records), [first, (2, true, Some(Phase::Accepted), Some(3_000.0))]);

    // At rest: whatever is read within the week, or lies within a tenth after it, or is not read at all.
    for (day, read) in [
        (0, Some(reading(3_000.0, 40_000.0))),
        (1, Some(reading(6_000.0, 90_000.0))),
        (6, None),
        (8, None),
        (8, Some(load)),
        (8, Some(reading(3_200.0, 90_000.0))),
        (8, Some(reading(2_800.0, 40_000.0))),
    ] {
        assert_eq!(step(&records, read.as_ref(), at(day, 7)).1, 0, "day {day}: {read:?}");
    }

    // After a week, a figure that moved is taken over, and the load with it.
    let (records, writes) = step(&records, Some(&reading(3_500.0, 90_000.0)), at(7, 6));
    assert!(writes > 0);
    assert_eq!(stores(&records)[2], (3, true, Some(Phase::Accepted), Some(3_500.0)));
    let newest = records.iter().find(|r| r.spec.component == COMPONENT && r.spec.number == 3).unwrap();
    assert_eq!(newest.spec.measured[0].measured, 90_000.0);
    assert_eq!(step(&records, Some(&reading(5_000.0, 90_000.0)), at(8, 0)).1, 0);
    // No other component has a new record for it.
    assert_eq!(records.len(), 8 + 2);
}

#[test]
fn what_was_measured_of_a_store_does_not_follow_to_another() {
    use obstack_crds::stack::Override;
    let (records, _) = step(&[], None, at(0, 0));
    let (records, _) = step(&records, Some(&reading(3_000.0, 40_000.0)), at(1, 0));
    let mut moved = valid();
    let choice = Override { choose: "VictoriaMetricsSingle".into(), because: "we move".into() };
    moved.overrides.insert(COMPONENT, choice);
    let decided = |records: &[DecisionRecord], now| {
        let measured = in_force(records, None, now);
        let facts = DecideFacts { cluster: Fact::Known(ClusterFacts::default()), measured };
        let plan = decide(&moved, &facts, &Previous::of_records(records), &catalog());
        let actions = records::next(&plan, &moved, records, now);
        (records::after(records, &actions), actions.len())
    };
    let (records, _) = decided(&records, at(2, 0));
    assert_eq!(stores(&records)[2], (3, false, Some(Phase::Accepted), None));
    assert_eq!(Measurements::of_records(&records), None);
    assert_eq!(decided(&records, at(3, 0)).1, 0);
}

#[test]
fn the_figures_in_force_stand_beside_what_is_measured_now() {
    let now = but(&[]);
    let by_catalog = compared(&option(), None, &now);
    let row = |rows: &[Compared], id: &str| rows.iter().find(|row| row.quantity == id).copied().unwrap();
    assert_eq!(row(&by_catalog, "bytesPerSeries").predicted, 5_000.0);
    assert_eq!(row(&by_catalog, "bytesPerSeries").measured, 3_200.0);
    assert_eq!(row(&by_catalog, "bytesPerSample").predicted, 1.5);
    let calibrated = compared(&option(), Some(&reading(3_000.0, 1.0)), &now);
    assert_eq!(row(&calibrated, "memory").predicted, 400e6);
    assert_eq!(row(&calibrated, "memory").measured, 420e6);
}

#[test]
fn the_fullest_replica_speaks_for_all() {
    let of = |series| but(&[(SERIES, Some(series))]);
    let readings = [of(20_000.0), of(90_000.0), of(10.0)];
    let found = fullest(readings.iter()).unwrap();
    assert_eq!(found.measurements.active_series, Some(90_000.0));
    assert_eq!(fullest([of(10.0)].iter()), None);
}
