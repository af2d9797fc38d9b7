//! What a control plane does by itself next to the store: garbage collection by owner references, the end of
//! namespaces and of custom resource definitions, and what each namespace gets.

use super::handlers::delete::{FOREGROUND, ORPHAN, Options, delete};
use super::registry::{Registry, Resource, crd};
use super::server::{CRDS, Server};
use super::store::{Location, Store};
use super::{bootstrap, lock, meta};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Changes that come within this time are worked on together.
const GATHER: Duration = Duration::from_millis(5);

/// Runs until the server stops.
pub(crate) async fn run(server: Arc<Server>) {
    let mut changed = lock(&server.store).subscribe();
    let mut controllers = Controllers::default();
    loop {
        changed.borrow_and_update();
        {
            let mut store = lock(&server.store);
            bootstrap::equip(&server, &mut store);
            controllers.step(&server, &mut store);
        }
        tokio::select! {
            () = server.shutdown.cancelled() => return,
            result = changed.changed() => if result.is_err() { return },
        }
        tokio::time::sleep(GATHER).await;
    }
}

#[derive(Default)]
struct Controllers {
    /// Objects that wait for others to go, looked at after every change.
    waiting: BTreeSet<Location>,
}

impl Controllers {
    fn step(&mut self, server: &Server, store: &mut Store) {
        let registry = server.registry();
        loop {
            let work = store.take_work();
            let mut look: BTreeSet<Location> = work.touched;
            look.extend(work.removed.iter().flat_map(|uid| store.dependents(uid)));
            let quiet = look.is_empty();
            look.extend(std::mem::take(&mut self.waiting));
            let before = store.version();
            for at in look {
                self.look(server, store, &registry, at);
            }
            if quiet && before == store.version() {
                return;
            }
        }
    }

    fn look(&mut self, server: &Server, store: &mut Store, registry: &Registry, at: Location) {
        let (storage, (namespace, name)) = &at;
        let Some(object) = store.get(storage, namespace, name) else { return };
        let Some(resource) = registry.by_storage(storage) else { return };
        if meta::is_deleting(&object) {
            let waits = if storage == "namespaces" {
                end_namespace(server, store, registry, &resource, &object)
            } else if storage == CRDS {
                end_definition(server, store, registry, &resource, &object)
            } else {
                end_owner(server, store, registry, &resource, &object)
            };
            if waits {
                self.waiting.insert(at);
            }
            return;
        }
        collect(server, store, registry, &resource, &object);
    }
}

/// How an owner reference stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Solid,
    /// Being deleted, waiting for its dependents.
    Waiting,
    Gone,
}

fn owner_state(store: &Store, registry: &Registry, object: &Value, reference: &Value) -> Owner {
    let text = |key: &str| reference.get(key).and_then(Value::as_str).unwrap_or_default();
    let Some(kind) = registry.by_kind(text("apiVersion"), text("kind")) else {
        // A kind that is not served proves nothing.
        return if known_kind(registry, text("apiVersion"), text("kind")) {
            Owner::Gone
        } else {
            Owner::Solid
        };
    };
    let namespace = if kind.namespaced { meta::namespace(object) } else { "" };
    match store.get(&kind.storage, namespace, text("name")) {
        Some(owner) if meta::uid(&owner) == text("uid") => {
            if meta::is_deleting(&owner) && meta::has_finalizer(&owner, FOREGROUND) {
                Owner::Waiting
            } else {
                Owner::Solid
            }
        }
        _ => Owner::Gone,
    }
}

/// Another version of the kind is served.
fn known_kind(registry: &Registry, api_version: &str, kind: &str) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    registry.resources.values().any(|r| r.group == group && r.kind == kind)
}

/// Deletes an object that lost all its owners, or drops references to those it lost.
fn collect(
    server: &Server,
    store: &mut Store,
    registry: &Registry,
    resource: &Resource,
    object: &Arc<Value>,
) {
    let references = object.pointer("/metadata/ownerReferences").and_then(Value::as_array).cloned();
    let references = references.unwrap_or_default();
    if references.is_empty() {
        return;
    }
    let states: Vec<Owner> = references.iter().map(|r| owner_state(store, registry, object, r)).collect();
    if states.iter().all(|s| *s == Owner::Solid) {
        return;
    }
    if states.contains(&Owner::Solid) {
        let kept: Vec<Value> = references
            .into_iter()
            .zip(&states)
            .filter(|(_, state)| **state == Owner::Solid)
            .map(|(reference, _)| reference)
            .collect();
        let mut new = Value::clone(object);
        meta::set(&mut new, "ownerReferences", Some(json!(kept)));
        server.control(store, resource, object, new);
        return;
    }
    let foreground = states.contains(&Owner::Waiting) && !store.dependents(meta::uid(object)).is_empty();
    let policy = if foreground || meta::has_finalizer(object, FOREGROUND) {
        "Foreground"
    } else if meta::has_finalizer(object, ORPHAN) {
        "Orphan"
    } else {
        "Background"
    };
    // Nothing refuses here: there are no preconditions, and protected namespaces have no owner.
    let _ = delete(server, store, resource, object, &Options::with_policy(policy));
}

