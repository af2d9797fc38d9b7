//! How an engine is measured: what is asked of it, how much data is enough, what the answers come to, and when
//! they are taken over into a record. Pure; `observe` asks.

use std::cmp::Ordering::Equal;
use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use obstack_crds::DecisionRecord;

use super::catalog::OptionEntry;
use super::measured::{Measurements, Quantity, idle, prior};
use super::model::middle;
use super::numbers;

/// An engine that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Prometheus.
    Prometheus,
    /// A VictoriaMetrics that stores: the single node.
    VictoriaMetrics,
}

/// A value that is asked of an engine. `{of}` stands for the label matchers that single the engine out, each with
/// a comma behind it, and `{window}` for a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// What the answer is called.
    pub name: &'static str,
    /// An instant query of at most one series.
    pub expr: &'static str,
}

// Levels are taken at their 95th percentile: a machine is sized for what is needed nearly always, and one replay or
// one heavy query must not bend the figure.
const PROMETHEUS: [Question; 11] = [
    Question {
        name: UPTIME,
        expr: "(time() - process_start_time_seconds{{of}}) and prometheus_tsdb_head_series{{of}}",
    },
    Question { name: SERIES, expr: "quantile_over_time(0.95, prometheus_tsdb_head_series{{of}}[{window}])" },
    Question {
        name: RESIDENT,
        expr: "quantile_over_time(0.95, process_resident_memory_bytes{{of}}[{window}]) \
               and prometheus_tsdb_head_series{{of}}",
    },
    Question { name: CREATED, expr: "increase(prometheus_tsdb_head_series_created_total{{of}}[{window}])" },
    // Rules included: each evaluation is a query.
    Question {
        name: QUERIES,
        expr: "rate(prometheus_engine_query_duration_seconds_count{{of}slice=\"inner_eval\"}[{window}])",
    },
    Question { name: COMPACTED, expr: "prometheus_tsdb_compactions_total{{of}}" },
    Question {
        name: CHUNK_BYTES_PER_SAMPLE,
        expr: "increase(prometheus_tsdb_compaction_chunk_size_bytes_sum{{of}}[{window}]) \
               / increase(prometheus_tsdb_compaction_chunk_samples_sum{{of}}[{window}])",
    },
    // With the index, as blocks lie on the disk.
    Question { name: DISK_BYTES, expr: "prometheus_tsdb_storage_blocks_bytes{{of}}" },
    Question {
        name: SAMPLES,
        expr: "sum without (type) (rate(prometheus_tsdb_head_samples_appended_total{{of}}[{window}])) \
               * (prometheus_tsdb_head_min_time_seconds{{of}} - prometheus_tsdb_lowest_timestamp_seconds{{of}})",
    },
    Question { name: BLOCKS, expr: "prometheus_tsdb_blocks_loaded{{of}}" },
    Question {
        name: KEPT,
        expr: "prometheus_tsdb_head_min_time_seconds{{of}} - prometheus_tsdb_lowest_timestamp_seconds{{of}}",
    },
];
const VICTORIA_METRICS: [Question; 9] = [
    Question {
        name: UPTIME,
        expr: "(time() - process_start_time_seconds{{of}}) \
               and on (job, instance) vm_cache_entries{{of}type=\"storage/hour_metric_ids\"}",
    },
    Question {
        name: SERIES,
        expr: "sum without (type) (\
               quantile_over_time(0.95, vm_cache_entries{{of}type=\"storage/hour_metric_ids\"}[{window}]))",
    },
    // Without the pages of files, which the system takes back where they are needed.
    Question {
        name: RESIDENT,
        expr: "quantile_over_time(0.95, process_resident_memory_anon_bytes{{of}}[{window}]) \
               and on (job, instance) vm_cache_entries{{of}type=\"storage/hour_metric_ids\"}",
    },
    Question { name: CREATED, expr: "increase(vm_new_timeseries_created_total{{of}}[{window}])" },
    Question {
        name: QUERIES,
        expr: "sum without (path) (\
               rate(vm_http_requests_total{{of}path=~\"(.*/)?api/v1/query(_range)?\"}[{window}]))",
    },
    Question { name: DISK_BYTES, expr: "sum without (type) (vm_data_size_bytes{{of}type!~\".*/inmemory\"})" },
    Question { name: SAMPLES, expr: "sum without (type) (vm_rows{{of}type=~\"storage/(small|big)\"})" },
    Question {
        name: INDEX_BYTES,
        expr: "sum without (type) (vm_data_size_bytes{{of}type=\"indexdb/file\"})",
    },
    Question {
        name: KEPT,
        expr: "sum without (type) (vm_rows{{of}type=~\"storage/(small|big)\"}) \
               / rate(vm_rows_added_to_storage_total{{of}}[{window}])",
    },
];

