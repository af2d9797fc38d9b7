//! The only writes to objects that a stack owns: server-side apply in order, then prune what the stack owns
//! and no longer wants. Nothing is written when nothing changed.

pub mod alerts;
mod carried;
mod deliver;
mod failure;
pub mod memory;
pub mod projection;
pub mod prune;
pub mod records;
pub mod writer;

pub use failure::Failure;

use std::collections::BTreeSet;
use std::sync::Arc;

use kube::api::{DynamicObject, ResourceExt};
use obstack_crds::Component;
use serde_json::{Value, json};

use crate::desired::{Policy, WantedObject};
use crate::metrics::Metrics;
use crate::names::{LABEL_MANAGED_BY, LABEL_STACK, LABEL_STACK_NAMESPACE, LABEL_STACK_UID, StackId};
use crate::observe::kinds::Kind;
use crate::observe::observer::belongs;
use crate::observe::stores::Stores;
use failure::ApplyError;
use memory::{Memory, Refused, Verdict};
use writer::{RequestError, Writer};

/// Annotation of an object that is created once: the keys that get a random value, a comma list.
pub const GENERATE: &str = "obstack.io/generate";
/// Length of a generated password: 32 letters and digits hold 190 bits.
const GENERATED_LENGTH: usize = 32;
/// How many paths of a drifted object are named.
const NAMED_PATHS: usize = 5;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Name of its kind.
    pub kind: String,
    /// Its namespace; none where the kind has none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{}/{namespace}/{}", self.kind, self.name),
            None => write!(f, "{}/{}", self.kind, self.name),
        }
    }
}

/// The stack that owns what is applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Which stack.
    pub id: StackId,
    /// UID of that stack: a later stack of the same name has another.
    pub uid: String,
}

impl Owner {
    /// The object as it is sent: owned by the stack where an owner can reach, labelled with its UID where it
    /// cannot.
    fn adopt(&self, key: &ObjectKey, body: &Value) -> Value {
        let mut body = body.clone();
        if let Some(namespace) = &key.namespace {
            body["metadata"]["namespace"] = json!(namespace);
        }
        if key.namespace.as_deref() == Some(&self.id.namespace) {
            // Not blocking the owner's deletion needs no right on the stack's finalizers.
            body["metadata"]["ownerReferences"] = json!([{
                "apiVersion": format!("{}/{}", obstack_crds::GROUP, obstack_crds::VERSION),
                "kind": "ObservabilityStack",
                "name": self.id.name,
                "uid": self.uid,
                "controller": true,
                "blockOwnerDeletion": false,
            }]);
        } else {
            for (label, value) in [
                (LABEL_STACK_UID, &self.uid),
                (LABEL_STACK, &self.id.name),
                (LABEL_STACK_NAMESPACE, &self.id.namespace),
            ] {
                body["metadata"]["labels"][label] = json!(value);
            }
        }
        body
    }

    /// Whether an object that is there already may be written: it is this stack's, or that of an earlier stack
    /// of the same name.
    fn may_take(&self, present: &DynamicObject) -> bool {
        let labels = present.labels();
        let label = |name: &str| labels.get(name).map(String::as_str);
        let by_us = label(LABEL_MANAGED_BY) == Some("obstack") && label(LABEL_STACK) == Some(&self.id.name);
        let home = label(LABEL_STACK_NAMESPACE).or(present.metadata.namespace.as_deref());
        let owner = present.owner_references().iter().find(|owner| owner.controller == Some(true));
        let free = owner.is_none_or(|owner| owner.kind == "ObservabilityStack" && owner.name == self.id.name);
        belongs(present, &self.uid) || (by_us && free && home == Some(&self.id.namespace))
    }
}

/// An object with a field of ours that somebody else had changed, and that was put back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// Which object.
    pub object: ObjectKey,
    /// Which fields, by path; empty where the whole object was gone.
    pub paths: Vec<String>,
}

/// What came of applying what is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Objects that were written.
    pub written: Vec<ObjectKey>,
    /// Objects that were put back.
    pub drift: Vec<Drift>,
    /// Objects that were deleted.
    pub pruned: Vec<ObjectKey>,
    /// Objects that could not be written.
    pub failures: Vec<Failure>,
    /// Objects of the stack that are as wanted.
    pub in_place: usize,
    /// This process stopped leading on the way.
    pub stopped: bool,
}

