//! The engine's own tool, which knows best what the engine takes.

use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::running::Engine;
use crate::yaml::emit;

use super::lay::Laid;
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

/// Has the tool check a generation before it is switched in: all of it where it is the first, else the files that
/// differ, under a main file that names just these. The paths in it lead through `current`, which is still
/// another generation, so the tool gets copies in which they lead elsewhere.
pub(super) async fn check(
    engine: Engine,
    tool: Option<&Path>,
    layout: &Layout,
    digest: &str,
    laid: &Laid,
) -> Verdict {
    let Some(tool) = tool else {
        return Verdict::Skipped("the engine's tool is not in this image".to_owned());
    };
    let copied = layout.scratch().and_then(|scratch| {
        let copies = Copies { layout, digest, scratch };
        copies.write(engine, laid.changed.as_deref())?;
        Ok(copies.scratch)
    });
    check_copy(engine, tool, layout, digest, copied).await
}

/// Has the tool check a generation with another main file.
pub(super) async fn check_with(
    engine: Engine,
    tool: &Path,
    layout: &Layout,
    digest: &str,
    main: &str,
) -> Verdict {
    let copied = layout.scratch().and_then(|scratch| {
        let copies = Copies { layout, digest, scratch };
        let files = layout.files(digest)?;
        let others = files.iter().filter(|path| *path != engine.main_file());
        others.into_iter().try_for_each(|path| copies.copy(path, &copies.scratch))?;
        let text = copies.led_to(main, &copies.scratch);
        write_file(&copies.scratch.join(engine.main_file()), text.as_bytes())?;
        Ok(copies.scratch)
    });
    check_copy(engine, tool, layout, digest, copied).await
}

/// Has the tool check a copy, and removes it.
async fn check_copy(
    engine: Engine,
    tool: &Path,
    layout: &Layout,
    digest: &str,
    copied: io::Result<PathBuf>,
) -> Verdict {
    let scratch = match copied {
        Ok(scratch) => scratch,
        Err(error) => return Verdict::Skipped(format!("no copy can be written: {error}")),
    };
    let mut command = Command::new(tool);
    match engine {
        Engine::Prometheus => command.args(["check", "config"]),
        Engine::Alertmanager => command.arg("check-config"),
    };
    command.arg(scratch.join(engine.main_file())).current_dir(&scratch);
    let verdict = match run(command).await {
        Ok((true, _)) => Verdict::Passed,
        Ok((false, output)) => {
            // People know the paths of `current`, not those of copies.
            let output = output.replace(&format!("{}/", scratch.display()), "");
            Verdict::Refused(reason(&output.replace(&format!("{}/", layout.dir(digest).display()), "")))
        }
        Err(why) => Verdict::Skipped(why),
    };
    // It is removed again before the next check, and with the old generations.
    let _ = std::fs::remove_dir_all(&scratch);
    verdict
}

/// The file at fault: the one that the reason names, else the only one that differs from what ran. The main file
/// is never named: nothing can be left out of it.
///
/// Where several files differ and none is named, it is found by trying: see [`super::bisect`].
pub(super) fn culprit(
    engine: Engine,
    reason: &str,
    layout: &Layout,
    digest: &str,
    laid: &Laid,
) -> Option<String> {
    let all;
    let files = match &laid.changed {
        Some(changed) => changed,
        None => {
            all = layout.files(digest).unwrap_or_default();
            &all
        }
    };
    let named = files.iter().filter(|path| *path != engine.main_file());
    let found =
        named.filter_map(|path| Some((reason.find(path.as_str())?, std::cmp::Reverse(path.len()), path)));
    let found = found.min().map(|(_, _, path)| path.as_str());
    found.or_else(|| laid.only_change()).map(str::to_owned)
}

struct Copies<'a> {
    layout: &'a Layout,
    digest: &'a str,
    scratch: PathBuf,
}

