//! Pure: a tripped tripwire asks the engine again, with what was measured. Its answer becomes a proposal.

use obstack_crds::record::{Phase, PromptedBy, TripwireState};
use obstack_crds::{Component, DecisionRecord};

use super::watch::{Watch, WireNow};
use super::{Catalog, DecideFacts, Decision, Measurements, Previous, decide, numbers, records};
use crate::units::SeriesCount;
use crate::validate::Valid;

/// How a statement says that something was chosen, and how it says that it is proposed to stay.
const CHOSE: &str = " we chose ";
const STAY: &str = " we propose to stay with ";

/// What the engine would choose, asked again because tripwires of a record in force are tripped.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    /// The component.
    pub component: Component,
    /// Name of the record in force.
    pub record: String,
    /// Its tripped tripwires.
    pub by: Vec<PromptedBy>,
    /// The stack with what was measured in the place of what was asked for, where that is more.
    pub valid: Valid,
    /// What the engine would choose for it.
    pub decision: Decision,
}

/// What is to be proposed: of each component one answer, where a tripwire of its record in force is tripped
/// that no open proposal names. `facts` hold what was measured.
pub fn prompts(
    valid: &Valid,
    facts: &DecideFacts,
    previous: &Previous,
    catalog: &Catalog,
    existing: &[DecisionRecord],
    watch: &Watch<'_>,
) -> Vec<Prompt> {
    let asked: Vec<(&DecisionRecord, Vec<PromptedBy>)> = Component::ALL
        .into_iter()
        .filter_map(|component| records::accepted_of(&valid.id, existing, component))
        .filter_map(|record| Some((record, tripped(record, watch)?)))
        .filter(|(record, by)| !by.is_empty() && !is_answered(record, by, existing))
        .collect();
    if asked.is_empty() {
        return Vec::new();
    }
    let measured = with_measured(valid, facts.measured.as_ref());
    let answer = |(record, by): (&DecisionRecord, Vec<PromptedBy>)| {
        let component = record.spec.component;
        // A person's choice stays in force; asked is what the engine would choose.
        let mut valid = measured.clone();
        valid.overrides.remove(&component);
        let plan = decide(&valid, facts, previous, catalog);
        let mut decision = plan.get(component)?.clone();
        decision.statement = statement(&decision, &by);
        Some(Prompt { component, record: record.metadata.name.clone()?, by, valid, decision })
    };
    asked.into_iter().filter_map(answer).collect()
}

/// The tripped tripwires of a record with their values.
fn tripped(record: &DecisionRecord, watch: &Watch<'_>) -> Option<Vec<PromptedBy>> {
    let before = record.status.clone().unwrap_or_default();
    let wires = watch.judge(record.metadata.name.as_deref()?, &record.spec, &before)?;
    let bound =
        |id: &str| record.spec.tripwires.iter().find(|wire| wire.id == id).map(|wire| wire.bound.clone());
    let by = |wire: WireNow| {
        let value = wire.value.filter(|value| value.is_finite()).map(numbers::round2);
        let bound = bound(&wire.status.id).unwrap_or_default();
        PromptedBy { tripwire: wire.status.id, value, bound }
    };
    Some(wires.into_iter().filter(|wire| wire.status.state == TripwireState::Tripped).map(by).collect())
}

/// Whether an open proposal names every one of these tripwires already.
fn is_answered(record: &DecisionRecord, by: &[PromptedBy], existing: &[DecisionRecord]) -> bool {
    let names_all = |open: &DecisionRecord| {
        by.iter().all(|wire| open.spec.prompted_by.iter().any(|known| known.tripwire == wire.tripwire))
    };
    existing.iter().any(|open| is_prompted_by(open, record) && names_all(open))
}

/// Whether a record is an open proposal that tripwires of `record` have prompted. One without a phase was
/// created by a run that was cut off.
pub(super) fn is_prompted_by(open: &DecisionRecord, record: &DecisionRecord) -> bool {
    let phase = open.status.as_ref().and_then(|status| status.phase);
    matches!(phase, None | Some(Phase::Proposed))
        && open.spec.component == record.spec.component
        && !open.spec.prompted_by.is_empty()
        && open.spec.supersedes == record.metadata.name
}

/// The stack with the measured number of series, rounded up to two digits, where that is more than was asked
/// for. Less than that is no reason to ask for less: a requirement is what the stack must hold.
fn with_measured(valid: &Valid, measured: Option<&Measurements>) -> Valid {
    let mut valid = valid.clone();
    let series = measured.and_then(|measured| measured.active_series).filter(|series| series.is_finite());
    if let Some(series) = series.filter(|series| *series > valid.requirements.active_series.as_f64()) {
        let step = 10f64.powf((series.log10().floor() - 1.0).max(0.0));
        valid.requirements.active_series = SeriesCount((series / step).ceil() as u64 * step as u64);
    }
    valid
}

/// The statement of a proposal: what tripped, then the decision.
fn statement(decision: &Decision, by: &[PromptedBy]) -> String {
    let named = |wire: &PromptedBy| match wire.value {
        Some(value) => format!("{} ({} against {})", wire.tripwire, numbers::two(value), wire.bound),
        None => format!("{} (bound {})", wire.tripwire, wire.bound),
    };
    let named: Vec<String> = by.iter().map(named).collect();
    let proposed = decision.statement.replacen(CHOSE, STAY, 1);
    let text = format!("Tripped: {}. With what was measured: {proposed}", numbers::list(&named, "and"));
    text.chars().take(STATEMENT).collect()
}

/// The longest statement, in characters; the schema's bound.
const STATEMENT: usize = 4_096;

#[cfg(test)]
#[path = "prompt_tests.rs"]
mod tests;
