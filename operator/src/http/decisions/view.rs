//! What the page shows of a stack, from what the API server has: the stack's status and its records.

use std::collections::BTreeMap;

use obstack_crds::record::{Elimination, Measured, Phase, Sizing, Tripwire, TripwireState, WireStatus};
use obstack_crds::status::{ComponentState, ComponentStatus};
use obstack_crds::{Component, DecisionRecord, ObservabilityStack};
use serde::Serialize;

use crate::decide::report::{DecisionReport, StackReport};
use crate::names::StackId;

/// A stack as the page shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct StackView {
    /// Which stack.
    pub id: StackId,
    /// Its environment, where its status says it.
    pub environment: Option<String>,
    /// Whether the stack is gone and only its records are left.
    pub gone: bool,
    /// How its components run.
    pub components: Vec<ComponentStatus>,
    /// Its records, by number.
    pub records: Vec<DecisionRecord>,
}

/// Puts stacks and records together, by namespace and name. Records whose stack is gone make a view too.
pub fn views<'a>(
    stacks: impl IntoIterator<Item = &'a ObservabilityStack>,
    records: impl IntoIterator<Item = &'a DecisionRecord>,
) -> Vec<StackView> {
    let mut views: BTreeMap<StackId, StackView> = BTreeMap::new();
    let empty = |id: &StackId| StackView {
        id: id.clone(),
        environment: None,
        gone: true,
        components: Vec::new(),
        records: Vec::new(),
    };
    let id = |namespace: &Option<String>, name: &str| StackId {
        namespace: namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
    };
    for stack in stacks {
        let id = id(&stack.metadata.namespace, stack.metadata.name.as_deref().unwrap_or_default());
        let view = views.entry(id.clone()).or_insert_with(|| empty(&id));
        view.gone = false;
        if let Some(status) = &stack.status {
            view.environment = status.effective.get("environment").cloned();
            view.components = status.components.clone();
        }
    }
    for record in records {
        let id = id(&record.metadata.namespace, &record.spec.stack);
        views.entry(id.clone()).or_insert_with(|| empty(&id)).records.push(record.clone());
    }
    let mut views: Vec<_> = views.into_values().collect();
    for view in &mut views {
        view.records.sort_by_key(|r| (r.spec.component, r.spec.number));
    }
    views
}

/// The records of one component.
#[derive(Clone, Debug)]
pub(super) struct Row<'a> {
    pub(super) component: Component,
    /// The record that is in force.
    pub(super) accepted: Option<&'a DecisionRecord>,
    /// What is proposed instead.
    pub(super) open: Option<&'a DecisionRecord>,
    /// All of them, the newest first.
    pub(super) history: Vec<&'a DecisionRecord>,
    pub(super) runs: Option<&'a ComponentStatus>,
}

impl<'a> Row<'a> {
    /// The record that the component's card shows.
    pub(super) fn shown(&self) -> Option<&'a DecisionRecord> {
        self.accepted.or(self.open).or(self.history.first().copied())
    }

    pub(super) fn not_deployable(&self) -> bool {
        self.runs.is_some_and(|c| c.state == ComponentState::NotDeployable)
    }
}

pub(super) fn phase(record: &DecisionRecord) -> Option<Phase> {
    record.status.as_ref().and_then(|s| s.phase)
}

pub(super) fn state(record: &DecisionRecord) -> TripwireState {
    record.status.as_ref().and_then(|s| s.tripwire_state).unwrap_or_default()
}

/// Each tripwire of a record with its state: Unknown where nothing was heard of it yet.
pub(super) fn wires(record: &DecisionRecord) -> Vec<(&Tripwire, WireStatus)> {
    let heard = record.status.iter().flat_map(|status| &status.tripwires);
    let of = |id: &str| heard.clone().find(|status| status.id == id).cloned();
    let silent = |id: &str| WireStatus {
        silent: Vec::new(),
        id: id.to_owned(),
        state: TripwireState::Unknown,
        pressure: None,
        reason: None,
    };
    record
        .spec
        .tripwires
        .iter()
        .map(|wire| (wire, of(&wire.id).unwrap_or_else(|| silent(&wire.id))))
        .collect()
}

pub(super) fn name(record: &DecisionRecord) -> &str {
    record.metadata.name.as_deref().unwrap_or_default()
}

impl StackView {
    /// The record with this name.
    pub fn record(&self, name: &str) -> Option<&DecisionRecord> {
        self.records.iter().find(|r| r.metadata.name.as_deref() == Some(name))
    }

    pub(super) fn rows(&self) -> Vec<Row<'_>> {
        Component::ALL
            .into_iter()
            .map(|component| {
                let history: Vec<_> =
                    self.records.iter().rev().filter(|r| r.spec.component == component).collect();
                let newest = |wanted| history.iter().copied().find(|r| phase(r) == Some(wanted));
                Row {
                    component,
                    accepted: newest(Phase::Accepted),
                    open: newest(Phase::Proposed),
                    runs: self.components.iter().find(|c| c.component == component),
                    history,
                }
            })
            .collect()
    }

    /// The same as JSON.
    pub fn report(&self) -> StackReport<DecisionJson> {
        let rows = self.rows();
        StackReport {
            namespace: self.id.namespace.clone(),
            name: self.id.name.clone(),
            decisions: rows.iter().filter_map(|row| Some(DecisionJson::of(row, row.shown()?))).collect(),
        }
    }
}

/// A decision as `/decisions.json` gives it: what `obstack decide -o json` prints, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecisionJson {
    /// The decision.
    #[serde(flatten)]
    pub decision: DecisionReport,
    /// Name of its record.
    pub record: String,
    /// Where the record stands.
    pub phase: Option<Phase>,
    /// State of its tripwires.
    pub tripwire_state: TripwireState,
    /// State of each tripwire, in the order of `tripwires`.
    pub tripwire_states: Vec<WireStatus>,
    /// What was measured on the running engine.
    pub measured: Vec<Measured>,
    /// When it was decided, RFC 3339.
    pub decided_at: String,
    /// Version of the catalog.
    pub catalog: String,
    /// Why, in the words of the person who chose.
    pub because: Option<String>,
    /// What the engine would have chosen, where a person chose.
    pub engine_would_choose: Option<String>,
    /// The decision in one sentence.
    pub statement: String,
    /// How a tie was settled.
    pub tie: Option<String>,
    /// What the choice is expected to need.
    pub sizing: Vec<Sizing>,
    /// Requirements that the choice breaks, because a person chose it all the same.
    pub violates: Vec<Elimination>,
    /// Name of the open record that proposes something else.
    pub proposed: Option<String>,
}

impl DecisionJson {
    fn of(row: &Row<'_>, record: &DecisionRecord) -> Self {
        let spec = &record.spec;
        let broken = spec.eliminated.iter().filter(|e| Some(&e.option) == spec.chosen.as_ref());
        Self {
            decision: DecisionReport::from(spec),
            record: name(record).to_owned(),
            phase: phase(record),
            tripwire_state: state(record),
            tripwire_states: wires(record).into_iter().map(|(_, status)| status).collect(),
            measured: spec.measured.clone(),
            decided_at: spec.decided_at.clone(),
            catalog: spec.catalog.clone(),
            because: spec.because.clone(),
            engine_would_choose: spec.engine_would_choose.clone(),
            statement: spec.statement.clone(),
            tie: spec.tie.clone(),
            sizing: spec.sizing.clone(),
            violates: broken.cloned().collect(),
            proposed: row.open.map(|r| name(r).to_owned()),
        }
    }
}
