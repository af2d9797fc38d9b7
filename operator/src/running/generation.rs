//! Fragments become parts, parts become a generation.

use std::collections::BTreeSet;

use super::files::{Files, SHARES};
use super::part::{Part, pack, share_of};
use super::pointer::KeptOut;
use super::{
    Engine, Fragment, GENERATION_PLACEHOLDER, MAX_PART_BYTES, MAX_PART_COMPRESSED, MAX_PARTS,
    TARGET_PART_BYTES, digest, is_safe_path,
};

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
    /// The fragments that were left out because an engine refused them.
    pub kept_out: Vec<KeptOut>,
    /// The few fragments that are written anew for each generation.
    own: Files,
    /// The many fragments that are kept from one generation to the next, and are compared by where they are.
    files: Files,
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

    /// Packs fragments like [`Self::build_with`], all of them few.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn build_on(
        engine: Engine,
        fragments: Vec<Fragment>,
        before: Option<&Self>,
        kept_out: &[KeptOut],
    ) -> Result<Self, PackError> {
        Self::build_with(engine, fragments, &Files::default(), before, kept_out)
    }

    /// Packs fragments, those that stand alone and those that are kept: only those parts are written, hashed and
    /// compressed whose fragments differ from those of the generation before. The hash of its key decides a
    /// fragment's part, so a change of one fragment changes one part, and nothing else is looked at. There are as
    /// many parts as keep each at about [`TARGET_PART_BYTES`] or less, a power of two; the number stays that of
    /// the generation before while it is not far off.
    ///
    /// A fragment of `kept_out` is left out as long as its content is the one that was refused; the main file
    /// never is.
    ///
    /// # Errors
    /// See [`PackError`].
    pub fn build_with(
        engine: Engine,
        mut fragments: Vec<Fragment>,
        files: &Files,
        before: Option<&Self>,
        kept_out: &[KeptOut],
    ) -> Result<Self, PackError> {
        fragments.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(pair) = fragments.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(PackError::Twice(pair[0].key.clone()));
        }
        let mut own: Files = fragments.iter().collect();
        let mut files = files.clone();
        let kept_out = leave_out(engine, [&mut own, &mut files], kept_out);
        check_names(&own, &files)?;
        let before = before.filter(|before| before.engine == engine);
        let touched: Vec<bool> = (0..SHARES)
            .map(|place| {
                let same = |before: &Self| {
                    files.has_same_share(&before.files, place) && own.has_same_share(&before.own, place)
                };
                !before.is_some_and(same)
            })
            .collect();
        let mut count = part_count(own.size() + files.size(), before.map(|before| before.parts.len()));
        loop {
            let reusable = before.filter(|before| before.parts.len() == count);
            match pack([&own, &files], &touched, count, reusable.map(|before| before.parts.as_slice())) {
                Ok(parts) => {
                    let digest = joined_digest(parts.iter().map(|part| part.digest.as_str()));
                    return Ok(Self { engine, digest, parts, kept_out, own, files });
                }
                Err(PackError::TooLarge { .. }) if count < MAX_PARTS => count *= 2,
                Err(error) => return Err(error),
            }
        }
    }

    /// The fragments that it was made from, in the order of their keys.
    pub fn fragments(&self) -> impl Iterator<Item = &Fragment> {
        let mut all: Vec<&Fragment> = self.own.iter().chain(self.files.iter()).collect();
        all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        all.into_iter()
    }

    /// A file of the generation as it reaches the engine: text, with the generation's digest in its place.
    pub fn file(&self, path: &str) -> Option<String> {
        let fragment = self.fragments().find(|f| f.path == path)?;
        String::from_utf8(substitute(self.engine, path, fragment.bytes.to_vec(), &self.digest)).ok()
    }

    /// Paths of all files, sorted.
    pub fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.fragments().map(|f| f.path.as_str()).collect();
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
        let fragments = share_of([&self.own, &self.files], fullest.index, self.parts.len());
        let largest = fragments.into_iter().max_by_key(|fragment| fragment.bytes.len())?;
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

/// Takes out what was refused and is still the same. Gives what was taken out, in the order of the keys.
fn leave_out(engine: Engine, mut layers: [&mut Files; 2], kept_out: &[KeptOut]) -> Vec<KeptOut> {
    let mut left_out = Vec::new();
    for out in kept_out {
        for files in &mut layers {
            let is_it = |fragment: &Fragment| {
                fragment.path != engine.main_file() && digest(&fragment.bytes) == out.digest
            };
            if files.get(&out.key).is_some_and(is_it) {
                files.remove_all(&out.key);
                left_out.push(out.clone());
            }
        }
    }
    left_out.sort_by(|a, b| a.key.cmp(&b.key));
    left_out
}

/// How many parts a configuration of this size has, at first sight. A number that was right stays while it is
/// at most twice of what would do, so that it does not go back and forth.
fn part_count(total: usize, before: Option<usize>) -> usize {
    let fits = total.div_ceil(TARGET_PART_BYTES).max(1).next_power_of_two().min(MAX_PARTS);
    before.filter(|before| (fits..=fits * 2).contains(before)).unwrap_or(fits)
}

/// Writes the digest where the main file leaves room for it. In other files the placeholder means nothing:
/// what a person wrote stays as it is.
pub(crate) fn substitute(engine: Engine, path: &str, content: Vec<u8>, generation: &str) -> Vec<u8> {
    if path != engine.main_file() {
        return content;
    }
    match String::from_utf8(content) {
        Ok(text) => text.replace(GENERATION_PLACEHOLDER, generation).into_bytes(),
        // What is no text leaves no room, and the engine says what it thinks of it.
        Err(other) => other.into_bytes(),
    }
}

/// The digest of what has digests itself: of a part by its blocks, of a generation by its parts.
pub(super) fn joined_digest<'a>(digests: impl Iterator<Item = &'a str>) -> String {
    digest(digests.collect::<Vec<_>>().join("\n").as_bytes())
}

/// Keys and paths are those of one fragment, and paths stay in their folder. What was put in before is known to be
/// good or doubtful, and only what is doubtful is looked at one by one.
fn check_names(own: &Files, files: &Files) -> Result<(), PackError> {
    if let Some(twice) = own.iter().find(|fragment| files.get(&fragment.key).is_some()) {
        return Err(PackError::Twice(twice.key.clone()));
    }
    if own.is_sound() && files.is_sound() && !own.iter().any(|fragment| files.may_hold_path(&fragment.path)) {
        return Ok(());
    }
    let mut paths = BTreeSet::new();
    for fragment in own.iter().chain(files.iter()) {
        if !is_safe_path(&fragment.path) {
            return Err(PackError::Path(fragment.path.clone()));
        }
        if !paths.insert(fragment.path.as_str()) {
            return Err(PackError::Twice(fragment.path.clone()));
        }
    }
    Ok(())
}
