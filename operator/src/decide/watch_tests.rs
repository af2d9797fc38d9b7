use std::sync::LazyLock;

use obstack_crds::record::TripwireState::{AtRisk, Holding, Tripped, Unknown};
use obstack_crds::stack::Availability;

use super::*;
use crate::decide::testing::{catalog, observed, readings, valid, with};
use crate::decide::{DecideFacts, Previous, decide};

const RECORD: &str = "main-metrics-store-0001";
/// Seconds that `recoveryTime` of the test's stack allows.
const RECOVERY: i64 = 600;

static SINGLE: LazyLock<Plan> =
    LazyLock::new(|| decide(&valid(), &DecideFacts::offline(), &Previous::default(), &catalog()));
static PAIR: LazyLock<Plan> = LazyLock::new(|| {
    let pair = with(|r| r.availability = Availability::Replicated);
    decide(&pair, &DecideFacts::offline(), &Previous::default(), &catalog())
});

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn wire(id: &str, judged_by: JudgedBy) -> Tripwire {
    Tripwire {
        id: id.to_owned(),
        tradeoff: "replay-takes-time".to_owned(),
        expr: "x".to_owned(),
        bound: RECOVERY.to_string(),
        for_: String::new(),
        keep_firing_for: String::new(),
        guard: String::new(),
        next: None,
        cost: "much".to_owned(),
        judged_by,
    }
}

/// A record with these tripwires.
fn spec(plan: &Plan, wires: Vec<Tripwire>) -> DecisionRecordSpec {
    let decision = plan.get(Component::MetricsStore).unwrap();
    let spec = crate::decide::records::spec(plan, &valid(), decision, 1, None);
    DecisionRecordSpec { tripwires: wires, ..spec }
}

/// How the one tripwire of a record stands, by what each replica says.
fn judge(
    plan: &Plan,
    judged_by: JudgedBy,
    replicas: &[(&str, Option<Vec<WireReading>>)],
    before: Option<&WireStatus>,
    second: i64,
) -> WireNow {
    let facts = observed(replicas);
    let watch = Watch::of(&valid().id, plan, &facts, at(second));
    let status =
        DecisionRecordStatus { tripwires: before.cloned().into_iter().collect(), ..Default::default() };
    let wires = watch.judge(RECORD, &spec(plan, vec![wire("memory", judged_by)]), &status).unwrap();
    assert_eq!(wires.len(), 1);
    wires[0].clone()
}

fn engine(replicas: &[(&str, Option<Vec<WireReading>>)]) -> WireNow {
    let plan: &Plan = if replicas.len() > 1 { &PAIR } else { &SINGLE };
    judge(plan, JudgedBy::Engine, replicas, None, 0)
}

fn says(pressure: f64, firing: &[TripwireState]) -> Option<Vec<WireReading>> {
    Some(readings(RECORD, "memory", Some(pressure), firing))
}

#[test]
fn one_replica_speaks_by_its_alerts() {
    let table = [
        ("all is well", says(0.3, &[]), Holding, Some("<0.5"), None),
        ("close to the bound, not for long enough", says(0.9, &[]), Holding, Some("0.8-1.0"), None),
        ("close to the bound", says(0.9, &[AtRisk]), AtRisk, Some("0.8-1.0"), None),
        ("past the bound", says(1.2, &[Tripped, AtRisk]), Tripped, Some(">=1.0"), None),
        ("within again, and kept firing", says(0.6, &[Tripped]), Tripped, Some("0.5-0.8"), None),
        (
            "too little data",
            says(0.9, &[Unknown, AtRisk]),
            Unknown,
            None,
            Some("main-metrics-0 says that it has too little data"),
        ),
        ("no value", Some(Vec::new()), Unknown, None, Some("main-metrics-0 has no value for it")),
        (
            "tripped and the value is gone",
            Some(readings(RECORD, "memory", None, &[Tripped, Unknown])),
            Tripped,
            None,
            None,
        ),
        ("does not answer", None, Unknown, None, Some("main-metrics-0 does not answer")),
        (
            "another record's rules still run",
            Some(readings("main-metrics-store-0000", "memory", Some(2.0), &[Tripped])),
            Unknown,
            None,
            Some("main-metrics-0 has no value for it"),
        ),
        (
            "another tripwire",
            Some(readings(RECORD, "series", Some(2.0), &[Tripped])),
            Unknown,
            None,
            Some("main-metrics-0 has no value for it"),
        ),
    ];
    for (what, said, state, band, reason) in table {
        let now = engine(&[("main-metrics-0", said)]).status;
        assert_eq!(
            (now.state, now.pressure.as_deref(), now.reason.as_deref()),
            (state, band, reason),
            "{what}"
        );
    }
}

