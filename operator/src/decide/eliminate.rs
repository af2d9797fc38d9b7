//! What rules an option out. Each requirement has a direction in which it is tighter; an option is ruled out
//! where even the favourable end of what is known of it breaks a requirement, so that tightening never brings
//! one back.

use std::ops::ControlFlow;

use obstack_crds::Component;
use obstack_crds::record::{Elimination, Range};

use super::catalog::{
    Api, Ask, Catalog, FilledBy, Limit, LimitOf, NotAfter, OptionEntry, Requires, licence_denied,
};
use super::engine::Context;
use super::model::{Needs, arithmetic, dollars};
use super::numbers;

/// Which budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Budget {
    Memory,
    Storage,
    MonthlyCost,
}

/// Why an option is ruled out, with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cause<'a> {
    Licence { denied: String },
    Limit { limit: &'a Limit, needs: Range },
    Recovery { needs: Range },
    Budget { budget: Budget, needs: Range, total: f64, spent: f64 },
    Needs(Ask),
    Excludes(Ask),
    Outcome { requires: &'a Requires, found: &'a str },
    NotAfter(&'a NotAfter),
    MissingApi(Api),
}

impl<'a> Cause<'a> {
    /// Whether the cause lies in what people wrote, in an earlier outcome or in the cluster, and not in a
    /// number of the catalog: only such a cause moves a running stack by itself.
    pub(super) fn structural(&self) -> bool {
        !matches!(self, Self::Limit { .. } | Self::Recovery { .. } | Self::Budget { .. })
    }

    /// Path of the requirement under `spec`, the component whose outcome it was, or `cluster`.
    pub(super) fn requirement(&self) -> &'a str {
        match self {
            Self::Licence { .. } => "requirements.licences.deny",
            Self::Limit { limit, .. } => &limit.requirement,
            Self::Recovery { .. } => "requirements.recoveryTime",
            Self::Budget { budget: Budget::Memory, .. } => "requirements.budget.memory",
            Self::Budget { budget: Budget::Storage, .. } => "requirements.budget.storage",
            Self::Budget { budget: Budget::MonthlyCost, .. } => "requirements.budget.monthlyCost",
            Self::Needs(ask) | Self::Excludes(ask) => ask.path(),
            Self::Outcome { requires, .. } => requires.component.id(),
            Self::NotAfter(after) => after.component.id(),
            Self::MissingApi(_) => "cluster",
        }
    }

    fn reason(&self, option: &OptionEntry, context: &Context<'_>) -> String {
        let r = &context.requirements;
        match self {
            Self::Licence { denied } => {
                format!("{} is licensed {}, and {denied} is denied.", option.title, option.licence)
            }
            Self::Limit { limit, needs } => {
                let asked = match limit.of {
                    LimitOf::ActiveSeries => format!("{} active series are asked for", r.active_series),
                    LimitOf::StoragePerReplica => format!(
                        "{} of samples of {} active series every {} need {} on each volume",
                        r.retention,
                        r.active_series,
                        r.scrape_interval,
                        numbers::range_in(*needs, &limit.unit)
                    ),
                    LimitOf::Retention => format!("{} of samples are asked for", r.retention),
                };
                let most = numbers::range_in(Range { low: limit.low, high: limit.high }, &limit.unit);
                format!(
                    "{asked}; known limit of {}: {most} {}.",
                    limit.text,
                    cite(context.catalog, &limit.source)
                )
            }
            Self::Recovery { needs } => format!(
                "After a restart it answers in {} ({}); {} are allowed.",
                numbers::range(*needs, numbers::seconds),
                arithmetic(&option.models.recovery, &context.sheet.load, 1),
                r.recovery_time
            ),
            Self::Budget { budget, needs, total, spent } => {
                let (what, write): (_, fn(f64) -> String) = match budget {
                    Budget::Memory => ("of memory", numbers::bytes),
                    Budget::Storage => ("of disk", numbers::bytes),
                    Budget::MonthlyCost => ("a month in bills", |v| format!("{} USD", numbers::two(v))),
                };
                let budget = match budget {
                    Budget::Memory => r.budget_memory.map(|b| b.to_string()).unwrap_or_default(),
                    Budget::Storage => r.budget_storage.map(|b| b.to_string()).unwrap_or_default(),
                    Budget::MonthlyCost => {
                        format!("{} USD", r.budget_monthly_cents.map(dollars).unwrap_or_default())
                    }
                };
                let left = if *spent > 0.0 {
                    format!(
                        "{} of the budget of {budget} are left after the components before it",
                        write((total - spent).max(0.0))
                    )
                } else {
                    format!("the budget is {budget}")
                };
                format!("It needs {} {what}; {left}.", numbers::range(*needs, write))
            }
            Self::Needs(ask) => format!("It needs spec.{}, which is left out.", ask.path()),
            Self::Excludes(ask) => format!("spec.{} is set, which it does not serve.", ask.path()),
            Self::Outcome { requires, found } => format!(
                "The {} is {found}, and it needs {}: {}.",
                requires.component.title(),
                numbers::list(&requires.any_of, "or"),
                requires.because
            ),
            Self::NotAfter(after) => format!(
                "The {} that was chosen breaks {}, so something else has to keep it.",
                after.component.title(),
                after.requirement
            ),
            Self::MissingApi(api) => format!("The cluster does not serve {}.", api.as_str()),
        }
    }

    /// The change that would lift it, as half a sentence.
    pub(super) fn relaxation(&self, context: &Context<'_>) -> String {
        match self {
            Self::Licence { denied } => format!("take {denied} off requirements.licences.deny"),
            Self::Limit { limit, needs } => match limit.of {
                LimitOf::ActiveSeries => {
                    format!("lower requirements.activeSeries to {}", numbers::count(limit.high))
                }
                LimitOf::Retention => {
                    format!("lower requirements.retention to {}d", (limit.high / 86_400.0).floor())
                }
                LimitOf::StoragePerReplica => {
                    let share = limit.high / needs.low;
                    let most = context.sheet.load.retention_seconds * share;
                    format!("lower requirements.retention to about {}", numbers::seconds(most))
                }
            },
            Self::Recovery { needs } => {
                format!("raise requirements.recoveryTime to {}s", needs.low.ceil())
            }
            Self::Budget { budget, needs, spent, .. } => match budget {
                Budget::Memory | Budget::Storage => {
                    let mi = ((needs.low + spent) / 1_048_576.0).ceil();
                    format!("raise {} to {mi}Mi", self.requirement())
                }
                Budget::MonthlyCost => {
                    format!("raise {} to {}", self.requirement(), (needs.low + spent).ceil())
                }
            },
            Self::Needs(ask) => format!("set {}", ask.path()),
            Self::Excludes(ask) => format!("leave out {}", ask.path()),
            Self::Outcome { requires, .. } => {
                format!(
                    "choose {} as the {}",
                    numbers::list(&requires.any_of, "or"),
                    requires.component.title()
                )
            }
            Self::NotAfter(after) => format!("choose another {}", after.component.title()),
            Self::MissingApi(api) => format!("install {} in the cluster", api.as_str()),
        }
    }

    pub(super) fn elimination(&self, option: &OptionEntry, context: &Context<'_>) -> Elimination {
        Elimination {
            option: option.id.clone(),
            requirement: self.requirement().to_owned(),
            reason: self.reason(option, context),
        }
    }
}

