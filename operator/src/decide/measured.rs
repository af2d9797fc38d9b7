//! What was measured on a running engine, for decisions to take in the place of the catalog's figures.

use obstack_crds::record::{Measured, Range};
use obstack_crds::{Component, DecisionRecord};
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Driver, OptionEntry, Term};
use super::model::{middle, times};
use super::{Previous, numbers, records};
use crate::units::SeriesCount;
use crate::validate::Requirements;

/// How far a measured figure is taken to reach on either side, as a share of it. What is measured on one load
/// holds for another within this: `docs/decisions/sizing.md` shows it on loads that were not used to measure. A
/// Go process alone varies by a fifth between two collections of garbage.
pub const SPREAD: f64 = 0.25;
/// The component whose engine is measured.
pub const COMPONENT: Component = Component::MetricsStore;

/// Measured values of one stack's engine, each rounded to two digits. A value that is none was not measured, or
/// not for long enough: the catalog's figure stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Measurements {
    /// The option whose engine was measured, as in the catalog. Where it is none: the previous choice, else the
    /// first option that the operator deploys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// Active series of the fullest replica.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_series: Option<f64>,
    /// Bytes of resident memory for each active series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_series: Option<f64>,
    /// Bytes of disk for each sample in blocks. Where the index of created series was told apart it holds only the
    /// rest, else all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_sample: Option<f64>,
    /// Bytes of index for each series created within what is kept. None beside `bytes_per_sample`: they are in that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index_bytes_per_series: Option<f64>,
    /// New series a day for each active series.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub series_churn_per_day: Option<f64>,
    /// Queries a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queries_per_second: Option<f64>,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantity {
    /// Active series of the fullest replica.
    ActiveSeries,
    /// Bytes of resident memory for each active series.
    BytesPerSeries,
    /// Bytes of disk for each sample in blocks, without the index of created series where that is known.
    BytesPerSample,
    /// Bytes of index for each series created within what is kept.
    IndexBytesPerSeries,
    /// New series a day for each active series.
    SeriesChurnPerDay,
    /// Queries a second.
    QueriesPerSecond,
}

impl Quantity {
    /// Every quantity, in the order in which they are shown.
    pub const ALL: [Self; 6] = [
        Self::ActiveSeries,
        Self::BytesPerSeries,
        Self::BytesPerSample,
        Self::IndexBytesPerSeries,
        Self::SeriesChurnPerDay,
        Self::QueriesPerSecond,
    ];

    /// As records and fact files name it.
    pub fn id(self) -> &'static str {
        match self {
            Self::ActiveSeries => "activeSeries",
            Self::BytesPerSeries => "bytesPerSeries",
            Self::BytesPerSample => "bytesPerSample",
            Self::IndexBytesPerSeries => "indexBytesPerSeries",
            Self::SeriesChurnPerDay => "seriesChurnPerDay",
            Self::QueriesPerSecond => "queriesPerSecond",
        }
    }

    /// Its unit.
    pub fn unit(self) -> &'static str {
        match self {
            Self::ActiveSeries => "series",
            Self::BytesPerSeries => "bytes per series",
            Self::BytesPerSample => "bytes per sample",
            Self::IndexBytesPerSeries => "index bytes per created series",
            Self::SeriesChurnPerDay => "new series per series and day",
            Self::QueriesPerSecond => "queries per second",
        }
    }

    /// Whether it takes the place of a figure of the catalog.
    pub fn displaces(self) -> bool {
        matches!(self, Self::BytesPerSeries | Self::BytesPerSample | Self::IndexBytesPerSeries)
    }

    /// Between which values a measured one makes sense; `obstack decide --facts` refuses others.
    fn bounds(self) -> (f64, f64) {
        match self {
            Self::ActiveSeries => (0.0, 1e12),
            Self::BytesPerSeries => (1.0, 1e7),
            Self::BytesPerSample => (0.01, 1e4),
            Self::IndexBytesPerSeries => (0.1, 1e7),
            Self::SeriesChurnPerDay | Self::QueriesPerSecond => (0.0, 1e9),
        }
    }
}

impl Measurements {
    /// One of its values.
    pub fn get(&self, quantity: Quantity) -> Option<f64> {
        match quantity {
            Quantity::ActiveSeries => self.active_series,
            Quantity::BytesPerSeries => self.bytes_per_series,
            Quantity::BytesPerSample => self.bytes_per_sample,
            Quantity::IndexBytesPerSeries => self.index_bytes_per_series,
            Quantity::SeriesChurnPerDay => self.series_churn_per_day,
            Quantity::QueriesPerSecond => self.queries_per_second,
        }
    }

