//! Series grow: the record says so before memory is at its limit, and the limit is one.

use std::cell::Cell;
use std::time::{Duration, Instant};

use obstack_crds::record::TripwireState::{AtRisk, Holding, Tripped};
use obstack_tests::load::Shape;
use obstack_tests::wait::until;
use serde_json::json;

use super::{BOUND, Divided, RECORD, Seen, Trial};

/// A scrape may take as long: on a machine that is short of CPU half of it was too little, and a wire without samples
/// is Unknown.
const INTERVAL: Duration = Duration::from_millis(500);
/// All wires of the record that need time: its state is that of the worst.
const WIRES: [Divided; 5] = [
    Divided { wire: "metricsStore/series", by: 7_200, window: "6h" },
    Divided { wire: "metricsStore/churn", by: 2_400, window: "1h" },
    Divided { wire: "metricsStore/memory", by: 120, window: "1h" },
    Divided { wire: "metricsStore/rules-missed", by: 60, window: "30m" },
    Divided { wire: "metricsStore/queries", by: 60, window: "30m" },
];
/// `keepFiringFor` of the wire `series`, 2 days, divided.
const KEPT: Duration = Duration::from_secs(24);
/// Between the last evaluation that saw the bound passed, the first that did not, and a look at either.
const SLACK: Duration = Duration::from_secs(1);
/// The memory limit of Prometheus.
const LIMIT: &str = "384Mi";
const LIMIT_BYTES: f64 = 402_653_184.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn growing_series_are_told_before_memory_is_at_its_limit_until_they_are_gone() {
    let few = Shape::Still(500);
    let spec = json!({
        "requirements": { "activeSeries": "8k" },
        "metrics": { "resources": { "requests": { "memory": "128Mi" }, "limits": { "memory": LIMIT } } },
    });
    let trial = Trial::start(&WIRES, INTERVAL, "6s", few, spec).await;
    // On a machine that is short of CPU evaluations are missed and questions take long, which other wires rightly tell:
    // the way is that of this wire, and the record is at least as bad.
    let (seen, record) = (Seen::of_wire(&trial, RECORD, "series"), Seen::of(&trial, RECORD));
    trial.stands(&record, Holding, BOUND).await;
    trial.stands(&seen, Holding, BOUND).await;
    let before = seen.steps().len() - 1;

    // As slow as it may be: the trend alone is at risk, and trips together with what has grown by then, some twenty
    // seconds later. A look that comes late on a busy machine still sees both.
    trial.load.set(Shape::Growing(500, 16.0));
    trial.stands(&seen, Tripped, BOUND).await;
    trial.stands(&record, Tripped, BOUND).await;
    assert_eq!(seen.steps()[before..], [Holding, AtRisk, Tripped], "{:?}", seen.story());
    assert!(trial.load.series() < 8_000, "the trend is told before the requirement is reached");
    let used = trial.memory().await.unwrap() / LIMIT_BYTES;
    assert!(used < 1.0, "memory is at {used} of its limit");
    assert_eq!(trial.last_end().await, None, "Prometheus runs since its start");
    println!("told with {} series of the target, memory at {used:.2} of its limit", trial.load.series());

    trial.load.set(few);
    // The begin of the last look that still saw it: a look may take long, and what it sees was so before its end.
    let above = Cell::new(Instant::now());
    until("the pressure to be below that of a risk", BOUND, || async {
        let begun = Instant::now();
        let pressure = trial.pressure("series").await;
        if pressure.is_some_and(|pressure| pressure < 0.8) {
            return Ok(());
        }
        above.set(begun);
        Err(pressure)
    })
    .await;
    assert_eq!(seen.steps().last(), Some(&Tripped), "it is kept for a while: {:?}", seen.story());
    let held = trial.stands(&seen, Holding, BOUND).await;
    assert!(held + SLACK >= above.get() + KEPT, "held again {:?} after", held - above.get());
    assert!(matches!(seen.steps()[before + 3..], [Holding] | [AtRisk, Holding]), "{:?}", seen.story());

    // The limit is one: a question that needs twice as much is the end of Prometheus.
    let question = [("query", "sum(sum_over_time(vector(1)[45000s:1ms]))")];
    let url =
        reqwest::Url::parse_with_params(&format!("{}/api/v1/query", trial.prometheus), question).unwrap();
    let client = reqwest::Client::builder().no_proxy().timeout(BOUND).build().unwrap();
    let asked = tokio::spawn(client.get(url).send());
    let end = until("Prometheus to end", BOUND, || async { trial.last_end().await.ok_or("it runs") }).await;
    assert_eq!((end.reason.as_deref(), end.exit_code), (Some("OOMKilled"), 137));
    assert!(asked.await.unwrap().is_err(), "nobody answers");
    trial.world.stop().await;
}
