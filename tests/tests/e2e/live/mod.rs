//! Trials of live changes on real engines, which take minutes and judge seconds: `make live`. Each writes a section
//! of Markdown into the folder that `OBSTACK_LIVE_OUTPUT` names.

mod cold;
mod notified;
mod processes;
mod table;
mod took;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use obstack::running::{POINTER_KEY, Pointer, generation_in};
use obstack_tests::coreos;
use obstack_tests::parts;
use obstack_tests::wait::until;
use obstack_tests::world::{NAMESPACE, World};
use serde_json::{Value, json};

/// The longest wait for one step.
const BOUND: Duration = Duration::from_secs(180);
/// Time between two looks of a trial at an engine, which is how exact its figures are.
const LOOK: Duration = Duration::from_millis(10);
/// Requests of a trial that are on their way at the same time while it sets up.
const AT_ONCE: usize = 8;

/// Whether what is measured is a release build: by the programs that run, whatever was asked for. The trial itself, and
/// the API server in it, need not be one.
fn is_release() -> bool {
    [("obstack", "\0operator\0"), ("obstack-reloader", "\0reloader\0")].iter().all(|(program, argument)| {
        let release = parts::find(program).filter(|path| path.iter().any(|step| step == "release"));
        let running = processes::find("obstack", &[argument]);
        let is_it = |id: &i32| release.as_ref().is_some_and(|release| processes::runs(*id, release));
        !running.is_empty() && running.iter().all(is_it)
    })
}

/// What kind of build was measured, for the head of a table.
fn build() -> &'static str {
    if is_release() { "a release build" } else { "a DEBUG build, which judges no seconds" }
}

/// A stack with real engines, and objects of others beside it.
struct Trial {
    world: World,
    http: reqwest::Client,
}

/// One replica of an engine that is Ready.
#[derive(Clone, Debug)]
struct Replica {
    address: String,
}

/// How long a change took, from when it was asked for.
struct Lived {
    /// Until the operator's pointer named it.
    written: Duration,
    /// Until every replica that is Ready named it. Prometheus does before it has applied all of it.
    named: Duration,
    /// Until every such replica had come to the end of its reload.
    ended: Duration,
    /// Those replicas.
    replicas: Vec<Replica>,
}

impl Trial {
    /// A stack of this spec that is live, with so many ServiceMonitors of two jobs each beside it.
    async fn start(spec: Value, monitors: usize) -> Self {
        Self::start_with(spec, monitors, "http://127.0.0.1:9/").await
    }

    /// The same with a URL in the Secret `hook`.
    async fn start_with(spec: Value, monitors: usize, hook: &str) -> Self {
        let world = World::start().await;
        world.secret("hook", &[("url", hook)]).await;
        for definition in coreos::definitions() {
            world.apply(&definition).await;
        }
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap();
        let trial = Self { world, http };
        let objects = (0..monitors).map(|number| monitor(&format!("other-{number}")));
        stream::iter(objects)
            .for_each_concurrent(AT_ONCE, |object| trial.create("ServiceMonitor", object))
            .await;
        trial.world.create_stack("main", spec).await;
        trial.picked_up("ServiceMonitor", monitors).await;
        trial.world.live("main", BOUND).await;
        trial
    }

