//! The operator as a process on a real control plane without a node: what it takes, from outside.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher as watch};
use obstack::running::{PART_KEY, POINTER_KEY, Pointer};
use tokio::sync::watch as channel;
use tokio_util::task::AbortOnDropHandle;

use crate::world::NAMESPACE;

/// Between two looks at a process.
const EVERY: Duration = Duration::from_millis(100);
/// Clock ticks in a second, as Linux counts the time of processes.
const TICKS: f64 = 100.0;

/// What a process had taken at one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// CPU seconds since it began, all of its threads.
    pub cpu: f64,
    /// Resident memory in KiB.
    pub resident: u64,
    /// The most resident memory that it had so far, in KiB.
    pub peak: u64,
}

impl Sample {
    /// A process as it is now; none once it is gone.
    pub fn of(process: u32) -> Option<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name of the program, in parentheses, can hold anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        let mut ticks = || fields.next()?.parse::<f64>().ok();
        let cpu = (ticks()? + ticks()?) / TICKS;
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self { at: Timestamp::now(), cpu, resident: kib("VmRSS:")?, peak: kib("VmHWM:")? })
    }
}

/// A running operator, looked at ten times a second; it ends when it is dropped.
pub struct Measured {
    child: Child,
    samples: Arc<Mutex<Vec<Sample>>>,
    _sampler: AbortOnDropHandle<()>,
}

impl Measured {
    /// Starts this program as an operator in the namespace `obstack-system`; its log goes to a file.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, kubeconfig: &Path, log: &Path) -> std::io::Result<Self> {
        let out = File::create(log)?;
        let child = Command::new(program)
            .args(["operator", "--listen", "127.0.0.1:0", "--decisions-access", "open"])
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAME", "obstack-0")
            .env("POD_NAMESPACE", "obstack-system")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        let (process, samples) = (child.id(), Arc::<Mutex<Vec<Sample>>>::default());
        let kept = samples.clone();
        let sampler = tokio::spawn(async move {
            while let Some(sample) = Sample::of(process) {
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                tokio::time::sleep(EVERY).await;
            }
        });
        Ok(Self { child, samples, _sampler: AbortOnDropHandle::new(sampler) })
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// What it has taken by now.
    ///
    /// # Panics
    /// When it has ended.
    pub fn now(&self) -> Sample {
        Sample::of(self.child.id()).expect("the operator runs")
    }

    /// What it had taken right after a time.
    ///
    /// # Panics
    /// When it has ended.
    pub fn after(&self, at: Timestamp) -> Sample {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let found = samples.iter().find(|sample| sample.at >= at).copied();
        found.unwrap_or_else(|| self.now())
    }

    /// The most resident memory between two times, in KiB.
    pub fn most(&self, from: Timestamp, to: Timestamp) -> u64 {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let within = samples.iter().filter(|sample| sample.at >= from && sample.at <= to);
        within.map(|sample| sample.resident).max().unwrap_or_default()
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The generation that the candidate of a stack's metrics store names, and when it was seen.
pub struct Candidate {
    seen: channel::Receiver<Option<(Instant, String)>>,
    _follower: AbortOnDropHandle<()>,
}

/// Name of the Secret that holds the pointer.
const CANDIDATE: &str = "main-metrics-candidate";

impl Candidate {
    /// Watches it.
    pub fn watch(client: Client) -> Self {
        let (tell, seen) = channel::channel(None);
        let api: Api<Secret> = Api::namespaced(client, NAMESPACE);
        let config = watcher::Config::default().fields(&format!("metadata.name={CANDIDATE}"));
        let follower = tokio::spawn(async move {
            // Without waits it would try again for ever, and never yield, where requests fail at once.
            let mut stream = std::pin::pin!(watch(api, config).default_backoff());
            while let Some(event) = stream.next().await {
                if let Ok(Event::Apply(secret) | Event::InitApply(secret)) = event
                    && let Some(pointer) = pointer(&secret)
                {
                    tell.send_replace(Some((Instant::now(), pointer.generation)));
                }
            }
        });
        Self { seen, _follower: AbortOnDropHandle::new(follower) }
    }

    /// The generation that is named now.
    pub fn generation(&self) -> Option<String> {
        self.seen.borrow().as_ref().map(|(_, generation)| generation.clone())
    }

    /// When another one than this was seen first.
    ///
    /// # Errors
    /// When none is within `bound`.
    pub async fn other_than(&mut self, before: Option<&str>, bound: Duration) -> Result<Instant, String> {
        let is_other = |seen: &Option<(Instant, String)>| {
            seen.as_ref().is_some_and(|(_, name)| Some(name.as_str()) != before)
        };
        let changed = tokio::time::timeout(bound, self.seen.wait_for(is_other)).await;
        let changed = changed.map_err(|_| format!("no other generation within {bound:?}"))?;
        let seen = changed.map_err(|error| error.to_string())?;
        seen.as_ref().map(|(at, _)| *at).ok_or_else(|| "nothing was seen".to_owned())
    }
}

fn pointer(secret: &Secret) -> Option<Pointer> {
    Pointer::parse(&secret.data.as_ref()?.get(POINTER_KEY)?.0).ok()
}

/// What the candidate of the metrics store carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Scrape jobs of objects.
    pub jobs: usize,
    /// Rule files of objects.
    pub rules: usize,
    /// Parts.
    pub parts: usize,
    /// Bytes of all parts, compressed.
    pub compressed: usize,
    /// Bytes of the largest part, compressed.
    pub largest: usize,
    /// Bytes of all files.
    pub bytes: usize,
}

/// Reads the candidate as a reloader does.
///
/// # Errors
/// When the set is not whole, or cannot be read.
pub async fn carried(client: &Client) -> Result<Carried, String> {
    let api: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let get = async |name: &str| api.get(name).await.map_err(|error| format!("{name}: {error}"));
    let pointer = pointer(&get(CANDIDATE).await?).ok_or("the pointer cannot be read")?;
    let mut carried = Carried { parts: pointer.parts.len(), ..Carried::default() };
    for part in &pointer.parts {
        let secret = get(&part.secret).await?;
        let gzip = secret.data.unwrap_or_default().remove(PART_KEY).ok_or("a Secret without its part")?;
        carried.compressed += gzip.0.len();
        carried.largest = carried.largest.max(gzip.0.len());
        for entry in part.read(&gzip.0).map_err(|error| error.to_string())? {
            carried.bytes += entry.content.len();
            if entry.path.starts_with("scrape/object.") {
                carried.jobs += String::from_utf8_lossy(&entry.content).matches("job_name:").count();
            }
            carried.rules += usize::from(entry.path.starts_with("rules/object."));
        }
    }
    Ok(carried)
}

/// A file with a kubeconfig.
///
/// # Errors
/// When it cannot be written.
pub fn kubeconfig_file(folder: &Path, text: &str) -> std::io::Result<PathBuf> {
    let path = folder.join("operator.kubeconfig");
    std::fs::write(&path, text)?;
    Ok(path)
}
