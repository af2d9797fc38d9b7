//! The stack: one resource that becomes a running metrics stack.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::pickup::Pickup;
use crate::status::ObservabilityStackStatus;
use crate::tenancy::{MatcherStrategy, Tenancy};
use crate::workload::{SecretKey, Storage, Workload};

pub use crate::collection::Collection;
pub use crate::metrics::Metrics;

/// A metrics stack: what it must hold, what matters to the team, and the knobs of its workloads.
/// An empty spec is a valid, useful stack.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "obstack.io",
    version = "v1alpha1",
    kind = "ObservabilityStack",
    plural = "observabilitystacks",
    shortname = "obs",
    category = "obstack",
    namespaced,
    status = "ObservabilityStackStatus",
    derive = "PartialEq",
    derive = "Default",
    validation = Rule::new("size(self.metadata.name) <= 36")
        .message("write a name of at most 36 characters: the names of the stack's objects are made from it"),
    validation = Rule::new("!self.metadata.name.contains('.')")
        .message("write a name without dots: the names of the stack's Services are made from it"),
    printcolumn(name = "Environment", type_ = "string", json_path = ".status.effective.environment"),
    printcolumn(name = "Store", type_ = "string", json_path = ".status.store"),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type=='Ready')].status"),
    printcolumn(name = "Live", type_ = "string", json_path = ".status.conditions[?(@.type=='ConfigurationLive')].status"),
    printcolumn(name = "Decisions", type_ = "string", json_path = ".status.conditions[?(@.type=='DecisionsHolding')].status"),
    printcolumn(name = "Look At", type_ = "string", json_path = ".status.lookAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
pub struct ObservabilityStackSpec {
    /// Sets defaults, and becomes the external label `environment`. Left out: `dev`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Stops every write to the objects of this stack; its status goes on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Which set of defaults applies. Left out: the newest when the stack was created, so that an upgrade
    /// of the operator changes no running stack by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub defaults_version: Option<u32>,
    /// What the stack must hold. Options that cannot are eliminated.
    #[serde(skip_serializing_if = "is_default")]
    pub requirements: Requirements,
    /// How much each quality matters to this team, 0 to 5. Left out: 3.
    #[serde(skip_serializing_if = "is_default")]
    pub priorities: Priorities,
    /// What people decide over the engine, each with the reason that the record keeps.
    #[serde(skip_serializing_if = "is_default")]
    pub decisions: Decisions,
    /// The metrics store.
    #[serde(skip_serializing_if = "is_default")]
    pub metrics: Metrics,
    /// How targets are found.
    #[serde(skip_serializing_if = "is_default")]
    pub collection: Collection,
    /// What objects of others may not do, whatever they say.
    #[serde(skip_serializing_if = "is_default")]
    pub tenancy: Tenancy,
    /// Alert and recording rules.
    #[serde(skip_serializing_if = "is_default")]
    pub rules: Rules,
    /// Routing of alerts.
    #[serde(skip_serializing_if = "is_default")]
    pub alerting: Alerting,
    /// Dashboards.
    #[serde(skip_serializing_if = "is_default")]
    pub dashboards: Dashboards,
    /// How the stack is reached from outside of the cluster.
    #[serde(skip_serializing_if = "is_default")]
    pub exposure: Exposure,
    /// What happens to what outlives the stack.
    #[serde(skip_serializing_if = "is_default")]
    pub deletion: Deletion,
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Where a stack stands on the way to production.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// For trying out: one replica, small volumes.
    #[default]
    Dev,
    /// Like production, smaller.
    Stage,
    /// Replicated where an engine can be.
    Prod,
}

impl Environment {
    /// The value as it stands in the API and in the external label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Stage => "stage",
            Self::Prod => "prod",
        }
    }
}

/// What the stack must hold. Each has a direction in which it is tighter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Requirements {
    /// Active series at once, a quantity (`50k`, `12M`). More is tighter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(\.[0-9]+)?(k|M|G)?$"))]
    pub active_series: Option<String>,
    /// Time between two samples of a series, a Prometheus duration (`30s`). Shorter is tighter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub scrape_interval: Option<String>,
    /// How long samples stay, a Prometheus duration (`15d`, `2y`). Longer is tighter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub retention: Option<String>,
    /// Whether the loss of one replica may interrupt the stack. `Replicated` is tighter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub availability: Option<Availability>,
    /// How long a restarted engine may take until it answers, a Prometheus duration (`10m`). Shorter is
    /// tighter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub recovery_time: Option<String>,
    /// Licences that may not be used.
    #[serde(skip_serializing_if = "is_default")]
    pub licences: Licences,
    /// What the stack may cost. Less is tighter.
    #[serde(skip_serializing_if = "is_default")]
    pub budget: Budget,
}

