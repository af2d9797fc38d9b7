//! A decision written down.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Component;

/// A decision written down: which options there were, what eliminated them, what the chosen one costs, why
/// nonetheless, and what says when the choice stops being right. It never changes; a new one supersedes it.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "obstack.io",
    version = "v1alpha1",
    kind = "DecisionRecord",
    plural = "decisionrecords",
    shortname = "odr",
    category = "obstack",
    namespaced,
    status = "DecisionRecordStatus",
    derive = "PartialEq",
    validation = Rule::new("self.spec == oldSelf.spec")
        .message("a record never changes; edit the stack, and a new record supersedes this one"),
    printcolumn(name = "Stack", type_ = "string", json_path = ".spec.stack"),
    printcolumn(name = "Component", type_ = "string", json_path = ".spec.component"),
    printcolumn(name = "Chosen", type_ = "string", json_path = ".spec.chosen"),
    printcolumn(name = "By", type_ = "string", json_path = ".spec.chosenBy"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Tripwires", type_ = "string", json_path = ".status.tripwireState"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DecisionRecordSpec {
    /// Name of the stack, in the record's namespace.
    #[schemars(length(min = 1, max = 63))]
    pub stack: String,
    /// The component that was decided.
    pub component: Component,
    /// Counts the records of this component of this stack's name, from 1.
    #[schemars(range(min = 1, max = 999_999))]
    pub number: u32,
    /// When it was decided, RFC 3339, in UTC.
    #[schemars(length(max = 40))]
    pub decided_at: String,
    /// Version of the catalog whose options and numbers were weighed.
    #[schemars(length(max = 64))]
    pub catalog: String,
    /// The choice; none where every option is eliminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub chosen: Option<String>,
    /// Who chose.
    pub chosen_by: ChosenBy,
    /// Why, in the words of the person who chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub because: Option<String>,
    /// What the engine would have chosen, where a person chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub engine_would_choose: Option<String>,
    /// The decision in one sentence: in the context of, facing, we chose, and not, to achieve, accepting.
    #[schemars(length(max = 4096))]
    pub statement: String,
    /// The requirements that were in force, by path under `spec.requirements`.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub requirements: BTreeMap<String, String>,
    /// The priorities that were in force, 0 to 5.
    #[serde(default)]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub priorities: BTreeMap<String, String>,
    /// Options that a requirement ruled out, each with its reason and its numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub eliminated: Vec<Elimination>,
    /// Options that were left, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub ranking: Vec<Ranked>,
    /// How a tie was settled, where the totals overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub tie: Option<String>,
    /// The smallest relaxations that would leave an option, where every one is eliminated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 1024)))]
    pub relaxations: Vec<String>,
    /// What the choice is expected to need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub sizing: Vec<Sizing>,
    /// What was measured on the running engine, and stands in the place of the catalog's figure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub measured: Vec<Measured>,
    /// What the choice costs, accepted on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tradeoffs: Vec<Tradeoff>,
    /// The smallest changes that would change the choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub flip_points: Vec<FlipPoint>,
    /// What says when the choice stops being right.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tripwires: Vec<Tripwire>,
    /// Name of the record that this one supersedes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub supersedes: Option<String>,
    /// Whether the choice is that of the superseded record and only bounds or numbers changed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reaffirms: bool,
    /// The tripped tripwires of the record in force because of which this one is proposed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub prompted_by: Vec<PromptedBy>,
}

/// A tripped tripwire because of which a record is proposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromptedBy {
    /// Id of the tripwire, in the record that this one would supersede.
    #[schemars(length(max = 64))]
    pub tripwire: String,
    /// Its value when the record was proposed, rounded to two digits; none where the engine had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Its bound.
    #[schemars(length(max = 64))]
    pub bound: String,
}

/// Who chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChosenBy {
    /// The decision engine, from requirements, priorities and the catalog.
    Engine,
    /// A person, in `spec.decisions` of the stack.
    Person,
}

/// An option that a requirement ruled out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Elimination {
    /// Id of the option.
    #[schemars(length(max = 64))]
    pub option: String,
    /// Path of the requirement under `spec`, or the component whose outcome ruled it out.
    #[schemars(length(max = 128))]
    pub requirement: String,
    /// The reason with its numbers, as a sentence.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

/// A score or an amount with the range that it is known within.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// An option that was left, with its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ranked {
    /// Id of the option.
    #[schemars(length(max = 64))]
    pub option: String,
    /// Weighted total, 0 to 100.
    pub total: Range,
    /// Score by quality, 0 to 100 before weighing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "score_map")]
    pub scores: BTreeMap<String, Range>,
    /// Whether its total overlaps that of the choice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ties: bool,
    /// Whether its place rests on our judgement and not on sourced facts alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub judgement: bool,
}

fn score_map(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let range = generator.subschema_for::<Range>();
    schemars::json_schema!({ "type": "object", "maxProperties": 16, "additionalProperties": range })
}

