//! A generation is laid down beside the one that runs: parts that did not change are linked, the others are
//! fetched one by one, and of these only the files that differ are written.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::{Deserialize, Serialize};

use crate::running::{Pointer, ReadError, is_safe_path, substitute};

use super::layout::Layout;
use super::source::Source;

/// What a generation's folder says of itself, beside its files: which parts it was made from, and the main file
/// as it was packed.
const MANIFEST: &str = ".parts.json";
const RAW_MAIN: &str = ".main";

/// Which files came from which part, by the digest of the part.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    parts: BTreeMap<String, Vec<String>>,
}

/// What was laid down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Laid {
    /// The files that differ from those of the generation that was built on, the main file aside; none where
    /// there was none.
    pub(super) changed: Option<Vec<String>>,
    /// Whether the main file differs, by more than the generation that it names.
    pub(super) main_changed: bool,
    /// Bytes of all files.
    pub(super) bytes: u64,
}

impl Laid {
    /// The one file of jobs or rules that differs, where it is one: what is refused for no other reason than this.
    /// Certificates and keys that came along are read through it alone.
    pub(super) fn only_change(&self) -> Option<&str> {
        let changed = self.changed.as_ref().filter(|_| !self.main_changed)?;
        let mut named = changed.iter().filter(|path| is_named_by_main(path));
        let first = named.next().or(changed.first())?;
        (named.next().is_none() && (changed.len() == 1 || is_named_by_main(first))).then_some(first)
    }
}

/// Whether the main file itself names a file, by a glob; the others are named by these.
pub(super) fn is_named_by_main(path: &str) -> bool {
    path.starts_with("scrape/") || path.starts_with("rules/")
}

/// Why a generation could not be laid down.
#[derive(Debug)]
pub(super) enum LayError {
    /// Its parts are not there, not yet, or not what they should be.
    Read(ReadError),
    /// It cannot be written.
    Write(io::Error),
}

impl From<io::Error> for LayError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<ReadError> for LayError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl std::fmt::Display for LayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Read(error) => write!(f, "a complete set of parts ({error})"),
            Self::Write(error) => write!(f, "the generation cannot be written: {error}"),
        }
    }
}

/// Lays a generation down, on what `current` leads to.
pub(super) async fn lay_down(source: &Source, layout: &Layout, pointer: &Pointer) -> Result<Laid, LayError> {
    if manifest(layout, &pointer.generation).is_some() {
        // It was laid down before, and its folder appears only when it is complete.
        return Ok(Laid { changed: None, main_changed: true, bytes: 0 });
    }
    let base = layout.current();
    let known = base.as_deref().and_then(|base| manifest(layout, base));
    let base = base.filter(|_| known.is_some());
    let known = known.unwrap_or_default();
    let mut draft = Draft {
        layout,
        pointer,
        base: base.clone(),
        seen: BTreeSet::new(),
        changed: Vec::new(),
        main: None,
        bytes: 0,
    };
    layout.begin(&pointer.generation)?;
    let mut parts = BTreeMap::new();
    for part in &pointer.parts {
        let files = match known.parts.get(&part.digest) {
            Some(files) => {
                files.iter().try_for_each(|path| draft.keep(path))?;
                files.clone()
            }
            None => {
                let fetched = source.part(part).await?;
                let mut files = Vec::new();
                for entry in fetched {
                    draft.add(&entry.path, entry.content)?;
                    files.push(entry.path);
                }
                files
            }
        };
        parts.insert(part.digest.clone(), files);
    }
    let main_changed = draft.finish(&Manifest { parts })?;
    let Draft { changed, bytes, .. } = draft;
    Ok(Laid { changed: base.map(|_| changed), main_changed, bytes })
}

fn manifest(layout: &Layout, generation: &str) -> Option<Manifest> {
    serde_json::from_slice(&std::fs::read(layout.dir(generation).join(MANIFEST)).ok()?).ok()
}

struct Draft<'a> {
    layout: &'a Layout,
    pointer: &'a Pointer,
    base: Option<String>,
    seen: BTreeSet<String>,
    changed: Vec<String>,
    main: Option<Vec<u8>>,
    bytes: u64,
}

impl Draft<'_> {
    fn generation(&self) -> &str {
        &self.pointer.generation
    }

    fn main_file(&self) -> &'static str {
        self.pointer.engine.main_file()
    }

    /// Notes a path. Two fragments of one path are no set.
    fn note(&mut self, path: &str) -> Result<(), LayError> {
        if !is_safe_path(path) || !self.seen.insert(path.to_owned()) {
            let why = format!("{path:?} leaves its folder, or is there twice");
            return Err(ReadError::Malformed { what: "the generation".into(), why }.into());
        }
        Ok(())
    }

    /// The main file as it was packed, in the generation that is built on.
    fn base_main(&self) -> Option<Vec<u8>> {
        std::fs::read(self.layout.dir(self.base.as_ref()?).join(RAW_MAIN)).ok()
    }

    /// Takes over a file that did not change.
    fn keep(&mut self, path: &str) -> Result<(), LayError> {
        self.note(path)?;
        if path == self.main_file() {
            self.main = self.base_main();
            return Ok(());
        }
        if let Some(base) = &self.base {
            self.bytes += self.layout.link(base, self.generation(), path)?;
        }
        Ok(())
    }

    /// Adds a file of a part that was fetched.
    fn add(&mut self, path: &str, content: Vec<u8>) -> Result<(), LayError> {
        self.note(path)?;
        if path == self.main_file() {
            self.main = Some(content);
            return Ok(());
        }
        let same = self.base.as_deref().filter(|base| self.layout.holds(base, path, &content));
        match same {
            Some(base) => self.bytes += self.layout.link(base, self.generation(), path)?,
            None => {
                self.layout.add(self.generation(), path, &content)?;
                self.bytes += content.len() as u64;
                self.changed.push(path.to_owned());
            }
        }
        Ok(())
    }

    /// Writes the main file, with the generation in its place, and puts the folder under its name. Says
    /// whether the main file differs from the one before.
    fn finish(&mut self, manifest: &Manifest) -> Result<bool, LayError> {
        let main = self.main_file();
        let raw = self.main.take().ok_or_else(|| ReadError::Malformed {
            what: "the generation".into(),
            why: format!("it has no {main}"),
        })?;
        // What was there and is gone is a change too, and one that no file shows.
        let changed = self.base_main().as_ref() != Some(&raw);
        let generation = self.generation();
        self.layout.add(generation, RAW_MAIN, &raw)?;
        let text = substitute(self.pointer.engine, main, raw, generation);
        self.layout.add(generation, main, &text)?;
        let manifest = serde_json::to_vec(manifest).map_err(io::Error::other)?;
        self.layout.add(generation, MANIFEST, &manifest)?;
        self.layout.complete(generation)?;
        self.bytes += text.len() as u64;
        Ok(changed)
    }
}
