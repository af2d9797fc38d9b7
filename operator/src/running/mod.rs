//! Running configuration, pure: keyed fragments become parts, parts become a generation, and a pointer names
//! every part with its digest.
//!
//! - [`Generation::build`] packs fragments, on the operator's side; [`secrets`] and [`pointer_secret`] make
//!   the objects that carry it.
//! - [`Pointer::parse`] and [`Pointer::files`] read it back, on the reloader's side: nothing that differs by
//!   a byte from what the pointer names gets through, so that no mixed set can load.

mod generation;
mod objects;
mod pointer;
#[cfg(test)]
mod tests;

pub use generation::{Generation, PackError, Part};
pub use objects::{
    PART_KEY, POINTER_KEY, PROVEN_FILE, part_file, part_secret, pointer_secret, pointer_secret_name, secrets,
};
pub use pointer::{Entry, PartFile, PartRef, Pointer, ReadError, Slot, Which};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Most parts that a generation has. A pod mounts as many optional Secrets per slot from the start: a new
/// volume would restart it.
pub const MAX_PARTS: usize = 16;
/// Most bytes of a part, compressed. A Secret holds 1 MiB, base64 and its own fields included.
pub const MAX_PART_COMPRESSED: usize = 700_000;
/// Most bytes of a part before compression: what a reader is ready to hold.
pub const MAX_PART_BYTES: usize = 32 << 20;
/// Most bytes of a pointer.
pub const MAX_POINTER_BYTES: usize = 16 << 10;

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

/// The glob of a main file that carries the generation. It holds a star because promtool wants every rule
/// file that is named without one to exist.
pub fn generation_glob() -> String {
    format!("{GENERATION_GLOB_DIR}/{GENERATION_PLACEHOLDER}/*")
}

/// The generation that a configuration names, where it names one: the other end of [`generation_glob`].
/// `config` is the configuration as the engine tells it.
pub fn generation_in(config: &str) -> Option<&str> {
    let start = config.find(GENERATION_GLOB_DIR)? + GENERATION_GLOB_DIR.len();
    let digest = config.get(start..)?.strip_prefix('/')?.get(..64)?;
    is_digest(digest).then_some(digest)
}

/// One file of a configuration, from one source. Its path never changes while its source exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Stable key of the source, such as `library/watchdog` or an object's UID. Decides the part.
    pub key: String,
    /// Path below `current/`: `prometheus.yaml`, `rules/library.watchdog.yaml`.
    pub path: String,
    /// The content. [`GENERATION_PLACEHOLDER`] in it stands for the generation's digest.
    pub bytes: Vec<u8>,
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
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Whether a text is a SHA-256 in lower-case hexadecimal.
fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a path stays below the folder that it is joined to: letters, digits, `.`, `_`, `-` and `/`, and no
/// step that is empty, `.` or `..`.
fn is_safe_path(path: &str) -> bool {
    path.len() <= 512
        && path.split('/').all(|step| {
            !matches!(step, "" | "." | "..")
                && step.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        })
}
