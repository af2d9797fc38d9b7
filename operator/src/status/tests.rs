mod handed_over;

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use obstack_crds::ObservabilityStackSpec;
use obstack_crds::record::{Phase, Silence, Tripwire, TripwireState, WireStatus};
use obstack_crds::status::{
    ACCEPTED, CONFIGURATION_LIVE, ComponentState, DECISIONS_HOLDING, DEGRADED, PROGRESSING, READY, Rejected,
};
use serde_json::{Value, json};

use super::*;
use crate::apply::{Drift, Failure, ObjectKey};
use crate::decide::watch::Watch;
use crate::decide::{Catalog, DecideFacts, Previous, decide};
use crate::names::{Role, StackId};
use crate::observe::{EngineFact, Fact, Refusal};
use crate::validate::validate;

const WANTED: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A stack whose every engine runs as wanted; each case spoils one thing.
struct Case {
    valid: Valid,
    plan: Plan,
    facts: Facts,
    engines: Vec<WantedEngine>,
    held: Vec<(obstack_crds::Component, String)>,
    rejected: Vec<Rejected>,
    objects: Objects,
    limits: Vec<String>,
    done: Option<Done>,
    previous: ObservabilityStackStatus,
    records: Vec<DecisionRecord>,
}

fn engine(role: Role, kind: &str) -> WantedEngine {
    WantedEngine {
        role,
        kind: kind.to_owned(),
        replicas: 1,
        generation: (role != Role::Dashboards).then(|| WANTED.to_owned()),
        flags: BTreeMap::from([("web.enable-lifecycle".to_owned(), "true".to_owned())]),
        version: Some("3.5.0".to_owned()),
    }
}

fn pod(role: Role, ready: bool, waiting: Option<(&str, &str)>) -> k8s_openapi::api::core::v1::Pod {
    let waiting =
        waiting.map(|(reason, message)| json!({ "waiting": { "reason": reason, "message": message } }));
    serde_json::from_value(json!({
        "metadata": { "name": format!("main-{}-0", role.as_str()) },
        "status": {
            "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }],
            "containerStatuses": [{
                "name": "engine", "ready": ready, "image": "", "imageID": "", "restartCount": 0,
                "state": waiting.unwrap_or(json!({ "running": {} }))
            }]
        }
    }))
    .unwrap()
}

