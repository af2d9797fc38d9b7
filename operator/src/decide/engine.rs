//! The engine: one component after the other, each seeing the outcomes and the spending before it.
//! Requirements eliminate first, a weighted sum with ranges ranks what is left, overlapping totals are a tie.

use std::collections::BTreeMap;
use std::rc::Rc;

use obstack_crds::Component;
use obstack_crds::record::Range;

use super::catalog::{Api, Ask, Catalog, OptionEntry};
use super::eliminate::{Cause, causes, filled, left, structurally};
use super::measured::Calibration;
use super::model::{Load, Needs, add, middle, times};
use super::{DecideFacts, Previous};
use crate::validate::{Quality, Requirements, Valid};

/// Totals closer than this are equal: far below what any range claims to know.
const EPSILON: f64 = 1e-6;
const COMPONENTS: usize = Component::ALL.len();
const QUALITIES: usize = Quality::ALL.len();

/// Ranges by quality, in the order of [`Quality::ALL`].
pub(super) type Scores = [Range; QUALITIES];

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
#[derive(Clone, Debug, Default)]
struct Outcome<'a> {
    in_force: Option<&'a str>,
    broken: Vec<&'a str>,
}

/// What is known of an option under a load, whatever was decided before it.
#[derive(Clone, Debug)]
struct Estimate<'a> {
    option: &'a OptionEntry,
    copies: u32,
    /// What was measured of it.
    measured: Calibration,
    needs: Needs,
    /// The same by the catalog's figures alone.
    by_catalog: Needs,
    scores: Scores,
}

/// Every option's estimate under one load: worked out once, and shared by all decisions that only differ in
/// weights, budgets, licences or the time of recovery.
#[derive(Clone, Debug)]
pub(super) struct Sheet<'a> {
    pub(super) load: Load,
    /// What the machines of an option are priced with, by GiB of memory, GiB of disk and core.
    pub(super) prices: [f64; 3],
    /// What an option scores that costs nothing.
    free: Range,
    /// By component, in its order and in that of the catalog.
    estimates: [Vec<Estimate<'a>>; COMPONENTS],
}

impl<'a> Sheet<'a> {
    fn new(
        valid: &Valid,
        facts: &DecideFacts,
        previous: &Previous,
        catalog: &'a Catalog,
        load: Load,
    ) -> Self {
        let middle = |f: &super::catalog::Figure| (f.low * f.high).sqrt();
        let prices = [&catalog.prices.memory, &catalog.prices.storage, &catalog.prices.cpu].map(middle);
        let estimate = |component: Component, option: &'a OptionEntry| {
            let score = |q| option.scores.get(&q).map_or_else(Range::default, |s| s.range());
            Estimate {
                option,
                copies: 0,
                measured: Calibration::of(component, &option.id, facts.measured.as_ref(), previous, catalog),
                needs: Needs::default(),
                by_catalog: Needs::default(),
                scores: Quality::ALL.map(score),
            }
        };
        let estimates = Component::ALL.map(|c| catalog.options(c).iter().map(|o| estimate(c, o)).collect());
        let free = cost_score(catalog, Range::default());
        Self { load, prices, free, estimates }.under(valid, catalog, load)
    }

    /// The same options under another load.
    fn under(&self, valid: &Valid, catalog: &Catalog, load: Load) -> Self {
        let mut sheet = Self { load, ..self.clone() };
        for (component, estimates) in Component::ALL.into_iter().zip(&mut sheet.estimates) {
            for e in estimates {
                e.copies = copies(component, e.option, valid, &load);
                let needs_by = |measured: &Calibration| {
                    Needs::of(&e.option.models, &load, f64::from(e.copies), measured)
                };
                e.by_catalog = needs_by(&Calibration::default());
                e.needs = needs_by(&e.measured);
                e.scores[COST] = cost_score(catalog, e.needs.cost(sheet.prices));
            }
        }
        sheet
    }

    fn of(&self, component: Component) -> &[Estimate<'a>] {
        &self.estimates[component as usize]
    }

    /// What an option needs and scores after the outcomes before it: nothing more where one of these fills it.
    fn after(&self, estimate: &Estimate<'a>, context: &Context<'a>) -> (Needs, Scores) {
        let (mut needs, mut scores) = (estimate.needs, estimate.scores);
        if filled(estimate.option, context) {
            needs = Needs::default();
            scores[COST] = self.free;
        }
        (needs, scores)
    }

    /// What an option needs after the outcomes before it, by the catalog's figures alone.
    fn by_catalog(&self, estimate: &Estimate<'a>, context: &Context<'a>) -> Needs {
        if filled(estimate.option, context) { Needs::default() } else { estimate.by_catalog }
    }
}

