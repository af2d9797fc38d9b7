//! What a replica of each role asks for, in Kubernetes' quantities.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::workload::knobs;
use crate::decide::Plan;
use crate::names::Role;
use crate::units::Bytes;
use crate::validate::Valid;

const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;

/// What one replica asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    /// CPU, in thousandths of a core.
    milli_cpu: u64,
    memory: Bytes,
    /// The volume; 0 where the role has none.
    storage: Bytes,
}

/// What a role asks for where nothing is known of its load.
fn least(role: Role) -> Size {
    let (milli_cpu, memory, storage) = match role {
        Role::Metrics => (100, 512 * MI, 8 * GI),
        Role::Alerting => (20, 128 * MI, GI),
        Role::Dashboards => (50, 256 * MI, 0),
    };
    Size { milli_cpu, memory: Bytes(memory), storage: Bytes(storage) }
}

/// The larger of what the decision expects, shared out over the replicas, and of what a role needs at least.
fn size(valid: &Valid, plan: &Plan, role: Role) -> Size {
    let least = least(role);
    let replicas = f64::from(replicas(valid, role).max(1));
    let per_replica = |quantity: &str| {
        let sizing = plan.get(role.component())?.sizing.iter().find(|s| s.quantity == quantity)?;
        Some(sizing.range.high / replicas)
    };
    let bytes = |quantity: &str, least: Bytes, step: u64| {
        let wanted = per_replica(quantity).map_or(0, |bytes| bytes.max(0.0) as u64);
        Bytes(wanted.max(least.0).div_ceil(step) * step)
    };
    let milli_cpu = per_replica("cpu").map_or(0, |cores| (cores.max(0.0) * 100.0).ceil() as u64 * 10);
    Size {
        milli_cpu: milli_cpu.max(least.milli_cpu),
        memory: bytes("memory", least.memory, 64 * MI),
        storage: bytes("storage", least.storage, GI),
    }
}

/// Replicas of a role.
pub(super) fn replicas(valid: &Valid, role: Role) -> i32 {
    match role {
        Role::Metrics => valid.metrics_replicas(),
        Role::Alerting => valid.alerting_replicas(),
        Role::Dashboards => valid.dashboards_replicas(),
    }
}

/// Requests and limits of a role's engine: what the stack asks for, else what the decision expects. Memory is
/// limited to what is requested, because an engine that outgrows its share takes others with it; CPU is not
/// limited, because a throttled engine misses scrapes.
pub(super) fn resources(valid: &Valid, plan: &Plan, role: Role) -> ResourceRequirements {
    if let Some(wished) = &knobs(valid, role).resources {
        return wished.clone();
    }
    let size = size(valid, plan, role);
    let memory = size.memory.to_string();
    ResourceRequirements {
        requests: Some(quantities(&[("cpu", &format!("{}m", size.milli_cpu)), ("memory", &memory)])),
        limits: Some(quantities(&[("memory", &memory)])),
        ..Default::default()
    }
}

/// Size of the volume of a role's replica.
pub(super) fn volume(valid: &Valid, plan: &Plan, role: Role) -> Bytes {
    let written = match role {
        Role::Metrics => &valid.spec.metrics.storage,
        Role::Alerting => &valid.spec.alerting.storage,
        Role::Dashboards => return Bytes(0),
    };
    let wished = written.size.as_deref().and_then(|text| text.parse().ok());
    wished.unwrap_or_else(|| size(valid, plan, role).storage)
}

/// Quantities by the name of their resource.
pub(super) fn quantities(list: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
}
