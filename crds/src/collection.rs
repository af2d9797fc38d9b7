//! How targets are found, and what is set for all of them.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::client::{Authorization, Tls};
use crate::pickup::Pickup;
use crate::relabel::Relabel;
use crate::stack::is_default;
use crate::workload::SecretKey;

/// How targets are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Collection {
    /// Namespaces in which Services and Pods annotated with `prometheus.io/scrape: "true"` are scraped;
    /// `*` means all of them. Left out: the stack's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 63), regex(pattern = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"))
    )]
    pub namespaces: Vec<String>,
    /// Whether annotated Services are scraped, endpoint by endpoint. Left out: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub services: Option<bool>,
    /// Whether annotated Pods are scraped. Left out: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pods: Option<bool>,
    /// Which ServiceMonitors, PodMonitors, Probes and ScrapeConfigs are picked up.
    #[serde(skip_serializing_if = "is_default")]
    pub objects: Pickup,
    /// Defaults that objects choose by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), schema_with = "classes")]
    pub scrape_classes: Vec<ScrapeClass>,
    /// Labels of Pods that targets of ServiceMonitors and PodMonitors take over.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 317)))]
    pub pod_target_labels: Vec<String>,
    /// Whether labels that a target's samples bring never replace those of the target, whatever objects say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub override_honor_labels: bool,
    /// Whether times that a target's samples bring never count, whatever objects say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub override_honor_timestamps: bool,
    /// Whether objects find targets in their own namespace only, whatever they say.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_namespace_selectors: bool,
    /// Whether ServiceMonitors may name files of the engine's pod. Left out: those of the stack's own namespace
    /// may, and no other: such a file can hold the engine's own token, and the object says who is sent it.
    #[serde(rename = "arbitraryFSAccessThroughSMs", skip_serializing_if = "Option::is_none")]
    pub arbitrary_fs_access_through_sms: Option<ArbitraryFsAccess>,
    /// What one scrape may bring where its job says nothing.
    #[serde(flatten)]
    pub limits: Limits,
    /// Secret with a list of scrape jobs as Prometheus reads them, beside all others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_scrape_configs: Option<SecretKey>,
}

/// Classes are told apart by their names, and one at most is taken where an object chooses none.
fn classes(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = generator.subschema_for::<Vec<ScrapeClass>>();
    let rule = "self.filter(c, has(c.default) && c.default).size() <= 1";
    let message = "write default: true in one class at most";
    schema.insert("maxItems".to_owned(), 32.into());
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), serde_json::json!(["name"]));
    schema.insert(
        "x-kubernetes-validations".to_owned(),
        serde_json::json!([{ "rule": rule, "message": message }]),
    );
    schema
}

/// Defaults that objects choose by name, by the field names of `monitoring.coreos.com`. What an object says itself
/// goes before; steps of relabelling of the class go before those of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScrapeClass {
    /// Name that objects choose it by.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether it is taken where an object chooses none; of one class at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
    /// Protocol that is taken where a target names none that is known. Needs Prometheus 3.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::scrape_protocol")]
    pub fallback_scrape_protocol: Option<String>,
    /// TLS towards the targets. References mean the stack's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<Tls>,
    /// The header `Authorization`. References mean the stack's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Steps that targets go through before they are scraped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub relabelings: Vec<Relabel>,
    /// Steps that samples go through before they are stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub metric_relabelings: Vec<Relabel>,
    /// What discovery adds to targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_metadata: Option<AttachMetadata>,
}

/// What discovery adds to targets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AttachMetadata {
    /// Whether labels and annotations of the node are added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<bool>,
}

/// Whether ServiceMonitors may name files of the engine's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ArbitraryFsAccess {
    /// True: none may. False: all may.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deny: bool,
}

/// What one scrape may bring. Zero is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Limits {
    /// Most samples of one scrape; with more, the whole scrape is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub sample_limit: Option<u64>,
    /// Most targets of one job; with more, none is scraped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub target_limit: Option<u64>,
    /// Most labels of one sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub label_limit: Option<u64>,
    /// Longest name of a label, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub label_name_length_limit: Option<u64>,
    /// Longest value of a label, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub label_value_length_limit: Option<u64>,
    /// Most targets that were dropped and are kept in memory to be shown, of one job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000_000_u64))]
    pub keep_dropped_targets: Option<u64>,
    /// Most bytes of one scrape before compression (`10MB`); with more, the whole scrape is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32), regex(pattern = r"^(0|([0-9]*[.])?[0-9]+((K|M|G|T|E|P)i?)?B)$"))]
    pub body_size_limit: Option<String>,
}
