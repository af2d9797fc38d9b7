//! The path over the API: the candidate's pointer is watched, and parts are fetched one by one.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ResourceExt};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as follow};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::running::{MAX_PART_COMPRESSED, PART_KEY, POINTER_KEY, PartRef, Pointer, Which};

/// Longest time that a connection may take.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest time that one question may take.
const ASK: Duration = Duration::from_secs(5);
/// Seconds after which a watch is begun anew: a connection that died in silence is noticed by then.
const WATCH: u32 = 120;

/// How the API is reached, and what the pointers are called.
#[derive(Clone, Debug)]
pub struct LiveSettings {
    /// Where the API is, and who asks.
    pub config: kube::Config,
    /// Namespace of the pod.
    pub namespace: String,
    /// Secret of the candidate's pointer.
    pub candidate: String,
    /// Secret of the proven pointer.
    pub proven: String,
}

/// What the API says of the candidate's pointer.
#[derive(Clone, Debug, Default)]
pub(super) struct Latest {
    /// The pointer as it was seen last; none where there is none, or none was seen yet.
    pub(super) pointer: Option<Pointer>,
    /// Whether the API answers.
    pub(super) answers: bool,
    /// Why the pointer cannot be read.
    pub(super) broken: Option<String>,
}

/// The API as one pod uses it.
pub(super) struct Live {
    api: Api<Secret>,
    settings: LiveSettings,
    latest: watch::Receiver<Latest>,
    task: Option<JoinHandle<()>>,
}

impl Drop for Live {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Live {
    /// Asks, and does not watch.
    ///
    /// # Errors
    /// When no client can be made.
    pub(super) fn new(settings: LiveSettings) -> Result<Self, kube::Error> {
        crate::tls::install_provider();
        let mut config = settings.config.clone();
        config.connect_timeout = Some(CONNECT);
        let client = kube::Client::try_from(config)?;
        let api = Api::namespaced(client, &settings.namespace);
        let (_, latest) = watch::channel(Latest::default());
        Ok(Self { api, settings, latest, task: None })
    }

    /// Asks, and watches the candidate's pointer until it is dropped.
    ///
    /// # Errors
    /// When no client can be made.
    pub(super) fn watching(settings: LiveSettings) -> Result<Self, kube::Error> {
        let mut live = Self::new(settings)?;
        let (tell, latest) = watch::channel(Latest::default());
        live.latest = latest;
        live.task =
            Some(tokio::spawn(watch_pointer(live.api.clone(), live.settings.candidate.clone(), tell)));
        Ok(live)
    }

    /// What the watch says now.
    pub(super) fn latest(&mut self) -> Latest {
        self.latest.borrow_and_update().clone()
    }

    /// Waits until the watch says something new.
    pub(super) async fn changed(&mut self) {
        if self.latest.changed().await.is_err() {
            // Nobody watches: there will be nothing new.
            std::future::pending::<()>().await;
        }
    }

    /// A pointer as it is now; none where there is none.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) async fn pointer(&self, which: Which) -> Result<Option<Pointer>, String> {
        let name = match which {
            Which::Candidate => &self.settings.candidate,
            Which::Proven => &self.settings.proven,
        };
        let Some(secret) = self.get(name).await? else { return Ok(None) };
        read_pointer(&secret)
    }

    /// The compressed bytes of a part; none where there is none.
    ///
    /// # Errors
    /// Why it is not known.
    pub(super) async fn part(&self, part: &PartRef) -> Result<Option<Vec<u8>>, String> {
        let secret = self.get(&part.secret).await?;
        let bytes = secret.and_then(|secret| secret.data?.remove(PART_KEY)).map(|bytes| bytes.0);
        Ok(bytes.filter(|bytes| bytes.len() <= MAX_PART_COMPRESSED))
    }

    async fn get(&self, name: &str) -> Result<Option<Secret>, String> {
        match tokio::time::timeout(ASK, self.api.get_opt(name)).await {
            Ok(answer) => answer.map_err(|error| format!("Secret {name}: {error}")),
            Err(_) => Err(format!("Secret {name}: no answer of the API within {} s", ASK.as_secs())),
        }
    }
}

fn read_pointer(secret: &Secret) -> Result<Option<Pointer>, String> {
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(POINTER_KEY)) else { return Ok(None) };
    Pointer::parse(&bytes.0).map(Some).map_err(|error| error.to_string())
}

async fn watch_pointer(api: Api<Secret>, name: String, tell: watch::Sender<Latest>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).timeout(WATCH);
    let mut stream = pin!(follow(api, config).backoff(Patience::default()));
    let mut listed = None;
    while let Some(event) = stream.next().await {
        let secret = match event {
            Ok(Event::Init) => {
                listed = None;
                continue;
            }
            Ok(Event::InitApply(secret)) => {
                listed = Some(secret);
                continue;
            }
            Ok(Event::InitDone) => listed.take(),
            Ok(Event::Apply(secret)) => Some(secret),
            Ok(Event::Delete(_)) => None,
            Err(error) => {
                tracing::debug!(%error, "the watch of the pointer failed and starts again");
                tell.send_if_modified(|latest| std::mem::take(&mut latest.answers));
                continue;
            }
        };
        let secret = secret.filter(|secret| secret.name_any() == name);
        let read = secret.as_ref().map_or(Ok(None), read_pointer);
        let latest = match read {
            Ok(pointer) => Latest { pointer, answers: true, broken: None },
            Err(why) => Latest { pointer: None, answers: true, broken: Some(why) },
        };
        tell.send_replace(latest);
    }
}

/// Waits between two tries of the watch: a quarter of a second, doubling up to 8, plus or minus a fifth.
#[derive(Default)]
struct Patience {
    tries: u32,
}

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = Duration::from_millis(250) * 2u32.pow(self.tries.min(5));
        self.tries += 1;
        Some(wait.mul_f64(0.8 + 0.4 * rand::random::<f64>()))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.tries = 0;
    }
}
