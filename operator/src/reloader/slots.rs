//! The mounted slots: pointers and parts as the kubelet put them there.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::running::{
    MAX_PART_COMPRESSED, MAX_PARTS, MAX_POINTER_BYTES, POINTER_KEY, PROVEN_FILE, Pointer, ReadError, Slot,
    Which, part_file,
};

/// The link that a kubelet switches when a volume changes; all files of a volume lie behind it.
const DATA_LINK: &str = "..data";

/// The mounted slots.
#[derive(Clone, Debug)]
pub(super) struct Slots {
    /// Slot `a` first.
    dirs: Vec<PathBuf>,
}

/// What the slots looked like: it differs when anything in them was changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp(Vec<(PathBuf, Option<SystemTime>, u64)>);

/// A pointer in a slot, with the folder that its parts are in.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) pointer: Pointer,
    dir: PathBuf,
}

impl Found {
    /// The files of the generation by path, every part held against the pointer.
    pub(super) fn files(&self) -> Result<BTreeMap<String, String>, ReadError> {
        self.pointer.files(|part| bounded(&self.dir.join(part_file(part.index)), MAX_PART_COMPRESSED))
    }
}

impl Slots {
    pub(super) fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    /// Looks at what could have changed, without reading it.
    pub(super) fn stamp(&self) -> Stamp {
        let mut stamp = Vec::new();
        for dir in &self.dirs {
            if let Ok(target) = std::fs::read_link(dir.join(DATA_LINK)) {
                stamp.push((dir.join(target), None, 0));
                continue;
            }
            let parts = (0..MAX_PARTS).map(part_file);
            for name in parts.chain([POINTER_KEY.to_owned(), PROVEN_FILE.to_owned()]) {
                let path = dir.join(name);
                if let Ok(about) = std::fs::metadata(&path) {
                    stamp.push((path, about.modified().ok(), about.len()));
                }
            }
        }
        Stamp(stamp)
    }

    /// The pointer of a kind. Each slot's mount carries the pointer and is synced by itself, so only the one
    /// that is mounted with the parts it names counts; of two such, the one that changed last.
    pub(super) fn pointer(&self, which: Which) -> Result<Option<Found>, ReadError> {
        let file = match which {
            Which::Candidate => POINTER_KEY,
            Which::Proven => PROVEN_FILE,
        };
        let mut best: Option<(Option<SystemTime>, Found)> = None;
        let mut broken = None;
        for (slot, dir) in Slot::ALL.into_iter().zip(&self.dirs) {
            // Reading behind the link keeps pointer and parts of one sync together.
            let dir = match std::fs::read_link(dir.join(DATA_LINK)) {
                Ok(target) => dir.join(target),
                Err(_) => dir.clone(),
            };
            let path = dir.join(file);
            let Some(bytes) = bounded(&path, MAX_POINTER_BYTES) else { continue };
            match Pointer::parse(&bytes) {
                Ok(pointer) if pointer.slot == slot => {
                    let changed = std::fs::metadata(&path).and_then(|m| m.modified()).ok();
                    if best.as_ref().is_none_or(|(other, _)| *other < changed) {
                        best = Some((changed, Found { pointer, dir }));
                    }
                }
                Ok(_) => {}
                Err(error) => broken = Some(error),
            }
        }
        match (best, broken) {
            (Some((_, found)), _) => Ok(Some(found)),
            (None, Some(error)) => Err(error),
            (None, None) => Ok(None),
        }
    }
}

/// A file's bytes, at most one more than its bound: enough to be refused for its size.
fn bounded(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
