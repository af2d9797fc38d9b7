//! The tripwires as the engine's own tool evaluates them: the rules that the program writes, with the windows that
//! it ships, on the series of `operator/rules/tests/tripwires/`.

use std::collections::{BTreeMap, BTreeSet};

use obstack::decide::engine_of;
use obstack::names::{Role, own_job};
use obstack::rules::RuleFile;
use obstack::rules::tripwires::{ALERTS, AT_RISK, PRESSURE, TRIPPED, UNKNOWN};
use obstack::units::PromDuration;
use obstack_crds::Component;
use obstack_crds::record::TripwireState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::check::{run, tool};
use super::{Case, catalog, root};

/// The stack whose rules are tested: one that has every wire that the operator can run.
const STACK: &str = "apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: main, namespace: monitoring }
spec:
  requirements: { activeSeries: 100k, retention: 15d, recoveryTime: 10m, availability: Replicated }
  metrics: { resources: { limits: { memory: 1Gi } } }
  alerting:
    route: { receiver: team }
    receivers: [{ name: team, webhook: [{ url: 'http://hooks.example/x' }] }]
";

/// Its wires of delivery are those of the other option.
const HANDED_OVER: &str =
    "  decisions: { delivery: { choose: PrometheusOperator, because: it is there already } }\n";

/// What becomes of one tripwire; `metricsStore.yaml` beside it says how it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    wire: String,
    name: String,
    #[serde(default = "minute")]
    every: String,
    #[serde(default = "minute")]
    interval: String,
    series: BTreeMap<String, String>,
    expect: BTreeMap<String, TripwireState>,
    #[serde(default)]
    never: Option<TripwireState>,
    #[serde(default)]
    fires: BTreeMap<String, TripwireState>,
}

fn minute() -> String {
    "1m".to_owned()
}

fn scenarios(component: Component) -> Vec<Scenario> {
    let path = root().join(format!("../../operator/rules/tests/tripwires/{component}.yaml"));
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display())),
        Err(_) => Vec::new(),
    }
}

fn alert_of(state: TripwireState) -> &'static str {
    match state {
        TripwireState::Tripped => TRIPPED,
        TripwireState::AtRisk => AT_RISK,
        TripwireState::Unknown => UNKNOWN,
        TripwireState::Holding => panic!("no alert says Holding"),
    }
}

/// The state as it is read from a replica, as a number that grows with how bad it is.
fn state(wire: &str) -> String {
    let firing = |alert: &str| {
        format!("count(ALERTS{{alertname=\"{alert}\",alertstate=\"firing\",tripwire=\"{wire}\"}})")
    };
    let pressure = format!("{PRESSURE}{{tripwire=\"{wire}\"}}");
    format!(
        "0 * {} + 3 or 0 * {} + 1 or 0 * count(absent({pressure})) + 1 or 0 * {} + 2 or 0 * count({pressure})",
        firing(TRIPPED),
        firing(UNKNOWN),
        firing(AT_RISK)
    )
}

fn number(state: TripwireState) -> u8 {
    match state {
        TripwireState::Holding => 0,
        TripwireState::Unknown => 1,
        TripwireState::AtRisk => 2,
        TripwireState::Tripped => 3,
    }
}

/// A scenario as promtool reads it.
fn as_test(component: Component, scenario: &Scenario, rules: &str) -> Value {
    let job = own_job(engine_of(component).unwrap().as_str());
    let series = scenario.series.iter().map(|(series, values)| {
        let own = series.replacen('{', &format!("{{job=\"{job}\","), 1);
        let series = if series.contains("job=") { series.clone() } else { own };
        json!({ "series": series, "values": values })
    });
    let mut questions = Vec::new();
    for (time, wanted) in &scenario.expect {
        questions.push(json!({
            "expr": state(&scenario.wire),
            "eval_time": time,
            "exp_samples": [{ "labels": "{}", "value": number(*wanted) }],
        }));
        if *wanted == TripwireState::Tripped {
            // One alert, the same from each replica of Prometheus.
            let labels = format!(
                "alertname=\"{TRIPPED}\",alertstate=\"firing\",namespace=\"monitoring\",stack=\"main\",\
                 component=\"{component}\",record=\"main-{}-0001\",tripwire=\"{}\",severity=\"warning\"",
                component.slug(),
                scenario.wire
            );
            questions.push(json!({
                "expr": format!("ALERTS{{alertname=\"{TRIPPED}\",alertstate=\"firing\"}}"),
                "eval_time": time,
                "exp_samples": [{ "labels": format!("ALERTS{{{labels}}}"), "value": 1 }],
            }));
        }
    }
    for (time, state) in &scenario.fires {
        questions.push(json!({
            "expr": format!("count(ALERTS{{alertname=\"{}\",alertstate=\"firing\"}})", alert_of(*state)),
            "eval_time": time,
            "exp_samples": [{ "labels": "{}", "value": 1 }],
        }));
    }
    if let Some(never) = scenario.never {
        let length = |time: &&String| time.parse::<PromDuration>().unwrap();
        let last = scenario.expect.keys().max_by_key(length).unwrap();
        questions.push(json!({
            "expr": format!("max_over_time(ALERTS{{alertname=\"{}\",alertstate=\"firing\"}}[{last}])", alert_of(never)),
            "eval_time": last,
            "exp_samples": [],
        }));
    }
    json!({
        "rule_files": [rules],
        "evaluation_interval": scenario.every,
        "tests": [{
            "name": scenario.name,
            "interval": scenario.interval,
            "input_series": series.collect::<Vec<_>>(),
            "promql_expr_test": questions,
        }],
    })
}

