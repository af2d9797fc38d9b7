//! Running configuration, pure: keyed fragments become parts, parts become a generation, and a pointer names
//! every part with its digest.
//!
//! - [`Generation::build_on`] packs fragments, on the operator's side; [`delivery::next`] says what is written
//!   now and in which order; [`part_object`] and [`pointer_object`] make the objects.
//! - [`Pointer::parse`] and [`PartRef::read`] read it back, on the reloader's side: nothing that differs by
//!   a byte from what the pointer names gets through, so that no mixed set can load.

pub mod delivery;
mod files;
mod generation;
mod objects;
mod part;
mod pointer;
#[cfg(test)]
mod tests;

pub use files::Files;
pub(crate) use generation::substitute;
pub use generation::{Generation, PackError};
pub use objects::{
    PART_KEY, POINTER_KEY, PROVEN_FILE, carrier_names, part_file, part_object, part_secret, pointer_object,
    pointer_secret_name,
};
pub use part::{Entry, Part, part_digest};
pub use pointer::{KeptOut, MAX_KEPT_OUT, PartRef, Pointer, ReadError, Slot, Which};

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most parts that a generation has, a power of two. A pod mounts as many optional Secrets per
/// mounted slot from the start, because a change of a volume would restart it: raising this is a rolling
/// restart. 64 parts carry 44.8 MB compressed; configuration is compressed to a tenth and less.
pub const MAX_PARTS: usize = 64;
/// Bytes of a part before compression up to which parts are kept where there can be more of them, so that a
/// change is cheap: it costs its whole part to send and to read.
pub const TARGET_PART_BYTES: usize = 256 << 10;

/// The number of blocks in each of `parts` parts, a power of two. A block is written, hashed and compressed by
/// itself, so that a change costs its own block: about 64 KiB where parts are of [`TARGET_PART_BYTES`], which is
/// enough for gzip with its window of 32 KiB, and a 512th of the whole where there can be no more parts: to begin one
/// takes as long as to compress some KiB.
pub(crate) const fn blocks_of(parts: usize) -> usize {
    if parts < MAX_PARTS { 4 } else { 8 }
}
/// Most bytes of a part, compressed. A Secret holds 1 MiB, base64 and its own fields included.
pub const MAX_PART_COMPRESSED: usize = 700_000;
/// Most bytes of a part before compression: what a reader is ready to hold.
pub const MAX_PART_BYTES: usize = 32 << 20;
/// Most bytes of a pointer.
pub const MAX_POINTER_BYTES: usize = 128 << 10;

/// Folder of the running configuration in an engine's pod. The engine reads `current/` below it.
pub const TARGET: &str = "/var/lib/obstack/config";
/// What the engine reads: a link that the reloader switches from one generation to the next.
pub const CURRENT: &str = "/var/lib/obstack/config/current";
/// Stands in a main file for the generation's digest, which the reloader writes there: the digest cannot be
/// part of what it is made from.
pub const GENERATION_PLACEHOLDER: &str = "OBSTACK_GENERATION";
/// Folder that no file is ever in. The main file names `<folder>/<digest>/*` as a glob that matches nothing,
/// so that the engine repeats the digest when it is asked what it runs.
pub const GENERATION_GLOB_DIR: &str = "/obstack-generation";

/// What the names of [`object_path`] begin with.
const OBJECT: &str = "object/";

/// The glob of a main file that carries the generation. It holds a star because promtool wants every rule
/// file that is named without one to exist.
pub fn generation_glob() -> String {
    format!("{GENERATION_GLOB_DIR}/{GENERATION_PLACEHOLDER}/*")
}

/// What an object is called whose part of a file that it shares with others was refused, by its `namespace/name`: in
/// place of the path of a file, and as the key of what is left out.
pub fn object_path(id: &str) -> String {
    format!("{OBJECT}{id}")
}

