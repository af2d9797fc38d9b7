//! All objects of all kinds, with one resource version that only grows, and the log of changes that watches
//! read.

use super::journal::Journal;
use super::meta;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;
use tokio::sync::watch;

/// Changes kept per resource before a watch from further back gets 410.
const LOG_CAPACITY: usize = 20_000;

/// Namespace (empty for cluster-scoped) and name.
pub(crate) type Name = (String, String);
/// Storage and name.
pub(crate) type Location = (String, Name);

/// What a change did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Added,
    Modified,
    Deleted,
}

/// One change of one object.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) change: Change,
    /// The object after the change; for a deletion as it was last, with the version of the deletion.
    pub(crate) object: Arc<Value>,
    /// The object before the change.
    pub(crate) before: Option<Arc<Value>>,
}

#[derive(Debug, Default)]
struct Collection {
    objects: BTreeMap<Name, Arc<Value>>,
    log: VecDeque<Event>,
    /// Watches must start at this version or later.
    compacted: u64,
}

/// The store. Callers hold it in a mutex: every write is one critical section.
#[derive(Debug)]
pub(crate) struct Store {
    version: u64,
    collections: BTreeMap<String, Collection>,
    /// Objects by the UID of an owner that they name.
    dependents: HashMap<String, BTreeSet<Location>>,
    /// Objects written since the last [`Store::take_work`] that have owners or are being deleted.
    touched: BTreeSet<Location>,
    /// UIDs of objects removed since then.
    removed: Vec<String>,
    changed: watch::Sender<u64>,
    journal: Option<Journal>,
}

/// What garbage collection has to look at.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) touched: BTreeSet<Location>,
    pub(crate) removed: Vec<String>,
}

impl Store {
    pub(crate) fn new() -> Self {
        Self {
            version: 1,
            collections: BTreeMap::new(),
            dependents: HashMap::new(),
            touched: BTreeSet::new(),
            removed: Vec::new(),
            changed: watch::Sender::new(1),
            journal: None,
        }
    }

    /// The newest resource version.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Tells of every new version.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn get(&self, storage: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.collections.get(storage)?.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Objects of a namespace, or of all with `None`, by namespace and name.
    pub(crate) fn list(&self, storage: &str, namespace: Option<&str>) -> impl Iterator<Item = &Arc<Value>> {
        let start = match namespace {
            Some(namespace) => Bound::Included((namespace.to_owned(), String::new())),
            None => Bound::Unbounded,
        };
        let namespace = namespace.map(str::to_owned);
        self.collections
            .get(storage)
            .into_iter()
            .flat_map(move |c| c.objects.range((start.clone(), Bound::Unbounded)))
            .take_while(move |((ns, _), _)| namespace.as_ref().is_none_or(|n| n == ns))
            .map(|(_, object)| object)
    }

    /// Objects as they were at an earlier version, by namespace and name; `None` when that is no longer known.
    pub(crate) fn list_at(
        &self,
        storage: &str,
        namespace: Option<&str>,
        version: u64,
    ) -> Option<Vec<Arc<Value>>> {
        let events = self.since(storage, version)?;
        let Some(collection) = self.collections.get(storage) else { return Some(Vec::new()) };
        let mut objects: BTreeMap<Name, Arc<Value>> = collection.objects.clone();
        for event in events.into_iter().rev() {
            let name = (meta::namespace(&event.object).to_owned(), meta::name(&event.object).to_owned());
            match event.before {
                Some(before) => objects.insert(name, before),
                None => objects.remove(&name),
            };
        }
        objects.retain(|(ns, _), _| namespace.is_none_or(|wanted| wanted == ns));
        Some(objects.into_values().collect())
    }

    /// Names of the storages that hold or held something.
    pub(crate) fn storages(&self) -> Vec<String> {
        self.collections.keys().cloned().collect()
    }

    /// Number of objects of a storage.
    pub(crate) fn count(&self, storage: &str) -> usize {
        self.collections.get(storage).map_or(0, |c| c.objects.len())
    }

    /// Writes an object; its `resourceVersion` becomes a new one.
    pub(crate) fn put(&mut self, storage: &str, mut object: Value) -> Arc<Value> {
        self.version += 1;
        meta::set(&mut object, "resourceVersion", Some(self.version.to_string().into()));
        let name = (meta::namespace(&object).to_owned(), meta::name(&object).to_owned());
        let object = Arc::new(object);
        let collection = self.collections.entry(storage.to_owned()).or_default();
        let before = collection.objects.insert(name.clone(), object.clone());
        self.index((storage.to_owned(), name), before.as_deref(), Some(&object));
        let change = if before.is_some() { Change::Modified } else { Change::Added };
        self.record(storage, Event { version: self.version, change, object: object.clone(), before });
        object
    }

