//! A replica that hangs holds up no change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use obstack_tests::wait::until;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::bench::{BOUND, Bench, NAMESPACE};

/// Of the pod: loopback, and in none of the ranges that the sandbox's nodes take.
const ADDRESS: &str = "127.7.7.7";
/// The answer to whatever is asked: enough to be remembered.
const ANSWER: &[u8] = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// An engine that answers, and keeps every question to itself once it hangs.
struct Replica {
    hangs: Arc<AtomicBool>,
    held: UnboundedReceiver<TcpStream>,
}

impl Replica {
    async fn start() -> Self {
        let listener = TcpListener::bind((ADDRESS, 9090)).await.unwrap();
        let hangs = Arc::new(AtomicBool::new(false));
        let (hold, held) = unbounded_channel();
        let is_hanging = hangs.clone();
        tokio::spawn(async move {
            loop {
                let (mut asked, _) = listener.accept().await.unwrap();
                if is_hanging.load(Ordering::SeqCst) {
                    if hold.send(asked).is_err() {
                        return;
                    }
                } else {
                    let _ = asked.read(&mut [0; 4096]).await;
                    let _ = asked.write_all(ANSWER).await;
                }
            }
        });
        Self { hangs, held }
    }
}

/// Whether who asked still waits for the answer.
fn is_waited_for(asked: &TcpStream) -> bool {
    loop {
        match asked.try_read(&mut [0; 4096]) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
    }
}

async fn candidate(bench: &Bench) -> Value {
    let secrets: Api<Secret> = Api::namespaced(bench.admin.clone(), NAMESPACE);
    let secret = secrets.get("main-metrics-candidate").await.unwrap();
    serde_json::to_value(secret.data).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_out_while_a_replica_hangs() {
    let bench = Bench::start().await;
    let mut replica = Replica::start().await;
    bench.stack(json!({ "metrics": { "replicas": 1 } })).await;
    let operator = bench.operator().await;
    bench.settled().await;
    // No kubelet runs here: that the pod runs at an address is said for one.
    let pods: Api<Pod> = Api::namespaced(bench.admin.clone(), NAMESPACE);
    let runs = json!({ "status": { "podIP": ADDRESS, "podIPs": [{ "ip": ADDRESS }],
                                   "conditions": [{ "type": "Ready", "status": "True" }] } });
    pods.patch_status("main-metrics-0", &PatchParams::default(), &Patch::Merge(runs)).await.unwrap();
    until("the replica's answer to be known", BOUND, || async {
        let stack = bench.stacks().get("main").await.map_err(|error| error.to_string())?;
        let status = serde_json::to_string(&stack.status).unwrap_or_default();
        if status.contains("answered 404") { Ok(()) } else { Err(status) }
    })
    .await;

    replica.hangs.store(true, Ordering::SeqCst);
    // The operator waits for one answer by now, and nothing else would end its wait.
    let asked = replica.held.recv().await.unwrap();
    let before = candidate(&bench).await;
    bench.stack(json!({ "metrics": { "replicas": 1, "externalLabels": { "changed": "yes" } } })).await;
    until("the change to go out", BOUND, || async {
        if candidate(&bench).await == before { Err("the same candidate") } else { Ok(()) }
    })
    .await;
    assert!(is_waited_for(&asked), "the operator had given the replica up before");
    operator.stop().await;
    bench.stop().await;
}
