//! YAML with the line of every key and value.
//!
//! Scalars are read as kubectl reads them: `yes` and `on` are booleans, so that nobody is told that a file is
//! fine which the API server then refuses.

mod scalar;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StrInput, Tag};

/// Most nodes of one file, aliases expanded.
const MAX_NODES: usize = 250_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 64;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Line in the file, from 1.
    pub line: usize,
    /// The value.
    pub tree: Tree,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Tree {
    /// Null, a boolean, a number or a string.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Line of the key, from 1.
    pub line: usize,
    /// The value.
    pub value: Node,
}

/// What is wrong with a file as YAML.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line in the file, from 1.
    pub line: usize,
    /// What was found.
    pub found: String,
    /// What to write instead.
    pub write: String,
}

impl Node {
    /// The value without its places.
    pub fn to_json(&self) -> Value {
        match &self.tree {
            Tree::Scalar(value) => value.clone(),
            Tree::List(items) => items.iter().map(Self::to_json).collect(),
            Tree::Map(entries) => entries.iter().map(|e| (e.key.clone(), e.value.to_json())).collect(),
        }
    }

    /// The value of a key, where this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        match &self.tree {
            Tree::Map(entries) => entries.iter().find(|e| e.key == key),
            _ => None,
        }
    }

    /// The line of a path such as `spec.rules.groups[0].name`, or of the deepest part of it that exists.
    pub fn line_of(&self, path: &str) -> usize {
        let (mut node, mut line) = (self, self.line);
        for step in steps(path) {
            match (step, &node.tree) {
                (Step::Key(key), Tree::Map(_)) => {
                    let Some(entry) = node.get(&key) else { break };
                    (node, line) = (&entry.value, entry.line);
                }
                (Step::Index(index), Tree::List(items)) => {
                    let Some(item) = items.get(index) else { break };
                    (node, line) = (item, item.line);
                }
                _ => break,
            }
        }
        line
    }

    fn nodes(&self) -> usize {
        1 + match &self.tree {
            Tree::Scalar(_) => 0,
            Tree::List(items) => items.iter().map(Self::nodes).sum(),
            Tree::Map(entries) => entries.iter().map(|e| e.value.nodes()).sum(),
        }
    }
}

enum Step {
    Key(String),
    Index(usize),
}

