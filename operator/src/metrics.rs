//! The operator's own metrics, as OpenMetrics. Every label comes from a closed set, but for the names of
//! stacks and of records, which are what those metrics are about.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use obstack_crds::Component;
use obstack_crds::record::TripwireState;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::decide::calibration::Compared;
use crate::decide::measured::COMPONENT;
use crate::error::Class;
use crate::names::StackId;
use crate::observe::kinds::OWNED;

/// Content type of the text that [`Metrics::encode`] makes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type FloatGauge = Gauge<f64, std::sync::atomic::AtomicU64>;

/// How a write is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Server-side apply.
    Apply,
    /// Server-side apply of a status.
    ApplyStatus,
    /// Create.
    Create,
    /// Delete.
    Delete,
}

impl Verb {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::ApplyStatus => "apply_status",
            Self::Create => "create",
            Self::Delete => "delete",
        }
    }
}

/// A label value from a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Word(&'static str);

impl EncodeLabelValue for Word {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        EncodeLabelValue::encode(&self.0, encoder)
    }
}

/// The kind as a label: one that is not in the table of kinds is `other`, so that the set stays closed.
fn kind_word(kind: &str) -> Word {
    const MORE: [&str; 3] = ["ObservabilityStack", "DecisionRecord", "Event"];
    let known = OWNED.iter().map(|known| known.name).chain(MORE).find(|known| *known == kind);
    Word(known.unwrap_or("other"))
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    kind: Word,
    verb: Word,
    result: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StackLabels {
    namespace: String,
    stack: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DecisionLabels {
    namespace: String,
    stack: String,
    component: Word,
    record: String,
    chosen: String,
    chosen_by: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct WireLabels {
    namespace: String,
    stack: String,
    component: Word,
    record: String,
    tripwire: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SizingLabels {
    namespace: String,
    stack: String,
    component: Word,
    quantity: Word,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    namespace: String,
    stack: String,
    component: Word,
    state: Word,
}

/// A tripwire as the metrics show it, on the replica where its pressure is highest.
#[derive(Clone, Debug, PartialEq)]
pub struct WireMetric {
    /// Name of its record.
    pub record: String,
    /// Its id, from the catalog.
    pub tripwire: String,
    /// Its value; none where it is not known.
    pub value: Option<f64>,
    /// Its bound; none where that is no number.
    pub bound: Option<f64>,
    /// Its pressure; none where it is not known.
    pub pressure: Option<f64>,
}

/// A decision as the metrics show it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionMetric {
    /// Which component.
    pub component: obstack_crds::Component,
    /// Name of its newest record.
    pub record: String,
    /// The option in force; empty where none is left.
    pub chosen: String,
    /// Whether a person chose.
    pub by_person: bool,
    /// State of the tripwires of the record in force.
    pub state: TripwireState,
    /// Those tripwires.
    pub wires: Vec<WireMetric>,
}

/// Every metric of the operator.
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ResultLabel, Counter>,
    reconcile_seconds: Histogram,
    writes: Family<WriteLabels, Counter>,
    managed: Family<KindLabel, Gauge>,
    drift: Family<KindLabel, Counter>,
    rejected: Family<StackLabels, Gauge>,
    decision_info: Family<DecisionLabels, Gauge>,
    decision_state: Family<StateLabels, Gauge>,
    wire_value: Family<WireLabels, FloatGauge>,
    wire_bound: Family<WireLabels, FloatGauge>,
    wire_pressure: Family<WireLabels, FloatGauge>,
    sizing_predicted: Family<SizingLabels, FloatGauge>,
    sizing_measured: Family<SizingLabels, FloatGauge>,
    queue_depth: Gauge,
    queue_age: FloatGauge,
    leader: Gauge,
    /// Decisions that have samples, by stack, so that they go with it.
    shown: Mutex<BTreeMap<StackId, Vec<DecisionMetric>>>,
}

/// Quantities of sizing that have samples.
const SIZED: [&str; 4] = ["bytesPerSeries", "bytesPerSample", "indexBytesPerSeries", "memory"];

const STATES: [(TripwireState, &str); 4] = [
    (TripwireState::Tripped, "tripped"),
    (TripwireState::AtRisk, "at_risk"),
    (TripwireState::Unknown, "unknown"),
    (TripwireState::Holding, "holding"),
];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("obstack");
        let metrics = Self {
            reconciles: Family::default(),
            reconcile_seconds: Histogram::new([
                0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
            ]),
            writes: Family::default(),
            managed: Family::default(),
            drift: Family::default(),
            rejected: Family::default(),
            decision_info: Family::default(),
            decision_state: Family::default(),
            wire_value: Family::default(),
            wire_bound: Family::default(),
            wire_pressure: Family::default(),
            sizing_predicted: Family::default(),
            sizing_measured: Family::default(),
            queue_depth: Gauge::default(),
            queue_age: Gauge::default(),
            leader: Gauge::default(),
            shown: Mutex::default(),
            registry: Registry::default(),
        };
        registry.register("reconciles", "Reconciles, by result", metrics.reconciles.clone());
        registry.register_with_unit(
            "reconcile",
            "Length of a reconcile",
            Unit::Seconds,
            metrics.reconcile_seconds.clone(),
        );
        registry.register("api_writes", "Writes to the API server, by kind", metrics.writes.clone());
        registry.register("managed_objects", "Objects of all stacks, by kind", metrics.managed.clone());
        registry.register(
            "drift_corrections",
            "Objects with a field of ours that somebody else had changed",
            metrics.drift.clone(),
        );
        registry.register("rejected_objects", "Parts kept out, by stack", metrics.rejected.clone());
        registry.register(
            "decision_info",
            "The decision in force for each component, always 1",
            metrics.decision_info.clone(),
        );
        registry.register(
            "decision_state",
            "1 for the state that the tripwires of the decision are in, 0 for the others",
            metrics.decision_state.clone(),
        );
        registry.register(
            "tripwire_value",
            "Value of a tripwire of the record in force, in the unit of its bound",
            metrics.wire_value.clone(),
        );
        registry.register(
            "tripwire_bound",
            "The bound that the value of a tripwire is held against",
            metrics.wire_bound.clone(),
        );
        registry.register(
            "tripwire_pressure_ratio",
            "Value of a tripwire over its bound, on the replica where that is highest; 1 is the bound",
            metrics.wire_pressure.clone(),
        );
        registry.register(
            "sizing_predicted",
            "What the model of the decision says of one replica: bytes of memory, bytes per series and per sample",
            metrics.sizing_predicted.clone(),
        );
        registry.register(
            "sizing_measured",
            "The same as the fullest replica measures it now; absent while there is too little data",
            metrics.sizing_measured.clone(),
        );
        registry.register("queue_depth", "Stacks that are due and wait", metrics.queue_depth.clone());
        registry.register_with_unit(
            "queue_age",
            "How long the oldest stack that is due has waited",
            Unit::Seconds,
            metrics.queue_age.clone(),
        );
        registry.register("leader", "1 while this process may write", metrics.leader.clone());
        registry.register(
            "build",
            "Version of the operator",
            Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]),
        );
        // Series exist from the start: a counter that appears with its first failure hides that failure.
        for result in Class::ALL.into_iter().map(Class::as_str).chain(["ok", "waiting", "stopped"]) {
            drop(metrics.reconciles.get_or_create(&ResultLabel { result: Word(result) }));
        }
        for kind in OWNED {
            drop(metrics.drift.get_or_create(&KindLabel { kind: Word(kind.name) }));
            drop(metrics.managed.get_or_create(&KindLabel { kind: Word(kind.name) }));
        }
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// The metrics as OpenMetrics text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }

    /// Counts a reconcile. `result` is a class of error, `ok`, `waiting` or `stopped`.
    pub fn count_reconcile(&self, result: &'static str, length: Duration) {
        self.reconciles.get_or_create(&ResultLabel { result: Word(result) }).inc();
        self.reconcile_seconds.observe(length.as_secs_f64());
    }

    /// Counts a write.
    pub fn count_write(&self, kind: &str, verb: Verb, ok: bool) {
        let labels = WriteLabels {
            kind: kind_word(kind),
            verb: Word(verb.as_str()),
            result: Word(if ok { "ok" } else { "error" }),
        };
        self.writes.get_or_create(&labels).inc();
    }

    /// Counts an object whose fields were put back.
    pub fn count_drift(&self, kind: &str) {
        self.drift.get_or_create(&KindLabel { kind: kind_word(kind) }).inc();
    }

    /// Sets how many objects of a kind all stacks have together.
    pub fn set_managed(&self, kind: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.managed.get_or_create(&KindLabel { kind: kind_word(kind) }).set(count);
    }

    /// Sets how many stacks wait and how long the oldest has.
    pub fn set_queue(&self, depth: usize, age: Duration) {
        self.queue_depth.set(i64::try_from(depth).unwrap_or(i64::MAX));
        self.queue_age.set(age.as_secs_f64());
    }

    /// Sets whether this process may write.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Sets what a stack shows: parts kept out, and its decisions.
    pub fn set_stack(&self, id: &StackId, rejected: usize, decisions: Vec<DecisionMetric>) {
        self.rejected.get_or_create(&stack_labels(id)).set(i64::try_from(rejected).unwrap_or(i64::MAX));
        for decision in &decisions {
            self.decision_info.get_or_create(&info_labels(id, decision)).set(1);
            for (state, word) in STATES {
                let value = i64::from(state == decision.state);
                self.decision_state.get_or_create(&state_labels(id, decision, word)).set(value);
            }
        }
        for (labels, wire) in wires(id, &decisions) {
            for (family, value) in self.of_wire(wire) {
                // What is not known is no sample, and no 0.
                match value {
                    Some(value) => drop(family.get_or_create(&labels).set(value)),
                    None => drop(family.remove(&labels)),
                }
            }
        }
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let before = shown.insert(id.clone(), decisions.clone()).unwrap_or_default();
        drop(shown);
        for old in &before {
            if !decisions.iter().any(|new| info_labels(id, new) == info_labels(id, old)) {
                self.decision_info.remove(&info_labels(id, old));
            }
            if !decisions.iter().any(|new| new.component == old.component) {
                self.forget_state(id, old);
            }
        }
        let now: BTreeSet<WireLabels> = wires(id, &decisions).map(|(labels, _)| labels).collect();
        self.forget_wires(id, &before, &now);
    }

    /// Sets what the model of a stack's component says beside what is measured.
    pub fn set_sizing(&self, id: &StackId, component: Component, rows: &[Compared]) {
        for quantity in SIZED {
            let labels = sizing_labels(id, component, quantity);
            match rows.iter().find(|row| row.quantity == quantity) {
                Some(row) => {
                    self.sizing_predicted.get_or_create(&labels).set(row.predicted);
                    self.sizing_measured.get_or_create(&labels).set(row.measured);
                }
                None => {
                    self.sizing_predicted.remove(&labels);
                    self.sizing_measured.remove(&labels);
                }
            }
        }
    }

    /// Drops the samples of a stack that is gone.
    pub fn forget_stack(&self, id: &StackId) {
        self.set_sizing(id, COMPONENT, &[]);
        let before = self.shown.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        for old in before.iter().flatten() {
            self.decision_info.remove(&info_labels(id, old));
            self.forget_state(id, old);
        }
        self.forget_wires(id, &before.unwrap_or_default(), &BTreeSet::new());
        self.rejected.remove(&stack_labels(id));
    }

    fn of_wire(&self, wire: &WireMetric) -> [(&Family<WireLabels, FloatGauge>, Option<f64>); 3] {
        [(&self.wire_value, wire.value), (&self.wire_bound, wire.bound), (&self.wire_pressure, wire.pressure)]
    }

    fn forget_wires(&self, id: &StackId, before: &[DecisionMetric], now: &BTreeSet<WireLabels>) {
        for (labels, wire) in wires(id, before).filter(|(labels, _)| !now.contains(labels)) {
            for (family, _) in self.of_wire(wire) {
                family.remove(&labels);
            }
        }
    }

    fn forget_state(&self, id: &StackId, decision: &DecisionMetric) {
        for (_, word) in STATES {
            self.decision_state.remove(&state_labels(id, decision, word));
        }
    }
}

