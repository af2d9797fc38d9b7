//! What the watches have seen: one store per kind and namespace, each with whether it has synced, and what its
//! events set off.

use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::api::{Api, ApiResource, DynamicObject, PartialObjectMeta, Resource, ResourceExt, TypeMeta};
use kube::runtime::reflector::{Lookup, ObjectRef, Store, store::Writer};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, CustomResourceExt};
use obstack_crds::{DecisionRecord, ObservabilityStack};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::Fact;
use super::cluster::Cluster;
use super::discovery::News;
use super::foreign::Foreign;
use super::handed::{Follower, Handed};
use super::kinds::{Kind, OWNED};
use super::slim::Named;
use crate::names::{LABEL_STACK, LABEL_STACK_NAMESPACE, SELECTOR_OWNED, StackId};
use crate::scrape::contents::{Holder, Place};
use crate::scrape::sources::Namespaces;

/// What a watch has set off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A stack or something of its own changed.
    Stack(StackId),
    /// An object of a stack that this process writes over and over is now as shown: that may be no more than the echo
    /// of its own write.
    Shown(StackId, Shown),
    /// A stack is gone.
    Gone(StackId),
    /// A Secret or a ConfigMap changed, appeared or went: those stacks are meant that refer to it.
    Content(Place),
    /// Any Secret or ConfigMap can have changed.
    Contents,
    /// Objects of others that become configuration changed, or a namespace did.
    Sources,
    /// A watch was started anew: anything can have changed meanwhile.
    All,
}

/// A version of an object, as a watch shows it. Versions are compared for being the same: a later one hides what
/// others have written before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// A stack, by its UID.
    Stack {
        /// Its UID.
        uid: String,
        /// Its version.
        version: u64,
    },
    /// A Secret in the stack's namespace.
    Secret {
        /// Its name.
        name: String,
        /// Its version.
        version: u64,
    },
}

/// What a store knows of its watch.
#[derive(Clone, Debug, Default)]
pub(super) struct Health {
    pub(super) synced: bool,
    pub(super) error: Option<String>,
}

/// The objects of one kind, from one watch per namespace, or from one for the whole cluster.
#[derive(Clone)]
pub struct Watched<K: Lookup + Clone + 'static>
where
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    kind: K::DynamicType,
    parts: Vec<Part<K>>,
    /// Of a type that the cluster may lack.
    handed: Option<Handed>,
}

#[derive(Clone)]
struct Part<K: Lookup + Clone + 'static>
where
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    store: Store<K>,
    health: Arc<RwLock<Health>>,
}

impl<K> Watched<K>
where
    K: Lookup + Clone + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    /// Every object, or why they are not known: a watch that has not synced yet knows nothing.
    pub fn read(&self) -> Fact<Vec<Arc<K>>> {
        match self.missing() {
            Some(reason) => Fact::Unavailable(reason),
            None if self.is_without_type() => Fact::Known(Vec::new()),
            None => Fact::Known(self.parts.iter().flat_map(|part| part.store.state()).collect()),
        }
    }

    /// One object as the watch saw it last.
    pub fn get(&self, namespace: Option<&str>, name: &str) -> Option<Arc<K>> {
        let mut key = ObjectRef::new_with(name, self.kind.clone());
        key.namespace = namespace.map(str::to_owned);
        self.parts.iter().find_map(|part| part.store.get(&key))
    }

    /// Whether there can be no object: nobody wants any, or the cluster does not serve their type.
    fn is_without_type(&self) -> bool {
        self.handed
            .as_ref()
            .is_some_and(|handed| !handed.is_wanted() || handed.served().known() == Some(&false))
    }

    /// Whether a watch has neither synced nor failed yet.
    fn is_pending(&self) -> bool {
        !self.is_without_type()
            && self.parts.iter().any(|part| {
                let health = part.health.read().unwrap_or_else(PoisonError::into_inner);
                !health.synced && health.error.is_none()
            })
    }

    /// Why the objects are not known; none where they are.
    pub fn missing(&self) -> Option<String> {
        if self.is_without_type() {
            return None;
        }
        if let Some(Fact::Unavailable(reason)) = self.handed.as_ref().map(Handed::served) {
            return Some(format!("discovery: {reason}"));
        }
        self.parts.iter().find_map(|part| {
            let health = part.health.read().unwrap_or_else(PoisonError::into_inner);
            let reason = || health.error.clone().unwrap_or_else(|| "not listed yet".to_owned());
            (!health.synced).then(reason)
        })
    }
}

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them, with cluster-wide rights.
    Cluster,
    /// Just these, with rights in each.
    Namespaces(Vec<String>),
}

