//! A real Prometheus with the configuration of many monitors, as its reloader lays it out: objects are built, packed
//! into parts, and read back from the parts. It finds its Services at the sandbox's API server.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use obstack::running::{Generation, MAX_PART_COMPRESSED, Pointer, Slot};
use obstack::scrape::sources::Sources;
use obstack_sandbox::api::{ApiServer, Config, Handle};
use serde_json::Value;
use tempfile::TempDir;

use super::objects;
use super::operator::Sample;
use super::report::{mib, table, thousands};
use super::stack::{Kept, Stack, source};
use crate::ports;

/// Namespaces that the monitors are spread over.
const NAMESPACES: usize = 50;
/// How long a start and a reload may take.
const BOUND: Duration = Duration::from_secs(300);
/// How long it runs after a load, so that discovery has told every job.
const SETTLE: Duration = Duration::from_secs(15);

/// Loads: name, monitors, and whether they are wide.
const LOADS: [(&str, usize, bool); 4] = [
    ("1,000 monitors", 1_000, false),
    ("10,000 monitors", 10_000, false),
    ("20,000 monitors", 20_000, false),
    ("2,500 wide monitors", 2_500, true),
];

/// Runs every load and gives the table.
///
/// # Errors
/// What broke: a missing part, an engine that does not load all jobs.
pub async fn run() -> Result<String, String> {
    obstack::tls::install_provider();
    let api = ApiServer::start(Config::default()).await.map_err(|error| error.to_string())?;
    let version = crate::parts::find("prometheus").ok_or("prometheus is missing: run `make parts`")?;
    let mut rows = Vec::new();
    for (name, count, wide) in LOADS {
        eprintln!("{name}: building");
        rows.push(load(&api, &version, name, count, wide).await?);
    }
    let layouts = layouts(&api, &version).await?;
    api.stop().await;
    let head = [
        "load",
        "jobs",
        "bytes",
        "parts",
        "compressed",
        "largest part",
        "start, s",
        "start, CPU s",
        "RSS, MiB",
        "reload after one change, s",
        "reload, CPU s",
        "RSS peak, MiB",
    ];
    Ok(format!(
        "Prometheus {} with its default settings; a part holds {} bytes.\n\n{}\nThe same {} jobs in files of their \
         own, as here, and all in the main file, as the peers have them; the middle of {RELOADS} reloads:\n\n{layouts}",
        version_of(&version)?,
        thousands(MAX_PART_COMPRESSED),
        table(&head, &rows),
        thousands(2 * LAID),
    ))
}

/// Monitors of the comparison of layouts.
const LAID: usize = 1_000;
/// Reloads of each layout.
const RELOADS: usize = 9;

/// What a reload costs, and an answer of `status/config`, with jobs in files of their own and in the main file.
async fn layouts(api: &Handle, program: &Path) -> Result<String, String> {
    let (stack, mut kept) = (Stack::new(), Kept::default());
    let sources: Sources = (0..LAID).map(|index| source(&objects::monitor(index, NAMESPACES, 0))).collect();
    let generation = stack.build(&sources, &mut kept, None);
    let mut rows = Vec::new();
    for (name, in_main) in [("files of jobs", false), ("all in the main file", true)] {
        let folder = TempDir::new().map_err(text)?;
        let current = folder.path().join("current");
        lay(&current, &generation)?;
        if in_main {
            join_jobs(&current)?;
        }
        let mut engine = Engine::start(api, program, folder.path())?;
        engine.ready().await?;
        tokio::time::sleep(SETTLE).await;
        let (mut took, before) = (Vec::new(), engine.sample()?);
        for _ in 0..RELOADS {
            let begun = Instant::now();
            engine.reload().await?;
            took.push(begun.elapsed().as_secs_f64());
        }
        let cpu = (engine.sample()?.cpu - before.cpu) / RELOADS as f64;
        took.sort_by(f64::total_cmp);
        let begun = Instant::now();
        let told = engine.config().await?;
        let answer = begun.elapsed().as_secs_f64();
        let jobs = engine.jobs().await?;
        if jobs < 2 * LAID {
            return Err(format!("{name}: the engine runs {jobs} jobs of {}", 2 * LAID));
        }
        eprintln!("{name}: {took:?}, {cpu} CPU s, {answer} s for its configuration");
        rows.push(vec![
            name.to_owned(),
            format!("{:.2}", took[RELOADS / 2]),
            format!("{cpu:.2}"),
            thousands(told.len()),
            format!("{answer:.2}"),
        ]);
        engine.stop();
    }
    let head = ["layout", "reload, s", "reload, CPU s", "bytes of `status/config`", "its answer, s"];
    Ok(table(&head, &rows))
}

