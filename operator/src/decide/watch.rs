//! Pure: how the tripwires of a record stand, from what each replica of the metrics store says of them. What
//! an engine cannot tell, that it does not answer, is judged here by the time for which it has not.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use obstack_crds::record::{DecisionRecordStatus, JudgedBy, Silence, Tripwire, TripwireState, WireStatus};
use obstack_crds::{Component, DecisionRecordSpec};

use super::{Plan, numbers};
use crate::names::{Role, StackId};
use crate::observe::{Fact, Facts, WireReading, WireSaid};

/// Pressure from which a tripwire is at risk, as in the rules that the engine evaluates.
const AT_RISK: f64 = 0.8;
/// Edges between the bands of pressure.
const EDGES: [f64; 3] = [0.5, AT_RISK, 1.0];
/// The bands, from the lowest.
const BANDS: [&str; 4] = ["<0.5", "0.5-0.8", "0.8-1.0", ">=1.0"];
/// Share of an edge below which a pressure must fall until its band falls: a value that dances at an edge is
/// written down once.
const BAND_FALLS: f64 = 0.9;

/// Replicas that are noted as silent, at most; the schema's bound.
const MAX_SILENT: usize = 32;

/// How one tripwire stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct WireNow {
    /// What is written down of it.
    pub status: WireStatus,
    /// Its value on the replica where its pressure is highest; none where it is not known.
    pub value: Option<f64>,
    /// That pressure.
    pub pressure: Option<f64>,
    /// Its bound; none where that is no number.
    pub bound: Option<f64>,
}

/// What can be seen of tripwires at one moment.
#[derive(Clone, Debug)]
pub struct Watch<'a> {
    /// None where it is not known which replicas there are: then nothing new is known of any tripwire.
    replicas: Option<Vec<Replica<'a>>>,
    now: Timestamp,
}

#[derive(Clone, Debug)]
struct Replica<'a> {
    name: String,
    /// None where it does not answer.
    said: Option<&'a [WireReading]>,
}

/// What one replica says of a tripwire.
#[derive(Clone, Debug, Default)]
struct Said {
    value: Option<f64>,
    pressure: Option<f64>,
    firing: BTreeSet<TripwireState>,
}

impl<'a> Watch<'a> {
    /// Nothing can be seen, as where no cluster was asked: what was said stays.
    pub fn nothing() -> Self {
        Self { replicas: None, now: Timestamp::UNIX_EPOCH }
    }

    /// What the replicas of the metrics store say. A replica that the plan wants and that is not there does
    /// not answer; where nothing is deployed, those count that are left of what was.
    pub fn of(id: &StackId, plan: &Plan, facts: &'a Facts, now: Timestamp) -> Self {
        let Some(pods) = facts.pods.known() else { return Self { replicas: None, now } };
        let wanted = plan.sizing_of(Component::MetricsStore).map(|sizing| sizing.replicas);
        let names: Vec<String> = match wanted {
            Some(replicas) => (0..replicas).map(|i| format!("{}-{i}", id.child(Role::Metrics))).collect(),
            None => pods.get(&Role::Metrics).into_iter().flatten().map(ResourceExt::name_any).collect(),
        };
        let said = |name: &String| match facts.wires.get(name) {
            Some(Fact::Known(readings)) => Some(readings.as_slice()),
            Some(Fact::Unavailable(_)) | None => None,
        };
        let replicas = names.into_iter().map(|name| Replica { said: said(&name), name }).collect();
        Self { replicas: Some(replicas), now }
    }

    /// How the tripwires of a record stand, in the order of its spec. None where nothing new is known: what
    /// was said stays.
    pub fn judge(
        &self,
        record: &str,
        spec: &DecisionRecordSpec,
        before: &DecisionRecordStatus,
    ) -> Option<Vec<WireNow>> {
        let replicas = self.replicas.as_deref()?;
        let before: BTreeMap<&str, &WireStatus> =
            before.tripwires.iter().map(|wire| (wire.id.as_str(), wire)).collect();
        let judge = |wire: &Tripwire| {
            let before = before.get(wire.id.as_str()).copied();
            match wire.judged_by {
                JudgedBy::Engine => by_engine(record, wire, before, replicas),
                JudgedBy::Operator => by_operator(wire, before, replicas, self.now),
            }
        };
        Some(spec.tripwires.iter().map(judge).collect())
    }
}

/// The state of a record: the worst of its tripwires. One without any has nothing that could break, and holds.
pub fn worst(wires: &[WireStatus]) -> TripwireState {
    wires.iter().map(|wire| wire.state).min().unwrap_or(TripwireState::Holding)
}

/// The highest band of pressure of these tripwires.
pub fn highest_band(wires: &[WireStatus]) -> Option<String> {
    let place = |band: &String| BANDS.iter().position(|known| known == band);
    wires.iter().filter_map(|wire| wire.pressure.clone()).max_by_key(place)
}

