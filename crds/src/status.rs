//! What the operator says of a stack. It changes when a state, a reason or a coarse band changes; live
//! values belong to `/metrics`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Component;
use crate::record::{Phase, TripwireState};

/// Type of the condition: the spec is valid and was taken up.
pub const ACCEPTED: &str = "Accepted";
/// Type of the condition: every component that was decided for runs.
pub const READY: &str = "Ready";
/// Type of the condition: every replica's engine itself says that it runs what is wanted.
pub const CONFIGURATION_LIVE: &str = "ConfigurationLive";
/// Type of the condition: no tripwire of an accepted decision is tripped.
pub const DECISIONS_HOLDING: &str = "DecisionsHolding";
/// Type of the condition: something is on its way to what is wanted.
pub const PROGRESSING: &str = "Progressing";
/// Type of the condition: something needs a person.
pub const DEGRADED: &str = "Degraded";
/// Types of the conditions of a stack, in the order in which they are shown.
pub const CONDITIONS: [&str; 6] =
    [ACCEPTED, READY, CONFIGURATION_LIVE, DECISIONS_HOLDING, PROGRESSING, DEGRADED];

/// What the operator says of a stack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservabilityStackStatus {
    /// Generation of the spec that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The set of defaults that this stack is pinned to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub defaults_version: Option<u32>,
    /// Accepted, Ready, ConfigurationLive, DecisionsHolding, Progressing and Degraded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The metrics store that was chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub store: Option<String>,
    /// The one thing to look at first; empty when all is fine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub look_at: Option<String>,
    /// The values that are in force where the spec left them out, by path under `spec`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub effective: BTreeMap<String, String>,
    /// How each component runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub components: Vec<ComponentStatus>,
    /// What was decided for each component.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub decisions: Vec<DecisionStatus>,
    /// How many objects of others were picked up, by kind; kinds without any are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub objects: Vec<PickedUp>,
    /// Parts of the stack, and objects of others, that were kept out, each with its reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub rejected: Vec<Rejected>,
}

/// How one component runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Which component.
    pub component: Component,
    /// The option that fills it.
    #[schemars(length(max = 64))]
    pub option: String,
    /// How it stands.
    pub state: ComponentState,
    /// Why it stands so, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// Replicas that are wanted; none where the component has no workload of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Replicas that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<i32>,
    /// Digest of the configuration that is wanted, shortened to 12 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub config_wanted: Option<String>,
    /// Digest of the configuration that every replica says it runs, shortened to 12 characters; none
    /// while they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub config_running: Option<String>,
    /// Version that every replica says it is; none while they differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub version: Option<String>,
}

/// How a component stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum ComponentState {
    /// All replicas are ready, or the component needs no workload.
    Ready,
    /// Replicas are starting or being replaced.
    Progressing,
    /// Pods cannot start, for a reason outside of the stack.
    Pending,
    /// The choice is one that this operator cannot deploy.
    NotDeployable,
    /// No option was left, and nothing runs.
    Undecided,
    /// What the component needs could not be read.
    Unknown,
}

/// What was decided for one component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DecisionStatus {
    /// Which component.
    pub component: Component,
    /// Name of the newest record.
    #[schemars(length(max = 253))]
    pub record: String,
    /// Phase of that record.
    pub phase: Phase,
    /// The option in force; none where every option is eliminated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub choice: Option<String>,
    /// State of the record's tripwires, the worst first.
    pub state: TripwireState,
    /// Highest pressure of its tripwires in coarse bands: `<0.5`, `0.5-0.8`, `0.8-1.0`, `>=1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub pressure: Option<String>,
    /// Ids of the tripwires that are tripped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub tripped: Vec<String>,
}

/// How many objects of one kind of others were picked up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PickedUp {
    /// The kind, such as `ServiceMonitor`.
    #[schemars(length(max = 64))]
    pub kind: String,
    /// Objects that the stack's selectors take and that are in its configuration.
    pub picked_up: i32,
    /// Objects that the stack's selectors take and that were kept out.
    pub rejected: i32,
}

/// Something that was kept out, and why. The others go on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// A path under `spec`, or `Kind/namespace/name`.
    #[schemars(length(max = 512))]
    pub object: String,
    /// Why, and what to write instead.
    #[schemars(length(max = 1024))]
    pub reason: String,
}