/// The `namespace/name` of an object that [`object_path`] has named.
pub fn object_in(path: &str) -> Option<&str> {
    path.strip_prefix(OBJECT)
}

/// The generation that a configuration names, where it names one: the other end of [`generation_glob`].
/// `config` is the configuration as the engine tells it.
pub fn generation_in(config: &str) -> Option<&str> {
    let start = config.find(GENERATION_GLOB_DIR)? + GENERATION_GLOB_DIR.len();
    let digest = config.get(start..)?.strip_prefix('/')?.get(..64)?;
    is_digest(digest).then_some(digest)
}

/// What packing goes by beside the fragments.
#[derive(Clone, Debug, Default)]
pub struct Packing {
    /// The generations before: what did not change is taken from them.
    pub before: BTreeMap<Engine, Arc<Generation>>,
    /// What engines refused. It is left out while its content stays the same.
    pub kept_out: BTreeMap<Engine, Vec<KeptOut>>,
}

impl Packing {
    /// Packs the fragments of an engine.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn build(&self, engine: Engine, fragments: Vec<Fragment>) -> Result<Arc<Generation>, PackError> {
        self.build_without(engine, fragments, Vec::new())
    }

    /// Packs the fragments of an engine, with the files that are kept from one time to the next.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn build_with(
        &self,
        engine: Engine,
        fragments: Vec<Fragment>,
        files: &Files,
    ) -> Result<Arc<Generation>, PackError> {
        let (before, kept_out) = self.of(engine);
        Ok(Arc::new(Generation::build_with(engine, fragments, files, before, kept_out)?))
    }

    /// Packs the fragments of an engine, of which others were left out before they were fragments.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn build_without(
        &self,
        engine: Engine,
        fragments: Vec<Fragment>,
        out: Vec<KeptOut>,
    ) -> Result<Arc<Generation>, PackError> {
        let (before, kept_out) = self.of(engine);
        let mut generation = Generation::build_on(engine, fragments, before, kept_out)?;
        generation.kept_out.extend(out);
        Ok(Arc::new(generation))
    }

    fn of(&self, engine: Engine) -> (Option<&Generation>, &[KeptOut]) {
        let kept_out = self.kept_out.get(&engine).map(Vec::as_slice).unwrap_or_default();
        (self.before.get(&engine).map(Arc::as_ref), kept_out)
    }
}

/// One file of a configuration, from one source. Its path never changes while its source exists. A clone costs
/// no copy of the content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Stable key of the source, such as `library/watchdog` or an object's UID. Decides the part.
    pub key: String,
    /// Path below `current/`: `prometheus.yaml`, `rules/library.watchdog.yaml`.
    pub path: String,
    /// The content. [`GENERATION_PLACEHOLDER`] in it stands for the generation's digest.
    pub bytes: Arc<[u8]>,
}

impl Fragment {
    /// A file of this content.
    pub fn new(key: impl Into<String>, path: impl Into<String>, content: impl Into<Arc<[u8]>>) -> Self {
        Self { key: key.into(), path: path.into(), bytes: content.into() }
    }
}

/// An engine that is configured by files and told to reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Prometheus.
    Prometheus,
    /// Alertmanager.
    Alertmanager,
}

impl Engine {
    /// The engine as a flag and as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
        }
    }

    /// The file that the engine is started with, below `current/`. It alone may name the generation.
    pub fn main_file(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus.yaml",
            Self::Alertmanager => "alertmanager.yaml",
        }
    }
}

/// SHA-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// Bytes as digits, two of each.
fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from(b"0123456789abcdef"[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Whether a text is a SHA-256 in lower-case hexadecimal.
pub(crate) fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path stays below the folder that it is joined to: letters, digits, `.`, `_`, `-` and `/`, and no
/// step that is empty, `.` or `..`.
pub(crate) fn is_safe_path(path: &str) -> bool {
    path.len() <= 512
        && path.split('/').all(|step| {
            !matches!(step, "" | "." | "..")
                && step.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        })
}
