//! Options and numbers of one's own: files that add to the embedded catalog or change it, with the same checks.

use std::collections::BTreeMap;

use obstack_crds::Component;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::entry::{
    Copies, Figure, Limit, Models, OptionEntry, Score, Source, Term, TradeoffEntry, TripwireEntry,
};
use super::{Catalog, CatalogError};
use crate::validate::Quality;

/// Most bytes of all files together: what a ConfigMap holds.
pub const MAX_BYTES: usize = 1 << 20;

/// A file of options and numbers of one's own, with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayFile {
    /// As errors name it.
    pub name: String,
    /// YAML or JSON.
    pub text: String,
}

/// What such a file holds.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Overlay {
    /// Where the numbers come from.
    sources: BTreeMap<String, Source>,
    /// Prices in the place of the catalog's.
    prices: PricesChange,
    /// New series per active series and day, in the place of the catalog's.
    churn: Option<Figure>,
    components: BTreeMap<Component, ComponentOverlay>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PricesChange {
    memory: Option<Figure>,
    storage: Option<Figure>,
    cpu: Option<Figure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ComponentOverlay {
    /// Options that the catalog does not have.
    add: Vec<OptionEntry>,
    /// Options that it has, each with the fields that are different.
    change: Vec<OptionChange>,
}

/// What is different of an option. A list takes the place of the catalog's whole list, save for trade-offs and
/// tripwires, which are told apart by their id; a score takes the place of that quality's.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct OptionChange {
    id: String,
    licence: Option<String>,
    copies: Option<Copies>,
    burden: Option<u32>,
    burden_basis: Option<String>,
    limits: Option<Vec<Limit>>,
    #[serde(default)]
    models: ModelsChange,
    #[serde(default)]
    scores: BTreeMap<Quality, Score>,
    #[serde(default)]
    tradeoffs: Vec<TradeoffEntry>,
    #[serde(default)]
    tripwires: Vec<TripwireEntry>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct ModelsChange {
    memory: Option<Vec<Term>>,
    storage: Option<Vec<Term>>,
    cpu: Option<Vec<Term>>,
    monthly_cost: Option<Vec<Term>>,
    recovery: Option<Vec<Term>>,
}

impl ModelsChange {
    fn apply(self, models: &mut Models) {
        for (change, terms) in [
            (self.memory, &mut models.memory),
            (self.storage, &mut models.storage),
            (self.cpu, &mut models.cpu),
            (self.monthly_cost, &mut models.monthly_cost),
            (self.recovery, &mut models.recovery),
        ] {
            if let Some(change) = change {
                *terms = change;
            }
        }
    }
}

impl OptionChange {
    fn apply(self, option: &mut OptionEntry) {
        fn put<T>(slot: &mut T, change: Option<T>) {
            if let Some(change) = change {
                *slot = change;
            }
        }
        put(&mut option.licence, self.licence);
        put(&mut option.copies, self.copies);
        put(&mut option.burden, self.burden);
        put(&mut option.burden_basis, self.burden_basis);
        put(&mut option.limits, self.limits);
        self.models.apply(&mut option.models);
        option.scores.extend(self.scores);
        for new in self.tradeoffs {
            match option.tradeoffs.iter_mut().find(|old| old.id == new.id) {
                Some(old) => *old = new,
                None => option.tradeoffs.push(new),
            }
        }
        for new in self.tripwires {
            match option.tripwires.iter_mut().find(|old| old.id == new.id) {
                Some(old) => *old = new,
                None => option.tripwires.push(new),
            }
        }
    }
}

impl Catalog {
    /// This catalog with files of options and numbers of one's own. Its version then ends in `+` and the start
    /// of a digest of these files, so that a record says what it was decided with. No file changes nothing.
    ///
    /// # Errors
    /// Where a file cannot be read, adds what is there already, changes what is not there, or its content breaks
    /// a rule of the catalog; the error names the file, the entry and what to write.
    pub fn with_files(mut self, files: &[OverlayFile]) -> Result<Self, CatalogError> {
        if files.is_empty() {
            return Ok(self);
        }
        let size: usize = files.iter().map(|f| f.text.len()).sum();
        if size > MAX_BYTES {
            let all = files.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CatalogError::Broken(format!("{all}: more than 1 MiB; write less")));
        }
        let mut digest = Sha256::new();
        let mut changed: BTreeMap<(Component, String), String> = BTreeMap::new();
        for file in files {
            let overlay: Overlay = serde_saphyr::from_str(&file.text)
                .map_err(|e| CatalogError::Unreadable { file: file.name.clone(), reason: e.to_string() })?;
            self.take(&file.name, overlay, &mut changed)?;
            digest.update((file.text.len() as u64).to_be_bytes());
            digest.update(&file.text);
        }
        let digest: String = digest.finalize().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        self.version = format!("{}+{digest}", self.version);
        self.check()?;
        Ok(self)
    }

    fn take(
        &mut self,
        file: &str,
        overlay: Overlay,
        changed: &mut BTreeMap<(Component, String), String>,
    ) -> Result<(), CatalogError> {
        let broken = |message: String| Err(CatalogError::Broken(format!("{file}: {message}")));
        for (id, source) in overlay.sources {
            if self.sources.get(&id).is_some_and(|known| *known != source) {
                return broken(format!("source {id} is there already and differs; write another id"));
            }
            self.origins.entry(format!("source {id}")).or_insert_with(|| file.to_owned());
            self.sources.insert(id, source);
        }
        for (name, change, slot) in [
            ("memory", overlay.prices.memory, &mut self.prices.memory),
            ("storage", overlay.prices.storage, &mut self.prices.storage),
            ("cpu", overlay.prices.cpu, &mut self.prices.cpu),
        ] {
            if let Some(change) = change {
                *slot = change;
                self.origins.insert(format!("prices.{name}"), file.to_owned());
            }
        }
        if let Some(churn) = overlay.churn {
            self.churn = churn;
            self.origins.insert("churn".to_owned(), file.to_owned());
        }
        for (component, overlay) in overlay.components {
            let options = self.options.entry(component).or_default();
            for option in overlay.add {
                let at = format!("{component}.{}", option.id);
                if let Some(first) = changed.insert((component, option.id.clone()), file.to_owned()) {
                    return broken(format!("{at} is in {first} already; write it once"));
                }
                if options.iter().any(|o| o.id == option.id) {
                    return broken(format!("{at} is in the catalog already; write it under change"));
                }
                if option.deployable {
                    return broken(format!("{at}: this operator cannot deploy it; write deployable: false"));
                }
                self.origins.insert(at, file.to_owned());
                options.push(option);
            }
            for change in overlay.change {
                let at = format!("{component}.{}", change.id);
                if let Some(first) = changed.insert((component, change.id.clone()), file.to_owned()) {
                    return broken(format!("{at} is in {first} already; write it once"));
                }
                let known: Vec<String> = options.iter().map(|o| o.id.clone()).collect();
                let Some(option) = options.iter_mut().find(|o| o.id == change.id) else {
                    let known = super::super::numbers::list(&known, "or");
                    return broken(format!(
                        "{at} is not in the catalog; write {known}, or a whole option under add"
                    ));
                };
                self.origins.insert(at, file.to_owned());
                change.apply(option);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{catalog, valid, with};
    use super::super::super::{DecideFacts, Previous, decide};
    use super::*;

    fn file(text: &str) -> OverlayFile {
        OverlayFile { name: "own.yaml".into(), text: text.into() }
    }

    fn with_text(text: &str) -> Result<Catalog, CatalogError> {
        catalog().with_files(&[file(text)])
    }

    const SOURCES: &str = "\
sources:
  load-test: { title: 'load test of March', date: '2026-03', who: independent }
";

    /// An option that is complete.
    const ADDED: &str = "
components:
  metricsStore:
    add:
      - id: Graphite
        title: Graphite
        summary: a store of long ago
        deployable: false
        licence: Apache-2.0
        copies: { single: 1, replicated: 2 }
        burden: 0
        burdenBasis: nothing at all
        scores:
          reliability: { low: 70, high: 100, judgement: true, basis: we know it }
          performanceEfficiency: { low: 70, high: 100, judgement: true, basis: we know it }
          compatibility: { low: 70, high: 100, judgement: true, basis: we know it }
          maintainability: { low: 70, high: 100, judgement: true, basis: we know it }
          security: { low: 70, high: 100, judgement: true, basis: we know it }
          flexibility: { low: 70, high: 100, judgement: true, basis: we know it }
        tradeoffs:
          - { id: old, quality: compatibility, source: load-test, text: No PromQL. }
";

    fn store(catalog: &Catalog, valid: &crate::validate::Valid) -> Option<String> {
        let plan = decide(valid, &DecideFacts::offline(), &Previous::default(), catalog);
        assert_eq!(plan.catalog, catalog.version);
        plan.get(Component::MetricsStore).and_then(|d| d.chosen.clone())
    }

    #[test]
    fn a_number_of_ones_own_changes_a_decision_and_the_version_says_so() {
        let limit = |series: u64| {
            format!(
                "{SOURCES}components:\n  metricsStore:\n    change:\n      - id: Prometheus\n        limits:\n          \
                 - {{ of: activeSeries, requirement: requirements.activeSeries, text: active series here, low: {series}, \
                 high: {series}, unit: series, source: load-test, quote: what our nodes take }}\n"
            )
        };
        let valid = with(|r| r.active_series = "800k".parse().unwrap());
        assert_eq!(store(&catalog(), &valid).as_deref(), Some("Prometheus"));
        let tight = with_text(&limit(500_000)).unwrap();
        assert_ne!(store(&tight, &valid).as_deref(), Some("Prometheus"));
        let (date, digest) = tight.version.split_once('+').unwrap();
        assert_eq!((date, digest.len()), (catalog().version.as_str(), 8));
        let wide = with_text(&limit(900_000)).unwrap();
        assert_eq!(store(&wide, &valid).as_deref(), Some("Prometheus"));
        assert_ne!(wide.version, tight.version);
        assert_eq!(catalog().with_files(&[]).unwrap().version, catalog().version);
    }

    #[test]
    fn models_scores_and_prices_can_be_changed_each_by_itself() {
        let text = format!(
            "{SOURCES}prices: {{ memory: {{ low: 20, high: 30, unit: USD per GiB and month, source: load-test, quote: our bill }} }}
churn: {{ low: 2, high: 3, unit: new series per active series and day, source: load-test, quote: \"2.5 a day\" }}
components:
  metricsStore:
    change:
      - id: Prometheus
        models: {{ memory: [ {{ per: series, low: 3000, high: 3500, unit: bytes, source: load-test, quote: 3.2 KB }} ] }}
        scores: {{ security: {{ low: 10, high: 12, source: load-test, basis: an audit }} }}
"
        );
        let (old, new) = (catalog(), with_text(&text).unwrap());
        let (old_option, new_option) = (
            old.option(Component::MetricsStore, "Prometheus").unwrap(),
            new.option(Component::MetricsStore, "Prometheus").unwrap(),
        );
        assert_eq!(new_option.models.memory.len(), 1);
        assert_eq!(new_option.models.storage, old_option.models.storage);
        assert_eq!(new_option.scores[&Quality::Security].high, 12.0);
        assert_eq!(new_option.scores[&Quality::Reliability], old_option.scores[&Quality::Reliability]);
        assert_eq!((new.prices.memory.low, new.prices.cpu.clone()), (20.0, old.prices.cpu.clone()));
        assert_eq!((new.churn.low, new.churn.high), (2.0, 3.0));
        assert_eq!(new.source("load-test"), "load test of March, 2026-03 (independent)");
    }

    #[test]
    fn the_example_of_the_book_is_taken() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/catalog.md");
        let book = std::fs::read_to_string(path).unwrap();
        let example = book.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
        let own = with_text(example).unwrap();
        let option = own.option(Component::MetricsStore, "Prometheus").unwrap();
        assert_eq!((option.limits.len(), option.limits[0].high), (1, 6e6));
        assert_eq!(own.prices.memory.low, 3.1);
    }

    #[test]
    fn an_option_of_ones_own_takes_part() {
        let own = with_text(&format!("{SOURCES}{ADDED}")).unwrap();
        assert_eq!(store(&own, &valid()).as_deref(), Some("Graphite"));
        let plan = decide(&valid(), &DecideFacts::offline(), &Previous::default(), &own);
        assert!(!plan.get(Component::MetricsStore).unwrap().deployable);
    }

    #[test]
    fn what_is_wrong_is_told_with_file_entry_and_what_to_write() {
        let added = format!("{SOURCES}{ADDED}");
        let cut = |from: &str, to: &str| {
            assert!(added.contains(from), "{from}");
            added.replacen(from, to, 1)
        };
        for (text, says) in [
            (cut("source: load-test", "source: hearsay"), vec!["metricsStore.Graphite", "unknown source"]),
            (cut(", who: independent", ""), vec!["line 2", "missing field `who`"]),
            (cut("date: '2026-03'", "date: lately"), vec!["source load-test", "YYYY-MM"]),
            (cut("metricsStore:", "metricStore:"), vec!["line 5", "metricStore", "metricsStore"]),
            (cut("id: Graphite", "id: Prometheus"), vec!["metricsStore.Prometheus", "write it under change"]),
            (cut("deployable: false", "deployable: true"), vec!["write deployable: false"]),
            (cut("add:", "change:"), vec!["unknown field `title`"]),
            (cut("judgement: true, ", ""), vec!["metricsStore.Graphite", "name a source"]),
            (
                "components: { alerting: { change: [ { id: Pager } ] } }".into(),
                vec!["alerting.Pager", "write Alertmanager, GrafanaAlerting or None"],
            ),
            (
                "prices: { cpu: { low: 2, high: 1, unit: x, source: ours, quote: y } }".into(),
                vec!["prices.cpu", "low <= high"],
            ),
            (
                "churn: { low: 0.5, high: 0.5, unit: x, source: ours, quote: y }".into(),
                vec!["churn", "a judgement carries a wide range"],
            ),
            (
                "components: { metricsStore: { change: [ { id: Prometheus }, { id: Prometheus } ] } }".into(),
                vec!["metricsStore.Prometheus", "write it once"],
            ),
            (
                "components: { metricsStore: { change: [ { id: Prometheus, models: { memory: [ { per: series, low: 1, \
                 high: 2, unit: bytes, quote: x } ] } } ] } }"
                    .into(),
                vec!["missing field `source`"],
            ),
        ] {
            let error = with_text(&text).unwrap_err().to_string();
            for words in ["own.yaml"].iter().chain(&says) {
                assert!(error.contains(words), "{words}: {error}\n{text}");
            }
        }
        let two = [file(&added), OverlayFile { name: "more.yaml".into(), text: added.clone() }];
        let error = catalog().with_files(&two).unwrap_err().to_string();
        assert!(error.contains("more.yaml") && error.contains("is in own.yaml already"), "{error}");
        let error = with_text(&" ".repeat(MAX_BYTES + 1)).unwrap_err().to_string();
        assert!(error.contains("write less"), "{error}");
    }
}
