//! The engines' own tools read every configuration of every case.

use std::path::{Path, PathBuf};
use std::process::Command;

use obstack::names::Role;
use obstack::running::{CURRENT, Generation};
use obstack_tests::parts::promtool_version;
use serde_json::Value;

use super::{Case, cases, root};

/// A tool of the real parts: in a folder of `OBSTACK_PARTS`, or on the PATH. Where it is missing the check is
/// skipped with a word, and fails in CI.
pub(super) fn tool(name: &str) -> Option<PathBuf> {
    let listed = std::env::var_os("OBSTACK_PARTS").unwrap_or_default();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&listed)
        .chain(std::env::split_paths(&path))
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        let message = format!("{name} is neither in OBSTACK_PARTS nor on the PATH");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("skipped: {message}");
    }
    found
}

/// Writes a generation as the reloader does, with the folder that the engine would read in its place.
fn lay_down(generation: &Generation, dir: &Path) {
    for path in generation.paths() {
        let text = generation.file(path).unwrap().replace(CURRENT, dir.to_str().unwrap());
        let file = dir.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

pub(super) fn run(tool: &Path, args: &[&str], dir: &Path, what: &str) -> String {
    let done = Command::new(tool).args(args).current_dir(dir).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{what}: {} {args:?}\n{text}", tool.display());
    text
}

#[test]
fn promtool_takes_every_configuration_and_every_rule() {
    let Some(promtool) = tool("promtool") else { return };
    let checked = cases().iter().filter(|(name, text)| is_taken(&promtool, name, &Case::of(text))).count();
    assert!(checked >= 10, "only {checked} cases deploy Prometheus");
}

/// The same for the oldest supported Prometheus, of each case that leaves the version open.
#[test]
fn the_oldest_promtool_takes_every_configuration_and_every_rule() {
    let Some(promtool) = tool("promtool-oldest") else { return };
    let version = promtool_version(&promtool);
    let oldest = cases().into_iter().filter_map(|(name, text)| Some((name, of_version(&text, &version)?)));
    let checked = oldest.filter(|(name, text)| is_taken(&promtool, name, &Case::of(text))).count();
    assert!(checked >= 10, "only {checked} cases deploy Prometheus and leave its version open");
}

/// A case with this version of Prometheus; none where it names one itself.
fn of_version(text: &str, version: &str) -> Option<String> {
    let mut documents: Vec<Value> = serde_saphyr::from_multiple(text).unwrap();
    let stack = documents.iter_mut().find(|document| document["kind"] == "ObservabilityStack").unwrap();
    let image = &mut stack["spec"]["metrics"]["image"];
    if image.get("tag").is_some() || image.get("digest").is_some() {
        return None;
    }
    image["tag"] = format!("v{version}").into();
    let documents = documents.iter().map(|document| obstack::yaml::emit(document).unwrap());
    Some(documents.collect::<Vec<_>>().join("---\n"))
}

/// Checks the configuration of a case; whether it deploys Prometheus.
fn is_taken(promtool: &Path, name: &str, case: &Case) -> bool {
    let Some(generation) = case.built.configs.generations.get(&Role::Metrics) else { return false };
    let dir = tempfile::tempdir().unwrap();
    lay_down(generation, dir.path());
    let said = run(promtool, &["check", "config", "prometheus.yaml"], dir.path(), name);
    // Rules are found through the glob of the main file: no rule file, no check.
    let rules = generation.paths().iter().filter(|path| path.starts_with("rules/")).count();
    assert!(said.contains(&format!("{rules} rule files found")), "{name}: {said}");
    // What `obstack config` prints is one file that can be checked as it is.
    std::fs::write(dir.path().join("joined.yaml"), case.config()).unwrap();
    run(promtool, &["check", "config", "--syntax-only", "joined.yaml"], dir.path(), name);
    true
}

#[test]
fn amtool_takes_every_configuration() {
    let Some(amtool) = tool("amtool") else { return };
    let mut checked = 0;
    for (name, text) in cases() {
        let case = Case::of(&text);
        let Some(generation) = case.built.configs.generations.get(&Role::Alerting) else { continue };
        let dir = tempfile::tempdir().unwrap();
        lay_down(generation, dir.path());
        let said = run(&amtool, &["check-config", "alertmanager.yaml"], dir.path(), &name);
        assert!(said.contains("SUCCESS"), "{name}: {said}");
        checked += 1;
    }
    assert!(checked >= 10, "only {checked} cases deploy Alertmanager");
}

/// What `obstack config` prints of a stack that hands its engines over is made of the rendered resources by what
/// reads those of others: the engines take it, rules and routes included.
#[test]
fn the_tools_take_what_prometheus_operator_would_make_of_a_stack() {
    let (Some(promtool), Some(amtool)) = (tool("promtool"), tool("amtool")) else { return };
    let mut checked = 0;
    for (name, text) in cases() {
        let case = Case::of(&text);
        let configs = &case.built.configs;
        if configs.handed_over.is_empty() {
            continue;
        }
        assert!(configs.generations.is_empty(), "{name}: one of both");
        let dir = tempfile::tempdir().unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&case.config()).unwrap();
        for (index, document) in documents.iter().enumerate() {
            let file = format!("{index}.json");
            std::fs::write(dir.path().join(&file), document.to_string()).unwrap();
            if document.get("groups").is_some() {
                run(&promtool, &["check", "rules", &file], dir.path(), &name);
            } else if document.get("receivers").is_some() {
                run(&amtool, &["check-config", &file], dir.path(), &name);
            } else {
                run(&promtool, &["check", "config", "--syntax-only", &file], dir.path(), &name);
            }
        }
        let main = &documents[0];
        let jobs = main["scrape_configs"].as_array().unwrap();
        let names: Vec<&str> = jobs.iter().filter_map(|job| job["job_name"].as_str()).collect();
        for own in ["obstack/metrics", "obstack/alerting", "obstack/dashboards", "annotated-pods"] {
            assert!(names.contains(&own), "{name}: {names:?}");
        }
        assert_eq!(main["alerting"]["alertmanagers"][0]["path_prefix"], "/alertmanager");
        let of_kind = |field: &str| documents.iter().filter(|document| document.get(field).is_some()).count();
        assert!(of_kind("groups") >= 4, "{name}: {}", of_kind("groups"));
        assert_eq!(of_kind("receivers"), 1, "{name}");
        checked += 1;
    }
    assert!(checked >= 1, "no case hands its engines over");
}

#[test]
fn promtool_proves_the_library_by_its_own_tests() {
    let Some(promtool) = tool("promtool") else { return };
    let dir = root().join("../../operator/rules/tests");
    let mut tests: Vec<String> = std::fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    tests.sort();
    assert!(!tests.is_empty());
    let mut args = vec!["test", "rules"];
    args.extend(tests.iter().map(String::as_str));
    run(&promtool, &args, &dir, "operator/rules/tests");
}