/// Whether the loss of one replica may interrupt the stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Availability {
    /// One replica of each engine.
    #[default]
    Single,
    /// The loss of one replica interrupts nothing.
    Replicated,
}

impl Availability {
    /// The value as it stands in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "Single",
            Self::Replicated => "Replicated",
        }
    }
}

/// Licences that may not be used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Licences {
    /// SPDX identifiers (`AGPL-3.0`). A longer list is tighter.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z0-9.+-]+$")))]
    pub deny: Vec<String>,
}

/// What the stack may cost in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Budget {
    /// Memory of all replicas together, a Kubernetes quantity (`32Gi`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 24),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$")
    )]
    pub memory: Option<String>,
    /// Disk of all replicas together, a Kubernetes quantity (`500Gi`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 24),
        regex(pattern = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|Pi|k|M|G|T|P)?$")
    )]
    pub storage: Option<String>,
    /// Bills of others per month, in US dollars (`500`).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16), regex(pattern = r"^[0-9]+(\.[0-9]{1,2})?$"))]
    pub monthly_cost: Option<String>,
}

/// How much each quality matters, 0 (not at all) to 5 (most). Names are those of ISO/IEC 25010:2023, and
/// cost. Only their ratios count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Priorities {
    /// Little money: machines and bills.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub cost: Option<u8>,
    /// Little loss when something fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub reliability: Option<u8>,
    /// Much work from few resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub performance_efficiency: Option<u8>,
    /// Works with what others wrote: PromQL, rules, dashboards.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub compatibility: Option<u8>,
    /// Little to run, to learn and to mend.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub maintainability: Option<u8>,
    /// Little to attack.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub security: Option<u8>,
    /// Grows and moves with little effort.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 5))]
    pub flexibility: Option<u8>,
}

/// What people decide over the engine, by component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Decisions {
    /// The metrics store: `Prometheus`, `VictoriaMetricsSingle`, `VictoriaMetricsCluster`, `Thanos`,
    /// `Mimir` or `External`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_store: Option<Override>,
    /// Long-term storage, or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub long_term_storage: Option<Override>,
    /// Collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection: Option<Override>,
    /// Alerting, or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerting: Option<Override>,
    /// Dashboards, or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dashboards: Option<Override>,
    /// Exposure, or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Override>,
    /// Notification, or `None`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification: Option<Override>,
    /// Delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Override>,
}

impl Decisions {
    /// What people decided for one component.
    pub fn get(&self, component: crate::Component) -> Option<&Override> {
        use crate::Component as C;
        match component {
            C::MetricsStore => self.metrics_store.as_ref(),
            C::LongTermStorage => self.long_term_storage.as_ref(),
            C::Collection => self.collection.as_ref(),
            C::Alerting => self.alerting.as_ref(),
            C::Dashboards => self.dashboards.as_ref(),
            C::Exposure => self.exposure.as_ref(),
            C::Notification => self.notification.as_ref(),
            C::Delivery => self.delivery.as_ref(),
        }
    }
}

/// A person's choice, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Id of the option.
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[A-Za-z][A-Za-z0-9]*$"))]
    pub choose: String,
    /// The reason, in a sentence; the record keeps it.
    #[schemars(length(min = 1, max = 1024))]
    pub because: String,
}

/// Alert and recording rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Rules {
    /// Names of alerts of the library that are left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 128)))]
    pub disabled: Vec<String>,
    /// Rule groups of this stack.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub groups: Vec<RuleGroup>,
    /// Which PrometheusRules are picked up.
    #[serde(skip_serializing_if = "is_default")]
    pub objects: Pickup,
}

/// Rules that are evaluated one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::required_where_empty_is_invalid)]
pub struct RuleGroup {
    /// Name, unique in the stack.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// Time between two evaluations, a Prometheus duration. Left out: the stack's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub interval: Option<String>,
    /// The rules.
    #[schemars(length(min = 1, max = 128))]
    pub rules: Vec<Rule>,
}

