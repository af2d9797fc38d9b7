//! The parts of a stack for which a choice is made.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of a stack for which a choice is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Component {
    /// The time series database that scrapes or receives, stores and answers queries.
    MetricsStore,
    /// Where samples go that outlive the metrics store's retention.
    LongTermStorage,
    /// How targets are found and scraped.
    Collection,
    /// What groups, silences and routes alerts.
    Alerting,
    /// What people look at.
    Dashboards,
    /// How the stack is reached from outside of the cluster.
    Exposure,
    /// Where a person is told.
    Notification,
    /// In which objects the stack is delivered.
    Delivery,
}

impl Component {
    /// Every component, in the order in which they are decided: each sees the outcomes before it.
    pub const ALL: [Self; 8] = [
        Self::MetricsStore,
        Self::LongTermStorage,
        Self::Collection,
        Self::Alerting,
        Self::Dashboards,
        Self::Exposure,
        Self::Notification,
        Self::Delivery,
    ];

    /// The id as it stands in the API: `metricsStore`.
    pub fn id(self) -> &'static str {
        match self {
            Self::MetricsStore => "metricsStore",
            Self::LongTermStorage => "longTermStorage",
            Self::Collection => "collection",
            Self::Alerting => "alerting",
            Self::Dashboards => "dashboards",
            Self::Exposure => "exposure",
            Self::Notification => "notification",
            Self::Delivery => "delivery",
        }
    }

    /// The id as part of an object's name: `metrics-store`.
    pub fn slug(self) -> &'static str {
        match self {
            Self::MetricsStore => "metrics-store",
            Self::LongTermStorage => "long-term-storage",
            other => other.id(),
        }
    }

    /// The name in a sentence: `metrics store`.
    pub fn title(self) -> &'static str {
        match self {
            Self::MetricsStore => "metrics store",
            Self::LongTermStorage => "long-term storage",
            other => other.id(),
        }
    }

    /// The component with this id.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.id() == id)
    }
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}
