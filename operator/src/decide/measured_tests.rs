use super::*;
use crate::decide::catalog::Models;
use crate::decide::testing::{catalog, valid, with};
use crate::decide::{DecideFacts, Plan, decide};
use crate::validate::Valid;

const MEASURED: Measurements = Measurements {
    option: None,
    active_series: Some(48_000.0),
    bytes_per_series: Some(3_000.0),
    bytes_per_sample: Some(1.2),
    index_bytes_per_series: None,
    series_churn_per_day: Some(0.5),
    queries_per_second: None,
};

fn plan(valid: &Valid, measured: Option<Measurements>) -> Plan {
    let facts = DecideFacts { measured, ..DecideFacts::offline() };
    let previous = Previous::default().with(COMPONENT, "Prometheus", &catalog().version);
    decide(valid, &facts, &previous, &catalog())
}

fn sizing(plan: &Plan, quantity: &str) -> (Range, String) {
    let all = &plan.get(COMPONENT).unwrap().sizing;
    let found = all.iter().find(|sizing| sizing.quantity == quantity).unwrap();
    (found.range, found.arithmetic.clone())
}

#[test]
fn measured_figures_stand_in_the_place_of_the_catalogs() {
    let plan = plan(&valid(), Some(MEASURED));
    let (memory, arithmetic) = sizing(&plan, "memory");
    // 50k series x 3,000 bytes, a quarter on either side, and 100 MB of its own.
    assert_eq!(memory, Range { low: 210e6, high: 290e6 });
    assert!(
        arithmetic.contains("50k series x 2.3k to 3.8k bytes measured + 100M bytes of its own"),
        "{arithmetic}"
    );
    let (_, arithmetic) = sizing(&plan, "storage");
    assert!(arithmetic.contains("15 d x 0.9 to 1.5 bytes measured"), "{arithmetic}");
    assert!(arithmetic.contains("samples in a log x 6 to 13 bytes ="), "{arithmetic}");
}

#[test]
fn disk_has_a_term_for_the_index_of_the_series_created() {
    let (by_priors, arithmetic) = sizing(&plan(&valid(), None), "storage");
    let samples = 50_000.0 / 30.0 * 86_400.0 * 15.0;
    let wal = 50_000.0 / 30.0 * 7_200.0;
    // 0.1 to 1 new series for each active one, for 15 days, and the active ones themselves.
    let low = samples + 100.0 * 50_000.0 * 2.5 + 6.0 * wal;
    let high = 2.0 * samples + 600.0 * 50_000.0 * 16.0 + 13.0 * wal;
    assert_eq!(by_priors, Range { low: numbers::round2(low), high: numbers::round2(high) });
    let said = "50k series x (1 + 15 d x 0.1 to 1 new a day) x 100 to 600 bytes in the index";
    assert!(arithmetic.contains(said), "{arithmetic}");

    // Measured, figure and churn stand in the place of both priors.
    let apart = Measurements { index_bytes_per_series: Some(200.0), ..MEASURED };
    let (two_terms, arithmetic) = sizing(&plan(&valid(), Some(apart.clone())), "storage");
    let said =
        "50k series x (1 + 15 d x 0.38 to 0.63 measured new a day) x 150 to 250 bytes measured in the index";
    assert!(arithmetic.contains(said), "{arithmetic}");
    let low = 0.9 * samples + 150.0 * 50_000.0 * (1.0 + 15.0 * 0.375) + 6.0 * wal;
    let high = 1.5 * samples + 250.0 * 50_000.0 * (1.0 + 15.0 * 0.625) + 13.0 * wal;
    assert_eq!(two_terms, Range { low: numbers::round2(low), high: numbers::round2(high) });
    let more = Measurements { series_churn_per_day: Some(5.0), ..apart };
    assert!(sizing(&plan(&valid(), Some(more)), "storage").0.high > two_terms.high);

    // Measured in one, it is in the bytes per sample, which is said; the term is not added to that again.
    let (one_term, arithmetic) = sizing(&plan(&valid(), Some(MEASURED)), "storage");
    assert!(arithmetic.contains("x 0.9 to 1.5 bytes measured, index included + "), "{arithmetic}");
    assert!(!arithmetic.contains("in the index"), "{arithmetic}");
    let (low, high) = (0.9 * samples + 6.0 * wal, 1.5 * samples + 13.0 * wal);
    assert_eq!(one_term, Range { low: numbers::round2(low), high: numbers::round2(high) });
}

#[test]
fn the_record_shows_prior_measured_and_error() {
    let plan = plan(&valid(), Some(MEASURED));
    let rows = &plan.get(COMPONENT).unwrap().measured;
    let ids: Vec<&str> = rows.iter().map(|row| row.quantity.as_str()).collect();
    assert_eq!(ids, ["activeSeries", "bytesPerSeries", "bytesPerSample", "seriesChurnPerDay"]);
    let series = &rows[1];
    assert_eq!(series.prior, Some(Range { low: 2_000.0, high: 8_000.0 }));
    // The middle of the prior, 5,000, is two thirds more than 3,000.
    assert_eq!((series.measured, series.error), (3_000.0, Some(0.67)));
    assert_eq!((rows[3].prior, rows[3].error), (None, None));
    let others = plan.decisions.iter().filter(|decision| decision.component != COMPONENT);
    assert!(others.into_iter().all(|decision| decision.measured.is_empty()));
}