/// Every tripwire of these decisions with its labels.
fn wires<'a>(
    id: &'a StackId,
    decisions: &'a [DecisionMetric],
) -> impl Iterator<Item = (WireLabels, &'a WireMetric)> {
    let labels = move |component: obstack_crds::Component, wire: &WireMetric| WireLabels {
        namespace: id.namespace.clone(),
        stack: id.name.clone(),
        component: Word(component.id()),
        record: wire.record.clone(),
        tripwire: wire.tripwire.clone(),
    };
    decisions.iter().flat_map(move |decision| {
        decision.wires.iter().map(move |wire| (labels(decision.component, wire), wire))
    })
}

fn sizing_labels(id: &StackId, component: Component, quantity: &'static str) -> SizingLabels {
    SizingLabels {
        namespace: id.namespace.clone(),
        stack: id.name.clone(),
        component: Word(component.id()),
        quantity: Word(quantity),
    }
}

fn stack_labels(id: &StackId) -> StackLabels {
    StackLabels { namespace: id.namespace.clone(), stack: id.name.clone() }
}

fn info_labels(id: &StackId, decision: &DecisionMetric) -> DecisionLabels {
    DecisionLabels {
        namespace: id.namespace.clone(),
        stack: id.name.clone(),
        component: Word(decision.component.id()),
        record: decision.record.clone(),
        chosen: decision.chosen.clone(),
        chosen_by: Word(if decision.by_person { "person" } else { "engine" }),
    }
}

