//! One step after the other towards the engine running what the pointer names.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::running::{ReadError, Which};

use super::checker::{self, Verdict};
use super::engine::{EngineClient, EngineError};
use super::layout::Layout;
use super::metrics::{CheckResult, Metrics, ReloadResult};
use super::slots::{Found, Slots, Stamp};
use super::state::Refusal;
use super::{ReloaderError, Settings, State};

/// First wait after a failure; it doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// Longest wait after failures in a row.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How long a generation that the engine (not its tool) refused rests before it is tried again: what stood in
/// its way may be gone.
const REST: Duration = Duration::from_secs(300);
/// How often an engine is asked again that confirmed already: it may have been restarted.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What is waited for while the wanted generation is refused.
const OTHER: &str = "another generation than the refused one";

/// Brings the engine to what the pointer names.
pub(super) struct Converger {
    settings: Settings,
    slots: Slots,
    layout: Layout,
    engine: EngineClient,
    metrics: Metrics,
    state: State,
    publish: watch::Sender<State>,
    seen: Option<Stamp>,
    failures: u32,
    not_before: Option<Instant>,
    asked: Option<Instant>,
    /// When a refused generation may be tried again; never where the tool refused it.
    rested: Option<Instant>,
}

/// What a step came to.
enum Step {
    /// The engine runs what is wanted.
    Settled,
    /// Nothing can be done until the slots change.
    AwaitSlots(String),
    /// To be tried again soon.
    Retry(String),
}

impl Converger {
    pub(super) fn new(
        settings: Settings,
        metrics: Metrics,
        publish: watch::Sender<State>,
    ) -> Result<Self, ReloaderError> {
        let engine =
            EngineClient::new(settings.engine, &settings.engine_url).map_err(ReloaderError::Client)?;
        let layout = Layout::new(settings.target.clone());
        let state = State { current: layout.current(), ..State::default() };
        Ok(Self {
            slots: Slots::new(settings.slots.clone()),
            settings,
            layout,
            engine,
            metrics,
            state,
            publish,
            seen: None,
            failures: 0,
            not_before: None,
            asked: None,
            rested: None,
        })
    }

    /// One look at the slots, and what follows from it. At rest it costs a look at two links.
    pub(super) async fn step(&mut self) {
        let stamp = self.slots.stamp();
        let changed = self.seen.as_ref() != Some(&stamp);
        let due = self.not_before.is_some_and(|at| at <= Instant::now());
        if !changed && !due {
            return;
        }
        self.seen = Some(stamp);
        if changed {
            self.failures = 0;
        }
        let step = self.converge().await;
        self.state.current = self.layout.current();
        self.state.waiting = match step {
            Step::Settled => {
                self.failures = 0;
                self.not_before = Some(Instant::now() + ASK_AGAIN);
                None
            }
            Step::AwaitSlots(why) => {
                self.failures = 0;
                let ask = Instant::now() + ASK_AGAIN;
                self.not_before = Some(self.rested.map_or(ask, |rested| rested.min(ask)));
                Some(why)
            }
            Step::Retry(why) => {
                let wait = FIRST_WAIT * 2u32.pow(self.failures.min(10));
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(Instant::now() + wait.min(LONGEST_WAIT));
                Some(why)
            }
        };
        self.metrics.state(&self.state);
        if *self.publish.borrow() != self.state {
            tracing::info!(state = %self.state.line(), "the state changed");
            self.publish.send_replace(self.state.clone());
        }
    }

    async fn converge(&mut self) -> Step {
        let found = match self.slots.pointer(Which::Candidate) {
            Ok(Some(found)) if found.pointer.engine == self.settings.engine => found,
            Ok(Some(found)) => {
                let engine = found.pointer.engine.as_str();
                return self.stay(&format!("the pointer is one of {engine}")).await;
            }
            Ok(None) => return self.stay("no pointer is there").await,
            Err(error) => return self.stay(&error.to_string()).await,
        };
        let digest = found.pointer.generation.clone();
        self.state.wanted = Some(digest.clone());
        if self.state.refused.as_ref().is_some_and(|r| r.generation != digest) {
            self.state.refused = None;
            self.rested = None;
        }
        if self.is_refused(&digest) {
            return self.stay(OTHER).await;
        }
        if self.layout.current().as_deref() == Some(digest.as_str()) {
            return self.confirm(&digest, true).await;
        }
        self.bring_in(found, &digest).await
    }

