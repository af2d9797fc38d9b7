//! Pure: a stack's spec becomes [`Valid`], newtypes that cannot hold nonsense with every default resolved, or
//! the list of all its faults at once.

mod alerting;
mod defaults;
mod grammar;
mod matchers;
mod promql;
pub(crate) mod re2;
mod requirements;
mod rules;
mod template;
#[cfg(test)]
mod tests;
mod workload;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use obstack_crds::Component;
use obstack_crds::stack::{Availability, Environment, ObservabilityStackSpec, Override, VolumePolicy};
use obstack_crds::status::Rejected;
use obstack_crds::workload::SecretKey;

use crate::names::StackId;
use crate::units::{Bytes, PromDuration, SeriesCount};

pub use defaults::Defaults;
pub use grammar::{child_path, quoted};
pub(crate) use grammar::{is_label_name, is_metric_name};
pub(crate) use promql::fault as promql_fault;
pub(crate) use template::fault as template_fault;

/// The newest set of defaults. A stack is pinned to the one that was newest when it was created.
pub const DEFAULTS_VERSION: u32 = 1;

/// External label that tells the replicas of a metrics store apart; nobody else may set it.
pub const REPLICA_LABEL: &str = "replica";
/// External label with the stack's environment; nobody else may set it.
pub const ENVIRONMENT_LABEL: &str = "environment";
/// How long after a firing alert was sent it is sent again, where the spec leaves it out.
pub const ALERT_RESEND_DELAY: PromDuration = PromDuration::from_secs(60);

/// A stack that can be decided and built.
#[derive(Clone, Debug, PartialEq)]
pub struct Valid {
    /// Which stack.
    pub id: StackId,
    /// The set of defaults in force.
    pub defaults_version: u32,
    /// The environment in force.
    pub environment: Environment,
    /// The requirements in force, defaults resolved.
    pub requirements: Requirements,
    /// The priorities in force, 0 to 5.
    pub priorities: BTreeMap<Quality, u8>,
    /// What people decided.
    pub overrides: BTreeMap<Component, Override>,
    /// The time between two evaluations of a rule, default resolved.
    pub evaluation_interval: PromDuration,
    /// The spec as it was written, for the knobs that need no reading, with the parts of `rejected` taken out.
    pub spec: ObservabilityStackSpec,
    /// Parts that were kept out, each with its reason. The others go on.
    pub rejected: Vec<Rejected>,
}

impl Valid {
    /// Servers of the metrics store: as written, else 1, or 2 where availability is `Replicated`.
    pub fn metrics_replicas(&self) -> i32 {
        self.spec.metrics.replicas.unwrap_or(self.replicas_by_availability())
    }

    /// Servers that route alerts: as written, else 1, or 2 where availability is `Replicated`.
    pub fn alerting_replicas(&self) -> i32 {
        self.spec.alerting.replicas.unwrap_or(self.replicas_by_availability())
    }

    /// Servers of dashboards: as written, else 1.
    pub fn dashboards_replicas(&self) -> i32 {
        self.spec.dashboards.replicas.unwrap_or(1)
    }

    fn replicas_by_availability(&self) -> i32 {
        match self.requirements.availability {
            Availability::Single => 1,
            Availability::Replicated => 2,
        }
    }

    /// How long after a firing alert was sent it is sent again, default resolved.
    pub fn alert_resend_delay(&self) -> PromDuration {
        let written = self.spec.metrics.alert_resend_delay.as_deref();
        written.and_then(|text| text.parse().ok()).unwrap_or(ALERT_RESEND_DELAY)
    }

    /// Namespaces that are searched for targets, sorted, each once: as written, else the stack's own.
    pub fn namespaces(&self) -> BTreeSet<String> {
        let written = &self.spec.collection.namespaces;
        if written.is_empty() {
            return BTreeSet::from([self.id.namespace.clone()]);
        }
        written.iter().cloned().collect()
    }

    /// Whether volumes stay when the stack goes, default resolved.
    pub fn volumes(&self) -> VolumePolicy {
        self.spec.deletion.volumes.unwrap_or_default()
    }
}

/// The requirements in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Requirements {
    /// Active series at once.
    pub active_series: SeriesCount,
    /// Time between two samples of a series.
    pub scrape_interval: PromDuration,
    /// How long samples stay.
    pub retention: PromDuration,
    /// Whether the loss of one replica may interrupt the stack.
    pub availability: Availability,
    /// How long a restarted engine may take until it answers.
    pub recovery_time: PromDuration,
    /// SPDX identifiers that may not be used.
    pub licences_deny: BTreeSet<String>,
    /// Memory of all replicas together.
    pub budget_memory: Option<Bytes>,
    /// Disk of all replicas together.
    pub budget_storage: Option<Bytes>,
    /// Bills of others per month, in US cents.
    pub budget_monthly_cents: Option<u64>,
}

