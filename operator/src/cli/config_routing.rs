//! `obstack config` for who comes from prometheus-operator: an Alertmanager of `monitoring.coreos.com` among the
//! files, with every AlertmanagerConfig among them.

use std::cell::RefCell;
use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::input::{Document, Input};
use super::{CliError, Output};
use crate::scrape::assets::{AssetError, Assets, HeldAssets};
use crate::scrape::routing::{
    self, API_VERSIONS, Base, Defaults, FilesFrom, PEER_TLS_DIR, Settings, Strategy, Version, build_routing,
};
use crate::validate::Fault;
use crate::yaml::emit;

const ALERTMANAGER: (&str, &str) = ("monitoring.coreos.com/v1", "Alertmanager");
/// The version that is meant where an Alertmanager names none: the peers' at their 0.87.
const DEFAULT_VERSION: Version = Version::minor(29);
/// What is told where a Secret is not among the files.
const STAND_IN: &[u8] = b"https://secret.invalid/";

/// The configuration of each Alertmanager among the files as YAML documents; nothing where there is none.
///
/// # Errors
/// [`CliError::Input`] where an Alertmanager itself is at fault. An AlertmanagerConfig at fault is told and left
/// out, as the operator does it.
pub(super) fn documents(input: &Input, output: &Output) -> Result<String, CliError> {
    let mut text = String::new();
    for (document, alertmanager) in input.of_kind(ALERTMANAGER.0, ALERTMANAGER.1) {
        let id = document.id();
        let config = configuration(input, output, document, &alertmanager)
            .map_err(|fault| CliError::Input(format!("Alertmanager {id}: {fault}")))?;
        let yaml = emit(&config).map_err(|error| CliError::Outside(error.to_string()))?;
        text.push_str(&format!("---\n# {id}: Alertmanager alertmanager.yaml\n{yaml}"));
    }
    Ok(text)
}

fn configuration(
    input: &Input,
    output: &Output,
    document: &Document,
    alertmanager: &Value,
) -> Result<Value, Fault> {
    let (id, spec) = (document.id(), &alertmanager["spec"]);
    let fault = |path: &str, found: String, write: &str| Fault {
        path: path.to_owned(),
        found,
        write: write.to_owned(),
    };
    let version = match spec["version"].as_str() {
        None => DEFAULT_VERSION,
        Some(text) => {
            text.parse().map_err(|_| fault("spec.version", text.to_owned(), "one such as 0.28.0"))?
        }
    };
    let assets = Shown::of(input);
    let strategy = spec["alertmanagerConfigMatcherStrategy"]["type"].as_str().unwrap_or_default();
    let mut settings = Settings {
        version,
        strategy: Strategy::from_type(strategy),
        alertmanager_namespace: id.namespace.clone(),
        tls_dir: PEER_TLS_DIR.to_owned(),
        files: FilesFrom::Others,
        hide_secrets: true,
        defaults: Defaults::default(),
    };
    let note = |text: &str| output.note(&format!("note: Alertmanager {id}: {text}"));

    let configs: Vec<(&Document, Value)> =
        API_VERSIONS.into_iter().flat_map(|api| input.of_kind(api, routing::KIND)).collect();
    let global = &spec["alertmanagerConfiguration"];
    let base_name = global["name"].as_str().filter(|name| !name.is_empty());
    let base = match base_name {
        Some(name) => {
            let own = configs
                .iter()
                .find(|(config, _)| config.id().namespace == id.namespace && config.id().name == name);
            let path = "spec.alertmanagerConfiguration.name";
            let (config, object) = own.ok_or_else(|| {
                fault(path, format!("{name}, which is not among the files"), "its file too")
            })?;
            Base::from_object(&settings, &placed(config, object), global.get("global"), &assets)
                .map_err(|rejection| fault(&rejection.path, rejection.found, &rejection.write))?
        }
        None => raw_base(spec, &id.namespace, &id.name, version, &assets, &note)?,
    };
    base.notes.iter().for_each(|text| note(text));
    settings.defaults = base.defaults();

    let mut parts = Vec::new();
    for (config, object) in &configs {
        let own = config.id();
        let is_base = own.namespace == id.namespace && Some(own.name.as_str()) == base_name;
        if is_base {
            continue;
        }
        match build_routing(&settings, &placed(config, object), &assets) {
            Ok(part) => {
                part.notes.iter().for_each(|text| note(&format!("{own}: {text}")));
                parts.push(part);
            }
            Err(rejection) => note(&format!("left out: {own}: {rejection}")),
        }
    }
    for name in assets.missing.borrow().iter() {
        note(&format!("{name} is not among the files; its content is stood in for"));
    }
    Ok(base.merge(&parts))
}

/// The object with the namespace that it has where its file names none.
fn placed(document: &Document, object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"]["namespace"] = json!(document.id().namespace);
    object
}

