//! Counts and prints what became of the cases.

use std::collections::BTreeMap;

use super::Outcome;
use super::differences::Differences;

/// Most lines of one difference, unless all are wanted.
const MAX_LINES: usize = 6;

#[derive(Clone, Copy, Default)]
struct Counts {
    pass: usize,
    on_purpose: usize,
    fail: usize,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.pass += other.pass;
        self.on_purpose += other.on_purpose;
        self.fail += other.fail;
    }

    fn cases(self) -> usize {
        self.pass + self.on_purpose + self.fail
    }
}

/// What became of all cases.
pub(crate) struct Report {
    differences: Differences,
    verbose: bool,
    /// By folder and kind.
    counts: BTreeMap<(String, String), Counts>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(differences: Differences, verbose: bool) -> Self {
        Self { differences, verbose, counts: BTreeMap::new(), failures: Vec::new() }
    }

    /// Takes the outcomes of a folder.
    pub(crate) fn add(&mut self, folder: &str, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            let counts = self.counts.entry((folder.to_owned(), outcome.kind.clone())).or_default();
            let Some(differs) = outcome.differs else {
                counts.pass += 1;
                continue;
            };
            if self.differences.cover(folder, &outcome.case, &differs) {
                counts.on_purpose += 1;
                continue;
            }
            counts.fail += 1;
            let lines = if self.verbose { usize::MAX } else { MAX_LINES };
            let shown: Vec<String> =
                differs.lines().take(lines).map(|line| line.chars().take(400).collect()).collect();
            self.failures.push(format!("FAIL {folder}/{}\n     {}", outcome.case, shown.join("\n     ")));
        }
    }

    /// Prints everything, the sum last; whether nothing failed.
    pub(crate) fn print(&self) -> bool {
        for failure in &self.failures {
            println!("{failure}");
        }
        println!("{:<14} {:<28} {:>5} {:>11} {:>5}", "folder", "kind", "pass", "on purpose", "fail");
        let mut sum = Counts::default();
        let mut folders: BTreeMap<&str, Counts> = BTreeMap::new();
        for ((folder, kind), counts) in &self.counts {
            print_line(folder, kind, *counts);
            folders.entry(folder).or_default().add(*counts);
            sum.add(*counts);
        }
        for (folder, counts) in folders {
            print_line(folder, "all", counts);
        }
        for (entry, used) in self.differences.used().filter(|(_, used)| *used > 0) {
            println!("on purpose, {used} cases of {}: {}", entry.folder, entry.reason);
        }
        let Counts { pass, on_purpose, fail } = sum;
        println!("conformance: {} cases, {pass} pass, {on_purpose} on purpose, {fail} fail", sum.cases());
        fail == 0
    }
}

fn print_line(folder: &str, kind: &str, counts: Counts) {
    let Counts { pass, on_purpose, fail } = counts;
    println!("{folder:<14} {kind:<28} {pass:>5} {on_purpose:>11} {fail:>5}");
}
