//! Objects of others that become configuration: which of their kinds the cluster serves, and what the watches on
//! them have seen.
//!
//! A watch starts when the API serves its kind and stops when the API says that it no longer does. That a
//! question failed says neither.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use axum::http;
use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroup, APIResource};
use kube::api::{Api, ApiResource};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, Error};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use super::Fact;
use super::discovery::{self, News};
use super::slim::Specified;
use super::stores::{Patience, Scope, Trigger};
use crate::apply::writer::{READ_TIMEOUT, RequestError, within};
use crate::scrape::sources::{GROUP, Source, SourceKey, SourceKind, Sources};

/// What is said of the kinds before the first answer.
const NOT_ASKED: &str = "not asked yet";
/// Objects of one page of a list: the memory of a list is that of one page.
const PAGE: u32 = 500;

/// Which version of each kind the API serves. A kind that is not in it is not served.
type Served = BTreeMap<SourceKind, &'static str>;

/// What is known of one kind.
#[derive(Debug, Default)]
struct Kind {
    objects: Sources,
    /// Namespaces, or the whole cluster (none), whose list is complete.
    synced: BTreeSet<Option<String>>,
    error: Option<String>,
}

/// Everything that the watches on objects of others have seen.
#[derive(Clone)]
pub struct Foreign {
    kinds: Arc<BTreeMap<SourceKind, RwLock<Kind>>>,
    served: channel::Receiver<Fact<Served>>,
    targets: usize,
}

impl Foreign {
    /// Starts the watches. They end when the set of tasks is dropped. `news` has it asked which kinds are served.
    pub fn start(
        client: &Client,
        scope: &Scope,
        news: &News,
        triggers: &UnboundedSender<Trigger>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let unknown = Fact::Unavailable(NOT_ASKED.to_owned());
        let (publish, served) = channel::channel(unknown);
        tasks.spawn(discover(client.clone(), publish, news.clone(), triggers.clone()));
        let kinds: Arc<BTreeMap<SourceKind, RwLock<Kind>>> =
            Arc::new(SourceKind::ALL.into_iter().map(|kind| (kind, RwLock::default())).collect());
        let targets = scope.targets();
        for kind in SourceKind::ALL {
            for target in &targets {
                let follower = Follower {
                    kind,
                    target: target.map(str::to_owned),
                    client: client.clone(),
                    kinds: kinds.clone(),
                    served: served.clone(),
                    news: news.clone(),
                    triggers: triggers.clone(),
                };
                tasks.spawn(follower.run());
            }
        }
        Self { kinds, served, targets: targets.len() }
    }

    /// Every object of a kind; none where the cluster does not serve the kind.
    pub fn read(&self, kind: SourceKind) -> Fact<Sources> {
        match self.why_missing(kind) {
            Some(reason) => Fact::Unavailable(reason),
            None if !self.is_served(kind) => Fact::Known(Sources::default()),
            None => Fact::Known(self.kind(kind).objects.clone()),
        }
    }

    fn is_served(&self, kind: SourceKind) -> bool {
        self.served.borrow().known().is_some_and(|served| served.contains_key(&kind))
    }

    /// Why the objects of a kind are not known; none where they are, and where there is no such kind.
    fn why_missing(&self, kind: SourceKind) -> Option<String> {
        if let Fact::Unavailable(reason) = &*self.served.borrow() {
            return Some(format!("discovery of {GROUP}: {reason}"));
        }
        let known = self.kind(kind);
        let is_listed = !self.is_served(kind) || known.synced.len() >= self.targets;
        (!is_listed).then(|| known.error.clone().unwrap_or_else(|| "not listed yet".to_owned()))
    }

    /// Whether a kind has neither been listed nor failed yet.
    pub fn is_pending(&self) -> bool {
        let served = match &*self.served.borrow() {
            Fact::Unavailable(reason) => return reason == NOT_ASKED,
            Fact::Known(served) => served.clone(),
        };
        served.into_keys().any(|kind| {
            let known = self.kind(kind);
            known.synced.len() < self.targets && known.error.is_none()
        })
    }

    /// Which kinds are not known, and why.
    pub fn missing(&self) -> Vec<String> {
        let named = |kind: SourceKind| Some(format!("{kind}: {}", self.why_missing(kind)?));
        SourceKind::ALL.into_iter().filter_map(named).collect()
    }

    fn kind(&self, kind: SourceKind) -> std::sync::RwLockReadGuard<'_, Kind> {
        // Every kind has its place from the start.
        self.kinds[&kind].read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks which kinds are served.
async fn discover(
    client: Client,
    publish: channel::Sender<Fact<Served>>,
    news: News,
    triggers: UnboundedSender<Trigger>,
) {
    let is_complete = |served: &Served| served.len() == SourceKind::ALL.len();
    discovery::discover(client, ask, is_complete, publish, news, triggers).await;
}

/// One question where the group is not served, and one more for each of its versions where it is.
async fn ask(client: Client) -> Result<Served, RequestError> {
    let mut served = Served::new();
    let group = match within(READ_TIMEOUT, client.request::<APIGroup>(group_request()?)).await {
        Ok(group) => group,
        Err(error) if error.code() == Some(404) => return Ok(served),
        Err(error) => return Err(error),
    };
    for version in group.versions {
        let list = match within(READ_TIMEOUT, client.list_api_group_resources(&version.group_version)).await {
            Ok(list) => list,
            Err(error) if error.code() == Some(404) => continue,
            Err(error) => return Err(error),
        };
        for kind in SourceKind::ALL {
            let is_it =
                |one: &APIResource| one.name == kind.plural() && one.verbs.iter().any(|verb| verb == "watch");
            let place = |name: &str| kind.versions().iter().position(|known| *known == name);
            let Some(found) = place(&version.version).filter(|_| list.resources.iter().any(is_it)) else {
                continue;
            };
            let best = served.get(&kind).and_then(|known| place(known)).is_none_or(|known| found < known);
            if best {
                served.insert(kind, kind.versions()[found]);
            }
        }
    }
    Ok(served)
}

/// A kind as the client names it.
pub(crate) fn resource(kind: SourceKind, version: &str) -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: version.to_owned(),
        api_version: format!("{GROUP}/{version}"),
        kind: kind.as_str().to_owned(),
        plural: kind.plural().to_owned(),
    }
}

