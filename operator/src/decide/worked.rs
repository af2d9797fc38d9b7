//! A plan with its arithmetic, as Markdown: every step from the requirements to the choice, with the numbers
//! that a reader needs to check it by hand.

use std::fmt::Write;

use obstack_crds::Component;
use obstack_crds::record::{ChosenBy, Range};

use super::engine::{Candidate, Context, Verdict, decide_one};
use super::madr::inline;
use super::model::{GIB, arithmetic, requirements};
use super::numbers;
use super::{Catalog, DecideFacts, Decision, Plan, Previous, decide};
use crate::validate::{Quality, Valid};

/// Writes to a string, which cannot fail.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

/// Decides a stack and shows every step. `title` and `about` stand at the top; both are Markdown.
pub fn render(
    (title, about): (&str, &str),
    valid: &Valid,
    facts: &DecideFacts,
    previous: &Previous,
    catalog: &Catalog,
) -> String {
    let plan = decide(valid, facts, previous, catalog);
    let mut out = String::new();
    line!(out, "# {title}");
    line!(out);
    if !about.is_empty() {
        line!(out, "{about}");
        line!(out);
    }
    asked_for(&mut out, valid, previous);
    chosen(&mut out, &plan, previous);
    let mut context = Context::new(valid, facts, previous, catalog);
    for (component, decision) in Component::ALL.into_iter().zip(&plan.decisions) {
        let verdict = decide_one(component, &context);
        Worked { out: &mut out, decision, verdict: &verdict, context: &context }.write();
        context.settle(component, verdict.in_force);
    }
    line!(out, "Catalog {}.", inline(&plan.catalog));
    out
}

fn asked_for(out: &mut String, valid: &Valid, previous: &Previous) {
    line!(out, "## What is asked for");
    line!(out);
    line!(out, "| requirement | in force |");
    line!(out, "|---|---|");
    for (path, value) in requirements(valid) {
        line!(out, "| {path} | {} |", inline(&value));
    }
    line!(out);
    let weights: Vec<String> =
        valid.priorities.iter().map(|(q, weight)| format!("{} {weight}", q.id())).collect();
    line!(out, "Weights: {}.", weights.join(", "));
    line!(out);
    let running: Vec<String> = Component::ALL
        .into_iter()
        .filter_map(|c| Some(format!("{} as the {}", inline(&previous.get(c)?.option), c.title())))
        .collect();
    if !running.is_empty() {
        line!(out, "Chosen before, and in force: {}.", numbers::list(&running, "and"));
        line!(out);
    }
}

fn chosen(out: &mut String, plan: &Plan, previous: &Previous) {
    line!(out, "## What was chosen");
    line!(out);
    line!(out, "| component | choice | because | deployed by this operator |");
    line!(out, "|---|---|---|---|");
    for d in &plan.decisions {
        let choice = d.chosen.as_deref().unwrap_or("nothing is left");
        let before = previous.get(d.component).map(|p| p.option.as_str());
        let because = match (&d.chosen, d.chosen_by, &d.tie) {
            (None, ..) => "every option is ruled out",
            (_, ChosenBy::Person, _) if d.violates.is_empty() => "a person chose it",
            (_, ChosenBy::Person, _) => "a person chose it, against a requirement",
            (Some(c), _, Some(_)) if before == Some(c) => "a tie: the previous choice stays, change nothing",
            (_, _, Some(_)) => "a tie: the least to look after",
            _ if d.ranking.len() == 1 => "the only one that is left",
            _ => "the highest total",
        };
        let deployed = if d.chosen.is_some() && d.deployable { "yes" } else { "no" };
        line!(out, "| {} | {} | {because} | {deployed} |", d.component.id(), inline(choice));
    }
    line!(out);
}

/// One component, step by step.
struct Worked<'a> {
    out: &'a mut String,
    decision: &'a Decision,
    verdict: &'a Verdict<'a>,
    context: &'a Context<'a>,
}

