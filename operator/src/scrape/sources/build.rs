//! The objects that a stack took become fragments. What one becomes depends on the settings, on itself and on the
//! contents that it refers to, and is kept until one of them changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use obstack_crds::status::{PickedUp, Rejected};

use super::{Source, SourceKey, SourceKind};
use crate::rules::objects::{RuleSettings, build_rules};
use crate::running::{CURRENT, Fragment};
use crate::scrape::assets::Assets;
use crate::scrape::contents::{Known, Lookup, Place, Used, is_current};
use crate::scrape::jobs;
use crate::scrape::objects::{Kind, Monitor, PrometheusSpec};
use crate::scrape::references;
use crate::scrape::routing::{self, FilesFrom, Strategy, build_routing};
use crate::scrape::settings::{Role, Settings};
use crate::scrape::version::{Version, VersionError};
use crate::validate::Valid;

/// Folder of certificates and keys that objects refer to, below `current/`.
const ASSETS: &str = "assets";
/// Longest name of an object in a list, in characters: the API's bound.
const MAX_OBJECT: usize = 512;
/// Longest reason in a list, in characters: the API's bound.
const MAX_REASON: usize = 1024;

/// What objects are built with, beside themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectSettings {
    jobs: Settings,
    rules: RuleSettings,
    routing: routing::Settings,
}

impl ObjectSettings {
    /// The settings of a stack. The versions are those of the engines that are wanted: `3.5.0`.
    ///
    /// # Errors
    /// What in the stack would spoil every object, and a version that is none.
    pub fn of(valid: &Valid, metrics: &str, alerting: &str) -> Result<Self, String> {
        let version: Version = metrics.parse().map_err(|fault: VersionError| fault.to_string())?;
        let spec = PrometheusSpec {
            service_discovery_role: Some("EndpointSlice".to_owned()),
            ..PrometheusSpec::default()
        };
        let (namespace, name) = (valid.id.namespace.clone(), valid.id.name.clone());
        let jobs = Settings::new(namespace.clone(), name, Role::Server, spec, Some(version));
        let mut jobs = jobs.map_err(|fault| fault.to_string())?;
        jobs.places.certificates = format!("{CURRENT}/{ASSETS}");
        // There is one shard, and nothing that would put its number in the place of a word.
        jobs.places.shard = "0".to_owned();
        let rules = RuleSettings::of(version);
        let routing = routing::Settings {
            version: alerting.parse()?,
            strategy: Strategy::default(),
            alertmanager_namespace: namespace,
            tls_dir: format!("{CURRENT}/{ASSETS}"),
            files: FilesFrom::Assets,
            hide_secrets: false,
            defaults: routing::Defaults::default(),
        };
        Ok(Self { jobs, rules, routing })
    }

    /// The version of Alertmanager that routes are written for.
    pub fn alertmanager(&self) -> routing::Version {
        self.routing.version
    }

    /// Whether contents of Secrets are left out: for showing a configuration, never for running it.
    #[must_use]
    pub fn hiding_secrets(mut self) -> Self {
        self.routing.hide_secrets = true;
        self.routing.files = FilesFrom::Others;
        self
    }
}

/// What one object became.
#[derive(Clone, Debug)]
enum Became {
    /// Files of the metrics store.
    Files(Vec<Fragment>),
    /// A part of the alerting's routes.
    Routing(Arc<routing::Built>),
}

/// An object as it was built last.
struct Entry {
    source: Arc<Source>,
    used: Used,
    outcome: Result<Became, Rejected>,
    /// In which round it was asked for last.
    round: u64,
}

/// What objects became, kept from one time to the next.
#[derive(Default)]
pub struct Cache {
    settings: Option<ObjectSettings>,
    entries: HashMap<SourceKey, Entry>,
    round: u64,
    /// Objects that were built anew in the last round.
    built: usize,
}

/// What the objects that a stack took became.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Files of the metrics store, those that several objects share once.
    pub fragments: Vec<Fragment>,
    /// Parts of the alerting's routes.
    pub routing: Vec<Arc<routing::Built>>,
    /// The objects that were kept out, each with its reason.
    pub rejected: Vec<Rejected>,
    /// How many objects were taken, by kind; kinds without any are left out.
    pub counts: Vec<PickedUp>,
    /// Contents that are not known yet: what refers to them is not here, and is built once they are read.
    pub unknown: BTreeSet<Place>,
}

impl Cache {
    /// Builds what changed, and puts it together with what did not.
    pub fn build(&mut self, settings: &ObjectSettings, picked: &[Arc<Source>], known: &Known) -> Objects {
        if self.settings.as_ref() != Some(settings) {
            self.entries.clear();
            self.settings = Some(settings.clone());
        }
        self.round += 1;
        self.built = 0;
        let mut unknown = BTreeSet::new();
        for source in picked {
            match self.entries.get_mut(&source.key) {
                Some(entry) if Arc::ptr_eq(&entry.source, source) && is_current(&entry.used, known) => {
                    entry.round = self.round;
                    continue;
                }
                _ => {}
            }
            let lookup = Lookup::new(known);
            let outcome = build_one(settings, source, &lookup);
            let missing = lookup.unknown();
            if !missing.is_empty() {
                unknown.extend(missing);
                self.entries.remove(&source.key);
                continue;
            }
            self.built += 1;
            let entry = Entry { source: source.clone(), used: lookup.used(), outcome, round: self.round };
            self.entries.insert(source.key.clone(), entry);
        }
        let round = self.round;
        self.entries.retain(|_, entry| entry.round == round);
        Objects { unknown, ..self.together() }
    }

