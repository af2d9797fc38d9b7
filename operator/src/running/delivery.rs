//! Pure: what is written now, so that every engine comes to run what is wanted and never anything mixed.
//!
//! Each part has a Secret in each of four slots, and a pointer names for each part the Secret that it is in. So
//! double buffering is per part: a part that changed is written to a Secret that no pointer names, then the
//! pointer is flipped, and parts that did not change stay where they are. Two slots are read over the API only
//! and carry the candidate; two are mounted and carry what is proven, and until something is, the candidate.
//!
//! What holds at every moment, whatever crashes and however late anything is seen:
//! - a Secret that a pointer names is never overwritten with another part;
//! - a mounted Secret that the proven pointer does not name is overwritten only after every reloader has found
//!   the proven generation complete in its mounts, so that it or the one before can be read there always.

use std::collections::BTreeMap;

use super::{Generation, PartRef, Pointer, Slot, Which};

/// What the cluster holds for one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Digests of the parts in the Secrets that are there.
    pub parts: BTreeMap<(Slot, usize), String>,
    /// The candidate's pointer, where it can be read.
    pub candidate: Option<Pointer>,
    /// The proven pointer, where it can be read.
    pub proven: Option<Pointer>,
}

/// What one replica of the engine says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replica {
    /// Whether its pod is Ready.
    pub ready: bool,
    /// The generation that its engine runs in whole, as its reloader has confirmed.
    pub confirmed: Option<String>,
    /// The proven generation that is complete in its mounts.
    pub mounted: Option<String>,
}

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// A part of the wanted generation, by its index, to a slot.
    Part(Slot, usize),
    /// A pointer.
    Pointer(Which, Pointer),
}

/// What is written now, in this order, and what is waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// The writes; none at rest.
    pub writes: Vec<Write>,
    /// Why the wanted generation is not the proven one yet; none where it is.
    pub waits: Option<String>,
}

/// What is written now. `secret` names the Secret of a part in a slot.
pub fn next(
    wanted: &Generation,
    held: &Held,
    replicas: &[Replica],
    secret: impl Fn(Slot, usize) -> String,
) -> Next {
    let held = &held.of_engine(wanted);
    let mut writes = repairs(wanted, held);
    let pointer = |places: &[Slot], former: Option<&Pointer>| Pointer {
        revision: former.map_or(1, |former| former.revision + 1),
        ..Pointer::to(wanted, |index| {
            let slot = places.get(index).copied().unwrap_or(Slot::A);
            (slot, secret(slot, index))
        })
    };
    let places = candidate_places(wanted, held);
    let candidate = pointer(&places, held.candidate.as_ref());
    let stands = held.candidate.as_ref().is_some_and(|former| says_the_same(former, &candidate));
    add_parts(wanted, held, &places, &mut writes);
    if !stands {
        writes.push(Write::Pointer(Which::Candidate, candidate));
    }
    if held.proven.as_ref().is_some_and(|proven| proven.generation == wanted.digest) {
        return Next { writes, waits: None };
    }
    if !writes.is_empty() {
        return Next { writes, waits: Some("it is being written".to_owned()) };
    }
    let waits = not_proven(wanted, replicas).or_else(|| not_mounted(held, replicas));
    if waits.is_none() {
        let places = proven_places(wanted, held);
        add_parts(wanted, held, &places, &mut writes);
        let before = held.proven.clone().filter(|proven| held.is_whole(proven));
        let before = before.map(|proven| Box::new(Pointer { before: None, ..proven }));
        let proven = Pointer { before, kept_out: Vec::new(), ..pointer(&places, held.proven.as_ref()) };
        writes.push(Write::Pointer(Which::Proven, proven));
    }
    Next { writes, waits }
}

impl Held {
    /// What is held of this engine: a pointer to the configuration of another is none.
    fn of_engine(&self, wanted: &Generation) -> Self {
        let ours = |pointer: &Option<Pointer>| pointer.clone().filter(|p| p.engine == wanted.engine);
        Self { candidate: ours(&self.candidate), proven: ours(&self.proven), parts: self.parts.clone() }
    }

    fn holds(&self, slot: Slot, index: usize, digest: &str) -> bool {
        self.parts.get(&(slot, index)).is_some_and(|held| held == digest)
    }

    fn pointers(&self) -> impl Iterator<Item = &Pointer> {
        [&self.candidate, &self.proven].into_iter().flatten()
    }

