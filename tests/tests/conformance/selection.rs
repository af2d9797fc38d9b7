//! `selection/`: objects that are accepted or rejected.

use std::collections::BTreeMap;

use obstack::scrape::assets::HeldAssets;
use obstack::scrape::jobs::build;
use obstack::scrape::objects::{Kind, Monitor};
use obstack::scrape::settings::Settings;
use serde_json::{Value, json};

use super::data::{Data, yaml};
use super::{Outcome, Suite};

/// Objects that are accepted or rejected.
pub(crate) const SELECTION: Suite = Suite { folder: "selection", run };

fn run(data: &Data) -> Vec<Outcome> {
    let path = data.folder.join("selection/cases.yaml");
    if !path.is_file() {
        return Vec::new();
    }
    let file = yaml(&path);
    let mut stores: BTreeMap<&str, HeldAssets> = BTreeMap::new();
    for (name, objects) in file["stores"].as_object().into_iter().flatten() {
        let held = stores.entry(name).or_default();
        objects.as_array().into_iter().flatten().for_each(|object| held.add(object));
    }
    let empty = HeldAssets::default();
    let mut outcomes = Vec::new();
    for case in file["cases"].as_array().into_iter().flatten() {
        let name = case["name"].as_str().expect("a name").to_owned();
        if !data.wants("selection", &name) {
            continue;
        }
        let held = case["store"].as_str().and_then(|store| stores.get(store)).unwrap_or(&empty);
        let judged = judge(case, held);
        let differs = match (case["accepted"] == true, judged) {
            (true, Err(message)) => Some(format!("rejected, expected to be accepted: {message}")),
            (false, Ok(())) => {
                let expected = case["error"].as_str().unwrap_or_default();
                Some(format!("accepted, expected to be rejected: {expected}"))
            }
            _ => None,
        };
        let kind = case["kind"].as_str().or(case["check"].as_str()).unwrap_or("other").to_owned();
        outcomes.push(Outcome { case: name, kind, differs });
    }
    outcomes
}

fn judge(case: &Value, held: &HeldAssets) -> Result<(), String> {
    let version =
        case["prometheusVersion"].as_str().map(str::parse).transpose().map_err(|e| format!("{e}"))?;
    let settings = Settings::read(&case["prometheus"], version).map_err(|e| e.to_string())?;
    let monitor = |spec: Value| json!({ "metadata": { "namespace": "n", "name": "m" }, "spec": spec });
    let (kind, object) = match case["check"].as_str() {
        Some("resource") => {
            let named = |kind: &&Kind| case["kind"] == kind.as_str();
            (*Kind::ALL.iter().find(named).expect("a kind"), case["object"].clone())
        }
        Some("relabelConfig") => {
            let endpoint = json!({ "relabelings": [case["relabelConfig"]] });
            (Kind::ServiceMonitor, monitor(json!({ "endpoints": [endpoint] })))
        }
        Some("scrapeIntervalAndTimeout") => {
            (Kind::ServiceMonitor, monitor(case["serviceMonitorSpec"].clone()))
        }
        other => return Err(format!("unknown check {other:?}")),
    };
    let monitor = Monitor::read(kind, &object).map_err(|e| e.to_string())?;
    build(&settings, &monitor, held).map(drop).map_err(|e| e.to_string())
}
