use k8s_openapi::jiff::Timestamp;
use obstack_crds::record::{TripwireState, WireStatus};
use obstack_crds::stack::Override;

use super::*;
use crate::decide::calibration;
use crate::decide::records::{RecordAction, Seen, after, next_watched};
use crate::decide::testing::{catalog, observed, readings, valid, with};
use crate::observe::{ClusterFacts, Fact, WireReading};

const FIRST: &str = "main-metrics-store-0001";

/// A stack that is reconciled again and again, with what its one engine says.
struct Rig {
    valid: Valid,
    measured: Option<Measurements>,
    said: Option<Vec<WireReading>>,
    records: Vec<DecisionRecord>,
    second: i64,
}

impl Rig {
    fn new() -> Self {
        let mut rig =
            Self { valid: valid(), measured: None, said: Some(Vec::new()), records: Vec::new(), second: 0 };
        rig.settle();
        rig
    }

    fn actions(&self) -> Vec<RecordAction> {
        let facts =
            DecideFacts { cluster: Fact::Known(ClusterFacts::default()), measured: self.measured.clone() };
        let previous = Previous::of_records(&self.records);
        let now = Timestamp::from_second(1_800_000_000 + self.second).unwrap();
        // Measured values enter a decision at calibration epochs only, and a proposal as they are.
        let measured = calibration::in_force(&self.records, self.measured.as_ref(), now);
        let known = DecideFacts { measured, ..facts.clone() };
        let plan = decide(&self.valid, &known, &previous, &catalog());
        let observed = observed(&[("main-metrics-0", self.said.clone())]);
        let watch = Watch::of(&self.valid.id, &plan, &observed, now);
        let prompts = prompts(&self.valid, &facts, &previous, &catalog(), &self.records, &watch);
        let seen = Seen { watch: &watch, prompts: &prompts };
        next_watched(&plan, &self.valid, &self.records, &seen, now)
    }

    /// One reconcile that makes the first of its writes.
    fn step(&mut self, writes: usize) {
        let actions = self.actions();
        self.records = after(&self.records, &actions[..actions.len().min(writes)]);
    }

    /// Reconciles, and sees that a second time has nothing to write.
    fn settle(&mut self) {
        self.step(usize::MAX);
        self.second += 30;
        assert_eq!(self.actions(), [], "at rest nothing is written");
    }

    /// The engine says of these tripwires of a record that they are in these states; all others are well.
    fn say(&mut self, record: &str, states: &[(&str, TripwireState)]) {
        let wires = self.record(record).spec.tripwires.clone();
        let of = |id: &str| states.iter().find(|(known, _)| *known == id).map(|(_, state)| *state);
        let said =
            wires.iter().filter(|wire| wire.judged_by.is_engine()).flat_map(|wire| match of(&wire.id) {
                None | Some(TripwireState::Holding) => readings(record, &wire.id, Some(0.2), &[]),
                Some(TripwireState::AtRisk) => {
                    readings(record, &wire.id, Some(0.9), &[TripwireState::AtRisk])
                }
                Some(TripwireState::Tripped) => {
                    readings(record, &wire.id, Some(1.246), &[TripwireState::AtRisk, TripwireState::Tripped])
                }
                Some(TripwireState::Unknown) => Vec::new(),
            });
        self.said = Some(said.collect());
        self.settle();
    }

    fn record(&self, name: &str) -> &DecisionRecord {
        self.records.iter().find(|record| record.metadata.name.as_deref() == Some(name)).unwrap()
    }

    /// Number, choice and phase of each record of the metrics store, and the tripwires that prompted it.
    fn store(&self) -> Vec<(u32, &str, Phase, Vec<&str>)> {
        let of = self.records.iter().filter(|record| record.spec.component == Component::MetricsStore);
        of.map(|record| {
            let phase = record.status.as_ref().unwrap().phase.unwrap();
            let by = record.spec.prompted_by.iter().map(|by| by.tripwire.as_str()).collect();
            (record.spec.number, record.spec.chosen.as_deref().unwrap(), phase, by)
        })
        .collect()
    }

