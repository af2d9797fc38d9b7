//! Tripwires on real engines, in minutes instead of days: the texts of the catalog are what runs, with all
//! durations of a wire divided by one factor, which each test prints. On the sandbox alone, as a control plane
//! adds nothing to what the engines say. What takes minutes is ignored, and run by `make live-tripwires`.

mod growth;
mod healthy;
mod own_wire;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated};
use kube::{Api, ResourceExt};
use obstack::units::PromDuration;
use obstack_crds::DecisionRecord;
use obstack_crds::record::{DecisionRecordStatus, TripwireState};
use obstack_sandbox::manifests;
use obstack_tests::ask;
use obstack_tests::load::{Load, Shape};
use obstack_tests::process::binary;
use obstack_tests::wait::until;
use obstack_tests::world::{NAMESPACE, World};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const BOUND: Duration = Duration::from_secs(120);
/// Time between two looks at the records.
const LOOK: Duration = Duration::from_millis(100);
/// Fewest scrapes that the shortest window of a wire may hold.
const LEAST_SCRAPES: u64 = 3;

/// The record of the metrics store.
const RECORD: &str = "main-metrics-store-0001";
/// Time between two scrapes of the long trials.
const LONG_INTERVAL: Duration = Duration::from_millis(500);
/// Blocks of the long trials: 2 hours, divided as `series` and `churn` are, so that a series that is gone stays
/// in the head for as large a share of a day as it does in earnest.
const LONG_BLOCKS: &str = "6s";
/// The wires of the long trials.
const LONG: [Divided; 8] = [
    Divided { wire: "metricsStore/series", by: 1_200, window: "6h" },
    Divided { wire: "metricsStore/churn", by: 1_200, window: "1h" },
    Divided { wire: "metricsStore/memory", by: 120, window: "1h" },
    Divided { wire: "metricsStore/retention", by: 900, window: "32d" },
    Divided { wire: "metricsStore/rules-missed", by: 60, window: "30m" },
    Divided { wire: "metricsStore/queries", by: 60, window: "30m" },
    Divided { wire: "collection/sample-limit", by: 120, window: "10m" },
    Divided { wire: "notification/notifications-failing", by: 60, window: "30m" },
];

/// Time between two evaluations: the 30 s that are shipped, divided as `rules-missed` is, so that one that is
/// missed is as large a share of its window as in earnest.
const EVALUATIONS: &str = "500ms";

/// How one wire is divided.
struct Divided {
    /// `component/tripwire`.
    wire: &'static str,
    /// By what.
    by: u64,
    /// The shortest window of its text over samples as they were scraped, as shipped.
    window: &'static str,
}

/// Divides wires; prints by what, and how many scrapes are left in the shortest window of each.
fn arguments(wires: &[Divided], interval: Duration) -> Vec<String> {
    let mut arguments = vec!["--resync=1s".to_owned()];
    for Divided { wire, by, window } in wires {
        let shipped = window.parse::<PromDuration>().unwrap();
        let millis = shipped.as_millis() / by;
        let scrapes = millis / interval.as_millis() as u64;
        println!(
            "{wire}: durations divided by {by}; its shortest window of {window} is {millis} ms and holds {scrapes} \
             scrapes of {interval:?}"
        );
        assert!(scrapes >= LEAST_SCRAPES, "{wire} has too few scrapes");
        arguments.push(format!("--tripwire-divisor={wire}={by}"));
    }
    arguments
}

/// A stack whose tripwires are divided, with a target whose series the test sets.
struct Trial {
    world: World,
    load: Load,
    /// URL of its Prometheus.
    prometheus: String,
}

impl Trial {
    /// Starts it. `blocks` is the length of Prometheus' blocks, which are 2 hours as it ships: series that are
    /// gone leave its head within one and a half of it.
    async fn start(wires: &[Divided], interval: Duration, blocks: &str, shape: Shape, spec: Value) -> Self {
        Self::start_with_hook("http://127.0.0.1:9", wires, interval, blocks, shape, spec).await
    }

    /// The same, with a Secret `hook` whose `url` its receivers can have.
    async fn start_with_hook(
        url: &str,
        wires: &[Divided],
        interval: Duration,
        blocks: &str,
        shape: Shape,
        mut spec: Value,
    ) -> Self {
        let arguments = arguments(wires, interval);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let load = Load::start(shape).await;
        let world = World::start_with(&arguments).await;
        world.secret("hook", &[("url", url)]).await;
        load.expose(&world).await;
        spec["requirements"]["scrapeInterval"] = json!(format!("{}ms", interval.as_millis()));
        spec["metrics"]["evaluationInterval"] = json!(EVALUATIONS);
        let mut flags = flags(&spec);
        flags.push(format!("--storage.tsdb.min-block-duration={blocks}"));
        let container = json!({ "name": "prometheus", "args": flags });
        spec["metrics"]["podTemplate"] = json!({ "spec": { "containers": [container] } });
        world.create_stack("main", spec).await;
        world.live("main", BOUND).await;
        let prometheus = world.url("main", "metrics").await;
        Self { world, load, prometheus }
    }

