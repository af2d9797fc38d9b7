//! What a controller wants done, as a value, and the one place that does it.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Binding, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource, ResourceExt};
use serde::Serialize;
use serde_json::Value;

use crate::informer::Key;

/// An object that an action is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Kind of the object.
    pub resource: ApiResource,
    /// Namespace; empty for a cluster-scoped object.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID, where the action must not meet another object of the same name.
    pub uid: Option<String>,
}

impl Target {
    /// The object itself, this very one.
    pub fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            resource: ApiResource::erase::<K>(&()),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid(),
        }
    }

    /// Key of the object in a cache.
    pub fn key(&self) -> Key {
        (self.namespace.clone(), self.name.clone())
    }
}

/// One write that a controller wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Create an object; that it exists already is no error.
    Create(Target, Value),
    /// Delete an object, this very one.
    Delete(Target),
    /// Merge a patch into an object.
    Patch(Target, Value),
    /// Merge a patch into the status of an object.
    PatchStatus(Target, Value),
    /// Put a pod on a node.
    Bind(Target, String),
    /// Remove a folder of a volume that was given back.
    RemoveFolder(std::path::PathBuf),
}

impl Action {
    /// Creates an object of a typed kind.
    pub fn create<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Self {
        let mut target = Target::of(object);
        target.uid = None;
        Self::Create(target, serde_json::to_value(object).unwrap_or_default())
    }

    /// Deletes an object of a typed kind.
    pub fn delete<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self::Delete(Target::of(object))
    }

    /// Replaces fields of an object of a typed kind.
    pub fn patch<K: Resource<DynamicType = ()>>(object: &K, patch: Value) -> Self {
        Self::Patch(Target::of(object), patch)
    }

    /// Sets the status of an object, where it differs from what the object says.
    pub fn status<K, S>(object: &K, now: Option<&S>, wanted: &S) -> Option<Self>
    where
        K: Resource<DynamicType = ()>,
        S: Serialize + PartialEq,
    {
        if now == Some(wanted) {
            return None;
        }
        let old = now.and_then(|status| serde_json::to_value(status).ok()).unwrap_or_default();
        let new = serde_json::to_value(wanted).unwrap_or_default();
        let patch = merge_patch(&old, &new)?;
        Some(Self::PatchStatus(Target::of(object), serde_json::json!({ "status": patch })))
    }
}

/// The merge patch (RFC 7386) that turns one value into another; none where they are the same.
pub(crate) fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let Value::Object(new_map) = new else { return Some(new.clone()) };
    let empty = serde_json::Map::new();
    let old_map = old.as_object().unwrap_or(&empty);
    let mut patch = serde_json::Map::new();
    for (key, value) in new_map {
        if let Some(change) = merge_patch(old_map.get(key).unwrap_or(&Value::Null), value) {
            patch.insert(key.clone(), change);
        }
    }
    for key in old_map.keys().filter(|key| !new_map.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty() || !old.is_object()).then_some(Value::Object(patch))
}

/// What a write left behind at the server: what a cache must show before the next look is worth taking.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Trace {
    /// The object is there, in this version or a later one.
    Present(Target, String),
    /// The object with this UID is gone or going.
    Leaving(Target),
    /// Nothing to wait for.
    None,
}

/// Carries out one action. Time-out: 10 s.
///
/// # Errors
/// What the server answered, other than "exists already" to a creation and "not found" to a deletion.
pub(super) async fn perform(client: &Client, action: &Action) -> Result<Trace, kube::Error> {
    let timeout = |_| kube::Error::Service("no answer within 10 s".into());
    tokio::time::timeout(Duration::from_secs(10), send(client, action)).await.map_err(timeout)?
}

async fn send(client: &Client, action: &Action) -> Result<Trace, kube::Error> {
    let api = |target: &Target| -> Api<DynamicObject> {
        if target.namespace.is_empty() {
            Api::all_with(client.clone(), &target.resource)
        } else {
            Api::namespaced_with(client.clone(), &target.namespace, &target.resource)
        }
    };
    let present = |target: &Target, object: &DynamicObject| {
        Trace::Present(target.clone(), object.resource_version().unwrap_or_default())
    };
    match action {
        Action::Create(target, body) => {
            let mut object: DynamicObject =
                serde_json::from_value(body.clone()).map_err(kube::Error::SerdeError)?;
            object.types = Some(kube::core::TypeMeta {
                api_version: target.resource.api_version.clone(),
                kind: target.resource.kind.clone(),
            });
            match api(target).create(&PostParams::default(), &object).await {
                Ok(created) => Ok(present(target, &created)),
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Trace::None),
                Err(error) => Err(error),
            }
        }
        Action::Delete(target) => {
            let preconditions = Preconditions { uid: target.uid.clone(), resource_version: None };
            let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
            match api(target).delete(&target.name, &params).await {
                Ok(_) => Ok(Trace::Leaving(target.clone())),
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Trace::Leaving(target.clone())),
                Err(error) => Err(error),
            }
        }
        Action::Patch(target, patch) => {
            let params = PatchParams::default();
            let patched = api(target).patch(&target.name, &params, &Patch::Merge(patch)).await?;
            Ok(present(target, &patched))
        }
        Action::PatchStatus(target, patch) => {
            let params = PatchParams::default();
            match api(target).patch_status(&target.name, &params, &Patch::Merge(patch)).await {
                Ok(patched) => Ok(present(target, &patched)),
                Err(kube::Error::Api(status)) if status.is_not_found() => Ok(Trace::None),
                Err(error) => Err(error),
            }
        }
        Action::Bind(target, node) => {
            let binding = Binding {
                metadata: ObjectMeta {
                    name: Some(target.name.clone()),
                    namespace: Some(target.namespace.clone()),
                    ..ObjectMeta::default()
                },
                target: ObjectReference {
                    api_version: Some("v1".to_owned()),
                    kind: Some("Node".to_owned()),
                    name: Some(node.clone()),
                    ..ObjectReference::default()
                },
            };
            let pods: Api<Pod> = Api::namespaced(client.clone(), &target.namespace);
            pods.create_subresource::<_, Value>("binding", &target.name, &PostParams::default(), &binding)
                .await
                .map(|_| Trace::None)
        }
        Action::RemoveFolder(path) => {
            let path = path.clone();
            // A folder that is gone already is what was wanted.
            let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(path)).await;
            Ok(Trace::None)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::merge_patch;

    #[test]
    fn a_merge_patch_holds_only_what_changes() {
        let old = json!({"a": 1, "b": {"c": 1, "d": 2}, "e": [1], "gone": true});
        let new = json!({"a": 1, "b": {"c": 1, "d": 3}, "e": [1, 2]});
        assert_eq!(merge_patch(&old, &new), Some(json!({"b": {"d": 3}, "e": [1, 2], "gone": null})));
        assert_eq!(merge_patch(&new, &new), None);
        assert_eq!(merge_patch(&json!(null), &json!({"a": 1})), Some(json!({"a": 1})));
    }
}
