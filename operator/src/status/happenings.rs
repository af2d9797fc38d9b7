//! Pure: what a person should be told about the step from one status to the next. What stays the same is told
//! once, so a stack at rest is silent, after a restart of the operator too.

use obstack_crds::DecisionRecord;
use obstack_crds::record::{Phase, Tripwire};
use obstack_crds::status::{
    ACCEPTED, CONFIGURATION_LIVE, DEGRADED, DecisionStatus, ObservabilityStackStatus, READY,
};

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
    /// The object of others that it happened to, as a list names it; none where it happened to the stack.
    pub object: Option<String>,
}

fn happening(warning: bool, reason: &str, action: &'static str, note: &str) -> Happening {
    // Counted in characters of up to 4 bytes, so that no character is cut.
    Happening { warning, reason: reason.to_owned(), action, note: shorten(note, MAX_NOTE / 4), object: None }
}

/// What to tell. `records` are those that the later status speaks of.
pub fn happenings(
    before: &ObservabilityStackStatus,
    after: &ObservabilityStackStatus,
    done: Option<&Done>,
    records: &[DecisionRecord],
) -> Vec<Happening> {
    let mut told = Vec::new();
    told.extend(conditions(before, after));
    told.extend(decisions(before, after));
    told.extend(tripped(before, after, records));
    for part in after.rejected.iter().filter(|part| !before.rejected.contains(part)) {
        let of_stack = happening(true, "Rejected", "Apply", &format!("{}: {}", part.object, part.reason));
        // Whoever looks at the object sees it there.
        if !part.object.starts_with("spec.") {
            let object = Some(part.object.clone());
            told.push(Happening { object, ..happening(true, "Rejected", "Apply", &part.reason) });
        }
        told.push(of_stack);
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
    let earlier = |now: &DecisionStatus| before.decisions.iter().find(|d| d.component == now.component);
    let fresh = |now: &&DecisionStatus| match earlier(now) {
        // A proposal that does not hold any more leaves the record before it, which was told.
        Some(then) if then.phase == Phase::Proposed && now.phase == Phase::Accepted => {
            then.record < now.record
        }
        Some(then) => then.record != now.record,
        None => true,
    };
    after.decisions.iter().filter(fresh).map(decided).collect()
}

fn decided(decision: &DecisionStatus) -> Happening {
    let (title, record) = (decision.component.title(), &decision.record);
    match (&decision.choice, decision.phase) {
        (Some(choice), Phase::Proposed) => {
            let note = format!(
                "DecisionRecord {record} is proposed for the {title}; {choice} stays until somebody edits the stack"
            );
            happening(false, "Proposed", "Decide", &note)
        }
        (Some(choice), _) => {
            let note = format!("{choice} for the {title}, see DecisionRecord {record}");
            happening(false, "Decided", "Decide", &note)
        }
        (None, _) => {
            let note = format!("no option is left for the {title}, see DecisionRecord {record}");
            happening(true, "NothingLeft", "Decide", &note)
        }
    }
}

/// Tripwires that have tripped since.
fn tripped(
    before: &ObservabilityStackStatus,
    after: &ObservabilityStackStatus,
    records: &[DecisionRecord],
) -> Vec<Happening> {
    let mut told = Vec::new();
    for decision in &after.decisions {
        let earlier = before.decisions.iter().find(|earlier| earlier.component == decision.component);
        let known = earlier.map(|earlier| earlier.tripped.as_slice()).unwrap_or_default();
        let accepted = |record: &&DecisionRecord| {
            record.spec.component == decision.component
                && record.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Accepted))
        };
        let record = records.iter().filter(accepted).max_by_key(|record| record.spec.number);
        for id in decision.tripped.iter().filter(|id| !known.contains(id)) {
            let wires = record.map(|record| record.spec.tripwires.as_slice()).unwrap_or_default();
            let wire = wires.iter().find(|wire| wire.id == *id);
            told.push(happening(true, "TradeoffTripped", "Observe", &trip(decision, id, record, wire)));
        }
    }
    told
}

fn trip(
    decision: &DecisionStatus,
    id: &str,
    record: Option<&DecisionRecord>,
    wire: Option<&Tripwire>,
) -> String {
    let name = record.and_then(|record| record.metadata.name.as_deref()).unwrap_or(&decision.record);
    let mut note = format!("tripwire {id} of {name} ({}) is tripped", decision.component.title());
    if let Some(wire) = wire {
        note.push_str(&format!(": its bound is {}", wire.bound));
        let next = wire.next.as_deref().unwrap_or("to stay");
        note.push_str(&format!("; next is {next}: {}", wire.cost));
    }
    note
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