/// One alert or one recording rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::required_where_empty_is_invalid)]
pub struct Rule {
    /// Name of the alert; either this or `record`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub alert: Option<String>,
    /// Name of the series that the rule records; either this or `alert`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub record: Option<String>,
    /// PromQL.
    #[schemars(length(min = 1, max = 8192))]
    pub expr: String,
    /// How long the expression must hold before the alert fires, a Prometheus duration.
    #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub for_: Option<String>,
    /// How long the alert goes on after the expression stopped holding, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub keep_firing_for: Option<String>,
    /// Labels of the alert or of the recorded series.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the alert.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "crate::schema::string_map")]
    pub annotations: BTreeMap<String, String>,
}

/// Routing of alerts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Alerting {
    /// Clustered servers. Left out: 1, or 2 where availability is `Replicated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 9))]
    pub replicas: Option<i32>,
    /// The volume of each replica: silences and what was notified.
    #[serde(skip_serializing_if = "is_default")]
    pub storage: Storage,
    /// Where alerts go that no child route takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    /// Who is told, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub receivers: Vec<Receiver>,
    /// Which AlertmanagerConfigs are picked up.
    #[serde(skip_serializing_if = "is_default")]
    pub objects: Pickup,
    /// Which alerts each of them gets.
    #[serde(skip_serializing_if = "is_default")]
    pub alertmanager_config_matcher_strategy: MatcherStrategy,
    /// The usual knobs.
    #[serde(flatten)]
    pub workload: Workload,
}

/// The top of the routing tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::required_where_empty_is_invalid)]
pub struct Route {
    /// Receiver of what no child takes.
    #[schemars(length(min = 1, max = 64))]
    pub receiver: String,
    /// How alerts are grouped.
    #[serde(flatten)]
    pub grouping: Grouping,
    /// Child routes; the first that matches takes the alert.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub routes: Vec<ChildRoute>,
}

/// A child route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::required_where_empty_is_invalid)]
pub struct ChildRoute {
    /// Receiver of what matches.
    #[schemars(length(min = 1, max = 64))]
    pub receiver: String,
    /// Matchers in Alertmanager's form (`severity="critical"`); all must match.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 512)))]
    pub matchers: Vec<String>,
    /// Whether the routes after this one are tried too.
    #[serde(rename = "continue", skip_serializing_if = "std::ops::Not::not")]
    pub continue_: bool,
    /// How alerts are grouped.
    #[serde(flatten)]
    pub grouping: Grouping,
}

/// How alerts are grouped, and how often a group is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Grouping {
    /// Labels whose values make a group.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 128)))]
    pub group_by: Vec<String>,
    /// Wait before a new group is first sent, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub group_wait: Option<String>,
    /// Wait before a changed group is sent again, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub group_interval: Option<String>,
    /// Wait before an unchanged group is sent again, a Prometheus duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 32), regex(pattern = r"^([0-9]+(ms|s|m|h|d|w|y))+$"))]
    pub repeat_interval: Option<String>,
}

/// Who is told: any number of Slack channels and webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = crate::schema::required_where_empty_is_invalid)]
pub struct Receiver {
    /// Name, unique in the stack.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Slack channels.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub slack: Vec<Slack>,
    /// Webhooks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub webhook: Vec<Webhook>,
}

/// A Slack channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slack {
    /// Secret that holds the incoming webhook's URL.
    pub api_url: SecretKey,
    /// Channel, as in `#alerts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub channel: Option<String>,
    /// Whether the end of an alert is told too. Left out: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_resolved: Option<bool>,
}

/// A webhook.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// URL; either this or `urlSecret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^https?://"))]
    pub url: Option<String>,
    /// Secret that holds the URL; either this or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url_secret: Option<SecretKey>,
    /// Whether the end of an alert is told too. Left out: true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_resolved: Option<bool>,
}

/// Dashboards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Dashboards {
    /// Servers. Left out: 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8))]
    pub replicas: Option<i32>,
    /// The usual knobs.
    #[serde(flatten)]
    pub workload: Workload,
}

/// How the stack is reached from outside of the cluster: one host, a path per component.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Exposure {
    /// Host name. Left out: the stack is reached from inside of the cluster only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub host: Option<String>,
    /// Name of the IngressClass, where an Ingress is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub class_name: Option<String>,
    /// Name of the Gateway, where an HTTPRoute is used.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub gateway: Option<String>,
}

/// What happens to what outlives the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Deletion {
    /// Whether volumes stay when the stack goes. Left out: `Retain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<VolumePolicy>,
}

/// Whether volumes stay when the stack goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum VolumePolicy {
    /// They stay; a stack of the same name takes them up again.
    #[default]
    Retain,
    /// They go with the stack.
    Delete,
}