fn workload(kind: &str, role: Role, ready: i32) -> Arc<kube::core::DynamicObject> {
    let object = json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": { "name": format!("main-{}", role.as_str()), "generation": 2 },
        "status": { "observedGeneration": 2, "readyReplicas": ready, "updatedReplicas": 1 }
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn said(generation: &str) -> Fact<EngineFact> {
    Fact::Known(EngineFact {
        generation: Some(generation.to_owned()),
        flags: Some(BTreeMap::from([("web.enable-lifecycle".to_owned(), "true".to_owned())])),
        version: "3.5.0".to_owned(),
    })
}

fn case(spec: Value) -> Case {
    let spec: ObservabilityStackSpec = serde_json::from_value(spec).unwrap();
    let id = StackId { namespace: "monitoring".to_owned(), name: "main".to_owned() };
    let valid = validate(id, &spec, None).unwrap();
    let catalog = Catalog::embedded().unwrap();
    let plan = decide(&valid, &DecideFacts::offline(), &Previous::default(), &catalog);
    let engines = vec![
        engine(Role::Metrics, "StatefulSet"),
        engine(Role::Alerting, "StatefulSet"),
        engine(Role::Dashboards, "Deployment"),
    ];
    let pods = engines.iter().map(|engine| (engine.role, vec![pod(engine.role, true, None)])).collect();
    let answer = |role: Role| (role, BTreeMap::from([(format!("main-{}-0", role.as_str()), said(WANTED))]));
    let facts = Facts {
        cluster: Fact::Unavailable("offline".to_owned()),
        owned: BTreeMap::from([
            (
                "StatefulSet".to_owned(),
                Fact::Known(vec![
                    workload("StatefulSet", Role::Metrics, 1),
                    workload("StatefulSet", Role::Alerting, 1),
                ]),
            ),
            ("Deployment".to_owned(), Fact::Known(vec![workload("Deployment", Role::Dashboards, 1)])),
        ]),
        pods: Fact::Known(pods),
        secrets: BTreeMap::new(),
        records: Fact::Known(Vec::new()),
        engines: BTreeMap::from([answer(Role::Metrics), answer(Role::Alerting)]),
        refusals: BTreeMap::new(),
        reloaders: BTreeMap::new(),
        wires: BTreeMap::new(),
        readings: BTreeMap::new(),
    };
    Case {
        valid,
        plan,
        facts,
        engines,
        held: Vec::new(),
        rejected: Vec::new(),
        objects: Objects::default(),
        limits: Vec::new(),
        done: Some(Done::default()),
        previous: ObservabilityStackStatus::default(),
        records: Vec::new(),
    }
}

impl Case {
    /// Writes the records down, with one tripwire of the store in a state and all others holding.
    fn stand(&mut self, id: &str, state: TripwireState, proposed: bool) {
        let now = Timestamp::from_second(100).unwrap();
        let actions = records::next(&self.plan, &self.valid, &[], now);
        self.records = records::after(&[], &actions);
        for record in &mut self.records {
            let wire = |wire: &Tripwire| WireStatus {
                id: wire.id.clone(),
                state: if wire.id == id { state } else { TripwireState::Holding },
                pressure: Some("0.5-0.8".to_owned()),
                reason: None,
                silent: Vec::new(),
            };
            let tripwires: Vec<WireStatus> = record.spec.tripwires.iter().map(wire).collect();
            let status = record.status.as_mut().unwrap();
            status.tripwire_state = Some(crate::decide::watch::worst(&tripwires));
            status.tripwires = tripwires;
        }
        if proposed {
            let mut record = self.records[0].clone();
            record.metadata.name = Some("main-metrics-store-0002".to_owned());
            record.spec.number = 2;
            record.status.as_mut().unwrap().phase = Some(Phase::Proposed);
            self.records.push(record);
        }
    }

    fn end<'a>(&'a self, watch: &'a Watch<'a>) -> End<'a> {
        End {
            valid: &self.valid,
            plan: &self.plan,
            facts: &self.facts,
            records: &self.records,
            watch,
            engines: &self.engines,
            held: &self.held,
            rejected: &self.rejected,
            objects: &self.objects,
            limits: &self.limits,
            done: self.done.as_ref(),
        }
    }

    fn derive_at(&self, second: i64) -> ObservabilityStackStatus {
        let watch = Watch::nothing();
        let end = self.end(&watch);
        derive(&Happened {
            generation: Some(7),
            previous: &self.previous,
            reached: Reached::End(&end),
            now: Timestamp::from_second(second).unwrap(),
        })
    }

    fn derive(&self) -> ObservabilityStackStatus {
        self.derive_at(100)
    }

    fn say(&mut self, role: Role, fact: Fact<EngineFact>) {
        self.facts.engines.insert(role, BTreeMap::from([(format!("main-{}-0", role.as_str()), fact)]));
    }

    fn refuse(&mut self, generation: &str) {
        let refusal =
            Refusal { generation: generation.to_owned(), reason: "rules/x.yaml: no".to_owned(), path: None };
        let pods = BTreeMap::from([("main-metrics-0".to_owned(), refusal)]);
        self.facts.refusals.insert(Role::Metrics, pods);
    }

    fn fail(&mut self, class: Class, reason: &'static str) {
        let object = ObjectKey { kind: "Service".to_owned(), namespace: None, name: "x".to_owned() };
        let component = obstack_crds::Component::Alerting;
        let failure = Failure { object, component, class, reason, message: format!("{reason} happened") };
        self.done = Some(Done { failures: vec![failure], ..Done::default() });
    }
}

/// Status and reason of a condition, as `True Live`.
fn condition(status: &ObservabilityStackStatus, kind: &str) -> String {
    let condition = status.conditions.iter().find(|c| c.type_ == kind).unwrap();
    format!("{} {}", condition.status, condition.reason)
}

fn state(status: &ObservabilityStackStatus, component: obstack_crds::Component) -> ComponentState {
    status.components.iter().find(|c| c.component == component).unwrap().state
}

