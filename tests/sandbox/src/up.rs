//! `obstack-sandbox up`: a cluster with manifests applied, until it is told to end.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cluster::{Cluster, ClusterError, Options};
use crate::demo::{self, Standing};
use crate::images::Folders;
use crate::manifests::{self, ManifestError};

/// How long a demo may take to be ready before it gives up.
const DEMO_PATIENCE: Duration = Duration::from_secs(300);

/// Binaries without which a demo shows nothing, and what to do for each.
const DEMO_NEEDS: [(&str, &str); 2] = [
    ("prometheus", "run scripts/parts prometheus, or put it on the PATH"),
    ("obstack", "build it with cargo build, or name its folder with --binaries"),
];

/// What to start.
#[derive(Clone, Debug, Default)]
pub struct Up {
    /// Files and folders with manifests.
    pub paths: Vec<PathBuf>,
    /// The cluster.
    pub cluster: Options,
    /// Wait for the stacks and print where they are reached.
    pub demo: bool,
    /// How long to stay after that; for ever where nothing is said.
    pub stay: Option<Duration>,
}

/// Why it ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The manifests.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// What the demo shows is not on this machine.
    #[error("{0} is not on this machine: {1}")]
    NoBinary(&'static str, &'static str),
    /// A stack that could be Ready is not.
    #[error("not ready:\n  {}", .0.join("\n  "))]
    NotReady(Vec<String>),
    /// Signals cannot be waited for.
    #[error("cannot wait for signals: {0}")]
    Signals(std::io::Error),
}

impl UpError {
    /// The exit code: 1 where the input is at fault or a stack is not ready, 3 where something outside is
    /// missing.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Manifest(_) | Self::NotReady(_) => 1,
            Self::Cluster(_) | Self::NoBinary(..) | Self::Signals(_) => 3,
        }
    }
}

/// Progress on standard error, so that standard output holds only what scripts read.
struct Progress {
    begun: Instant,
    colour: bool,
}

impl Progress {
    fn new() -> Self {
        let colour =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
        Self { begun: Instant::now(), colour }
    }

    fn say(&self, text: &str) {
        let (dim, plain) = if self.colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
        let seconds = self.begun.elapsed().as_secs_f64();
        // Nobody may be reading: that must not end the cluster.
        let _ = writeln!(std::io::stderr(), "{dim}{seconds:6.1} s{plain}  {text}");
    }
}

fn print(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> Result<Self, UpError> {
        let listen = |kind| signal(kind).map_err(UpError::Signals);
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! { _ = self.interrupt.recv() => (), _ = self.terminate.recv() => () }
    }
}

/// Starts the cluster, applies the manifests, stays, and ends everything.
///
/// # Errors
/// Manifests or machine at fault, or a stack that is not ready at the end of a demo.
pub async fn run(up: Up) -> Result<(), UpError> {
    let progress = Progress::new();
    let mut signals = Signals::listen()?;
    let mut objects = manifests::load(&up.paths)?;
    if up.demo {
        demo::open_decisions(&mut objects);
    }
    let folders = Folders::of_machine(&up.cluster.binaries);
    for (name, hint) in DEMO_NEEDS.iter().filter(|_| up.demo) {
        folders.find(&[name]).ok_or(UpError::NoBinary(name, hint))?;
    }
    progress.say("starting the API server, the controllers and the kubelet");
    let cluster = Cluster::start(up.cluster.clone()).await?;
    progress.say(&format!("the API server listens on {}", cluster.api().url()));
    let result = tokio::select! {
        result = serve(&up, &cluster, &objects, &progress) => result,
        () = signals.any() => Ok(()),
    };
    progress.say("stopping");
    cluster.stop().await;
    progress.say("stopped; no process is left");
    result
}

async fn serve(
    up: &Up,
    cluster: &Cluster,
    objects: &[kube::core::DynamicObject],
    progress: &Progress,
) -> Result<(), UpError> {
    progress.say(&format!("applying {} objects", objects.len()));
    manifests::apply(&cluster.client(), objects).await?;
    if up.demo {
        await_ready(cluster, progress).await?;
        let links = demo::links(&cluster.client()).await.unwrap_or_default();
        for line in demo::lines(&links, &cluster.kubeconfig()) {
            print(&line);
        }
        print("demo: ready");
    } else {
        print(&format!("export KUBECONFIG={}", cluster.kubeconfig().display()));
    }
    let Some(stay) = up.stay else { return std::future::pending().await };
    tokio::time::sleep(stay).await;
    if !up.demo {
        return Ok(());
    }
    match demo::standing(&cluster.client()).await {
        Ok(standing) if standing.waiting.is_empty() => Ok(()),
        Ok(standing) => Err(UpError::NotReady(standing.waiting)),
        Err(error) => Err(UpError::NotReady(vec![error.to_string()])),
    }
}

/// Waits until every component that can run is Ready, and says what it waits for.
async fn await_ready(cluster: &Cluster, progress: &Progress) -> Result<(), UpError> {
    let begun = Instant::now();
    let mut told = Standing::default();
    loop {
        let standing = match demo::standing(&cluster.client()).await {
            Ok(standing) => standing,
            Err(error) => Standing { waiting: vec![error.to_string()], ..Standing::default() },
        };
        for line in standing.without_binary.iter().filter(|line| !told.without_binary.contains(line)) {
            progress.say(&format!("left out: {line}"));
        }
        for line in standing.waiting.iter().filter(|line| !told.waiting.contains(line)) {
            progress.say(&format!("waiting: {line}"));
        }
        if standing.waiting.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > DEMO_PATIENCE {
            return Err(UpError::NotReady(standing.waiting));
        }
        told = standing;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
