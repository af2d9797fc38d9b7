//! Where targets are looked for.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::validate::Valid;

/// Stands for every namespace in `spec.collection.namespaces`.
pub const DISCOVERED_EVERYWHERE: &str = "*";

/// The namespaces that are searched for annotated targets; none means all of them.
pub fn discovered_namespaces(valid: &Valid) -> Option<BTreeSet<String>> {
    let namespaces = valid.namespaces();
    (!namespaces.contains(DISCOVERED_EVERYWHERE)).then_some(namespaces)
}

/// Discovery of one kind of object in some namespaces, or in all.
pub(super) fn service_discovery(role: &str, namespaces: &Option<BTreeSet<String>>) -> Value {
    match namespaces {
        Some(names) => json!({ "role": role, "namespaces": { "names": names } }),
        None => json!({ "role": role }),
    }
}

/// Meta label that the operator's own pods are known by, beside their namespace.
pub(super) const OPERATOR_LABEL: &str = "__meta_kubernetes_pod_label_app_kubernetes_io_name";
/// Value of that label.
pub(super) const OPERATOR_NAME: &str = "obstack";
