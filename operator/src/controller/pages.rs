//! What the decisions page is made from: the stores, served from the start and filled once the watches run.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use futures::FutureExt;
use futures::future::BoxFuture;
use kube::Client;
use kube::api::DynamicObject;
use obstack_crds::status::Rejected;
use obstack_crds::{DecisionRecord, ObservabilityStack};
use serde::de::DeserializeOwned;

use super::access::Reviews;
use crate::http::decisions::{DecisionsAccess, DecisionsSource, Denied, Seen, StackView, Viewer, views};
use crate::names::StackId;
use crate::observe::Fact;
use crate::observe::stores::{Stores, Watched};
use crate::reconcile::Rejections;

/// What the decisions page is made from.
#[derive(Clone)]
pub(super) struct Pages {
    stores: Arc<OnceLock<Stores>>,
    /// Whoever may see what; none where everybody sees everything.
    reviews: Option<Arc<Reviews>>,
    rejections: Arc<Rejections>,
}

impl Pages {
    /// `anonymous` is a client without credentials.
    pub(super) fn new(access: DecisionsAccess, anonymous: Client, rejections: Arc<Rejections>) -> Self {
        let reviews = match access {
            DecisionsAccess::Token => Some(Arc::new(Reviews::new(anonymous))),
            DecisionsAccess::Open => None,
        };
        Self { stores: Arc::default(), reviews, rejections }
    }

    /// Fills the page, once.
    pub(super) fn fill(&self, stores: Stores) {
        let _ = self.stores.set(stores);
    }

    /// The namespaces that have something to show. Only their names are read: whoever asks may be anybody.
    fn namespaces(&self) -> Result<BTreeSet<String>, Denied> {
        let stores = self.stores()?;
        let objects = known(&stores.stacks)?.into_iter().chain(known(&stores.records)?);
        Ok(objects.filter_map(|object| object.metadata.namespace.clone()).collect())
    }

    /// What there is to see in these namespaces; in all without.
    fn views(&self, namespaces: Option<&BTreeSet<String>>) -> Result<Vec<StackView>, Denied> {
        let stores = self.stores()?;
        let stacks: Vec<ObservabilityStack> = readable(&stores.stacks, namespaces)?;
        let records: Vec<DecisionRecord> = readable(&stores.records, namespaces)?;
        Ok(views(&stacks, &records))
    }

    fn stores(&self) -> Result<&Stores, Denied> {
        self.stores.get().ok_or_else(|| Denied::NotRead("the operator is starting".to_owned()))
    }

    async fn seen(&self, viewer: &Viewer) -> Result<Seen, Denied> {
        let Some(reviews) = &self.reviews else {
            return Ok(Seen { stacks: self.views(None)?, limited: false });
        };
        let token = viewer.token.as_deref().ok_or(Denied::NoToken)?;
        let allowed = reviews.allowed(token, self.namespaces()?).await?;
        Ok(Seen { stacks: self.views(Some(&allowed))?, limited: true })
    }
}

impl DecisionsSource for Pages {
    fn stacks<'a>(&'a self, viewer: &'a Viewer) -> BoxFuture<'a, Result<Seen, Denied>> {
        self.seen(viewer).boxed()
    }

    fn rejected(&self, id: &StackId) -> Option<Arc<[Rejected]>> {
        self.rejections.of(id)
    }
}

fn known(store: &Watched<DynamicObject>) -> Result<Vec<Arc<DynamicObject>>, Denied> {
    match store.read() {
        Fact::Known(objects) => Ok(objects),
        Fact::Unavailable(reason) => Err(Denied::NotRead(reason)),
    }
}

/// Every object of these namespaces that can be read: one that cannot is told on its stack, and must not empty
/// the page.
fn readable<T: DeserializeOwned + kube::Resource>(
    store: &Watched<DynamicObject>,
    namespaces: Option<&BTreeSet<String>>,
) -> Result<Vec<T>, Denied> {
    let is_shown = |object: &DynamicObject| {
        let own = object.metadata.namespace.as_deref().unwrap_or_default();
        namespaces.is_none_or(|namespaces| namespaces.contains(own))
    };
    let objects = known(store)?.into_iter().filter(|object| is_shown(object));
    Ok(objects.filter_map(|object| DynamicObject::clone(&object).try_parse().ok()).collect())
}
