//! A verdict in words and records: everything that a reader of a decision gets to see.

use obstack_crds::Component;
use obstack_crds::record::{ChosenBy, Elimination, Measured, Range, Ranked, Sizing, Tradeoff, Tripwire};

use super::Decision;
use super::catalog::{OptionEntry, When};
use super::eliminate::{Cause, relaxations};
use super::engine::{Candidate, Context, Settled, Verdict, overlap};
use super::measured::{COMPONENT, Of};
use super::model::{arithmetic_of, requirements};
use super::numbers;
use super::resources::{Resources, resources};
use super::wires::{self, Given};
use crate::validate::Quality;

/// The longest statement, in characters.
const STATEMENT: usize = 4_096;

pub(super) fn decision(component: Component, verdict: &Verdict<'_>, context: &Context<'_>) -> Decision {
    let chosen = verdict.chosen.and_then(|id| verdict.candidate(id));
    let in_force = verdict.in_force.and_then(|id| verdict.candidate(id));
    let resources = in_force.and_then(|c| resources(component, c, context));
    let tradeoffs = chosen.map(|c| tradeoffs(c, context)).unwrap_or_default();
    let wanted = chosen
        .filter(|c| c.option.deployable)
        .and_then(|c| super::resources::resources(component, c, context));
    let ruled_out: Vec<(&OptionEntry, &[Cause<'_>])> = verdict
        .candidates
        .iter()
        .filter(|c| !c.causes.is_empty())
        .map(|c| (c.option, c.causes.as_slice()))
        .collect();
    let none_left = ruled_out.len() == verdict.candidates.len();
    let person = verdict.by_person.then(|| context.valid.overrides.get(&component)).flatten();
    let mut decision = Decision {
        component,
        chosen: verdict.chosen.map(str::to_owned),
        chosen_by: if verdict.by_person { ChosenBy::Person } else { ChosenBy::Engine },
        because: person.map(|p| p.because.clone()),
        engine_would_choose: if verdict.by_person { verdict.engine.map(str::to_owned) } else { None },
        in_force: verdict.in_force.map(str::to_owned),
        deployable: in_force.is_some_and(|c| c.option.deployable),
        resources,
        uncertain: uncertain(component, context),
        violates: violates(component, verdict, context),
        eliminated: eliminated(verdict, context),
        ranking: ranking(verdict),
        tie: tie(verdict),
        relaxations: if none_left { relaxations(component, &ruled_out, context) } else { Vec::new() },
        sizing: chosen.map(|c| sizing(c, context)).unwrap_or_default(),
        tripwires: chosen.map(|c| tripwires(component, c, wanted.as_ref(), context)).unwrap_or_default(),
        measured: measured(component, verdict, context),
        tradeoffs,
        flip_points: Vec::new(),
        statement: String::new(),
    };
    decision.statement = statement(&decision, verdict, context);
    decision
}

/// Why the decision may change once more is known.
fn uncertain(component: Component, context: &Context<'_>) -> Option<String> {
    let asks = context.catalog.options(component).iter().any(|o| o.needs_api.is_some());
    match &context.facts.cluster {
        crate::observe::Fact::Unavailable(reason) if asks => {
            Some(format!("what the cluster serves is not known: {reason}"))
        }
        _ => None,
    }
}

fn violates(component: Component, verdict: &Verdict<'_>, context: &Context<'_>) -> Vec<Elimination> {
    let Some(chosen) = verdict.chosen.filter(|_| verdict.by_person) else {
        return Vec::new();
    };
    match verdict.candidate(chosen) {
        Some(candidate) => {
            candidate.causes.iter().map(|c| c.elimination(candidate.option, context)).collect()
        }
        None => {
            let ids: Vec<_> = context.catalog.options(component).iter().map(|o| o.id.as_str()).collect();
            vec![Elimination {
                option: chosen.to_owned(),
                requirement: format!("decisions.{component}.choose"),
                reason: format!("The catalog knows no such option; write {}.", numbers::list(&ids, "or")),
            }]
        }
    }
}

fn eliminated(verdict: &Verdict<'_>, context: &Context<'_>) -> Vec<Elimination> {
    let all = verdict.candidates.iter().flat_map(|c| c.causes.iter().map(move |cause| (c.option, cause)));
    all.map(|(option, cause)| cause.elimination(option, context)).take(32).collect()
}

/// One decimal: what a range is published with.
fn rounded(range: Range) -> Range {
    let round = |v: f64| (v * 10.0).round() / 10.0;
    Range { low: round(range.low), high: round(range.high) }
}

fn ranking(verdict: &Verdict<'_>) -> Vec<Ranked> {
    let left = verdict.ranking();
    let Some(first) = left.first().copied() else {
        return Vec::new();
    };
    let row = |c: &&Candidate<'_>| {
        let is_first = c.option.id == first.option.id;
        Ranked {
            option: c.option.id.clone(),
            total: rounded(c.total),
            scores: Quality::ALL
                .into_iter()
                .zip(c.scores)
                .map(|(q, r)| (q.id().to_owned(), rounded(r)))
                .collect(),
            ties: !is_first && overlap(c.total, first.total),
            judgement: if is_first {
                left.iter().any(|other| verdict.judged(other, first))
            } else {
                verdict.judged(c, first)
            },
        }
    };
    left.iter().map(row).collect()
}

fn tie(verdict: &Verdict<'_>) -> Option<String> {
    let mut said = Vec::new();
    if let (Some(settled), Some(engine)) =
        (&verdict.settled, verdict.engine.and_then(|id| verdict.candidate(id)))
    {
        let tied: Vec<&Candidate<'_>> = verdict
            .ranking()
            .into_iter()
            .filter(|c| c.option.id != engine.option.id && overlap(c.total, engine.total))
            .collect();
        let ids: Vec<&str> = tied.iter().map(|c| c.option.id.as_str()).collect();
        let others = numbers::list(&ids, "and");
        let choice = &engine.option.id;
        said.push(match settled {
            Settled::Previous => {
                format!("The total of {choice} overlaps with {others}; {choice} is the previous choice and stays.")
            }
            Settled::Burden => {
                let burdens = tied.iter().map(|c| c.option.burden);
                let (least, most) = (burdens.clone().min().unwrap_or(0), burdens.max().unwrap_or(0));
                let counts = if least == most { least.to_string() } else { format!("{least} to {most}") };
                format!(
                    "The total of {choice} overlaps with {others}; {choice} takes the least looking after: {} ({}), \
                     against {counts}.",
                    engine.option.burden, engine.option.burden_basis
                )
            }
        });
    }
    if !verdict.passed_over.is_empty() {
        said.push(format!(
            "{} passed over: what the cluster serves could not be read, so the previous choice stays.",
            numbers::list(&verdict.passed_over, "and")
        ));
    }
    (!said.is_empty()).then(|| said.join(" ").chars().take(1_024).collect())
}

fn sizing(candidate: &Candidate<'_>, context: &Context<'_>) -> Vec<Sizing> {
    let models = &candidate.option.models;
    let needs = &candidate.needs;
    let copies = candidate.copies;
    let entry = |quantity: &str, of, range: Range, unit: &str, terms: &[super::catalog::Term]| {
        (range.high > 0.0).then(|| Sizing {
            quantity: quantity.to_owned(),
            range: Range { low: numbers::round2(range.low), high: numbers::round2(range.high) },
            unit: unit.to_owned(),
            arithmetic: arithmetic_of(of, terms, &context.sheet.load, copies, &candidate.measured),
        })
    };
    [
        entry("memory", Of::Memory, needs.memory, "bytes", &models.memory),
        entry("storage", Of::Storage, needs.storage, "bytes", &models.storage),
        entry("cpu", Of::Other, needs.cpu, "cores", &models.cpu),
        entry("monthlyCost", Of::Other, needs.monthly_cost, "USD", &models.monthly_cost),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What was measured beside the catalog's figures, as long as the engine that was measured runs.
fn measured(component: Component, verdict: &Verdict<'_>, context: &Context<'_>) -> Vec<Measured> {
    let facts = context.facts.measured.as_ref().filter(|_| component == COMPONENT);
    let of_running = facts.and_then(|facts| {
        let id = facts.measured_option(context.previous, context.catalog)?;
        let runs = context.previous.get(component).is_none() || verdict.in_force == Some(id);
        let candidate = verdict.candidate(id).filter(|_| runs)?;
        Some(facts.beside(candidate.option))
    });
    of_running.unwrap_or_default()
}

fn applies(when: Option<When>, copies: u32) -> bool {
    match when {
        None => true,
        Some(When::Single) => copies <= 1,
        Some(When::Replicated) => copies > 1,
    }
}

fn tradeoffs(candidate: &Candidate<'_>, context: &Context<'_>) -> Vec<Tradeoff> {
    let entries = candidate.option.tradeoffs.iter().filter(|t| applies(t.when, candidate.copies));
    entries
        .map(|t| Tradeoff {
            id: t.id.clone(),
            text: t.text.clone(),
            source: context.catalog.source(&t.source),
        })
        .collect()
}

fn tripwires(
    component: Component,
    candidate: &Candidate<'_>,
    resources: Option<&Resources>,
    context: &Context<'_>,
) -> Vec<Tripwire> {
    let r = &context.valid.requirements;
    let memory_limit = resources.map_or_else(
        || (candidate.by_catalog.memory.high / f64::from(candidate.copies.max(1))).ceil() as u64,
        |r| r.memory_limit.0,
    );
    let given = Given {
        memory_limit,
        active_series: r.active_series,
        retention: r.retention,
        recovery_time: r.recovery_time,
    };
    let watched =
        |id: &str| candidate.option.tradeoffs.iter().any(|t| t.id == id && applies(t.when, candidate.copies));
    let entries = candidate.option.tripwires.iter();
    entries
        .filter(|w| applies(w.when, candidate.copies) && watched(&w.tradeoff))
        .map(|w| {
            let wire = wires::write(component, w, &given);
            let next = wire.next.filter(|next| *next != candidate.option.id);
            Tripwire { next, ..wire }
        })
        .collect()
}

/// The decision as one sentence: in the context of, facing, we chose, and not, to achieve, accepting.
fn statement(decision: &Decision, verdict: &Verdict<'_>, context: &Context<'_>) -> String {
    let title = |id: &str| verdict.candidate(id).map_or_else(|| id.to_owned(), |c| c.option.title.clone());
    let map = requirements(context.valid);
    let mut facing = format!(
        "{} active series every {}, kept for {}, {}, back within {}",
        map["activeSeries"],
        map["scrapeInterval"],
        map["retention"],
        map["availability"],
        map["recoveryTime"]
    );
    if let Some(deny) = map.get("licences.deny") {
        facing.push_str(&format!(", without {deny}"));
    }
    let budgets: Vec<String> = [
        ("budget.memory", "of memory"),
        ("budget.storage", "of disk"),
        ("budget.monthlyCost", "USD a month"),
    ]
    .iter()
    .filter_map(|(key, what)| map.get(*key).map(|value| format!("{value} {what}")))
    .collect();
    if !budgets.is_empty() {
        facing.push_str(&format!(", at most {}", numbers::list(&budgets, "and")));
    }
    let context_of = format!(
        "In the context of the {} of stack {} ({}), facing {facing},",
        decision.component.title(),
        context.valid.id,
        context.valid.environment.as_str()
    );
    let Some(chosen) = &decision.chosen else {
        let stays = match &decision.in_force {
            Some(runs) => format!("what runs, {}, stays", title(runs)),
            None => "nothing runs".to_owned(),
        };
        return clip(format!(
            "{context_of} every option is ruled out: {stays} until a requirement is relaxed."
        ));
    };
    let others: Vec<String> = context
        .catalog
        .options(decision.component)
        .iter()
        .filter(|o| o.id != *chosen)
        .map(|o| o.title.clone())
        .collect();
    let accepting: Vec<String> =
        decision.tradeoffs.iter().map(|t| t.text.trim_end_matches('.').to_owned()).collect();
    let who = if verdict.by_person {
        "a person chose"
    } else if verdict.in_force != verdict.chosen {
        "we propose"
    } else {
        "we chose"
    };
    let why = match &decision.because {
        Some(because) => format!("because \"{because}\""),
        None => format!("to achieve {}", aims(context)),
    };
    let not =
        if others.is_empty() { String::new() } else { format!(" and not {}", numbers::list(&others, "or")) };
    clip(format!(
        "{context_of} {who} {}{not}, {why}, accepting that: {}.",
        title(chosen),
        accepting.join("; ")
    ))
}

/// The qualities that weigh most.
fn aims(context: &Context<'_>) -> String {
    let weights = &context.valid.priorities;
    let most = weights.values().copied().max().unwrap_or(0);
    let named: Vec<String> = Quality::ALL
        .into_iter()
        .filter(|q| weights.get(q).copied().unwrap_or(0) == most)
        .map(|q| words(q.id()))
        .collect();
    if named.len() == Quality::ALL.len() {
        "a balance of all qualities".to_owned()
    } else {
        numbers::list(&named, "and")
    }
}

/// `performanceEfficiency` as words.
fn words(id: &str) -> String {
    id.chars().fold(String::new(), |mut text, c| {
        if c.is_ascii_uppercase() {
            text.push(' ');
        }
        text.push(c.to_ascii_lowercase());
        text
    })
}

fn clip(text: String) -> String {
    if text.chars().count() <= STATEMENT {
        text
    } else {
        text.chars().take(STATEMENT - 1).chain(['…']).collect()
    }
}
