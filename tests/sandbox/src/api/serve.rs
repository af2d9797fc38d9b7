//! Starting, listening, stopping; and what a program that embeds the server can ask of it.

use super::audit::AuditEntry;
use super::auth::{MASTERS, Tokens, User};
use super::fault::{AfterHook, BeforeHook};
use super::handlers::{self, Connection};
use super::journal::{Folder, Keys};
use super::logs::LogSource;
use super::registry::Registry;
use super::server::Server;
use super::store::Store;
use super::{bootstrap, controllers, lock, meta, write};
use axum::body::Body;
use axum::http::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

/// Life of tokens that are handed to programs in the same process, in seconds (ten years).
const LONG: i64 = 10 * 365 * 24 * 3600;

/// How a server is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Folder in which the store is kept between runs; nothing is kept without it.
    pub state_dir: Option<PathBuf>,
    /// Base and prefix length (8 to 30) of the range that Services get their addresses from.
    pub service_range: (Ipv4Addr, u8),
    /// Further names and addresses for the server's certificate.
    pub names: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            state_dir: None,
            service_range: (Ipv4Addr::new(127, 43, 0, 0), 16),
            names: Vec::new(),
        }
    }
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; free the port or choose another one")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// Certificates cannot be made.
    #[error("cannot make the server's certificate: {0}")]
    Certificate(String),
    /// The state folder cannot be read or written.
    #[error("cannot use the state folder {path}: {why}")]
    State {
        /// The folder or file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
}

/// Starts servers.
#[derive(Debug)]
pub struct ApiServer;

/// A running server. It stops when [`Handle::stop`] is called.
#[derive(Clone)]
pub struct Handle {
    server: Arc<Server>,
    address: SocketAddr,
    tasks: TaskTracker,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ApiServer {
    /// Starts a server and returns when it accepts connections.
    ///
    /// # Errors
    /// The address is in use, or the state folder cannot be used.
    pub async fn start(config: Config) -> Result<Handle, StartError> {
        let certificate = |e: String| StartError::Certificate(e);
        let mut store = Store::new();
        let folder = match &config.state_dir {
            Some(path) => {
                let failed = |e: std::io::Error| StartError::State { path: path.clone(), why: e.to_string() };
                let folder = Folder::open(path.clone()).map_err(failed)?;
                let keys = folder.keys().map_err(failed)?;
                folder.restore(&mut store).map_err(failed)?;
                Some((folder, keys))
            }
            None => None,
        };
        let (folder, keys) = match folder {
            Some((folder, keys)) => (Some(folder), keys),
            None => (None, Keys::generate().map_err(|e| certificate(e.to_string()))?),
        };
        let identity = keys.identity;
        let mut names = vec![
            "localhost".to_owned(),
            config.bind.ip().to_string(),
            "127.0.0.1".to_owned(),
            "kubernetes.default.svc".to_owned(),
            "kubernetes.default".to_owned(),
            "kubernetes".to_owned(),
        ];
        names.extend(config.names.iter().cloned());
        names.dedup();
        let tls = identity.server(names).map_err(|e| certificate(e.to_string()))?;
        let listener = TcpListener::bind(config.bind)
            .await
            .map_err(|source| StartError::Listen { address: config.bind, source })?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { address: config.bind, source })?;
        let server = Arc::new(Server::new(
            store,
            Registry::builtin(),
            Tokens::new(keys.secret.into_bytes()),
            identity.ca.clone(),
            config.service_range,
            Vec::new(),
        ));
        bootstrap::fill(&server);
        let tasks = TaskTracker::new();
        if let Some(folder) = folder {
            let (journal, changes) = Folder::journal();
            lock(&server.store).set_journal(Some(journal));
            let (weak, (done, written)) = (Arc::downgrade(&server), tokio::sync::oneshot::channel());
            // A thread of its own: a runtime that ends would wait for a blocking task.
            std::thread::spawn(move || {
                if let Err(error) = folder.write(&weak, &changes) {
                    tracing::error!(%error, "the store is no longer kept on disk");
                }
                let _ = done.send(());
            });
            tasks.spawn(async move {
                let _ = written.await;
            });
        }
        tasks.spawn(accept(server.clone(), listener, TlsAcceptor::from(tls), tasks.clone()));
        tasks.spawn(controllers::run(server.clone()));
        Ok(Handle { server, address, tasks })
    }
}

