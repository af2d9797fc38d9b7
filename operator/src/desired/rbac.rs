//! Rights of a stack's accounts: each names what it needs and nothing else.

use std::collections::BTreeSet;

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role as RbacRole, RoleBinding, RoleRef, Subject,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::DesiredError;
use super::object::List;
use super::service::metadata;
use crate::names::{LABEL_STACK_NAMESPACE, Role, StackId};
use crate::running::{Which, carrier_names, pointer_secret_name};
use crate::scrape::discovered_namespaces;
use crate::scrape::objects::Reach;
use crate::validate::Valid;

const GROUP: &str = "rbac.authorization.k8s.io";
/// Most namespaces that the metrics store is let into one by one. With more, a right on all of them is one object
/// instead of hundreds.
const MOST_ROLES: usize = 64;
/// Prometheus keeps lists up to date and never asks for one object.
const FOLLOW: [&str; 2] = ["list", "watch"];
/// A reloader follows one pointer, and asks for the other and for parts one by one.
const FETCH: [&str; 3] = ["get", "list", "watch"];

/// The metrics store finds targets in the stack's own namespace, in those that are asked for, and in the
/// operator's, and in those that objects of others name. In all of them at once, where all are asked for.
pub(super) fn add_discovery(
    valid: &Valid,
    operator_namespace: Option<&str>,
    reach: &Reach,
    list: &mut List,
) -> Result<(), DesiredError> {
    let stack = &valid.id;
    let role = Role::Metrics;
    let own = metadata(stack, role, stack.child_with(role, "discovery"));
    add_role(stack, own, discovery_rules(), list)?;
    let searched = discovered_namespaces(valid).filter(|_| !reach.everywhere).map(|mut namespaces| {
        namespaces.extend(reach.namespaces.iter().cloned());
        namespaces
    });
    let Some(mut namespaces) = searched.filter(|namespaces| namespaces.len() <= MOST_ROLES) else {
        let meta = foreign(stack, None);
        let name = stack.foreign(role);
        list.add(
            role,
            &ClusterRole { metadata: meta.clone(), rules: Some(discovery_rules()), ..Default::default() },
        )?;
        return list.add(
            role,
            &ClusterRoleBinding {
                metadata: meta,
                role_ref: role_ref("ClusterRole", &name),
                subjects: Some(vec![subject(stack, role)]),
            },
        );
    };
    namespaces.insert(stack.namespace.clone());
    // The operator is found by its pods alone, unless all targets of its namespace are asked for.
    if let Some(namespace) = operator_namespace.filter(|namespace| !namespaces.contains(*namespace)) {
        add_role(stack, foreign(stack, Some(namespace)), vec![rule("", &["pods"])], list)?;
    }
    namespaces.remove(&stack.namespace);
    add_foreign(stack, &namespaces, list)
}

/// A role's reloaders read the Secrets that carry its configuration, and no other.
pub(super) fn add_delivery(stack: &StackId, role: Role, list: &mut List) -> Result<(), DesiredError> {
    let meta = metadata(stack, role, stack.child_with(role, "configuration"));
    let name = meta.name.clone().unwrap_or_default();
    let rule = |verbs: &[&str], names: Vec<String>| PolicyRule {
        api_groups: Some(strings(&[""])),
        resources: Some(strings(&["secrets"])),
        resource_names: Some(names),
        verbs: strings(verbs),
        ..Default::default()
    };
    let candidate = pointer_secret_name(stack, role, Which::Candidate);
    let others = carrier_names(stack, role).into_iter().filter(|name| *name != candidate).collect();
    let rules = vec![rule(&FETCH, vec![candidate]), rule(&["get"], others)];
    list.add(role, &RbacRole { metadata: meta.clone(), rules: Some(rules) })?;
    list.add(role, &build_binding(stack, role, meta, "Role", &name))
}

fn add_foreign(stack: &StackId, namespaces: &BTreeSet<String>, list: &mut List) -> Result<(), DesiredError> {
    let add = |namespace: &String| add_role(stack, foreign(stack, Some(namespace)), discovery_rules(), list);
    namespaces.iter().try_for_each(add)
}

fn add_role(
    stack: &StackId,
    meta: ObjectMeta,
    rules: Vec<PolicyRule>,
    list: &mut List,
) -> Result<(), DesiredError> {
    let name = meta.name.clone().unwrap_or_default();
    list.add(Role::Metrics, &RbacRole { metadata: meta.clone(), rules: Some(rules) })?;
    list.add(Role::Metrics, &build_binding(stack, Role::Metrics, meta, "Role", &name))
}

/// Metadata of an object that no owner reference can reach.
fn foreign(stack: &StackId, namespace: Option<&str>) -> ObjectMeta {
    let mut labels = stack.role_labels(Role::Metrics);
    labels.insert(LABEL_STACK_NAMESPACE.to_owned(), stack.namespace.clone());
    ObjectMeta {
        name: Some(stack.foreign(Role::Metrics)),
        namespace: namespace.map(str::to_owned),
        labels: Some(labels),
        ..Default::default()
    }
}

/// What Prometheus' discovery of endpoint slices and pods reads.
fn discovery_rules() -> Vec<PolicyRule> {
    vec![rule("", &["pods", "services"]), rule("discovery.k8s.io", &["endpointslices"])]
}

fn rule(group: &str, resources: &[&str]) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(strings(resources)),
        verbs: strings(&FOLLOW),
        ..Default::default()
    }
}

fn build_binding(stack: &StackId, role: Role, metadata: ObjectMeta, kind: &str, name: &str) -> RoleBinding {
    RoleBinding { metadata, role_ref: role_ref(kind, name), subjects: Some(vec![subject(stack, role)]) }
}

fn role_ref(kind: &str, name: &str) -> RoleRef {
    RoleRef { api_group: Some(GROUP.into()), kind: kind.into(), name: name.into() }
}

fn subject(stack: &StackId, role: Role) -> Subject {
    Subject {
        kind: "ServiceAccount".into(),
        name: stack.child(role),
        namespace: Some(stack.namespace.clone()),
        ..Default::default()
    }
}

fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}