    fn is_refused(&self, digest: &str) -> bool {
        let refused = self.state.refused.as_ref().is_some_and(|r| r.generation == digest);
        refused && self.rested.is_none_or(|at| at > Instant::now())
    }

    /// Keeps what runs, and keeps asking for it.
    async fn stay(&mut self, why: &str) -> Step {
        if let Some(current) = self.layout.current()
            && let Step::Retry(also) = self.confirm(&current, false).await
        {
            return Step::Retry(format!("{why}; {also}"));
        }
        Step::AwaitSlots(why.to_owned())
    }

    /// Asks whether the engine runs what `current` leads to, and tells it to reload where it does not.
    /// `wanted` says whether that is what the pointer names: only then can it be taken back.
    async fn confirm(&mut self, digest: &str, wanted: bool) -> Step {
        let recently = self.asked.is_some_and(|at| at.elapsed() < ASK_AGAIN);
        if recently && self.state.confirmed.as_deref() == Some(digest) {
            return Step::Settled;
        }
        let says = match self.engine.running().await {
            Ok(running) if running.generation.as_deref() == Some(digest) && running.whole => {
                self.confirmed(digest);
                return Step::Settled;
            }
            Ok(running) => running,
            Err(EngineError::Away(why) | EngineError::Refused(why)) => {
                return Step::Retry(format!("the engine does not answer: {why}"));
            }
        };
        match self.reload(digest).await {
            Ok(()) => Step::Settled,
            Err(EngineError::Away(why)) => Step::Retry(format!("the engine does not answer: {why}")),
            Err(EngineError::Refused(why)) if !wanted => Step::Retry(why),
            Err(EngineError::Refused(why)) => {
                let before = self.state.confirmed.clone().or_else(|| says.generation.filter(|_| says.whole));
                self.take_back(digest, why, before).await
            }
        }
    }

    /// Notes that the engine refused a generation, and brings the one before back, where there is one.
    async fn take_back(&mut self, digest: &str, why: String, before: Option<String>) -> Step {
        self.refuse(digest, why, Some(REST));
        match before.filter(|before| before != digest && self.layout.has(before)) {
            Some(before) => self.roll_back(&before).await,
            None => Step::AwaitSlots(OTHER.to_owned()),
        }
    }

    fn confirmed(&mut self, digest: &str) {
        self.asked = Some(Instant::now());
        self.state.confirmed = Some(digest.to_owned());
        if self.state.refused.as_ref().is_some_and(|r| r.generation == digest) {
            self.state.refused = None;
            self.rested = None;
        }
        self.metrics.confirmed();
    }