#[test]
fn over_replicas_the_worst_counts() {
    let table = [
        (says(0.1, &[]), says(0.2, &[]), Holding, Some(0.2)),
        (says(0.1, &[]), None, Unknown, None),
        (None, says(0.9, &[AtRisk]), AtRisk, Some(0.9)),
        (says(1.5, &[Tripped]), None, Tripped, Some(1.5)),
        (says(0.9, &[AtRisk]), says(1.1, &[Tripped]), Tripped, Some(1.1)),
    ];
    for (first, second, state, pressure) in table {
        let now = engine(&[("main-metrics-0", first), ("main-metrics-1", second)]);
        assert_eq!((now.status.state, now.pressure), (state, pressure));
        assert_eq!(now.value, pressure.map(|pressure| pressure / 2.0), "of the same replica");
    }
    // A replica that is wanted and not there does not answer.
    let missing = judge(&PAIR, JudgedBy::Engine, &[("main-metrics-0", says(0.1, &[]))], None, 0);
    assert_eq!(missing.status.reason.as_deref(), Some("main-metrics-1 does not answer"));
}

#[test]
fn what_cannot_be_seen_changes_nothing() {
    let mut facts = observed(&[]);
    facts.pods = Fact::Unavailable("not listed yet".to_owned());
    let watch = Watch::of(&valid().id, &SINGLE, &facts, at(0));
    let spec = spec(&SINGLE, vec![wire("memory", JudgedBy::Engine)]);
    assert_eq!(watch.judge(RECORD, &spec, &DecisionRecordStatus::default()), None);
    assert_eq!(Watch::nothing().judge(RECORD, &spec, &DecisionRecordStatus::default()), None);
}

#[test]
fn a_band_rises_at_its_edge_and_falls_well_below_it() {
    let mut last: Option<String> = None;
    let mut bands = Vec::new();
    for pressure in [0.49, 0.5, 0.49, 0.46, 0.5, 0.8, 0.75, 0.73, 0.71, 1.0, 0.95, 1.01, 0.89, 0.1] {
        let band = band(pressure, last.as_deref());
        bands.push(band);
        last = Some(band.to_owned());
    }
    let expected = [
        "<0.5", "0.5-0.8", "0.5-0.8", "0.5-0.8", "0.5-0.8", "0.8-1.0", "0.8-1.0", "0.8-1.0", "0.5-0.8",
        ">=1.0", ">=1.0", ">=1.0", "0.8-1.0", "<0.5",
    ];
    assert_eq!(bands, expected);
    assert_eq!(band(f64::INFINITY, None), ">=1.0");
    assert_eq!(band(0.7, Some("what nobody wrote")), "0.5-0.8");
}

#[test]
fn the_worst_speaks_for_a_record_and_one_without_tripwires_holds() {
    let of = |state, pressure: Option<&str>| WireStatus {
        id: "x".to_owned(),
        state,
        pressure: pressure.map(str::to_owned),
        reason: None,
        silent: Vec::new(),
    };
    assert_eq!(worst(&[]), Holding);
    assert_eq!(worst(&[of(Holding, None), of(Unknown, None)]), Unknown);
    assert_eq!(worst(&[of(Unknown, None), of(AtRisk, None), of(Holding, None)]), AtRisk);
    assert_eq!(worst(&[of(AtRisk, None), of(Tripped, None)]), Tripped);
    let wires = [of(Holding, Some("<0.5")), of(AtRisk, Some(">=1.0")), of(Holding, Some("0.8-1.0"))];
    assert_eq!(highest_band(&wires).as_deref(), Some(">=1.0"));
    assert_eq!(highest_band(&[of(Unknown, None)]), None);
}

