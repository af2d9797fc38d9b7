//! Reads only: the cluster and the engines become [`Facts`]. A failed read is an Unavailable fact, never an
//! error: what is not known changes nothing.

mod answers;
pub mod cluster;
pub mod contents;
mod discovery;
pub mod engines;
pub mod foreign;
pub mod handed;
pub mod kinds;
pub mod measure;
pub mod observer;
mod records;
mod replicas;
pub mod secrets;
mod slim;
pub mod stores;
mod wires;

pub use answers::Haste;
pub use discovery::News;
pub use observer::Observer;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use obstack_crds::DecisionRecord;
use obstack_crds::record::TripwireState;
use obstack_crds::workload::SecretKey;

use crate::decide::calibration::Reading;
use crate::names::Role;

/// Something that was read, or why it could not be.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact<T> {
    /// It was read.
    Known(T),
    /// It could not be read, for this reason. The last known outcome stays.
    Unavailable(String),
}

impl<T> Fact<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unavailable(_) => None,
        }
    }
}

/// What was observed of the cluster and of the running stack.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Which of the APIs that the catalog asks for the cluster serves.
    pub cluster: Fact<ClusterFacts>,
    /// Every object that carries this stack's owner reference or UID label, by kind. A kind whose list
    /// could not be read is Unavailable, and nothing of that kind is pruned.
    pub owned: BTreeMap<String, Fact<Vec<Arc<DynamicObject>>>>,
    /// Pods of each role.
    pub pods: Fact<BTreeMap<Role, Vec<Pod>>>,
    /// Contents of the Secrets that the stack refers to; `Known(None)` is a Secret or a key that is missing.
    pub secrets: BTreeMap<SecretKey, Fact<Option<Vec<u8>>>>,
    /// Every record of this stack's name, whichever stack of that name it was made for.
    pub records: Fact<Vec<DecisionRecord>>,
    /// What each replica's engine says of itself, by role, then by pod.
    pub engines: BTreeMap<Role, BTreeMap<String, Fact<EngineFact>>>,
    /// Generations that a replica's reloader has refused, by role, then by pod. A reloader that does not
    /// answer refuses nothing.
    pub refusals: BTreeMap<Role, BTreeMap<String, Refusal>>,
    /// What the reloader of each replica that has an address says, by role, then by pod.
    pub reloaders: BTreeMap<Role, BTreeMap<String, Fact<ReloaderFact>>>,
    /// What each replica of the metrics store measures of itself, by pod; ready ones only.
    pub readings: BTreeMap<String, Fact<Reading>>,
    /// What the engine of each replica of the metrics store says of the tripwires of this stack, by pod.
    pub wires: BTreeMap<String, Fact<Vec<WireReading>>>,
}

/// One thing that an engine says of one tripwire.
#[derive(Clone, Debug, PartialEq)]
pub struct WireReading {
    /// Name of the record that the rule was made from; after a new record, that of the old one for a while.
    pub record: String,
    /// Id of the tripwire.
    pub tripwire: String,
    /// What it says.
    pub said: WireSaid,
}

/// What an engine says of a tripwire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WireSaid {
    /// Its value, in the unit of its bound.
    Value(f64),
    /// Its pressure: the value over the bound.
    Pressure(f64),
    /// The alert for this state fires.
    Firing(TripwireState),
}

/// A generation of configuration that a reloader kept out of its engine.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Refusal {
    /// Digest of the generation.
    pub generation: String,
    /// Why, as the engine or its own tool said it.
    pub reason: String,
    /// The file at fault, below `current/`, where that is known.
    #[serde(default)]
    pub path: Option<String>,
}

/// What a reloader says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(default)]
pub struct ReloaderFact {
    /// Digest of the generation that the engine said it runs when it was last asked.
    pub confirmed: Option<String>,
    /// Digest of the proven generation that is complete in its mounts.
    pub mounted: Option<String>,
    /// The generation that it keeps out of its engine.
    pub refused: Option<Refusal>,
}

/// What the cluster can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterFacts {
    /// HTTPRoute of the Gateway API is served.
    pub http_route: bool,
    /// The resources of prometheus-operator are served.
    pub prometheus_operator: bool,
    /// Name of the default StorageClass.
    pub default_storage_class: Option<String>,
}

/// What an engine says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFact {
    /// Digest of the generation that it runs, from the place in its configuration where it repeats it; none
    /// where its configuration names none.
    pub generation: Option<String>,
    /// Its flags, where it tells them.
    pub flags: Option<BTreeMap<String, String>>,
    /// Its version, without a leading `v`.
    pub version: String,
}
