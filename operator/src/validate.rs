//! Pure: a stack's spec becomes [`Valid`], newtypes that cannot hold nonsense with every default resolved, or
//! the list of all its faults at once.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::Component;
use obstack_crds::stack::{Availability, Environment, ObservabilityStackSpec, Override};
use obstack_crds::status::Rejected;

use crate::names::StackId;
use crate::units::{Bytes, PromDuration, SeriesCount};

/// The newest set of defaults. A stack is pinned to the one that was newest when it was created.
pub const DEFAULTS_VERSION: u32 = 1;

/// A stack that can be decided and built.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    /// Which stack.
    pub id: StackId,
    /// The set of defaults in force.
    pub defaults_version: u32,
    /// The environment in force.
    pub environment: Environment,
    /// The requirements in force, defaults resolved.
    pub requirements: Requirements,
    /// The priorities in force, 0 to 5.
    pub priorities: BTreeMap<Quality, u8>,
    /// What people decided.
    pub overrides: BTreeMap<Component, Override>,
    /// The time between two evaluations of a rule, default resolved.
    pub evaluation_interval: PromDuration,
    /// The spec as it was written, for the knobs that need no reading, with the parts of `rejected` taken out.
    pub spec: ObservabilityStackSpec,
    /// Parts that were kept out, each with its reason. The others go on.
    pub rejected: Vec<Rejected>,
}

/// The requirements in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    /// Active series at once.
    pub active_series: SeriesCount,
    /// Time between two samples of a series.
    pub scrape_interval: PromDuration,
    /// How long samples stay.
    pub retention: PromDuration,
    /// Whether the loss of one replica may interrupt the stack.
    pub availability: Availability,
    /// How long a restarted engine may take until it answers.
    pub recovery_time: PromDuration,
    /// SPDX identifiers that may not be used.
    pub licences_deny: BTreeSet<String>,
    /// Memory of all replicas together.
    pub budget_memory: Option<Bytes>,
    /// Disk of all replicas together.
    pub budget_storage: Option<Bytes>,
    /// Bills of others per month, in US cents.
    pub budget_monthly_cents: Option<u64>,
}

/// A quality attribute: the names of ISO/IEC 25010:2023, and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quality {
    /// Little money: machines and bills.
    Cost,
    /// Little loss when something fails.
    Reliability,
    /// Much work from few resources.
    PerformanceEfficiency,
    /// Works with what others wrote.
    Compatibility,
    /// Little to run, to learn and to mend.
    Maintainability,
    /// Little to attack.
    Security,
    /// Grows and moves with little effort.
    Flexibility,
}

impl Quality {
    /// Every quality, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Cost,
        Self::Reliability,
        Self::PerformanceEfficiency,
        Self::Compatibility,
        Self::Maintainability,
        Self::Security,
        Self::Flexibility,
    ];

    /// The id as it stands under `spec.priorities`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Reliability => "reliability",
            Self::PerformanceEfficiency => "performanceEfficiency",
            Self::Compatibility => "compatibility",
            Self::Maintainability => "maintainability",
            Self::Security => "security",
            Self::Flexibility => "flexibility",
        }
    }
}

/// One thing that is wrong with a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Path in the object: `spec.requirements.retention`.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What to write instead.
    pub write: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: found {}; write {}", self.path, self.found, self.write)
    }
}