    /// Sets one of its values, rounded to two digits.
    pub fn set(&mut self, quantity: Quantity, value: Option<f64>) {
        let value = value.map(numbers::round2);
        match quantity {
            Quantity::ActiveSeries => self.active_series = value,
            Quantity::BytesPerSeries => self.bytes_per_series = value,
            Quantity::BytesPerSample => self.bytes_per_sample = value,
            Quantity::IndexBytesPerSeries => self.index_bytes_per_series = value,
            Quantity::SeriesChurnPerDay => self.series_churn_per_day = value,
            Quantity::QueriesPerSecond => self.queries_per_second = value,
        }
    }

    /// The same, each value rounded to two digits.
    #[must_use]
    pub fn rounded(mut self) -> Self {
        for quantity in Quantity::ALL {
            self.set(quantity, self.get(quantity));
        }
        self
    }

    /// Whether a figure of the catalog is displaced.
    pub fn displaces(&self) -> bool {
        Quantity::ALL.into_iter().any(|q| q.displaces() && self.get(q).is_some())
    }

    /// What is wrong with values that somebody wrote, each with what to write.
    pub fn faults(&self, catalog: &Catalog) -> Vec<String> {
        let mut faults = Vec::new();
        if let Some(option) = self.option.as_deref().filter(|id| catalog.option(COMPONENT, id).is_none()) {
            let ids: Vec<&str> = catalog.options(COMPONENT).iter().map(|o| o.id.as_str()).collect();
            let write = numbers::list(&ids, "or");
            faults.push(format!("option: found {option:?}; write {write}"));
        }
        for quantity in Quantity::ALL {
            let (low, high) = quantity.bounds();
            if let Some(value) = self.get(quantity).filter(|value| !(low..=high).contains(value)) {
                let (id, unit) = (quantity.id(), quantity.unit());
                let found = format!("{id}: found {value}");
                faults
                    .push(format!("{found}; write a number of {unit} from {low} to {high}, or leave it out"));
            }
        }
        faults
    }

    /// The values that a record keeps, of the engine of an option. None where it keeps none.
    pub fn of_record(record: &DecisionRecord, option: &str) -> Option<Self> {
        let mut values = Self { option: Some(option.to_owned()), ..Self::default() };
        for kept in &record.spec.measured {
            if let Some(quantity) = Quantity::ALL.into_iter().find(|q| q.id() == kept.quantity) {
                values.set(quantity, Some(kept.measured));
            }
        }
        (!record.spec.measured.is_empty()).then_some(values)
    }

    /// The values of the last calibration epoch of the store that runs, as its records keep them, and when that
    /// was, RFC 3339.
    pub fn of_records(records: &[DecisionRecord]) -> Option<(Self, String)> {
        let (accepted, open) = records::in_force_and_open(records, COMPONENT)?;
        let option = accepted.spec.chosen.as_deref()?;
        let newest = open.into_iter().chain([accepted]).find(|record| !record.spec.measured.is_empty())?;
        Some((Self::of_record(newest, option)?, newest.spec.decided_at.clone()))
    }

    /// Id of the option whose engine was measured.
    pub fn measured_option<'a>(&'a self, previous: &'a Previous, catalog: &'a Catalog) -> Option<&'a str> {
        let deployed = || catalog.options(COMPONENT).iter().find(|o| o.deployable).map(|o| o.id.as_str());
        let previous = previous.get(COMPONENT).map(|choice| choice.option.as_str());
        self.option.as_deref().or(previous).or_else(deployed)
    }

    /// These values beside the figures of the option that was measured.
    pub fn beside(&self, option: &OptionEntry) -> Vec<Measured> {
        let row = |quantity: Quantity| {
            let measured = self.get(quantity)?;
            let prior = prior(option, quantity);
            let error = prior.filter(|_| measured > 0.0).map(|p| numbers::round2(middle(p) / measured - 1.0));
            let unit = quantity.unit().to_owned();
            Some(Measured { quantity: quantity.id().to_owned(), unit, prior, measured, error })
        };
        Quantity::ALL.into_iter().filter_map(row).collect()
    }
}

