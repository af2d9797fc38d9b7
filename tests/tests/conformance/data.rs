//! Reads the cases.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Where the cases are, and which of them are wanted.
pub(crate) struct Data {
    /// Folder with the layout that its README describes.
    pub(crate) folder: PathBuf,
    /// Words of which one must be in a case's `folder/name`; none means every case.
    pub(crate) filters: Vec<String>,
}

impl Data {
    /// Whether a case is wanted.
    pub(crate) fn wants(&self, folder: &str, case: &str) -> bool {
        let name = format!("{folder}/{case}");
        self.filters.is_empty() || self.filters.iter().any(|word| name.contains(word.as_str()))
    }

    /// The folders of a folder's cases that are wanted, sorted by name.
    pub(crate) fn cases(&self, folder: &str) -> Vec<(String, PathBuf)> {
        let Ok(entries) = std::fs::read_dir(self.folder.join(folder)) else { return Vec::new() };
        let mut cases: Vec<(String, PathBuf)> = entries
            .map(|entry| entry.expect("an entry of the data").path())
            .filter(|path| path.is_dir())
            .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
            .filter(|(name, _)| self.wants(folder, name))
            .collect();
        cases.sort();
        cases
    }
}

/// A file as text.
pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A file of one document.
pub(crate) fn yaml(path: &Path) -> Value {
    parse(&text(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A text of one document.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_saphyr::from_str(text).map_err(|e| e.to_string())
}

/// The documents of a file, empty ones left out.
pub(crate) fn documents(path: &Path) -> Vec<Value> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(&text(path)).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

/// Most differences of one case that are told.
const MAX_DIFFERENCES: usize = 50;

/// Where two values differ, one line each: the path and both values. Numbers are compared by value, texts and
/// numbers never.
pub(crate) fn difference(found: &Value, expected: &Value) -> Option<String> {
    let mut lines = Vec::new();
    walk("", found, expected, &mut lines);
    lines.truncate(MAX_DIFFERENCES);
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn walk(path: &str, found: &Value, expected: &Value, lines: &mut Vec<String>) {
    match (found, expected) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in b {
                match a.get(key) {
                    Some(own) => walk(&format!("{path}.{key}"), own, value, lines),
                    None => lines.push(format!("{path}.{key}: missing, expected {value}")),
                }
            }
            let extra = a.iter().filter(|(key, _)| !b.contains_key(*key));
            lines.extend(extra.map(|(key, value)| format!("{path}.{key}: not expected, found {value}")));
        }
        (Value::Array(a), Value::Array(b)) => {
            for (i, (own, value)) in a.iter().zip(b).enumerate() {
                walk(&format!("{path}[{i}]"), own, value, lines);
            }
            lines.extend(b.iter().skip(a.len()).map(|item| format!("{path}: missing item {item}")));
            lines.extend(a.iter().skip(b.len()).map(|item| format!("{path}: item not expected {item}")));
        }
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (a, b) if a == b => {}
        (a, b) => lines.push(format!("{path}: found {a}, expected {b}")),
    }
}
