//! What a replica of each role asks for, in Kubernetes' quantities.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ResourceRequirements;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use obstack_crds::status::Rejected;

use super::workload::knobs;
use super::{Context, DesiredError};
use crate::decide::{Plan, Resources};
use crate::names::Role;
use crate::units::Bytes;
use crate::validate::Valid;

/// What one replica of a role takes, by the decision.
fn of(plan: &Plan, role: Role) -> Result<&Resources, DesiredError> {
    plan.sizing_of(role.component()).ok_or(DesiredError::NoSizing(role.as_str()))
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
/// limited, because an engine that outgrows its share takes others with it; CPU is not, because a throttled
/// engine misses scrapes.
pub(super) fn resources(
    valid: &Valid,
    plan: &Plan,
    role: Role,
) -> Result<ResourceRequirements, DesiredError> {
    if let Some(wished) = &knobs(valid, role).resources {
        return Ok(wished.clone());
    }
    let size = of(plan, role)?;
    let cpu = format!("{}m", size.cpu_millis);
    let request = size.memory_request.ceil_mi().to_string();
    let limit = size.memory_limit.ceil_mi().to_string();
    Ok(ResourceRequirements {
        requests: Some(quantities(&[("cpu", &cpu), ("memory", &request)])),
        limits: Some(quantities(&[("memory", &limit)])),
        ..Default::default()
    })
}

/// Size of the volume of a role's replica: that of the claim that exists, else what the decision says.
pub(super) fn volume(plan: &Plan, context: &Context, role: Role) -> Result<Bytes, DesiredError> {
    context.claimed(role).map_or_else(|| of(plan, role).map(|size| size.disk), Ok)
}

/// What to say where the claims that exist have another size than is wanted now.
pub(super) fn volume_differs(valid: &Valid, plan: &Plan, context: &Context, role: Role) -> Option<Rejected> {
    let (claimed, wanted) = (context.claimed(role)?, of(plan, role).ok()?.disk);
    let workload = valid.id.child(role);
    (claimed != wanted).then(|| Rejected {
        object: format!("spec.{}.storage", role.as_str()),
        reason: format!(
            "the volumes of {workload} have {claimed} and stay so, and {wanted} is wanted now: the claims of a \
             StatefulSet cannot change; write size: {claimed} to keep them, or expand each claim by hand"
        ),
    })
}

/// Quantities by the name of their resource.
pub(super) fn quantities(list: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    list.iter().map(|(name, amount)| ((*name).to_owned(), Quantity((*amount).to_owned()))).collect()
}
