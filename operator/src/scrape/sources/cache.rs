//! What objects became, kept from one time to the next: what changed is built, taken off and added, and the rest is
//! not looked at.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use obstack_crds::status::Rejected;

use super::build::{Became, ObjectSettings, build_one, rejected};
use super::shelf::Share;
use super::sum::Sum;
use super::{Objects, Source, SourceKind, Sources};
use crate::scrape::additions::Additions;
use crate::scrape::contents::{Known, Lookup, Place, Used, is_current};

/// An object as it was built last.
struct Entry {
    source: Arc<Source>,
    used: Used,
    outcome: Result<Became, Rejected>,
}

/// What the objects of one share became.
#[derive(Default)]
struct Built {
    from: Share,
    /// In the order of their keys.
    entries: Vec<Entry>,
    /// Whether some were not built, because what they refer to is not known.
    waits: bool,
    /// Whether some refer to contents, and are built again when these change.
    refers: bool,
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
    shares: BTreeMap<SourceKind, Vec<Built>>,
    /// What they came to, without what was not known.
    sum: Sum,
    /// The contents of the last round: while they are these, none has changed.
    known: Weak<Known>,
    /// Objects that were built anew in the last round.
    built: usize,
}

/// What a round builds with.
struct Round<'a> {
    settings: &'a ObjectSettings,
    known: &'a Known,
    /// Whether contents can have changed since the last round.
    news: bool,
    unknown: BTreeSet<Place>,
    built: usize,
}

impl Cache {
    /// Builds a few objects: of two with one key the later one counts.
    pub fn build(&mut self, settings: &ObjectSettings, picked: &[Arc<Source>], known: &Known) -> Objects {
        self.build_from(settings, &picked.iter().cloned().collect(), &Arc::new(known.clone()))
    }

    /// Builds what changed, and puts it together with what did not. What comes of it depends on what is given, never
    /// on what was built before.
    pub fn build_from(&mut self, settings: &ObjectSettings, picked: &Sources, known: &Arc<Known>) -> Objects {
        if self.settings.as_ref() != Some(settings) {
            if !self.settings.as_ref().is_some_and(|before| before.builds_as(settings)) {
                self.shares.clear();
                self.sum = Sum::default();
                self.added = None;
            } else if let Some(added) = self.added.take() {
                self.sum.remove_author(&added.additions);
            }
            self.settings = Some(settings.clone());
        }
        // A weak reference keeps the address from being given to another map.
        let news = !std::ptr::eq(self.known.as_ptr(), Arc::as_ptr(known));
        self.known = Arc::downgrade(known);
        let mut round = Round { settings, known, news, unknown: BTreeSet::new(), built: 0 };
        self.add(&mut round);
        for kind in SourceKind::ALL {
            let shares = picked.shares(kind);
            let built = self.shares.entry(kind).or_default();
            let count = built.len().max(shares.len());
            built.resize_with(count, Built::default);
            for (place, built) in built.iter_mut().enumerate() {
                // Of what is gone nothing is left.
                let share = shares.get(place).cloned().unwrap_or_default();
                round.build(built, &share, &mut self.sum);
            }
        }
        self.built = round.built;
        let additions = self.added.as_ref().map(|added| added.additions.clone()).unwrap_or_default();
        Objects { unknown: round.unknown, picked: picked.clone(), ..self.sum.objects(additions) }
    }

    /// How many objects were built anew in the last round.
    pub fn built(&self) -> usize {
        self.built
    }

    /// Builds what the stack's author added, unless nothing of it changed.
    fn add(&mut self, round: &mut Round<'_>) {
        if self.added.as_ref().is_some_and(|added| is_current(&added.used, round.known)) {
            return;
        }
        if let Some(added) = self.added.take() {
            self.sum.remove_author(&added.additions);
        }
        let lookup = Lookup::new(round.known);
        let additions = Arc::new(round.settings.additions(&lookup));
        let unknown = lookup.unknown();
        if unknown.is_empty() {
            self.sum.add_author(&additions);
            self.added = Some(Added { used: lookup.used(), additions });
        }
        round.unknown.extend(unknown);
    }
}

impl Round<'_> {
    /// Builds what changed of a share.
    fn build(&mut self, built: &mut Built, share: &Share, sum: &mut Sum) {
        let same = Arc::ptr_eq(&built.from, share) || (built.from.is_empty() && share.is_empty());
        if same && !built.waits && !(self.news && built.refers) {
            return;
        }
        built.from = share.clone();
        (built.waits, built.refers) = (false, false);
        let mut before = std::mem::take(&mut built.entries).into_iter().peekable();
        built.entries.reserve_exact(share.len());
        for source in share.iter() {
            while let Some(gone) = before.next_if(|entry| entry.source.key < source.key) {
                sum.remove(&gone.source, &gone.outcome);
            }
            let same = before.next_if(|entry| entry.source.key.cmp(&source.key) == Ordering::Equal);
            let is_kept =
                |entry: &Entry| Arc::ptr_eq(&entry.source, source) && is_current(&entry.used, self.known);
            match same {
                Some(entry) if is_kept(&entry) => {
                    built.refers |= !entry.used.is_empty();
                    built.entries.push(entry);
                    continue;
                }
                Some(gone) => sum.remove(&gone.source, &gone.outcome),
                None => {}
            }
            match self.build_one(source) {
                Some(entry) => {
                    built.refers |= !entry.used.is_empty();
                    sum.add(&entry.source, &entry.outcome);
                    built.entries.push(entry);
                }
                None => built.waits = true,
            }
        }
        before.for_each(|gone| sum.remove(&gone.source, &gone.outcome));
    }

    /// Builds an object; none where something that it refers to is not known.
    fn build_one(&mut self, source: &Arc<Source>) -> Option<Entry> {
        let lookup = Lookup::new(self.known);
        let outcome = build_one(self.settings, source, &lookup);
        let missing = lookup.unknown();
        if !missing.is_empty() {
            self.unknown.extend(missing);
            return None;
        }
        self.built += 1;
        let outcome = outcome.map_err(|fault| rejected(&source.key, &fault.to_string()));
        Some(Entry { source: source.clone(), used: lookup.used(), outcome })
    }
}
