//! The synthetic load and the questions of a calibration, on one small load and a real Prometheus.

use std::process::{Command, Output};
use std::time::Duration;

use obstack::decide::Catalog;
use obstack::decide::calibration::{
    CHUNK_BYTES_PER_SAMPLE, COMPACTED, DISK_BYTES, ENOUGH, Engine, Enough, RESIDENT, SAMPLES, SERIES, UPTIME,
    read,
};
use obstack::decide::measured::{COMPONENT, Quantity};
use obstack::observe::measure::Measurer;
use obstack_tests::calibrate::Workload;
use obstack_tests::calibrate::engine::{Running, samples_of, size};
use obstack_tests::calibrate::exporter::Exporter;
use obstack_tests::process::binary;
use obstack_tests::wait::until;

/// Enough series for their memory to stand out from that of an idle server.
const SMALL: Workload = Workload {
    name: "small",
    series: 20_000,
    labels: 6,
    life: 0,
    interval: Duration::from_millis(500),
    calibrates: false,
};
/// Short enough for several blocks within seconds.
const BLOCK: Duration = Duration::from_secs(4);

fn obstack(args: &[&str]) -> Output {
    Command::new(binary("obstack")).args(args).env("NO_COLOR", "1").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_tells_what_it_takes() {
    obstack_tests::parts::require();
    obstack::tls::install_provider();
    let folder = tempfile::TempDir::new().unwrap();
    let exporter = Exporter::start(&SMALL).await;
    let engine = Running::start(Engine::Prometheus, &SMALL, &exporter, folder.path(), BLOCK).await;
    let measurer = Measurer::new(None).unwrap();
    assert_eq!(measurer.detect(&engine.url).await.unwrap(), Engine::Prometheus);

    let window = Duration::from_secs(12);
    let answers = until("two blocks are written", Duration::from_secs(90), || async {
        let answers = measurer.answers(&engine.url, Engine::Prometheus, "", window).await;
        let answers = answers.map_err(|error| error.to_string())?;
        let said = |name| answers.get(name).copied().unwrap_or_default();
        let enough = said(UPTIME) >= window.as_secs_f64() + 2.0 && said(COMPACTED) >= 2.0;
        if enough { Ok(answers) } else { Err(format!("{answers:?}")) }
    })
    .await;
    // Each question has an answer.
    for question in Engine::Prometheus.questions() {
        assert!(answers.contains_key(question.name), "{}: {answers:?}", question.name);
    }
    // The load's series, and the server's own.
    let series = answers[SERIES];
    assert!((20_000.0..22_000.0).contains(&series), "{series} series");
    assert!((3e7..5e8).contains(&answers[RESIDENT]), "{} bytes", answers[RESIDENT]);
    let chunks = answers[CHUNK_BYTES_PER_SAMPLE];
    assert!((0.5..20.0).contains(&chunks), "{chunks} bytes per sample in chunks");

    // What is asked agrees with what lies on the disk, once the rate was the same for as long as the blocks go back.
    until("the questions to agree with the disk", Duration::from_secs(90), || async {
        let answers = measurer.answers(&engine.url, Engine::Prometheus, "", window).await;
        let answers = answers.map_err(|error| error.to_string())?;
        let asked = answers[DISK_BYTES] / answers[SAMPLES];
        let blocks = engine.blocks();
        let bytes: f64 = blocks.iter().map(|block| size(block)).sum();
        let found = bytes / blocks.iter().map(|block| samples_of(block)).sum::<f64>();
        let agrees = (0.5..2.0).contains(&(asked / found));
        if agrees {
            Ok(())
        } else {
            Err(format!("{asked} bytes per sample by questions, {found} on the disk"))
        }
    })
    .await;
    let enough = Enough { samples: 1.0, above_idle: 0.0, window, ..ENOUGH };
    let catalog = Catalog::embedded().unwrap();
    let option = catalog.option(COMPONENT, "Prometheus").unwrap();
    let reading = read(option, &answers, &enough);
    assert_eq!(reading.measurements.option.as_deref(), Some("Prometheus"));
    for (quantity, reason) in &reading.lacking {
        // The index weighs more than a real one here, and the blocks are few.
        let of_disk = [Quantity::BytesPerSample, Quantity::IndexBytesPerSeries];
        assert!(of_disk.contains(quantity), "{reason}");
    }

    // The command finds the engine out, and has too little data, which it says.
    let url = engine.url.clone();
    let (table, facts) = tokio::task::spawn_blocking(move || {
        (obstack(&["calibrate", "--url", &url]), obstack(&["calibrate", "--url", &url, "-o", "yaml"]))
    })
    .await
    .unwrap();
    assert!(table.status.success(), "{}", text(&table.stderr));
    let lines = text(&table.stdout);
    assert!(lines.starts_with("Prometheus  http://127.0.0.1:"), "{lines}");
    assert!(lines.contains("bytesPerSeries          not measured: it has run for "), "{lines}");
    assert!(lines.contains("  memory                  predicted "), "{lines}");
    assert_eq!(text(&facts.stdout), "option: Prometheus\n");
    assert!(text(&facts.stderr).contains("bytesPerSample is not measured: it has run for "));
    engine.stop().await;
}

#[test]
fn facts_of_a_file_are_decided_with_and_wrong_ones_are_refused() {
    let folder = tempfile::TempDir::new().unwrap();
    let stack = folder.path().join("stack.yaml");
    let head = "apiVersion: obstack.io/v1alpha1\nkind: ObservabilityStack\nmetadata: { name: main }\n";
    std::fs::write(&stack, format!("{head}spec: {{}}\n")).unwrap();
    let facts = folder.path().join("facts.yaml");
    let decide = |content: &str| {
        std::fs::write(&facts, content).unwrap();
        obstack(&["decide", "-f", stack.to_str().unwrap(), "--facts", facts.to_str().unwrap()])
    };
    let done = decide("option: Prometheus\nbytesPerSeries: 3100\n");
    assert!(done.status.success(), "{}", text(&done.stderr));
    let table = text(&done.stdout);
    assert!(table.contains("series x 2.3k to 3.9k bytes measured"), "{table}");
    assert!(
        table.contains("bytesPerSeries          3.1k bytes per series; the catalog has 2k to 8k"),
        "{table}"
    );
    let json = decide(r#"{ "bytesPerSeries": 3100 }"#);
    assert!(json.status.success(), "{}", text(&json.stderr));
    for (content, words) in [
        ("bytesPerSerie: 3100\n", "write option, activeSeries, bytesPerSeries"),
        ("bytesPerSeries: -3\n", "bytesPerSeries: found -3; write a number of bytes per series from 1 to"),
        ("option: Promethues\n", "option: found \"Promethues\"; write Prometheus"),
    ] {
        let refused = decide(content);
        assert_eq!(refused.status.code(), Some(1), "{content}");
        assert!(text(&refused.stderr).contains(words), "{content}: {}", text(&refused.stderr));
    }
}
