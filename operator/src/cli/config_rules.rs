//! `obstack config` for who comes from prometheus-operator: the rule files of a Prometheus of
//! `monitoring.coreos.com` among the files.

use serde_json::{Value, json};

use super::Output;
use super::input::Input;
use crate::rules::objects::{KIND, RuleSettings, build_rules};
use crate::scrape::version::Version;

const API: &str = "monitoring.coreos.com/v1";

/// The rule file of each PrometheusRule for each Prometheus among the files; nothing where there is none. One at
/// fault is told and left out, as the operator does it. `version` goes before what a Prometheus says.
pub(super) fn documents(input: &Input, version: Option<Version>, output: &Output) -> String {
    let mut text = String::new();
    let rules: Vec<Value> = input
        .of_kind(API, KIND)
        .map(|(document, mut object)| {
            object["metadata"]["namespace"] = json!(document.id().namespace);
            object
        })
        .collect();
    for (document, prometheus) in input.of_kind(API, "Prometheus") {
        let id = document.id();
        let own = prometheus["spec"]["version"].as_str().and_then(|text| text.parse().ok());
        let settings = RuleSettings::read(&prometheus, version.or(own).unwrap_or(Version::DEFAULT));
        for object in &rules {
            let about = &object["metadata"];
            let name = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
            let name = format!("{KIND} {}/{}", name("namespace"), name("name"));
            match build_rules(&settings, object) {
                Ok(built) => {
                    built.notes.iter().for_each(|note| output.note(&format!("note: {name}: {note}")));
                    let content = String::from_utf8_lossy(&built.fragment.bytes);
                    text.push_str(&format!("---\n# {id}: {name} {}\n{content}", built.fragment.path));
                }
                Err(rejection) => output.note(&format!("note: {id}: left out: {name}: {rejection}")),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_among_the_files_are_shown_held_to_their_namespace() {
        let mut input = Input::default();
        input.add(
            "x.yaml",
            "apiVersion: monitoring.coreos.com/v1
kind: Prometheus
metadata: { name: main, namespace: monitoring }
spec: { version: v2.53.0, enforcedNamespaceLabel: namespace }
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: { name: good, namespace: shop }
spec: { groups: [{ name: g, labels: { a: b }, rules: [{ record: r, expr: up }] }] }
---
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: { name: bad, namespace: shop }
spec: { groups: [{ name: g, rules: [{ record: r }] }] }
",
        );
        let text = documents(&input, None, &Output::stdio(clap::ColorChoice::Never));
        let read: Value = serde_saphyr::from_str(&text).unwrap();
        let want =
            json!({ "record": "r", "expr": "up{namespace=\"shop\"}", "labels": { "namespace": "shop" } });
        assert_eq!(read, json!({ "groups": [{ "name": "g", "rules": [want] }] }));
        assert_eq!(documents(&Input::default(), None, &Output::stdio(clap::ColorChoice::Never)), "");
    }
}
