//! What the Secrets that carry configuration hold. Each is read once per version: a reconcile at rest costs a
//! look at its version, however large it is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::DynamicObject;

use crate::running::{PART_KEY, POINTER_KEY, Pointer, part_digest};

/// What a Secret that carries configuration holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Carried {
    /// A part of this digest; none where it is none.
    Part(Option<String>),
    /// A pointer; none where it cannot be read.
    Pointer(Option<Arc<Pointer>>),
    /// There is no such Secret.
    Absent,
}

/// By namespace and name: the version, and what it holds.
type Known = HashMap<(String, String), (Option<u64>, Carried)>;

/// What was read or written last.
#[derive(Default)]
pub(super) struct Carriers {
    known: Mutex<Known>,
}

impl Carriers {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        self.known().clear();
    }

    /// Notes that there is no such Secret.
    pub(super) fn gone(&self, namespace: &str, name: &str) {
        self.known().insert((namespace.to_owned(), name.to_owned()), (None, Carried::Absent));
    }

    /// What is known of a Secret.
    pub(super) fn last(&self, namespace: &str, name: &str) -> Option<Carried> {
        let key = (namespace.to_owned(), name.to_owned());
        self.known().get(&key).map(|(_, carried)| carried.clone())
    }

    /// Whether a Secret was there when it was read or written last.
    pub(super) fn has(&self, namespace: &str, name: &str) -> bool {
        self.last(namespace, name).is_some_and(|carried| carried != Carried::Absent)
    }

    /// What a Secret holds: as the watch shows it, or as it was written last where the watch lags.
    pub(super) fn read(&self, namespace: &str, name: &str, seen: &DynamicObject) -> Carried {
        let version = version(seen);
        let key = (namespace.to_owned(), name.to_owned());
        let known = self.known().get(&key).cloned();
        if let Some((ours, carried)) = known
            && version.is_some()
            && ours >= version
        {
            return carried;
        }
        let carried = content(seen);
        self.known().insert(key, (version, carried.clone()));
        carried
    }

    /// Whether a version of a Secret is the one that was read or written last.
    pub(super) fn is_known(&self, namespace: &str, name: &str, version: u64) -> bool {
        let key = (namespace.to_owned(), name.to_owned());
        self.known().get(&key).is_some_and(|(known, _)| *known == Some(version))
    }

    /// Remembers what was written.
    pub(super) fn wrote(&self, namespace: &str, name: &str, answer: &DynamicObject, carried: Carried) {
        self.known().insert((namespace.to_owned(), name.to_owned()), (version(answer), carried));
    }
}

fn version(object: &DynamicObject) -> Option<u64> {
    object.metadata.resource_version.as_deref()?.parse().ok()
}

fn content(object: &DynamicObject) -> Carried {
    let bytes = |key: &str| STANDARD.decode(object.data["data"][key].as_str()?).ok();
    match bytes(POINTER_KEY) {
        Some(pointer) => Carried::Pointer(Pointer::parse(&pointer).ok().map(Arc::new)),
        None => Carried::Part(bytes(PART_KEY).and_then(|gzip| part_digest(&gzip))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::running::{Engine as Configured, Fragment, Generation};

    fn secret(version: &str, gzip: &[u8]) -> DynamicObject {
        let body = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": "s", "namespace": "n", "resourceVersion": version },
            "data": { PART_KEY: STANDARD.encode(gzip) }
        });
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn the_newer_of_what_was_written_and_what_is_seen_counts() {
        let main = Fragment::new("main", "prometheus.yaml", b"global: {}".to_vec());
        let part = Generation::build(Configured::Prometheus, vec![main]).unwrap().parts.remove(0);
        let carriers = Carriers::default();
        let read = |seen: &DynamicObject| carriers.read("n", "s", seen);
        assert_eq!(read(&secret("5", &part.gzip)), Carried::Part(Some(part.digest.clone())));
        let ours = Carried::Part(Some("ours".to_owned()));
        carriers.wrote("n", "s", &secret("7", b""), ours.clone());
        assert_eq!(read(&secret("5", &part.gzip)), ours, "the watch lags");
        assert_eq!(read(&secret("7", b"")), ours, "a version is read once");
        let known = [6, 7, 8].map(|version| carriers.is_known("n", "s", version));
        assert_eq!(known, [false, true, false], "what others wrote before or after is news");
        assert_eq!(read(&secret("8", b"by hand")), Carried::Part(None));
        carriers.gone("n", "s");
        assert!(!carriers.has("n", "s"));
        assert_eq!(read(&secret("9", &part.gzip)), Carried::Part(Some(part.digest)), "it came back");
    }
}
