//! Fragments become parts, parts become a generation.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Arc;

use flate2::{Compression, GzBuilder};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::pointer::KeptOut;
use super::{
    Engine, Fragment, GENERATION_PLACEHOLDER, MAX_PART_BYTES, MAX_PART_COMPRESSED, MAX_PARTS,
    TARGET_PART_BYTES, digest, is_safe_path,
};

/// What an entry of a part takes beside its key, its path and its content, in bytes, about.
const ENTRY_BYTES: usize = 48;

/// The configuration of one engine, packed. Equal fragments give equal bytes, in any order and any process, as
/// long as the number of parts is the same.
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
    /// The fragments that were left out because an engine refused them.
    pub kept_out: Vec<KeptOut>,
    /// For each fragment the first byte of its key's hash: its low bits are its part.
    places: Vec<u8>,
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
    pub gzip: Arc<[u8]>,
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
    /// Packs fragments anew.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn build(engine: Engine, fragments: Vec<Fragment>) -> Result<Self, PackError> {
        Self::build_on(engine, fragments, None, &[])
    }

    /// Packs fragments: only those parts are written, hashed and compressed whose fragments differ from those
    /// of the generation before. The hash of its key decides a fragment's part, so a change of one fragment
    /// changes one part. There are as many parts as keep each at about [`TARGET_PART_BYTES`] or less, a power
    /// of two; the number stays that of the generation before while it is not far off.
    ///
    /// A fragment of `kept_out` is left out as long as its content is the one that was refused; the main file
    /// never is.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn build_on(
        engine: Engine,
        mut fragments: Vec<Fragment>,
        before: Option<&Self>,
        kept_out: &[KeptOut],
    ) -> Result<Self, PackError> {
        let kept_out = leave_out(engine, &mut fragments, kept_out);
        // Fragments that come sorted cost one look each.
        fragments.sort_by(|a, b| a.key.cmp(&b.key));
        let before = before.filter(|before| before.engine == engine);
        let change = Change::of(&fragments, before)?;
        if change.names_changed {
            check_paths(&fragments)?;
        }
        let total = fragments.iter().map(size_of).sum();
        let mut count = part_count(total, before.map(|before| before.parts.len()));
        loop {
            let reusable = before.filter(|before| before.parts.len() == count);
            match pack(&fragments, &change, count, reusable) {
                Ok(parts) => {
                    let digest = generation_digest(parts.iter().map(|part| part.digest.as_str()));
                    return Ok(Self { engine, digest, parts, fragments, kept_out, places: change.places });
                }
                Err(PackError::TooLarge { .. }) if count < MAX_PARTS => count *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// A file of the generation as it reaches the engine: text, with the generation's digest in its place.
    pub fn file(&self, path: &str) -> Option<String> {
        let fragment = self.fragments.iter().find(|f| f.path == path)?;
        let text = String::from_utf8(fragment.bytes.to_vec()).ok()?;
        Some(substitute(self.engine, path, text, &self.digest))
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.fragments.iter().map(|f| f.path.as_str()).collect();
        paths.sort_unstable();
        paths
    }

    /// Says which limit is near, from 80 % of it on, with the numbers: what is left to grow into where parts
    /// can no longer be halved, be it that there are as many as are declared, or that one source makes up most
    /// of a part.
    pub fn near_limit(&self) -> Option<String> {
        let fullest = self.parts.iter().max_by_key(|part| part.gzip.len())?;
        let (bytes, share) = (fullest.gzip.len(), fullest.gzip.len() * 100 / MAX_PART_COMPRESSED);
        if share < 80 {
            return None;
        }
        let mask = self.parts.len() - 1;
        let of_part = |(_, place): &(&Fragment, &u8)| usize::from(**place) & mask == fullest.index;
        let fragments = self.fragments.iter().zip(&self.places).filter(of_part).map(|(fragment, _)| fragment);
        let largest = fragments.max_by_key(|fragment| fragment.bytes.len())?;
        let indivisible = largest.bytes.len() * 2 > fullest.size;
        (self.parts.len() == MAX_PARTS || indivisible).then(|| {
            format!(
                "part {} of {} of the configuration of {} has {bytes} bytes compressed, {share} % of the {} that \
                 a part holds (there are at most {MAX_PARTS} parts); its largest source, {:?}, has {} bytes before",
                fullest.index,
                self.parts.len(),
                self.engine.as_str(),
                MAX_PART_COMPRESSED,
                largest.key,
                largest.bytes.len()
            )
        })
    }
}

/// Takes out what was refused and is still the same.
fn leave_out(engine: Engine, fragments: &mut Vec<Fragment>, kept_out: &[KeptOut]) -> Vec<KeptOut> {
    if kept_out.is_empty() {
        return Vec::new();
    }
    let mut left_out = Vec::new();
    fragments.retain(|fragment| {
        let same = |out: &&KeptOut| out.key == fragment.key && out.digest == digest(&fragment.bytes);
        match kept_out.iter().find(same) {
            Some(out) if fragment.path != engine.main_file() => {
                left_out.push(out.clone());
                false
            }
            _ => true,
        }
    });
    left_out
}

/// What differs from the generation before.
struct Change {
    /// For each fragment the first byte of its key's hash.
    places: Vec<u8>,
    /// By that byte: whether a fragment of it was added, changed or taken away.
    touched: [bool; 256],
    /// Whether a key or a path is new.
    names_changed: bool,
}

impl Change {
    fn of(sorted: &[Fragment], before: Option<&Generation>) -> Result<Self, PackError> {
        let mut change =
            Self { places: Vec::with_capacity(sorted.len()), touched: [false; 256], names_changed: false };
        let old = before.map(|b| b.fragments.as_slice()).unwrap_or_default();
        let old_places = before.map(|b| b.places.as_slice()).unwrap_or_default();
        let mut old = old.iter().zip(old_places).peekable();
        let mut last: Option<&str> = None;
        for fragment in sorted {
            if last == Some(fragment.key.as_str()) {
                return Err(PackError::Twice(fragment.key.clone()));
            }
            last = Some(&fragment.key);
            while let Some((_, place)) = old.next_if(|(old, _)| old.key < fragment.key) {
                change.touch(*place);
            }
            let known = old.next_if(|(old, _)| old.key == fragment.key);
            let place = known.map_or_else(|| place_of(&fragment.key), |(_, place)| *place);
            change.places.push(place);
            let same_path = known.is_some_and(|(old, _)| old.path == fragment.path);
            change.names_changed |= !same_path;
            if !same_path || !known.is_some_and(|(old, _)| same(&old.bytes, &fragment.bytes)) {
                change.touch(place);
            }
        }
        old.for_each(|(_, place)| change.touch(*place));
        Ok(change)
    }

    fn touch(&mut self, place: u8) {
        self.touched[usize::from(place)] = true;
    }

    fn touches(&self, part: usize, count: usize) -> bool {
        (part..self.touched.len()).step_by(count).any(|place| self.touched[place])
    }
}

/// Whether two contents are the same; at once where they are one.
fn same(left: &Arc<[u8]>, right: &Arc<[u8]>) -> bool {
    Arc::ptr_eq(left, right) || left == right
}

fn size_of(fragment: &Fragment) -> usize {
    fragment.key.len() + fragment.path.len() + fragment.bytes.len() + ENTRY_BYTES
}

/// How many parts a configuration of this size has, at first sight. A number that was right stays while it is
/// at most twice of what would do, so that it does not go back and forth.
fn part_count(total: usize, before: Option<usize>) -> usize {
    let fits = total.div_ceil(TARGET_PART_BYTES).max(1).next_power_of_two().min(MAX_PARTS);
    before.filter(|before| (fits..=fits * 2).contains(before)).unwrap_or(fits)
}

/// Writes the digest where the main file leaves room for it. In other files the placeholder means nothing:
/// what a person wrote stays as it is.
pub(crate) fn substitute(engine: Engine, path: &str, text: String, generation: &str) -> String {
    if path == engine.main_file() { text.replace(GENERATION_PLACEHOLDER, generation) } else { text }
}

/// The name of a generation: SHA-256 over the digests of its parts, one a line.
pub(super) fn generation_digest<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    digest(parts.collect::<Vec<_>>().join("\n").as_bytes())
}

/// The first byte of a key's SHA-256. The part of the key, of a power of two of parts, is its low bits.
fn place_of(key: &str) -> u8 {
    Sha256::digest(key.as_bytes()).first().copied().unwrap_or_default()
}

fn check_paths(fragments: &[Fragment]) -> Result<(), PackError> {
    let mut paths = BTreeSet::new();
    for fragment in fragments {
        if !is_safe_path(&fragment.path) {
            return Err(PackError::Path(fragment.path.clone()));
        }
        if !paths.insert(fragment.path.as_str()) {
            return Err(PackError::Twice(fragment.path.clone()));
        }
    }
    Ok(())
}

fn pack(
    sorted: &[Fragment],
    change: &Change,
    count: usize,
    before: Option<&Generation>,
) -> Result<Vec<Part>, PackError> {
    let mut shares: Vec<Vec<&Fragment>> = vec![Vec::new(); count];
    let kept =
        |index: usize| before.filter(|_| !change.touches(index, count)).and_then(|b| b.parts.get(index));
    let reused: Vec<Option<&Part>> = (0..count).map(kept).collect();
    for (fragment, place) in sorted.iter().zip(&change.places) {
        let part = usize::from(*place) & (count - 1);
        if reused[part].is_none() {
            shares[part].push(fragment);
        }
    }
    let parts = reused.iter().zip(&shares).enumerate();
    parts
        .map(|(index, (reused, share))| match reused {
            Some(part) => Ok((*part).clone()),
            None => pack_one(index, share),
        })
        .collect()
}

/// The form of [`super::PartFile`], borrowed.
#[derive(Serialize)]
struct PartText<'a> {
    fragments: Vec<EntryText<'a>>,
}

#[derive(Serialize)]
struct EntryText<'a> {
    key: &'a str,
    path: &'a str,
    content: &'a str,
}

fn pack_one(index: usize, share: &[&Fragment]) -> Result<Part, PackError> {
    let file = PartText { fragments: share.iter().map(|f| entry(f)).collect::<Result<_, _>>()? };
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
    Ok(Part { index, digest: digest(&json), size: json.len(), gzip: gzip.into() })
}

fn entry(fragment: &Fragment) -> Result<EntryText<'_>, PackError> {
    let content =
        std::str::from_utf8(&fragment.bytes).map_err(|_| PackError::NotText(fragment.path.clone()))?;
    Ok(EntryText { key: &fragment.key, path: &fragment.path, content })
}

/// Compresses without what would differ from machine to machine: no time, no system, a fixed level, the
/// fastest: configuration repeats itself so much that the next levels win a tenth and cost three times as much.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>, PackError> {
    let mut encoder = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).map_err(|e| PackError::Encoding(e.to_string()))
}
