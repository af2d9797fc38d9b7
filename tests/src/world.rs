//! A whole cluster for one test, and the operator installed in it as a user would install it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::{Api, Client, ResourceExt};
use obstack::names::LABEL_STACK;
use obstack::observe::observer::is_ready;
use obstack_crds::record::TripwireState;
use obstack_crds::{Component, DecisionRecord, ObservabilityStack};
use obstack_sandbox::api::RequestInfo;
use obstack_sandbox::manifests;
use serde_json::{Value, json};

use crate::ask;
use crate::server::{Mark, Server};
use crate::wait::until;

/// Namespace of every stack of the tests.
pub const NAMESPACE: &str = "monitoring";
/// Namespace of the operator.
pub const HOME: &str = "obstack-system";
/// How long the operator may take to start.
const START: Duration = Duration::from_secs(60);
/// What holds what the operator owns, as group, version and kind; neither volumes nor records.
const OWNED: [(&str, &str, &str); 12] = [
    ("", "v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io", "v1", "Role"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRole"),
    ("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding"),
    ("", "v1", "Secret"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("policy", "v1", "PodDisruptionBudget"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "Deployment"),
    ("", "v1", "Pod"),
];
/// Labels of what the operator owns.
const OURS: &str = "app.kubernetes.io/managed-by=obstack,obstack.io/stack";

/// A path of this repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The API types and a manifest of the operator.
fn manifests_of(file: &str) -> Vec<DynamicObject> {
    manifests::load(&[repository("crds"), repository(file)]).expect("readable manifests")
}

/// The arguments of the operator in its manifest.
fn arguments(install: &mut [DynamicObject]) -> &mut Vec<Value> {
    let kind = |object: &DynamicObject| object.types.as_ref().map(|types| types.kind.clone());
    let deployment = install.iter_mut().find(|object| kind(object).as_deref() == Some("Deployment"));
    let deployment = deployment.expect("the operator has a Deployment");
    let own = deployment.data["spec"]["template"]["spec"]["containers"][0]["args"].as_array_mut();
    own.expect("the operator has arguments")
}

/// A cluster with the operator in it. End it with [`World::stop`].
pub struct World {
    server: Server,
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
        let mut install = manifests_of("deploy/install.yaml");
        arguments(&mut install).extend(args.iter().map(|arg| json!(arg)));
        Self::start_from(install).await
    }

    /// A cluster with the operator for some namespaces in it, installed as the head of
    /// `deploy/install-namespaced.yaml` says: whatever it has for `monitoring` is repeated for the others.
    ///
    /// # Panics
    /// As [`World::start`].
    pub async fn start_for(others: &[&str]) -> Self {
        let mut install = manifests_of("deploy/install-namespaced.yaml");
        for other in others {
            let mut more: Vec<DynamicObject> = install.clone();
            more.retain(|object| {
                object.namespace().as_deref() == Some(NAMESPACE) || object.name_any() == NAMESPACE
            });
            for object in &mut more {
                match object.metadata.namespace {
                    Some(_) => object.metadata.namespace = Some((*other).to_owned()),
                    None => object.metadata.name = Some((*other).to_owned()),
                }
            }
            // The namespaces come before what is in them.
            more.append(&mut install);
            install = more;
        }
        let args = arguments(&mut install);
        args.retain(|arg| !arg.as_str().is_some_and(|arg| arg.starts_with("--watch-namespaces")));
        let watched: Vec<&str> = [NAMESPACE].iter().chain(others).copied().collect();
        args.push(json!(format!("--watch-namespaces={}", watched.join(","))));
        Self::start_from(install).await
    }

    async fn start_from(install: Vec<DynamicObject>) -> Self {
        let server = Server::start().await;
        let client = server.client();
        let world = Self { server, client };
        manifests::apply(&world.client, &install).await.expect("the install manifest is accepted");
        world.restricted_namespace(NAMESPACE).await;
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
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// A client with all rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Makes a namespace that takes no pod with more rights than it needs: whatever the operator makes must
    /// pass the strictest of the Pod Security Standards. (The sandbox keeps the label; a control plane
    /// enforces it.)
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn restricted_namespace(&self, name: &str) {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        self.apply(&namespace).await;
        let namespaces: Api<Namespace> = Api::all(self.client());
        // Another manager's than that of the examples, which name the namespace without it.
        let label =
            json!({ "metadata": { "labels": { "pod-security.kubernetes.io/enforce": "restricted" } } });
        let labelled = namespaces.patch(name, &PatchParams::default(), &Patch::Merge(label)).await;
        labelled.expect("the label is accepted");
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
        let begun = Instant::now();
        until("ConfigurationLive for the newest spec", bound, || async {
            let stack = self.stacks().get(name).await.map_err(|e| e.to_string())?;
            let live = Self::condition(&stack, "ConfigurationLive");
            let current = live.as_ref().is_some_and(|live| {
                live.status == "True" && live.observed_generation == stack.metadata.generation
            });
            if current {
                return Ok(stack);
            }
            let status = serde_json::to_string(&stack.status).unwrap_or_default();
            // Near the end of the wait what stands in the way is of interest.
            let pods = if begun.elapsed() > bound / 10 * 9 { self.not_ready().await } else { String::new() };
            Err(format!("{status}\n{pods}"))
        })
        .await
    }

    /// The pods that are not ready, each with what its containers are at and with the end of their logs.
    async fn not_ready(&self) -> String {
        let api: Api<Pod> = Api::namespaced(self.client(), NAMESPACE);
        let mut told = String::new();
        for pod in self.pods("").await.into_iter().filter(|pod| !is_ready(pod)) {
            let status = pod.status.clone().unwrap_or_default();
            let containers =
                status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
            for container in containers {
                let log = LogParams {
                    container: Some(container.name.clone()),
                    tail_lines: Some(8),
                    ..LogParams::default()
                };
                let log = api.logs(&pod.name_any(), &log).await.unwrap_or_else(|error| error.to_string());
                let state = serde_json::to_string(&container.state).unwrap_or_default();
                let (name, restarts) = (&container.name, container.restart_count);
                told += &format!("{} {name}: {state}, {restarts} restarts\n{log}\n", pod.name_any());
            }
        }
        told
    }

    /// Waits until the first scrapes have told of the tripwires of a stack's metrics store. Others need half an
    /// hour of scrapes and more.
    ///
    /// # Panics
    /// When that takes longer than `bound`.
    pub async fn watched(&self, name: &str, bound: Duration) {
        let wires = ["replay", "retention", "engine-dead"];
        self.known(name, &wires.map(|wire| (Component::MetricsStore, wire)), bound).await;
    }

    /// Waits until these tripwires hold, each by its component and its id.
    ///
    /// # Panics
    /// When that takes longer than `bound`.
    pub async fn known(&self, name: &str, wires: &[(Component, &str)], bound: Duration) {
        let records: Api<DecisionRecord> = Api::namespaced(self.client(), NAMESPACE);
        let of_stack = ListParams::default().labels(&format!("{LABEL_STACK}={name}"));
        until("the tripwires to be known", bound, || async {
            let records = records.list(&of_stack).await.map_err(|error| error.to_string())?.items;
            let holds = |(component, wire): &&(Component, &str)| {
                let ours = records.iter().filter(|record| record.spec.component == *component);
                let mut all = ours.filter_map(|record| record.status.as_ref()).flat_map(|now| &now.tripwires);
                all.any(|now| now.id == *wire && now.state == TripwireState::Holding)
            };
            let unknown: Vec<_> = wires.iter().filter(|wire| !holds(wire)).collect();
            if unknown.is_empty() { Ok(()) } else { Err(format!("{unknown:?}")) }
        })
        .await;
    }

    /// URL of a role of a stack through its Service, path prefix included, once somebody answers there: a Service leads
    /// to a pod a moment after it is ready, which is after what it runs is live.
    ///
    /// # Panics
    /// When there is no such Service, or nobody has answered after a minute.
    pub async fn url(&self, stack: &str, role: &str) -> String {
        let (port, prefix) = match role {
            "metrics" => (9090, "/prometheus"),
            _ => (9093, "/alertmanager"),
        };
        let address = self.address(NAMESPACE, &format!("{stack}-{role}")).await;
        let url = format!("http://{address}:{port}{prefix}");
        let ready = format!("{url}/-/ready");
        until("the Service to lead to an engine", Duration::from_secs(60), || ask::text(&ready)).await;
        url
    }

    /// URL of the operator's HTTP through its Service.
    ///
    /// # Panics
    /// When there is no such Service.
    pub async fn operator_url(&self) -> String {
        format!("http://{}:8080", self.address(HOME, "obstack").await)
    }

    /// A token of a service account.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn token(&self, namespace: &str, account: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let asked =
            accounts.create_token_request(account, &PostParams::default(), &TokenRequest::default()).await;
        asked.expect("a token").status.and_then(|status| status.token).expect("the server's answer")
    }

    /// An account of this namespace that may get the stacks, and nothing else, and its token.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn reader(&self, namespace: &str, name: &str) -> String {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": namespace }
        });
        self.apply(&account).await;
        let rbac = "rbac.authorization.k8s.io";
        let named = json!({ "name": "readers", "namespace": NAMESPACE });
        let rules =
            json!([{ "apiGroups": ["obstack.io"], "resources": ["observabilitystacks"], "verbs": ["get"] }]);
        let version = format!("{rbac}/v1");
        self.apply(&json!({ "apiVersion": version, "kind": "Role", "metadata": named, "rules": rules }))
            .await;
        self.apply(&json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": named,
            "roleRef": { "apiGroup": rbac, "kind": "Role", "name": "readers" },
            "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": namespace }]
        }))
        .await;
        self.token(namespace, name).await
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

    /// `kind namespace/name` of everything that the operator owns, volumes and records aside.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn owned_by_obstack(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (group, version, kind) in OWNED {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let all: Api<DynamicObject> = Api::all_with(self.client(), &resource);
            let objects = all.list(&ListParams::default().labels(OURS)).await.expect("objects are listed");
            let name = |object: DynamicObject| {
                format!("{kind} {}/{}", object.namespace().unwrap_or_default(), object.name_any())
            };
            found.extend(objects.items.into_iter().map(name));
        }
        found
    }

    /// Mutating requests of the operator's and the engines' accounts from a place in the log on, Leases
    /// aside, dry runs included.
    pub fn writes_since(&self, mark: Mark) -> Vec<RequestInfo> {
        let operator = format!("system:serviceaccount:{HOME}:obstack");
        let engines = format!("system:serviceaccount:{NAMESPACE}:");
        let ours = |request: &RequestInfo| request.user == operator || request.user.starts_with(&engines);
        let requests = self.server.answered_since(mark).into_iter().map(|answered| answered.request);
        requests
            .filter(ours)
            .filter(|request| request.is_mutating() && request.resource != "leases")
            .collect()
    }

    /// Waits until nobody of ours has written for `span`.
    ///
    /// # Panics
    /// When that takes longer than `bound`.
    pub async fn quiet(&self, span: Duration, bound: Duration) {
        until("quiet", bound, || async {
            let from = self.server.mark();
            tokio::time::sleep(span).await;
            let writes = self.writes_since(from);
            if writes.is_empty() { Ok(()) } else { Err(writes) }
        })
        .await;
    }

    /// Ends the cluster and everything in it.
    pub async fn stop(self) {
        self.server.stop().await;
    }
}