fn by_engine(
    record: &str,
    wire: &Tripwire,
    before: Option<&WireStatus>,
    replicas: &[Replica<'_>],
) -> WireNow {
    let nobody = || (TripwireState::Unknown, Some("no replica of a metrics store evaluates it".to_owned()));
    let said: Vec<Option<Said>> = replicas.iter().map(|replica| replica.of(record, &wire.id)).collect();
    let judged = replicas.iter().zip(&said).map(|(replica, said)| match said {
        None => (TripwireState::Unknown, Some(format!("{} does not answer", replica.name))),
        Some(said) => said.judge(&replica.name),
    });
    // The first of equals stays, so that the reason is that of one and the same replica.
    let worst = judged.reduce(|worst, next| if next.0 < worst.0 { next } else { worst });
    let (state, reason) = worst.unwrap_or_else(nobody);
    let known = said.into_iter().flatten().filter(|_| state != TripwireState::Unknown);
    let highest = known
        .filter(|said| said.pressure.is_some())
        .max_by(|a, b| a.pressure.unwrap_or_default().total_cmp(&b.pressure.unwrap_or_default()))
        .unwrap_or_default();
    now(wire, before, state, reason, highest.value, highest.pressure, Vec::new())
}

impl Replica<'_> {
    /// What it says of a tripwire of this record; none where it does not answer. Of several series, which no
    /// rule of ours makes, the highest counts.
    fn of(&self, record: &str, tripwire: &str) -> Option<Said> {
        let readings = self.said?.iter().filter(|r| r.record == record && r.tripwire == tripwire);
        let highest = |known: &mut Option<f64>, value: f64| {
            *known = Some(known.map_or(value, |known| known.max(value)));
        };
        Some(readings.fold(Said::default(), |mut said, reading| {
            match reading.said {
                WireSaid::Value(value) => highest(&mut said.value, value),
                WireSaid::Pressure(pressure) => highest(&mut said.pressure, pressure),
                WireSaid::Firing(state) => {
                    said.firing.insert(state);
                }
            }
            said
        }))
    }
}

impl Said {
    /// The state on one replica, with the reason where it is not known. An alert that says Tripped is believed
    /// without a value too: it goes on firing for a while when the value has gone.
    fn judge(&self, replica: &str) -> (TripwireState, Option<String>) {
        let fires = |state: TripwireState| self.firing.contains(&state);
        if fires(TripwireState::Tripped) {
            return (TripwireState::Tripped, None);
        }
        if self.value.is_none() {
            return (TripwireState::Unknown, Some(format!("{replica} has no value for it")));
        }
        if fires(TripwireState::Unknown) {
            return (TripwireState::Unknown, Some(format!("{replica} says that it has too little data")));
        }
        (if fires(TripwireState::AtRisk) { TripwireState::AtRisk } else { TripwireState::Holding }, None)
    }
}

/// Whether replicas answer, by the time for which they have not. It counts from a first time at which all of
/// them answered: a start is no death. Each replica counts by itself, so that a rollout, one replica after the
/// other, is no death either.
fn by_operator(
    wire: &Tripwire,
    before: Option<&WireStatus>,
    replicas: &[Replica<'_>],
    at: Timestamp,
) -> WireNow {
    let unknown = |reason: &str| {
        now(wire, before, TripwireState::Unknown, Some(reason.to_owned()), None, None, Vec::new())
    };
    let Some(bound) = bound(wire).filter(|bound| *bound > 0.0) else {
        return unknown("its bound is no number");
    };
    if replicas.is_empty() {
        return unknown("no replica is wanted");
    }
    let answered = before.is_some_and(|before| before.state != TripwireState::Unknown);
    let since = |replica: &Replica<'_>| {
        let noted = before.into_iter().flat_map(|before| &before.silent);
        let noted = noted.filter(|silence| silence.replica == replica.name).map(|silence| &silence.since);
        noted.filter_map(|since| since.parse().ok()).next().unwrap_or(at)
    };
    let silent = replicas.iter().filter(|replica| replica.said.is_none());
    let silent: Vec<(&str, Timestamp)> =
        silent.map(|replica| (replica.name.as_str(), since(replica))).collect();
    if !answered && !silent.is_empty() {
        return unknown("not every replica has answered yet");
    }
    let longest = silent.iter().min_by_key(|(_, since)| *since);
    let value =
        longest.map_or(0.0, |(_, since)| (at.as_millisecond() - since.as_millisecond()).max(0) as f64 / 1e3);
    let pressure = value / bound;
    let (state, reason) = match (longest, pressure) {
        (Some((name, _)), pressure) if pressure >= 1.0 => {
            let reason = format!(
                "{name} has not answered for longer than recoveryTime allows, which is {}",
                numbers::seconds(bound)
            );
            (TripwireState::Tripped, Some(reason))
        }
        (Some(_), pressure) if pressure >= AT_RISK => (TripwireState::AtRisk, None),
        _ => (TripwireState::Holding, None),
    };
    let silent = silent.into_iter().take(MAX_SILENT).map(|(replica, since)| Silence {
        replica: replica.to_owned(),
        since: since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    now(wire, before, state, reason, Some(value), Some(pressure), silent.collect())
}

fn bound(wire: &Tripwire) -> Option<f64> {
    wire.bound.parse().ok().filter(|bound: &f64| bound.is_finite())
}

fn now(
    wire: &Tripwire,
    before: Option<&WireStatus>,
    state: TripwireState,
    reason: Option<String>,
    value: Option<f64>,
    pressure: Option<f64>,
    silent: Vec<Silence>,
) -> WireNow {
    let last = before.and_then(|before| before.pressure.as_deref());
    let band = pressure.map(|pressure| band(pressure, last).to_owned());
    let status = WireStatus { id: wire.id.clone(), state, pressure: band, reason, silent };
    WireNow { status, value, pressure, bound: bound(wire) }
}

/// The band of a pressure. It rises as soon as an edge is reached, and falls only well below it.
fn band(pressure: f64, before: Option<&str>) -> &'static str {
    let passed = |factor: f64| EDGES.iter().filter(|edge| pressure >= **edge * factor).count();
    let last = before.and_then(|before| BANDS.iter().position(|band| *band == before)).unwrap_or(0);
    let place = passed(1.0).max(passed(BAND_FALLS).min(last));
    BANDS.get(place).copied().unwrap_or(BANDS[0])
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
