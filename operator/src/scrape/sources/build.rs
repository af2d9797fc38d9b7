//! The objects that a stack took become fragments. What one becomes depends on the settings, on itself and on the
//! contents that it refers to.

use std::collections::BTreeSet;
use std::sync::Arc;

use obstack_crds::status::{PickedUp, Rejected};
use obstack_crds::tenancy::MatcherStrategyType;

use super::{Source, SourceKey, SourceKind, Sources};
use crate::rules::objects::{RuleSettings, build_rules};
use crate::running::{CURRENT, Files, Fragment};
use crate::scrape::additions::{Additions, build_additions};
use crate::scrape::assets::Assets;
use crate::scrape::authored;
use crate::scrape::contents::{Content, Holder, Known, Lookup, Place};
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
        // Each replica has all targets: three steps of every job that would share them with nobody are left out.
        engine.places.shard = None;
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
    pub(super) fn builds_as(&self, other: &Self) -> bool {
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
pub(super) enum Became {
    /// Files of the metrics store, and where their targets are looked for.
    Files(Vec<Fragment>, Reach),
    /// A part of the alerting's routes.
    Routing(Arc<routing::Built>),
}

/// What the objects that a stack took became.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Files of the metrics store, those that several objects share once.
    pub fragments: Files,
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
    pub(super) picked: Sources,
}

impl Objects {
    /// The object that a fragment was made from, by the fragment's key.
    pub fn source_of(&self, key: &str) -> Option<&Arc<Source>> {
        let id = OBJECT_KEYS.iter().find_map(|prefix| key.strip_prefix(prefix))?;
        let is_it = |source: &Source| source.uid == id || source.file_id() == id;
        self.picked.iter().find(|source| is_it(source))
    }

    /// An object that was taken, as a list names it: `ServiceMonitor/shop/web`.
    pub fn source_named(&self, object: &str) -> Option<&Arc<Source>> {
        let mut words = object.splitn(3, '/');
        let (kind, namespace, name) = (words.next()?, words.next()?, words.next()?);
        let kind = SourceKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
        self.picked.get(&SourceKey { kind, namespace: namespace.to_owned(), name: name.to_owned() })
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

/// Builds one object. What it refers to and is not known yet is written down by the lookup.
pub(super) fn build_one(
    settings: &ObjectSettings,
    source: &Source,
    assets: &Lookup<'_>,
) -> Result<Became, Rejection> {
    let object = || {
        source.to_value().map_err(|error| {
            fault("spec", format!("a spec that cannot be read: {error}"), "one with fewer levels of nesting")
        })
    };
    let kind = match source.key.kind {
        SourceKind::ServiceMonitor => Kind::ServiceMonitor,
        SourceKind::PodMonitor => Kind::PodMonitor,
        SourceKind::Probe => Kind::Probe,
        SourceKind::ScrapeConfig => Kind::ScrapeConfig,
        SourceKind::PrometheusRule => {
            return Ok(Became::Files(
                vec![build_rules(&settings.rules, &object()?)?.fragment],
                Reach::default(),
            ));
        }
        SourceKind::AlertmanagerConfig => {
            return Ok(Became::Routing(Arc::new(build_routing(&settings.routing, &object()?, assets)?)));
        }
    };
    let SourceKey { namespace, name, .. } = &source.key;
    let monitor = match Monitor::from_spec(kind, namespace, name, source.spec()) {
        Some(monitor) => monitor,
        None => Monitor::read(kind, &object()?)?,
    };
    let built = jobs::build(&settings.jobs, &monitor, assets)?;
    let mut files = Vec::with_capacity(1 + built.files.len());
    if built.count > 0 {
        let id = source.file_id();
        let key = ["scrape/object.", &id].concat();
        let path = [&key, ".yaml"].concat();
        files.push(Fragment::new(key, path, built.file()));
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
pub(super) fn rejected(key: &SourceKey, reason: &str) -> Rejected {
    let short = |text: &str, most: usize| text.chars().take(most).collect();
    Rejected { object: short(&key.to_string(), MAX_OBJECT), reason: short(reason, MAX_REASON) }
}