impl Scope {
    /// Whether objects in this namespace are watched.
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(names) => names.iter().any(|name| name == namespace),
        }
    }

    pub(super) fn targets(&self) -> Vec<Option<&str>> {
        match self {
            Self::Cluster => vec![None],
            Self::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
        }
    }
}

/// Every store of the operator.
#[derive(Clone)]
pub struct Stores {
    /// Stacks, unread: one that cannot be read must not hide the others.
    pub stacks: Watched<DynamicObject>,
    /// Records, unread.
    pub records: Watched<DynamicObject>,
    /// Pods of all stacks.
    pub pods: Watched<Pod>,
    /// Objects that stacks own, by kind.
    pub owned: Vec<(&'static Kind, Watched<DynamicObject>)>,
    /// Which namespaces are watched.
    pub scope: Scope,
    /// What the cluster can do.
    pub cluster: Cluster,
    /// Labels of all namespaces; none where only some namespaces are watched.
    pub namespaces: Option<Watched<PartialObjectMeta<Namespace>>>,
    /// Objects of others that become configuration.
    pub foreign: Foreign,
    /// Whether prometheus-operator's types are wanted and there; the objects are among those owned.
    pub handed: Handed,
    /// Whether the metadata of Secrets and ConfigMaps is watched; contents are read one by one, where a stack or
    /// an object that it picked up refers to them.
    contents: Vec<(Holder, Arc<RwLock<Health>>)>,
}

impl Stores {
    /// Starts every watch. They end when the set of tasks is dropped.
    pub fn start(
        client: &Client,
        scope: &Scope,
        triggers: &UnboundedSender<Trigger>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let mut start = Start { client, triggers, tasks };
        let own = watcher::Config::default().labels(SELECTOR_OWNED);
        let of_stacks = watcher::Config::default().labels(LABEL_STACK);
        let stacks = start.watch(
            &ObservabilityStack::api_resource(),
            &scope.targets(),
            watcher::Config::default(),
            stack,
        );
        let records =
            start.watch(&DecisionRecord::api_resource(), &scope.targets(), of_stacks.clone(), labelled);
        let pods = start.watch(&(), &scope.targets(), of_stacks, labelled);
        let news = [News::default(), News::default()];
        let handed = Handed::start(start.client, &news[0], start.triggers, start.tasks);
        let mut watch_owned = |kind: &'static Kind| {
            if kind.is_handed_over() {
                start.watch_handed(kind, &scope.targets(), &handed)
            } else {
                start.watch(&kind.resource(), &scope.targets(), own.clone(), owner)
            }
        };
        let owned = OWNED
            .iter()
            .filter(|kind| !kind.cluster || *scope == Scope::Cluster)
            .map(|kind| (kind, watch_owned(kind)))
            .collect();
        let all = (*scope == Scope::Cluster).then_some([None]);
        let relabelled = |_: &PartialObjectMeta<Namespace>, _| Some(Trigger::Sources);
        let namespaces = all.map(|all| start.watch(&(), &all, watcher::Config::default(), relabelled));
        let mut contents = Vec::new();
        for target in scope.targets() {
            contents.push((Holder::Secret, start.watch_contents(Holder::Secret, target)));
            contents.push((Holder::ConfigMap, start.watch_contents(Holder::ConfigMap, target)));
        }
        let foreign = Foreign::start(client, scope, &news[1], triggers, tasks);
        let cluster = Cluster::start(client, scope, &news, triggers, tasks);
        Self {
            scope: scope.clone(),
            cluster,
            stacks,
            records,
            pods,
            owned,
            namespaces,
            foreign,
            handed,
            contents,
        }
    }

