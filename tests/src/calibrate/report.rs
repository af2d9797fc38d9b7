//! The outcomes as the table that readers get: prior and calibrated predictions beside what was measured.

use std::fmt::Write;

use obstack::decide::Catalog;
use obstack::decide::calibration::{Engine, RESIDENT, SERIES};
use obstack::decide::catalog::{Driver, OptionEntry};
use obstack::decide::measured::{COMPONENT, Quantity, idle, prior};
use obstack::decide::numbers;
use obstack_crds::record::Range;

use super::Outcome;

/// How far a calibrated prediction may be off, as a share of what is.
pub const ALLOWED: f64 = 0.25;

/// Writes to a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

/// One predicted amount beside what was measured, for one load.
struct Row<'a> {
    outcome: &'a Outcome,
    prior: Range,
    calibrated: f64,
    measured: f64,
}

impl Row<'_> {
    fn prior_error(&self) -> f64 {
        f64::midpoint(self.prior.low, self.prior.high) / self.measured - 1.0
    }

    fn calibrated_error(&self) -> f64 {
        self.calibrated / self.measured - 1.0
    }
}

/// The tables of an engine's outcomes, and how many of the loads that checked stayed within [`ALLOWED`].
pub fn tables(engine: Engine, outcomes: &[Outcome], catalog: &Catalog) -> String {
    let option = catalog.option(COMPONENT, engine.option()).expect("an option of the catalog");
    let outcomes: Vec<&Outcome> = outcomes.iter().filter(|outcome| outcome.engine == engine).collect();
    let mut out = format!("## {}\n", engine.title());
    let memory = memory_rows(option, &outcomes);
    let (apart, disk) = disk_rows(option, &outcomes);
    table(&mut out, "Memory", "Resident memory of the process, in bytes.", &memory);
    table(&mut out, "Disk", "Compacted data with its index, in bytes for all samples of the run.", &disk);
    match apart {
        Some(figures) => index(&mut out, option, &outcomes, figures),
        None => {
            line!(
                out,
                "\nThe engine does not tell its index apart: one figure per sample holds all of the disk."
            );
        }
    }
    wal(&mut out, option, &outcomes);
    for (what, rows) in [("memory", &memory), ("disk", &disk)] {
        line!(out, "\n{}", verdict(what, rows));
    }
    out
}

/// The mean of a figure over the loads that calibrate.
fn figure(outcomes: &[&Outcome], each: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
    let calibrating = outcomes.iter().filter(|outcome| outcome.workload.calibrates);
    let values: Vec<f64> = calibrating.filter_map(|outcome| each(outcome)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn memory_rows<'a>(option: &OptionEntry, outcomes: &[&'a Outcome]) -> Vec<Row<'a>> {
    let each = figure(outcomes, |outcome| outcome.reading.measurements.get(Quantity::BytesPerSeries));
    let each = each.expect("a measured figure for memory");
    let prior = prior(option, Quantity::BytesPerSeries).expect("a figure of the catalog");
    let own = option.models.memory.iter().filter(|term| term.per == Driver::Replica);
    let own = own.fold((0.0, 0.0), |(low, high), term| (low + term.low, high + term.high));
    let row = |outcome: &&'a Outcome| {
        let series = outcome.answers[SERIES];
        Row {
            outcome,
            prior: Range { low: own.0 + series * prior.low, high: own.1 + series * prior.high },
            calibrated: idle(option) + series * each,
            measured: outcome.answers[RESIDENT],
        }
    };
    outcomes.iter().map(row).collect()
}

/// Bytes per sample and, where every load's index is told apart, of index per created series.
fn disk_figures(outcomes: &[&Outcome]) -> (f64, Option<f64>) {
    let terms = |outcome: &Outcome| {
        let disk = &outcome.disk;
        Some(disk.index?.terms(disk.bytes, disk.samples))
    };
    let mean = |each: &dyn Fn(&Outcome) -> Option<f64>| figure(outcomes, each);
    if outcomes.iter().all(|outcome| outcome.disk.index.is_some())
        && let (Some(sample), Some(created)) =
            (mean(&|o| terms(o).map(|t| t.0)), mean(&|o| terms(o).map(|t| t.1)))
    {
        return (sample, Some(created));
    }
    let all = mean(&|outcome| Some(outcome.disk.bytes / outcome.disk.samples));
    (all.expect("a measured figure for disk"), None)
}

