//! The two servers that are asked.

use super::scope::Scope;
use crate::control_plane::{ControlPlane, Options};
use obstack_sandbox::api::{ApiServer, Config, Handle};
use obstack_sandbox::raw::Raw;

/// Name of the variable with the path of the kubeconfig of a cluster that is there for tests.
const KUBECONFIG: &str = "OBSTACK_TEST_KUBECONFIG";

/// A server under test.
pub struct Target {
    /// Heading of its column.
    pub name: &'static str,
    /// Whether it is the one that all is measured by.
    pub real: bool,
    pub(super) kubeconfig: String,
    pub(super) raw: Raw,
    sandbox: Option<Handle>,
    /// Ends with the target.
    control_plane: Option<ControlPlane>,
}

impl Target {
    /// An embedded server of this process.
    ///
    /// # Errors
    /// Why it does not start.
    pub async fn sandbox() -> Result<Self, String> {
        obstack::tls::install_provider();
        let handle = ApiServer::start(Config::default()).await.map_err(|e| e.to_string())?;
        let kubeconfig = handle.admin_kubeconfig();
        let raw = Raw::new(&kubeconfig).await?;
        Ok(Self { name: "sandbox", real: false, kubeconfig, raw, sandbox: Some(handle), control_plane: None })
    }

    /// The real server: the cluster that `OBSTACK_TEST_KUBECONFIG` names, else one that this process starts.
    /// The user's own kubeconfig is never looked at.
    ///
    /// # Errors
    /// Why there is none, and what to do about it.
    pub async fn real() -> Result<Self, String> {
        obstack::tls::install_provider();
        if let Ok(path) = std::env::var(KUBECONFIG) {
            let kubeconfig =
                std::fs::read_to_string(&path).map_err(|e| format!("{KUBECONFIG}={path}: {e}"))?;
            return Self::of(kubeconfig, None).await.map_err(|e| format!("{KUBECONFIG}={path}: {e}"));
        }
        // No scheduler: pods stay where a case leaves them.
        let options = Options { scheduler: false, ..Options::default() };
        let control_plane = ControlPlane::start(options).await.map_err(|e| e.to_string())?;
        Self::of(control_plane.admin_kubeconfig(), Some(control_plane)).await
    }

    async fn of(kubeconfig: String, control_plane: Option<ControlPlane>) -> Result<Self, String> {
        let raw = Raw::new(&kubeconfig).await?;
        let name = "real server";
        Ok(Self { name, real: true, kubeconfig, raw, sandbox: None, control_plane })
    }

    /// The audit log of an embedded server.
    pub fn handle(&self) -> Option<&Handle> {
        self.sandbox.as_ref()
    }

    /// Whether what a case leaves would stay: the cluster is another's.
    pub(super) fn outlives_the_run(&self) -> bool {
        self.sandbox.is_none() && self.control_plane.is_none()
    }

    /// What a case gets: a namespace and names of its own.
    pub(super) async fn scope(&self, case: &str) -> Result<Scope, String> {
        Scope::new(self, case).await
    }
}
