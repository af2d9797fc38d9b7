//! Files in shares by the hash of their keys. A copy shares its memory with what it was made from, and a change touches
//! its own share only: what is not shared with another copy is what can differ from it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Fragment, MAX_PARTS, blocks_of, is_safe_path};

/// Number of shares: the first bits of the SHA-256 of a key are its share. A part is shares whose low bits are alike,
/// and so is each of its blocks, by more bits: this is as many blocks as there can be.
pub(super) const SHARES: usize = MAX_PARTS * blocks_of(MAX_PARTS);
/// Number of shares of the hashes of paths.
const PATH_SHARES: usize = 256;
/// What an entry of a part takes beside its key, its path and its content, in bytes, about.
const ENTRY_BYTES: usize = 48;

/// Files by their keys. The same file can be put in by several sources, and stays until the last of them has taken it
/// out. Of different files with one key, the last in order counts, whichever came first.
#[derive(Clone)]
pub struct Files {
    shares: Vec<Arc<Share>>,
    /// Hashes of the paths, in as many shares, each sorted.
    paths: Vec<Arc<Vec<u64>>>,
    /// Files whose path leaves its folder or is, by its hash, that of another file too.
    doubtful: usize,
}

/// The files of one share, in the order of keys, paths and contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Share {
    held: Vec<Held>,
    /// Bytes of the files that count, before compression, about.
    size: usize,
}

#[derive(Clone, Debug)]
struct Held {
    file: Fragment,
    /// How many sources have put it in.
    times: u32,
}

impl Default for Files {
    fn default() -> Self {
        Self { shares: vec![Arc::default(); SHARES], paths: vec![Arc::default(); PATH_SHARES], doubtful: 0 }
    }
}

impl Files {
    /// Puts a file in.
    pub fn add(&mut self, file: &Fragment) {
        let share = Arc::make_mut(&mut self.shares[place_of(&file.key)]);
        match share.find(file) {
            Ok(place) => share.held[place].times += 1,
            Err(place) => {
                share.insert(place, file);
                self.note_path(&file.path);
            }
        }
    }

    /// Takes out what one source has put in.
    pub fn remove(&mut self, file: &Fragment) {
        let share = Arc::make_mut(&mut self.shares[place_of(&file.key)]);
        let Ok(place) = share.find(file) else { return };
        share.held[place].times -= 1;
        if share.held[place].times == 0 {
            let before = share.size_of(&file.key);
            share.held.remove(place);
            share.size = share.size + share.size_of(&file.key) - before;
            self.forget_path(&file.path);
        }
    }

    /// Takes a file out, whoever has put it in.
    pub(super) fn remove_all(&mut self, key: &str) {
        let place = place_of(key);
        let all = self.shares[place].held.iter().cloned();
        let (gone, held): (Vec<Held>, Vec<Held>) = all.partition(|held| held.file.key == key);
        let mut share = Share { held, size: 0 };
        share.size = share.iter().map(size_of).sum();
        self.shares[place] = Arc::new(share);
        gone.iter().for_each(|held| self.forget_path(&held.file.path));
    }

    /// The file of this key.
    pub fn get(&self, key: &str) -> Option<&Fragment> {
        self.shares[place_of(key)].get(key)
    }

    /// Every file, in the order of the keys.
    pub fn iter(&self) -> impl Iterator<Item = &Fragment> {
        let mut all: Vec<&Fragment> = self.shares.iter().flat_map(|share| share.iter()).collect();
        all.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        all.into_iter()
    }

    /// The number of files.
    pub fn len(&self) -> usize {
        self.shares.iter().map(|share| share.iter().count()).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shares.iter().all(|share| share.held.is_empty())
    }

    /// Bytes of all files before compression, about.
    pub(super) fn size(&self) -> usize {
        self.shares.iter().map(|share| share.size).sum()
    }

    pub(super) fn share(&self, place: usize) -> &Share {
        &self.shares[place]
    }

    /// Whether a share holds the same files as that of another copy; at once where they are one.
    pub(super) fn has_same_share(&self, other: &Self, place: usize) -> bool {
        let (left, right) = (&self.shares[place], &other.shares[place]);
        Arc::ptr_eq(left, right) || left.iter().eq(right.iter())
    }

    /// Whether every path stays in its folder and is that of one file. It may say no where they do, never yes where
    /// they do not.
    pub(super) fn is_sound(&self) -> bool {
        self.doubtful == 0
    }

    /// Whether a file of this path may be here. It never says no where one is.
    pub(super) fn may_hold_path(&self, path: &str) -> bool {
        let hash = hash_of(path);
        self.paths[path_share(hash)].binary_search(&hash).is_ok()
    }

    fn note_path(&mut self, path: &str) {
        let hash = hash_of(path);
        let hashes = Arc::make_mut(&mut self.paths[path_share(hash)]);
        let place = hashes.binary_search(&hash);
        self.doubtful += usize::from(place.is_ok()) + usize::from(!is_safe_path(path));
        hashes.insert(place.unwrap_or_else(|place| place), hash);
    }

    fn forget_path(&mut self, path: &str) {
        let hash = hash_of(path);
        let hashes = Arc::make_mut(&mut self.paths[path_share(hash)]);
        if let Ok(place) = hashes.binary_search(&hash) {
            hashes.remove(place);
            self.doubtful -= usize::from(hashes.binary_search(&hash).is_ok());
        }
        self.doubtful -= usize::from(!is_safe_path(path));
    }
}

