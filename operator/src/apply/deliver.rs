//! The writes that bring a configuration to its engine, in the order that [`crate::running::delivery`] says.

use std::sync::Arc;

use kube::api::DynamicObject;
use serde_json::Value;

use super::carried::Carried;
use super::failure::ApplyError;
use super::writer::RequestError;
use super::{Applier, Done, ObjectKey, Owner};
use crate::names::Role;
use crate::observe::kinds::Kind;
use crate::observe::observer::belongs;
use crate::running::delivery::{Held, Next, Write};
use crate::running::{
    Generation, MAX_PARTS, Slot, Which, part_object, part_secret, pointer_object, pointer_secret_name,
};

const SECRET: &str = "Secret";

impl Applier {
    /// What the cluster holds of the configuration of a role. A pointer is read anew where it is not known what
    /// was written last, as after a start: another process may have written it a moment ago.
    ///
    /// # Errors
    /// When the watch of Secrets has not synced, or a read fails.
    pub async fn held(&self, owner: &Owner, role: Role) -> Result<Held, RequestError> {
        let unknown = || RequestError::Unusable("Secrets are not watched".to_owned());
        let store = self.stores.of(SECRET).ok_or_else(unknown)?;
        if let Some(reason) = store.missing() {
            return Err(RequestError::Unusable(format!("Secrets: {reason}")));
        }
        let mut held = Held::default();
        for slot in Slot::ALL {
            for index in 0..MAX_PARTS {
                let name = part_secret(&owner.id, role, slot, index);
                if let Some(Carried::Part(Some(digest))) = self.carried(owner, &name, false).await? {
                    held.parts.insert((slot, index), digest);
                }
            }
        }
        for which in Which::ALL {
            let name = pointer_secret_name(&owner.id, role, which);
            let carried = self.carried(owner, &name, true).await?;
            let Some(Carried::Pointer(pointer)) = carried else { continue };
            let pointer = pointer.map(Arc::unwrap_or_clone);
            match which {
                Which::Candidate => held.candidate = pointer,
                Which::Proven => held.proven = pointer,
            }
        }
        Ok(held)
    }

    /// Whether a version of a Secret that carries configuration was read or written by this process last.
    pub fn knows_carrier(&self, namespace: &str, name: &str, version: u64) -> bool {
        self.carriers.is_known(namespace, name, version)
    }

    /// What one Secret of this stack holds; none where there is none. `surely` asks the API where nothing is
    /// known yet.
    async fn carried(
        &self,
        owner: &Owner,
        name: &str,
        surely: bool,
    ) -> Result<Option<Carried>, RequestError> {
        let namespace = owner.id.namespace.as_str();
        let seen = self.stores.of(SECRET).and_then(|store| store.get(Some(namespace), name));
        let seen = match (seen, self.carriers.last(namespace, name)) {
            (Some(seen), Some(_)) => Some(seen),
            (Some(seen), None) if !surely => Some(seen),
            (None, None) if !surely => None,
            (None, Some(Carried::Absent)) => None,
            // It was written and is not shown yet, or it is gone, or nothing is known at all.
            _ => {
                let read = match Kind::of(SECRET) {
                    Some(kind) => self.writer.get(&kind.resource(), Some(namespace), name).await?,
                    None => None,
                };
                read.map(Arc::new)
            }
        };
        let Some(seen) = seen.filter(|seen| belongs(seen, &owner.uid)) else {
            self.carriers.gone(namespace, name);
            return Ok(None);
        };
        Ok(Some(self.carriers.read(namespace, name, &seen)))
    }

    /// Writes what is to be written now. A failure stops the rest, because a pointer must never name a part
    /// that was not written.
    pub async fn deliver(
        &self,
        owner: &Owner,
        role: Role,
        generation: &Generation,
        next: &Next,
        done: &mut Done,
    ) {
        for write in &next.writes {
            match self.deliver_one(owner, role, generation, write).await {
                Ok(key) => done.written.push(key),
                Err(ApplyError::Request(_, RequestError::NotLeader(_))) => {
                    done.stopped = true;
                    return;
                }
                Err(error) => {
                    done.failures.push(error.into_failure(role.component()));
                    return;
                }
            }
        }
    }

    async fn deliver_one(
        &self,
        owner: &Owner,
        role: Role,
        generation: &Generation,
        write: &Write,
    ) -> Result<ObjectKey, ApplyError> {
        let unusable = |why: String| ApplyError::Unusable(why);
        let (secret, carried) = match write {
            Write::Part(slot, index) => {
                let part =
                    generation.parts.get(*index).ok_or_else(|| unusable(format!("no part {index}")))?;
                (part_object(&owner.id, role, *slot, part), Carried::Part(Some(part.digest.clone())))
            }
            Write::Pointer(which, pointer) => {
                let object = pointer_object(&owner.id, role, *which, pointer);
                let object = object.map_err(|error| unusable(error.to_string()))?;
                (object, Carried::Pointer(Some(Arc::new(pointer.clone()))))
            }
        };
        let body = serde_json::to_value(secret).map_err(|error| unusable(error.to_string()))?;
        let kind = Kind::of(SECRET).ok_or_else(|| unusable("Secrets are no kind".to_owned()))?;
        let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let namespace = owner.id.namespace.clone();
        let key = ObjectKey { kind: SECRET.to_owned(), namespace: Some(namespace.clone()), name };
        let answer = self.put(owner, kind, &key, owner.adopt(&key, &body)).await?;
        self.carriers.wrote(&namespace, &key.name, &answer, carried);
        Ok(key)
    }

    /// Creates an object, or applies it where it is there already and ours: one request either way, where the
    /// watch is up to date.
    async fn put(
        &self,
        owner: &Owner,
        kind: &Kind,
        key: &ObjectKey,
        body: Value,
    ) -> Result<DynamicObject, ApplyError> {
        let failed = |error| ApplyError::Request(key.clone(), error);
        let namespace = owner.id.namespace.as_str();
        let mut present = self.stores.of(kind.name).and_then(|store| store.get(Some(namespace), &key.name));
        if present.is_none() && !self.carriers.has(namespace, &key.name) {
            let unusable = |error: serde_json::Error| RequestError::Unusable(error.to_string());
            let object: DynamicObject =
                serde_json::from_value(body.clone()).map_err(unusable).map_err(failed)?;
            match self.writer.create(&kind.resource(), namespace, &object).await {
                Err(error) if error.code() == Some(409) => {
                    let read = self.writer.get(&kind.resource(), Some(namespace), &key.name).await;
                    present = read.map_err(failed)?.map(Arc::new);
                }
                other => return other.map_err(failed),
            }
        }
        if present.is_some_and(|present| !owner.may_take(&present)) {
            return Err(ApplyError::NameTaken(key.clone()));
        }
        self.writer.apply(&kind.resource(), Some(namespace), &key.name, &body).await.map_err(failed)
    }
}
