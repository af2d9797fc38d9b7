//! The rules that a catalog's content must keep beyond its schema.

use std::collections::{BTreeMap, BTreeSet};

use obstack_crds::Component;

use super::{Catalog, Driver, JUDGEMENT_WIDTH, OptionEntry, Source, Term, Who, wire};
use crate::validate::Quality;

pub(super) type Check = Result<(), String>;

pub(super) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(message()) }
}

/// Checks all of it; the first fault is told with the entry that it is in, and as a message.
pub(super) fn check(catalog: &Catalog, sources: &BTreeMap<String, Source>) -> Result<(), (String, String)> {
    let within = |at: &str, check: Check| check.map_err(|message| (at.to_owned(), message));
    within("version", ensure(!catalog.version.is_empty(), || "version is empty".into()))?;
    for (id, source) in sources {
        let at = format!("source {id}");
        within(&at, ensure(!source.title.is_empty(), || format!("{at}: write its title")))?;
        within(&at, ensure(is_date(&source.date), || format!("{at}: write its date as YYYY-MM")))?;
    }
    for (at, figure) in [
        ("memory", &catalog.prices.memory),
        ("storage", &catalog.prices.storage),
        ("cpu", &catalog.prices.cpu),
    ]
    .map(|(name, figure)| (format!("prices.{name}"), figure))
    .into_iter()
    .chain([("churn".to_owned(), &catalog.churn)])
    {
        let range = (figure.low, figure.high);
        within(&at, number(&at, range, &figure.unit, &figure.source, &figure.quote, sources))?;
    }
    for component in Component::ALL {
        let options = catalog.options(component);
        let at = component.id();
        within(at, ensure(!options.is_empty(), || format!("{component}: no options")))?;
        let ids: BTreeSet<_> = options.iter().map(|o| o.id.as_str()).collect();
        within(at, ensure(ids.len() == options.len(), || format!("{component}: an id is there twice")))?;
        for option in options {
            let at = format!("{component}.{}", option.id);
            within(&at, check_option(&at, component, option, catalog, sources))?;
        }
    }
    Ok(())
}

fn is_date(text: &str) -> bool {
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    text.len() == 7 && text.is_ascii() && digits(&text[..4]) && &text[4..5] == "-" && digits(&text[5..])
}

fn number(
    at: &str,
    (low, high): (f64, f64),
    unit: &str,
    source: &str,
    quote: &str,
    sources: &BTreeMap<String, Source>,
) -> Check {
    ensure(low.is_finite() && high.is_finite() && 0.0 <= low && low <= high, || {
        format!("{at}: write a range with 0 <= low <= high")
    })?;
    ensure(!unit.is_empty(), || format!("{at}: write a unit"))?;
    ensure(!quote.is_empty(), || format!("{at}: write the figure as its source has it"))?;
    let source = sources.get(source).ok_or_else(|| format!("{at}: source {source} is not known"))?;
    // What we judge by ourselves is never known to better than a quarter.
    ensure(source.who != Who::Ours || high >= 1.25 * low || low == 0.0, || {
        format!("{at}: a judgement carries a wide range")
    })
}

fn check_option(
    at: &str,
    component: Component,
    option: &OptionEntry,
    catalog: &Catalog,
    sources: &BTreeMap<String, Source>,
) -> Check {
    ensure(!option.licence.is_empty(), || format!("{at}: write a licence"))?;
    ensure(1 <= option.copies.single && option.copies.single <= option.copies.replicated, || {
        format!("{at}: copies must not shrink where availability grows")
    })?;
    for limit in &option.limits {
        number(
            &format!("{at}: limit {}", limit.text),
            (limit.low, limit.high),
            &limit.unit,
            &limit.source,
            &limit.quote,
            sources,
        )?;
    }
    let models = &option.models;
    for (name, unit, terms) in [
        ("memory", "bytes", &models.memory),
        ("storage", "bytes", &models.storage),
        ("cpu", "cores", &models.cpu),
        ("monthlyCost", "USD", &models.monthly_cost),
        ("recovery", "seconds", &models.recovery),
    ] {
        for term in terms {
            check_term(&format!("{at}.{name}"), unit, term, sources)?;
        }
    }
    for quality in Quality::ALL.into_iter().filter(|q| *q != Quality::Cost) {
        let at = format!("{at}: score {}", quality.id());
        let score = option.scores.get(&quality).ok_or_else(|| format!("{at} is missing"))?;
        ensure(0.0 <= score.low && score.low <= score.high && score.high <= 100.0, || {
            format!("{at}: write a range within 0 to 100")
        })?;
        ensure(!score.basis.is_empty(), || format!("{at}: write what it rests on"))?;
        match &score.source {
            None => ensure(score.judgement && score.high - score.low >= JUDGEMENT_WIDTH, || {
                format!("{at}: name a source, or mark a judgement with a range of {JUDGEMENT_WIDTH} or more")
            })?,
            Some(source) => ensure(sources.contains_key(source) && !score.judgement, || {
                format!("{at}: its source is not known, or it is called a judgement all the same")
            })?,
        }
    }
    ensure(!option.scores.contains_key(&Quality::Cost), || format!("{at}: cost is computed, not scored"))?;
    ensure(!option.tradeoffs.is_empty(), || format!("{at}: nothing is free; write a trade-off"))?;
    for tradeoff in &option.tradeoffs {
        ensure(sources.contains_key(&tradeoff.source), || format!("{at}: {}: unknown source", tradeoff.id))?;
    }
    for wire in &option.tripwires {
        let at = format!("{at}: tripwire {}", wire.id);
        ensure(option.tradeoffs.iter().any(|t| t.id == wire.tradeoff), || {
            format!("{at}: unknown trade-off")
        })?;
        wire::check(&at, component, option, wire)?;
        ensure(wire.basis.is_some() || wire.bound.starts_with('{'), || {
            format!("{at}: a bound that no requirement gives needs a basis")
        })?;
        if let Some(basis) = &wire.basis {
            // A bound is a point that we pick within its basis; flags and counts may be exact.
            number(&at, (basis.low, basis.high * 1.3), &basis.unit, &basis.source, &basis.quote, sources)?;
        }
        if let Some(next) = &wire.next {
            ensure(catalog.option(component, next).is_some(), || format!("{at}: unknown next option"))?;
        }
    }
    for requires in &option.requires {
        ensure(requires.component < component, || format!("{at}: requires what is decided later"))?;
        for id in &requires.any_of {
            ensure(catalog.option(requires.component, id).is_some(), || {
                format!("{at}: requires unknown {id}")
            })?;
        }
    }
    for filled in &option.filled_by {
        ensure(filled.component < component, || format!("{at}: filled by what is decided later"))?;
    }
    Ok(())
}

fn check_term(at: &str, unit: &str, term: &Term, sources: &BTreeMap<String, Source>) -> Check {
    number(at, (term.low, term.high), &term.unit, &term.source, &term.quote, sources)?;
    ensure(term.unit == unit, || format!("{at}: write {unit}, not {}", term.unit))?;
    ensure(unit != "seconds" || matches!(term.per, Driver::Series | Driver::Replica), || {
        format!("{at}: recovery grows with series or not at all")
    })
}