    /// A number that its Prometheus gives; none where it has no sample.
    async fn number(&self, expr: &str) -> Result<Option<f64>, String> {
        let samples = ask::query(&self.prometheus, expr).await?;
        Ok(samples.first().and_then(|sample| sample["value"][1].as_str()?.parse().ok()))
    }

    /// The recorded pressure of a tripwire.
    async fn pressure(&self, tripwire: &str) -> Option<f64> {
        let expr = format!("obstack:tripwire:pressure{{tripwire={tripwire:?}}}");
        self.number(&expr).await.ok().flatten()
    }

    /// Bytes of memory that its Prometheus takes, as it says itself.
    async fn memory(&self) -> Result<f64, String> {
        let metrics = ask::text(&format!("{}/metrics", self.prometheus)).await?;
        let line = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        line.and_then(|value| value.parse().ok()).ok_or("no such metric".to_owned())
    }

    /// Every wire, as `component/tripwire`, of which an alert has fired that says Tripped or AtRisk.
    async fn alarmed(&self) -> BTreeSet<String> {
        let fired = r#"count by (component, tripwire) (count_over_time(
            ALERTS{alertname=~"TradeoffTripped|TradeoffAtRisk",alertstate="firing"}[1d]))"#;
        let samples = until("Prometheus to answer", BOUND, || ask::query(&self.prometheus, fired)).await;
        let text = |sample: &Value, label: &str| sample["metric"][label].as_str().unwrap().to_owned();
        samples.iter().map(|s| format!("{}/{}", text(s, "component"), text(s, "tripwire"))).collect()
    }

    /// Waits until what is seen is in a state.
    async fn stands(&self, seen: &Seen, state: TripwireState, bound: Duration) -> Instant {
        let begun = Instant::now();
        until(&format!("{} to be {state:?}", seen.what), bound, || async {
            if let Some((since, _)) = seen.now().filter(|(_, now)| *now == state) {
                return Ok(since);
            }
            // Near the end of the wait what stands in the way is of interest; to ask at each look is load.
            let why =
                if begun.elapsed() > bound / 10 * 9 { self.why(&seen.record).await } else { String::new() };
            Err(format!("{:?}; {why}", seen.story()))
        })
        .await
    }

    /// Waits until one tripwire of a record is in a state.
    async fn wire(&self, record: &str, tripwire: &str, state: TripwireState, bound: Duration) {
        self.wire_in(record, tripwire, &[state], bound).await;
    }

    /// Waits until one tripwire of a record is in one of some states.
    async fn wire_in(&self, record: &str, tripwire: &str, states: &[TripwireState], bound: Duration) {
        let records: Api<DecisionRecord> = Api::namespaced(self.world.client(), NAMESPACE);
        until(&format!("{tripwire} of {record} to be one of {states:?}"), bound, || async {
            let found = records.get(record).await.map_err(|error| error.to_string())?;
            let wires = found.status.unwrap_or_default().tripwires;
            let is = wires.iter().any(|wire| wire.id == tripwire && states.contains(&wire.state));
            if is { Ok(()) } else { Err(format!("pressure {:?}; {wires:?}", self.pressure(tripwire).await)) }
        })
        .await;
    }

    /// How the run of Prometheus before this one ended; none where this is the first.
    async fn last_end(&self) -> Option<ContainerStateTerminated> {
        let pods = self.world.pods("obstack.io/role=metrics").await;
        let statuses = pods.into_iter().find_map(|pod| pod.status?.container_statuses)?;
        let container = statuses.into_iter().find(|container| container.name == "prometheus")?;
        let ended = |state: Option<ContainerState>| state?.terminated;
        ended(container.state).or(ended(container.last_state))
    }

    /// Why wires may lack values, for people: how they stand, which share of the last minute's scrapes of each target
    /// succeeded and how long the longest took, and how long groups of rules last took.
    async fn why(&self, record: &str) -> String {
        let mut told = self.wires(record).await;
        let numbers = [
            ("scraped", "avg by (job, instance) (avg_over_time(up[1m]))"),
            ("longest", "max by (job, instance) (max_over_time(scrape_duration_seconds[1m]))"),
            (
                "groups",
                "max by (rule_group) (max_over_time(prometheus_rule_group_last_duration_seconds[1m]))",
            ),
            (
                "missed",
                "sum by (rule_group) (increase(prometheus_rule_group_iterations_missed_total[1m]) > 0)",
            ),
        ];
        for (name, expr) in numbers {
            let samples = ask::query(&self.prometheus, expr).await;
            told += &match samples {
                Err(error) => format!("; {name}: {error}"),
                Ok(samples) => {
                    let each = samples.iter().map(|s| format!("{} {}", s["metric"], s["value"][1]));
                    format!("; {name}: {}", each.collect::<Vec<_>>().join(", "))
                }
            };
        }
        told
    }

    /// How the wires of a record stand, for people.
    async fn wires(&self, record: &str) -> String {
        let records: Api<DecisionRecord> = Api::namespaced(self.world.client(), NAMESPACE);
        let status = records.get(record).await.ok().and_then(|record| record.status).unwrap_or_default();
        serde_json::to_string(&status.tripwires).unwrap_or_default()
    }
}

