//! The controllers of the sandbox: what kube-controller-manager and kube-scheduler do in a cluster.
//!
//! Each controller is a pure function from what the caches show to the writes that are missing. One loop per
//! controller calls it whenever something changed, carries its writes out, and waits until the caches show
//! them, so that no decision is taken on a state that is known to be old. A cluster at rest is not written to.

mod action;
mod daemonset;
mod deployment;
mod disruption;
mod endpointslice;
mod job;
mod pods;
mod provisioner;
mod replicaset;
mod scheduler;
pub(crate) mod selector;
mod statefulset;
mod volumes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use action::merge_patch;
pub use action::{Action, Target};
use action::{Trace, perform};
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::informer::{Informer, Kind, Watched};

/// Copies of everything that the controllers look at.
pub struct Caches {
    pub(crate) pods: Arc<Informer<Pod>>,
    pub(crate) nodes: Arc<Informer<Node>>,
    pub(crate) services: Arc<Informer<Service>>,
    pub(crate) slices: Arc<Informer<EndpointSlice>>,
    pub(crate) stateful_sets: Arc<Informer<StatefulSet>>,
    pub(crate) revisions: Arc<Informer<ControllerRevision>>,
    pub(crate) deployments: Arc<Informer<Deployment>>,
    pub(crate) replica_sets: Arc<Informer<ReplicaSet>>,
    pub(crate) daemon_sets: Arc<Informer<DaemonSet>>,
    pub(crate) jobs: Arc<Informer<Job>>,
    pub(crate) claims: Arc<Informer<PersistentVolumeClaim>>,
    pub(crate) volumes: Arc<Informer<PersistentVolume>>,
    pub(crate) classes: Arc<Informer<StorageClass>>,
    pub(crate) budgets: Arc<Informer<PodDisruptionBudget>>,
}

/// Caches by the kind that each holds.
type Table = BTreeMap<String, Arc<dyn Watched>>;

/// A copy of all objects of a kind.
fn follow<K: Kind>(client: &Client, stop: &CancellationToken) -> Arc<Informer<K>> {
    Informer::start(Api::all(client.clone()), watcher::Config::default(), stop.clone())
}

fn row<K: Kind>(informer: &Arc<Informer<K>>) -> (String, Arc<dyn Watched>) {
    (K::kind(&()).into_owned(), informer.clone())
}

impl Caches {
    /// Starts to watch every kind; returns at once.
    pub fn start(client: &Client, stop: &CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            pods: follow(client, stop),
            nodes: follow(client, stop),
            services: follow(client, stop),
            slices: follow(client, stop),
            stateful_sets: follow(client, stop),
            revisions: follow(client, stop),
            deployments: follow(client, stop),
            replica_sets: follow(client, stop),
            daemon_sets: follow(client, stop),
            jobs: follow(client, stop),
            claims: follow(client, stop),
            volumes: follow(client, stop),
            classes: follow(client, stop),
            budgets: follow(client, stop),
        })
    }

    /// Every cache by the kind that it holds.
    fn table(&self) -> Table {
        BTreeMap::from([
            row(&self.pods),
            row(&self.nodes),
            row(&self.services),
            row(&self.slices),
            row(&self.stateful_sets),
            row(&self.revisions),
            row(&self.deployments),
            row(&self.replica_sets),
            row(&self.daemon_sets),
            row(&self.jobs),
            row(&self.claims),
            row(&self.volumes),
            row(&self.classes),
            row(&self.budgets),
        ])
    }
}

/// Label of an EndpointSlice that names its Service.
pub(crate) fn endpoint_service_label() -> &'static str {
    endpointslice::SERVICE
}

/// What the controllers are told from outside.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder under which claims of the default StorageClass become folders.
    pub volumes: PathBuf,
}

/// What one look of a controller found to do.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Writes, in order.
    pub actions: Vec<Action>,
    /// When to look again although nothing changed, such as when a pod becomes available.
    pub wake: Option<Duration>,
}

impl Plan {
    /// Looks again at least this soon.
    fn wake_in(&mut self, wait: Duration) {
        self.wake = Some(self.wake.map_or(wait, |now| now.min(wait)));
    }

    fn extend(&mut self, other: Self) {
        self.actions.extend(other.actions);
        if let Some(wake) = other.wake {
            self.wake_in(wake);
        }
    }
}

/// What a controller looks at: the caches, the settings, and the time.
pub struct View<'a> {
    pub(crate) caches: &'a Caches,
    pub(crate) settings: &'a Settings,
    pub(crate) now: Timestamp,
}

