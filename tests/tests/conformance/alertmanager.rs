//! Cases of Alertmanager's configuration, and those of the same kind that must be refused.
//!
//! Where amtool is on this machine it judges every whole configuration besides.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use obstack::scrape::assets::HeldAssets;
use obstack::scrape::routing::{
    Base, Defaults, FilesFrom, PEER_TLS_DIR, Settings, Strategy, Version, build_http_config, build_routing,
    sanitize,
};
use serde_json::Value;

use super::Outcome;
use super::data::{Data, difference, documents, yaml};

/// Longest that amtool may take for one file.
const AMTOOL_TIMEOUT: Duration = Duration::from_secs(30);

/// The cases of `alertmanager/`.
pub(crate) fn run(data: &Data) -> Vec<Outcome> {
    data.cases("alertmanager").into_iter().map(|(case, folder)| outcome(case, &folder)).collect()
}

/// The cases of `errors/` that are Alertmanager's.
pub(crate) fn errors(data: &Data) -> Vec<Outcome> {
    let cases = data.cases("errors").into_iter().filter(|(case, _)| case.starts_with("am__"));
    cases.map(|(case, folder)| outcome(case, &folder)).collect()
}

fn outcome(case: String, folder: &Path) -> Outcome {
    let options = yaml(&folder.join("options.yaml"));
    let entry = options["entryPoint"].as_str().expect("entryPoint").to_owned();
    let found = built(&entry, &options, folder);
    let expected = folder.join("expected.yaml");
    let refused =
        options.get("error").is_some() || options["expectedIsPartial"] == true || !expected.is_file();
    let differs = match found {
        Ok(config) if refused => Some(format!("accepted: {config}")),
        Ok(config) => difference(&config, &yaml(&expected)).or_else(|| {
            let whole =
                matches!(entry.as_str(), "addAlertmanagerConfigs" | "initializeFromAlertmanagerConfig");
            if whole { amtool_fault(&config) } else { None }
        }),
        Err(_) if refused => None,
        Err(reason) => Some(format!("refused: {reason}")),
    };
    let kind = options["family"].as_str().unwrap_or(&entry).to_owned();
    Outcome { case, kind, differs }
}

/// The configuration of a case, or why there is none.
fn built(entry: &str, options: &Value, folder: &Path) -> Result<Value, String> {
    let version: Version = options["alertmanagerVersion"].as_str().expect("a version").parse()?;
    let inputs = folder.join("inputs.yaml");
    let objects = if inputs.is_file() { documents(&inputs) } else { Vec::new() };
    let mut assets = HeldAssets::default();
    objects.iter().for_each(|object| assets.add(object));
    let of_kind = |kind: &'static str| objects.iter().filter(move |object| object["kind"] == kind);
    let alertmanager = of_kind("Alertmanager").next().cloned().unwrap_or_default();
    let strategy = &alertmanager["spec"]["alertmanagerConfigMatcherStrategy"]["type"];
    let settings = Settings {
        version,
        strategy: Strategy::from_type(strategy.as_str().unwrap_or_default()),
        alertmanager_namespace: alertmanager["metadata"]["namespace"].as_str().unwrap_or_default().to_owned(),
        tls_dir: PEER_TLS_DIR.to_owned(),
        // The data leave out contents of which only a path is made.
        files: FilesFrom::Others,
        hide_secrets: false,
        defaults: Defaults::default(),
    };
    let text = |fault: &dyn std::fmt::Display| fault.to_string();
    match entry {
        "addAlertmanagerConfigs" => {
            let base = Base::from_config(yaml(&folder.join("base.yaml")), version).map_err(|e| text(&e))?;
            let settings = Settings { defaults: base.defaults(), ..settings };
            let parts = of_kind("AlertmanagerConfig").map(|object| build_routing(&settings, object, &assets));
            let parts = parts.collect::<Result<Vec<_>, _>>().map_err(|e| text(&e))?;
            Ok(base.merge(&parts))
        }
        "initializeFromAlertmanagerConfig" => {
            let object = of_kind("AlertmanagerConfig").next().expect("an AlertmanagerConfig");
            let base = Base::from_object(&settings, object, options.get("globalConfig"), &assets);
            Ok(base.map_err(|e| text(&e))?.merge([]))
        }
        "sanitize" => {
            let mut part = yaml(&folder.join("base.yaml"));
            let kind = options["configType"].as_str().expect("configType");
            sanitize(kind, &mut part, version).map_err(|e| text(&e))?;
            Ok(part)
        }
        "httpConfig" => {
            build_http_config(&settings, &options["httpConfig"], "", &assets).map_err(|e| text(&e))
        }
        other => panic!("an entry point that is not known: {other}"),
    }
}

/// What amtool has against a configuration; nothing where there is no amtool.
fn amtool_fault(config: &Value) -> Option<String> {
    let amtool = obstack_tests::parts::find("amtool")?;
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().expect("a file");
    std::fs::write(file.path(), obstack::yaml::emit(config).expect("YAML")).expect("a file written");
    let output = tempfile::tempfile().expect("a file");
    let mut child = Command::new(amtool)
        .arg("check-config")
        .arg(file.path())
        .stdin(Stdio::null())
        .stdout(output.try_clone().expect("a file"))
        .stderr(output.try_clone().expect("a file"))
        .spawn()
        .expect("amtool starts");
    let end = Instant::now() + AMTOOL_TIMEOUT;
    let status = loop {
        match child.try_wait().expect("amtool is waited for") {
            Some(status) => break Some(status),
            None if Instant::now() > end => {
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    if status.is_some_and(|status| status.success()) {
        return None;
    }
    use std::io::{Read as _, Seek as _};
    let (mut output, mut told) = (output, String::new());
    output.rewind().expect("a file");
    output.take(1 << 16).read_to_string(&mut told).expect("text");
    Some(format!("amtool: {told}"))
}
