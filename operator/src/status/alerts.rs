//! Pure: the alerts that no engine can send, as Alertmanager takes them: those of tripwires that the operator
//! judges by itself.

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use obstack_crds::record::{JudgedBy, Tripwire, TripwireState, WireStatus};
use obstack_crds::{Component, DecisionRecord};
use serde_json::{Map, Value, json};

use super::End;
use crate::decide::records;
use crate::validate::ENVIRONMENT_LABEL;

/// How long an alert lasts unless it is sent again: some of the minute that lies between two looks at most.
/// One that is sent no more ends by itself.
const LASTS: SignedDuration = SignedDuration::from_secs(300);

/// The alerts to send, each with the labels that one of the engine's own would have.
pub fn build_alerts(end: &End<'_>, now: Timestamp) -> Vec<Value> {
    let in_force = |component| records::accepted_of(&end.valid.id, end.records, component);
    let mut alerts = Vec::new();
    for record in Component::ALL.into_iter().filter_map(in_force) {
        let stands = record.status.as_ref().map(|status| status.tripwires.as_slice()).unwrap_or_default();
        for wire in record.spec.tripwires.iter().filter(|wire| wire.judged_by == JudgedBy::Operator) {
            let tripped = |stand: &&WireStatus| stand.id == wire.id && stand.state == TripwireState::Tripped;
            if let Some(stand) = stands.iter().find(tripped) {
                alerts.push(build_alert(end, record, wire, stand, now));
            }
        }
    }
    alerts
}

fn build_alert(
    end: &End<'_>,
    record: &DecisionRecord,
    wire: &Tripwire,
    stand: &WireStatus,
    now: Timestamp,
) -> Value {
    let id = &end.valid.id;
    let external = &end.valid.spec.metrics.external_labels;
    let mut labels: Map<String, Value> =
        external.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    for (name, value) in [
        (ENVIRONMENT_LABEL, end.valid.environment.as_str()),
        ("alertname", "TradeoffTripped"),
        ("namespace", &id.namespace),
        ("stack", &id.name),
        ("component", record.spec.component.id()),
        ("record", record.metadata.name.as_deref().unwrap_or_default()),
        ("tripwire", &wire.id),
        ("severity", "warning"),
    ] {
        labels.insert(name.to_owned(), value.into());
    }
    let title = record.spec.component.title();
    let next = wire.next.as_ref().map(|next| format!(" Next is {next}: {}.", wire.cost)).unwrap_or_default();
    let mut alert = json!({
        "labels": labels,
        "annotations": {
            "summary": format!("The decision for the {title} of {id} must be looked at again: {}", wire.id),
            "description": format!("{}.{next}", stand.reason.as_deref().unwrap_or("The bound is passed")),
        },
        "endsAt": (now + LASTS).to_string(),
    });
    if let Some(since) = stand.silent.iter().map(|silence| silence.since.as_str()).min() {
        alert["startsAt"] = since.into();
    }
    alert
}
