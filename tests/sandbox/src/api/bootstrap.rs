//! What a fresh cluster holds, and what each namespace gets.

use super::server::Server;
use super::store::Store;
use super::{lock, meta, rbac};
use serde_json::{Value, json};

/// Namespaces of every cluster.
const NAMESPACES: &[&str] = &["default", "kube-system", "kube-public", "kube-node-lease"];

fn put(store: &mut Store, storage: &str, mut object: Value) {
    let namespace = meta::namespace(&object).to_owned();
    let name = meta::name(&object).to_owned();
    if store.get(storage, &namespace, &name).is_some() {
        return;
    }
    meta::set(&mut object, "uid", Some(meta::new_uid().into()));
    meta::set(&mut object, "creationTimestamp", Some(meta::now().into()));
    store.put(storage, object);
}

/// Puts in place what is there from the start.
pub(crate) fn fill(server: &Server) {
    let mut store = lock(&server.store);
    for name in NAMESPACES {
        put(
            &mut store,
            "namespaces",
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}},
                "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"},
            }),
        );
    }
    for (storage, object) in rbac::bootstrap() {
        put(&mut store, storage, object);
    }
    server.refresh(&store);
    equip(server, &mut store);
}

/// Gives every namespace its default account and the certificate authority.
pub(crate) fn equip(server: &Server, store: &mut Store) {
    let namespaces: Vec<String> = store
        .list("namespaces", None)
        .filter(|n| !meta::is_deleting(n))
        .map(|n| meta::name(n).to_owned())
        .collect();
    for namespace in namespaces {
        put(
            store,
            "serviceaccounts",
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": {"name": "default", "namespace": namespace},
            }),
        );
        put(
            store,
            "configmaps",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {
                    "name": "kube-root-ca.crt", "namespace": namespace,
                    "annotations": {
                        "kubernetes.io/description": "Contains a CA bundle that can be used to verify the \
                            kube-apiserver when using internal endpoints such as the internal service IP or \
                            kubernetes.default.svc. No other usage is guaranteed across distributions of \
                            Kubernetes clusters.",
                    },
                },
                "data": {"ca.crt": server.ca},
            }),
        );
    }
}