/// What the choice is expected to need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sizing {
    /// What: `memory`, `storage`, `cpu` or `monthlyCost`.
    #[schemars(length(max = 64))]
    pub quantity: String,
    /// Of all replicas together, in `unit`.
    pub range: Range,
    /// Unit: `bytes`, `cores` or `USD`.
    #[schemars(length(max = 16))]
    pub unit: String,
    /// The arithmetic, for a reader to follow.
    #[schemars(length(max = 1024))]
    pub arithmetic: String,
}

/// A figure of the catalog beside what the running engine measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// What: `activeSeries`, `bytesPerSeries`, `bytesPerSample`, `indexBytesPerSeries`, `seriesChurnPerDay` or
    /// `queriesPerSecond`.
    #[schemars(length(max = 64))]
    pub quantity: String,
    /// Unit.
    #[schemars(length(max = 32))]
    pub unit: String,
    /// The catalog's range; none where the catalog has no such figure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prior: Option<Range>,
    /// What was measured, rounded to two digits.
    pub measured: f64,
    /// How far the middle of the prior was off, as a share of what was measured: 0.5 is half too much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
}

/// What the choice costs, accepted on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tradeoff {
    /// Id in the catalog.
    #[schemars(length(max = 64))]
    pub id: String,
    /// The cost, as a sentence.
    #[schemars(length(max = 1024))]
    pub text: String,
    /// Where that is written, with its date.
    #[schemars(length(max = 512))]
    pub source: String,
}

/// The smallest change of one input that would change the choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlipPoint {
    /// Path of the input under `spec`.
    #[schemars(length(max = 128))]
    pub input: String,
    /// Value in force.
    #[schemars(length(max = 128))]
    pub from: String,
    /// Value at which the choice changes, as it can be written; none where no value in range does.
    #[serde(default)]
    #[schemars(length(max = 128))]
    pub to: Option<String>,
    /// The canonical step.
    #[schemars(length(max = 64))]
    pub step: String,
    /// What would be chosen then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub choice: Option<String>,
}

/// What says when the choice stops being right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tripwire {
    /// Id in the catalog.
    #[schemars(length(max = 64))]
    pub id: String,
    /// The trade-off that it watches.
    #[schemars(length(max = 64))]
    pub tradeoff: String,
    /// The value, an expression over the engine's own metrics.
    #[schemars(length(max = 2048))]
    pub expr: String,
    /// The bound that the value is held against, from the requirements.
    #[schemars(length(max = 64))]
    pub bound: String,
    /// How long the bound must be passed, a Prometheus duration.
    #[serde(rename = "for")]
    #[schemars(length(max = 32))]
    pub for_: String,
    /// How long it stays tripped once the bound is kept again, a Prometheus duration.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub keep_firing_for: String,
    /// An expression that has a value where there is enough data to judge.
    #[serde(default)]
    #[schemars(length(max = 2048))]
    pub guard: String,
    /// Where to go then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub next: Option<String>,
    /// What moving there costs.
    #[schemars(length(max = 1024))]
    pub cost: String,
    /// Who judges it. What the operator judges has its value in words in `expr`, and no rule.
    #[serde(default, skip_serializing_if = "JudgedBy::is_engine")]
    pub judged_by: JudgedBy,
}

/// Who judges a tripwire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JudgedBy {
    /// The engine, by alert rules that outlive the operator.
    #[default]
    Engine,
    /// The operator, because an engine cannot tell of its own death.
    Operator,
}

impl JudgedBy {
    /// Whether the engine judges.
    pub fn is_engine(&self) -> bool {
        *self == Self::Engine
    }
}

/// What became of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct DecisionRecordStatus {
    /// Where it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// State of its tripwires, the worst first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tripwire_state: Option<TripwireState>,
    /// State of each tripwire, in the order of the spec.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tripwires: Vec<WireStatus>,
    /// Name of the record that superseded it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub superseded_by: Option<String>,
}

/// How one tripwire stands: the worst of what the replicas say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WireStatus {
    /// Id of the tripwire.
    #[schemars(length(max = 64))]
    pub id: String,
    /// Its state.
    pub state: TripwireState,
    /// Its pressure in coarse bands: `<0.5`, `0.5-0.8`, `0.8-1.0`, `>=1.0`; none where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub pressure: Option<String>,
    /// Why it is Unknown, or what tripped where the operator judged by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub reason: Option<String>,
    /// Replicas that do not answer, where the operator judges: from when on it counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub silent: Vec<Silence>,
}

/// A replica that does not answer the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Silence {
    /// Name of its pod.
    #[schemars(length(max = 253))]
    pub replica: String,
    /// Since when, RFC 3339, in UTC.
    #[schemars(length(max = 40))]
    pub since: String,
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// The engine would choose so; a person accepts it by editing the stack.
    Proposed,
    /// In force.
    Accepted,
    /// A person decided against it.
    Rejected,
    /// A newer one is in force.
    Superseded,
}

/// State of tripwires, the worst first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum TripwireState {
    /// The bound was passed for as long as the wire says.
    Tripped,
    /// Pressure is 0.8 or more.
    AtRisk,
    /// Too little data, or no answer.
    #[default]
    Unknown,
    /// All is within its bounds.
    Holding,
}
