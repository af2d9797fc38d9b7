//! YAML as every file and every printed document of the project is written.

pub mod marked;

use serde::Serialize;

/// A value could not be written as YAML, which only a map with keys that are no text can cause.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("writing YAML: {0}")]
pub struct EmitError(String);

/// Writes YAML that readers of 1.1 (the engines) and of 1.2 read alike. Texts of several lines are literal
/// blocks; a long line stays one line, so that an expression is never folded.
///
/// # Errors
/// A map with keys that are no text.
pub fn emit<T: Serialize>(value: &T) -> Result<String, EmitError> {
    let mut options = serde_saphyr::SerializerOptions::default();
    options.folded_wrap_chars = usize::MAX;
    serde_saphyr::to_string_with_options(value, options).map_err(|e| EmitError(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_look_like_something_else_stay_texts() {
        for text in [
            "on",
            "no",
            "y",
            "null",
            "~",
            "1e3",
            "0x1F",
            "012",
            "12:30:00",
            "1_000",
            "",
            " a",
            "#a",
            "- a",
            "a: b",
            "*a",
            "&a",
            "@a",
            "{{ .x }}",
            "a\nb\n",
            "a\n\nb",
            "  a\n b",
            "é",
            "\u{7}",
            "\"",
            "'",
            "%a",
            "2001-01-01",
        ] {
            let yaml = emit(&serde_json::json!({ "k": [text] })).unwrap();
            let back: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
            assert_eq!(back["k"][0], text, "{yaml}");
        }
        let long = "sum(x) ".repeat(100);
        assert_eq!(emit(&serde_json::json!({ "k": long })).unwrap().lines().count(), 1);
    }
}
