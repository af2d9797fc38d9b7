//! The pointer: which parts make the generation. Reading it back trusts nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::generation::{joined_digest, substitute};
use super::part::{Entry, files_of, unpack};
use super::{Engine, MAX_PART_BYTES, MAX_PARTS, MAX_POINTER_BYTES, is_digest, is_safe_path};

/// Version of the pointer's form.
const VERSION: u32 = 3;
/// Most fragments that a pointer says were left out.
pub const MAX_KEPT_OUT: usize = 32;
/// Most bytes of each text of a fragment that was left out.
const MAX_KEPT_TEXT: usize = 512;

/// Which parts make the generation that is wanted, or the one that is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pointer {
    /// Version of this form: 3.
    pub version: u32,
    /// Whose configuration it is.
    pub engine: Engine,
    /// Counts up with every write of this pointer, so that the newer of two is known.
    pub revision: u64,
    /// SHA-256 over the digests of the parts, in hexadecimal.
    pub generation: String,
    /// The parts, by index: a power of two of them, at most [`MAX_PARTS`].
    pub parts: Vec<PartRef>,
    /// What was left out of the generation because an engine refused it: it outlives the operator here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_out: Vec<KeptOut>,
    /// In a proven pointer, the one before. Kubelets sync every Secret by itself, so a mount can have the new
    /// pointer while it lacks a part; the parts of the one before are still in it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Box<Pointer>>,
}

/// A fragment that an engine refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptOut {
    /// Key of its source.
    pub key: String,
    /// SHA-256 of the content that was refused, in hexadecimal. Another content is tried.
    pub digest: String,
    /// Its path below `current/`.
    pub path: String,
    /// Why, as the engine or its tool said it, shortened.
    pub reason: String,
}

/// A place that parts are written to. Each part has a Secret in each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Slot {
    /// The first that pods mount.
    A,
    /// The second that pods mount.
    B,
    /// The first that is read over the API only.
    LiveA,
    /// The second that is read over the API only.
    LiveB,
}

impl Slot {
    /// The slots that pods mount.
    pub const MOUNTED: [Self; 2] = [Self::A, Self::B];
    /// The slots that are read over the API only.
    pub const LIVE: [Self; 2] = [Self::LiveA, Self::LiveB];
    /// All slots.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::LiveA, Self::LiveB];

    /// The slot as part of a name and of a path.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::LiveA => "live-a",
            Self::LiveB => "live-b",
        }
    }
}

/// Which of the two pointers of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Which {
    /// The generation that is wanted.
    Candidate,
    /// The last generation that every replica has run.
    Proven,
}

impl Which {
    /// Both pointers.
    pub const ALL: [Self; 2] = [Self::Candidate, Self::Proven];

    /// The pointer as part of a name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Proven => "proven",
        }
    }
}

/// One part as the pointer names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartRef {
    /// Place in the generation, from 0.
    pub index: usize,
    /// The slot that it is in.
    pub slot: Slot,
    /// Name of the Secret that holds it, in the stack's namespace.
    pub secret: String,
    /// SHA-256 over the digests of the part's blocks, in hexadecimal.
    pub digest: String,
    /// Bytes before compression.
    pub size: usize,
}

/// Why a pointer or its parts cannot be read. A part that is missing or has another digest is usual while a
/// volume is being synced: a reader waits. No variant carries content.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It is larger than it can be.
    #[error("{what} has more than {limit} bytes")]
    TooLarge {
        /// What was read.
        what: String,
        /// The bound, in bytes.
        limit: usize,
    },
    /// It is not what it should be.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// What was read.
        what: String,
        /// Why.
        why: String,
    },
    /// A part is not there, or not yet.
    #[error("part {0} is missing")]
    Missing(usize),
    /// A part is not the one that the pointer names, or not yet.
    #[error("part {index} has digest {found}, and the pointer names {wanted}")]
    Digest {
        /// Place of the part.
        index: usize,
        /// Digest in the pointer.
        wanted: String,
        /// Digest of what was read.
        found: String,
    },
}

impl ReadError {
    /// Whether waiting can help: the set is not yet complete.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Digest { .. })
    }
}

fn malformed(what: impl Into<String>, why: impl Into<String>) -> ReadError {
    ReadError::Malformed { what: what.into(), why: why.into() }
}

impl Pointer {
    /// The first pointer to a generation. `place` says for each part, by index, the slot and the Secret that it
    /// is in.
    pub fn to(generation: &super::Generation, place: impl Fn(usize) -> (Slot, String)) -> Self {
        let part = |p: &super::Part| {
            let (slot, secret) = place(p.index);
            PartRef { index: p.index, slot, secret, digest: p.digest.clone(), size: p.size }
        };
        Self {
            version: VERSION,
            engine: generation.engine,
            revision: 1,
            generation: generation.digest.clone(),
            parts: generation.parts.iter().map(part).collect(),
            kept_out: generation.kept_out.clone(),
            before: None,
        }
    }

