//! The engine's own tool judges what is built of the cases, as `obstack config` would build it for the tool's version:
//! defaults filled in, objects at fault kept out.

use std::io::Write;
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
        let (mut accepted, mut lacking, mut refused) = (0, 0, 0);
        for folder in ["prometheus", "extra"] {
            for (name, path) in data.cases(folder) {
                if AT_FAULT.iter().any(|start| name.starts_with(start)) {
                    continue;
                }
                match judge(promtool, version, &Case::read(&path)) {
                    Ok(()) => accepted += 1,
                    Err(told) if LACKING.iter().any(|field| told.contains(field)) => lacking += 1,
                    Err(told) => {
                        refused += 1;
                        println!("REFUSED {folder}/{name}\n     {}", told.replace('\n', "\n     "));
                    }
                }
            }
        }
        println!(
            "promtool {version}: {accepted} configurations accepted, {lacking} with fields that it was built without, {refused} refused"
        );
        all &= refused == 0;
    }
    all
}

fn judge(promtool: &Path, version: Version, case: &Case) -> Result<(), String> {
    // Settings that no version of this tool takes are none of its cases.
    let Ok(settings) = Settings::read(case.engine(), Some(version)) else { return Ok(()) };
    let settings = settings.with_defaults();
    if judge_engine(&settings, &UnseenAssets).is_err() {
        return Ok(());
    }
    let objects = case.documents().iter().filter_map(|document| {
        let kind = Kind::ALL.into_iter().find(|kind| document["kind"] == kind.as_str())?;
        Some((kind, document))
    });
    let assets = Assumed(case.held());
    let collected = build_all(&settings, objects, &assets);
    let Ok(file) = build_engine(&settings, &collected.jobs(), &case.additional(), &assets) else {
        return Ok(());
    };
    let mut on_disk = tempfile::NamedTempFile::new().expect("a file");
    on_disk.write_all(file.text.as_bytes()).expect("written");
    let mut command = Command::new(promtool);
    command.args(["check", "config", "--syntax-only"]);
    if case.is_agent() {
        command.arg("--agent");
    }
    let told = command.arg(on_disk.path()).output().expect("promtool runs");
    if told.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    Err(told.lines().take(6).collect::<Vec<_>>().join("\n"))
}

fn version(promtool: &Path) -> Version {
    promtool_version(promtool).parse().expect("a version of Prometheus")
}