#[test]
fn all_is_well() {
    let status = case(json!({})).derive();
    assert_eq!(status.observed_generation, Some(7));
    assert_eq!(status.store.as_deref(), Some("Prometheus"));
    for (kind, expected) in [
        (ACCEPTED, "True Accepted"),
        (READY, "True AllReady"),
        (CONFIGURATION_LIVE, "True Live"),
        (PROGRESSING, "False Settled"),
        (DEGRADED, "False AsExpected"),
    ] {
        assert_eq!(condition(&status, kind), expected);
    }
    assert_eq!(status.look_at, None);
    let store =
        status.components.iter().find(|c| c.component == obstack_crds::Component::MetricsStore).unwrap();
    assert_eq!(store.config_running.as_deref(), Some("aaaaaaaaaaaa"));
    assert_eq!(store.version.as_deref(), Some("3.5.0"));
    assert_eq!((store.replicas, store.ready), (Some(1), Some(1)));
}

#[test]
fn each_trouble_has_its_condition() {
    type Spoil = fn(&mut Case);
    let table: [(&str, Spoil, &str, &str); 14] = [
        (
            "another generation",
            |c| c.say(Role::Alerting, said(OTHER)),
            CONFIGURATION_LIVE,
            "False OtherGeneration",
        ),
        ("a generation that a reloader refuses", |c| c.refuse(WANTED), CONFIGURATION_LIVE, "False Refused"),
        ("a refusal is for a person", |c| c.refuse(WANTED), DEGRADED, "True ConfigurationRefused"),
        (
            "another flag",
            |c| {
                c.engines[0].flags.insert("web.enable-lifecycle".to_owned(), "false".to_owned());
            },
            CONFIGURATION_LIVE,
            "False OtherFlags",
        ),
        (
            "another version",
            |c| c.engines[0].version = Some("3.6.0".to_owned()),
            CONFIGURATION_LIVE,
            "True VersionSkew",
        ),
        (
            "an engine that does not answer",
            |c| c.say(Role::Metrics, Fact::Unavailable("refused".to_owned())),
            CONFIGURATION_LIVE,
            "Unknown EngineUnreachable",
        ),
        (
            "no replica ready",
            |c| {
                let pods = BTreeMap::from([(Role::Metrics, vec![pod(Role::Metrics, false, None)])]);
                c.facts.pods = Fact::Known(pods);
            },
            CONFIGURATION_LIVE,
            "Unknown NoReplicaReady",
        ),
        (
            "an image that is not there",
            |c| {
                let dashboards = vec![workload("Deployment", Role::Dashboards, 0)];
                c.facts.owned.insert("Deployment".to_owned(), Fact::Known(dashboards));
                let waits =
                    pod(Role::Dashboards, false, Some(("ErrImageNeverPull", "no binary for grafana")));
                let Fact::Known(pods) = &mut c.facts.pods else { unreachable!() };
                pods.insert(Role::Dashboards, vec![waits]);
            },
            READY,
            "False ComponentsPending",
        ),
        (
            "a workload that cannot be read",
            |c| {
                c.facts.owned.insert("StatefulSet".to_owned(), Fact::Unavailable("503".to_owned()));
            },
            READY,
            "Unknown ComponentsUnknown",
        ),
        (
            "a Secret that cannot be read",
            |c| c.held.push((obstack_crds::Component::Alerting, "Secret x could not be read".to_owned())),
            READY,
            "Unknown ComponentsUnknown",
        ),
        ("a right that is missing", |c| c.fail(Class::Forbidden, "Forbidden"), DEGRADED, "True Forbidden"),
        ("an outage", |c| c.fail(Class::Transient, "ApplyFailed"), PROGRESSING, "True Retrying"),
        (
            "a part kept out",
            |c| c.rejected.push(Rejected { object: "spec.x".to_owned(), reason: "no".to_owned() }),
            DEGRADED,
            "True PartsRejected",
        ),
        ("paused", |c| c.done = None, PROGRESSING, "False Paused"),
    ];
    for (what, spoil, kind, expected) in table {
        let mut case = case(json!({}));
        spoil(&mut case);
        let status = case.derive();
        assert_eq!(condition(&status, kind), expected, "{what}");
    }
}

