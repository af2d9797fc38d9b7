//! Pure: a plan and the records that exist become the writes that are missing. The same inputs with those
//! writes done give none; a run cut off between two writes is finished by the next one.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use obstack_crds::record::{ChosenBy, DecisionRecordStatus, Phase, Tripwire, TripwireState, WireStatus};
use obstack_crds::status::DecisionStatus;
use obstack_crds::{Component, DecisionRecord, DecisionRecordSpec};

use super::prompt::{self, Prompt};
use super::watch::{Watch, highest_band, worst};
use super::{Decision, Plan, numbers, requirements};
use crate::names::{LABEL_COMPONENT, StackId};
use crate::validate::Valid;

/// Records that are kept of each component, beside those that are in force or open.
pub const HISTORY_LIMIT: usize = 20;

/// A write that is missing.
#[derive(Clone, Debug, PartialEq)]
pub enum RecordAction {
    /// A record is to be created. The API server drops its status: a [`RecordAction::SetStatus`] follows.
    Create(Box<DecisionRecord>),
    /// The status of a record is to be replaced.
    SetStatus {
        /// Name of the record, in the stack's namespace.
        name: String,
        /// The whole status.
        status: DecisionRecordStatus,
    },
    /// A record is older than the history keeps.
    Delete {
        /// Name of the record, in the stack's namespace.
        name: String,
    },
}

/// Name of a record: `main-metrics-store-0001`.
pub fn name(stack: &StackId, component: Component, number: u32) -> String {
    format!("{}-{}-{number:04}", stack.name, component.slug())
}

/// The writes that are missing where no engine is watched, as on the command line.
pub fn next(plan: &Plan, valid: &Valid, existing: &[DecisionRecord], now: Timestamp) -> Vec<RecordAction> {
    next_watched(plan, valid, existing, &Seen { watch: &Watch::nothing(), prompts: &[] }, now)
}

/// What is seen of the tripwires of the records in force.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// How they stand.
    pub watch: &'a Watch<'a>,
    /// What is to be proposed because of it.
    pub prompts: &'a [Prompt],
}

/// The writes that are missing, in the order in which they are to be made. `existing` are all records of the
/// stack's name; where they could not be read, there is nothing to call this with.
pub fn next_watched(
    plan: &Plan,
    valid: &Valid,
    existing: &[DecisionRecord],
    seen: &Seen<'_>,
    now: Timestamp,
) -> Vec<RecordAction> {
    let by_component = by_component(&valid.id, existing);
    let none = Vec::new();
    let mut actions = Vec::new();
    for decision in &plan.decisions {
        let records = by_component.get(&decision.component).unwrap_or(&none);
        Writer { plan, valid, decision, records, seen, now, actions: &mut actions }.run();
    }
    actions
}

/// The records as they are once the writes are made.
pub fn after(existing: &[DecisionRecord], actions: &[RecordAction]) -> Vec<DecisionRecord> {
    let mut records = existing.to_vec();
    for action in actions {
        match action {
            RecordAction::Create(record) => records.push((**record).clone()),
            RecordAction::SetStatus { name, status } => {
                for record in records.iter_mut().filter(|r| r.metadata.name.as_deref() == Some(name)) {
                    record.status = Some(status.clone());
                }
            }
            RecordAction::Delete { name } => records.retain(|r| r.metadata.name.as_deref() != Some(name)),
        }
    }
    records
}

/// `status.decisions` of a stack: of each component its newest open record, else the one in force.
pub fn statuses(plan: &Plan, valid: &Valid, records: &[DecisionRecord]) -> Vec<DecisionStatus> {
    let by_component = by_component(&valid.id, records);
    let row = |decision: &Decision| {
        let records = by_component.get(&decision.component)?;
        let open = records.iter().rev().find(|r| phase(r) == Some(Phase::Proposed));
        let accepted = records.iter().rev().find(|r| phase(r) == Some(Phase::Accepted));
        let record = open.or(accepted).or(records.last())?;
        // What runs is watched by the wires of its own record, not by those of what is proposed.
        let watched = accepted.unwrap_or(record);
        let wires = watched.status.as_ref().map(|s| s.tripwires.as_slice()).unwrap_or_default();
        let tripped = wires.iter().filter(|wire| wire.state == TripwireState::Tripped);
        Some(DecisionStatus {
            component: decision.component,
            record: record.metadata.name.clone()?,
            phase: phase(record).unwrap_or(intended(record, decision)),
            choice: decision.in_force.clone(),
            state: watched.status.as_ref().and_then(|s| s.tripwire_state).unwrap_or_default(),
            pressure: highest_band(wires),
            tripped: tripped.map(|wire| wire.id.clone()).collect(),
        })
    };
    plan.decisions.iter().filter_map(row).collect()
}

