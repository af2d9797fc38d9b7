//! A leader that loses its Lease. Two operators beside one another are in the module `leader`.

use std::time::Duration;

use obstack_tests::wait::{throughout, until};
use serde_json::json;

use super::bench::{BOUND, Bench};

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
