//! What every part of the kubelet has at hand.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolume, PersistentVolumeClaim, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use kube::runtime::watcher;
use kube::{Api, Client, Resource, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::addresses::Pool;
use super::container::base_variables;
use super::env::Lookup;
use super::volumes::Objects;
use super::{KubeletError, Options};
use crate::images::Folders;
use crate::informer::{Informer, Kind, Watched};

/// Copies of the objects that pods refer to.
pub(crate) struct Caches {
    pub(crate) pods: Arc<Informer<Pod>>,
    pub(crate) secrets: Arc<Informer<Secret>>,
    pub(crate) config_maps: Arc<Informer<ConfigMap>>,
    pub(crate) claims: Arc<Informer<PersistentVolumeClaim>>,
    pub(crate) volumes: Arc<Informer<PersistentVolume>>,
    pub(crate) services: Arc<Informer<Service>>,
    pub(crate) slices: Arc<Informer<EndpointSlice>>,
}

impl Caches {
    fn start(client: &Client, node: &str, stop: &CancellationToken) -> Self {
        fn follow<K: Kind>(client: &Client, stop: &CancellationToken) -> Arc<Informer<K>> {
            Informer::start(Api::all(client.clone()), watcher::Config::default(), stop.clone())
        }
        let own = watcher::Config::default().fields(&format!("spec.nodeName={node}"));
        Self {
            pods: Informer::start(Api::all(client.clone()), own, stop.clone()),
            secrets: follow(client, stop),
            config_maps: follow(client, stop),
            claims: follow(client, stop),
            volumes: follow(client, stop),
            services: follow(client, stop),
            slices: follow(client, stop),
        }
    }

    /// Those whose changes matter to the volumes and names of a pod.
    pub(crate) fn referred(&self) -> [Arc<dyn Watched>; 6] {
        [
            self.secrets.clone(),
            self.config_maps.clone(),
            self.claims.clone(),
            self.volumes.clone(),
            self.services.clone(),
            self.slices.clone(),
        ]
    }
}

/// What every part of the kubelet has at hand.
pub(crate) struct Context {
    pub(crate) client: Client,
    pub(crate) options: Options,
    pub(crate) caches: Caches,
    pub(crate) pool: Pool,
    pub(crate) bwrap: PathBuf,
    pub(crate) nsenter: PathBuf,
    /// Whether containers can have a user namespace, and with it the user that they ask for.
    pub(crate) users: bool,
    pub(crate) http: reqwest::Client,
    recorder: Recorder,
}

impl Context {
    /// Looks what the machine can do, and starts to watch.
    ///
    /// # Errors
    /// bubblewrap is missing or does not work here.
    pub(crate) async fn start(
        client: Client,
        options: Options,
        stop: &CancellationToken,
    ) -> Result<Self, KubeletError> {
        let path = Folders::of_machine(&[]);
        let bwrap = options.folders.find(&["bwrap"]).or_else(|| path.find(&["bwrap"]));
        let bwrap = bwrap.ok_or(KubeletError::NoBubblewrap)?;
        try_bubblewrap(&bwrap, &[]).await?;
        let users =
            try_bubblewrap(&bwrap, &["--unshare-user", "--uid", "65534", "--gid", "65534"]).await.is_ok();
        if !users {
            tracing::info!("no user namespaces here: containers run as the user who started the sandbox");
        }
        let nsenter = path.find(&["nsenter"]).unwrap_or_else(|| PathBuf::from("nsenter"));
        // Probes of a cluster accept any certificate, too.
        let http = reqwest::Client::builder()
            .tls_danger_accept_invalid_certs(true)
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60))
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .map_err(|error| KubeletError::Http(error.to_string()))?;
        let reporter = Reporter { controller: "kubelet".to_owned(), instance: Some(options.node.clone()) };
        Ok(Self {
            recorder: Recorder::new(client.clone(), reporter),
            caches: Caches::start(&client, &options.node, stop),
            pool: Pool::new(options.range),
            client,
            options,
            bwrap,
            nsenter,
            users,
            http,
        })
    }

    /// Variables of every container of a pod, before its own.
    pub(crate) fn base_variables(&self, pod: &Pod) -> BTreeMap<String, String> {
        base_variables(pod.name_any(), self.options.server)
    }

    /// Tells a person, on the pod, what went wrong.
    pub(crate) fn warn(&self, pod: &Pod, reason: &str, note: String) {
        self.event(pod, EventType::Warning, reason, note);
    }

    /// Tells a person, on the pod, what was done.
    pub(crate) fn note(&self, pod: &Pod, reason: &str, note: String) {
        self.event(pod, EventType::Normal, reason, note);
    }

    /// Records an event. Nothing waits for it: a server that does not answer must not hold containers up.
    fn event(&self, pod: &Pod, type_: EventType, reason: &str, mut note: String) {
        // The API refuses longer notes.
        let end = note.char_indices().map(|(at, _)| at).find(|at| *at >= 1000).unwrap_or(note.len());
        note.truncate(end);
        let reason = reason.to_owned();
        // Events of one reason and action are counted as one: what was done to two containers is two things,
        // what goes wrong with one is the same thing, however the words differ.
        let action = match type_ {
            EventType::Normal => note.chars().take(128).collect(),
            EventType::Warning => reason.clone(),
        };
        let event = Event { type_, action, reason, note: Some(note), secondary: None };
        let (recorder, reference) = (self.recorder.clone(), pod.object_ref(&()));
        tokio::spawn(async move {
            let publishing = recorder.publish(&event, &reference);
            match tokio::time::timeout(Duration::from_secs(5), publishing).await {
                Ok(Ok(())) => (),
                Ok(Err(error)) => tracing::debug!(%error, reason = event.reason, "event not recorded"),
                Err(_) => tracing::debug!(reason = event.reason, "event not recorded within 5 s"),
            }
        });
    }

    /// Folder of everything that belongs to a pod.
    pub(crate) fn pod_folder(&self, uid: &str) -> PathBuf {
        self.options.state.join("pods").join(uid)
    }

    /// Folder of the logs of a pod.
    pub(crate) fn log_folder(&self, uid: &str) -> PathBuf {
        self.pod_folder(uid).join("logs")
    }
}

