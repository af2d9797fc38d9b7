//! Where pointers and parts come from: the API while it answers, else the mounts. Nothing that is read is used
//! before it was held against the pointer.

use crate::running::{Engine, Entry, PartRef, Pointer, ReadError, Which};

use super::live::{Live, LiveSettings};
use super::slots::{Slots, Stamp, Verified};

/// The API and the mounts.
pub(super) struct Source {
    engine: Engine,
    slots: Slots,
    live: Option<Live>,
    verified: Verified,
}

impl Source {
    /// A source that follows the candidate's pointer where `watch` says so.
    pub(super) fn new(engine: Engine, slots: Slots, live: Option<LiveSettings>, watch: bool) -> Self {
        let made = live.map(|settings| if watch { Live::watching(settings) } else { Live::new(settings) });
        let live = made.transpose().unwrap_or_else(|error| {
            tracing::warn!(%error, "no client of the API can be made; the mounts have to do");
            None
        });
        Self { engine, slots, live, verified: Verified::default() }
    }

    /// Whether the API is a source at all.
    pub(super) fn is_live(&self) -> bool {
        self.live.is_some()
    }

    /// What the mounts look like.
    pub(super) fn stamp(&self) -> Stamp {
        self.slots.stamp()
    }

    /// Waits until the API says something new of the candidate.
    pub(super) async fn changed(&mut self) {
        match &mut self.live {
            Some(live) => live.changed().await,
            None => std::future::pending().await,
        }
    }

    /// The candidate's pointer: as the watch shows it, or where the API does not answer, the newest that was
    /// seen there or is mounted.
    pub(super) fn candidate(&mut self) -> Result<Option<Pointer>, String> {
        let mounted = self.slots.pointers(Which::Candidate).map_err(|error| error.to_string());
        let latest = self.live.as_mut().map(Live::latest).unwrap_or_default();
        if latest.answers && (latest.pointer.is_some() || latest.broken.is_some()) {
            return latest.broken.map_or(Ok(latest.pointer), Err).and_then(|pointer| self.ours(pointer));
        }
        let pointers = mounted?.into_iter().chain(latest.pointer);
        self.ours(pointers.max_by_key(|pointer| pointer.revision))
    }

    fn ours(&self, pointer: Option<Pointer>) -> Result<Option<Pointer>, String> {
        match pointer {
            Some(pointer) if pointer.engine != self.engine => {
                Err(format!("the pointer is one of {}", pointer.engine.as_str()))
            }
            other => Ok(other),
        }
    }

    /// What a cold start tries, the best first: the proven generation as the API names it, else as the mounts
    /// do, with the one before it; then the candidate. And what was wrong with those that cannot be tried.
    pub(super) async fn cold(&self) -> (Vec<(Which, Pointer)>, Vec<String>) {
        let (mut pointers, mut wrong) = (Vec::new(), Vec::new());
        let mut away = false;
        for which in [Which::Proven, Which::Candidate] {
            let mut found = Vec::new();
            if let Some(live) = self.live.as_ref().filter(|_| !away) {
                match live.pointer(which).await {
                    Ok(pointer) => found.extend(pointer),
                    Err(why) => {
                        away = true;
                        wrong.push(why);
                    }
                }
            }
            match self.slots.pointers(which) {
                Ok(mounted) => found.extend(mounted),
                Err(error) => wrong.push(format!("{}: {error}", which.as_str())),
            }
            let found = found.into_iter().flat_map(|pointer| {
                let before = pointer.before.as_deref().cloned();
                [Some(pointer), before].into_iter().flatten()
            });
            for pointer in found {
                let known = |(_, other): &(Which, Pointer)| other.parts == pointer.parts;
                match self.ours(Some(pointer.clone())) {
                    Ok(_) if !pointers.iter().any(known) => pointers.push((which, pointer)),
                    Ok(_) => {}
                    Err(why) => wrong.push(format!("{}: {why}", which.as_str())),
                }
            }
        }
        (pointers, wrong)
    }

    /// A part that a pointer names: from the mounts where it is there already, else over the API.
    ///
    /// # Errors
    /// Where neither has it, or not yet.
    pub(super) async fn part(&self, part: &PartRef) -> Result<Vec<Entry>, ReadError> {
        let mounted = self.slots.part(part).map(|gzip| part.read(&gzip));
        if let Some(Ok(file)) = mounted {
            return Ok(file);
        }
        let fetched = match &self.live {
            Some(live) => live.part(part).await.unwrap_or_else(|why| {
                tracing::debug!(%why, "a part was not fetched");
                None
            }),
            None => None,
        };
        match (fetched, mounted) {
            (Some(gzip), _) => part.read(&gzip),
            (None, Some(read)) => read,
            (None, None) => Err(ReadError::Missing(part.index)),
        }
    }

    /// The newest proven generation, where the mounts have all of it.
    pub(super) fn mounted(&mut self) -> Option<String> {
        self.slots.mounted(&mut self.verified)
    }
}
