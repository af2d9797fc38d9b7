//! Real engines as processes, scraping a synthetic load and themselves.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use obstack::decide::calibration::{DISK_BYTES, Engine, INDEX_BYTES, Index, SAMPLES};
use obstack::observe::measure::Measurer;
use serde_json::json;

use super::Workload;
use super::exporter::{Exporter, PART};
use crate::ask;
use crate::ports;
use crate::wait::until;

/// Length of a block as Prometheus ships.
pub const BLOCK: Duration = Duration::from_secs(7_200);
/// How often an engine scrapes itself.
const SELF: Duration = Duration::from_secs(1);

/// Share of the samples that must lie on the disk of VictoriaMetrics before it is measured.
const MOST_WRITTEN: f64 = 0.95;
/// What VictoriaMetrics logs at the end of a forced merge: the request that asks for it is answered at once.
const MERGED: &str = "has been successfully finished";
/// Longest time that a forced merge may take.
const MERGE_BOUND: Duration = Duration::from_secs(120);
/// Between two looks at the disk that must agree: some scrapes of itself, and the merges in the background.
const SETTLED: Duration = Duration::from_secs(10);
/// How far two such looks may be apart, of the size: it goes on scraping itself.
const AGREE: f64 = 0.02;

/// What lies on the disk of an engine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disk {
    /// Bytes of compacted data, index included.
    pub bytes: f64,
    /// Samples in it.
    pub samples: f64,
    /// The index among it, where the engine tells it apart.
    pub index: Option<Index>,
    /// Bytes of the write-ahead log, where there is one.
    pub wal: Option<f64>,
}

/// A running engine; it is killed when it is dropped.
pub struct Running {
    /// Where it answers.
    pub url: String,
    kind: Engine,
    child: Child,
    folder: PathBuf,
}