/// Puts the jobs of all files into the main file.
fn join_jobs(current: &Path) -> Result<(), String> {
    let main = current.join("prometheus.yaml");
    let read = |path: &Path| -> Result<Value, String> {
        serde_saphyr::from_str(&std::fs::read_to_string(path).map_err(text)?).map_err(text)
    };
    let mut joined = read(&main)?;
    let fields = joined.as_object_mut().ok_or("the main file is no map")?;
    fields.remove("scrape_config_files");
    let mut jobs =
        fields.remove("scrape_configs").and_then(|jobs| jobs.as_array().cloned()).unwrap_or_default();
    for file in std::fs::read_dir(current.join("scrape")).map_err(text)? {
        let file = read(&file.map_err(text)?.path())?;
        jobs.extend(file["scrape_configs"].as_array().into_iter().flatten().cloned());
    }
    fields.insert("scrape_configs".to_owned(), Value::from(jobs));
    std::fs::write(&main, obstack::yaml::emit(&joined).map_err(text)?).map_err(text)
}

async fn load(
    api: &Handle,
    program: &Path,
    name: &str,
    count: usize,
    wide: bool,
) -> Result<Vec<String>, String> {
    let (stack, mut kept) = (Stack::new(), Kept::default());
    let object = |index| {
        if wide { objects::wide_monitor(index, NAMESPACES) } else { objects::monitor(index, NAMESPACES, 0) }
    };
    let mut sources: Sources = (0..count).map(|index| source(&object(index))).collect();
    let generation = stack.build(&sources, &mut kept, None);
    let folder = TempDir::new().map_err(text)?;
    lay(&folder.path().join("current"), &generation)?;
    let jobs = if wide { count } else { 2 * count };

    let mut engine = Engine::start(api, program, folder.path())?;
    let begun = Instant::now();
    engine.ready().await?;
    let start = begun.elapsed();
    tokio::time::sleep(SETTLE).await;
    let settled = engine.sample()?;
    let told = engine.jobs().await?;
    if told < jobs {
        return Err(format!("{name}: the engine runs {told} jobs of {jobs}"));
    }
    eprintln!("{name}: ready after {start:?}, {settled:?}");

    // A whole new spec, so that the wide ones change too.
    sources.insert(source(&objects::monitor(7, NAMESPACES, 1)));
    let changed = stack.build(&sources, &mut kept, Some(&generation));
    lay(&folder.path().join("current"), &changed)?;
    let before = engine.sample()?;
    let begun = Instant::now();
    engine.reload().await?;
    let reload = begun.elapsed();
    tokio::time::sleep(SETTLE).await;
    let after = engine.sample()?;
    let config = engine.config().await?;
    if !config.contains(&changed.digest) {
        return Err(format!("{name}: the engine does not run the change"));
    }
    eprintln!("{name}: reloaded in {reload:?}, {after:?}");
    engine.stop();
    let compressed = generation.parts.iter().map(|part| part.gzip.len());
    let bytes: usize = generation.fragments().map(|fragment| fragment.bytes.len()).sum();
    Ok(vec![
        name.to_owned(),
        thousands(jobs),
        thousands(bytes),
        generation.parts.len().to_string(),
        thousands(compressed.clone().sum()),
        thousands(compressed.max().unwrap_or_default()),
        format!("{:.1}", start.as_secs_f64()),
        format!("{:.1}", settled.cpu),
        mib(settled.resident),
        format!("{:.1}", reload.as_secs_f64()),
        format!("{:.1}", after.cpu - before.cpu),
        mib(after.peak),
    ])
}

/// Writes the files of a generation below a folder, read back from its parts.
fn lay(folder: &Path, generation: &Generation) -> Result<(), String> {
    let pointer = Pointer::to(generation, |index| (Slot::ALL[0], format!("part-{index}")));
    let files = pointer.files(|part| Some(generation.parts.get(part.index)?.gzip.to_vec())).map_err(text)?;
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder)).map_err(text)?;
        std::fs::write(path, content).map_err(text)?;
    }
    Ok(())
}

/// A running Prometheus; it ends when it is dropped.
struct Engine {
    child: Child,
    url: String,
    http: reqwest::Client,
}

