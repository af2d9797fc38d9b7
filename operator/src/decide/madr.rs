//! A record as Markdown: MADR 4.0, for a wiki, a repository or a review.

use std::fmt::{Display, Write};

use obstack_crds::DecisionRecordSpec;
use obstack_crds::record::{ChosenBy, DecisionRecordStatus, Phase, Range, Ranked};

use super::measured::in_words;
use super::numbers;

/// A score from which on a quality is told as a strength, and up to which as a weakness.
const STRONG: f64 = 70.0;
const WEAK: f64 = 50.0;

/// Text in a line of Markdown: nothing in it is read as markup.
pub fn inline(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '[' | ']' | '|' | '#' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// Code in a line of Markdown, in a table too.
fn code(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let fence = "`".repeat(1 + plain.split(|c| c != '`').map(str::len).max().unwrap_or(0));
    let pad = if plain.starts_with('`') || plain.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{}{pad}{fence}", plain.replace('|', "\\|"))
}

/// A string of the front matter. JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn phase(status: Option<&DecisionRecordStatus>) -> String {
    match status.and_then(|s| s.phase.map(|p| (p, s.superseded_by.as_deref()))) {
        None | Some((Phase::Proposed, _)) => "proposed".to_owned(),
        Some((Phase::Accepted, _)) => "accepted".to_owned(),
        Some((Phase::Rejected, _)) => "rejected".to_owned(),
        Some((Phase::Superseded, None)) => "superseded".to_owned(),
        Some((Phase::Superseded, Some(by))) => format!("superseded by {by}"),
    }
}

