//! Alerting, filled by Alertmanager.

use k8s_openapi::api::core::v1::ContainerPort;

use super::engine::{EngineParts, add_configuration, build_service_account, build_stateful_set};
use super::object::List;
use super::service::{build_disruption_budget, build_headless, build_service, port};
use super::{Context, DesiredError, rbac, reloader};
use crate::decide::Plan;
use crate::endpoint::Endpoint;
use crate::names::{Role, StackId};
use crate::running::{CURRENT, Engine};
use crate::scrape::Configs;
use crate::validate::Valid;

const ROLE: Role = Role::Alerting;
/// Folder of the volume, as in the engine's image.
const DATA_PATH: &str = "/alertmanager";
/// Port over which replicas tell each other what was notified, TCP and UDP.
const CLUSTER_PORT: i32 = 9094;
/// Seconds that a start may take: little is kept, and a cluster settles before it notifies.
const STARTUP_SECONDS: u64 = 300;

pub(super) fn build(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    configs: &Configs,
    list: &mut List,
) -> Result<(), DesiredError> {
    let stack = &valid.id;
    let clustered = valid.alerting_replicas() > 1;
    list.add(ROLE, &build_service_account(stack, ROLE))?;
    add_configuration(stack, ROLE, context, configs, list)?;
    rbac::add_delivery(stack, ROLE, list)?;
    list.add(ROLE, &build_service(stack, ROLE, false))?;
    let mut ports = vec![port(reloader::PORT_NAME, reloader::PORT, "TCP")];
    let mut more_ports = Vec::new();
    if clustered {
        for (name, protocol) in [("cluster-tcp", "TCP"), ("cluster-udp", "UDP")] {
            ports.push(port(name, CLUSTER_PORT, protocol));
            more_ports.push(ContainerPort {
                name: Some(name.into()),
                container_port: CLUSTER_PORT,
                protocol: Some(protocol.into()),
                ..Default::default()
            });
        }
    }
    list.add(ROLE, &build_headless(stack, ROLE, ports))?;
    list.add(ROLE, &build_disruption_budget(stack, ROLE))?;
    let parts = EngineParts {
        role: ROLE,
        engine: Engine::Alertmanager,
        args: args(stack, valid.alerting_replicas()),
        more_ports,
        data_path: DATA_PATH,
        storage: &valid.spec.alerting.storage,
        startup_seconds: STARTUP_SECONDS,
        grace_seconds: 60,
    };
    list.add(ROLE, &build_stateful_set(valid, plan, context, parts)?)
}

fn args(stack: &StackId, replicas: i32) -> Vec<String> {
    let endpoint = Endpoint::of(stack, ROLE);
    let mut args = vec![
        format!("--config.file={CURRENT}/{}", Engine::Alertmanager.main_file()),
        format!("--storage.path={DATA_PATH}"),
        format!("--web.external-url={}", endpoint.url()),
        format!("--web.listen-address=:{}", endpoint.port),
        format!("--web.route-prefix={}", endpoint.prefix),
    ];
    if replicas > 1 {
        args.push(format!("--cluster.listen-address=[$(POD_IP)]:{CLUSTER_PORT}"));
        let workload = stack.child(ROLE);
        let headless = stack.child_with(ROLE, "headless");
        args.extend((0..replicas).map(|ordinal| {
            format!("--cluster.peer={workload}-{ordinal}.{headless}.{}.svc:{CLUSTER_PORT}", stack.namespace)
        }));
        // A replica that comes back with another address is found again, and the old one is given up soon.
        args.push("--cluster.reconnect-timeout=5m".to_owned());
    } else {
        args.push("--cluster.listen-address=".to_owned());
    }
    args
}
