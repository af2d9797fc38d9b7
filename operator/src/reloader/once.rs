//! The first generation of a pod, laid down before the engine starts.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::running::Pointer;

use super::bisect;
use super::checker::{self, Verdict};
use super::lay::{Laid, lay_down};
use super::layout::Layout;
use super::metrics::Metrics;
use super::slots::Slots;
use super::source::Source;
use super::state::Refusal;
use super::{ReloaderError, Settings, State, http, listen};

/// How often the API is asked again while there is nothing to lay down.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Lays down the proven generation where it is complete, else the one before it, else the candidate, waiting for at most `wait`, and
/// returns its digest. A generation that the engine's tool refuses is not laid down: the engine would not
/// start with it. While it waits it says why, where the sidecar would say it.
///
/// # Errors
/// [`ReloaderError::NotInTime`] with what was missing last.
pub async fn run_once(settings: &Settings, wait: Duration) -> Result<String, ReloaderError> {
    let (publish, state) = watch::channel(State::default());
    let server = match listen(settings.listen).await {
        Ok(listener) => Some(tokio::spawn(http::serve(listener, Metrics::new(settings.engine), state))),
        Err(error) => {
            tracing::warn!(%error, address = %settings.listen, "nothing is served while waiting");
            None
        }
    };
    let result = Once::new(settings, publish).run(wait).await;
    // The sidecar will want the address.
    if let Some(server) = server {
        server.abort();
        let _ = server.await;
    }
    result
}

struct Once<'a> {
    settings: &'a Settings,
    source: Source,
    layout: Layout,
    tool: Option<PathBuf>,
    publish: watch::Sender<State>,
    /// What the tool refused: it is not asked again.
    refused: BTreeMap<String, Refusal>,
}

/// Why a generation was not laid down.
enum No {
    /// It is not complete, or cannot be written.
    Unusable(String),
    /// The engine's tool refused it.
    Refused(Refusal),
}

impl<'a> Once<'a> {
    fn new(settings: &'a Settings, publish: watch::Sender<State>) -> Self {
        let slots = Slots::new(settings.slots.clone());
        Self {
            settings,
            source: Source::new(settings.engine, slots, settings.live.clone(), false),
            layout: Layout::new(settings.target.clone()),
            tool: checker::find(settings.engine, settings.checker.as_deref()),
            publish,
            refused: BTreeMap::new(),
        }
    }

    async fn run(mut self, wait: Duration) -> Result<String, ReloaderError> {
        let start = Instant::now();
        let (mut seen, mut asked) = (None, None::<Instant>);
        let mut reason = String::new();
        loop {
            let stamp = self.source.stamp();
            let ask = self.source.is_live() && asked.is_none_or(|at| at.elapsed() >= ASK_AGAIN);
            if ask || seen.as_ref() != Some(&stamp) {
                seen = Some(stamp);
                match self.any().await {
                    Ok(digest) => return Ok(digest),
                    Err(why) if why == reason => {}
                    Err(why) => {
                        reason = why;
                        tracing::info!(%reason, "waiting for a configuration");
                    }
                }
                asked = Some(Instant::now());
            }
            if start.elapsed() >= wait {
                return Err(ReloaderError::NotInTime { waited: wait, reason });
            }
            tokio::time::sleep(self.settings.poll).await;
        }
    }

    /// Lays down the best generation that can be had; else says why none.
    async fn any(&mut self) -> Result<String, String> {
        let (pointers, mut reasons) = self.source.cold().await;
        let mut state = State::default();
        for (which, pointer) in pointers {
            let why = match self.lay_down(&pointer).await {
                Ok(digest) => return Ok(digest),
                Err(No::Unusable(why)) => why,
                Err(No::Refused(refusal)) => {
                    let why = refusal.reason.clone();
                    state.wanted = Some(refusal.generation.clone());
                    state.refused = Some(refusal);
                    why
                }
            };
            reasons.push(format!("{}: {why}", which.as_str()));
        }
        let reason = if reasons.is_empty() { "no pointer is there".to_owned() } else { reasons.join("; ") };
        state.waiting = Some(reason.clone());
        self.publish.send_replace(state);
        Err(reason)
    }

    async fn lay_down(&mut self, pointer: &Pointer) -> Result<String, No> {
        let (engine, digest) = (self.settings.engine, pointer.generation.as_str());
        if let Some(refusal) = self.refused.get(digest) {
            return Err(No::Refused(refusal.clone()));
        }
        let laid = lay_down(&self.source, &self.layout, pointer).await;
        // What a pod ran before says nothing of what this one is given: all of it is checked.
        let laid = Laid { changed: None, ..laid.map_err(|error| No::Unusable(error.to_string()))? };
        let tool = self.tool.as_deref();
        match checker::check(engine, tool, &self.layout, digest, &laid).await {
            Verdict::Refused(why) => {
                let path = match tool {
                    Some(tool) => {
                        bisect::tool_at_fault(engine, tool, &why, &self.layout, digest, &laid).await
                    }
                    None => None,
                };
                let reason = format!("the engine's tool refused it: {why}");
                let refusal = Refusal { generation: digest.to_owned(), reason, path };
                self.refused.insert(digest.to_owned(), refusal.clone());
                return Err(No::Refused(refusal));
            }
            Verdict::Skipped(why) => tracing::warn!(%why, "the configuration goes in unchecked"),
            Verdict::Passed => {}
        }
        let switched = self.layout.switch(digest);
        switched.map_err(|error| No::Unusable(format!("current cannot be switched: {error}")))?;
        Ok(digest.to_owned())
    }
}
