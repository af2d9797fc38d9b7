//! `obstack decide`: what would be chosen for each stack, and why. No cluster is asked.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use obstack_crds::DecisionRecord;
use obstack_crds::record::{ChosenBy, Range};

use super::catalog::CatalogArgs;
use super::input::{Document, Input, InputArgs, Loaded};
use super::{CliError, Output, Style};
use crate::check::RECORD;
use crate::decide::measured::{Quantity, in_words};
use crate::decide::report::{self, StackReport};
use crate::decide::{
    Catalog, DecideFacts, Decision, Measurements, Plan, Previous, decide, madr, numbers, records, worked,
};
use crate::names::StackId;

/// Most bytes of a file of measured values.
const MAX_FACTS: u64 = 64 << 10;

/// Arguments of `obstack decide`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  obstack decide -f stack.yaml
  obstack decide -f stacks/ -o json
  obstack decide -f stack.yaml -o madr > decisions.md
  obstack calibrate --url http://localhost:9090 -o yaml > facts.yaml
  obstack decide -f stack.yaml --facts facts.yaml
  obstack decide -f stack.yaml -o worked           every step, to check by hand
  kubectl get odr -o yaml > records.yaml; obstack decide -f stack.yaml --previous records.yaml
  obstack decide --schema                          what -o json prints, as a JSON Schema")]
pub(super) struct DecideArgs {
    #[command(flatten)]
    input: InputArgs,
    /// How it is printed.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// DecisionRecords of the stacks, as kubectl prints them: the accepted ones are the choices in force.
    #[arg(long, value_name = "FILE")]
    previous: Option<PathBuf>,
    #[command(flatten)]
    catalog: CatalogArgs,
    /// Print the JSON Schema of -o json, and nothing else.
    #[arg(long, exclusive = true)]
    schema: bool,
    /// Measured values to decide with, YAML or JSON, as `obstack calibrate -o yaml` prints them. They stand in the
    /// place of the catalog's figures of the option that was measured, and of no other.
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
}

/// How decisions are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// Markdown architecture decision records, one after the other.
    Madr,
    /// Every step with its arithmetic, as Markdown.
    Worked,
}

/// Decides the stacks of the input and prints the outcome.
///
/// # Errors
/// [`CliError::Input`] for what cannot be read or is not valid.
pub(super) fn run(args: DecideArgs, output: &Output) -> Result<(), CliError> {
    if args.schema {
        return output.print(&report::schema());
    }
    let catalog = args.catalog.load()?;
    let stacks = Input::read(&args.input)?.with_catalog(&catalog).stacks(output)?;
    let records = args.previous.as_deref().map(records_of).transpose()?;
    let measured = args.facts.as_deref().map(|path| facts(path, &catalog)).transpose()?;
    let facts = DecideFacts { measured, ..DecideFacts::offline() };
    let previous = |loaded: &Loaded| previous_of(&loaded.id, records.as_deref());
    let plan = |loaded: &Loaded| decide(&loaded.valid, &facts, &previous(loaded), &catalog);
    let text = match args.output {
        Format::Json => {
            let reports: Vec<_> = stacks.iter().map(|s| StackReport::of(&s.id, &plan(s))).collect();
            let json = serde_json::to_string_pretty(&reports);
            json.map_err(|e| CliError::Input(e.to_string()))? + "\n"
        }
        Format::Worked => {
            let page = |s: &Loaded| {
                let title = format!("Stack {}", s.id);
                worked::render((&title, ""), &s.valid, &facts, &previous(s), &catalog)
            };
            stacks.iter().map(page).collect::<Vec<_>>().join("\n")
        }
        Format::Madr => stacks.iter().map(|s| markdown(s, &plan(s))).collect::<Vec<_>>().join("\n"),
        Format::Table => {
            let paint = |style: Style, text: &str| output.style(style, text);
            stacks.iter().map(|s| table(s, &plan(s), &paint)).collect::<Vec<_>>().join("\n")
        }
    };
    output.print(&text)
}

/// The measured values of a file.
fn facts(path: &Path, catalog: &Catalog) -> Result<Measurements, CliError> {
    let shown = path.display();
    let fault = |found: String| CliError::Input(format!("--facts {shown}: {found}"));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| fault(format!("it cannot be read: {e}")))?;
    let read = file.take(MAX_FACTS + 1).read_to_string(&mut text);
    read.map_err(|e| fault(format!("it cannot be read: {e}")))?;
    if text.len() as u64 > MAX_FACTS {
        return Err(fault(format!("it has more than {} KiB; write measured values only", MAX_FACTS >> 10)));
    }
    let known: Vec<&str> = Quantity::ALL.iter().map(|quantity| quantity.id()).collect();
    let write = format!("write option, {}, each with its value", numbers::list(&known, "or"));
    let measured: Measurements = serde_saphyr::from_str(&text).map_err(|e| fault(format!("{e}; {write}")))?;
    let faults = measured.faults(catalog);
    if faults.is_empty() { Ok(measured.rounded()) } else { Err(fault(faults.join("; "))) }
}