#[test]
fn only_the_option_that_was_measured_is_calibrated() {
    let total = |plan: &Plan, id: &str| {
        plan.get(COMPONENT).unwrap().ranking.iter().find(|r| r.option == id).unwrap().scores["cost"]
    };
    let (priors, calibrated) = (plan(&valid(), None), plan(&valid(), Some(MEASURED)));
    assert_ne!(total(&priors, "Prometheus"), total(&calibrated, "Prometheus"));
    assert_eq!(total(&priors, "VictoriaMetricsSingle"), total(&calibrated, "VictoriaMetricsSingle"));
    // What was measured of another engine says nothing of the one that runs.
    let of_another = Measurements { option: Some("VictoriaMetricsSingle".into()), ..MEASURED };
    let other = plan(&valid(), Some(of_another));
    assert_eq!(total(&priors, "Prometheus"), total(&other, "Prometheus"));
    assert_ne!(total(&priors, "VictoriaMetricsSingle"), total(&other, "VictoriaMetricsSingle"));
    assert!(other.get(COMPONENT).unwrap().measured.is_empty());
}

#[test]
fn a_measurement_changes_nothing_that_is_deployed_and_no_bound() {
    let budgets = with(|r| {
        r.active_series = "800k".parse().unwrap();
        r.budget_memory = Some("8Gi".parse().unwrap());
        r.budget_storage = Some("200Gi".parse().unwrap());
    });
    for valid in [valid(), budgets] {
        let priors = plan(&valid, None);
        for bytes_per_series in [900.0, 3_000.0, 9_000.0] {
            let measured = Measurements { bytes_per_series: Some(bytes_per_series), ..MEASURED };
            let calibrated = plan(&valid, Some(measured));
            assert_ne!(sizing(&priors, "memory"), sizing(&calibrated, "memory"));
            for (before, after) in priors.decisions.iter().zip(&calibrated.decisions) {
                assert_eq!(before.in_force, after.in_force, "{}", before.component);
                assert_eq!(before.resources, after.resources, "{}", before.component);
                if before.chosen == after.chosen {
                    assert_eq!(before.tripwires, after.tripwires, "{}", before.component);
                }
            }
        }
    }
}

#[test]
fn a_store_that_needs_more_than_its_budget_by_measure_is_ruled_out_and_still_runs() {
    let tight = with(|r| r.budget_memory = Some("1Gi".parse().unwrap()));
    assert_eq!(plan(&tight, None).get(COMPONENT).unwrap().chosen.as_deref(), Some("Prometheus"));
    let heavy = Measurements { bytes_per_series: Some(30_000.0), ..MEASURED };
    let plan = plan(&tight, Some(heavy));
    let decision = plan.get(COMPONENT).unwrap();
    let ruled_out = |e: &&obstack_crds::record::Elimination| {
        e.option == "Prometheus" && e.requirement == "requirements.budget.memory"
    };
    assert!(decision.eliminated.iter().any(|e| ruled_out(&e)), "{:?}", decision.eliminated);
    assert_eq!(decision.in_force.as_deref(), Some("Prometheus"));
}

#[test]
fn measured_series_only_ever_raise_what_was_asked() {
    let asked = valid().requirements;
    let more = Measurements { active_series: Some(61_000.0), ..Measurements::default() };
    assert_eq!(with_measured_series(&asked, &more).active_series, SeriesCount(61_000));
    for same in [Some(49_000.0), None] {
        let fewer = Measurements { active_series: same, ..Measurements::default() };
        assert_eq!(with_measured_series(&asked, &fewer), asked);
    }
}

#[test]
fn what_somebody_wrote_is_refused_with_what_to_write() {
    let wrong = Measurements {
        option: Some("Promethues".into()),
        bytes_per_series: Some(-1.0),
        bytes_per_sample: Some(f64::NAN),
        ..Measurements::default()
    };
    let faults = wrong.faults(&catalog());
    assert_eq!(faults.len(), 3, "{faults:?}");
    assert!(faults[0].starts_with("option: found \"Promethues\"; write Prometheus, "), "{faults:?}");
    assert!(
        faults[1].contains("bytesPerSeries: found -1; write a number of bytes per series from 1 to"),
        "{faults:?}"
    );
    assert_eq!(MEASURED.faults(&catalog()), Vec::<String>::new());
}

#[test]
fn the_catalog_has_one_figure_for_each_that_is_measured() {
    use crate::decide::calibration::Engine;
    let catalog = catalog();
    for engine in Engine::ALL {
        let option = catalog.option(COMPONENT, engine.option()).unwrap();
        let count = |terms: fn(&Models) -> &Vec<Term>, per| {
            terms(&option.models).iter().filter(|term| term.per == per && !term.once).count()
        };
        assert_eq!(count(|m| &m.memory, Driver::Series), 1, "{}", option.id);
        assert_eq!(count(|m| &m.storage, Driver::RetainedSample), 1, "{}", option.id);
        assert_eq!(count(|m| &m.storage, Driver::CreatedSeries), 1, "{}", option.id);
        assert!(idle(option) > 0.0, "{}", option.id);
    }
}