/// Follows a dead engine: each step is a time and whether each replica answers.
fn follow(plan: &Plan, steps: &[(i64, &[bool])]) -> Vec<WireStatus> {
    let mut last: Option<WireStatus> = None;
    let mut all = Vec::new();
    for (second, answers) in steps {
        let names: Vec<String> = (0..answers.len()).map(|i| format!("main-metrics-{i}")).collect();
        let replicas: Vec<_> =
            names.iter().zip(*answers).map(|(n, a)| (n.as_str(), a.then(Vec::new))).collect();
        let now = judge(plan, JudgedBy::Operator, &replicas, last.as_ref(), *second).status;
        last = Some(now.clone());
        all.push(now);
    }
    all
}

fn states(all: &[WireStatus]) -> Vec<TripwireState> {
    all.iter().map(|status| status.state).collect()
}

#[test]
fn an_engine_that_does_not_come_back_in_time_is_dead() {
    let steps: [(i64, &[bool]); 8] = [
        (0, &[false]),
        (5_000, &[false]),
        (5_010, &[true]),
        (5_020, &[false]),
        (5_020 + RECOVERY - 200, &[false]),
        (5_020 + RECOVERY - 100, &[false]),
        (5_020 + RECOVERY, &[false]),
        (5_020 + RECOVERY + 60, &[true]),
    ];
    let all = follow(&SINGLE, &steps);
    // A start, however long, is no death; a replica counts from when it did not answer any more.
    assert_eq!(states(&all), [Unknown, Unknown, Holding, Holding, Holding, AtRisk, Tripped, Holding]);
    let bands: Vec<_> = all.iter().map(|status| status.pressure.as_deref()).collect();
    let some = |band| Some(band);
    assert_eq!(
        bands,
        [
            None,
            None,
            some("<0.5"),
            some("<0.5"),
            some("0.5-0.8"),
            some("0.8-1.0"),
            some(">=1.0"),
            some("<0.5")
        ]
    );
    assert_eq!(
        all[6].reason.as_deref(),
        Some("main-metrics-0 has not answered for longer than recoveryTime allows, which is 10 min")
    );
    assert_eq!(all[6].silent.len(), 1);
    assert_eq!(all[6].silent, all[3].silent, "since when is noted once");
    assert_eq!(all[7].silent, []);
}

#[test]
fn a_restart_within_the_time_allowed_and_a_rollout_trip_nothing() {
    let restart: [(i64, &[bool]); 4] =
        [(0, &[true]), (10, &[false]), (10 + RECOVERY / 2, &[false]), (20 + RECOVERY / 2, &[true])];
    assert_eq!(states(&follow(&SINGLE, &restart)), [Holding; 4]);

    // One replica after the other, together longer than is allowed; nobody saw both of them ready between.
    let half = RECOVERY * 3 / 4;
    let rollout: [(i64, &[bool]); 6] = [
        (0, &[true, true]),
        (10, &[true, false]),
        (10 + half, &[true, false]),
        (11 + half, &[false, true]),
        (11 + 2 * half, &[false, true]),
        (20 + 2 * half, &[true, true]),
    ];
    assert_eq!(states(&follow(&PAIR, &rollout)), [Holding; 6]);
}

#[test]
fn one_dead_replica_of_two_is_enough_and_rest_says_the_same() {
    let steps: [(i64, &[bool]); 4] = [
        (0, &[true, true]),
        (30, &[true, false]),
        (30 + RECOVERY, &[true, false]),
        (90 + RECOVERY, &[true, false]),
    ];
    let all = follow(&PAIR, &steps);
    assert_eq!(states(&all), [Holding, Holding, Tripped, Tripped]);
    assert_eq!(all[2], all[3], "the same outage says the same, so nothing is written");
    let rest: [(i64, &[bool]); 2] = [(0, &[true, true]), (60, &[true, true])];
    let rest = follow(&PAIR, &rest);
    assert_eq!(rest[0], rest[1]);
}

#[test]
fn the_shipped_store_watches_its_engine() {
    let wires = &SINGLE.get(Component::MetricsStore).unwrap().tripwires;
    let dead: Vec<&Tripwire> = wires.iter().filter(|wire| !wire.judged_by.is_engine()).collect();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].id.as_str(), dead[0].bound.as_str()), ("engine-dead", "600"));
    assert_eq!(bound(dead[0]), Some(600.0));
}
