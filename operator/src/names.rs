//! Names and labels of everything that a stack owns. Names are deterministic, so that two writers would
//! write the same, and carry the role of a part, never its engine.

use std::collections::BTreeMap;

/// Field manager of every server-side apply.
pub const MANAGER: &str = "obstack";
/// Label with the UID of the stack: what pruning goes by where an owner reference cannot reach.
pub const LABEL_STACK_UID: &str = "obstack.io/stack-uid";
/// Label with the name of the stack.
pub const LABEL_STACK: &str = "obstack.io/stack";
/// Label with the namespace of the stack, on objects outside of it.
pub const LABEL_STACK_NAMESPACE: &str = "obstack.io/stack-namespace";
/// Label with the role of a part.
pub const LABEL_ROLE: &str = "obstack.io/role";
/// Label with the component of a record.
pub const LABEL_COMPONENT: &str = "obstack.io/component";
/// Recommended label: which tool manages the object.
pub const LABEL_MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Selector of everything that the operator owns.
pub const SELECTOR_OWNED: &str = "app.kubernetes.io/managed-by=obstack";

/// Name of a scrape job of the stack itself. The slash keeps it apart from every Service's name.
pub fn own_job(name: &str) -> String {
    format!("obstack/{name}")
}

/// The part that a workload plays in a stack. Services, claims and configuration are named by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Scrapes, stores, evaluates rules and answers queries.
    Metrics,
    /// Routes alerts.
    Alerting,
    /// Shows dashboards.
    Dashboards,
}

impl Role {
    /// Every role, in the order in which they are applied.
    pub const ALL: [Self; 3] = [Self::Metrics, Self::Alerting, Self::Dashboards];

    /// The role as part of a name: `metrics`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Alerting => "alerting",
            Self::Dashboards => "dashboards",
        }
    }

    /// The component that the role serves.
    pub fn component(self) -> obstack_crds::Component {
        match self {
            Self::Metrics => obstack_crds::Component::MetricsStore,
            Self::Alerting => obstack_crds::Component::Alerting,
            Self::Dashboards => obstack_crds::Component::Dashboards,
        }
    }
}

/// Which stack: what every name is made from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackId {
    /// Namespace of the stack.
    pub namespace: String,
    /// Name of the stack.
    pub name: String,
}

impl StackId {
    /// Name of the workload, the Service and the ServiceAccount of a role: `main-metrics`.
    pub fn child(&self, role: Role) -> String {
        format!("{}-{}", self.name, role.as_str())
    }

    /// Name of another object of a role: `main-metrics-headless`.
    pub fn child_with(&self, role: Role, suffix: &str) -> String {
        format!("{}-{}-{suffix}", self.name, role.as_str())
    }

    /// Name of a cluster-scoped object, or of one in a foreign namespace. Neither part can hold a colon, so
    /// no two stacks meet.
    pub fn foreign(&self, role: Role) -> String {
        format!("obstack:{}:{}:{}", self.namespace, self.name, role.as_str())
    }

    /// Labels that select the pods of a role. They never change: a workload's selector is immutable.
    pub fn selector(&self, role: Role) -> BTreeMap<String, String> {
        BTreeMap::from([
            (LABEL_STACK.to_owned(), self.name.clone()),
            (LABEL_ROLE.to_owned(), role.as_str().to_owned()),
        ])
    }

    /// Labels of every object of the stack.
    pub fn labels(&self) -> BTreeMap<String, String> {
        BTreeMap::from([
            (LABEL_STACK.to_owned(), self.name.clone()),
            (LABEL_MANAGED_BY.to_owned(), "obstack".to_owned()),
        ])
    }

    /// Labels of every object of a role.
    pub fn role_labels(&self, role: Role) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(LABEL_ROLE.to_owned(), role.as_str().to_owned());
        labels
    }
}

impl std::fmt::Display for StackId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
