//! The catalog: every option of every component with its limits, cost models, scores, trade-offs and
//! tripwires, as data. Each number is a range with unit, source, date and who says it.

use std::collections::BTreeMap;

use obstack_crds::Component;
use serde::Deserialize;

mod check;
mod entry;
mod overlay;
mod wire;

pub use entry::{
    Api, Ask, Copies, CostScore, Driver, Figure, FilledBy, Limit, LimitOf, Models, NotAfter, OptionEntry,
    Prices, Requires, Score, Source, Term, TradeoffEntry, TripwireEntry, When, Who,
};
pub use overlay::{MAX_BYTES, OverlayFile};

use crate::units::PromDuration;

/// The embedded files: the head, then one per component.
pub(super) const HEAD: &str = include_str!("../../catalog/catalog.yaml");
pub(super) const FILES: [(&str, &str); 8] = [
    ("metrics-store.yaml", include_str!("../../catalog/metrics-store.yaml")),
    ("long-term-storage.yaml", include_str!("../../catalog/long-term-storage.yaml")),
    ("collection.yaml", include_str!("../../catalog/collection.yaml")),
    ("alerting.yaml", include_str!("../../catalog/alerting.yaml")),
    ("dashboards.yaml", include_str!("../../catalog/dashboards.yaml")),
    ("exposure.yaml", include_str!("../../catalog/exposure.yaml")),
    ("notification.yaml", include_str!("../../catalog/notification.yaml")),
    ("delivery.yaml", include_str!("../../catalog/delivery.yaml")),
];
/// The narrowest range, out of 100, that a judgement may claim.
pub const JUDGEMENT_WIDTH: f64 = 20.0;

