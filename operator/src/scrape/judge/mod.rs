//! Whether an object can be taken, and if not, what to write instead. What is checked here is what the engine or
//! the peers' operator refuses: a configuration with one bad job loads nothing at all, so one bad object would
//! stop every other.

pub(crate) mod discovery;
pub(crate) mod http;
pub(crate) mod names;
pub(crate) mod object;
pub(crate) mod relabel;
pub(crate) mod selector;

use std::fmt;

use serde_json::Value;

/// Why an object is kept out.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rejection {
    /// Kind of the object.
    pub kind: &'static str,
    /// Namespace of the object.
    pub namespace: Box<str>,
    /// Name of the object.
    pub name: Box<str>,
    /// Path of the field, such as `spec.endpoints[0].interval`; empty where the whole object is meant.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What to write instead.
    pub write: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "." } else { self.path.as_str() };
        write!(f, "{path}: found {}; write {}", self.found, self.write)
    }
}

impl std::error::Error for Rejection {}

/// Most characters of what was found that a rejection repeats.
const MAX_FOUND: usize = 300;

/// A rejection of a field, by an object that is still to be named.
pub(crate) fn fault(path: &str, found: impl Into<String>, write: impl Into<String>) -> Rejection {
    let found: String = found.into();
    let found = match found.char_indices().nth(MAX_FOUND) {
        Some((cut, _)) => format!("{}…", &found[..cut]),
        None => found,
    };
    Rejection { path: path.to_owned(), found, write: write.into(), ..Rejection::default() }
}

impl Rejection {
    /// The same rejection, by this object.
    #[must_use]
    pub(crate) fn of(self, kind: &'static str, namespace: &str, name: &str) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into(), ..self }
    }

    /// The same rejection, by an object that could not be read.
    #[must_use]
    pub(crate) fn of_object(self, kind: &'static str, object: &Value) -> Self {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let (namespace, name) = (text("namespace"), text("name"));
        self.of(kind, namespace, name)
    }

    /// The same rejection with its path inside of another one.
    #[must_use]
    pub(crate) fn under(mut self, path: &str) -> Self {
        self.path = match (path, self.path.as_str()) {
            ("", inner) => inner.to_owned(),
            (outer, "") => outer.to_owned(),
            (outer, inner) if inner.starts_with('[') => format!("{outer}{inner}"),
            (outer, inner) => format!("{outer}.{inner}"),
        };
        self
    }
}

/// Puts the path of a part before that of a rejection; costs nothing where there is none.
pub(crate) trait Under {
    fn under(self, path: &str) -> Self;
    fn at(self, path: &str, index: usize) -> Self;
}

impl<T> Under for Result<T, Rejection> {
    fn under(self, path: &str) -> Self {
        self.map_err(|rejection| rejection.under(path))
    }

    fn at(self, path: &str, index: usize) -> Self {
        self.map_err(|rejection| rejection.under(&format!("{path}[{index}]")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_says_where_what_and_what_instead() {
        let rejection = fault("port", "0", "a port").under("endpoints[1]").under("spec").of("K", "n", "o");
        assert_eq!(rejection.to_string(), "spec.endpoints[1].port: found 0; write a port");
        assert_eq!(fault("", "x".repeat(1_000), "y").found.chars().count(), MAX_FOUND + 1);
        assert_eq!(fault("[2].x", "a", "b").under("list").path, "list[2].x");
    }
}
