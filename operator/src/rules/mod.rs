//! Rules as data: the library that every stack gets, the tripwires of its decisions, and the groups of the stack
//! itself.

mod enforce;
pub mod objects;
#[cfg(test)]
mod objects_tests;
#[cfg(test)]
mod tests;
pub mod tripwires;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use obstack_crds::stack;
use obstack_crds::status::Rejected;
use serde::{Deserialize, Serialize};

use crate::names::Role;
use crate::running::{Fragment, digest};
use crate::scrape::ConfigError;
use crate::validate::Valid;
use crate::yaml::emit;

/// A file of the library: its name, its text, and the role without which it says nothing.
struct Library {
    name: &'static str,
    text: &'static str,
    needs: Role,
}

const LIBRARY: [Library; 4] = [
    Library { name: "general", text: include_str!("../../rules/general.yaml"), needs: Role::Metrics },
    Library { name: "metrics", text: include_str!("../../rules/metrics.yaml"), needs: Role::Metrics },
    Library { name: "alerting", text: include_str!("../../rules/alerting.yaml"), needs: Role::Alerting },
    Library { name: "reloader", text: include_str!("../../rules/reloader.yaml"), needs: Role::Metrics },
];

/// A rule file as Prometheus reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleFile {
    /// Groups, each evaluated by itself.
    pub groups: Vec<Group>,
}

/// Rules that are evaluated one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Name, unique in its file.
    pub name: String,
    /// Time between two evaluations, a Prometheus duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// How far back from now its expressions are evaluated, a Prometheus duration; from Prometheus 2.53.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_offset: Option<String>,
    /// Most alerts, or series, that one of its rules may make; 0 is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// Labels that each of its rules gets where it does not have them itself; from Prometheus 3.0.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The rules.
    pub rules: Vec<Rule>,
}

/// One alert or one recording rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Name of the alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// Name of the series that is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// PromQL.
    pub expr: String,
    /// How long the expression must hold before the alert fires, a Prometheus duration.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub for_: Option<String>,
    /// How long the alert goes on after the expression stopped holding, a Prometheus duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_firing_for: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl From<&stack::RuleGroup> for Group {
    fn from(group: &stack::RuleGroup) -> Self {
        let rule = |rule: &stack::Rule| Rule {
            alert: rule.alert.clone(),
            record: rule.record.clone(),
            expr: rule.expr.clone(),
            for_: rule.for_.clone(),
            keep_firing_for: rule.keep_firing_for.clone(),
            labels: rule.labels.clone(),
            annotations: rule.annotations.clone(),
        };
        Self {
            name: group.name.clone(),
            interval: group.interval.clone(),
            query_offset: None,
            limit: None,
            labels: BTreeMap::new(),
            rules: group.rules.iter().map(rule).collect(),
        }
    }
}

/// Names of the alerts of the library: what `spec.rules.disabled` can name.
///
/// # Errors
/// A file of the library that cannot be read: a fault of this build, which a test excludes.
pub fn library_alerts() -> Result<BTreeSet<String>, ConfigError> {
    let mut names = BTreeSet::new();
    for (_, file) in library()? {
        names.extend(file.groups.iter().flat_map(|g| &g.rules).filter_map(|rule| rule.alert.clone()));
    }
    Ok(names)
}

/// One file per library and one per group of the stack, so that a refusal names its culprit.
///
/// # Errors
/// As [`library_alerts`].
pub fn fragments(valid: &Valid, roles: &BTreeSet<Role>) -> Result<Vec<Fragment>, ConfigError> {
    let rules = &valid.spec.rules;
    let disabled: BTreeSet<&str> = rules.disabled.iter().map(String::as_str).collect();
    let mut fragments = Vec::new();
    for (library, file) in library()?.filter(|(library, _)| roles.contains(&library.needs)) {
        let mut file = file.clone();
        for group in &mut file.groups {
            group.rules.retain(|rule| rule.alert.as_deref().is_none_or(|name| !disabled.contains(name)));
        }
        file.groups.retain(|group| !group.rules.is_empty());
        if !file.groups.is_empty() {
            fragments.push(fragment(format!("library.{}", library.name), &file)?);
        }
    }
    for group in &rules.groups {
        let file = RuleFile { groups: vec![Group::from(group)] };
        fragments.push(fragment(format!("group.{}", file_name(&group.name)), &file)?);
    }
    Ok(fragments)
}

/// The library, read once per process.
fn library() -> Result<impl Iterator<Item = (&'static Library, &'static RuleFile)>, ConfigError> {
    static FILES: OnceLock<Result<Vec<RuleFile>, ConfigError>> = OnceLock::new();
    let read = |library: &Library| {
        serde_saphyr::from_str(library.text)
            .map_err(|error| ConfigError::Library(format!("{}: {error}", library.name)))
    };
    let files = FILES.get_or_init(|| LIBRARY.iter().map(read).collect());
    Ok(LIBRARY.iter().zip(files.as_ref().map_err(Clone::clone)?))
}

/// What `spec.rules.disabled` names and the library does not have.
///
/// # Errors
/// As [`library_alerts`].
pub fn unknown(valid: &Valid) -> Result<Vec<Rejected>, ConfigError> {
    let known = library_alerts()?;
    let disabled = valid.spec.rules.disabled.iter().enumerate();
    let rejected = |(index, name): (usize, &String)| {
        let object = format!("spec.rules.disabled[{index}]");
        // A state is read from all of them together: one that is missing would look like holding.
        if tripwires::ALERTS.contains(&name.as_str()) {
            let reason = format!(
                "found {name:?}, which says how the decisions hold and cannot be left out; write a silence in \
                 Alertmanager, or spec.decisions for another choice"
            );
            return Rejected { object, reason };
        }
        let near = crate::text::nearest(name, known.iter().map(String::as_str));
        let write = near.map_or_else(
            || format!("one of {}", known.iter().cloned().collect::<Vec<_>>().join(", ")),
            |near| format!("{near}, if that is what is meant"),
        );
        Rejected {
            object,
            reason: format!("found {name:?}, which is no alert of the library; write {write}"),
        }
    };
    Ok(disabled.filter(|(_, name)| !known.contains(*name)).map(rejected).collect())
}

fn fragment(name: String, file: &RuleFile) -> Result<Fragment, ConfigError> {
    Ok(Fragment::new(format!("rules/{name}"), format!("rules/{name}.yaml"), emit(file)?.into_bytes()))
}

/// A group's name as part of a path. Names can hold any character, so a hash keeps apart what looks alike.
fn file_name(group: &str) -> String {
    let plain: String = group
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' })
        .take(64)
        .collect();
    let mut hash = digest(group.as_bytes());
    hash.truncate(8);
    format!("{plain}-{hash}")
}