async fn accept(server: Arc<Server>, listener: TcpListener, tls: TlsAcceptor, tasks: TaskTracker) {
    loop {
        let stream = tokio::select! {
            () = server.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match stream {
            Ok((stream, _)) => {
                tasks.spawn(connection(server.clone(), stream, tls.clone()));
            }
            Err(error) => {
                // Out of file descriptors: others may be freed soon.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(server: Arc<Server>, stream: TcpStream, tls: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(std::time::Duration::from_secs(10), tls.accept(stream)).await;
    let Ok(Ok(stream)) = handshake else { return };
    let drop_it = Connection::default();
    let service = {
        let (server, drop_it) = (server.clone(), drop_it.clone());
        hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
            let (server, drop_it) = (server.clone(), drop_it.clone());
            async move {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(drop_it);
                Ok::<_, std::convert::Infallible>(handlers::handle(server, request).await)
            }
        })
    };
    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(serving);
    let stopping = tokio::select! {
        _ = serving.as_mut() => return,
        () = drop_it.0.cancelled() => return,
        () = server.shutdown.cancelled() => true,
    };
    if stopping {
        serving.as_mut().graceful_shutdown();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(1), serving).await;
    }
}

impl Handle {
    /// Base URL, such as `https://127.0.0.1:6443`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Address that the server listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Certificate of the authority that signed the server's, PEM.
    pub fn ca_pem(&self) -> String {
        self.server.ca.clone()
    }

    /// A token for a service account. It ends with the account if that exists now; a token for an account that
    /// does not exist yet is bound to its name.
    pub fn token_for(&self, namespace: &str, service_account: &str) -> String {
        let account = lock(&self.server.store).get("serviceaccounts", namespace, service_account);
        let uid = account.as_deref().map(|a| meta::uid(a).to_owned()).unwrap_or_default();
        self.server.tokens.issue(&User::account(namespace, service_account, &uid), &[], LONG)
    }

    /// A token for a user with groups; `system:masters` may do everything.
    pub fn token_for_user(&self, user: &str, groups: &[&str]) -> String {
        self.server.tokens.issue(&User::named(user, groups), &[], LONG)
    }

    /// A kubeconfig for an administrator.
    pub fn admin_kubeconfig(&self) -> String {
        self.kubeconfig("admin", &self.token_for_user("kubernetes-admin", &[MASTERS]))
    }

    /// A kubeconfig for a user with groups.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> String {
        self.kubeconfig(user, &self.token_for_user(user, groups))
    }

    /// A kubeconfig for a service account.
    pub fn kubeconfig_for_account(&self, namespace: &str, service_account: &str) -> String {
        self.kubeconfig(service_account, &self.token_for(namespace, service_account))
    }

    fn kubeconfig(&self, user: &str, token: &str) -> String {
        use base64::Engine as _;
        let ca = base64::engine::general_purpose::STANDARD.encode(&self.server.ca);
        let url = self.url();
        let user = serde_json::Value::String(user.to_owned());
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- name: sandbox\n  cluster:\n    server: {url}\n    \
             certificate-authority-data: {ca}\nusers:\n- name: {user}\n  user:\n    token: {token}\ncontexts:\n\
             - name: sandbox\n  context:\n    cluster: sandbox\n    user: {user}\n    namespace: default\n\
             current-context: sandbox\n"
        )
    }

    /// Requests from an index of the audit log on (0 for all that are kept).
    pub fn audit_since(&self, index: u64) -> Vec<AuditEntry> {
        self.server.audit.since(index)
    }

    /// The index that the next audit entry will have.
    pub fn audit_next(&self) -> u64 {
        self.server.audit.next()
    }

    /// Sets or clears the hook that is asked before each request.
    pub fn set_fault(&self, hook: Option<Arc<BeforeHook>>) {
        self.server.faults.set_before(hook);
    }

    /// Sets or clears the hook that is asked after each request was applied and before its answer goes out.
    pub fn set_fault_after(&self, hook: Option<Arc<AfterHook>>) {
        self.server.faults.set_after(hook);
    }

    /// Sets where logs come from.
    pub fn set_log_source(&self, source: Arc<dyn LogSource>) {
        *write(&self.server.logs) = Some(source);
    }

    /// The newest resource version of the store.
    pub fn resource_version(&self) -> u64 {
        lock(&self.server.store).version()
    }

    /// Forgets the history of changes: watches that resume from before get 410.
    pub fn compact(&self) {
        lock(&self.server.store).compact();
    }

    /// A stored object as JSON, without a request. `resource` is the plural with its group, such as `pods` or
    /// `statefulsets.apps`; `namespace` is empty for cluster-scoped ones.
    pub fn peek(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        lock(&self.server.store).get(resource, namespace, name).as_deref().cloned()
    }

    /// All stored objects of a resource as JSON, without a request.
    pub fn peek_all(&self, resource: &str) -> Vec<Value> {
        lock(&self.server.store).list(resource, None).map(|o| Value::clone(o)).collect()
    }

    /// Stops listening, ends watches and waits until all connections are closed.
    pub async fn stop(&self) {
        self.server.shutdown.cancel();
        lock(&self.server.store).set_journal(None);
        self.tasks.close();
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), self.tasks.wait()).await;
    }
}
