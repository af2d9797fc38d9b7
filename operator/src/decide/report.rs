//! Decisions as JSON: what `obstack decide -o json` and the decisions page give.

use obstack_crds::record::{ChosenBy, Elimination, FlipPoint, Ranked, Tradeoff, Tripwire};
use obstack_crds::{Component, DecisionRecordSpec};
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;

use super::{Decision, Plan};
use crate::names::StackId;

/// The decisions of one stack.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StackReport<D> {
    /// Namespace of the stack.
    pub namespace: String,
    /// Name of the stack.
    pub name: String,
    /// One decision per component, in the order in which they are decided.
    pub decisions: Vec<D>,
}

/// One decision.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionReport {
    /// Which component.
    pub component: Component,
    /// The choice; null where every option is eliminated.
    pub chosen: Option<String>,
    /// `engine` or `person`.
    pub chosen_by: ChosenBy,
    /// Options that were ruled out.
    pub eliminated: Vec<Elimination>,
    /// Options that were left.
    pub ranking: Vec<Ranked>,
    /// What the choice costs.
    pub tradeoffs: Vec<Tradeoff>,
    /// The smallest changes that would change the choice.
    pub flip_points: Vec<FlipPoint>,
    /// What says when the choice stops being right.
    pub tripwires: Vec<Tripwire>,
}

impl From<&Decision> for DecisionReport {
    fn from(d: &Decision) -> Self {
        Self {
            component: d.component,
            chosen: d.chosen.clone(),
            chosen_by: d.chosen_by,
            eliminated: d.eliminated.clone(),
            ranking: d.ranking.clone(),
            tradeoffs: d.tradeoffs.clone(),
            flip_points: d.flip_points.clone(),
            tripwires: d.tripwires.clone(),
        }
    }
}

impl From<&DecisionRecordSpec> for DecisionReport {
    fn from(r: &DecisionRecordSpec) -> Self {
        Self {
            component: r.component,
            chosen: r.chosen.clone(),
            chosen_by: r.chosen_by,
            eliminated: r.eliminated.clone(),
            ranking: r.ranking.clone(),
            tradeoffs: r.tradeoffs.clone(),
            flip_points: r.flip_points.clone(),
            tripwires: r.tripwires.clone(),
        }
    }
}

impl StackReport<DecisionReport> {
    /// What was decided for a stack.
    pub fn of(stack: &StackId, plan: &Plan) -> Self {
        Self {
            namespace: stack.namespace.clone(),
            name: stack.name.clone(),
            decisions: plan.decisions.iter().map(DecisionReport::from).collect(),
        }
    }
}

/// What `obstack decide -o json` prints, as a JSON Schema (draft 2020-12).
pub fn schema() -> String {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Vec<StackReport<DecisionReport>>>();
    schema.insert("title".into(), "The decisions of obstack".into());
    schema.insert(
        "description".into(),
        "What `obstack decide -o json` prints: one item per stack. Fields may be added; what is here stays."
            .into(),
    );
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    format!("{text}\n")
}