    /// How many objects were built anew in the last round.
    pub fn built(&self) -> usize {
        self.built
    }

    /// Contents that the objects refer to.
    pub fn referred(&self) -> BTreeSet<Place> {
        self.entries.values().flat_map(|entry| entry.used.keys().cloned()).collect()
    }

    fn together(&self) -> Objects {
        let mut objects = Objects::default();
        let mut shared: BTreeMap<&str, &Fragment> = BTreeMap::new();
        let mut counts: BTreeMap<SourceKind, (i32, i32)> = BTreeMap::new();
        let mut entries: Vec<(&SourceKey, &Entry)> = self.entries.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        for (key, entry) in entries {
            let (taken, left) = counts.entry(key.kind).or_default();
            match &entry.outcome {
                Ok(became) => {
                    *taken += 1;
                    match became {
                        Became::Files(files) => shared.extend(files.iter().map(|f| (f.key.as_str(), f))),
                        Became::Routing(routing) => objects.routing.push(routing.clone()),
                    }
                }
                Err(rejected) => {
                    *left += 1;
                    objects.rejected.push(rejected.clone());
                }
            }
        }
        objects.fragments = shared.into_values().cloned().collect();
        let count = |(kind, (picked_up, rejected)): (SourceKind, (i32, i32))| PickedUp {
            kind: kind.as_str().to_owned(),
            picked_up,
            rejected,
        };
        objects.counts = counts.into_iter().map(count).collect();
        objects
    }
}

fn build_one(settings: &ObjectSettings, source: &Source, assets: &Lookup<'_>) -> Result<Became, Rejected> {
    let object = source.to_value();
    let rejected = |reason: &dyn std::fmt::Display| reject(&source.key, &reason.to_string());
    let monitor = match source.key.kind {
        SourceKind::ServiceMonitor => Kind::ServiceMonitor,
        SourceKind::PodMonitor => Kind::PodMonitor,
        SourceKind::Probe => Kind::Probe,
        SourceKind::ScrapeConfig => Kind::ScrapeConfig,
        SourceKind::PrometheusRule => {
            let built = build_rules(&settings.rules, &object).map_err(|fault| rejected(&fault))?;
            return Ok(Became::Files(vec![built.fragment]));
        }
        SourceKind::AlertmanagerConfig => {
            let built =
                build_routing(&settings.routing, &object, assets).map_err(|fault| rejected(&fault))?;
            return Ok(Became::Routing(Arc::new(built)));
        }
    };
    let monitor = Monitor::read(monitor, &object).map_err(|fault| rejected(&fault))?;
    let built = jobs::build(&settings.jobs, &monitor, assets).map_err(|fault| rejected(&fault))?;
    let mut files = Vec::with_capacity(1 + built.files.len());
    if built.count > 0 {
        let id = source.file_id();
        let (key, path) = (format!("scrape/object.{id}"), format!("scrape/object.{id}.yaml"));
        files.push(Fragment::new(key, path, format!("scrape_configs:\n{}", built.jobs).into_bytes()));
    }
    for file in built.files {
        files.push(asset(&file, assets).map_err(|reason| rejected(&reason))?);
    }
    Ok(Became::Files(files))
}

/// A certificate or a key as a file. It is shared by all objects that refer to it.
fn asset(file: &references::AssetFile, assets: &Lookup<'_>) -> Result<Fragment, String> {
    let references::AssetRef { source, namespace, name, key } = &file.from;
    let content = match source {
        references::Source::Secret => assets.secret(namespace, name, key),
        references::Source::ConfigMap => assets.config_map(namespace, name, key),
    };
    let place = || format!("{} {namespace}/{name}, key {key}", source.as_str());
    let content = content.map_err(|error| format!("{}: {error}", place()))?;
    let text = std::str::from_utf8(content)
        .map_err(|_| format!("{}: found bytes that are no text; write PEM there", place()))?;
    let path = file.path.strip_prefix(CURRENT).unwrap_or(&file.path).trim_start_matches('/').to_owned();
    Ok(Fragment::new(format!("asset/{path}"), path, text.as_bytes().to_vec()))
}

/// An object that was kept out, within the bounds of the API.
fn reject(key: &SourceKey, reason: &str) -> Rejected {
    let short = |text: &str, most: usize| text.chars().take(most).collect();
    Rejected { object: short(&key.to_string(), MAX_OBJECT), reason: short(reason, MAX_REASON) }
}