    fn state(&self, name: &str) -> TripwireState {
        self.record(name).status.as_ref().unwrap().tripwire_state.unwrap()
    }

    fn wire(&self, name: &str, id: &str) -> &WireStatus {
        self.record(name).status.as_ref().unwrap().tripwires.iter().find(|wire| wire.id == id).unwrap()
    }
}

fn choose(option: &str, because: &str) -> Override {
    Override { choose: option.into(), because: because.into() }
}

#[test]
fn states_are_written_down_as_they_change_and_never_at_rest() {
    let mut rig = Rig::new();
    assert_eq!(rig.state(FIRST), TripwireState::Unknown);
    for state in [
        TripwireState::Holding,
        TripwireState::AtRisk,
        TripwireState::Tripped,
        TripwireState::AtRisk,
        TripwireState::Unknown,
        TripwireState::Holding,
    ] {
        rig.say(FIRST, &[("memory", state)]);
        assert_eq!((rig.state(FIRST), rig.wire(FIRST, "memory").state), (state, state));
    }
    // Every component with nothing to measure holds, so that a stack whose tripwires all hold does.
    for record in &rig.records {
        if record.spec.tripwires.is_empty() {
            assert_eq!(rig.state(record.metadata.name.as_deref().unwrap()), TripwireState::Holding);
        }
    }
    rig.said = None;
    rig.settle();
    assert_eq!(rig.state(FIRST), TripwireState::Unknown, "an engine that does not answer is not known");
    assert_eq!(rig.wire(FIRST, "engine-dead").state, TripwireState::Holding);
}

#[test]
fn a_tripped_tripwire_proposes_once_what_the_engine_would_choose_with_what_was_measured() {
    let mut rig = Rig::new();
    rig.measured = Some(Measurements { active_series: Some(81_234.0), ..Measurements::default() });
    rig.say(FIRST, &[("memory", TripwireState::AtRisk)]);
    assert_eq!(rig.store().len(), 1, "at risk is no reason yet");
    rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
    assert_eq!(
        rig.store(),
        [(1, "Prometheus", Phase::Accepted, vec![]), (2, "Prometheus", Phase::Proposed, vec!["memory"])]
    );
    let proposal = rig.record("main-metrics-store-0002");
    assert_eq!(proposal.spec.supersedes.as_deref(), Some(FIRST));
    assert_eq!(proposal.spec.requirements["activeSeries"], "82k", "rounded up");
    let by = &proposal.spec.prompted_by[0];
    assert_eq!((by.value, by.bound.as_str()), (Some(0.62), "0.8"), "half of the pressure is the value");
    let said = &proposal.spec.statement;
    assert!(said.starts_with("Tripped: memory (0.62 against 0.8). With what was measured: In the"), "{said}");
    assert!(said.contains("we propose to stay with Prometheus"), "{said}");

    // The measured value moves on; the proposal does not.
    rig.measured = Some(Measurements { active_series: Some(99_000.0), ..Measurements::default() });
    rig.settle();
    assert_eq!(rig.store().len(), 2);

    let statuses = records::statuses(
        &decide(&rig.valid, &DecideFacts::offline(), &Previous::of_records(&rig.records), &catalog()),
        &rig.valid,
        &rig.records,
    );
    let store = &statuses[0];
    assert_eq!((store.record.as_str(), store.phase), ("main-metrics-store-0002", Phase::Proposed));
    assert_eq!(store.state, TripwireState::Tripped, "that of what runs");
    assert_eq!(store.pressure.as_deref(), Some(">=1.0"));
    assert_eq!(store.tripped, ["memory"]);
}

