//! `obstack config`: the configuration of the engines, the parts joined.

mod peers;

use clap::Args;
use serde_json::Value;

use super::input::{Document, Input, InputArgs};
use super::objects::Secrets;
use super::render::{Built, OperatorArgs};
use super::{CliError, Output};
use crate::names::Role;
use crate::running::Generation;
use crate::scrape::sources::{Verdict, judge};
use crate::scrape::version::Version;
use crate::validate::Valid;
use crate::yaml::emit;

/// Oldest Prometheus whose configuration is written.
const OLDEST: Version = Version::new(2, 53, 0);

/// Arguments of `obstack config`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  obstack config -f stack.yaml
  obstack config -f stack.yaml > prometheus.yaml && promtool check config prometheus.yaml
  obstack config -f prometheus.yaml -f monitors/    what a Prometheus of monitoring.coreos.com would run

The first document is Prometheus' configuration with its scrape jobs; then come the rule files, each by itself,
and Alertmanager's configuration. What Secrets hold is never printed.

A Prometheus or PrometheusAgent of monitoring.coreos.com is built with every ServiceMonitor, PodMonitor, Probe and
ScrapeConfig of the input, and an Alertmanager with every AlertmanagerConfig, whatever their selectors say. An object
that cannot be taken is named with its reason, and the others go on. The same is printed of the resources of a stack
that hands its engines over to prometheus-operator, with the objects that it takes.")]
pub struct ConfigArgs {
    #[command(flatten)]
    input: InputArgs,
    /// Version of Prometheus that the configuration is for: 2.53 or newer.
    #[arg(long, value_name = "VERSION", value_parser = parse_version)]
    engine_version: Option<Version>,
    #[command(flatten)]
    operator: OperatorArgs,
}

/// Runs `obstack config`.
///
/// # Errors
/// [`CliError`] where the input is at fault.
pub fn run(args: ConfigArgs, output: &Output) -> Result<(), CliError> {
    let catalog = args.operator.catalog.load()?;
    let input = Input::read(&args.input)?.with_catalog(&catalog);
    // Who comes from prometheus-operator sees what becomes of their objects; a stack need not be among them.
    let (mut text, rejected) = peers::engines(&input, args.engine_version)?;
    rejected.iter().for_each(|rejection| output.note(rejection));
    text.push_str(&super::config_rules::documents(&input, args.engine_version, output));
    text.push_str(&super::config_routing::documents(&input, output)?);
    if !text.is_empty() && !input.documents.iter().any(Document::is_stack) && input.problems.is_empty() {
        return output.print(&text);
    }
    for loaded in input.stacks(output)? {
        let built = Built::of(&loaded, &input, &args.operator, &catalog, Secrets::Hidden)?;
        for note in &built.notes {
            output.note(note);
        }
        if built.configs.handed_over.is_empty() {
            text.push_str(&configuration(&loaded.id.to_string(), &built)?);
        } else {
            text.push_str(&handed_over(&built, taken(&input, &loaded.valid), args.engine_version, output)?);
        }
    }
    output.print(&text)
}

/// What engines that are handed over run: the resources that are rendered, read as prometheus-operator reads them,
/// with these objects of others.
///
/// # Errors
/// [`CliError`] where the resources cannot be read, which no input causes.
fn handed_over(
    built: &Built,
    mut objects: Input,
    version: Option<Version>,
    output: &Output,
) -> Result<String, CliError> {
    objects.add("rendered", &built.manifests()?);
    let (mut text, rejected) = peers::engines(&objects, version)?;
    rejected.iter().for_each(|rejection| output.note(rejection));
    text.push_str(&super::config_rules::documents(&objects, version, output));
    text.push_str(&super::config_routing::documents(&objects, output)?);
    Ok(text)
}

/// The objects among the files that a stack takes, with what they refer to.
fn taken(input: &Input, valid: &Valid) -> Input {
    let namespaces = super::objects::namespaces(input);
    let is_taken = |document: &&Document| match super::objects::source_of(document) {
        Some(source) => judge(valid, &source, &namespaces) == Verdict::Taken,
        None => document.is("v1", "Secret") || document.is("v1", "ConfigMap"),
    };
    Input { documents: input.documents.iter().filter(is_taken).cloned().collect(), ..Input::default() }
}

/// The configuration of a stack's engines as YAML documents, each with a comment that names it.
///
/// # Errors
/// [`CliError::Outside`] where it cannot be written, which no input causes.
pub fn configuration(stack: &str, built: &Built) -> Result<String, CliError> {
    if !built.configs.handed_over.is_empty() {
        return handed_over(built, Input::default(), None, &Output::stdio(clap::ColorChoice::Never));
    }
    let mut text = String::new();
    for role in Role::ALL {
        let Some(generation) = built.configs.generations.get(&role) else { continue };
        let main = generation.engine.main_file();
        let mut document = |path: &str, content: &str| {
            text.push_str(&format!("---\n# {stack}: {role} {path}\n{content}", role = role.as_str()));
        };
        document(main, &joined(generation)?);
        for path in generation.paths() {
            if path.starts_with("rules/")
                && let Some(content) = generation.file(path)
            {
                document(path, &content);
            }
        }
    }
    Ok(text)
}

