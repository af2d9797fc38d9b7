//! Built-in type definitions: the schemas that `k8s-openapi` carries, with list types and defaults added.

use super::super::schema::{Kind, ListKind, Schema, structural};
use super::field_defaults::DEFAULTS;
use super::lists::{ATOMIC_TYPES, MERGE, Merge};
use k8s_openapi::api::{
    apps::v1 as apps, authentication::v1 as authn, authorization::v1 as authz, batch::v1 as batch,
    coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery, events::v1 as events,
    networking::v1 as networking, policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling,
    storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// Definitions that stand for one value with a form of its own.
const SCALARS: &[(&str, Kind)] = &[
    ("io.k8s.apimachinery.pkg.api.resource.Quantity", Kind::Quantity),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", Kind::MicroTime),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Time", Kind::Time),
];
const FREE_FORM: &[&str] = &[
    "io.k8s.apimachinery.pkg.runtime.RawExtension",
    "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1",
    "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON",
];

static JSON: LazyLock<Map<String, Value>> = LazyLock::new(generate);
static MODEL: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(model);

/// The definition of that name, such as `io.k8s.api.core.v1.PodSpec`.
pub(crate) fn definition(name: &str) -> Option<&'static Schema> {
    MODEL.get(name)
}

/// All definitions as JSON schemas, as OpenAPI serves them.
pub(crate) fn json_definitions() -> &'static Map<String, Value> {
    &JSON
}

fn generate() -> Map<String, Value> {
    let mut generator = SchemaGenerator::new(SchemaSettings::openapi3());
    macro_rules! add {
        ($($module:ident: $($kind:ident),+;)+) => {
            $($( let _ = generator.subschema_for::<$module::$kind>(); )+)+
        };
    }
    add! {
        core: Namespace, Pod, Service, Endpoints, Secret, ConfigMap, ServiceAccount, PersistentVolumeClaim,
            PersistentVolume, Event, Node;
        apps: StatefulSet, Deployment, ReplicaSet, DaemonSet, ControllerRevision;
        batch: Job, CronJob;
        discovery: EndpointSlice;
        policy: PodDisruptionBudget, Eviction;
        rbac: Role, RoleBinding, ClusterRole, ClusterRoleBinding;
        coordination: Lease;
        events: Event;
        storage: StorageClass;
        networking: Ingress, IngressClass, NetworkPolicy;
        apiextensions: CustomResourceDefinition;
        scheduling: PriorityClass;
        authn: TokenRequest, TokenReview, SelfSubjectReview;
        authz: SubjectAccessReview, SelfSubjectAccessReview, LocalSubjectAccessReview, SelfSubjectRulesReview;
    }
    let _ = generator.subschema_for::<k8s_openapi::api::autoscaling::v1::Scale>();
    let mut definitions = generator.take_definitions(true);
    for (kind, field, merge) in MERGE {
        let Some(node) = property(&mut definitions, kind, field) else { continue };
        match merge {
            Merge::Set => node["x-kubernetes-list-type"] = "set".into(),
            Merge::Map(keys) => {
                node["x-kubernetes-list-type"] = "map".into();
                node["x-kubernetes-list-map-keys"] = json!(keys);
            }
            Merge::AtomicMap => node["x-kubernetes-map-type"] = "atomic".into(),
        }
    }
    for name in ATOMIC_TYPES {
        if let Some(node) = definitions.get_mut(*name) {
            node["x-kubernetes-map-type"] = "atomic".into();
        }
    }
    for (kind, field, default) in DEFAULTS {
        if let (Some(node), Ok(value)) =
            (property(&mut definitions, kind, field), serde_json::from_str::<Value>(default))
        {
            node["default"] = value;
        }
    }
    definitions
}

fn property<'a>(definitions: &'a mut Map<String, Value>, kind: &str, field: &str) -> Option<&'a mut Value> {
    definitions.get_mut(kind)?.get_mut("properties")?.get_mut(field)
}

fn model() -> BTreeMap<String, Schema> {
    let mut model: BTreeMap<String, Schema> =
        JSON.iter().map(|(name, json)| (name.clone(), structural::parse(json))).collect();
    for name in FREE_FORM {
        model.insert((*name).to_owned(), Schema { atomic: true, ..Schema::any().clone() });
    }
    for (name, kind) in SCALARS {
        model.insert((*name).to_owned(), Schema { kind: *kind, ..Schema::default() });
    }
    // Where a key has a default, an item without it is the item with the default.
    assert!(!matches!(
        model.get("io.k8s.api.core.v1.Container").and_then(|c| c.properties.get("ports")).map(|p| &p.list),
        Some(ListKind::Atomic)
    ));
    model
}

/// A reference to a definition, as the schema of a resource.
pub(crate) fn reference(name: &str) -> Arc<Schema> {
    Arc::new(Schema { reference: Some(name.to_owned()), ..Schema::default() })
}
