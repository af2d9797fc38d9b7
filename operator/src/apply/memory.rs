//! What the operator remembers of its writes: enough to know that an object needs none.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kube::api::DynamicObject;
use serde_json::Value;

use super::projection::{Hash, differing, hash, project};
use super::{NAMED_PATHS, ObjectKey, to_value};

/// How long a refusal is believed while nothing changes. What is missing may appear at any time.
fn believed(code: u16) -> Duration {
    Duration::from_secs(if code == 404 { 60 } else { 300 })
}

/// Projections up to this size, in bytes of JSON, are kept whole, so that drift can be named field by field.
const KEPT_WHOLE: usize = 16 << 10;

/// What an apply would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: the object is as it was when it was written last, and that is still what is wanted.
    InPlace,
    /// It puts fields back, these for example.
    Drifted(Vec<String>),
    /// It brings something new, or nothing is known of the last write.
    Changed,
    /// It was refused a moment ago, and nothing has changed since.
    Refused(Refused),
}

/// A refusal of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its status code.
    pub code: u16,
    /// Its message.
    pub message: String,
}

struct Written {
    wanted: Hash,
    answer: Hash,
    whole: Option<Value>,
    version: Option<String>,
}

struct Refusal {
    wanted: Hash,
    seen: Option<Hash>,
    at: Instant,
    refused: Refused,
}

/// That an object was found in place.
struct Settled {
    owner: String,
    wanted: Hash,
    version: String,
}

#[derive(Default)]
struct Entry {
    written: Option<Written>,
    refusal: Option<Refusal>,
    deleted: Option<String>,
    settled: Option<Settled>,
}

/// What is remembered, by object.
#[derive(Default)]
pub struct Memory {
    entries: Mutex<HashMap<ObjectKey, Entry>>,
}

impl Memory {
    fn entries(&self) -> MutexGuard<'_, HashMap<ObjectKey, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.entries().clear();
    }

    /// What applying `wanted` would do to an object that is now `seen`, through the fields of `wanted`.
    pub fn judge(&self, key: &ObjectKey, wanted: &Value, seen: Option<&Value>) -> Verdict {
        let entries = self.entries();
        let Some(entry) = entries.get(key) else { return Verdict::Changed };
        let wanted_hash = hash(wanted);
        if let Some(refusal) = &entry.refusal
            && refusal.wanted == wanted_hash
            && refusal.seen == seen.map(hash)
            && refusal.at.elapsed() < believed(refusal.refused.code)
        {
            return Verdict::Refused(refusal.refused.clone());
        }
        let Some(written) = entry.written.as_ref().filter(|written| written.wanted == wanted_hash) else {
            return Verdict::Changed;
        };
        match seen {
            None => Verdict::Drifted(Vec::new()),
            Some(seen) if hash(seen) == written.answer => Verdict::InPlace,
            Some(seen) => {
                Verdict::Drifted(differing(written.whole.as_ref().unwrap_or(wanted), seen, NAMED_PATHS))
            }
        }
    }

    /// Remembers that an object was in place as it is `seen`. `wanted` is of what is wanted of it before it is adopted
    /// for the owner with this UID.
    pub fn settle(&self, key: &ObjectKey, owner: &str, wanted: Hash, seen: &DynamicObject) {
        let Some(version) = seen.metadata.resource_version.clone() else { return };
        if let Some(entry) = self.entries().get_mut(key) {
            entry.settled = Some(Settled { owner: owner.to_owned(), wanted, version });
        }
    }

    /// Whether the same was wanted by the same owner when an object was in place at just this version: then there is
    /// nothing to compare.
    pub fn is_settled(&self, key: &ObjectKey, owner: &str, wanted: Hash, seen: &DynamicObject) -> bool {
        let entries = self.entries();
        let settled = entries.get(key).and_then(|entry| entry.settled.as_ref());
        settled.is_some_and(|settled| {
            settled.owner == owner
                && settled.wanted == wanted
                && seen.metadata.resource_version.as_ref() == Some(&settled.version)
        })
    }

    /// Remembers a write and the server's answer to it.
    pub fn wrote(&self, key: &ObjectKey, wanted: &Value, answer: &DynamicObject) {
        let projected = project(&to_value(answer), wanted);
        let written = Written {
            wanted: hash(wanted),
            answer: hash(&projected),
            version: answer.metadata.resource_version.clone(),
            // Contents of Secrets are not kept twice.
            whole: (key.kind != "Secret" && projected.to_string().len() <= KEPT_WHOLE).then_some(projected),
        };
        self.entries().insert(key.clone(), Entry { written: Some(written), ..Entry::default() });
    }

    /// Remembers that the API would not take an object.
    pub fn refused(&self, key: &ObjectKey, wanted: &Value, seen: Option<&Value>, refused: Refused) {
        let refusal = Refusal { wanted: hash(wanted), seen: seen.map(hash), at: Instant::now(), refused };
        self.entries().entry(key.clone()).or_default().refusal = Some(refusal);
    }

    /// Whether our last write is newer than this view of the object. Versions are compared as numbers; where
    /// they are none, the view is believed.
    pub fn is_ahead_of(&self, key: &ObjectKey, seen: &DynamicObject) -> bool {
        let number = |version: Option<&str>| version.and_then(|version| version.parse::<u64>().ok());
        let entries = self.entries();
        let ours =
            entries.get(key).and_then(|entry| entry.written.as_ref()).and_then(|w| w.version.as_deref());
        match (number(ours), number(seen.metadata.resource_version.as_deref())) {
            (Some(ours), Some(theirs)) => ours > theirs,
            _ => false,
        }
    }

    /// Remembers that the object with this UID was deleted: the watch may show it for a moment longer.
    pub fn deleted(&self, key: &ObjectKey, uid: Option<&str>) {
        let entry = Entry { deleted: uid.map(str::to_owned), ..Entry::default() };
        self.entries().insert(key.clone(), entry);
    }

    /// Whether the object with this UID was deleted already.
    pub fn is_deleted(&self, key: &ObjectKey, uid: Option<&str>) -> bool {
        let entries = self.entries();
        entries
            .get(key)
            .and_then(|entry| entry.deleted.as_deref())
            .is_some_and(|deleted| Some(deleted) == uid)
    }
}
