//! The real parts that the end-to-end tests run.

/// Panics with what to do when a real part is missing: a test that needs one cannot pass without it, and one
/// that skips itself would look as if it had.
///
/// # Panics
/// When Prometheus, Alertmanager, their tools or bubblewrap are neither in `OBSTACK_PARTS` nor on the PATH.
pub fn require() {
    let path = std::env::var("PATH").unwrap_or_default();
    let parts = std::env::var("OBSTACK_PARTS").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&parts).chain(std::env::split_paths(&path)).collect();
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