/// The record in force of a component: the newest that is accepted.
pub fn accepted_of<'a>(
    stack: &StackId,
    records: &'a [DecisionRecord],
    component: Component,
) -> Option<&'a DecisionRecord> {
    all_in_force(stack, records).into_iter().find(|record| record.spec.component == component)
}

/// Of each component the record in force, in the order of components.
pub fn all_in_force<'a>(stack: &StackId, records: &'a [DecisionRecord]) -> Vec<&'a DecisionRecord> {
    let newest = |records: Vec<&'a DecisionRecord>| {
        records.into_iter().rev().find(|r| phase(r) == Some(Phase::Accepted))
    };
    by_component(stack, records).into_values().filter_map(newest).collect()
}

/// The records of a stack that the operator sees for the first time: each component's is number 1.
pub fn first(plan: &Plan, valid: &Valid) -> Vec<DecisionRecord> {
    after(&[], &next(plan, valid, &[], Timestamp::UNIX_EPOCH))
}

fn by_component<'a>(
    stack: &StackId,
    records: &'a [DecisionRecord],
) -> BTreeMap<Component, Vec<&'a DecisionRecord>> {
    let mut map: BTreeMap<Component, Vec<&DecisionRecord>> = BTreeMap::new();
    let ours = |r: &&DecisionRecord| {
        r.spec.stack == stack.name && r.metadata.namespace.as_ref().is_none_or(|n| *n == stack.namespace)
    };
    for record in records.iter().filter(ours) {
        map.entry(record.spec.component).or_default().push(record);
    }
    for records in map.values_mut() {
        records.sort_by_key(|r| r.spec.number);
    }
    map
}

/// The record in force of a component, and the open ones that were made after it, the newest first, without what
/// tripwires have prompted: its values are of the moment, and belong to no epoch. Records are those of one stack's
/// name; none where none is accepted.
pub(super) fn in_force_and_open(
    records: &[DecisionRecord],
    component: Component,
) -> Option<(&DecisionRecord, Vec<&DecisionRecord>)> {
    let of = || records.iter().filter(|r| r.spec.component == component);
    let accepted =
        of().filter(|r| phase(r) == Some(Phase::Accepted)).max_by_key(|record| record.spec.number)?;
    let is_open = |r: &&DecisionRecord| {
        matches!(phase(r), None | Some(Phase::Proposed))
            && r.spec.number > accepted.spec.number
            && r.spec.prompted_by.is_empty()
    };
    let mut open: Vec<&DecisionRecord> = of().filter(is_open).collect();
    open.sort_by_key(|record| std::cmp::Reverse(record.spec.number));
    Some((accepted, open))
}

fn phase(record: &DecisionRecord) -> Option<Phase> {
    record.status.as_ref().and_then(|s| s.phase)
}

/// The phase that a record of this decision has.
fn intended(record: &DecisionRecord, decision: &Decision) -> Phase {
    if record.spec.chosen == decision.in_force { Phase::Accepted } else { Phase::Proposed }
}

/// What makes two records the same decision: the choice, who chose and why, what was ruled out by what, what
/// was accepted, the bounds, and the measured values, which change at calibration epochs only. Wording and numbers
/// of a newer catalog make no new record.
fn same(a: &DecisionRecordSpec, b: &DecisionRecordSpec) -> bool {
    same_but_bounds(a, b) && bounds(a).eq(bounds(b)) && measured(a).eq(measured(b))
}

/// As they are shown: two digits survive any reader of the API.
fn measured(spec: &DecisionRecordSpec) -> impl Iterator<Item = (&str, String)> {
    spec.measured.iter().map(|m| (m.quantity.as_str(), numbers::two(m.measured)))
}