    /// Whether a store has neither synced nor failed yet.
    pub fn is_pending(&self) -> bool {
        self.stacks.is_pending()
            || self.records.is_pending()
            || self.pods.is_pending()
            || self.owned.iter().any(|(_, store)| store.is_pending())
            || self.namespaces.as_ref().is_some_and(Watched::is_pending)
            || self.foreign.is_pending()
    }

    /// Which kinds are not known, and why; empty once every store has synced.
    pub fn missing(&self) -> Vec<String> {
        let named = |name: &str, reason: Option<String>| reason.map(|reason| format!("{name}: {reason}"));
        let mut missing: Vec<String> = [
            named("ObservabilityStack", self.stacks.missing()),
            named("DecisionRecord", self.records.missing()),
            named("Pod", self.pods.missing()),
        ]
        .into_iter()
        .flatten()
        .collect();
        missing.extend(self.owned.iter().filter_map(|(kind, store)| named(kind.name, store.missing())));
        missing.extend(self.namespaces.as_ref().and_then(|all| named("Namespace", all.missing())));
        missing.extend(self.foreign.missing());
        missing.extend(self.contents_missing());
        missing
    }

    /// Labels of namespaces, by name; why they are not known, where they are not.
    pub fn namespace_labels(&self) -> Fact<Namespaces> {
        let all = match self.namespaces.as_ref().map(Watched::read) {
            None => return Fact::Known(Namespaces::new()),
            Some(Fact::Unavailable(reason)) => return Fact::Unavailable(reason),
            Some(Fact::Known(all)) => all,
        };
        Fact::Known(all.iter().map(|one| (one.name_any(), one.labels().clone())).collect())
    }

    fn contents_missing(&self) -> Option<String> {
        self.contents.iter().find_map(|(holder, health)| {
            let health = health.read().unwrap_or_else(PoisonError::into_inner);
            let reason = health.error.clone().unwrap_or_else(|| "not listed yet".to_owned());
            (!health.synced).then(|| format!("metadata of {}s: {reason}", holder.as_str()))
        })
    }

    /// The store of a kind that stacks own.
    pub fn of(&self, kind: &str) -> Option<&Watched<DynamicObject>> {
        self.owned.iter().find(|(known, _)| known.name == kind).map(|(_, store)| store)
    }

    /// Every stack that is known, read or not.
    pub fn stack_ids(&self) -> Vec<StackId> {
        let stacks = self.stacks.read();
        stacks.known().into_iter().flatten().filter_map(|object| id_of(object.as_ref())).collect()
    }
}

struct Start<'a> {
    client: &'a Client,
    triggers: &'a UnboundedSender<Trigger>,
    tasks: &'a mut JoinSet<()>,
}

/// What an object's event sets off; `true` where the object is gone.
type Rule<K> = fn(&K, bool) -> Option<Trigger>;

