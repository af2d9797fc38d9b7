//! What the cluster can do, read through discovery and kept for a while. Where the whole cluster is watched, a type or
//! a StorageClass that comes or goes has it read again at once.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, ListParams, ResourceExt};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Client, Error};
use tokio::sync::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinSet;

use super::discovery::News;
use super::slim::Named;
use super::stores::{Patience, Scope, Trigger};
use super::{ClusterFacts, Fact};
use crate::apply::writer::{READ_TIMEOUT, RequestError, within};
use crate::scrape::sources::GROUP;

/// The group of HTTPRoute.
const GATEWAY: &str = "gateway.networking.k8s.io";
/// How long what was read is believed where nothing tells that it changed: where only some namespaces are watched,
/// and for types that are no custom resources.
const FRESH: Duration = Duration::from_secs(600);
/// Waits before each look after a change: discovery tells of a type some moments after its definition is there.
const LOOKS: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_millis(1_500),
    Duration::from_secs(4),
    Duration::from_secs(10),
];
/// How long a failed read is not tried again.
const RETRY: Duration = Duration::from_secs(5);
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Reads what the cluster can do.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    scope: Scope,
    cached: Arc<Mutex<Option<Cached>>>,
}

struct Cached {
    until: Instant,
    fact: Fact<ClusterFacts>,
}

impl Cluster {
    /// A reader with nothing read yet. Where the whole cluster is watched, what changes later is noticed by watches,
    /// which end when the set of tasks is dropped; who asks for types is told by `news`.
    pub fn start(
        client: &Client,
        scope: &Scope,
        news: &[News],
        triggers: &UnboundedSender<Trigger>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let cluster = Self { client: client.clone(), scope: scope.clone(), cached: Arc::default() };
        if *scope == Scope::Cluster {
            let types = ApiResource::erase::<CustomResourceDefinition>(&());
            let classes = ApiResource::erase::<StorageClass>(&());
            tasks.spawn(cluster.clone().follow(types, is_of_interest, news.to_vec(), triggers.clone()));
            tasks.spawn(cluster.clone().follow(classes, |_| true, Vec::new(), triggers.clone()));
        }
        cluster
    }

    /// Follows the metadata of a kind and keeps nothing of it: a change of an object that matters has everything
    /// read again, a few times.
    async fn follow(
        self,
        kind: ApiResource,
        matters: fn(&str) -> bool,
        news: Vec<News>,
        triggers: UnboundedSender<Trigger>,
    ) {
        let api: Api<Named> = Api::all_with(self.client.clone(), &kind);
        let mut stream = pin!(watch(api, watcher::Config::default()).backoff(Patience::default()));
        let (mut listed, mut looks) = (false, LOOKS.iter());
        let mut next: Option<Instant> = None;
        loop {
            let look = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            let changed = tokio::select! {
                event = stream.next() => match event {
                    Some(Ok(Event::Apply(object) | Event::Delete(object))) => matters(&object.name_any()),
                    // What was there at first is read with the first reconcile.
                    Some(Ok(Event::InitDone)) => {
                        news.iter().for_each(News::tells);
                        std::mem::replace(&mut listed, true)
                    }
                    Some(Ok(Event::Init | Event::InitApply(_))) => false,
                    Some(Err(error)) if is_forbidden(&error) => {
                        tracing::warn!(
                            kind = kind.kind,
                            "no right to watch: that one appears is noticed after up to {} s",
                            FRESH.as_secs()
                        );
                        return;
                    }
                    Some(Err(error)) => {
                        tracing::debug!(kind = kind.kind, %error, "a watch failed and starts again");
                        false
                    }
                    None => return,
                },
                () = look => {
                    news.iter().for_each(News::ask_again);
                    if self.has_changed().await {
                        // The other end goes first when the operator ends.
                        let _ = triggers.send(Trigger::All);
                    }
                    next = looks.next().map(|wait| Instant::now() + *wait);
                    false
                }
            };
            if changed {
                looks = LOOKS.iter();
                next = looks.next().map(|wait| Instant::now() + *wait);
            }
        }
    }

    /// Reads everything again, and says whether it is something else than what was known.
    async fn has_changed(&self) -> bool {
        let before = self.cached.lock().await.as_ref().map(|cached| cached.fact.clone());
        // Nobody has asked yet: the first who does reads it.
        let Some(before) = before else { return false };
        let Ok(facts) = self.ask().await else { return false };
        let fact = Fact::Known(facts);
        let changed = before != fact;
        *self.cached.lock().await = Some(Cached { until: Instant::now() + FRESH, fact });
        changed
    }

    /// What the cluster can do. What was known stays known where a later read fails.
    pub async fn read(&self) -> Fact<ClusterFacts> {
        let mut cached = self.cached.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| cached.until > Instant::now()) {
            return cached.fact.clone();
        }
        let (fact, length) = match self.ask().await {
            Ok(facts) => (Fact::Known(facts), FRESH),
            Err(error) => match cached.take().map(|cached| cached.fact) {
                Some(Fact::Known(before)) => (Fact::Known(before), RETRY),
                _ => (Fact::Unavailable(error.to_string()), RETRY),
            },
        };
        *cached = Some(Cached { until: Instant::now() + length, fact: fact.clone() });
        fact
    }

    async fn ask(&self) -> Result<ClusterFacts, RequestError> {
        let groups = within(READ_TIMEOUT, self.client.list_api_groups()).await?;
        let serves = |name: &str| groups.groups.iter().any(|group| group.name == name);
        Ok(ClusterFacts {
            http_route: serves(GATEWAY),
            prometheus_operator: serves(GROUP),
            default_storage_class: self.default_storage_class().await?,
        })
    }

    /// None too where classes cannot be listed: an install without cluster-wide rights, which does not ask
    /// for what it is not given, works with the default class without knowing its name.
    async fn default_storage_class(&self) -> Result<Option<String>, RequestError> {
        if self.scope != Scope::Cluster {
            return Ok(None);
        }
        let api: Api<StorageClass> = Api::all(self.client.clone());
        let params = ListParams::default();
        let classes = match within(READ_TIMEOUT, api.list(&params)).await {
            Ok(classes) => classes,
            Err(RequestError::Api(error)) if is_refusal(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_default =
            |class: &StorageClass| class.annotations().get(DEFAULT_CLASS).is_some_and(|v| v == "true");
        Ok(classes.iter().find(|class| is_default(class)).map(ResourceExt::name_any))
    }
}

/// Whether a definition, by its name, is one of a type that is asked for: `httproutes.gateway.networking.k8s.io`.
fn is_of_interest(name: &str) -> bool {
    name.split_once('.').is_some_and(|(_, group)| [GATEWAY, GROUP].contains(&group))
}

fn is_forbidden(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => is_refusal(error),
        watcher::Error::WatchError(status) => status.code == 403,
        watcher::Error::NoResourceVersion => false,
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}
