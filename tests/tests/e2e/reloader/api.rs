//! Delivery over the API, and what a pod does without it.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use obstack::names::{Role, StackId};
use obstack::reloader::{LiveSettings, run_once};
use obstack::running::delivery::{Held, Replica, Write, next};
use obstack::running::{
    Engine, Generation, PART_KEY, POINTER_KEY, PROVEN_FILE, Slot, Which, carrier_names, part_file,
    part_object, part_secret, pointer_object, pointer_secret_name,
};
use obstack_tests::plane::{NAMESPACE, Plane};
use serde_json::json;

use super::rig::{BOUND, Check, Rig};

const ROLE: Role = Role::Metrics;
pub(super) const ACCOUNT: &str = "main-metrics";
const RULE: (&str, &str) = ("rules/a.yaml", "groups: [{name: a, rules: [{record: one, expr: vector(1)}]}]");
const OTHER: (&str, &str) = ("rules/b.yaml", "groups: [{name: b, rules: [{record: two, expr: vector(2)}]}]");
const BROKEN: (&str, &str) = ("rules/b.yaml", "groups: [{name: b, rules: [{record: two, expr: 'sum('}]}]");
/// Prometheus reads these settings when it starts, and looks for the certificate.
const DEADLY: (&str, &str) = (
    "prometheus.yaml",
    "tracing: {endpoint: '127.0.0.1:1', client_type: grpc, tls_config: {ca_file: /nonexistent/ca}}\n",
);

fn stack() -> StackId {
    StackId { namespace: NAMESPACE.to_owned(), name: "main".to_owned() }
}

/// An API server with the Secrets of one engine, written as the operator writes them.
pub(super) struct Cluster {
    pub(super) plane: Plane,
    held: Held,
    secrets: BTreeMap<String, Vec<u8>>,
}

impl Cluster {
    pub(super) async fn start() -> Self {
        let plane = Plane::bare().await;
        let names = carrier_names(&stack(), ROLE);
        plane.apply(&format!("{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {ACCOUNT}, namespace: {NAMESPACE}}}}}")).await;
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": { "name": ACCOUNT, "namespace": NAMESPACE },
            "rules": [{ "apiGroups": [""], "resources": ["secrets"], "resourceNames": names, "verbs": ["get", "list", "watch"] }]
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": { "name": ACCOUNT, "namespace": NAMESPACE },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": ACCOUNT },
            "subjects": [{ "kind": "ServiceAccount", "name": ACCOUNT, "namespace": NAMESPACE }]
        });
        plane.apply(&role.to_string()).await;
        plane.apply(&binding.to_string()).await;
        Self { plane, held: Held::default(), secrets: BTreeMap::new() }
    }

    /// How a reloader of the engine reaches it, with the engine's own account.
    pub(super) async fn live(&self) -> LiveSettings {
        let path = self.plane.api.kubeconfig_for_account(NAMESPACE, ACCOUNT);
        let kubeconfig = kube::config::Kubeconfig::from_yaml(&path).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
        LiveSettings {
            config,
            namespace: NAMESPACE.to_owned(),
            candidate: pointer_secret_name(&stack(), ROLE, Which::Candidate),
            proven: pointer_secret_name(&stack(), ROLE, Which::Proven),
        }
    }

    async fn put(&mut self, secret: &Secret, key: &str) {
        let name = secret.metadata.name.clone().unwrap();
        let api: Api<Secret> = Api::namespaced(self.plane.admin.clone(), NAMESPACE);
        api.patch(&name, &PatchParams::apply("operator").force(), &Patch::Apply(secret)).await.unwrap();
        self.secrets.insert(name, secret.data.as_ref().unwrap()[key].0.clone());
    }

    /// Writes what the operator would write now; gives how many writes there were.
    pub(super) async fn deliver(&mut self, wanted: &Generation, replicas: &[Replica]) -> usize {
        let id = stack();
        let writes =
            next(wanted, &self.held, replicas, |slot, index| part_secret(&id, ROLE, slot, index)).writes;
        for write in &writes {
            match write {
                Write::Part(slot, index) => {
                    let part = &wanted.parts[*index];
                    self.put(&part_object(&id, ROLE, *slot, part), PART_KEY).await;
                    self.held.parts.insert((*slot, *index), part.digest.clone());
                }
                Write::Pointer(which, pointer) => {
                    self.put(&pointer_object(&id, ROLE, *which, pointer).unwrap(), POINTER_KEY).await;
                    match which {
                        Which::Candidate => self.held.candidate = Some(pointer.clone()),
                        Which::Proven => self.held.proven = Some(pointer.clone()),
                    }
                }
            }
        }
        writes.len()
    }

    /// Syncs both mounts, as a kubelet does some time later.
    fn sync(&self, rig: &Rig) {
        let id = stack();
        for slot in Slot::MOUNTED {
            let mut files = Vec::new();
            for (which, file) in [(Which::Candidate, POINTER_KEY), (Which::Proven, PROVEN_FILE)] {
                let bytes = self.secrets.get(&pointer_secret_name(&id, ROLE, which));
                files.extend(bytes.map(|bytes| (file.to_owned(), bytes.clone())));
            }
            for index in 0..obstack::running::MAX_PARTS {
                let bytes = self.secrets.get(&part_secret(&id, ROLE, slot, index));
                files.extend(bytes.map(|bytes| (part_file(index), bytes.clone())));
            }
            rig.mount(slot, &files);
        }
    }
}