    /// Whether a pointer names a Secret.
    fn is_named(&self, slot: Slot, index: usize) -> bool {
        self.pointers().any(|pointer| names(pointer, slot, index).is_some())
    }

    /// Whether every part that a pointer names is there.
    fn is_whole(&self, pointer: &Pointer) -> bool {
        pointer.parts.iter().all(|part| self.holds(part.slot, part.index, &part.digest))
    }
}

fn names(pointer: &Pointer, slot: Slot, index: usize) -> Option<&PartRef> {
    pointer.part(index).filter(|part| part.slot == slot)
}

/// Whether two pointers differ in nothing but their revision.
fn says_the_same(former: &Pointer, new: &Pointer) -> bool {
    former.parts == new.parts && former.kept_out == new.kept_out
}

/// Parts that a pointer names and that are not there as it names them, where their bytes are known: somebody
/// else changed or deleted them.
fn repairs(wanted: &Generation, held: &Held) -> Vec<Write> {
    let mut writes = Vec::new();
    for named in held.pointers().flat_map(|pointer| &pointer.parts) {
        let known = wanted.parts.get(named.index).is_some_and(|part| part.digest == named.digest);
        let write = Write::Part(named.slot, named.index);
        if known && !held.holds(named.slot, named.index, &named.digest) && !writes.contains(&write) {
            writes.push(write);
        }
    }
    writes
}

/// Writes what a pointer to these places needs and is not there yet.
fn add_parts(wanted: &Generation, held: &Held, places: &[Slot], writes: &mut Vec<Write>) {
    for (part, slot) in wanted.parts.iter().zip(places) {
        let write = Write::Part(*slot, part.index);
        if !held.holds(*slot, part.index, &part.digest) && !writes.contains(&write) {
            writes.push(write);
        }
    }
}

/// Where the parts of the candidate are to be: where they are, else in a Secret that no pointer names. Before
/// anything is proven they go where pods find them without the API.
fn candidate_places(wanted: &Generation, held: &Held) -> Vec<Slot> {
    let slots = if held.proven.is_none() { Slot::MOUNTED } else { Slot::LIVE };
    let place = |part: &super::Part| {
        let stays = held.candidate.as_ref().and_then(|candidate| candidate.part(part.index));
        let stays = stays.filter(|named| named.digest == part.digest).map(|named| named.slot);
        let found = || Slot::ALL.into_iter().find(|slot| held.holds(*slot, part.index, &part.digest));
        let free = || slots.into_iter().find(|slot| !held.is_named(*slot, part.index));
        stays.or_else(found).or_else(free).unwrap_or(slots[0])
    };
    wanted.parts.iter().map(place).collect()
}

/// Where the parts of what is proven now are to be: in mounted Secrets, where they are, else in the one that is
/// not named.
fn proven_places(wanted: &Generation, held: &Held) -> Vec<Slot> {
    let place = |part: &super::Part| {
        let stays = held.proven.as_ref().and_then(|proven| proven.part(part.index));
        let stays = stays.filter(|named| named.digest == part.digest).map(|named| named.slot);
        let found = || Slot::MOUNTED.into_iter().find(|slot| held.holds(*slot, part.index, &part.digest));
        let free = || Slot::MOUNTED.into_iter().find(|slot| !held.is_named(*slot, part.index));
        stays.or_else(found).or_else(free).unwrap_or(Slot::A)
    };
    wanted.parts.iter().map(place).collect()
}

/// Why the wanted generation is not proven: every Ready replica, and at least one, has to run it.
fn not_proven(wanted: &Generation, replicas: &[Replica]) -> Option<String> {
    let mut ready = replicas.iter().filter(|replica| replica.ready).peekable();
    if ready.peek().is_none() {
        return Some("no replica is ready".to_owned());
    }
    let all = ready.all(|replica| replica.confirmed.as_ref() == Some(&wanted.digest));
    (!all).then(|| "not every replica that is ready has confirmed it".to_owned())
}

/// Why nothing mounted may be overwritten. What is no longer whole in the cluster protects nobody.
fn not_mounted(held: &Held, replicas: &[Replica]) -> Option<String> {
    let proven = held.proven.as_ref().filter(|proven| held.is_whole(proven))?;
    let all = replicas.iter().all(|replica| replica.mounted.as_ref() == Some(&proven.generation));
    (!all).then(|| "not every reloader has found the proven generation in its mounts".to_owned())
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