/// Records of the same choice: one with other bounds or other measured values reaffirms it.
fn same_but_bounds(a: &DecisionRecordSpec, b: &DecisionRecordSpec) -> bool {
    fn ruled_out(spec: &DecisionRecordSpec) -> impl Iterator<Item = (&str, &str)> {
        spec.eliminated.iter().map(|e| (e.option.as_str(), e.requirement.as_str()))
    }
    fn accepted(spec: &DecisionRecordSpec) -> impl Iterator<Item = &str> {
        spec.tradeoffs.iter().map(|t| t.id.as_str())
    }
    a.chosen == b.chosen
        && a.chosen_by == b.chosen_by
        && a.because == b.because
        && ruled_out(a).eq(ruled_out(b))
        && accepted(a).eq(accepted(b))
}

/// What the engine evaluates for each tripwire: a record says what runs, so other text is another record.
fn bounds(spec: &DecisionRecordSpec) -> impl Iterator<Item = [&str; 6]> {
    fn of(t: &Tripwire) -> [&str; 6] {
        [&t.id, &t.expr, &t.bound, &t.guard, &t.for_, &t.keep_firing_for].map(String::as_str)
    }
    spec.tripwires.iter().map(of)
}

struct Writer<'a> {
    plan: &'a Plan,
    valid: &'a Valid,
    decision: &'a Decision,
    /// Of this component, by number.
    records: &'a [&'a DecisionRecord],
    seen: &'a Seen<'a>,
    now: Timestamp,
    actions: &'a mut Vec<RecordAction>,
}

/// A record that is there or about to be.
struct Named<'a> {
    name: String,
    /// The record, where it is there already.
    record: Option<&'a DecisionRecord>,
}

impl<'a> Writer<'a> {
    fn run(mut self) {
        let accepted = self.newest_accepted();
        // A decision that a missing fact may have bent is no reason for a new record, only for a first one.
        if self.decision.uncertain.is_some() && self.keeps_choice() {
            if let Some(record) = accepted {
                self.accept(&self.named(record), &record.spec);
            }
            return;
        }
        let is_kept = self.decision.chosen == self.decision.in_force;
        let force =
            if is_kept { Some(self.take_up(Phase::Accepted)) } else { accepted.map(|r| self.named(r)) };
        let stays =
            force.as_ref().and_then(|force| force.record).filter(|r| phase(r) == Some(Phase::Accepted));
        if let Some(record) = stays.filter(|_| !is_kept) {
            self.accept(&self.named(record), &record.spec);
        }
        // What a tripwire has prompted knows more than what the requirements alone propose.
        let open = match stays.and_then(|record| self.prompted(record)) {
            Some(prompted) => {
                self.set(&prompted.name, prompted.record, Phase::Proposed, None);
                Some(prompted)
            }
            None if is_kept => None,
            None => Some(self.take_up(Phase::Proposed)),
        };
        let current = if is_kept { force.as_ref() } else { open.as_ref() };
        let current = current.map(|named| named.name.clone()).unwrap_or_default();
        let kept: Vec<String> = force.iter().chain(&open).map(|named| named.name.clone()).collect();
        for record in self.records.iter().copied() {
            let name = self.record_name(record);
            match phase(record) {
                _ if kept.contains(&name) => {}
                Some(Phase::Rejected | Phase::Superseded) => {}
                // What its own tripwires have prompted is not refused where they hold again.
                Some(Phase::Proposed)
                    if is_kept
                        && self.refused(record)
                        && !stays.is_some_and(|stays| prompt::is_prompted_by(record, stays)) =>
                {
                    self.set(&name, Some(record), Phase::Rejected, Some(current.clone()));
                }
                _ => self.set(&name, Some(record), Phase::Superseded, Some(current.clone())),
            }
        }
        self.prune(&kept);
    }

