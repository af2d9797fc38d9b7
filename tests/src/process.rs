//! An operator as a process of its own, that a test can kill, stop and continue.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

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
}

impl Operator {
    /// Starts `obstack operator` with this kubeconfig and further arguments. Its log goes to `log`.
    ///
    /// # Errors
    /// When the process cannot be started.
    pub fn start(kubeconfig: &Path, log: &Path, identity: &str, args: &[&str]) -> std::io::Result<Self> {
        let out = File::options().create(true).append(true).open(log)?;
        let child = Command::new(binary("obstack"))
            .arg("operator")
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAME", identity)
            .env("POD_NAMESPACE", "obstack-system")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        Ok(Self { child, log: log.to_owned() })
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

    /// Kills it and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}