/// Place of the cost in [`Quality::ALL`].
const COST: usize = 0;
const _: () = assert!(matches!(Quality::ALL[COST], Quality::Cost));

/// All that a decision depends on.
pub(super) struct Context<'a> {
    pub(super) valid: &'a Valid,
    /// The requirements to decide by: the stack's own, or with one of them changed.
    pub(super) requirements: Requirements,
    /// The weights to decide by, in the order of [`Quality::ALL`].
    pub(super) weights: [f64; QUALITIES],
    pub(super) facts: &'a DecideFacts,
    pub(super) previous: &'a Previous,
    pub(super) catalog: &'a Catalog,
    pub(super) sheet: Rc<Sheet<'a>>,
    pub(super) spent: Spent,
    /// The same by the catalog's figures alone: what is deployed follows no measurement.
    pub(super) spent_by_catalog: Spent,
    outcomes: [Outcome<'a>; COMPONENTS],
}

impl<'a> Context<'a> {
    pub(super) fn new(
        valid: &'a Valid,
        facts: &'a DecideFacts,
        previous: &'a Previous,
        catalog: &'a Catalog,
    ) -> Self {
        let sheet =
            Rc::new(Sheet::new(valid, facts, previous, catalog, Load::of(&valid.requirements, catalog)));
        Self {
            valid,
            requirements: valid.requirements.clone(),
            weights: weights(&valid.priorities),
            facts,
            previous,
            catalog,
            sheet,
            spent: Spent::default(),
            spent_by_catalog: Spent::default(),
            outcomes: Default::default(),
        }
    }

    /// The same stack with other requirements and weights, before anything is decided.
    pub(super) fn with(&self, requirements: Requirements, priorities: &BTreeMap<Quality, u8>) -> Self {
        let load = Load::of(&requirements, self.catalog);
        let sheet = if load == self.sheet.load {
            Rc::clone(&self.sheet)
        } else {
            Rc::new(self.sheet.under(self.valid, self.catalog, load))
        };
        Self {
            requirements,
            weights: weights(priorities),
            sheet,
            spent: Spent::default(),
            spent_by_catalog: Spent::default(),
            outcomes: Default::default(),
            ..*self
        }
    }

    /// The option in force of a component decided before.
    pub(super) fn in_force(&self, component: Component) -> Option<&'a str> {
        self.outcomes[component as usize].in_force
    }

    /// Requirements that the option in force of a component decided before breaks.
    pub(super) fn broken(&self, component: Component) -> &[&'a str] {
        &self.outcomes[component as usize].broken
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
            Ask::Delivery => self.valid.overrides.contains_key(&Component::Delivery),
        }
    }

    /// Takes the outcome of a component up, for those after it.
    pub(super) fn settle(&mut self, component: Component, in_force: Option<&'a str>) {
        let mut broken = Vec::new();
        let estimate = in_force.and_then(|id| self.sheet.of(component).iter().find(|e| e.option.id == id));
        if let Some(estimate) = estimate {
            let (needs, _) = self.sheet.after(estimate, self);
            if !left(estimate.option, &needs, self) {
                broken = causes(estimate.option, &needs, self).iter().map(Cause::requirement).collect();
            }
            let by_catalog = self.sheet.by_catalog(estimate, self);
            self.spent.take(&needs);
            self.spent_by_catalog.take(&by_catalog);
        }
        self.outcomes[component as usize] = Outcome { in_force, broken };
    }
}

