//! The kubelet: runs the containers of pods as processes in bubblewrap. A client of the API like any other, so
//! that it serves the embedded server and a real control plane alike.

mod addresses;
mod container;
mod context;
mod env;
mod fields;
mod health;
mod hosts;
mod launch;
mod log_source;
mod logs;
mod memory;
mod node;
mod pod;
mod probe;
mod process;
mod serve;
mod status;
mod volumes;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use addresses::Range;
use context::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::{Client, ResourceExt};
pub use serve::Https;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::images::Folders;
use crate::informer::Watched;

/// What the kubelet is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of its Node.
    pub node: String,
    /// Addresses of its pods; all of them must be local to the machine.
    pub range: Range,
    /// Folder for volumes and logs of pods.
    pub state: PathBuf,
    /// Where binaries of images are looked for.
    pub folders: Folders,
    /// Address of the API server, as pods reach it.
    pub server: SocketAddr,
    /// Certificate of the server's authority, PEM.
    pub ca: Vec<u8>,
    /// First and longest wait before a container that ended again is restarted.
    pub backoff: (Duration, Duration),
    /// Where a real API server gets the logs of pods; the embedded one is given [`Kubelet::log_source`].
    pub https: Option<Https>,
}

/// Why the kubelet cannot run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeletError {
    /// bubblewrap is not on this machine.
    #[error(
        "bubblewrap (bwrap) is not on this machine: install the package bubblewrap, or run scripts/parts bubblewrap"
    )]
    NoBubblewrap,
    /// bubblewrap is there and does not work.
    #[error("bubblewrap does not work here: {0}")]
    Bubblewrap(String),
    /// The node could not be registered.
    #[error("the node cannot be registered: {0}")]
    Register(String),
    /// The HTTP client of the probes could not be made.
    #[error("no HTTP client for probes: {0}")]
    Http(String),
    /// The HTTPS port cannot be served.
    #[error("the kubelet cannot serve HTTPS: {0}")]
    Https(String),
}

/// A running kubelet.
pub struct Kubelet {
    context: Arc<Context>,
    shutdown: CancellationToken,
    watches: CancellationToken,
    main: tokio::task::JoinHandle<()>,
}

impl Kubelet {
    /// Registers the node and starts to run pods.
    ///
    /// # Errors
    /// bubblewrap is missing or does not work, or the server refuses the node.
    pub async fn start(client: Client, options: Options) -> Result<Self, KubeletError> {
        let (shutdown, watches) = (CancellationToken::new(), CancellationToken::new());
        let context = Arc::new(Context::start(client.clone(), options, &watches).await?);
        if let Some(https) = &context.options.https {
            let logs = Arc::new(log_source::Logs(context.clone()));
            serve::start(https, logs, &watches).map_err(|error| KubeletError::Https(error.to_string()))?;
        }
        node::register(&client, &context.options).await?;
        let (beat, stop) = (node::heartbeat(client, context.options.clone()), watches.clone());
        tokio::spawn(async move {
            tokio::select! { () = stop.cancelled() => (), () = beat => () }
        });
        let main = tokio::spawn(run(context.clone(), shutdown.clone()));
        Ok(Self { context, shutdown, watches, main })
    }

    /// Ends every container (SIGTERM, 5 s, SIGKILL) and waits until all are gone.
    pub async fn stop(self) {
        self.shutdown.cancel();
        // The loop itself cannot fail: its end is all there is to wait for.
        let _ = self.main.await;
        self.watches.cancel();
    }

    /// Where the logs of the node's pods come from.
    pub fn log_source(&self) -> Arc<dyn crate::api::LogSource> {
        Arc::new(log_source::Logs(self.context.clone()))
    }

    /// Name of the node.
    pub fn node(&self) -> &str {
        &self.context.options.node
    }
}

struct Looked {
    newest: watch::Sender<Arc<Pod>>,
    gone: CancellationToken,
}

/// Gives each pod of the node a task of its own, and waits for all of them at the end.
async fn run(context: Arc<Context>, shutdown: CancellationToken) {
    let mut looked: HashMap<String, Looked> = HashMap::new();
    let mut tasks: JoinSet<String> = JoinSet::new();
    let mut changes = context.caches.pods.changes();
    let (mut synced, mut cleaned) = (false, false);
    while !shutdown.is_cancelled() {
        // A pod is taken up only when what it refers to is known: an empty cache is no empty cluster.
        synced |=
            context.caches.pods.synced() && context.caches.referred().iter().all(|cache| cache.synced());
        if synced {
            let pods = context.caches.pods.all();
            if !std::mem::replace(&mut cleaned, true) {
                remove_orphans(&context, &pods).await;
            }
            for pod in pods.iter().filter(|pod| is_here(pod, &context.options.node)) {
                let uid = pod.uid().unwrap_or_default();
                if let Some(known) = looked.get(&uid) {
                    known.newest.send_if_modified(|old| {
                        let newer = old.resource_version() != pod.resource_version();
                        *old = pod.clone();
                        newer
                    });
                    continue;
                }
                let (newest, receiver) = watch::channel(pod.clone());
                let gone = CancellationToken::new();
                let task = pod::look_after(context.clone(), receiver, gone.clone(), shutdown.clone());
                let key = uid.clone();
                tasks.spawn(async move {
                    task.await;
                    key
                });
                looked.insert(uid, Looked { newest, gone });
            }
            for (uid, known) in &looked {
                if !pods.iter().any(|pod| pod.uid().as_deref() == Some(uid)) {
                    known.gone.cancel();
                }
            }
        }
        let wait = if synced { Duration::from_secs(60) } else { Duration::from_millis(50) };
        tokio::select! {
            Ok(()) = changes.changed() => (),
            Some(ended) = tasks.join_next() => {
                if let Ok(uid) = ended {
                    looked.remove(&uid);
                }
            }
            () = shutdown.cancelled() => (),
            () = tokio::time::sleep(wait) => (),
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Removes the folders of pods that were deleted while no kubelet ran.
async fn remove_orphans(context: &Context, pods: &[Arc<Pod>]) {
    let root = context.options.state.join("pods");
    let known: std::collections::HashSet<_> = pods.iter().filter_map(|pod| pod.uid()).collect();
    let removal = tokio::task::spawn_blocking(move || {
        for entry in std::fs::read_dir(root).into_iter().flatten().flatten() {
            if !known.contains(&*entry.file_name().to_string_lossy()) {
                // What cannot be removed is only litter.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    });
    let _ = removal.await;
}

fn is_here(pod: &Pod, node: &str) -> bool {
    pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node)
}
