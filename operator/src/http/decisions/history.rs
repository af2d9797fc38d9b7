//! The records of a component, superseding one another.

use obstack_crds::DecisionRecord;

use super::html::Html;
use super::parts::{NOTHING, link, phase_chip};
use super::view::name;

/// Links to the records of a component, the newest first. `base` is the way to the overview's folder.
pub(super) fn history(html: &mut Html, base: &'static str, namespace: &str, records: &[&DecisionRecord]) {
    html.raw("<ol class=\"plain history\" reversed>");
    for record in records {
        html.raw("<li><a href=\"");
        link(html, base, namespace, record);
        html.raw("\">#").text(record.spec.number).raw("</a> <b>");
        html.words(record.spec.chosen.as_deref().unwrap_or(NOTHING)).raw("</b> ");
        phase_chip(html, record);
        if let Some(older) = &record.spec.supersedes {
            html.raw(if record.spec.reaffirms { "<span>reaffirms " } else { "<span>supersedes " });
            match records.iter().find(|other| name(other) == older) {
                Some(other) => {
                    html.raw("<a href=\"");
                    link(html, base, namespace, other);
                    html.raw("\">#").text(other.spec.number).raw("</a>")
                }
                // The oldest are forgotten.
                None => html.words(older),
            };
            html.raw("</span>");
        }
        html.raw(" <time>").words(&record.spec.decided_at).raw("</time></li>");
    }
    html.raw("</ol>");
}
