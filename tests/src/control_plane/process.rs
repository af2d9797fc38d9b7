//! One process of a control plane: it ends when it is told to, and with whoever started it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use super::Error;

/// Time between two looks at a process that is to end.
const POLL: Duration = Duration::from_millis(20);
/// How much of the end of a log an error carries, in bytes and in lines.
const TAIL_BYTES: u64 = 16 * 1024;
const TAIL_LINES: usize = 20;

/// What to start, and who wants to have it.
type Birth = (Command, Sender<io::Result<Child>>);

/// A thread that every process is started from. Linux ties "ends with its parent" to the thread that started
/// it, and the threads of an async runtime come and go.
pub(super) struct Nursery(Sender<Birth>);

impl Nursery {
    pub(super) fn new() -> Result<Self, Error> {
        let (sender, receiver) = channel::<Birth>();
        let run = move || {
            for (mut command, answer) in receiver {
                // Nobody waits any more: the child's handle is dropped, and it ends with this thread.
                let _ = answer.send(command.spawn());
            }
        };
        let thread = std::thread::Builder::new().name("control-plane".to_owned()).spawn(run);
        thread.map(|_| Self(sender)).map_err(Error::io("a thread for the control plane"))
    }

    fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the thread that starts processes is gone");
        let (sender, receiver) = channel();
        self.0.send((command, sender)).map_err(|_| gone())?;
        receiver.recv().map_err(|_| gone())?
    }
}

/// What to start.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    /// Name of the program, and of its log.
    pub(super) name: &'static str,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Its working folder, where its log goes too.
    pub(super) folder: PathBuf,
}

/// A running process; it is killed when it is dropped.
pub(super) struct Process {
    pub(super) name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it. Its output is appended to `NAME.log` in its folder.
    pub(super) fn start(nursery: &Nursery, setpriv: &Path, launch: &Launch) -> Result<Self, Error> {
        let log = launch.folder.join(format!("{}.log", launch.name));
        let out = File::options().create(true).append(true).open(&log);
        let out = out.and_then(|out| Ok((out.try_clone()?, out)));
        let (out, err) = out.map_err(Error::io(log.display().to_string()))?;
        let mut command = Command::new(setpriv);
        command
            .args(["--pdeathsig", "KILL", "--"])
            .arg(&launch.program)
            .args(&launch.args)
            .current_dir(&launch.folder)
            // What the shell has set must change nothing: etcd takes every flag from there, Go its limits.
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &launch.folder)
            .env("TMPDIR", &launch.folder)
            // The processes live for a minute and the heap is small: collecting it seldom saves what a start costs.
            .env("GOGC", "400")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err);
        let child = nursery.spawn(command).map_err(Error::io(format!("{} cannot start", launch.name)))?;
        Ok(Self { name: launch.name, child, log })
    }

    /// Its process id.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Says so when it has ended by itself.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Error::Ended { name: self.name, status, tail: self.tail() }),
            Err(source) => Err(Error::Io { what: self.name.to_owned(), source }),
        }
    }

    /// Its process id, as system calls take it. It is that of the child as long as nobody has waited for it, and only
    /// `check` and `kill` do.
    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends a signal; nothing happens when it is gone.
    pub(super) fn signal(&self, signal: Signal) {
        let _ = kill(self.pid(), signal);
    }

    /// Stops it where it is. A process that was sent the signal runs on until each of its threads has taken it,
    /// which is waited for.
    pub(super) async fn pause(&self, bound: Duration) -> Result<(), Error> {
        self.signal(Signal::SIGSTOP);
        // Only looked at: that it is stopped, or has ended, is left for others to see.
        let look = WaitPidFlag::WSTOPPED | WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        let end = Instant::now() + bound;
        loop {
            let state =
                waitid(Id::Pid(self.pid()), look).map_err(|error| Error::io(self.name)(error.into()))?;
            if state != WaitStatus::StillAlive {
                return Ok(());
            }
            if Instant::now() >= end {
                let what = format!("{} runs on after {bound:?}", self.name);
                return Err(Error::io(what)(io::ErrorKind::TimedOut.into()));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Asks it to end, and kills it when it has not within `bound`.
    pub(super) async fn end(mut self, bound: Duration) {
        let end = Instant::now() + bound;
        if self.check().is_ok() {
            self.signal(Signal::SIGTERM);
            // One that is paused would never see it.
            self.signal(Signal::SIGCONT);
        }
        while self.check().is_ok() && Instant::now() < end {
            tokio::time::sleep(POLL).await;
        }
    }

    /// The last lines of its log.
    pub(super) fn tail(&self) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&self.log)?;
            let begin = file.metadata()?.len().saturating_sub(TAIL_BYTES);
            file.seek(SeekFrom::Start(begin))?;
            let mut bytes = Vec::new();
            file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => {
                let text = String::from_utf8_lossy(&bytes);
                let lines: Vec<&str> = text.lines().collect();
                lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
            }
            Err(error) => format!("(its log cannot be read: {error})"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both do nothing to one that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
