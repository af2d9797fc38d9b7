//! The objects that a stack took become fragments. What one becomes depends on the settings, on itself and on the
//! contents that it refers to, and is kept until one of them changes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use obstack_crds::status::{PickedUp, Rejected};
use obstack_crds::tenancy::MatcherStrategyType;

use super::{Source, SourceKey, SourceKind};
use crate::rules::objects::{RuleSettings, build_rules};
use crate::running::{CURRENT, Fragment};
use crate::scrape::additions::{Additions, build_additions};
use crate::scrape::assets::Assets;
use crate::scrape::authored;
use crate::scrape::contents::{Content, Holder, Known, Lookup, Place, Used, is_current};
use crate::scrape::jobs;
use crate::scrape::judge::{Rejection, fault};
use crate::scrape::objects::{Kind, Monitor, Reach};
use crate::scrape::references;
use crate::scrape::routing::{self, FilesFrom, Strategy, build_routing};
use crate::scrape::settings::Settings;
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
    /// What the engine itself is told, beside jobs.
    engine: Settings,
    /// Scrape classes that are left out.
    unsound: Vec<Rejection>,
}

impl ObjectSettings {
    /// The settings of a stack. The versions are those of the engines that are wanted: `3.5.0`.
    ///
    /// # Errors
    /// What in the stack would spoil every object, and a version that is none.
    pub fn of(valid: &Valid, metrics: &str, alerting: &str) -> Result<Self, String> {
        let version: Version = metrics.parse().map_err(|fault: VersionError| fault.to_string())?;
        let settings = authored::settings(&valid.id, &valid.spec, version);
        let mut engine = settings.map_err(|fault| authored::at_home(fault).to_string())?;
        // A timeout that an object writes is held against the interval that is its own or else this.
        engine.spec.scrape_interval = valid.requirements.scrape_interval.to_string();
        engine.places.certificates = format!("{CURRENT}/{ASSETS}");
        // There is one shard, and nothing that would put its number in the place of a word.
        engine.places.shard = "0".to_owned();
        let unsound = engine.leave_out_unsound_classes();
        let rules = RuleSettings {
            enforced_namespace_label: valid.spec.tenancy.enforced_namespace_label.clone(),
            excluded: authored::excluded_rules(&valid.spec),
            ..RuleSettings::of(version)
        };
        let routing = routing::Settings {
            version: alerting.parse()?,
            strategy: strategy(valid.spec.alerting.alertmanager_config_matcher_strategy.kind),
            alertmanager_namespace: valid.id.namespace.clone(),
            tls_dir: format!("{CURRENT}/{ASSETS}"),
            files: FilesFrom::Assets,
            hide_secrets: false,
            defaults: routing::Defaults::default(),
        };
        let jobs = authored::without_engine(engine.clone());
        Ok(Self { jobs, rules, routing, engine, unsound })
    }

    /// The version of Alertmanager that routes are written for.
    pub fn alertmanager(&self) -> routing::Version {
        self.routing.version
    }

    /// Whether objects become the same with these settings as with others.
    fn builds_as(&self, other: &Self) -> bool {
        (&self.jobs, &self.rules, &self.routing) == (&other.jobs, &other.rules, &other.routing)
    }

    /// What the stack's author adds beside objects.
    pub fn additions(&self, assets: &dyn Assets) -> Additions {
        build_additions(&self.engine, &self.unsound, assets)
    }

    /// Whether contents of Secrets are left out: for showing a configuration, never for running it.
    #[must_use]
    pub fn hiding_secrets(mut self) -> Self {
        self.routing.hide_secrets = true;
        self.routing.files = FilesFrom::Others;
        self
    }
}

fn strategy(written: Option<MatcherStrategyType>) -> Strategy {
    match written.unwrap_or_default() {
        MatcherStrategyType::OnNamespace => Strategy::OnNamespace,
        MatcherStrategyType::OnNamespaceExceptForAlertmanagerNamespace => {
            Strategy::OnNamespaceExceptForAlertmanagerNamespace
        }
        MatcherStrategyType::None => Strategy::None,
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

/// What a stack's author added, as it was built last.
struct Added {
    used: Used,
    additions: Arc<Additions>,
}

/// What objects became, kept from one time to the next.
#[derive(Default)]
pub struct Cache {
    settings: Option<ObjectSettings>,
    added: Option<Added>,
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
    /// What the stack's author added.
    pub additions: Arc<Additions>,
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
            if !self.settings.as_ref().is_some_and(|before| before.builds_as(settings)) {
                self.entries.clear();
            }
            self.added = None;
            self.settings = Some(settings.clone());
        }
        self.round += 1;
        self.built = 0;
        let mut unknown = self.add(settings, known);
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

    /// Builds what the stack's author added, unless nothing of it changed. Gives the contents that are not known.
    fn add(&mut self, settings: &ObjectSettings, known: &Known) -> BTreeSet<Place> {
        if self.added.as_ref().is_some_and(|added| is_current(&added.used, known)) {
            return BTreeSet::new();
        }
        let lookup = Lookup::new(known);
        let additions = Arc::new(settings.additions(&lookup));
        let unknown = lookup.unknown();
        let added = Added { used: lookup.used(), additions };
        self.added = Some(added).filter(|_| unknown.is_empty());
        unknown
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
        if let Some(added) = &self.added {
            objects.additions = added.additions.clone();
            objects.reach.add(&added.additions.reach);
            shared.extend(added.additions.fragments.iter().map(|f| (f.key.as_str(), f)));
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

/// Contents that a stack's author refers to, beside what objects refer to.
pub fn references_of(settings: &ObjectSettings) -> BTreeSet<Place> {
    let known = Known::new();
    let lookup = Lookup::new(&known);
    // What comes of it does not matter here.
    let _ = settings.additions(&lookup);
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
    let reach = if files.is_empty() {
        Reach::default()
    } else {
        monitor.reach(settings.jobs.spec.ignore_namespace_selectors)
    };
    Ok(Became::Files(files, reach))
}

/// A certificate or a key as a file. It is shared by all objects that refer to it.
pub(crate) fn asset(file: &references::AssetFile, assets: &dyn Assets) -> Result<Fragment, Rejection> {
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
