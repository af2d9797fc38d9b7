//! A whole cluster for one test: the sandbox with its kubelet, and the operator installed in it as a user
//! would install it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client};
use obstack_crds::ObservabilityStack;
use obstack_sandbox::api::AuditEntry;
use obstack_sandbox::cluster::{Cluster, Options};
use obstack_sandbox::manifests;
use serde_json::{Value, json};

use crate::wait::until;

/// Namespace of every stack of the tests.
pub const NAMESPACE: &str = "monitoring";
/// Namespace of the operator.
const HOME: &str = "obstack-system";
/// How long the operator may take to start.
const START: Duration = Duration::from_secs(30);
/// Resources that hold what the operator owns, and neither volumes nor records.
const OWNED: [&str; 12] = [
    "serviceaccounts",
    "roles.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "clusterroles.rbac.authorization.k8s.io",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "secrets",
    "configmaps",
    "services",
    "poddisruptionbudgets.policy",
    "statefulsets.apps",
    "deployments.apps",
    "pods",
];

/// A path of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// A cluster with the operator in it. End it with [`World::stop`].
pub struct World {
    cluster: Cluster,
    client: Client,
}

impl World {
    /// Starts a cluster, and the operator in it.
    ///
    /// # Panics
    /// When it does not come up: a part is missing, or the manifests are wrong.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// As [`World::start`], with further arguments of the operator.
    ///
    /// # Panics
    /// As [`World::start`].
    pub async fn start_with(args: &[&str]) -> Self {
        crate::parts::require();
        let binaries =
            vec![crate::process::binary("obstack").parent().map(Path::to_owned).unwrap_or_default()];
        let cluster =
            Cluster::start(Options { binaries, ..Options::default() }).await.expect("the sandbox starts");
        let client = cluster.client();
        let world = Self { cluster, client };
        let mut install = manifests::load(&[repository("crds"), repository("deploy/install.yaml")])
            .expect("readable manifests");
        for object in
            install.iter_mut().filter(|object| object.types.as_ref().is_some_and(|t| t.kind == "Deployment"))
        {
            let own = object.data["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut();
            own.expect("the operator has arguments").extend(args.iter().map(|arg| json!(arg)));
        }
        manifests::apply(&world.client, &install).await.expect("the install manifest is accepted");
        world.namespace(NAMESPACE).await;
        let deployments: Api<Deployment> = Api::namespaced(world.client(), HOME);
        until("the operator to be ready", START, || async {
            let found = deployments.get("obstack").await.map_err(|e| e.to_string())?;
            let ready = found.status.and_then(|status| status.ready_replicas).unwrap_or_default();
            if ready > 0 { Ok(()) } else { Err(world.why_not_ready(HOME).await) }
        })
        .await;
        world
    }

    async fn why_not_ready(&self, namespace: &str) -> String {
        let pods: Api<Pod> = Api::namespaced(self.client(), namespace);
        let found = pods.list(&ListParams::default()).await;
        let status = |pod: Pod| serde_json::to_string(&pod.status).unwrap_or_default();
        found
            .map(|list| list.items.into_iter().map(status).collect::<Vec<_>>().join("\n"))
            .unwrap_or_default()
    }

    /// The cluster below.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Makes a namespace.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn namespace(&self, name: &str) {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        self.apply(&namespace).await;
    }

