//! What an option needs: sums of terms, each a figure times its driver, as ranges.

use obstack_crds::record::Range;
use obstack_crds::stack::Availability;

use super::catalog::{Catalog, Driver, Models, Term};
use super::measured::{Calibration, Of};
use super::numbers;
use crate::validate::{Requirements, Valid};

/// Seconds of samples that a write-ahead log holds.
const WAL_SECONDS: f64 = 7_200.0;
const DAY_SECONDS: f64 = 86_400.0;
/// Seconds in a month of 30.4 days.
const MONTH_SECONDS: f64 = 2_628_000.0;
pub(super) const GIB: f64 = 1_073_741_824.0;

pub(super) fn point(value: f64) -> Range {
    Range { low: value, high: value }
}

pub(super) fn add(a: Range, b: Range) -> Range {
    Range { low: a.low + b.low, high: a.high + b.high }
}

pub(super) fn times(a: Range, factor: f64) -> Range {
    Range { low: a.low * factor, high: a.high * factor }
}

pub(super) fn middle(a: Range) -> f64 {
    (a.low + a.high) / 2.0
}

/// What a stack puts on its store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Load {
    pub(super) series: f64,
    pub(super) samples_per_second: f64,
    pub(super) retention_seconds: f64,
    pub(super) replicated: bool,
    /// New series per active series and day, by the catalog.
    pub(super) churn: Range,
}

impl Load {
    pub(super) fn of(requirements: &Requirements, catalog: &Catalog) -> Self {
        let series = requirements.active_series.as_f64();
        Self {
            series,
            samples_per_second: series / requirements.scrape_interval.as_secs_f64(),
            retention_seconds: requirements.retention.as_secs_f64(),
            replicated: requirements.availability == Availability::Replicated,
            churn: Range { low: catalog.churn.low, high: catalog.churn.high },
        }
    }

    /// How much there is of a driver, with `churn` new series per active series and day.
    fn amount(&self, driver: Driver, churn: Range) -> Range {
        point(match driver {
            Driver::Series => self.series,
            Driver::SamplesPerSecond => self.samples_per_second,
            Driver::RetainedSample => self.samples_per_second * self.retention_seconds,
            Driver::CreatedSeries => {
                let days = self.retention_seconds / DAY_SECONDS;
                return times(add(point(1.0), times(churn, days)), self.series);
            }
            Driver::WalSample => self.samples_per_second * WAL_SECONDS.min(self.retention_seconds),
            Driver::SamplePerMonth => self.samples_per_second * MONTH_SECONDS,
            Driver::Replica => 1.0,
        })
    }
}

/// What an option needs, all copies together; `recovery` is of one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Needs {
    pub(super) memory: Range,
    pub(super) storage: Range,
    pub(super) cpu: Range,
    pub(super) monthly_cost: Range,
    pub(super) recovery: Range,
    pub(super) storage_per_copy: Range,
}

impl Needs {
    /// `measured` displaces figures of the models.
    pub(super) fn of(models: &Models, load: &Load, copies: f64, measured: &Calibration) -> Self {
        let sum = |of, terms: &[Term], copies| sum(terms, load, copies, of, measured);
        Self {
            memory: sum(Of::Memory, &models.memory, copies),
            storage: sum(Of::Storage, &models.storage, copies),
            cpu: sum(Of::Other, &models.cpu, copies),
            monthly_cost: sum(Of::Other, &models.monthly_cost, copies),
            recovery: sum(Of::Other, &models.recovery, 1.0),
            storage_per_copy: sum(Of::Storage, &models.storage, 1.0),
        }
    }

    /// USD per month: machines at these prices, by GiB of memory, GiB of disk and core, and bills.
    pub(super) fn cost(&self, [memory, storage, cpu]: [f64; 3]) -> Range {
        let machines = add(times(self.memory, memory / GIB), times(self.storage, storage / GIB));
        add(add(machines, times(self.cpu, cpu)), self.monthly_cost)
    }
}

fn sum(terms: &[Term], load: &Load, copies: f64, of: Of, measured: &Calibration) -> Range {
    terms.iter().fold(Range::default(), |total, term| {
        let Some((figure, _)) = measured.figure(of, term) else { return total };
        let amount = load.amount(term.per, measured.churn().unwrap_or(load.churn));
        let each = Range { low: figure.low * amount.low, high: figure.high * amount.high };
        add(total, times(each, if term.once { 1.0 } else { copies }))
    })
}

/// The arithmetic of a model by the catalog's figures.
pub(super) fn arithmetic(terms: &[Term], load: &Load, copies: u32) -> String {
    arithmetic_of(Of::Other, terms, load, copies, &Calibration::default())
}

