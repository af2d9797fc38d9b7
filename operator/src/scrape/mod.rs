//! Pure: a valid stack becomes the configuration of its engines, as fragments.

mod additions;
#[cfg(test)]
mod additions_tests;
mod alertmanager;
pub mod assets;
pub(crate) mod authored;
pub mod collect;
pub mod contents;
mod discovery;
pub mod engine;
pub mod jobs;
pub mod judge;
pub mod objects;
mod prometheus;
pub mod references;
pub mod routing;
pub mod settings;
pub mod sources;
#[cfg(test)]
mod tests;
pub mod version;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use obstack_crds::status::Rejected;
use obstack_crds::workload::SecretKey;
use obstack_crds::{Component, DecisionRecord};
use serde_json::Value;

use crate::decide::Plan;
use crate::names::Role;
use crate::rules::tripwires;
use crate::running::{Engine, Fragment, Generation, PackError, Packing};
use crate::validate::Valid;
use crate::yaml::{EmitError, emit};

use sources::Objects;

pub use additions::{Additions, home_of};
pub use discovery::{DISCOVERED_EVERYWHERE, discovered_namespaces};

/// The configuration of every engine of a stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configs {
    /// What each role is to run. A role that is not deployed, or whose engine is not configured by files, has
    /// none.
    pub generations: BTreeMap<Role, Arc<Generation>>,
    /// The stack's own files of the roles whose configuration prometheus-operator builds. Such a role has no
    /// generation.
    pub handed_over: BTreeMap<Role, Vec<Fragment>>,
    /// Where targets of objects of others are looked for.
    pub reach: objects::Reach,
    /// What was kept out, each with its reason. The others go on.
    pub rejected: Vec<Rejected>,
}

/// Why no configuration can be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// It cannot be written.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// A file of the rule library cannot be read: a fault of this build.
    #[error("rule library: {0}")]
    Library(String),
}

/// What configuration is built from beside the stack and its plan.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// The stack's decision records as they are to be: those in force say what their tripwires watch.
    pub records: &'a [DecisionRecord],
    /// The contents of the Secrets that receivers refer to; one that is missing costs its receiver an integration
    /// and is named in [`Configs::rejected`].
    pub secrets: &'a BTreeMap<SecretKey, Vec<u8>>,
    /// Where the operator's own pods are, where that is known.
    pub operator_namespace: Option<&'a str>,
    /// What objects of others became.
    pub objects: &'a Objects,
}

/// The configuration of every engine that is deployed. `packing` spares what did not change, and leaves out what
/// engines refused.
///
/// # Errors
/// A configuration that is too large to be packed.
pub fn configs(
    valid: &Valid,
    plan: &Plan,
    given: &Given<'_>,
    packing: &Packing,
) -> Result<Configs, ConfigError> {
    let Given { records, secrets, operator_namespace, objects } = *given;
    let roles = deployed_roles(plan);
    let handed_over = is_handed_over(plan);
    let mut done = Configs { reach: objects.reach.clone(), ..Configs::default() };
    if roles.contains(&Role::Metrics) {
        let mut fragments = prometheus::fragments(valid, &roles, operator_namespace, &objects.additions)?;
        fragments.extend(crate::rules::fragments(valid, &roles)?);
        fragments.extend(tripwires::fragments(valid, plan, &roles, records)?);
        done.rejected.extend(crate::rules::unknown(valid)?);
        done.rejected.extend(objects.additions.rejected());
        if handed_over {
            // Nothing of ours stands beside those engines.
            fragments.retain(|fragment| !OF_RELOADERS.contains(&fragment.key.as_str()));
            fragments.extend(objects.additions.jobs().cloned());
            done.handed_over.insert(Role::Metrics, fragments);
        } else {
            let generation = packing.build_with(Engine::Prometheus, fragments, &objects.fragments)?;
            done.generations.insert(Role::Metrics, generation);
        }
    }
    if roles.contains(&Role::Alerting) {
        let engine = Engine::Alertmanager;
        let none = Objects::default();
        let merged = if handed_over { &none } else { objects };
        let kept_out = packing.kept_out.get(&engine).map(Vec::as_slice).unwrap_or_default();
        let made = alertmanager::fragments(valid, secrets, merged, kept_out)?;
        done.rejected.extend(made.rejected);
        if handed_over {
            done.handed_over.insert(Role::Alerting, made.fragments);
        } else {
            let generation = packing.build_without(engine, made.fragments, made.kept_out)?;
            done.generations.insert(Role::Alerting, generation);
        }
    }
    // What becomes of objects of others is for prometheus-operator to say, where it takes them.
    if !handed_over {
        done.rejected.extend(objects.rejected.iter().cloned());
    }
    Ok(done)
}

/// Keys of the fragments that speak of reloaders.
const OF_RELOADERS: [&str; 2] = ["scrape/reloader", "rules/library.reloader"];
/// The option of [`Component::Delivery`] by which prometheus-operator runs the engines.
pub const HANDED_OVER: &str = "PrometheusOperator";

/// Whether Prometheus and Alertmanager are handed over to prometheus-operator.
pub fn is_handed_over(plan: &Plan) -> bool {
    plan.deployed(Component::Delivery) == Some(HANDED_OVER)
}

/// The option by which this operator fills each role.
pub fn option_of(role: Role) -> &'static str {
    match role {
        Role::Metrics => "Prometheus",
        Role::Alerting => "Alertmanager",
        Role::Dashboards => "Grafana",
    }
}

/// The roles that a plan has deployed. A choice that the operator cannot deploy has no role, and is never
/// replaced by another one.
pub fn deployed_roles(plan: &Plan) -> BTreeSet<Role> {
    let is = |component: Component, option: &str| plan.deployed(component) == Some(option);
    Role::ALL.into_iter().filter(|role| is(role.component(), option_of(*role))).collect()
}

/// A file of YAML as a fragment.
fn file(key: &str, path: &str, content: &Value) -> Result<Fragment, EmitError> {
    Ok(Fragment::new(key, path, emit(content)?.into_bytes()))
}
