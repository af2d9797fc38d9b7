//! A Prometheus or PrometheusAgent of `monitoring.coreos.com` in the input: what it would run.

use serde_json::Value;

use crate::cli::CliError;
use crate::cli::input::Input;
use crate::cli::objects::masked;
use crate::scrape::assets::{AssetError, Assets, HeldAssets};
use crate::scrape::collect::build_all;
use crate::scrape::engine::{Additional, build_engine, judge_engine};
use crate::scrape::objects::{GROUP, Kind};
use crate::scrape::references::{UNSEEN, UnseenAssets};
use crate::scrape::settings::Settings;
use crate::scrape::version::Version;

/// The configuration of every such engine, each a document of YAML, and a line for each object that is kept out.
///
/// # Errors
/// [`CliError::Input`] where an engine's own settings are at fault.
pub(super) fn engines(input: &Input, version: Option<Version>) -> Result<(String, Vec<String>), CliError> {
    let (mut text, mut notes) = (String::new(), Vec::new());
    let mut engines: Vec<Value> = Vec::new();
    for (version, kind) in [("v1", "Prometheus"), ("v1alpha1", "PrometheusAgent")] {
        let version = format!("{GROUP}/{version}");
        let of_kind = input.of_kind(&version, kind);
        engines.extend(of_kind.map(|(document, object)| placed(&document.id().namespace, object)));
    }
    if engines.is_empty() {
        return Ok((text, notes));
    }
    let mut monitors: Vec<(Kind, Value)> = Vec::new();
    for kind in Kind::ALL {
        let version = format!("{GROUP}/{}", kind.version());
        let of_kind = input.of_kind(&version, kind.as_str());
        monitors.extend(of_kind.map(|(document, object)| (kind, placed(&document.id().namespace, object))));
    }
    let held = Held::of(input);
    let fault = |e: &dyn std::fmt::Display, object: &Value| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        CliError::Input(format!("{} {name}: {e}", object["kind"].as_str().unwrap_or_default()))
    };
    for object in &engines {
        let settings = Settings::read(object, version).map_err(|e| fault(&e, object))?.with_defaults();
        judge_engine(&settings, &UnseenAssets).map_err(|e| fault(&e, object))?;
        let objects = monitors.iter().map(|(kind, object)| (*kind, object));
        let collected = build_all(&settings, objects, &UnseenAssets);
        let mut additional = Additional::read(&settings, &held).map_err(|e| fault(&e, object))?;
        for text in [
            &mut additional.scrape_configs,
            &mut additional.alert_relabel_configs,
            &mut additional.alertmanager_configs,
        ] {
            *text = text.take().map(|text| masked(&text));
        }
        // Where rules are put is for the operator to say; the folder stands for all of them.
        additional.rule_files = vec![format!("{}/*.yaml", settings.places.rules)];
        let file = build_engine(&settings, &collected.jobs(), &additional, &UnseenAssets);
        let file = file.map_err(|e| fault(&e, object))?;
        let Settings { namespace, name, version, .. } = &settings;
        text.push_str(&format!("---\n# {namespace}/{name}: Prometheus {version}\n{}", file.text));
        notes.extend(collected.rejected.iter().map(|rejection| {
            let (kind, namespace, name) = (rejection.kind, &rejection.namespace, &rejection.name);
            format!("{kind}/{namespace}/{name} is kept out: {rejection}")
        }));
    }
    Ok((text, notes))
}

/// An object with its namespace, which is `default` where none is written.
fn placed(namespace: &str, mut object: Value) -> Value {
    if let Some(about) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        about.insert("namespace".to_owned(), namespace.into());
    }
    object
}

/// Texts that are taken over as they are. A Secret that is not in the input is one that nobody has seen.
struct Held(HeldAssets);

impl Held {
    fn of(input: &Input) -> Self {
        let mut held = HeldAssets::default();
        for kind in ["Secret", "ConfigMap"] {
            input.of_kind("v1", kind).for_each(|(_, object)| held.add(&object));
        }
        Self(held)
    }
}

impl Assets for Held {
    fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        Ok(self.0.secret(namespace, name, key).unwrap_or(UNSEEN.as_bytes()))
    }

    fn config_map(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        Ok(self.0.config_map(namespace, name, key).unwrap_or(UNSEEN.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: &str = "
apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: { name: main, namespace: monitoring }
spec:
  version: v3.5.0
  additionalScrapeConfigs: { name: more, key: jobs }
  remoteWrite: [{ url: 'https://store.example', basicAuth: { username: { name: a, key: u }, password: { name: a, key: p } } }]
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: { name: web, namespace: team }
spec:
  selector: { matchLabels: { app: web } }
  endpoints: [{ port: http, authorization: { credentials: { name: t, key: token } } }]
---
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata: { name: broken, namespace: team }
spec: { selector: {}, endpoints: [{ port: http, interval: often }] }
---
apiVersion: monitoring.coreos.com/v1
kind: Probe
metadata: { name: outside }
spec: { prober: { url: 'blackbox:9115' }, targets: { staticConfig: { static: [a.example] } } }
---
apiVersion: v1
kind: Secret
metadata: { name: t, namespace: team }
stringData: { token: T0KEN }
---
apiVersion: v1
kind: Secret
metadata: { name: more, namespace: monitoring }
stringData: { jobs: '[{ job_name: more, basic_auth: { username: u, password: T0KEN } }]' }
";

    #[test]
    fn a_prometheus_is_built_with_all_monitors_and_no_secret_is_shown() {
        let mut input = Input::default();
        input.add("x.yaml", INPUT);
        let (text, notes) = engines(&input, None).unwrap();
        let config: Value = serde_saphyr::from_str(&text).unwrap();
        let names: Vec<&str> = config["scrape_configs"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|job| job["job_name"].as_str())
            .collect();
        assert_eq!(names, ["serviceMonitor/team/web/0", "probe/default/outside", "more"]);
        assert_eq!(config["scrape_configs"][0]["authorization"]["credentials"], "<secret>");
        assert_eq!(config["remote_write"][0]["basic_auth"]["password"], "<secret>");
        assert_eq!(config["global"]["scrape_interval"], "30s", "as an API server would have filled it in");
        assert_eq!(config["scrape_configs"][1]["metrics_path"], "/probe");
        assert_eq!(config["scrape_configs"][2]["basic_auth"]["username"], "u");
        assert!(!text.contains("T0KEN"));
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("ServiceMonitor/team/broken is kept out: spec.endpoints[0].interval:"));
        let older = engines(&input, Some(Version::new(2, 53, 0))).unwrap().0;
        assert!(older.contains("Prometheus 2.53.0"));
    }

    #[test]
    fn settings_at_fault_are_named() {
        let mut input = Input::default();
        input.add("x.yaml", &INPUT.replace("https://store.example", "store.example"));
        let message = engines(&input, None).unwrap_err().message().unwrap().to_owned();
        assert!(message.contains("spec.remoteWrite[0].url") && message.contains("main"), "{message}");
    }
}
