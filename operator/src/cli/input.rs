//! What `-f` names: files, folders and standard input, as documents that know their lines.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use obstack_crds::ObservabilityStack;
use serde_json::Value;

use crate::check;
use crate::decide::Catalog;
use crate::names::StackId;
use crate::validate::{Fault, Valid};

use super::{CliError, Output, Style};
use crate::yaml::marked::{self, Node, Tree};

/// Most bytes of one file.
const MAX_BYTES: u64 = 8 << 20;
/// Most files that folders lead to.
const MAX_FILES: usize = 10_000;
/// Namespace of an object that names none, as kubectl has it.
const DEFAULT_NAMESPACE: &str = "default";

/// The argument that every command for authors takes.
#[derive(Clone, Debug, Args)]
pub struct InputArgs {
    /// Files, folders (their *.yaml, *.yml and *.json, at any depth), or - for standard input.
    #[arg(short = 'f', long = "file", value_name = "PATH", required = true, num_args = 1..)]
    pub files: Vec<PathBuf>,
}

/// Everything that was read.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// The documents, in the order in which they were read.
    pub documents: Vec<Document>,
    /// What is wrong with the files as YAML.
    pub problems: Vec<Finding>,
    /// The catalog whose options people may choose; none is that of this binary.
    pub catalog: Option<Catalog>,
}

/// One document of a file.
#[derive(Clone, Debug)]
pub struct Document {
    /// The file as it was named.
    pub file: String,
    /// The document with its lines.
    pub node: Node,
}

/// A fault at its place.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Path in the object; empty where the whole document is meant.
    pub path: String,
    /// What was found there.
    pub found: String,
    /// What to write instead.
    pub write: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = if self.path.is_empty() { "." } else { self.path.as_str() };
        write!(f, "{}:{}: {path}: found {}; write {}", self.file, self.line, self.found, self.write)
    }
}

/// A stack that was read and is valid.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Namespace and name; the namespace is `default` where none is written.
    pub id: StackId,
    /// The stack as it was written.
    pub stack: ObservabilityStack,
    /// The stack with every default resolved.
    pub valid: Valid,
}

impl Document {
    /// A text at a path of plain keys.
    pub fn text(&self, path: &[&str]) -> Option<String> {
        let mut node = &self.node;
        for key in path {
            node = &node.get(key)?.value;
        }
        node.to_json().as_str().map(str::to_owned)
    }

    /// Whether this is an object of a kind, such as `obstack.io/v1alpha1` `ObservabilityStack`.
    pub fn is(&self, api_version: &str, kind: &str) -> bool {
        self.text(&["apiVersion"]).as_deref() == Some(api_version)
            && self.text(&["kind"]).as_deref() == Some(kind)
    }

    /// Whether this claims to be a stack, in whichever version of the API.
    pub fn is_stack(&self) -> bool {
        self.text(&["kind"]).as_deref() == Some("ObservabilityStack")
            && self.text(&["apiVersion"]).is_none_or(|v| v.starts_with(obstack_crds::GROUP))
    }

    /// Namespace and name of the object.
    pub fn id(&self) -> StackId {
        let namespace = self.text(&["metadata", "namespace"]).filter(|n| !n.is_empty());
        StackId {
            namespace: namespace.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned()),
            name: self.text(&["metadata", "name"]).unwrap_or_default(),
        }
    }

    /// A fault at a path of this document.
    pub fn finding(&self, path: &str, found: impl Into<String>, write: impl Into<String>) -> Finding {
        Finding {
            file: self.file.clone(),
            line: self.node.line_of(path),
            path: path.to_owned(),
            found: found.into(),
            write: write.into(),
        }
    }
}

impl Input {
    /// Reads what the arguments name.
    ///
    /// # Errors
    /// [`CliError::Input`] where a file cannot be read or is too large. What is wrong inside of a file stands
    /// in [`Input::problems`].
    pub fn read(args: &InputArgs) -> Result<Self, CliError> {
        let mut input = Self::default();
        let mut seen = 0;
        for path in &args.files {
            if path.as_os_str() == "-" {
                input.add("<stdin>", &bounded(std::io::stdin().lock(), "<stdin>")?);
                continue;
            }
            let mut files = Vec::new();
            collect(path, true, &mut files)?;
            if files.is_empty() {
                let message = format!("{} holds no *.yaml, *.yml or *.json", path.display());
                return Err(CliError::Input(message));
            }
            seen += files.len();
            if seen > MAX_FILES {
                return Err(CliError::Input(format!("more than {MAX_FILES} files; name fewer folders")));
            }
            for file in files {
                let name = file.display().to_string();
                let reader = std::fs::File::open(&file).map_err(|e| unreadable(&file, &e))?;
                input.add(&name, &bounded(reader, &name)?);
            }
        }
        Ok(input)
    }

    /// The same input, with the options of this catalog to choose from.
    #[must_use]
    pub fn with_catalog(mut self, catalog: &Catalog) -> Self {
        self.catalog = Some(catalog.clone());
        self
    }

    /// Adds the documents of a text.
    pub fn add(&mut self, file: &str, text: &str) {
        let (nodes, problems) = marked::parse(text);
        for node in nodes {
            let document = Document { file: file.to_owned(), node };
            // A List is only an envelope; what is in it counts.
            let items = document.node.get("items").map(|entry| &entry.value.tree);
            match items {
                Some(Tree::List(items)) if document.is("v1", "List") => self
                    .documents
                    .extend(items.iter().map(|node| Document { file: file.to_owned(), node: node.clone() })),
                _ => self.documents.push(document),
            }
        }
        self.problems.extend(problems.into_iter().map(|problem| Finding {
            file: file.to_owned(),
            line: problem.line,
            path: String::new(),
            found: problem.found,
            write: problem.write,
        }));
    }