/// Copies of an option: the spec's `replicas` where it says them, else by availability.
fn copies(component: Component, option: &OptionEntry, valid: &Valid, load: &Load) -> u32 {
    let spec = &valid.spec;
    let written = match component {
        Component::MetricsStore => spec.metrics.replicas,
        Component::Alerting => spec.alerting.replicas,
        Component::Dashboards => spec.dashboards.replicas,
        _ => None,
    };
    match written.and_then(|n| u32::try_from(n).ok()).filter(|_| option.replicas_knob) {
        Some(copies) => copies,
        None if load.replicated => option.copies.replicated,
        None => option.copies.single,
    }
}

/// Weights in the order of [`Quality::ALL`]. Where all are 0, all are the same.
fn weights(priorities: &BTreeMap<Quality, u8>) -> [f64; QUALITIES] {
    let weights = Quality::ALL.map(|q| f64::from(priorities.get(&q).copied().unwrap_or(0)));
    if weights.iter().all(|w| *w == 0.0) { weights.map(|_| 1.0) } else { weights }
}

/// The weighted sum of scores, over the sum of the weights.
fn total(scores: &Scores, weights: &[f64; QUALITIES]) -> Range {
    let sum = scores.iter().zip(weights).fold(Range::default(), |sum, (s, w)| add(sum, times(*s, *w)));
    times(sum, 1.0 / weights.iter().sum::<f64>())
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
    pub(super) scores: Scores,
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

/// What is chosen for a component.
#[derive(Clone, Debug)]
pub(super) struct Pick<'a> {
    /// What the engine chooses.
    pub(super) engine: Option<&'a str>,
    /// What is chosen: a person's word, else the engine's choice.
    pub(super) chosen: Option<&'a str>,
    pub(super) by_person: bool,
    pub(super) in_force: Option<&'a str>,
    pub(super) settled: Option<Settled>,
    /// Options passed over, as what they need of the cluster could not be read.
    pub(super) passed_over: Vec<&'a str>,
}

/// What was found for a component: the pick, and all that led to it.
#[derive(Clone, Debug)]
pub(super) struct Verdict<'a> {
    /// Every option of the catalog, in its order.
    pub(super) candidates: Vec<Candidate<'a>>,
    pick: Pick<'a>,
}

impl<'a> std::ops::Deref for Verdict<'a> {
    type Target = Pick<'a>;

    fn deref(&self) -> &Self::Target {
        &self.pick
    }
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

fn candidate<'a>(estimate: &Estimate<'a>, context: &Context<'a>) -> Candidate<'a> {
    let option = estimate.option;
    let (needs, scores) = context.sheet.after(estimate, context);
    let by_catalog = context.sheet.by_catalog(estimate, context);
    let measured = estimate.measured;
    let judged = |q: Quality| option.scores.get(&q).is_some_and(|s| s.judgement);
    let (mut sourced, mut rest) = (0.0, 0.0);
    for ((quality, weight), score) in Quality::ALL.into_iter().zip(context.weights).zip(scores) {
        if !judged(quality) {
            sourced += weight * middle(score);
            rest += weight;
        }
    }
    let sourced = if rest == 0.0 { 0.0 } else { sourced / rest };
    let total = total(&scores, &context.weights);
    let causes = causes(option, &needs, context);
    Candidate { option, copies: estimate.copies, measured, needs, by_catalog, causes, scores, total, sourced }
}

/// Decides one component, and keeps all that led to it.
pub(super) fn decide_one<'a>(component: Component, context: &Context<'a>) -> Verdict<'a> {
    let candidates = context.sheet.of(component).iter().map(|e| candidate(e, context)).collect();
    Verdict { candidates, pick: pick(component, context) }
}

