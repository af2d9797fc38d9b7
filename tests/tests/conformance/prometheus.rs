//! `prometheus/`, `extra/` and `errors/`: whole configurations, and inputs that are refused.

use std::path::Path;

use obstack::scrape::assets::{AssetError, Assets, HeldAssets};
use obstack::scrape::engine::{Additional, build_engine};
use obstack::scrape::jobs::{Built, build_discovery, build_unjudged};
use obstack::scrape::objects::{Kind, Monitor};
use obstack::scrape::settings::{Role, Settings};
use serde_json::Value;

use super::data::{Data, difference, documents, parse, text, yaml};
use super::{Outcome, Suite};

/// Whole configurations.
pub(crate) const PROMETHEUS: Suite =
    Suite { folder: "prometheus", run: |data| configurations(data, "prometheus") };
/// One large input for many versions.
pub(crate) const EXTRA: Suite = Suite { folder: "extra", run: |data| configurations(data, "extra") };
/// Inputs that are refused, those of Alertmanager left aside.
pub(crate) const ERRORS: Suite = Suite { folder: "errors", run: errors };

/// A case, read.
pub(crate) struct Case {
    options: Value,
    documents: Vec<Value>,
    held: HeldAssets,
}

impl Case {
    /// Reads a case of its folder.
    pub(crate) fn read(folder: &Path) -> Self {
        let documents = documents(&folder.join("inputs.yaml"));
        let mut held = HeldAssets::default();
        documents.iter().for_each(|document| held.add(document));
        Self { options: yaml(&folder.join("options.yaml")), documents, held }
    }

    /// What the case is about.
    pub(crate) fn kind(&self) -> String {
        self.options["family"].as_str().unwrap_or("other").to_owned()
    }

    /// The object that the configuration is for.
    pub(crate) fn engine(&self) -> &Value {
        let engine =
            |document: &&Value| matches!(document["kind"].as_str(), Some("Prometheus" | "PrometheusAgent"));
        self.documents.iter().find(engine).expect("a Prometheus or a PrometheusAgent")
    }

    /// All objects in their order.
    pub(crate) fn documents(&self) -> &[Value] {
        &self.documents
    }

    /// What its Secrets and ConfigMaps hold.
    pub(crate) fn held(&self) -> &HeldAssets {
        &self.held
    }

    /// Whether the configuration is an agent's.
    pub(crate) fn is_agent(&self) -> bool {
        self.engine()["kind"] == "PrometheusAgent"
    }

    /// The monitors in their order; what cannot be read as one fails.
    pub(crate) fn monitors(&self) -> impl Iterator<Item = (Kind, Result<Monitor, String>)> {
        self.documents.iter().filter_map(|document| {
            let kind = Kind::ALL.into_iter().find(|kind| document["kind"] == kind.as_str())?;
            Some((kind, Monitor::read(kind, document).map_err(|e| e.to_string())))
        })
    }

    /// Texts that are taken over.
    pub(crate) fn additional(&self) -> Additional {
        let text = |field: &str| self.options[field].as_str().map(str::to_owned);
        Additional {
            scrape_configs: text("additionalScrapeConfigs"),
            alert_relabel_configs: text("additionalAlertRelabelConfigs"),
            alertmanager_configs: text("additionalAlertManagerConfigs"),
            rule_files: Vec::new(),
        }
    }

    fn settings(&self) -> Result<Settings, String> {
        let version = self.options["prometheusVersion"].as_str().unwrap_or_default();
        let version = version.parse().map_err(|e| format!("{e}"))?;
        let mut engine = self.engine().clone();
        // A fragment is made for an API server that its engine need not name.
        let server = &self.options["fragment"]["apiserverConfig"];
        if server.is_object() {
            engine["spec"]["apiserverConfig"] = server.clone();
        }
        let mut settings = Settings::read(&engine, Some(version)).map_err(|e| e.to_string())?;
        let options = &self.options["generatorOptions"];
        settings.endpoint_slices = options["endpointSliceSupported"] == true;
        settings.inline_tls = options["inlineTLSConfig"] == true;
        settings.role = match self.options["entryPoint"].as_str() {
            Some("agent") if options["daemonSet"] == true => Role::NodeAgent,
            Some("agent") => Role::Agent,
            _ => Role::Server,
        };
        Ok(settings)
    }