/// The configuration that somebody wrote into a Secret, or the one that the peers begin with.
fn raw_base(
    spec: &Value,
    namespace: &str,
    name: &str,
    version: Version,
    assets: &Shown,
    note: &dyn Fn(&str),
) -> Result<Base, Fault> {
    let secret = spec["configSecret"].as_str().map_or_else(|| format!("alertmanager-{name}"), str::to_owned);
    let Ok(bytes) = assets.held.secret(namespace, &secret, "alertmanager.yaml") else {
        if spec["configSecret"].is_string() {
            note(&format!("Secret {secret} is not among the files; the routes of the base are left out"));
        }
        let none = json!({ "route": { "receiver": "null" }, "receivers": [{ "name": "null" }] });
        return Base::from_config(none, version);
    };
    let text = String::from_utf8_lossy(bytes);
    Base::from_yaml(&text, version).map(Base::without_secrets)
}

/// The contents among the files. One that is not there is told and stood in for: it may be in the cluster.
struct Shown {
    held: HeldAssets,
    missing: RefCell<BTreeSet<String>>,
}

impl Shown {
    fn of(input: &Input) -> Self {
        let mut held = HeldAssets::default();
        for kind in ["Secret", "ConfigMap"] {
            input.of_kind("v1", kind).for_each(|(_, object)| held.add(&object));
        }
        Self { held, missing: RefCell::default() }
    }

    fn or_stand_in<'a>(
        &self,
        found: Result<&'a [u8], AssetError>,
        kind: &str,
        namespace: &str,
        name: &str,
    ) -> Result<&'a [u8], AssetError> {
        match found {
            Err(AssetError::NoObject) => {
                self.missing.borrow_mut().insert(format!("{kind} {namespace}/{name}"));
                Ok(STAND_IN)
            }
            other => other,
        }
    }
}

impl Assets for Shown {
    fn secret(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        self.or_stand_in(self.held.secret(namespace, name, key), "Secret", namespace, name)
    }

    fn config_map(&self, namespace: &str, name: &str, key: &str) -> Result<&[u8], AssetError> {
        self.or_stand_in(self.held.config_map(namespace, name, key), "ConfigMap", namespace, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: &str = "
apiVersion: monitoring.coreos.com/v1
kind: Alertmanager
metadata: { name: main, namespace: monitoring }
spec:
  version: 0.28.0
---
apiVersion: v1
kind: Secret
metadata: { name: alertmanager-main, namespace: monitoring }
stringData:
  alertmanager.yaml: |
    global: { slack_api_url: 'https://hook.example/T0KEN', smtp_auth_password: T0KEN }
    route: { receiver: base }
    receivers:
    - name: base
      webhook_configs: [{ url: 'https://hook.example/T0KEN', http_config: { basic_auth: { password: T0KEN } } }]
---
apiVersion: v1
kind: Secret
metadata: { name: s, namespace: shop }
stringData: { key: T0KEN }
---
apiVersion: monitoring.coreos.com/v1alpha1
kind: AlertmanagerConfig
metadata: { name: good, namespace: shop }
spec:
  route: { receiver: r }
  receivers:
  - name: r
    slackConfigs: [{ channel: '#a' }]
    pagerdutyConfigs: [{ routingKey: { name: s, key: key } }, { serviceKey: { name: in-cluster, key: key } }]
---
apiVersion: monitoring.coreos.com/v1beta1
kind: AlertmanagerConfig
metadata: { name: broken, namespace: shop }
spec: { route: { receiver: gone } }
---
apiVersion: monitoring.coreos.com/v1alpha1
kind: AlertmanagerConfig
metadata: { name: other-namespace, namespace: monitoring }
spec: { route: { receiver: r }, receivers: [{ name: r }] }
";

    fn told(files: &str) -> Result<Value, CliError> {
        let mut input = Input::default();
        input.add("am.yaml", files);
        let text = documents(&input, &Output::stdio(clap::ColorChoice::Never))?;
        assert!(!text.contains("T0KEN"), "{text}");
        Ok(serde_saphyr::from_str(&text).unwrap())
    }

    #[test]
    fn an_alertmanager_among_the_files_is_shown_with_what_is_added_to_it() {
        let config = told(FILES).unwrap();
        let names: Vec<&str> =
            config["receivers"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["base", "monitoring/other-namespace/r", "shop/good/r"]);
        assert_eq!(config["route"]["routes"][1]["matchers"], json!(["namespace=\"shop\""]));
        assert_eq!(config["global"]["slack_api_url"], "<secret>");
        let own = &config["receivers"][2];
        assert_eq!(
            own["pagerduty_configs"],
            json!([{ "routing_key": "<secret>" }, { "service_key": "<secret>" }])
        );
        assert_eq!(own["slack_configs"], json!([{ "channel": "#a" }]));
    }

    #[test]
    fn a_base_can_be_an_object_too() {
        let files = FILES.replace("version: 0.28.0", "alertmanagerConfiguration: { name: other-namespace }");
        let config = told(&files).unwrap();
        assert_eq!(config["route"]["receiver"], "monitoring/other-namespace/r");
        let gone = FILES.replace("version: 0.28.0", "alertmanagerConfiguration: { name: gone }");
        assert!(told(&gone).unwrap_err().message().unwrap().contains("spec.alertmanagerConfiguration.name"));
        let version = FILES.replace("version: 0.28.0", "version: newest");
        assert!(told(&version).unwrap_err().message().unwrap().contains("spec.version"));
    }
}
