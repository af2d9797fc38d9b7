//! Which lists of built-in types are sets or maps, and which maps are one value. Lists that are not here are
//! atomic. From the `x-kubernetes-list-type` markers of the API; for a map the first key is also the key of
//! strategic merge patches.

/// How the items of a field are told apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Merge {
    /// A list of scalars, each at most once.
    Set,
    /// A list of objects with these keys.
    Map(&'static [&'static str]),
    /// A map that is one value.
    AtomicMap,
}

use Merge::{AtomicMap, Map, Set};

/// Type, field, and how its items are told apart.
pub(crate) const MERGE: &[(&str, &str, Merge)] = &[
    ("io.k8s.api.apps.v1.DaemonSetStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.apps.v1.DeploymentStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.apps.v1.ReplicaSetStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.apps.v1.StatefulSetStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.batch.v1.JobStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.batch.v1.PodFailurePolicyOnExitCodesRequirement", "values", Set),
    ("io.k8s.api.batch.v1.UncountedTerminatedPods", "failed", Set),
    ("io.k8s.api.batch.v1.UncountedTerminatedPods", "succeeded", Set),
    ("io.k8s.api.core.v1.Container", "env", Map(&["name"])),
    ("io.k8s.api.core.v1.Container", "ports", Map(&["containerPort", "protocol"])),
    ("io.k8s.api.core.v1.Container", "volumeDevices", Map(&["devicePath"])),
    ("io.k8s.api.core.v1.Container", "volumeMounts", Map(&["mountPath"])),
    ("io.k8s.api.core.v1.ContainerRestartRuleOnExitCodes", "values", Set),
    ("io.k8s.api.core.v1.ContainerStatus", "allocatedResourcesStatus", Map(&["name"])),
    ("io.k8s.api.core.v1.ContainerStatus", "volumeMounts", Map(&["mountPath"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "env", Map(&["name"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "ports", Map(&["containerPort", "protocol"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "volumeDevices", Map(&["devicePath"])),
    ("io.k8s.api.core.v1.EphemeralContainer", "volumeMounts", Map(&["mountPath"])),
    ("io.k8s.api.core.v1.NamespaceStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.core.v1.NodeSpec", "podCIDRs", Set),
    ("io.k8s.api.core.v1.NodeStatus", "addresses", Map(&["type"])),
    ("io.k8s.api.core.v1.NodeStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.core.v1.PersistentVolumeClaimStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.core.v1.PodSpec", "containers", Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "ephemeralContainers", Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "evictionResponders", Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "hostAliases", Map(&["ip"])),
    ("io.k8s.api.core.v1.PodSpec", "imagePullSecrets", Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "initContainers", Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "nodeSelector", AtomicMap),
    ("io.k8s.api.core.v1.PodSpec", "resourceClaims", Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "schedulingGates", Map(&["name"])),
    ("io.k8s.api.core.v1.PodSpec", "topologySpreadConstraints", Map(&["topologyKey", "whenUnsatisfiable"])),
    ("io.k8s.api.core.v1.PodSpec", "volumes", Map(&["name"])),
    ("io.k8s.api.core.v1.PodStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.core.v1.PodStatus", "nodeAllocatableResourceClaimStatuses", Map(&["resourceClaimName"])),
    ("io.k8s.api.core.v1.PodStatus", "podIPs", Map(&["ip"])),
    ("io.k8s.api.core.v1.PodStatus", "resourceClaimStatuses", Map(&["name"])),
    ("io.k8s.api.core.v1.PodStatus", "volumeHealth", Map(&["name"])),
    ("io.k8s.api.core.v1.ResourceRequirements", "claims", Map(&["name"])),
    ("io.k8s.api.core.v1.ResourceStatus", "resources", Map(&["resourceID"])),
    ("io.k8s.api.core.v1.ServiceAccount", "secrets", Map(&["name"])),
    ("io.k8s.api.core.v1.ServiceSpec", "ports", Map(&["port", "protocol"])),
    ("io.k8s.api.core.v1.ServiceSpec", "selector", AtomicMap),
    ("io.k8s.api.core.v1.ServiceStatus", "conditions", Map(&["type"])),
    ("io.k8s.api.core.v1.VolumeMount", "bindMountOptions", Set),
    ("io.k8s.api.discovery.v1.Endpoint", "addresses", Set),
    ("io.k8s.api.policy.v1.PodDisruptionBudgetStatus", "conditions", Map(&["type"])),
    (
        "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus",
        "conditions",
        Map(&["type"]),
    ),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "finalizers", Set),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "ownerReferences", Map(&["uid"])),
];

/// Struct types that are one value to server-side apply (`x-kubernetes-map-type: atomic`).
pub(crate) const ATOMIC_TYPES: &[&str] = &[
    "io.k8s.api.core.v1.ConfigMapKeySelector",
    "io.k8s.api.core.v1.EndpointAddress",
    "io.k8s.api.core.v1.EndpointPort",
    "io.k8s.api.core.v1.FileKeySelector",
    "io.k8s.api.core.v1.LocalObjectReference",
    "io.k8s.api.core.v1.NodeSelector",
    "io.k8s.api.core.v1.NodeSelectorTerm",
    "io.k8s.api.core.v1.ObjectFieldSelector",
    "io.k8s.api.core.v1.ObjectReference",
    "io.k8s.api.core.v1.ResourceFieldSelector",
    "io.k8s.api.core.v1.ScopeSelector",
    "io.k8s.api.core.v1.SecretKeySelector",
    "io.k8s.api.core.v1.SecretReference",
    "io.k8s.api.core.v1.TopologySelectorTerm",
    "io.k8s.api.core.v1.TypedLocalObjectReference",
    "io.k8s.api.discovery.v1.EndpointPort",
    "io.k8s.api.rbac.v1.RoleRef",
    "io.k8s.api.rbac.v1.Subject",
    "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector",
    "io.k8s.apimachinery.pkg.apis.meta.v1.OwnerReference",
];
