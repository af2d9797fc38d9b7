//! Requirements, priorities and what people decided.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::Component;
use obstack_crds::stack::{ObservabilityStackSpec, Override};

use crate::units::PromDuration;

use super::{Defaults, Faults, Quality, Requirements, quoted};

/// Weight of a quality that the spec leaves out.
const DEFAULT_PRIORITY: u8 = 3;

/// The requirements in force. Where one cannot be read, a fault is added and its default stands in.
pub(super) fn read(spec: &ObservabilityStackSpec, defaults: &Defaults, faults: &mut Faults) -> Requirements {
    let written = &spec.requirements;
    let path = |name: &str| format!("spec.requirements.{name}");
    let requirements = Requirements {
        active_series: faults
            .read(&path("activeSeries"), written.active_series.as_deref())
            .unwrap_or(defaults.active_series),
        scrape_interval: faults
            .read(&path("scrapeInterval"), written.scrape_interval.as_deref())
            .unwrap_or(defaults.scrape_interval),
        retention: faults
            .read(&path("retention"), written.retention.as_deref())
            .unwrap_or(defaults.retention),
        availability: written.availability.unwrap_or(defaults.availability),
        recovery_time: faults
            .read(&path("recoveryTime"), written.recovery_time.as_deref())
            .unwrap_or(defaults.recovery_time),
        licences_deny: licences(spec, faults),
        budget_memory: faults.read(&path("budget.memory"), written.budget.memory.as_deref()),
        budget_storage: faults.read(&path("budget.storage"), written.budget.storage.as_deref()),
        budget_monthly_cents: monthly_cents(spec, faults),
    };
    let (scrape, retention) = (requirements.scrape_interval, requirements.retention);
    if retention <= scrape {
        let found = format!("a retention of {retention}, no longer than the scrape interval of {scrape}");
        let name = if written.retention.is_some() { "retention" } else { "scrapeInterval" };
        faults.add(path(name), found, "a retention of many scrape intervals, such as 15d with 30s");
    }
    requirements
}

fn licences(spec: &ObservabilityStackSpec, faults: &mut Faults) -> BTreeSet<String> {
    let denied = &spec.requirements.licences.deny;
    for (index, licence) in denied.iter().enumerate() {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-');
        if licence.is_empty() || !licence.chars().all(known) {
            let path = format!("spec.requirements.licences.deny[{index}]");
            faults.add(path, quoted(licence), "an SPDX identifier, such as AGPL-3.0");
        }
    }
    denied.iter().cloned().collect()
}

/// US dollars with at most two decimals, in cents.
fn monthly_cents(spec: &ObservabilityStackSpec, faults: &mut Faults) -> Option<u64> {
    let text = spec.requirements.budget.monthly_cost.as_deref()?;
    let (dollars, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|c| c.is_ascii_digit());
    let read = || {
        if !digits(dollars) || !digits(cents) || cents.len() > 2 {
            return None;
        }
        let tens = if cents.len() == 1 { 10 } else { 1 };
        dollars.parse::<u64>().ok()?.checked_mul(100)?.checked_add(cents.parse::<u64>().ok()? * tens)
    };
    let amount = read();
    if amount.is_none() {
        faults.add("spec.requirements.budget.monthlyCost", quoted(text), "US dollars, such as 500 or 99.50");
    }
    amount
}

/// The time between two evaluations of a rule: as written, else the scrape interval.
pub(super) fn evaluation_interval(
    spec: &ObservabilityStackSpec,
    requirements: &Requirements,
    faults: &mut Faults,
) -> PromDuration {
    let path = "spec.metrics.evaluationInterval";
    let interval = faults
        .read(path, spec.metrics.evaluation_interval.as_deref())
        .unwrap_or(requirements.scrape_interval);
    if interval >= requirements.retention && spec.metrics.evaluation_interval.is_some() {
        let found = format!("{interval}, no shorter than the retention of {}", requirements.retention);
        faults.add(path, found, "an interval far below the retention, such as 30s, or leave it out");
    }
    faults.read::<PromDuration>("spec.metrics.alertResendDelay", spec.metrics.alert_resend_delay.as_deref());
    interval
}

/// The weight of every quality.
pub(super) fn priorities(spec: &ObservabilityStackSpec, faults: &mut Faults) -> BTreeMap<Quality, u8> {
    let written = &spec.priorities;
    let mut weights = BTreeMap::new();
    for quality in Quality::ALL {
        let weight = match quality {
            Quality::Cost => written.cost,
            Quality::Reliability => written.reliability,
            Quality::PerformanceEfficiency => written.performance_efficiency,
            Quality::Compatibility => written.compatibility,
            Quality::Maintainability => written.maintainability,
            Quality::Security => written.security,
            Quality::Flexibility => written.flexibility,
        };
        let weight = weight.unwrap_or(DEFAULT_PRIORITY);
        if weight > 5 {
            faults.add(format!("spec.priorities.{}", quality.id()), weight, "a whole number from 0 to 5");
        }
        weights.insert(quality, weight);
    }
    if weights.values().all(|&weight| weight == 0) {
        faults.add("spec.priorities", "0 for every quality", "at least one above 0: only their ratios count");
    }
    weights
}

/// What people decided. Whether the catalog has such an option is for the decision to say.
pub(super) fn overrides(spec: &ObservabilityStackSpec, faults: &mut Faults) -> BTreeMap<Component, Override> {
    let mut overrides = BTreeMap::new();
    for component in Component::ALL {
        let Some(choice) = spec.decisions.get(component) else { continue };
        let path = format!("spec.decisions.{component}");
        let mut chars = choice.choose.chars();
        let id =
            chars.next().is_some_and(|c| c.is_ascii_alphabetic()) && chars.all(|c| c.is_ascii_alphanumeric());
        if !id {
            let write = "the id of an option, such as Prometheus or None";
            faults.add(format!("{path}.choose"), quoted(&choice.choose), write);
        }
        if choice.because.trim().is_empty() {
            let write = "the reason in a sentence; the decision record keeps it";
            faults.add(format!("{path}.because"), quoted(&choice.because), write);
        }
        overrides.insert(component, choice.clone());
    }
    overrides
}
