//! What the tests of this crate share.
#![allow(dead_code, reason = "not every test file uses all of it")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt, discovery};
use obstack_sandbox::cluster::{Cluster, Options};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster for one test.
pub(crate) struct TestCluster(Cluster);

impl TestCluster {
    pub(crate) async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    pub(crate) async fn start_with(options: Options) -> Self {
        let filter = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
        let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
        Self(Cluster::start(options).await.unwrap())
    }

    pub(crate) fn client(&self) -> Client {
        self.0.client()
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.0
    }

    pub(crate) async fn stop(self) {
        self.0.stop().await;
    }
}

/// Applies an object of any kind.
pub(crate) async fn apply(client: &Client, object: serde_json::Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.clone().unwrap();
    let kind = GroupVersionKind::try_from(&types).unwrap();
    let (resource, capabilities) = discovery::pinned_kind(client, &kind).await.unwrap();
    let api: Api<DynamicObject> = match capabilities.scope {
        discovery::Scope::Cluster => Api::all_with(client.clone(), &resource),
        discovery::Scope::Namespaced => {
            Api::namespaced_with(client.clone(), &object.namespace().unwrap_or_default(), &resource)
        }
    };
    let params = PatchParams::apply("test").force();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object)).await.unwrap();
}

/// Waits until something holds; says what was last seen when it does not in time.
pub(crate) async fn eventually<T, E: std::fmt::Display>(
    what: &str,
    mut check: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let begun = Instant::now();
    loop {
        match check().await {
            Ok(value) => return value,
            Err(error) if begun.elapsed() > PATIENCE => panic!("{what}: not within {PATIENCE:?}: {error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The body of a page that answers with success.
pub(crate) async fn get_text(url: &str) -> Result<String, String> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        let builder = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5));
        // Connections of one test's runtime must not be used by another's.
        builder.pool_max_idle_per_host(0).build().unwrap()
    });
    let answer = client.get(url).send().await.and_then(reqwest::Response::error_for_status);
    let answer = answer.map_err(|error| error.to_string())?;
    answer.text().await.map_err(|error| error.to_string())
}

pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// A pod with one container that runs a shell script.
pub(crate) fn shell_pod(name: &str, script: &str) -> serde_json::Value {
    serde_json::json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "default" },
        "spec": { "containers": [{
            "name": "main", "image": "example-app", "command": ["/bin/sh", "-c", script],
        }] },
    })
}
