//! Rule groups. A group at fault is kept out by itself; the others go on.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::stack::{Rule, RuleGroup};
use obstack_crds::status::Rejected;

use crate::units::PromDuration;

use super::grammar::{is_label_name, is_metric_name};
use super::{Fault, Faults, child_path, promql, quoted, template};

/// The faults of each group that has some, by its index in the list.
pub(super) fn faults_by_group(groups: &[RuleGroup]) -> BTreeMap<usize, Vec<Fault>> {
    let mut names = BTreeSet::new();
    let mut broken = BTreeMap::new();
    for (index, group) in groups.iter().enumerate() {
        let mut faults = Faults::default();
        let path = format!("spec.rules.groups[{index}]");
        if group.name.trim().is_empty() {
            faults.add(format!("{path}.name"), quoted(&group.name), "a name, unique in the stack");
        } else if !names.insert(group.name.as_str()) {
            let found = format!("{} a second time", quoted(&group.name));
            faults.add(format!("{path}.name"), found, "a name that no other group of the stack has");
        }
        faults.read::<PromDuration>(&format!("{path}.interval"), group.interval.as_deref());
        if group.rules.is_empty() {
            faults.add(format!("{path}.rules"), "no rule", "at least one rule, or leave the group out");
        }
        for (number, rule) in group.rules.iter().enumerate() {
            check(&format!("{path}.rules[{number}]"), rule, &mut faults);
        }
        if !faults.0.is_empty() {
            broken.insert(index, faults.0);
        }
    }
    broken
}

/// How a group that is kept out stands in the status.
pub(super) fn rejection(index: usize, faults: &[Fault]) -> Rejected {
    const LONGEST: usize = 1024;
    let reasons: Vec<String> = faults.iter().map(Fault::to_string).collect();
    let reason: String = reasons.join("; ").chars().take(LONGEST).collect();
    Rejected { object: format!("spec.rules.groups[{index}]"), reason }
}

fn check(path: &str, rule: &Rule, faults: &mut Faults) {
    match (&rule.alert, &rule.record) {
        (Some(_), Some(_)) => faults.add(path, "both alert and record", "one of the two"),
        (None, None) => faults.add(path, "neither alert nor record", "one of the two"),
        (Some(alert), None) if alert.trim().is_empty() => {
            faults.add(format!("{path}.alert"), quoted(alert), "a name, such as TargetDown");
        }
        (None, Some(record)) if !is_metric_name(record) => {
            let write = "a metric's name of letters, digits, underscores and colons, such as job:up:sum";
            faults.add(format!("{path}.record"), quoted(record), write);
        }
        _ => {}
    }
    if let Some((found, write)) = promql::fault(&rule.expr) {
        faults.add(format!("{path}.expr"), found, write);
    }
    faults.read_wait(&format!("{path}.for"), rule.for_.as_deref());
    faults.read_wait(&format!("{path}.keepFiringFor"), rule.keep_firing_for.as_deref());
    if rule.record.is_some() && rule.alert.is_none() {
        let only_alerts = [
            ("for", rule.for_.is_some()),
            ("keepFiringFor", rule.keep_firing_for.is_some()),
            ("annotations", !rule.annotations.is_empty()),
        ];
        for (field, _) in only_alerts.iter().filter(|(_, set)| *set) {
            faults.add(
                format!("{path}.{field}"),
                format!("{field} in a recording rule"),
                "it in alerts only",
            );
        }
    }
    for (kind, map) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
        for (name, value) in map {
            let path = child_path(&format!("{path}.{kind}"), name);
            if !is_label_name(name) {
                let write =
                    "a name of letters, digits and underscores that starts with a letter, such as severity";
                faults.add(path.as_str(), quoted(name), write);
            }
            // A recording rule's labels are taken as they are.
            if rule.alert.is_some()
                && let Some(write) = template::fault(value)
            {
                faults.add(path, quoted(value), write);
            }
        }
    }
}
