//! A real Kubernetes control plane as child processes: etcd, kube-apiserver, kube-controller-manager and,
//! where wanted, kube-scheduler, with certificates of their own. There is no node; whoever needs one
//! registers it.
//!
//! Everything is in a temporary folder. Nothing is left when it stops, when it is dropped, and when the
//! process that started it is killed. `scripts/control-plane` puts the programs in place.

mod audit;
mod certificates;
mod cluster;
mod error;
mod flags;
pub mod kubeconfig;
mod options;
mod process;
mod programs;
mod start;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kube::Client;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::sync::Semaphore;

pub use audit::{AuditEvent, Stage};
pub use certificates::Certificate;
pub use cluster::Cluster;
pub use error::Error;
pub use options::Options;

use certificates::Authority;
use flags::Plan;
use process::{Nursery, Process};

/// How long a process may take to end after it was asked to.
const END_BOUND: Duration = Duration::from_secs(10);
/// How often a start is tried when another process took a port in between.
const TRIES: usize = 3;
/// Turns to start in this process: a start takes all of a core for some seconds, so more at once than there are cores,
/// which are two at least, are all later, and not one of them earlier.
static TURNS: Semaphore = Semaphore::const_new(2);

/// A running control plane.
pub struct ControlPlane {
    // In the order in which they are dropped: users before what they use, the folder last.
    clients: Vec<Process>,
    api_server: Option<Process>,
    etcd: Process,
    nursery: Nursery,
    setpriv: PathBuf,
    plan: Plan,
    authority: Authority,
    bound: Duration,
    folder: TempDir,
}

impl ControlPlane {
    /// Starts one, and waits until it is ready: the API server serves, controllers run, and the namespace
    /// `default` has its ServiceAccount and the certificate authority's ConfigMap.
    ///
    /// # Errors
    /// [`Error::Missing`] when its programs are not on this machine; else what failed, with the end of the
    /// log of the process at fault.
    pub async fn start(options: Options) -> Result<Self, Error> {
        obstack::tls::install_provider();
        let programs = programs::find().await?;
        let setpriv = programs::setpriv()?;
        let _turn = TURNS.acquire().await;
        let mut tries = 1;
        loop {
            match start::once(&options, &programs, &setpriv).await {
                Err(error) if error.is_port_taken() && tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    /// Whether a test that needs one can run here; where the programs are missing, it says so. With `CI=true`
    /// a test that cannot run has failed.
    ///
    /// # Panics
    /// When programs are missing and `CI=true`.
    pub async fn can_start() -> bool {
        match programs::find().await.and(programs::setpriv()) {
            Ok(_) => true,
            Err(error) if std::env::var_os("CI").is_some_and(|ci| ci == "true") => panic!("{error}"),
            Err(error) => {
                // Past the capture of the test runner: a skipped test that nobody sees looks like one that
                // passed.
                let line = format!("SKIPPED, there is no real control plane: {error}\n");
                let _ = std::io::Write::write_all(&mut std::io::stderr(), line.as_bytes());
                false
            }
        }
    }

    /// Starts one for a test; none where [`Self::can_start`] is false.
    ///
    /// # Panics
    /// When it does not start, and where `can_start` does.
    pub async fn start_for_test(options: Options) -> Option<Self> {
        if !Self::can_start().await {
            return None;
        }
        Some(Self::start(options).await.unwrap_or_else(|error| panic!("{error}")))
    }

    /// Where the API server is reached.
    pub fn address(&self) -> SocketAddr {
        self.plan.address
    }

    /// The certificate of the authority that signed everything here.
    pub fn ca_pem(&self) -> &str {
        &self.authority.own.pem
    }

    /// The kubeconfig of somebody who may do everything (group `system:masters`).
    pub fn admin_kubeconfig(&self) -> String {
        self.plan.admin.clone()
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn admin(&self) -> Result<Client, Error> {
        kubeconfig::client(&self.plan.admin).await
    }

    /// The kubeconfig of a ServiceAccount, with a token for 24 hours that the API server made.
    ///
    /// # Errors
    /// When the account does not exist.
    pub async fn kubeconfig_for_account(&self, namespace: &str, name: &str) -> Result<String, Error> {
        kubeconfig::for_account(&self.plan.admin, namespace, name).await
    }

    /// The kubeconfig of a user with these groups (two at most), with a client certificate.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig_for_cert(&self, user: &str, groups: &[&str]) -> Result<String, Error> {
        let certificate = self.authority.client(user, groups)?;
        let server = format!("https://{}", self.plan.address);
        Ok(kubeconfig::of_certificate(&server, self.ca_pem(), &certificate))
    }

    /// The kubeconfig of a node's kubelet: what Node authorization and NodeRestriction let it do.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn kubeconfig_for_node(&self, node: &str) -> Result<String, Error> {
        self.kubeconfig_for_cert(&format!("system:node:{node}"), &["system:nodes"])
    }

    /// A server certificate that the API server trusts, for a kubelet or a webhook at these hosts.
    ///
    /// # Errors
    /// When a host is not one, or the certificate cannot be made.
    pub fn server_certificate(&self, name: &str, hosts: &[String]) -> Result<Certificate, Error> {
        self.authority.server(name, hosts)
    }

    /// Every request so far. The entry of a request is written when its answer is complete, which can be
    /// after the client has it: who looks for one waits for it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit(&self) -> Result<Vec<AuditEvent>, Error> {
        Ok(self.audit_since(0)?.0)
    }

    /// What was written to the audit log from a position on, and the position after it.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_since(&self, position: u64) -> Result<(Vec<AuditEvent>, u64), Error> {
        audit::read(&self.folder.path().join(flags::AUDIT_LOG), position)
    }

