//! The command `obstack-sandbox up` as a person runs it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test says what broke"
)]

mod support;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn sandbox(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_obstack-sandbox"));
    command.args(arguments).env_remove("DEMO_SECONDS").stdin(Stdio::null());
    command
}

/// A text that no process of another test run has in its arguments.
fn marker(test: &str) -> String {
    format!("marker-of-the-{test}-test-{}", std::process::id())
}

/// Starts a cluster with one pod that runs a process with a text in its arguments; returns when that runs.
fn start_with_marker(folder: &Path, marker: &str) -> Child {
    let manifest = folder.join("pod.yaml");
    let pod = support::shell_pod("marked", &format!("while true; do sleep 0.2; done # {marker}"));
    std::fs::write(&manifest, serde_json::to_string(&pod).unwrap()).unwrap();
    let state = folder.join("state");
    let mut child = sandbox(&["up", "-f", manifest.to_str().unwrap(), "--state", state.to_str().unwrap()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("export KUBECONFIG="), "{first:?}");
    await_count(marker, |count| count > 0);
    child
}

/// Processes of this machine with a text in their arguments.
fn count(marker: &str) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(marker)).count()
}

fn await_count(marker: &str, test: impl Fn(usize) -> bool) {
    let begun = Instant::now();
    while !test(count(marker)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} processes with {marker}", count(marker));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_interrupt_ends_everything_and_the_exit_code_is_0() {
    let folder = tempfile::tempdir().unwrap();
    let marker = marker("interrupt");
    let mut child = start_with_marker(folder.path(), &marker);
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(count(&marker), 0, "no process is left");
}

#[test]
fn a_sandbox_that_is_killed_leaves_no_process_either() {
    let folder = tempfile::tempdir().unwrap();
    let marker = marker("kill");
    let mut child = start_with_marker(folder.path(), &marker);
    child.kill().unwrap();
    child.wait().unwrap();
    await_count(&marker, |count| count == 0);
}

#[test]
fn the_folder_of_a_sandbox_that_was_killed_is_removed_by_the_next() {
    let temporary = tempfile::tempdir().unwrap();
    // No process has this number: it is above the highest that a kernel gives.
    let abandoned = temporary.path().join("obstack-sandbox-4194305-127.42.0.1");
    let other = temporary.path().join("something-else");
    std::fs::create_dir_all(abandoned.join("pods")).unwrap();
    std::fs::create_dir_all(&other).unwrap();
    let output = sandbox(&["up", "--seconds", "0"]).env("TMPDIR", temporary.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let left: Vec<_> =
        std::fs::read_dir(temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [other]);
}

#[test]
fn faults_have_a_message_and_an_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.yaml");
    std::fs::write(&bad, "kind: ConfigMap\n").unwrap();
    let run = |arguments: &[&str]| {
        let output = sandbox(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&["up", "-f", bad.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(text.contains("bad.yaml: document 1: "), "{text}");
    let (code, text) = run(&["up", "-f", "/none/at/all"]);
    assert_eq!(code, Some(1));
    assert!(text.contains("/none/at/all: "), "{text}");
    assert_eq!(run(&["up", "--nonsense"]).0, Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, text) = run(&["up", "--port", &port]);
    assert_eq!(code, Some(3));
    assert!(text.contains("cannot listen on 127.0.0.1"), "{text}");
}

#[test]
fn without_bubblewrap_the_message_says_what_to_install() {
    let output = sandbox(&["up"])
        .env("PATH", "/none")
        .env("HOME", "/none")
        .env_remove("OBSTACK_PARTS")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("install the package bubblewrap"), "{text}");
}

#[test]
fn a_demo_without_prometheus_says_what_to_do() {
    let mut command = sandbox(&["up", "--demo"]);
    command.env("PATH", "/none").env("HOME", "/none").env_remove("OBSTACK_PARTS").env_remove("OBSTACK_CACHE");
    let output = command.env_remove("XDG_CACHE_HOME").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("prometheus is not on this machine: run scripts/parts prometheus"), "{text}");
}