/// Seconds since the start.
pub const UPTIME: &str = "uptime";
/// Active series: those in the head of Prometheus, those of the last hour of VictoriaMetrics.
pub const SERIES: &str = "series";
/// Bytes of resident memory.
pub const RESIDENT: &str = "resident";
/// Series made within the window.
pub const CREATED: &str = "created";
/// Queries a second.
pub const QUERIES: &str = "queries";
/// Blocks written since the start.
pub const COMPACTED: &str = "compacted";
/// Bytes of a sample in the chunks of blocks, without the index.
pub const CHUNK_BYTES_PER_SAMPLE: &str = "chunkBytesPerSample";
/// Bytes of all samples on the disk, index included.
pub const DISK_BYTES: &str = "diskBytes";
/// How many samples that are.
pub const SAMPLES: &str = "samples";
/// Bytes of the index on the disk, where it is one for all samples.
pub const INDEX_BYTES: &str = "indexBytes";
/// Blocks on the disk, where each has an index of its own.
pub const BLOCKS: &str = "blocks";
/// Seconds that are kept, by today's rate of samples where the engine does not tell.
pub const KEPT: &str = "kept";

impl Engine {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Prometheus, Self::VictoriaMetrics];

    /// Its name.
    pub fn title(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::VictoriaMetrics => "VictoriaMetrics",
        }
    }

    /// Id of the option that it is the engine of.
    pub fn option(self) -> &'static str {
        match self {
            Self::Prometheus => "Prometheus",
            Self::VictoriaMetrics => "VictoriaMetricsSingle",
        }
    }

    /// What is asked.
    pub fn questions(self) -> &'static [Question] {
        match self {
            Self::Prometheus => &PROMETHEUS,
            Self::VictoriaMetrics => &VICTORIA_METRICS,
        }
    }
}

impl Question {
    /// The query, of the engine that these label matchers single out (`job="a",instance="b"`; empty is any).
    pub fn query(&self, matchers: &str, window: Duration) -> String {
        let of = if matchers.is_empty() { String::new() } else { format!("{matchers},") };
        self.expr.replace("{of}", &of).replace("{window}", &format!("{}s", window.as_secs().max(1)))
    }
}

/// How much data is enough.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Enough {
    /// Active series.
    pub series: f64,
    /// Blocks that Prometheus has written.
    pub blocks: f64,
    /// Samples on the disk.
    pub samples: f64,
    /// Memory beside that of an idle server, as a share of that: with less, a figure for each series says more
    /// about the server than about the series.
    pub above_idle: f64,
    /// The time that rates and levels are taken over, which the engine must have run for: a rate over more than
    /// that is too low, and memory still grows into its load.
    pub window: Duration,
}

/// What the operator and `obstack calibrate` ask for: a day, 1,000 series, one block and 1M samples on the disk,
/// and as much memory again as an idle server takes.
pub const ENOUGH: Enough = Enough {
    series: 1_000.0,
    blocks: 1.0,
    samples: 1e6,
    above_idle: 1.0,
    window: Duration::from_secs(86_400),
};

/// Answers by the name of their question. One that is missing had no series.
pub type Answers = BTreeMap<&'static str, f64>;

/// What the answers of one engine come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What there is enough data for, rounded to two digits.
    pub measurements: Measurements,
    /// What there is not, and why.
    pub lacking: Vec<(Quantity, String)>,
    /// What the engine answered.
    pub answers: Answers,
}

/// What an engine's answers come to; `option` is the entry of the catalog that it is the engine of.
pub fn read(option: &OptionEntry, answers: &Answers, enough: &Enough) -> Reading {
    let mut reading = Reading {
        measurements: Measurements { option: Some(option.id.clone()), ..Measurements::default() },
        lacking: Vec::new(),
        answers: answers.clone(),
    };
    for quantity in Quantity::ALL {
        let outcome = value(quantity, option, answers, enough).and_then(|value| {
            let sound = value.is_finite() && value >= 0.0 && (value > 0.0 || !quantity.displaces());
            if sound { Ok(value) } else { Err(format!("the engine's metrics give {value}")) }
        });
        match outcome {
            Ok(value) => reading.measurements.set(quantity, Some(value)),
            Err(reason) => reading.lacking.push((quantity, reason)),
        }
    }
    reading
}

/// One answer, or what to do where it is missing.
fn get(answers: &Answers, name: &'static str) -> Result<f64, String> {
    let known = answers.get(name).copied();
    known.ok_or_else(|| format!("the engine's own metrics have no value for {name}; let it scrape itself"))
}

fn at_least(answers: &Answers, name: &'static str, least: f64, what: &str) -> Result<f64, String> {
    let found = get(answers, name)?;
    let reason = || format!("{} {what}; {} are needed", numbers::count(found), numbers::count(least));
    if found >= least { Ok(found) } else { Err(reason()) }
}

