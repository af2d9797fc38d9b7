//! Flip points: the smallest change of one requirement or one weight that would change a choice.
//!
//! Numbers are tried on a stated grid, outwards from the value in force, since winners need not be monotone;
//! the first that changes the choice is then closed in on, down to two digits. Categories are tried one by
//! one. A value that validation would refuse is no flip point.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::record::FlipPoint;
use obstack_crds::stack::Availability;
use obstack_crds::{Component, ObservabilityStackSpec};

use super::catalog::licence_denied;
use super::engine::{Context, pick};
use super::model::dollars;
use super::{Catalog, DecideFacts, Previous};
use crate::units::{Bytes, PromDuration, SeriesCount};
use crate::validate::{Quality, Requirements, Valid, sizing_only, validate};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;
const COMPONENTS: usize = Component::ALL.len();

/// The longest value that a record holds.
const LONGEST: usize = 128;

/// What each component would choose.
type Choices<'a> = [Option<&'a str>; COMPONENTS];

/// A requirement that is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Number {
    ActiveSeries,
    ScrapeInterval,
    Retention,
    RecoveryTime,
    Memory,
    Storage,
    MonthlyCost,
}

impl Number {
    const ALL: [Self; 7] = [
        Self::ActiveSeries,
        Self::ScrapeInterval,
        Self::Retention,
        Self::RecoveryTime,
        Self::Memory,
        Self::Storage,
        Self::MonthlyCost,
    ];

    fn path(self) -> &'static str {
        match self {
            Self::ActiveSeries => "requirements.activeSeries",
            Self::ScrapeInterval => "requirements.scrapeInterval",
            Self::Retention => "requirements.retention",
            Self::RecoveryTime => "requirements.recoveryTime",
            Self::Memory => "requirements.budget.memory",
            Self::Storage => "requirements.budget.storage",
            Self::MonthlyCost => "requirements.budget.monthlyCost",
        }
    }

    /// The value in force in the smallest unit: series, milliseconds, bytes or cents.
    fn of(self, r: &Requirements) -> Option<u64> {
        match self {
            Self::ActiveSeries => Some(r.active_series.0),
            Self::ScrapeInterval => Some(r.scrape_interval.as_millis()),
            Self::Retention => Some(r.retention.as_millis()),
            Self::RecoveryTime => Some(r.recovery_time.as_millis()),
            Self::Memory => r.budget_memory.map(|b| b.0),
            Self::Storage => r.budget_storage.map(|b| b.0),
            Self::MonthlyCost => r.budget_monthly_cents,
        }
    }

    /// The values that are tried, rising.
    fn grid(self) -> Vec<u64> {
        let decades = |from: u32, to: u32| {
            (from..to).flat_map(|p| [10, 15, 20, 30, 50, 70].map(|m| m * 10u64.pow(p) / 10)).collect()
        };
        match self {
            Self::ActiveSeries => decades(3, 10),
            Self::MonthlyCost => decades(2, 9),
            Self::ScrapeInterval => [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600].map(|s| s * SECOND).to_vec(),
            Self::RecoveryTime => {
                let minutes = [1, 2, 5, 10, 15, 30, 60, 120, 360, 720, 1440].map(|m| m * MINUTE);
                [1, 5, 10, 30].map(|s| s * SECOND).into_iter().chain(minutes).collect()
            }
            Self::Retention => {
                let hours = [2, 6, 12].map(|h| h * HOUR);
                let days = [1, 2, 3, 5, 7, 10, 15, 30, 60, 90, 180].map(|d| d * DAY);
                let years = [1, 2, 3, 5, 10].map(|y| y * YEAR);
                hours.into_iter().chain(days).chain(years).collect()
            }
            Self::Memory => (26..=46).map(|p| 1 << p).collect(),
            Self::Storage => (28..=54).map(|p| 1 << p).collect(),
        }
    }

    /// The unit that a value is closed in on with, for values up to `most`.
    fn unit(self, most: u64) -> u64 {
        match self {
            Self::ActiveSeries => 10u64.pow(most.max(10).ilog10() - 1),
            Self::MonthlyCost => 10u64.pow(most.max(10).ilog10() - 1).max(100),
            Self::Memory | Self::Storage => 1 << most.max(16).ilog2().saturating_sub(4),
            Self::ScrapeInterval | Self::Retention | Self::RecoveryTime => match most {
                m if m > 2 * DAY => DAY,
                m if m > 2 * HOUR => HOUR,
                m if m > 2 * MINUTE => MINUTE,
                _ => SECOND,
            },
        }
    }

    fn show(self, value: u64) -> String {
        match self {
            Self::ActiveSeries => SeriesCount(value).to_string(),
            Self::ScrapeInterval | Self::Retention | Self::RecoveryTime => {
                PromDuration::from_millis(value).to_string()
            }
            Self::Memory | Self::Storage => Bytes(value).to_string(),
            Self::MonthlyCost => dollars(value),
        }
    }

    fn set(self, r: &mut Requirements, value: u64) {
        match self {
            Self::ActiveSeries => r.active_series = SeriesCount(value),
            Self::ScrapeInterval => r.scrape_interval = PromDuration::from_millis(value),
            Self::Retention => r.retention = PromDuration::from_millis(value),
            Self::RecoveryTime => r.recovery_time = PromDuration::from_millis(value),
            Self::Memory => r.budget_memory = Some(Bytes(value)),
            Self::Storage => r.budget_storage = Some(Bytes(value)),
            Self::MonthlyCost => r.budget_monthly_cents = Some(value),
        }
    }
}

