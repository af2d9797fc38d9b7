//! What the decisions page is made from: the stores, served from the start and filled once the watches run.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Client;
use kube::api::DynamicObject;
use obstack_crds::{DecisionRecord, ObservabilityStack};
use serde::de::DeserializeOwned;

use super::access::Reviews;
use crate::http::decisions::{DecisionsAccess, DecisionsSource, Denied, Seen, StackView, Viewer, views};
use crate::observe::Fact;
use crate::observe::stores::{Stores, Watched};

/// What the decisions page is made from.
#[derive(Clone)]
pub(super) struct Pages {
    stores: Arc<OnceLock<Stores>>,
    /// Whoever may see what; none where everybody sees everything.
    reviews: Option<Arc<Reviews>>,
}

impl Pages {
    /// `anonymous` is a client without credentials.
    pub(super) fn new(access: DecisionsAccess, anonymous: Client) -> Self {
        let reviews = match access {
            DecisionsAccess::Token => Some(Arc::new(Reviews::new(anonymous))),
            DecisionsAccess::Open => None,
        };
        Self { stores: Arc::default(), reviews }
    }

    /// Fills the page, once.
    pub(super) fn fill(&self, stores: Stores) {
        let _ = self.stores.set(stores);
    }

    fn views(&self) -> Result<Vec<StackView>, Denied> {
        let starting = || Denied::NotRead("the operator is starting".to_owned());
        let stores = self.stores.get().ok_or_else(starting)?;
        let stacks: Vec<ObservabilityStack> = readable(&stores.stacks)?;
        let records: Vec<DecisionRecord> = readable(&stores.records)?;
        Ok(views(&stacks, &records))
    }

    async fn seen(&self, viewer: &Viewer) -> Result<Seen, Denied> {
        let Some(reviews) = &self.reviews else {
            return Ok(Seen { stacks: self.views()?, limited: false });
        };
        let token = viewer.token.as_deref().ok_or(Denied::NoToken)?;
        let mut stacks = self.views()?;
        let namespaces: BTreeSet<String> = stacks.iter().map(|view| view.id.namespace.clone()).collect();
        let allowed = reviews.allowed(token, namespaces).await?;
        stacks.retain(|view| allowed.contains(&view.id.namespace));
        Ok(Seen { stacks, limited: true })
    }
}

impl DecisionsSource for Pages {
    fn stacks<'a>(&'a self, viewer: &'a Viewer) -> BoxFuture<'a, Result<Seen, Denied>> {
        self.seen(viewer).boxed()
    }
}

/// Every object that can be read: one that cannot is told on its stack, and must not empty the page.
fn readable<T: DeserializeOwned + kube::Resource>(store: &Watched<DynamicObject>) -> Result<Vec<T>, Denied> {
    let objects = match store.read() {
        Fact::Known(objects) => objects,
        Fact::Unavailable(reason) => return Err(Denied::NotRead(reason)),
    };
    Ok(objects.iter().filter_map(|object| DynamicObject::clone(object).try_parse().ok()).collect())
}