/// An option that nothing rules out.
#[derive(Clone, Copy, Debug)]
struct Standing<'a> {
    option: &'a OptionEntry,
    total: Range,
}

/// Decides one component. Nothing is kept but the choice: flip points ask for it some hundred times.
pub(super) fn pick<'a>(component: Component, context: &Context<'a>) -> Pick<'a> {
    let mut standing = Vec::with_capacity(context.sheet.of(component).len());
    for estimate in context.sheet.of(component) {
        let (needs, scores) = context.sheet.after(estimate, context);
        if left(estimate.option, &needs, context) {
            standing.push(Standing { option: estimate.option, total: total(&scores, &context.weights) });
        }
    }

    // What is not known changes nothing: while the cluster's APIs cannot be read, no option that needs one
    // displaces a previous choice that is still left.
    let previous = context.previous.get(component).map(|p| p.option.as_str());
    let stays = previous.is_some_and(|p| standing.iter().any(|s| s.option.id == p));
    let unread = |o: &OptionEntry| {
        stays
            && o.needs_api.is_some_and(|api| context.serves(api).is_none())
            && previous.is_some_and(|p| p != o.id)
    };
    let mut passed_over = Vec::new();
    standing.retain(|s| {
        let keep = !unread(s.option);
        if !keep {
            passed_over.push(s.option.id.as_str());
        }
        keep
    });

    let (engine, settled) = choose(&standing, previous);
    let person = context.valid.overrides.get(&component).map(|o| o.choose.as_str());
    let chosen = person.or(engine);
    let in_force = if person.is_some() { chosen } else { in_force(chosen, context, component) };
    Pick { engine, chosen, by_person: person.is_some(), in_force, settled, passed_over }
}

/// The best of what is left, and how a tie was settled.
fn choose<'a>(left: &[Standing<'a>], previous: Option<&str>) -> (Option<&'a str>, Option<Settled>) {
    let Some(best) = left.iter().reduce(|best, c| {
        // The first of equals stays: the catalog's order.
        if middle(c.total) > middle(best.total) + EPSILON { c } else { best }
    }) else {
        return (None, None);
    };
    let tied = || left.iter().filter(|c| overlap(c.total, best.total));
    if tied().count() == 1 {
        return (Some(&best.option.id), None);
    }
    if let Some(stays) = tied().find(|c| previous == Some(c.option.id.as_str())) {
        return (Some(&stays.option.id), Some(Settled::Previous));
    }
    let light = tied().reduce(|light, c| {
        let burden = c.option.burden.cmp(&light.option.burden);
        let better = middle(c.total) > middle(light.total) + EPSILON;
        if burden.is_lt() || burden.is_eq() && better { c } else { light }
    });
    (light.map(|c| c.option.id.as_str()), Some(Settled::Burden))
}

/// What runs: the choice, or the previous one where the move needs a person's word. By itself a stack moves
/// only between options that hold no data, and only for a cause that people or the cluster gave, or under
/// the catalog that the previous choice was made with.
fn in_force<'a>(chosen: Option<&'a str>, context: &Context<'a>, component: Component) -> Option<&'a str> {
    let Some(previous) = context.previous.get(component) else {
        return chosen;
    };
    let stays = Some(previous.option.as_str());
    let Some(chosen) = chosen.filter(|chosen| *chosen != previous.option) else {
        return stays;
    };
    let Some(old) = context.sheet.of(component).iter().find(|e| e.option.id == previous.option) else {
        return stays;
    };
    let asked_for = || {
        let (needs, _) = context.sheet.after(old, context);
        previous.catalog == context.catalog.version || structurally(old.option, &needs, context)
    };
    if !old.option.stateful && asked_for() { Some(chosen) } else { stays }
}
