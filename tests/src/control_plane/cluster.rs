//! A cluster for a test that does not mind whose it is.

use super::{ControlPlane, Error, Options, kubeconfig};

/// Names the kubeconfig file of a cluster that tests may change. Never `KUBECONFIG`: that one can be
/// anybody's.
const GIVEN: &str = "OBSTACK_TEST_KUBECONFIG";

/// A control plane of the test's own, or a cluster that was given to it.
pub enum Cluster {
    /// Started here.
    Own(Box<ControlPlane>),
    /// Given: the administrator's kubeconfig. It is not stopped, and it has no audit log for us.
    Given(String),
}

impl Cluster {
    /// The cluster of `OBSTACK_TEST_KUBECONFIG`, or else a control plane.
    ///
    /// # Errors
    /// Those of [`ControlPlane::start`], and when the given kubeconfig cannot be read.
    pub async fn start(options: Options) -> Result<Self, Error> {
        match std::env::var_os(GIVEN).filter(|path| !path.is_empty()) {
            Some(path) => {
                let read = tokio::fs::read_to_string(&path).await;
                Ok(Self::Given(read.map_err(Error::io(format!("{GIVEN}={}", path.display())))?))
            }
            None => Ok(Self::Own(Box::new(ControlPlane::start(options).await?))),
        }
    }

    /// The control plane, where it is the test's own.
    pub fn own(&mut self) -> Option<&mut ControlPlane> {
        match self {
            Self::Own(plane) => Some(plane),
            Self::Given(_) => None,
        }
    }

    /// The administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> String {
        match self {
            Self::Own(plane) => plane.admin_kubeconfig(),
            Self::Given(kubeconfig) => kubeconfig.clone(),
        }
    }

    /// The kubeconfig of a ServiceAccount, with a token.
    ///
    /// # Errors
    /// When the account does not exist.
    pub async fn kubeconfig_for_account(&self, namespace: &str, name: &str) -> Result<String, Error> {
        kubeconfig::for_account(&self.admin_kubeconfig(), namespace, name).await
    }

    /// Ends what was started here.
    ///
    /// # Errors
    /// Those of [`ControlPlane::stop`].
    pub async fn stop(self) -> Result<(), Error> {
        match self {
            Self::Own(plane) => plane.stop().await,
            Self::Given(_) => Ok(()),
        }
    }
}