impl Done {
    /// Components that something could not be written for: what comes later of them waits. A workload that cannot
    /// be written stops nothing.
    pub fn broken(&self) -> BTreeSet<Component> {
        let stops = |failure: &&Failure| !Kind::of(&failure.object.kind).is_some_and(Kind::is_workload);
        self.failures.iter().filter(stops).map(|failure| failure.component).collect()
    }

    /// Whether all went well so far.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty() && !self.stopped
    }
}

/// Applies what is wanted.
pub struct Applier {
    /// Sends the writes.
    pub writer: Writer,
    stores: Stores,
    metrics: Arc<Metrics>,
    memory: Memory,
    carriers: carried::Carriers,
}

impl Applier {
    /// An applier that remembers nothing yet.
    pub fn new(writer: Writer, stores: Stores, metrics: Arc<Metrics>) -> Self {
        Self { writer, stores, metrics, memory: Memory::default(), carriers: Default::default() }
    }

    /// Forgets what was written: another process may have written since.
    pub fn forget(&self) {
        self.memory.clear();
        self.carriers.clear();
    }

    /// Applies what is wanted, in order. A failure stops the later objects of its component, because a pointer
    /// must never name a part that was not written; a workload that cannot be written stops nothing.
    pub async fn apply(&self, owner: &Owner, wanted: &[&WantedObject], done: &mut Done) {
        let mut broken = done.broken();
        for &object in wanted {
            if broken.contains(&object.component) {
                continue;
            }
            let Err(error) = self.apply_one(owner, object, done).await else { continue };
            match error {
                ApplyError::Request(_, RequestError::NotLeader(_)) => {
                    done.stopped = true;
                    return;
                }
                error => {
                    let failure = error.into_failure(object.component);
                    if !Kind::of(&failure.object.kind).is_some_and(Kind::is_workload) {
                        broken.insert(object.component);
                    }
                    done.failures.push(failure);
                }
            }
        }
    }

    async fn apply_one(
        &self,
        owner: &Owner,
        object: &WantedObject,
        done: &mut Done,
    ) -> Result<(), ApplyError> {
        let (kind, key) = identify(owner, &object.body)?;
        let failed = |error| ApplyError::Request(key.clone(), error);
        let present = self.present(kind, &key).await.map_err(failed)?;
        let wanted = projection::hash(&object.body);
        if let Some(present) = present.as_deref()
            && self.memory.is_settled(&key, &owner.uid, wanted, present)
        {
            done.in_place += 1;
            return Ok(());
        }
        if let Some(present) = present.as_deref()
            && !owner.may_take(present)
        {
            return Err(ApplyError::NameTaken(key));
        }
        let body = owner.adopt(&key, &object.body);
        if object.policy == Policy::CreateOnce {
            return self.create_once(owner, kind, &key, body, present.is_some(), done).await;
        }
        let seen = present.as_deref().map(|present| projection::project(&to_value(present), &body));
        let drifted = match self.memory.judge(&key, &body, seen.as_ref()) {
            Verdict::InPlace => {
                if let Some(present) = present.as_deref() {
                    self.memory.settle(&key, &owner.uid, wanted, present);
                }
                done.in_place += 1;
                return Ok(());
            }
            Verdict::Refused(refusal) => return Err(ApplyError::Refused(key, refusal)),
            Verdict::Drifted(paths) => Some(paths),
            Verdict::Changed => None,
        };
        let namespace = key.namespace.as_deref();
        match self.writer.apply(&kind.resource(), namespace, &key.name, &body).await {
            Ok(answer) => {
                self.memory.wrote(&key, &body, &answer);
                done.in_place += 1;
                // Applying what is there already changes nothing, as after a restart of the operator.
                let unchanged = present.as_ref().is_some_and(|before| {
                    before.metadata.resource_version == answer.metadata.resource_version
                });
                if let Some(paths) = drifted.filter(|_| !unchanged) {
                    self.metrics.count_drift(kind.name);
                    done.drift.push(Drift { object: key.clone(), paths });
                }
                if !unchanged {
                    done.written.push(key);
                }
                Ok(())
            }
            Err(error) => {
                // Asking again brings nothing before something changes, or somebody grants a right.
                if let Some(code @ (403 | 404 | 422)) = error.code() {
                    let refused = Refused { code, message: error.to_string() };
                    self.memory.refused(&key, &body, seen.as_ref(), refused);
                }
                Err(ApplyError::Request(key, error))
            }
        }
    }

