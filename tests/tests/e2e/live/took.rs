//! How long a change takes from the API's answer until every engine names it: beside 1,000 other monitors, during a
//! rolling update, and with one replica that crashes again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use obstack_crds::status::READY;
use obstack_tests::coreos;
use obstack_tests::load::{Load, Shape};
use obstack_tests::wait::until;
use obstack_tests::world::{NAMESPACE, World};
use serde_json::{Value, json};

use super::processes::{self, Memory};
use super::table::{Figures, table};
use super::{BOUND, Lived, Trial, build, is_release, monitor, publish};

/// Monitors of two jobs each beside those that change.
const OTHERS: usize = 1_000;
/// Changes that judge.
const CHANGES: usize = 200;
/// Changes while something else happens.
const FEW: usize = 30;
/// Most seconds of a release build for 99 changes of 100.
const GOAL: f64 = 1.0;
/// Most KiB that a reloader may hold.
const MOST: u64 = 15 << 10;
/// Pause between two changes: what follows a change, such as its proof, is not measured with the next one.
const PAUSE: Duration = Duration::from_millis(700);

fn spec() -> Value {
    json!({
        "environment": "dev",
        "requirements": { "activeSeries": "50k", "scrapeInterval": "30s" },
        "metrics": { "replicas": 2 },
        "collection": { "services": false, "pods": false },
        "alerting": { "replicas": 1 },
        "decisions": { "dashboards": { "choose": "None", "because": "nobody looks at it here" } },
    })
}

/// What was measured, over all changes.
#[derive(Default)]
struct Took {
    named: Figures,
    ended: Figures,
    written: Figures,
    engine: Figures,
    tool: Figures,
    ours: Figures,
}

impl Took {
    fn rows(&self) -> String {
        table(&[
            ("from the API's answer until every Ready replica names it", &self.named),
            ("from the API's answer until every Ready replica has applied all of it", &self.ended),
            ("of it until the operator's pointer is written", &self.written),
            ("of it the engine's own reload, the slower replica", &self.engine),
            ("of it the check by the engine's own tool, the slower replica", &self.tool),
            ("of it all else, which is ours", &self.ours),
        ])
    }
}

/// Makes the objects that change.
async fn prepare(trial: &Trial) {
    trial.world.secret("login", &[("user", "me"), ("word", "0")]).await;
    let key = |key: &str| json!({ "name": "login", "key": key });
    let mut secret = monitor("with-login");
    secret["spec"]["endpoints"][0]["basicAuth"] = json!({ "username": key("user"), "password": key("word") });
    trial.create("ServiceMonitor", secret).await;
    let rules = json!({ "groups": [{ "name": "own", "rules": [{ "record": "own", "expr": "vector(0)" }] }] });
    trial.create("PrometheusRule", coreos::object("PrometheusRule", NAMESPACE, "rules", rules)).await;
    trial.picked_up("ServiceMonitor", OTHERS + 1).await;
    trial.picked_up("PrometheusRule", 1).await;
    trial.world.live("main", BOUND).await;
    trial.proven("metrics").await;
}

/// One change of the mix; the API has answered when it returns.
async fn change(trial: &Trial, number: usize) {
    match number % 3 {
        0 => {
            let mut changed = monitor(&format!("other-{}", number % OTHERS));
            changed["spec"]["endpoints"][0]["interval"] = json!(format!("{}s", 31 + number % 29));
            changed["spec"]["endpoints"][1]["path"] = json!(format!("/metrics/{number}"));
            let change = json!({ "spec": changed["spec"] });
            trial.merge("ServiceMonitor", &format!("other-{}", number % OTHERS), change).await;
        }
        1 => {
            let rule = json!({ "record": "own", "expr": format!("vector({number})") });
            let change = json!({ "spec": { "groups": [{ "name": "own", "rules": [rule] }] } });
            trial.merge("PrometheusRule", "rules", change).await;
        }
        _ => trial.world.secret("login", &[("user", "me"), ("word", &number.to_string())]).await,
    }
}