/// The main file with the files of scrape jobs in their place.
fn joined(generation: &Generation) -> Result<String, CliError> {
    let fault = |e: &dyn std::fmt::Display| CliError::Outside(e.to_string());
    let read = |path: &str| -> Result<Value, CliError> {
        let text = generation.file(path).unwrap_or_default();
        serde_saphyr::from_str(&text).map_err(|e| fault(&e))
    };
    let mut main = read(generation.engine.main_file())?;
    let mut jobs = Vec::new();
    for path in generation.paths().into_iter().filter(|path| path.starts_with("scrape/")) {
        if let Value::Array(more) = read(path)?["scrape_configs"].take() {
            jobs.extend(more);
        }
    }
    if let Some(fields) = main.as_object_mut()
        && fields.remove("scrape_config_files").is_some()
    {
        fields.insert("scrape_configs".to_owned(), Value::Array(jobs));
    }
    emit(&main).map_err(|e| fault(&e))
}

fn parse_version(text: &str) -> Result<Version, String> {
    let version: Version = text.parse().map_err(|_| "it is no version; write one such as 3.5 or 2.53.3")?;
    if !text.contains('.') {
        return Err("it is no version; write one such as 3.5 or 2.53.3".to_owned());
    }
    if version < OLDEST { Err("it is too old; write 2.53 or newer".to_owned()) } else { Ok(version) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_bounded() {
        assert_eq!(parse_version("v3.5.0"), Ok(Version::new(3, 5, 0)));
        assert_eq!(parse_version("2.53"), Ok(Version::new(2, 53, 0)));
        for text in ["2.52.9", "1.8", "three", "", "3"] {
            assert!(parse_version(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_an_author_adds_is_shown_without_what_is_secret() {
        let mut input = Input::default();
        input.add(
            "stack.yaml",
            "apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: main, namespace: monitoring }
spec:
  collection: { additionalScrapeConfigs: { name: s, key: jobs } }
  metrics:
    remoteWrite:
      - { url: 'https://a.example', authorization: { credentials: { name: s, key: token } } }
      - { url: 'https://b.example', authorization: { credentials: { name: elsewhere, key: token } } }
---
apiVersion: v1
kind: Secret
metadata: { name: s, namespace: monitoring }
stringData:
  token: T0KEN
  jobs: '[{ job_name: more, basic_auth: { username: u, password: T0KEN },
    proxy_connect_header: { a: [T0KEN] } }]'
",
        );
        let loaded = &input.stacks(&Output::stdio(clap::ColorChoice::Never)).unwrap()[0];
        let catalog = crate::decide::Catalog::embedded().unwrap();
        let build = |shown| Built::of(loaded, &input, &OperatorArgs::default(), &catalog, shown).unwrap();
        let built = build(Secrets::Hidden);
        let text = configuration("monitoring/main", &built).unwrap();
        assert!(!text.contains("T0KEN"), "{text}");
        let main: Value = serde_saphyr::from_multiple::<Value>(&text).unwrap().remove(0);
        assert_eq!(main["remote_write"][0]["authorization"]["credentials"], "<secret>");
        let job =
            main["scrape_configs"].as_array().unwrap().iter().find(|job| job["job_name"] == "more").unwrap();
        assert_eq!(job["basic_auth"], serde_json::json!({ "username": "u", "password": "<secret>" }));
        let note = |built: &Built| built.notes.iter().filter(|note| note.contains("elsewhere")).count();
        assert_eq!((note(&built), note(&build(Secrets::Used))), (1, 1), "{:?}", built.notes);
    }

    #[test]
    fn the_parts_are_joined_and_secrets_left_out() {
        let mut input = Input::default();
        input.add(
            "stack.yaml",
            "apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: main, namespace: monitoring }
spec:
  alerting: { route: { receiver: a }, receivers: [{ name: a, webhook: [{ urlSecret: { name: s, key: url } }] }] }
---
apiVersion: v1
kind: Secret
metadata: { name: s, namespace: monitoring }
stringData: { url: 'https://hook.example/T0KEN' }
",
        );
        let loaded = &input.stacks(&Output::stdio(clap::ColorChoice::Never)).unwrap()[0];
        let built = Built::of(
            loaded,
            &input,
            &OperatorArgs::default(),
            &crate::decide::Catalog::embedded().unwrap(),
            Secrets::Hidden,
        )
        .unwrap();
        let text = configuration("monitoring/main", &built).unwrap();
        assert!(!text.contains("T0KEN"));
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        assert!(documents[0]["scrape_configs"].as_array().unwrap().len() >= 5);
        assert!(documents[0].get("scrape_config_files").is_none());
        assert!(documents.iter().any(|d| d["groups"][0]["name"] == "obstack-general"));
        assert!(documents.last().unwrap().get("receivers").is_some());
        let generation = &built.configs.generations[&Role::Metrics];
        assert!(text.contains(&generation.digest));
    }
}