    /// Writes, checks, switches, reloads and asks.
    async fn bring_in(&mut self, found: Found, digest: &str) -> Step {
        // Where the engine is away, what it ran with stays for its return: a generation that keeps it from
        // starting must not take the place of one that does not. One that it never confirmed has no such claim.
        let before = self.layout.current().filter(|d| self.state.confirmed.as_ref() == Some(d));
        let says = self.engine.running().await;
        if let (Some(_), Err(EngineError::Away(why) | EngineError::Refused(why))) = (&before, &says) {
            return Step::Retry(format!("the engine does not answer: {why}"));
        }
        // After a restart of the reloader the engine itself knows best what it ran with.
        let before = before.or_else(|| {
            let running = says.ok().filter(|r| r.whole)?.generation?;
            (running != digest && self.layout.has(&running)).then_some(running)
        });

        let files = match found.files() {
            Ok(files) => files,
            Err(error) => return self.unreadable(&error).await,
        };
        if let Err(error) = self.layout.write(digest, &files) {
            return Step::Retry(format!("the generation cannot be written: {error}"));
        }
        let bytes = files.values().map(String::len).sum();
        let tool = checker::find(self.settings.engine, self.settings.checker.as_deref());
        match checker::check(self.settings.engine, tool.as_deref(), &self.layout, digest, &files).await {
            Verdict::Passed => self.metrics.check(CheckResult::Passed),
            Verdict::Skipped(why) => {
                self.metrics.check(CheckResult::Skipped);
                tracing::warn!(%why, generation = digest, "the generation goes in unchecked");
            }
            Verdict::Refused(why) => {
                self.metrics.check(CheckResult::Refused);
                self.refuse(digest, format!("the engine's tool refused it: {why}"), None);
                self.prune(before.as_deref());
                return self.stay(OTHER).await;
            }
        }
        drop(files);
        if let Err(error) = self.layout.switch(digest) {
            return Step::Retry(format!("current cannot be switched: {error}"));
        }
        self.metrics.laid_down(bytes);
        match self.reload(digest).await {
            Ok(()) => {
                self.prune(before.as_deref());
                Step::Settled
            }
            // When it is back it reads the new one, and is asked then.
            Err(EngineError::Away(why)) => Step::Retry(format!("the engine does not answer: {why}")),
            Err(EngineError::Refused(why)) => self.take_back(digest, why, before).await,
        }
    }

    async fn unreadable(&mut self, error: &ReadError) -> Step {
        if error.may_pass() {
            tracing::debug!(%error, "the set of parts is not complete");
        }
        self.stay(&format!("a complete set of parts ({error})")).await
    }

    /// Reloads, and asks whether the engine now runs what `current` leads to.
    async fn reload(&mut self, digest: &str) -> Result<(), EngineError> {
        let result = self.reload_and_ask(digest).await;
        self.metrics.reload(match &result {
            Ok(()) => ReloadResult::Success,
            Err((kind, _)) => *kind,
        });
        result.map_err(|(_, error)| error)
    }

    async fn reload_and_ask(&mut self, digest: &str) -> Result<(), (ReloadResult, EngineError)> {
        let kind = |error: EngineError| match error {
            EngineError::Away(_) => (ReloadResult::Away, error),
            EngineError::Refused(_) => (ReloadResult::Refused, error),
        };
        self.engine.reload().await.map_err(kind)?;
        let running = self.engine.running().await.map_err(kind)?;
        if running.generation.as_deref() == Some(digest) && running.whole {
            self.confirmed(digest);
            tracing::info!(generation = digest, "the engine runs the generation");
            return Ok(());
        }
        let says = running.generation.as_deref().unwrap_or("none").to_owned();
        let why = format!("after the reload the engine says that it runs generation {says}");
        Err((ReloadResult::Unconfirmed, EngineError::Refused(why)))
    }

    fn refuse(&mut self, digest: &str, reason: String, rest: Option<Duration>) {
        tracing::error!(generation = digest, %reason, "the generation is refused; what ran before stays");
        self.state.refused = Some(Refusal { generation: digest.to_owned(), reason });
        self.rested = rest.map(|rest| Instant::now() + rest);
    }

    /// Brings the generation before back, and asks for it.
    async fn roll_back(&mut self, before: &str) -> Step {
        if let Err(error) = self.layout.switch(before) {
            return Step::Retry(format!("current cannot be switched back: {error}"));
        }
        match self.reload(before).await {
            Ok(()) => {
                self.metrics.reload(ReloadResult::RolledBack);
                tracing::warn!(generation = before, "the generation before runs again");
                Step::AwaitSlots(OTHER.to_owned())
            }
            Err(EngineError::Away(why) | EngineError::Refused(why)) => {
                self.asked = None;
                Step::Retry(format!("the generation before is not confirmed yet: {why}"))
            }
        }
    }

    /// Removes generations that nothing leads back to.
    fn prune(&self, before: Option<&str>) {
        let current = self.layout.current();
        let keep: Vec<&str> = current.as_deref().into_iter().chain(before).collect();
        if let Err(error) = self.layout.prune(&keep) {
            tracing::warn!(%error, "old generations cannot be removed");
        }
    }
}
