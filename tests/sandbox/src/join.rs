//! A node for a control plane that is not the sandbox's own: kubelet, addresses of Services, and the volumes
//! of the default StorageClass. Workloads, scheduling, EndpointSlices and the binding of claims are the
//! control plane's.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cluster::{self, ClusterError};
use crate::images::Folders;
use crate::kubelet::{self, Https, Kubelet};
use crate::ranges::Ranges;
use crate::{controllers, proxy};

/// User whose credentials the node has.
pub const USER: &str = "sandbox-node";
/// Manifests with the rights of [`USER`]: an administrator applies them before the node joins.
pub const RIGHTS: &str = include_str!("node-rights.yaml");

/// What a node is told when it joins.
#[derive(Debug)]
pub struct JoinOptions {
    /// Name of the Node.
    pub node: String,
    /// Text of a kubeconfig for [`USER`].
    pub kubeconfig: String,
    /// Address of the API server, as pods reach it.
    pub server: SocketAddr,
    /// Certificate of the cluster's authority, PEM: pods trust the server by it, and the kubelet its clients.
    pub ca: String,
    /// The kubelet's certificate for the node's address, signed by that authority, and its key, both PEM.
    pub certificate: (String, String),
    /// Addresses of pods and of the node. Those of Services are the control plane's to give, from the same
    /// value.
    pub ranges: Ranges,
    /// Folder for volumes and logs.
    pub state: PathBuf,
    /// Folders with binaries of images, before those of the machine.
    pub binaries: Vec<PathBuf>,
    /// First and longest wait before a container that ended again is restarted.
    pub backoff: (Duration, Duration),
}

/// A node of another control plane. End it with [`Joined::stop`].
pub struct Joined {
    kubelet: Kubelet,
    stop: CancellationToken,
    _ranges: Ranges,
}

impl Joined {
    /// Joins a control plane; returns when the node is registered.
    ///
    /// # Errors
    /// The kubeconfig or the folder cannot be used, bubblewrap is missing, or the server refuses the node.
    pub async fn start(options: JoinOptions) -> Result<Self, ClusterError> {
        // Whoever embeds the node may have chosen a provider already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let state = cluster::make_folder(&options.state)?;
        let client = cluster::client(&options.kubeconfig).await?;
        let authority = options.ca.into_bytes();
        let listener = options.ranges.kubelet_port();
        let kubelet = kubelet::Options {
            node: options.node,
            range: options.ranges.pods,
            state: state.clone(),
            folders: Folders::of_machine(&options.binaries),
            server: options.server,
            ca: authority.clone(),
            backoff: options.backoff,
            https: Some(Https { listener, authority, certificate: options.certificate }),
        };
        let kubelet = Kubelet::start(client.clone(), kubelet).await?;
        let stop = CancellationToken::new();
        proxy::start(&client, &stop);
        controllers::start_provisioner(&client, &state.join("volumes"), &stop);
        Ok(Self { kubelet, stop, _ranges: options.ranges })
    }

    /// Ends all containers, then everything else.
    pub async fn stop(self) {
        self.kubelet.stop().await;
        self.stop.cancel();
    }
}