fn ready(generation: &Generation, mounted: Option<&Generation>) -> [Replica; 1] {
    let digest = |generation: &Generation| generation.digest.clone();
    [Replica { ready: true, confirmed: Some(digest(generation)), mounted: mounted.map(digest) }]
}

/// A rig whose first generation is mounted, proven and running.
async fn proven(check: Check, files: &[(&str, &str)]) -> (Cluster, Rig, Generation) {
    let mut cluster = Cluster::start().await;
    let mut rig = Rig::new(Engine::Prometheus, check);
    rig.live = Some(cluster.live().await);
    let first = rig.generation(files);
    assert!(cluster.deliver(&first, &[]).await >= 2);
    cluster.sync(&rig);
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), first.digest);
    rig.start_engine();
    rig.start_reloader();
    rig.confirmed(&first).await;
    assert_eq!(cluster.deliver(&first, &ready(&first, None)).await, 1, "the proven pointer");
    cluster.sync(&rig);
    rig.state("the proven generation to be mounted", |s| s["mounted"] == first.digest.as_str()).await;
    (cluster, rig, first)
}

/// Rules that are large enough together for some parts.
fn many() -> Vec<(String, String)> {
    let text = format!("groups: []\n# {}\n", "x".repeat(60_000));
    (0..40).map(|i| (format!("rules/pad{i}.yaml"), text.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_goes_live_over_the_api_and_costs_the_part_that_it_is_in() {
    let pads = many();
    let with = |files: &[(&'static str, &'static str)]| -> Vec<(&str, &str)> {
        let pads = pads.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        pads.chain(files.iter().copied()).collect()
    };
    let (mut cluster, rig, first) = proven(Check::Tool, &with(&[RULE])).await;
    assert!(first.parts.len() >= 8, "{}", first.parts.len());

    let second = rig.generation(&with(&[RULE, OTHER]));
    let differ = first.parts.iter().zip(&second.parts).filter(|(old, new)| old.digest != new.digest).count();
    assert_eq!(differ, 1);
    let mark = cluster.plane.api.audit_next();
    let start = Instant::now();
    assert_eq!(cluster.deliver(&second, &ready(&first, Some(&first))).await, 2, "a part and the pointer");
    rig.confirmed(&second).await;
    println!("from the first write to the confirmation: {:?}", start.elapsed());
    let account = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
    let of_reloader = |from: u64| {
        let mut entries = cluster.plane.api.audit_since(from);
        entries.retain(|entry| entry.request.user == account);
        entries
    };
    let asked: Vec<String> = of_reloader(mark)
        .into_iter()
        .filter(|entry| entry.request.verb == "get")
        .map(|entry| entry.request.name)
        .collect();
    let live = cluster.held.candidate.as_ref().unwrap().parts.iter().filter(|part| part.slot == Slot::LiveA);
    assert_eq!(asked, live.map(|part| part.secret.clone()).collect::<Vec<_>>());
    assert!(of_reloader(0).iter().all(|entry| entry.code != 403), "a right is missing");
    // Files that did not change are the same ones on disk.
    use std::os::unix::fs::MetadataExt;
    let inode = |generation: &Generation| {
        let path = rig.target().join("generations").join(&generation.digest).join("rules/pad0.yaml");
        std::fs::metadata(path).unwrap().ino()
    };
    assert_eq!(inode(&first), inode(&second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_api_a_cold_start_runs_what_is_proven() {
    let (mut cluster, mut rig, first) = proven(Check::Tool, &[RULE]).await;
    // Something newer is live, and not proven.
    let second = rig.generation(&[RULE, OTHER]);
    cluster.deliver(&second, &ready(&first, Some(&first))).await;
    rig.confirmed(&second).await;
    cluster.sync(&rig);
    rig.stop_reloader().await;
    rig.stop_engine();
    rig.empty();
    let Cluster { plane, .. } = cluster;
    plane.stop().await;

    let start = Instant::now();
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), first.digest);
    println!("laid down without the API after {:?}", start.elapsed());
    rig.start_engine();
    rig.start_reloader();
    rig.confirmed(&first).await;
    let state = rig.status().await.unwrap();
    assert_eq!(state["mounted"], first.digest.as_str());
    assert!(rig.ready().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_proven_and_kills_the_engine_gives_way_to_the_candidate() {
    let (mut cluster, mut rig, first) = proven(Check::None, &[RULE]).await;
    rig.stop_reloader().await;
    rig.stop_engine();
    rig.empty();
    // Somebody proved it elsewhere, and here it does not start.
    let deadly = rig.generation(&[RULE, DEADLY]);
    cluster.deliver(&deadly, &ready(&first, Some(&first))).await;
    cluster.deliver(&deadly, &ready(&deadly, Some(&first))).await;
    cluster.sync(&rig);
    let good = rig.generation(&[RULE, OTHER]);
    cluster.deliver(&good, &ready(&deadly, Some(&deadly))).await;
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), deadly.digest);
    rig.start_engine();
    rig.engine_ends().await;
    rig.start_reloader();
    rig.state("the candidate to be laid down", |s| s["current"] == good.digest.as_str()).await;
    rig.start_engine();
    rig.confirmed(&good).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_names_its_file_and_is_not_brought_in_by_a_cold_start() {
    let (mut cluster, mut rig, first) = proven(Check::Tool, &[RULE]).await;
    let bad = rig.generation(&[RULE, BROKEN]);
    cluster.deliver(&bad, &ready(&first, Some(&first))).await;
    rig.refused(&bad, &first).await;
    assert_eq!(rig.status().await.unwrap()["refused"]["path"], "rules/b.yaml");
    rig.stop_reloader().await;
    rig.empty();
    assert_eq!(run_once(&rig.settings(), BOUND).await.unwrap(), first.digest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_another_one_is_waited_for() {
    let (mut cluster, rig, first) = proven(Check::Tool, &[RULE]).await;
    let second = rig.generation(&[RULE, OTHER]);
    cluster.deliver(&second, &ready(&first, Some(&first))).await;
    rig.confirmed(&second).await;
    // Somebody writes into a part that the next pointer will name.
    let third = rig.generation(&[OTHER]);
    let mut damaged = third.clone();
    damaged.parts[0].gzip = first.parts[0].gzip.clone();
    cluster.deliver(&damaged, &ready(&second, Some(&first))).await;
    let state = rig.state("the wrong part to be seen", |s| s["waiting"].is_string()).await;
    assert!(state["waiting"].as_str().unwrap().contains("digest"), "{state}");
    assert_eq!(state["current"], second.digest.as_str());
    // The operator puts it back.
    let slot = cluster.held.candidate.as_ref().unwrap().parts[0].slot;
    cluster.held.parts.remove(&(slot, 0));
    assert_eq!(cluster.deliver(&third, &ready(&second, Some(&first))).await, 1);
    rig.confirmed(&third).await;
    assert!(rig.ready().await);
}