    /// Puts an object as it is, without a new version or an event; for a restored snapshot.
    pub(crate) fn restore(&mut self, storage: &str, object: Value) {
        let name = (meta::namespace(&object).to_owned(), meta::name(&object).to_owned());
        self.version = self.version.max(meta::version(&object));
        let object = Arc::new(object);
        let collection = self.collections.entry(storage.to_owned()).or_default();
        let before = collection.objects.insert(name.clone(), object.clone());
        self.index((storage.to_owned(), name), before.as_deref(), Some(&object));
    }

    /// Takes an object away as [`Store::restore`] put it.
    pub(crate) fn forget(&mut self, storage: &str, object: &Value) {
        let name = (meta::namespace(object).to_owned(), meta::name(object).to_owned());
        let removed = self.collections.get_mut(storage).and_then(|c| c.objects.remove(&name));
        self.index((storage.to_owned(), name), removed.as_deref(), None);
    }

    /// From now on every change goes to a journal, or to none.
    pub(crate) fn set_journal(&mut self, journal: Option<Journal>) {
        self.journal = journal;
    }

    /// After a restore: nothing before this version can be watched.
    pub(crate) fn restored(&mut self, version: u64) {
        self.version = self.version.max(version);
        let version = self.version;
        self.collections.values_mut().for_each(|c| c.compacted = version);
        self.changed.send_replace(version);
    }

    /// Removes an object; the one returned carries the version of the deletion.
    pub(crate) fn remove(&mut self, storage: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        let collection = self.collections.get_mut(storage)?;
        let before = collection.objects.remove(&(namespace.to_owned(), name.to_owned()))?;
        self.index((storage.to_owned(), (namespace.to_owned(), name.to_owned())), Some(&before), None);
        self.removed.push(meta::uid(&before).to_owned());
        self.version += 1;
        let mut object = Value::clone(&before);
        meta::set(&mut object, "resourceVersion", Some(self.version.to_string().into()));
        let object = Arc::new(object);
        let event = Event {
            version: self.version,
            change: Change::Deleted,
            object: object.clone(),
            before: Some(before),
        };
        self.record(storage, event);
        Some(object)
    }

    /// Keeps the index by owner, and what garbage collection must look at.
    fn index(&mut self, at: Location, before: Option<&Value>, after: Option<&Value>) {
        for owner in before.into_iter().flat_map(owners) {
            if let Some(set) = self.dependents.get_mut(owner) {
                set.remove(&at);
                if set.is_empty() {
                    self.dependents.remove(owner);
                }
            }
        }
        let Some(after) = after else { return };
        let mut look = meta::is_deleting(after);
        for owner in owners(after) {
            self.dependents.entry(owner.to_owned()).or_default().insert(at.clone());
            look = true;
        }
        if look {
            self.touched.insert(at);
        }
    }

    /// Objects that name the owner with that UID.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Location> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// What changed for garbage collection since the last call.
    pub(crate) fn take_work(&mut self) -> Work {
        Work { touched: std::mem::take(&mut self.touched), removed: std::mem::take(&mut self.removed) }
    }

    fn record(&mut self, storage: &str, event: Event) {
        let version = event.version;
        if let Some(journal) = &self.journal {
            journal.record(storage, &event);
        }
        if let Some(collection) = self.collections.get_mut(storage) {
            collection.log.push_back(event);
            if collection.log.len() > LOG_CAPACITY
                && let Some(oldest) = collection.log.pop_front()
            {
                collection.compacted = oldest.version;
            }
        }
        self.changed.send_replace(version);
    }

    /// Forgets all changes so far: a watch or a continued list from before gets 410.
    pub(crate) fn compact(&mut self) {
        let version = self.version;
        for collection in self.collections.values_mut() {
            collection.log.clear();
            collection.compacted = version;
        }
    }

    /// Begins the history of a storage, unless it has one: a watch from before it gets 410.
    pub(crate) fn begin(&mut self, storage: &str) {
        let version = self.version;
        self.collections
            .entry(storage.to_owned())
            .or_insert_with(|| Collection { compacted: version, ..Collection::default() });
    }

    /// Changes after `version`, oldest first; `None` when they are no longer known.
    pub(crate) fn since(&self, storage: &str, version: u64) -> Option<Vec<Event>> {
        let Some(collection) = self.collections.get(storage) else { return Some(Vec::new()) };
        if version < collection.compacted {
            return None;
        }
        let start = collection.log.partition_point(|e| e.version <= version);
        Some(collection.log.range(start..).cloned().collect())
    }
}

/// UIDs of an object's owners.
fn owners(object: &Value) -> impl Iterator<Item = &str> {
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|o| o.get("uid").and_then(Value::as_str))
}