impl PartialEq for Files {
    fn eq(&self, other: &Self) -> bool {
        (0..SHARES).all(|place| self.has_same_share(other, place))
    }
}

impl Eq for Files {}

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> FromIterator<&'a Fragment> for Files {
    fn from_iter<I: IntoIterator<Item = &'a Fragment>>(files: I) -> Self {
        let mut all = Self::default();
        files.into_iter().for_each(|file| all.add(file));
        all
    }
}

impl Share {
    /// The files that count, in the order of the keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Fragment> {
        let followers = self.held.iter().skip(1).map(|held| held.file.key.as_str()).map(Some).chain([None]);
        let last =
            self.held.iter().zip(followers).filter(|(held, next)| *next != Some(held.file.key.as_str()));
        last.map(|(held, _)| &held.file)
    }

    pub(super) fn get(&self, key: &str) -> Option<&Fragment> {
        let end = self.held.partition_point(|held| held.file.key.as_str() <= key);
        let last = &self.held.get(end.checked_sub(1)?)?.file;
        (last.key == key).then_some(last)
    }

    /// Puts a new file in at its place.
    fn insert(&mut self, place: usize, file: &Fragment) {
        let of_key = |held: &&Held| held.file.key == file.key;
        // Of those with its key the last one counts.
        if self.held.get(place).filter(of_key).is_none() {
            let before = place.checked_sub(1).and_then(|place| self.held.get(place)).filter(of_key);
            self.size = self.size + size_of(file) - before.map_or(0, |held| size_of(&held.file));
        }
        self.held.insert(place, Held { file: file.clone(), times: 1 });
    }

    fn size_of(&self, key: &str) -> usize {
        self.get(key).map_or(0, size_of)
    }

    fn find(&self, file: &Fragment) -> Result<usize, usize> {
        self.held.binary_search_by(|held| {
            let held = &held.file;
            let names = (&held.key, &held.path).cmp(&(&file.key, &file.path));
            let is_one = || Arc::ptr_eq(&held.bytes, &file.bytes);
            names.then_with(|| if is_one() { std::cmp::Ordering::Equal } else { held.bytes.cmp(&file.bytes) })
        })
    }
}

/// What a file takes in a part, in bytes before compression, about.
pub(super) fn size_of(file: &Fragment) -> usize {
    file.key.len() + file.path.len() + file.bytes.len() + ENTRY_BYTES
}

/// The share of a key: the first two bytes of its SHA-256, the first one low, as far as there are shares.
fn place_of(key: &str) -> usize {
    let hash: [u8; 32] = Sha256::digest(key.as_bytes()).into();
    usize::from(u16::from_le_bytes([hash[0], hash[1]])) % SHARES
}

fn hash_of(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

fn path_share(hash: u64) -> usize {
    usize::from(hash.to_le_bytes()[0])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(key: u8, path: u8, content: u8) -> Fragment {
        let path = if path == 0 { "../x".to_owned() } else { format!("p/{path}") };
        Fragment::new(format!("k{key}"), path, vec![content])
    }

    /// What [`Files`] is to hold, by the plainest means.
    fn counted(present: &[Fragment]) -> Vec<Fragment> {
        let mut sorted = present.to_vec();
        sorted.sort_by(|a, b| (&a.key, &a.path, &a.bytes).cmp(&(&b.key, &b.path, &b.bytes)));
        let mut all: Vec<Fragment> = Vec::new();
        for file in sorted {
            if all.last().is_some_and(|last| last.key == file.key) {
                all.pop();
            }
            all.push(file);
        }
        all
    }

    proptest! {
        #[test]
        fn what_is_there_counts_and_not_how_it_came(
            steps in prop::collection::vec((any::<bool>(), 0..6u8, 0..4u8, 0..3u8), 1..80)
        ) {
            let (mut files, mut present) = (Files::default(), Vec::new());
            let mut copies = Vec::new();
            for (adds, key, path, content) in steps {
                let file = file(key, path, content);
                if adds {
                    files.add(&file);
                    present.push(file);
                } else {
                    if let Some(place) = present.iter().position(|known| *known == file) {
                        present.swap_remove(place);
                    }
                    files.remove(&file);
                }
                copies.push((files.clone(), counted(&present)));
            }
            for (copy, wanted) in copies {
                prop_assert_eq!(copy.iter().cloned().collect::<Vec<_>>(), wanted.clone(), "a copy stays as it was");
                prop_assert_eq!(&copy, &wanted.iter().collect::<Files>());
                prop_assert_eq!(copy.size(), wanted.iter().map(size_of).sum::<usize>());
                prop_assert_eq!(copy.len(), wanted.len());
                let paths: std::collections::BTreeSet<_> = wanted.iter().map(|file| &file.path).collect();
                let sound = paths.len() == wanted.len() && paths.iter().all(|path| is_safe_path(path));
                prop_assert!(sound || !copy.is_sound());
                prop_assert!(paths.iter().all(|path| copy.may_hold_path(path)));
            }
            present.iter().for_each(|file| files.remove(file));
            prop_assert!(files.is_empty() && files.is_sound() && files.size() == 0);
        }
    }
}