impl Engine {
    /// Starts it with the folder's `current` in its place, and with a token of an administrator in another's.
    fn start(api: &Handle, program: &Path, folder: &Path) -> Result<Self, String> {
        let kubeconfig: Value = serde_saphyr::from_str(&api.admin_kubeconfig()).map_err(text)?;
        let cluster = &kubeconfig["clusters"][0]["cluster"];
        let server: axum::http::Uri = cluster["server"]
            .as_str()
            .unwrap_or_default()
            .parse()
            .map_err(|_| "no address of the API server")?;
        let ca = cluster["certificate-authority-data"].as_str().unwrap_or_default();
        let ca: k8s_openapi::ByteString = serde_json::from_value(Value::from(ca)).map_err(text)?;
        let account = folder.join("account");
        std::fs::create_dir_all(&account).map_err(text)?;
        std::fs::write(account.join("ca.crt"), ca.0).map_err(text)?;
        std::fs::write(
            account.join("token"),
            kubeconfig["users"][0]["user"]["token"].as_str().unwrap_or_default(),
        )
        .map_err(text)?;
        std::fs::write(account.join("namespace"), "monitoring").map_err(text)?;
        let port = ports::loopback().map_err(text)?;
        let log = std::fs::File::create(folder.join("log")).map_err(text)?;
        let bwrap = crate::parts::find("bwrap").ok_or("bwrap is missing: run `make parts`")?;
        let child = Command::new(bwrap)
            .args([
                "--dev-bind",
                "/",
                "/",
                "--die-with-parent",
                "--tmpfs",
                "/var/lib",
                "--tmpfs",
                "/run",
                "--bind",
            ])
            .arg(folder.join("current"))
            .args(["/var/lib/obstack/config/current", "--ro-bind"])
            .arg(&account)
            .arg("/run/secrets/kubernetes.io/serviceaccount")
            .arg(program)
            .arg("--config.file=/var/lib/obstack/config/current/prometheus.yaml")
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-lifecycle")
            .env("KUBERNETES_SERVICE_HOST", server.host().unwrap_or_default())
            .env("KUBERNETES_SERVICE_PORT", server.port_u16().unwrap_or(443).to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(text)?;
        let http = reqwest::Client::builder().no_proxy().timeout(BOUND).build().map_err(text)?;
        Ok(Self { child, url: format!("http://127.0.0.1:{port}"), http })
    }

    async fn ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + BOUND;
        loop {
            let answer = self.http.get(format!("{}/-/ready", self.url)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("the engine ended: {status}"));
            }
            if Instant::now() > end {
                return Err(format!("the engine is not ready within {BOUND:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn reload(&self) -> Result<(), String> {
        let answer = self.http.post(format!("{}/-/reload", self.url)).send().await.map_err(text)?;
        let answer = answer.error_for_status().map_err(text)?;
        answer.bytes().await.map(drop).map_err(text)
    }

    async fn config(&self) -> Result<String, String> {
        let answer =
            self.http.get(format!("{}/api/v1/status/config", self.url)).send().await.map_err(text)?;
        answer.text().await.map_err(text)
    }

    /// Scrape pools that it runs.
    async fn jobs(&self) -> Result<usize, String> {
        let answer = self.http.get(format!("{}/api/v1/scrape_pools", self.url)).send().await.map_err(text)?;
        let answer: Value = serde_json::from_str(&answer.text().await.map_err(text)?).map_err(text)?;
        Ok(answer["data"]["scrapePools"].as_array().map_or(0, Vec::len))
    }

    /// The engine itself: the last of the processes that bubblewrap has between.
    fn sample(&self) -> Result<Sample, String> {
        let mut process = self.child.id();
        while let Some(child) = child_of(process) {
            process = child;
        }
        Sample::of(process).ok_or_else(|| "the engine has ended".to_owned())
    }

    fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop();
    }
}

fn child_of(process: u32) -> Option<u32> {
    let children = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).ok()?;
    children.split_whitespace().next()?.parse().ok()
}

fn version_of(program: &Path) -> Result<String, String> {
    let told = Command::new(program).arg("--version").output().map_err(text)?;
    let told = format!("{}{}", String::from_utf8_lossy(&told.stdout), String::from_utf8_lossy(&told.stderr));
    let version = told.split("version ").nth(1).and_then(|rest| rest.split([' ', ',']).next());
    version.map(str::to_owned).ok_or_else(|| "the engine names no version".to_owned())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