/// The rows, with both figures where there are two.
fn disk_rows<'a>(option: &OptionEntry, outcomes: &[&'a Outcome]) -> (Option<(f64, f64)>, Vec<Row<'a>>) {
    let (sample, created) = disk_figures(outcomes);
    let by_sample = prior(option, Quantity::BytesPerSample).expect("a figure of the catalog");
    let by_series = prior(option, Quantity::IndexBytesPerSeries).unwrap_or_default();
    let row = |outcome: &&'a Outcome| {
        let samples = outcome.disk.samples;
        let series = outcome.disk.index.map_or(0.0, |index| index.created);
        Row {
            outcome,
            prior: Range {
                low: samples * by_sample.low + series * by_series.low,
                high: samples * by_sample.high + series * by_series.high,
            },
            calibrated: samples * sample + series * created.unwrap_or_default(),
            measured: outcome.disk.bytes,
        }
    };
    (created.map(|created| (sample, created)), outcomes.iter().map(row).collect())
}

/// Both figures of the disk, each beside what the catalog has, and what the index came to.
fn index(out: &mut String, option: &OptionEntry, outcomes: &[&Outcome], (sample, created): (f64, f64)) {
    let figure = |quantity: Quantity, measured: f64| {
        let prior = prior(option, quantity).expect("a figure of the catalog");
        format!(
            "{} {} (the catalog has {}, its middle {} off)",
            numbers::two(measured),
            quantity.unit(),
            numbers::range(prior, numbers::count),
            percent(f64::midpoint(prior.low, prior.high) / measured - 1.0)
        )
    };
    let of_loads = outcomes.iter().filter_map(|outcome| {
        let index = outcome.disk.index?;
        let (_, each) = index.terms(outcome.disk.bytes, outcome.disk.samples);
        Some(format!(
            "{} {} for each of {}, {:.0} % of the disk",
            outcome.workload.name,
            numbers::count(each),
            numbers::count(index.created),
            100.0 * index.bytes / outcome.disk.bytes
        ))
    });
    line!(
        out,
        "\nCalibrated with {} and {}. Bytes of index for each series that was created came to {}.",
        figure(Quantity::BytesPerSample, sample),
        figure(Quantity::IndexBytesPerSeries, created),
        numbers::list(&of_loads.collect::<Vec<_>>(), "and")
    );
}

fn table(out: &mut String, title: &str, what: &str, rows: &[Row<'_>]) {
    line!(out, "\n### {title}\n\n{what}\n");
    line!(
        out,
        "| load | series | labels | replaced | interval | by priors | is | error of the middle | calibrated | error |"
    );
    line!(out, "|---|---:|---:|---|---:|---:|---:|---:|---:|---:|");
    for row in rows {
        let load = &row.outcome.workload;
        let replaced = match load.life {
            0 => "never".to_owned(),
            life => format!("every {life} scrapes"),
        };
        let error = if load.calibrates {
            format!("{} (calibrates)", percent(row.calibrated_error()))
        } else {
            format!("**{}**", percent(row.calibrated_error()))
        };
        line!(
            out,
            "| {} | {} | {} | {replaced} | {} s | {} | {} | {} | {} | {error} |",
            load.name,
            numbers::count(row.outcome.answers[SERIES]),
            load.labels,
            load.interval.as_secs_f64(),
            numbers::range(row.prior, numbers::bytes),
            numbers::bytes(row.measured),
            percent(row.prior_error()),
            numbers::bytes(row.calibrated)
        );
    }
}

fn wal(out: &mut String, option: &OptionEntry, outcomes: &[&Outcome]) {
    let Some(term) = option.models.storage.iter().find(|term| term.per == Driver::WalSample) else { return };
    let each: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| {
            let bytes = outcome.disk.wal? / outcome.disk.samples;
            Some(format!("{} {}", outcome.workload.name, numbers::two(bytes)))
        })
        .collect();
    let prior = numbers::range(Range { low: term.low, high: term.high }, numbers::count);
    line!(
        out,
        "\nThe write-ahead log is not calibrated: the catalog has {prior} bytes per sample. It came to {}.",
        numbers::list(&each, "and")
    );
}

