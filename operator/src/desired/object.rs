//! Typed objects become the JSON that is applied, in an order in which nothing waits for what comes later.

use k8s_openapi::Resource;
use obstack_crds::Component;
use serde::Serialize;
use serde_json::Value;

use super::{DesiredError, Policy, Wanted, WantedObject};
use crate::names::Role;

/// Every kind that the operator may own, as (apiVersion, kind), in the order in which they are applied: what
/// is watched, listed and pruned.
pub const OWNED_KINDS: [(&str, &str); 15] = [
    ("v1", "ServiceAccount"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("policy/v1", "PodDisruptionBudget"),
    ("apps/v1", "StatefulSet"),
    ("apps/v1", "Deployment"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1", "Alertmanager"),
    ("monitoring.coreos.com/v1", "Prometheus"),
    ("obstack.io/v1alpha1", "DecisionRecord"),
];

/// Objects as they are built, in any order but for Secrets: a pointer comes after its parts.
#[derive(Default)]
pub(super) struct List(Vec<WantedObject>);

impl List {
    /// Adds an object that is applied.
    pub(super) fn add<T: Serialize + Resource>(
        &mut self,
        role: Role,
        object: &T,
    ) -> Result<(), DesiredError> {
        self.push(role.component(), Policy::Apply, object)
    }

    /// Adds an object that is created once.
    pub(super) fn add_once<T: Serialize + Resource>(
        &mut self,
        role: Role,
        object: &T,
    ) -> Result<(), DesiredError> {
        self.push(role.component(), Policy::CreateOnce, object)
    }

    /// Adds an object of a kind that has no type here.
    pub(super) fn add_untyped(&mut self, role: Role, body: Value) {
        self.push_body(role.component(), Policy::Apply, body);
    }

    fn push<T: Serialize + Resource>(
        &mut self,
        component: Component,
        policy: Policy,
        object: &T,
    ) -> Result<(), DesiredError> {
        let body = serde_json::to_value(object).map_err(|e| DesiredError::Encoding(e.to_string()))?;
        self.push_body(component, policy, body);
        Ok(())
    }

    fn push_body(&mut self, component: Component, policy: Policy, mut body: Value) {
        strip(&mut body);
        if let Some(fields) = body.as_object_mut() {
            fields.remove("status");
        }
        self.0.push(WantedObject { body, component, policy });
    }

    /// The objects in the order of [`OWNED_KINDS`]; within a kind, in the order in which they were added.
    pub(super) fn into_wanted(mut self) -> Wanted {
        let place = |object: &WantedObject| {
            let is = |(_, kind): &(&str, &str)| object.body["kind"] == *kind;
            OWNED_KINDS.iter().position(is).unwrap_or(OWNED_KINDS.len())
        };
        self.0.sort_by_key(place);
        Wanted { objects: self.0, rejected: Vec::new() }
    }
}

/// Takes out what says nothing: nulls, and with server-side apply, fields that would be owned for no reason.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}