impl Worked<'_> {
    fn write(mut self) {
        let d = self.decision;
        let choice = d.chosen.as_deref().unwrap_or("nothing is left");
        line!(self.out, "## {}: {}", super::madr::capital(d.component.title()), inline(choice));
        line!(self.out);
        line!(self.out, "{}", inline(&d.statement));
        line!(self.out);
        self.ruled_out();
        let left = self.verdict.ranking();
        if !left.is_empty() {
            self.needs(&left);
            self.costs(&left);
            self.totals(&left);
        }
        self.settled(&left);
        self.flips();
        self.accepted();
    }

    fn ruled_out(&mut self) {
        let d = self.decision;
        if !d.eliminated.is_empty() {
            line!(self.out, "Ruled out:");
            line!(self.out);
            for e in &d.eliminated {
                line!(self.out, "* {} by `{}`: {}", inline(&e.option), e.requirement, inline(&e.reason));
            }
            line!(self.out);
        }
        if !d.relaxations.is_empty() {
            line!(self.out, "The smallest changes that would leave an option:");
            line!(self.out);
            for relaxation in &d.relaxations {
                line!(self.out, "* {}", inline(relaxation));
            }
            line!(self.out);
        }
    }

    /// The models of what is left, each as a sum.
    fn needs(&mut self, left: &[&Candidate<'_>]) {
        let load = &self.context.sheet.load;
        let mut rows = Vec::new();
        for c in left {
            // What an earlier outcome fills needs nothing more, whatever its model says.
            if c.needs.memory.high == 0.0 && c.needs.storage.high == 0.0 {
                continue;
            }
            let models = &c.option.models;
            for (name, terms, copies) in [
                ("memory", &models.memory, c.copies),
                ("disk", &models.storage, c.copies),
                ("cores", &models.cpu, c.copies),
                ("bills", &models.monthly_cost, c.copies),
                ("after a restart", &models.recovery, 1),
            ] {
                if !terms.is_empty() {
                    let sum = arithmetic(terms, load, copies);
                    rows.push(format!("* {}, {name}: {}", inline(&c.option.id), inline(&sum)));
                }
            }
        }
        if !rows.is_empty() {
            line!(self.out, "What is left would need, all copies together:");
            line!(self.out);
            line!(self.out, "{}", rows.join("\n"));
            line!(self.out);
        }
    }

    fn costs(&mut self, left: &[&Candidate<'_>]) {
        if left.iter().all(|c| c.needs.cost(self.context.sheet.prices).high == 0.0) {
            line!(self.out, "What is left needs no machine and sends no bill: the score of cost is 100.");
            line!(self.out);
            return;
        }
        let [memory, disk, cpu] = self.context.sheet.prices;
        let score = &self.context.catalog.cost_score;
        let (points, unit) = (score.points_per_tenfold, score.unit_usd);
        line!(
            self.out,
            "Cost: USD a month = memory in GiB x {} + disk in GiB x {} + cores x {} + bills, and its score is \
             100 - {points} x log10(1 + USD / {unit}), not below 0.",
            four(memory),
            four(disk),
            four(cpu)
        );
        line!(self.out);
        line!(
            self.out,
            "| option | end | memory GiB | disk GiB | cores | bills | USD a month | cost score |"
        );
        line!(self.out, "|---|---|---|---|---|---|---|---|");
        for c in left {
            let n = &c.needs;
            let cost = n.cost(self.context.sheet.prices);
            // The cheap end scores high.
            for (end, at, points) in
                [("low", low as fn(Range) -> f64, c.scores[0].high), ("high", high, c.scores[0].low)]
            {
                let cells =
                    [at(n.memory) / GIB, at(n.storage) / GIB, at(n.cpu), at(n.monthly_cost), at(cost)];
                let cells = cells.map(four).join(" | ");
                line!(self.out, "| {} | {end} | {cells} | {} |", inline(&c.option.id), decimals(points));
            }
        }
        line!(self.out);
    }

    fn totals(&mut self, left: &[&Candidate<'_>]) {
        let weights = self.context.weights;
        let all: f64 = weights.iter().sum();
        let head: Vec<String> =
            Quality::ALL.iter().zip(weights).map(|(q, w)| format!("{} x {w}", q.id())).collect();
        line!(self.out, "Scores of 0 to 100, each times its weight; the total is the sum over {all}:");
        line!(self.out);
        line!(self.out, "| option | end | {} | sum | total |", head.join(" | "));
        line!(self.out, "|---|---|{}---|---|", "---|".repeat(head.len()));
        for c in left {
            for (end, at) in [("low", low as fn(Range) -> f64), ("high", high)] {
                let cells: Vec<String> = c.scores.iter().map(|s| decimals(at(*s))).collect();
                let total = at(c.total);
                line!(
                    self.out,
                    "| {} | {end} | {} | {} | {} |",
                    inline(&c.option.id),
                    cells.join(" | "),
                    decimals(total * all),
                    decimals(total)
                );
            }
        }
        line!(self.out);
    }

    fn settled(&mut self, left: &[&Candidate<'_>]) {
        let d = self.decision;
        match (&d.tie, &d.because) {
            (_, Some(because)) => {
                line!(self.out, "A person decided, because \"{}\".", inline(because));
                if let Some(engine) = &d.engine_would_choose {
                    line!(self.out, "The engine would have chosen {}.", inline(engine));
                }
                for v in &d.violates {
                    line!(self.out, "It breaks `{}`.", inline(&v.requirement));
                }
            }
            (Some(tie), None) => {
                line!(self.out, "{}", inline(tie));
            }
            (None, None) if left.is_empty() => {
                let stays = match &d.in_force {
                    Some(runs) => format!("{} runs and stays", inline(runs)),
                    None => "nothing runs".to_owned(),
                };
                line!(self.out, "Nothing is left: {stays} until a requirement is relaxed.");
            }
            (None, None) if left.len() == 1 => {
                line!(self.out, "Nothing else is left.");
            }
            (None, None) => {
                line!(self.out, "No other total reaches the low end of the first: it is chosen.");
            }
        }
        if d.chosen.is_some() && d.in_force != d.chosen {
            let runs = d.in_force.as_deref().unwrap_or("nothing");
            line!(self.out, "{} runs and stays until a person accepts the move.", inline(runs));
        }
        line!(self.out);
    }

    fn flips(&mut self) {
        let flips: Vec<_> = self.decision.flip_points.iter().filter(|f| f.to.is_some()).collect();
        if flips.is_empty() {
            line!(self.out, "No value in range of any one input changes the choice.");
            line!(self.out);
            return;
        }
        line!(self.out, "| input | in force | flips at | one step | to |");
        line!(self.out, "|---|---|---|---|---|");
        for f in flips {
            let (to, choice) =
                (f.to.as_deref().unwrap_or_default(), f.choice.as_deref().unwrap_or("nothing"));
            let cells = [&f.input, &f.from, to, &f.step, choice].map(inline).join(" | ");
            line!(self.out, "| {cells} |");
        }
        line!(self.out);
    }

    fn accepted(&mut self) {
        let d = self.decision;
        if d.tradeoffs.is_empty() {
            return;
        }
        line!(self.out, "Accepted with it:");
        line!(self.out);
        for t in &d.tradeoffs {
            let wires: Vec<String> =
                d.tripwires.iter().filter(|w| w.tradeoff == t.id).map(|w| inline(&w.id)).collect();
            let watched = match wires.as_slice() {
                [] => "watched by nothing".to_owned(),
                wires => format!("watched by {}", numbers::list(wires, "and")),
            };
            line!(self.out, "* {} ({watched})", inline(&t.text));
        }
        line!(self.out);
    }
}

fn low(range: Range) -> f64 {
    range.low
}

fn high(range: Range) -> f64 {
    range.high
}

/// Two decimals at most.
fn decimals(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Four significant digits, without an exponent, so that a sum of these is right to the digits that it shows.
fn four(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let places = 3 - value.abs().log10().floor() as i32;
    let power = 10f64.powi(places);
    let text = format!("{:.*}", places.max(0) as usize, (value * power).round() / power);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
