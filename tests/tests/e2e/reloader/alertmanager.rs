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

/// A configuration of these objects, of which some are at fault.
fn objects(bad: &[usize], numbers: impl IntoIterator<Item = usize>) -> String {
    let of = |number: usize| {
        let url = if bad.contains(&number) { "http://%zz" } else { "http://127.0.0.1:9/" };
        let name = format!("team/object-{number}/hook");
        (format!("{{receiver: {name}}},"), format!("{{name: {name}, webhook_configs: [{{url: '{url}'}}]}},"))
    };
    let (routes, receivers): (String, String) = numbers.into_iter().map(of).unzip();
    format!("route: {{receiver: one, routes: [{routes}]}}\nreceivers: [{{name: one}}, {receivers}]\n")
}

/// The same where the engine alone judges: of ten objects that change at once two are at fault, and each is found
/// among those that changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_objects_that_the_engine_refuses_are_named_one_by_one() {
    let rig = Rig::live(Engine::Alertmanager, Check::None, &[ONE]).await;
    let good = rig.generation(&[("alertmanager.yaml", &objects(&[], 0..5))]);
    rig.deliver(&good);
    rig.confirmed(&good).await;
    let mut left: Vec<usize> = (0..15).collect();
    // Objects are tried in the order of their names.
    for number in [13, 6] {
        let bad = rig.generation(&[("alertmanager.yaml", &objects(&[6, 13], left.clone()))]);
        rig.deliver(&bad);
        let wanted = format!("object/team/object-{number}");
        rig.state("the object at fault to be found", |s| s["refused"]["path"] == wanted.as_str()).await;
        rig.refused(&bad, &good).await;
        left.retain(|one| *one != number);
    }
    let all = rig.generation(&[("alertmanager.yaml", &objects(&[], left))]);
    rig.deliver(&all);
    rig.confirmed(&all).await;
}

/// All objects share one file, and the one at fault is found by trying it without some of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_object_that_amtool_refuses_is_named() {
    let rig = Rig::live(Engine::Alertmanager, Check::Tool, &[ONE]).await;
    let good = rig.generation(&[("alertmanager.yaml", &objects(&[], 0..9))]);
    rig.deliver(&good);
    rig.confirmed(&good).await;
    for number in [0, 4, 8] {
        let bad = rig.generation(&[("alertmanager.yaml", &objects(&[number], 0..9))]);
        rig.deliver(&bad);
        rig.refused(&bad, &good).await;
        let path = rig.status().await.unwrap()["refused"]["path"].clone();
        assert_eq!(path, format!("object/team/object-{number}"));
    }
    // What is wrong with the rest is no object's fault.
    let bad = rig.generation(&[BROKEN]);
    rig.deliver(&bad);
    rig.refused(&bad, &good).await;
    assert_eq!(rig.status().await.unwrap()["refused"]["path"], serde_json::Value::Null);
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