/// The text of a file of Prometheus, whoever delivers it.
fn file(case: &Case, path: &str) -> Option<String> {
    let configs = &case.built.configs;
    if let Some(generation) = configs.generations.get(&Role::Metrics) {
        return generation.file(path);
    }
    let found = configs.handed_over[&Role::Metrics].iter().find(|file| file.path == path)?;
    Some(String::from_utf8(found.bytes.to_vec()).unwrap())
}

/// The rules of each component's record, by the id of the wire.
fn rules(case: &Case, component: Component) -> BTreeMap<String, RuleFile> {
    let Some(text) = file(case, &format!("rules/tripwires.{component}.yaml")) else {
        return BTreeMap::new();
    };
    let file: RuleFile = serde_saphyr::from_str(&text).unwrap();
    let mut by_wire: BTreeMap<String, RuleFile> = BTreeMap::new();
    for rule in &file.groups[0].rules {
        let of = by_wire.entry(rule.labels["tripwire"].clone()).or_insert_with(|| {
            let mut empty = file.clone();
            empty.groups[0].rules.clear();
            empty
        });
        of.groups[0].rules.push(rule.clone());
    }
    by_wire
}

#[test]
fn promtool_proves_every_tripwire_in_both_directions() {
    let Some(promtool) = tool("promtool") else { return };
    let (native, handed_over) = (Case::of(STACK), Case::of(&format!("{STACK}{HANDED_OVER}")));
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec!["test".to_owned(), "rules".to_owned()];
    for component in Component::ALL {
        let case = if component == Component::Delivery { &handed_over } else { &native };
        let rules = rules(case, component);
        let scenarios = scenarios(component);
        for (wire, file) in &rules {
            std::fs::write(
                dir.path().join(format!("{component}.{wire}.yaml")),
                serde_json::to_vec(file).unwrap(),
            )
            .unwrap();
            let of = || scenarios.iter().filter(|s| s.wire == *wire);
            assert!(
                of().any(|s| s.expect.values().any(|w| *w == TripwireState::Tripped)),
                "{wire} never trips"
            );
            assert!(of().any(|s| s.never.is_some()), "{wire} has no healthy case");
        }
        for (index, scenario) in scenarios.iter().enumerate() {
            let name = format!("{component}.{}", scenario.wire);
            assert!(rules.contains_key(&scenario.wire), "no rules for {name}");
            let test = as_test(component, scenario, &format!("{name}.yaml"));
            let file = format!("test.{index:02}.{name}.json");
            std::fs::write(dir.path().join(&file), test.to_string()).unwrap();
            args.push(file);
        }
    }
    assert!(args.len() > 20, "{args:?}");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    run(&promtool, &args, dir.path(), "operator/rules/tests/tripwires");
}

/// Alertmanager's own tool says who is told: what has tripped goes to the stack's own route, whatever a person's
/// routes take, and what is at risk or unknown to nobody.
#[test]
fn amtool_sends_only_what_has_tripped_to_the_own_route() {
    let Some(amtool) = tool("amtool") else { return };
    let stack = STACK.replace(
        "route: { receiver: team }",
        "route: { receiver: team, routes: [{ receiver: pager, matchers: ['namespace=\"monitoring\"'] }] }",
    );
    let stack = stack.replace(
        "receivers: [",
        "receivers: [{ name: pager, webhook: [{ url: 'http://hooks.example/p' }] }, ",
    );
    let case = Case::of(&stack);
    let dir = tempfile::tempdir().unwrap();
    let text = case.built.configs.generations[&Role::Alerting].file("alertmanager.yaml").unwrap();
    std::fs::write(dir.path().join("alertmanager.yaml"), text).unwrap();
    for (alert, receiver) in
        [(TRIPPED, "team"), (AT_RISK, "null"), (UNKNOWN, "null"), ("TargetDown", "pager")]
    {
        let alert = format!("alertname={alert}");
        let args =
            ["config", "routes", "test", "--config.file=alertmanager.yaml", &alert, "namespace=monitoring"];
        assert_eq!(run(&amtool, &args, dir.path(), &alert).lines().next(), Some(receiver), "{alert}");
    }
}

/// What is never deployed, or judged by the operator, needs no test of promtool; all else is in the stack that is tested.
#[test]
fn every_tripwire_that_can_run_is_tested() {
    let (native, handed_over) = (Case::of(STACK), Case::of(&format!("{STACK}{HANDED_OVER}")));
    for component in Component::ALL {
        let case = if component == Component::Delivery { &handed_over } else { &native };
        let tested = rules(case, component);
        let options = catalog().options(component).iter().filter(|option| option.deployable);
        let all: BTreeSet<&String> = options
            .flat_map(|option| &option.tripwires)
            .filter(|w| w.judged_by.is_engine())
            .map(|w| &w.id)
            .collect();
        assert_eq!(tested.keys().collect::<BTreeSet<_>>(), all, "{component}");
        assert!(tested.values().all(|file| file.groups[0].rules.len() == 2 + ALERTS.len()), "{component}");
    }
}
