//! The table of built-in resources.

use super::{Resource, ScalePaths, columns, types};

/// What the table says about one resource.
struct Row {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static [&'static str],
    flags: &'static [Flag],
    /// Prefix of its definition's name.
    package: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    Cluster,
    Status,
    Scale,
    Generation,
    CreateOnly,
    All,
}

use Flag::{All, Cluster, CreateOnly, Generation, Scale, Status};

const CORE: &str = "io.k8s.api.core.v1";
const APPS: &str = "io.k8s.api.apps.v1";
const BATCH: &str = "io.k8s.api.batch.v1";
const RBAC: &str = "io.k8s.api.rbac.v1";
const NETWORKING: &str = "io.k8s.api.networking.v1";
const AUTHZ: &str = "io.k8s.api.authorization.v1";
const AUTHN: &str = "io.k8s.api.authentication.v1";

macro_rules! rows {
    ($($group:literal $version:literal $kind:literal $plural:literal $short:expr, $flags:expr, $package:expr;)+) => {
        &[$(Row {
            group: $group, version: $version, kind: $kind, plural: $plural,
            short: &$short, flags: &$flags, package: $package,
        }),+]
    };
}

const ROWS: &[Row] = rows! {
    "" "v1" "ConfigMap" "configmaps" ["cm"], [], CORE;
    "" "v1" "Endpoints" "endpoints" ["ep"], [], CORE;
    "" "v1" "Event" "events" ["ev"], [], CORE;
    "" "v1" "Namespace" "namespaces" ["ns"], [Cluster, Status], CORE;
    "" "v1" "Node" "nodes" ["no"], [Cluster, Status], CORE;
    "" "v1" "PersistentVolume" "persistentvolumes" ["pv"], [Cluster, Status], CORE;
    "" "v1" "PersistentVolumeClaim" "persistentvolumeclaims" ["pvc"], [Status], CORE;
    "" "v1" "Pod" "pods" ["po"], [Status, Generation, All], CORE;
    "" "v1" "Secret" "secrets" [], [], CORE;
    "" "v1" "Service" "services" ["svc"], [Status, All], CORE;
    "" "v1" "ServiceAccount" "serviceaccounts" ["sa"], [], CORE;
    "apps" "v1" "ControllerRevision" "controllerrevisions" [], [], APPS;
    "apps" "v1" "DaemonSet" "daemonsets" ["ds"], [Status, Generation, All], APPS;
    "apps" "v1" "Deployment" "deployments" ["deploy"], [Status, Scale, Generation, All], APPS;
    "apps" "v1" "ReplicaSet" "replicasets" ["rs"], [Status, Scale, Generation, All], APPS;
    "apps" "v1" "StatefulSet" "statefulsets" ["sts"], [Status, Scale, Generation, All], APPS;
    "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "customresourcedefinitions" ["crd", "crds"],
        [Cluster, Status, Generation], "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1";
    "authentication.k8s.io" "v1" "TokenReview" "tokenreviews" [], [Cluster, CreateOnly], AUTHN;
    "authentication.k8s.io" "v1" "SelfSubjectReview" "selfsubjectreviews" [], [Cluster, CreateOnly], AUTHN;
    "authorization.k8s.io" "v1" "LocalSubjectAccessReview" "localsubjectaccessreviews" [], [CreateOnly], AUTHZ;
    "authorization.k8s.io" "v1" "SelfSubjectAccessReview" "selfsubjectaccessreviews" [],
        [Cluster, CreateOnly], AUTHZ;
    "authorization.k8s.io" "v1" "SelfSubjectRulesReview" "selfsubjectrulesreviews" [],
        [Cluster, CreateOnly], AUTHZ;
    "authorization.k8s.io" "v1" "SubjectAccessReview" "subjectaccessreviews" [], [Cluster, CreateOnly], AUTHZ;
    "batch" "v1" "CronJob" "cronjobs" ["cj"], [Status, Generation, All], BATCH;
    "batch" "v1" "Job" "jobs" [], [Status, Generation, All], BATCH;
    "coordination.k8s.io" "v1" "Lease" "leases" [], [], "io.k8s.api.coordination.v1";
    "discovery.k8s.io" "v1" "EndpointSlice" "endpointslices" [], [Generation], "io.k8s.api.discovery.v1";
    "events.k8s.io" "v1" "Event" "events" ["ev"], [], CORE;
    "networking.k8s.io" "v1" "Ingress" "ingresses" ["ing"], [Status, Generation], NETWORKING;
    "networking.k8s.io" "v1" "IngressClass" "ingressclasses" [], [Cluster, Generation], NETWORKING;
    "networking.k8s.io" "v1" "NetworkPolicy" "networkpolicies" ["netpol"], [Generation], NETWORKING;
    "policy" "v1" "PodDisruptionBudget" "poddisruptionbudgets" ["pdb"], [Status, Generation],
        "io.k8s.api.policy.v1";
    "rbac.authorization.k8s.io" "v1" "ClusterRole" "clusterroles" [], [Cluster], RBAC;
    "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "clusterrolebindings" [], [Cluster], RBAC;
    "rbac.authorization.k8s.io" "v1" "Role" "roles" [], [], RBAC;
    "rbac.authorization.k8s.io" "v1" "RoleBinding" "rolebindings" [], [], RBAC;
    "scheduling.k8s.io" "v1" "PriorityClass" "priorityclasses" ["pc"], [Cluster, Generation],
        "io.k8s.api.scheduling.v1";
    "storage.k8s.io" "v1" "StorageClass" "storageclasses" ["sc"], [Cluster], "io.k8s.api.storage.v1";
};

/// All built-in resources.
pub(crate) fn all() -> impl Iterator<Item = Resource> {
    ROWS.iter().map(resource)
}

fn resource(row: &Row) -> Resource {
    let has = |flag| row.flags.contains(&flag);
    let qualified = super::super::errors::qualified(row.group, row.plural);
    Resource {
        group: row.group.to_owned(),
        version: row.version.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short_names: row.short.iter().map(|s| (*s).to_owned()).collect(),
        categories: match (has(All), row.group) {
            (true, _) => vec!["all".to_owned()],
            (false, "apiextensions.k8s.io") => vec!["api-extensions".to_owned()],
            _ => Vec::new(),
        },
        namespaced: !has(Cluster),
        has_status: has(Status),
        scale: has(Scale).then(|| ScalePaths {
            spec: "spec.replicas".to_owned(),
            status: "status.replicas".to_owned(),
            selector: Some("spec.selector".to_owned()),
        }),
        has_generation: has(Generation),
        create_only: has(CreateOnly),
        // Both event groups show the same objects.
        storage: if row.kind == "Event" { "events".to_owned() } else { qualified },
        schema: types::reference(&format!("{}.{}", row.package, row.kind)),
        columns: columns::of(row.kind),
        custom: None,
    }
}