    /// The position after what the audit log has now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn audit_position(&self) -> Result<u64, Error> {
        Ok(self.audit_since(0)?.1)
    }

    /// Ends the API server; everything else goes on and asks in vain.
    pub async fn stop_api_server(&mut self) {
        if let Some(api_server) = self.api_server.take() {
            api_server.end(END_BOUND).await;
        }
    }

    /// Kills the API server: no answer under way is completed.
    pub fn kill_api_server(&mut self) {
        self.api_server = None;
    }

    /// Starts the API server again, at the same address and with all data, and waits until it is ready.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_api_server(&mut self) -> Result<(), Error> {
        if self.api_server.is_none() {
            let mut process = Process::start(&self.nursery, &self.setpriv, &self.plan.api_server)?;
            let admin = self.admin().await?;
            start::api_server_is_ready(&mut process, &admin, Instant::now(), self.bound).await?;
            self.api_server = Some(process);
        }
        Ok(())
    }

    /// Stops the API server's process where it is: connections stay open, and nothing is answered once this
    /// returns.
    ///
    /// # Errors
    /// When a thread of it runs on.
    pub async fn pause_api_server(&self) -> Result<(), Error> {
        match &self.api_server {
            Some(process) => process.pause(END_BOUND).await,
            None => Ok(()),
        }
    }

    /// Lets a paused API server go on.
    pub fn resume_api_server(&self) {
        if let Some(process) = &self.api_server {
            process.signal(Signal::SIGCONT);
        }
    }

    /// Name and process id of all that runs.
    pub fn processes(&self) -> Vec<(&'static str, u32)> {
        let all = [&self.etcd].into_iter().chain(&self.api_server).chain(&self.clients);
        all.map(|process| (process.name, process.id())).collect()
    }

    /// Where its files are: the audit log, and `NAME.log` of each process. The folder ends with it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends everything, users before what they use, and removes the folder.
    ///
    /// # Errors
    /// When the folder cannot be removed.
    pub async fn stop(self) -> Result<(), Error> {
        // Those that only ask the API server end at once, and none needs another.
        futures::future::join_all(self.clients.into_iter().map(|process| process.end(END_BOUND))).await;
        if let Some(api_server) = self.api_server {
            api_server.end(END_BOUND).await;
        }
        self.etcd.end(END_BOUND).await;
        let path = self.folder.path().display().to_string();
        self.folder.close().map_err(Error::io(path))
    }
}
