//! Two operators: one writes. A leader that was stopped and goes on later does not write over the new one.
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use obstack::lease::Times;
use obstack_sandbox::api::{AuditEntry, Fault};
use obstack_tests::ask;
use obstack_tests::plane::{HOME, Plane};
use obstack_tests::process::Operator;
use obstack_tests::wait::until;

/// How long a Lease may take to change hands once it has expired.
const TAKEN: Duration = Duration::from_secs(60);

fn stack(version: usize) -> String {
    format!(
        "
apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: {{ name: main, namespace: monitoring }}
spec:
  metrics: {{ externalLabels: {{ version: '{version}' }} }}
  alerting: {{ labels: {{ version: '{version}' }} }}
  rules:
    groups: [{{ name: mine, rules: [{{ alert: Mine, expr: 'up == {version}' }}] }}]
"
    )
}

/// Two operators on one plane, each with a user of its own, so that the audit log tells them apart.
struct Pair {
    plane: Plane,
    first: Operator,
    second: Operator,
}

impl Pair {
    /// Both run, the first one leads, and the stack is settled.
    async fn start() -> Self {
        let plane = Plane::start().await;
        plane.apply(&stack(0)).await;
        let first = operator(&plane, "first");
        plane.settled(&first).await;
        let second = operator(&plane, "second");
        let pair = Self { plane, first, second };
        pair.takes_part("second", 0).await;
        assert_eq!(pair.holder(), "first");
        pair
    }

    fn holder(&self) -> String {
        let lease = self.plane.api.peek("leases.coordination.k8s.io", HOME, "obstack").expect("a Lease");
        lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
    }

    async fn held_by(&self, holder: &str) -> Duration {
        let begun = Instant::now();
        until(&format!("{holder} holds the Lease"), TAKEN, || async {
            let held = self.holder();
            if held == holder { Ok(()) } else { Err(held) }
        })
        .await;
        begun.elapsed()
    }

    fn writes(&self, user: &str, since: u64) -> Vec<AuditEntry> {
        let mut entries = self.plane.api.audit_since(since);
        entries.retain(|entry| entry.request.user == user && entry.request.is_mutating());
        entries
    }

    /// Waits until this operator has looked at the Lease several times: it is awake, and decides.
    async fn takes_part(&self, user: &str, since: u64) {
        until(&format!("{user} looks at the Lease"), TAKEN, || async {
            let looks = self.plane.api.audit_since(since).into_iter().filter(|entry| {
                entry.request.user == user
                    && entry.request.resource == "leases"
                    && entry.request.verb == "get"
            });
            let looks = looks.count();
            if looks >= 3 { Ok(()) } else { Err(looks) }
        })
        .await;
    }

    /// The newest version of the stack is what the configuration says.
    async fn runs(&self, version: usize) -> bool {
        let files = self.plane.configuration("main", "metrics").await;
        files.values().any(|text| text.contains(&format!("up == {version}")))
    }
}

/// An operator that may do everything, under a user of its own.
fn operator(plane: &Plane, user: &str) -> Operator {
    let kubeconfig = plane.folder().join(user);
    std::fs::write(&kubeconfig, plane.api.kubeconfig_for(user, &["system:masters"])).unwrap();
    let log = plane.folder().join(format!("{user}.log"));
    let args = ["--listen", "127.0.0.1:0", "--resync", "200ms", "--decisions-access", "open"];
    Operator::start(&kubeconfig, &log, user, &args).unwrap()
}

fn described(entries: &[AuditEntry]) -> Vec<String> {
    let line = |entry: &AuditEntry| format!("{} {} {}", entry.request.verb, entry.request.path, entry.code);
    entries.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_was_stopped_does_not_write_over_the_new_one() {
    let pair = Pair::start().await;
    let plane = &pair.plane;

    // One writes, the other one is ready and serves.
    let since = plane.api.audit_next();
    plane.apply(&stack(1)).await;
    plane.settled(&pair.first).await;
    assert!(pair.runs(1).await);
    assert!(!pair.writes("first", since).is_empty());
    assert_eq!(described(&pair.writes("second", 0)), [""; 0]);
    let url = pair.second.url().await;
    assert_eq!(ask::text(&format!("{url}/readyz")).await.unwrap(), "ok\n");
    assert!(ask::text(&format!("{url}/metrics")).await.unwrap().contains("obstack_leader 0"));
    assert!(ask::text(&format!("{url}/decisions")).await.unwrap().contains("Prometheus"));

    // The leader is stopped in the middle of a change: its second write is applied, and it sees no answer
    // before it goes on. The answer is held back, because the system takes a moment to stop every thread, and a
    // write that is on its way by then cannot be called back.
    let leader = i32::try_from(pair.first.id()).unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let count = written.clone();
    plane.api.set_fault_after(Some(Arc::new(move |request, _, _| {
        let counts = request.user == "first" && request.is_mutating() && request.resource != "leases";
        let stops = counts && count.fetch_add(1, Ordering::SeqCst) == 1;
        stops.then(|| {
            kill(Pid::from_raw(leader), Signal::SIGSTOP).unwrap();
            Fault::Delay(Duration::from_secs(2))
        })
    })));
    plane.apply(&stack(2)).await;
    until("the leader is stopped", TAKEN, || async {
        if written.load(Ordering::SeqCst) >= 2 { Ok(()) } else { Err("it has not written twice") }
    })
    .await;
    let waited = pair.held_by("second").await;
    let duration = Times::default().duration;
    assert!(waited + Duration::from_secs(5) > duration, "taken {waited:?} after, before it can have expired");
    plane.settled(&pair.second).await;
    assert!(pair.runs(2).await);

    // It goes on while the new leader has a change to make.
    let since = plane.api.audit_next();
    plane.apply(&stack(3)).await;
    pair.first.signal(Signal::SIGCONT).unwrap();
    pair.takes_part("first", since).await;
    plane.settled(&pair.second).await;
    assert!(pair.runs(3).await);
    let mut late = pair.writes("first", since);
    // It may have been about to renew; that it is too late is what the API server tells it.
    late.retain(|entry| entry.request.resource != "leases" || entry.code != 409);
    assert_eq!(described(&late), [""; 0], "{}", pair.first.tail());
    assert_eq!(pair.holder(), "second");
    let url = pair.first.url().await;
    assert!(ask::text(&format!("{url}/metrics")).await.unwrap().contains("obstack_leader 0"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_ends_gives_the_lease_back() {
    let mut pair = Pair::start().await;
    pair.first.signal(Signal::SIGTERM).unwrap();
    let waited = pair.held_by("second").await;
    // Well before the Lease could have expired.
    assert!(waited < Times::default().duration / 2, "{waited:?}");
    let status = pair.first.end(TAKEN).await;
    assert!(status.success(), "{status}: {}", pair.first.tail());
    let since = pair.plane.api.audit_next();
    pair.plane.apply(&stack(1)).await;
    pair.plane.settled(&pair.second).await;
    assert!(pair.runs(1).await);
    assert_eq!(described(&pair.writes("first", since)), [""; 0]);
}