fn cite(catalog: &Catalog, source: &str) -> String {
    format!("[{}]", catalog.source(source))
}

/// Everything that rules an option out; none where it is left.
pub(super) fn causes<'a>(option: &'a OptionEntry, needs: &Needs, context: &Context<'a>) -> Vec<Cause<'a>> {
    let mut causes = Vec::new();
    let _all = visit(option, needs, context, &mut |cause| {
        causes.push(cause);
        ControlFlow::Continue(())
    });
    causes
}

/// Whether an option is left: nothing rules it out. It ends at the first cause.
pub(super) fn left(option: &OptionEntry, needs: &Needs, context: &Context<'_>) -> bool {
    visit(option, needs, context, &mut |_| ControlFlow::Break(())).is_continue()
}

/// Whether people, an earlier outcome or the cluster rule an option out.
pub(super) fn structurally(option: &OptionEntry, needs: &Needs, context: &Context<'_>) -> bool {
    let stop = |cause: Cause<'_>| {
        if cause.structural() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    visit(option, needs, context, &mut { stop }).is_break()
}

/// Shows each cause to `see`, until it breaks off: the one place that says what rules an option out.
fn visit<'a>(
    option: &'a OptionEntry,
    needs: &Needs,
    context: &Context<'a>,
    see: &mut dyn FnMut(Cause<'a>) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let r = &context.requirements;
    if let Some(denied) = r.licences_deny.iter().find(|d| licence_denied(&option.licence, d)) {
        see(Cause::Licence { denied: denied.clone() })?;
    }
    for limit in &option.limits {
        let needs = match limit.of {
            LimitOf::ActiveSeries => super::model::point(context.sheet.load.series),
            LimitOf::StoragePerReplica => needs.storage_per_copy,
            LimitOf::Retention => super::model::point(context.sheet.load.retention_seconds),
        };
        if needs.low > limit.high {
            see(Cause::Limit { limit, needs })?;
        }
    }
    if needs.recovery.low > r.recovery_time.as_secs_f64() {
        see(Cause::Recovery { needs: needs.recovery })?;
    }
    for (budget, needs, total, spent) in [
        (Budget::Memory, needs.memory, r.budget_memory.map(|b| b.as_f64()), context.spent.memory.low),
        (Budget::Storage, needs.storage, r.budget_storage.map(|b| b.as_f64()), context.spent.storage.low),
        (
            Budget::MonthlyCost,
            needs.monthly_cost,
            r.budget_monthly_cents.map(|c| c as f64 / 100.0),
            context.spent.monthly_cost.low,
        ),
    ] {
        // What needs nothing breaks no budget, even one that is used up already.
        if let Some(total) = total.filter(|total| needs.low > 0.0 && spent + needs.low > *total) {
            see(Cause::Budget { budget, needs, total, spent })?;
        }
    }
    for ask in option.needs.iter().filter(|ask| !context.asks(**ask)) {
        see(Cause::Needs(*ask))?;
    }
    for ask in option.excludes.iter().filter(|ask| context.asks(**ask)) {
        see(Cause::Excludes(*ask))?;
    }
    for requires in &option.requires {
        if let Some(found) = context.in_force(requires.component)
            && !requires.any_of.iter().any(|id| id == found)
        {
            see(Cause::Outcome { requires, found })?;
        }
    }
    if let Some(after) = &option.not_after
        && context.broken(after.component).contains(&after.requirement.as_str())
    {
        see(Cause::NotAfter(after))?;
    }
    if let Some(api) = option.needs_api
        && context.serves(api) == Some(false)
    {
        see(Cause::MissingApi(api))?;
    }
    ControlFlow::Continue(())
}

/// Whether an earlier outcome fills the option's component already.
pub(super) fn filled(option: &OptionEntry, context: &Context<'_>) -> bool {
    let is = |f: &FilledBy| context.in_force(f.component) == Some(f.option.as_str());
    option.filled_by.iter().any(is)
}

/// The smallest sets of changes that would leave an option, one sentence each.
pub(super) fn relaxations(
    component: Component,
    ruled_out: &[(&OptionEntry, &[Cause<'_>])],
    context: &Context<'_>,
) -> Vec<String> {
    let fewest = ruled_out.iter().map(|(_, causes)| causes.len()).min().unwrap_or(0);
    ruled_out
        .iter()
        .filter(|(_, causes)| causes.len() == fewest)
        .map(|(option, causes)| {
            let changes: Vec<String> = causes.iter().map(|c| c.relaxation(context)).collect();
            format!("For {} as the {}: {}.", option.id, component.title(), numbers::list(&changes, "and"))
        })
        .take(16)
        .collect()
}
