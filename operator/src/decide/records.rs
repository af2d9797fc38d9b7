//! Pure: a plan and the records that exist become the writes that are missing. The same inputs with those
//! writes done give none; a run cut off between two writes is finished by the next one.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use obstack_crds::record::{ChosenBy, DecisionRecordStatus, Phase};
use obstack_crds::status::DecisionStatus;
use obstack_crds::{Component, DecisionRecord, DecisionRecordSpec};

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

/// The writes that are missing, in the order in which they are to be made. `existing` are all records of the
/// stack's name; where they could not be read, there is nothing to call this with.
pub fn next(plan: &Plan, valid: &Valid, existing: &[DecisionRecord], now: Timestamp) -> Vec<RecordAction> {
    let by_component = by_component(&valid.id, existing);
    let none = Vec::new();
    let mut actions = Vec::new();
    for decision in &plan.decisions {
        let records = by_component.get(&decision.component).unwrap_or(&none);
        Writer { plan, valid, decision, records, now, actions: &mut actions }.run();
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
        Some(DecisionStatus {
            component: decision.component,
            record: record.metadata.name.clone()?,
            phase: phase(record).unwrap_or(intended(record, decision)),
            choice: decision.in_force.clone(),
            state: watched.status.as_ref().and_then(|s| s.tripwire_state).unwrap_or_default(),
            pressure: None,
        })
    };
    plan.decisions.iter().filter_map(row).collect()
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

/// The record in force of a component, and the open ones that were made after it, the newest first. Records are
/// those of one stack's name; none where none is accepted.
pub(super) fn in_force_and_open(
    records: &[DecisionRecord],
    component: Component,
) -> Option<(&DecisionRecord, Vec<&DecisionRecord>)> {
    let of = || records.iter().filter(|r| r.spec.component == component);
    let accepted =
        of().filter(|r| phase(r) == Some(Phase::Accepted)).max_by_key(|record| record.spec.number)?;
    let is_open = |r: &&DecisionRecord| {
        matches!(phase(r), None | Some(Phase::Proposed)) && r.spec.number > accepted.spec.number
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

fn bounds(spec: &DecisionRecordSpec) -> impl Iterator<Item = (&str, &str, &str)> {
    spec.tripwires.iter().map(|t| (t.id.as_str(), t.expr.as_str(), t.bound.as_str()))
}

struct Writer<'a> {
    plan: &'a Plan,
    valid: &'a Valid,
    decision: &'a Decision,
    /// Of this component, by number.
    records: &'a [&'a DecisionRecord],
    now: Timestamp,
    actions: &'a mut Vec<RecordAction>,
}

impl Writer<'_> {
    fn run(mut self) {
        let records = self.records;
        // A decision that a missing fact may have bent is no reason for a new record, only for a first one.
        if self.decision.uncertain.is_some() && self.keeps_choice() {
            return;
        }
        let draft = self.draft();
        let target =
            if self.decision.chosen == self.decision.in_force { Phase::Accepted } else { Phase::Proposed };
        // A record without a phase was created by a run that was cut off: it is taken up where it says the
        // same, and set aside where it does not.
        let found = self
            .records
            .iter()
            .rev()
            .find(|r| {
                let open = match phase(r) {
                    None | Some(Phase::Proposed) => true,
                    Some(Phase::Accepted) => target == Phase::Accepted,
                    Some(Phase::Rejected | Phase::Superseded) => false,
                };
                open && same(&r.spec, &draft)
            })
            .copied();
        let current = match found {
            Some(record) => self.record_name(record),
            None => self.create(draft),
        };
        self.set(&current, found, target, None);
        for record in records.iter().copied() {
            if found.is_some_and(|f| std::ptr::eq(f, record)) {
                continue;
            }
            match (phase(record), target) {
                // The one in force stays so while another is only proposed.
                (Some(Phase::Accepted), Phase::Proposed)
                    if Some(record.spec.number) == self.newest_accepted() => {}
                (Some(Phase::Rejected | Phase::Superseded), _) => {}
                (Some(Phase::Proposed), Phase::Accepted) if self.refused(record) => {
                    self.set(&self.record_name(record), Some(record), Phase::Rejected, Some(current.clone()));
                }
                _ => self.set(
                    &self.record_name(record),
                    Some(record),
                    Phase::Superseded,
                    Some(current.clone()),
                ),
            }
        }
        self.prune(&current, target);
    }

    /// Whether the record in force is of the choice that the decision keeps in force.
    fn keeps_choice(&self) -> bool {
        let accepted = self.records.iter().rev().find(|r| phase(r) == Some(Phase::Accepted));
        accepted.is_some_and(|r| {
            r.spec.chosen == self.decision.in_force && self.decision.chosen == self.decision.in_force
        }) && self.records.iter().all(|r| phase(r).is_some())
    }

    /// Whether a person decided against what was proposed.
    fn refused(&self, record: &DecisionRecord) -> bool {
        self.decision.chosen_by == ChosenBy::Person && record.spec.chosen != self.decision.chosen
    }

    fn newest_accepted(&self) -> Option<u32> {
        self.records.iter().rev().find(|r| phase(r) == Some(Phase::Accepted)).map(|r| r.spec.number)
    }

    fn record_name(&self, record: &DecisionRecord) -> String {
        let named = record.metadata.name.clone();
        named.unwrap_or_else(|| name(&self.valid.id, record.spec.component, record.spec.number))
    }

    fn create(&mut self, mut spec: DecisionRecordSpec) -> String {
        let name = name(&self.valid.id, self.decision.component, spec.number);
        let before = self.records.iter().rev().find(|r| phase(r) == Some(Phase::Accepted));
        let before = before.or(self.records.last());
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

    /// Writes a status where it is not there already.
    fn set(&mut self, name: &str, record: Option<&DecisionRecord>, phase: Phase, by: Option<String>) {
        let old = record.and_then(|r| r.status.clone()).unwrap_or_default();
        let status = DecisionRecordStatus {
            phase: Some(phase),
            tripwire_state: Some(old.tripwire_state.unwrap_or_default()),
            tripwires: old.tripwires,
            superseded_by: by,
        };
        if record.and_then(|r| r.status.as_ref()) != Some(&status) {
            self.actions.push(RecordAction::SetStatus { name: name.to_owned(), status });
        }
    }

    /// Forgets the oldest of what is past. What is in force and what is open stays.
    fn prune(&mut self, current: &str, target: Phase) {
        let in_force = self.newest_accepted().filter(|_| target == Phase::Proposed);
        let kept = |r: &&&DecisionRecord| self.record_name(r) == current || Some(r.spec.number) == in_force;
        let past: Vec<String> =
            self.records.iter().filter(|r| !kept(r)).map(|r| self.record_name(r)).collect();
        let surplus = past.len().saturating_sub(HISTORY_LIMIT);
        for name in past.into_iter().take(surplus) {
            self.actions.retain(|a| !matches!(a, RecordAction::SetStatus { name: n, .. } if *n == name));
            self.actions.push(RecordAction::Delete { name });
        }
    }

    fn draft(&self) -> DecisionRecordSpec {
        let number = self.records.last().map_or(0, |r| r.spec.number) + 1;
        spec(self.plan, self.valid, self.decision, number, Some(self.now))
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
    }
}

#[cfg(test)]
#[path = "records_tests.rs"]
mod tests;
