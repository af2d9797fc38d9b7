//! Deleting what a stack owns and no longer wants, and what stacks that are gone have left elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::CustomResourceExt;
use kube::api::{DynamicObject, ResourceExt};
use obstack_crds::{Component, ObservabilityStack};

use super::writer::RequestError;
use super::{Applier, Done, Failure, ObjectKey};
use crate::error::Class;
use crate::names::{LABEL_ROLE, LABEL_STACK, LABEL_STACK_NAMESPACE, LABEL_STACK_UID, Role};
use crate::observe::Fact;
use crate::observe::kinds::OWNED;

/// Objects of a stack, by kind, as far as they are known.
pub type Owned = BTreeMap<String, Fact<Vec<Arc<DynamicObject>>>>;

/// Pure: which objects a stack owns and no longer wants, in the order in which they are deleted. A kind that
/// is not known is left alone, and so is everything of the components of `keep`.
pub fn surplus<'a>(
    owned: &'a Owned,
    wanted: &BTreeSet<ObjectKey>,
    keep: &BTreeSet<Component>,
) -> Vec<(ObjectKey, &'a DynamicObject)> {
    let mut surplus = Vec::new();
    for kind in &OWNED {
        let Some(Fact::Known(objects)) = owned.get(kind.name) else { continue };
        for object in objects {
            let key = ObjectKey {
                kind: kind.name.to_owned(),
                namespace: object.metadata.namespace.clone(),
                name: object.name_any(),
            };
            let kept = component_of(object).is_some_and(|component| keep.contains(&component));
            let going = object.metadata.deletion_timestamp.is_some();
            if !kept && !going && !wanted.contains(&key) {
                surplus.push((key, object.as_ref()));
            }
        }
    }
    surplus
}

fn component_of(object: &DynamicObject) -> Option<Component> {
    let role = object.labels().get(LABEL_ROLE)?;
    Role::ALL.into_iter().find(|known| known.as_str() == role).map(Role::component)
}

impl Applier {
    /// Deletes what the stack owns and no longer wants.
    pub async fn prune(
        &self,
        owned: &Owned,
        wanted: &BTreeSet<ObjectKey>,
        keep: &BTreeSet<Component>,
        done: &mut Done,
    ) {
        for (key, object) in surplus(owned, wanted, keep) {
            let uid = object.metadata.uid.as_deref();
            if self.memory.is_deleted(&key, uid) {
                continue;
            }
            match self.delete(&key, uid).await {
                Ok(()) => done.pruned.push(key),
                Err(RequestError::NotLeader(_)) => {
                    done.stopped = true;
                    return;
                }
                Err(error) => done.failures.push(Failure {
                    component: component_of(object).unwrap_or(Component::Delivery),
                    class: error.class().unwrap_or(Class::Transient),
                    reason: if error.code() == Some(403) { "Forbidden" } else { "PruneFailed" },
                    message: format!("{key} is no longer wanted and could not be deleted: {error}"),
                    object: key,
                }),
            }
        }
    }

    async fn delete(&self, key: &ObjectKey, uid: Option<&str>) -> Result<(), RequestError> {
        let Some((kind, _)) = self.stores.owned.iter().find(|(kind, _)| kind.name == key.kind) else {
            return Ok(());
        };
        let namespace = key.namespace.as_deref();
        self.writer.delete(&kind.resource(), namespace, &key.name, uid.map(str::to_owned)).await?;
        self.memory.deleted(key, uid);
        Ok(())
    }

    /// Deletes what stacks that are gone have left where an owner reference cannot reach. Whether a stack is
    /// gone is asked of the API anew: a watch that lags must not cost a living stack its rights.
    pub async fn sweep(&self) -> Result<Vec<ObjectKey>, RequestError> {
        let mut swept = Vec::new();
        let Fact::Known(stacks) = self.stores.stacks.read() else { return Ok(swept) };
        let living: BTreeSet<String> = stacks.iter().filter_map(|stack| stack.uid()).collect();
        let mut gone: BTreeMap<String, bool> = BTreeMap::new();
        for (kind, store) in &self.stores.owned {
            for object in store.read().known().into_iter().flatten() {
                let Some(uid) = object.labels().get(LABEL_STACK_UID) else { continue };
                if living.contains(uid) || object.metadata.deletion_timestamp.is_some() {
                    continue;
                }
                let is_gone = match gone.get(uid) {
                    Some(is_gone) => *is_gone,
                    None => {
                        let is_gone = self.is_gone(object, uid).await?;
                        gone.insert(uid.clone(), is_gone);
                        is_gone
                    }
                };
                let key = ObjectKey {
                    kind: kind.name.to_owned(),
                    namespace: object.metadata.namespace.clone(),
                    name: object.name_any(),
                };
                let object_uid = object.metadata.uid.as_deref();
                if is_gone && !self.memory.is_deleted(&key, object_uid) {
                    self.delete(&key, object_uid).await?;
                    swept.push(key);
                }
            }
        }
        Ok(swept)
    }

    async fn is_gone(&self, object: &DynamicObject, uid: &str) -> Result<bool, RequestError> {
        let labels = object.labels();
        let (Some(name), Some(namespace)) = (labels.get(LABEL_STACK), labels.get(LABEL_STACK_NAMESPACE))
        else {
            return Ok(false);
        };
        let stack = self.writer.get(&ObservabilityStack::api_resource(), Some(namespace), name).await?;
        Ok(stack.and_then(|stack| stack.uid()).as_deref() != Some(uid))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(kind: &str, name: &str, role: &str) -> Arc<DynamicObject> {
        let object = json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": { "name": name, "namespace": "m", "uid": name, "labels": { LABEL_ROLE: role } }
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn key(kind: &str, name: &str) -> ObjectKey {
        ObjectKey { kind: kind.to_owned(), namespace: Some("m".to_owned()), name: name.to_owned() }
    }

    #[test]
    fn only_known_kinds_are_pruned_workloads_before_what_they_need() {
        let owned = Owned::from([
            ("ServiceAccount".to_owned(), Fact::Known(vec![object("ServiceAccount", "a", "metrics")])),
            ("StatefulSet".to_owned(), Fact::Known(vec![object("StatefulSet", "a", "metrics")])),
            ("Secret".to_owned(), Fact::Unavailable("503".to_owned())),
            ("Service".to_owned(), Fact::Known(vec![object("Service", "a", "metrics")])),
        ]);
        let wanted = BTreeSet::from([key("Service", "a")]);
        let surplus = surplus(&owned, &wanted, &BTreeSet::new());
        let keys: Vec<ObjectKey> = surplus.into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, [key("StatefulSet", "a"), key("ServiceAccount", "a")]);
    }

    #[test]
    fn a_component_that_cannot_be_built_keeps_what_runs() {
        let owned = Owned::from([(
            "StatefulSet".to_owned(),
            Fact::Known(vec![object("StatefulSet", "a", "metrics"), object("StatefulSet", "b", "alerting")]),
        )]);
        let keep = BTreeSet::from([Component::MetricsStore]);
        let surplus = surplus(&owned, &BTreeSet::new(), &keep);
        assert_eq!(surplus.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), [key("StatefulSet", "b")]);
    }
}
