//! Pure: what happened becomes the status of the stack. Every path of a reconcile, failures included, ends in
//! [`derive`], so that each condition has one place where it is written.

mod alerts;
mod components;
mod conditions;
mod engines;
mod happenings;
#[cfg(test)]
mod tests;
mod wanted;

use k8s_openapi::jiff::Timestamp;
use obstack_crds::Component;
use obstack_crds::DecisionRecord;
use obstack_crds::status::{ObservabilityStackStatus, Rejected};

use crate::apply::Done;
use crate::decide::watch::Watch;
use crate::decide::{Plan, records};
use crate::error::Class;
use crate::observe::Facts;
use crate::scrape::sources::Objects;
use crate::validate::{Fault, Valid, effective};

pub use alerts::build_alerts;
pub use components::TYPES_MISSING;
pub use conditions::RUN_BY_OTHERS;
pub use happenings::{Happening, happenings};
pub use wanted::{WantedEngine, wanted_engines};

/// Most parts that are shown as kept out; the schema's bound.
const MAX_REJECTED: usize = 32;
/// Longest message of a condition, in characters.
const MAX_MESSAGE: usize = 1024;
/// Longest hint at what to look at first, in characters; the schema's bound.
const MAX_LOOK_AT: usize = 256;

/// What one reconcile knows when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Happened<'a> {
    /// Generation of the spec that was read.
    pub generation: Option<i64>,
    /// The status before.
    pub previous: &'a ObservabilityStackStatus,
    /// How far the reconcile came.
    pub reached: Reached<'a>,
    /// The present moment.
    pub now: Timestamp,
}

/// How far a reconcile came.
#[derive(Clone, Copy, Debug)]
pub enum Reached<'a> {
    /// The stack cannot be read, for this reason.
    Unreadable(&'a str),
    /// The stack is at fault.
    Invalid(&'a [Fault]),
    /// Something that must be known or built before anything is applied is not, for this reason.
    Waiting(&'a Valid, Class, &'a str),
    /// All the way.
    End(&'a End<'a>),
}

/// What a reconcile that came all the way knows.
#[derive(Clone, Copy, Debug)]
pub struct End<'a> {
    /// The stack.
    pub valid: &'a Valid,
    /// What was decided.
    pub plan: &'a Plan,
    /// What was observed.
    pub facts: &'a Facts,
    /// Records as they are after this reconcile.
    pub records: &'a [DecisionRecord],
    /// How the tripwires of the records in force stand.
    pub watch: &'a Watch<'a>,
    /// What is wanted of each engine.
    pub engines: &'a [WantedEngine],
    /// Components whose configuration is held back, each with the reason.
    pub held: &'a [(Component, String)],
    /// Parts that were kept out.
    pub rejected: &'a [Rejected],
    /// The objects of others that were taken.
    pub objects: &'a Objects,
    /// Limits of the running configuration that are near, each with its numbers.
    pub limits: &'a [String],
    /// What came of applying; none while the stack is paused.
    pub done: Option<&'a Done>,
}

/// The status of a stack. Times of transition stay where a condition's status stays.
pub fn derive(happened: &Happened<'_>) -> ObservabilityStackStatus {
    let previous = happened.previous;
    let mut status = ObservabilityStackStatus {
        observed_generation: happened.generation.or(previous.observed_generation),
        conditions: Vec::new(),
        look_at: None,
        ..previous.clone()
    };
    match happened.reached {
        Reached::Unreadable(_) | Reached::Invalid(_) => {}
        Reached::Waiting(valid, _, _) => {
            status.defaults_version = Some(valid.defaults_version);
            status.effective = effective(valid);
        }
        Reached::End(end) => {
            status.defaults_version = Some(end.valid.defaults_version);
            status.effective = effective(end.valid);
            status.store =
                end.plan.get(Component::MetricsStore).and_then(|decision| decision.in_force.clone());
            status.components = components::derive(end, &previous.components);
            status.decisions = records::statuses(end.plan, end.valid, end.records);
            status.rejected = rejected(end);
            status.objects = end.objects.counts.clone();
        }
    }
    status.conditions = conditions::derive(happened, &status);
    status.look_at = conditions::look_at(&status.conditions).map(|message| shorten(message, MAX_LOOK_AT));
    status
}

/// Parts that were kept out, each once, the bound of the schema kept.
fn rejected(end: &End<'_>) -> Vec<Rejected> {
    let mut rejected: Vec<Rejected> = end.valid.rejected.iter().chain(end.rejected).cloned().collect();
    rejected.sort();
    rejected.dedup();
    // What is wrong with the stack itself is for its author, and first.
    rejected.sort_by_key(|part| !part.object.starts_with("spec."));
    let more = rejected.len().saturating_sub(MAX_REJECTED);
    if more > 0 {
        rejected.truncate(MAX_REJECTED - 1);
        let reason =
            "not shown, because a status is bounded; the operator's /rejected.json has all".to_owned();
        rejected.push(Rejected { object: format!("{} more", more + 1), reason });
    }
    for part in &mut rejected {
        part.object = shorten(&part.object, 512);
        part.reason = shorten(&part.reason, 1024);
    }
    rejected
}

/// A text of at most `length` characters, with an ellipsis where something was cut.
fn shorten(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

/// The first 12 characters of a digest: enough to tell generations apart.
fn short_digest(digest: &str) -> String {
    digest.chars().take(12).collect()
}