    /// What is built of the case, as a value.
    fn build(&self, assets: &dyn Assets) -> Result<Value, String> {
        let settings = self.settings()?;
        if self.options["entryPoint"] == "kubernetesSDFragment" {
            return parse(&self.fragment(&settings, assets)?);
        }
        let mut built: Vec<(Kind, Built)> = Vec::new();
        for (kind, monitor) in self.monitors() {
            let done = build_unjudged(&settings, &monitor?, assets).map_err(|e| e.to_string())?;
            built.push((kind, done));
        }
        let jobs: Vec<(Kind, &Built)> = built.iter().map(|(kind, built)| (*kind, built)).collect();
        let file = build_engine(&settings, &jobs, &self.additional(), assets).map_err(|e| e.to_string())?;
        parse(&file.text).map_err(|e| format!("{e}\n{}", file.text))
    }

    fn fragment(&self, settings: &Settings, assets: &dyn Assets) -> Result<String, String> {
        let fragment = &self.options["fragment"];
        let attach = &fragment["attachMetadataConfig"];
        let since =
            attach["minimumVersion"].as_str().or(attach["MinimumVersion"].as_str()).unwrap_or("0.0.0");
        let mut numbers = since.split('.').map(|n| n.parse::<u64>().expect("a version"));
        let since = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let metadata = [&attach["attachMetadata"], attach].into_iter().find(|value| value.is_object());
        build_discovery(
            settings,
            fragment["namespace"].as_str().unwrap_or_default(),
            fragment["role"].as_str().unwrap_or_default(),
            &fragment["namespaceSelector"],
            metadata.map(|metadata| (metadata, since)),
            assets,
        )
        .map_err(|e| e.to_string())
    }
}

/// Contents of a case; what is missing is taken to be there and empty, as in the tests that the cases come from.
pub(crate) struct Assumed<'a>(pub(crate) &'a HeldAssets);

impl Assets for Assumed<'_> {
    fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        Ok(self.0.secret(namespace, name, key).unwrap_or_default())
    }

    fn config_map(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        Ok(self.0.config_map(namespace, name, key).unwrap_or_default())
    }
}

fn configurations(data: &Data, folder: &str) -> Vec<Outcome> {
    let run = |(name, path): (String, std::path::PathBuf)| {
        let case = Case::read(&path);
        let built = case.build(&Assumed(&case.held));
        let expected = text(&path.join("expected.yaml"));
        let differs = match (&built, expected.trim().is_empty()) {
            // An empty file means that the input is refused.
            (Err(_), true) => None,
            (Ok(_), true) => Some("built, expected to be refused".to_owned()),
            (Err(message), false) => Some(format!("refused: {message}")),
            (Ok(built), false) => {
                let expected = parse(&expected).unwrap_or_else(|e| panic!("{name}: {e}"));
                difference(built, &expected)
            }
        };
        Outcome { kind: case.kind(), case: name, differs }
    };
    data.cases(folder).into_iter().map(run).collect()
}

fn errors(data: &Data) -> Vec<Outcome> {
    let cases = data.cases("errors").into_iter().filter(|(name, _)| !name.starts_with("am__"));
    cases
        .map(|(name, path)| {
            let case = Case::read(&path);
            let differs = case.build(&case.held).ok().map(|_| {
                let expected = case.options["error"].as_str().unwrap_or_default();
                format!("built, expected to be refused: {expected}")
            });
            Outcome { kind: case.kind(), case: name, differs }
        })
        .collect()
}
