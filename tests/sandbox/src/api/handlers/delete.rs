//! Deletion: preconditions, grace, finalizers, propagation.

use super::super::errors::{ApiError, ApiResult, Cause};
use super::super::registry::Resource;
use super::super::request::unknown_dry_run;
use super::super::server::{Context, Server};
use super::super::store::Store;
use super::super::write::finish_deletion;
use super::super::{lock, meta};
use super::{Answer, Form, json as json_response, read};
use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::sync::Arc;

/// Deletes dependents before the owner.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Leaves dependents behind.
pub(crate) const ORPHAN: &str = "orphan";

/// What the body and the query of a deletion say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    grace: Option<i64>,
    policy: String,
    uid: Option<String>,
    version: Option<String>,
    dry_run: bool,
}

impl Options {
    /// A deletion by a controller.
    pub(crate) fn with_policy(policy: &str) -> Self {
        Self { policy: policy.to_owned(), ..Self::default() }
    }
}

fn options(ctx: &Context, headers: &HeaderMap, body: &Bytes) -> ApiResult<Options> {
    let value = if body.is_empty() { Value::Null } else { super::read_body(headers, body)? };
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let mut policy = text("/propagationPolicy").unwrap_or_default();
    if policy.is_empty() {
        policy = ctx.query.get("propagationPolicy").to_owned();
    }
    let orphan = value.get("orphanDependents").and_then(Value::as_bool);
    if policy.is_empty() && orphan == Some(true) {
        policy = "Orphan".to_owned();
    }
    let mut causes = Vec::new();
    if orphan.is_some() && text("/propagationPolicy").is_some() {
        let why = "orphanDependents and deletionPropagation cannot be both set";
        causes.push(Cause::invalid("propagationPolicy", &policy.clone().into(), why));
    } else if !matches!(policy.as_str(), "" | "Orphan" | "Background" | "Foreground") {
        let supported = ["Foreground", "Background", "Orphan", "nil"].map(str::to_owned);
        causes.push(Cause::not_supported("propagationPolicy", &policy.clone().into(), &supported));
    }
    if !causes.is_empty() {
        return Err(ApiError::options("DeleteOptions", causes));
    }
    let dry: Vec<String> = value["dryRun"].as_array().into_iter().flatten().map(plain).collect();
    if !matches!(dry.as_slice(), [] | [_] if dry.iter().all(|d| d == "All")) {
        return Err(unknown_dry_run("DeleteOptions", &dry));
    }
    let grace = value.get("gracePeriodSeconds").and_then(Value::as_i64);
    Ok(Options {
        grace: grace.or_else(|| ctx.query.get("gracePeriodSeconds").parse().ok()),
        policy,
        uid: text("/preconditions/uid"),
        version: text("/preconditions/resourceVersion"),
        dry_run: ctx.query.dry_run("DeleteOptions")? || !dry.is_empty(),
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Kinds whose deletion answers with the object instead of a Status.
const ANSWERED_WITH_OBJECT: &[&str] = &[
    "persistentvolumeclaims",
    "persistentvolumes",
    "pods",
    "serviceaccounts",
    "services",
    "storageclasses.storage.k8s.io",
];

pub(super) fn one(
    server: &Server,
    ctx: &Context,
    body: &Bytes,
    headers: &HeaderMap,
    form: Form,
) -> ApiResult<Answer> {
    let options = options(ctx, headers, body)?;
    let mut store = lock(&server.store);
    let old = store
        .get(&ctx.resource.storage, ctx.namespace(), &ctx.info.name)
        .ok_or_else(|| ctx.not_found(&ctx.info.name))?;
    let result = delete(server, &mut store, &ctx.resource, &old, &options)?;
    drop(store);
    match result {
        Deleted::Gone(object) => {
            if ANSWERED_WITH_OBJECT.contains(&ctx.resource.qualified().as_str()) {
                let response = read::object_response(ctx, form, 200, &object);
                return Ok(Answer { response, changed: !options.dry_run });
            }
            let status = json!({
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                "details": {
                    "name": ctx.info.name, "group": ctx.resource.group, "kind": ctx.resource.plural,
                    "uid": meta::uid(&object),
                },
            });
            Ok(Answer {
                response: json_response(200, &without_empty_group(status)),
                changed: !options.dry_run,
            })
        }
        Deleted::Waiting(object, changed) => {
            Ok(Answer { response: read::object_response(ctx, form, 200, &object), changed })
        }
    }
}

fn without_empty_group(mut status: Value) -> Value {
    if status["details"]["group"] == "" {
        meta::as_map(&mut status["details"]).remove("group");
    }
    status
}

pub(super) fn many(server: &Server, ctx: &Context, body: &Bytes, headers: &HeaderMap) -> ApiResult<Answer> {
    let options = options(ctx, headers, body)?;
    let selector = read::selector(ctx)?;
    let mut store = lock(&server.store);
    let found: Vec<Arc<Value>> = store
        .list(&ctx.resource.storage, read::scope(ctx))
        .filter(|o| selector.matches(o))
        .cloned()
        .collect();
    let mut changed = false;
    let mut items = Vec::new();
    for object in found {
        match delete(server, &mut store, &ctx.resource, &object, &options)? {
            Deleted::Gone(object) => {
                changed |= !options.dry_run;
                items.push(read::served(ctx, &object));
            }
            Deleted::Waiting(object, wrote) => {
                changed |= wrote;
                items.push(read::served(ctx, &object));
            }
        }
    }
    let list = json!({
        "kind": ctx.resource.list_kind, "apiVersion": ctx.resource.api_version(),
        "metadata": {"resourceVersion": store.version().to_string()}, "items": items,
    });
    Ok(Answer { response: json_response(200, &list), changed })
}

/// What became of an object that was to be deleted.
pub(crate) enum Deleted {
    Gone(Arc<Value>),
    /// It waits for its grace period or a finalizer; whether the request changed it.
    Waiting(Arc<Value>, bool),
}

/// Deletes an object, or marks it as being deleted.
pub(crate) fn delete(
    server: &Server,
    store: &mut Store,
    resource: &Resource,
    old: &Arc<Value>,
    options: &Options,
) -> ApiResult<Deleted> {
    let name = meta::name(old);
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != meta::uid(old)) {
        // This check knows the kind and not the resource.
        let why = format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
             deleted and then recreated",
            meta::uid(old)
        );
        return Err(ApiError::conflict(&resource.group, &resource.kind, name, &why));
    }
    if let Some(version) = options.version.as_deref().filter(|v| *v != meta::text(old, "resourceVersion")) {
        let why = format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            meta::text(old, "resourceVersion")
        );
        return Err(ApiError::conflict(&resource.group, &resource.kind, name, &why));
    }
    if resource.is("", "namespaces") && matches!(name, "default" | "kube-system" | "kube-public") {
        return Err(ApiError::forbidden("", "namespaces", name, "this namespace may not be deleted"));
    }
    let mut new = Value::clone(old);
    let grace = grace(resource, old, options);
    mark(&mut new, resource, grace, &options.policy);
    let finalizers = !meta::list(&new, "finalizers").is_empty();
    let namespace = resource.is("", "namespaces")
        && new.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    if grace == 0 && !finalizers && !namespace {
        if options.dry_run {
            return Ok(Deleted::Gone(old.clone()));
        }
        let gone = store.remove(&resource.storage, meta::namespace(old), name).unwrap_or_else(|| old.clone());
        server.after_write(store, resource);
        return Ok(Deleted::Gone(gone));
    }
    if new == **old || options.dry_run {
        return Ok(Deleted::Waiting(Arc::new(new), false));
    }
    let object = store.put(&resource.storage, new);
    let object = finish_deletion(store, resource, object);
    server.after_write(store, resource);
    Ok(Deleted::Waiting(object, true))
}

