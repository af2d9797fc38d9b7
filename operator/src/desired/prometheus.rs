//! The metrics store, filled by Prometheus.

use std::collections::BTreeMap;

use super::engine::{EngineParts, add_configuration, build_service_account, build_stateful_set};
use super::object::List;
use super::service::{build_disruption_budget, build_headless, build_service, port};
use super::sizing::volume;
use super::{Context, DesiredError, rbac, reloader};
use crate::decide::Plan;
use crate::endpoint::Endpoint;
use crate::names::Role;
use crate::running::{CURRENT, Engine};
use crate::scrape::Configs;
use crate::units::Bytes;
use crate::validate::Valid;

const ROLE: Role = Role::Metrics;
/// Folder of the volume, as in the engine's image.
const DATA_PATH: &str = "/prometheus";
/// Share of the volume that blocks may take, in percent: the write-ahead log, and a compaction that holds old
/// and new blocks at once, take the rest (Prometheus' documentation asks for at most 80 to 85).
const RETENTION_PERCENT: u64 = 80;
/// Seconds that a start may take at least: the write-ahead log is read again.
const LEAST_STARTUP_SECONDS: u64 = 1_800;

pub(super) fn build(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
    configs: &Configs,
    list: &mut List,
) -> Result<(), DesiredError> {
    let stack = &valid.id;
    list.add(ROLE, &build_service_account(stack, ROLE))?;
    rbac::add_discovery(valid, context.operator_namespace.as_deref(), &configs.reach, list)?;
    add_configuration(stack, ROLE, context, configs, list)?;
    rbac::add_delivery(stack, ROLE, list)?;
    list.add(ROLE, &build_service(stack, ROLE, valid.metrics_replicas() > 1))?;
    let ports = vec![port(reloader::PORT_NAME, reloader::PORT, "TCP")];
    list.add(ROLE, &build_headless(stack, ROLE, ports))?;
    list.add(ROLE, &build_disruption_budget(stack, ROLE))?;
    let parts = EngineParts {
        role: ROLE,
        engine: Engine::Prometheus,
        args: args(valid, plan, context)?,
        more_ports: Vec::new(),
        data_path: DATA_PATH,
        storage: &valid.spec.metrics.storage,
        startup_seconds: startup_seconds(valid),
        // A clean end writes the head's chunks, which spares the next start the replay.
        grace_seconds: 300,
    };
    list.add(ROLE, &build_stateful_set(valid, plan, context, parts)?)
}

/// Seconds that a start may take.
pub(super) fn startup_seconds(valid: &Valid) -> u64 {
    let recovery = valid.requirements.recovery_time.as_secs_f64() as u64;
    (2 * recovery).max(LEAST_STARTUP_SECONDS)
}

/// Flags by name, as they are given.
fn flags(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
) -> Result<BTreeMap<&'static str, String>, DesiredError> {
    let endpoint = Endpoint::of(&valid.id, ROLE);
    let retention_size = base2(retention_size(volume(plan, context, ROLE)?));
    Ok(BTreeMap::from([
        ("config.file", format!("{CURRENT}/{}", Engine::Prometheus.main_file())),
        ("enable-feature", features(valid)),
        ("rules.alert.resend-delay", valid.alert_resend_delay().to_string()),
        ("storage.tsdb.path", DATA_PATH.to_owned()),
        ("storage.tsdb.retention.size", retention_size),
        ("storage.tsdb.retention.time", valid.requirements.retention.to_string()),
        ("web.external-url", endpoint.url()),
        ("web.listen-address", format!(":{}", endpoint.port)),
        ("web.route-prefix", endpoint.prefix.to_owned()),
    ]))
}

fn features(valid: &Valid) -> String {
    // Permanently on since 3.0; older versions leave `${POD_NAME}` in the external labels without it.
    let mut features = vec!["expand-external-labels"];
    // Without it their number is read and nothing is kept.
    if valid.spec.metrics.exemplars.max_size.is_some_and(|most| most > 0) {
        features.push("exemplar-storage");
    }
    features.join(",")
}

fn args(valid: &Valid, plan: &Plan, context: &Context) -> Result<Vec<String>, DesiredError> {
    let mut args: Vec<String> =
        flags(valid, plan, context)?.iter().map(|(name, value)| format!("--{name}={value}")).collect();
    args.push("--web.enable-lifecycle".to_owned());
    Ok(args)
}

/// The flags as `/api/v1/status/flags` tells them, listen addresses left out.
pub(super) fn wanted_flags(
    valid: &Valid,
    plan: &Plan,
    context: &Context,
) -> Result<BTreeMap<String, String>, DesiredError> {
    let mut flags: BTreeMap<String, String> = flags(valid, plan, context)?
        .into_iter()
        .filter(|(name, _)| *name != "web.listen-address")
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    flags.insert("web.enable-lifecycle".to_owned(), "true".to_owned());
    Ok(flags)
}

/// Bytes that blocks may take on a volume, in whole MiB.
pub(super) fn retention_size(volume: Bytes) -> Bytes {
    let bytes = volume.0 / 100 * RETENTION_PERCENT + volume.0 % 100 * RETENTION_PERCENT / 100;
    Bytes(((bytes >> 20) << 20).max(1 << 20))
}

/// Bytes as Prometheus prints and reads them: each unit once, the largest first (`1GiB512MiB`).
fn base2(bytes: Bytes) -> String {
    let mut left = bytes.0;
    let mut text = String::new();
    for (shift, unit) in
        [(60, "EiB"), (50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB"), (0, "B")]
    {
        let count = left >> shift;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            left -= count << shift;
        }
    }
    text
}
