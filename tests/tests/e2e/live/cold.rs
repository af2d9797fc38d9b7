//! What an engine refuses or loads in part is taken back, and its culprit named; and without the API, with nothing on
//! its disk, a pod comes back with what is proven.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use obstack_crds::status::Rejected;
use obstack_tests::wait::until;
use obstack_tests::world::NAMESPACE;
use serde_json::{Value, json};

use super::{BOUND, Replica, Trial, build, monitor, processes, publish};

/// PEM whose content is no certificate: promtool looks whether it is there, and Prometheus reads it.
const NO_CA: &str = "-----BEGIN CERTIFICATE-----\nTUlJQw==\n-----END CERTIFICATE-----\n";
/// Monitors beside the broken ones.
const MONITORS: usize = 20;
/// Their jobs: two each.
const JOBS: u32 = 40;
/// Most seconds until what ran before runs again.
const BACK: Duration = Duration::from_secs(30);

fn spec() -> Value {
    json!({
        "environment": "dev",
        "requirements": { "activeSeries": "10k", "scrapeInterval": "5s" },
        "metrics": { "replicas": 1 },
        "collection": { "services": false, "pods": false },
        "decisions": {
            "alerting": { "choose": "None", "because": "nothing is told here" },
            "dashboards": { "choose": "None", "because": "nobody looks at it here" },
        },
    })
}

/// The monitor `other-N` or a new one, with a certificate that is none.
fn broken(name: &str) -> Value {
    let mut monitor = monitor(name);
    let ca = json!({ "ca": { "secret": { "name": "no-ca", "key": "ca" } } });
    for endpoint in monitor["spec"]["endpoints"].as_array_mut().unwrap() {
        endpoint["scheme"] = json!("https");
        endpoint["tlsConfig"] = ca.clone();
    }
    monitor
}

async fn left_out(trial: &Trial, name: &str) -> Rejected {
    until("the culprit to be named and all else to be live", BOUND, || async {
        let stack = trial.world.stack("main").await;
        let rejected = stack.status.map(|status| status.rejected).unwrap_or_default();
        let out = rejected.iter().find(|out| out.object == format!("ServiceMonitor/{NAMESPACE}/{name}"));
        out.cloned().ok_or(format!("{rejected:?}"))
    })
    .await
}

