//! Objects of others, read and built for one stack.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::World;
use crate::desired::{default_image, wanted_version};
use crate::names::{Role, StackId};
use crate::observe::Fact;
use crate::observe::stores::Scope;
use crate::scrape::sources::{Cache, ObjectSettings, Objects, Picker, SourceKind, Sources, is_searched};
use crate::validate::Valid;

/// How often contents are read in one reconcile: what an object refers to is known only once it is built.
const ROUNDS: usize = 4;

/// What is kept of one stack between its reconciles.
#[derive(Default)]
struct Kept {
    picker: Picker,
    cache: Cache,
}

/// What objects became, by the stack that took them.
#[derive(Default)]
pub struct Caches(Mutex<HashMap<StackId, Kept>>);

impl Caches {
    fn take(&self, id: &StackId) -> Kept {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id).unwrap_or_default()
    }

    fn put(&self, id: &StackId, kept: Kept) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone(), kept);
    }

    /// Forgets a stack that is gone.
    pub fn forget(&self, id: &StackId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

/// What the objects that a stack takes became.
///
/// # Errors
/// What is not known: no configuration may be built without it, because targets would be lost.
pub(super) async fn build(world: &World, valid: &Valid) -> Result<Objects, String> {
    let settings = settings(valid)?;
    let stores = &world.observer.stores;
    let mut sources = Sources::default();
    for kind in SourceKind::ALL.into_iter().filter(|kind| is_searched(valid, *kind)) {
        match stores.foreign.read(kind) {
            Fact::Known(objects) => sources.extend(objects),
            Fact::Unavailable(reason) => return Err(format!("{kind}s: {reason}")),
        }
    }
    let namespaces = match stores.namespace_labels() {
        Fact::Known(namespaces) => namespaces,
        Fact::Unavailable(reason) => return Err(format!("Namespaces: {reason}")),
    };
    let mut kept = world.caches.take(&valid.id);
    let picked = kept.picker.pick(valid, &sources, &namespaces);
    let objects = build_with(world, &mut kept.cache, &settings, &picked).await;
    world.caches.put(&valid.id, kept);
    let mut objects = objects?;
    // Nobody can grant what he does not hold: outside of what is watched, jobs find no target.
    objects.reach.everywhere &= stores.scope == Scope::Cluster;
    objects.reach.namespaces.retain(|namespace| stores.scope.covers(namespace));
    Ok(objects)
}

async fn build_with(
    world: &World,
    cache: &mut Cache,
    settings: &ObjectSettings,
    picked: &Sources,
) -> Result<Objects, String> {
    let contents = &world.observer.contents;
    for _ in 0..ROUNDS {
        let objects = cache.build_from(settings, picked, &contents.known());
        if objects.unknown.is_empty() {
            return Ok(objects);
        }
        contents.read(objects.unknown).await?;
    }
    Err("what objects refer to changes faster than it is read".to_owned())
}

/// What objects of a stack are built with.
///
/// # Errors
/// What in the stack would spoil every object.
pub fn settings(valid: &Valid) -> Result<ObjectSettings, String> {
    let version = |role: Role| {
        let (_, tag) = default_image(valid.defaults_version, role);
        wanted_version(valid, role).unwrap_or_else(|| tag.to_owned())
    };
    ObjectSettings::of(valid, &version(Role::Metrics), &version(Role::Alerting))
}