/// One change of one input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    Number(Number, u64),
    Availability(Availability),
    Deny(BTreeSet<String>),
    Weight(Quality, u8),
}

/// Everything that stays while an input is changed.
pub(super) struct Search<'a> {
    valid: &'a Valid,
    context: Context<'a>,
    /// What each component chooses as things are.
    base: Choices<'a>,
    /// As much of the spec as decides whether a change is valid.
    spec: ObservabilityStackSpec,
    /// Changes of which it is known whether they are valid.
    checked: RefCell<BTreeMap<Change, bool>>,
}

/// The flip points of every component, in the order of [`Component::ALL`].
pub(super) fn flip_points(
    valid: &Valid,
    facts: &DecideFacts,
    previous: &Previous,
    catalog: &Catalog,
    base: &[Option<String>; COMPONENTS],
) -> Vec<Vec<FlipPoint>> {
    let base = std::array::from_fn(|i| base[i].as_deref());
    let search = Search::new(valid, Context::new(valid, facts, previous, catalog), base);
    let mut all: Vec<Vec<FlipPoint>> = vec![Vec::new(); COMPONENTS];
    let mut add = |points: Vec<FlipPoint>| {
        for (list, point) in all.iter_mut().zip(points) {
            list.push(point);
        }
    };
    for number in Number::ALL {
        add(search.number(number));
    }
    add(search.availability());
    add(search.licences());
    for quality in Quality::ALL {
        add(search.weight(quality));
    }
    all
}

impl<'a> Search<'a> {
    pub(super) fn new(valid: &'a Valid, context: Context<'a>, base: Choices<'a>) -> Self {
        let spec = sizing_only(valid);
        Self { valid, context, base, spec, checked: RefCell::default() }
    }

