//! Authorization by Role, ClusterRole and their bindings, with the guard against granting more than one holds.

use super::auth::{AUTHENTICATED, MASTERS, User};
use super::errors::{ApiError, ApiResult};
use super::meta;
use super::registry::Resource;
use super::request::RequestInfo;
use super::store::Store;
use axum::http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use std::sync::Arc;

const GROUP: &str = "rbac.authorization.k8s.io";
const ROLES: &str = "roles.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// What somebody wants to do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// For what is no resource.
    pub(crate) path: String,
}

impl Attributes {
    /// What a request asks for. `name` is that of a field selector where the path has none.
    pub(crate) fn of(info: &RequestInfo, selected: Option<&str>) -> Self {
        if !info.is_resource() {
            return Self { verb: info.verb.clone(), path: info.path.clone(), ..Self::default() };
        }
        let name = if info.name.is_empty() { selected.unwrap_or_default() } else { &info.name };
        Self {
            verb: info.verb.clone(),
            group: info.group.clone(),
            resource: info.resource.clone(),
            subresource: info.subresource.clone(),
            namespace: info.namespace.clone(),
            name: name.to_owned(),
            path: String::new(),
        }
    }

    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

fn texts<'a>(value: &'a Value, field: &str) -> Vec<&'a str> {
    let list = value.get(field).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether a rule covers a resource, given as `pods` or `pods/log`.
fn covers_resource(listed: &[&str], wanted: &str) -> bool {
    let subresource = wanted.split_once('/').map(|(_, sub)| sub);
    listed.iter().any(|rule| {
        *rule == "*" || *rule == wanted || (subresource.is_some() && rule.strip_prefix("*/") == subresource)
    })
}

fn covers_path(listed: &[&str], wanted: &str) -> bool {
    listed.iter().any(|rule| {
        *rule == wanted || rule.strip_suffix('*').is_some_and(|prefix| wanted.starts_with(prefix))
    })
}

fn has(listed: &[&str], wanted: &str) -> bool {
    listed.iter().any(|l| *l == "*" || *l == wanted)
}

fn allows(rule: &Value, wanted: &Attributes) -> bool {
    if !has(&texts(rule, "verbs"), &wanted.verb) {
        return false;
    }
    if wanted.resource.is_empty() {
        return covers_path(&texts(rule, "nonResourceURLs"), &wanted.path);
    }
    let names = texts(rule, "resourceNames");
    has(&texts(rule, "apiGroups"), &wanted.group)
        && covers_resource(&texts(rule, "resources"), &wanted.full_resource())
        && (names.is_empty() || names.contains(&wanted.name.as_str()))
}

fn is_subject(binding: &Value, user: &User) -> bool {
    let subjects = binding.get("subjects").and_then(Value::as_array);
    subjects.into_iter().flatten().any(|subject| names(subject, meta::namespace(binding), user))
}

/// Whether a subject of a binding in a namespace is a user.
fn names(subject: &Value, namespace: &str, user: &User) -> bool {
    let name = subject["name"].as_str().unwrap_or_default();
    match subject["kind"].as_str().unwrap_or_default() {
        "User" => name == user.name,
        "Group" => user.groups.iter().any(|g| g == name),
        "ServiceAccount" => {
            let namespace = subject["namespace"].as_str().unwrap_or(namespace);
            user.service_account() == Some((namespace, name))
        }
        _ => false,
    }
}

/// The role that a binding refers to.
fn role(store: &Store, reference: &Value, namespace: &str) -> Option<Arc<Value>> {
    let name = reference["name"].as_str().unwrap_or_default();
    match reference["kind"].as_str().unwrap_or_default() {
        "ClusterRole" => store.get(CLUSTER_ROLES, "", name),
        "Role" => store.get(ROLES, namespace, name),
        _ => None,
    }
}

fn rules_of(role: &Value) -> &[Value] {
    role.get("rules").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The bindings of a user in a namespace, after those that hold everywhere.
fn bindings<'a>(store: &'a Store, user: &User, namespace: &str) -> Vec<&'a Arc<Value>> {
    let mut bindings: Vec<&Arc<Value>> =
        store.list(CLUSTER_BINDINGS, None).filter(|b| is_subject(b, user)).collect();
    if !namespace.is_empty() {
        bindings.extend(store.list(BINDINGS, Some(namespace)).filter(|b| is_subject(b, user)));
    }
    bindings
}

