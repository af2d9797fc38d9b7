//! Measures the catalog's model against real engines and writes the table of it. `make calibrate` runs it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use obstack::decide::Catalog;
use obstack::decide::calibration::Engine;
use obstack_tests::calibrate::exporter::Exporter;
use obstack_tests::calibrate::{Workload, measure, report};

/// Scrapes of each load.
/// The index is spread over all samples of a series, and VictoriaMetrics merges it when it likes: with half as many,
/// bytes per sample differed by a third between loads of the same kind.
const SCRAPES: u32 = 360;

/// Three loads calibrate, the others check. One of the three replaces its series, as real ones do: a series that ended
/// stays in the head and takes less than one that goes on.
const LOADS: [Workload; 6] = [
    load("wide", 30_000, 8, 0, 750, true),
    load("churning", 20_000, 10, 600, 500, true),
    load("small", 10_000, 6, 0, 250, false),
    load("large", 50_000, 8, 0, 1_000, false),
    load("labelled", 20_000, 14, 0, 500, true),
    load("restless", 25_000, 8, 400, 600, false),
];

const fn load(
    name: &'static str,
    series: usize,
    labels: usize,
    life: u64,
    millis: u64,
    calibrates: bool,
) -> Workload {
    Workload { name, series, labels, life, interval: Duration::from_millis(millis), calibrates }
}

#[derive(Parser)]
struct Args {
    /// The file to write.
    #[arg(long, default_value = "docs/decisions/sizing.md")]
    output: PathBuf,
    /// Scrapes of each load.
    #[arg(long, default_value_t = SCRAPES)]
    scrapes: u32,
    /// Measure these loads only; the table is printed and not written.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

const HEAD: &str = "\
# How well the model sizes

Made by `make calibrate`; do not edit. It puts synthetic loads on a real Prometheus and a real VictoriaMetrics, and
holds what they take against what the catalog's model says: first with its priors, then with the figures that three
of the loads measured. The other loads only check: nothing of them is used.

- Each load is an exporter with that many series in targets of 5,000, each with that many labels. Of ten series four
  stay as they are, three count something rare, two something steady, and one wanders; where it says so, each series is
  replaced by a new one in turn (every 400 scrapes is 7 times a day at 30 s). Both engines scrape it at the same time,
  {scrapes} times.
- Memory is measured with the questions that `obstack calibrate` and the operator ask, over the second half of the
  run: the 95th percentile of resident memory (VictoriaMetrics: without pages of files) and of active series.
- Disk is what compaction makes of the run once the load has ended: Prometheus writes its head as a block, through a
  snapshot over the admin API; VictoriaMetrics flushes and merges its parts. The model is samples times bytes per
  sample, and series created times bytes of index: the series at the begin, and each that took the place of another, as
  the engine counts them. With {scrapes} samples per series the index weighs more than in blocks of days.
- A calibrated figure is the mean of the three loads that calibrate. Memory is that figure times the series, and the
  low end of what the catalog gives an idle server. Prometheus counts a series that ended for hours more, and it takes
  less than one that goes on: one of the three replaces its series, as real loads do. It was made one of them after two
  runs in which only still series calibrated, and `restless` came out 23 and 30 % too high.
- The prior's error is that of the middle of its range, as it is.
- VictoriaMetrics merges its parts and its index in the background, as far as it has come by then: its figures differ
  between two runs of the same load.
";

fn main() -> ExitCode {
    let args = Args::parse();
    let catalog = match Catalog::embedded() {
        Ok(catalog) => catalog,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(1);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let text = runtime.expect("a runtime").block_on(run(&args, &catalog));
    print!("{text}");
    if args.only.is_empty()
        && let Err(error) = std::fs::write(&args.output, &text)
    {
        eprintln!("error: {} cannot be written: {error}", args.output.display());
        return ExitCode::from(3);
    }
    ExitCode::SUCCESS
}

async fn run(args: &Args, catalog: &Catalog) -> String {
    let begun = Instant::now();
    let folder = tempfile::TempDir::new().expect("a folder");
    let mut outcomes = Vec::new();
    for load in LOADS.iter().filter(|load| args.only.is_empty() || args.only.iter().any(|n| n == load.name)) {
        let exporter = Exporter::start(load).await;
        let on = |engine| measure(engine, *load, args.scrapes, &exporter, folder.path());
        let (prometheus, victoria) = tokio::join!(on(Engine::Prometheus), on(Engine::VictoriaMetrics));
        drop(exporter);
        let (prometheus, victoria) = tokio::join!(prometheus.finish(catalog), victoria.finish(catalog));
        for outcome in [prometheus, victoria] {
            let (engine, values) = (outcome.engine.title(), &outcome.reading.measurements);
            let disk = &outcome.disk;
            let (per_sample, per_created) = disk
                .index
                .map_or((disk.bytes / disk.samples, 0.0), |index| index.terms(disk.bytes, disk.samples));
            eprintln!(
                "{:4} s  {:<10} {engine:<16} {:?} bytes per series, {per_sample:.2} per sample, {:.0} samples, \
                 {per_created:.0} of index for each of {:.0} series",
                begun.elapsed().as_secs(),
                load.name,
                values.bytes_per_series,
                disk.samples,
                disk.index.map_or(0.0, |index| index.created)
            );
            outcomes.push(outcome);
        }
    }
    let tables: Vec<String> =
        Engine::ALL.iter().map(|engine| report::tables(*engine, &outcomes, catalog)).collect();
    format!("{}\n{}", HEAD.replace("{scrapes}", &args.scrapes.to_string()), tables.join("\n"))
}
