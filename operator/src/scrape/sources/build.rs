//! The objects that a stack took become fragments. What one becomes depends on the settings, on itself and on the
//! contents that it refers to, and is kept until one of them changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use obstack_crds::status::{PickedUp, Rejected};

use super::{Source, SourceKey, SourceKind};
use crate::rules::objects::{RuleSettings, build_rules};
use crate::running::{CURRENT, Fragment};
use crate::scrape::assets::Assets;
use crate::scrape::contents::{Content, Holder, Known, Lookup, Place, Used, is_current};
use crate::scrape::jobs;
use crate::scrape::judge::{Rejection, fault};
use crate::scrape::objects::{Kind, Monitor, PrometheusSpec, Reach};
use crate::scrape::references;
use crate::scrape::routing::{self, FilesFrom, Strategy, build_routing};
use crate::scrape::settings::{Role, Settings};
use crate::scrape::version::{Version, VersionError};
use crate::validate::Valid;

/// What the keys of fragments begin with that were made from one object.
const OBJECT_KEYS: [&str; 2] = ["scrape/object.", "rules/object."];
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
    /// Files of the metrics store, and where their targets are looked for.
    Files(Vec<Fragment>, Reach),
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
    /// Where targets of the objects are looked for.
    pub reach: Reach,
    /// Contents that are not known yet: what refers to them is not here, and is built once they are read.
    pub unknown: BTreeSet<Place>,
    /// The objects that were taken.
    picked: Vec<Arc<Source>>,
}

impl Objects {
    /// The object that a fragment was made from, by the fragment's key.
    pub fn source_of(&self, key: &str) -> Option<&Arc<Source>> {
        let id = OBJECT_KEYS.iter().find_map(|prefix| key.strip_prefix(prefix))?;
        self.picked.iter().find(|source| source.file_id() == id)
    }

    /// An object that was taken, as a list names it: `ServiceMonitor/shop/web`.
    pub fn source_named(&self, object: &str) -> Option<&Arc<Source>> {
        self.picked.iter().find(|source| source.key.to_string() == object)
    }
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
            let outcome = outcome.map_err(|fault| rejected(&source.key, &fault.to_string()));
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
        Objects { unknown, picked: picked.to_vec(), ..self.together() }
    }

    /// How many objects were built anew in the last round.
    pub fn built(&self) -> usize {
        self.built
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
                        Became::Files(files, reach) => {
                            shared.extend(files.iter().map(|f| (f.key.as_str(), f)));
                            objects.reach.add(reach);
                        }
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

/// Judges one object as it would be built. Contents that are not known are taken to be good.
///
/// # Errors
/// Why it would be kept out.
pub fn judge_object(settings: &ObjectSettings, source: &Source, known: &Known) -> Result<(), Rejection> {
    let mut known = known.clone();
    loop {
        let lookup = Lookup::new(&known);
        let outcome = build_one(settings, source, &lookup);
        let unknown = lookup.unknown();
        if unknown.is_empty() {
            return outcome.map(|_| ());
        }
        known.extend(unknown.into_iter().map(|place| (place, Arc::new(Content::Unseen))));
    }
}

/// Contents that an object refers to and that are not known.
pub fn unknown_of(settings: &ObjectSettings, source: &Source, known: &Known) -> BTreeSet<Place> {
    let lookup = Lookup::new(known);
    // What comes of it does not matter here.
    let _ = build_one(settings, source, &lookup);
    lookup.unknown()
}

fn build_one(settings: &ObjectSettings, source: &Source, assets: &Lookup<'_>) -> Result<Became, Rejection> {
    let object = source.to_value();
    let monitor = match source.key.kind {
        SourceKind::ServiceMonitor => Kind::ServiceMonitor,
        SourceKind::PodMonitor => Kind::PodMonitor,
        SourceKind::Probe => Kind::Probe,
        SourceKind::ScrapeConfig => Kind::ScrapeConfig,
        SourceKind::PrometheusRule => {
            return Ok(Became::Files(
                vec![build_rules(&settings.rules, &object)?.fragment],
                Reach::default(),
            ));
        }
        SourceKind::AlertmanagerConfig => {
            return Ok(Became::Routing(Arc::new(build_routing(&settings.routing, &object, assets)?)));
        }
    };
    let monitor = Monitor::read(monitor, &object)?;
    let built = jobs::build(&settings.jobs, &monitor, assets)?;
    let mut files = Vec::with_capacity(1 + built.files.len());
    if built.count > 0 {
        let id = source.file_id();
        let (key, path) = (format!("scrape/object.{id}"), format!("scrape/object.{id}.yaml"));
        files.push(Fragment::new(key, path, format!("scrape_configs:\n{}", built.jobs).into_bytes()));
    }
    for file in built.files {
        files.push(asset(&file, assets)?);
    }
    let reach = if files.is_empty() { Reach::default() } else { monitor.reach() };
    Ok(Became::Files(files, reach))
}

/// A certificate or a key as a file. It is shared by all objects that refer to it.
fn asset(file: &references::AssetFile, assets: &Lookup<'_>) -> Result<Fragment, Rejection> {
    let references::AssetRef { source, namespace, name, key } = &file.from;
    let content = match source {
        Holder::Secret => assets.secret(namespace, name, key),
        Holder::ConfigMap => assets.config_map(namespace, name, key),
    };
    let at_fault = |why: &dyn std::fmt::Display| {
        let found = format!("{} {namespace}/{name}, key {key}, which {why}", source.as_str());
        fault("spec", found, "the name and the key of PEM")
    };
    let content = content.map_err(|error| at_fault(&error))?;
    let text = std::str::from_utf8(content).map_err(|_| at_fault(&"holds bytes that are no text"))?;
    let path = file.path.strip_prefix(CURRENT).unwrap_or(&file.path).trim_start_matches('/').to_owned();
    Ok(Fragment::new(format!("asset/{path}"), path, text.as_bytes().to_vec()))
}

/// An object that was kept out, within the bounds of the API.
fn rejected(key: &SourceKey, reason: &str) -> Rejected {
    let short = |text: &str, most: usize| text.chars().take(most).collect();
    Rejected { object: short(&key.to_string(), MAX_OBJECT), reason: short(reason, MAX_REASON) }
}
