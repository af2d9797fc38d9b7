//! What objects of others may not do, whatever they say.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What holds for objects of others whatever they say, by the field names of `monitoring.coreos.com`. Zero is no
/// limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tenancy {
    /// Label that every target, sample, alert and recorded series of an object has with the object's namespace as
    /// its value; every expression of its rules sees only series that have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[a-zA-Z_][a-zA-Z0-9_]*$"))]
    pub enforced_namespace_label: Option<String>,
    /// Objects that the label is not enforced on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub excluded_from_enforcement: Vec<Excluded>,
    /// Most samples of one scrape; with more, the whole scrape is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub enforced_sample_limit: Option<u64>,
    /// Most targets of one job; with more, none is scraped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub enforced_target_limit: Option<u64>,
    /// Most labels of one sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub enforced_label_limit: Option<u64>,
    /// Longest name of a label, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub enforced_label_name_length_limit: Option<u64>,
    /// Longest value of a label, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub enforced_label_value_length_limit: Option<u64>,
    /// Most targets that were dropped and are kept in memory to be shown, of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub enforced_keep_dropped_targets: Option<u64>,
    /// Most bytes of one scrape before compression (`10MB`); with more, the whole scrape is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^(0|([0-9]*[.])?[0-9]+((K|M|G|T|E|P)i?)?B)$"))]
    pub enforced_body_size_limit: Option<String>,
}

/// Objects that the label is not enforced on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Excluded {
    /// Their group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = r"^monitoring\.coreos\.com$"))]
    pub group: Option<String>,
    /// Their resource: `servicemonitors`, `podmonitors`, `probes`, `scrapeconfigs` or `prometheusrules`.
    #[schemars(schema_with = "crate::schema::enforced_resource")]
    pub resource: String,
    /// Their namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// The name of one. Left out: every one of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub name: Option<String>,
}

/// Which alerts an AlertmanagerConfig gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MatcherStrategy {
    /// Left out: `OnNamespace`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<MatcherStrategyType>,
}

/// Which alerts an AlertmanagerConfig gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum MatcherStrategyType {
    /// Those with the label `namespace` of the object's namespace.
    #[default]
    OnNamespace,
    /// As `OnNamespace`; objects in the stack's own namespace get all.
    OnNamespaceExceptForAlertmanagerNamespace,
    /// All.
    None,
}
