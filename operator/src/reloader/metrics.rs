//! What a reloader counts.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::running::Engine;

use super::State;

/// How a reload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReloadResult {
    /// The engine runs what was wanted, and says so.
    Success,
    /// The engine refused it.
    Refused,
    /// The engine took it, and says that it runs something else.
    Unconfirmed,
    /// The engine did not answer.
    Away,
    /// The generation before was brought back.
    RolledBack,
    /// The engine took it, and was found later to run it only in part.
    InPart,
    /// A part of a change was tried, to find what is at fault in it.
    Trial,
}

impl ReloadResult {
    const ALL: [Self; 7] = [
        Self::Success,
        Self::Refused,
        Self::Unconfirmed,
        Self::Away,
        Self::RolledBack,
        Self::InPart,
        Self::Trial,
    ];

    fn labels(self) -> ResultLabels {
        let result = match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Unconfirmed => "unconfirmed",
            Self::Away => "away",
            Self::RolledBack => "rolled_back",
            Self::InPart => "in_part",
            Self::Trial => "trial",
        };
        ResultLabels { result }
    }
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckResult {
    /// The tool was content.
    Passed,
    /// The tool refused it.
    Refused,
    /// There was no tool, or it did not come to an end.
    Skipped,
}

impl CheckResult {
    const ALL: [Self; 3] = [Self::Passed, Self::Refused, Self::Skipped];

    fn labels(self) -> ResultLabels {
        let result = match self {
            Self::Passed => "passed",
            Self::Refused => "refused",
            Self::Skipped => "skipped",
        };
        ResultLabels { result }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GenerationLabels {
    engine: &'static str,
    role: &'static str,
    generation: String,
}

/// What a reloader counts.
#[derive(Clone, Debug)]
pub(super) struct Metrics {
    engine: Engine,
    registry: Arc<Registry>,
    reloads: Family<ResultLabels, Counter>,
    checks: Family<ResultLabels, Counter>,
    generations: Family<GenerationLabels, Gauge>,
    bytes: Gauge,
    refused: Gauge,
    waiting: Gauge,
    last_success: Gauge<f64, AtomicU64>,
    last_reload: Gauge<f64, AtomicU64>,
    last_check: Gauge<f64, AtomicU64>,
}

impl Metrics {
    pub(super) fn new(engine: Engine) -> Self {
        let mut registry = Registry::with_prefix("obstack_reloader");
        let reloads = Family::<ResultLabels, Counter>::default();
        registry.register("reloads", "Reloads by result", reloads.clone());
        let checks = Family::<ResultLabels, Counter>::default();
        registry.register("checks", "Checks by the engine's own tool, by result", checks.clone());
        let generations = Family::<GenerationLabels, Gauge>::default();
        registry.register(
            "generation_info",
            "Generations of configuration: wanted, current (what the engine reads) and confirmed (what it says)",
            generations.clone(),
        );
        let bytes = Gauge::default();
        registry.register("generation_bytes", "Bytes of the files of the current generation", bytes.clone());
        let refused = Gauge::default();
        registry.register("refused", "1 while the wanted generation is refused", refused.clone());
        let waiting = Gauge::default();
        registry.register("waiting", "1 while something is waited for", waiting.clone());
        let last_success = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "last_success_timestamp_seconds",
            "When the engine last confirmed a generation, in seconds since 1970",
            last_success.clone(),
        );
        let last_reload = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "last_reload_seconds",
            "How long the engine itself took for the last reload, from the request to its answer",
            last_reload.clone(),
        );
        let last_check = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "last_check_seconds",
            "How long the last check by the engine's own tool took",
            last_check.clone(),
        );
        // The series exist from the start, so that an increase from nothing is an increase.
        for result in ReloadResult::ALL {
            drop(reloads.get_or_create(&result.labels()));
        }
        for result in CheckResult::ALL {
            drop(checks.get_or_create(&result.labels()));
        }
        Self {
            engine,
            registry: Arc::new(registry),
            reloads,
            checks,
            generations,
            bytes,
            refused,
            waiting,
            last_success,
            last_reload,
            last_check,
        }
    }

    pub(super) fn reload(&self, result: ReloadResult) {
        self.reloads.get_or_create(&result.labels()).inc();
    }

    pub(super) fn check(&self, result: CheckResult) {
        self.checks.get_or_create(&result.labels()).inc();
    }

    pub(super) fn reloaded_in(&self, length: Duration) {
        self.last_reload.set(length.as_secs_f64());
    }

    pub(super) fn checked_in(&self, length: Duration) {
        self.last_check.set(length.as_secs_f64());
    }

    pub(super) fn laid_down(&self, bytes: u64) {
        self.bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(super) fn confirmed(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_success.set(now.as_secs_f64());
    }

    pub(super) fn state(&self, state: &State) {
        self.generations.clear();
        let roles = [("wanted", &state.wanted), ("current", &state.current), ("confirmed", &state.confirmed)];
        for (role, generation) in roles {
            let Some(generation) = generation else { continue };
            let generation = generation.get(..12).unwrap_or(generation).to_owned();
            let labels = GenerationLabels { engine: self.engine.as_str(), role, generation };
            self.generations.get_or_create(&labels).set(1);
        }
        let refused = state.refused.as_ref().is_some_and(|r| Some(&r.generation) == state.wanted.as_ref());
        self.refused.set(refused.into());
        self.waiting.set(state.waiting.is_some().into());
    }

    /// The metrics in the OpenMetrics text format.
    pub(super) fn encode(&self) -> String {
        let mut body = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut body, &self.registry);
        body
    }
}