    /// What each component would choose after a change.
    pub(super) fn choices(&self, change: &Change) -> Choices<'a> {
        let mut requirements = self.valid.requirements.clone();
        let mut context = match change {
            Change::Weight(quality, weight) => {
                let mut priorities = self.valid.priorities.clone();
                priorities.insert(*quality, *weight);
                self.context.with(requirements, &priorities)
            }
            other => {
                match other {
                    Change::Number(number, value) => number.set(&mut requirements, *value),
                    Change::Availability(availability) => requirements.availability = *availability,
                    Change::Deny(deny) => requirements.licences_deny.clone_from(deny),
                    Change::Weight(..) => {}
                }
                self.context.with(requirements, &self.valid.priorities)
            }
        };
        Component::ALL.map(|component| {
            let pick = pick(component, &context);
            context.settle(component, pick.in_force);
            pick.chosen
        })
    }

    /// Whether validation takes the change.
    fn valid_at(&self, change: &Change) -> bool {
        if let Some(known) = self.checked.borrow().get(change) {
            return *known;
        }
        let mut spec = self.spec.clone();
        write(change, &mut spec);
        let taken = validate(self.valid.id.clone(), &spec, Some(self.valid.defaults_version)).is_ok();
        self.checked.borrow_mut().insert(change.clone(), taken);
        taken
    }

    fn number(&self, number: Number) -> Vec<FlipPoint> {
        let now = number.of(&self.valid.requirements);
        let mut known: BTreeMap<u64, Choices<'a>> = BTreeMap::new();
        let grid = number.grid();
        let up: Vec<u64> = grid.iter().copied().filter(|v| now.is_some_and(|now| *v > now)).collect();
        let down: Vec<u64> = grid.iter().copied().rev().filter(|v| now.is_none_or(|now| *v < now)).collect();
        let mut choices =
            |value: u64| *known.entry(value).or_insert_with(|| self.choices(&Change::Number(number, value)));
        let point = |index: usize| {
            let mut hit = |values: &[u64]| {
                let at = values.iter().position(|v| choices(*v)[index] != self.base[index])?;
                let short = if at == 0 { now } else { Some(values[at - 1]) };
                Some((at, short, values[at]))
            };
            let (above, below) = (hit(&up), hit(&down));
            let nearest = match (above, below) {
                (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
                (a, b) => a.or(b),
            };
            let found = nearest.and_then(|(_, short, hit)| {
                let (short, hit) = close_in(number, short, hit, |v| choices(v)[index] != self.base[index]);
                self.valid_at(&Change::Number(number, hit))
                    .then(|| (short, hit, choices(hit)[index].map(str::to_owned)))
            });
            let from = now.map_or_else(|| "none".to_owned(), |now| number.show(now));
            match found {
                Some((short, hit, choice)) => FlipPoint {
                    input: number.path().to_owned(),
                    from,
                    to: Some(number.show(hit)),
                    step: number.show(short.map_or(hit, |short| short.abs_diff(hit))),
                    choice,
                },
                None => {
                    let step = number.show(number.unit(now.unwrap_or(DAY)));
                    FlipPoint { input: number.path().to_owned(), from, to: None, step, choice: None }
                }
            }
        };
        (0..COMPONENTS).map(point).collect()
    }

    /// One change out of a list, each a step of its own.
    fn first_of(&self, path: &str, from: &str, step: &str, list: &[(Change, String)]) -> Vec<FlipPoint> {
        let tried: Vec<Choices<'a>> = list.iter().map(|(change, _)| self.choices(change)).collect();
        let point = |index: usize| {
            let flips = |i: &usize| {
                let (change, text) = &list[*i];
                tried[*i][index] != self.base[index] && text.len() <= LONGEST && self.valid_at(change)
            };
            let found = (0..list.len()).find(flips);
            FlipPoint {
                input: path.to_owned(),
                from: if from.len() <= LONGEST { from.to_owned() } else { "a long list".to_owned() },
                to: found.map(|i| list[i].1.clone()),
                step: step.to_owned(),
                choice: found.and_then(|i| tried[i][index].map(str::to_owned)),
            }
        };
        (0..COMPONENTS).map(point).collect()
    }

    fn availability(&self) -> Vec<FlipPoint> {
        let now = self.valid.requirements.availability;
        let other = match now {
            Availability::Single => Availability::Replicated,
            Availability::Replicated => Availability::Single,
        };
        let list = [(Change::Availability(other), other.as_str().to_owned())];
        self.first_of("requirements.availability", now.as_str(), "the other value", &list)
    }

    fn licences(&self) -> Vec<FlipPoint> {
        let now = &self.valid.requirements.licences_deny;
        let known: BTreeSet<&str> = Component::ALL
            .into_iter()
            .flat_map(|c| self.context.catalog.options(c))
            .map(|o| o.licence.as_str())
            .filter(|l| *l != "none")
            .collect();
        let more = known.into_iter().filter(|l| !now.iter().any(|d| licence_denied(l, d))).map(|licence| {
            let mut deny = now.clone();
            deny.insert(licence.to_owned());
            deny
        });
        let fewer = now.iter().map(|licence| {
            let mut deny = now.clone();
            deny.remove(licence);
            deny
        });
        let list: Vec<_> =
            more.chain(fewer).map(|deny| (Change::Deny(deny.clone()), show_list(&deny))).collect();
        self.first_of("requirements.licences.deny", &show_list(now), "one licence", &list)
    }

    fn weight(&self, quality: Quality) -> Vec<FlipPoint> {
        let now = self.valid.priorities.get(&quality).copied().unwrap_or(0);
        let tried: BTreeMap<u8, Choices<'a>> =
            (0..=5).filter(|w| *w != now).map(|w| (w, self.choices(&Change::Weight(quality, w)))).collect();
        let point = |index: usize| {
            let flips = |w: &u8| tried[w][index] != self.base[index];
            let up = (now + 1..=5).find(flips);
            let down = (0..now).rev().find(flips);
            let nearest = match (up, down) {
                (Some(u), Some(d)) => Some(if u - now <= now - d { u } else { d }),
                (u, d) => u.or(d),
            };
            let found = nearest.filter(|w| self.valid_at(&Change::Weight(quality, *w)));
            FlipPoint {
                input: format!("priorities.{}", quality.id()),
                from: now.to_string(),
                to: found.map(|w| w.to_string()),
                step: "1".to_owned(),
                choice: found.and_then(|w| tried[&w][index].map(str::to_owned)),
            }
        };
        (0..COMPONENTS).map(point).collect()
    }
}

