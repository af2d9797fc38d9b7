//! The operator killed at each of its writes in turn ends at the same state as one that was left alone.
//!
//! The process is killed after its nth write was applied and before that write is answered: it never learns
//! what it did. Every index is tried, until a run in which there is no nth write any more.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use obstack_sandbox::api::Fault;
use obstack_tests::plane::{ACCOUNT, Plane, differences, resources};
use obstack_tests::process::Operator;
use obstack_tests::wait::until;
use serde_json::Value;

/// Planes that run at the same time.
const AT_ONCE: usize = 3;
/// Bound of one scenario.
const BOUND: Duration = Duration::from_secs(600);

const SECRETS: &str = "
apiVersion: v1
kind: Namespace
metadata: { name: apps }
---
apiVersion: v1
kind: Secret
metadata: { name: slack, namespace: monitoring }
stringData: { url: 'https://hooks.example/services/T0/B0/x' }
---
apiVersion: v1
kind: Secret
metadata: { name: pager, namespace: monitoring }
stringData: { url: 'https://pager.example/hook' }
";

const BEFORE: &str = "
apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: main, namespace: monitoring }
spec:
  requirements: { activeSeries: 50k }
  collection: { namespaces: [apps, monitoring] }
  rules:
    groups:
      - name: keep
        rules: [{ alert: Kept, expr: 'up == 0' }]
      - name: drop
        rules: [{ alert: Dropped, expr: 'up == 1' }]
  alerting:
    route:
      receiver: team
      routes: [{ receiver: pager, matchers: ['severity=\"page\"'] }]
    receivers:
      - name: team
        slack: [{ apiUrl: { name: slack, key: url } }]
      - name: pager
        webhook: [{ urlSecret: { name: pager, key: url } }]
";

/// More replicas; one receiver, one rule group, one namespace and the dashboards are gone.
const AFTER: &str = "
apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: { name: main, namespace: monitoring }
spec:
  requirements: { activeSeries: 50k }
  metrics: { replicas: 2 }
  alerting:
    replicas: 2
    route: { receiver: team }
    receivers:
      - name: team
        slack: [{ apiUrl: { name: slack, key: url } }]
  rules:
    groups:
      - name: keep
        rules: [{ alert: Kept, expr: 'up == 0' }]
  decisions:
    dashboards: { choose: None, because: 'another team has them' }
";

/// What happens while the operator may be killed.
#[derive(Clone, Copy, Debug)]
enum Scenario {
    /// It meets a stack that nothing was made for yet.
    Fresh,
    /// A stack that is settled changes.
    Change,
}

/// Kills a process right after its nth write.
struct Killer {
    /// Process to kill; 0 while there is none.
    process: AtomicI32,
    /// Writes that are left until then.
    left: AtomicUsize,
    /// Whether it was killed. From then on nothing more of it is let through: a request can be on its way.
    killed: AtomicBool,
}

impl Killer {
    fn arm(plane: &Plane, write: usize) -> Arc<Self> {
        let killer = Arc::new(Self {
            process: AtomicI32::new(0),
            left: AtomicUsize::new(write),
            killed: AtomicBool::new(false),
        });
        let after = killer.clone();
        plane.api.set_fault_after(Some(Arc::new(move |request, _, _| {
            // Leases are written by the clock, so they are no place in the course of events. Events are.
            let counts = request.user == ACCOUNT && request.is_mutating() && request.resource != "leases";
            if !counts || after.left.fetch_sub(1, Ordering::SeqCst) != 1 {
                return None;
            }
            after.killed.store(true, Ordering::SeqCst);
            kill(Pid::from_raw(after.process.load(Ordering::SeqCst)), Signal::SIGKILL).unwrap();
            Some(Fault::Drop)
        })));
        let before = killer.clone();
        plane.api.set_fault(Some(Arc::new(move |request| {
            (request.user == ACCOUNT && before.killed.load(Ordering::SeqCst)).then_some(Fault::Drop)
        })));
        killer
    }

    fn aim(&self, operator: &Operator) {
        self.process.store(i32::try_from(operator.id()).unwrap(), Ordering::SeqCst);
    }

    fn killed(&self) -> bool {
        self.killed.load(Ordering::SeqCst)
    }
}

/// Runs a scenario in which the operator is killed at its nth write, and again until nothing more happens.
/// None where it had settled before there was an nth write.
async fn state_after(scenario: Scenario, write: usize) -> Option<BTreeMap<String, Value>> {
    let plane = Plane::start().await;
    plane.apply(SECRETS).await;
    let begun = plane.api.audit_next();
    let (mut operator, killer) = match scenario {
        Scenario::Fresh => {
            plane.apply(BEFORE).await;
            let killer = Killer::arm(&plane, write);
            let operator = plane.operator(&[]);
            killer.aim(&operator);
            (operator, killer)
        }
        Scenario::Change => {
            plane.apply(BEFORE).await;
            let operator = plane.operator(&[]);
            plane.settled(&operator).await;
            let killer = Killer::arm(&plane, write);
            killer.aim(&operator);
            plane.apply(AFTER).await;
            (operator, killer)
        }
    };
    tokio::select! {
        () = until("the kill", BOUND, || async { if killer.killed() { Ok(()) } else { Err(write) } }) => {}
        () = plane.settled(&operator) => {}
    }
    let killed = killer.killed();
    if killed {
        operator.kill();
        plane.api.set_fault(None);
        plane.api.set_fault_after(None);
        // The same identity holds the Lease already, so it goes on at once.
        operator = plane.operator(&[]);
        plane.settled(&operator).await;
    }
    let known = resources();
    for entry in plane.writes_since(begun) {
        let request = entry.request;
        let resource = [request.resource.as_str(), request.group.as_str()].join(".");
        let resource = resource.trim_end_matches('.');
        assert!(known.iter().any(|known| known == resource), "{resource} is written and not compared");
    }
    let dump = plane.dump();
    plane.stop().await;
    (killed || write == usize::MAX).then_some(dump)
}

async fn same_state_at_each_write(scenario: Scenario, at_least: usize) {
    let begun = Instant::now();
    let reference = Arc::new(state_after(scenario, usize::MAX).await.unwrap());
    let next = Arc::new(AtomicUsize::new(1));
    let over = Arc::new(AtomicBool::new(false));
    let killed = Arc::new(AtomicUsize::new(0));
    let worker = async |next: Arc<AtomicUsize>| {
        let mut faults = Vec::new();
        while !over.load(Ordering::SeqCst) {
            let write = next.fetch_add(1, Ordering::SeqCst);
            let Some(state) = state_after(scenario, write).await else {
                over.store(true, Ordering::SeqCst);
                break;
            };
            killed.fetch_add(1, Ordering::SeqCst);
            let different = differences(&reference, &state);
            if !different.is_empty() {
                faults.push(format!("killed at write {write}: {}", different.join("\n    ")));
            }
        }
        faults
    };
    let workers = (0..AT_ONCE).map(|_| worker(next.clone()));
    let faults: Vec<String> = futures::future::join_all(workers).await.into_iter().flatten().collect();
    let (killed, took) = (killed.load(Ordering::SeqCst), begun.elapsed());
    println!(
        "{scenario:?}: killed at each of {killed} writes, {} objects compared, {took:?}",
        reference.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(killed >= at_least, "{killed} writes are too few for this stack: is it built at all?");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_stack_ends_at_the_same_state() {
    same_state_at_each_write(Scenario::Fresh, 30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_stack_ends_at_the_same_state() {
    same_state_at_each_write(Scenario::Change, 10).await;
}
