//! The main file of an engine by its settings, with the jobs of every object in it.

mod additional;
mod alerting;
mod global;
pub(crate) mod parts;
mod remote;
mod telemetry;

pub use additional::Additional;
pub(crate) use global::name_schemes;

use super::assets::Assets;
use super::jobs::http::Client;
use super::jobs::{Built, Yaml, engine_scope, yaml};
use super::judge::{Rejection, Under, fault, names};
use super::objects::{IntOrString, Kind};
use super::references::AssetFile;
use super::settings::{Role, Settings};

/// The configuration of an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineFile {
    /// YAML.
    pub text: String,
    /// The files that the engine's own settings and all jobs read, sorted, each once.
    pub files: Vec<AssetFile>,
}

/// The configuration of an engine with jobs of objects, which are written in the order in which they come; those
/// that the engine's role does not take are left out.
///
/// # Errors
/// What is wrong with the settings themselves, or with what they refer to.
pub fn build_engine(
    settings: &Settings,
    jobs: &[(Kind, &Built)],
    additional: &Additional,
    assets: &dyn Assets,
) -> Result<EngineFile, Rejection> {
    let fault = |rejection: Rejection| rejection.of(kind(settings), &settings.namespace, &settings.name);
    write(settings, jobs, additional, assets).map_err(fault)
}

/// Judges what an engine's settings refer to and ask for, jobs left aside.
///
/// # Errors
/// The first fault.
pub fn judge_engine(settings: &Settings, assets: &dyn Assets) -> Result<(), Rejection> {
    let scope = engine_scope(settings, "default", assets);
    global::judge(settings)
        .and_then(|()| remote::judge(settings, &scope))
        .and_then(|()| alerting::judge(settings, &scope))
        .and_then(|()| telemetry::judge(settings, &scope))
        .under("spec")
        .map_err(|rejection| rejection.of(kind(settings), &settings.namespace, &settings.name))
}

fn kind(settings: &Settings) -> &'static str {
    if settings.role == Role::Server { "Prometheus" } else { "PrometheusAgent" }
}

fn write(
    settings: &Settings,
    jobs: &[(Kind, &Built)],
    additional: &Additional,
    assets: &dyn Assets,
) -> Result<EngineFile, Rejection> {
    let spec = &settings.spec;
    judge_timeout(settings)?;
    let client = Client { settings, scope: engine_scope(settings, "default", assets) };
    let bytes: usize = jobs.iter().map(|(_, built)| built.jobs().len()).sum();
    let mut y = Yaml::with_capacity(bytes + 4096);
    global::write(&mut y, settings)?;
    if settings.role == Role::Server && spec.rule_selector.is_some() {
        y.texts("rule_files", &additional.rule_files);
    }
    write_jobs(&mut y, settings, jobs, additional)?;
    global::storage(&mut y, settings)?;
    if settings.role == Role::Server {
        alerting::write(&mut y, &client, additional)?;
    }
    remote::write(&mut y, &client)?;
    telemetry::write(&mut y, &client)?;
    let mut files = std::mem::take(&mut y.files);
    files.extend(jobs.iter().flat_map(|(_, built)| built.files.iter().cloned()));
    files.sort();
    files.dedup();
    Ok(EngineFile { text: y.into_text(), files })
}

fn judge_timeout(settings: &Settings) -> Result<(), Rejection> {
    let spec = &settings.spec;
    let interval = ("scrapeInterval", spec.scrape_interval.as_str());
    if spec.scrape_timeout.is_empty() {
        return Ok(());
    }
    names::duration(interval.0, interval.1).under("spec")?;
    names::interval_and_timeout(interval, ("scrapeTimeout", &spec.scrape_timeout), "").under("spec")
}

/// Jobs in the order of their kinds, which is another one for an agent.
fn write_jobs(
    y: &mut Yaml,
    settings: &Settings,
    jobs: &[(Kind, &Built)],
    additional: &Additional,
) -> Result<(), Rejection> {
    use Kind::{PodMonitor, Probe, ScrapeConfig, ServiceMonitor};
    let more = additional.scrape_configs(settings)?;
    let (before, after): (&[Kind], &[Kind]) = match settings.role {
        Role::Server => (&[ServiceMonitor, PodMonitor, Probe, ScrapeConfig], &[]),
        Role::Agent => (&[PodMonitor], &[ServiceMonitor, Probe, ScrapeConfig]),
        // An engine on each node knows pods only.
        Role::NodeAgent => (&[PodMonitor], &[]),
    };
    y.list("scrape_configs", |y| {
        for kind in before {
            jobs.iter().filter(|(k, _)| k == kind).for_each(|(_, built)| y.items_as_written(built.jobs()));
        }
        y.items_as_written(&yaml::items(&more));
        for kind in after {
            jobs.iter().filter(|(k, _)| k == kind).for_each(|(_, built)| y.items_as_written(built.jobs()));
        }
        Ok(())
    })
}

/// The port of a Service as a step of relabelling names it.
fn port_text(port: Option<&IntOrString>) -> Option<Result<&str, i64>> {
    match port? {
        IntOrString::Text(name) if !name.is_empty() => Some(Ok(name)),
        IntOrString::Int(number) if *number != 0 => Some(Err(*number)),
        _ => None,
    }
}

/// A list of mappings as text of YAML.
pub(crate) fn read_list(what: &str, text: Option<&str>) -> Result<Vec<serde_json::Value>, Rejection> {
    let Some(text) = text.filter(|text| !text.trim().is_empty()) else { return Ok(Vec::new()) };
    let read: Result<Option<Vec<serde_json::Value>>, _> = serde_saphyr::from_str(text);
    let list = read.map_err(|e| {
        let what_is_wrong: String = e.to_string().chars().take(200).collect();
        fault(what, format!("no list of YAML: {what_is_wrong}"), "a list of blocks, as the engine reads it")
    })?;
    let list = list.unwrap_or_default();
    match list.iter().position(|item| !item.is_object()) {
        Some(index) => Err(fault("", "no block", "fields with values")).at(what, index),
        None => Ok(list),
    }
}
