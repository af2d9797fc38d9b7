//! Defaults by environment. A set never changes once it was released: a stack is pinned to one, so that an
//! upgrade of the operator changes no running stack by itself.

use obstack_crds::stack::{Availability, Environment};

use crate::units::{PromDuration, SeriesCount};

use super::DEFAULTS_VERSION;

/// What holds where a stack's spec leaves a requirement out.
///
/// Set 1:
///
/// | requirement      | `dev`    | `stage`  | `prod`       |
/// |------------------|----------|----------|--------------|
/// | `activeSeries`   | `50k`    | `200k`   | `500k`       |
/// | `scrapeInterval` | `30s`    | `30s`    | `30s`        |
/// | `retention`      | `7d`     | `15d`    | `15d`        |
/// | `availability`   | `Single` | `Single` | `Replicated` |
/// | `recoveryTime`   | `10m`    | `10m`    | `10m`        |
///
/// 15 days is Prometheus' own default retention. Of the rest, what can be derived is: the evaluation interval
/// is the scrape interval, replicas are 1, or 2 where availability is `Replicated`, a priority is 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Active series at once.
    pub active_series: SeriesCount,
    /// Time between two samples of a series.
    pub scrape_interval: PromDuration,
    /// How long samples stay.
    pub retention: PromDuration,
    /// Whether the loss of one replica may interrupt the stack.
    pub availability: Availability,
    /// How long a restarted engine may take until it answers.
    pub recovery_time: PromDuration,
}

const DAY: u64 = 86_400;

impl Defaults {
    /// The set with this number, for an environment; none where there is no such set.
    pub fn of(version: u32, environment: Environment) -> Option<Self> {
        (version == DEFAULTS_VERSION).then(|| Self::newest(environment))
    }

    /// The newest set, for an environment.
    pub fn newest(environment: Environment) -> Self {
        let (series, days, availability) = match environment {
            Environment::Dev => (50_000, 7, Availability::Single),
            Environment::Stage => (200_000, 15, Availability::Single),
            Environment::Prod => (500_000, 15, Availability::Replicated),
        };
        Self {
            active_series: SeriesCount(series),
            scrape_interval: PromDuration::from_secs(30),
            retention: PromDuration::from_secs(days * DAY),
            availability,
            recovery_time: PromDuration::from_secs(600),
        }
    }
}
