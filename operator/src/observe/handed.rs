//! The resources of prometheus-operator that stacks own. A cluster may lack their types, and most stacks never want
//! them: nothing is asked and nothing is watched before a stack hands its engines over.

use std::pin::pin;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource;
use kube::Client;
use kube::api::{Api, DynamicObject, TypeMeta};
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use super::Fact;
use super::discovery::{self, News};
use super::foreign::is_gone;
use super::kinds::{Kind, OWNED};
use super::stores::{Health, Patience, Trigger, owner};
use crate::apply::writer::{READ_TIMEOUT, RequestError, within};
use crate::names::SELECTOR_OWNED;
use crate::scrape::sources::GROUP;

/// What a resource says of itself in one condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<'a> {
    /// `True`, `Degraded`, `False` or `Unknown`.
    pub status: &'a str,
    /// A word for why.
    pub reason: &'a str,
    /// More about it.
    pub message: &'a str,
}

/// What a resource says in a condition; none where it says nothing yet of what it is to be now.
pub fn said<'a>(object: &'a DynamicObject, kind: &str) -> Option<Said<'a>> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == kind)?;
    let observed = condition["observedGeneration"].as_i64();
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    let is_current = observed.is_none() || observed >= object.metadata.generation;
    is_current.then(|| Said { status: text("status"), reason: text("reason"), message: text("message") })
}

/// Whether the types are wanted, and whether they are there.
#[derive(Clone)]
pub struct Handed {
    wanted: Arc<channel::Sender<bool>>,
    served: channel::Receiver<Fact<bool>>,
    news: News,
}

impl Handed {
    /// Begins to wait for a stack that wants the types. It ends when the set of tasks is dropped.
    pub(super) fn start(
        client: &Client,
        news: &News,
        triggers: &UnboundedSender<Trigger>,
        tasks: &mut JoinSet<()>,
    ) -> Self {
        let (wanted, asked) = channel::channel(false);
        let (publish, served) = channel::channel(Fact::Unavailable("not asked yet".to_owned()));
        tasks.spawn(discover(client.clone(), asked, publish, news.clone(), triggers.clone()));
        Self { wanted: Arc::new(wanted), served, news: news.clone() }
    }

    /// Says that a stack hands its engines over, or once did.
    pub fn want(&self) {
        self.wanted.send_if_modified(|wanted| !std::mem::replace(wanted, true));
    }

    /// Whether a stack hands its engines over, or once did.
    pub fn is_wanted(&self) -> bool {
        *self.wanted.borrow()
    }

    /// Whether the cluster serves all types that a stack may own.
    pub fn served(&self) -> Fact<bool> {
        self.served.borrow().clone()
    }
}

async fn discover(
    client: Client,
    mut wanted: channel::Receiver<bool>,
    publish: channel::Sender<Fact<bool>>,
    news: News,
    triggers: UnboundedSender<Trigger>,
) {
    if wanted.wait_for(|wanted| *wanted).await.is_err() {
        return;
    }
    let is_complete = |served: &bool| *served;
    discovery::discover(client, ask, is_complete, publish, news, triggers).await;
}

/// One question for all types.
async fn ask(client: Client) -> Result<bool, RequestError> {
    let version = format!("{GROUP}/v1");
    let list = match within(READ_TIMEOUT, client.list_api_group_resources(&version)).await {
        Ok(list) => list,
        Err(error) if error.code() == Some(404) => return Ok(false),
        Err(error) => return Err(error),
    };
    let has = |kind: &Kind| {
        let is_it =
            |one: &APIResource| one.name == kind.plural && one.verbs.iter().any(|verb| verb == "watch");
        list.resources.iter().any(is_it)
    };
    Ok(OWNED.iter().filter(|kind| kind.is_handed_over()).all(has))
}

/// Follows one kind in one namespace, or in the whole cluster, for as long as it is served.
pub(super) struct Follower {
    pub(super) kind: &'static Kind,
    pub(super) target: Option<String>,
    pub(super) client: Client,
    pub(super) writer: Writer<DynamicObject>,
    pub(super) health: Arc<RwLock<Health>>,
    pub(super) handed: Handed,
    pub(super) triggers: UnboundedSender<Trigger>,
}

impl Follower {
    pub(super) async fn run(mut self) {
        let (mut there, mut gone) = (self.handed.served.clone(), self.handed.served.clone());
        loop {
            if there.wait_for(|served| served.known() == Some(&true)).await.is_err() {
                return;
            }
            tokio::select! {
                () = self.follow() => {}
                _ = gone.wait_for(|served| served.known() == Some(&false)) => {}
            }
            // With their type all objects are gone.
            self.writer.apply_watcher_event(&Event::Init);
            self.writer.apply_watcher_event(&Event::InitDone);
            *self.health.write().unwrap_or_else(PoisonError::into_inner) = Health::default();
        }
    }

    async fn follow(&mut self) {
        let resource = self.kind.resource();
        let api: Api<DynamicObject> = match &self.target {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        };
        let config = watcher::Config::default().labels(SELECTOR_OWNED);
        let stream = watch(api, config).modify(|object| {
            object.metadata.managed_fields = None;
            let named =
                || TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
            object.types.get_or_insert_with(named);
        });
        let mut stream = pin!(stream.backoff(Patience::default()));
        while let Some(event) = stream.next().await {
            let event = match event {
                Ok(event) => event,
                Err(error) => {
                    if is_gone(&error) {
                        self.handed.news.ask_again();
                    }
                    self.health.write().unwrap_or_else(PoisonError::into_inner).error =
                        Some(error.to_string());
                    continue;
                }
            };
            let trigger = match &event {
                Event::Apply(object) => owner(object, false),
                Event::Delete(object) => owner(object, true),
                Event::InitDone => Some(Trigger::All),
                Event::Init | Event::InitApply(_) => None,
            };
            self.writer.apply_watcher_event(&event);
            {
                let mut health = self.health.write().unwrap_or_else(PoisonError::into_inner);
                health.synced |= matches!(event, Event::InitDone);
                health.error = None;
            }
            let _ = trigger.map(|trigger| self.triggers.send(trigger));
        }
    }
}
