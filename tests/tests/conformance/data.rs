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

/// Where two values differ first, as a path with both values; nothing where they are the same. Numbers are
/// compared by value, texts and numbers never.
pub(crate) fn difference(found: &Value, expected: &Value) -> Option<String> {
    fn walk(path: &str, found: &Value, expected: &Value) -> Option<String> {
        match (found, expected) {
            (Value::Object(a), Value::Object(b)) => {
                for (key, value) in b {
                    match a.get(key) {
                        Some(own) => {
                            if let Some(found) = walk(&format!("{path}.{key}"), own, value) {
                                return Some(found);
                            }
                        }
                        None => return Some(format!("{path}.{key}: missing, expected {value}")),
                    }
                }
                let extra = a.iter().find(|(key, _)| !b.contains_key(*key));
                extra.map(|(key, value)| format!("{path}.{key}: not expected, found {value}"))
            }
            (Value::Array(a), Value::Array(b)) => {
                for (i, (own, value)) in a.iter().zip(b).enumerate() {
                    if let Some(found) = walk(&format!("{path}[{i}]"), own, value) {
                        return Some(found);
                    }
                }
                let message = |what: &str, value: &Value| format!("{path}: {what} {value}");
                match a.len().cmp(&b.len()) {
                    std::cmp::Ordering::Less => Some(message("missing item", &b[a.len()])),
                    std::cmp::Ordering::Greater => Some(message("item not expected", &a[b.len()])),
                    std::cmp::Ordering::Equal => None,
                }
            }
            (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => None,
            (a, b) if a == b => None,
            (a, b) => Some(format!("{path}: found {a}, expected {b}")),
        }
    }
    walk("", found, expected)
}