/// Seconds until the object may go: only pods that run somewhere wait.
fn grace(resource: &Resource, old: &Value, options: &Options) -> i64 {
    if !resource.is("", "pods") {
        return 0;
    }
    let scheduled = old.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|n| !n.is_empty());
    let phase = old.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
    if !scheduled || matches!(phase, "Succeeded" | "Failed") {
        return 0;
    }
    let own = old.pointer("/spec/terminationGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(30);
    options.grace.unwrap_or(own).max(0)
}

fn mark(new: &mut Value, resource: &Resource, grace: i64, policy: &str) {
    let already = meta::is_deleting(new);
    let old_grace = new.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0);
    if !already || grace < old_grace {
        let now = jiff::Timestamp::now();
        let at = now.checked_add(jiff::SignedDuration::from_secs(grace)).unwrap_or(now);
        let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        meta::set(new, "deletionTimestamp", Some(at.into()));
        meta::set(new, "deletionGracePeriodSeconds", Some(grace.into()));
        if !already
            && resource.has_generation
            && let Some(generation) = new.pointer("/metadata/generation").and_then(Value::as_i64)
        {
            meta::set(new, "generation", Some((generation + 1).into()));
        }
    }
    let wanted = match policy {
        "Foreground" => Some(FOREGROUND),
        "Orphan" => Some(ORPHAN),
        _ => None,
    };
    if !policy.is_empty() {
        let mut finalizers: Vec<String> = meta::list(new, "finalizers")
            .into_iter()
            .filter(|f| !matches!(*f, FOREGROUND | ORPHAN))
            .map(str::to_owned)
            .collect();
        finalizers.extend(wanted.map(str::to_owned));
        meta::set(new, "finalizers", (!finalizers.is_empty()).then(|| json!(finalizers)));
    }
    if resource.is("", "namespaces") {
        new["status"]["phase"] = "Terminating".into();
    }
    if !already && resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
        super::super::registry::crd::terminating(new);
    }
}