/// Why a catalog could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// A file is not what the catalog's schema says.
    #[error("catalog file {file}: {reason}")]
    Unreadable {
        /// Name of the file.
        file: String,
        /// What the parser says, with its position.
        reason: String,
    },
    /// The files can be read, but their content breaks a rule.
    #[error("catalog: {0}")]
    Broken(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Head {
    version: String,
    sources: BTreeMap<String, Source>,
    prices: Prices,
    churn: Figure,
    cost_score: CostScore,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct ComponentFile {
    component: Component,
    #[serde(default)]
    sources: BTreeMap<String, Source>,
    options: Vec<OptionEntry>,
}

/// Every option of every component.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// Version, a date and a count; with files of one's own, `+` and a digest of these.
    pub version: String,
    /// Prices that all options share.
    pub prices: Prices,
    /// New series of a load per active series and day, where that was not measured.
    pub churn: Figure,
    /// How cost becomes a score.
    pub cost_score: CostScore,
    sources: BTreeMap<String, Source>,
    options: BTreeMap<Component, Vec<OptionEntry>>,
    /// Files of one's own by what they brought, so that an error can name the file: `metricsStore.Prometheus`,
    /// `prices.cpu`, `source load-test`.
    origins: BTreeMap<String, String>,
}

impl Catalog {
    /// The catalog that is part of this binary.
    ///
    /// # Errors
    /// Where an embedded file breaks the catalog's rules; the tests hold that none does.
    pub fn embedded() -> Result<Self, CatalogError> {
        Self::parse(HEAD, &FILES)
    }

    /// Reads a catalog from its head and its component files, each with its name.
    ///
    /// # Errors
    /// Where a file cannot be read, or its content breaks a rule: every number needs a range, a unit and a
    /// known source with date and speaker.
    pub fn parse(head: &str, files: &[(&str, &str)]) -> Result<Self, CatalogError> {
        let unreadable = |file: &str, e: serde_saphyr::Error| CatalogError::Unreadable {
            file: file.to_owned(),
            reason: e.to_string(),
        };
        let head: Head = serde_saphyr::from_str(head).map_err(|e| unreadable("catalog.yaml", e))?;
        let mut catalog = Self {
            version: head.version,
            prices: head.prices,
            churn: head.churn,
            cost_score: head.cost_score,
            sources: head.sources,
            options: BTreeMap::new(),
            origins: BTreeMap::new(),
        };
        for (name, text) in files {
            let file: ComponentFile = serde_saphyr::from_str(text).map_err(|e| unreadable(name, e))?;
            for (id, source) in file.sources {
                let known = catalog.sources.entry(id.clone()).or_insert_with(|| source.clone());
                if *known != source {
                    return Err(CatalogError::Broken(format!("{name}: source {id} differs between files")));
                }
            }
            if catalog.options.insert(file.component, file.options).is_some() {
                return Err(CatalogError::Broken(format!("{name}: {} is there twice", file.component)));
            }
        }
        catalog.check()?;
        Ok(catalog)
    }

    /// Options of a component, in the catalog's order.
    pub fn options(&self, component: Component) -> &[OptionEntry] {
        self.options.get(&component).map_or(&[], Vec::as_slice)
    }

    /// The option with this id.
    pub fn option(&self, component: Component, id: &str) -> Option<&OptionEntry> {
        self.options(component).iter().find(|o| o.id == id)
    }

    /// The source with this id, as it is shown.
    pub fn source(&self, id: &str) -> String {
        self.sources.get(id).map_or_else(|| id.to_owned(), ToString::to_string)
    }

    /// Divides all durations of a component's tripwire by `divisor`, in every option that has it: for trials, see
    /// [`super::scaled`]. False where no option has such a tripwire.
    pub fn divide(&mut self, component: Component, tripwire: &str, divisor: u32) -> bool {
        let options = self.options.get_mut(&component).into_iter().flatten();
        let wires = options.flat_map(|option| &mut option.tripwires).filter(|wire| wire.id == tripwire);
        wires.map(|wire| *wire = super::scaled(wire, divisor)).count() > 0
    }

    fn check(&self) -> Result<(), CatalogError> {
        check::check(self, &self.sources).map_err(|(at, message)| {
            let file = self.origins.get(&at).map(|file| format!("{file}: ")).unwrap_or_default();
            CatalogError::Broken(format!("{file}{message}"))
        })
    }
}

/// Whether an SPDX identifier is denied. `AGPL-3.0` denies `AGPL-3.0-only` and `AGPL-3.0-or-later` too.
pub fn licence_denied(licence: &str, denied: &str) -> bool {
    fn family(id: &str) -> &str {
        for suffix in ["-only", "-or-later", "+"] {
            let stem = id.len().checked_sub(suffix.len()).and_then(|at| id.split_at_checked(at));
            if let Some((stem, end)) = stem
                && end.eq_ignore_ascii_case(suffix)
            {
                return stem;
            }
        }
        id
    }
    licence != "none" && family(licence).eq_ignore_ascii_case(family(denied))
}

/// Length of a duration of the catalog; the check holds that all can be read.
pub(crate) fn duration(text: &str) -> Option<PromDuration> {
    text.parse().ok()
}

#[cfg(test)]
impl Catalog {
    /// Gives an option a limit that nothing keeps.
    pub(crate) fn forbid(&mut self, component: Component, option: &str) {
        for entry in self.options.entry(component).or_default().iter_mut().filter(|o| o.id == option) {
            entry.limits.push(Limit {
                of: LimitOf::ActiveSeries,
                requirement: "requirements.activeSeries".into(),
                text: "series".into(),
                low: 0.0,
                high: 0.0,
                unit: "series".into(),
                source: "ours".into(),
                quote: "none".into(),
            });
        }
    }

    /// Adds an option that is worse than every other in every quality.
    pub(crate) fn add_loser(&mut self, component: Component) {
        let options = self.options.entry(component).or_default();
        let mut loser = options[0].clone();
        loser.id = "Loser".into();
        loser.licence = "none".into();
        loser.burden = 1_000;
        loser.limits.clear();
        loser.requires.clear();
        loser.needs.clear();
        loser.excludes.clear();
        let bill = Term {
            per: Driver::Replica,
            once: true,
            low: 1e12,
            high: 1e12,
            unit: "USD".into(),
            source: "ours".into(),
            quote: "none".into(),
        };
        loser.models = Models { monthly_cost: vec![bill], ..Models::default() };
        for score in loser.scores.values_mut() {
            (score.low, score.high) = (0.0, 0.0);
        }
        options.push(loser);
    }
}
