//! What Prometheus and Alertmanager share: a StatefulSet with a claim per replica, configured by the reloader.

use k8s_openapi::api::apps::v1::{
    StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
};
use k8s_openapi::api::core::v1::{
    Container, ContainerPort, HTTPGetAction, PersistentVolumeClaim, PersistentVolumeClaimSpec, Probe,
    ServiceAccount, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use obstack_crds::stack::VolumePolicy;
use obstack_crds::workload::Storage;

use super::config_volumes::{build_volumes, engine_mount, mount};
use super::reloader::{Reloader, pod_env};
use super::service::metadata;
use super::sizing::{quantities, replicas, resources, volume};
use super::workload::{Pod, build_template, selector};
use super::{Context, DesiredError, images, object::List, security};
use crate::decide::Plan;
use crate::endpoint::Endpoint;
use crate::names::{Role, StackId};
use crate::running::delivery::{self, Held, Write};
use crate::running::{Engine, Generation, part_object, part_secret, pointer_object};
use crate::scrape::Configs;
use crate::validate::Valid;

/// Name of the claim of each replica.
const DATA: &str = "data";

/// What is particular to an engine.
pub(super) struct EngineParts<'a> {
    pub(super) role: Role,
    pub(super) engine: Engine,
    pub(super) args: Vec<String>,
    pub(super) more_ports: Vec<ContainerPort>,
    /// Where the claim is mounted.
    pub(super) data_path: &'a str,
    pub(super) storage: &'a Storage,
    /// Seconds that a start may take.
    pub(super) startup_seconds: u64,
    pub(super) grace_seconds: i64,
}

/// The parts of the generation of a role, and the pointer to it, as they are delivered first.
pub(super) fn add_configuration(
    stack: &StackId,
    role: Role,
    context: &Context,
    configs: &Configs,
    list: &mut List,
) -> Result<(), DesiredError> {
    let generation: &Generation =
        configs.generations.get(&role).ok_or(DesiredError::NoConfiguration(role.as_str()))?;
    if !context.configuration {
        return Ok(());
    }
    let secret = |slot, index| part_secret(stack, role, slot, index);
    for write in delivery::next(generation, &Held::default(), &[], secret).writes {
        match write {
            Write::Part(slot, index) => {
                if let Some(part) = generation.parts.get(index) {
                    list.add(role, &part_object(stack, role, slot, part))?;
                }
            }
            Write::Pointer(which, pointer) => {
                list.add(role, &pointer_object(stack, role, which, &pointer)?)?;
            }
        }
    }
    Ok(())
}

/// The account of a role's pods. Its token is mounted where the pod says so.
pub(super) fn build_service_account(stack: &StackId, role: Role) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata(stack, role, stack.child(role)),
        automount_service_account_token: Some(false),
        ..Default::default()
    }
}

/// The StatefulSet of an engine.
pub(super) fn build_stateful_set(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    parts: EngineParts<'_>,
) -> Result<StatefulSet, DesiredError> {
    let stack = &valid.id;
    let role = parts.role;
    let image = images::image(valid, role);
    let reloader = Reloader {
        stack,
        role,
        engine: parts.engine,
        engine_image: &image,
        operator_image: context.operator_image(role),
    };
    let pod = Pod {
        role,
        uses_api: true,
        user: security::NOBODY,
        grace_seconds: parts.grace_seconds,
        annotations: Default::default(),
        init_containers: vec![reloader.build_install(), reloader.build_load()],
        containers: vec![build_engine(valid, plan, &parts, &image)?, reloader.build_sidecar()],
        volumes: build_volumes(stack, role),
    };
    Ok(StatefulSet {
        metadata: metadata(stack, role, stack.child(role)),
        spec: StatefulSetSpec {
            replicas: Some(replicas(valid, role)),
            service_name: Some(stack.child_with(role, "headless")),
            selector: selector(stack, role),
            // Replicas know nothing of each other's order, and start at once after the loss of a cluster.
            pod_management_policy: Some("Parallel".into()),
            template: build_template(valid, pod)?,
            volume_claim_templates: Some(vec![build_claim(valid, plan, context, role, parts.storage)?]),
            persistent_volume_claim_retention_policy: Some(build_claim_policy(valid)),
            ..Default::default()
        },
        ..Default::default()
    })
}

fn build_engine(
    valid: &Valid,
    plan: &Plan,
    parts: &EngineParts<'_>,
    image: &str,
) -> Result<Container, DesiredError> {
    let endpoint = Endpoint::of(&valid.id, parts.role);
    let mut ports = vec![ContainerPort {
        name: Some("http".into()),
        container_port: i32::from(endpoint.port),
        ..Default::default()
    }];
    ports.extend(parts.more_ports.iter().cloned());
    let period = 3;
    Ok(Container {
        name: parts.engine.as_str().into(),
        image: Some(image.into()),
        args: Some(parts.args.clone()),
        env: Some(pod_env()),
        ports: Some(ports),
        resources: Some(resources(valid, plan, parts.role)?),
        volume_mounts: Some(vec![engine_mount(), mount(DATA, parts.data_path, false)]),
        startup_probe: Some(Probe {
            failure_threshold: Some(i32::try_from(parts.startup_seconds / 3).unwrap_or(i32::MAX)),
            ..probe(&endpoint, "/-/ready", period)
        }),
        readiness_probe: Some(Probe { failure_threshold: Some(3), ..probe(&endpoint, "/-/ready", 5) }),
        // Slow is not dead: an engine under load is left alone for a minute.
        liveness_probe: Some(Probe { failure_threshold: Some(6), ..probe(&endpoint, "/-/healthy", 10) }),
        security_context: Some(security::build_container()),
        ..Default::default()
    })
}

/// A probe of the engine under its prefix.
pub(super) fn probe(endpoint: &Endpoint, path: &str, period_seconds: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(endpoint.path(path)),
            port: IntOrString::String("http".into()),
            ..Default::default()
        }),
        period_seconds: Some(period_seconds),
        timeout_seconds: Some(3),
        ..Default::default()
    }
}

/// What becomes of claims: they stay where fewer replicas are wanted, and may go with the stack.
pub(super) fn build_claim_policy(valid: &Valid) -> StatefulSetPersistentVolumeClaimRetentionPolicy {
    let when_deleted = match valid.volumes() {
        VolumePolicy::Retain => "Retain",
        VolumePolicy::Delete => "Delete",
    };
    StatefulSetPersistentVolumeClaimRetentionPolicy {
        when_deleted: Some(when_deleted.into()),
        when_scaled: Some("Retain".into()),
    }
}

/// The claim of each replica; one that exists stays to the letter, because no change of it is accepted.
pub(super) fn build_claim(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    role: Role,
    storage: &Storage,
) -> Result<PersistentVolumeClaim, DesiredError> {
    if let Some(claim) = context.pinned.get(&role).and_then(|pinned| pinned.claim.clone()) {
        return Ok(claim);
    }
    let size = volume(plan, context, role)?.to_string();
    Ok(PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA.into()),
            labels: Some(valid.id.selector(role)),
            ..Default::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: storage.class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(quantities(&[("storage", &size)])),
                limits: None,
            }),
            ..Default::default()
        }),
        ..Default::default()
    })
}
