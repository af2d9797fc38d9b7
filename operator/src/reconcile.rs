//! ONE reconcile, readable top to bottom: parse, validate, observe, decide, configure, build, apply, say.
//!
//! Validation comes before observation here: it needs no facts, and it says which Secrets are to be read.

mod delivery;
mod handover;
mod held;
mod last;
mod objects;
mod outcome;
mod rejections;
mod world;

use std::collections::BTreeSet;

use kube::api::{DynamicObject, ResourceExt};
use obstack_crds::ObservabilityStack;

use crate::apply::{Done, Owner, is_workload, keys};
use crate::check::judge_stack;
use crate::decide::prompt::prompts;
use crate::decide::records::Seen;
use crate::decide::watch::Watch;
use crate::decide::{DecideFacts, Previous, calibration, records};
use crate::desired::DesiredError;
use crate::error::Class;
use crate::names::StackId;
use crate::observe::{Fact, Haste};
use crate::scrape::{Given, configs};
use crate::status::{End, Reached, wanted_engines};
use crate::validate::{Fault, secret_refs};

pub use last::{Built, Decided};
pub use objects::{Caches, settings as object_settings};
pub use outcome::Outcome;
pub use rejections::Rejections;
use world::whole_second;
pub use world::{Settings, World};

/// Reconciles one stack. `failures` is how often in a row it would have failed, this time included; `haste` says whether
/// something waits to be brought.
pub async fn reconcile(world: &World, object: &DynamicObject, failures: u32, haste: &Haste) -> Outcome {
    let Some(owner) = owner_of(object) else { return Outcome::nothing_to_do() };
    let turn = world.turn(&owner, object, failures);

    let stack = match object.clone().try_parse::<ObservabilityStack>() {
        Ok(stack) => stack,
        Err(error) => return turn.end(Reached::Unreadable(&error.to_string()), None).await,
    };
    let valid = match judge_stack(owner.id.clone(), &stack.spec, turn.before.defaults_version) {
        Ok(valid) => valid,
        Err(faults) => return turn.end(Reached::Invalid(&faults), None).await,
    };

    let references = secret_refs(&valid);
    let turn = turn.referring_to(&references);
    let facts = world.observer.observe(&owner.id, &owner.uid, references, haste).await;
    let existing = match &facts.records {
        Fact::Known(existing) => existing,
        Fact::Unavailable(reason) => {
            return turn.wait(&valid, Class::Transient, &format!("DecisionRecords: {reason}")).await;
        }
    };

    let (previous, catalog, now) = (Previous::of_records(existing), &world.settings.catalog, whole_second());
    let reading = calibration::fullest(facts.readings.values().filter_map(Fact::known));
    let measured = calibration::in_force(existing, reading.map(|reading| &reading.measurements), now);
    turn.show_sizing(&previous, measured.as_ref(), reading);
    let known = DecideFacts { measured, ..DecideFacts::of(&facts) };
    let plan = world.decided.plan(&valid, &known, &previous, catalog);
    let handed = &world.observer.stores.handed;
    if handover::is_concerned(&plan, existing) {
        handed.want();
    }
    let has_types = match handover::has_types(&plan, &facts, &handed.served()) {
        Ok(has_types) => has_types,
        Err(reason) => return turn.wait(&valid, Class::Transient, &reason).await,
    };
    let watch = Watch::of(&owner.id, &plan, &facts, now);
    // A proposal is made with what is measured now, an epoch or not.
    let now_measured = reading.map(|reading| reading.measurements.clone()).or_else(|| known.measured.clone());
    let asked = DecideFacts { measured: now_measured, ..known.clone() };
    let prompts = prompts(&valid, &asked, &previous, catalog, existing, &watch);
    let seen = Seen { watch: &watch, prompts: &prompts };
    let actions = records::next_watched(&plan, &valid, existing, &seen, now);
    let wanted_records = records::after(existing, &actions);

    let objects = match objects::build(world, &valid).await {
        Ok(objects) => objects,
        Err(reason) => return turn.wait(&valid, Class::Transient, &reason).await,
    };
    let secrets = held::known_secrets(&facts);
    let carried = match world.held(&owner).await {
        Ok(carried) => carried,
        Err(error) => return turn.wait(&valid, Class::Transient, &error.to_string()).await,
    };
    let mut packing = world.packing(&owner, &carried);
    let given = Given {
        records: &wanted_records,
        secrets: &secrets,
        operator_namespace: world.settings.operator_namespace.as_deref(),
        objects: &objects,
    };
    let mut built = configs(&valid, &plan, &given, &packing);
    // What an engine refuses is left out from here on, and the rest becomes live without it.
    if let Ok(first) = &built
        && delivery::note_refusals(&mut packing, &first.generations, &facts, &objects)
    {
        built = configs(&valid, &plan, &given, &packing);
    }
    let configs = match built {
        Ok(configs) => configs,
        Err(error) => return turn.wait(&valid, Class::Bug, &error.to_string()).await,
    };
    world.remember(&owner, &configs.generations);
    let context = match world.context(&owner, &plan, &facts) {
        Ok(context) => context,
        Err(reason) => return turn.wait(&valid, Class::Transient, &reason).await,
    };
    let built = match world.built.objects(&valid, &plan, &context, &configs) {
        Ok(built) => built,
        Err(DesiredError::PodTemplate { path, found, write }) => {
            let fault = Fault { path, found, write };
            return turn.end(Reached::Invalid(&[fault]), None).await;
        }
        Err(error) => return turn.wait(&valid, error.class(), &error.to_string()).await,
    };
    let held = held::held_back(&facts);
    let wanted = &built.objects;
    let generations = held::delivered(&configs.generations, &held);
    let engines = wanted_engines(&owner.id, wanted, &generations);
    let limits: Vec<String> = configs.generations.values().filter_map(|g| g.near_limit()).collect();

    let mut done = None;
    let mut waits = Vec::new();
    if !stack.spec.paused {
        let mut doing = Done::default();
        world.applier.record(&owner, &actions, &mut doing).await;
        let writable = handover::writable(&plan, wanted, has_types, &held);
        // What an engine may read comes before the configuration that makes it read, and that before the engine.
        let (workloads, first): (Vec<_>, Vec<_>) =
            writable.into_iter().partition(|object| is_workload(object));
        world.applier.apply(&owner, &first, &mut doing).await;
        if !doing.stopped {
            waits = world.deliver(&owner, &generations, &carried, &facts, &mut doing).await;
        }
        if !doing.stopped {
            world.applier.apply(&owner, &workloads, &mut doing).await;
        }
        if !has_types {
            doing.failures.push(handover::missing(&owner));
        }
        if doing.is_clean() {
            let mut keep = held::kept(&plan, &held);
            keep.extend(handover::still_running(&owner, &plan, &facts));
            let mut kept = keys(&owner, wanted);
            kept.extend(delivery::carriers(&owner, &configs.generations));
            world.applier.prune(&facts.owned, &kept, &keep, &mut doing).await;
        }
        done = Some(doing);
    }

    let written = if done.is_some() { wanted_records } else { existing.clone() };
    let end = End {
        valid: &valid,
        plan: &plan,
        facts: &facts,
        records: &written,
        watch: &watch,
        engines: &engines,
        held: &held,
        rejected: &[
            configs.rejected,
            built.rejected.clone(),
            delivery::rejected(&configs.generations, &objects),
        ]
        .concat(),
        objects: &objects,
        limits: &limits,
        done: done.as_ref(),
    };
    turn.end(Reached::End(&end), done.as_ref()).await.delivering(!waits.is_empty())
}

/// The stack as the owner of what is made for it; none for one that is going.
fn owner_of(object: &DynamicObject) -> Option<Owner> {
    if object.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let id = StackId { namespace: object.namespace()?, name: object.name_any() };
    Some(Owner { id, uid: object.uid()? })
}

/// Names of Secrets.
type SecretNames = BTreeSet<String>;
