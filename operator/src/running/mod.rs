//! Running configuration, pure: keyed fragments become parts, parts become a generation, and a pointer names
//! every part with its digest.

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

/// Stands in a main file for the generation's digest, which the reloader writes there: the digest cannot be
/// part of what it is made from.
pub const GENERATION_PLACEHOLDER: &str = "OBSTACK_GENERATION";
/// Folder that no file is ever in. The main file names `<folder>/<digest>` as a glob that matches nothing,
/// so that the engine repeats the digest when it is asked what it runs.
pub const GENERATION_GLOB_DIR: &str = "/obstack-generation";
