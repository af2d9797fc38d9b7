//! Stacks for tests of decisions.

use std::collections::BTreeMap;

use obstack_crds::ObservabilityStackSpec;
use obstack_crds::stack::{Availability, Environment};

use crate::names::StackId;
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
