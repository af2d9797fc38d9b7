//! The containers around an engine that bring its configuration: `install`, `load` and `reloader`.

use k8s_openapi::api::core::v1::{
    Container, ContainerPort, EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, Probe,
    ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::config_volumes::{TOOLS_PATH, build_reloader_mounts, slot_path, tools_mount};
use super::security;
use super::sizing::quantities;
use crate::endpoint::{Endpoint, RELOADER_PORT};
use crate::names::{Role, StackId};
use crate::running::{Engine, Slot, TARGET, Which, pointer_secret_name};

/// Name of the container that brings the operator's binary. Its image is what a running stack is pinned to.
pub const INSTALL_CONTAINER: &str = "install";
/// Port of the reloader: `/healthz`, `/readyz`, `/metrics`.
pub(super) const PORT: i32 = RELOADER_PORT as i32;
/// Name of that port.
pub(super) const PORT_NAME: &str = "reloader";

/// What the reloader of a role needs to know.
pub(super) struct Reloader<'a> {
    pub(super) stack: &'a StackId,
    pub(super) role: Role,
    pub(super) engine: Engine,
    pub(super) engine_image: &'a str,
    pub(super) operator_image: &'a str,
}

impl Reloader<'_> {
    /// Copies the operator's binary to where the engine's own image can run it.
    pub(super) fn build_install(&self) -> Container {
        Container {
            name: INSTALL_CONTAINER.into(),
            image: Some(self.operator_image.into()),
            args: Some(vec!["install".into(), "--to".into(), TOOLS_PATH.into()]),
            volume_mounts: Some(vec![tools_mount(false)]),
            resources: Some(resources()),
            security_context: Some(security::build_container()),
            ..Default::default()
        }
    }

    /// Writes the configuration once, before the engine starts.
    pub(super) fn build_load(&self) -> Container {
        Container { name: "load".into(), ..self.build_common(true) }
    }

    /// Keeps the configuration as the pointer says.
    pub(super) fn build_sidecar(&self) -> Container {
        Container {
            name: "reloader".into(),
            ports: Some(vec![ContainerPort {
                name: Some(PORT_NAME.into()),
                container_port: PORT,
                ..Default::default()
            }]),
            readiness_probe: Some(probe("/readyz", 5)),
            liveness_probe: Some(probe("/healthz", 10)),
            ..self.build_common(false)
        }
    }

    fn build_common(&self, once: bool) -> Container {
        let mut args = vec!["reloader".to_owned()];
        if once {
            args.push("--once".into());
        }
        args.push(format!("--engine={}", self.engine.as_str()));
        args.push(format!("--engine-url={}", Endpoint::of(self.stack, self.role).url_at("$(POD_IP)")));
        args.extend(Slot::MOUNTED.map(|slot| format!("--slot={}", slot_path(slot))));
        args.push(format!("--target={TARGET}"));
        args.push(format!("--listen=:{PORT}"));
        args.push("--namespace=$(POD_NAMESPACE)".into());
        args.push(format!("--pointer={}", pointer_secret_name(self.stack, self.role, Which::Candidate)));
        args.push(format!("--proven={}", pointer_secret_name(self.stack, self.role, Which::Proven)));
        Container {
            image: Some(self.engine_image.into()),
            command: Some(vec![format!("{TOOLS_PATH}/obstack")]),
            args: Some(args),
            env: Some(pod_env()),
            volume_mounts: Some(build_reloader_mounts()),
            resources: Some(resources()),
            security_context: Some(security::build_container()),
            ..Default::default()
        }
    }
}

/// Name, namespace and address of the pod.
pub(super) fn pod_env() -> Vec<EnvVar> {
    let field = |name: &str, path: &str| EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector { api_version: None, field_path: path.into() }),
            ..Default::default()
        }),
        ..Default::default()
    };
    vec![
        field("POD_NAME", "metadata.name"),
        field("POD_NAMESPACE", "metadata.namespace"),
        field("POD_IP", "status.podIP"),
    ]
}

/// Enough for the check of a configuration as large as it can be.
fn resources() -> ResourceRequirements {
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", "10m"), ("memory", "32Mi")])),
        limits: Some(quantities(&[("memory", "512Mi")])),
        ..Default::default()
    }
}

fn probe(path: &str, period: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(PORT_NAME.into()),
            ..Default::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(6),
        ..Default::default()
    }
}
