//! Each read of the operator failing in turn deletes nothing and loses no target, and what was asked for
//! meanwhile is done once the read works again.
//!
//! The reads are not listed here: they are taken from what an operator asked for that was left alone.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use obstack_sandbox::api::{Fault, RequestInfo};
use obstack_tests::plane::{ACCOUNT, NAMESPACE, Plane, differences};
use obstack_tests::process::Operator;
use obstack_tests::wait::{throughout, until};
use serde_json::{Value, json};

/// Planes that run at the same time: the tests wait far more than they compute.
const AT_ONCE: usize = 8;
/// How long the operator may take until it meets a fault.
const MEET: Duration = Duration::from_secs(30);
/// How long it is watched once it has met one.
const HOLD: Duration = Duration::from_secs(1);
/// Short bounds, so that a read that hangs is given up soon.
const BOUNDS: [&str; 6] = ["--answer-timeout", "1s", "--sync-timeout", "3s", "--resync", "1s"];

const SECRETS: &str = "
apiVersion: v1
kind: Secret
metadata: { name: slack, namespace: monitoring }
stringData: { url: 'https://hooks.example/services/T0/B0/x' }
";

/// A stack with a rule that differs from one version to the next.
fn stack(version: usize) -> String {
    format!(
        "
apiVersion: obstack.io/v1alpha1
kind: ObservabilityStack
metadata: {{ name: main, namespace: monitoring }}
spec:
  collection: {{ namespaces: [obstack-system, monitoring] }}
  rules:
    groups: [{{ name: mine, rules: [{{ alert: Mine, expr: 'up == {version}' }}] }}]
  alerting:
    route: {{ receiver: team }}
    receivers: [{{ name: team, slack: [{{ apiUrl: {{ name: slack, key: url }} }}] }}]
"
    )
}

/// What makes a read the same read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Read {
    verb: String,
    group: String,
    resource: String,
    namespace: String,
    name: String,
    path: String,
}

impl Read {
    fn of(request: &RequestInfo) -> Option<Self> {
        if request.user != ACCOUNT || request.is_mutating() {
            return None;
        }
        Some(Self {
            verb: request.verb.clone(),
            group: request.group.clone(),
            resource: request.resource.clone(),
            namespace: request.namespace.clone(),
            name: request.name.clone(),
            path: request.path.clone(),
        })
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.path)
    }
}

/// What a read meets.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Unavailable,
    Hang,
    Drop,
}

const FAILURES: [Failure; 3] = [Failure::Unavailable, Failure::Hang, Failure::Drop];

impl Failure {
    fn fault(self) -> Fault {
        match self {
            Self::Unavailable => Fault::unavailable(),
            Self::Hang => Fault::Hang,
            Self::Drop => Fault::Drop,
        }
    }
}

/// A settled plane on which one read after another fails.
struct Rig {
    plane: Plane,
    version: usize,
    /// What the operator made.
    made: BTreeSet<String>,
    /// What it tells Prometheus to scrape, by file.
    targets: BTreeMap<String, String>,
}

impl Rig {
    async fn start() -> Self {
        let plane = Plane::start().await;
        plane.apply(SECRETS).await;
        plane.apply(&stack(0)).await;
        let operator = plane.operator(&BOUNDS);
        plane.settled(&operator).await;
        drop(operator);
        let made = plane.keys();
        let targets = targets(&plane).await;
        assert!(targets.len() >= 3, "the stack scrapes itself, Alertmanager and the operator: {targets:?}");
        Self { plane, version: 0, made, targets }
    }

    /// Lets a read fail from now on; the count is that of the requests that met it.
    fn fail(&self, read: &Read, failure: Failure) -> Arc<AtomicUsize> {
        let met = Arc::new(AtomicUsize::new(0));
        let (read, count) = (read.clone(), met.clone());
        self.plane.api.set_fault(Some(Arc::new(move |request| {
            (Read::of(request).as_ref() == Some(&read)).then(|| {
                count.fetch_add(1, Ordering::SeqCst);
                failure.fault()
            })
        })));
        met
    }