/// Active series, once the engine has run for long enough and holds enough of them.
fn series(answers: &Answers, enough: &Enough) -> Result<f64, String> {
    let (uptime, window) = (get(answers, UPTIME)?, enough.window.as_secs_f64());
    if uptime < window {
        let seconds = numbers::seconds;
        return Err(format!("it has run for {}; {} are needed", seconds(uptime), seconds(window)));
    }
    at_least(answers, SERIES, enough.series, "active series")
}

fn value(
    quantity: Quantity,
    option: &OptionEntry,
    answers: &Answers,
    enough: &Enough,
) -> Result<f64, String> {
    let series = series(answers, enough)?;
    match quantity {
        Quantity::ActiveSeries => Ok(series),
        Quantity::BytesPerSeries => {
            let (resident, idle) = (get(answers, RESIDENT)?, idle(option));
            if resident < idle * (1.0 + enough.above_idle) {
                return Err(format!(
                    "it takes {} of memory, of which an idle server takes {}; {} are needed",
                    numbers::bytes(resident),
                    numbers::bytes(idle),
                    numbers::bytes(idle * (1.0 + enough.above_idle))
                ));
            }
            Ok((resident - idle) / series)
        }
        Quantity::BytesPerSample => disk(answers, enough).map(|(per_sample, _)| per_sample),
        Quantity::IndexBytesPerSeries => disk(answers, enough).and_then(|(_, index)| index),
        Quantity::SeriesChurnPerDay => {
            Ok(get(answers, CREATED)? / series * 86_400.0 / enough.window.as_secs_f64())
        }
        Quantity::QueriesPerSecond => get(answers, QUERIES),
    }
}

/// Bytes per sample and, where the engine tells its index apart, of index per created series; where it does not,
/// the bytes per sample have the index in them.
fn disk(answers: &Answers, enough: &Enough) -> Result<(f64, Result<f64, String>), String> {
    series(answers, enough)?;
    if answers.contains_key(COMPACTED) {
        at_least(answers, COMPACTED, enough.blocks, "blocks written")?;
    }
    let samples = at_least(answers, SAMPLES, enough.samples, "samples on the disk")?;
    let bytes = get(answers, DISK_BYTES)?;
    let all = bytes / samples;
    // How many samples the blocks hold is reckoned from today's rate: with another rate before, or a gap, that is
    // wrong, and the chunks show it.
    if let Some(chunks) = chunks(answers)
        && !(chunks..=chunks * MOST_INDEX).contains(&all)
    {
        return Err(format!(
            "its blocks come to {} bytes per sample by today's rate, and their chunks to {}: the rate has changed \
             within what is kept",
            numbers::two(all),
            numbers::two(chunks)
        ));
    }
    Ok(match index(answers, enough) {
        Ok(index) => {
            let (per_sample, per_created) = index.terms(bytes, samples);
            (per_sample, Ok(per_created))
        }
        Err(reason) => (all, Err(format!("{reason}; it is in the bytes per sample"))),
    })
}

fn chunks(answers: &Answers) -> Option<f64> {
    answers.get(CHUNK_BYTES_PER_SAMPLE).copied().filter(|value| value.is_finite())
}

/// An index on the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Index {
    /// Its bytes.
    pub bytes: f64,
    /// Series in it; one that is in the indexes of several blocks counts in each.
    pub entries: f64,
    /// Series created within what is kept, each once.
    pub created: f64,
}

impl Index {
    /// The two figures that disk is reckoned with: bytes per sample, and bytes of index per created series. Times
    /// their numbers they come to `bytes`, all that lies on the disk for `samples`: what a series that lives on
    /// takes in the index of each further block goes with its samples.
    pub fn terms(&self, bytes: f64, samples: f64) -> (f64, f64) {
        let each = self.bytes / self.entries;
        ((bytes - self.created * each) / samples, each)
    }
}

/// The index of an engine that tells it apart. What it holds is reckoned from the series that were made within the
/// window, as the samples of blocks are.
///
/// # Errors
/// Why it is not told apart, in words.
pub fn index(answers: &Answers, enough: &Enough) -> Result<Index, String> {
    let apart = |name| answers.get(name).copied().filter(|value: &f64| value.is_finite() && *value >= 0.0);
    let (series, bytes) = (get(answers, SERIES)?, get(answers, DISK_BYTES)?);
    // Blocks tell their chunks, and the rest of them is index.
    let (index, blocks) = match (apart(INDEX_BYTES), chunks(answers), apart(BLOCKS)) {
        (Some(index), _, _) => (index, 1.0),
        (None, Some(chunks), Some(blocks)) => (bytes - chunks * get(answers, SAMPLES)?, blocks.max(1.0)),
        _ => return Err("the engine does not tell its index apart".to_owned()),
    };
    let (Some(created), Some(kept)) = (apart(CREATED), apart(KEPT)) else {
        return Err("the engine does not tell how many series its index holds".to_owned());
    };
    let replaced = created / enough.window.as_secs_f64() * kept;
    let index = Index { bytes: index, entries: series * blocks + replaced, created: series + replaced };
    if 0.0 < index.bytes && index.bytes < bytes {
        Ok(index)
    } else {
        let (index, all) = (numbers::bytes(index.bytes), numbers::bytes(bytes));
        Err(format!("its index comes to {index} of {all}"))
    }
}

