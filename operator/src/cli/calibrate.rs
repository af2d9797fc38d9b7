//! `obstack calibrate`: what a running engine measures of itself, beside the figures that decisions are made with.

use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use obstack_crds::record::Range;

use super::{CliError, Output, Style, runtime};
use crate::decide::calibration::{DISK_BYTES, ENOUGH, Engine, RESIDENT, Reading, SAMPLES, SERIES, index};
use crate::decide::catalog::{Driver, OptionEntry, Term};
use crate::decide::measured::{COMPONENT, Quantity, in_words, prior};
use crate::decide::{Catalog, numbers};
use crate::observe::measure::{MeasureError, Measurer};

/// Most bytes of a token.
const MAX_TOKEN: u64 = 64 << 10;

/// Arguments of `obstack calibrate`.
#[derive(Clone, Debug, Args)]
#[command(after_help = "\
Examples:
  obstack calibrate --url http://localhost:9090
  obstack calibrate --url https://prometheus.example.com --bearer-token-file token -o yaml > facts.yaml
  obstack decide -f stack.yaml --facts facts.yaml

The engine must scrape itself. It is measured once it has run for a day and holds 1,000 series. What there is too
little data for is left out, with the reason.")]
pub(super) struct CalibrateArgs {
    /// Where the engine answers, with its path prefix: http://localhost:9090.
    #[arg(long, value_name = "URL")]
    url: String,
    /// Which engine it is; found out where it is left out.
    #[arg(long, value_enum)]
    engine: Option<EngineName>,
    /// Label matchers that single the engine's own metrics out, where it holds those of several:
    /// 'job="prometheus",instance="localhost:9090"'.
    #[arg(long, value_name = "MATCHERS", default_value = "")]
    select: String,
    /// How it is printed; json and yaml are what `obstack decide --facts` reads.
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
    /// File with a token that the engine, or what stands before it, asks for.
    #[arg(long, value_name = "FILE")]
    bearer_token_file: Option<PathBuf>,
}

/// Engines that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineName {
    Prometheus,
    #[value(name = "victoriametrics")]
    VictoriaMetrics,
}

/// How the outcome is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The comparison, for people.
    Table,
    /// The measured values as JSON.
    Json,
    /// The measured values as YAML.
    Yaml,
}

/// Measures an engine and prints what it comes to.
///
/// # Errors
/// [`CliError::Usage`] for an URL or matchers that make no sense, [`CliError::Input`] for a token that cannot be
/// read, [`CliError::Outside`] where the engine does not answer or does not scrape itself.
pub(super) fn run(args: CalibrateArgs, output: &Output) -> Result<(), CliError> {
    let scheme = |url: &reqwest::Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    if !reqwest::Url::parse(&args.url).is_ok_and(|url| scheme(&url)) {
        let message = format!("--url: found {:?}; write an URL, such as http://localhost:9090", args.url);
        return Err(CliError::Usage(message));
    }
    if args.select.contains(['{', '}']) {
        let message =
            format!("--select: found {:?}; write matchers without braces: job=\"prometheus\"", args.select);
        return Err(CliError::Usage(message));
    }
    let catalog = Catalog::embedded().map_err(|e| CliError::Input(e.to_string()))?;
    let token = args.bearer_token_file.as_deref().map(token).transpose()?;
    let measurer = Measurer::new(token)
        .map_err(|error| CliError::Outside(format!("no HTTP client can be made: {error}")))?;
    let url = args.url.as_str();
    let asked = runtime(1)?.block_on(async {
        let engine = match args.engine {
            Some(EngineName::Prometheus) => Engine::Prometheus,
            Some(EngineName::VictoriaMetrics) => Engine::VictoriaMetrics,
            None => measurer.detect(url).await?,
        };
        let reading = measurer.read(url, engine, args.select.trim_matches(','), &ENOUGH, &catalog).await?;
        Ok((engine, reading))
    });
    let (engine, reading) = asked.map_err(|error| outside(url, &error))?;
    let option = catalog.option(COMPONENT, engine.option());
    let option = option.ok_or_else(|| outside(url, &MeasureError::NoOption(engine.option())))?;
    if !reading.answers.contains_key(SERIES) {
        return Err(CliError::Outside(format!(
            "{url} holds no metrics of {} itself; let it scrape itself, or say with --engine and --select whose \
             metrics are meant",
            engine.title()
        )));
    }
    let facts = &reading.measurements;
    let text = match args.output {
        Format::Table => {
            let paint = |style: Style, text: &str| output.style(style, text);
            table(url, engine, option, &reading, &paint)
        }
        Format::Json => {
            serde_json::to_string_pretty(facts).map_err(|e| CliError::Input(e.to_string()))? + "\n"
        }
        Format::Yaml => crate::yaml::emit(facts).map_err(|e| CliError::Input(e.to_string()))?,
    };
    if args.output != Format::Table {
        for (quantity, reason) in &reading.lacking {
            output.note(&format!("{} is not measured: {reason}", quantity.id()));
        }
    }
    output.print(&text)
}