fn state_labels(id: &StackId, decision: &DecisionMetric, state: &'static str) -> StateLabels {
    StateLabels {
        namespace: id.namespace.clone(),
        stack: id.name.clone(),
        component: Word(decision.component.id()),
        state: Word(state),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decision(record: &str, state: TripwireState) -> DecisionMetric {
        DecisionMetric {
            component: Component::MetricsStore,
            record: record.to_owned(),
            chosen: "Prometheus".to_owned(),
            by_person: false,
            state,
            wires: vec![WireMetric {
                record: record.to_owned(),
                tripwire: "memory".to_owned(),
                value: Some(0.6),
                bound: Some(0.8),
                pressure: Some(0.75),
            }],
        }
    }

    #[test]
    fn a_tripwire_has_no_sample_where_it_is_not_known_and_none_once_its_record_or_stack_is_gone() {
        let metrics = Metrics::default();
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        let sample = |record: &str, name: &str, value: &str| {
            format!(
                "{name}{{namespace=\"monitoring\",stack=\"main\",component=\"metricsStore\",\
                 record=\"{record}\",tripwire=\"memory\"}} {value}\n"
            )
        };
        let mut known = decision("main-metrics-store-0001", TripwireState::Holding);
        metrics.set_stack(&id, 0, vec![known.clone()]);
        let text = metrics.encode().unwrap();
        for (name, value) in [
            ("obstack_tripwire_value", "0.6"),
            ("obstack_tripwire_bound", "0.8"),
            ("obstack_tripwire_pressure_ratio", "0.75"),
        ] {
            assert!(text.contains(&sample("main-metrics-store-0001", name, value)), "{name}: {text}");
        }
        known.wires[0].value = None;
        known.wires[0].pressure = None;
        metrics.set_stack(&id, 0, vec![known]);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("obstack_tripwire_value{"), "{text}");
        assert!(!text.contains("obstack_tripwire_pressure_ratio{"), "{text}");
        assert!(text.contains("obstack_tripwire_bound{"), "{text}");
        metrics.set_stack(&id, 0, vec![decision("main-metrics-store-0002", TripwireState::Holding)]);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("0001"), "{text}");
        assert!(text.contains(&sample("main-metrics-store-0002", "obstack_tripwire_value", "0.6")), "{text}");
        metrics.forget_stack(&id);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("monitoring"), "{text}");
    }

    #[test]
    fn a_new_record_replaces_the_old_one_and_a_stack_that_is_gone_leaves_nothing() {
        let metrics = Metrics::default();
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        metrics.set_stack(&id, 2, vec![decision("main-metrics-store-0001", TripwireState::Unknown)]);
        metrics.set_stack(&id, 2, vec![decision("main-metrics-store-0002", TripwireState::Holding)]);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("main-metrics-store-0001"), "{text}");
        assert!(text.contains("main-metrics-store-0002"), "{text}");
        let holding = r#"component="metricsStore",state="holding"} 1"#;
        assert!(text.contains(holding), "{text}");
        assert!(text.contains(r#"component="metricsStore",state="unknown"} 0"#), "{text}");
        assert!(
            text.contains(r#"obstack_rejected_objects{namespace="monitoring",stack="main"} 2"#),
            "{text}"
        );
        metrics.forget_stack(&id);
        let text = metrics.encode().unwrap();
        assert!(!text.contains("monitoring"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn sizing_is_there_while_it_is_measured_and_goes_with_the_stack() {
        let metrics = Metrics::default();
        let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
        let row = |quantity, predicted, measured| Compared { quantity, predicted, measured };
        let rows = [row("bytesPerSeries", 5000.0, 3100.0), row("memory", 6e8, 4e8)];
        metrics.set_sizing(&id, COMPONENT, &rows);
        let text = metrics.encode().unwrap();
        let labels =
            r#"{namespace="monitoring",stack="main",component="metricsStore",quantity="bytesPerSeries"}"#;
        assert!(text.contains(&format!("obstack_sizing_predicted{labels} 5000.0")), "{text}");
        assert!(text.contains(&format!("obstack_sizing_measured{labels} 3100.0")), "{text}");
        metrics.set_sizing(&id, COMPONENT, &rows[1..]);
        assert!(!metrics.encode().unwrap().contains("bytesPerSeries"));
        metrics.forget_stack(&id);
        assert!(!metrics.encode().unwrap().contains("monitoring"));
    }

    #[test]
    fn kinds_outside_of_the_table_do_not_widen_the_label() {
        let metrics = Metrics::default();
        metrics.count_write("SomebodysKind", Verb::Apply, true);
        let text = metrics.encode().unwrap();
        assert!(text.contains(r#"kind="other",verb="apply",result="ok"} 1"#), "{text}");
        assert!(!text.contains("SomebodysKind"), "{text}");
    }
}
