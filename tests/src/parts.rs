//! The real parts that the end-to-end tests run.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders where parts are looked for: that of `OBSTACK_PARTS` first.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let parts = std::env::var("OBSTACK_PARTS").unwrap_or_default();
    std::env::split_paths(&parts).chain(std::env::split_paths(&path)).collect()
}

/// Where a program is.
pub fn find(program: &str) -> Option<PathBuf> {
    folders().into_iter().map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// The tools that judge configurations of Prometheus: that of the Prometheus at hand, and that of the oldest
/// supported one, each once. What is missing is said, and the check goes on without it.
///
/// # Panics
/// When one is missing and `CI=true`.
pub fn promtools() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for name in ["promtool", "promtool-oldest"] {
        let tool = find(name);
        if tool.is_none() {
            let message = format!("{name} is neither in OBSTACK_PARTS nor on the PATH: run `make parts`");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{message}");
            eprintln!("skipped: {message}");
        }
        let same = |one: &PathBuf, other: &PathBuf| one.canonicalize().ok() == other.canonicalize().ok();
        found.extend(tool.filter(|tool| !found.iter().any(|known| same(known, tool))));
    }
    found
}

/// The version that a promtool says it is: `2.53.3`.
///
/// # Panics
/// When it cannot be run, or says none.
pub fn promtool_version(promtool: &Path) -> String {
    let told = Command::new(promtool).arg("--version").output().expect("promtool runs");
    let text = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    let version = text.split("version ").nth(1).and_then(|rest| rest.split([' ', '+', ',']).next());
    version.expect("promtool tells its version").to_owned()
}

/// Panics with what to do when a real part is missing: a test that needs one cannot pass without it, and one
/// that skips itself would look as if it had.
///
/// # Panics
/// When Prometheus, Alertmanager, their tools or bubblewrap are neither in `OBSTACK_PARTS` nor on the PATH.
pub fn require() {
    let folders = folders();
    let has =
        |names: &[&str]| names.iter().any(|name| folders.iter().any(|folder| folder.join(name).exists()));
    for names in [
        &["prometheus"][..],
        &["promtool"],
        &["alertmanager", "prometheus-alertmanager"],
        &["amtool"],
        &["bwrap"],
    ] {
        assert!(has(names), "{} is missing: run `eval \"$(scripts/parts --env)\"` or `make test`", names[0]);
    }
}
