//! Fragments become parts, parts become a generation.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use super::pointer::{Entry, PartFile};
use super::{
    Engine, Fragment, GENERATION_PLACEHOLDER, MAX_PART_BYTES, MAX_PART_COMPRESSED, MAX_PARTS, digest,
    is_safe_path,
};

/// The configuration of one engine, packed. Equal fragments give equal bytes, in any order and any process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// Whose configuration it is.
    pub engine: Engine,
    /// SHA-256 over the digests of the parts, in hexadecimal: its name.
    pub digest: String,
    /// The parts: a power of two of them, at most [`MAX_PARTS`].
    pub parts: Vec<Part>,
    /// The fragments that it was made from, by key.
    pub fragments: Vec<Fragment>,
}

/// A share of a generation's fragments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Place in the generation, from 0.
    pub index: usize,
    /// SHA-256 of the part before compression, in hexadecimal.
    pub digest: String,
    /// Bytes before compression.
    pub size: usize,
    /// The part, gzip.
    pub gzip: Vec<u8>,
}

/// Why fragments cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// Two fragments share a key or a path.
    #[error("two sources of the configuration share {0:?}; rename one of them")]
    Twice(String),
    /// A path would leave its folder.
    #[error("{0:?} is no path of a configuration; use letters, digits, `.`, `_`, `-` and `/`")]
    Path(String),
    /// A content is not UTF-8.
    #[error("the content of {0:?} is not UTF-8; store text there")]
    NotText(String),
    /// The configuration is too large, whichever way it is shared out.
    #[error(
        "the configuration is too large: of {MAX_PARTS} parts, number {index} has {compressed} bytes compressed \
         ({size} before), and a part holds {MAX_PART_COMPRESSED} ({MAX_PART_BYTES} before); its largest source, \
         {largest:?}, has {largest_size} bytes: make it smaller or split it"
    )]
    TooLarge {
        /// The part that does not fit.
        index: usize,
        /// Its bytes, compressed.
        compressed: usize,
        /// Its bytes before compression.
        size: usize,
        /// Key of its largest fragment.
        largest: String,
        /// Bytes of that fragment.
        largest_size: usize,
    },
    /// The compressor or the serializer failed, which needs a machine out of memory.
    #[error("packing the configuration: {0}")]
    Encoding(String),
}

impl Generation {
    /// Packs fragments over the smallest power of two of parts that fits. The hash of its key decides a
    /// fragment's part, so a change of one fragment changes one part, and packing needs no memory.
    pub fn build(engine: Engine, mut fragments: Vec<Fragment>) -> Result<Self, PackError> {
        fragments.sort_by(|a, b| a.key.cmp(&b.key));
        check(&fragments)?;
        let mut count = 1;
        loop {
            match pack(&fragments, count) {
                Ok(parts) => {
                    let digest = generation_digest(parts.iter().map(|part| part.digest.as_str()));
                    return Ok(Self { engine, digest, parts, fragments });
                }
                Err(PackError::TooLarge { .. }) if count < MAX_PARTS => count *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// A file of the generation as it reaches the engine: text, with the generation's digest in its place.
    pub fn file(&self, path: &str) -> Option<String> {
        let fragment = self.fragments.iter().find(|f| f.path == path)?;
        let text = String::from_utf8(fragment.bytes.clone()).ok()?;
        Some(substitute(self.engine, path, text, &self.digest))
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.fragments.iter().map(|f| f.path.as_str()).collect();
        paths.sort_unstable();
        paths
    }
}

/// Writes the digest where the main file leaves room for it. In other files the placeholder means nothing:
/// what a person wrote stays as it is.
pub(super) fn substitute(engine: Engine, path: &str, text: String, generation: &str) -> String {
    if path == engine.main_file() { text.replace(GENERATION_PLACEHOLDER, generation) } else { text }
}

/// The name of a generation: SHA-256 over the digests of its parts, one a line.
pub(super) fn generation_digest<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    digest(parts.collect::<Vec<_>>().join("\n").as_bytes())
}

/// The part of a key, of `count` parts, a power of two: the low bits of the key's SHA-256.
fn part_of(key: &str, count: usize) -> usize {
    let hash = Sha256::digest(key.as_bytes());
    usize::from(hash.first().copied().unwrap_or_default()) & (count - 1)
}

fn check(sorted: &[Fragment]) -> Result<(), PackError> {
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0].key == pair[1].key) {
        return Err(PackError::Twice(pair[0].key.clone()));
    }
    let mut paths: Vec<&str> = sorted.iter().map(|f| f.path.as_str()).collect();
    paths.sort_unstable();
    if let Some(pair) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(PackError::Twice(pair[0].to_owned()));
    }
    match sorted.iter().find(|f| !is_safe_path(&f.path)) {
        Some(fragment) => Err(PackError::Path(fragment.path.clone())),
        None => Ok(()),
    }
}

pub(super) fn pack(sorted: &[Fragment], count: usize) -> Result<Vec<Part>, PackError> {
    let mut shares: Vec<Vec<&Fragment>> = vec![Vec::new(); count];
    for fragment in sorted {
        shares[part_of(&fragment.key, count)].push(fragment);
    }
    shares.iter().enumerate().map(|(index, share)| pack_one(index, share)).collect()
}

fn pack_one(index: usize, share: &[&Fragment]) -> Result<Part, PackError> {
    let file = PartFile { fragments: share.iter().map(|f| entry(f)).collect::<Result<_, _>>()? };
    let json = serde_json::to_vec(&file).map_err(|e| PackError::Encoding(e.to_string()))?;
    // Nothing that is known to be too large is compressed only to be thrown away.
    let gzip = if json.len() > MAX_PART_BYTES { Vec::new() } else { gzip(&json)? };
    if json.len() > MAX_PART_BYTES || gzip.len() > MAX_PART_COMPRESSED {
        let largest = share.iter().max_by_key(|f| f.bytes.len());
        return Err(PackError::TooLarge {
            index,
            compressed: gzip.len(),
            size: json.len(),
            largest: largest.map(|f| f.key.clone()).unwrap_or_default(),
            largest_size: largest.map_or(0, |f| f.bytes.len()),
        });
    }
    Ok(Part { index, digest: digest(&json), size: json.len(), gzip })
}

fn entry(fragment: &Fragment) -> Result<Entry, PackError> {
    let content =
        String::from_utf8(fragment.bytes.clone()).map_err(|_| PackError::NotText(fragment.path.clone()))?;
    Ok(Entry { key: fragment.key.clone(), path: fragment.path.clone(), content })
}

/// Compresses without what would differ from machine to machine: no time, no system, a fixed level.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>, PackError> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::new(6));
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|e| PackError::Encoding(e.to_string()))
}