    /// The objects of a kind.
    pub fn of_kind(&self, api_version: &str, kind: &str) -> impl Iterator<Item = (&Document, Value)> {
        let wanted = (api_version.to_owned(), kind.to_owned());
        self.documents
            .iter()
            .filter(move |document| document.is(&wanted.0, &wanted.1))
            .map(|document| (document, document.node.to_json()))
    }

    /// Every stack, valid; the rest of the documents is left alone. Each fault is printed with its line.
    ///
    /// # Errors
    /// [`CliError::Reported`] where anything is wrong, [`CliError::Input`] where there is no stack at all.
    pub fn stacks(&self, output: &Output) -> Result<Vec<Loaded>, CliError> {
        let mut stacks = Vec::new();
        let mut findings = self.problems.clone();
        for document in self.documents.iter().filter(|d| d.is_stack()) {
            match load(document, self.catalog.as_ref()) {
                Ok(loaded) => stacks.push(loaded),
                Err(mut faults) => findings.append(&mut faults),
            }
        }
        if !findings.is_empty() {
            for finding in &findings {
                output.note(&format!("{}: {finding}", output.paint(Style::Bad, "error")));
            }
            return Err(CliError::Reported);
        }
        if stacks.is_empty() {
            let message = "there is no ObservabilityStack in the input; write an object with apiVersion: \
                           obstack.io/v1alpha1 and kind: ObservabilityStack";
            return Err(CliError::Input(message.to_owned()));
        }
        Ok(stacks)
    }
}

/// A document as a valid stack, or what is wrong with it. A broken rule group is no hindrance: it stands in
/// [`Valid::rejected`], as with the operator.
fn load(document: &Document, catalog: Option<&Catalog>) -> Result<Loaded, Vec<Finding>> {
    let id = document.id();
    let place = |faults: Vec<Fault>| -> Vec<Finding> {
        faults.into_iter().map(|fault| document.finding(&fault.path, fault.found, fault.write)).collect()
    };
    let checked = check::check_stack(&document.node, &id, catalog);
    if !checked.shape.is_empty() {
        return Err(place(checked.faults()));
    }
    let stack = check::to_stack(&checked).map_err(|fault| place(vec![fault]))?;
    let valid = check::judge_stack(id.clone(), &stack.spec, None).map_err(place)?;
    Ok(Loaded { id, stack, valid })
}

/// The files that a path leads to, sorted, so that the order is the same on every machine.
fn collect(path: &Path, named: bool, files: &mut Vec<PathBuf>) -> Result<(), CliError> {
    let about = std::fs::metadata(path).map_err(|e| unreadable(path, &e))?;
    if about.is_dir() {
        let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries: Vec<PathBuf> =
            entries.map_err(|e| unreadable(path, &e))?.into_iter().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries {
            // A link to a folder could lead around in a circle.
            if entry.is_symlink() && entry.is_dir() {
                continue;
            }
            collect(&entry, false, files)?;
        }
    } else if named || path.extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json") {
        files.push(path.to_owned());
    }
    if files.len() > MAX_FILES {
        return Err(CliError::Input(format!("more than {MAX_FILES} files; name fewer folders")));
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::Input(format!("{} cannot be read: {error}", path.display()))
}

fn bounded(reader: impl Read, name: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| CliError::Input(format!("{name} cannot be read: {e}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        let limit = MAX_BYTES >> 20;
        return Err(CliError::Input(format!("{name} has more than {limit} MiB; write smaller files")));
    }
    String::from_utf8(bytes).map_err(|_| CliError::Input(format!("{name} is no UTF-8; save it as UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_at_any_depth() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("a")).unwrap();
        for (name, text) in
            [("b.yaml", "n: 2"), ("a/x.yml", "n: 1"), ("c.json", "{\"n\": 3}"), ("d.txt", "{")]
        {
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        let input = Input::read(&InputArgs { files: vec![dir.path().to_owned()] }).unwrap();
        let numbers: Vec<Value> = input.documents.iter().map(|d| d.node.to_json()["n"].clone()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert!(input.problems.is_empty());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let large = dir.path().join("large.yaml");
        std::fs::write(&large, vec![b' '; (MAX_BYTES + 1) as usize]).unwrap();
        let binary = dir.path().join("binary.yaml");
        std::fs::write(&binary, [0xff, 0xfe]).unwrap();
        std::fs::create_dir(dir.path().join("empty")).unwrap();
        for (path, word) in [
            (large, "8 MiB"),
            (binary, "UTF-8"),
            (dir.path().join("missing.yaml"), "cannot be read"),
            (dir.path().join("empty"), "holds no"),
        ] {
            let error = Input::read(&InputArgs { files: vec![path.clone()] }).unwrap_err();
            let message = error.message().unwrap();
            assert!(message.contains(word) && message.contains(path.to_str().unwrap()), "{message}");
            assert_eq!(error.exit_code(), 1);
        }
    }

    #[test]
    fn stacks_are_taken_and_others_left() {
        let mut input = Input::default();
        input.add(
            "x.yaml",
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\napiVersion: obstack.io/v1alpha1\n\
             kind: ObservabilityStack\nmetadata: {name: main}\nspec: {}\n",
        );
        let output = Output::stdio(clap::ColorChoice::Never);
        let stacks = input.stacks(&output).unwrap();
        assert_eq!(stacks.len(), 1);
        assert_eq!(stacks[0].id.to_string(), "default/main");
        assert_eq!(input.of_kind("v1", "Secret").count(), 1);
        assert!(
            Input::default().stacks(&output).unwrap_err().message().unwrap().contains("ObservabilityStack")
        );
    }
}
