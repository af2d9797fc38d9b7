//! The two servers that are asked.

use super::scope::Scope;
use obstack_sandbox::api::{ApiServer, Config, Handle};
use obstack_sandbox::raw::Raw;

/// Name of the variable with the path of the kubeconfig of a cluster that is there for tests.
pub const KUBECONFIG: &str = "OBSTACK_TEST_KUBECONFIG";

/// A server under test.
pub struct Target {
    /// Heading of its column.
    pub name: &'static str,
    /// Whether it is the one that all is measured by.
    pub real: bool,
    pub(super) kubeconfig: String,
    pub(super) raw: Raw,
    pub(super) sandbox: Option<Handle>,
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
        Ok(Self { name: "sandbox", real: false, kubeconfig, raw, sandbox: Some(handle) })
    }

    /// The cluster whose kubeconfig `OBSTACK_TEST_KUBECONFIG` names.
    ///
    /// # Errors
    /// The variable is not set, or what it names is of no use. The user's own kubeconfig is never looked at.
    pub async fn named() -> Result<Self, String> {
        obstack::tls::install_provider();
        let path = std::env::var(KUBECONFIG).map_err(|_| format!("{KUBECONFIG} is not set"))?;
        let kubeconfig = std::fs::read_to_string(&path).map_err(|e| format!("{path}: {e}"))?;
        let raw = Raw::new(&kubeconfig).await.map_err(|e| format!("{path}: {e}"))?;
        Ok(Self { name: "real server", real: true, kubeconfig, raw, sandbox: None })
    }

    /// The audit log of an embedded server.
    pub fn handle(&self) -> Option<&Handle> {
        self.sandbox.as_ref()
    }

    /// What a case gets: a namespace and names of its own.
    pub(super) async fn scope(&self, case: &str) -> Result<Scope, String> {
        Scope::new(self, case).await
    }
}