/// Writes a change into a spec, as a person would.
fn write(change: &Change, spec: &mut ObservabilityStackSpec) {
    let r = &mut spec.requirements;
    match change {
        Change::Number(number, value) => {
            let text = Some(number.show(*value));
            match number {
                Number::ActiveSeries => r.active_series = text,
                Number::ScrapeInterval => r.scrape_interval = text,
                Number::Retention => r.retention = text,
                Number::RecoveryTime => r.recovery_time = text,
                Number::Memory => r.budget.memory = text,
                Number::Storage => r.budget.storage = text,
                Number::MonthlyCost => r.budget.monthly_cost = text,
            }
        }
        Change::Availability(availability) => r.availability = Some(*availability),
        Change::Deny(deny) => r.licences.deny = deny.iter().cloned().collect(),
        Change::Weight(quality, weight) => {
            let p = &mut spec.priorities;
            let slot = match quality {
                Quality::Cost => &mut p.cost,
                Quality::Reliability => &mut p.reliability,
                Quality::PerformanceEfficiency => &mut p.performance_efficiency,
                Quality::Compatibility => &mut p.compatibility,
                Quality::Maintainability => &mut p.maintainability,
                Quality::Security => &mut p.security,
                Quality::Flexibility => &mut p.flexibility,
            };
            *slot = Some(*weight);
        }
    }
}

/// Closes in on the flip between a value that keeps the choice and one that does not.
fn close_in(
    number: Number,
    short: Option<u64>,
    mut hit: u64,
    mut flips: impl FnMut(u64) -> bool,
) -> (Option<u64>, u64) {
    let Some(mut short) = short else { return (None, hit) };
    let unit = number.unit(short.max(hit));
    loop {
        let (low, high) = (short.min(hit), short.max(hit));
        let middle = (low + (high - low) / 2) / unit * unit;
        let next = if middle > low { middle } else { middle + unit };
        if next <= low || next >= high {
            return (Some(short), hit);
        }
        if flips(next) { hit = next } else { short = next }
    }
}

fn show_list(licences: &BTreeSet<String>) -> String {
    serde_json::to_string(licences).unwrap_or_default()
}
