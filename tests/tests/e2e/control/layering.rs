//! Dependencies run one way: only the outer modules may name a client.

use std::path::{Path, PathBuf};

/// Modules that talk to others.
const MAY: [&str; 8] = ["observe", "apply", "controller", "http", "reloader", "cli", "main.rs", "tls.rs"];
/// What nobody else may name. The types of objects come from `kube::core` and `kube::api`, which are no client.
const CLIENTS: [&str; 6] =
    ["kube::Client", "kube::client", "kube::Api", "kube::runtime", "reqwest", "hyper::"];

/// Whether a line names a client, by its path or in a list of imports.
fn names_a_client(code: &str) -> bool {
    let words =
        |text: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "Api" | "Client"));
    CLIENTS.iter().any(|client| code.contains(client))
        || (code.trim_start().starts_with("use kube::") && words(code))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn only_the_outer_modules_name_a_client() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/src");
    let mut found = Vec::new();
    let mut checked = 0;
    for file in sources(&root) {
        let name = file.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        if MAY.iter().any(|may| name == *may || name.starts_with(&format!("{may}/"))) {
            continue;
        }
        checked += 1;
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if names_a_client(code) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert!(checked > 40, "only {checked} files were looked at");
    assert!(found.is_empty(), "these may not name a client:\n{}", found.join("\n"));
}