/// A quality attribute: the names of ISO/IEC 25010:2023, and cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Quality {
    /// Little money: machines and bills.
    Cost,
    /// Little loss when something fails.
    Reliability,
    /// Much work from few resources.
    PerformanceEfficiency,
    /// Works with what others wrote.
    Compatibility,
    /// Little to run, to learn and to mend.
    Maintainability,
    /// Little to attack.
    Security,
    /// Grows and moves with little effort.
    Flexibility,
}

impl Quality {
    /// Every quality, in the order in which they are shown.
    pub const ALL: [Self; 7] = [
        Self::Cost,
        Self::Reliability,
        Self::PerformanceEfficiency,
        Self::Compatibility,
        Self::Maintainability,
        Self::Security,
        Self::Flexibility,
    ];

    /// The id as it stands under `spec.priorities`.
    pub fn id(self) -> &'static str {
        match self {
            Self::Cost => "cost",
            Self::Reliability => "reliability",
            Self::PerformanceEfficiency => "performanceEfficiency",
            Self::Compatibility => "compatibility",
            Self::Maintainability => "maintainability",
            Self::Security => "security",
            Self::Flexibility => "flexibility",
        }
    }
}

/// One thing that is wrong with a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Path in the object: `spec.requirements.retention`.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What to write instead.
    pub write: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: found {}; write {}", self.path, self.found, self.write)
    }
}

/// Faults as they are found, so that all of them are told at once.
#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, path: impl Into<String>, found: impl Display, write: impl Display) {
        self.0.push(Fault { path: path.into(), found: found.to_string(), write: write.to_string() });
    }

    /// Reads a value with a unit; a fault where it cannot be read.
    fn read<T>(&mut self, path: &str, text: Option<&str>) -> Option<T>
    where
        T: std::str::FromStr<Err = crate::units::UnitError>,
    {
        match text?.parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(path, quoted(&error.found), error.write);
                None
            }
        }
    }

    /// Reads a duration that may also be zero (`0s`).
    fn read_wait(&mut self, path: &str, text: Option<&str>) {
        let zero = |t: &str| t.chars().all(|c| !c.is_ascii_digit() || c == '0') && t.starts_with('0');
        if !text.is_some_and(zero) {
            self.read::<PromDuration>(path, text);
        }
    }
}

/// A stack's spec as [`Valid`], every default resolved.
///
/// `pinned_defaults` is the set of defaults that the stack's status is pinned to; `spec.defaultsVersion` goes
/// before it, and [`DEFAULTS_VERSION`] stands in where there is neither. Rule groups that are at fault are
/// taken out and stand in [`Valid::rejected`]; the others go on.
///
/// # Errors
/// Every fault outside of the rule groups, at once.
pub fn validate(
    id: StackId,
    spec: &ObservabilityStackSpec,
    pinned_defaults: Option<u32>,
) -> Result<Valid, Vec<Fault>> {
    let mut faults = Faults::default();
    grammar::stack_name(&id, &mut faults);

    let defaults_version = spec.defaults_version.or(pinned_defaults).unwrap_or(DEFAULTS_VERSION);
    let environment = spec.environment.unwrap_or_default();
    let defaults = Defaults::of(defaults_version, environment).unwrap_or_else(|| {
        let write = format!("a set of defaults from 1 to {DEFAULTS_VERSION}, or leave it out");
        faults.add("spec.defaultsVersion", defaults_version, write);
        Defaults::newest(environment)
    });

    let requirements = requirements::read(spec, &defaults, &mut faults);
    let evaluation_interval = requirements::evaluation_interval(spec, &requirements, &mut faults);
    let priorities = requirements::priorities(spec, &mut faults);
    let overrides = requirements::overrides(spec, &mut faults);
    workload::metrics(spec, &requirements, &mut faults);
    workload::alerting(spec, &requirements, &mut faults);
    workload::dashboards(spec, &mut faults);
    workload::budget(spec, &requirements, &mut faults);
    grammar::collection(spec, &mut faults);
    grammar::exposure(spec, &mut faults);
    alerting::check(&spec.alerting, &mut faults);
    if !faults.0.is_empty() {
        return Err(faults.0);
    }

    let broken = rules::faults_by_group(&spec.rules.groups);
    let mut spec = spec.clone();
    let mut index = 0;
    spec.rules.groups.retain(|_| {
        index += 1;
        !broken.contains_key(&(index - 1))
    });
    let rejected = broken.into_iter().map(|(group, faults)| rules::rejection(group, &faults)).collect();
    Ok(Valid {
        id,
        defaults_version,
        environment,
        requirements,
        priorities,
        overrides,
        evaluation_interval,
        spec,
        rejected,
    })
}