/// The reloads of a replica that ended in a way.
async fn reloads(trial: &Trial, replica: &Replica, result: &str) -> f64 {
    trial.told(replica, &format!("obstack_reloader_reloads_total{{result=\"{result}\"}}")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live"]
async fn what_prometheus_refuses_or_loads_in_part_is_taken_back_and_named() {
    let trial = Trial::start(spec(), MONITORS).await;
    trial.world.secret("no-ca", &[("ca", NO_CA)]).await;
    trial.proven("metrics").await;
    let replica = trial.ready("metrics").await.pop().expect("a replica");

    until("each job to have its scrape pool", BOUND, || async {
        let url = format!("http://{}:9090/prometheus/metrics", replica.address);
        let text = trial.text(url).await.unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("prometheus_target_scrape_pools_total "));
        let failed =
            text.lines().find(|line| line.starts_with("prometheus_target_scrape_pools_failed_total"));
        let made = count.and_then(|count| count.parse::<f64>().ok());
        if made >= Some(f64::from(JOBS)) { Ok(()) } else { Err(format!("{made:?} {failed:?}")) }
    })
    .await;

    // A job that runs gets the certificate: promtool takes it, and Prometheus refuses the reload.
    let before = trial.wanted("metrics").await.unwrap();
    let from = Instant::now();
    trial.merge("ServiceMonitor", "other-1", json!({ "spec": broken("other-1")["spec"] })).await;
    until("what ran before to run again", BACK, || async {
        let (back, says) =
            (reloads(&trial, &replica, "rolled_back").await, trial.names("metrics", &replica).await);
        if back >= 1.0 && says.is_some() { Ok(()) } else { Err(format!("{back} {says:?} {before}")) }
    })
    .await;
    let refused_after = from.elapsed();
    let refused = left_out(&trial, "other-1").await;
    let mut ended = Vec::new();
    for result in ["success", "refused", "unconfirmed", "away", "rolled_back", "in_part"] {
        ended.push((result, reloads(&trial, &replica, result).await));
    }
    assert!(
        ended.contains(&("refused", 1.0)),
        "the engine refused it, and not its tool: {ended:?}; {refused:?}"
    );
    trial.world.live("main", BOUND).await;
    trial.proven("metrics").await;

    // A new job with it: Prometheus takes the reload, and cannot make the job's scrape pool some seconds later.
    let from = Instant::now();
    trial.create("ServiceMonitor", broken("new")).await;
    until("what ran before to run again", BACK, || async {
        let found = reloads(&trial, &replica, "in_part").await;
        let back = reloads(&trial, &replica, "rolled_back").await;
        if found >= 1.0 && back >= 2.0 { Ok(()) } else { Err((found, back)) }
    })
    .await;
    let partly_after = from.elapsed();
    let partly = left_out(&trial, "new").await;
    trial.world.live("main", BOUND).await;

    // Ten that run change at once, and two of them get it: each is found by trying, and the others go in.
    let from = Instant::now();
    let before = trial.wanted("metrics").await.unwrap();
    for number in 5..15 {
        let name = format!("other-{number}");
        let is_broken = [7, 12].contains(&number);
        let spec = if is_broken { broken(&name)["spec"].clone() } else { json!({ "jobLabel": "ten" }) };
        trial.merge("ServiceMonitor", &name, json!({ "spec": spec })).await;
    }
    let of_many = [left_out(&trial, "other-7").await, left_out(&trial, "other-12").await];
    until("the eight others to be live", BOUND, || async {
        let wanted = trial.wanted("metrics").await;
        let says = trial.names("metrics", &replica).await;
        let kept_out = trial.world.stack("main").await.status.unwrap_or_default().rejected.len();
        let live = says.is_some() && says == wanted && wanted.as_ref() != Some(&before) && kept_out == 4;
        if live { Ok(()) } else { Err(format!("{wanted:?} {says:?} {kept_out}")) }
    })
    .await;
    let many_after = from.elapsed();

    // All are mended and come in.
    let mended = json!({ "spec": { "endpoints": monitor("x")["spec"]["endpoints"] } });
    for name in ["other-1", "new", "other-7", "other-12"] {
        trial.merge("ServiceMonitor", name, mended.clone()).await;
    }
    until("nothing to be kept out", BOUND, || async {
        let rejected =
            trial.world.stack("main").await.status.map(|status| status.rejected).unwrap_or_default();
        if rejected.is_empty() { Ok(()) } else { Err(rejected) }
    })
    .await;
    let text = format!(
        "## What the engine refuses, or loads in part\n\n{}.\n\n| what | running again after | the culprit, as the \
         status names it |\n|---|---:|---|\n| promtool takes it, Prometheus refuses the reload | {:.1} s | {}: {} |\n| \
         Prometheus takes the reload and lacks a job's scrape pool | {:.1} s | {}: {} |\n| ten monitors \
         change at once, and Prometheus refuses two of them: the eight others are live | {:.1} s | {}: {}; {}: {} |\n",
        build(),
        refused_after.as_secs_f64(),
        refused.object,
        refused.reason,
        partly_after.as_secs_f64(),
        partly.object,
        partly.reason,
        many_after.as_secs_f64(),
        of_many[0].object,
        of_many[0].reason,
        of_many[1].object,
        of_many[1].reason,
    );
    publish("4-refused", &text);
    trial.world.stop().await;
}

/// The folder of a pod's volume in the sandbox's state.
fn volume(trial: &Trial, name: &str) -> PathBuf {
    let mut folders = vec![trial.world.server().state()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if !path.is_dir() || path.is_symlink() {
                continue;
            }
            if path.ends_with(name) && path.join("generations").is_dir() {
                return path;
            }
            folders.push(path);
        }
    }
    panic!("no volume {name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: make live"]
async fn without_the_api_and_with_nothing_on_disk_a_pod_comes_back_with_what_is_proven() {
    let trial = Trial::start(spec(), 20).await;
    // Some changes, so that the candidate is read from where no pod mounts it.
    for number in 0..3 {
        let before = trial.wanted("metrics").await.unwrap();
        let change = json!({ "spec": { "jobLabel": format!("changed-{number}") } });
        trial.merge("ServiceMonitor", "other-3", change).await;
        trial.live("metrics", &before, Instant::now()).await;
        trial.proven("metrics").await;
    }
    let proven = trial.pointer("metrics", "proven").await.unwrap().generation;
    let replica = trial.ready("metrics").await.pop().expect("a replica");
    until("the proven generation to be in the mounts", BOUND, || async {
        let state = trial.state(&replica).await;
        if state["mounted"] == proven.as_str() { Ok(()) } else { Err(state.to_string()) }
    })
    .await;

    trial.world.server().stop_api().await;
    let running = volume(&trial, "running");
    let processes = [("prometheus", ":9090"), ("obstack", ":9533")]
        .map(|(program, port)| processes::find(program, &[&format!("{}{port}", replica.address)]));
    for entry in std::fs::read_dir(&running).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            std::fs::remove_dir_all(path).unwrap();
        } else {
            std::fs::remove_file(path).unwrap();
        }
    }
    let from = Instant::now();
    assert!(processes.iter().map(|ids| processes::end(ids)).sum::<usize>() >= 2, "both were running");
    until("the engine to run what is proven", BOUND, || async {
        let names = trial.names("metrics", &replica).await;
        let state = trial.state(&replica).await;
        let runs = names.as_ref() == Some(&proven) && state["confirmed"] == proven.as_str();
        if runs { Ok(()) } else { Err(format!("{names:?} {state}")) }
    })
    .await;
    let text = format!(
        "## Without the API, with nothing on disk\n\nThe API server was stopped, the pod's volume emptied and its \
         processes killed: Prometheus named the proven generation again after {:.1} s ({}).\n",
        from.elapsed().as_secs_f64(),
        build(),
    );
    publish("5-cold", &text);
    trial.world.stop().await;
}
