//! The overview: every stack with its components.

use obstack_crds::DecisionRecord;

use super::Seen;
use super::history::history;
use super::html::Html;
use super::parts::{
    NOTHING, by_chip, eliminated, flip_points, link, phase_chip, ranking, sizing, state_chip, tradeoffs,
};
use super::view::{Row, StackView, name};
use super::watch::{conditions, measured, state_words, tripwires};

/// The way from the overview to the folder that it lies in.
const BASE: &str = "";

/// The overview of what a viewer may see, as a page.
pub fn render_index(seen: &Seen) -> String {
    let stacks = &seen.stacks;
    let mut html = Html::new();
    html.raw("<a class=\"skip\" href=\"#main\">To the decisions</a><header class=\"top\"><h1>Decisions</h1><p>What was chosen for each part of each stack, against what, why, and at what cost.</p>");
    html.raw("<p><a href=\"decisions.json\">JSON</a></p></header><main id=\"main\">");
    if stacks.is_empty() && seen.limited {
        html.raw("<p class=\"empty\">There is no stack, or none that this token may see. This says whether it may: <code>kubectl auth can-i get observabilitystacks -n NAMESPACE</code>.</p>");
    } else if stacks.is_empty() {
        html.raw("<p class=\"empty\">There is no stack yet. The first <code>ObservabilityStack</code> that is applied is decided at once.</p>");
    }
    if stacks.len() > 1 {
        html.raw("<nav aria-label=\"Stacks\"><ul>");
        for view in stacks {
            html.raw("<li><a href=\"#");
            anchor(&mut html, view, "");
            html.raw("\">").words(&view.id).raw("</a></li>");
        }
        html.raw("</ul></nav>");
    }
    for view in stacks {
        stack(&mut html, view);
    }
    html.raw("</main>");
    html.page("Decisions")
}

fn anchor(html: &mut Html, view: &StackView, component: &'static str) {
    html.segment(&view.id.namespace).raw(".").segment(&view.id.name).raw(".").raw(component);
}

fn stack(html: &mut Html, view: &StackView) {
    html.raw("<section class=\"stack\" id=\"");
    anchor(html, view, "");
    html.raw("\" aria-labelledby=\"");
    anchor(html, view, "title");
    html.raw("\"><h2 id=\"");
    anchor(html, view, "title");
    html.raw("\"><span class=\"faint\">").words(&view.id.namespace).raw(" /</span> ").words(&view.id.name);
    if let Some(environment) = &view.environment {
        html.raw(" <span class=\"chip\">").words(environment).raw("</span>");
    }
    if view.gone {
        html.raw(" <span class=\"chip warn\">deleted, its records are left</span>");
    }
    html.raw("</h2>");
    let rows = view.rows();
    if rows.iter().all(|row| row.history.is_empty()) {
        html.raw("<p class=\"empty\">Nothing is decided yet. Where this stays, the stack's condition Accepted says why.</p></section>");
        return;
    }
    html.raw("<nav aria-label=\"Components\"><ol class=\"strip\">");
    for row in &rows {
        html.raw("<li><a href=\"#");
        anchor(html, view, row.component.id());
        html.raw("\"><span>").text(row.component.title()).raw("</span><b>");
        html.words(choice(row.shown())).raw("</b>");
        if let Some(record) = row.shown() {
            state_words(html, record);
        }
        if row.open.is_some() {
            html.raw("<em>proposal open</em>");
        } else if row.not_deployable() {
            html.raw("<em>not deployed</em>");
        }
        html.raw("</a></li>");
    }
    html.raw("</ol></nav><div class=\"cards\">");
    for row in &rows {
        card(html, view, row);
    }
    html.raw("</div></section>");
}

fn choice(record: Option<&DecisionRecord>) -> &str {
    record.map_or("undecided", |r| r.spec.chosen.as_deref().unwrap_or(NOTHING))
}

fn card(html: &mut Html, view: &StackView, row: &Row<'_>) {
    html.raw("<article class=\"card\" id=\"");
    anchor(html, view, row.component.id());
    html.raw("\"><h3><span class=\"eyebrow\">")
        .text(row.component.title())
        .raw("</span> ")
        .words(choice(row.shown()));
    html.raw("</h3>");
    let Some(record) = row.shown() else {
        html.raw("<p class=\"empty\">Not decided yet.</p></article>");
        return;
    };
    let spec = &record.spec;
    html.raw("<p class=\"chips\">");
    phase_chip(html, record);
    by_chip(html, spec);
    state_chip(html, record);
    html.raw("</p>");
    if row.not_deployable() {
        html.raw("<p class=\"banner\">This operator cannot deploy it yet: nothing runs for it.</p>");
    }
    if let Some(open) = row.open.filter(|open| name(open) != name(record)) {
        proposal(html, view, row, open);
    }
    if let Some(because) = &spec.because {
        html.raw("<blockquote>").words(because).raw("</blockquote>");
        if let Some(engine) = &spec.engine_would_choose {
            html.raw("<p class=\"note\">The engine would choose <b>").words(engine).raw("</b>.</p>");
        }
    }
    for relaxation in &spec.relaxations {
        html.raw("<p class=\"banner\">").words(relaxation).raw("</p>");
    }
    tripwires(html, record);
    ranking(html, spec, false);
    more(html, "Ruled out", spec.eliminated.len(), |html| eliminated(html, spec));
    more(html, "Accepted with it", spec.tradeoffs.len(), |html| tradeoffs(html, spec));
    more(html, "What it needs", spec.sizing.len(), |html| sizing(html, spec));
    more(html, "What was measured", spec.measured.len(), |html| measured(html, spec));
    let flips = spec.flip_points.iter().filter(|f| f.to.is_some()).count();
    more(html, "What would change it", flips, |html| flip_points(html, spec));
    more(html, "When to look again", spec.tripwires.len(), |html| conditions(html, spec));
    more(html, "History", row.history.len(), |html| history(html, BASE, &view.id.namespace, &row.history));
    html.raw("<p class=\"foot\"><a href=\"");
    link(html, BASE, &view.id.namespace, record);
    html.raw("\">Record ").text(spec.number).raw(" in full</a> <a href=\"");
    link(html, BASE, &view.id.namespace, record);
    html.raw(".md\">Markdown</a></p></article>");
}

fn proposal(html: &mut Html, view: &StackView, row: &Row<'_>, open: &DecisionRecord) {
    html.raw("<div class=\"banner\"><a href=\"");
    link(html, BASE, &view.id.namespace, open);
    html.raw("\">Record ").text(open.spec.number).raw("</a> ");
    match &open.spec.chosen {
        Some(chosen) => {
            html.raw("proposes <b>")
                .words(chosen)
                .raw("</b>. Nothing moves until a person writes <code>spec.decisions.");
            html.text(row.component.id()).raw(".choose: ").text(chosen).raw("</code>.");
        }
        None => {
            html.raw("finds that every option breaks a requirement. What runs stays.");
            for relaxation in &open.spec.relaxations {
                html.raw("<br>").words(relaxation);
            }
        }
    }
    html.raw("</div>");
}

fn more(html: &mut Html, title: &'static str, count: usize, content: impl FnOnce(&mut Html)) {
    if count == 0 {
        return;
    }
    html.raw("<details><summary>")
        .raw(title)
        .raw(" <span class=\"count\">")
        .text(count)
        .raw("</span></summary>");
    content(html);
    html.raw("</details>");
}
