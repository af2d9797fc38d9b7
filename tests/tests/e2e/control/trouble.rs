//! Reads that fail, and input that is at fault: nothing is deleted, nothing is half-applied, and it is said.

use obstack_sandbox::api::{Fault, RequestInfo};
use obstack_tests::wait::until;
use serde_json::{Value, json};

use super::bench::{BOUND, Bench, OPERATOR, Shared};

fn deletions(bench: &Bench, since: u64) -> Vec<String> {
    let writes = bench.writes_since(since, OPERATOR);
    let deletes = writes.into_iter().filter(|entry| entry.request.verb.starts_with("delete"));
    deletes.map(|entry| entry.request.path).collect()
}

fn names(state: &[Value]) -> Vec<String> {
    state.iter().map(|object| format!("{} {}", object["kind"], object["metadata"]["name"])).collect()
}

/// The configuration of the engines, which must lose no target.
fn configuration(state: &[Value]) -> Vec<&Value> {
    state.iter().filter(|object| object["kind"] == "Secret").map(|object| &object["data"]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_whole_server_is_outlived() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    let expected = bench.state().await;
    let all = |request: &RequestInfo| (request.user == OPERATOR).then(Fault::unavailable);
    bench.server().set_fault(Some(Shared::new(all)));
    until("the operator to be not ready", BOUND, || async {
        let (code, text) = operator.get("/readyz").await;
        if code == 503 { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(operator.get("/healthz").await.0, 200, "a restart would not help");
    let begun = bench.server().audit_next();
    bench.server().set_fault(None);
    until("the operator to be ready", BOUND, || async {
        let (code, text) = operator.get("/readyz").await;
        if code == 200 { Ok(()) } else { Err(text) }
    })
    .await;
    bench.settled().await;
    assert_eq!(deletions(&bench, begun), Vec::<String>::new());
    assert_eq!(bench.state().await, expected);
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_cannot_be_read_leaves_the_configuration_as_it_is() {
    let bench = Bench::start().await;
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": { "name": "hook", "namespace": "monitoring" },
        "stringData": { "url": "https://hooks.example.com/x" }
    });
    let secrets = kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::Secret>(&());
    bench.put(&secrets, Some("monitoring"), secret).await;
    bench
        .stack(json!({ "alerting": {
            "route": { "receiver": "team" },
            "receivers": [{ "name": "team", "webhook": [{ "urlSecret": { "name": "hook", "key": "url" } }] }]
        } }))
        .await;
    let operator = bench.operator().await;
    bench.settled().await;
    let expected = bench.state().await;
    let hook = |request: &RequestInfo| {
        let hit = request.user == OPERATOR && request.resource == "secrets" && request.name == "hook";
        hit.then(Fault::unavailable)
    };
    bench.server().set_fault(Some(Shared::new(hook)));
    until("the trouble to be said", BOUND, || async {
        let ready = bench.condition("Ready").await;
        let stack = bench.stacks().get("main").await.unwrap();
        let text = serde_json::to_string(&stack.status).unwrap();
        if text.contains("Secret hook could not be read") { Ok(()) } else { Err(ready) }
    })
    .await;
    let state = bench.state().await;
    assert_eq!(configuration(&state), configuration(&expected));
    bench.server().set_fault(None);
    bench.settled().await;
    assert_eq!(bench.state().await, expected);
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stack_at_fault_says_so_and_leaves_what_runs() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    let expected = names(&bench.state().await);
    // Two faults that a schema cannot hold.
    let faulty = json!({
        "requirements": { "retention": "1y2y" },
        "alerting": { "route": { "receiver": "nobody" } }
    });
    bench.stack(faulty).await;
    until("the faults to be said", BOUND, || async {
        let accepted = bench.condition("Accepted").await;
        if accepted == "False Invalid" { Ok(()) } else { Err(accepted) }
    })
    .await;
    let stack = bench.stacks().get("main").await.unwrap();
    let status = stack.status.unwrap_or_default();
    let message = &status.conditions.iter().find(|c| c.type_ == "Accepted").unwrap().message;
    for path in ["spec.requirements.retention", "spec.alerting.route.receiver"] {
        assert!(message.contains(path), "{message}");
    }
    assert!(status.look_at.is_some());
    assert_eq!(names(&bench.state().await), expected);
    bench.stack(json!({ "requirements": { "retention": "7d" }, "alerting": {} })).await;
    until("the correction to be taken up", BOUND, || async {
        let accepted = bench.condition("Accepted").await;
        if accepted == "True Accepted" { Ok(()) } else { Err(accepted) }
    })
    .await;
    operator.stop().await;
    bench.stop().await;
}
