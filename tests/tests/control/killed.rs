//! The operator killed at each of its writes ends at the same state.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kube::api::DeleteParams;
use obstack::apply::projection::differing;
use obstack_crds::DecisionRecord;
use obstack_sandbox::api::{Fault, RequestInfo};
use obstack_tests::wait::until;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::bench::{BOUND, Bench, NAMESPACE, OPERATOR, Operator, Shared};

/// Clusters that work at the same time: they wait more than they compute.
const CLUSTERS: usize = 2;

/// Writes that every run makes.
const CERTAIN: usize = 40;

fn is_write(request: &RequestInfo) -> bool {
    // Events are told after the work is done, and one that is lost changes nothing.
    request.user == OPERATOR && request.is_mutating() && request.resource != "events"
}

/// Ends the stack, its records and the operator.
async fn clear(bench: &Bench, operator: Operator) {
    bench.stacks().delete("main", &DeleteParams::background()).await.unwrap();
    until("the stack to go", BOUND, || async {
        let left =
            bench.state().await.into_iter().filter(|object| object["kind"] != "DecisionRecord").count();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    operator.stop().await;
    let records = kube::Api::<DecisionRecord>::namespaced(bench.admin.clone(), NAMESPACE);
    records.delete_collection(&DeleteParams::default(), &Default::default()).await.unwrap();
}

/// What an operator that nothing disturbs makes, and in how many writes.
async fn undisturbed(bench: &Bench) -> (Vec<Value>, usize) {
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    bench.settled().await;
    let writes = bench.writes_since(0, OPERATOR).into_iter().filter(|entry| is_write(&entry.request)).count();
    let state = bench.state().await;
    clear(bench, operator).await;
    (state, writes)
}

/// What comes of an operator that is killed at this write, and of the next one that takes over. Killed after
/// a write is the same as killed before the next one: what it knew of the answer dies with it.
async fn killed_at(bench: &Bench, index: usize) -> Vec<Value> {
    let (seen, reached) = (AtomicUsize::new(0), Shared::new(Notify::new()));
    let notify = reached.clone();
    let hook = move |request: &RequestInfo| {
        let hit = is_write(request) && seen.fetch_add(1, Ordering::SeqCst) >= index;
        hit.then(|| {
            notify.notify_one();
            Fault::Hang
        })
    };
    bench.server().set_fault(Some(Shared::new(hook)));
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    // The last writes depend on how the watches' events fell; fewer may do.
    let bound = if index < CERTAIN { BOUND } else { Duration::from_secs(5) };
    let reached = tokio::time::timeout(bound, reached.notified()).await;
    operator.kill().await;
    bench.server().set_fault(None);
    assert!(reached.is_ok() || index >= CERTAIN, "write {index} was not reached");
    let operator = bench.operator().await;
    bench.settled().await;
    let state = bench.state().await;
    clear(bench, operator).await;
    state
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_of_its_writes_it_ends_at_the_same_state() {
    let bench = Bench::start().await;
    let (expected, writes) = undisturbed(&bench).await;
    bench.stop().await;
    assert!(writes > CERTAIN, "a stack takes {writes} writes");
    let next = Shared::new(AtomicUsize::new(0));
    let work = (0..CLUSTERS).map(|_| {
        let (next, expected) = (next.clone(), expected.clone());
        tokio::spawn(async move {
            let bench = Bench::start().await;
            loop {
                let index = next.fetch_add(1, Ordering::SeqCst);
                if index >= writes {
                    break;
                }
                let state = killed_at(&bench, index).await;
                let differing = differing(&Value::from(expected.clone()), &Value::from(state), 5);
                assert!(differing.is_empty(), "killed at write {index}: {differing:?} differ");
            }
            bench.stop().await;
        })
    });
    for work in futures::future::join_all(work).await {
        work.unwrap();
    }
}