/// The flags of the stack's Prometheus, as they would be without the test.
fn flags(spec: &Value) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let (stack, rendered) = (folder.path().join("stack.yaml"), folder.path().join("rendered.yaml"));
    let object = json!({
        "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack",
        "metadata": { "name": "main", "namespace": NAMESPACE }, "spec": spec,
    });
    std::fs::write(&stack, object.to_string()).unwrap();
    let output = Command::new(binary("obstack")).arg("render").arg("-f").arg(&stack).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&rendered, output.stdout).unwrap();
    let objects = manifests::load(&[rendered]).unwrap();
    let is_set = |object: &&kube::core::DynamicObject| {
        object.types.as_ref().is_some_and(|types| types.kind == "StatefulSet")
            && object.name_any() == "main-metrics"
    };
    let set = objects.iter().find(is_set).expect("the metrics store is rendered");
    let containers = set.data["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    let own = containers.iter().find(|container| container["name"] == "prometheus").unwrap();
    own["args"].as_array().unwrap().iter().map(|flag| flag.as_str().unwrap().to_owned()).collect()
}

/// What is seen of the state of a record, or of one of its tripwires, from now on until it is dropped.
struct Seen {
    record: String,
    /// What the state is of, for people.
    what: String,
    log: Arc<Mutex<Vec<(Instant, TripwireState)>>>,
    task: JoinHandle<()>,
}

impl Seen {
    fn of(trial: &Trial, record: &str) -> Self {
        Self::watch(trial, record, record.to_owned(), |status| status.tripwire_state)
    }

    fn of_wire(trial: &Trial, record: &str, wire: &'static str) -> Self {
        Self::watch(trial, record, format!("{wire} of {record}"), move |status| {
            Some(status.tripwires.iter().find(|found| found.id == wire)?.state)
        })
    }

    fn watch(
        trial: &Trial,
        record: &str,
        what: String,
        state: impl Fn(DecisionRecordStatus) -> Option<TripwireState> + Send + 'static,
    ) -> Self {
        let log = Arc::<Mutex<Vec<(Instant, TripwireState)>>>::default();
        let records: Api<DecisionRecord> = Api::namespaced(trial.world.client(), NAMESPACE);
        let (name, kept) = (record.to_owned(), log.clone());
        let task = tokio::spawn(async move {
            loop {
                let found = records.get(&name).await.ok();
                if let Some(state) = found.and_then(|record| state(record.status?)) {
                    let mut log = kept.lock().unwrap();
                    if log.last().is_none_or(|(_, last)| *last != state) {
                        log.push((Instant::now(), state));
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Self { record: record.to_owned(), what, log, task }
    }

    /// Each state once, in the order in which it was seen.
    fn story(&self) -> Vec<TripwireState> {
        self.log.lock().unwrap().iter().map(|(_, state)| *state).collect()
    }

    /// The story without Unknown: where samples are missing for a moment, as on a machine that is short of CPU,
    /// that says nothing of the way from one of the others to the next.
    fn steps(&self) -> Vec<TripwireState> {
        let mut steps = self.story();
        steps.retain(|state| *state != TripwireState::Unknown);
        steps.dedup();
        steps
    }

    /// The state now, and since when it is seen.
    fn now(&self) -> Option<(Instant, TripwireState)> {
        self.log.lock().unwrap().last().copied()
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.task.abort();
    }
}
