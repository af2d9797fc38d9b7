//! The engine: one component after the other, each seeing the outcomes and the spending before it.
//! Requirements eliminate first, a weighted sum with ranges ranks what is left, overlapping totals are a tie.

use std::collections::BTreeMap;

use obstack_crds::Component;
use obstack_crds::record::Range;

use super::catalog::{Api, Ask, Catalog, OptionEntry};
use super::eliminate::{Cause, causes, filled};
use super::measured::Calibration;
use super::model::{Load, Needs, add, middle, times};
use super::{DecideFacts, Previous};
use crate::validate::{Quality, Requirements, Valid};

/// Totals closer than this are equal: far below what any range claims to know.
const EPSILON: f64 = 1e-6;

/// What has been spent by the components decided before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spent {
    pub(super) memory: Range,
    pub(super) storage: Range,
    pub(super) monthly_cost: Range,
}

impl Spent {
    fn take(&mut self, needs: &Needs) {
        self.memory = add(self.memory, needs.memory);
        self.storage = add(self.storage, needs.storage);
        self.monthly_cost = add(self.monthly_cost, needs.monthly_cost);
    }
}

/// The outcome of a component, as the later ones see it.
#[derive(Clone, Debug)]
struct Outcome {
    in_force: Option<String>,
    broken: Vec<String>,
}

/// All that a decision depends on.
pub(super) struct Context<'a> {
    pub(super) valid: &'a Valid,
    /// The requirements to decide by: the stack's own, or with one of them changed.
    pub(super) requirements: Requirements,
    /// The weights to decide by, in the order of [`Quality::ALL`].
    weights: [f64; Quality::ALL.len()],
    /// What the machines of an option are priced with, by GiB of memory, GiB of disk and core.
    prices: [f64; 3],
    pub(super) facts: &'a DecideFacts,
    pub(super) previous: &'a Previous,
    pub(super) catalog: &'a Catalog,
    pub(super) load: Load,
    pub(super) spent: Spent,
    /// The same by the catalog's figures alone: what is deployed follows no measurement.
    pub(super) spent_by_catalog: Spent,
    outcomes: BTreeMap<Component, Outcome>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        valid: &'a Valid,
        facts: &'a DecideFacts,
        previous: &'a Previous,
        catalog: &'a Catalog,
    ) -> Self {
        Self::with(valid, valid.requirements.clone(), &valid.priorities, facts, previous, catalog)
    }

    /// The same stack with other requirements and weights.
    pub(super) fn with(
        valid: &'a Valid,
        requirements: Requirements,
        priorities: &BTreeMap<Quality, u8>,
        facts: &'a DecideFacts,
        previous: &'a Previous,
        catalog: &'a Catalog,
    ) -> Self {
        let load = Load::of(&requirements);
        let weight = |q| f64::from(priorities.get(&q).copied().unwrap_or(0));
        let weights = Quality::ALL.map(weight);
        // Where all weights are 0, all are the same.
        let weights = if weights.iter().all(|w| *w == 0.0) { weights.map(|_| 1.0) } else { weights };
        let middle = |f: &super::catalog::Figure| (f.low * f.high).sqrt();
        let prices = [&catalog.prices.memory, &catalog.prices.storage, &catalog.prices.cpu].map(middle);
        let (spent, spent_by_catalog, outcomes) = (Spent::default(), Spent::default(), BTreeMap::new());
        Self {
            valid,
            requirements,
            weights,
            prices,
            facts,
            previous,
            catalog,
            load,
            spent,
            spent_by_catalog,
            outcomes,
        }
    }

    /// The option in force of a component decided before.
    pub(super) fn in_force(&self, component: Component) -> Option<&str> {
        self.outcomes.get(&component).and_then(|o| o.in_force.as_deref())
    }

    /// Requirements that the option in force of a component decided before breaks.
    pub(super) fn broken(&self, component: Component) -> impl Iterator<Item = &str> {
        self.outcomes.get(&component).into_iter().flat_map(|o| o.broken.iter().map(String::as_str))
    }

    /// Whether the cluster serves an API; none where that is not known.
    pub(super) fn serves(&self, api: Api) -> Option<bool> {
        self.facts.cluster.known().map(|cluster| match api {
            Api::HttpRoute => cluster.http_route,
            Api::PrometheusOperator => cluster.prometheus_operator,
        })
    }

    /// Whether the stack asks for something.
    pub(super) fn asks(&self, ask: Ask) -> bool {
        let spec = &self.valid.spec;
        let receivers = &spec.alerting.receivers;
        match ask {
            Ask::Host => spec.exposure.host.is_some(),
            Ask::ClassName => spec.exposure.class_name.is_some(),
            Ask::Gateway => spec.exposure.gateway.is_some(),
            Ask::Receivers => !receivers.is_empty(),
            Ask::SlackReceiver => receivers.iter().any(|r| !r.slack.is_empty()),
            Ask::WebhookReceiver => receivers.iter().any(|r| !r.webhook.is_empty()),
        }
    }

    /// Copies of an option: the spec's `replicas` where it says them, else by availability.
    pub(super) fn copies(&self, component: Component, option: &OptionEntry) -> u32 {
        let spec = &self.valid.spec;
        let written = match component {
            Component::MetricsStore => spec.metrics.replicas,
            Component::Alerting => spec.alerting.replicas,
            Component::Dashboards => spec.dashboards.replicas,
            _ => None,
        };
        match written.and_then(|n| u32::try_from(n).ok()).filter(|_| option.replicas_knob) {
            Some(copies) => copies,
            None if self.load.replicated => option.copies.replicated,
            None => option.copies.single,
        }
    }

    /// Takes the outcome of a component up, for those after it.
    pub(super) fn settle(&mut self, component: Component, verdict: &Verdict<'a>) {
        let candidate = verdict.in_force.as_deref().and_then(|id| verdict.candidate(id));
        if let Some(candidate) = candidate {
            self.spent.take(&candidate.needs);
            self.spent_by_catalog.take(&candidate.by_catalog);
        }
        let broken = candidate
            .map(|c| c.causes.iter().map(|cause| cause.requirement().to_owned()).collect())
            .unwrap_or_default();
        self.outcomes.insert(component, Outcome { in_force: verdict.in_force.clone(), broken });
    }
}

