//! Alertmanager behind a reloader.

use std::time::Duration;

use obstack::reloader::run_once;
use obstack::running::Engine;

use super::rig::{BOUND, Check, Rig};

const ONE: (&str, &str) = ("alertmanager.yaml", "route: {receiver: one}\nreceivers: [{name: one}]\n");
const TWO: (&str, &str) =
    ("alertmanager.yaml", "route: {receiver: two}\nreceivers: [{name: one}, {name: two}]\n");
const BROKEN: (&str, &str) = ("alertmanager.yaml", "route: {receiver: nobody}\nreceivers: [{name: one}]\n");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_becomes_live() {
    let rig = Rig::live(Engine::Alertmanager, Check::Tool, &[ONE]).await;
    let next = rig.generation(&[TWO]);
    rig.deliver(&next);
    rig.confirmed(&next).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_amtool_refuses_never_reaches_the_engine() {
    let rig = Rig::live(Engine::Alertmanager, Check::Tool, &[ONE]).await;
    let bad = rig.generation(&[BROKEN]);
    rig.deliver(&bad);
    let reason = rig.refused(&bad, &rig.generation(&[ONE])).await;
    assert!(reason.contains("nobody"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_engine_refuses_is_taken_back() {
    let rig = Rig::live(Engine::Alertmanager, Check::None, &[ONE]).await;
    let bad = rig.generation(&[BROKEN]);
    rig.deliver(&bad);
    let reason = rig.refused(&bad, &rig.generation(&[ONE])).await;
    assert!(reason.contains("nobody"), "{reason}");
}

/// Each reload makes Alertmanager's groups anew, so that a burst of changes costs one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_changes_costs_one_reload() {
    let mut rig = Rig::new(Engine::Alertmanager, Check::Tool);
    rig.gather = Duration::from_secs(1);
    let first = rig.generation(&[ONE]);
    rig.deliver(&first);
    run_once(&rig.settings(), BOUND).await.unwrap();
    rig.start_engine();
    rig.start_reloader();
    rig.confirmed(&first).await;
    let mut last = first;
    for receivers in 2..6 {
        let names: String = (0..receivers).map(|i| format!("{{name: r{i}}},")).collect();
        let text = format!("route: {{receiver: r0}}\nreceivers: [{names}]\n");
        last = rig.generation(&[("alertmanager.yaml", &text)]);
        rig.deliver(&last);
        rig.state("the change to be seen", |s| s["wanted"] == last.digest.as_str()).await;
    }
    rig.confirmed(&last).await;
    let metrics = rig.metrics().await;
    assert!(metrics.contains("obstack_reloader_reloads_total{result=\"success\"} 1"), "{metrics}");
}