/// Writes to a string, which cannot fail.
macro_rules! line {
    ($out:expr) => { $out.push('\n') };
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

/// The record as MADR 4.0. `namespace` is that of the stack; where `decided_at` is empty, there is no date.
pub fn render(namespace: &str, record: &DecisionRecordSpec, status: Option<&DecisionRecordStatus>) -> String {
    let mut out = String::new();
    let makers = match record.chosen_by {
        ChosenBy::Engine => "obstack, from the stack's requirements and priorities",
        ChosenBy::Person => "a person, in spec.decisions of the stack",
    };
    line!(out, "---");
    line!(out, "status: {}", quoted(&phase(status)));
    if let Some(day) = record.decided_at.get(..10) {
        line!(out, "date: {day}");
    }
    line!(out, "decision-makers: {}", quoted(makers));
    line!(out, "---");
    line!(out);
    let chosen = record.chosen.as_deref().unwrap_or("no option is left");
    let stack = format!("{namespace}/{}", record.stack);
    line!(out, "# {} of {}: {}", capital(record.component.title()), inline(&stack), inline(chosen));
    line!(out);
    context(&mut out, record, &stack);
    outcome(&mut out, record);
    options(&mut out, record);
    more(&mut out, record);
    out
}

pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn context(out: &mut String, record: &DecisionRecordSpec, stack: &str) {
    line!(out, "## Context and Problem Statement");
    line!(out);
    line!(out, "What fills the {} of the stack {}? It must hold:", record.component.title(), inline(stack));
    line!(out);
    for (path, value) in &record.requirements {
        line!(out, "* {}: {}", code(path), inline(value));
    }
    line!(out);
    line!(out, "## Decision Drivers");
    line!(out);
    let mut drivers: Vec<_> = record.priorities.iter().collect();
    drivers.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    for (quality, weight) in drivers {
        line!(out, "* {}: {} of 5", inline(quality), inline(weight));
    }
    line!(out);
    line!(out, "## Considered Options");
    line!(out);
    for option in considered(record) {
        line!(out, "* {}", inline(option));
    }
    line!(out);
}

fn considered(record: &DecisionRecordSpec) -> Vec<&str> {
    let mut options: Vec<&str> = record.ranking.iter().map(|r| r.option.as_str()).collect();
    for option in record.chosen.iter().chain(record.eliminated.iter().map(|e| &e.option)) {
        if !options.contains(&option.as_str()) {
            options.push(option);
        }
    }
    options
}

fn outcome(out: &mut String, record: &DecisionRecordSpec) {
    line!(out, "## Decision Outcome");
    line!(out);
    match &record.chosen {
        Some(chosen) => line_of_choice(out, record, chosen),
        None => {
            line!(out, "No option is left: each breaks a requirement. What runs stays.");
            for relaxation in &record.relaxations {
                line!(out, "* {}", inline(relaxation));
            }
        }
    }
    line!(out);
    line!(out, "{}", inline(&record.statement));
    line!(out);
    line!(out, "### Consequences");
    line!(out);
    if let Some(ranked) = record.ranking.iter().find(|r| Some(&r.option) == record.chosen.as_ref()) {
        for (quality, range) in ranked.scores.iter().filter(|(_, r)| middle(**r) >= STRONG) {
            line!(out, "* Good, because of {}: {} of 100", inline(quality), points(*range));
        }
    }
    for e in record.eliminated.iter().filter(|e| Some(&e.option) == record.chosen.as_ref()) {
        line!(out, "* Bad, because {} is broken: {}", code(&e.requirement), inline(&e.reason));
    }
    for tradeoff in &record.tradeoffs {
        line!(
            out,
            "* Bad, because of {}: {} ({})",
            inline(&tradeoff.id),
            inline(&tradeoff.text),
            inline(&tradeoff.source)
        );
    }
    line!(out);
    line!(out, "### Confirmation");
    line!(out);
    if record.tripwires.is_empty() {
        line!(out, "Nothing is measured: the trade-offs above change only when somebody changes them.");
    } else {
        line!(
            out,
            "It must be looked at again as soon as a value passes its bound for as long as is stated:"
        );
        line!(out);
        line!(out, "| watched | value | bound | for | then | at the cost of |");
        line!(out, "|---|---|---|---|---|---|");
        for w in &record.tripwires {
            let next = w.next.as_deref().unwrap_or("stay");
            line!(
                out,
                "| {} ({}) | {} | {} | {} | {} | {} |",
                inline(&w.id),
                inline(&w.tradeoff),
                code(&w.expr),
                inline(&w.bound),
                inline(&w.for_),
                inline(next),
                inline(&w.cost)
            );
        }
    }
    line!(out);
}

fn line_of_choice(out: &mut String, record: &DecisionRecordSpec, chosen: &str) {
    let because = match (&record.because, &record.tie) {
        (Some(because), _) => format!("a person decided so: \"{}\"", inline(because)),
        (None, Some(tie)) => format!("it is the settled one of a tie. {}", inline(tie)),
        (None, None) if record.ranking.len() == 1 => {
            "it is the only one that no requirement rules out.".to_owned()
        }
        (None, None) => "its total is above that of every other.".to_owned(),
    };
    line!(out, "Chosen option: \"{}\", because {because}", inline(chosen));
    if record.chosen_by == ChosenBy::Person {
        line!(out);
        match &record.engine_would_choose {
            Some(other) if other == chosen => {
                line!(out, "The engine would have chosen the same.");
            }
            Some(other) => {
                line!(out, "The engine would have chosen {}.", inline(other));
            }
            None => {
                line!(out, "The engine would have chosen nothing: every option breaks a requirement.");
            }
        }
    }
}

fn options(out: &mut String, record: &DecisionRecordSpec) {
    line!(out, "## Pros and Cons of the Options");
    line!(out);
    line!(
        out,
        "Scores run from 0 to 100 and are ranges, since no figure is known better; a total is their mean, weighted by the \
         drivers above. Totals that overlap are a tie, settled by what is in force already, then by what takes the least \
         looking after."
    );
    for option in considered(record) {
        line!(out);
        line!(out, "### {}", inline(option));
        line!(out);
        for e in record.eliminated.iter().filter(|e| e.option == option) {
            line!(out, "* Bad, because {} rules it out: {}", code(&e.requirement), inline(&e.reason));
        }
        if let Some(ranked) = record.ranking.iter().find(|r| r.option == option) {
            scores(out, ranked);
        }
    }
    line!(out);
}

fn scores(out: &mut String, ranked: &Ranked) {
    let mut notes = Vec::new();
    if ranked.ties {
        notes.push("overlaps with the choice");
    }
    if ranked.judgement {
        notes.push("its place turns on judgements, not on sourced facts alone");
    }
    let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
    line!(out, "* Neutral, because its weighted total is {} of 100{notes}", points(ranked.total));
    for (quality, range) in &ranked.scores {
        let word = match middle(*range) {
            m if m >= STRONG => "Good",
            m if m <= WEAK => "Bad",
            _ => "Neutral",
        };
        line!(out, "* {word}, because of {}: {} of 100", inline(quality), points(*range));
    }
}

fn more(out: &mut String, record: &DecisionRecordSpec) {
    line!(out, "## More Information");
    line!(out);
    if !record.sizing.is_empty() {
        line!(out, "Expected to need, all replicas together:");
        line!(out);
        for s in &record.sizing {
            line!(out, "* {}: {}", inline(&s.quantity), inline(&s.arithmetic));
        }
        line!(out);
    }
    if !record.measured.is_empty() {
        line!(out, "Measured on the engine that ran then:");
        line!(out);
        for m in &record.measured {
            line!(out, "* {}: {}", inline(&m.quantity), inline(&in_words(m)));
        }
        line!(out);
    }
    if !record.flip_points.is_empty() {
        line!(out, "The smallest change of one input that would change the choice:");
        line!(out);
        line!(out, "| input | in force | flips at | one step | to |");
        line!(out, "|---|---|---|---|---|");
        for f in record.flip_points.iter().filter(|f| f.to.is_some()) {
            line!(
                out,
                "| {} | {} | {} | {} | {} |",
                code(&f.input),
                inline(&f.from),
                inline(f.to.as_deref().unwrap_or_default()),
                inline(&f.step),
                inline(f.choice.as_deref().unwrap_or("nothing is left"))
            );
        }
        line!(out);
        let still: Vec<String> =
            record.flip_points.iter().filter(|f| f.to.is_none()).map(|f| code(&f.input)).collect();
        if !still.is_empty() {
            line!(out, "No value in range of these changes the choice: {}.", still.join(", "));
            line!(out);
        }
    }
    line!(out, "Record {} of this component, catalog {}.", record.number, inline(&record.catalog));
    if let Some(old) = &record.supersedes {
        let how = if record.reaffirms { "reaffirms, with other bounds" } else { "supersedes" };
        line!(out, "It {how} {}.", inline(old));
    }
}

fn middle(range: Range) -> f64 {
    (range.low + range.high) / 2.0
}

fn points(range: Range) -> impl Display {
    numbers::range(range, |v| format!("{:.0}", v.round()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::testing::{catalog, valid};
    use crate::decide::{DecideFacts, Previous, decide, records};

    fn spec(number: usize) -> DecisionRecordSpec {
        let valid = valid();
        let plan = decide(&valid, &DecideFacts::offline(), &Previous::default(), &catalog());
        records::spec(&plan, &valid, &plan.decisions[number], 1, None)
    }

    #[test]
    fn the_front_matter_is_yaml_and_every_section_is_there() {
        let text = render("monitoring", &spec(0), None);
        let front = text.strip_prefix("---\n").unwrap().split("---\n").next().unwrap();
        let parsed: std::collections::BTreeMap<String, String> = serde_saphyr::from_str(front).unwrap();
        assert_eq!(parsed["status"], "proposed");
        for section in [
            "# Metrics store of monitoring/main: Prometheus",
            "## Context and Problem Statement",
            "## Decision Drivers",
            "## Considered Options",
            "## Decision Outcome",
            "### Consequences",
            "### Confirmation",
            "## Pros and Cons of the Options",
            "## More Information",
        ] {
            assert!(text.contains(&format!("\n{section}\n")), "{section}\n{text}");
        }
    }

    #[test]
    fn hostile_words_stay_words() {
        let mut spec = spec(0);
        spec.chosen_by = ChosenBy::Person;
        spec.because = Some("x\"\n---\n# <script>alert(1)</script> | [a](javascript:b) `c`".into());
        let text = render("monitoring", &spec, None);
        assert!(!text.contains("<script>") && !text.contains("\n# &lt;") && !text.contains("[a]("), "{text}");
    }
}
