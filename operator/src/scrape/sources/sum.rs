//! What all objects came to together. One that is built is added and one that goes is taken off, so that a change of
//! one costs one; what it comes to does not depend on how it came about.

use std::collections::BTreeMap;
use std::sync::Arc;

use obstack_crds::status::{PickedUp, Rejected};

use super::build::Became;
use super::{Objects, Source, SourceKey, SourceKind};
use crate::running::Files;
use crate::scrape::additions::Additions;
use crate::scrape::objects::Reach;
use crate::scrape::routing;

/// What objects came to.
#[derive(Default)]
pub(super) struct Sum {
    files: Files,
    routing: BTreeMap<SourceKey, Arc<routing::Built>>,
    rejected: BTreeMap<SourceKey, Rejected>,
    /// By kind how many were taken and how many were kept out.
    counts: BTreeMap<SourceKind, (i32, i32)>,
    everywhere: usize,
    namespaces: BTreeMap<String, usize>,
}

impl Sum {
    /// Adds what an object became.
    pub(super) fn add(&mut self, source: &Source, outcome: &Result<Became, Rejected>) {
        let (taken, left) = self.counts.entry(source.key.kind).or_default();
        match outcome {
            Ok(_) => *taken += 1,
            Err(_) => *left += 1,
        }
        match outcome {
            Ok(Became::Files(files, reach)) => {
                files.iter().for_each(|file| self.files.add(file));
                self.everywhere += usize::from(reach.everywhere);
                for namespace in &reach.namespaces {
                    match self.namespaces.get_mut(namespace) {
                        Some(times) => *times += 1,
                        None => drop(self.namespaces.insert(namespace.clone(), 1)),
                    }
                }
            }
            Ok(Became::Routing(routing)) => drop(self.routing.insert(source.key.clone(), routing.clone())),
            Err(rejected) => drop(self.rejected.insert(source.key.clone(), rejected.clone())),
        }
    }

    /// Takes off what an object had become.
    pub(super) fn remove(&mut self, source: &Source, outcome: &Result<Became, Rejected>) {
        if let Some((taken, left)) = self.counts.get_mut(&source.key.kind) {
            match outcome {
                Ok(_) => *taken -= 1,
                Err(_) => *left -= 1,
            }
            if (*taken, *left) == (0, 0) {
                self.counts.remove(&source.key.kind);
            }
        }
        match outcome {
            Ok(Became::Files(files, reach)) => {
                files.iter().for_each(|file| self.files.remove(file));
                self.everywhere -= usize::from(reach.everywhere);
                for namespace in &reach.namespaces {
                    let Some(times) = self.namespaces.get_mut(namespace) else { continue };
                    *times -= 1;
                    if *times == 0 {
                        self.namespaces.remove(namespace);
                    }
                }
            }
            Ok(Became::Routing(_)) => drop(self.routing.remove(&source.key)),
            Err(_) => drop(self.rejected.remove(&source.key)),
        }
    }

    /// Adds what the stack's author added.
    pub(super) fn add_author(&mut self, additions: &Additions) {
        additions.fragments.iter().for_each(|file| self.files.add(file));
    }

    /// Takes off what the stack's author had added.
    pub(super) fn remove_author(&mut self, additions: &Additions) {
        additions.fragments.iter().for_each(|file| self.files.remove(file));
    }

    /// All of it.
    pub(super) fn objects(&self, additions: Arc<Additions>) -> Objects {
        let count = |(kind, (picked_up, rejected)): (&SourceKind, &(i32, i32))| PickedUp {
            kind: kind.as_str().to_owned(),
            picked_up: *picked_up,
            rejected: *rejected,
        };
        let mut reach =
            Reach { everywhere: self.everywhere > 0, namespaces: self.namespaces.keys().cloned().collect() };
        reach.add(&additions.reach);
        Objects {
            fragments: self.files.clone(),
            routing: self.routing.values().cloned().collect(),
            rejected: self.rejected.values().cloned().collect(),
            counts: self.counts.iter().map(count).collect(),
            reach,
            additions,
            ..Objects::default()
        }
    }
}