/// Starts the smallest container, to see whether it works here.
async fn try_bubblewrap(bwrap: &Path, extra: &[&str]) -> Result<(), KubeletError> {
    let mut command = tokio::process::Command::new(bwrap);
    command.args(["--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]);
    command.args(extra).arg("true").kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(10), command.output())
        .await
        .map_err(|_| KubeletError::Bubblewrap("no answer within 10 s".to_owned()))?
        .map_err(|error| KubeletError::Bubblewrap(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(KubeletError::Bubblewrap(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Objects that one pod may refer to: those of its namespace.
pub(crate) struct PodObjects<'a> {
    caches: &'a Caches,
    namespace: String,
}

impl<'a> PodObjects<'a> {
    pub(crate) fn new(context: &'a Context, pod: &Pod) -> Self {
        Self { caches: &context.caches, namespace: pod.namespace().unwrap_or_default() }
    }
}

impl Lookup for PodObjects<'_> {
    fn secret(&self, name: &str) -> Option<Arc<Secret>> {
        self.caches.secrets.get(&self.namespace, name)
    }

    fn config_map(&self, name: &str) -> Option<Arc<ConfigMap>> {
        self.caches.config_maps.get(&self.namespace, name)
    }
}

impl Objects for PodObjects<'_> {
    fn claim(&self, name: &str) -> Option<Arc<PersistentVolumeClaim>> {
        self.caches.claims.get(&self.namespace, name)
    }

    fn volume(&self, name: &str) -> Option<Arc<PersistentVolume>> {
        self.caches.volumes.get("", name)
    }
}