/// An owner that is being deleted with a finalizer of garbage collection. Returns whether it still waits.
fn end_owner(
    server: &Server,
    store: &mut Store,
    registry: &Registry,
    resource: &Resource,
    object: &Arc<Value>,
) -> bool {
    let uid = meta::uid(object).to_owned();
    let finalizer = if meta::has_finalizer(object, ORPHAN) {
        for (storage, (namespace, name)) in store.dependents(&uid) {
            let Some(dependent) = store.get(&storage, &namespace, &name) else { continue };
            let Some(kind) = registry.by_storage(&storage) else { continue };
            let mut new = Value::clone(&dependent);
            let mut kept = new
                .pointer("/metadata/ownerReferences")
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default();
            kept.retain(|r| r["uid"] != uid.as_str());
            meta::set(&mut new, "ownerReferences", (!kept.is_empty()).then(|| json!(kept)));
            server.control(store, &kind, &dependent, new);
        }
        ORPHAN
    } else if meta::has_finalizer(object, FOREGROUND) {
        let mut blocked = false;
        for (storage, (namespace, name)) in store.dependents(&uid) {
            let Some(dependent) = store.get(&storage, &namespace, &name) else { continue };
            let Some(kind) = registry.by_storage(&storage) else { continue };
            if !meta::is_deleting(&dependent) {
                collect(server, store, registry, &kind, &dependent);
            }
            let still = store.get(&storage, &namespace, &name);
            blocked |= still.as_deref().is_some_and(|d| blocks(d, &uid));
        }
        if blocked {
            return true;
        }
        FOREGROUND
    } else {
        return false;
    };
    let mut new = Value::clone(object);
    let kept: Vec<String> =
        meta::list(&new, "finalizers").into_iter().filter(|f| *f != finalizer).map(str::to_owned).collect();
    meta::set(&mut new, "finalizers", (!kept.is_empty()).then(|| json!(kept)));
    server.control(store, resource, object, new);
    false
}

/// Whether the dependent still holds back the owner with that UID.
fn blocks(dependent: &Value, uid: &str) -> bool {
    let list = dependent.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    list.into_iter().flatten().any(|r| r["uid"] == uid && r["blockOwnerDeletion"] == true)
}

/// Deletes what a terminating namespace holds, then the namespace. Returns whether something is left.
fn end_namespace(
    server: &Server,
    store: &mut Store,
    registry: &Registry,
    resource: &Resource,
    namespace: &Arc<Value>,
) -> bool {
    let name = meta::name(namespace).to_owned();
    let mut left = false;
    for storage in store.storages() {
        let Some(kind) = registry.by_storage(&storage).filter(|k| k.namespaced) else { continue };
        let objects: Vec<Arc<Value>> = store.list(&storage, Some(&name)).cloned().collect();
        for object in objects {
            if !meta::is_deleting(&object) {
                let _ = delete(server, store, &kind, &object, &Options::with_policy("Background"));
            }
        }
        left |= store.list(&storage, Some(&name)).next().is_some();
    }
    if left {
        return true;
    }
    let held = namespace.pointer("/spec/finalizers").and_then(Value::as_array);
    let kept: Vec<Value> = held.into_iter().flatten().filter(|f| *f != "kubernetes").cloned().collect();
    let mut new = Value::clone(namespace);
    new["spec"]["finalizers"] = json!(kept);
    if kept.is_empty() && meta::list(namespace, "finalizers").is_empty() {
        store.remove(&resource.storage, "", &name);
    } else {
        server.control(store, resource, namespace, new);
    }
    false
}

/// Deletes the objects of a custom resource that goes, then the definition. Returns whether some are left.
fn end_definition(
    server: &Server,
    store: &mut Store,
    registry: &Registry,
    resource: &Resource,
    definition: &Arc<Value>,
) -> bool {
    if !meta::has_finalizer(definition, crd::FINALIZER) {
        return false;
    }
    let text = |pointer: &str| definition.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let storage = super::errors::qualified(text("/spec/group"), text("/spec/names/plural"));
    if let Some(kind) = registry.by_storage(&storage) {
        let objects: Vec<Arc<Value>> = store.list(&storage, None).cloned().collect();
        for object in objects.iter().filter(|o| !meta::is_deleting(o)) {
            let _ = delete(server, store, &kind, object, &Options::with_policy(""));
        }
    }
    if store.count(&storage) > 0 {
        return true;
    }
    let mut new = Value::clone(definition);
    let kept: Vec<String> = meta::list(&new, "finalizers")
        .into_iter()
        .filter(|f| *f != crd::FINALIZER)
        .map(str::to_owned)
        .collect();
    meta::set(&mut new, "finalizers", (!kept.is_empty()).then(|| json!(kept)));
    server.control(store, resource, definition, new);
    false
}