    async fn create_once(
        &self,
        owner: &Owner,
        kind: &Kind,
        key: &ObjectKey,
        mut body: Value,
        present: bool,
        done: &mut Done,
    ) -> Result<(), ApplyError> {
        if present {
            done.in_place += 1;
            return Ok(());
        }
        let failed = |error| ApplyError::Request(key.clone(), error);
        generate(&mut body);
        let unusable = |error: serde_json::Error| RequestError::Unusable(error.to_string());
        let object: DynamicObject = serde_json::from_value(body).map_err(unusable).map_err(failed)?;
        let namespace = key.namespace.as_deref().unwrap_or(&owner.id.namespace);
        match self.writer.create(&kind.resource(), namespace, &object).await {
            Ok(_) => done.written.push(key.clone()),
            // Somebody was faster; it is left alone like any that is there.
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(failed(error)),
        }
        done.in_place += 1;
        Ok(())
    }

    /// The object as it is now: as the watch saw it, or read anew where the watch has not seen our last write
    /// yet or knows no such object.
    async fn present(
        &self,
        kind: &Kind,
        key: &ObjectKey,
    ) -> Result<Option<Arc<DynamicObject>>, RequestError> {
        let namespace = key.namespace.as_deref();
        let seen = self.stores.of(kind.name).and_then(|store| store.get(namespace, &key.name));
        match seen {
            Some(object) if !self.memory.is_ahead_of(key, &object) => Ok(Some(object)),
            _ => Ok(self.writer.get(&kind.resource(), namespace, &key.name).await?.map(Arc::new)),
        }
    }
}

/// The kind and the key of a wanted object.
fn identify(owner: &Owner, body: &Value) -> Result<(&'static Kind, ObjectKey), ApplyError> {
    let name = body["kind"].as_str().unwrap_or_default();
    let Some(kind) = Kind::of(name) else {
        return Err(ApplyError::Unusable(format!("{name:?} is no kind that a stack owns")));
    };
    let key = key_of(owner, kind, body);
    if key.name.is_empty() {
        return Err(ApplyError::Unusable(format!("a {name} has no name")));
    }
    Ok((kind, key))
}

/// The key of a wanted object: without a namespace of its own it lives in the stack's.
fn key_of(owner: &Owner, kind: &Kind, body: &Value) -> ObjectKey {
    let metadata = &body["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or(&owner.id.namespace);
    ObjectKey {
        kind: kind.name.to_owned(),
        namespace: (!kind.cluster).then(|| namespace.to_owned()),
        name: metadata["name"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The keys of everything that is wanted; what cannot be identified is not in it and was reported by `apply`.
pub fn keys(owner: &Owner, wanted: &[WantedObject]) -> BTreeSet<ObjectKey> {
    wanted.iter().filter_map(|object| identify(owner, &object.body).ok()).map(|(_, key)| key).collect()
}

/// Whether an object runs pods.
pub fn is_workload(object: &WantedObject) -> bool {
    object.body["kind"].as_str().and_then(Kind::of).is_some_and(Kind::is_workload)
}

fn to_value(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap_or_default()
}

/// Puts a random value under each key that the object asks for.
fn generate(body: &mut Value) {
    use base64::Engine;
    use rand::distr::{Alphanumeric, SampleString};
    let keys = body["metadata"]["annotations"][GENERATE].as_str().unwrap_or_default().to_owned();
    for key in keys.split(',').map(str::trim).filter(|key| !key.is_empty()) {
        let secret = Alphanumeric.sample_string(&mut rand::rng(), GENERATED_LENGTH);
        body["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(secret));
    }
}

#[cfg(test)]
mod tests;