/// The decision records of a file; other kinds in it are left alone.
fn records_of(path: &Path) -> Result<Vec<DecisionRecord>, CliError> {
    let input = Input::read(&InputArgs { files: vec![path.to_owned()] })?;
    if let Some(problem) = input.problems.first() {
        return Err(CliError::Input(problem.to_string()));
    }
    let version = format!("{}/{}", obstack_crds::GROUP, obstack_crds::VERSION);
    let read = |(document, body): (&Document, serde_json::Value)| {
        serde_json::from_value::<DecisionRecord>(body).map_err(|e| {
            let place = document.finding("", format!("no DecisionRecord ({e})"), "one as kubectl prints it");
            CliError::Input(place.to_string())
        })
    };
    let records = input.of_kind(&version, RECORD).map(read).collect::<Result<Vec<_>, _>>()?;
    if records.is_empty() {
        let write = "write what `kubectl get decisionrecords -o yaml` prints";
        return Err(CliError::Input(format!("{} holds no DecisionRecord; {write}", path.display())));
    }
    Ok(records)
}

/// The choices in force of a stack, by the records that were given.
fn previous_of(stack: &StackId, records: Option<&[DecisionRecord]>) -> Previous {
    let Some(records) = records else { return Previous::default() };
    let own = |r: &&DecisionRecord| {
        r.spec.stack == stack.name && r.metadata.namespace.as_ref().is_none_or(|n| *n == stack.namespace)
    };
    Previous::of_records(&records.iter().filter(own).cloned().collect::<Vec<_>>())
}

fn markdown(loaded: &Loaded, plan: &Plan) -> String {
    let record = |d: &Decision| {
        let spec = records::spec(plan, &loaded.valid, d, 1, None);
        madr::render(&loaded.id.namespace, &spec, None)
    };
    plan.decisions.iter().map(record).collect::<Vec<_>>().join("\n")
}

/// Writes to a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

fn table(loaded: &Loaded, plan: &Plan, paint: &dyn Fn(Style, &str) -> String) -> String {
    let mut out = String::new();
    let id = loaded.id.to_string();
    line!(
        out,
        "{}  {}",
        paint(Style::Strong, &id),
        paint(Style::Faint, &format!("catalog {}", plan.catalog))
    );
    for d in &plan.decisions {
        decision(&mut out, d, paint);
    }
    out
}

fn decision(out: &mut String, d: &Decision, paint: &dyn Fn(Style, &str) -> String) {
    let faint = |text: &str| paint(Style::Faint, text);
    let choice = match &d.chosen {
        Some(chosen) if d.deployable => paint(Style::Good, chosen),
        Some(chosen) => format!("{} {}", paint(Style::Bad, chosen), faint("(not deployed by this operator)")),
        None => paint(Style::Bad, "nothing is left"),
    };
    let who = match (d.chosen_by, &d.engine_would_choose) {
        (ChosenBy::Engine, _) => String::new(),
        (ChosenBy::Person, Some(other)) => format!("  by a person; the engine would choose {other}"),
        (ChosenBy::Person, None) => "  by a person; the engine would choose nothing".to_owned(),
    };
    line!(out, "\n{}  {choice}{}", paint(Style::Strong, &format!("{:<16}", d.component.id())), faint(&who));
    let mut row = |name: &str, text: &str| {
        line!(out, "  {} {text}", faint(&format!("{name:<13}")));
    };
    if let Some(because) = &d.because {
        row("because", &one_line(because));
    }
    for broken in &d.violates {
        row("breaks", &paint(Style::Bad, &format!("{}: {}", broken.requirement, broken.reason)));
    }
    for r in &d.ranking {
        let marks = [(r.ties, "ties"), (r.judgement, "turns on judgement")];
        let marks: Vec<_> = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
        let marks = if marks.is_empty() { String::new() } else { format!("  ({})", marks.join(", ")) };
        row("ranked", &format!("{:<24}{}{}", r.option, points(r.total), faint(&marks)));
    }
    if let Some(tie) = &d.tie {
        row("tie", tie);
    }
    for e in &d.eliminated {
        row("ruled out", &format!("{:<24}{}: {}", e.option, e.requirement, e.reason));
    }
    for relaxation in &d.relaxations {
        row("relax", relaxation);
    }
    for s in &d.sizing {
        row("needs", &format!("{:<24}{}", s.quantity, s.arithmetic));
    }
    for m in &d.measured {
        row("measured", &format!("{:<24}{}", m.quantity, in_words(m)));
    }
    for t in &d.tradeoffs {
        row("accepted", &format!("{} {}", t.text, faint(&format!("[{}]", t.source))));
    }
    for f in d.flip_points.iter().filter(|f| f.to.is_some()) {
        let (to, choice) = (f.to.as_deref().unwrap_or_default(), f.choice.as_deref().unwrap_or("nothing"));
        row("flips", &format!("{:<40}{} -> {to}: {choice}", f.input, f.from));
    }
    for w in &d.tripwires {
        let next = w.next.as_deref().map(|n| format!(", then {n}")).unwrap_or_default();
        let lasts = if w.for_.is_empty() { String::new() } else { format!(" for {}", w.for_) };
        row("look again", &format!("{} > {}{lasts}{next}", w.expr, w.bound));
    }
}

/// Words of others on one line, without what a terminal would obey.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn points(range: Range) -> String {
    numbers::range(range, |v| format!("{:.0}", v.round()))
}
