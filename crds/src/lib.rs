//! API types of obstack: [`ObservabilityStack`] and [`DecisionRecord`], group `obstack.io`, version `v1alpha1`.
//!
//! The types serve the operator and anyone who authors stacks in Rust. The YAML beside this crate is
//! generated from them by `obstack crds`.

pub mod client;
pub mod collection;
pub mod component;
pub mod metrics;
pub mod pickup;
pub mod record;
pub mod relabel;
pub mod remote;
mod schema;
pub mod stack;
pub mod status;
pub mod tenancy;
pub mod workload;

pub use component::Component;
pub use pickup::{Pickup, Selector};
pub use record::{DecisionRecord, DecisionRecordSpec, DecisionRecordStatus};
pub use stack::{ObservabilityStack, ObservabilityStackSpec};
pub use status::ObservabilityStackStatus;

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

/// API group of every kind in this crate.
pub const GROUP: &str = "obstack.io";
/// API version of every kind in this crate.
pub const VERSION: &str = "v1alpha1";
/// Longest name of a stack, in characters. The longest child is a StatefulSet, whose name plus the hash
/// of its revision (11 characters) must fit a label value of 63.
pub const MAX_STACK_NAME: usize = 36;

/// All custom resource definitions, in the order in which they are installed. They are made once, as each walks through
/// its whole schema.
pub fn all() -> Vec<CustomResourceDefinition> {
    static ALL: LazyLock<Vec<CustomResourceDefinition>> =
        LazyLock::new(|| vec![ObservabilityStack::crd(), DecisionRecord::crd()]);
    ALL.clone()
}
