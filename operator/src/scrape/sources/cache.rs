//! What objects became, kept from one time to the next: what changed is built, taken out and put in, and the rest is
//! not looked at twice.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use obstack_crds::status::{PickedUp, Rejected};

use super::build::{Became, ObjectSettings, build_one, is_own, rejected};
use super::{Objects, Source, SourceKey, SourceKind};
use crate::running::Fragment;
use crate::scrape::additions::Additions;
use crate::scrape::contents::{Known, Lookup, Place, Used, is_current};

/// Most changed files that are put into the list one by one: each moves what stands after it.
const ONE_BY_ONE: usize = 128;

/// An object as it was built last.
struct Entry {
    source: Arc<Source>,
    used: Used,
    outcome: Result<Became, Rejected>,
}

impl Entry {
    fn files(&self) -> &[Fragment] {
        match &self.outcome {
            Ok(Became::Files(files, _)) => files,
            Ok(Became::Routing(_)) | Err(_) => &[],
        }
    }
}

/// What a stack's author added, as it was built last.
struct Added {
    used: Used,
    additions: Arc<Additions>,
}

/// What objects became, kept from one time to the next.
#[derive(Default)]
pub struct Cache {
    settings: Option<ObjectSettings>,
    added: Option<Added>,
    /// In the order of their keys.
    entries: Vec<Entry>,
    /// What they came to, without what was not known.
    last: Objects,
    /// Objects that were built anew in the last round.
    built: usize,
}

/// What a round changed.
#[derive(Default)]
struct Change {
    gone: Vec<Entry>,
    /// Places of those that are new, in the list of entries.
    new: Vec<usize>,
    /// Whether what the author added became something else.
    added: bool,
    unknown: BTreeSet<Place>,
}

impl Cache {
    /// Builds what changed, and puts it together with what did not.
    pub fn build(&mut self, settings: &ObjectSettings, picked: &[Arc<Source>], known: &Known) -> Objects {
        let mut change = Change::default();
        if self.settings.as_ref() != Some(settings) {
            if !self.settings.as_ref().is_some_and(|before| before.builds_as(settings)) {
                self.entries.clear();
                self.last = Objects::default();
            }
            change.added = self.added.take().is_some();
            self.settings = Some(settings.clone());
        }
        self.add(&mut change, settings, known);
        self.round(&mut change, settings, &sorted(picked), known);
        self.built = change.new.len();
        if !change.gone.is_empty() || !change.new.is_empty() || change.added {
            self.put_together(&change);
        }
        Objects { unknown: change.unknown, picked: picked.to_vec(), ..self.last.clone() }
    }

    /// How many objects were built anew in the last round.
    pub fn built(&self) -> usize {
        self.built
    }

    /// Builds what the stack's author added, unless nothing of it changed.
    fn add(&mut self, change: &mut Change, settings: &ObjectSettings, known: &Known) {
        if self.added.as_ref().is_some_and(|added| is_current(&added.used, known)) {
            return;
        }
        let lookup = Lookup::new(known);
        let additions = Arc::new(settings.additions(&lookup));
        let unknown = lookup.unknown();
        let added = Added { used: lookup.used(), additions };
        let before = std::mem::replace(&mut self.added, Some(added).filter(|_| unknown.is_empty()));
        change.added |= before.is_some() || self.added.is_some();
        change.unknown.extend(unknown);
    }

    /// Walks along what was built before and what is picked now, both in order.
    fn round(
        &mut self,
        change: &mut Change,
        settings: &ObjectSettings,
        picked: &[Arc<Source>],
        known: &Known,
    ) {
        let mut before = std::mem::take(&mut self.entries).into_iter().peekable();
        self.entries.reserve(picked.len());
        for source in picked {
            let mut same = None;
            while let Some(entry) = before.peek() {
                let order = match Arc::ptr_eq(&entry.source, source) {
                    true => Ordering::Equal,
                    false => entry.source.key.cmp(&source.key),
                };
                match order {
                    Ordering::Less => change.gone.extend(before.next()),
                    Ordering::Equal => same = before.next(),
                    Ordering::Greater => {}
                }
                if order != Ordering::Less {
                    break;
                }
            }
            let is_kept =
                |entry: &Entry| Arc::ptr_eq(&entry.source, source) && is_current(&entry.used, known);
            match same {
                Some(entry) if is_kept(&entry) => {
                    self.entries.push(entry);
                    continue;
                }
                other => change.gone.extend(other),
            }
            let lookup = Lookup::new(known);
            let outcome = build_one(settings, source, &lookup);
            let missing = lookup.unknown();
            if !missing.is_empty() {
                change.unknown.extend(missing);
                continue;
            }
            let outcome = outcome.map_err(|fault| rejected(&source.key, &fault.to_string()));
            change.new.push(self.entries.len());
            self.entries.push(Entry { source: source.clone(), used: lookup.used(), outcome });
        }
        change.gone.extend(before);
    }