    /// Nothing was asked to be deleted.
    fn spared(&self, since: u64) -> Result<(), String> {
        let writes = self.plane.writes_since(since);
        let deleted = writes.iter().find(|write| write.request.verb.starts_with("delete"));
        deleted.map_or(Ok(()), |write| {
            Err(format!("{} {} was asked for", write.request.verb, write.request.path))
        })
    }

    /// Nothing that was there is gone, nothing was asked to be deleted, and no target is lost. `except` is an
    /// object that somebody else deleted.
    async fn intact(&self, since: u64, except: Option<&str>) -> Result<(), String> {
        self.spared(since)?;
        let there = self.plane.keys();
        if let Some(gone) = self.made.difference(&there).find(|key| Some(key.as_str()) != except) {
            return Err(format!("{gone} is gone"));
        }
        if except.is_none() && targets(&self.plane).await != self.targets {
            return Err("the targets are others".to_owned());
        }
        Ok(())
    }

    async fn met(&self, what: &str, met: &AtomicUsize, operator: &Operator) {
        until(&format!("the operator meets {what}"), MEET, || async {
            if met.load(Ordering::SeqCst) > 0 { Ok(()) } else { Err(operator.tail()) }
        })
        .await;
    }

    /// An operator comes up, and the stack changes, while a read fails.
    async fn case(&mut self, read: &Read, failure: Failure) {
        let what = format!("{failure:?} at {read}");
        let since = self.plane.api.audit_next();
        let met = self.fail(read, failure);
        let operator = self.plane.operator(&BOUNDS);
        self.version += 1;
        self.plane.apply(&stack(self.version)).await;
        self.met(&what, &met, &operator).await;
        throughout(&format!("{what}: what was there"), HOLD, || async { self.spared(since) }).await;
        self.intact(since, None).await.unwrap_or_else(|lost| panic!("{what}: {lost}"));
        self.plane.api.set_fault(None);
        let wanted = format!("up == {}", self.version);
        until(&format!("{wanted} is taken up after {what}"), MEET, || async {
            let files = self.plane.configuration("main", "metrics").await;
            if files.values().any(|text| text.contains(&wanted)) { Ok(()) } else { Err(operator.tail()) }
        })
        .await;
        self.intact(since, None).await.unwrap_or_else(|lost| panic!("{what}, and after it: {lost}"));
    }

    /// An object of the stack goes, and cannot be read while the operator misses it.
    async fn missing(&self, operator: &Operator, object: &Value, failure: Failure) {
        let before = self.plane.dump();
        let (read, key) = read_of(object);
        let what = format!("{failure:?} at {read}");
        let since = self.plane.api.audit_next();
        let met = self.fail(&read, failure);
        self.plane.delete(object).await;
        self.met(&what, &met, operator).await;
        self.intact(since, Some(&key)).await.unwrap_or_else(|lost| panic!("{what}: {lost}"));
        self.plane.api.set_fault(None);
        until(&format!("{key} is made anew after {what}"), MEET, || async {
            let different = differences(&before, &self.plane.dump());
            // What the status says of the failure passes a moment later.
            let lasting = different.iter().find(|d| !d.starts_with("observabilitystacks"));
            lasting.map_or(Ok(()), |lasting| Err(format!("{lasting}; {}", operator.tail())))
        })
        .await;
    }
}

/// The files that say what is scraped.
async fn targets(plane: &Plane) -> BTreeMap<String, String> {
    let mut files = plane.configuration("main", "metrics").await;
    files.retain(|path, _| path.starts_with("scrape/"));
    files
}

/// The read of one object, and its key in a dump.
fn read_of(object: &Value) -> (Read, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let kind = obstack::observe::kinds::Kind::of(&text(&object["kind"])).expect("a kind that a stack owns");
    let (namespace, name) = (text(&object["metadata"]["namespace"]), text(&object["metadata"]["name"]));
    let root = if kind.group.is_empty() { "/api".to_owned() } else { format!("/apis/{}", kind.group) };
    let place = if kind.cluster { String::new() } else { format!("/namespaces/{namespace}") };
    let resource = [kind.plural, kind.group].join(".");
    let key = format!("{}/{namespace}/{name}", resource.trim_end_matches('.'));
    let read = Read {
        verb: "get".to_owned(),
        group: kind.group.to_owned(),
        resource: kind.plural.to_owned(),
        path: format!("{root}/{}{place}/{}/{name}", kind.version, kind.plural),
        namespace,
        name,
    };
    (read, key)
}