#[test]
fn a_measured_load_that_another_option_holds_better_proposes_that_option() {
    let mut rig = Rig::new();
    rig.measured = Some(Measurements { active_series: Some(50e6), ..Measurements::default() });
    rig.say(FIRST, &[("series", TripwireState::Tripped)]);
    let store = rig.store();
    assert_eq!(store[0], (1, "Prometheus", Phase::Accepted, vec![]));
    assert_ne!(store[1].1, "Prometheus");
    assert_eq!((store[1].2, &store[1].3), (Phase::Proposed, &vec!["series"]));
    assert!(rig.record("main-metrics-store-0002").spec.statement.contains("we propose"));
}

#[test]
fn a_proposal_stays_open_until_its_tripwires_hold_again() {
    let mut rig = Rig::new();
    rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
    for state in [TripwireState::AtRisk, TripwireState::Unknown, TripwireState::Tripped] {
        rig.say(FIRST, &[("memory", state)]);
        assert_eq!(rig.store()[1].2, Phase::Proposed, "{state:?} closes nothing");
    }
    rig.said = None;
    rig.settle();
    assert_eq!(rig.store()[1].2, Phase::Proposed, "an engine that does not answer closes nothing");
    rig.say(FIRST, &[]);
    assert_eq!(rig.store()[1].2, Phase::Superseded);
    let by = rig.record("main-metrics-store-0002").status.as_ref().unwrap().superseded_by.clone();
    assert_eq!(by.as_deref(), Some(FIRST));
    rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
    assert_eq!(rig.store()[2], (3, "Prometheus", Phase::Proposed, vec!["memory"]));
}

#[test]
fn a_tripwire_that_trips_later_makes_a_new_proposal_and_one_is_open_at_most() {
    let mut rig = Rig::new();
    rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
    rig.say(FIRST, &[("memory", TripwireState::Tripped), ("churn", TripwireState::Tripped)]);
    let store = rig.store();
    assert_eq!(store[1].2, Phase::Superseded);
    assert_eq!(store[2], (3, "Prometheus", Phase::Proposed, vec!["memory", "churn"]));
    // One of them holds again: what is open still speaks of the other.
    rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
    assert_eq!(rig.store()[2].2, Phase::Proposed);
    assert_eq!(rig.store().len(), 3);
}

#[test]
fn editing_the_stack_accepts_a_proposal() {
    let mut rig = Rig::new();
    rig.measured = Some(Measurements { active_series: Some(82_000.0), ..Measurements::default() });
    rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
    rig.valid = with(|r| r.active_series = "82k".parse().unwrap());
    rig.measured = None;
    rig.settle();
    assert_eq!(
        rig.store(),
        [(1, "Prometheus", Phase::Superseded, vec![]), (2, "Prometheus", Phase::Accepted, vec!["memory"])]
    );
    // The rules of the record before speak of that one alone.
    assert_eq!(rig.state("main-metrics-store-0002"), TripwireState::Unknown);
}

#[test]
fn what_a_proposal_was_measured_with_enters_at_the_next_epoch_and_accepts_nothing() {
    let bytes = |bytes| Some(Measurements { bytes_per_series: Some(bytes), ..Measurements::default() });
    let mut rig = Rig::new();
    rig.measured = bytes(3_000.0);
    rig.settle();
    let second = "main-metrics-store-0002";
    assert_eq!(rig.record(second).spec.measured[0].measured, 3_000.0, "the first epoch");
    rig.measured = bytes(3_900.0);
    rig.say(second, &[("memory", TripwireState::Tripped)]);
    let phases = |rig: &Rig| rig.store().iter().map(|row| row.2).collect::<Vec<_>>();
    assert_eq!(phases(&rig), [Phase::Superseded, Phase::Accepted, Phase::Proposed]);
    assert_eq!(rig.record("main-metrics-store-0003").spec.measured[0].measured, 3_900.0);

    // The epoch makes a record of its own: what was proposed waits for somebody's word.
    rig.second += 8 * 86_400;
    rig.settle();
    assert_eq!(phases(&rig), [Phase::Superseded, Phase::Superseded, Phase::Superseded, Phase::Accepted]);
    let fourth = &rig.record("main-metrics-store-0004").spec;
    assert_eq!(fourth.measured[0].measured, 3_900.0);
    assert_eq!((fourth.prompted_by.len(), fourth.reaffirms), (0, true));
}

