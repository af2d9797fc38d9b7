//! Alertmanager behind a reloader.

use obstack::running::Engine;

use super::rig::{Check, Rig};

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
