//! Pieces that the overview and the record share.

use obstack_crds::DecisionRecord;
use obstack_crds::DecisionRecordSpec;
use obstack_crds::record::{ChosenBy, Phase, Range, Ranked, TripwireState};

use super::html::Html;
use super::view::{name, phase, state};

/// What stands where every option is eliminated.
pub(super) const NOTHING: &str = "nothing is left";

pub(super) fn phase_chip(html: &mut Html, record: &DecisionRecord) {
    match phase(record) {
        Some(Phase::Accepted) => html.raw("<span class=\"chip ok\">accepted</span>"),
        Some(Phase::Proposed) => html.raw("<span class=\"chip warn\">proposed</span>"),
        Some(Phase::Rejected) => html.raw("<span class=\"chip\">rejected</span>"),
        Some(Phase::Superseded) => html.raw("<span class=\"chip\">superseded</span>"),
        None => html.raw("<span class=\"chip\">being written</span>"),
    };
}

pub(super) fn state_chip(html: &mut Html, record: &DecisionRecord) {
    if record.spec.tripwires.is_empty() {
        return;
    }
    let (class, word) = state_word(state(record));
    html.raw("<span class=\"chip ").raw(class).raw("\"><i class=\"dot\"></i>").raw(word).raw("</span>");
}

/// A state's class in the style, and its word.
pub(super) fn state_word(state: TripwireState) -> (&'static str, &'static str) {
    match state {
        TripwireState::Holding => ("ok", "holding"),
        TripwireState::AtRisk => ("warn", "at risk"),
        TripwireState::Tripped => ("bad", "tripped"),
        TripwireState::Unknown => ("unknown", "unknown"),
    }
}

pub(super) fn by_chip(html: &mut Html, spec: &DecisionRecordSpec) {
    match spec.chosen_by {
        ChosenBy::Engine => html.raw("<span class=\"chip\">by the engine</span>"),
        ChosenBy::Person => html.raw("<span class=\"chip person\">by a person</span>"),
    };
}

fn points(range: Range) -> String {
    crate::decide::numbers::range(range, |v| format!("{:.0}", v.round()))
}

/// A range of 0 to 100 as a bar.
pub(super) fn bar(html: &mut Html, range: Range) {
    let (low, high) = (range.low.clamp(0.0, 100.0), range.high.clamp(0.0, 100.0));
    let text = points(range);
    html.raw(
        "<svg class=\"bar\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"",
    )
    .text(&text)
    .raw(" of 100\"><rect class=\"track\" width=\"100\" height=\"4\"/><rect class=\"range\" x=\"")
    .text(format!("{low:.1}"))
    .raw("\" width=\"")
    .text(format!("{:.1}", (high - low).max(1.0)))
    .raw("\" height=\"4\"/></svg><span class=\"num\">")
    .text(text)
    .raw("</span>");
}

/// Options that were left, as bars; `full` adds every quality.
pub(super) fn ranking(html: &mut Html, spec: &DecisionRecordSpec, full: bool) {
    if spec.ranking.is_empty() {
        return;
    }
    html.raw("<ol class=\"rank\">");
    for ranked in &spec.ranking {
        let is_choice = Some(&ranked.option) == spec.chosen.as_ref();
        html.raw(if is_choice { "<li class=\"choice\">" } else { "<li>" });
        html.raw("<span class=\"name\">").words(&ranked.option);
        notes(html, ranked, is_choice);
        html.raw("</span>");
        bar(html, ranked.total);
        if full {
            html.raw("<dl class=\"scores\">");
            for (quality, range) in &ranked.scores {
                html.raw("<div><dt>").words(quality).raw("</dt><dd>");
                bar(html, *range);
                html.raw("</dd></div>");
            }
            html.raw("</dl>");
        }
        html.raw("</li>");
    }
    html.raw("</ol>");
    if let Some(tie) = &spec.tie {
        html.raw("<p class=\"note\"><b>Tie.</b> ").words(tie).raw("</p>");
    }
    if spec.ranking.iter().any(|r| r.judgement) {
        html.raw("<p class=\"note\"><span class=\"judged\">\u{2248}</span> its place turns on judgements, not on sourced facts alone</p>");
    }
}

fn notes(html: &mut Html, ranked: &Ranked, is_choice: bool) {
    if ranked.judgement {
        html.raw(" <span class=\"judged\" title=\"its place turns on judgements\">\u{2248}</span>");
    }
    if is_choice {
        html.raw(" <span class=\"tag\">chosen</span>");
    } else if ranked.ties {
        html.raw(" <span class=\"tag faint\">overlaps</span>");
    }
}

pub(super) fn eliminated(html: &mut Html, spec: &DecisionRecordSpec) {
    html.raw("<ul class=\"plain out\">");
    let mut last = "";
    for e in &spec.eliminated {
        if e.option != last {
            if !last.is_empty() {
                html.raw("</li>");
            }
            html.raw("<li><s>").words(&e.option).raw("</s>");
            last = &e.option;
        }
        html.raw("<p><code>").words(&e.requirement).raw("</code> ").words(&e.reason).raw("</p>");
    }
    if !last.is_empty() {
        html.raw("</li>");
    }
    html.raw("</ul>");
}

pub(super) fn tradeoffs(html: &mut Html, spec: &DecisionRecordSpec) {
    html.raw("<ul class=\"plain\">");
    for t in &spec.tradeoffs {
        html.raw("<li>").words(&t.text).raw("<p class=\"source\">").words(&t.source).raw("</p></li>");
    }
    html.raw("</ul>");
}

pub(super) fn sizing(html: &mut Html, spec: &DecisionRecordSpec) {
    html.raw("<dl class=\"wide\">");
    for s in &spec.sizing {
        html.raw("<dt>").words(&s.quantity).raw("</dt><dd>").words(&s.arithmetic).raw("</dd>");
    }
    html.raw("</dl>");
}

pub(super) fn flip_points(html: &mut Html, spec: &DecisionRecordSpec) {
    let near: Vec<_> = spec.flip_points.iter().filter_map(|f| f.to.as_deref().map(|to| (f, to))).collect();
    if !near.is_empty() {
        html.raw("<table><caption>The smallest change of one input that changes the choice</caption>");
        html.raw("<thead><tr><th scope=\"col\">input</th><th scope=\"col\">from</th><th scope=\"col\">to</th><th scope=\"col\">then</th></tr></thead><tbody>");
        for (f, to) in near {
            html.raw("<tr><th scope=\"row\"><code>").words(&f.input).raw("</code></th><td>").words(&f.from);
            html.raw("</td><td><b>").words(to).raw("</b></td><td>");
            match &f.choice {
                Some(choice) => html.words(choice),
                None => html.raw(NOTHING),
            };
            html.raw("</td></tr>");
        }
        html.raw("</tbody></table>");
    }
    let still: Vec<&str> =
        spec.flip_points.iter().filter(|f| f.to.is_none()).map(|f| f.input.as_str()).collect();
    if !still.is_empty() {
        html.raw("<p class=\"note\">No value in range of these changes it: ")
            .words(still.join(", "))
            .raw("</p>");
    }
}

/// The way to a record's own page, from a page whose way to the overview's folder is `base`.
pub(super) fn link(html: &mut Html, base: &'static str, namespace: &str, record: &DecisionRecord) {
    html.raw(base).raw("decisions/").segment(namespace).raw("/").segment(&record.spec.stack).raw("/");
    html.segment(name(record));
}
