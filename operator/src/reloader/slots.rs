//! The mounted slots: pointers and parts as the kubelet put them there.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::running::{
    MAX_PART_COMPRESSED, MAX_PARTS, MAX_POINTER_BYTES, POINTER_KEY, PROVEN_FILE, PartRef, Pointer, ReadError,
    Slot, Which, digest, part_file,
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

/// Parts that were unpacked and found to be what they should be: by the digest of their compressed bytes, that
/// of the part. A kubelet writes every file of a volume anew when one of them changes.
#[derive(Debug, Default)]
pub(super) struct Verified(HashMap<String, String>);

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

    /// The pointers of a kind that the mounts show, the newest first. Each mount has its own copy, and is synced
    /// by itself.
    ///
    /// # Errors
    /// Where there are some and none can be read.
    pub(super) fn pointers(&self, which: Which) -> Result<Vec<Pointer>, ReadError> {
        let file = match which {
            Which::Candidate => POINTER_KEY,
            Which::Proven => PROVEN_FILE,
        };
        let (mut pointers, mut broken) = (Vec::new(), None);
        for dir in &self.dirs {
            let Some(bytes) = bounded(&behind_link(dir).join(file), MAX_POINTER_BYTES) else { continue };
            match Pointer::parse(&bytes) {
                Ok(pointer) => pointers.push(pointer),
                Err(error) => broken = Some(error),
            }
        }
        pointers.sort_by_key(|pointer| std::cmp::Reverse(pointer.revision));
        match broken {
            Some(error) if pointers.is_empty() => Err(error),
            _ => Ok(pointers),
        }
    }

    /// The compressed bytes of a part, where its slot is mounted and it is there. Whether they are the part that
    /// is named is not known yet.
    pub(super) fn part(&self, part: &PartRef) -> Option<Vec<u8>> {
        let place = Slot::MOUNTED.into_iter().position(|slot| slot == part.slot)?;
        let dir = self.dirs.get(place)?;
        bounded(&behind_link(dir).join(part_file(part.index)), MAX_PART_COMPRESSED)
    }

    /// The newest proven generation, where all its parts are in the mounts.
    pub(super) fn mounted(&self, verified: &mut Verified) -> Option<String> {
        let newest = self.pointers(Which::Proven).ok()?.into_iter().next()?;
        let mut now = HashMap::new();
        for part in &newest.parts {
            let gzip = self.part(part)?;
            let packed = digest(&gzip);
            let known = verified.0.get(&packed) == Some(&part.digest);
            if !known && part.read(&gzip).is_err() {
                return None;
            }
            now.insert(packed, part.digest.clone());
        }
        verified.0 = now;
        Some(newest.generation)
    }
}

/// The folder of one sync of a volume: what is read behind the link belongs together.
fn behind_link(dir: &Path) -> PathBuf {
    match std::fs::read_link(dir.join(DATA_LINK)) {
        Ok(target) => dir.join(target),
        Err(_) => dir.to_owned(),
    }
}

/// A file's bytes, at most one more than its bound: enough to be refused for its size.
fn bounded(path: &Path, limit: usize) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).ok()?.take(limit as u64 + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}