    /// Takes up a record that says what is decided, in this phase, or makes one. The record in force goes
    /// first. One without a phase was created by a run that was cut off: it is taken up where it says the
    /// same, and set aside where it does not.
    fn take_up(&mut self, target: Phase) -> Named<'a> {
        let draft = self.draft();
        let of = |accepted: bool| {
            let fits = move |r: &&&DecisionRecord| match phase(r) {
                None | Some(Phase::Proposed) => !accepted,
                Some(Phase::Accepted) => accepted && target == Phase::Accepted,
                Some(Phase::Rejected | Phase::Superseded) => false,
            };
            self.records.iter().rev().filter(fits).find(|r| self.says(r, target, &draft)).copied()
        };
        let found = of(true).or_else(|| of(false));
        let named = match found {
            Some(record) => self.named(record),
            None => Named { name: self.create(draft.clone()), record: None },
        };
        match target {
            Phase::Accepted => self.accept(&named, &draft),
            _ => self.set(&named.name, named.record, target, None),
        }
        named
    }

    /// Whether a record says what is decided. What a tripwire has prompted becomes accepted where somebody asked
    /// for what it proposes, however the measured values have moved on since; where it proposes what is in force
    /// for what is asked for already, nobody can have.
    fn says(&self, record: &DecisionRecord, target: Phase, draft: &DecisionRecordSpec) -> bool {
        let spec = &record.spec;
        let is_open = phase(record) != Some(Phase::Accepted);
        if !is_open || spec.prompted_by.is_empty() || target != Phase::Accepted {
            return same(spec, draft);
        }
        let other =
            |r: &DecisionRecord| r.spec.chosen != spec.chosen || r.spec.requirements != spec.requirements;
        let asks = self.newest_accepted().is_none_or(other);
        asks && same_but_bounds(spec, draft) && bounds(spec).eq(bounds(draft))
    }

    /// The proposal that tripped tripwires of the record in force have prompted: it stays open until each that
    /// it names holds again, so that a value at its bound does not open and close it, nor does an engine that
    /// does not answer for a while. One that trips later makes a new one.
    fn prompted(&mut self, record: &DecisionRecord) -> Option<Named<'a>> {
        let (_, wires) = self.states(&self.record_name(record), Some(record), &record.spec)?;
        let holds = |id: &str| wires.iter().all(|w| w.id != id || w.state == TripwireState::Holding);
        let names = |spec: &DecisionRecordSpec, id: &str| spec.prompted_by.iter().any(|by| by.tripwire == id);
        let tripped = wires.iter().filter(|wire| wire.state == TripwireState::Tripped);
        let kept = self.records.iter().rev().copied().find(|open| {
            prompt::is_prompted_by(open, record)
                && open.spec.prompted_by.iter().any(|by| !holds(&by.tripwire))
                && tripped.clone().all(|wire| names(&open.spec, &wire.id))
        });
        if let Some(open) = kept {
            return Some(self.named(open));
        }
        let name = record.metadata.name.as_ref();
        let prompts = self.seen.prompts;
        let prompt =
            prompts.iter().find(|p| p.component == record.spec.component && Some(&p.record) == name)?;
        let mut draft = spec(self.plan, &prompt.valid, &prompt.decision, self.next_number(), Some(self.now));
        draft.prompted_by.clone_from(&prompt.by);
        Some(Named { name: self.create(draft), record: None })
    }

    /// Whether the record in force is of the choice that the decision keeps in force.
    fn keeps_choice(&self) -> bool {
        self.newest_accepted().is_some_and(|r| {
            r.spec.chosen == self.decision.in_force && self.decision.chosen == self.decision.in_force
        }) && self.records.iter().all(|r| phase(r).is_some())
    }

    /// Whether a person decided against what was proposed.
    fn refused(&self, record: &DecisionRecord) -> bool {
        self.decision.chosen_by == ChosenBy::Person && record.spec.chosen != self.decision.chosen
    }

    fn newest_accepted(&self) -> Option<&'a DecisionRecord> {
        self.records.iter().rev().copied().find(|r| phase(r) == Some(Phase::Accepted))
    }

    fn named(&self, record: &'a DecisionRecord) -> Named<'a> {
        Named { name: self.record_name(record), record: Some(record) }
    }

    fn record_name(&self, record: &DecisionRecord) -> String {
        let named = record.metadata.name.clone();
        named.unwrap_or_else(|| name(&self.valid.id, record.spec.component, record.spec.number))
    }

    fn create(&mut self, mut spec: DecisionRecordSpec) -> String {
        let name = name(&self.valid.id, self.decision.component, spec.number);
        let before = self.newest_accepted().or(self.records.last().copied());
        spec.supersedes = before.map(|r| self.record_name(r));
        spec.reaffirms = before.is_some_and(|r| same_but_bounds(&r.spec, &spec));
        let mut labels = self.valid.id.labels();
        labels.insert(LABEL_COMPONENT.to_owned(), self.decision.component.id().to_owned());
        self.actions.push(RecordAction::Create(Box::new(DecisionRecord {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(self.valid.id.namespace.clone()),
                labels: Some(labels),
                ..ObjectMeta::default()
            },
            spec,
            status: None,
        })));
        name
    }

    /// Writes down that a record is in force, and how its tripwires stand.
    fn accept(&mut self, named: &Named<'_>, spec: &DecisionRecordSpec) {
        let states = self.states(&named.name, named.record, spec);
        self.write(&named.name, named.record, Phase::Accepted, None, states);
    }

    /// How the tripwires of a record in force stand: as seen now, else as written down; none where neither is
    /// known.
    fn states(
        &self,
        name: &str,
        record: Option<&DecisionRecord>,
        spec: &DecisionRecordSpec,
    ) -> Option<(TripwireState, Vec<WireStatus>)> {
        let old = record.and_then(|r| r.status.clone()).unwrap_or_default();
        match self.seen.watch.judge(name, spec, &old) {
            Some(wires) => {
                let wires: Vec<WireStatus> = wires.into_iter().map(|wire| wire.status).collect();
                Some((worst(&wires), wires))
            }
            None => Some((old.tripwire_state?, old.tripwires)),
        }
    }

    fn set(&mut self, name: &str, record: Option<&DecisionRecord>, phase: Phase, by: Option<String>) {
        self.write(name, record, phase, by, None);
    }

    /// Writes a status where it is not there already. Without `states` those stay that were written down last.
    fn write(
        &mut self,
        name: &str,
        record: Option<&DecisionRecord>,
        phase: Phase,
        by: Option<String>,
        states: Option<(TripwireState, Vec<WireStatus>)>,
    ) {
        let old = record.and_then(|r| r.status.clone()).unwrap_or_default();
        let (state, tripwires) = states.unwrap_or((old.tripwire_state.unwrap_or_default(), old.tripwires));
        let status = DecisionRecordStatus {
            phase: Some(phase),
            tripwire_state: Some(state),
            tripwires,
            superseded_by: by,
        };
        if record.and_then(|r| r.status.as_ref()) != Some(&status) {
            self.actions.push(RecordAction::SetStatus { name: name.to_owned(), status });
        }
    }

    /// Forgets the oldest of what is past. What is in force and what is open stays.
    fn prune(&mut self, kept: &[String]) {
        let names = self.records.iter().map(|r| self.record_name(r));
        let past: Vec<String> = names.filter(|name| !kept.contains(name)).collect();
        let surplus = past.len().saturating_sub(HISTORY_LIMIT);
        for name in past.into_iter().take(surplus) {
            self.actions.retain(|a| !matches!(a, RecordAction::SetStatus { name: n, .. } if *n == name));
            self.actions.push(RecordAction::Delete { name });
        }
    }

    fn next_number(&self) -> u32 {
        self.records.last().map_or(0, |r| r.spec.number) + 1
    }

    fn draft(&self) -> DecisionRecordSpec {
        spec(self.plan, self.valid, self.decision, self.next_number(), Some(self.now))
    }
}

/// A decision as the content of a record. Without `now` it carries no time: what is printed of a stack that
/// is nowhere yet is the same at any time.
pub fn spec(
    plan: &Plan,
    valid: &Valid,
    decision: &Decision,
    number: u32,
    now: Option<Timestamp>,
) -> DecisionRecordSpec {
    let d = decision.clone();
    DecisionRecordSpec {
        stack: valid.id.name.clone(),
        component: d.component,
        number,
        decided_at: now.map(|now| now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default(),
        catalog: plan.catalog.clone(),
        chosen: d.chosen,
        chosen_by: d.chosen_by,
        because: d.because,
        engine_would_choose: d.engine_would_choose,
        statement: d.statement,
        requirements: requirements(valid),
        priorities: valid.priorities.iter().map(|(q, w)| (q.id().to_owned(), w.to_string())).collect(),
        eliminated: d.eliminated,
        ranking: d.ranking,
        tie: d.tie,
        relaxations: d.relaxations,
        sizing: d.sizing,
        measured: d.measured,
        tradeoffs: d.tradeoffs,
        flip_points: d.flip_points,
        tripwires: d.tripwires,
        supersedes: None,
        reaffirms: false,
        prompted_by: Vec::new(),
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
