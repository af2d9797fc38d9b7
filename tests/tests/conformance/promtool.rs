//! The engine's own tool judges what is built of the cases, as `obstack config` would build it for the tool's version:
//! defaults filled in, objects at fault kept out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use obstack::scrape::collect::build_all;
use obstack::scrape::engine::{build_engine, judge_engine};
use obstack::scrape::objects::Kind;
use obstack::scrape::references::UnseenAssets;
use obstack::scrape::settings::Settings;
use obstack::scrape::version::Version;
use obstack_tests::parts::promtool_version;

use super::data::Data;
use super::prometheus::{Assumed, Case};

/// What a tool says of fields that every version has and a build can be without.
const LACKING: [&str; 2] = ["_sd_configs not found in type", "azuread not found in type"];

/// Cases whose own input is at fault for some version, in a text that nobody reads before the engine does: a field
/// that never existed, and a label that Prometheus 2 does not take.
const AT_FAULT: [&str; 2] = ["AdditionalScrapeConfigs_", "AdditionalAlertRelabelConfigs_"];

/// Has every tool judge every case; whether all are accepted. What a build of an engine lacks is counted apart:
/// distributions leave kinds of discovery out.
pub(crate) fn check(data: &Data, promtools: &[PathBuf]) -> bool {
    if promtools.is_empty() {
        println!("promtool: skipped: there is none on the PATH or in OBSTACK_PARTS");
        return true;
    }
    let mut all = true;
    for promtool in promtools {
        let version = version(promtool);
        let folder = tempfile::TempDir::new().expect("a folder");
        let mut built = Vec::new();
        for suite in ["prometheus", "extra"] {
            for (name, path) in data.cases(suite) {
                if AT_FAULT.iter().any(|start| name.starts_with(start)) {
                    continue;
                }
                let configuration =
                    Configuration::of(&Case::read(&path), version, folder.path(), built.len());
                built.extend(configuration.map(|configuration| (format!("{suite}/{name}"), configuration)));
            }
        }
        let (mut accepted, mut lacking, mut refused) = (0, 0, 0);
        let taken = taken(promtool, built.iter().map(|(_, configuration)| configuration));
        for (name, configuration) in &built {
            if taken.contains(&configuration.path) {
                accepted += 1;
                continue;
            }
            let told = why(promtool, configuration);
            if LACKING.iter().any(|field| told.contains(field)) {
                lacking += 1;
            } else {
                refused += 1;
                println!("REFUSED {name}\n     {}", told.replace('\n', "\n     "));
            }
        }
        println!(
            "promtool {version}: {accepted} configurations accepted, {lacking} with fields that it was built without, {refused} refused"
        );
        all &= refused == 0;
    }
    all
}

/// What was built of a case, on disk.
struct Configuration {
    path: PathBuf,
    agent: bool,
}

impl Configuration {
    /// None where no engine of this version would be given one.
    fn of(case: &Case, version: Version, folder: &Path, number: usize) -> Option<Self> {
        let settings = Settings::read(case.engine(), Some(version)).ok()?.with_defaults();
        judge_engine(&settings, &UnseenAssets).ok()?;
        let objects = case.documents().iter().filter_map(|document| {
            let kind = Kind::ALL.into_iter().find(|kind| document["kind"] == kind.as_str())?;
            Some((kind, document))
        });
        let assets = Assumed(case.held());
        let collected = build_all(&settings, objects, &assets);
        let file = build_engine(&settings, &collected.jobs(), &case.additional(), &assets).ok()?;
        let path = folder.join(format!("{number}.yaml"));
        std::fs::write(&path, file.text).expect("written");
        Some(Self { path, agent: case.is_agent() })
    }
}

fn tool(promtool: &Path, agent: bool) -> Command {
    let mut command = Command::new(promtool);
    command.args(["check", "config", "--syntax-only"]);
    if agent {
        command.arg("--agent");
    }
    command
}

/// The configurations that a tool names as valid. It starts once for all of a kind: a start takes longer than a check.
fn taken<'a>(promtool: &Path, all: impl Iterator<Item = &'a Configuration>) -> BTreeSet<PathBuf> {
    let (agents, servers): (Vec<_>, Vec<_>) = all.partition(|configuration| configuration.agent);
    let mut taken = BTreeSet::new();
    for (agent, some) in [(true, agents), (false, servers)] {
        if some.is_empty() {
            continue;
        }
        let paths = some.iter().map(|configuration| &configuration.path);
        let told = tool(promtool, agent).args(paths).output().expect("promtool runs");
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        let named = told.lines().filter_map(|line| line.trim().strip_prefix("SUCCESS: "));
        taken.extend(named.filter_map(|line| line.split(" is valid").next()).map(PathBuf::from));
    }
    taken
}

/// What a tool says of one that it does not take.
fn why(promtool: &Path, configuration: &Configuration) -> String {
    let told = tool(promtool, configuration.agent).arg(&configuration.path).output().expect("promtool runs");
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    told.lines().take(6).collect::<Vec<_>>().join("\n")
}

fn version(promtool: &Path) -> Version {
    promtool_version(promtool).parse().expect("a version of Prometheus")
}