impl Copies<'_> {
    fn write(&self, engine: Engine, changed: Option<&[String]>) -> io::Result<()> {
        let main = engine.main_file();
        let small = match (engine, changed) {
            (Engine::Prometheus, Some(changed)) => self.main_of(&self.read(main)?, changed),
            _ => None,
        };
        let Some((text, named)) = small else {
            return self
                .layout
                .files(self.digest)?
                .iter()
                .try_for_each(|path| self.copy(path, &self.scratch));
        };
        // What else the files name lies in the generation itself.
        let home = self.layout.dir(self.digest);
        named.iter().try_for_each(|path| self.copy(path, &home))?;
        write_file(&self.scratch.join(main), self.led_to(&text, &home).as_bytes())
    }

    fn read(&self, path: &str) -> io::Result<String> {
        std::fs::read_to_string(self.layout.dir(self.digest).join(path))
    }

    /// A text whose paths lead to a folder and not through `current`.
    fn led_to(&self, text: &str, folder: &Path) -> String {
        text.replace(&self.layout.current_prefix(), &format!("{}/", folder.display()))
    }

    fn copy(&self, path: &str, folder: &Path) -> io::Result<()> {
        let at = self.scratch.join(path);
        if let Some(parent) = at.parent() {
            make_dir(parent)?;
        }
        if path.ends_with(".yaml") {
            write_file(&at, self.led_to(&self.read(path)?, folder).as_bytes())
        } else {
            symlink(self.layout.dir(self.digest).join(path), &at)
        }
    }

    /// The main file that names just those of its files that changed, and these; none where it cannot be read.
    fn main_of(&self, text: &str, changed: &[String]) -> Option<(String, Vec<String>)> {
        let mut main: Value = serde_saphyr::from_str(text).ok()?;
        let mut named = Vec::new();
        for list in ["rule_files", "scrape_config_files"] {
            let Some(globs) = main.get_mut(list).and_then(Value::as_array_mut) else { continue };
            let (ours, mut kept): (Vec<Value>, Vec<Value>) =
                globs.drain(..).partition(|glob| self.folder(glob).is_some());
            let folders: Vec<&str> = ours.iter().filter_map(|glob| self.folder(glob)).collect();
            let of_list = |path: &&String| folders.contains(&folder_of(path));
            let files: Vec<&String> = changed.iter().filter(of_list).collect();
            kept.extend(files.iter().map(|path| Value::from(self.scratch.join(path).display().to_string())));
            named.extend(files.into_iter().cloned());
            *globs = kept;
        }
        Some((emit(&main).ok()?, named))
    }

    /// The folder, below `current`, of the files that a glob of the main file matches.
    fn folder<'g>(&self, glob: &'g Value) -> Option<&'g str> {
        Some(folder_of(glob.as_str()?.strip_prefix(&self.layout.current_prefix())?))
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
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
    use super::*;

    fn laid(changed: Option<&[&str]>, main_changed: bool) -> Laid {
        let changed = changed.map(|paths| paths.iter().map(|path| (*path).to_owned()).collect());
        Laid { changed, main_changed, bytes: 0 }
    }

    fn layout() -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        layout.begin("one").unwrap();
        let current = layout.current_prefix();
        let main = format!(
            "rule_files: ['{current}rules/*.yaml', /obstack-generation/x/*]\n\
             scrape_config_files: ['{current}scrape/*.yaml']\n\
             alerting: {{alertmanagers: [{{tls_config: {{ca_file: {current}secrets/ca}}}}]}}\n"
        );
        let scrape =
            format!("scrape_configs: [{{authorization: {{credentials_file: {current}secrets/token}}}}]\n");
        for (path, text) in [
            ("prometheus.yaml", main.as_str()),
            ("rules/a.yaml", "groups: []\n"),
            ("rules/a.yaml.yaml", "groups: []\n"),
            ("scrape/a.yaml", scrape.as_str()),
            ("secrets/token", "t"),
            (".main", ""),
        ] {
            layout.add("one", path, text.as_bytes()).unwrap();
        }
        layout.complete("one").unwrap();
        (dir, layout)
    }

    #[test]
    fn a_change_is_checked_under_a_main_file_that_names_just_it() {
        let (_dir, layout) = layout();
        let scratch = layout.scratch().unwrap();
        let copies = Copies { layout: &layout, digest: "one", scratch: scratch.clone() };
        let changed = ["scrape/a.yaml".to_owned(), "secrets/token".to_owned()];
        copies.write(Engine::Prometheus, Some(&changed)).unwrap();
        let main = std::fs::read_to_string(scratch.join("prometheus.yaml")).unwrap();
        let main: Value = serde_saphyr::from_str(&main).unwrap();
        assert_eq!(main["rule_files"], serde_json::json!(["/obstack-generation/x/*"]));
        let file = scratch.join("scrape/a.yaml").display().to_string();
        assert_eq!(main["scrape_config_files"], serde_json::json!([file]));
        // What they name is looked for in the generation, not in the one that runs.
        let home = layout.dir("one").display().to_string();
        let ca = main["alerting"]["alertmanagers"][0]["tls_config"]["ca_file"].as_str().unwrap();
        assert_eq!(ca, format!("{home}/secrets/ca"));
        let scrape = std::fs::read_to_string(scratch.join("scrape/a.yaml")).unwrap();
        assert!(scrape.contains(&format!("{home}/secrets/token")), "{scrape}");
        assert!(!scratch.join("rules").exists());
    }

    #[test]
    fn the_first_generation_is_checked_whole() {
        let (_dir, layout) = layout();
        let scratch = layout.scratch().unwrap();
        let copies = Copies { layout: &layout, digest: "one", scratch: scratch.clone() };
        copies.write(Engine::Prometheus, None).unwrap();
        assert!(scratch.join("rules/a.yaml").is_file() && scratch.join("secrets/token").is_file());
        let main = std::fs::read_to_string(scratch.join("prometheus.yaml")).unwrap();
        assert!(main.contains(&format!("{}/rules/*.yaml", scratch.display())), "{main}");
    }

    #[test]
    fn the_file_at_fault_is_the_one_named_or_the_only_one_that_differs() {
        let (_dir, layout) = layout();
        let find = |reason: &str, laid: &Laid| culprit(Engine::Prometheus, reason, &layout, "one", laid);
        let all = laid(None, true);
        assert_eq!(find("rules/a.yaml.yaml: no", &all).as_deref(), Some("rules/a.yaml.yaml"));
        assert_eq!(find("prometheus.yaml: no; rules/a.yaml: no", &all).as_deref(), Some("rules/a.yaml"));
        assert_eq!(find("something", &all), None);
        let one = laid(Some(&["rules/a.yaml"]), false);
        assert_eq!(find("something", &one).as_deref(), Some("rules/a.yaml"));
        assert_eq!(find("something", &laid(Some(&["rules/a.yaml"]), true)), None, "it can be the main file");
        let with_key = laid(Some(&["assets/key", "scrape/a.yaml"]), false);
        assert_eq!(find("something", &with_key).as_deref(), Some("scrape/a.yaml"));
        assert_eq!(find("something", &laid(Some(&["assets/ca", "assets/key"]), false)), None);
        assert_eq!(find("something", &laid(Some(&["rules/a.yaml", "scrape/a.yaml"]), false)), None);
    }

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
