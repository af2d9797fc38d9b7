//! Pure: a valid stack, its plan and its configuration become the objects that are wanted, in the order in
//! which they are applied.

mod alertmanager;
mod config_volumes;
#[cfg(test)]
mod dashboards_tests;
mod engine;
#[cfg(test)]
pub(crate) mod fixtures;
mod grafana;
mod images;
mod object;
mod patch;
mod pinned;
mod prometheus;
mod prometheus_operator;
#[cfg(test)]
mod prometheus_operator_tests;
mod rbac;
mod reloader;
mod security;
mod service;
mod sizing;
#[cfg(test)]
mod tests;
mod workload;

use std::collections::BTreeMap;

use obstack_crds::Component;
use obstack_crds::status::Rejected;
use serde_json::Value;

use crate::decide::Plan;
use crate::error::Class;
use crate::names::Role;
use crate::running::PackError;
use crate::scrape::{Configs, deployed_roles, is_handed_over};
use crate::units::Bytes;
use crate::validate::Valid;

pub use images::{default_image, wanted_version};
pub use object::OWNED_KINDS;
pub use pinned::Pinned;
pub use reloader::INSTALL_CONTAINER;

/// An object that is wanted, without what only the cluster knows: [`crate::apply`] adds the owner.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedObject {
    /// The object as it is applied: `apiVersion`, `kind`, `metadata`, and the rest.
    pub body: Value,
    /// The component that it belongs to.
    pub component: Component,
    /// How it is written.
    pub policy: Policy,
}

/// How an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Server-side apply; drift is put back.
    Apply,
    /// Created once with a random value under each key of the annotation `obstack.io/generate` (a comma
    /// list), then left alone: a generated password.
    CreateOnce,
}

/// Annotation that lists the keys of a Secret for which a random value is made, separated by commas.
pub const ANNOTATION_GENERATE: &str = "obstack.io/generate";

/// What the operator knows beside the stack: of itself, and of what runs already.
#[derive(Clone, Debug, PartialEq)]
pub struct Context {
    /// Image that the reloader of a new workload is taken from: `ghcr.io/obstack/obstack:0.1.0`.
    pub operator_image: String,
    /// Namespace of the operator's own pods; none where it is not known or must not be looked into.
    pub operator_namespace: Option<String>,
    /// What the workloads that exist have pinned, see [`Pinned::of`]. Where the workloads could not be read,
    /// nothing may be built.
    pub pinned: BTreeMap<Role, Pinned>,
    /// Whether the objects that carry the configuration are built too, as for a cluster that has none yet. An
    /// operator that runs delivers them by itself, see [`crate::running::delivery`].
    pub configuration: bool,
    /// Labels of the stack's own namespace, as far as they are known.
    pub namespace_labels: BTreeMap<String, String>,
}

impl Context {
    /// The image that a role's reloader is taken from.
    fn operator_image(&self, role: Role) -> &str {
        self.pinned.get(&role).and_then(|p| p.operator_image.as_deref()).unwrap_or(&self.operator_image)
    }

    /// Size of the volume that a role's replicas have claimed already.
    fn claimed(&self, role: Role) -> Option<Bytes> {
        self.pinned.get(&role).and_then(Pinned::volume)
    }
}

/// The objects of a stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The objects, in the order in which they are applied: what others need comes first.
    pub objects: Vec<WantedObject>,
    /// Wishes that cannot be met as things are, each with what a person can do.
    pub rejected: Vec<Rejected>,
}

/// Why the objects of a stack cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DesiredError {
    /// The patch on a pod template cannot be merged, or leaves no pod template.
    #[error("{path}: found {found}; write {write}")]
    PodTemplate {
        /// Path under `spec`.
        path: String,
        /// What was found there.
        found: String,
        /// What to write instead.
        write: String,
    },
    /// A role is deployed and has no configuration.
    #[error("no configuration was built for {0}")]
    NoConfiguration(&'static str),
    /// A role is deployed and the plan does not say what it takes.
    #[error("the plan has no size for {0}")]
    NoSizing(&'static str),
    /// A configuration cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// An object cannot be written as JSON.
    #[error("writing an object: {0}")]
    Encoding(String),
}

impl DesiredError {
    /// What the error does to the queue.
    pub fn class(&self) -> Class {
        match self {
            Self::PodTemplate { .. } | Self::Pack(_) => Class::Invalid,
            Self::NoConfiguration(_) | Self::NoSizing(_) | Self::Encoding(_) => Class::Bug,
        }
    }
}

/// The objects that a stack wants. Nothing is built for a component whose choice is `None` or one that this
/// operator cannot deploy.
///
/// # Errors
/// See [`DesiredError`].
pub fn desired(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    configs: &Configs,
) -> Result<Wanted, DesiredError> {
    let roles = deployed_roles(plan);
    let handed_over = is_handed_over(plan);
    let mut list = object::List::default();
    for role in &roles {
        match role {
            Role::Metrics | Role::Alerting if handed_over => {
                prometheus_operator::build(*role, valid, plan, context, configs, &mut list)?;
            }
            Role::Metrics => prometheus::build(valid, plan, context, configs, &mut list)?,
            Role::Alerting => alertmanager::build(valid, plan, context, configs, &mut list)?,
            Role::Dashboards => grafana::build(valid, plan, &roles, &mut list)?,
        }
    }
    let mut wanted = list.into_wanted();
    wanted.rejected =
        roles.iter().filter_map(|role| sizing::volume_differs(valid, plan, context, *role)).collect();
    if handed_over {
        wanted.rejected.extend(prometheus_operator::rejected(valid, context, configs, &roles));
    }
    Ok(wanted)
}

/// The flags that a role's engine is to have, by name, as it tells them itself; listen addresses are left
/// out. Empty for an engine that tells none.
///
/// # Errors
/// [`DesiredError::NoSizing`] for a role that the plan does not deploy.
pub fn wanted_flags(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    role: Role,
) -> Result<BTreeMap<String, String>, DesiredError> {
    match role {
        Role::Metrics => prometheus::wanted_flags(valid, plan, context),
        Role::Alerting | Role::Dashboards => Ok(BTreeMap::new()),
    }
}