    /// Waits until the stack says that it has picked up so many objects of a kind: that their types have come is
    /// noticed later than that the stack has.
    async fn picked_up(&self, kind: &str, count: usize) {
        until("the objects to be picked up", BOUND, || async {
            let status = self.world.stack("main").await.status.unwrap_or_default();
            let found = status.objects.iter().find(|found| found.kind == kind);
            let found = found.map_or(0, |found| usize::try_from(found.picked_up).unwrap_or_default());
            if found == count { Ok(()) } else { Err(format!("{found} of {count}")) }
        })
        .await;
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let version = if kind == "AlertmanagerConfig" { "v1alpha1" } else { "v1" };
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("monitoring.coreos.com", version, kind));
        Api::namespaced_with(self.world.client(), NAMESPACE, &kind)
    }

    async fn create(&self, kind: &str, object: Value) {
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        self.api(kind).create(&PostParams::default(), &object).await.expect("the object is accepted");
    }

    async fn merge(&self, kind: &str, name: &str, change: Value) {
        let change = Patch::Merge(change);
        self.api(kind).patch(name, &PatchParams::default(), &change).await.expect("the change is accepted");
    }

    /// The replicas of a role that are Ready now.
    async fn ready(&self, role: &str) -> Vec<Replica> {
        let pods = self.world.pods(&format!("obstack.io/role={role}")).await;
        let is_ready = |pod: &Pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            pod.metadata.deletion_timestamp.is_none()
                && conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
        };
        let replica = |pod: Pod| Some(Replica { address: pod.status?.pod_ip? });
        pods.into_iter().filter(is_ready).filter_map(replica).collect()
    }

    async fn pointer(&self, role: &str, which: &str) -> Option<Pointer> {
        let secrets: Api<Secret> = Api::namespaced(self.world.client(), NAMESPACE);
        let secret = secrets.get_opt(&format!("main-{role}-{which}")).await.ok()??;
        Pointer::parse(&secret.data?.remove(POINTER_KEY)?.0).ok()
    }

    /// The generation that the candidate's pointer names.
    async fn wanted(&self, role: &str) -> Option<String> {
        self.pointer(role, "candidate").await.map(|pointer| pointer.generation)
    }

    async fn text(&self, url: String) -> Result<String, String> {
        let answer = self.http.get(url).send().await.map_err(|error| error.to_string())?;
        answer.text().await.map_err(|error| error.to_string())
    }

    /// The generation that an engine itself names.
    async fn names(&self, role: &str, replica: &Replica) -> Option<String> {
        let (port, path) = match role {
            "metrics" => (9090, "/prometheus/api/v1/status/config"),
            _ => (9093, "/alertmanager/api/v2/status"),
        };
        let text = self.text(format!("http://{}:{port}{path}", replica.address)).await.ok()?;
        generation_in(&text).map(str::to_owned)
    }

    /// What the reloader of a replica says of itself.
    async fn state(&self, replica: &Replica) -> Value {
        let text = self.text(format!("http://{}:9533/status", replica.address)).await.unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// A number that the reloader of a replica says of itself, in seconds.
    async fn told(&self, replica: &Replica, metric: &str) -> f64 {
        let url = format!("http://{}:9533/metrics", replica.address);
        let text = self.text(url).await.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(metric)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    /// Waits until the pointer names another generation than before, and every replica that is Ready names just
    /// that one and has come to the end of its reload.
    async fn live(&self, role: &str, before: &str, from: Instant) -> Lived {
        let wanted = loop {
            let wanted = self.wanted(role).await.filter(|wanted| wanted != before);
            if let Some(wanted) = wanted {
                break wanted;
            }
            assert!(from.elapsed() < BOUND, "the operator wrote nothing within {BOUND:?}");
            tokio::time::sleep(LOOK).await;
        };
        let written = from.elapsed();
        let mut replicas = self.ready(role).await;
        let (mut looked, mut named) = (Instant::now(), None);
        loop {
            let (mut all_name, mut all_run) = (!replicas.is_empty(), !replicas.is_empty());
            for replica in &replicas {
                let names = self.names(role, replica).await.as_deref() == Some(wanted.as_str());
                all_name &= names;
                all_run = all_run && names && self.state(replica).await["confirmed"] == wanted;
            }
            if all_name {
                named.get_or_insert_with(|| from.elapsed());
            }
            if let Some(named) = named.filter(|_| all_run) {
                return Lived { written, named, ended: from.elapsed(), replicas };
            }
            assert!(from.elapsed() < BOUND, "not live within {BOUND:?}: {replicas:?}");
            tokio::time::sleep(LOOK).await;
            // A replica can have come or gone.
            if looked.elapsed() > Duration::from_millis(250) {
                replicas = self.ready(role).await;
                looked = Instant::now();
            }
        }
    }

    /// Waits until what is wanted is proven.
    async fn proven(&self, role: &str) {
        until("what is wanted to be proven", BOUND, || async {
            let (wanted, proven) = (self.wanted(role).await, self.pointer(role, "proven").await);
            let same = proven.is_some() && proven.map(|pointer| pointer.generation) == wanted;
            if same { Ok(()) } else { Err("not yet") }
        })
        .await;
    }
}

/// A ServiceMonitor of two jobs that select nothing, with the relabelling that charts have.
fn monitor(name: &str) -> Value {
    let endpoint = |port: &str| {
        json!({
            "port": port, "interval": "30s",
            "relabelings": [
                { "sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node" },
                { "action": "labeldrop", "regex": "pod_template_hash" },
            ],
            "metricRelabelings": [
                { "sourceLabels": ["__name__"], "regex": "go_gc_.*", "action": "drop" },
            ],
        })
    };
    let spec = json!({
        "selector": { "matchLabels": { "app": format!("nothing-{name}") } },
        "endpoints": [endpoint("http"), endpoint("metrics")],
    });
    coreos::object("ServiceMonitor", NAMESPACE, name, spec)
}

/// Puts a section where the script collects them, and prints it.
fn publish(name: &str, text: &str) {
    println!("{text}");
    let Some(folder) = std::env::var_os("OBSTACK_LIVE_OUTPUT").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("{name}.md")), text).unwrap();
}
