//! Tripwires: how each stands, what it watches, and what was measured.

use obstack_crds::record::{Measured, TripwireState, WireStatus};
use obstack_crds::{DecisionRecord, DecisionRecordSpec};

use super::html::Html;
use super::parts::state_word;
use super::view::{state, wires};
use crate::decide::numbers;

/// Width of a pressure bar, in hundredths of the bound.
const SCALE: u32 = 125;
/// Bands of pressure, as a record's status names them, and where each begins and ends, in hundredths of the
/// bound.
const BANDS: [(&str, u32, u32); 4] =
    [("<0.5", 0, 50), ("0.5-0.8", 50, 80), ("0.8-1.0", 80, 100), (">=1.0", 100, SCALE)];

/// The state of a record's tripwires, in words with a dot, where it has any.
pub(super) fn state_words(html: &mut Html, record: &DecisionRecord) {
    if record.spec.tripwires.is_empty() {
        return;
    }
    let (class, word) = state_word(state(record));
    html.raw("<i class=\"state ").raw(class).raw("\">").raw(word).raw("</i>");
}

/// How each tripwire stands: its state, and its pressure as a bar.
pub(super) fn tripwires(html: &mut Html, record: &DecisionRecord) {
    let wires = wires(record);
    if wires.is_empty() {
        return;
    }
    html.raw("<table class=\"wires\"><caption>Tripwires: pressure is the value over its bound</caption>");
    html.raw("<thead><tr><th scope=\"col\">tripwire</th><th scope=\"col\">state</th><th scope=\"col\">pressure</th></tr></thead><tbody>");
    for (wire, status) in &wires {
        let (class, word) = state_word(status.state);
        html.raw("<tr><th scope=\"row\">").words(&wire.id).raw("</th><td><span class=\"chip ");
        html.raw(class).raw("\"><i class=\"dot\"></i>").raw(word).raw("</span></td><td>");
        pressure(html, status, class);
        html.raw("</td></tr>");
        if let Some(reason) = &status.reason {
            html.raw("<tr class=\"reason\"><td colspan=\"3\">").words(reason).raw("</td></tr>");
        }
        if let (TripwireState::Tripped, Some(next)) = (status.state, &wire.next) {
            html.raw("<tr class=\"reason\"><td colspan=\"3\">Then <b>").words(next).raw("</b>: ");
            html.words(&wire.cost).raw("</td></tr>");
        }
    }
    html.raw("</tbody></table>");
}

/// A band of pressure as a bar with marks at 0.8 and at the bound. The text beside it says the same.
fn pressure(html: &mut Html, status: &WireStatus, class: &'static str) {
    let band = status.pressure.as_deref();
    html.raw("<span class=\"pressure ").raw(class).raw("\">");
    html.raw("<svg class=\"bar\" viewBox=\"0 0 125 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">");
    html.raw("<rect class=\"track\" width=\"125\" height=\"4\"/>");
    if let Some((_, begin, end)) = BANDS.iter().find(|(name, _, _)| Some(*name) == band) {
        // As far as it is certain, and then as far as the band goes.
        html.raw("<rect class=\"sure\" width=\"")
            .text(begin)
            .raw("\" height=\"4\"/><rect class=\"band\" x=\"");
        html.text(begin).raw("\" width=\"").text(end - begin).raw("\" height=\"4\"/>");
    }
    html.raw("<rect class=\"mark\" x=\"79.5\" width=\"1\" height=\"4\"/><rect class=\"mark\" x=\"99\" width=\"2\" height=\"4\"/></svg>");
    html.raw("<span class=\"num\">").words(band.unwrap_or("no value")).raw("</span></span>");
}

/// What each tripwire watches, for how long, and where to go when it trips.
pub(super) fn conditions(html: &mut Html, spec: &DecisionRecordSpec) {
    html.raw("<ul class=\"plain\">");
    for w in &spec.tripwires {
        html.raw("<li><b>")
            .words(&w.id)
            .raw("</b> <span class=\"faint\">watches ")
            .words(&w.tradeoff)
            .raw("</span>");
        html.raw("<pre tabindex=\"0\">").words(&w.expr).raw("</pre><p>Bound <b>").words(&w.bound);
        html.raw("</b>");
        if !w.for_.is_empty() {
            html.raw(", passed for <b>").words(&w.for_).raw("</b>");
        }
        if !w.keep_firing_for.is_empty() {
            html.raw("; stays tripped for <b>").words(&w.keep_firing_for).raw("</b> after");
        }
        html.raw(".</p>");
        if !w.guard.is_empty() {
            html.raw("<p class=\"source\">Judged only while this has a value: <code>").words(&w.guard);
            html.raw("</code></p>");
        }
        html.raw("<p>");
        match &w.next {
            Some(next) => html.raw("Then <b>").words(next).raw("</b>: ").words(&w.cost),
            None => html.words(&w.cost),
        };
        html.raw("</p></li>");
    }
    html.raw("</ul>");
}

/// Figures of the catalog beside what the running engine measured.
pub(super) fn measured(html: &mut Html, spec: &DecisionRecordSpec) {
    html.raw(
        "<table><caption>Measured on the running engine, in the place of the catalog's figure</caption>",
    );
    html.raw("<thead><tr><th scope=\"col\">what</th><th scope=\"col\">catalog</th><th scope=\"col\">measured</th><th scope=\"col\">the catalog is off by</th></tr></thead><tbody>");
    for m in &spec.measured {
        html.raw("<tr><th scope=\"row\">").words(&m.quantity).raw("</th><td>");
        match m.prior {
            Some(prior) => html.words(format!("{} {}", numbers::range(prior, numbers::two), m.unit)),
            None => html.raw("none"),
        };
        html.raw("</td><td><b>")
            .words(format!("{} {}", numbers::two(m.measured), m.unit))
            .raw("</b></td><td>");
        html.text(off_by(m)).raw("</td></tr>");
    }
    html.raw("</tbody></table>");
}

fn off_by(measured: &Measured) -> String {
    let Some(error) = measured.error else { return "not known".to_owned() };
    let sign = if error > 0.0 { "+" } else { "" };
    format!("{sign}{} %", numbers::two(error * 100.0))
}
