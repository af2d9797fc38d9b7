//! Which part of a change is at fault where the engine itself refuses what its tool took, and its answer names none:
//! the engine is given more and more of the change, at the price of a reload each. What ran before runs again first
//! and last; a trial is what ran before with a part of what is wanted, and never carries a generation's name.

use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

use super::bisect::{Search, changed_objects, read, without};
use super::engine::{EngineClient, EngineError};
use super::lay::is_named_by_main;
use super::layout::Layout;
use super::metrics::{Metrics, ReloadResult};
use crate::running::{Engine, digest, object_path};
use crate::yaml::emit;

/// No trial begins later than this: a reload of tens of thousands of jobs takes seconds.
const BUDGET: Duration = Duration::from_secs(120);

/// What is tried.
pub(super) struct Trials<'a> {
    pub(super) engine: Engine,
    pub(super) client: &'a EngineClient,
    pub(super) layout: &'a Layout,
    pub(super) metrics: &'a Metrics,
    /// The generation that runs.
    pub(super) before: &'a str,
    /// The generation that was refused.
    pub(super) refused: &'a str,
}

/// What a trial lays down.
struct Draft {
    /// Files that are as they were before, or not there.
    held_back: BTreeSet<String>,
    main: String,
}

impl Trials<'_> {
    /// The path of what is at fault; none where it is not found. The engine runs a trial afterwards, where one was needed.
    pub(super) async fn at_fault(&self) -> Option<String> {
        match self.engine {
            Engine::Prometheus => self.file_at_fault().await,
            Engine::Alertmanager => self.object_at_fault().await,
        }
    }

    async fn file_at_fault(&self) -> Option<String> {
        let main = std::fs::read_to_string(self.file(self.engine.main_file())).ok()?;
        let mut files = self.layout.changes(self.before, self.refused).ok()?;
        files.retain(|path| path != self.engine.main_file());
        // What files refer to comes before these, so that none is blamed for what it lacks.
        files.sort_by_key(|path| is_named_by_main(path));
        let discoveries = self.client.failures().await.ok()?.discoveries;
        let begun = Instant::now();
        let mut search = Search::among(files.len());
        while let Some(count) = search.next() {
            let held_back = files.get(count..)?.iter().cloned().collect();
            let draft = Draft { held_back, main: main.clone() };
            search.note(count, self.passes(count, begun, draft, discoveries).await?);
        }
        let found = search.found()?;
        // Others refer to a certificate or a key: to take it away would break them all.
        files.get(found).filter(|path| is_named_by_main(path)).cloned()
    }

    async fn object_at_fault(&self) -> Option<String> {
        let config = read(self.layout, self.refused)?;
        let objects = changed_objects(&read(self.layout, self.before)?, &config);
        let begun = Instant::now();
        let mut search = Search::among(objects.len());
        while let Some(count) = search.next() {
            let main = emit(&without(&config, objects.get(count..)?)).ok()?;
            let draft = Draft { held_back: BTreeSet::new(), main };
            search.note(count, self.passes(count, begun, draft, 0.0).await?);
        }
        objects.get(search.found()?).map(|id| object_path(id))
    }

    fn file(&self, path: &str) -> std::path::PathBuf {
        self.layout.dir(self.refused).join(path)
    }

    /// Whether the engine takes a draft whole; none where it cannot be asked, or no time is left.
    async fn passes(&self, count: usize, begun: Instant, draft: Draft, discoveries: f64) -> Option<bool> {
        if begun.elapsed() > BUDGET {
            return None;
        }
        let name = digest(format!("trial {count} of {}", self.refused).as_bytes());
        if let Err(error) = self.lay_down(&name, draft) {
            tracing::warn!(%error, "a part of the change cannot be tried");
            return None;
        }
        self.metrics.reload(ReloadResult::Trial);
        match self.takes(&name, discoveries).await {
            Ok(takes) => Some(takes),
            Err(EngineError::Refused(_)) => Some(false),
            Err(EngineError::Away(why)) => {
                tracing::warn!(%why, "the engine went away while parts of a change were tried");
                None
            }
        }
    }

    fn lay_down(&self, name: &str, draft: Draft) -> io::Result<()> {
        let (layout, main) = (self.layout, self.engine.main_file());
        layout.begin(name)?;
        for path in layout.files(self.refused)?.iter().filter(|path| *path != main) {
            if !draft.held_back.contains(path) {
                layout.link(self.refused, name, path)?;
            } else if layout.dir(self.before).join(path).is_file() {
                layout.link(self.before, name, path)?;
            }
        }
        layout.add(name, main, draft.main.replace(self.refused, name).as_bytes())?;
        layout.complete(name)?;
        layout.switch(name)
    }

    async fn takes(&self, name: &str, discoveries: f64) -> Result<bool, EngineError> {
        self.client.reload().await?;
        let whole = self.client.generation().await?.as_deref() == Some(name);
        if !whole || self.engine != Engine::Prometheus {
            return Ok(whole);
        }
        Ok(self.client.failures().await?.discoveries <= discoveries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_is_what_ran_before_with_a_part_of_what_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path().to_owned());
        for (digest, files) in [
            ("one", &[("rules/a.yaml", "a"), ("rules/b.yaml", "b"), ("rules/gone.yaml", "")][..]),
            ("two", &[("rules/a.yaml", "a2"), ("rules/b.yaml", "b2"), ("rules/c.yaml", "c")]),
        ] {
            layout.begin(digest).unwrap();
            for (path, text) in files {
                layout.add(digest, path, text.as_bytes()).unwrap();
            }
            layout.add(digest, "prometheus.yaml", digest.as_bytes()).unwrap();
            layout.complete(digest).unwrap();
        }
        let trials = Trials {
            engine: Engine::Prometheus,
            client: &EngineClient::new(Engine::Prometheus, "http://127.0.0.1:1").unwrap(),
            layout: &layout,
            metrics: &Metrics::new(Engine::Prometheus),
            before: "one",
            refused: "two",
        };
        let held_back = ["rules/b.yaml", "rules/c.yaml"].map(str::to_owned).into();
        trials.lay_down("x", Draft { held_back, main: "main of two".to_owned() }).unwrap();
        let text = |path: &str| std::fs::read_to_string(dir.path().join("current").join(path)).unwrap();
        assert_eq!(layout.files("x").unwrap(), ["prometheus.yaml", "rules/a.yaml", "rules/b.yaml"]);
        assert_eq!((text("rules/a.yaml"), text("rules/b.yaml")), ("a2".to_owned(), "b".to_owned()));
        assert_eq!(text("prometheus.yaml"), "main of x", "it does not pass for what was refused");
    }
}
