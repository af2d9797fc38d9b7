//! The kinds of object that a stack owns: one table instead of a case per kind.

use kube::discovery::ApiResource;

use crate::scrape::sources::GROUP;

/// A kind that a stack owns objects of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Name of the kind.
    pub name: &'static str,
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Version of the group.
    pub version: &'static str,
    /// Name of the resource in URLs.
    pub plural: &'static str,
    /// Whether its objects have no namespace.
    pub cluster: bool,
}

const fn kind(
    name: &'static str,
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    cluster: bool,
) -> Kind {
    Kind { name, group, version, plural, cluster }
}

/// Every kind that a stack owns objects of, in the order in which they are pruned: what runs first, then what
/// it needs. Claims are not among them, because they are never pruned.
pub const OWNED: [Kind; 14] = [
    kind("PodDisruptionBudget", "policy", "v1", "poddisruptionbudgets", false),
    kind("StatefulSet", "apps", "v1", "statefulsets", false),
    kind("Deployment", "apps", "v1", "deployments", false),
    kind("Prometheus", GROUP, "v1", "prometheuses", false),
    kind("Alertmanager", GROUP, "v1", "alertmanagers", false),
    kind("PrometheusRule", GROUP, "v1", "prometheusrules", false),
    kind("Service", "", "v1", "services", false),
    kind("Secret", "", "v1", "secrets", false),
    kind("ConfigMap", "", "v1", "configmaps", false),
    kind("RoleBinding", "rbac.authorization.k8s.io", "v1", "rolebindings", false),
    kind("Role", "rbac.authorization.k8s.io", "v1", "roles", false),
    kind("ClusterRoleBinding", "rbac.authorization.k8s.io", "v1", "clusterrolebindings", true),
    kind("ClusterRole", "rbac.authorization.k8s.io", "v1", "clusterroles", true),
    kind("ServiceAccount", "", "v1", "serviceaccounts", false),
];

impl Kind {
    /// The kind with this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        OWNED.iter().find(|kind| kind.name == name)
    }

    /// `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() {
            self.version.to_owned()
        } else {
            format!("{}/{}", self.group, self.version)
        }
    }

    /// The kind as the client names it.
    pub fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.to_owned(),
            version: self.version.to_owned(),
            api_version: self.api_version(),
            kind: self.name.to_owned(),
            plural: self.plural.to_owned(),
        }
    }

    /// Whether its objects run pods.
    pub fn is_workload(&self) -> bool {
        matches!(self.name, "StatefulSet" | "Deployment" | "Prometheus" | "Alertmanager")
    }

    /// Whether it is one of prometheus-operator's, which a cluster may lack.
    pub fn is_handed_over(&self) -> bool {
        self.group == GROUP
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::OWNED_KINDS;

    #[test]
    fn every_kind_that_is_built_is_watched_and_pruned() {
        for (api_version, kind) in OWNED_KINDS.iter().filter(|(_, kind)| *kind != "DecisionRecord") {
            let known = Kind::of(kind).unwrap_or_else(|| panic!("{kind} is built and not watched"));
            assert_eq!(known.api_version(), *api_version);
        }
    }

    #[test]
    fn workloads_are_pruned_before_what_they_need() {
        let place = |name: &str| OWNED.iter().position(|kind| kind.name == name).unwrap();
        for needed in ["Secret", "ConfigMap", "ServiceAccount", "Role", "ClusterRole"] {
            assert!(place("StatefulSet") < place(needed), "{needed}");
            assert!(place("Deployment") < place(needed), "{needed}");
        }
    }
}
