//! Objects in shares by the hash of their keys. A copy shares its memory with what it was made from, and a change
//! touches its own share only: what is not shared with an earlier copy is what can have changed since.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::{Source, SourceKey, SourceKind};

/// Shares of each kind.
const SHARES: usize = 256;

/// Some objects of one kind, in the order of their keys.
pub(super) type Share = Arc<Vec<Arc<Source>>>;

/// Objects of others by their keys. A clone costs no copy of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    kinds: BTreeMap<SourceKind, Vec<Share>>,
}

impl Sources {
    /// Puts an object in, in the place of the one of its key.
    pub fn insert(&mut self, source: Arc<Source>) {
        let shares = self.kinds.entry(source.key.kind).or_insert_with(|| vec![Share::default(); SHARES]);
        let share = Arc::make_mut(&mut shares[place_of(&source.key)]);
        match find(share, &source.key) {
            Ok(place) => share[place] = source,
            Err(place) => share.insert(place, source),
        }
    }

    /// Takes an object out.
    pub fn remove(&mut self, key: &SourceKey) {
        let share = self.kinds.get_mut(&key.kind).and_then(|shares| shares.get_mut(place_of(key)));
        if let Some(share) = share
            && let Ok(place) = find(share, key)
        {
            Arc::make_mut(share).remove(place);
        }
    }

    /// Keeps just these.
    pub fn retain(&mut self, is_kept: impl Fn(&Source) -> bool) {
        for share in self.kinds.values_mut().flatten() {
            if !share.iter().all(|source| is_kept(source)) {
                Arc::make_mut(share).retain(|source| is_kept(source));
            }
        }
    }

    /// The objects of all of these; of two with one kind there is but one.
    pub fn extend(&mut self, other: Self) {
        self.kinds.extend(other.kinds);
    }

    /// The object of this key.
    pub fn get(&self, key: &SourceKey) -> Option<&Arc<Source>> {
        let share = self.kinds.get(&key.kind)?.get(place_of(key))?;
        find(share, key).ok().and_then(|place| share.get(place))
    }

    /// Every object, one kind after the other.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Source>> {
        self.kinds.values().flatten().flat_map(|share| share.iter())
    }

    /// The shares of a kind: none where there was never an object.
    pub(super) fn shares(&self, kind: SourceKind) -> &[Share] {
        self.kinds.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// Puts a whole kind in, as shares of the same objects or fewer.
    pub(super) fn put(&mut self, kind: SourceKind, shares: Vec<Share>) {
        self.kinds.insert(kind, shares);
    }
}

impl FromIterator<Arc<Source>> for Sources {
    fn from_iter<I: IntoIterator<Item = Arc<Source>>>(sources: I) -> Self {
        let mut all = Self::default();
        sources.into_iter().for_each(|source| all.insert(source));
        all
    }
}

fn find(share: &[Arc<Source>], key: &SourceKey) -> Result<usize, usize> {
    share.binary_search_by(|source| source.key.cmp(key))
}

fn place_of(key: &SourceKey) -> usize {
    let mut hasher = DefaultHasher::new();
    (&key.namespace, &key.name).hash(&mut hasher);
    usize::from(hasher.finish().to_le_bytes()[0])
}