#[test]
fn an_outage_degrades_nothing_and_a_pending_component_hides_no_other() {
    let mut outage = case(json!({}));
    outage.fail(Class::Transient, "ApplyFailed");
    assert_eq!(condition(&outage.derive(), DEGRADED), "False AsExpected");

    let mut pending = case(json!({}));
    let dashboards = vec![workload("Deployment", Role::Dashboards, 0)];
    pending.facts.owned.insert("Deployment".to_owned(), Fact::Known(dashboards));
    let waits = pod(Role::Dashboards, false, Some(("ErrImageNeverPull", "no binary for grafana")));
    let Fact::Known(pods) = &mut pending.facts.pods else { panic!("pods are known") };
    pods.insert(Role::Dashboards, vec![waits]);
    let status = pending.derive();
    assert_eq!(state(&status, obstack_crds::Component::Dashboards), ComponentState::Pending);
    assert_eq!(state(&status, obstack_crds::Component::MetricsStore), ComponentState::Ready);
    assert_eq!(condition(&status, CONFIGURATION_LIVE), "True Live");
    assert!(status.look_at.as_deref().is_some_and(|hint| hint.contains("no binary for grafana")));
}

#[test]
fn a_choice_that_cannot_be_deployed_is_said_plainly() {
    let overridden =
        json!({ "decisions": { "metricsStore": { "choose": "Mimir", "because": "we run it" } } });
    let mut case = case(overridden);
    case.engines.retain(|engine| engine.role != Role::Metrics);
    let status = case.derive();
    assert_eq!(state(&status, obstack_crds::Component::MetricsStore), ComponentState::NotDeployable);
    assert_eq!(condition(&status, READY), "False NotDeployable");
    assert_eq!(condition(&status, DEGRADED), "True NotDeployable");
    let hint = status.look_at.unwrap();
    assert!(hint.contains("Mimir"), "{hint}");
}

#[test]
fn what_was_known_last_is_kept_while_an_engine_does_not_answer() {
    let mut case = case(json!({}));
    case.previous = case.derive_at(100);
    for role in [Role::Metrics, Role::Alerting] {
        case.say(role, Fact::Unavailable("refused".to_owned()));
    }
    let unknown = case.derive_at(200);
    let store = &unknown.components[0];
    assert_eq!(store.config_running.as_deref(), Some("aaaaaaaaaaaa"));
    assert_eq!(store.version.as_deref(), Some("3.5.0"));
    let message = |status: &ObservabilityStackStatus| {
        status.conditions.iter().find(|c| c.type_ == CONFIGURATION_LIVE).unwrap().message.clone()
    };
    assert!(message(&unknown).ends_with("; last known: True (Live)"), "{}", message(&unknown));
    case.previous = unknown.clone();
    assert_eq!(case.derive_at(300), unknown, "the same outage says the same");
}

#[test]
fn a_transition_is_timed_by_its_status_alone() {
    let mut case = case(json!({}));
    case.previous = case.derive_at(100);
    assert_eq!(case.derive_at(200), case.previous, "a stack at rest says nothing new");
    case.engines[0].version = Some("3.6.0".to_owned());
    let skew = case.derive_at(300);
    let since = |status: &ObservabilityStackStatus, kind: &str| {
        status.conditions.iter().find(|c| c.type_ == kind).unwrap().last_transition_time.0.as_second()
    };
    assert_eq!(condition(&skew, CONFIGURATION_LIVE), "True VersionSkew");
    assert_eq!(since(&skew, CONFIGURATION_LIVE), 100);
    case.say(Role::Metrics, said(OTHER));
    assert_eq!(since(&case.derive_at(400), CONFIGURATION_LIVE), 400);
}

#[test]
fn a_stack_that_cannot_be_taken_up_keeps_what_was_said_of_what_runs() {
    let good = case(json!({})).derive_at(100);
    let faults = [Fault {
        path: "spec.requirements.retention".to_owned(),
        found: "\"x\"".to_owned(),
        write: "15d".to_owned(),
    }];
    let now = Timestamp::from_second(200).unwrap();
    for (reached, reason) in
        [(Reached::Invalid(&faults), "False Invalid"), (Reached::Unreadable("no"), "False Unreadable")]
    {
        let status = derive(&Happened { generation: Some(8), previous: &good, reached, now });
        assert_eq!(condition(&status, ACCEPTED), reason);
        assert_eq!(condition(&status, READY), "True AllReady");
        assert_eq!(status.components, good.components);
        assert_eq!(status.observed_generation, Some(8));
        assert!(status.look_at.is_some());
    }
    let nothing = ObservabilityStackStatus::default();
    let reached = Reached::Invalid(&faults);
    let first = derive(&Happened { generation: Some(1), previous: &nothing, reached, now });
    assert_eq!(condition(&first, READY), "Unknown NotReached");
    assert_eq!(first.conditions.len(), 6);
}

