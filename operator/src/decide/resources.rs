//! What one replica of a deployed workload takes: the decision's sizing as numbers that a manifest needs. By the
//! catalog's figures alone: a measurement that changed them would restart an engine that has no second replica.

use obstack_crds::Component;
use obstack_crds::record::Range;
use obstack_crds::workload::{Storage, Workload};

use super::engine::{Candidate, Context};
use super::model::times;
use crate::units::Bytes;

/// Room above the expected peak of memory: a replay of the log can need more than running does.
const MEMORY_HEADROOM: f64 = 1.25;
/// Share of a volume that data may fill.
const DISK_FILL: f64 = 0.8;
const MI: u64 = 1 << 20;
const GI: u64 = 1 << 30;

/// What one replica takes. Every size is what the spec says, where it says one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resources {
    /// Memory that is asked for: the middle of what is expected, or the floor.
    pub memory_request: Bytes,
    /// Memory that is enforced: the upper end of what is expected with room for a replay, within the budget.
    pub memory_limit: Bytes,
    /// Processor time that is asked for, in thousandths of a core. There is no limit.
    pub cpu_millis: u64,
    /// The volume; 0 where there is none.
    pub disk: Bytes,
    /// How many replicas.
    pub replicas: u32,
}

/// The smallest that an engine is run with.
struct Floor {
    request: u64,
    limit: u64,
    cpu_millis: u64,
    disk: u64,
}

/// What one replica of an option in force takes; none where the component has no workload of its own.
pub(super) fn resources(
    component: Component,
    candidate: &Candidate<'_>,
    context: &Context<'_>,
) -> Option<Resources> {
    let spec = &context.valid.spec;
    let no_storage = Storage::default();
    let (floor, workload, storage): (Floor, &Workload, &Storage) = match component {
        Component::MetricsStore => (
            Floor { request: 512 * MI, limit: GI, cpu_millis: 100, disk: 2 * GI },
            &spec.metrics.workload,
            &spec.metrics.storage,
        ),
        Component::Alerting => (
            Floor { request: 64 * MI, limit: 256 * MI, cpu_millis: 10, disk: GI },
            &spec.alerting.workload,
            &spec.alerting.storage,
        ),
        Component::Dashboards => (
            Floor { request: 256 * MI, limit: 512 * MI, cpu_millis: 50, disk: 0 },
            &spec.dashboards.workload,
            &no_storage,
        ),
        _ => return None,
    };
    if !candidate.option.deployable || candidate.option.id == "None" {
        return None;
    }
    // Zero replicas are a workload scaled away, not one of infinite size.
    let copies = f64::from(candidate.copies.max(1));
    let each = |all: Range| times(all, 1.0 / copies);
    let requirements = &context.valid.requirements;
    let left = |budget: Option<Bytes>, spent: f64| {
        budget.map_or(f64::INFINITY, |b| ((b.as_f64() - spent) / copies).max(MI as f64))
    };

    let memory = each(candidate.by_catalog.memory);
    let most = left(requirements.budget_memory, context.spent_by_catalog.memory.low);
    let request = (memory.low * memory.high).sqrt().max(floor.request as f64).min(most);
    let limit = (memory.high * MEMORY_HEADROOM).max(floor.limit as f64).min(most);
    let (written_request, written_limit) = written_memory(workload);
    let limit = written_limit.unwrap_or_else(|| Bytes(limit as u64).ceil_mi());
    let request = written_request.unwrap_or_else(|| Bytes(request as u64).ceil_mi()).min(limit);

    let cpu = each(candidate.by_catalog.cpu);
    let cpu_millis = (((cpu.low * cpu.high).sqrt() * 1_000.0).ceil() as u64).max(floor.cpu_millis);

    let most = left(requirements.budget_storage, context.spent_by_catalog.storage.low);
    let needed = (each(candidate.by_catalog.storage).high / DISK_FILL).max(floor.disk as f64).min(most);
    let whole = if needed >= GI as f64 { GI } else { MI };
    let sized = Bytes(((needed / whole as f64).ceil().max(0.0) as u64).saturating_mul(whole));
    let disk = storage.size.as_deref().and_then(|s| s.parse().ok()).unwrap_or(sized);
    let disk = if floor.disk == 0 { Bytes(0) } else { disk };

    Some(Resources {
        memory_request: request,
        memory_limit: limit,
        cpu_millis,
        disk,
        replicas: candidate.copies,
    })
}

fn written_memory(workload: &Workload) -> (Option<Bytes>, Option<Bytes>) {
    let Some(resources) = &workload.resources else {
        return (None, None);
    };
    let memory = |map: &Option<std::collections::BTreeMap<String, _>>| {
        map.as_ref()
            .and_then(|m| m.get("memory"))
            .and_then(|q: &k8s_openapi::apimachinery::pkg::api::resource::Quantity| q.0.parse::<Bytes>().ok())
    };
    (memory(&resources.requests), memory(&resources.limits))
}