/// All rules that a user holds in a namespace (with those that hold everywhere), or only the latter.
pub(crate) fn rules(store: &Store, user: &User, namespace: &str) -> Vec<Value> {
    roles(store, user, namespace).flat_map(|role| rules_of(&role).to_vec()).collect()
}

/// The roles that a user is bound to.
fn roles<'a>(store: &'a Store, user: &User, namespace: &str) -> impl Iterator<Item = Arc<Value>> + 'a {
    let bound = bindings(store, user, namespace).into_iter();
    bound.filter_map(move |b| role(store, &b["roleRef"], meta::namespace(b)))
}

/// Whether a user may do something.
pub(crate) fn may(store: &Store, user: &User, wanted: &Attributes) -> bool {
    user.groups.iter().any(|g| g == MASTERS)
        || roles(store, user, &wanted.namespace)
            .any(|role| rules_of(&role).iter().any(|rule| allows(rule, wanted)))
}

/// Refuses what a user may not do.
///
/// # Errors
/// Forbidden, in the words of the API server.
pub(crate) fn authorize(store: &Store, user: &User, wanted: &Attributes) -> ApiResult<()> {
    if may(store, user, wanted) {
        return Ok(());
    }
    let (who, verb) = (&user.name, &wanted.verb);
    if wanted.resource.is_empty() {
        let message = format!("forbidden: User \"{who}\" cannot {verb} path \"{}\"", wanted.path);
        let mut error = ApiError::new(403, "Forbidden", message);
        error.details = Some(json!({}));
        return Err(error);
    }
    let place = if wanted.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", wanted.namespace)
    };
    let resource = wanted.full_resource();
    let why = format!(
        "User \"{who}\" cannot {verb} resource \"{resource}\" in API group \"{}\" {place}",
        wanted.group
    );
    Err(ApiError::forbidden(&wanted.group, &wanted.resource, &wanted.name, &why))
}

