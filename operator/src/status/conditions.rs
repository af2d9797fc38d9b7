//! The conditions of a stack, by the conventions of the Kubernetes API: each is always there, and its time of
//! transition moves only when its status does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use obstack_crds::record::{Phase, TripwireState};
use obstack_crds::status::{
    ACCEPTED, CONDITIONS, CONFIGURATION_LIVE, ComponentState, DECISIONS_HOLDING, DEGRADED, DecisionStatus,
    ObservabilityStackStatus, PROGRESSING, READY,
};

use super::engines::{Live, live, refusal};
use super::{End, Happened, MAX_MESSAGE, Reached, WantedEngine, shorten};
use crate::apply::Failure;
use crate::decide::{Decision, numbers, records};
use crate::error::Class;
use crate::validate::Fault;

/// Reason of ConfigurationLive where prometheus-operator configures the engines.
pub const RUN_BY_OTHERS: &str = "RunByPrometheusOperator";
/// What that means, and what to do about it.
const RUN_BY_OTHERS_MEANS: &str = "prometheus-operator writes and reloads the configuration of the engines, and says \
                                   of none which one it runs; choose Native in spec.decisions.delivery to have it \
                                   proven replica by replica";

/// How many faults a message names.
const NAMED: usize = 8;

/// What one condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Say {
    status: &'static str,
    reason: &'static str,
    message: String,
}

fn say(status: &'static str, reason: &'static str, message: impl Into<String>) -> Say {
    Say { status, reason, message: message.into() }
}

/// Every condition of a status whose components and decisions are filled already.
pub(super) fn derive(happened: &Happened<'_>, status: &ObservabilityStackStatus) -> Vec<Condition> {
    let condition = |kind: &str| {
        let before = happened.previous.conditions.iter().find(|condition| condition.type_ == kind);
        let said = said(kind, happened, status);
        match (said, before) {
            (Some(said), before) => stamp(kind, said, before, happened),
            // Nothing new is known: what was said stays.
            (None, Some(before)) => before.clone(),
            (None, None) => stamp(kind, say("Unknown", "NotReached", "nothing is known yet"), None, happened),
        }
    };
    CONDITIONS.into_iter().map(condition).collect()
}

fn stamp(kind: &str, said: Say, before: Option<&Condition>, happened: &Happened<'_>) -> Condition {
    let since = before.filter(|before| before.status == said.status).map(|b| b.last_transition_time.clone());
    Condition {
        type_: kind.to_owned(),
        status: said.status.to_owned(),
        reason: said.reason.to_owned(),
        message: shorten(&said.message, MAX_MESSAGE),
        observed_generation: happened.generation,
        last_transition_time: since.unwrap_or(Time(happened.now)),
    }
}

/// What a condition says now; none where nothing new is known.
fn said(kind: &str, happened: &Happened<'_>, status: &ObservabilityStackStatus) -> Option<Say> {
    match happened.reached {
        Reached::Unreadable(reason) => {
            unusable(kind, "Unreadable", &format!("the spec cannot be read: {reason}"))
        }
        Reached::Invalid(faults) => unusable(kind, "Invalid", &list(faults)),
        Reached::Waiting(_, class, reason) => match kind {
            ACCEPTED => Some(say("True", "Accepted", "the spec is valid")),
            PROGRESSING => Some(say("True", "Waiting", reason)),
            DEGRADED if class == Class::Transient => Some(say("False", "AsExpected", "")),
            DEGRADED => Some(say("True", "CannotBuild", reason)),
            _ => None,
        },
        Reached::End(end) => Some(match kind {
            ACCEPTED => accepted(end, status),
            READY => ready(status),
            CONFIGURATION_LIVE => configuration_live(end, happened.previous),
            DECISIONS_HOLDING => decisions_holding(end, status),
            PROGRESSING => progressing(end, status),
            _ => degraded(end, status),
        }),
    }
}

/// A stack that cannot be taken up: what runs stays, and so does what was said of it.
fn unusable(kind: &str, reason: &'static str, message: &str) -> Option<Say> {
    match kind {
        ACCEPTED => Some(say("False", reason, message)),
        PROGRESSING => {
            Some(say("False", reason, "waits for the spec to be corrected; what runs stays as it is"))
        }
        DEGRADED => Some(say("True", reason, message)),
        _ => None,
    }
}

fn list(faults: &[Fault]) -> String {
    let mut named: Vec<String> = faults.iter().take(NAMED).map(ToString::to_string).collect();
    if faults.len() > NAMED {
        named.push(format!("and {} more", faults.len() - NAMED));
    }
    named.join("; ")
}

fn accepted(end: &End<'_>, status: &ObservabilityStackStatus) -> Say {
    let broken = overridden(end);
    match (status.rejected.as_slice(), broken) {
        ([], None) => say("True", "Accepted", "the spec is valid"),
        ([], Some(broken)) => say("True", "PersonOverrides", broken),
        (rejected, broken) => {
            let kept_out = format!("{} kept out, see status.rejected", parts(rejected.len()));
            let message = broken.map_or(kept_out.clone(), |broken| format!("{kept_out}; {broken}"));
            say("True", "AcceptedInPart", message)
        }
    }
}