    /// Reads a pointer and holds it against its bounds and against itself.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReadError> {
        if bytes.len() > MAX_POINTER_BYTES {
            return Err(ReadError::TooLarge { what: "the pointer".into(), limit: MAX_POINTER_BYTES });
        }
        let pointer: Self =
            serde_json::from_slice(bytes).map_err(|e| malformed("the pointer", e.to_string()))?;
        pointer.check().map_err(|why| malformed("the pointer", why))?;
        Ok(pointer)
    }

    fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("version {} is not known, {VERSION} is", self.version));
        }
        let count = self.parts.len();
        if !count.is_power_of_two() || count > MAX_PARTS {
            return Err(format!("{count} parts are not a power of two up to {MAX_PARTS}"));
        }
        for (place, part) in self.parts.iter().enumerate() {
            if part.index != place {
                return Err(format!("part {place} has index {}", part.index));
            }
            if !is_digest(&part.digest) {
                return Err(format!("the digest of part {place} is no SHA-256"));
            }
            if part.size > MAX_PART_BYTES {
                return Err(format!("part {place} has more than {MAX_PART_BYTES} bytes"));
            }
            let name = &part.secret;
            if name.is_empty()
                || name.len() > 253
                || !name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
            {
                return Err(format!("part {place} names no Secret"));
            }
        }
        if self.generation != joined_digest(self.parts.iter().map(|p| p.digest.as_str())) {
            return Err("its generation is not the digest of its parts".into());
        }
        let long = |out: &KeptOut| {
            [&out.key, &out.path, &out.reason].iter().any(|text| text.len() > MAX_KEPT_TEXT)
                || !is_digest(&out.digest)
        };
        if self.kept_out.len() > MAX_KEPT_OUT || self.kept_out.iter().any(long) {
            return Err("what it says was left out is out of bounds".into());
        }
        match &self.before {
            Some(before) if before.before.is_some() => Err("it goes back by more than one".into()),
            Some(before) => before.check().map_err(|why| format!("the one before: {why}")),
            None => Ok(()),
        }
    }

    /// The part that it names at a place.
    pub fn part(&self, index: usize) -> Option<&PartRef> {
        self.parts.get(index)
    }

    /// The files of the generation, all of them text, by path below `current/`, with the digest written into the main
    /// file.
    /// `part` gives the compressed bytes of a part, where they are there. Every part is held against the
    /// pointer before anything of it is used.
    pub fn files(
        &self,
        mut part: impl FnMut(&PartRef) -> Option<Vec<u8>>,
    ) -> Result<BTreeMap<String, String>, ReadError> {
        let mut files = BTreeMap::new();
        for wanted in &self.parts {
            let gzip = part(wanted).ok_or(ReadError::Missing(wanted.index))?;
            for entry in wanted.read(&gzip)? {
                let what = || format!("part {}", wanted.index);
                if !is_safe_path(&entry.path) {
                    return Err(malformed(what(), "a path leaves its folder"));
                }
                let text = substitute(self.engine, &entry.path, entry.content, &self.generation);
                let text = String::from_utf8(text).map_err(|_| malformed(what(), "a file is no text"))?;
                if files.insert(entry.path, text).is_some() {
                    return Err(malformed(what(), "two fragments share a path"));
                }
            }
        }
        if !files.contains_key(self.engine.main_file()) {
            return Err(malformed("the generation", format!("it has no {}", self.engine.main_file())));
        }
        Ok(files)
    }
}

impl PartRef {
    /// Unpacks a part, verifies that it is the one that the pointer names, and gives its files.
    pub fn read(&self, gzip: &[u8]) -> Result<Vec<Entry>, ReadError> {
        let mut blocks = Vec::new();
        let found = unpack(gzip, self.size.min(MAX_PART_BYTES), |block| blocks.push(block))
            .unwrap_or_else(|| "unreadable".to_owned());
        if found != self.digest {
            return Err(ReadError::Digest { index: self.index, wanted: self.digest.clone(), found });
        }
        let mut files = Vec::new();
        for block in blocks {
            let of_block = files_of(&block);
            files.extend(
                of_block
                    .ok_or_else(|| malformed(format!("part {}", self.index), "it is not made of blocks"))?,
            );
        }
        Ok(files)
    }
}

impl KeptOut {
    /// A fragment that was refused, its texts within their bounds; none where its key or its path is too long
    /// to be kept.
    pub fn new(key: &str, digest: String, path: &str, reason: &str) -> Option<Self> {
        let end = reason.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= 300).last();
        let reason = reason.get(..end.unwrap_or(0)).unwrap_or_default().to_owned();
        let fits = key.len() <= MAX_KEPT_TEXT && path.len() <= MAX_KEPT_TEXT;
        fits.then(|| Self { key: key.to_owned(), digest, path: path.to_owned(), reason })
    }
}