/// An option with all that is known of it here.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) option: &'a OptionEntry,
    pub(super) copies: u32,
    /// What was measured of it.
    pub(super) measured: Calibration,
    pub(super) needs: Needs,
    /// The same by the catalog's figures alone.
    pub(super) by_catalog: Needs,
    pub(super) causes: Vec<Cause<'a>>,
    /// In the order of [`Quality::ALL`].
    pub(super) scores: [Range; Quality::ALL.len()],
    pub(super) total: Range,
    /// The total's middle with our judgements left out.
    sourced: f64,
}

/// How a tie was settled.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Settled {
    /// The previous choice stays.
    Previous,
    /// The lowest operating burden; where that is the same, the higher middle, then the catalog's order.
    Burden,
}

/// What was found for a component.
#[derive(Clone, Debug)]
pub(super) struct Verdict<'a> {
    /// Every option of the catalog, in its order.
    pub(super) candidates: Vec<Candidate<'a>>,
    /// What the engine chooses.
    pub(super) engine: Option<&'a str>,
    /// What is chosen: a person's word, else the engine's choice.
    pub(super) chosen: Option<String>,
    pub(super) by_person: bool,
    pub(super) in_force: Option<String>,
    pub(super) settled: Option<Settled>,
    /// Options passed over, as what they need of the cluster could not be read.
    pub(super) passed_over: Vec<&'a str>,
}

impl<'a> Verdict<'a> {
    pub(super) fn candidate(&self, id: &str) -> Option<&Candidate<'a>> {
        self.candidates.iter().find(|c| c.option.id == id)
    }

    /// Options that were left, the choice of the engine first, the others by the middle of their totals.
    pub(super) fn ranking(&self) -> Vec<&Candidate<'a>> {
        let mut left: Vec<_> = self.candidates.iter().filter(|c| c.causes.is_empty()).collect();
        left.sort_by(|a, b| {
            let first = |c: &Candidate<'_>| Some(c.option.id.as_str()) != self.engine;
            first(a).cmp(&first(b)).then(middle(b.total).total_cmp(&middle(a.total)))
        });
        left
    }

    /// Whether an option's place against `against` turns on our judgements: without them it would change
    /// sides.
    pub(super) fn judged(&self, candidate: &Candidate<'_>, against: &Candidate<'_>) -> bool {
        let side = |a: f64, b: f64| {
            if (a - b).abs() < EPSILON {
                0
            } else if a > b {
                1
            } else {
                -1
            }
        };
        side(middle(candidate.total), middle(against.total)) != side(candidate.sourced, against.sourced)
    }
}

/// Whether two totals overlap.
pub(super) fn overlap(a: Range, b: Range) -> bool {
    a.low <= b.high + EPSILON && b.low <= a.high + EPSILON
}

fn cost_score(catalog: &Catalog, cost: Range) -> Range {
    let score = |usd: f64| {
        let tenfolds = (1.0 + usd / catalog.cost_score.unit_usd).log10();
        (100.0 - catalog.cost_score.points_per_tenfold * tenfolds).clamp(0.0, 100.0)
    };
    Range { low: score(cost.high), high: score(cost.low) }
}

