//! Measuring the catalog's model: real engines scrape a synthetic load, and what they take is held against what
//! the model says, with its priors and with figures measured on other loads.

pub mod engine;
pub mod exporter;
pub mod report;

use std::path::Path;
use std::time::Duration;

use obstack::decide::Catalog;
use obstack::decide::calibration::{Answers, Engine, Enough, Reading, SERIES, read};
use obstack::decide::measured::COMPONENT;
use obstack::observe::measure::Measurer;

use engine::{Disk, Running};
use exporter::Exporter;

/// A load on a store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// Name in the table.
    pub name: &'static str,
    /// Series at any time.
    pub series: usize,
    /// Labels of each series beside its name and its target.
    pub labels: usize,
    /// How often each series is replaced by a new one, in scrapes; 0 is never.
    pub life: u64,
    /// Time between two scrapes.
    pub interval: Duration,
    /// Whether the model is calibrated with it; the others only check the outcome.
    pub calibrates: bool,
}

/// What an engine took for a load.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Which engine.
    pub engine: Engine,
    /// The load.
    pub workload: Workload,
    /// What the engine answered about itself.
    pub answers: Answers,
    /// What that comes to.
    pub reading: Reading,
    /// What lies on its disk.
    pub disk: Disk,
}

/// An engine whose answers are there, and whose disk is not measured yet.
pub struct Measured {
    kind: Engine,
    workload: Workload,
    engine: Running,
    answers: Answers,
    enough: Enough,
}

/// Puts a load on an engine for a number of scrapes, and asks it about itself.
///
/// # Panics
/// When the engine does not start, misses what it is to scrape, or does not answer.
pub async fn measure(
    kind: Engine,
    workload: Workload,
    scrapes: u32,
    exporter: &Exporter,
    folder: &Path,
) -> Measured {
    let engine = Running::start(kind, &workload, exporter, folder, engine::BLOCK).await;
    let length = workload.interval * scrapes;
    tokio::time::sleep(length).await;
    // Levels are those of the second half: memory has grown into the load by then.
    let window = (length / 2).max(Duration::from_secs(5));
    let enough = Enough { series: 1.0, blocks: 0.0, samples: 1.0, above_idle: 0.0, window };
    obstack::tls::install_provider();
    let measurer = Measurer::new(None).expect("an HTTP client");
    let answers = measurer.answers(&engine.url, kind, r#"job="self""#, window).await;
    let answers = answers.unwrap_or_else(|error| panic!("{}: {error}: {}", kind.title(), engine.tail()));
    let found = answers.get(SERIES).copied().unwrap_or_default();
    let least = workload.series as f64 * 0.95;
    assert!(found >= least, "{} holds {found} series of {}: {}", kind.title(), workload.name, engine.tail());
    Measured { kind, workload, engine, answers, enough }
}

impl Measured {
    /// Measures the disk as well, and ends the engine. The load is to be gone by then, so that everything can be
    /// compacted.
    ///
    /// # Panics
    /// When the engine does not compact in time.
    pub async fn finish(self, catalog: &Catalog) -> Outcome {
        let disk = self.engine.disk().await;
        let option = catalog.option(COMPONENT, self.kind.option()).expect("an option of the catalog");
        let reading = read(option, &self.answers, &self.enough);
        self.engine.stop().await;
        Outcome { engine: self.kind, workload: self.workload, answers: self.answers, reading, disk }
    }
}