impl Start<'_> {
    fn watch<K>(
        &mut self,
        kind: &K::DynamicType,
        targets: &[Option<&str>],
        config: watcher::Config,
        rule: Rule<K>,
    ) -> Watched<K>
    where
        K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
        K: Resource<Scope: Send>,
        K::DynamicType: Eq + std::hash::Hash + Clone + Send + Sync + 'static,
        Self: ApiOf<K>,
    {
        let parts = targets
            .iter()
            .map(|target| {
                let writer = Writer::new(kind.clone());
                let health = Arc::<RwLock<Health>>::default();
                let part = Part { store: writer.as_reader(), health: health.clone() };
                let named = kind.clone();
                let stream = watch(self.api_of(kind, *target), config.clone()).modify(move |object| {
                    // Nothing here asks who manages a field, and it is the larger half of many objects.
                    object.meta_mut().managed_fields = None;
                    Self::name_kind(&named, object);
                });
                let triggers = self.triggers.clone();
                self.tasks.spawn(follow(stream, Some(writer), health, triggers, rule, Trigger::All));
                part
            })
            .collect();
        Watched { kind: kind.clone(), parts, handed: None }
    }

    /// Watches a kind of prometheus-operator, from when it is wanted and served.
    fn watch_handed(
        &mut self,
        kind: &'static Kind,
        targets: &[Option<&str>],
        handed: &Handed,
    ) -> Watched<DynamicObject> {
        let part = |target: &Option<&str>| {
            let writer = Writer::new(kind.resource());
            let health = Arc::<RwLock<Health>>::default();
            let part = Part { store: writer.as_reader(), health: health.clone() };
            let follower = Follower {
                kind,
                target: target.map(str::to_owned),
                client: self.client.clone(),
                writer,
                health,
                handed: handed.clone(),
                triggers: self.triggers.clone(),
            };
            self.tasks.spawn(follower.run());
            part
        };
        let parts = targets.iter().map(part).collect();
        Watched { kind: kind.resource(), parts, handed: Some(handed.clone()) }
    }

    /// Watches the metadata of all Secrets or ConfigMaps and keeps nothing of it.
    fn watch_contents(&mut self, holder: Holder, target: Option<&str>) -> Arc<RwLock<Health>> {
        let kind = match holder {
            Holder::Secret => ApiResource::erase::<Secret>(&()),
            Holder::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        };
        let api: Api<Named> = match target {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind),
            None => Api::all_with(self.client.clone(), &kind),
        };
        let health = Arc::<RwLock<Health>>::default();
        let stream = watch(api, watcher::Config::default());
        let rule = move |object: &Named, _| {
            let (namespace, name) = (object.metadata.namespace.clone()?, object.metadata.name.clone()?);
            Some(Trigger::Content(Place { holder, namespace, name }))
        };
        self.tasks.spawn(follow(
            stream,
            None,
            health.clone(),
            self.triggers.clone(),
            rule,
            Trigger::Contents,
        ));
        health
    }
}

/// What typed kinds and dynamic ones differ in.
trait ApiOf<K: Resource> {
    /// The API of a kind.
    fn api_of(&self, kind: &K::DynamicType, namespace: Option<&str>) -> Api<K>;

    /// Writes the kind into an object. The items of a list come without, and an object would differ from
    /// itself as a watch or a write shows it.
    fn name_kind(kind: &K::DynamicType, object: &mut K);
}

impl ApiOf<DynamicObject> for Start<'_> {
    fn api_of(&self, kind: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, kind),
            None => Api::all_with(self.client.clone(), kind),
        }
    }

    fn name_kind(kind: &ApiResource, object: &mut DynamicObject) {
        let named = || TypeMeta { api_version: kind.api_version.clone(), kind: kind.kind.clone() };
        object.types.get_or_insert_with(named);
    }
}

impl ApiOf<Pod> for Start<'_> {
    fn api_of(&self, (): &(), namespace: Option<&str>) -> Api<Pod> {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    fn name_kind((): &(), _pod: &mut Pod) {}
}

impl ApiOf<PartialObjectMeta<Namespace>> for Start<'_> {
    fn api_of(&self, (): &(), _: Option<&str>) -> Api<PartialObjectMeta<Namespace>> {
        Api::all(self.client.clone())
    }

    fn name_kind((): &(), _namespace: &mut PartialObjectMeta<Namespace>) {}
}