fn candidate<'a>(component: Component, option: &'a OptionEntry, context: &Context<'a>) -> Candidate<'a> {
    let copies = context.copies(component, option);
    let measured = Calibration::of(
        component,
        &option.id,
        context.facts.measured.as_ref(),
        context.previous,
        context.catalog,
    );
    let filled = filled(option, context);
    let needs_by = |measured: &Calibration| {
        if filled {
            Needs::default()
        } else {
            Needs::of(&option.models, &context.load, f64::from(copies), measured)
        }
    };
    let by_catalog = needs_by(&Calibration::default());
    let needs = if measured == Calibration::default() { by_catalog } else { needs_by(&measured) };
    let cost = cost_score(context.catalog, needs.cost(context.prices));
    let scores = Quality::ALL.map(|q| match option.scores.get(&q) {
        Some(score) => Range { low: score.low, high: score.high },
        None => cost,
    });
    let judged = |q: Quality| option.scores.get(&q).is_some_and(|s| s.judgement);
    let (mut total, mut all, mut sourced, mut rest) = (Range::default(), 0.0, 0.0, 0.0);
    for ((quality, weight), score) in Quality::ALL.into_iter().zip(context.weights).zip(scores) {
        total = add(total, times(score, weight));
        all += weight;
        if !judged(quality) {
            sourced += weight * middle(score);
            rest += weight;
        }
    }
    let total = times(total, 1.0 / all);
    let sourced = if rest == 0.0 { 0.0 } else { sourced / rest };
    let causes = causes(option, &needs, context);
    Candidate { option, copies, measured, needs, by_catalog, causes, total, sourced, scores }
}

/// Decides one component.
pub(super) fn decide_one<'a>(component: Component, context: &Context<'a>) -> Verdict<'a> {
    let candidates: Vec<_> = context
        .catalog
        .options(component)
        .iter()
        .map(|option| candidate(component, option, context))
        .collect();
    let previous = context.previous.get(component);
    let still = previous.and_then(|p| candidates.iter().find(|c| c.option.id == p.option));

    // What is not known changes nothing: while the cluster's APIs cannot be read, no option that needs one
    // displaces a previous choice that is still left.
    let stays = still.is_some_and(|c| c.causes.is_empty());
    let unread = |c: &Candidate<'_>| {
        stays
            && c.option.needs_api.is_some_and(|api| context.serves(api).is_none())
            && previous.is_some_and(|p| p.option != c.option.id)
    };
    let left: Vec<&Candidate<'_>> = candidates.iter().filter(|c| c.causes.is_empty() && !unread(c)).collect();
    let passed_over = candidates
        .iter()
        .filter(|c| c.causes.is_empty() && unread(c))
        .map(|c| c.option.id.as_str())
        .collect();

    let (engine, settled) = choose(&left, previous.map(|p| p.option.as_str()));
    let person = context.valid.overrides.get(&component);
    let chosen = person.map(|o| o.choose.clone()).or_else(|| engine.map(str::to_owned));
    let in_force = if person.is_some() {
        chosen.clone()
    } else {
        in_force(chosen.as_deref(), context, component, &candidates)
    };
    Verdict { candidates, engine, chosen, by_person: person.is_some(), in_force, settled, passed_over }
}

/// The best of what is left, and how a tie was settled.
fn choose<'a>(left: &[&Candidate<'a>], previous: Option<&str>) -> (Option<&'a str>, Option<Settled>) {
    let Some(best) = left.iter().copied().reduce(|best, c| {
        // The first of equals stays: the catalog's order.
        if middle(c.total) > middle(best.total) + EPSILON { c } else { best }
    }) else {
        return (None, None);
    };
    let tied: Vec<_> = left.iter().copied().filter(|c| overlap(c.total, best.total)).collect();
    if tied.len() == 1 {
        return (Some(&best.option.id), None);
    }
    if let Some(stays) = tied.iter().find(|c| previous == Some(c.option.id.as_str())) {
        return (Some(&stays.option.id), Some(Settled::Previous));
    }
    let light = tied.into_iter().reduce(|light, c| {
        let burden = c.option.burden.cmp(&light.option.burden);
        let better = middle(c.total) > middle(light.total) + EPSILON;
        if burden.is_lt() || burden.is_eq() && better { c } else { light }
    });
    (light.map(|c| c.option.id.as_str()), Some(Settled::Burden))
}

/// What runs: the choice, or the previous one where the move needs a person's word. By itself a stack moves
/// only between options that hold no data, and only for a cause that people or the cluster gave, or under
/// the catalog that the previous choice was made with.
fn in_force(
    chosen: Option<&str>,
    context: &Context<'_>,
    component: Component,
    candidates: &[Candidate<'_>],
) -> Option<String> {
    let Some(previous) = context.previous.get(component) else {
        return chosen.map(str::to_owned);
    };
    let stays = Some(previous.option.clone());
    let Some(chosen) = chosen.filter(|chosen| *chosen != previous.option) else {
        return stays;
    };
    let Some(old) = candidates.iter().find(|c| c.option.id == previous.option) else {
        return stays;
    };
    let asked_for = old.causes.iter().any(Cause::structural) || previous.catalog == context.catalog.version;
    if !old.option.stateful && asked_for { Some(chosen.to_owned()) } else { stays }
}