/// Every fault of a stack, those that would only keep a rule group out included: what an author is told.
pub fn all_faults(id: StackId, spec: &ObservabilityStackSpec) -> Vec<Fault> {
    let groups = rules::faults_by_group(&spec.rules.groups).into_values().flatten();
    let mut faults = validate(id, spec, None).err().unwrap_or_default();
    faults.extend(groups);
    faults
}

/// The values in force by path under `spec`, whether they were written or resolved. At most 64 entries.
pub fn effective(valid: &Valid) -> BTreeMap<String, String> {
    let requirements = &valid.requirements;
    let yes_no = |value: Option<bool>| value.unwrap_or(true).to_string();
    let mut values = BTreeMap::new();
    let mut set = |path: &str, value: String| values.insert(path.to_owned(), value);
    set("environment", valid.environment.as_str().to_owned());
    set("defaultsVersion", valid.defaults_version.to_string());
    set("requirements.activeSeries", requirements.active_series.to_string());
    set("requirements.scrapeInterval", requirements.scrape_interval.to_string());
    set("requirements.retention", requirements.retention.to_string());
    set("requirements.availability", requirements.availability.as_str().to_owned());
    set("requirements.recoveryTime", requirements.recovery_time.to_string());
    if !requirements.licences_deny.is_empty() {
        let licences: Vec<&str> = requirements.licences_deny.iter().map(String::as_str).collect();
        set("requirements.licences.deny", licences.join(","));
    }
    if let Some(memory) = requirements.budget_memory {
        set("requirements.budget.memory", memory.to_string());
    }
    if let Some(storage) = requirements.budget_storage {
        set("requirements.budget.storage", storage.to_string());
    }
    if let Some(cents) = requirements.budget_monthly_cents {
        set("requirements.budget.monthlyCost", format!("{}.{:02}", cents / 100, cents % 100));
    }
    for (quality, weight) in &valid.priorities {
        set(&format!("priorities.{}", quality.id()), weight.to_string());
    }
    set("metrics.replicas", valid.metrics_replicas().to_string());
    set("metrics.evaluationInterval", valid.evaluation_interval.to_string());
    set("metrics.alertResendDelay", valid.alert_resend_delay().to_string());
    set("alerting.replicas", valid.alerting_replicas().to_string());
    set("dashboards.replicas", valid.dashboards_replicas().to_string());
    // A status value holds 1,024 characters; 64 names of 63 do not fit.
    let namespaces: Vec<String> = valid.namespaces().into_iter().collect();
    let shown =
        if namespaces.len() > 12 { format!("{} namespaces", namespaces.len()) } else { namespaces.join(",") };
    set("collection.namespaces", shown);
    set("collection.services", yes_no(valid.spec.collection.services));
    set("collection.pods", yes_no(valid.spec.collection.pods));
    set("deletion.volumes", format!("{:?}", valid.volumes()));
    values
}

/// The parts of a stack's spec whose validity depends on its requirements, its priorities or on nothing: as
/// long as only those change, it is valid where the whole spec is, and sooner checked.
pub(crate) fn sizing_only(valid: &Valid) -> ObservabilityStackSpec {
    let whole = &valid.spec;
    let mut spec = ObservabilityStackSpec {
        environment: whole.environment,
        defaults_version: whole.defaults_version,
        requirements: whole.requirements.clone(),
        priorities: whole.priorities.clone(),
        ..ObservabilityStackSpec::default()
    };
    spec.metrics.replicas = whole.metrics.replicas;
    spec.metrics.evaluation_interval.clone_from(&whole.metrics.evaluation_interval);
    spec.metrics.storage.clone_from(&whole.metrics.storage);
    spec.metrics.workload.resources.clone_from(&whole.metrics.workload.resources);
    spec.alerting.replicas = whole.alerting.replicas;
    spec.alerting.storage.clone_from(&whole.alerting.storage);
    spec.alerting.workload.resources.clone_from(&whole.alerting.workload.resources);
    spec.dashboards.replicas = whole.dashboards.replicas;
    spec.dashboards.workload.resources.clone_from(&whole.dashboards.workload.resources);
    spec
}

/// Keys of the Secrets that the stack refers to and the operator reads.
pub fn secret_refs(valid: &Valid) -> BTreeSet<SecretKey> {
    let receivers = &valid.spec.alerting.receivers;
    let slack = receivers.iter().flat_map(|r| r.slack.iter().map(|slack| &slack.api_url));
    let webhooks =
        receivers.iter().flat_map(|r| r.webhook.iter().filter_map(|hook| hook.url_secret.as_ref()));
    slack.chain(webhooks).cloned().collect()
}