#[test]
fn a_status_stays_within_the_bounds_of_its_schema() {
    let mut case = case(json!({}));
    for i in 0..100 {
        case.rejected.push(Rejected { object: format!("spec.rules.groups[{i}]"), reason: "ä".repeat(5000) });
    }
    let status = case.derive();
    assert_eq!(status.rejected.len(), 32);
    assert_eq!(status.rejected[31].object, "69 more");
    assert!(status.rejected.iter().all(|part| part.reason.chars().count() <= 1024));
    assert!(status.conditions.iter().all(|c| c.message.chars().count() <= 1024));
    assert!(status.look_at.unwrap().chars().count() <= 256);
}

#[test]
fn decisions_hold_by_the_worst_of_their_tripwires() {
    let message = |status: &ObservabilityStackStatus| {
        status.conditions.iter().find(|c| c.type_ == DECISIONS_HOLDING).unwrap().message.clone()
    };
    let mut case = case(json!({}));
    assert_eq!(condition(&case.derive(), DECISIONS_HOLDING), "Unknown NoRecords");
    case.stand("memory", TripwireState::Holding, false);
    let holding = case.derive();
    // The components that nothing is measured of hold back nothing.
    assert_eq!(condition(&holding, DECISIONS_HOLDING), "True Holding");
    assert_eq!(holding.decisions[0].pressure.as_deref(), Some("0.5-0.8"));

    case.stand("memory", TripwireState::AtRisk, false);
    let at_risk = case.derive();
    assert_eq!(condition(&at_risk, DECISIONS_HOLDING), "True AtRisk");
    assert_eq!(message(&at_risk), "close to a bound: metricsStore: memory (next VictoriaMetricsSingle)");

    case.stand("memory", TripwireState::Unknown, false);
    let unknown = case.derive();
    assert_eq!(condition(&unknown, DECISIONS_HOLDING), "Unknown NotMeasured");
    assert_eq!(message(&unknown), "not enough is measured for: metricsStore");

    case.stand("memory", TripwireState::Tripped, true);
    let tripped = case.derive();
    assert_eq!(condition(&tripped, DECISIONS_HOLDING), "False Tripped");
    let said = "look at these decisions again: metricsStore: memory (next VictoriaMetricsSingle); see \
                main-metrics-store-0002, which is proposed";
    assert_eq!(message(&tripped), said);
    assert_eq!(tripped.look_at.as_deref(), Some(said));
    assert_eq!(tripped.decisions[0].tripped, ["memory"]);
}

#[test]
fn what_the_operator_judges_is_an_alert_that_ends_by_itself() {
    let mut case = case(json!({ "metrics": { "externalLabels": { "region": "r1" } } }));
    let now = Timestamp::from_second(1_800_000_600).unwrap();
    let alerts = |case: &Case| {
        let watch = Watch::nothing();
        let end = case.end(&watch);
        build_alerts(&end, now)
    };
    case.stand("engine-dead", TripwireState::AtRisk, false);
    assert_eq!(alerts(&case), Vec::<Value>::new());
    case.stand("memory", TripwireState::Tripped, false);
    assert_eq!(alerts(&case), Vec::<Value>::new(), "the engine sends its own");
    case.stand("engine-dead", TripwireState::Tripped, false);
    let silence = Silence { replica: "main-metrics-0".to_owned(), since: "2027-01-15T08:00:00Z".to_owned() };
    let wires = &mut case.records[0].status.as_mut().unwrap().tripwires;
    let dead = wires.iter_mut().find(|wire| wire.id == "engine-dead").unwrap();
    dead.silent = vec![silence];
    dead.reason = Some("main-metrics-0 has not answered".to_owned());
    let sent = alerts(&case);
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0]["labels"],
        json!({
            "alertname": "TradeoffTripped", "namespace": "monitoring", "stack": "main",
            "component": "metricsStore", "record": "main-metrics-store-0001", "tripwire": "engine-dead",
            "severity": "warning", "environment": "dev", "region": "r1"
        })
    );
    assert_eq!(sent[0]["startsAt"], "2027-01-15T08:00:00Z");
    assert_eq!(sent[0]["endsAt"], "2027-01-15T08:15:00Z");
    let said = sent[0]["annotations"]["description"].as_str().unwrap();
    assert!(said.starts_with("main-metrics-0 has not answered. Next is VictoriaMetricsSingle: "), "{said}");
}

