//! What the decisions page is made from: the stores, served from the start and filled once the watches run.

use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::api::DynamicObject;
use obstack_crds::{DecisionRecord, ObservabilityStack};
use serde::de::DeserializeOwned;

use crate::http::decisions::{DecisionsSource, StackView, Viewer, views};
use crate::observe::stores::{Stores, Watched};

/// What the decisions page is made from.
#[derive(Clone, Default)]
pub(super) struct Pages {
    stores: Arc<OnceLock<Stores>>,
}

impl Pages {
    /// Fills the page, once.
    pub(super) fn fill(&self, stores: Stores) {
        let _ = self.stores.set(stores);
    }

    fn views(&self) -> Vec<StackView> {
        let Some(stores) = self.stores.get() else { return Vec::new() };
        let stacks: Vec<ObservabilityStack> = readable(&stores.stacks);
        let records: Vec<DecisionRecord> = readable(&stores.records);
        views(&stacks, &records)
    }
}

impl DecisionsSource for Pages {
    fn stacks<'a>(&'a self, _viewer: &'a Viewer) -> BoxFuture<'a, Vec<StackView>> {
        std::future::ready(self.views()).boxed()
    }
}

/// Every object that can be read: one that cannot is told on its stack, and must not empty the page.
fn readable<T: DeserializeOwned + kube::Resource>(store: &Watched<DynamicObject>) -> Vec<T> {
    let objects = store.read();
    let objects = objects.known().into_iter().flatten();
    objects.filter_map(|object| DynamicObject::clone(object).try_parse().ok()).collect()
}
