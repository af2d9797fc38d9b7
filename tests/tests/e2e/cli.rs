//! The command line as a person meets it: exit codes, streams, colour, and clear words.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use obstack_tests::process::binary;

const GOOD: &str =
    "apiVersion: obstack.io/v1alpha1\nkind: ObservabilityStack\nmetadata: {name: main}\nspec: {}\n";
const BAD: &str = "apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata:
  name: main
spec:
  environment: production
  requirements:
    retention: 15 days
  metrics:
    replicas: 0
";

/// The commands for authors, which need no cluster.
const AUTHORS: [&str; 4] = ["check", "decide", "render", "config"];

fn obstack(args: &[&str]) -> Command {
    let mut command = Command::new(binary("obstack"));
    command.args(args).env_remove("KUBECONFIG").env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    obstack(args).output().unwrap()
}

fn piped(args: &[&str], input: &str) -> Output {
    let mut child =
        obstack(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    std::fs::write(dir.join(name), text).unwrap();
    dir.join(name).to_str().unwrap().to_owned()
}

#[test]
fn check_tells_every_fault_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let bad = file(dir.path(), "bad.yaml", BAD);
    let good = file(dir.path(), "good.yaml", &GOOD.replace("main", "other"));
    let output = run(&["check", "-f", &bad, &good]);
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    let starts = [
        format!("{bad}:6: spec.environment: found \"production\"; write one of dev, stage, prod"),
        format!("{bad}:8: spec.requirements.retention: found \"15 days\"; write a Prometheus duration"),
        format!("{bad}:10: spec.metrics.replicas: found the number 0; write a number from 1 to 8"),
    ];
    assert_eq!(lines.len(), starts.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(&starts) {
        assert!(line.starts_with(start), "{line}\nis not\n{start}");
    }
    assert!(text(&output.stderr).contains("3 faults in 2 objects"));
    assert_eq!(run(&["check", "-f", &good]).status.code(), Some(0));
}

#[test]
fn the_commands_for_authors_agree_on_input() {
    let dir = tempfile::tempdir().unwrap();
    let bad = file(dir.path(), "bad.yaml", BAD);
    let broken = file(dir.path(), "broken.yaml", "a: [1\n");
    let foreign = file(dir.path(), "foreign.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n");
    for command in AUTHORS {
        assert_eq!(piped(&[command, "-f", "-"], GOOD).status.code(), Some(0), "{command} takes a good stack");
        for (path, word) in [
            (bad.as_str(), "15 days"),
            (broken.as_str(), "broken YAML"),
            (foreign.as_str(), "ObservabilityStack"),
            ("/nonexistent/stack.yaml", "cannot be read"),
        ] {
            let output = run(&[command, "-f", path]);
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{command} {path}: {said}");
            assert!(said.contains(word), "{command} {path}: {said}");
        }
        let output = run(&[command]);
        assert_eq!(output.status.code(), Some(2), "{command} without a file is a matter of usage");
        assert!(text(&output.stderr).contains("--file"));
    }
}

#[test]
fn what_is_printed_is_only_the_result() {
    for command in ["render", "config"] {
        let output = piped(&[command, "-f", "-"], GOOD);
        let printed = text(&output.stdout);
        assert!(!printed.contains('\u{1b}'), "{command} is not in colour when it is piped");
        let documents: Vec<serde_json::Value> = serde_saphyr::from_multiple(&printed).unwrap();
        assert!(!documents.is_empty());
    }
    let output = piped(&["decide", "-f", "-", "-o", "json"], GOOD);
    let decisions: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(decisions[0]["name"], "main");
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let plain = piped(&["check", "-f", "-"], BAD);
    assert!(!plain.stdout.contains(&0x1b) && !plain.stderr.contains(&0x1b));
    let asked = piped(&["check", "-f", "-", "--color", "always"], BAD);
    assert!(asked.stdout.contains(&0x1b));
}

#[test]
fn every_command_explains_itself() {
    let help = text(&run(&["--help"]).stdout);
    for command in ["check", "decide", "render", "config", "crds", "completion", "operator", "reloader"] {
        assert!(help.contains(&format!("  {command} ")), "{command} is not in the help");
        let output = run(&[command, "--help"]);
        assert_eq!(output.status.code(), Some(0));
        let words = text(&output.stdout);
        assert!(words.contains("Example") && words.contains(&format!("obstack {command}")), "{words}");
    }
    assert_eq!(run(&["frobnicate"]).status.code(), Some(2));
    let version = text(&run(&["--version"]).stdout);
    assert_eq!(version.trim(), format!("obstack {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completion_is_a_script_that_its_shell_takes() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&["completion", shell]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains("obstack"), "{shell}");
    }
    let script = text(&run(&["completion", "bash"]).stdout);
    let status = Command::new("bash").args(["-n", "-c", &script]).status().unwrap();
    assert!(status.success());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = obstack(&["crds"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(output.stderr.is_empty());
}

#[test]
fn what_is_missing_outside_is_exit_code_3() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let dir = tempfile::tempdir().unwrap();
    let (slot, target) = (dir.path().join("slot"), dir.path().join("target"));
    let common =
        ["--engine", "prometheus", "--slot", slot.to_str().unwrap(), "--target", target.to_str().unwrap()];

    let mut args = vec!["reloader", "--engine-url", "http://127.0.0.1:1", "--listen", &address];
    args.extend(common);
    let output = run(&args);
    assert_eq!(output.status.code(), Some(3));
    let said = text(&output.stderr);
    assert!(said.contains(&address) && said.contains("cannot be listened on"), "{said}");

    let mut args = vec!["reloader", "--once", "--wait", "100ms"];
    args.extend(common);
    let output = run(&args);
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output.stderr).contains("no pointer is there"));
}

#[test]
fn install_leaves_an_executable() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("bin");
    assert_eq!(run(&["install", "--to", to.to_str().unwrap()]).status.code(), Some(0));
    let output = Command::new(to.join("obstack")).arg("--version").output().unwrap();
    assert!(text(&output.stdout).starts_with("obstack "));
}
