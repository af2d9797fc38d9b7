//! A whole cluster in this process: API server, controllers, one node and the addresses of Services.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio_util::sync::CancellationToken;

use crate::api::{ApiServer, Config, Handle, StartError};
use crate::images::Folders;
use crate::kubelet::{Kubelet, KubeletError};
use crate::ranges::{Network, Ranges};
use crate::{controllers, kubelet, proxy};

/// How a cluster is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folder for volumes, logs and the kubeconfig; a temporary one, removed at the end, where none is given.
    pub state: Option<PathBuf>,
    /// Port of the API server; 0 takes a free one.
    pub port: u16,
    /// Folders with binaries of images, before those of the machine.
    pub binaries: Vec<PathBuf>,
    /// First and longest wait before a container that ended again is restarted. Shorter than a cluster's 10 s
    /// and 5 min, because people wait.
    pub backoff: (Duration, Duration),
    /// Where the addresses of pods and Services are taken from.
    pub network: Network,
    /// Whether there is a node: without one, no bubblewrap is needed and pods stay Pending.
    pub node: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            state: None,
            port: 0,
            binaries: Vec::new(),
            backoff: (Duration::from_secs(1), Duration::from_secs(30)),
            network: Network::default(),
            node: true,
        }
    }
}

/// Why a cluster did not start.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The API server.
    #[error(transparent)]
    Api(#[from] StartError),
    /// The kubelet.
    #[error(transparent)]
    Kubelet(#[from] KubeletError),
    /// Addresses for pods and Services.
    #[error("no addresses for pods and Services: {0}")]
    Ranges(std::io::Error),
    /// The state folder.
    #[error("cannot use the state folder {path}: {source}")]
    State {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A client for the cluster's own server.
    #[error("cannot make a client: {0}")]
    Client(String),
}

/// A running cluster. End it with [`Cluster::stop`].
pub struct Cluster {
    api: Handle,
    client: Client,
    kubelet: Option<Kubelet>,
    stop: CancellationToken,
    state: PathBuf,
    /// Whether the state folder was made for this cluster alone.
    temporary: bool,
    ranges: Ranges,
}

impl Cluster {
    /// Starts everything and returns when the API server answers and the node is registered.
    ///
    /// # Errors
    /// A port in use, a state folder that cannot be used, or no bubblewrap on this machine.
    pub async fn start(options: Options) -> Result<Self, ClusterError> {
        // Whoever embeds the cluster may have chosen a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let temporary = options.state.is_none();
        let (state, ranges) = match &options.state {
            Some(state) => {
                let state = make_folder(state)?;
                let ranges = Ranges::take_for(options.network, &state).map_err(ClusterError::Ranges)?;
                (state, ranges)
            }
            None => {
                let ranges = Ranges::take(options.network).map_err(ClusterError::Ranges)?;
                remove_abandoned();
                let name = format!("{TEMPORARY}{}-{}", std::process::id(), ranges.pods.node());
                (make_folder(&std::env::temp_dir().join(name))?, ranges)
            }
        };
        let api = ApiServer::start(Config {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, options.port)),
            state_dir: (!temporary).then(|| state.join("api")),
            service_range: (ranges.services, 16),
            ..Config::default()
        })
        .await?;
        let client = client(&api.admin_kubeconfig()).await?;
        let stop = CancellationToken::new();
        let mut cluster = Self { api, client, kubelet: None, stop, state, temporary, ranges };
        cluster.write_kubeconfig()?;
        let settings = controllers::Settings { volumes: cluster.state.join("volumes") };
        controllers::start(&cluster.client, settings, &cluster.stop);
        proxy::start(&cluster.client, &cluster.stop);
        if options.node {
            let started = Kubelet::start(cluster.client.clone(), cluster.kubelet_options(&options)).await;
            match started {
                Ok(kubelet) => {
                    cluster.api.set_log_source(kubelet.log_source());
                    cluster.kubelet = Some(kubelet);
                }
                Err(error) => {
                    cluster.stop().await;
                    return Err(error.into());
                }
            }
        }
        Ok(cluster)
    }

    fn kubelet_options(&self, options: &Options) -> kubelet::Options {
        kubelet::Options {
            node: "sandbox".to_owned(),
            range: self.ranges.pods,
            state: self.state.clone(),
            folders: Folders::of_machine(&options.binaries),
            server: self.api.address(),
            ca: self.api.ca_pem().into_bytes(),
            backoff: options.backoff,
            https: None,
        }
    }

    fn write_kubeconfig(&self) -> Result<(), ClusterError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = self.kubeconfig();
        let failed = |source| ClusterError::State { path: path.clone(), source };
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.create(true).write(true).truncate(true).mode(0o600).open(&path).map_err(failed)?;
        file.write_all(self.api.admin_kubeconfig().as_bytes()).map_err(failed)
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// File with the kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.state.join("kubeconfig")
    }

    /// The API server, for its audit log, faults and tokens.
    pub fn api(&self) -> &Handle {
        &self.api
    }

    /// Folder with volumes and logs.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Ends all containers, then everything else; removes a temporary state folder.
    pub async fn stop(mut self) {
        if let Some(kubelet) = self.kubelet.take() {
            kubelet.stop().await;
        }
        self.stop.cancel();
        self.api.stop().await;
        if self.temporary {
            let state = self.state.clone();
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(state)).await;
        }
    }
}

/// Start of the names of temporary state folders; the id of their process follows.
const TEMPORARY: &str = "obstack-sandbox-";

/// Removes the temporary folders of processes that were killed before they could.
fn remove_abandoned() {
    for entry in std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix(TEMPORARY).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner.to_string()).exists()) {
            // Another sandbox may be removing it, or it belongs to somebody else.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

pub(crate) fn make_folder(path: &Path) -> Result<PathBuf, ClusterError> {
    let made = std::fs::create_dir_all(path).and_then(|()| path.canonicalize());
    made.map_err(|source| ClusterError::State { path: path.to_owned(), source })
}

/// A client from the text of a kubeconfig. Each request has 30 s; watches have as long as they ask for.
///
/// # Errors
/// The text is no kubeconfig.
pub async fn client(kubeconfig: &str) -> Result<Client, ClusterError> {
    let failed = |error: String| ClusterError::Client(error);
    let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|error| failed(error.to_string()))?;
    let config = kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default())
        .await
        .map_err(|error| failed(error.to_string()))?;
    Client::try_from(config).map_err(|error| failed(error.to_string()))
}
