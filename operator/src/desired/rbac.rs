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
use crate::running::{MAX_PARTS, Slot, Which, part_secret, pointer_secret_name};
use crate::scrape::discovered_namespaces;
use crate::validate::Valid;

const GROUP: &str = "rbac.authorization.k8s.io";
const READ: [&str; 3] = ["get", "list", "watch"];

/// The reloader of a role reads exactly the Secrets that can carry its configuration.
pub(super) fn add_reloader(stack: &StackId, role: Role, list: &mut List) -> Result<(), DesiredError> {
    let name = stack.child_with(role, "reloader");
    let pointers = Which::ALL.map(|which| pointer_secret_name(stack, role, which));
    let parts = [false, true].into_iter().flat_map(|live| {
        Slot::ALL.into_iter().flat_map(move |slot| {
            (0..MAX_PARTS).map(move |index| part_secret(stack, role, live, slot, index))
        })
    });
    let rule = PolicyRule {
        api_groups: Some(vec![String::new()]),
        resources: Some(vec!["secrets".into()]),
        resource_names: Some(pointers.into_iter().chain(parts).collect()),
        verbs: strings(&READ),
        ..Default::default()
    };
    let meta = metadata(stack, role, name.clone());
    list.add(role, &RbacRole { metadata: meta.clone(), rules: Some(vec![rule]) })?;
    list.add(role, &build_binding(stack, role, meta, "Role", &name))
}

/// The metrics store finds targets in the stack's own namespace, in those that are asked for, and in the
/// operator's. In all of them at once, where all are asked for.
pub(super) fn add_discovery(
    valid: &Valid,
    operator_namespace: Option<&str>,
    list: &mut List,
) -> Result<(), DesiredError> {
    let stack = &valid.id;
    let role = Role::Metrics;
    let own = metadata(stack, role, stack.child_with(role, "discovery"));
    add_role(stack, own, list)?;
    let Some(mut namespaces) = discovered_namespaces(valid) else {
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
    namespaces.extend(operator_namespace.map(str::to_owned));
    namespaces.remove(&stack.namespace);
    add_foreign(stack, &namespaces, list)
}

fn add_foreign(stack: &StackId, namespaces: &BTreeSet<String>, list: &mut List) -> Result<(), DesiredError> {
    namespaces.iter().try_for_each(|namespace| add_role(stack, foreign(stack, Some(namespace)), list))
}

fn add_role(stack: &StackId, meta: ObjectMeta, list: &mut List) -> Result<(), DesiredError> {
    let name = meta.name.clone().unwrap_or_default();
    list.add(Role::Metrics, &RbacRole { metadata: meta.clone(), rules: Some(discovery_rules()) })?;
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
    let rule = |group: &str, resources: &[&str]| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(strings(resources)),
        verbs: strings(&READ),
        ..Default::default()
    };
    vec![rule("", &["pods", "services"]), rule("discovery.k8s.io", &["endpointslices"])]
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