fn group_request() -> Result<http::Request<Vec<u8>>, RequestError> {
    let request = http::Request::get(format!("/apis/{GROUP}")).body(Vec::new());
    request.map_err(|error| RequestError::Unusable(error.to_string()))
}

/// Follows one kind in one namespace, or in the whole cluster.
struct Follower {
    kind: SourceKind,
    target: Option<String>,
    client: Client,
    kinds: Arc<BTreeMap<SourceKind, RwLock<Kind>>>,
    served: channel::Receiver<Fact<Served>>,
    news: News,
    triggers: UnboundedSender<Trigger>,
}

impl Follower {
    async fn run(mut self) {
        loop {
            let version = self.version();
            match version {
                Some(version) => {
                    let mut served = self.served.clone();
                    tokio::select! {
                        () = self.follow(version) => {}
                        () = changed(&mut served, self.kind, version) => {}
                    }
                }
                None => {
                    self.forget();
                    if self.served.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn version(&mut self) -> Option<&'static str> {
        self.served.borrow_and_update().known()?.get(&self.kind).copied()
    }

    /// Watches for as long as the kind is there.
    async fn follow(&self, version: &'static str) {
        let resource = resource(self.kind, version);
        let api: Api<Specified> = match &self.target {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let config = watcher::Config::default().page_size(PAGE);
        let mut stream = pin!(watch(api, config).backoff(Patience::default()));
        let mut listed: Option<BTreeSet<(String, String)>> = None;
        while let Some(event) = stream.next().await {
            match event {
                Ok(Event::Init) => listed = Some(BTreeSet::new()),
                Ok(Event::InitApply(object)) => {
                    if let Some(place) = self.apply(version, object)
                        && let Some(listed) = &mut listed
                    {
                        listed.insert(place);
                    }
                }
                Ok(Event::InitDone) => {
                    self.synced(listed.take().unwrap_or_default());
                    let _ = self.triggers.send(Trigger::Sources);
                }
                Ok(Event::Apply(object)) => {
                    self.apply(version, object);
                    let _ = self.triggers.send(Trigger::Sources);
                }
                Ok(Event::Delete(object)) => {
                    if let (Some(namespace), Some(name)) = (object.metadata.namespace, object.metadata.name) {
                        self.write().objects.remove(&SourceKey { kind: self.kind, namespace, name });
                        let _ = self.triggers.send(Trigger::Sources);
                    }
                }
                Err(error) => {
                    if is_gone(&error) {
                        self.news.ask_again();
                    }
                    self.write().error = Some(error.to_string());
                }
            }
        }
    }

    fn apply(&self, version: &'static str, object: Specified) -> Option<(String, String)> {
        let about = object.metadata;
        let place = (about.namespace?, about.name?);
        let key = SourceKey { kind: self.kind, namespace: place.0.clone(), name: place.1.clone() };
        let names = (about.uid.unwrap_or_default(), about.resource_version.unwrap_or_default());
        let source = Source::new(key, version, names, about.labels.unwrap_or_default(), object.spec);
        let mut known = self.write();
        // One that a new list names again is the one that is there, and is not built again.
        if known.objects.get(&source.key).is_none_or(|before| **before != source) {
            known.objects.insert(Arc::new(source));
        }
        Some(place)
    }

    /// A list is complete: what was not in it is gone.
    fn synced(&self, listed: BTreeSet<(String, String)>) {
        let mut kind = self.write();
        let is_listed =
            |source: &Source| listed.contains(&(source.key.namespace.clone(), source.key.name.clone()));
        kind.objects.retain(|source| !self.is_here(source) || is_listed(source));
        kind.synced.insert(self.target.clone());
        kind.error = None;
    }

    /// The API no longer serves the kind, or never did.
    fn forget(&self) {
        let mut kind = self.write();
        kind.objects.retain(|source| !self.is_here(source));
        kind.synced.remove(&self.target);
        kind.error = None;
    }

    fn is_here(&self, source: &Source) -> bool {
        self.target.as_ref().is_none_or(|only| *only == source.key.namespace)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Kind> {
        self.kinds[&self.kind].write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the kind is served in another version, or no longer.
async fn changed(served: &mut channel::Receiver<Fact<Served>>, kind: SourceKind, version: &'static str) {
    let is_other = |known: &Fact<Served>| {
        known.known().is_some_and(|served| served.get(&kind).copied() != Some(version))
    };
    if served.wait_for(is_other).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Whether the API says that there is no such kind.
pub(super) fn is_gone(error: &watcher::Error) -> bool {
    let code = match error {
        watcher::Error::InitialListFailed(Error::Api(status))
        | watcher::Error::WatchStartFailed(Error::Api(status)) => status.code,
        watcher::Error::WatchError(status) => status.code,
        _ => 0,
    };
    code == 404
}
