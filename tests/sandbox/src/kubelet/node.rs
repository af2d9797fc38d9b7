//! This machine as a Node of the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1::{
    DaemonEndpoint, Node, NodeAddress, NodeCondition, NodeDaemonEndpoints, NodeStatus, NodeSystemInfo,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::fields::machine_memory;
use super::{KubeletError, Options};

/// How often the Lease of the node is renewed.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// The node's status is written anew after this many renewals, five minutes: as often as a kubelet does it
/// where nothing changed. The Lease alone keeps the node alive.
const BEATS_PER_STATUS: u32 = 30;
/// How long one write may take: a heartbeat that hangs is one that was left out.
const WRITE: Duration = Duration::from_secs(10);

/// The status of the node, which has been ready since one time and says so at another.
fn build_status(options: &Options, since: Timestamp, now: Timestamp) -> NodeStatus {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let resources = BTreeMap::from([
        ("cpu".to_owned(), Quantity(cores.to_string())),
        ("memory".to_owned(), Quantity(format!("{}Ki", machine_memory() / 1024))),
        ("ephemeral-storage".to_owned(), Quantity("100Gi".to_owned())),
        ("pods".to_owned(), Quantity("500".to_owned())),
    ]);
    let condition = |kind: &str, status: &str, reason: &str| NodeCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: None,
        last_heartbeat_time: Some(Time(now)),
        last_transition_time: Some(Time(since)),
    };
    let port = options.https.as_ref().and_then(super::Https::port);
    let address = |kind: &str, address: String| NodeAddress { type_: kind.to_owned(), address };
    NodeStatus {
        addresses: Some(vec![
            address("InternalIP", options.range.node().to_string()),
            address("Hostname", options.node.clone()),
        ]),
        allocatable: Some(resources.clone()),
        capacity: Some(resources),
        conditions: Some(vec![
            condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
            condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
            condition("PIDPressure", "False", "KubeletHasSufficientPID"),
            condition("Ready", "True", "KubeletReady"),
        ]),
        daemon_endpoints: port.map(|port| NodeDaemonEndpoints {
            kubelet_endpoint: Some(DaemonEndpoint { port: i32::from(port) }),
        }),
        node_info: Some(NodeSystemInfo {
            architecture: if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }.to_owned(),
            operating_system: "linux".to_owned(),
            os_image: "obstack sandbox".to_owned(),
            container_runtime_version: format!("obstack-sandbox://{}", env!("CARGO_PKG_VERSION")),
            kubelet_version: format!("v0.0.0-obstack-sandbox-{}", env!("CARGO_PKG_VERSION")),
            kernel_version: std::fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            ..NodeSystemInfo::default()
        }),
        ..NodeStatus::default()
    }
}

/// Registers the node, or takes up the one of the same name.
///
/// # Errors
/// The server's answer.
pub(crate) async fn register(client: &Client, options: &Options) -> Result<(), KubeletError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let labels = [
        ("kubernetes.io/hostname", options.node.as_str()),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" }),
    ];
    let node = Node {
        metadata: ObjectMeta {
            name: Some(options.node.clone()),
            labels: Some(
                labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            ),
            ..ObjectMeta::default()
        },
        ..Node::default()
    };
    let failed = |error: kube::Error| KubeletError::Register(error.to_string());
    match within(nodes.create(&PostParams::default(), &node)).await {
        Ok(_) => (),
        Err(kube::Error::Api(status)) if status.is_already_exists() => (),
        Err(error) => return Err(failed(error)),
    }
    let now = Timestamp::now();
    write_status(&nodes, options, now, now).await.map_err(failed)
}

async fn write_status(
    nodes: &Api<Node>,
    options: &Options,
    since: Timestamp,
    now: Timestamp,
) -> Result<(), kube::Error> {
    let patch = Patch::Merge(json!({ "status": build_status(options, since, now) }));
    within(nodes.patch_status(&options.node, &PatchParams::default(), &patch)).await.map(|_| ())
}

async fn within<T>(write: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = |_| kube::Error::Service(format!("no answer within {WRITE:?}").into());
    tokio::time::timeout(WRITE, write).await.map_err(late)?
}

/// Renews the Lease of the node for ever, and its status now and then: a control plane takes a node that does
/// not for dead.
pub(crate) async fn heartbeat(client: Client, options: Options) {
    let leases: Api<Lease> = Api::namespaced(client.clone(), "kube-node-lease");
    let nodes: Api<Node> = Api::all(client);
    let since = Timestamp::now();
    for beat in 1u32.. {
        if let Err(error) = within(renew(&leases, &options.node)).await {
            tracing::debug!(%error, "lease of the node not renewed");
        }
        tokio::time::sleep(HEARTBEAT).await;
        if beat.is_multiple_of(BEATS_PER_STATUS)
            && let Err(error) = write_status(&nodes, &options, since, Timestamp::now()).await
        {
            tracing::debug!(%error, "status of the node not written");
        }
    }
}

async fn renew(leases: &Api<Lease>, node: &str) -> Result<Lease, kube::Error> {
    let spec = LeaseSpec {
        holder_identity: Some(node.to_owned()),
        lease_duration_seconds: Some(40),
        renew_time: Some(MicroTime(Timestamp::now())),
        ..LeaseSpec::default()
    };
    let patch = Patch::Merge(json!({ "spec": spec }));
    match leases.patch(node, &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.is_not_found() => {
            let metadata = ObjectMeta { name: Some(node.to_owned()), ..ObjectMeta::default() };
            leases.create(&PostParams::default(), &Lease { metadata, spec: Some(spec) }).await
        }
        other => other,
    }
}
