//! What a stack's author adds to the configuration of the metrics store beside what objects become: places that
//! samples go to and come from, limits, jobs and steps that are taken over as they were written.
//!
//! Each entry is judged by itself. One at fault, or one whose Secret is missing, is left out and named; the others go
//! on.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::status::Rejected;
use serde_json::{Map, Value, json};

use super::assets::Assets;
use super::authored::at_home;
use super::engine::parts::{self, Parts};
use super::engine::{Additional, read_list};
use super::file;
use super::jobs::engine_scope;
use super::judge::names::byte_size;
use super::judge::relabel::judge_list;
use super::judge::{Rejection, Under, fault, http};
use super::objects::{Reach, Relabel, typed};
use super::references::AssetFile;
use super::settings::Settings;
use super::sources::asset;
use crate::running::{Fragment, digest};
use crate::validate::quoted;

/// What the keys of fragments of jobs begin with that an author wrote.
const JOB_KEY: &str = "scrape/additional.";
/// What names of jobs begin with that are made for the stack's own parts and for objects.
const TAKEN: [&str; 7] = [
    "obstack/",
    "serviceMonitor/",
    "podMonitor/",
    "probe/",
    "scrapeConfig/",
    "annotated-services",
    "annotated-pods",
];
/// Most jobs that an author writes beside all others.
const MAX_JOBS: usize = 500;
/// What each limit of the engine is for the stack's own jobs, in place of none, which cannot be written: what
/// watches the engine must not be lost by a limit that is meant for others.
const NO_LIMIT: u64 = 1_000_000_000;
/// The same, of bytes.
const NO_LIMIT_BYTES: &str = "1TB";

/// What a stack's author adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Additions {
    /// What one scrape may bring where its job says nothing.
    pub(super) limits: Map<String, Value>,
    /// How samples are kept.
    pub(super) storage: Option<Value>,
    pub(super) remote_write: Vec<Value>,
    pub(super) remote_read: Vec<Value>,
    pub(super) alertmanagers: Vec<Value>,
    pub(super) alert_relabel_configs: Vec<Value>,
    /// Label that holds the namespace of every target that others bring.
    pub(super) namespace_label: Option<String>,
    /// Jobs, and files that are read.
    pub(super) fragments: Vec<Fragment>,
    /// Where Alertmanagers are looked for.
    pub(super) reach: Reach,
    /// What was left out, each by its path in the stack.
    pub faults: Vec<Rejection>,
}

impl Additions {
    /// What was left out, as a stack's status names it.
    pub fn rejected(&self) -> impl Iterator<Item = Rejected> {
        self.faults.iter().map(|fault| Rejected {
            object: fault.path.clone(),
            reason: format!("found {}; write {}", fault.found, fault.write),
        })
    }

    /// The jobs that were added.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Fragment> {
        self.fragments.iter().filter(|fragment| home_of(&fragment.key).is_some())
    }

    /// The main file with what was added.
    pub(super) fn add_to(&self, main: &mut Value) {
        if let Some(global) = main["global"].as_object_mut() {
            global.extend(self.limits.clone());
        }
        for (name, list) in [("remote_write", &self.remote_write), ("remote_read", &self.remote_read)] {
            if !list.is_empty() {
                main[name] = list.clone().into();
            }
        }
        if let Some(storage) = &self.storage {
            main["storage"] = storage.clone();
        }
        let alerting = &mut main["alerting"];
        for (name, list) in
            [("alertmanagers", &self.alertmanagers), ("alert_relabel_configs", &self.alert_relabel_configs)]
        {
            if list.is_empty() {
                continue;
            }
            match alerting[name].as_array_mut() {
                Some(own) => own.extend(list.iter().cloned()),
                None => alerting[name] = list.clone().into(),
            }
        }
    }

    /// A job of the stack itself, which the limits of others do not hold for.
    pub(super) fn free(&self, mut job: Value) -> Value {
        for name in self.limits.keys().filter(|name| *name != "keep_dropped_targets") {
            job[name] = if name == "body_size_limit" { json!(NO_LIMIT_BYTES) } else { json!(NO_LIMIT) };
        }
        job
    }
}