impl Running {
    /// Starts an engine that scrapes the exporter and itself, with all that it writes under `folder`. `block` is
    /// the length of Prometheus' blocks.
    ///
    /// # Panics
    /// When it is not there or does not come up.
    pub async fn start(
        kind: Engine,
        workload: &Workload,
        exporter: &Exporter,
        folder: &Path,
        block: Duration,
    ) -> Self {
        let folder = folder.join(format!("{}-{}", workload.name, kind.option()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, ports::loopback().expect("a port")));
        let config = folder.join("scrape.yaml");
        std::fs::write(&config, scrapes(workload, exporter, address).to_string()).expect("a file");
        let log = File::create(folder.join("log")).expect("a file");
        let mut command = match kind {
            Engine::Prometheus => prometheus(&config, &folder, address, block),
            Engine::VictoriaMetrics => victoria_metrics(&config, &folder, address),
        };
        let command = command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("{} does not start: {error}; run scripts/parts prometheus victoriametrics", kind.title())
        });
        let running = Self { url: format!("http://{address}"), kind, child, folder };
        let ready = format!("{}/-/ready", running.url);
        until("the engine is ready", Duration::from_secs(30), || async { ask::text(&ready).await }).await;
        running
    }

    /// What lies on its disk, once everything that it holds is compacted. Prometheus is made to write its head as
    /// a block, by a snapshot over the admin API; VictoriaMetrics is made to merge its parts.
    ///
    /// # Panics
    /// When it does not do so in time.
    pub async fn disk(&self) -> Disk {
        match self.kind {
            Engine::Prometheus => self.snapshot().await,
            Engine::VictoriaMetrics => self.merged().await,
        }
    }

    async fn snapshot(&self) -> Disk {
        let wal = size(&self.folder.join("data/wal"));
        let created = self.ask("sum(prometheus_tsdb_head_series_created_total{job=\"self\"})").await;
        let created = created.expect("an answer").expect("a count of series");
        let client = reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build();
        let url = format!("{}/api/v1/admin/tsdb/snapshot", self.url);
        let answer = client.expect("an HTTP client").post(url).send().await.expect("an answer");
        let answer: serde_json::Value = answer.json().await.expect("a document");
        let name = answer["data"]["name"].as_str().unwrap_or_else(|| panic!("no snapshot: {answer}"));
        let (mut bytes, mut samples) = (0.0, 0.0);
        let mut index = Index { bytes: 0.0, entries: 0.0, created };
        for block in blocks(&self.folder.join("data/snapshots").join(name)) {
            bytes += size(&block);
            samples += samples_of(&block);
            index.bytes += std::fs::metadata(block.join("index")).expect("an index").len() as f64;
            index.entries += series_of(&block);
        }
        Disk { bytes, samples, index: Some(index), wal: Some(wal) }
    }

    /// The one number that a query gives.
    async fn ask(&self, query: &str) -> Result<Option<f64>, String> {
        let measurer = Measurer::new(None).expect("an HTTP client");
        measurer.query(&self.url, query).await.map_err(|error| error.to_string())
    }

    async fn merged(&self) -> Disk {
        for path in ["internal/force_flush", "internal/force_merge"] {
            ask::text(&format!("{}/{path}", self.url)).await.expect("an answer");
        }
        let ask = async |name: &'static str| {
            let mut questions = Engine::VictoriaMetrics.questions().iter();
            let question = questions.find(|question| question.name == name).expect("a question");
            let query = question.query(r#"job="self""#, Duration::from_secs(10));
            self.ask(&query).await.map(Option::unwrap_or_default)
        };
        let received = "sum(vm_rows_received_by_storage_total{job=\"self\"})";
        // Since the start, which was on an empty disk.
        let created = "sum(vm_new_timeseries_created_total{job=\"self\"})";
        // Most of them: it goes on scraping itself, and the last seconds are always still on their way.
        until("the end of the forced merge", MERGE_BOUND, || async {
            if self.log().contains(MERGED) { Ok(()) } else { Err(self.tail()) }
        })
        .await;
        let (bytes, samples, index) = until("the samples are on the disk", MERGE_BOUND, || async {
            let all = self.ask(received).await?;
            let before = ask(DISK_BYTES).await?;
            tokio::time::sleep(SETTLED).await;
            let (bytes, samples) = (ask(DISK_BYTES).await?, ask(SAMPLES).await?);
            let (index, created) = (ask(INDEX_BYTES).await?, self.ask(created).await?.unwrap_or_default());
            let index = Index { bytes: index, entries: created, created };
            let enough = all.is_some_and(|all| all > 0.0 && samples >= MOST_WRITTEN * all);
            let settled = (bytes - before).abs() <= AGREE * bytes;
            let seen = || format!("{samples} samples of {all:?}, {before} and then {bytes} bytes");
            if enough && settled { Ok((bytes, samples, index)) } else { Err(seen()) }
        })
        .await;
        let index = Some(index).filter(|index| index.bytes > 0.0 && index.created > 0.0);
        Disk { bytes, samples, index, wal: None }
    }

    /// Its blocks in the order of their names.
    pub fn blocks(&self) -> Vec<PathBuf> {
        blocks(&self.folder.join("data"))
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Ends it and takes its data away.
    pub async fn stop(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(self.folder.join("data"));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the parts, else of the PATH.
fn program(name: &str) -> PathBuf {
    let parts = std::env::var("OBSTACK_PARTS").unwrap_or_default();
    let part = Path::new(&parts).join(name);
    if !parts.is_empty() && part.exists() { part } else { name.into() }
}

fn prometheus(config: &Path, folder: &Path, address: SocketAddr, block: Duration) -> Command {
    let mut command = Command::new(program("prometheus"));
    let block = format!("{}s", block.as_secs());
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--storage.tsdb.min-block-duration={block}"))
        .arg(format!("--storage.tsdb.max-block-duration={block}"))
        .arg(format!("--web.listen-address={address}"))
        .arg("--web.enable-admin-api");
    command
}

fn victoria_metrics(config: &Path, folder: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(program("victoria-metrics"));
    command
        .arg(format!("-promscrape.config={}", config.display()))
        .arg(format!("-storageDataPath={}", folder.join("data").display()))
        .arg(format!("-httpListenAddr={address}"))
        // What was just written is asked for.
        .arg("-search.latencyOffset=0s")
        .arg("-search.disableCache");
    command
}

/// The scrape configuration, in the JSON that is YAML too.
fn scrapes(workload: &Workload, exporter: &Exporter, own: SocketAddr) -> serde_json::Value {
    let interval = format!("{}ms", workload.interval.as_millis());
    let parts = workload.series.div_ceil(PART);
    let target = |part: usize| {
        let labels = json!({ "__param_part": part.to_string(), "part": part.to_string() });
        json!({ "targets": [exporter.address.to_string()], "labels": labels })
    };
    let own_interval = format!("{}ms", SELF.as_millis());
    json!({ "scrape_configs": [
        {
            "job_name": "load",
            "scrape_interval": interval,
            "scrape_timeout": interval,
            "static_configs": (0..parts).map(target).collect::<Vec<_>>(),
        },
        {
            "job_name": "self",
            "scrape_interval": own_interval,
            "scrape_timeout": own_interval,
            "static_configs": [{ "targets": [own.to_string()] }],
        },
    ] })
}

fn blocks(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut blocks: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.join("meta.json").exists()).collect();
    blocks.sort();
    blocks
}

/// Samples of a block, as its own description has it.
///
/// # Panics
/// When it has none.
pub fn samples_of(block: &Path) -> f64 {
    stat(block, "numSamples")
}

/// Series in the index of a block, as its own description has it.
///
/// # Panics
/// When it has none.
pub fn series_of(block: &Path) -> f64 {
    stat(block, "numSeries")
}

fn stat(block: &Path, name: &str) -> f64 {
    let text = std::fs::read_to_string(block.join("meta.json")).expect("a description");
    let meta: serde_json::Value = serde_json::from_str(&text).expect("a document");
    meta["stats"][name].as_f64().unwrap_or_else(|| panic!("no {name}: {text}"))
}

/// Bytes of all files under a folder.
pub fn size(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.len() as f64,
            Err(_) => 0.0,
        })
        .sum()
}
