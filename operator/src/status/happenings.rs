//! Pure: what a person should be told about the step from one status to the next. What stays the same is told
//! once, so a stack at rest is silent, after a restart of the operator too.

use obstack_crds::status::{ACCEPTED, CONFIGURATION_LIVE, DEGRADED, ObservabilityStackStatus, READY};

use super::shorten;
use crate::apply::{Done, Drift};

/// Longest note of an Event, in bytes: the API's bound.
const MAX_NOTE: usize = 1000;

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// Whether it is a warning.
    pub warning: bool,
    /// Reason, in CamelCase.
    pub reason: String,
    /// What was done: `Decide`, `Apply`, `Correct`, `Prune` or `Observe`.
    pub action: &'static str,
    /// What happened.
    pub note: String,
}

fn happening(warning: bool, reason: &str, action: &'static str, note: &str) -> Happening {
    // Counted in characters of up to 4 bytes, so that no character is cut.
    Happening { warning, reason: reason.to_owned(), action, note: shorten(note, MAX_NOTE / 4) }
}

/// What to tell.
pub fn happenings(
    before: &ObservabilityStackStatus,
    after: &ObservabilityStackStatus,
    done: Option<&Done>,
) -> Vec<Happening> {
    let mut told = Vec::new();
    told.extend(conditions(before, after));
    told.extend(decisions(before, after));
    for part in after.rejected.iter().filter(|part| !before.rejected.contains(part)) {
        told.push(happening(true, "Rejected", "Apply", &format!("{}: {}", part.object, part.reason)));
    }
    for drift in done.iter().flat_map(|done| &done.drift) {
        told.push(happening(false, "DriftCorrected", "Correct", &drifted(drift)));
    }
    for pruned in done.iter().flat_map(|done| &done.pruned) {
        told.push(happening(
            false,
            "Pruned",
            "Prune",
            &format!("deleted {pruned}, which is no longer wanted"),
        ));
    }
    told
}

fn drifted(drift: &Drift) -> String {
    match drift.paths.as_slice() {
        [] => format!("{} was gone and was made anew", drift.object),
        paths => format!("{}: put back {}", drift.object, paths.join(", ")),
    }
}

fn decisions(before: &ObservabilityStackStatus, after: &ObservabilityStackStatus) -> Vec<Happening> {
    let is_new = |record: &str| !before.decisions.iter().any(|decision| decision.record == record);
    let fresh = after.decisions.iter().filter(|decision| is_new(&decision.record));
    fresh
        .map(|decision| {
            let title = decision.component.title();
            match &decision.choice {
                Some(choice) => {
                    let note = format!("{choice} for the {title}, see DecisionRecord {}", decision.record);
                    happening(false, "Decided", "Decide", &note)
                }
                None => {
                    let note =
                        format!("no option is left for the {title}, see DecisionRecord {}", decision.record);
                    happening(true, "NothingLeft", "Decide", &note)
                }
            }
        })
        .collect()
}

/// Conditions that turned: those that call a person, and their end.
fn conditions(before: &ObservabilityStackStatus, after: &ObservabilityStackStatus) -> Vec<Happening> {
    let watched = [(ACCEPTED, "False"), (DEGRADED, "True"), (CONFIGURATION_LIVE, "False")];
    let mut told = Vec::new();
    for condition in &after.conditions {
        let kind = condition.type_.as_str();
        let earlier = before.conditions.iter().find(|earlier| earlier.type_ == kind);
        let same = earlier
            .is_some_and(|earlier| earlier.status == condition.status && earlier.reason == condition.reason);
        let is_bad = |kind: &str, status: &str| watched.contains(&(kind, status));
        if same {
            continue;
        }
        let was_bad = earlier.is_some_and(|earlier| is_bad(kind, &earlier.status));
        // What cannot be taken up is told once, as not accepted.
        let told_already = kind == DEGRADED && matches!(condition.reason.as_str(), "Invalid" | "Unreadable");
        let rolling = kind == CONFIGURATION_LIVE && !was_live(before);
        if is_bad(kind, &condition.status) && !told_already && !rolling && condition.reason != "PartsRejected"
        {
            told.push(happening(true, &condition.reason, "Observe", &condition.message));
        } else if kind == READY && condition.status == "True" {
            told.push(happening(false, "Ready", "Observe", &condition.message));
        } else if was_bad && kind == DEGRADED {
            told.push(happening(false, "Recovered", "Observe", "nothing needs a person any more"));
        }
    }
    told
}

/// A configuration that was never live yet is on its way, which calls nobody.
fn was_live(status: &ObservabilityStackStatus) -> bool {
    status.conditions.iter().any(|c| c.type_ == CONFIGURATION_LIVE && c.status == "True")
}
