//! Running the table with one program.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use futures::StreamExt;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::time::timeout;

use super::table::{FILES, STEPS, Step};
use super::text::{Block, normal};

/// Longest time of one command.
const BOUND: Duration = Duration::from_secs(60);
/// Commands that only read run side by side.
const AT_ONCE: usize = 3;

/// One program with a namespace, a home and a cache of its own.
pub(super) struct Lane {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: String,
    folder: TempDir,
    /// Such as `1.32`.
    pub(super) minor: String,
}

impl Lane {
    /// Nothing where there is no such program.
    pub(super) async fn find(name: &str, letter: &str, kubeconfig: PathBuf) -> Option<Self> {
        // The parts come last: a kubectl on the PATH is the machine's own.
        let folders = [std::env::var("PATH").ok()?, std::env::var("OBSTACK_PARTS").unwrap_or_default()];
        let mut folders = folders.iter().flat_map(std::env::split_paths);
        let program = folders.find_map(|folder| Some(folder.join(name)).filter(|path| path.is_file()))?;
        let said = Command::new(&program).args(["version", "--client"]).output().await.ok()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split("Client Version: v").nth(1)?;
        let minor = version.split('.').take(2).collect::<Vec<_>>().join(".");
        let folder = TempDir::new().unwrap();
        let namespace = format!("shop-{letter}");
        for (name, text) in FILES {
            let path = folder.path().join("kubectl-files").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Some(Self { program, kubeconfig, namespace, folder, minor })
    }

    /// Runs every step in turn.
    pub(super) async fn run(&self) -> Vec<Block> {
        let mut ran = Vec::new();
        for step in STEPS {
            match step {
                Step::Read(commands) => {
                    let all = commands.iter().map(|command| self.kept(command));
                    ran.extend(futures::stream::iter(all).buffered(AT_ONCE).collect::<Vec<_>>().await);
                }
                Step::Do(commands) => {
                    for command in *commands {
                        ran.push(self.kept(command).await);
                    }
                }
                Step::Unkept(command) => {
                    let output = self.output(command).await;
                    assert!(output.status.success(), "kubectl {} {command}: {output:?}", self.minor);
                }
                Step::Watch { command, lines, change } => ran.push(self.watch(command, *lines, change).await),
            }
        }
        // What is run again is told apart by a comment, as a shell would take it.
        for place in (0..ran.len()).rev() {
            let before = ran[..place].iter().filter(|block| block.command == ran[place].command).count();
            if before > 0 {
                ran[place].command.push_str(&format!(" # {}", before + 1));
            }
        }
        ran
    }

    fn command(&self, command: &str) -> Command {
        let files = self.folder.path().join("kubectl-files").display().to_string();
        let mut made = Command::new(&self.program);
        let named = words(command).into_iter();
        made.args(named.map(|word| word.replace("{dir}", &files).replace("shop", &self.namespace)))
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", self.home())
            .env("LC_ALL", "C.UTF-8")
            .env("TZ", "UTC")
            .env("TMPDIR", "/tmp")
            // It runs for a moment; collecting its heap takes a quarter of that.
            .env("GOGC", "off")
            .env_remove("KUBECTL_EXTERNAL_DIFF")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        made
    }

    fn home(&self) -> PathBuf {
        Path::new(self.folder.path()).join("kubectl-home")
    }

    async fn output(&self, command: &str) -> Output {
        let running = self.command(command).output();
        let output = timeout(BOUND, running).await.unwrap_or_else(|_| {
            panic!("kubectl {} {command}: took more than {} s", self.minor, BOUND.as_secs())
        });
        output.unwrap()
    }

    async fn kept(&self, command: &str) -> Block {
        let output = self.output(command).await;
        let code = output.status.code().map_or_else(|| "none".to_owned(), |code| code.to_string());
        let mut printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if !printed.is_empty() && !printed.ends_with('\n') {
            printed.push('\n');
        }
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        self.block(command, &printed, &told, &code)
    }

    fn block(&self, command: &str, printed: &str, told: &str, code: &str) -> Block {
        let mut printed = normal(&printed.replace(&self.namespace, "shop"));
        let unordered = ["events", "get events", "describe configmap", "auth can-i --list"];
        if unordered.iter().any(|start| command.starts_with(start)) {
            // Rights and data come in no order. Of events of one second any may come first, and how often one came is a matter of time.
            let mut lines: Vec<_> = printed.lines().collect();
            lines.sort_unstable();
            lines.dedup();
            printed = lines.into_iter().map(|line| format!("{line}\n")).collect();
        }
        let told = normal(&told.replace(&self.namespace, "shop"));
        let mut told: Vec<_> = told.lines().collect();
        if told.first().is_some_and(|line| line.ends_with(" is invalid: ") || line.ends_with(" is invalid:"))
        {
            // The server's own order of the causes varies.
            told.sort_unstable();
        }
        for line in told {
            printed.push_str(&format!("stderr: {line}\n"));
        }
        if code != "0" {
            printed.push_str(&format!("exit code: {code}\n"));
        }
        Block { command: command.to_owned(), printed: printed.trim_end().to_owned() }
    }

    /// Follows a command until it has printed so many lines; after the first ones a change is made.
    async fn watch(&self, command: &str, lines: usize, change: &str) -> Block {
        let mut child = self.command(command).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = Vec::new();
        let follow = async {
            while let Some(line) = reader.next_line().await.unwrap() {
                seen.push(line);
                if seen.len() == lines - 1 {
                    let output = self.output(change).await;
                    assert!(output.status.success(), "kubectl {} {change}: {output:?}", self.minor);
                }
                if seen.len() == lines {
                    break;
                }
            }
        };
        let ended = timeout(BOUND, follow).await;
        child.kill().await.unwrap();
        assert!(ended.is_ok(), "kubectl {} {command}: {lines} lines did not come: {seen:?}", self.minor);
        self.block(command, &seen.join("\n"), "", "0")
    }
}

/// Words between spaces; single quotes hold spaces together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for letter in command.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words
}
