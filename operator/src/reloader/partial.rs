//! What Prometheus loads only in part and does not report: it answers a reload with success, and then some seconds
//! later cannot make the scrape pool of a new job, as where a certificate is none; or a discovery cannot be made.
//! Neither is in its answer to the reload, so it is asked again a while later.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::engine::{EngineClient, EngineError};
use super::lay::Laid;
use super::layout::Layout;

/// How long after a reload the scrape pools of new jobs are there or never will be: two ticks of 5 s, of discovery
/// and of scraping, and some slack.
const SETTLED: Duration = Duration::from_secs(12);
/// Folder of the files that name scrape jobs.
const JOBS: &str = "scrape/";
/// Most bytes of a file that is searched for jobs.
const MAX_FILE: u64 = 32 << 20;
/// Discoveries whose making needs nothing that can be missing.
const PLAIN: [&str; 4] = ["kubernetes_sd_configs", "static_configs", "file_sd_configs", "dns_sd_configs"];

/// What is still to be looked at after a reload.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// When each file of jobs is looked at.
    files: BTreeMap<String, Instant>,
    /// When all of them are looked at: after a start, which has no change to go by.
    all: Option<Instant>,
    /// The generation that ran before the last change; none where none did.
    before: Option<String>,
    /// How many discoveries could not be made when it was looked last: those are of files from before.
    discoveries: f64,
    /// The generation that was found to be loaded in part.
    in_part: Option<String>,
}

/// A file that was loaded in part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Culprit {
    /// Its path, below `current/`; none where it can be one of several.
    pub(super) path: Option<String>,
    /// What the engine did not make of it.
    pub(super) reason: String,
}

impl Partial {
    /// A change was loaded: its files are looked at when their jobs should be there.
    pub(super) fn loaded(&mut self, laid: &Laid, before: Option<&str>, now: Instant) {
        self.before = before.map(str::to_owned);
        let due = now + SETTLED;
        match &laid.changed {
            Some(changed) => {
                let jobs = changed.iter().filter(|path| path.starts_with(JOBS));
                self.files.extend(jobs.map(|path| (path.clone(), due)));
            }
            None => self.all = Some(due),
        }
    }

    /// An engine was found with what it was started with.
    pub(super) fn started(&mut self, now: Instant) {
        self.all = Some(now + SETTLED);
    }

    /// When the next look is due; none where there is nothing to look at.
    pub(super) fn due(&self) -> Option<Instant> {
        self.files.values().copied().chain(self.all).min()
    }

    /// Whether a generation was found to be loaded in part.
    pub(super) fn is_known(&self, generation: &str) -> bool {
        self.in_part.as_deref() == Some(generation)
    }

    /// The generation that ran before the last change.
    pub(super) fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// Looks at what is due: the file at fault, where one is and is known. An engine that does not answer is
    /// asked again with the next look.
    pub(super) async fn look(
        &mut self,
        engine: &EngineClient,
        layout: &Layout,
        generation: &str,
        now: Instant,
    ) -> Result<Option<Culprit>, EngineError> {
        let is_due = |at: &Instant| *at <= now;
        if !self.due().is_some_and(|at| is_due(&at)) {
            return Ok(None);
        }
        let all = self.all.as_ref().is_some_and(is_due);
        let paths: Vec<String> = if all {
            let files = layout.files(generation).unwrap_or_default();
            files.into_iter().filter(|path| path.starts_with(JOBS)).collect()
        } else {
            self.files.iter().filter(|(_, at)| is_due(at)).map(|(path, _)| path.clone()).collect()
        };
        if !all && self.is_clear(engine, layout, generation, &paths).await? {
            self.files.retain(|_, at| !is_due(at));
            return Ok(None);
        }
        let failures = engine.failures().await?;
        if all {
            self.all = None;
            self.files.clear();
        }
        self.files.retain(|_, at| !is_due(at));
        let mut found = None;
        if failures.pools > 0.0 {
            let pools = engine.pools().await?;
            found = paths.iter().find_map(|path| without_pool(layout, generation, path, &pools));
        }
        if found.is_none() && failures.discoveries > self.discoveries {
            let of_change = self.before.is_some() && !self.is_known(generation);
            found = without_discovery(layout, generation, &paths)
                // Where it is one of several, it is taken back once and looked for.
                .filter(|culprit| culprit.path.is_some() || of_change);
            if found.is_none() {
                tracing::warn!(
                    count = failures.discoveries,
                    "the engine could not make every discovery, and it is not known which file asks for it"
                );
            }
        }
        // What is taken back counts as it did before.
        match &found {
            Some(_) => self.in_part = Some(generation.to_owned()),
            None => self.discoveries = failures.discoveries,
        }
        Ok(found)
    }

    /// Whether nothing can be missing of these files, by what is cheap to ask: each of their jobs has its scrape pool,
    /// and none asks for a discovery whose making can fail. The metrics, which tell what failed, are long.
    async fn is_clear(
        &self,
        engine: &EngineClient,
        layout: &Layout,
        generation: &str,
        paths: &[String],
    ) -> Result<bool, EngineError> {
        if self.discoveries > 0.0 || paths.iter().any(|path| asks_for_discovery(layout, generation, path)) {
            return Ok(false);
        }
        let pools = engine.pools().await?;
        Ok(paths.iter().all(|path| without_pool(layout, generation, path, &pools).is_none()))
    }
}