/// Where a fragment comes from that was made of what an author added.
pub fn home_of(key: &str) -> Option<&'static str> {
    key.starts_with(JOB_KEY).then_some("spec.collection.additionalScrapeConfigs")
}

/// What a stack's author adds. `faults` are those that were found before.
pub(crate) fn build_additions(settings: &Settings, faults: &[Rejection], assets: &dyn Assets) -> Additions {
    let mut building = Building { settings, assets, files: Vec::new(), faults: faults.to_vec() };
    let remote_write = building.list(parts::remote_writes(settings, assets));
    let remote_read = building.list(parts::remote_reads(settings, assets));
    let alertmanagers = building.list(parts::alertmanagers(settings, assets));
    let alert_relabel_configs = building.alert_steps();
    let mut fragments = building.jobs();
    building.classes();
    let Building { files, mut faults, .. } = building;
    let mut shared: BTreeMap<String, Fragment> = BTreeMap::new();
    for file in &files {
        match asset(file, assets) {
            Ok(fragment) => drop(shared.insert(fragment.key.clone(), fragment)),
            Err(rejection) => faults.push(rejection),
        }
    }
    fragments.extend(shared.into_values());
    let namespace = |one: &super::objects::prometheus::AlertmanagerEndpoints| {
        one.namespace.clone().unwrap_or_else(|| settings.namespace.clone())
    };
    let told = settings.spec.alerting.iter().flat_map(|alerting| &alerting.alertmanagers);
    Additions {
        limits: limits(settings),
        storage: parts::storage(settings),
        remote_write,
        remote_read,
        alertmanagers,
        alert_relabel_configs,
        namespace_label: Some(settings.spec.enforced_namespace_label.clone())
            .filter(|label| !label.is_empty()),
        fragments,
        reach: Reach { everywhere: false, namespaces: told.map(namespace).collect() },
        faults: faults.into_iter().map(at_home).collect(),
    }
}

/// The limits of the engine: of bytes too the lesser of what is set and what is enforced, for jobs of no object.
fn limits(settings: &Settings) -> Map<String, Value> {
    let mut limits = parts::limits(settings);
    let enforced = settings.spec.enforced_body_size_limit.as_str();
    let most = byte_size(enforced).filter(|most| *most > 0);
    if let (Some(most), Some(set)) = (most, settings.spec.body_size_limit.as_deref().and_then(byte_size))
        && (set == 0 || set > most)
    {
        limits.insert("body_size_limit".to_owned(), enforced.into());
    }
    limits
}

struct Building<'a> {
    settings: &'a Settings,
    assets: &'a dyn Assets,
    files: Vec<AssetFile>,
    faults: Vec<Rejection>,
}

