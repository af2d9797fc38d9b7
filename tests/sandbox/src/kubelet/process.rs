//! Starting, signalling and ending the process of a container.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::launch::{Launch, build_arguments, is_guarded};
use super::logs::LogWriter;

/// How long bubblewrap may take to stop; it is a matter of the kernel's next look at it.
const STOP_BOUND: Duration = Duration::from_millis(500);

/// Time between two looks whether a container listens for the signal to end.
const LISTEN_POLL: Duration = Duration::from_millis(20);

/// A container that was started.
pub(crate) struct Process {
    child: Child,
    /// Process id of bubblewrap itself, which waits for the container.
    pid: u32,
}

/// What a container reads and writes.
pub(crate) struct Streams {
    input: Option<ChildStdin>,
    output: Option<ChildStdout>,
    error: Option<ChildStderr>,
}

impl Streams {
    /// Lets the container go on from its guard, and copies what it writes until its end.
    pub(crate) async fn copy(self, log: Arc<LogWriter>) {
        let (first, second) = (log.clone(), log);
        let output = async {
            let Some(mut output) = self.output else { return };
            let mut line = [0];
            // A container that ended before its guard closes both: there is nobody to answer then.
            if is_guarded()
                && matches!(output.read(&mut line).await, Ok(1))
                && let Some(mut input) = self.input
            {
                let _ = input.write_all(b"\n").await;
            }
            first.copy("stdout", output).await;
        };
        let error = async {
            if let Some(error) = self.error {
                second.copy("stderr", error).await;
            }
        };
        tokio::join!(output, error);
    }
}

struct Order {
    command: Command,
    handle: Handle,
    reply: oneshot::Sender<io::Result<Child>>,
}

/// The thread that starts every container. `--die-with-parent` means the thread that started the child, not
/// its process: one that lives as long as this process keeps containers alive exactly that long.
fn spawner() -> &'static mpsc::Sender<Order> {
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for mut order in inbox {
                let _guard = order.handle.enter();
                // Whoever asked may have gone: the child is then killed as it is dropped.
                let _ = order.reply.send(order.command.spawn());
            }
        });
        orders
    })
}

/// Starts a command on a thread that lives as long as this process.
///
/// # Errors
/// That the command cannot be started.
pub(crate) async fn spawn_bound(command: Command) -> io::Result<Child> {
    let (reply, answer) = oneshot::channel();
    let gone = || io::Error::other("the thread that starts containers is gone");
    spawner().send(Order { command, handle: Handle::current(), reply }).map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

impl Process {
    /// Starts a container; its standard output and error are pipes.
    ///
    /// # Errors
    /// That bubblewrap cannot be started.
    pub(crate) async fn start(bwrap: &Path, launch: &Launch) -> io::Result<Self> {
        let mut command = Command::new(bwrap);
        command
            .args(build_arguments(launch))
            .env_clear()
            .envs(&launch.variables)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let child = spawn_bound(command).await?;
        let pid = child.id().ok_or_else(|| io::Error::other("the container ended at once"))?;
        Ok(Self { child, pid })
    }

    /// Standard input, output and error, once.
    pub(crate) fn take_streams(&mut self) -> Streams {
        Streams {
            input: self.child.stdin.take(),
            output: self.child.stdout.take(),
            error: self.child.stderr.take(),
        }
    }

    /// What signals and commands are sent to.
    pub(crate) fn handle(&self) -> ProcessHandle {
        ProcessHandle { bubblewrap: self.pid }
    }

    /// Waits for the end; the exit code, 128 and the signal's number where a signal ended it.
    pub(crate) async fn wait(&mut self) -> i32 {
        use std::os::unix::process::ExitStatusExt;
        match self.child.wait().await {
            Ok(status) => status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(255),
            Err(_) => 255,
        }
    }
}

/// A running container, for signals and for commands inside of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProcessHandle {
    bubblewrap: u32,
}

impl ProcessHandle {
    /// Process id of the container's process 1, as seen from outside; none before it is there.
    fn inner(self) -> Option<u32> {
        let pid = self.bubblewrap;
        let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let first = |text: String| text.split_whitespace().next()?.parse().ok();
        listed.ok().and_then(first).or_else(|| child_of(pid))
    }

    /// Asks the container to end, as soon as it listens: process 1 does not end of a signal that it does not catch, so
    /// one that comes while bubblewrap is still starting the program would be lost. Never returns where nobody listens.
    pub(crate) async fn terminate(self) {
        loop {
            match self.inner().filter(|pid| listens(*pid, Signal::SIGTERM)) {
                Some(pid) => return signal(pid, Signal::SIGTERM),
                None => tokio::time::sleep(LISTEN_POLL).await,
            }
        }
    }

    /// Ends the container and everything that it started.
    pub(crate) fn kill(self) {
        // A process 1 that is being started at this moment does not end with bubblewrap yet, and would be left. Who is
        // stopped starts nobody any more, and his children are listed reliably.
        signal(self.bubblewrap, Signal::SIGSTOP);
        self.await_stop();
        if let Some(pid) = self.inner() {
            signal(pid, Signal::SIGKILL);
        }
        signal(self.bubblewrap, Signal::SIGKILL);
    }

    /// Waits until bubblewrap has stopped, or is gone: a signal is seen a moment after it was sent.
    fn await_stop(self) {
        let begun = Instant::now();
        while begun.elapsed() < STOP_BOUND {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.bubblewrap)).unwrap_or_default();
            // The name in parentheses may hold anything.
            let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
            if matches!(state, None | Some('T' | 't' | 'Z' | 'X')) {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// The container's own view of processes: a folder for each of its processes and for no other. None before
    /// it is there.
    pub(crate) fn processes(self) -> Option<PathBuf> {
        use std::os::unix::fs::MetadataExt;
        let view = PathBuf::from(format!("/proc/{}/root/proc", self.inner()?));
        // Until it has a root of its own, the container sees the machine's processes.
        let device = |path: &Path| std::fs::metadata(path).ok().map(|meta| meta.dev());
        let own = device(&view)? != device(Path::new("/proc"))?;
        own.then_some(view)
    }

    /// A command that runs inside of the container's namespaces; none where the container is not there.
    pub(crate) fn inside(self, nsenter: &Path, user_namespace: bool, command: &[String]) -> Option<Command> {
        let mut inside = Command::new(nsenter);
        inside.args(["--target", &self.inner()?.to_string(), "--mount", "--pid"]);
        if user_namespace {
            inside.args(["--user", "--preserve-credentials"]);
        }
        inside.arg("--").args(command).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        inside.kill_on_drop(true);
        Some(inside)
    }
}

/// Whether a process catches a signal, or blocks it to take it up itself.
fn listens(pid: u32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let masks = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigCgt:").or_else(|| line.strip_prefix("SigBlk:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    // Signals count from one.
    masks.fold(0, |all, mask| all | mask) >> (signal as i32 - 1) & 1 == 1
}

fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        // A process that has ended already is what was wanted.
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// The first child of a process, for kernels that do not list children.
fn child_of(parent: u32) -> Option<u32> {
    std::fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name is in brackets and may hold anything; state and parent follow the last bracket.
        let mut rest = stat.rsplit_once(')')?.1.split_whitespace();
        (rest.nth(1)?.parse::<u32>().ok()? == parent).then_some(pid)
    })
}
