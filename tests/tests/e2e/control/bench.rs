//! A cluster without a node, and operators in this process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, CustomResourceExt, ResourceExt};
use obstack::controller::{self, Options};
use obstack::http::decisions::DecisionsAccess;
use obstack::observe::kinds::{Kind, OWNED};
use obstack::observe::stores::Scope;
use obstack_crds::ObservabilityStack;
use obstack_sandbox::api::{AuditEntry, Handle};
use obstack_sandbox::cluster::{self, Cluster};
use obstack_tests::wait::until;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// Longest wait for anything here, on a busy machine; most take less than a second.
pub(crate) const BOUND: Duration = Duration::from_secs(120);
/// How long no write may come until a stack counts as settled: longer than the resync of these operators.
const QUIET: Duration = Duration::from_millis(1_000);
/// Name of the operators' user.
pub(crate) const OPERATOR: &str = "operator";
/// Namespace of the stacks.
pub(crate) const NAMESPACE: &str = "monitoring";
/// Namespace of the operator.
pub(crate) const HOME: &str = "obstack-system";

/// A cluster without a node.
pub(crate) struct Bench {
    cluster: Cluster,
    /// An administrator's client, counted apart from the operators'.
    pub(crate) admin: Client,
}

/// An operator in this process.
pub(crate) struct Operator {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    /// Where it serves.
    pub(crate) url: String,
}

impl Bench {
    /// A cluster with the API types and the namespaces.
    pub(crate) async fn start() -> Self {
        let bench = Self::without_types().await;
        bench.install_types().await;
        bench
    }

    /// A cluster with the namespaces alone.
    pub(crate) async fn without_types() -> Self {
        let options = cluster::Options { node: false, ..cluster::Options::default() };
        let cluster = Cluster::start(options).await.unwrap();
        let bench = Self { admin: cluster.client(), cluster };
        let namespaces = ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&());
        for name in [NAMESPACE, HOME] {
            let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
            bench.put(&namespaces, None, body).await;
        }
        bench
    }

    /// Installs the API types.
    pub(crate) async fn install_types(&self) {
        let resource = ApiResource::erase::<CustomResourceDefinition>(&());
        for crd in obstack_crds::all() {
            self.put(&resource, None, serde_json::to_value(&crd).unwrap()).await;
        }
    }

    /// The API server, for its log of requests and its faults.
    pub(crate) fn server(&self) -> &Handle {
        self.cluster.api()
    }

    /// Applies an object as an administrator.
    pub(crate) async fn put(&self, resource: &ApiResource, namespace: Option<&str>, body: Value) {
        let name = body["metadata"]["name"].as_str().unwrap().to_owned();
        let params = PatchParams::apply("tests").force();
        self.api(resource, namespace).patch(&name, &params, &Patch::Apply(&body)).await.unwrap();
    }

    /// The API of a kind for an administrator.
    pub(crate) fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.admin.clone(), namespace, resource),
            None => Api::all_with(self.admin.clone(), resource),
        }
    }

    /// The API of a kind that stacks own, in their namespace.
    pub(crate) fn of(&self, kind: &str) -> Api<DynamicObject> {
        let kind = Kind::of(kind).unwrap();
        self.api(&kind.resource(), (!kind.cluster).then_some(NAMESPACE))
    }

    /// The stacks.
    pub(crate) fn stacks(&self) -> Api<ObservabilityStack> {
        Api::namespaced(self.admin.clone(), NAMESPACE)
    }

    /// Applies a stack with this spec, by the name `main`.
    pub(crate) async fn stack(&self, spec: Value) {
        let body = json!({
            "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack",
            "metadata": { "name": "main", "namespace": NAMESPACE }, "spec": spec
        });
        self.put(&ObservabilityStack::api_resource(), Some(NAMESPACE), body).await;
    }

    /// Starts an operator without leader election.
    pub(crate) async fn operator(&self) -> Operator {
        self.operator_with(OPERATOR, |_| {}).await
    }

    /// Starts an operator as this user, its options changed.
    pub(crate) async fn operator_with(&self, user: &str, change: impl FnOnce(&mut Options)) -> Operator {
        let kubeconfig = self.server().kubeconfig_for(user, &["system:masters"]);
        self.operator_as(&kubeconfig, user, change).await
    }

    /// Starts an operator with this kubeconfig.
    pub(crate) async fn operator_as(
        &self,
        kubeconfig: &str,
        identity: &str,
        change: impl FnOnce(&mut Options),
    ) -> Operator {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut options = Options {
            listen: address,
            decisions_access: DecisionsAccess::Open,
            scope: Scope::Cluster,
            lease_namespace: None,
            catalog: obstack::decide::Catalog::embedded().unwrap(),
            identity: identity.to_owned(),
            namespace: Some(HOME.to_owned()),
            image: "ghcr.io/obstack/obstack:0.1.0".to_owned(),
            resync: Duration::from_millis(400),
            startup_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(5),
            sync_timeout: Duration::from_secs(10),
            tripwire_divisors: Vec::new(),
        };
        change(&mut options);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let clients =
            controller::start::clients_of(config(kubeconfig).await, options.answer_timeout).unwrap();
        let task = tokio::spawn(async move {
            controller::run_on(clients, listener, options, stopped).await.unwrap();
        });
        Operator { stop, task, url: format!("http://{address}") }
    }

    /// Writes of this user from an index of the server's log on, Leases aside; dry runs count.
    pub(crate) fn writes_since(&self, index: u64, user: &str) -> Vec<AuditEntry> {
        let is_write = |entry: &AuditEntry| {
            entry.request.user == user && entry.request.is_mutating() && entry.request.resource != "leases"
        };
        self.server().audit_since(index).into_iter().filter(is_write).collect()
    }

    /// Waits until the stack has a status and its operator has not written for a while.
    pub(crate) async fn settled(&self) {
        self.settled_for(OPERATOR).await;
    }

    /// The same for the operator of this user.
    pub(crate) async fn settled_for(&self, user: &str) {
        let mut seen = (self.server().audit_next(), Instant::now());
        let mut of_late = Vec::new();
        until("a settled stack", BOUND, || {
            let last = self
                .writes_since(seen.0, user)
                .last()
                .map(|entry| format!("{} {} {}", entry.request.verb, entry.request.path, entry.code));
            if last.is_some() {
                seen = (self.server().audit_next(), Instant::now());
            }
            if let Some(last) = last {
                of_late.push(last);
            }
            let quiet = seen.1.elapsed() > QUIET;
            let of_late: Vec<String> = of_late.iter().rev().take(8).cloned().collect();
            async move {
                let stack = self.stacks().get("main").await.map_err(|error| error.to_string())?;
                let generation = stack.metadata.generation;
                let observed = stack.status.and_then(|status| status.observed_generation);
                match (observed == generation, quiet) {
                    (true, true) => Ok(()),
                    other => Err(format!("observed and quiet: {other:?}, of late: {of_late:?}")),
                }
            }
        })
        .await;
    }

    /// A condition of the stack, as `True Live`.
    pub(crate) async fn condition(&self, kind: &str) -> String {
        let stack = self.stacks().get("main").await.unwrap();
        let conditions = stack.status.unwrap_or_default().conditions;
        let found = conditions.iter().find(|condition| condition.type_ == kind);
        found.map(|condition| format!("{} {}", condition.status, condition.reason)).unwrap_or_default()
    }

    /// Everything that the stack owns, without what differs from one run to the next.
    pub(crate) async fn state(&self) -> Vec<Value> {
        let mut state = Vec::new();
        let records = obstack_crds::DecisionRecord::api_resource();
        let stacks = ObservabilityStack::api_resource();
        let owned = OWNED.iter().filter(|kind| !kind.is_handed_over()).map(Kind::resource);
        for resource in owned.chain([records, stacks]) {
            let params = kube::api::ListParams::default();
            for object in self.api(&resource, None).list(&params).await.unwrap() {
                if object.labels().contains_key("obstack.io/stack") || resource.kind == "ObservabilityStack" {
                    state.push(plain(&object));
                }
            }
        }
        state
    }

    /// Ends the cluster.
    pub(crate) async fn stop(self) {
        self.cluster.stop().await;
    }
}