/// Runs every case on planes of their own, each plane one case after the other.
async fn all<C: Clone + Send + Sync + 'static>(
    cases: Vec<C>,
    run: impl AsyncFn(&mut Rig, Option<&Operator>, C),
    keeps_operator: bool,
) {
    let next = AtomicUsize::new(0);
    let worker = async || {
        let mut rig = Rig::start().await;
        let operator = keeps_operator.then(|| rig.plane.operator(&BOUNDS));
        if let Some(operator) = &operator {
            rig.plane.settled(operator).await;
        }
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
            run(&mut rig, operator.as_ref(), case.clone()).await;
        }
        drop(operator);
        rig.plane.stop().await;
    };
    futures::future::join_all((0..AT_ONCE).map(|_| worker())).await;
}

/// Everything that an operator reads that comes up and takes up a change. Single objects of the stack are read
/// only where one is missing or was just written: [`each_object_that_is_missing_and_cannot_be_read`].
async fn reads() -> BTreeSet<Read> {
    let rig = Rig::start().await;
    let since = rig.plane.api.audit_next();
    let operator = rig.plane.operator(&BOUNDS);
    rig.plane.settled(&operator).await;
    rig.plane.apply(&stack(1)).await;
    rig.plane.settled(&operator).await;
    let audit = rig.plane.api.audit_since(since);
    let owned = |read: &Read| {
        let resource = [read.resource.as_str(), read.group.as_str()].join(".");
        read.verb == "get"
            && rig.made.contains(&format!(
                "{}/{}/{}",
                resource.trim_end_matches('.'),
                read.namespace,
                read.name
            ))
            && read.name != "slack"
    };
    let reads =
        audit.iter().filter_map(|entry| Read::of(&entry.request)).filter(|read| !owned(read)).collect();
    rig.plane.stop().await;
    reads
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_read_that_fails() {
    let begun = Instant::now();
    let reads = reads().await;
    for resource in
        ["observabilitystacks", "decisionrecords", "pods", "secrets", "statefulsets", "clusterroles"]
    {
        for verb in ["list", "watch"] {
            assert!(reads.iter().any(|r| r.resource == resource && r.verb == verb), "{verb} {resource}");
        }
    }
    for (resource, name) in [("leases", "obstack"), ("secrets", "slack")] {
        assert!(reads.iter().any(|r| r.resource == resource && r.name == name), "get {resource}/{name}");
    }
    let cases: Vec<(Read, Failure)> =
        reads.iter().flat_map(|read| FAILURES.map(|failure| (read.clone(), failure))).collect();
    let count = cases.len();
    all(cases, async |rig, _, (read, failure)| rig.case(&read, failure).await, false).await;
    println!("{} reads, {count} cases, {:?}", reads.len(), begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_object_that_is_missing_and_cannot_be_read() {
    let begun = Instant::now();
    let rig = Rig::start().await;
    let of_stack = |object: &Value| {
        let labels = &object["metadata"]["labels"];
        labels["app.kubernetes.io/managed-by"] == "obstack" && labels["obstack.io/stack"] == "main"
    };
    let objects: Vec<Value> = obstack::observe::kinds::OWNED
        .iter()
        .flat_map(|kind| {
            let storage = [kind.plural, kind.group].join(".");
            rig.plane.api.peek_all(storage.trim_end_matches('.'))
        })
        .filter(of_stack)
        .map(|object| {
            let metadata = json!({
                "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"],
            });
            json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": metadata})
        })
        .collect();
    assert!(objects.iter().any(|object| object["metadata"]["namespace"] != NAMESPACE), "foreign ones too");
    rig.plane.stop().await;
    let cases: Vec<(Value, Failure)> =
        objects.iter().flat_map(|object| FAILURES.map(|failure| (object.clone(), failure))).collect();
    let count = cases.len();
    let run = async |rig: &mut Rig, operator: Option<&Operator>, (object, failure): (Value, Failure)| {
        rig.missing(operator.expect("an operator runs"), &object, failure).await;
    };
    all(cases, run, true).await;
    println!("{} objects, {count} cases, {:?}", objects.len(), begun.elapsed());
}
