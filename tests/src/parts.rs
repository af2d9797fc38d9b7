//! The real parts that the end-to-end tests run.

use std::path::PathBuf;

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
