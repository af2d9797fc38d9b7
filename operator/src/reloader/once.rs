//! The first generation of a pod, laid down before the engine starts.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::running::Which;

use super::checker::{self, Verdict};
use super::layout::Layout;
use super::metrics::Metrics;
use super::slots::Slots;
use super::state::Refusal;
use super::{ReloaderError, Settings, State, http, listen};

/// Lays down the proven generation where it is complete, else the candidate, waiting for at most `wait`, and
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
    slots: Slots,
    layout: Layout,
    tool: Option<PathBuf>,
    publish: watch::Sender<State>,
}

/// Why a generation was not laid down.
enum No {
    /// There is no such pointer.
    Absent,
    /// It is not complete, or cannot be read or written.
    Unusable(String),
    /// The engine's tool refused it.
    Refused(Refusal),
}

impl<'a> Once<'a> {
    fn new(settings: &'a Settings, publish: watch::Sender<State>) -> Self {
        let slots = Slots::new(settings.slots.clone());
        let layout = Layout::new(settings.target.clone());
        let tool = checker::find(settings.engine, settings.checker.as_deref());
        Self { settings, slots, layout, tool, publish }
    }

    async fn run(&self, wait: Duration) -> Result<String, ReloaderError> {
        let start = Instant::now();
        let mut seen = None;
        let mut reason = String::new();
        loop {
            let stamp = self.slots.stamp();
            if seen.as_ref() != Some(&stamp) {
                seen = Some(stamp);
                match self.either().await {
                    Ok(digest) => return Ok(digest),
                    Err(why) => reason = why,
                }
                tracing::info!(%reason, "waiting for a configuration");
            }
            if start.elapsed() >= wait {
                return Err(ReloaderError::NotInTime { waited: wait, reason });
            }
            tokio::time::sleep(self.settings.poll).await;
        }
    }

    /// Lays down the proven generation, else the candidate; else says why neither.
    async fn either(&self) -> Result<String, String> {
        let mut reasons = Vec::new();
        let mut state = State::default();
        for which in [Which::Proven, Which::Candidate] {
            let why = match self.lay_down(which).await {
                Ok(digest) => return Ok(digest),
                Err(No::Absent) => continue,
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

    async fn lay_down(&self, which: Which) -> Result<String, No> {
        let unusable = |why: String| No::Unusable(why);
        let found = self.slots.pointer(which).map_err(|e| unusable(e.to_string()))?.ok_or(No::Absent)?;
        if found.pointer.engine != self.settings.engine {
            return Err(unusable(format!("it is one of {}", found.pointer.engine.as_str())));
        }
        let digest = found.pointer.generation.clone();
        let files = found.files().map_err(|e| unusable(e.to_string()))?;
        self.layout.write(&digest, &files).map_err(|e| unusable(format!("it cannot be written: {e}")))?;
        let tool = self.tool.as_deref();
        match checker::check(self.settings.engine, tool, &self.layout, &digest, &files).await {
            Verdict::Refused(why) => {
                let reason = format!("the engine's tool refused it: {why}");
                return Err(No::Refused(Refusal { generation: digest, reason }));
            }
            Verdict::Skipped(why) => tracing::warn!(%why, "the configuration goes in unchecked"),
            Verdict::Passed => {}
        }
        self.layout.switch(&digest).map_err(|e| unusable(format!("current cannot be switched: {e}")))?;
        Ok(digest)
    }
}