fn verdict(what: &str, rows: &[Row<'_>]) -> String {
    let checking: Vec<&Row<'_>> = rows.iter().filter(|row| !row.outcome.workload.calibrates).collect();
    let outside: Vec<String> = checking
        .iter()
        .filter(|row| row.calibrated_error().abs() > ALLOWED)
        .map(|row| format!("{} by {}", row.outcome.workload.name, percent(row.calibrated_error())))
        .collect();
    let allowed = percent(ALLOWED);
    let allowed = allowed.trim_start_matches('+');
    if outside.is_empty() {
        format!(
            "After calibration, {what} is within {allowed} on all {} loads that only check.",
            checking.len()
        )
    } else {
        format!(
            "After calibration, {what} is NOT within {allowed} on {} of {} loads that only check: {}.",
            outside.len(),
            checking.len(),
            numbers::list(&outside, "and")
        )
    }
}

fn percent(share: f64) -> String {
    format!("{:+.0} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use obstack::decide::calibration::{Answers, Enough, Index, read};

    use super::super::Workload;
    use super::super::engine::Disk;
    use super::*;

    fn outcome(name: &'static str, calibrates: bool, resident: f64, bytes: f64) -> Outcome {
        let catalog = Catalog::embedded().unwrap();
        let option = catalog.option(COMPONENT, "Prometheus").unwrap();
        let answers = Answers::from([("uptime", 10.0), (SERIES, 100_000.0), (RESIDENT, resident)]);
        let enough = Enough {
            series: 1.0,
            blocks: 0.0,
            samples: 1.0,
            above_idle: 0.0,
            window: Duration::from_secs(1),
        };
        let reading = read(option, &answers, &enough);
        let workload = Workload {
            name,
            series: 100_000,
            labels: 6,
            life: 0,
            interval: Duration::from_secs(1),
            calibrates,
        };
        let disk = Disk { bytes, samples: 1e7, index: None, wal: Some(8e7) };
        Outcome { engine: Engine::Prometheus, workload, answers, reading, disk }
    }

    #[test]
    fn a_load_that_is_off_is_said_plainly() {
        // 100 MB and 3,000 bytes for each of 100k series are 400 MB.
        let outcomes = [
            outcome("a", true, 4e8, 2e7),
            outcome("near", false, 4.5e8, 2.4e7),
            outcome("far", false, 2e8, 2e7),
        ];
        let text = tables(Engine::Prometheus, &outcomes, &Catalog::embedded().unwrap());
        for part in [
            "memory is NOT within 25 % on 1 of 2 loads that only check: far by +100 %.",
            "disk is within 25 % on all 2 loads that only check.",
            "| near | 100k | 6 | never | 1 s | 290Mi to 950Mi | 430Mi | +44 % | 380Mi | **-11 %** |",
            "It came to a 8, near 8 and far 8.",
            "The engine does not tell its index apart: one figure per sample holds all of the disk.",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }

    #[test]
    fn an_index_that_is_told_apart_is_reckoned_by_the_series_created() {
        // 1 byte for each of 10M samples, and 100 bytes of index for each series created.
        let with = |name, calibrates, created: f64| {
            let index = Index { bytes: 100.0 * created, entries: created, created };
            let mut outcome = outcome(name, calibrates, 4e8, 1e7 + index.bytes);
            outcome.disk.index = Some(index);
            outcome
        };
        let mut outcomes = vec![
            with("still", true, 1e5),
            with("churning", false, 1e6),
            // What was created and took nothing is off, and nothing of it enters the figures.
            with("odd", false, 1e6),
        ];
        outcomes[2].disk.bytes = 1.1e7;
        outcomes[2].disk.index = Some(Index { bytes: 1e6, entries: 1e6, created: 1e6 });
        let text = tables(Engine::Prometheus, &outcomes, &Catalog::embedded().unwrap());
        for part in [
            "| 19Mi to 76Mi | 19Mi | +150 % | 19Mi | +0 % (calibrates) |",
            "| 100Mi to 590Mi | 100Mi | +232 % | 100Mi | **+0 %** |",
            "disk is NOT within 25 % on 1 of 2 loads that only check: odd by +900 %.",
            "Calibrated with 1 bytes per sample (the catalog has 1 to 2, its middle +50 % off) and \
             100 index bytes per created series (the catalog has 100 to 600, its middle +250 % off).",
            "still 100 for each of 100k, 50 % of the disk",
            "churning 100 for each of 1M, 91 % of the disk",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // A load whose index is not known takes the second figure from all of them.
        outcomes[2].disk.index = None;
        let text = tables(Engine::Prometheus, &outcomes, &Catalog::embedded().unwrap());
        assert!(text.contains("does not tell its index apart"), "{text}");
    }
}