/// What to do about an engine that could not be asked.
fn outside(url: &str, error: &MeasureError) -> CliError {
    let hint = match error {
        MeasureError::Unreachable(_) => "see that it runs and that the URL has its path prefix",
        MeasureError::Denied(_) => "give --bearer-token-file a token that may query",
        MeasureError::Ambiguous(_) => "choose one of them with --select",
        MeasureError::Status { code: 400 | 422, .. } => "see that --select holds label matchers",
        _ => "see that the URL is that of a Prometheus or a VictoriaMetrics, path prefix included",
    };
    CliError::Outside(format!("{url}: {error}; {hint}"))
}

fn token(path: &Path) -> Result<String, CliError> {
    let fault = |found: String| CliError::Input(format!("--bearer-token-file {}: {found}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| fault(format!("it cannot be read: {e}")))?;
    let read = file.take(MAX_TOKEN).read_to_string(&mut text);
    read.map_err(|e| fault(format!("it cannot be read: {e}")))?;
    let text = text.trim();
    if text.is_empty() || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(fault("it holds no token; write the token on one line".to_owned()));
    }
    Ok(text.to_owned())
}

/// Writes to a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

fn table(
    url: &str,
    engine: Engine,
    option: &OptionEntry,
    reading: &Reading,
    paint: &dyn Fn(Style, &str) -> String,
) -> String {
    let mut out = String::new();
    line!(out, "{}  {}", paint(Style::Strong, engine.title()), paint(Style::Faint, url));
    for row in reading.measurements.beside(option) {
        line!(out, "  {:<24}{}", row.quantity, in_words(&row));
    }
    for (quantity, reason) in &reading.lacking {
        line!(out, "  {}", paint(Style::Faint, &format!("{:<24}not measured: {reason}", quantity.id())));
    }
    line!(out, "\n{}", paint(Style::Strong, "The model's figures at this load, beside what is"));
    for (what, predicted, found) in predictions(option, reading) {
        let (predicted, found) = (numbers::range(predicted, numbers::bytes), numbers::bytes(found));
        line!(out, "  {what:<24}predicted {predicted}, is {found}");
    }
    out
}

/// What the catalog's figures give for the load that the engine has, and what is: memory, and disk of its blocks.
fn predictions(option: &OptionEntry, reading: &Reading) -> Vec<(&'static str, Range, f64)> {
    let answer = |name| reading.answers.get(name).copied();
    let scaled = |range: Range, by: f64| Range { low: range.low * by, high: range.high * by };
    let idle = option.models.memory.iter().filter(|term| term.per == Driver::Replica);
    let idle = idle.fold(Range::default(), |sum: Range, term: &Term| Range {
        low: sum.low + term.low,
        high: sum.high + term.high,
    });
    let mut rows = Vec::new();
    if let (Some(series), Some(resident), Some(each)) =
        (answer(SERIES), answer(RESIDENT), prior(option, Quantity::BytesPerSeries))
    {
        let series = scaled(each, series);
        let predicted = Range { low: idle.low + series.low, high: idle.high + series.high };
        rows.push(("memory", predicted, resident));
    }
    if let (Some(samples), Some(bytes), Some(each)) =
        (answer(SAMPLES), answer(DISK_BYTES), prior(option, Quantity::BytesPerSample))
        && samples > 0.0
    {
        let index = index(&reading.answers, &ENOUGH).ok().zip(prior(option, Quantity::IndexBytesPerSeries));
        let index = index.map_or(Range::default(), |(index, each)| scaled(each, index.created));
        let samples = scaled(each, samples);
        let predicted = Range { low: samples.low + index.low, high: samples.high + index.high };
        rows.push(("disk of blocks", predicted, bytes));
    }
    rows
}

#[cfg(test)]
#[path = "calibrate_tests.rs"]
mod tests;
