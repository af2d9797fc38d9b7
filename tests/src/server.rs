//! The cluster that a test of a whole stack runs on: the sandbox, or a real control plane that the sandbox's
//! node has joined. Everything that such a test asks beside the API goes through here.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use kube::Client;
use obstack_sandbox::api::RequestInfo;
use obstack_sandbox::cluster::{self, Cluster};
use obstack_sandbox::join::{JoinOptions, Joined, RIGHTS, USER};
use obstack_sandbox::manifests;
use obstack_sandbox::ranges::{Network, Ranges};
use tempfile::TempDir;

use crate::control_plane::{AuditEvent, ControlPlane, Options};

/// Chooses the server: `sandbox` (also where it is not set) or `control-plane`.
pub const CHOICE: &str = "OBSTACK_TEST_SERVER";
/// Waits before an ended container is restarted: as the sandbox's own.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A running cluster with one node. End it with [`Server::stop`].
pub struct Server {
    kind: Kind,
    client: Client,
}

enum Kind {
    Sandbox(Box<Cluster>),
    ControlPlane(Box<Real>),
}

struct Real {
    plane: ControlPlane,
    node: Option<Joined>,
    folder: TempDir,
}

/// One answered request.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What was asked.
    pub request: RequestInfo,
    /// HTTP status code of the answer.
    pub code: u16,
}

/// A place in the log of requests.
#[derive(Clone, Copy, Debug)]
pub struct Mark(u64);

impl Mark {
    /// Before the first request.
    pub const BEGIN: Self = Self(0);
}

impl Server {
    /// Starts the server that `OBSTACK_TEST_SERVER` chooses, and a node.
    ///
    /// # Panics
    /// When it does not come up: a part is missing, or the choice is none.
    pub async fn start() -> Self {
        crate::parts::require();
        Self::start_with(true).await
    }

    /// The same without a node: pods are made and stay Pending.
    ///
    /// # Panics
    /// As [`Server::start`].
    pub async fn start_without_node() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(node: bool) -> Self {
        // Programs beside the test are found last, so that OBSTACK_PARTS can name another build; without, they have to be
        // there.
        crate::process::binary("obstack");
        let kind = match std::env::var(CHOICE).as_deref() {
            Err(_) | Ok("" | "sandbox") => {
                let options = cluster::Options { node, ..cluster::Options::default() };
                Kind::Sandbox(Box::new(Cluster::start(options).await.expect("the sandbox starts")))
            }
            Ok("control-plane") => Kind::ControlPlane(Box::new(Real::start(node).await)),
            Ok(other) => panic!("{CHOICE} is {other:?}: write sandbox or control-plane"),
        };
        let client = match &kind {
            Kind::Sandbox(cluster) => cluster.client(),
            Kind::ControlPlane(real) => real.client().await,
        };
        Self { kind, client }
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// File with the kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        match &self.kind {
            Kind::Sandbox(cluster) => cluster.kubeconfig(),
            Kind::ControlPlane(real) => real.kubeconfig(),
        }
    }

    /// Text of a kubeconfig for a service account that exists.
    ///
    /// # Panics
    /// When the server gives none.
    pub async fn kubeconfig_for_account(&self, namespace: &str, name: &str) -> String {
        match &self.kind {
            Kind::Sandbox(cluster) => cluster.api().kubeconfig_for_account(namespace, name),
            Kind::ControlPlane(real) => {
                real.plane.kubeconfig_for_account(namespace, name).await.expect("a token of the account")
            }
        }
    }

    /// Where the log of requests ends now.
    ///
    /// # Panics
    /// When the log cannot be read.
    pub fn mark(&self) -> Mark {
        Mark(match &self.kind {
            Kind::Sandbox(cluster) => cluster.api().audit_next(),
            Kind::ControlPlane(real) => real.plane.audit_position().expect("an audit log"),
        })
    }

    /// What was asked of the server, and answered, from a place in the log on.
    ///
    /// # Panics
    /// When the log cannot be read.
    pub fn answered_since(&self, mark: Mark) -> Vec<Answered> {
        match &self.kind {
            Kind::Sandbox(cluster) => {
                let entries = cluster.api().audit_since(mark.0).into_iter();
                entries.map(|entry| Answered { request: entry.request, code: entry.code }).collect()
            }
            Kind::ControlPlane(real) => {
                let (events, _) = real.plane.audit_since(mark.0).expect("an audit log");
                // A watch is told twice: at its begin, which counts as on the sandbox, and at its end.
                let mut told = BTreeSet::new();
                let is_new = |event: &AuditEvent| told.insert(event.id.clone());
                events.into_iter().filter(is_new).map(answered).collect()
            }
        }
    }

    /// The sandbox's folder with the volumes of its pods.
    ///
    /// # Panics
    /// On a real control plane.
    pub fn state(&self) -> PathBuf {
        match &self.kind {
            Kind::Sandbox(cluster) => cluster.state().to_owned(),
            Kind::ControlPlane(_) => panic!("a real control plane has no folder of volumes here"),
        }
    }

    /// Ends the sandbox's API server alone; nodes and pods go on without it.
    ///
    /// # Panics
    /// On a real control plane.
    pub async fn stop_api(&self) {
        match &self.kind {
            Kind::Sandbox(cluster) => cluster.api().stop().await,
            Kind::ControlPlane(_) => panic!("a real control plane is not stopped in parts"),
        }
    }

    /// Ends the cluster and everything in it.
    pub async fn stop(self) {
        match self.kind {
            Kind::Sandbox(cluster) => cluster.stop().await,
            Kind::ControlPlane(real) => {
                if let Some(node) = real.node {
                    node.stop().await;
                }
                real.plane.stop().await.expect("the control plane's folder is removed");
            }
        }
    }
}

