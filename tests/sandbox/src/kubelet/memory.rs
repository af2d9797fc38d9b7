//! The memory limit of a container, which the kubelet enforces by itself: few machines give the right to make a
//! control group for each container. It looks often, and kills what holds more.

use std::fs::DirEntry;
use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;

use super::fields::quantity;
use super::process::ProcessHandle;

/// Time between two looks. What is taken faster than this is seen at the next look.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a container ended that went over its limit, as a cluster says it.
pub(crate) const REASON: &str = "OOMKilled";

/// The memory limit of a container in bytes; none where it has none.
pub(crate) fn limit(container: &Container) -> Option<u64> {
    let limits = container.resources.as_ref()?.limits.as_ref()?;
    // A float of 53 bits holds every limit of a machine.
    limits.get("memory").and_then(quantity).filter(|bytes| *bytes >= 1.0).map(|bytes| bytes as u64)
}

/// Returns, with the bytes in use, when the processes of a container hold more than its limit; never where
/// there is none.
pub(crate) async fn exceeded(process: ProcessHandle, limit: Option<u64>) -> u64 {
    let Some(limit) = limit else { return std::future::pending().await };
    let mut processes = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        // To look for it costs more than to look into it.
        if processes.is_none() {
            processes = process.processes();
        }
        match processes.as_deref().map(held_by_all) {
            Some(used) if used > limit => return used,
            _ => (),
        }
    }
}

/// Bytes that the processes of a folder such as `/proc` hold together.
fn held_by_all(processes: &Path) -> u64 {
    let is_process = |entry: &DirEntry| {
        entry.file_name().to_str().is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
    };
    // One that ends meanwhile holds nothing.
    let status = |entry: DirEntry| std::fs::read_to_string(entry.path().join("status")).ok();
    let entries = std::fs::read_dir(processes).into_iter().flatten().flatten();
    entries.filter(is_process).filter_map(status).map(|status| held(&status)).sum()
}

/// Bytes that a process cannot give back without losing them, by its `/proc/PID/status`: anonymous and shared
/// memory. Pages of files are left out: the machine takes those away before it kills.
fn held(status: &str) -> u64 {
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    ["RssAnon:", "RssShmem:"].into_iter().filter_map(kib).sum::<u64>().saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_cannot_be_given_back_is_held() {
        let status =
            "Name:\tx\nVmRSS:\t 95688 kB\nRssAnon:\t 41120 kB\nRssFile:\t 54564 kB\nRssShmem:\t 4 kB\n";
        assert_eq!(held(status), 41_124 * 1024);
        // A process that has ended holds nothing.
        assert_eq!(held("Name:\tx\nState:\tZ (zombie)\n"), 0);
    }

    #[test]
    fn a_limit_is_read_in_every_form() {
        let of = |limits| {
            limit(&serde_json::from_value(json!({ "name": "c", "resources": { "limits": limits } })).unwrap())
        };
        assert_eq!(of(json!({ "memory": "256Mi" })), Some(256 << 20));
        assert_eq!(of(json!({ "memory": "1.5G" })), Some(1_500_000_000));
        assert_eq!(of(json!({ "cpu": "1" })), None);
        assert_eq!(of(json!({ "memory": "0" })), None);
    }
}