async fn measure(trial: &Trial, number: usize, took: &mut Took) {
    let before = trial.wanted("metrics").await.expect("a pointer");
    change(trial, number).await;
    let Lived { written, named, ended, replicas } = trial.live("metrics", &before, Instant::now()).await;
    let (mut engine, mut tool) = (0.0_f64, 0.0_f64);
    for replica in &replicas {
        engine = engine.max(trial.told(replica, "obstack_reloader_last_reload_seconds").await);
        tool = tool.max(trial.told(replica, "obstack_reloader_last_check_seconds").await);
    }
    let (engine, tool) = (Duration::from_secs_f64(engine), Duration::from_secs_f64(tool));
    took.named.add(named);
    took.ended.add(ended);
    took.written.add(written);
    took.engine.add(engine);
    took.tool.add(tool);
    took.ours.add(ended.saturating_sub(engine).saturating_sub(tool));
}

/// How long after a new monitor is live its target is found, which is the engine's own tick.
async fn discovered(trial: &Trial, number: usize, found: &mut Figures) {
    let (name, before) = (format!("seen-{number}"), trial.wanted("metrics").await.expect("a pointer"));
    let spec = json!({ "selector": {}, "endpoints": [{ "port": "http" }] });
    trial.create("ServiceMonitor", coreos::object("ServiceMonitor", NAMESPACE, &name, spec)).await;
    let replicas = trial.live("metrics", &before, Instant::now()).await.replicas;
    let from = Instant::now();
    let pool = format!("serviceMonitor/{NAMESPACE}/{name}/0");
    for replica in &replicas {
        let path = format!("/prometheus/api/v1/targets?state=active&scrapePool={pool}");
        let url = format!("http://{}:9090{path}", replica.address);
        until("the target of the new monitor", BOUND, || async {
            let answer = trial.text(url.clone()).await?;
            if answer.contains("\"scrapeUrl\"") { Ok(()) } else { Err("none".to_owned()) }
        })
        .await;
    }
    found.add(from.elapsed());
}

/// What the reloaders of the metrics store hold.
async fn reloaders(trial: &Trial) -> Vec<Memory> {
    let replicas = trial.ready("metrics").await;
    let of = |address: &str| processes::find("obstack", &["reloader", &format!("{address}:9533")]);
    replicas.iter().flat_map(|replica| of(&replica.address)).filter_map(processes::memory).collect()
}