async fn config(kubeconfig: &str) -> kube::Config {
    obstack::tls::install_provider();
    let parsed = Kubeconfig::from_yaml(kubeconfig).unwrap();
    kube::Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.unwrap()
}

/// An object without versions, times, UIDs and generated passwords.
fn plain(object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        for field in
            ["resourceVersion", "uid", "creationTimestamp", "managedFields", "generation", "ownerReferences"]
        {
            metadata.remove(field);
        }
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.remove("obstack.io/stack-uid");
        }
    }
    if value["metadata"]["annotations"].get("obstack.io/generate").is_some() {
        value["data"] = Value::Null;
    }
    if let Some(spec) = value["spec"].as_object_mut() {
        spec.remove("decidedAt");
        spec.remove("clusterIP");
        spec.remove("clusterIPs");
    }
    for condition in value["status"]["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = Value::Null;
        condition["lastUpdateTime"] = Value::Null;
    }
    value
}

impl Operator {
    /// Stops it in order.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(BOUND, self.task).await.expect("the operator stops").unwrap();
    }

    /// What it serves at a path.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        self.get_with(path, None).await
    }

    /// What it serves at a path to whoever sends this header `Authorization`.
    pub(crate) async fn get_with(&self, path: &str, authorization: Option<&str>) -> (u16, String) {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap();
        let mut request = http.get(format!("{}{path}", self.url));
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The value of a metric, by the start of its line.
    pub(crate) async fn metric(&self, start: &str) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let line = text.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start}"));
        line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap()
    }
}

/// A shared counter or switch of a fault's hook.
pub(crate) type Shared<T> = Arc<T>;