type Planner = fn(&View<'_>) -> Plan;

const CONTROLLERS: &[(&str, Planner)] = &[
    ("statefulset", statefulset::plan_all),
    ("deployment", deployment::plan_all),
    ("replicaset", replicaset::plan_all),
    ("daemonset", daemonset::plan_all),
    ("job", job::plan_all),
    ("endpointslice", endpointslice::plan_all),
    ("volumes", volumes::plan_all),
    ("disruption", disruption::plan_all),
    ("scheduler", scheduler::plan_all),
];

/// Runs every controller until the token is cancelled. Returns at once.
pub fn start(client: &Client, settings: Settings, stop: &CancellationToken) {
    let caches = Caches::start(client, stop);
    for (name, plan) in CONTROLLERS {
        let (client, caches, settings, stop) =
            (client.clone(), caches.clone(), settings.clone(), stop.clone());
        tokio::spawn(async move {
            let planner = || plan(&View { caches: &caches, settings: &settings, now: Timestamp::now() });
            let looping = run(name, &client, caches.table(), planner);
            tokio::select! { () = stop.cancelled() => (), () = looping => () }
        });
    }
}

/// Provisions claims of the default StorageClass below a folder, where another control plane's controller
/// binds them, until the token is cancelled. Returns at once.
pub fn start_provisioner(client: &Client, volumes: &Path, stop: &CancellationToken) {
    let caches = provisioner::Caches::start(client, stop);
    let (client, root, stop) = (client.clone(), volumes.to_owned(), stop.clone());
    tokio::spawn(async move {
        let looping = run("provisioner", &client, caches.table(), || caches.plan(&root));
        tokio::select! { () = stop.cancelled() => (), () = looping => () }
    });
}

/// Waits while nothing changed, at most this long: a net under the watches.
const RESYNC: Duration = Duration::from_secs(60);
/// First and longest wait after a failed write.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a write may take to arrive in the caches.
const SETTLE: Duration = Duration::from_secs(3);

async fn run(name: &str, client: &Client, table: Table, plan: impl Fn() -> Plan) {
    let mut changes: Vec<_> = table.values().map(|cache| cache.changes()).collect();
    while !table.values().all(|cache| cache.synced()) {
        any_change(&mut changes, Duration::from_secs(1)).await;
    }
    let mut retry = RETRY.0;
    loop {
        for receiver in &mut changes {
            receiver.mark_unchanged();
        }
        let planned = plan();
        let mut wait = planned.wake.unwrap_or(RESYNC).min(RESYNC);
        let mut failed = false;
        for action in &planned.actions {
            match perform(client, action).await {
                Ok(trace) => settle(&table, &trace).await,
                Err(error) => {
                    tracing::debug!(controller = name, ?action, %error, "write failed; tried again soon");
                    failed = true;
                }
            }
        }
        if failed {
            tokio::time::sleep(retry).await;
            retry = (retry * 2).min(RETRY.1);
            continue;
        }
        retry = RETRY.0;
        if !planned.actions.is_empty() {
            // What was written may call for more at once.
            wait = wait.min(Duration::from_millis(20));
        }
        any_change(&mut changes, wait).await;
    }
}

/// Waits for a change in any cache, at most this long.
async fn any_change(changes: &mut [watch::Receiver<u64>], wait: Duration) {
    let any = futures::future::select_all(changes.iter_mut().map(|receiver| Box::pin(receiver.changed())));
    // A time-out is as good as a change: the loop looks again.
    let _ = tokio::time::timeout(wait, any).await;
}

/// Waits until a cache shows what was written, at most [`SETTLE`].
async fn settle(table: &Table, trace: &Trace) {
    let (Trace::Present(target, _) | Trace::Leaving(target)) = trace else { return };
    let Some(cache) = table.get(&target.resource.kind) else { return };
    let mut changes = cache.changes();
    let seen = || match (trace, cache.version(&target.key())) {
        (Trace::Present(_, version), Some(cached)) => at_least(&cached.resource_version, version),
        (Trace::Present(..), None) => false,
        (_, Some(cached)) => cached.deleting || target.uid.as_ref().is_some_and(|uid| *uid != cached.uid),
        (_, None) => true,
    };
    let caught_up = async {
        while !seen() {
            if changes.changed().await.is_err() {
                return;
            }
        }
    };
    if tokio::time::timeout(SETTLE, caught_up).await.is_err() {
        tracing::debug!(kind = %target.resource.kind, name = %target.name, "a write has not arrived in the cache");
    }
}

/// Whether a resource version is another one or a later one. Servers number them upwards.
fn at_least(cached: &str, written: &str) -> bool {
    match (cached.parse::<u64>(), written.parse::<u64>()) {
        (Ok(cached), Ok(written)) => cached >= written,
        _ => cached == written,
    }
}

/// Whether an owner reference with the controller flag names this object.
fn controlled_by<O: Resource, K: Resource>(owner: &O, object: &K) -> bool {
    let uid = owner.meta().uid.as_deref();
    uid.is_some()
        && object
            .meta()
            .owner_references
            .iter()
            .flatten()
            .any(|reference| reference.controller == Some(true) && Some(reference.uid.as_str()) == uid)
}

/// A short name for the content of a value: ten characters that are safe in a name and a label.
fn short_hash(value: &impl serde::Serialize) -> String {
    use sha2::{Digest, Sha256};
    // Letters and digits that make no words and are never read as one another.
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    Sha256::digest(bytes).iter().take(10).map(|byte| char::from(ALPHABET[usize::from(byte % 27)])).collect()
}

#[cfg(test)]
impl Caches {
    /// Caches with fixed content, for tests of planners.
    pub(crate) fn fixed(
        pods: impl IntoIterator<Item = Pod>,
        claims: impl IntoIterator<Item = PersistentVolumeClaim>,
        revisions: impl IntoIterator<Item = ControllerRevision>,
    ) -> Self {
        Self {
            pods: Informer::fixed(pods),
            nodes: Informer::fixed([]),
            services: Informer::fixed([]),
            slices: Informer::fixed([]),
            stateful_sets: Informer::fixed([]),
            revisions: Informer::fixed(revisions),
            deployments: Informer::fixed([]),
            replica_sets: Informer::fixed([]),
            daemon_sets: Informer::fixed([]),
            jobs: Informer::fixed([]),
            claims: Informer::fixed(claims),
            volumes: Informer::fixed([]),
            classes: Informer::fixed([]),
            budgets: Informer::fixed([]),
        }
    }
}