impl Real {
    /// Every control plane has ranges of its own, so that several run side by side in one network.
    async fn start(node: bool) -> Self {
        let ranges = Ranges::take(Network::PRIVATE)
            .unwrap_or_else(|error| panic!("no private addresses: {error}; run it with scripts/in-network"));
        let address = ranges.pods.node();
        let options = Options {
            bind: address.into(),
            service_range: format!("{}/16", ranges.services),
            ..Options::default()
        };
        let plane = ControlPlane::start(options).await.expect("the control plane starts");
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("kubeconfig"), plane.admin_kubeconfig())
            .expect("a kubeconfig file");
        if !node {
            return Self { plane, node: None, folder };
        }
        let admin = cluster::client(&plane.admin_kubeconfig()).await.expect("a client");
        let rights = folder.path().join("rights.yaml");
        std::fs::write(&rights, RIGHTS).expect("a file");
        let rights = manifests::load(&[rights]).expect("readable rights");
        manifests::apply(&admin, &rights).await.expect("the rights of the node are accepted");
        let served = plane.server_certificate("sandbox", &[address.to_string()]).expect("a certificate");
        let options = JoinOptions {
            node: "sandbox".to_owned(),
            kubeconfig: plane.kubeconfig_for_cert(USER, &[]).expect("a certificate"),
            server: plane.address(),
            ca: plane.ca_pem().to_owned(),
            certificate: (served.pem, served.key_pem),
            ranges,
            state: folder.path().join("node"),
            binaries: Vec::new(),
            backoff: BACKOFF,
        };
        let node = Some(Joined::start(options).await.expect("the node joins"));
        Self { plane, node, folder }
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    async fn client(&self) -> Client {
        cluster::client(&self.plane.admin_kubeconfig()).await.expect("a client")
    }
}

/// A request as the sandbox tells it.
fn answered(event: AuditEvent) -> Answered {
    let (path, query) = event.uri.split_once('?').unwrap_or((&event.uri, ""));
    let request = RequestInfo {
        dry_run: query.split('&').any(|part| part.starts_with("dryRun=")),
        path: path.to_owned(),
        user: event.user,
        verb: event.verb,
        group: event.group,
        resource: event.resource,
        subresource: event.subresource,
        namespace: event.namespace,
        name: event.name,
        user_agent: event.user_agent,
        ..RequestInfo::default()
    };
    Answered { request, code: event.code }
}
