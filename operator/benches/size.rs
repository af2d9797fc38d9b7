//! 100,000 ServiceMonitors in 1 and in 1,000 namespaces, built and split: seconds, peak memory and how full the parts
//! are, as a table. Not statistics: each case is one run in a process of its own, so that its peak is its own.
#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

mod common;

use std::process::Command;
use std::time::Instant;

use common::objects::{monitor, wide_monitor};
use common::stack::{Kept, Stack, source};
use obstack::running::{MAX_PART_BYTES, MAX_PART_COMPRESSED};
use obstack::scrape::sources::Sources;

/// Name, monitors, namespaces, and whether they are wide.
const CASES: [(&str, usize, usize, bool); 4] = [
    ("10,000 in 50 namespaces", 10_000, 50, false),
    ("100,000 in 1 namespace", 100_000, 1, false),
    ("100,000 in 1,000 namespaces", 100_000, 1_000, false),
    ("2,500 wide ones in 50 namespaces", 2_500, 50, true),
];

/// Names the case that a process of its own runs.
const CASE: &str = "OBSTACK_SIZE_CASE";

fn main() {
    if let Some(case) = std::env::var(CASE).ok().and_then(|case| case.parse::<usize>().ok()) {
        return run(CASES[case]);
    }
    println!(
        "| ServiceMonitors | objects held, MiB | built and split, s | one change, ms | peak, MiB | files, bytes | parts \
         | largest part, bytes compressed (share of the limit) | largest part, bytes before (share) |"
    );
    println!("|{}", "---|".repeat(9));
    let program = std::env::current_exe().expect("this program");
    for (index, (name, ..)) in CASES.iter().enumerate() {
        let status = Command::new(&program).env(CASE, index.to_string()).status().expect("it runs");
        assert!(status.success(), "{name}: {status}");
    }
}

fn run((name, count, namespaces, wide): (&str, usize, usize, bool)) {
    let object = |index| if wide { wide_monitor(index, namespaces) } else { monitor(index, namespaces, 0) };
    let mut sources: Sources = (0..count).map(|index| source(&object(index))).collect();
    let held = memory("VmRSS:");
    let (stack, mut kept) = (Stack::new(), Kept::default());
    let begun = Instant::now();
    let generation = stack.build(&sources, &mut kept, None);
    let full = begun.elapsed();
    let peak = memory("VmHWM:");
    sources.insert(source(&monitor(count / 2, namespaces, 1)));
    let begun = Instant::now();
    let changed = stack.build(&sources, &mut kept, Some(&generation));
    let one = begun.elapsed();
    let touched = changed.parts.iter().zip(&generation.parts).filter(|(a, b)| a.digest != b.digest).count();
    assert_eq!(touched, 1, "a change touches its own part");
    let compressed = generation.parts.iter().map(|part| part.gzip.len()).max().unwrap_or(0);
    let before = generation.parts.iter().map(|part| part.size).max().unwrap_or(0);
    assert!(compressed <= MAX_PART_COMPRESSED && before <= MAX_PART_BYTES, "every part is below its limit");
    let bytes: usize = generation.fragments().map(|fragment| fragment.bytes.len()).sum();
    println!(
        "| {name} | {held} | {:.2} | {:.1} | {peak} | {bytes} | {} | {compressed} ({} %) | {before} ({} %) |",
        full.as_secs_f64(),
        one.as_secs_f64() * 1e3,
        generation.parts.len(),
        compressed * 100 / MAX_PART_COMPRESSED,
        before * 100 / MAX_PART_BYTES,
    );
}

/// A line of this process's status in MiB: what is resident, or the most that was.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") / 1024
}
