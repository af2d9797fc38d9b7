//! Writes YAML of known shape straight into one text: what is written ten thousand times is not built as a tree
//! first. Keys are ours and plain; a text is plain where every reader takes it for a text, else in quotes.

use std::fmt::Write;

use crate::scrape::references::AssetFile;

/// A text of YAML in the making: the fields of one mapping at some depth.
#[derive(Debug, Default)]
pub(crate) struct Yaml {
    /// Files that the text names.
    pub(crate) files: Vec<AssetFile>,
    out: String,
    indent: usize,
    /// The next field begins an item of a list.
    item: bool,
}

impl Yaml {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { out: String::with_capacity(bytes), ..Self::default() }
    }

    /// An empty text in the room of another one.
    pub(crate) fn after(mut text: String) -> Self {
        text.clear();
        Self { out: text, ..Self::default() }
    }

    pub(crate) fn into_text(self) -> String {
        self.out
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.out.len()
    }

    fn key(&mut self, key: &str) {
        if self.item {
            self.spaces(self.indent - 2);
            self.out.push_str("- ");
            self.item = false;
        } else {
            self.spaces(self.indent);
        }
        self.out.push_str(key);
        self.out.push(':');
    }

    fn spaces(&mut self, count: usize) {
        const SPACES: &str = "                                ";
        let mut left = count;
        while left > 0 {
            let now = left.min(SPACES.len());
            self.out.push_str(&SPACES[..now]);
            left -= now;
        }
    }

    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.joined(key, &[value]);
    }

    pub(crate) fn text_if(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// A text of several pieces.
    pub(crate) fn joined(&mut self, key: &str, pieces: &[&str]) {
        self.key(key);
        self.out.push(' ');
        scalar(&mut self.out, pieces);
        self.out.push('\n');
    }

    /// A list of texts of several pieces each.
    pub(crate) fn all_joined(&mut self, key: &str, values: &[&[&str]]) {
        self.key(key);
        self.out.push('\n');
        for pieces in values {
            self.spaces(self.indent);
            self.out.push_str("- ");
            scalar(&mut self.out, pieces);
            self.out.push('\n');
        }
    }

    /// A truth value.
    pub(crate) fn truth(&mut self, key: &str, value: bool) {
        self.key(key);
        self.out.push_str(if value { " true\n" } else { " false\n" });
    }

    /// A number or a truth value.
    pub(crate) fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        self.key(key);
        // Writing to a String cannot fail.
        let _ = writeln!(self.out, " {value}");
    }

    pub(crate) fn plain_if(&mut self, key: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.plain(key, value);
        }
    }

    pub(crate) fn texts<T: AsRef<str>>(&mut self, key: &str, values: &[T]) {
        self.key(key);
        if values.is_empty() {
            self.out.push_str(" []\n");
            return;
        }
        self.out.push('\n');
        for value in values {
            self.spaces(self.indent);
            self.out.push_str("- ");
            scalar(&mut self.out, &[value.as_ref()]);
            self.out.push('\n');
        }
    }

    /// A mapping with keys of ours.
    pub(crate) fn map<E>(
        &mut self,
        key: &str,
        fill: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.key(key);
        let start = self.out.len();
        self.out.push('\n');
        self.indent += 2;
        let done = fill(self);
        self.indent -= 2;
        if self.out.len() == start + 1 {
            self.out.truncate(start);
            self.out.push_str(" {}\n");
        }
        done
    }

    /// A mapping with keys that people wrote.
    pub(crate) fn pairs<'a>(&mut self, key: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) {
        let _ = self.map(key, |map| {
            for (name, value) in pairs {
                map.text(&quoted(name), value);
            }
            Ok::<(), ()>(())
        });
    }

    /// A mapping of lists with keys that people wrote.
    pub(crate) fn lists<'a, T: AsRef<str> + 'a>(
        &mut self,
        key: &str,
        lists: impl IntoIterator<Item = (&'a String, &'a Vec<T>)>,
    ) {
        let _ = self.map(key, |map| {
            for (name, values) in lists {
                map.texts(&quoted(name), values);
            }
            Ok::<(), ()>(())
        });
    }

    /// A list of mappings; `fill` writes items with [`Yaml::item`].
    pub(crate) fn list<E>(
        &mut self,
        key: &str,
        fill: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        self.key(key);
        let start = self.out.len();
        self.out.push('\n');
        let done = fill(self);
        if self.out.len() == start + 1 {
            self.out.truncate(start);
            self.out.push_str(" []\n");
        }
        done
    }

    /// One mapping of a list.
    pub(crate) fn item<E>(&mut self, fill: impl FnOnce(&mut Self) -> Result<(), E>) -> Result<(), E> {
        self.indent += 2;
        self.item = true;
        let done = fill(self);
        self.indent -= 2;
        if self.item {
            self.item = false;
            self.spaces(self.indent);
            self.out.push_str("- {}\n");
        }
        done
    }

    /// Takes over items of a list that were written before, each line as it is.
    pub(crate) fn items_as_written(&mut self, items: &str) {
        self.out.push_str(items);
    }

    /// Takes over items of a list that were written before without an indent.
    pub(crate) fn items_indented(&mut self, items: &str) {
        for line in items.lines() {
            self.spaces(self.indent);
            self.out.push_str(line);
            self.out.push('\n');
        }
    }
}

/// Values that were read from YAML or JSON as items of a list without an indent, each in one line.
pub(crate) fn items(values: &[serde_json::Value]) -> String {
    let mut out = String::new();
    for value in values {
        // JSON is YAML.
        let _ = writeln!(out, "- {}", json(value));
    }
    out
}