#[test]
fn a_person_that_decides_otherwise_closes_a_proposal() {
    let mut rig = Rig::new();
    rig.measured = Some(Measurements { active_series: Some(50e6), ..Measurements::default() });
    rig.say(FIRST, &[("series", TripwireState::Tripped)]);
    let kept = choose("Prometheus", "we shard it");
    rig.valid.overrides.insert(Component::MetricsStore, kept);
    rig.settle();
    let phases: Vec<Phase> = rig.store().iter().map(|row| row.2).collect();
    assert_eq!(phases, [Phase::Superseded, Phase::Rejected, Phase::Accepted]);

    // The tripwires of a person's choice are watched too, and the engine says what it would choose.
    rig.say("main-metrics-store-0003", &[("series", TripwireState::Tripped)]);
    let store = rig.store();
    assert_eq!(store[2].2, Phase::Accepted);
    assert_ne!(store[3].1, "Prometheus");
    assert_eq!(store[3].2, Phase::Proposed);
    rig.say("main-metrics-store-0003", &[]);
    assert_eq!(rig.store()[3].2, Phase::Superseded, "nobody refused it: its tripwires hold again");
}

#[test]
fn a_dead_engine_trips_and_proposes() {
    let mut rig = Rig::new();
    assert_eq!(rig.wire(FIRST, "engine-dead").state, TripwireState::Holding);
    rig.said = None;
    rig.settle();
    rig.second += 599;
    rig.settle();
    let dead = rig.wire(FIRST, "engine-dead");
    assert_eq!(dead.state, TripwireState::Tripped);
    assert_eq!(rig.state(FIRST), TripwireState::Tripped);
    assert_eq!(rig.store()[1], (2, "Prometheus", Phase::Proposed, vec!["engine-dead"]));
    rig.say(FIRST, &[]);
    assert_eq!(rig.state(FIRST), TripwireState::Holding);
    assert_eq!(rig.store()[1].2, Phase::Superseded);
}

#[test]
fn a_run_cut_off_at_any_write_ends_the_same() {
    let tripped = [("memory", TripwireState::Tripped), ("series", TripwireState::Tripped)];
    let whole = |tripwires: &[(&str, TripwireState)]| {
        let mut rig = Rig::new();
        rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
        let before = rig.records.clone();
        rig.say(FIRST, tripwires);
        (before, rig)
    };
    for tripwires in [&tripped[..], &[][..]] {
        let (before, done) = whole(tripwires);
        let mut rig = Rig { records: before.clone(), second: 60, ..whole(tripwires).1 };
        let all = rig.actions().len();
        assert!(all >= 2, "{all}");
        for writes in 0..=all {
            rig.records.clone_from(&before);
            rig.second = 60;
            rig.step(writes);
            rig.settle();
            assert_eq!(rig.store(), done.store(), "cut off after {writes} writes");
            assert_eq!(rig.state(FIRST), done.state(FIRST));
        }
    }
}

#[test]
fn the_open_proposal_is_never_pruned() {
    let mut rig = Rig::new();
    for _ in 0..25 {
        rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
        rig.say(FIRST, &[]);
    }
    rig.say(FIRST, &[("memory", TripwireState::Tripped)]);
    let store = rig.store();
    assert_eq!(store.first().map(|row| (row.0, row.2)), Some((1, Phase::Accepted)));
    assert_eq!(store.last().map(|row| (row.0, row.2)), Some((27, Phase::Proposed)));
    assert_eq!(store.len(), records::HISTORY_LIMIT + 2);
}
