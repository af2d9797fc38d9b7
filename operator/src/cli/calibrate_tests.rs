use clap::Parser;

use super::*;
use crate::decide::Measurements;
use crate::decide::calibration::{Answers, UPTIME, read};
use crate::decide::testing::catalog;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    args: CalibrateArgs,
}

fn run_with(args: &[&str]) -> CliError {
    crate::tls::install_provider();
    let command = Command::try_parse_from([&["calibrate"], args].concat()).unwrap_or_else(|e| panic!("{e}"));
    run(command.args, &Output::stdio(clap::ColorChoice::Never)).unwrap_err()
}

fn message(error: &CliError) -> &str {
    error.message().unwrap()
}

#[test]
fn what_makes_no_sense_is_told_before_anything_is_asked() {
    for url in ["localhost:9090", "ftp://a", "9090"] {
        let error = run_with(&["--url", url]);
        assert_eq!(error.exit_code(), 2, "{url}");
        assert!(message(&error).contains("write an URL, such as http://localhost:9090"), "{error:?}");
    }
    let error = run_with(&["--url", "http://127.0.0.1:9", "--select", "{job=\"a\"}"]);
    assert_eq!(error.exit_code(), 2);
    let error = run_with(&["--url", "http://127.0.0.1:9", "--bearer-token-file", "/nowhere/token"]);
    assert_eq!(error.exit_code(), 1);
    assert!(
        message(&error).starts_with("--bearer-token-file /nowhere/token: it cannot be read"),
        "{error:?}"
    );
}

#[test]
fn an_engine_that_does_not_answer_is_something_outside() {
    let error = run_with(&["--url", "http://127.0.0.1:9"]);
    assert_eq!(error.exit_code(), 3);
    assert!(message(&error).ends_with("see that it runs and that the URL has its path prefix"), "{error:?}");
}

fn reading() -> (OptionEntry, Reading) {
    let option = catalog().option(COMPONENT, "Prometheus").unwrap().clone();
    let answers = Answers::from([
        (UPTIME, 300_000.0),
        (SERIES, 100_000.0),
        (RESIDENT, 415e6),
        (DISK_BYTES, 1.5e9),
        (SAMPLES, 1e9),
    ]);
    let reading = read(&option, &answers, &ENOUGH);
    (option, reading)
}

#[test]
fn the_table_has_prior_measured_error_and_what_the_model_would_say() {
    let (option, reading) = reading();
    let text = table("http://x", Engine::Prometheus, &option, &reading, &|_, text| text.to_owned());
    for line in [
        "  bytesPerSeries          3.2k bytes per series; the catalog has 2k to 8k, its middle 56 % too high\n",
        "  bytesPerSample          1.5 bytes per sample; the catalog has 1 to 2, its middle 0 % too high\n",
        "  seriesChurnPerDay       not measured: the engine's own metrics have no value for created; let it scrape itself\n",
        "  memory                  predicted 290Mi to 950Mi, is 400Mi\n",
        "  disk of blocks          predicted 950Mi to 1.9Gi, is 1.4Gi\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn an_index_that_is_told_apart_has_a_line_and_a_part_in_the_prediction() {
    use crate::decide::calibration::{CREATED, INDEX_BYTES, KEPT};
    let (option, reading) = reading();
    let mut answers = reading.answers;
    answers.extend([(CREATED, 50_000.0), (KEPT, 4.0 * 86_400.0), (INDEX_BYTES, 3e8)]);
    let reading = read(&option, &answers, &ENOUGH);
    let text = table("http://x", Engine::VictoriaMetrics, &option, &reading, &|_, text| text.to_owned());
    for line in [
        "  bytesPerSample          1.2 bytes per sample; the catalog has 1 to 2, its middle 25 % too high\n",
        "  indexBytesPerSeries     1k index bytes per created series; the catalog has 100 to 600, its middle 65 % too low\n",
        // 300k series were created.
        "  disk of blocks          predicted 980Mi to 2Gi, is 1.4Gi\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let facts = crate::yaml::emit(&reading.measurements).unwrap();
    assert!(facts.contains("indexBytesPerSeries: 1000"), "{facts}");
}

#[test]
fn what_is_printed_as_facts_is_what_decide_reads() {
    let (_, reading) = reading();
    let yaml = crate::yaml::emit(&reading.measurements).unwrap();
    assert!(yaml.contains("option: Prometheus\n"), "{yaml}");
    let back: Measurements = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(back, reading.measurements);
    let json = serde_json::to_string(&reading.measurements).unwrap();
    let back: Measurements = serde_saphyr::from_str(&json).unwrap();
    assert_eq!(back, reading.measurements);
}