/// A value in one line. Texts are written as everywhere here, so that each reader of YAML takes them.
fn json(value: &serde_json::Value) -> String {
    use serde_json::Value;
    let mut out = String::new();
    match value {
        Value::String(text) => quote(&mut out, &[text]),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                out.push_str(&json(item));
            }
            out.push(']');
        }
        Value::Object(fields) => {
            out.push('{');
            for (i, (key, item)) in fields.iter().enumerate() {
                out.push_str(if i > 0 { ", " } else { "" });
                quote(&mut out, &[key]);
                out.push_str(": ");
                out.push_str(&json(item));
            }
            out.push('}');
        }
        other => out.push_str(&other.to_string()),
    }
    out
}

/// A text as a key.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    scalar(&mut out, &[text]);
    out
}

/// Words that some reader of YAML takes for something other than a text.
const WORDS: [&str; 9] = ["y", "n", "on", "no", "yes", "off", "true", "null", "false"];

/// Bytes of a plain text after the first one.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'/' | b'-');
        byte += 1;
    }
    table
};

/// Whether every reader takes a text of these pieces for a text as it stands.
fn is_plain(pieces: &[&str]) -> bool {
    let is_word = |word: &str| {
        let bytes = pieces.iter().flat_map(|piece| piece.bytes());
        bytes.map(|b| b.to_ascii_lowercase()).eq(word.bytes())
    };
    let first = pieces.iter().find_map(|piece| piece.bytes().next());
    first.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'/')
        && pieces.iter().all(|piece| piece.bytes().all(|b| PLAIN[b as usize]))
        && !(pieces.iter().map(|piece| piece.len()).sum::<usize>() <= 5 && WORDS.into_iter().any(is_word))
}

fn scalar(out: &mut String, pieces: &[&str]) {
    if is_plain(pieces) {
        pieces.iter().for_each(|piece| out.push_str(piece));
    } else {
        quote(out, pieces);
    }
}

fn quote(out: &mut String, pieces: &[&str]) {
    out.push('"');
    pieces.iter().for_each(|piece| escape(out, piece));
    out.push('"');
}

fn escape(out: &mut String, text: &str) {
    let mut clean = 0;
    for (at, c) in text.char_indices() {
        let escape = match c {
            '"' => Some("\\\""),
            '\\' => Some("\\\\"),
            '\n' => Some("\\n"),
            '\t' => Some("\\t"),
            '\r' => Some("\\r"),
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => None,
            _ => continue,
        };
        out.push_str(&text[clean..at]);
        clean = at + c.len_utf8();
        match escape {
            Some(escape) => out.push_str(escape),
            None => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
        }
    }
    out.push_str(&text[clean..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(yaml: &str) -> serde_json::Value {
        serde_saphyr::from_str(yaml).unwrap_or_else(|e| panic!("{e}: {yaml}"))
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        let texts = [
            "",
            " ",
            "a",
            "on",
            "No",
            "y",
            "null",
            "~",
            "1e3",
            "0x1F",
            "012",
            "12:30:00",
            "-",
            "- a",
            "a: b",
            "#a",
            "*a",
            "&a",
            "@a",
            "{{ .x }}",
            "a\nb\n",
            "\r\n",
            "\t",
            "\u{7}",
            "\u{85}",
            "\u{2028}x",
            "\u{feff}",
            "\u{ffff}",
            "é",
            "😀",
            "\"",
            "\\",
            "'",
            "%a",
            ".inf",
            "_",
            "/x",
            "(.+);(.*)",
            "$1",
            "a-b.c/d_e",
            "True",
            "FALSE",
            "<<",
            "=",
        ];
        let mut yaml = Yaml::default();
        yaml.texts("list", &texts);
        yaml.pairs("pairs", texts.iter().map(|text| (*text, *text)));
        for (i, text) in texts.iter().enumerate() {
            let (begin, end) = text.split_at(text.chars().next().map_or(0, char::len_utf8));
            yaml.joined(&format!("joined{i}"), &[begin, end]);
            yaml.all_joined(&format!("all{i}"), &[&["a", text], &["", text]]);
        }
        let back = read(&yaml.into_text());
        for (i, text) in texts.iter().enumerate() {
            assert_eq!(back["list"][i], *text, "{text:?}");
            assert_eq!(back["pairs"][*text], *text, "{text:?}");
            assert_eq!(back[format!("joined{i}")], *text, "{text:?}");
            assert_eq!(back[format!("all{i}")], serde_json::json!([format!("a{text}"), text]), "{text:?}");
        }
        let value = serde_json::json!([{ "a": texts.to_vec(), "b": [1, -2.5, true, null, {}] }]);
        assert_eq!(read(&items(value.as_array().unwrap())), value);
    }

    #[test]
    fn shapes_nest_and_empty_ones_are_written() {
        let mut yaml = Yaml::default();
        let ok = || Ok::<(), ()>(());
        yaml.list("a", |a| {
            a.item(|m| {
                m.plain("n", 1);
                m.map("m", |m| {
                    m.text("t", "x");
                    m.list("l", |l| {
                        l.item(|i| {
                            i.map("deep", |_| ok())?;
                            i.texts("e", &[] as &[&str]);
                            ok()
                        })
                    })
                })
            })?;
            a.item(|_| ok())?;
            a.item(|m| m.list("none", |_| ok()))
        })
        .unwrap();
        let expected = serde_json::json!({ "a": [
            { "n": 1, "m": { "t": "x", "l": [{ "deep": {}, "e": [] }] } }, {}, { "none": [] },
        ] });
        assert_eq!(read(&yaml.into_text()), expected);
    }
}
