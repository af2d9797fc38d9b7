//! Dependencies run one way: `crds <- decide <- desired <- reconcile`, and only the edges name a client.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test says what broke")]

use std::path::{Path, PathBuf};

/// Modules that may name a Kubernetes client or an HTTP client. `lease` is the Kubernetes half of an election.
const EDGES: [&str; 8] = ["apply", "cli", "controller", "http", "lease", "main", "observe", "reloader"];

/// What only a client is called by.
const CLIENTS: [&str; 9] = [
    "kube::Api",
    "kube::Client",
    "kube::Config",
    "kube::api::Api",
    "kube::client",
    "kube::config",
    "kube::runtime",
    "kube_runtime",
    "reqwest::",
];

/// The pure modules from the bottom up, in layers: one may name those of its own layer and of the layers below.
const PURE: [&[&str]; 5] = [
    &["endpoint", "error", "names", "text", "tls", "units", "yaml"],
    &["validate"],
    &["decide", "rules", "running", "scrape"],
    &["check", "desired"],
    &["status"],
];

/// What acts, and stands above everything pure. Of `observe` and `apply` the types may be named: the facts
/// that go in, and what was done.
const ACTING: [&str; 8] = ["cli", "controller", "http", "lease", "main", "reconcile", "reloader", "sidecar"];

struct Source {
    module: String,
    path: PathBuf,
    /// The code, without comments.
    lines: Vec<(usize, String)>,
}

/// Every file of the operator with the top-level module that it belongs to.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let inside = path.strip_prefix(&root).unwrap().to_owned();
                let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
                let module = first.trim_end_matches(".rs").to_owned();
                let text = std::fs::read_to_string(&path).unwrap();
                let code = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
                let lines = text.lines().enumerate().map(|(i, line)| (i + 1, code(line))).collect();
                sources.push(Source { module, path: inside, lines });
            }
        }
    }
    assert!(sources.len() > 50, "the sources were found");
    sources
}

/// Whether a file holds tests only.
fn is_test(path: &Path) -> bool {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    name == "tests" || path.components().any(|step| step.as_os_str() == "tests")
}

#[test]
fn only_the_edges_name_a_client() {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| !EDGES.contains(&source.module.as_str())) {
        for (number, line) in &source.lines {
            if CLIENTS.iter().any(|client| line.contains(client)) {
                found.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "a client outside of {EDGES:?}:\n{}", found.join("\n"));
}

#[test]
fn what_is_pure_names_nothing_above_it() {
    let layer = |module: &str| PURE.iter().position(|modules| modules.contains(&module));
    let mut found = Vec::new();
    for source in sources() {
        let Some(own) = layer(&source.module).filter(|_| !is_test(&source.path)) else { continue };
        for (number, line) in &source.lines {
            for named in line.split("crate::").skip(1) {
                let name: String =
                    named.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
                let above = layer(&name).is_some_and(|other| other > own);
                if above || ACTING.contains(&name.as_str()) {
                    found.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
                }
            }
        }
    }
    assert!(found.is_empty(), "these reach up:\n{}", found.join("\n"));
}

#[test]
fn every_module_is_pure_or_acts() {
    let pure: Vec<&str> = PURE.concat();
    let known = |module: &str| {
        pure.contains(&module)
            || ACTING.contains(&module)
            || EDGES.contains(&module)
            || ["lib", "metrics"].contains(&module)
    };
    let strangers: Vec<String> = sources().into_iter().map(|s| s.module).filter(|m| !known(m)).collect();
    assert!(strangers.is_empty(), "give these a place in PURE or ACTING: {strangers:?}");
}