/// The user that a request wants to be taken for, or the one who sent it.
///
/// # Errors
/// Forbidden without the verb `impersonate`.
pub(crate) fn impersonate(store: &Store, user: User, headers: &HeaderMap) -> ApiResult<User> {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let Some(name) = headers.get("impersonate-user").map(text).filter(|n| !n.is_empty()) else {
        if headers.contains_key("impersonate-group") {
            let why = "impersonation of a group without impersonating a user name";
            return Err(ApiError::bad_request(why));
        }
        return Ok(user);
    };
    let check = |resource: &str, namespace: &str, name: &str| {
        let attributes = Attributes {
            verb: "impersonate".to_owned(),
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        authorize(store, &user, &attributes)
    };
    let mut wanted = User { name, ..User::default() };
    match wanted.service_account() {
        Some((namespace, name)) => {
            check("serviceaccounts", namespace, name)?;
            wanted.groups = User::account(namespace, name, "").groups;
        }
        None => check("users", "", &wanted.name)?,
    }
    for group in headers.get_all("impersonate-group").iter().map(text) {
        check("groups", "", &group)?;
        wanted.groups.push(group);
    }
    if !wanted.groups.iter().any(|g| g == AUTHENTICATED) {
        wanted.groups.push(AUTHENTICATED.to_owned());
    }
    Ok(wanted)
}

/// Refuses a role or binding that grants what its writer does not hold.
///
/// # Errors
/// Forbidden, with the rules that are missing.
pub(crate) fn guard(
    store: &Store,
    user: &User,
    resource: &Resource,
    new: &Value,
    old: Option<&Value>,
) -> ApiResult<()> {
    if resource.group != GROUP || user.groups.iter().any(|g| g == MASTERS) {
        return Ok(());
    }
    let namespace = meta::namespace(new);
    let is_binding = resource.plural.ends_with("bindings");
    let unchanged = old.is_some_and(|old| {
        if is_binding {
            old["roleRef"] == new["roleRef"] && old["subjects"] == new["subjects"]
        } else {
            old["rules"] == new["rules"]
        }
    });
    if unchanged {
        return Ok(());
    }
    let (verb, target, name, wanted) = if is_binding {
        let reference = &new["roleRef"];
        let target = if reference["kind"] == "ClusterRole" { "clusterroles" } else { "roles" };
        let name = reference["name"].as_str().unwrap_or_default();
        let may_bind = Attributes {
            verb: "bind".to_owned(),
            group: GROUP.to_owned(),
            resource: target.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ..Attributes::default()
        };
        if may(store, user, &may_bind) {
            return Ok(());
        }
        let Some(role) = role(store, reference, namespace) else {
            return Err(ApiError::not_found(GROUP, target, name));
        };
        ("bind", target, name.to_owned(), rules_of(&role).to_vec())
    } else {
        ("escalate", resource.plural.as_str(), meta::name(new).to_owned(), rules_of(new).to_vec())
    };
    let attributes = Attributes {
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        resource: target.to_owned(),
        namespace: namespace.to_owned(),
        name,
        ..Attributes::default()
    };
    if may(store, user, &attributes) {
        return Ok(());
    }
    let held = rules(store, user, namespace);
    let missing: Vec<Value> = wanted.iter().flat_map(split).filter(|rule| !covered(&held, rule)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let groups: Vec<String> = user.groups.iter().map(|g| format!("{g:?}")).collect();
    let list: Vec<String> = missing.iter().map(show).collect();
    let why = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        list.join("\n")
    );
    Err(ApiError::forbidden(&resource.group, &resource.plural, meta::name(new), &why))
}

/// A rule as rules of one verb, one group, one resource, and at most one name.
fn split(rule: &Value) -> Vec<Value> {
    let mut parts = Vec::new();
    for verb in texts(rule, "verbs") {
        for path in texts(rule, "nonResourceURLs") {
            parts.push(json!({"verbs": [verb], "nonResourceURLs": [path]}));
        }
        for group in texts(rule, "apiGroups") {
            for resource in texts(rule, "resources") {
                let part = json!({"verbs": [verb], "apiGroups": [group], "resources": [resource]});
                let names = texts(rule, "resourceNames");
                if names.is_empty() {
                    parts.push(part.clone());
                }
                for name in names {
                    let mut part = part.clone();
                    part["resourceNames"] = json!([name]);
                    parts.push(part);
                }
            }
        }
    }
    parts
}

/// Whether some rule that is held covers a split one.
fn covered(held: &[Value], wanted: &Value) -> bool {
    let one = |field: &str| texts(wanted, field).first().copied();
    held.iter().any(|rule| {
        if !one("verbs").is_some_and(|verb| has(&texts(rule, "verbs"), verb)) {
            return false;
        }
        if let Some(path) = one("nonResourceURLs") {
            return covers_path(&texts(rule, "nonResourceURLs"), path);
        }
        let names = texts(rule, "resourceNames");
        one("apiGroups").is_some_and(|group| has(&texts(rule, "apiGroups"), group))
            && one("resources").is_some_and(|r| covers_resource(&texts(rule, "resources"), r))
            && (names.is_empty() || one("resourceNames").is_some_and(|name| names.contains(&name)))
    })
}

/// A rule as the API server prints it.
fn show(rule: &Value) -> String {
    let fields = [
        ("apiGroups", "APIGroups"),
        ("resources", "Resources"),
        ("resourceNames", "ResourceNames"),
        ("nonResourceURLs", "NonResourceURLs"),
        ("verbs", "Verbs"),
    ];
    let parts: Vec<String> = fields
        .iter()
        .filter(|(field, _)| rule.get(*field).is_some())
        .map(|(field, shown)| {
            let list: Vec<String> = texts(rule, field).iter().map(|t| format!("{t:?}")).collect();
            format!("{shown}:[{}]", list.join(" "))
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}

/// The answer to an access review.
pub(crate) fn review(store: &Store, user: &User, spec: &Value) -> Value {
    let text = |pointer: &str| spec.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let wanted = if spec.get("nonResourceAttributes").is_some_and(Value::is_object) {
        Attributes {
            verb: text("/nonResourceAttributes/verb"),
            path: text("/nonResourceAttributes/path"),
            ..Attributes::default()
        }
    } else {
        Attributes {
            verb: text("/resourceAttributes/verb"),
            group: text("/resourceAttributes/group"),
            resource: text("/resourceAttributes/resource"),
            subresource: text("/resourceAttributes/subresource"),
            namespace: text("/resourceAttributes/namespace"),
            name: text("/resourceAttributes/name"),
            path: String::new(),
        }
    };
    if user.groups.iter().any(|g| g == MASTERS) {
        return json!({"allowed": true});
    }
    let found = bindings(store, user, &wanted.namespace).into_iter().find(|binding| {
        let role = role(store, &binding["roleRef"], meta::namespace(binding));
        role.is_some_and(|role| rules_of(&role).iter().any(|rule| allows(rule, &wanted)))
    });
    match found {
        Some(binding) => json!({"allowed": true, "reason": reason(binding, user)}),
        None => json!({"allowed": false}),
    }
}

/// Through what a right is held, as the API server words it.
fn reason(binding: &Value, user: &User) -> String {
    let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let namespace = meta::namespace(binding);
    let (kind, place) = match namespace {
        "" => ("ClusterRoleBinding", String::new()),
        namespace => ("RoleBinding", format!("/{namespace}")),
    };
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    let subject = subjects.into_iter().find(|subject| names(subject, namespace, user));
    let (who, name) = subject.map_or((String::new(), String::new()), |subject| {
        let field = |field: &str| subject[field].as_str().unwrap_or_default().to_owned();
        let place = if subject["kind"] == "ServiceAccount" {
            format!("/{}", field("namespace"))
        } else {
            String::new()
        };
        (field("kind"), format!("{}{place}", field("name")))
    });
    format!(
        "RBAC: allowed by {kind} \"{}{place}\" of {} \"{}\" to {who} \"{name}\"",
        meta::name(binding),
        text("/roleRef/kind"),
        text("/roleRef/name"),
    )
}

/// Roles and bindings that every cluster has, as storage and object.
pub(crate) fn bootstrap() -> Vec<(&'static str, Value)> {
    let role = |name: &str, rules: Value| {
        (
            CLUSTER_ROLES,
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
                "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
                "rules": rules,
            }),
        )
    };
    let binding = |name: &str, group: &str| {
        (
            CLUSTER_BINDINGS,
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
                "metadata": {"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}},
                "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": GROUP, "kind": "Group", "name": group}],
            }),
        )
    };
    let workloads = json!([
        {"apiGroups": [""], "resources": [
            "configmaps", "endpoints", "events", "persistentvolumeclaims", "pods", "pods/log", "pods/status",
            "serviceaccounts", "services",
        ]},
        {"apiGroups": ["apps"], "resources": ["controllerrevisions", "daemonsets", "deployments", "replicasets",
            "statefulsets", "deployments/scale", "statefulsets/scale", "replicasets/scale"]},
        {"apiGroups": ["batch"], "resources": ["cronjobs", "jobs"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"]},
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses", "networkpolicies"]},
        {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"]},
    ]);
    let with = |verbs: &[&str], secrets: bool| {
        let mut rules = workloads.clone();
        if secrets && let Some(list) = rules.as_array_mut() {
            list.push(json!({"apiGroups": [""], "resources": ["secrets"]}));
        }
        for rule in rules.as_array_mut().into_iter().flatten() {
            rule["verbs"] = json!(verbs);
        }
        rules
    };
    let read = ["get", "list", "watch"];
    let write = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];
    let mut admin = with(&write, true);
    if let Some(list) = admin.as_array_mut() {
        list.push(json!({"apiGroups": [GROUP], "resources": ["roles", "rolebindings"], "verbs": write}));
    }
    let paths = [
        "/api",
        "/api/*",
        "/apis",
        "/apis/*",
        "/healthz",
        "/livez",
        "/openapi",
        "/openapi/*",
        "/readyz",
        "/version",
        "/version/",
    ];
    vec![
        role(
            "cluster-admin",
            json!([
                {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
                {"nonResourceURLs": ["*"], "verbs": ["*"]},
            ]),
        ),
        role("admin", admin),
        role("edit", with(&write, true)),
        role("view", with(&read, false)),
        role(
            "system:basic-user",
            json!([
                {"apiGroups": ["authorization.k8s.io"], "verbs": ["create"],
                    "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]},
                {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
            ]),
        ),
        role(
            "system:public-info-viewer",
            json!([{"nonResourceURLs": ["/healthz", "/livez", "/readyz", "/version", "/version/"], "verbs": ["get"]}]),
        ),
        binding("system:public-info-viewer", "system:unauthenticated"),
        role("system:discovery", json!([{"nonResourceURLs": paths, "verbs": ["get"]}])),
        binding("cluster-admin", MASTERS),
        binding("system:basic-user", super::auth::AUTHENTICATED),
        binding("system:discovery", super::auth::AUTHENTICATED),
    ]
}