/// The catalog's range of a figure that a measured one displaces.
pub fn prior(option: &OptionEntry, quantity: Quantity) -> Option<Range> {
    let (terms, driver) = match quantity {
        Quantity::BytesPerSeries => (&option.models.memory, Driver::Series),
        Quantity::BytesPerSample => (&option.models.storage, Driver::RetainedSample),
        Quantity::IndexBytesPerSeries => (&option.models.storage, Driver::CreatedSeries),
        _ => return None,
    };
    terms.iter().find(|term| term.per == driver).map(range)
}

/// A measured value beside the catalog's: `3.1k bytes per series; the catalog has 2k to 8k, its middle 61 % too
/// high`.
pub fn in_words(m: &Measured) -> String {
    let value = numbers::count(m.measured);
    let said = match (m.prior, m.error) {
        (Some(prior), Some(error)) => {
            let side = if error < 0.0 { "low" } else { "high" };
            let off = numbers::two(error.abs() * 100.0);
            let prior = numbers::range(prior, numbers::count);
            format!("; the catalog has {prior}, its middle {off} % too {side}")
        }
        _ => String::new(),
    };
    format!("{value} {}{said}", m.unit)
}

/// Bytes that the memory of an option takes beside its series: the low end of what it takes idle. What rules and
/// queries take on top grows with the load, and counts to the series.
pub fn idle(option: &OptionEntry) -> f64 {
    option.models.memory.iter().filter(|term| term.per == Driver::Replica).map(|term| term.low).sum()
}

/// Requirements with the measured number of series, where that is higher than what was asked: what a decision
/// that a tripwire asks for is made with.
#[must_use]
pub fn with_measured_series(requirements: &Requirements, measured: &Measurements) -> Requirements {
    let mut requirements = requirements.clone();
    if let Some(series) =
        measured.active_series.filter(|series| *series > requirements.active_series.as_f64())
    {
        requirements.active_series = SeriesCount(series.ceil() as u64);
    }
    requirements
}

/// Which model a term belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Memory.
    Memory,
    /// Disk.
    Storage,
    /// Nothing that is measured.
    Other,
}

/// Measured figures as ranges. The default displaces nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Calibration {
    per_series: Option<Range>,
    per_sample: Option<Range>,
    per_created: Option<Range>,
    churn: Option<Range>,
}

impl Calibration {
    /// What displaces the figures of an option: nothing, unless it is the one whose engine was measured.
    pub(super) fn of(
        component: Component,
        option: &str,
        measured: Option<&Measurements>,
        previous: &Previous,
        catalog: &Catalog,
    ) -> Self {
        let measured = measured
            .filter(|m| component == COMPONENT && m.measured_option(previous, catalog) == Some(option));
        let range = |value: f64| Range { low: value * (1.0 - SPREAD), high: value * (1.0 + SPREAD) };
        let figure = |quantity| measured.and_then(|m| m.get(quantity)).map(range);
        Self {
            per_series: figure(Quantity::BytesPerSeries),
            per_sample: figure(Quantity::BytesPerSample),
            per_created: figure(Quantity::IndexBytesPerSeries),
            churn: figure(Quantity::SeriesChurnPerDay),
        }
    }

    /// New series per active series and day, where that was measured.
    pub(super) fn churn(&self) -> Option<Range> {
        self.churn
    }

    /// The range of a term, and whether it was measured; none where the measured figure of another term holds it.
    pub(super) fn figure(&self, of: Of, term: &Term) -> Option<(Range, bool)> {
        Some(match (of, term.per) {
            (Of::Memory, Driver::Series) => self.per_series.map_or((range(term), false), |r| (r, true)),
            // What an idle server takes is not measured by itself: see `idle`.
            (Of::Memory, Driver::Replica) if self.per_series.is_some() => {
                (times(Range { low: 1.0, high: 1.0 }, term.low), false)
            }
            (Of::Storage, Driver::RetainedSample) => {
                self.per_sample.map_or((range(term), false), |r| (r, true))
            }
            (Of::Storage, Driver::CreatedSeries) => match (self.per_created, self.per_sample) {
                (Some(figure), _) => (figure, true),
                // Measured as one figure, the bytes per sample have the index in them.
                (None, Some(_)) => return None,
                (None, None) => (range(term), false),
            },
            _ => (range(term), false),
        })
    }
}

fn range(term: &Term) -> Range {
    Range { low: term.low, high: term.high }
}

#[cfg(test)]
#[path = "measured_tests.rs"]
mod tests;