/// The arithmetic of a model, for a reader to follow: `2 x (800k series x 2k to 8k bytes) = 3Gi to 12Gi`. A figure
/// that was measured says so.
pub(super) fn arithmetic_of(
    of: Of,
    terms: &[Term],
    load: &Load,
    copies: u32,
    measured: &Calibration,
) -> String {
    if terms.is_empty() {
        return "nothing".to_owned();
    }
    let churn = measured.churn();
    // Whether the measured bytes of another term hold what a term stands for.
    let within = terms.iter().any(|term| measured.figure(of, term).is_none());
    let write = |term: &Term| {
        let each = each(term, measured.figure(of, term)?);
        let amount = numbers::range(load.amount(term.per, load.churn), numbers::count);
        Some(match term.per {
            Driver::Replica => format!("{each} of its own"),
            Driver::Series => format!("{amount} series x {each}"),
            Driver::SamplesPerSecond => format!("{amount} samples/s x {each}"),
            Driver::RetainedSample => format!(
                "{} samples/s x {} x {each}{}",
                numbers::count(load.samples_per_second),
                numbers::seconds(load.retention_seconds),
                if within { ", index included" } else { "" }
            ),
            Driver::CreatedSeries => format!(
                "{} series x (1 + {} x {}{} new a day) x {each} in the index",
                numbers::count(load.series),
                numbers::seconds(load.retention_seconds),
                numbers::range(churn.unwrap_or(load.churn), numbers::count),
                if churn.is_some() { " measured" } else { "" }
            ),
            Driver::WalSample => format!("{amount} samples in a log x {each}"),
            Driver::SamplePerMonth => format!("{amount} samples a month x {each}"),
        })
    };
    let join = |once: bool| {
        terms.iter().filter(|t| t.once == once).filter_map(write).collect::<Vec<_>>().join(" + ")
    };
    let (each, once) = (join(false), join(true));
    let parts: Vec<String> = [
        (!each.is_empty()).then(|| if copies == 1 { each.clone() } else { format!("{copies} x ({each})") }),
        (!once.is_empty()).then_some(once),
    ]
    .into_iter()
    .flatten()
    .collect();
    let unit = terms.first().map_or("", |t| t.unit.as_str());
    let total = sum(terms, load, f64::from(copies), of, measured);
    format!("{} = {}", parts.join(" + "), numbers::range_in(total, unit))
}

/// A figure of the catalog with its unit; very small ones in millionths or billionths.
fn each(term: &Term, (figure, measured): (Range, bool)) -> String {
    let (factor, small) = match figure.high {
        high if high < 1e-6 => (1e9, "billionths of "),
        high if high < 1e-3 => (1e6, "millionths of "),
        _ => (1.0, ""),
    };
    let range = numbers::range(times(figure, factor), numbers::count);
    let said = if measured { " measured" } else { "" };
    format!("{range} {small}{}{said}", term.unit)
}

/// The requirements in force by path under `spec.requirements`, as a record keeps them.
pub fn requirements(valid: &Valid) -> std::collections::BTreeMap<String, String> {
    let r = &valid.requirements;
    let mut map = std::collections::BTreeMap::from([
        ("activeSeries".to_owned(), r.active_series.to_string()),
        ("scrapeInterval".to_owned(), r.scrape_interval.to_string()),
        ("retention".to_owned(), r.retention.to_string()),
        ("availability".to_owned(), r.availability.as_str().to_owned()),
        ("recoveryTime".to_owned(), r.recovery_time.to_string()),
    ]);
    if !r.licences_deny.is_empty() {
        let deny: Vec<_> = r.licences_deny.iter().map(String::as_str).collect();
        // As much as a record holds.
        map.insert("licences.deny".to_owned(), deny.join(", ").chars().take(1_024).collect());
    }
    if let Some(memory) = r.budget_memory {
        map.insert("budget.memory".to_owned(), memory.to_string());
    }
    if let Some(storage) = r.budget_storage {
        map.insert("budget.storage".to_owned(), storage.to_string());
    }
    if let Some(cents) = r.budget_monthly_cents {
        map.insert("budget.monthlyCost".to_owned(), dollars(cents));
    }
    map
}

/// US cents as dollars: `250` or `12.50`.
pub(super) fn dollars(cents: u64) -> String {
    if cents.is_multiple_of(100) {
        (cents / 100).to_string()
    } else {
        format!("{}.{:02}", cents / 100, cents % 100)
    }
}
