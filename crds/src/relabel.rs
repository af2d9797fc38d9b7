//! Steps of relabelling, by the field names of `monitoring.coreos.com`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One step of relabelling.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Relabel {
    /// Labels whose values are joined.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 256)))]
    pub source_labels: Vec<String>,
    /// What joins them. Left out: `;`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub separator: Option<String>,
    /// Label that is written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub target_label: Option<String>,
    /// Regular expression that the joined values must match from end to end. Left out: `(.*)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub regex: Option<String>,
    /// Number that the hash of the joined values is divided by, for `hashmod`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 4_294_967_295_u32))]
    pub modulus: Option<u32>,
    /// What is written. Left out: `$1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub replacement: Option<String>,
    /// What the step does. Left out: `replace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::relabel_action")]
    pub action: Option<String>,
}
