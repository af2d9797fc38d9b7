//! One record in full.

use obstack_crds::DecisionRecord;

use super::history::history;
use super::html::Html;
use super::parts::{
    NOTHING, by_chip, eliminated, flip_points, phase_chip, ranking, sizing, state_chip, tradeoffs,
};
use super::view::{StackView, name};
use super::watch::{conditions, measured, tripwires};
use crate::decide::madr;

/// The way from a record to the folder that the overview lies in.
const BASE: &str = "../../../";

/// A record as a page.
pub fn render_record(view: &StackView, record: &DecisionRecord) -> String {
    let spec = &record.spec;
    let chosen = spec.chosen.as_deref().unwrap_or(NOTHING);
    let mut html = Html::new();
    html.raw("<a class=\"skip\" href=\"#main\">To the record</a><header class=\"top\">");
    html.raw("<nav aria-label=\"Path\"><a href=\"../../../decisions\">Decisions</a> / ").words(&view.id);
    html.raw("</nav><h1><span class=\"eyebrow\">").text(spec.component.title()).raw("</span> ").words(chosen);
    html.raw("</h1><p class=\"chips\">");
    phase_chip(&mut html, record);
    by_chip(&mut html, spec);
    state_chip(&mut html, record);
    html.raw("</p></header><main class=\"record\" id=\"main\"><p class=\"statement\">")
        .words(&spec.statement)
        .raw("</p>");

    if let Some(because) = &spec.because {
        html.raw("<blockquote>").words(because).raw("</blockquote>");
        if let Some(engine) = &spec.engine_would_choose {
            html.raw("<p class=\"note\">The engine would choose <b>").words(engine).raw("</b>.</p>");
        }
    }
    facts(&mut html, record);
    section(&mut html, "How it stands", spec.tripwires.len(), |html| tripwires(html, record));
    section(&mut html, "Ranking", spec.ranking.len(), |html| ranking(html, spec, true));
    section(&mut html, "Ruled out", spec.eliminated.len(), |html| eliminated(html, spec));
    section(&mut html, "Smallest relaxations", spec.relaxations.len(), |html| {
        html.raw("<ul class=\"plain\">");
        for relaxation in &spec.relaxations {
            html.raw("<li>").words(relaxation).raw("</li>");
        }
        html.raw("</ul>");
    });
    section(&mut html, "Accepted with it", spec.tradeoffs.len(), |html| tradeoffs(html, spec));
    section(&mut html, "What it needs, all replicas together", spec.sizing.len(), |html| sizing(html, spec));
    section(&mut html, "What was measured", spec.measured.len(), |html| measured(html, spec));
    section(&mut html, "What would change it", spec.flip_points.len(), |html| flip_points(html, spec));
    section(&mut html, "When to look again", spec.tripwires.len(), |html| conditions(html, spec));
    inputs(&mut html, record);
    let records: Vec<_> = view.records.iter().rev().filter(|r| r.spec.component == spec.component).collect();
    section(&mut html, "History", records.len(), |html| history(html, BASE, &view.id.namespace, &records));
    html.raw("<section><h2>As Markdown</h2><p><label for=\"markdown\">MADR 4.0, to select and copy whole</label>, or <a href=\"");
    html.segment(name(record)).raw(".md\" type=\"text/markdown\">open it as a file</a></p>");
    html.raw("<textarea id=\"markdown\" class=\"markdown\" readonly rows=\"16\" spellcheck=\"false\">");
    html.text(madr::render(&view.id.namespace, spec, record.status.as_ref()))
        .raw("</textarea></section></main>");
    html.page(&format!("{chosen}: {} of {}", spec.component.title(), view.id))
}

/// What is said where there is no such record, or none that the viewer may see.
pub(super) fn render_missing() -> String {
    let mut html = Html::new();
    html.raw("<header class=\"top\"><p><a href=\"../../../decisions\">Decisions</a></p><h1>No such record</h1></header>");
    html.raw("<main id=\"main\"><p class=\"empty\">It was forgotten with the oldest of its component's history, its stack's namespace is gone, or it is not yours to see.</p></main>");
    html.page("No such record")
}

fn section(html: &mut Html, title: &'static str, count: usize, content: impl FnOnce(&mut Html)) {
    if count > 0 {
        html.raw("<section><h2>").raw(title).raw("</h2>");
        content(html);
        html.raw("</section>");
    }
}

fn facts(html: &mut Html, record: &DecisionRecord) {
    let spec = &record.spec;
    let number = spec.number.to_string();
    let by = record.status.as_ref().and_then(|s| s.superseded_by.as_deref());
    let relation = if spec.reaffirms { "reaffirms" } else { "supersedes" };
    html.raw("<dl class=\"facts\">");
    for (name, text, link) in [
        ("record", Some(name(record)), false),
        ("number", Some(number.as_str()), false),
        ("decided", Some(spec.decided_at.as_str()), false),
        ("catalog", Some(spec.catalog.as_str()), false),
        (relation, spec.supersedes.as_deref(), true),
        ("superseded by", by, true),
    ] {
        fact(html, name, text, link);
    }
    html.raw("</dl>");
}

fn fact(html: &mut Html, name: &'static str, text: Option<&str>, link: bool) {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return };
    html.raw("<div><dt>").raw(name).raw("</dt><dd>");
    if link {
        html.raw("<a href=\"").segment(text).raw("\">").words(text).raw("</a>");
    } else {
        html.words(text);
    }
    html.raw("</dd></div>");
}

fn inputs(html: &mut Html, record: &DecisionRecord) {
    let spec = &record.spec;
    html.raw("<section><h2>What was asked for</h2><div class=\"pair\"><dl class=\"wide\">");
    for (path, value) in &spec.requirements {
        html.raw("<dt>").words(path).raw("</dt><dd>").words(value).raw("</dd>");
    }
    html.raw("</dl><dl class=\"wide\">");
    for (quality, weight) in &spec.priorities {
        html.raw("<dt>").words(quality).raw("</dt><dd>weight ").words(weight).raw(" of 5</dd>");
    }
    html.raw("</dl></div></section>");
}
