//! One step after the other towards the engine running what the pointer names.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::running::{Engine, Pointer, Which};

use super::bisect;
use super::checker::{self, Verdict};
use super::engine::{EngineClient, EngineError};
use super::gather::Gather;
use super::lay::{Laid, LayError, lay_down};
use super::layout::Layout;
use super::metrics::{CheckResult, Metrics, ReloadResult};
use super::partial::Partial;
use super::slots::{Slots, Stamp};
use super::source::Source;
use super::state::Refusal;
use super::trial::Trials;
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

/// What is waited for while parts of a refused change are tried.
const TRYING: &str = "what is at fault in the change, which is tried part by part";

/// Brings the engine to what the pointer names.
pub(super) struct Converger {
    settings: Settings,
    source: Source,
    layout: Layout,
    engine: EngineClient,
    metrics: Metrics,
    state: State,
    publish: watch::Sender<State>,
    seen: Option<Stamp>,
    /// The API said something new.
    told: bool,
    gather: Gather,
    started: Instant,
    failures: u32,
    not_before: Option<Instant>,
    asked: Option<Instant>,
    /// When a refused generation may be tried again; never where the tool refused it.
    rested: Option<Instant>,
    /// What the engine may have loaded in part without saying so.
    partial: Partial,
    /// The generation whose change was tried part by part: once is enough.
    traced: Option<String>,
}