impl Building<'_> {
    /// The entries that are sound, in an order of their own: that of the spec means nothing, and leaves no trace.
    fn list(&mut self, parts: Parts) -> Vec<Value> {
        let mut values = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Ok(part) => {
                    values.push(part.value);
                    self.files.extend(part.files);
                }
                Err(fault) => self.faults.push(fault),
            }
        }
        values.sort_by_cached_key(ToString::to_string);
        values
    }

    /// A list that a Secret holds. What nobody has seen is left out.
    fn written(&mut self, path: &str, text: Result<Option<String>, Rejection>) -> Vec<Value> {
        let read = text.and_then(|text| read_list(path, text.as_deref()));
        read.unwrap_or_else(|fault| {
            self.faults.push(fault);
            Vec::new()
        })
    }

    /// Steps that alerts go through. They act one after the other, so one at fault takes all along.
    fn alert_steps(&mut self) -> Vec<Value> {
        let path = "spec.additionalAlertRelabelConfigs";
        let text = Additional::read_alert_relabel_configs(self.settings, self.assets);
        let steps = self.written(path, text);
        let judge = || -> Result<(), Rejection> {
            for (index, step) in steps.iter().enumerate() {
                let step = read_step(step).at(path, index)?;
                judge_list("", self.settings.rules(), &[step]).map_err(|mut fault| {
                    fault.path = fault.path.trim_start_matches("[0].").to_owned();
                    fault.under(&format!("{path}[{index}]"))
                })?;
            }
            Ok(())
        };
        match judge() {
            Ok(()) => steps,
            Err(fault) => {
                self.faults.push(fault);
                Vec::new()
            }
        }
    }

    /// Jobs that an author wrote, each a file of its own: what the engine refuses of one stops no other.
    fn jobs(&mut self) -> Vec<Fragment> {
        let path = "spec.additionalScrapeConfigs";
        let text = Additional::read_scrape_configs(self.settings, self.assets);
        let mut jobs = self.written(path, text);
        if jobs.len() > MAX_JOBS {
            let found = format!("{} jobs", jobs.len());
            self.faults.push(fault(path, found, format!("at most {MAX_JOBS}; the others are left out")));
            jobs.truncate(MAX_JOBS);
        }
        let mut names = BTreeSet::new();
        let mut fragments = Vec::with_capacity(jobs.len());
        for (index, job) in jobs.into_iter().enumerate() {
            match build_job(job, &mut names).at(path, index) {
                Ok(fragment) => fragments.push(fragment),
                Err(fault) => self.faults.push(fault),
            }
        }
        fragments
    }

    /// What classes refer to: it is read by the jobs that choose them, and named here once for all of these.
    fn classes(&mut self) {
        let scope = engine_scope(self.settings, "default", self.assets);
        for (index, class) in self.settings.spec.scrape_classes.iter().enumerate() {
            let judge = || -> Result<(), Rejection> {
                if let Some(tls) = &class.tls_config {
                    http::judge_tls(&scope, tls).under("tlsConfig")?;
                }
                match &class.authorization {
                    Some(authorization) => {
                        http::judge_authorization(&scope, &authorization.safe).under("authorization")
                    }
                    None => Ok(()),
                }
            };
            self.faults.extend(judge().at("spec.scrapeClasses", index).err());
        }
    }
}

fn build_job(job: Value, names: &mut BTreeSet<String>) -> Result<Fragment, Rejection> {
    let name = job["job_name"].as_str().unwrap_or_default().to_owned();
    if name.is_empty() {
        return Err(fault("job_name", "nothing", "a name that no other job has"));
    }
    if let Some(taken) = TAKEN.iter().find(|taken| name.starts_with(*taken)) {
        let found = format!("{}, which begins as names that are made here ({taken})", quoted(&name));
        return Err(fault("job_name", found, "another name"));
    }
    if !names.insert(name.clone()) {
        return Err(fault(
            "job_name",
            format!("{} a second time", quoted(&name)),
            "a name that no other job has",
        ));
    }
    let mut id = digest(name.as_bytes());
    id.truncate(16);
    let key = format!("{JOB_KEY}{id}");
    file(&key, &format!("{key}.yaml"), &json!({ "scrape_configs": [job] }))
        .map_err(|error| fault("", error.to_string(), "a job that can be written"))
}

/// A step of relabelling as the engine reads it.
fn read_step(step: &Value) -> Result<Relabel, Rejection> {
    const FIELDS: [(&str, &str); 7] = [
        ("source_labels", "sourceLabels"),
        ("separator", "separator"),
        ("target_label", "targetLabel"),
        ("regex", "regex"),
        ("modulus", "modulus"),
        ("replacement", "replacement"),
        ("action", "action"),
    ];
    let mut fields = Map::new();
    for (name, value) in step.as_object().into_iter().flatten() {
        let Some((_, ours)) = FIELDS.iter().find(|(known, _)| known == name) else {
            let known = FIELDS.map(|(known, _)| known).join(", ");
            return Err(fault(name, "an unknown field", format!("one of {known}")));
        };
        fields.insert((*ours).to_owned(), value.clone());
    }
    typed(&Value::Object(fields))
}