    fn put_together(&mut self, change: &Change) {
        let mut fragments = std::mem::take(&mut self.last.fragments);
        let new = || change.new.iter().filter_map(|place| self.entries.get(*place));
        let changed = || change.gone.iter().chain(new());
        let files = changed().map(|entry| entry.files().len()).sum::<usize>();
        let done = files <= ONE_BY_ONE
            && replace_own(
                Arc::make_mut(&mut fragments),
                change.gone.iter().flat_map(Entry::files),
                new().flat_map(Entry::files),
            );
        let shared = |entry: &Entry| entry.files().iter().any(|file| !is_own(file));
        let additions = self.added.as_ref().map(|added| added.additions.clone()).unwrap_or_default();
        if !done {
            fragments = Arc::new(all_files(&self.entries, &additions));
        } else if change.added || changed().any(shared) {
            let list = Arc::make_mut(&mut fragments);
            list.retain(is_own);
            let mut shared = shared_files(&self.entries, &additions);
            shared.append(list);
            *list = shared;
            list.sort_by(|a, b| a.key.cmp(&b.key));
        }
        let mut objects = summary(&self.entries);
        objects.reach.add(&additions.reach);
        self.last = Objects { fragments, additions, ..objects };
    }
}

/// The sources in the order of their keys. Of two with one key the later one counts.
fn sorted(picked: &[Arc<Source>]) -> Cow<'_, [Arc<Source>]> {
    if picked.is_sorted_by(|a, b| a.key < b.key) {
        return Cow::Borrowed(picked);
    }
    let by_key: BTreeMap<&SourceKey, &Arc<Source>> =
        picked.iter().map(|source| (&source.key, source)).collect();
    Cow::Owned(by_key.into_values().cloned().collect())
}

/// Takes files of single objects out of a sorted list and puts others in. Gives whether the list is right: it is not
/// where two objects name one file, and is then to be made anew.
fn replace_own<'a>(
    list: &mut Vec<Fragment>,
    gone: impl Iterator<Item = &'a Fragment>,
    new: impl Iterator<Item = &'a Fragment>,
) -> bool {
    let place = |list: &[Fragment], file: &Fragment| list.binary_search_by(|known| known.key.cmp(&file.key));
    for file in gone.filter(|file| is_own(file)) {
        match place(list, file) {
            Ok(found) => drop(list.remove(found)),
            Err(_) => return false,
        }
    }
    for file in new.filter(|file| is_own(file)) {
        match place(list, file) {
            Ok(_) => return false,
            Err(found) => list.insert(found, file.clone()),
        }
    }
    true
}

/// All files in the order of their keys, those that several objects share once.
fn all_files(entries: &[Entry], additions: &Additions) -> Vec<Fragment> {
    let files = entries.iter().flat_map(Entry::files).chain(&additions.fragments);
    let mut files: Vec<Fragment> = files.cloned().collect();
    files.sort_by(|a, b| a.key.cmp(&b.key));
    files.dedup_by(|later, kept| {
        let same = later.key == kept.key;
        if same {
            std::mem::swap(later, kept);
        }
        same
    });
    files
}

fn shared_files(entries: &[Entry], additions: &Additions) -> Vec<Fragment> {
    let files = entries.iter().flat_map(Entry::files).chain(&additions.fragments);
    let files = files.filter(|file| !is_own(file));
    let by_key: BTreeMap<&str, &Fragment> = files.map(|file| (file.key.as_str(), file)).collect();
    by_key.into_values().cloned().collect()
}

/// What objects came to, beside their files.
fn summary(entries: &[Entry]) -> Objects {
    let mut objects = Objects::default();
    let mut counts: BTreeMap<SourceKind, (i32, i32)> = BTreeMap::new();
    for entry in entries {
        let (taken, left) = counts.entry(entry.source.key.kind).or_default();
        match &entry.outcome {
            Ok(became) => {
                *taken += 1;
                match became {
                    Became::Files(_, reach) => objects.reach.add(reach),
                    Became::Routing(routing) => objects.routing.push(routing.clone()),
                }
            }
            Err(rejected) => {
                *left += 1;
                objects.rejected.push(rejected.clone());
            }
        }
    }
    let count = |(kind, (picked_up, rejected)): (SourceKind, (i32, i32))| PickedUp {
        kind: kind.as_str().to_owned(),
        picked_up,
        rejected,
    };
    objects.counts = counts.into_iter().map(count).collect();
    objects
}
