//! The sidecar that brings a generation of configuration into a running engine, and proves it.
//!
//! It watches the candidate's pointer over the API, and looks at the mounted slots for where the API does not
//! answer. It fetches the parts that it does not have, holds every digest against the pointer, writes the
//! generation beside the one that runs, has the engine's own tool check what differs, switches `current`, tells
//! the engine to reload, and asks the engine what it runs. A generation that the tool or the engine refuses, or
//! that the engine does not confirm, is taken back: the one before is switched in again, reloaded, and asked
//! for. Nothing is ever written to the API.

mod bisect;
mod checker;
mod converge;
mod engine;
mod gather;
mod http;
mod lay;
mod layout;
mod live;
mod metrics;
mod once;
mod partial;
mod slots;
mod source;
mod state;
mod trial;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::running::Engine;

pub use live::LiveSettings;
pub use once::run_once;
pub use state::{Refusal, State};

/// Changes that keep coming are gathered for at most this many times the pause that they are waited for.
pub const GATHER_AT_MOST: u32 = 6;

/// What a reloader works with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The engine in the same pod.
    pub engine: Engine,
    /// URL of the engine, prefix included, without a slash at its end.
    pub engine_url: String,
    /// Folders that slots are mounted at: slot `a` first.
    pub slots: Vec<PathBuf>,
    /// Folder that holds the generations and `current`.
    pub target: PathBuf,
    /// Where `/healthz`, `/readyz`, `/status` and `/metrics` are served.
    pub listen: SocketAddr,
    /// The engine's own tool; where there is none, it is looked for on the PATH.
    pub checker: Option<PathBuf>,
    /// Time between two looks at the slots.
    pub poll: Duration,
    /// How the API is reached; none where the mounts have to do.
    pub live: Option<LiveSettings>,
    /// How long changes are gathered once the engine runs: until none came for this long, or for at most
    /// [`GATHER_AT_MOST`] times as long.
    pub gather: Duration,
    /// How long an engine that does not answer has to start with what it was given, before a newer candidate
    /// takes its place.
    pub patience: Duration,
}

/// Why a reloader ends.
#[derive(Debug, thiserror::Error)]
pub enum ReloaderError {
    /// The address cannot be listened on.
    #[error("{0} cannot be listened on: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// The HTTP client cannot be made.
    #[error("no HTTP client can be made: {0}")]
    Client(reqwest::Error),
    /// No generation that can be used came in time.
    #[error("no configuration can be laid down after {waited:?}: {reason}")]
    NotInTime {
        /// How long it was waited for.
        waited: Duration,
        /// What was missing last.
        reason: String,
    },
}

/// Runs until `shutdown` says so.
///
/// # Errors
/// [`ReloaderError`] where it cannot start. What goes wrong later is told in the log, in `/readyz` and in
/// `/metrics`, and tried again.
pub async fn run(
    settings: Settings,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ReloaderError> {
    let listener = listen(settings.listen).await.map_err(|e| ReloaderError::Listen(settings.listen, e))?;
    let (state, watch) = watch::channel(State::default());
    let metrics = metrics::Metrics::new(settings.engine);
    let poll = settings.poll;
    let mut converger = converge::Converger::new(settings, metrics.clone(), state)?;
    let server = tokio::spawn(http::serve(listener, metrics, watch));
    tokio::pin!(shutdown);
    loop {
        converger.step().await;
        tokio::select! {
            () = &mut shutdown => break,
            () = converger.told() => {}
            () = tokio::time::sleep(poll) => {}
        }
    }
    server.abort();
    // The address is free for the next one only when it has ended.
    let _ = server.await;
    Ok(())
}

/// Listens on an address; every address of both families is every IPv4 address where there is no IPv6.
async fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let every_v6 = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    match TcpListener::bind(address).await {
        Err(error) if every_v6 && error.kind() != std::io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        other => other,
    }
}