/// The steps of a path as [`crate::validate::child_path`] writes it. What cannot be read ends it.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            if inner.starts_with('"') {
                let mut stream = serde_json::Deserializer::from_str(inner).into_iter::<String>();
                let Some(Ok(key)) = stream.next() else { break };
                let Some(tail) = inner[stream.byte_offset()..].strip_prefix(']') else { break };
                steps.push(Step::Key(key));
                rest = tail;
            } else {
                let Some((index, tail)) = inner.split_once(']') else { break };
                let Ok(index) = index.parse() else { break };
                steps.push(Step::Index(index));
                rest = tail;
            }
        } else {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            steps.push(Step::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    steps
}

/// Reads every document of a file. A document that is broken is a problem and hides no other one.
pub fn parse(text: &str) -> (Vec<Node>, Vec<Problem>) {
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    let mut nodes = 0;
    for (offset, chunk) in chunks(text) {
        let mut reader = Reader {
            parser: Parser::new_from_str(chunk),
            anchors: HashMap::new(),
            offset,
            nodes,
            problems: Vec::new(),
        };
        if let Err(problem) = reader.documents(&mut documents) {
            reader.problems.push(problem);
        }
        nodes = reader.nodes;
        problems.append(&mut reader.problems);
    }
    (documents, problems)
}

/// The file cut at its `---` lines, each piece with the number of lines before it. At the start of a line
/// `---` is a marker wherever it stands, in block scalars too, so nothing else is cut.
fn chunks(text: &str) -> Vec<(usize, &str)> {
    let mut chunks = Vec::new();
    let (mut start, mut start_line) = (0, 0);
    let (mut at, mut line) = (0, 0);
    for row in text.split_inclusive('\n') {
        let marker =
            row.strip_prefix("---").is_some_and(|t| t.is_empty() || t.starts_with([' ', '\t', '\r', '\n']));
        // Directives and comments belong to the document that the marker starts.
        let prologue = text[start..at].lines().all(|l| l.trim().is_empty() || l.starts_with(['%', '#']));
        if marker && !prologue {
            chunks.push((start_line, &text[start..at]));
            (start, start_line) = (at, line);
        }
        at += row.len();
        line += 1;
    }
    chunks.push((start_line, &text[start..]));
    chunks
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    /// Lines of the file before this piece.
    offset: usize,
    nodes: usize,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn documents(&mut self, documents: &mut Vec<Node>) -> Result<(), Problem> {
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(()),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, span, 0)?;
                    // A piece that holds only comments, or nothing at all, is no document.
                    if node.tree != Tree::Scalar(Value::Null) {
                        documents.push(node);
                    }
                    self.anchors.clear();
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Problem> {
        loop {
            match self.parser.next() {
                Some(Ok((Event::Comment(..) | Event::Anchor(..), _))) => {}
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => {
                    let line = self.offset + error.marker().line();
                    let found = format!("broken YAML ({})", error.info());
                    return Err(Problem { line, found, write: "YAML that parses".into() });
                }
                None => return Ok((Event::StreamEnd, Span::default())),
            }
        }
    }

    fn problem(&self, span: &Span, found: impl Into<String>, write: impl Into<String>) -> Problem {
        Problem { line: self.line(span), found: found.into(), write: write.into() }
    }

    fn line(&self, span: &Span) -> usize {
        self.offset + span.start.line()
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Problem> {
        let line = self.line(&span);
        if depth > MAX_DEPTH {
            let found = format!("nesting deeper than {MAX_DEPTH}");
            return Err(self.problem(&span, found, "fewer levels"));
        }
        self.count(1, &span)?;
        let (tree, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (Tree::Scalar(self.scalar(&text, style, tag.as_deref(), &span)), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Tree::List(self.list(depth)?), anchor),
            Event::MappingStart(_, anchor, _) => (Tree::Map(self.map(depth)?), anchor),
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    let write = "an alias of an anchor that is complete before it";
                    return Err(self.problem(&span, "an alias within its own anchor", write));
                };
                self.count(node.nodes(), &span)?;
                return Ok(node);
            }
            _ => return Err(self.problem(&span, "YAML that ends too early", "the whole document")),
        };
        let node = Node { line, tree };
        if anchor > 0 {
            self.count(node.nodes(), &span)?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    /// Counts nodes, so that aliases of aliases cannot fill the memory.
    fn count(&mut self, more: usize, span: &Span) -> Result<(), Problem> {
        self.nodes += more;
        if self.nodes > MAX_NODES {
            let found = format!("more than {MAX_NODES} values, aliases expanded");
            return Err(self.problem(span, found, "several files, or fewer aliases"));
        }
        Ok(())
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&Tag>, span: &Span) -> Value {
        let core = tag.is_some_and(Tag::is_yaml_core_schema);
        match tag {
            Some(tag) if !core && (!tag.handle().is_empty() || tag.suffix() != "!") => {
                let found = format!("the tag {}{}", tag.handle(), tag.suffix());
                let problem = self.problem(span, found, "the value without a tag");
                self.problems.push(problem);
            }
            Some(tag) if core && tag.suffix() != "str" => return scalar::resolve(text),
            None if style == ScalarStyle::Plain => return scalar::resolve(text),
            _ => {}
        }
        Value::String(text.to_owned())
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<Entry>, Problem> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut merged: Vec<Entry> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(text, style, ..) => (text.into_owned(), style == ScalarStyle::Plain),
                _ => return Err(self.problem(&span, "a key that is no text", "a plain word as the key")),
            };
            let line = self.line(&span);
            let (event, value_span) = self.next()?;
            let value = self.node(event, value_span, depth + 1)?;
            if key == ("<<".to_owned(), true) {
                merged.extend(self.merge(value, &span));
            } else if entries.iter().any(|e| e.key == key.0) {
                let found = format!("the key {:?} a second time", key.0);
                let problem = self.problem(&span, found, "each key once");
                self.problems.push(problem);
            } else {
                entries.push(Entry { key: key.0, line, value });
            }
        }
        for entry in merged {
            if !entries.iter().any(|e| e.key == entry.key) {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// The entries that a merge key brings in; the first map that has a key wins.
    fn merge(&mut self, value: Node, span: &Span) -> Vec<Entry> {
        match value.tree {
            Tree::Map(entries) => entries,
            Tree::List(items) => items.into_iter().flat_map(|item| self.merge(item, span)).collect(),
            Tree::Scalar(_) => {
                let problem = self.problem(span, "a merge key without a map", "an alias of a map after <<");
                self.problems.push(problem);
                Vec::new()
            }
        }
    }
}