/// Choices of people that break a requirement: they go before the engine, and are never passed over in silence.
fn overridden(end: &End<'_>) -> Option<String> {
    let line = |decision: &Decision| {
        let broken: Vec<&str> = decision.violates.iter().map(|v| v.requirement.as_str()).collect();
        let chosen = decision.chosen.as_deref().filter(|_| !broken.is_empty())?;
        let broken = numbers::list(&broken, "and");
        Some(format!("{}: {chosen} breaks {broken}, and a person chose it", decision.component.id()))
    };
    let lines: Vec<String> = end.plan.decisions.iter().filter_map(line).collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn parts(count: usize) -> String {
    if count == 1 { "1 part was".to_owned() } else { format!("{count} parts were") }
}

/// The state that speaks for all components, with a line for each component in it.
fn worst(status: &ObservabilityStackStatus, state: ComponentState) -> Option<String> {
    let mut lines = Vec::new();
    for component in status.components.iter().filter(|component| component.state == state) {
        let message = component.message.as_deref().unwrap_or("no more is known");
        lines.push(format!("{}: {message}", component.component.id()));
    }
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn ready(status: &ObservabilityStackStatus) -> Say {
    use ComponentState as S;
    for (state, condition, reason) in [
        (S::NotDeployable, "False", "NotDeployable"),
        (S::Undecided, "False", "Undecided"),
        (S::Pending, "False", "ComponentsPending"),
        (S::Progressing, "False", "ComponentsProgressing"),
        (S::Unknown, "Unknown", "ComponentsUnknown"),
    ] {
        if let Some(message) = worst(status, state) {
            return say(condition, reason, message);
        }
    }
    say("True", "AllReady", "every component runs")
}

fn configuration_live(end: &End<'_>, previous: &ObservabilityStackStatus) -> Say {
    if end.engines.iter().any(WantedEngine::is_handed_over) {
        return say("Unknown", RUN_BY_OTHERS, RUN_BY_OTHERS_MEANS);
    }
    let configured = end.engines.iter().filter(|engine| engine.generation.is_some());
    let states: Vec<Live> = configured.map(|engine| live(engine, end.facts)).collect();
    let find = |pick: fn(&Live) -> Option<&String>| states.iter().find_map(pick).cloned();
    if states.is_empty() {
        return say("Unknown", "NothingConfigured", "no engine that takes a configuration is deployed");
    }
    if let Some(message) = refused(end) {
        return say("False", "Refused", message);
    }
    if let Some(message) = find(|s| if let Live::OtherGeneration(m) = s { Some(m) } else { None }) {
        return say("False", "OtherGeneration", message);
    }
    if let Some(message) = find(|s| if let Live::OtherFlags(m) = s { Some(m) } else { None }) {
        return say("False", "OtherFlags", message);
    }
    if let Some(message) = find(|s| if let Live::Unreachable(m) = s { Some(m) } else { None }) {
        return say("Unknown", "EngineUnreachable", format!("{message}{}", last_known(previous)));
    }
    if states.contains(&Live::NoneReady) {
        let message = format!("an engine has no replica that is ready{}", last_known(previous));
        return say("Unknown", "NoReplicaReady", message);
    }
    if let Some(limit) = end.limits.first() {
        return say(
            "True",
            "NearLimit",
            format!("every replica says that it runs what is wanted, but {limit}"),
        );
    }
    if let Some(message) = find(|s| if let Live::OtherVersion(m) = s { Some(m) } else { None }) {
        return say("True", "VersionSkew", format!("every engine runs what is wanted, but {message}"));
    }
    say("True", "Live", "every replica says that it runs what is wanted")
}

/// What is said of a generation that is wanted and refused, over all engines.
fn refused(end: &End<'_>) -> Option<String> {
    end.engines.iter().find_map(|engine| refusal(engine, end.facts))
}

/// The last outcome that was known, for as long as there is no newer one.
fn last_known(previous: &ObservabilityStackStatus) -> String {
    const MARK: &str = "; last known: ";
    let Some(before) = previous.conditions.iter().find(|condition| condition.type_ == CONFIGURATION_LIVE)
    else {
        return String::new();
    };
    match before.message.split_once(MARK) {
        Some((_, last)) => format!("{MARK}{last}"),
        None if before.status == "Unknown" => String::new(),
        None => format!("{MARK}{} ({})", before.status, before.reason),
    }
}

/// Whether what was decided still holds. The worst state speaks for all, and names its tripwires.
fn decisions_holding(end: &End<'_>, status: &ObservabilityStackStatus) -> Say {
    let of = |state: TripwireState| {
        let decisions = status.decisions.iter().filter(|decision| decision.state == state);
        decisions.map(|decision| decision.component.id()).collect::<Vec<_>>().join(", ")
    };
    if status.decisions.is_empty() {
        return say("Unknown", "NoRecords", "no decision is written down yet");
    }
    let unknown = of(TripwireState::Unknown);
    let lines = |state: TripwireState| {
        let decisions = status.decisions.iter().filter(|decision| decision.state == state);
        decisions.map(|decision| wires_in(end, decision, state)).collect::<Vec<_>>().join("; ")
    };
    let tripped = lines(TripwireState::Tripped);
    if !tripped.is_empty() {
        return say("False", "Tripped", format!("look at these decisions again: {tripped}"));
    }
    let at_risk = lines(TripwireState::AtRisk);
    if !at_risk.is_empty() {
        return say("True", "AtRisk", format!("close to a bound: {at_risk}"));
    }
    if !unknown.is_empty() {
        return say("Unknown", "NotMeasured", format!("not enough is measured for: {unknown}"));
    }
    say("True", "Holding", "every tripwire is within its bound")
}

/// The tripwires of a decision in a state, each with where to go, and what is proposed: `metricsStore: memory
/// (next VictoriaMetricsSingle); see main-metrics-store-0002, which is proposed`.
fn wires_in(end: &End<'_>, decision: &DecisionStatus, state: TripwireState) -> String {
    let record = records::accepted_of(&end.valid.id, end.records, decision.component);
    let wires = record.and_then(|record| record.status.as_ref()).map(|status| status.tripwires.as_slice());
    let wires = wires.unwrap_or_default().iter().filter(|wire| wire.state == state);
    let next = |id: &str| {
        let wires = record.map(|record| record.spec.tripwires.as_slice()).unwrap_or_default();
        wires.iter().find(|wire| wire.id == id).and_then(|wire| wire.next.as_deref())
    };
    let named: Vec<String> = wires
        .map(|wire| {
            let next = next(&wire.id).map(|next| format!("next {next}"));
            let more: Vec<String> = next.into_iter().chain(wire.reason.clone()).collect();
            if more.is_empty() { wire.id.clone() } else { format!("{} ({})", wire.id, more.join("; ")) }
        })
        .collect();
    let mut line = format!("{}: {}", decision.component.id(), named.join(", "));
    if state == TripwireState::Tripped && decision.phase == Phase::Proposed {
        line.push_str(&format!("; see {}, which is proposed", decision.record));
    }
    line
}

fn failures<'a>(end: &'a End<'_>, passing: bool) -> impl Iterator<Item = &'a Failure> {
    let all = end.done.map(|done| done.failures.as_slice()).unwrap_or_default();
    all.iter().filter(move |failure| matches!(failure.class, Class::Transient | Class::Conflict) == passing)
}

fn progressing(end: &End<'_>, status: &ObservabilityStackStatus) -> Say {
    if end.done.is_none() {
        return say("False", "Paused", "spec.paused stops every write to the objects of this stack");
    }
    if let Some(failure) = failures(end, true).next() {
        return say("True", "Retrying", failure.message.as_str());
    }
    if let Some(message) = worst(status, ComponentState::Progressing) {
        return say("True", "RollingOut", message);
    }
    let waits = end.engines.iter().map(|engine| live(engine, end.facts)).find_map(|state| match state {
        Live::OtherGeneration(message) | Live::OtherFlags(message) => Some(message),
        _ => None,
    });
    if let Some(message) = waits {
        return say("True", "Configuring", message);
    }
    say("False", "Settled", "nothing is on its way")
}

fn degraded(end: &End<'_>, status: &ObservabilityStackStatus) -> Say {
    let mut lasting = failures(end, false).peekable();
    if let Some(first) = lasting.peek() {
        let reason = first.reason;
        let messages: Vec<&str> = lasting.map(|failure| failure.message.as_str()).take(NAMED).collect();
        return say("True", reason, messages.join("; "));
    }
    if let Some(message) = refused(end) {
        return say("True", "ConfigurationRefused", message);
    }
    for (state, reason) in
        [(ComponentState::NotDeployable, "NotDeployable"), (ComponentState::Undecided, "Undecided")]
    {
        if let Some(message) = worst(status, state) {
            return say("True", reason, message);
        }
    }
    match status.rejected.as_slice() {
        [] => say("False", "AsExpected", ""),
        rejected => {
            let named: Vec<String> =
                rejected.iter().take(NAMED).map(|part| format!("{}: {}", part.object, part.reason)).collect();
            say("True", "PartsRejected", named.join("; "))
        }
    }
}

/// The one thing to look at first; none when all is fine.
pub(super) fn look_at(conditions: &[Condition]) -> Option<&str> {
    [
        (ACCEPTED, "False"),
        (DEGRADED, "True"),
        (READY, "False"),
        (CONFIGURATION_LIVE, "False"),
        (DECISIONS_HOLDING, "False"),
    ]
    .into_iter()
    .find_map(|(kind, status)| conditions.iter().find(|c| c.type_ == kind && c.status == status))
    .map(|condition| condition.message.as_str())
}