fn of_memory(all: &[Memory]) -> String {
    let one = |m: &Memory| {
        format!(
            "| {} KiB resident | {} KiB of its own | {} KiB of files | {} KiB at most |\n",
            m.rss, m.own, m.files, m.most
        )
    };
    let head = "| now | | | ever |\n|---|---|---|---|\n";
    format!(
        "\nThe reloaders of the metrics store, after all changes:\n\n{head}{}",
        all.iter().map(one).collect::<String>()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and judges seconds: make live"]
async fn a_change_is_live_in_a_second() {
    let trial = Trial::start(spec(), OTHERS).await;
    let load = Load::start(Shape::Still(10)).await;
    load.expose(&trial.world).await;
    prepare(&trial).await;
    let (mut took, mut found) = (Took::default(), Figures::default());
    for number in 0..CHANGES {
        measure(&trial, number, &mut took).await;
        if number % 20 == 10 {
            discovered(&trial, number, &mut found).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    let memory = reloaders(&trial).await;
    let (named, ended) = (took.named.at(99).unwrap(), took.ended.at(99).unwrap());
    let verdict = |p99: f64| if p99 <= GOAL { "met" } else { "MISSED" };
    let text = format!(
        "## A change, beside {OTHERS} other monitors\n\n{CHANGES} changes, one after the other, of ServiceMonitors, \
         PrometheusRules and Secrets by turns; 2 replicas of Prometheus with {} jobs each; {}. The goal of {GOAL} s at \
         p99 is {} until each names the new generation itself, and {} until each has applied all of it: Prometheus \
         names it when it has read its main file, and reads the files of all jobs then.\n\n{}{}{}",
        OTHERS * 2 + 2,
        build(),
        verdict(named),
        verdict(ended),
        took.rows(),
        table(&[("discovery's own tick after it, until the target of a new monitor is there", &found)])
            .lines()
            .skip(2)
            .map(|line| format!("{line}\n"))
            .collect::<String>(),
        of_memory(&memory),
    );
    publish("1-changes", &text);
    assert_eq!(memory.len(), 2, "both reloaders were found");
    if is_release() {
        assert!(named <= GOAL && ended <= GOAL, "{named} s and {ended} s at p99");
        assert!(memory.iter().all(|memory| memory.rss <= MOST), "{memory:?}");
    }
    trial.world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and judges seconds: make live"]
async fn changes_go_on_during_a_rolling_update_and_beside_a_replica_that_crashes() {
    let trial = Trial::start(spec(), OTHERS).await;
    prepare(&trial).await;

    let noted = json!({ "metadata": { "annotations": { "example.com/rolled": "once" } } });
    trial.world.patch_stack("main", json!({ "spec": { "metrics": { "podTemplate": noted } } })).await;
    let mut rolling = Took::default();
    for number in 0..FEW {
        measure(&trial, number, &mut rolling).await;
        tokio::time::sleep(PAUSE).await;
    }
    until("the update to end", BOUND, || async {
        let ready = trial.ready("metrics").await.len();
        if ready == 2 { Ok(()) } else { Err(ready) }
    })
    .await;
    trial.world.live("main", BOUND).await;

    let ill = trial.ready("metrics").await.pop().expect("a replica");
    let crash = Crash::of(&ill.address);
    let stack = until("the status to say that a replica is not ready", BOUND, || async {
        let stack = trial.world.stack("main").await;
        let ready = World::condition(&stack, READY).ok_or("no condition")?;
        if ready.status == "True" { Err("it says Ready") } else { Ok(ready) }
    })
    .await;
    let mut crashing = Took::default();
    for number in FEW..2 * FEW {
        measure(&trial, number, &mut crashing).await;
        tokio::time::sleep(PAUSE).await;
    }
    let ends = crash.stop().await;
    assert!(ends > 2, "it crashed {ends} times only");
    trial.world.live("main", BOUND).await;
    until("the replica that crashed to run what is wanted", BOUND, || async {
        let (wanted, names) = (trial.wanted("metrics").await, trial.names("metrics", &ill).await);
        if names == wanted { Ok(()) } else { Err(names) }
    })
    .await;
    let text = format!(
        "## During a rolling update\n\n{}\n\n{}\n## Beside a replica that crashes again and again\n\nIt crashed \
         {ends} times. Meanwhile the status said {:?}: {:?}.\n\n{}",
        build(),
        rolling.rows(),
        stack.reason,
        stack.message,
        crashing.rows(),
    );
    publish("2-trouble", &text);
    trial.world.stop().await;
}

/// Ends an engine whenever it runs, until it is told to stop.
struct Crash {
    going: Arc<AtomicBool>,
    ends: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Crash {
    fn of(address: &str) -> Self {
        let (going, ends) = (Arc::new(AtomicBool::new(true)), Arc::<AtomicUsize>::default());
        let (on, count, listens) = (going.clone(), ends.clone(), format!("{address}:9090"));
        let task = tokio::spawn(async move {
            while on.load(Ordering::Relaxed) {
                let ended = processes::end(&processes::find("prometheus", &[&listens]));
                count.fetch_add(ended, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        });
        Self { going, ends, task }
    }

    async fn stop(self) -> usize {
        self.going.store(false, Ordering::Relaxed);
        self.task.await.unwrap();
        self.ends.load(Ordering::Relaxed)
    }
}