/// Follows one watch for as long as the operator runs.
async fn follow<K>(
    stream: impl Stream<Item = watcher::Result<Event<K>>> + Send,
    mut writer: Option<Writer<K>>,
    health: Arc<RwLock<Health>>,
    triggers: UnboundedSender<Trigger>,
    rule: impl Fn(&K, bool) -> Option<Trigger> + Send,
    anew: Trigger,
) where
    K: Lookup + Clone + Send + 'static,
    K::DynamicType: Eq + std::hash::Hash + Clone,
{
    let mut stream = pin!(stream.backoff(Patience::default()));
    while let Some(event) = stream.next().await {
        let trigger = match &event {
            Ok(Event::Apply(object)) => rule(object, false),
            Ok(Event::Delete(object)) => rule(object, true),
            Ok(Event::InitDone) => Some(anew.clone()),
            Ok(Event::Init | Event::InitApply(_)) | Err(_) => None,
        };
        match &event {
            Ok(event) => {
                if let Some(writer) = &mut writer {
                    writer.apply_watcher_event(event);
                }
                let mut health = health.write().unwrap_or_else(PoisonError::into_inner);
                health.synced |= matches!(event, Event::InitDone);
                health.error = None;
            }
            Err(error) => {
                tracing::debug!(kind = std::any::type_name::<K>(), %error, "a watch failed and starts again");
                health.write().unwrap_or_else(PoisonError::into_inner).error = Some(error.to_string());
            }
        }
        // The other end goes first when the operator ends; there is nobody left to tell.
        let _ = trigger.map(|trigger| triggers.send(trigger));
    }
}

/// Waits between two tries of a watch: half a second, doubling up to 10.
#[derive(Default)]
pub(super) struct Patience {
    tries: u32,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = Duration::from_millis(500) * 2u32.pow(self.tries.min(5));
        self.tries += 1;
        let jitter = 0.8 + 0.4 * rand::random::<f64>();
        Some(wait.min(Duration::from_secs(10)).mul_f64(jitter))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.tries = 0;
    }
}

fn id_of<K: ResourceExt>(object: &K) -> Option<StackId> {
    Some(StackId { namespace: object.namespace()?, name: object.name_any() })
}

fn stack(object: &DynamicObject, gone: bool) -> Option<Trigger> {
    let id = id_of(object)?;
    Some(match object.metadata.uid.clone().zip(version_of(object)) {
        _ if gone => Trigger::Gone(id),
        Some((uid, version)) => Trigger::Shown(id, Shown::Stack { uid, version }),
        None => Trigger::Stack(id),
    })
}

/// The version of an object, where it is a number, as that of every API server is.
fn version_of(object: &DynamicObject) -> Option<u64> {
    object.metadata.resource_version.as_deref()?.parse().ok()
}

/// The stack of an object in the stack's own namespace, by its label.
fn labelled<K: ResourceExt>(object: &K, _gone: bool) -> Option<Trigger> {
    let name = object.labels().get(LABEL_STACK)?.clone();
    Some(Trigger::Stack(StackId { namespace: object.namespace()?, name }))
}

/// The stack of an owned object: by its owner, or by its labels where it lives elsewhere.
pub(super) fn owner(object: &DynamicObject, gone: bool) -> Option<Trigger> {
    let labels = object.labels();
    let owner = object.owner_references().iter().find(|owner| owner.kind == "ObservabilityStack");
    let name = owner.map(|owner| &owner.name).or_else(|| labels.get(LABEL_STACK))?.clone();
    let namespace =
        labels.get(LABEL_STACK_NAMESPACE).cloned().or_else(|| object.metadata.namespace.clone())?;
    let is_secret = object.types.as_ref().is_some_and(|types| types.kind == "Secret")
        && object.metadata.namespace.as_ref() == Some(&namespace);
    let id = StackId { namespace, name };
    Some(match version_of(object).filter(|_| is_secret && !gone) {
        Some(version) => Trigger::Shown(id, Shown::Secret { name: object.name_any(), version }),
        None => Trigger::Stack(id),
    })
}