    /// Applies one object.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn apply(&self, object: &Value) {
        let object: DynamicObject = serde_json::from_value(object.clone()).expect("an object");
        manifests::apply(&self.client, &[object]).await.expect("the object is accepted");
    }

    /// Applies a file of `deploy/examples`.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn apply_example(&self, file: &str) {
        let objects =
            manifests::load(&[repository("deploy/examples").join(file)]).expect("readable manifests");
        manifests::apply(&self.client, &objects).await.expect("the example is accepted");
    }

    /// Makes or replaces a Secret in the stacks' namespace.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn secret(&self, name: &str, data: &[(&str, &str)]) {
        let secrets: Api<Secret> = Api::namespaced(self.client(), NAMESPACE);
        let data: serde_json::Map<_, _> = data.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let secret =
            json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": data });
        secrets
            .patch(name, &PatchParams::apply("test"), &Patch::Apply(secret))
            .await
            .expect("the Secret is accepted");
    }

    /// Makes a stack with this spec.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn create_stack(&self, name: &str, spec: Value) {
        self.apply(&json!({
            "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack",
            "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec
        }))
        .await;
    }

    /// Merges a change into a stack.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn patch_stack(&self, name: &str, change: Value) {
        self.stacks()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .expect("the change is accepted");
    }

    fn stacks(&self) -> Api<ObservabilityStack> {
        Api::namespaced(self.client(), NAMESPACE)
    }

    /// A stack as it stands.
    ///
    /// # Panics
    /// When there is none.
    pub async fn stack(&self, name: &str) -> ObservabilityStack {
        self.stacks().get(name).await.expect("the stack is there")
    }

    /// A condition of a stack.
    pub fn condition(stack: &ObservabilityStack, type_: &str) -> Option<Condition> {
        stack.status.as_ref()?.conditions.iter().find(|condition| condition.type_ == type_).cloned()
    }

    /// Waits until every engine of a stack says that it runs what its newest spec wants.
    ///
    /// # Panics
    /// When that takes longer than `bound`.
    pub async fn live(&self, name: &str, bound: Duration) -> ObservabilityStack {
        until("ConfigurationLive for the newest spec", bound, || async {
            let stack = self.stacks().get(name).await.map_err(|e| e.to_string())?;
            let live = Self::condition(&stack, "ConfigurationLive");
            let current = live.as_ref().is_some_and(|live| {
                live.status == "True" && live.observed_generation == stack.metadata.generation
            });
            if current { Ok(stack) } else { Err(serde_json::to_string(&stack.status).unwrap_or_default()) }
        })
        .await
    }

    /// URL of a role of a stack through its Service, path prefix included.
    ///
    /// # Panics
    /// When there is no such Service.
    pub async fn url(&self, stack: &str, role: &str) -> String {
        let (port, prefix) = match role {
            "metrics" => (9090, "/prometheus"),
            _ => (9093, "/alertmanager"),
        };
        format!("http://{}:{port}{prefix}", self.address(NAMESPACE, &format!("{stack}-{role}")).await)
    }

    /// URL of the operator's HTTP through its Service.
    ///
    /// # Panics
    /// When there is no such Service.
    pub async fn operator_url(&self) -> String {
        format!("http://{}:8080", self.address(HOME, "obstack").await)
    }

    async fn address(&self, namespace: &str, service: &str) -> String {
        let services: Api<Service> = Api::namespaced(self.client(), namespace);
        let service = services.get(service).await.expect("the Service is there");
        service.spec.and_then(|spec| spec.cluster_ip).expect("the Service has an address")
    }

    /// Pods in the stacks' namespace with these labels.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn pods(&self, selector: &str) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client(), NAMESPACE);
        pods.list(&ListParams::default().labels(selector)).await.expect("pods are listed").items
    }

    /// `resource namespace/name` of everything that the operator owns, volumes and records aside.
    pub async fn owned_by_obstack(&self) -> Vec<String> {
        let mut found = Vec::new();
        for resource in OWNED {
            for object in self.cluster.api().peek_all(resource) {
                let labels = &object["metadata"]["labels"];
                if labels["app.kubernetes.io/managed-by"] == "obstack"
                    && !labels["obstack.io/stack"].is_null()
                {
                    let part = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
                    found.push(format!("{resource} {}/{}", part("namespace"), part("name")));
                }
            }
        }
        found
    }

    /// Mutating requests of the operator's and the engines' accounts from an index of the audit log on, Leases
    /// aside, dry runs included.
    pub fn writes_since(&self, index: u64) -> Vec<AuditEntry> {
        let ours: BTreeSet<String> = [format!("system:serviceaccount:{HOME}:obstack")].into();
        let engines = format!("system:serviceaccount:{NAMESPACE}:");
        let entries = self.cluster.api().audit_since(index).into_iter();
        entries
            .filter(|entry| ours.contains(&entry.request.user) || entry.request.user.starts_with(&engines))
            .filter(|entry| entry.request.is_mutating() && entry.request.resource != "leases")
            .collect()
    }

    /// Waits until nobody of ours has written for `span`.
    ///
    /// # Panics
    /// When that takes longer than `bound`.
    pub async fn quiet(&self, span: Duration, bound: Duration) {
        until("quiet", bound, || async {
            let from = self.cluster.api().audit_next();
            tokio::time::sleep(span).await;
            let writes = self.writes_since(from);
            if writes.is_empty() { Ok(()) } else { Err(writes) }
        })
        .await;
    }

    /// Ends the cluster and everything in it.
    pub async fn stop(self) {
        self.cluster.stop().await;
    }
}