/// The text of a file of jobs.
fn text(layout: &Layout, generation: &str, path: &str) -> Option<Value> {
    let path = layout.dir(generation).join(path);
    let fits = std::fs::metadata(&path).ok()?.len() <= MAX_FILE;
    let text = fits.then(|| std::fs::read_to_string(&path).ok()).flatten()?;
    serde_saphyr::from_str(&text).ok()
}

fn without_pool(layout: &Layout, generation: &str, path: &str, pools: &BTreeSet<String>) -> Option<Culprit> {
    let file = text(layout, generation, path)?;
    let jobs = file["scrape_configs"].as_array()?;
    let missing = jobs.iter().filter_map(|job| job["job_name"].as_str()).find(|job| !pools.contains(*job))?;
    let reason = format!(
        "{path}: the engine took it and could not make the scrape pool of job {missing}: look at its \
         certificates and at its HTTP settings"
    );
    Some(Culprit { path: Some(path.to_owned()), reason })
}

/// Whether a job of a file asks for a discovery whose making can fail.
fn asks_for_discovery(layout: &Layout, generation: &str, path: &str) -> bool {
    let file = text(layout, generation, path).unwrap_or_default();
    let jobs = file["scrape_configs"].as_array().cloned().unwrap_or_default();
    let fields = jobs.iter().filter_map(Value::as_object).flat_map(|job| job.keys());
    let mut discoveries = fields.filter(|field| field.ends_with("_sd_configs"));
    discoveries.any(|field| !PLAIN.contains(&field.as_str()))
}

/// The file among these that asks for a discovery whose making can fail; no path where several do.
fn without_discovery(layout: &Layout, generation: &str, paths: &[String]) -> Option<Culprit> {
    let mut asking = paths.iter().filter(|path| asks_for_discovery(layout, generation, path));
    let (path, other) = (asking.next()?, asking.next());
    Some(match other {
        None => {
            let reason =
                format!("{path}: the engine took it and could not make its discovery: look at its settings");
            Culprit { path: Some(path.clone()), reason }
        }
        Some(_) => {
            let reason = "the engine took it and could not make the discovery of one of its jobs".to_owned();
            Culprit { path: None, reason }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        layout.begin("one").unwrap();
        for (path, text) in files {
            layout.add("one", path, text.as_bytes()).unwrap();
        }
        layout.complete("one").unwrap();
        (dir, layout)
    }

    #[test]
    fn a_job_without_a_scrape_pool_is_named_with_its_file() {
        let (_dir, layout) = layout(&[
            ("scrape/a.yaml", "scrape_configs: [{job_name: a/0}]\n"),
            ("scrape/b.yaml", "scrape_configs: [{job_name: b/0}, {job_name: b/1}]\n"),
        ]);
        let find = |pools: &[&str]| {
            let pools = pools.iter().map(|pool| (*pool).to_owned()).collect();
            ["scrape/a.yaml", "scrape/b.yaml"]
                .iter()
                .find_map(|path| without_pool(&layout, "one", path, &pools))
        };
        assert_eq!(find(&["a/0", "b/0", "b/1"]), None);
        let culprit = find(&["a/0", "b/0"]).unwrap();
        assert_eq!(culprit.path.as_deref(), Some("scrape/b.yaml"));
        assert!(culprit.reason.contains("job b/1"), "{culprit:?}");
    }

    #[test]
    fn a_discovery_is_blamed_on_the_one_file_that_can_have_asked() {
        let (_dir, layout) = layout(&[
            ("scrape/a.yaml", "scrape_configs: [{job_name: a, kubernetes_sd_configs: [{role: pod}]}]\n"),
            ("scrape/b.yaml", "scrape_configs: [{job_name: b, consul_sd_configs: [{server: x}]}]\n"),
            ("scrape/c.yaml", "scrape_configs: [{job_name: c, http_sd_configs: [{url: x}]}]\n"),
        ]);
        let find = |paths: &[&str]| {
            let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
            without_discovery(&layout, "one", &paths).map(|culprit| culprit.path)
        };
        assert_eq!(find(&["scrape/a.yaml", "scrape/b.yaml"]), Some(Some("scrape/b.yaml".to_owned())));
        assert_eq!(find(&["scrape/a.yaml"]), None);
        assert_eq!(find(&["scrape/b.yaml", "scrape/c.yaml"]), Some(None), "it can be either");
    }

    #[test]
    fn files_are_looked_at_when_their_jobs_should_be_there() {
        let mut partial = Partial::default();
        let now = Instant::now();
        let laid = |paths: &[&str]| Laid {
            changed: Some(paths.iter().map(|path| (*path).to_owned()).collect()),
            main_changed: false,
            bytes: 0,
        };
        partial.loaded(&laid(&["rules/a.yaml", "assets/ca"]), Some("zero"), now);
        assert_eq!(partial.due(), None, "they name no job");
        partial.loaded(&laid(&["scrape/a.yaml"]), Some("one"), now);
        partial.loaded(&laid(&["scrape/b.yaml"]), Some("two"), now + SETTLED / 2);
        assert_eq!((partial.due(), partial.before()), (Some(now + SETTLED), Some("two")));
    }
}
