//! Stacks, and what their engines say, for tests of decisions.

use std::collections::BTreeMap;

use obstack_crds::ObservabilityStackSpec;
use obstack_crds::stack::{Availability, Environment};

use crate::names::StackId;
use crate::observe::{Fact, Facts, WireReading, WireSaid};
use crate::validate::{DEFAULTS_VERSION, Quality, Requirements, Valid};

/// The embedded catalog, read once.
pub(crate) fn catalog() -> super::Catalog {
    static CATALOG: std::sync::OnceLock<super::Catalog> = std::sync::OnceLock::new();
    CATALOG.get_or_init(|| super::Catalog::embedded().unwrap()).clone()
}

/// A stack of 50k series with every weight at 3.
pub(crate) fn valid() -> Valid {
    Valid {
        id: StackId { namespace: "monitoring".into(), name: "main".into() },
        defaults_version: DEFAULTS_VERSION,
        environment: Environment::Dev,
        requirements: Requirements {
            active_series: "50k".parse().unwrap(),
            scrape_interval: "30s".parse().unwrap(),
            retention: "15d".parse().unwrap(),
            availability: Availability::Single,
            recovery_time: "10m".parse().unwrap(),
            licences_deny: Default::default(),
            budget_memory: None,
            budget_storage: None,
            budget_monthly_cents: None,
        },
        priorities: Quality::ALL.into_iter().map(|q| (q, 3)).collect(),
        overrides: BTreeMap::new(),
        evaluation_interval: "30s".parse().unwrap(),
        spec: ObservabilityStackSpec::default(),
        rejected: Vec::new(),
    }
}

/// The same with other requirements.
pub(crate) fn with(change: impl FnOnce(&mut Requirements)) -> Valid {
    let mut valid = valid();
    change(&mut valid.requirements);
    valid
}

/// What is observed where these replicas of the metrics store answer so; none does not answer.
pub(crate) fn observed(replicas: &[(&str, Option<Vec<WireReading>>)]) -> Facts {
    let answer = |said: &Option<Vec<WireReading>>| match said {
        Some(readings) => Fact::Known(readings.clone()),
        None => Fact::Unavailable("connection refused".to_owned()),
    };
    Facts {
        cluster: Fact::Known(Default::default()),
        owned: BTreeMap::new(),
        pods: Fact::Known(BTreeMap::new()),
        secrets: BTreeMap::new(),
        records: Fact::Known(Vec::new()),
        engines: BTreeMap::new(),
        refusals: BTreeMap::new(),
        reloaders: BTreeMap::new(),
        wires: replicas.iter().map(|(pod, said)| ((*pod).to_owned(), answer(said))).collect(),
        readings: Default::default(),
    }
}

/// The readings of a tripwire, each state by its alert: a pressure, half of it as the value, and what fires.
pub(crate) fn readings(
    record: &str,
    tripwire: &str,
    pressure: Option<f64>,
    firing: &[obstack_crds::record::TripwireState],
) -> Vec<WireReading> {
    let said = pressure.into_iter().flat_map(|p| [WireSaid::Value(p / 2.0), WireSaid::Pressure(p)]);
    let said = said.chain(firing.iter().map(|state| WireSaid::Firing(*state)));
    said.map(|said| WireReading { record: record.to_owned(), tripwire: tripwire.to_owned(), said }).collect()
}
