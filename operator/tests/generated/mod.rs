//! Stacks of all sizes and wishes, the same ones on every machine and in every process.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// Options that a person may choose, also against a requirement.
const CHOICES: [(&str, &str); 8] = [
    ("metricsStore", "Prometheus"),
    ("metricsStore", "VictoriaMetricsCluster"),
    ("metricsStore", "External"),
    ("longTermStorage", "None"),
    ("alerting", "None"),
    ("dashboards", "Grafana"),
    ("exposure", "Ingress"),
    ("delivery", "Native"),
];

/// The specs of `count` stacks. Not each of them is valid.
pub(crate) fn specs(count: usize) -> Vec<Value> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let all = spec();
    (0..count).map(|_| all.new_tree(&mut runner).expect("nothing is filtered").current()).collect()
}

fn spec() -> impl Strategy<Value = Value> {
    let numbers = (3.0f64..9.3, 1u64..600, 1u64..4_000, 1u64..20_000, any::<bool>());
    let budgets = (
        proptest::option::weighted(0.3, 27u32..45),
        proptest::option::weighted(0.3, 28u32..52),
        proptest::option::weighted(0.3, 0u64..100_000_000),
    );
    let denied = prop_oneof![
        6 => Just(json!([])),
        3 => Just(json!(["AGPL-3.0"])),
        1 => Just(json!(["Apache-2.0", "AGPL-3.0"])),
    ];
    let weights = proptest::collection::vec(0u8..=5, 7);
    let outside = (any::<bool>(), any::<bool>(), 0u8..4);
    let person = proptest::option::weighted(0.2, proptest::sample::select(CHOICES.to_vec()));
    let replicas = proptest::option::weighted(0.2, 2u8..5);
    (numbers, budgets, denied, weights, outside, person, replicas).prop_map(write)
}

type Inputs = (
    (f64, u64, u64, u64, bool),
    (Option<u32>, Option<u32>, Option<u64>),
    Value,
    Vec<u8>,
    (bool, bool, u8),
    Option<(&'static str, &'static str)>,
    Option<u8>,
);

fn write((numbers, budgets, denied, weights, outside, person, replicas): Inputs) -> Value {
    let (series, scrape, days, recovery, replicated) = numbers;
    let (memory, storage, cents) = budgets;
    let mut budget = json!({});
    if let Some(power) = memory {
        budget["memory"] = json!((1u64 << power).to_string());
    }
    if let Some(power) = storage {
        budget["storage"] = json!((1u64 << power).to_string());
    }
    if let Some(cents) = cents {
        budget["monthlyCost"] = json!(format!("{}.{:02}", cents / 100, cents % 100));
    }
    let names = [
        "cost",
        "reliability",
        "performanceEfficiency",
        "compatibility",
        "maintainability",
        "security",
        "flexibility",
    ];
    let priorities: serde_json::Map<String, Value> =
        names.iter().zip(weights).map(|(name, weight)| ((*name).to_owned(), json!(weight))).collect();
    let mut spec = json!({
        "requirements": {
            "activeSeries": (10f64.powf(series) as u64).to_string(),
            "scrapeInterval": format!("{scrape}s"),
            "retention": format!("{days}d"),
            "recoveryTime": format!("{recovery}s"),
            "availability": if replicated { "Replicated" } else { "Single" },
            "licences": { "deny": denied },
            "budget": budget,
        },
        "priorities": priorities,
    });
    let (host, class, receivers) = outside;
    if host {
        spec["exposure"] = json!({ "host": "obs.example.com" });
        if class {
            spec["exposure"]["className"] = json!("internal");
        }
    }
    if receivers > 0 {
        let mut receiver = json!({ "name": "team" });
        if receivers & 1 == 1 {
            receiver["slack"] = json!([{ "apiUrl": { "name": "slack", "key": "url" } }]);
        }
        if receivers & 2 == 2 {
            receiver["webhook"] = json!([{ "url": "http://hook.example.com/" }]);
        }
        spec["alerting"] = json!({ "route": { "receiver": "team" }, "receivers": [receiver] });
    }
    if let Some((component, choose)) = person {
        spec["decisions"] = json!({ component: { "choose": choose, "because": "we know it" } });
    }
    if let Some(replicas) = replicas {
        spec["metrics"] = json!({ "replicas": replicas });
    }
    spec
}
