//! The operator killed at each of its writes ends at the same state.

use std::sync::atomic::{AtomicUsize, Ordering};

use kube::api::DeleteParams;
use obstack_sandbox::api::{Fault, RequestInfo};
use obstack_tests::wait::until;
use serde_json::{Value, json};

use crate::bench::{BOUND, Bench, OPERATOR, Shared};

/// What a stack is made of, Events and times aside.
async fn settled_state(bench: &Bench) -> Vec<Value> {
    bench.settled().await;
    bench.state().await
}

async fn clear(bench: &Bench) {
    bench.stacks().delete("main", &DeleteParams::background()).await.unwrap();
    until("the stack to go", BOUND, || async {
        let left = bench.state().await;
        let left: Vec<&Value> = left.iter().filter(|object| object["kind"] != "DecisionRecord").collect();
        if left.is_empty() { Ok(()) } else { Err(left.len()) }
    })
    .await;
    let records =
        kube::api::Api::<obstack_crds::DecisionRecord>::namespaced(bench.admin.clone(), "monitoring");
    records.delete_collection(&DeleteParams::default(), &Default::default()).await.unwrap();
}

fn is_write(request: &RequestInfo) -> bool {
    request.user == OPERATOR && request.is_mutating() && request.resource != "events"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_or_after_any_of_its_first_writes_it_ends_at_the_same_state() {
    let bench = Bench::start().await;
    bench.stack(json!({})).await;
    let operator = bench.operator().await;
    let expected = settled_state(&bench).await;
    let writes = bench.writes_since(0, OPERATOR).into_iter().filter(|entry| is_write(&entry.request)).count();
    operator.stop().await;
    clear(&bench).await;

    // Every kind of write, early and late, is among these; the end-to-end tests take every index.
    for index in (0..writes).step_by(7) {
        for after in [false, true] {
            let seen = Shared::new(AtomicUsize::new(0));
            let reached = Shared::new(tokio::sync::Notify::new());
            let (count, notify) = (seen.clone(), reached.clone());
            let stop_here = move |request: &RequestInfo| {
                if !is_write(request) {
                    return None;
                }
                // From this write on no answer comes, as if the process had been killed there.
                let hit = count.fetch_add(1, Ordering::SeqCst) >= index;
                hit.then(|| {
                    notify.notify_one();
                    Fault::Hang
                })
            };
            if after {
                bench.server().set_fault_after(Some(Shared::new(move |request: &RequestInfo, _, _| {
                    stop_here(request)
                })));
            } else {
                bench.server().set_fault(Some(Shared::new(stop_here)));
            }
            bench.stack(json!({})).await;
            let operator = bench.operator().await;
            tokio::time::timeout(BOUND, reached.notified()).await.expect("the write is reached");
            operator.kill().await;
            bench.server().set_fault(None);
            bench.server().set_fault_after(None);
            let operator = bench.operator().await;
            let state = settled_state(&bench).await;
            for (state, expected) in state.iter().zip(&expected) {
                assert_eq!(state, expected, "killed at write {index}, after it: {after}");
            }
            assert_eq!(state.len(), expected.len(), "killed at write {index}, after it: {after}");
            operator.stop().await;
            clear(&bench).await;
        }
    }
    bench.stop().await;
}
