//! Two operators: one writes.

use std::time::Duration;

use nix::sys::signal::Signal;
use obstack_tests::process::Operator;
use obstack_tests::wait::{throughout, until};
use serde_json::json;

use super::bench::{BOUND, Bench};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_writes_and_the_other_takes_over_at_once_when_the_lease_is_given_back() {
    let bench = Bench::start().await;
    let elected = |options: &mut obstack::controller::Options| {
        options.lease_namespace = Some("obstack-system".to_owned());
    };
    let first = bench.operator_with("first", elected).await;
    until("the first to lead", BOUND, || async {
        if first.metric("obstack_leader").await > 0.0 { Ok(()) } else { Err("it follows") }
    })
    .await;
    let second = bench.operator_with("second", elected).await;
    bench.stack(json!({})).await;
    until("the stack to be taken up", BOUND, || async {
        let accepted = bench.condition("Accepted").await;
        if accepted == "True Accepted" { Ok(()) } else { Err(accepted) }
    })
    .await;
    throughout("the second following", Duration::from_secs(3), || async {
        let writes = bench.writes_since(0, "second");
        if writes.is_empty() { Ok(()) } else { Err(writes) }
    })
    .await;
    assert_eq!(second.get("/readyz").await.0, 200, "a follower is ready");
    assert!(second.get("/decisions").await.1.contains("Prometheus"), "a follower shows the decisions");

    first.stop().await;
    let handed_over = bench.server().audit_next();
    until("the second to lead", Duration::from_secs(8), || async {
        if second.metric("obstack_leader").await > 0.0 { Ok(()) } else { Err("it follows") }
    })
    .await;
    bench.stack(json!({ "environment": "stage" })).await;
    until("the change to be taken up", BOUND, || async {
        let stack = bench.stacks().get("main").await.unwrap();
        let environment = stack.status.unwrap_or_default().effective.get("environment").cloned();
        if environment.as_deref() == Some("stage") { Ok(()) } else { Err(environment) }
    })
    .await;
    assert!(bench.writes_since(handed_over, "first").is_empty());
    second.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_cannot_renew_stops_writing() {
    let bench = Bench::start().await;
    let elected = |options: &mut obstack::controller::Options| {
        options.lease_namespace = Some("obstack-system".to_owned());
    };
    let operator = bench.operator_with("first", elected).await;
    bench.stack(json!({})).await;
    until("the stack to be taken up", BOUND, || async {
        let accepted = bench.condition("Accepted").await;
        if accepted == "True Accepted" { Ok(()) } else { Err(accepted) }
    })
    .await;
    let leases = |request: &obstack_sandbox::api::RequestInfo| {
        (request.resource == "leases").then(obstack_sandbox::api::Fault::unavailable)
    };
    bench.server().set_fault(Some(std::sync::Arc::new(leases)));
    until("the leader to stand back", BOUND, || async {
        if operator.metric("obstack_leader").await == 0.0 { Ok(()) } else { Err("it leads") }
    })
    .await;
    let begun = bench.server().audit_next();
    bench.stack(json!({ "environment": "prod" })).await;
    throughout("a leader without its Lease", Duration::from_secs(3), || async {
        let writes = bench.writes_since(begun, "first");
        if writes.is_empty() { Ok(()) } else { Err(writes) }
    })
    .await;
    bench.server().set_fault(None);
    until("the change to be taken up", BOUND, || async {
        let stack = bench.stacks().get("main").await.unwrap();
        let environment = stack.status.unwrap_or_default().effective.get("environment").cloned();
        if environment.as_deref() == Some("prod") { Ok(()) } else { Err(environment) }
    })
    .await;
    operator.stop().await;
    bench.stop().await;
}

/// Waits until the stack says that it is of this environment.
async fn taken_up(bench: &Bench, environment: &str) {
    until("the change to be taken up", BOUND, || async {
        let stack = bench.stacks().get("main").await.unwrap();
        let seen = stack.status.unwrap_or_default().effective.get("environment").cloned();
        if seen.as_deref() == Some(environment) { Ok(()) } else { Err(seen) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_and_goes_on_does_not_write_over_the_new_one() {
    let bench = Bench::start().await;
    let folder = tempfile::tempdir().unwrap();
    let start = |name: &str| {
        let kubeconfig = folder.path().join(format!("{name}.yaml"));
        std::fs::write(&kubeconfig, bench.server().kubeconfig_for(name, &["system:masters"])).unwrap();
        let log = folder.path().join(format!("{name}.log"));
        Operator::start(&kubeconfig, &log, name, &["--listen=127.0.0.1:0", "--resync=1s"]).unwrap()
    };
    let leases = |name: &str, since: u64| {
        let log = bench.server().audit_since(since);
        log.iter().filter(|entry| entry.request.user == name && entry.request.resource == "leases").count()
    };
    bench.stack(json!({})).await;
    let first = start("first");
    taken_up(&bench, "dev").await;
    let _second = start("second");
    until("the second to follow", BOUND, || async { if leases("second", 0) > 0 { Ok(()) } else { Err(()) } })
        .await;

    first.signal(Signal::SIGSTOP).unwrap();
    let stopped = bench.server().audit_next();
    bench.stack(json!({ "environment": "stage" })).await;
    taken_up(&bench, "stage").await;
    assert!(bench.writes_since(stopped, "second").len() > 1, "the second writes");

    // There is work that the first would do, and it has not heard that it no longer leads.
    let continued = bench.server().audit_next();
    bench.stack(json!({ "environment": "prod" })).await;
    first.signal(Signal::SIGCONT).unwrap();
    until("the first to look at the Lease", BOUND, || async {
        if leases("first", continued) > 1 { Ok(()) } else { Err(first.tail()) }
    })
    .await;
    taken_up(&bench, "prod").await;
    throughout("the first following", Duration::from_secs(4), || async {
        let writes = bench.writes_since(continued, "first");
        if writes.is_empty() { Ok(()) } else { Err(writes) }
    })
    .await;
    drop(first);
    bench.stop().await;
}
