//! Reads the Secrets and ConfigMaps that objects of others refer to: one by one, only where referred to, kept
//! until their metadata changes, and never logged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use kube::api::Api;

use crate::apply::writer::{READ_TIMEOUT, RequestError, within};
use crate::scrape::contents::{Content, Held, Holder, Known, Place};

/// Reads at the same time.
const AT_ONCE: usize = 8;

/// What was read of Secrets and ConfigMaps of others.
#[derive(Clone)]
pub struct Contents {
    client: Client,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    known: Arc<Known>,
    /// What is being read. What changes meanwhile is taken out, and the answer is not believed.
    reading: BTreeSet<Place>,
}

impl Contents {
    /// Nothing is read yet.
    pub fn new(client: Client) -> Self {
        Self { client, inner: Arc::default() }
    }

    /// What is known now.
    pub fn known(&self) -> Arc<Known> {
        self.lock().known.clone()
    }

    /// Reads these. One that changes while it is read stays unknown.
    ///
    /// # Errors
    /// What could not be read, and why; the others are known then.
    pub async fn read(&self, places: BTreeSet<Place>) -> Result<(), String> {
        self.lock().reading.extend(places.iter().cloned());
        let reads = stream::iter(places).map(|place| async move {
            let answer = self.read_one(&place).await;
            (place, answer)
        });
        let mut failed = None;
        let mut reads = std::pin::pin!(reads.buffer_unordered(AT_ONCE));
        while let Some((place, answer)) = reads.next().await {
            let mut inner = self.lock();
            let is_believed = inner.reading.remove(&place);
            match answer {
                Ok(held) if is_believed => drop(Arc::make_mut(&mut inner.known).insert(place, held)),
                Ok(_) => {}
                Err(error) => {
                    let Place { holder, namespace, name } = &place;
                    failed = Some(format!("{} {namespace}/{name}: {error}", holder.as_str()));
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// It changed, appeared or went: it is read again where it is referred to. Whether anybody refers to it.
    pub fn forget(&self, place: &Place) -> bool {
        let mut inner = self.lock();
        let was_read = inner.reading.remove(place);
        let was_known = inner.known.contains_key(place);
        if was_known {
            Arc::make_mut(&mut inner.known).remove(place);
        }
        was_known || was_read
    }

    /// Lets go of what no object was built with any more. Nothing may be built meanwhile: what was just read is not
    /// used yet.
    pub fn release_unused(&self) {
        release_unused(&mut self.lock().known);
    }

    /// A watch was started anew: anything can have changed.
    pub fn forget_all(&self) {
        *self.lock() = Inner::default();
    }

    async fn read_one(&self, place: &Place) -> Result<Held, RequestError> {
        let Place { holder, namespace, name } = place;
        let contents = match holder {
            Holder::Secret => {
                let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
                let found = within(READ_TIMEOUT, api.get_opt(name)).await?;
                found.map(|secret| {
                    let data = secret.data.unwrap_or_default();
                    data.into_iter().map(|(key, value)| (key, value.0)).collect::<BTreeMap<_, _>>()
                })
            }
            Holder::ConfigMap => {
                let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
                let found = within(READ_TIMEOUT, api.get_opt(name)).await?;
                found.map(|map| {
                    let binary = map.binary_data.unwrap_or_default();
                    let binary = binary.into_iter().map(|(key, value)| (key, value.0));
                    let text = map.data.unwrap_or_default();
                    text.into_iter().map(|(key, value)| (key, value.into_bytes())).chain(binary).collect()
                })
            }
        };
        Ok(Arc::new(contents.map_or(Content::Missing, Content::Keys)))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an object was built with is held by what it became.
fn release_unused(known: &mut Arc<Known>) {
    if known.values().any(|held| Arc::strong_count(held) == 1) {
        Arc::make_mut(known).retain(|_, held| Arc::strong_count(held) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nothing_was_built_with_is_let_go() {
        let place = |name: &str| Place {
            holder: Holder::Secret,
            namespace: "shop".to_owned(),
            name: name.to_owned(),
        };
        let used: Held = Arc::new(Content::Missing);
        let known = [(place("used"), used.clone()), (place("left"), Arc::new(Content::Missing))];
        let mut known = Arc::new(Known::from(known));
        release_unused(&mut known);
        assert_eq!(known.keys().collect::<Vec<_>>(), [&place("used")]);
        drop(used);
        release_unused(&mut known);
        assert!(known.is_empty());
    }
}
