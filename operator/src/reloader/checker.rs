//! The engine's own tool, which knows best what the engine takes.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::running::Engine;

use super::layout::{Layout, make_dir, write_file};

/// A check of tens of thousands of rules takes seconds.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Most bytes of the tool's output that are kept.
const MAX_OUTPUT: u64 = 64 << 10;
/// Most characters of a reason.
const MAX_REASON: usize = 1_500;

/// What the tool said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The engine will take it.
    Passed,
    /// The engine would refuse it, for this reason.
    Refused(String),
    /// There is no tool, or it did not come to an end; the engine itself will say.
    Skipped(String),
}

/// Finds the engine's tool.
pub(super) fn find(engine: Engine, named: Option<&Path>) -> Option<PathBuf> {
    if let Some(path) = named {
        return path.is_file().then(|| path.to_owned());
    }
    let name = match engine {
        Engine::Prometheus => "promtool",
        Engine::Alertmanager => "amtool",
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([PathBuf::from("/bin"), PathBuf::from("/usr/bin")]);
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// Has the tool check a generation before it is switched in. The paths in it lead through `current`, which is
/// still another generation, so the tool gets a copy in which they lead into the copy.
pub(super) async fn check(
    engine: Engine,
    tool: Option<&Path>,
    layout: &Layout,
    digest: &str,
    files: &BTreeMap<String, String>,
) -> Verdict {
    let Some(tool) = tool else {
        return Verdict::Skipped("the engine's tool is not in this image".to_owned());
    };
    let copy = match copy(layout, digest, files) {
        Ok(copy) => copy,
        Err(error) => return Verdict::Skipped(format!("no copy can be written: {error}")),
    };
    let mut command = Command::new(tool);
    match engine {
        Engine::Prometheus => command.args(["check", "config"]),
        Engine::Alertmanager => command.arg("check-config"),
    };
    command.arg(copy.join(engine.main_file())).current_dir(&copy);
    let verdict = match run(command).await {
        Ok((true, _)) => Verdict::Passed,
        Ok((false, output)) => {
            // People know the paths of `current`, not those of the copy.
            let output = output.replace(&format!("{}/", copy.display()), "");
            Verdict::Refused(reason(&output))
        }
        Err(why) => Verdict::Skipped(why),
    };
    // It is removed again before the next check, and with the old generations.
    let _ = std::fs::remove_dir_all(&copy);
    verdict
}

fn copy(layout: &Layout, digest: &str, files: &BTreeMap<String, String>) -> io::Result<PathBuf> {
    let copy = layout.scratch()?;
    let (from, to) = (layout.current_prefix(), format!("{}/", copy.display()));
    for (path, text) in files {
        let at = copy.join(path);
        if let Some(parent) = at.parent() {
            make_dir(parent)?;
        }
        if path.ends_with(".yaml") {
            write_file(&at, &text.replace(&from, &to))?;
        } else {
            symlink(layout.dir(digest).join(path), &at)?;
        }
    }
    Ok(copy)
}

/// Runs the tool: whether it was content, and what it said.
async fn run(mut command: Command) -> Result<(bool, String), String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| format!("the engine's tool cannot be started: {e}"))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let all = async {
        let (out, err) = tokio::join!(drain(out), drain(err));
        (child.wait().await, format!("{err}\n{out}"))
    };
    match tokio::time::timeout(TIMEOUT, all).await {
        Ok((Ok(status), output)) => Ok((status.success(), output)),
        Ok((Err(error), _)) => Err(format!("the engine's tool was lost: {error}")),
        Err(_) => Err(format!("the engine's tool took more than {TIMEOUT:?}")),
    }
}

/// Reads to the end, so that the tool is never held up, and keeps what is bounded.
async fn drain(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut kept = Vec::new();
    let _ = (&mut stream).take(MAX_OUTPUT).read_to_end(&mut kept).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&kept).into_owned()
}

/// What is wrong, in one line: the tool's words without what it says of progress, shortened.
pub(super) fn reason(output: &str) -> String {
    let progress = |line: &str| {
        line.is_empty()
            || line.starts_with("amtool: error: failed to validate")
            || line.contains("SUCCESS")
            || (line.starts_with("Checking") && !line.contains("FAILED"))
    };
    let lines = output.lines().map(str::trim).filter(|line| !progress(line));
    // The word stands on a line of its own, or after the file that was checked.
    let told = lines.map(|line| line.split_once("FAILED:").map_or(line, |(_, rest)| rest.trim()));
    let told: Vec<&str> = told.filter(|line| !line.is_empty()).collect();
    told.join("; ").chars().take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_reason_is_what_is_wrong_and_not_how_far_it_came() {
        for (output, wanted) in [
            (
                "Checking prometheus.yaml\n  SUCCESS: 1 rule files found\n\nChecking rules/a.yaml\n  FAILED:\n\
                 rules/a.yaml: group \"a\", rule 1, \"A\": annotation \"summary\": unexpected \"*\" in operand\n",
                "rules/a.yaml: group \"a\", rule 1, \"A\": annotation \"summary\": unexpected \"*\" in operand",
            ),
            (
                "amtool: error: failed to validate 1 file(s)\nChecking 'alertmanager.yaml'  FAILED: undefined receiver \"x\" used in route\n",
                "undefined receiver \"x\" used in route",
            ),
            ("failed to reload config: one or more errors\n", "failed to reload config: one or more errors"),
        ] {
            assert_eq!(reason(output), wanted);
        }
        assert_eq!(reason(&"x".repeat(9_000)).len(), super::MAX_REASON);
    }
}