#[test]
fn a_trip_is_told_once() {
    let mut case = case(json!({}));
    case.stand("memory", TripwireState::Holding, false);
    let holding = case.derive();
    case.stand("memory", TripwireState::Tripped, true);
    let tripped = case.derive();
    let told = happenings(&holding, &tripped, None, &case.records);
    let reasons: Vec<_> = told.iter().map(|h| (h.warning, h.reason.as_str())).collect();
    assert_eq!(reasons, [(false, "Proposed"), (true, "TradeoffTripped")]);
    let note = &told[1].note;
    let begin = "tripwire memory of main-metrics-store-0001 (metrics store) is tripped: its bound is 0.8; \
                 next is VictoriaMetricsSingle: a second store";
    assert!(note.starts_with(begin), "{note}");
    assert_eq!(happenings(&tripped, &tripped, None, &case.records), [], "and not again");

    // Its end closes the proposal, which decides nothing new.
    case.stand("memory", TripwireState::Holding, false);
    assert_eq!(happenings(&tripped, &case.derive(), None, &case.records), []);
}

#[test]
fn only_what_is_new_is_told() {
    let mut case = case(json!({}));
    let first = case.derive();
    let told: Vec<String> =
        happenings(&case.previous, &first, case.done.as_ref(), &[]).into_iter().map(|h| h.reason).collect();
    assert_eq!(told, ["Ready"]);
    assert_eq!(happenings(&first, &first, case.done.as_ref(), &[]), []);

    case.previous = first.clone();
    case.fail(Class::Forbidden, "Forbidden");
    let degraded = case.derive();
    let told = happenings(&first, &degraded, case.done.as_ref(), &[]);
    assert_eq!(
        told.iter().map(|h| (h.warning, h.reason.as_str())).collect::<Vec<_>>(),
        [(true, "Forbidden")]
    );

    let object =
        ObjectKey { kind: "Service".to_owned(), namespace: Some("n".to_owned()), name: "x".to_owned() };
    let drift = Drift { object: object.clone(), paths: vec!["spec.ports".to_owned()] };
    let done = Done { drift: vec![drift], pruned: vec![object], ..Done::default() };
    let told = happenings(&degraded, &degraded, Some(&done), &[]);
    assert_eq!(told[0].note, "Service/n/x: put back spec.ports");
    assert_eq!(told[1].note, "deleted Service/n/x, which is no longer wanted");
    let recovered = happenings(&degraded, &first, None, &[]);
    assert_eq!(recovered.iter().map(|h| h.reason.as_str()).collect::<Vec<_>>(), ["Recovered"]);
}

#[test]
fn a_persons_choice_against_a_requirement_is_said_by_a_condition() {
    let spec = |series: &str| {
        json!({
            "requirements": { "activeSeries": series },
            "decisions": { "metricsStore": { "choose": "Prometheus", "because": "we shard by hand" } }
        })
    };
    let status = case(spec("50M")).derive();
    assert_eq!(condition(&status, ACCEPTED), "True PersonOverrides");
    let message = &status.conditions.iter().find(|c| c.type_ == ACCEPTED).unwrap().message;
    assert!(message.starts_with("metricsStore: Prometheus breaks requirements.activeSeries"), "{message}");
    assert!(message.ends_with("and a person chose it"), "{message}");
    // A choice that breaks nothing is no matter for a condition.
    assert_eq!(condition(&case(spec("50k")).derive(), ACCEPTED), "True Accepted");

    let mut both = case(spec("50M"));
    both.rejected.push(Rejected { object: "Rule/x".to_owned(), reason: "no".to_owned() });
    let status = both.derive();
    assert_eq!(condition(&status, ACCEPTED), "True AcceptedInPart");
    let message = &status.conditions.iter().find(|c| c.type_ == ACCEPTED).unwrap().message;
    assert!(message.contains("1 part was kept out") && message.contains("Prometheus breaks"), "{message}");
}
