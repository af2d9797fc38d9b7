//! The rules that a tripwire of the catalog must keep: its texts are PromQL over series of its own engine, and
//! everything in them that is measured in time has a name.

use std::collections::BTreeSet;
use std::convert::Infallible;

use obstack_crds::Component;
use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};

use super::check::{Check, ensure};
use super::{OptionEntry, TripwireEntry, duration};
use crate::decide::wires::{self, GIVEN, Given, SECONDS};
use crate::units::{PromDuration, SeriesCount};

/// Requirements to write texts out with; any would do.
const SAMPLE: Given = Given {
    memory_limit: 1 << 30,
    active_series: SeriesCount(50_000),
    retention: PromDuration::from_secs(15 * 86_400),
    recovery_time: PromDuration::from_secs(600),
};
/// An hour: whole multiples of it are most likely durations in disguise.
const HOUR: u64 = 3_600;

/// Checks one tripwire; the first fault is told.
pub(super) fn check(at: &str, component: Component, option: &OptionEntry, wire: &TripwireEntry) -> Check {
    if !wire.judged_by.is_engine() {
        return ensure(
            wire.for_.is_empty() && wire.keep_firing_for.is_empty() && wire.guard.is_empty(),
            || format!("{at}: what the operator judges has neither durations nor a guard"),
        );
    }
    ensure(duration(&wire.for_).is_some() && duration(&wire.keep_firing_for).is_some(), || {
        format!("{at}: write durations")
    })?;
    ensure(!wire.guard.is_empty(), || format!("{at}: write a guard for too little data"))?;
    ensure(!wire.cost.is_empty(), || format!("{at}: write what moving costs"))?;
    let texts = [&wire.expr, &wire.guard, &wire.bound];
    let used: BTreeSet<&str> = texts.iter().flat_map(|text| wires::placeholders(text)).collect();
    for (name, text) in &wire.durations {
        ensure(duration(text).is_some(), || {
            format!("{at}: {name}: {text} is no duration; write one like 7d")
        })?;
        let plain = name.bytes().all(|b| b.is_ascii_alphabetic()) && !name.ends_with(SECONDS);
        ensure(plain && !name.is_empty() && !GIVEN.contains(&name.as_str()), || {
            format!("{at}: {name}: write another name, of letters, that does not end in {SECONDS}")
        })?;
        let seconds = format!("{name}{SECONDS}");
        ensure(used.contains(name.as_str()) || used.contains(seconds.as_str()), || {
            format!("{at}: no text uses the duration {name}")
        })?;
    }
    for text in texts {
        if let Some(literal) = literal(text) {
            return Err(format!("{at}: {literal} is a duration without a name; name it under durations"));
        }
    }
    let written = wires::write(component, wire, &SAMPLE);
    let bound = written.bound.parse::<f64>().is_ok_and(|bound| bound.is_finite() && bound > 0.0);
    ensure(bound, || format!("{at}: the bound {} is no number above 0", wire.bound))?;
    for (template, text) in [(&wire.expr, &written.expr), (&wire.guard, &written.guard)] {
        if let Some(name) = wires::placeholders(text).next() {
            return Err(format!("{at}: nothing gives {{{name}}}; name it under durations"));
        }
        let parsed = parser::parse(text).map_err(|reason| format!("{at}: {template}: {reason}"))?;
        selectors(at, component, option, &parsed)?;
    }
    Ok(())
}

