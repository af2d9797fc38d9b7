//! An operator as a process of its own, that a test can kill, stop and continue.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::until;

/// Stands in the operator's log before the address that it serves at.
const LISTENING: &str = "/decisions address=";

/// Path of a binary of this workspace, built by the same cargo run.
///
/// # Panics
/// When it was not built: `cargo build --workspace --bins` comes first.
pub fn binary(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap_or_default();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace --bins` first", path.display());
    path
}

/// A running operator; it is killed when it is dropped.
pub struct Operator {
    child: Child,
    /// What it writes to standard error and output.
    pub log: PathBuf,
    /// Where its own lines begin in a log that others wrote to before.
    log_begins: usize,
}

impl Operator {
    /// Starts `obstack operator` with this kubeconfig and further arguments. Its log goes to `log`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(kubeconfig: &Path, log: &Path, identity: &str, args: &[&str]) -> std::io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let log_begins = usize::try_from(out.metadata()?.len()).unwrap_or(0);
        let child = Command::new(binary("obstack"))
            .arg("operator")
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAME", identity)
            .env("POD_NAMESPACE", "obstack-system")
            .env("NO_COLOR", "1")
            // What the shell of whoever runs the tests has set must change nothing.
            .env_remove("OBSTACK_LOG")
            .env_remove("OBSTACK_LOG_FORMAT")
            .env_remove("WATCH_NAMESPACES")
            .env_remove("OBSTACK_DECISIONS_ACCESS")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { child, log: log.to_owned(), log_begins })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it serves, once it does: with `--listen 127.0.0.1:0` nobody knows before.
    pub async fn url(&self) -> String {
        until("the operator says where it serves", Duration::from_secs(30), || async {
            let log = self.log();
            let after = |mark| log.split(mark).nth(1);
            let address = after(LISTENING).and_then(|rest| rest.split_whitespace().next());
            address.map(|address| format!("http://{address}")).ok_or(log.clone())
        })
        .await
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn signal(&self, signal: Signal) -> nix::Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), signal)
    }

    /// Whether and how it ended by itself.
    ///
    /// # Errors
    /// The system's.
    pub fn ended(&mut self) -> std::io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits until it has ended by itself, at most for `bound`.
    ///
    /// # Panics
    /// When it still runs then.
    pub async fn end(&mut self, bound: Duration) -> ExitStatus {
        let end = Instant::now() + bound;
        loop {
            if let Ok(Some(status)) = self.ended() {
                return status;
            }
            assert!(Instant::now() < end, "it still runs after {bound:?}: {}", self.tail());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its log so far, without what others wrote to the same file before.
    pub fn log(&self) -> String {
        let all = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(all.get(self.log_begins..).unwrap_or_default()).into_owned()
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}
