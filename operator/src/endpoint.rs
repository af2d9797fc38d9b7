//! One value from which every URL, probe, datasource, self-scrape and link of a component is made.

use crate::names::{Role, StackId};

/// Port of the reloader beside an engine: `/healthz`, `/readyz`, `/status` and `/metrics`.
pub const RELOADER_PORT: u16 = 9533;

/// Where a component is reached, and under which path it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Name of the Service with its namespace: `main-metrics.monitoring.svc`.
    pub host: String,
    /// Port of the Service and of the container.
    pub port: u16,
    /// Path that the component serves under from the start, without a slash at its end: `/prometheus`.
    pub prefix: &'static str,
}

impl Endpoint {
    /// The endpoint of a role of a stack.
    pub fn of(stack: &StackId, role: Role) -> Self {
        let (port, prefix) = match role {
            Role::Metrics => (9090, "/prometheus"),
            Role::Alerting => (9093, "/alertmanager"),
            Role::Dashboards => (3000, "/grafana"),
        };
        Self { scheme: "http", host: format!("{}.{}.svc", stack.child(role), stack.namespace), port, prefix }
    }

    /// URL of the component through its Service, prefix included.
    pub fn url(&self) -> String {
        self.url_at(&self.host)
    }

    /// URL of the component at another host, such as the address of one replica.
    pub fn url_at(&self, host: &str) -> String {
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        format!("{}://{host}:{}{}", self.scheme, self.port, self.prefix)
    }

    /// A path of the component's own with its prefix: `/prometheus/-/ready`.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }
}
