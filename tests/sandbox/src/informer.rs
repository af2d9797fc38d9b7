//! A watched copy of all objects of a kind, in a fixed order, with a signal for each change.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Namespace (empty for cluster-scoped objects) and name.
pub type Key = (String, String);

/// Identity and version of an object in a cache: its UID and resource version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// UID of the object.
    pub uid: String,
    /// Resource version as the server wrote it.
    pub resource_version: String,
    /// Whether the object is on its way out.
    pub deleting: bool,
}

/// What a cache of any kind tells of its objects.
pub trait Watched: Send + Sync {
    /// Version of an object, where the cache holds it.
    fn version(&self, key: &Key) -> Option<Version>;
    /// A receiver that is told of every change; its value counts them.
    fn changes(&self) -> watch::Receiver<u64>;
    /// Whether the first list has arrived.
    fn synced(&self) -> bool;
}

struct State<K> {
    objects: BTreeMap<Key, Arc<K>>,
    /// Objects of a list that is under way; they replace the others when it is complete.
    incoming: Option<BTreeMap<Key, Arc<K>>>,
    synced: bool,
}

/// A watched copy of all objects of a kind. It follows the server until its token is cancelled.
pub struct Informer<K> {
    state: RwLock<State<K>>,
    changes: watch::Sender<u64>,
}

/// What an object must be to be watched.
pub trait Kind:
    Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static
{
}
impl<K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static> Kind for K {}

/// Key of an object.
pub fn key_of<K: Resource>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl<K: Kind> Informer<K> {
    /// Starts to watch; returns at once. `stop` ends the watch.
    pub fn start(api: Api<K>, config: watcher::Config, stop: CancellationToken) -> Arc<Self> {
        let informer = Arc::new(Self {
            state: RwLock::new(State { objects: BTreeMap::new(), incoming: None, synced: false }),
            changes: watch::Sender::new(0),
        });
        let sink = informer.clone();
        tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, config).default_backoff());
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    event = events.next() => match event {
                        Some(Ok(event)) => sink.take(event),
                        Some(Err(error)) => tracing::debug!(kind = %K::kind(&()), %error, "watch interrupted"),
                        None => return,
                    },
                }
            }
        });
        informer
    }

    fn take(&self, event: watcher::Event<K>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            watcher::Event::Init => {
                state.incoming = Some(BTreeMap::new());
                return;
            }
            watcher::Event::InitApply(object) => {
                state.incoming.get_or_insert_default().insert(key_of(&object), Arc::new(object));
                return;
            }
            watcher::Event::InitDone => {
                if let Some(objects) = state.incoming.take() {
                    state.objects = objects;
                }
                state.synced = true;
            }
            watcher::Event::Apply(object) => {
                state.objects.insert(key_of(&object), Arc::new(object));
            }
            watcher::Event::Delete(object) => {
                state.objects.remove(&key_of(&object));
            }
        }
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    /// The object under a key.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// All objects, by namespace and name.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).objects.values().cloned().collect()
    }

    /// The objects of one namespace, by name.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let from = (namespace.to_owned(), String::new());
        state
            .objects
            .range(from..)
            .take_while(|(key, _)| key.0 == namespace)
            .map(|(_, o)| o.clone())
            .collect()
    }
}

impl<K: Kind> Watched for Informer<K> {
    fn version(&self, key: &Key) -> Option<Version> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let meta = state.objects.get(key)?.meta();
        Some(Version {
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.clone().unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn synced(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).synced
    }
}

impl<K: Kind> Informer<K> {
    /// A cache with fixed content, for tests of pure functions.
    #[cfg(test)]
    pub(crate) fn fixed(objects: impl IntoIterator<Item = K>) -> Arc<Self> {
        let objects = objects.into_iter().map(|object| (key_of(&object), Arc::new(object))).collect();
        Arc::new(Self {
            state: RwLock::new(State { objects, incoming: None, synced: true }),
            changes: watch::Sender::new(0),
        })
    }
}
