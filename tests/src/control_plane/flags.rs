//! The files and the command lines of the processes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use super::certificates::{Authority, write_private, write_token_keys};
use super::process::Launch;
use super::{Error, Options, kubeconfig};
use crate::ports;

/// Every request at its end; of watches also their begin.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
";
/// Name of the audit log in the folder.
pub(super) const AUDIT_LOG: &str = "audit.jsonl";
/// Group that may do everything.
const MASTERS: &str = "system:masters";

/// Everything that is known before the first process starts.
pub(super) struct Plan {
    /// Where the API server is reached.
    pub(super) address: SocketAddr,
    /// Where etcd says how it is.
    pub(super) etcd_health: String,
    /// The administrator's kubeconfig.
    pub(super) admin: String,
    pub(super) etcd: Launch,
    pub(super) api_server: Launch,
    /// Those that need the API server, each with where it says how it is.
    pub(super) clients: Vec<(Launch, String)>,
}

impl Plan {
    /// Chooses ports and writes certificates, keys, kubeconfigs and the audit policy into the folder.
    pub(super) fn write(
        options: &Options,
        programs: &Path,
        folder: &Path,
        authority: &Authority,
    ) -> Result<Self, Error> {
        let port = ports::free(options.bind).map_err(no_port)?;
        let address = SocketAddr::new(options.reached_at(), port);
        let server = format!("https://{address}");
        let launch = |name: &'static str, args: Vec<String>| Launch {
            name,
            program: programs.join(name),
            args,
            folder: folder.to_owned(),
        };

        authority.own.write(folder, "ca")?;
        authority.server("kube-apiserver", &options.hosts()?)?.write(folder, "server")?;
        authority.client("kube-apiserver-kubelet-client", &[MASTERS])?.write(folder, "kubelet-client")?;
        write_token_keys(folder, "service-account")?;
        write_private(&folder.join("audit-policy.yaml"), AUDIT_POLICY)?;
        let config = |user: &str, groups: &[&str]| {
            let certificate = authority.client(user, groups)?;
            Ok::<_, Error>(kubeconfig::of_certificate(&server, &authority.own.pem, &certificate))
        };

        let local = || ports::loopback().map_err(no_port);
        let etcd_address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local()?);
        let peer = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), local()?);
        let etcd = format!("http://{etcd_address}");
        let mut clients = Vec::new();
        for (name, wanted, more) in [
            ("kube-controller-manager", true, controller_manager(options, folder)),
            ("kube-scheduler", options.scheduler, Vec::new()),
        ] {
            if wanted {
                let path = folder.join(format!("{name}.kubeconfig"));
                write_private(&path, &config(&format!("system:{name}"), &[])?)?;
                let port = local()?;
                let args = [client(folder, &path, port), more].concat();
                clients.push((launch(name, args), format!("https://127.0.0.1:{port}/healthz")));
            }
        }
        Ok(Self {
            address,
            etcd_health: format!("{etcd}/health"),
            admin: config("kubernetes-admin", &[MASTERS])?,
            etcd: launch("etcd", etcd_args(folder, &etcd, &format!("http://{peer}"))),
            api_server: launch("kube-apiserver", api_server(options, folder, port, &etcd)),
            clients,
        })
    }
}

fn no_port(source: std::io::Error) -> Error {
    Error::Io { what: "ports for the control plane".to_owned(), source }
}

fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

fn file_flag(name: &str, folder: &Path, file: &str) -> String {
    flag(name, folder.join(file).display())
}

fn etcd_args(folder: &Path, client: &str, peer: &str) -> Vec<String> {
    vec![
        file_flag("data-dir", folder, "etcd"),
        flag("listen-client-urls", client),
        flag("advertise-client-urls", client),
        flag("listen-peer-urls", peer),
        flag("initial-advertise-peer-urls", peer),
        flag("initial-cluster", format!("default={peer}")),
        // The data ends with the test; nothing of it must survive the machine.
        "--unsafe-no-fsync".to_owned(),
        flag("log-level", "warn"),
    ]
}

fn api_server(options: &Options, folder: &Path, port: u16, etcd: &str) -> Vec<String> {
    let mut args = vec![
        flag("etcd-servers", etcd),
        flag("bind-address", options.bind),
        flag("secure-port", port),
        flag("advertise-address", options.endpoint().unwrap_or_else(|| Ipv4Addr::LOCALHOST.into())),
        flag("service-cluster-ip-range", &options.service_range),
        file_flag("cert-dir", folder, "certificates"),
        file_flag("tls-cert-file", folder, "server.crt"),
        file_flag("tls-private-key-file", folder, "server.key"),
        file_flag("client-ca-file", folder, "ca.crt"),
        file_flag("kubelet-certificate-authority", folder, "ca.crt"),
        file_flag("kubelet-client-certificate", folder, "kubelet-client.crt"),
        file_flag("kubelet-client-key", folder, "kubelet-client.key"),
        // Node names need not be known to any name server.
        flag("kubelet-preferred-address-types", "InternalIP,Hostname"),
        flag("service-account-issuer", "https://kubernetes.default.svc.cluster.local"),
        file_flag("service-account-key-file", folder, "service-account.pub"),
        file_flag("service-account-signing-key-file", folder, "service-account.key"),
        flag("authorization-mode", "Node,RBAC"),
        // These two are what installers of clusters choose; the defaults of the program are older than them.
        flag("enable-admission-plugins", "NodeRestriction"),
        flag("allow-privileged", true),
        // Else a server that is asked to end waits for its watches, and those for nothing.
        flag("shutdown-watch-termination-grace-period", "1s"),
        file_flag("audit-policy-file", folder, "audit-policy.yaml"),
        file_flag("audit-log-path", folder, AUDIT_LOG),
        // In MB: whoever reads along wants one file.
        flag("audit-log-maxsize", 100_000),
    ];
    if options.endpoint().is_none() {
        args.push(flag("endpoint-reconciler-type", "none"));
    }
    args.extend(options.api_server_args.iter().cloned());
    args
}

/// What the controller manager and the scheduler have in common.
fn client(folder: &Path, kubeconfig: &Path, port: u16) -> Vec<String> {
    let kubeconfig = kubeconfig.display();
    vec![
        flag("kubeconfig", &kubeconfig),
        flag("authentication-kubeconfig", &kubeconfig),
        flag("authorization-kubeconfig", &kubeconfig),
        flag("bind-address", Ipv4Addr::LOCALHOST),
        flag("secure-port", port),
        file_flag("tls-cert-file", folder, "server.crt"),
        file_flag("tls-private-key-file", folder, "server.key"),
        // There is one of each.
        flag("leader-elect", false),
    ]
}

fn controller_manager(options: &Options, folder: &Path) -> Vec<String> {
    let mut args = vec![
        // Each controller has an account of its own, as in clusters; the audit log names it.
        flag("use-service-account-credentials", true),
        // It makes an account and asks for a token for each; at its own 20 requests a second that takes 5 s.
        flag("kube-api-qps", 200),
        flag("kube-api-burst", 400),
        // Tests end a namespace each, many at once.
        flag("concurrent-namespace-syncs", 50),
        file_flag("service-account-private-key-file", folder, "service-account.key"),
        file_flag("root-ca-file", folder, "ca.crt"),
        file_flag("cluster-signing-cert-file", folder, "ca.crt"),
        file_flag("cluster-signing-key-file", folder, "ca.key"),
        flag("service-cluster-ip-range", &options.service_range),
    ];
    args.extend(options.controller_manager_args.iter().cloned());
    args
}