/// How much larger than its chunks a block can be.
const MOST_INDEX: f64 = 4.0;

/// The reading of the fullest replica, where any tells its series.
pub fn fullest<'a>(readings: impl Iterator<Item = &'a Reading>) -> Option<&'a Reading> {
    let series = |reading: &Reading| reading.measurements.active_series;
    readings.filter(|r| series(r).is_some()).max_by(|a, b| series(a).partial_cmp(&series(b)).unwrap_or(Equal))
}

/// What the model says beside what is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// What: a measured quantity that displaces a figure, or `memory`, in bytes of one replica.
    pub quantity: &'static str,
    /// By the figure in force: the record's measured value, else the middle of the catalog's range.
    pub predicted: f64,
    /// As the engine has it now.
    pub measured: f64,
}

/// The figures of an option in force beside what its fullest replica measures now, and the memory that they give
/// for its number of series.
pub fn compared(option: &OptionEntry, in_force: Option<&Measurements>, now: &Reading) -> Vec<Compared> {
    let figure = |quantity: Quantity| {
        let kept = in_force.and_then(|values| values.get(quantity));
        kept.or_else(|| prior(option, quantity).map(middle))
    };
    let mut rows = Vec::new();
    for quantity in Quantity::ALL.into_iter().filter(|quantity| quantity.displaces()) {
        if let (Some(predicted), Some(measured)) = (figure(quantity), now.measurements.get(quantity)) {
            rows.push(Compared { quantity: quantity.id(), predicted, measured });
        }
    }
    if let (Some(series), Some(resident), Some(each)) =
        (now.measurements.active_series, now.answers.get(RESIDENT), figure(Quantity::BytesPerSeries))
    {
        let predicted = idle(option) + series * each;
        rows.push(Compared { quantity: "memory", predicted, measured: numbers::round2(*resident) });
    }
    rows
}

/// Time between two calibration epochs, at least.
pub const EPOCH: Duration = Duration::from_secs(7 * 86_400);
/// How far a figure must be from the one in the record to be taken over.
pub const DRIFT: f64 = 0.1;

/// The measured values that a decision takes now: those of the last epoch, as the records keep them, or those of
/// the reading, where an epoch is due. That is the first time that a figure of the catalog can be displaced; after
/// that at most once in [`EPOCH`], and only where such a figure is new or more than [`DRIFT`] off. Load alone
/// (series, churn, queries) makes no epoch; it is taken along. `records` are those of one stack's name.
pub fn in_force(
    records: &[DecisionRecord],
    reading: Option<&Measurements>,
    now: Timestamp,
) -> Option<Measurements> {
    let kept = Measurements::of_records(records);
    let Some(reading) = reading.filter(|reading| reading.displaces()) else {
        return kept.map(|(values, _)| values);
    };
    let Some((values, since)) = kept else {
        return Some(reading.clone());
    };
    if is_due(&values, &since, reading, now) { Some(merged(values, reading)) } else { Some(values) }
}

fn is_due(kept: &Measurements, since: &str, reading: &Measurements, now: Timestamp) -> bool {
    // A time that cannot be read is no reason to measure at every look.
    let old = since.parse::<Timestamp>().is_ok_and(|since| {
        let age = now.as_second().saturating_sub(since.as_second());
        u64::try_from(age).is_ok_and(|age| age >= EPOCH.as_secs())
    });
    let moved = |quantity: &Quantity| match (kept.get(*quantity), reading.get(*quantity)) {
        (Some(kept), Some(new)) => (new / kept - 1.0).abs() > DRIFT,
        (None, Some(_)) => true,
        (_, None) => false,
    };
    old && Quantity::ALL.iter().filter(|quantity| quantity.displaces()).any(moved)
}

/// The new values; what cannot be read now stays as it was.
fn merged(mut kept: Measurements, reading: &Measurements) -> Measurements {
    kept.option.clone_from(&reading.option);
    // What the bytes per sample hold depends on whether the index was told apart: the two go together.
    if reading.bytes_per_sample.is_some() {
        kept.index_bytes_per_series = None;
    }
    for quantity in Quantity::ALL {
        kept.set(quantity, reading.get(quantity).or(kept.get(quantity)));
    }
    kept
}

#[cfg(test)]
#[path = "calibration_tests.rs"]
mod tests;