/// A duration in a template that has no name, if there is one: `7d`, or a number of whole hours in seconds.
fn literal(template: &str) -> Option<&str> {
    // What is in quotes is the value of a label.
    let plain = template.split('"').step_by(2);
    let words =
        plain.flat_map(|part| part.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.'));
    let in_disguise = |word: &str| word.parse::<u64>().is_ok_and(|n| n >= HOUR && n.is_multiple_of(HOUR));
    words.into_iter().find(|word| duration(word).is_some() || in_disguise(word))
}

/// Every selector must name the own engine's series where this operator runs the engine, and cannot elsewhere.
fn selectors(at: &str, component: Component, option: &OptionEntry, expr: &Expr) -> Check {
    struct Names<'a> {
        own: Option<&'a str>,
        strangers: Vec<String>,
        all: usize,
    }
    impl ExprVisitor for Names<'_> {
        type Error = Infallible;
        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
            let selector = match expr {
                Expr::VectorSelector(selector) => selector,
                Expr::MatrixSelector(range) => &range.vs,
                _ => return Ok(true),
            };
            self.all += 1;
            if !selector.matchers.matchers.iter().any(|m| Some(m.to_string().as_str()) == self.own) {
                self.strangers.push(selector.name.clone().unwrap_or_default());
            }
            Ok(true)
        }
    }
    let own = wires::own_series(component);
    let mut names = Names { own: own.as_deref(), strangers: Vec::new(), all: 0 };
    let Ok(_) = walk_expr(&mut names, expr);
    if !option.deployable {
        return ensure(names.strangers.len() == names.all, || {
            format!("{at}: this operator does not run {}; leave {{engine}} out", option.id)
        });
    }
    ensure(own.is_some(), || format!("{at}: no engine of a stack can be asked about {component}"))?;
    ensure(names.strangers.is_empty(), || {
        format!(
            "{at}: {} selects the series of every target; write {{engine}} behind it",
            names.strangers.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::decide::Catalog;
    use crate::decide::catalog::{FILES, HEAD};

    /// The faults of the embedded catalog with one text in the place of another.
    fn broken(file: &str, from: &str, to: &str) -> String {
        let files: Vec<(&str, String)> = FILES
            .iter()
            .map(|(name, text)| {
                assert!(*name != file || text.contains(from), "{from}");
                (*name, if *name == file { text.replacen(from, to, 1) } else { (*text).to_owned() })
            })
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        match Catalog::parse(HEAD, &files) {
            Ok(_) => panic!("{from} -> {to} is taken"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_wire_that_breaks_a_rule_is_refused() {
        for (from, to, says) in [
            ("{range}:{step}]) / {memoryLimit}", "1h:{step}]) / {memoryLimit}", "1h is a duration without"),
            (
                "* {rangeSeconds} / {windowSeconds}",
                "* 86400 / {windowSeconds}",
                "86400 is a duration without",
            ),
            ("{range}:{step}]) / {memoryLimit}", "{rnge}:{step}]) / {memoryLimit}", "nothing gives {rnge}"),
            (
                "process_resident_memory_bytes{engine}",
                "process_resident_memory_bytes",
                "write {engine} behind it",
            ),
            ("durations: { range: 1h, step: 1m }", "durations: { range: 1 h, step: 1m }", "is no duration"),
            (
                "durations: { range: 1h, step: 1m }",
                "durations: { range: 1h, step: 1m, more: 2h }",
                "uses the duration more",
            ),
            ("durations: { range: 32d }", "durations: { range: 32d, retention: 1d }", "write another name"),
            ("bound: \"{recoveryTimeSeconds}\"", "bound: \"{recoveryTime}\"", "is no number above 0"),
            (
                "expr: \"max by (pod) (prometheus_tsdb_data",
                "expr: \"max by pod (prometheus_tsdb_data",
                "replay",
            ),
            (
                "expr: \"max(thanos_compact_halted)\"",
                "expr: \"max(thanos_compact_halted{job=\\\"obstack/metrics\\\"})\"",
                "leave {engine} out",
            ),
        ] {
            let error = broken("metrics-store.yaml", from, to);
            assert!(error.contains(says), "{from} -> {to}: {error}");
        }
        let none = broken(
            "dashboards.yaml",
            "    tradeoffs:\n",
            "    tripwires:\n      - { id: x, tradeoff: copyleft, expr: up, bound: \"1\", \
             basis: { low: 1, high: 2, unit: x, source: ours, quote: x }, for: 1m, keepFiringFor: 1m, guard: up, \
             cost: z }\n    tradeoffs:\n",
        );
        assert!(none.contains("no engine of a stack can be asked"), "{none}");
    }
}
