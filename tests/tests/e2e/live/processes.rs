//! The processes in the sandbox's pods, as the machine sees them.

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What a process holds, in KiB.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Memory {
    /// All that is resident.
    pub(super) rss: u64,
    /// Of it what is its own.
    pub(super) own: u64,
    /// Of it pages of files.
    pub(super) files: u64,
    /// The most that was ever resident.
    pub(super) most: u64,
}

/// Ids of the processes of this program whose arguments contain all of these texts.
pub(super) fn find(program: &str, texts: &[&str]) -> Vec<i32> {
    let is_it = |id: &i32| {
        let read = |file: &str| std::fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        let name = String::from_utf8_lossy(&read("comm")).trim().to_owned();
        let arguments = String::from_utf8_lossy(&read("cmdline")).into_owned();
        name == program && texts.iter().all(|text| arguments.contains(text))
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_it).collect()
}

/// Whether a process runs the program in this file, or a copy of it: a pod's reloader is one.
pub(super) fn runs(id: i32, program: &Path) -> bool {
    let running = std::fs::read(format!("/proc/{id}/exe"));
    running.is_ok_and(|running| std::fs::read(program).is_ok_and(|program| program == running))
}

/// Ends processes at once, and says how many there were.
pub(super) fn end(ids: &[i32]) -> usize {
    ids.iter().filter(|id| kill(Pid::from_raw(**id), Signal::SIGKILL).is_ok()).count()
}

/// What a process holds; none where it has ended.
pub(super) fn memory(id: i32) -> Option<Memory> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = |name: &str| {
        let text = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        text.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
    };
    Some(Memory { rss: line("VmRSS"), own: line("RssAnon"), files: line("RssFile"), most: line("VmHWM") })
}
