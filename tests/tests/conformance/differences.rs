//! Differences that are kept on purpose, each with the reason why it is better for users.

use std::path::Path;

use serde::Deserialize;

/// The list of `conformance/differences.yaml`.
pub(crate) struct Differences {
    entries: Vec<(Entry, usize)>,
}

/// A difference on purpose.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// The folder of the cases that it touches.
    pub(crate) folder: String,
    /// What the case's name begins with; empty: any case.
    #[serde(default)]
    pub(crate) case: String,
    /// What a line that differs must contain, so that another one in the same case is not hidden.
    pub(crate) differs: String,
    /// Why it is better.
    pub(crate) reason: String,
}

impl Differences {
    /// Reads the list.
    pub(crate) fn read(path: &Path) -> Self {
        let text = super::data::text(path);
        let entries: Vec<Entry> =
            serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for entry in &entries {
            assert!(!entry.differs.is_empty() && entry.reason.len() > 20, "{}: no reason", entry.case);
        }
        Self { entries: entries.into_iter().map(|entry| (entry, 0)).collect() }
    }

    /// Whether every line that differs is on purpose.
    pub(crate) fn cover(&mut self, folder: &str, case: &str, differs: &str) -> bool {
        let matching = |line: &str| {
            self.entries.iter().position(|(entry, _)| {
                entry.folder == folder && case.starts_with(&entry.case) && line.contains(&entry.differs)
            })
        };
        let Some(mut used) = differs.lines().map(matching).collect::<Option<Vec<usize>>>() else {
            return false;
        };
        used.sort_unstable();
        used.dedup();
        used.iter().for_each(|index| self.entries[*index].1 += 1);
        true
    }

    /// Entries and how many cases each of them touched.
    pub(crate) fn used(&self) -> impl Iterator<Item = (&Entry, usize)> {
        self.entries.iter().map(|(entry, used)| (entry, *used))
    }
}