/// What a step came to.
enum Step {
    /// The engine runs what is wanted.
    Settled,
    /// Nothing can be done until the slots change.
    AwaitSlots(String),
    /// To be tried again soon.
    Retry(String),
    /// To be looked at again after this time, which is no failure.
    Later(Duration, String),
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
            source: Source::new(
                settings.engine,
                Slots::new(settings.slots.clone()),
                settings.live.clone(),
                true,
            ),
            gather: Gather::new(settings.gather),
            started: Instant::now(),
            told: false,
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
            partial: Partial::default(),
            traced: None,
        })
    }

    /// Waits until the API says something new.
    pub(super) async fn told(&mut self) {
        self.source.changed().await;
        self.told = true;
    }

    /// One look at the sources, and what follows from it. At rest it costs a look at two links.
    pub(super) async fn step(&mut self) {
        let stamp = self.source.stamp();
        let synced = self.seen.as_ref() != Some(&stamp);
        if synced {
            self.state.mounted = self.source.mounted();
        }
        let changed = synced || std::mem::take(&mut self.told);
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
            Step::Later(wait, why) => {
                self.not_before = Some(Instant::now() + wait);
                Some(why)
            }
            Step::Retry(why) => {
                let wait = FIRST_WAIT * 2u32.pow(self.failures.min(10));
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(Instant::now() + wait.min(LONGEST_WAIT));
                Some(why)
            }
        };
        if let Some(look) = self.partial.due() {
            self.not_before = self.not_before.map(|at| at.min(look));
        }
        self.metrics.state(&self.state);
        if *self.publish.borrow() != self.state {
            tracing::info!(state = %self.state.line(), "the state changed");
            self.publish.send_replace(self.state.clone());
        }
    }

    async fn converge(&mut self) -> Step {
        if let Some(step) = self.look_again().await {
            return step;
        }
        if self.layout.current().is_none()
            && let Some(step) = self.cold_start().await
        {
            return step;
        }
        let pointer = match self.source.candidate() {
            Ok(Some(pointer)) => pointer,
            Ok(None) => return self.stay("no pointer is there").await,
            Err(why) => return self.stay(&why).await,
        };
        let digest = pointer.generation.clone();
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
        if self.state.confirmed.is_some()
            && let Some(wait) = self.gather.wait(&digest, Instant::now())
        {
            return Step::Later(wait, "more changes, to bring them in together".to_owned());
        }
        self.bring_in(pointer, &digest).await
    }

    /// Where nothing is laid down, as after the loss of the disk, the engine is given what a cold start gives it:
    /// what is proven, which the mounts have when the API does not answer. The candidate comes after it.
    async fn cold_start(&mut self) -> Option<Step> {
        let (pointers, _) = self.source.cold().await;
        for (_, pointer) in pointers.into_iter().filter(|(which, _)| *which == Which::Proven) {
            let digest = pointer.generation.clone();
            let laid = match lay_down(&self.source, &self.layout, &pointer).await {
                Ok(laid) => Laid { changed: None, ..laid },
                Err(why) => {
                    tracing::warn!(%why, generation = digest, "what is proven cannot be laid down");
                    continue;
                }
            };
            let (engine, tool) = (self.settings.engine, self.settings.checker.as_deref());
            let tool = checker::find(engine, tool);
            let verdict = checker::check(engine, tool.as_deref(), &self.layout, &digest, &laid).await;
            if let Verdict::Refused(why) = verdict {
                tracing::warn!(%why, generation = digest, "what is proven is refused by the engine's tool");
                continue;
            }
            if let Err(error) = self.layout.switch(&digest) {
                return Some(Step::Retry(format!("current cannot be switched: {error}")));
            }
            self.metrics.laid_down(laid.bytes);
            tracing::info!(generation = digest, "nothing was laid down; the engine is given what is proven");
            return Some(Step::Retry("the engine, to start with what is proven".to_owned()));
        }
        None
    }

    /// Looks whether the engine has loaded in part what it runs, once that can be told, and takes it back then.
    async fn look_again(&mut self) -> Option<Step> {
        let current =
            self.layout.current().filter(|current| self.state.confirmed.as_ref() == Some(current))?;
        let looked = self.partial.look(&self.engine, &self.layout, &current, Instant::now()).await;
        let culprit = match looked {
            Ok(culprit) => culprit?,
            Err(EngineError::Away(why) | EngineError::Refused(why)) => {
                tracing::debug!(%why, "the engine was not looked at after its reload");
                return None;
            }
        };
        let before = self.partial.before().map(str::to_owned);
        let laid = Laid { changed: Some(culprit.path.into_iter().collect()), main_changed: false, bytes: 0 };
        self.metrics.reload(ReloadResult::InPart);
        Some(self.take_back(&current, culprit.reason, before, Some(&laid)).await)
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
                if self.state.confirmed.is_none() {
                    self.look_later(None);
                }
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
                self.take_back(digest, why, before, None).await
            }
        }
    }

    /// Notes that the engine refused a generation, and brings the one before back, where there is one.
    async fn take_back(
        &mut self,
        digest: &str,
        why: String,
        before: Option<String>,
        laid: Option<&Laid>,
    ) -> Step {
        let engine = self.settings.engine;
        let path = laid.and_then(|laid| checker::culprit(engine, &why, &self.layout, digest, laid));
        self.refuse(digest, why, path, Some(REST));
        let Some(before) = before.filter(|before| before != digest && self.layout.has(before)) else {
            return Step::AwaitSlots(OTHER.to_owned());
        };
        let step = self.roll_back(&before).await;
        let is_unknown = self.state.refused.as_ref().is_some_and(|refused| refused.path.is_none());
        if matches!(step, Step::AwaitSlots(_)) && is_unknown && self.traced.as_deref() != Some(digest) {
            self.traced = Some(digest.to_owned());
            return self.trace(digest, &before).await;
        }
        step
    }

    /// Finds what is at fault in a generation that the engine refused, and has what ran before run again.
    async fn trace(&mut self, digest: &str, before: &str) -> Step {
        self.state.current = self.layout.current();
        self.state.waiting = Some(TRYING.to_owned());
        self.publish.send_replace(self.state.clone());
        let trials = Trials {
            engine: self.settings.engine,
            client: &self.engine,
            layout: &self.layout,
            metrics: &self.metrics,
            before,
            refused: digest,
        };
        let path = trials.at_fault().await;
        match &path {
            Some(path) => tracing::warn!(generation = digest, path, "what is at fault was found"),
            None => tracing::warn!(generation = digest, "what is at fault was not found"),
        }
        if let (Some(path), Some(refused)) = (path, &mut self.state.refused) {
            refused.reason = format!("{path}, found by trying the change part by part: {}", refused.reason);
            refused.path = Some(path);
        }
        if self.layout.current().as_deref() == Some(before) {
            return Step::AwaitSlots(OTHER.to_owned());
        }
        let step = self.put_back(before).await;
        self.prune(Some(before));
        step
    }

    fn confirmed(&mut self, digest: &str) {
        self.asked = Some(Instant::now());
        self.state.confirmed = Some(digest.to_owned());
        // One that was loaded in part runs where nothing ran before it, and stays refused meanwhile.
        let refused = self.state.refused.as_ref().is_some_and(|r| r.generation == digest);
        if refused && !self.partial.is_known(digest) {
            self.state.refused = None;
            self.rested = None;
        }
        self.metrics.confirmed();
    }

    /// Writes, checks, switches, reloads and asks.
    async fn bring_in(&mut self, pointer: Pointer, digest: &str) -> Step {
        // Where the engine is away, what it ran with stays for its return: a generation that keeps it from
        // starting must not take the place of one that does not. One that it never confirmed has no such claim.
        let before = self.layout.current().filter(|d| self.state.confirmed.as_ref() == Some(d));
        let says = match &before {
            Some(_) => self.engine.generation().await.map(|_| None),
            None => self.engine.running().await.map(Some),
        };
        if let (Some(_), Err(EngineError::Away(why) | EngineError::Refused(why))) = (&before, &says) {
            return Step::Retry(format!("the engine does not answer: {why}"));
        }
        // What a cold start was given is proven, or the best there was: the engine gets the time to start with it
        // before something newer takes its place.
        let given = self.state.confirmed.is_none() && self.layout.current().is_some();
        if let (true, Err(EngineError::Away(why))) = (given, &says)
            && (self.started.elapsed() < self.settings.patience || why.starts_with("HTTP"))
        {
            return Step::Later(self.settings.poll, format!("the engine has not started yet: {why}"));
        }
        // After a restart of the reloader the engine itself knows best what it ran with.
        let before = before.or_else(|| {
            let running = says.ok().flatten().filter(|r| r.whole)?.generation?;
            (running != digest && self.layout.has(&running)).then_some(running)
        });

        let laid = match lay_down(&self.source, &self.layout, &pointer).await {
            Ok(laid) => laid,
            Err(error) => return self.not_laid(&error).await,
        };
        let (engine, tool) = (self.settings.engine, self.settings.checker.as_deref());
        let tool = checker::find(engine, tool);
        let start = Instant::now();
        let verdict = checker::check(engine, tool.as_deref(), &self.layout, digest, &laid).await;
        self.metrics.checked_in(start.elapsed());
        match verdict {
            Verdict::Passed => self.metrics.check(CheckResult::Passed),
            Verdict::Skipped(why) => {
                self.metrics.check(CheckResult::Skipped);
                tracing::warn!(%why, generation = digest, "the generation goes in unchecked");
            }
            Verdict::Refused(why) => {
                self.metrics.check(CheckResult::Refused);
                let path = match &tool {
                    Some(tool) => {
                        bisect::tool_at_fault(engine, tool, &why, &self.layout, digest, &laid).await
                    }
                    None => None,
                };
                self.refuse(digest, format!("the engine's tool refused it: {why}"), path, None);
                self.prune(before.as_deref());
                return self.stay(OTHER).await;
            }
        }
        if let Err(error) = self.layout.switch(digest) {
            return Step::Retry(format!("current cannot be switched: {error}"));
        }
        self.metrics.laid_down(laid.bytes);
        match self.reload(digest).await {
            Ok(()) => {
                self.prune(before.as_deref());
                self.look_later(Some((&laid, before.as_deref())));
                Step::Settled
            }
            // When it is back it reads the new one, and is asked then.
            Err(EngineError::Away(why)) => Step::Retry(format!("the engine does not answer: {why}")),
            Err(EngineError::Refused(why)) => self.take_back(digest, why, before, Some(&laid)).await,
        }
    }

    /// Plans a look at what the engine may have loaded in part: a change with what ran before it, or all.
    fn look_later(&mut self, change: Option<(&Laid, Option<&str>)>) {
        match (self.settings.engine, change) {
            (Engine::Prometheus, Some((laid, before))) => self.partial.loaded(laid, before, Instant::now()),
            (Engine::Prometheus, None) => self.partial.started(Instant::now()),
            (Engine::Alertmanager, _) => {}
        }
    }

    async fn not_laid(&mut self, error: &LayError) -> Step {
        let why = error.to_string();
        match error {
            LayError::Write(_) => Step::Retry(why),
            LayError::Read(read) => match self.stay(&why).await {
                // No mount changes when a Secret is there that was not, or not as named.
                Step::AwaitSlots(why) if read.may_pass() && self.source.is_live() => Step::Retry(why),
                step => step,
            },
        }
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
        let start = Instant::now();
        let reloaded = self.engine.reload().await;
        self.metrics.reloaded_in(start.elapsed());
        reloaded.map_err(kind)?;
        // An engine that says yes to a reload has reloaded in all parts.
        let generation = self.engine.generation().await.map_err(kind)?;
        if generation.as_deref() == Some(digest) {
            self.confirmed(digest);
            tracing::info!(generation = digest, "the engine runs the generation");
            return Ok(());
        }
        let says = generation.as_deref().unwrap_or("none");
        let why = format!("after the reload the engine says that it runs generation {says}");
        Err((ReloadResult::Unconfirmed, EngineError::Refused(why)))
    }

    fn refuse(&mut self, digest: &str, reason: String, path: Option<String>, rest: Option<Duration>) {
        tracing::error!(generation = digest, %reason, "the generation is refused; what ran before stays");
        // What was found once is not forgotten where it is tried again and named by nothing.
        let known = self.state.refused.take().filter(|refused| refused.generation == digest);
        let path = path.or_else(|| known?.path);
        self.state.refused = Some(Refusal { generation: digest.to_owned(), reason, path });
        self.rested = rest.map(|rest| Instant::now() + rest);
    }

    /// Brings the generation before back, and asks for it.
    async fn roll_back(&mut self, before: &str) -> Step {
        let step = self.put_back(before).await;
        if matches!(step, Step::AwaitSlots(_)) {
            self.metrics.reload(ReloadResult::RolledBack);
            tracing::warn!(generation = before, "the generation before runs again");
        }
        step
    }

    /// Has a generation run again that was left for another one or for a trial.
    async fn put_back(&mut self, before: &str) -> Step {
        if let Err(error) = self.layout.switch(before) {
            return Step::Retry(format!("current cannot be switched back: {error}"));
        }
        match self.reload(before).await {
            Ok(()) => Step::AwaitSlots(OTHER.to_owned()),
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
