//! The path that every write takes: create, update, apply; what each keeps of the stored object; who owns what.

use super::errors::{ApiError, ApiResult, Cause};
use super::patch::fieldset::FieldSet;
use super::patch::managed::{ManagedFields, Manager, Write, note_applied};
use super::rbac::{self, Attributes};
use super::registry::{Resource, crd, defaults};
use super::server::{Context, Outcome, Server};
use super::store::Store;
use super::{lock, meta};
use serde_json::{Value, json};
use std::sync::Arc;

impl Server {
    /// Creates an object. With `apply`, its fields belong to an applying manager.
    pub(crate) fn create(&self, ctx: &Context, mut object: Value, apply: bool) -> ApiResult<Outcome> {
        let resource = &ctx.resource;
        if resource.custom.as_ref().is_some_and(|c| c.terminating) {
            let why = "create not allowed while custom resource definition is terminating";
            return Err(ApiError::forbidden(&resource.group, &resource.plural, meta::name(&object), why));
        }
        same_type(resource, &object)?;
        let sent = object.clone();
        let metadata = meta::metadata(&mut object);
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "selfLink",
            "managedFields",
        ] {
            metadata.remove(field);
        }
        if !meta::text(&sent, "resourceVersion").is_empty() && meta::version(&sent) != 0 {
            return Err(ApiError::new(500, "", "resourceVersion should not be set on objects to be created"));
        }
        if resource.namespaced {
            let given = meta::namespace(&object).to_owned();
            if !given.is_empty() && given != ctx.info.namespace {
                return Err(ApiError::bad_request(
                    "the namespace of the provided object does not match the namespace sent on the request",
                ));
            }
            meta::set(&mut object, "namespace", Some(ctx.info.namespace.clone().into()));
        } else {
            meta::set(&mut object, "namespace", None);
        }
        if meta::name(&object).is_empty() && !meta::text(&object, "generateName").is_empty() {
            let prefix: String = meta::text(&object, "generateName").chars().take(58).collect();
            let name = format!("{prefix}{}", meta::name_suffix());
            meta::set(&mut object, "name", Some(name.into()));
        }
        if resource.has_status && !resource.is("", "namespaces") {
            meta::as_map(&mut object).remove("status");
        }
        let warnings = self.normalise(ctx, &mut object)?;
        let name = meta::name(&object).to_owned();
        let dry_run = ctx.query.dry_run(ctx.info.options())?;

        let mut store = lock(&self.store);
        if resource.namespaced {
            namespace_open(&store, resource, &ctx.info.namespace, &name)?;
        }
        meta::set(&mut object, "uid", Some(meta::new_uid().into()));
        self.admit_create(&store, resource, &mut object)?;
        self.check(ctx, &object, None)?;
        if store.get(ctx.storage(), ctx.namespace(), &name).is_some() {
            return Err(ApiError::already_exists(&resource.group, &resource.plural, &name));
        }
        rbac::guard(&store, &ctx.user, resource, &object, None)?;
        let now = meta::now();
        meta::set(&mut object, "creationTimestamp", Some(now.clone().into()));
        // Kinds without generations keep what the client says of one.
        if resource.has_generation {
            meta::set(&mut object, "generation", Some(json!(1)));
        }
        let mut managers = ManagedFields::default();
        let manager = ctx.manager(if apply { "Apply" } else { "Update" });
        let write = Write { schema: &resource.schema, manager: &manager, ignored: &ctx.ignored(), now: &now };
        if apply {
            managers.apply(&json!({}), &owned(sent), true, &write)?;
        } else {
            managers.update(&defaults::with_skeleton(resource, &json!({})), &object, &write);
        }
        managers.store(&mut object);
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
            object["status"] = crd::status(&object);
        }
        if dry_run {
            return Ok(Outcome { code: 201, object: Arc::new(object), changed: false, warnings });
        }
        let object = store.put(ctx.storage(), object);
        self.after_write(&mut store, resource);
        Ok(Outcome { code: 201, object, changed: true, warnings })
    }

    /// Changes an object: `change` makes the new one from the stored one, before decoding and defaulting.
    pub(crate) fn update(
        &self,
        ctx: &Context,
        change: impl FnOnce(&Value) -> ApiResult<Value>,
    ) -> ApiResult<Outcome> {
        let mut store = lock(&self.store);
        let old = store
            .get(ctx.storage(), ctx.namespace(), &ctx.info.name)
            .ok_or_else(|| ctx.not_found(&ctx.info.name))?;
        let new = change(&old)?;
        let now = meta::now();
        self.replace(ctx, &mut store, &old, new, |old, new, sent| {
            let mut managers = ManagedFields::sent(sent).unwrap_or_else(|| ManagedFields::of(old));
            let old = defaults::with_skeleton(&ctx.resource, old);
            let schema = &ctx.resource.schema;
            let manager = ctx.manager("Update");
            managers.update(
                &old,
                new,
                &Write { schema, manager: &manager, ignored: &ctx.ignored(), now: &now },
            );
            Ok(managers)
        })
    }

    /// Replaces an object as a whole. Some kinds must say which version they replace, and some are created when
    /// they are not there.
    pub(crate) fn put(&self, ctx: &Context, object: Value) -> ApiResult<Outcome> {
        let resource = &ctx.resource;
        let upserts =
            matches!(resource.qualified().as_str(), "leases.coordination.k8s.io" | "endpoints" | "events");
        if upserts && ctx.info.subresource.is_empty() {
            let found = lock(&self.store).get(ctx.storage(), ctx.namespace(), &ctx.info.name);
            if found.is_none() {
                let mut attributes = Attributes::of(&ctx.info, None);
                attributes.verb = "create".to_owned();
                rbac::authorize(&lock(&self.store), &ctx.user, &attributes)?;
                return self.create(ctx, object, false);
            }
        }
        let conditional = resource.custom.is_some()
            || matches!(
                resource.qualified().as_str(),
                "leases.coordination.k8s.io"
                    | "customresourcedefinitions.apiextensions.k8s.io"
                    | "poddisruptionbudgets.policy"
            );
        self.update(ctx, |_| {
            if conditional && meta::version(&object) == 0 {
                let why = "must be specified for an update";
                let cause = Cause::invalid("metadata.resourceVersion", &json!(0), why);
                // This check knows the resource and not its kind.
                return Err(ApiError::invalid(
                    &resource.group,
                    &resource.plural,
                    &ctx.info.name,
                    vec![cause],
                ));
            }
            Ok(object)
        })
    }

    /// Server-side apply.
    pub(crate) fn apply(&self, ctx: &Context, config: Value) -> ApiResult<Outcome> {
        let force = ctx.query.flag("force");
        if ctx.query.get("fieldManager").is_empty() {
            let cause = Cause::required("fieldManager", "is required for apply patch");
            return Err(ApiError::options("PatchOptions", vec![cause]));
        }
        same_type(&ctx.resource, &config)?;
        if config.get("kind").is_none() || config.get("apiVersion").is_none() {
            let text = |field: &str| config.get(field).and_then(Value::as_str).unwrap_or_default();
            let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
            let message = format!("invalid object type: {group}/{version}, Kind={}", text("kind"));
            return Err(ApiError::bad_request(message));
        }
        if config.pointer("/metadata/managedFields").and_then(Value::as_array).is_some_and(|l| !l.is_empty())
        {
            return Err(ApiError::bad_request("metadata.managedFields must be nil"));
        }
        named(ctx, &config)?;
        let mut config = config;
        meta::set(&mut config, "name", Some(ctx.info.name.clone().into()));
        if let Some(fault) = super::patch::apply::fault(&config, &ctx.resource.schema, "") {
            let (resource, name) = (&ctx.resource, &ctx.info.name);
            let message = format!(
                "failed to create typed patch object ({}/{name}; {}, Kind={}): {fault}",
                meta::namespace(&config),
                resource.api_version(),
                resource.kind
            );
            return Err(ApiError::new(500, "", message));
        }
        let exists = lock(&self.store).get(ctx.storage(), ctx.namespace(), &ctx.info.name).is_some();
        if !exists {
            if !ctx.info.subresource.is_empty() {
                return Err(ctx.not_found(&ctx.info.name));
            }
            if !meta::uid(&config).is_empty() {
                let uid = meta::uid(&config);
                let why = format!(
                    "uid mismatch: the provided object specified uid {uid}, and no existing object was found"
                );
                let (group, plural) = (&ctx.resource.group, &ctx.resource.plural);
                return Err(ApiError::conflict(group, plural, &ctx.info.name, &why));
            }
            let mut attributes = Attributes::of(&ctx.info, None);
            attributes.verb = "create".to_owned();
            rbac::authorize(&lock(&self.store), &ctx.user, &attributes)?;
            match self.create(ctx, config.clone(), true) {
                Err(error) if error.reason == "AlreadyExists" => {}
                outcome => return outcome,
            }
        }
        let mut store = lock(&self.store);
        let old = store
            .get(ctx.storage(), ctx.namespace(), &ctx.info.name)
            .ok_or_else(|| ctx.not_found(&ctx.info.name))?;
        let config = owned(config);
        let mut managers = ManagedFields::of(&old);
        let manager = ctx.manager("Apply");
        let now = meta::now();
        let schema = &ctx.resource.schema;
        let write = Write { schema, manager: &manager, ignored: &ctx.ignored(), now: &now };
        let mut merged = managers.apply(&old, &config, force, &write)?;
        note_applied(&manager, &config, &mut merged);
        if let Some(version) = config.pointer("/metadata/resourceVersion") {
            merged["metadata"]["resourceVersion"] = version.clone();
        }
        self.replace(ctx, &mut store, &old, merged, |_, _, _| Ok(managers))
    }

    fn replace(
        &self,
        ctx: &Context,
        store: &mut Store,
        old: &Arc<Value>,
        mut new: Value,
        managers: impl FnOnce(&Value, &Value, &Value) -> ApiResult<ManagedFields>,
    ) -> ApiResult<Outcome> {
        let resource = &ctx.resource;
        // A patch of what is stored in another version.
        if resource.custom.is_some() && new["apiVersion"] == old["apiVersion"] {
            new["apiVersion"] = resource.api_version().into();
        }
        same_type(resource, &new)?;
        named(ctx, &new)?;
        let name = meta::name(old).to_owned();
        let uid = meta::uid(&new).to_owned();
        if !uid.is_empty() && uid != meta::uid(old) && ctx.info.verb == "patch" {
            let cause = Cause::invalid("metadata.uid", &json!(uid), "field is immutable");
            return Err(ctx.invalid(&name, vec![cause]));
        }
        if !uid.is_empty() && uid != meta::uid(old) {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                meta::uid(old)
            );
            return Err(ApiError::conflict(&resource.group, &resource.plural, &name, &why));
        }
        let version = meta::text(&new, "resourceVersion");
        if !version.is_empty() && version != "0" && version != meta::text(old, "resourceVersion") {
            return Err(ctx.modified(&name));
        }
        let sent = new.clone();
        subresource(ctx, old, &mut new);
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "generation",
            "selfLink",
            "name",
            "namespace",
            "generateName",
            "managedFields",
        ] {
            meta::set(&mut new, field, old["metadata"].get(field).cloned());
        }
        let warnings = self.normalise(ctx, &mut new).map_err(|error| of_patch(ctx, error))?;
        self.admit_update(store, resource, &mut new, old)?;
        if meta::is_deleting(old) {
            let had = meta::list(old, "finalizers");
            let added: Vec<&str> =
                meta::list(&new, "finalizers").into_iter().filter(|f| !had.contains(f)).collect();
            if !added.is_empty() {
                let why = format!(
                    "no new finalizers can be added if the object is being deleted, found new finalizers \
                     []string{{{}}}",
                    added.iter().map(|f| format!("{f:?}")).collect::<Vec<_>>().join(", ")
                );
                return Err(ctx.invalid(&name, vec![Cause::forbidden("metadata.finalizers", why)]));
            }
        }
        if resource.has_generation && ctx.info.subresource != "status" && spec_changed(old, &new) {
            let generation = old.pointer("/metadata/generation").and_then(Value::as_i64).unwrap_or(0);
            meta::set(&mut new, "generation", Some(json!(generation + 1)));
        }
        if ctx.info.subresource != "status" || resource.custom.is_some() {
            self.check(ctx, &new, Some(old))?;
        }
        rbac::guard(store, &ctx.user, resource, &new, Some(old))?;
        managers(old, &new, &sent)?.store(&mut new);
        if resource.custom.is_some() {
            new["apiVersion"] = old["apiVersion"].clone();
        }
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") && ctx.info.subresource.is_empty()
        {
            new["status"] = crd::status(&new);
        }
        let dry_run = ctx.query.dry_run(ctx.info.options())?;
        if new == **old {
            return Ok(Outcome { code: 200, object: old.clone(), changed: false, warnings });
        }
        if dry_run {
            return Ok(Outcome { code: 200, object: Arc::new(new), changed: false, warnings });
        }
        let object = store.put(ctx.storage(), new);
        let object = finish_deletion(store, resource, object);
        self.after_write(store, resource);
        Ok(Outcome { code: 200, object, changed: true, warnings })
    }

    /// A change that the control plane makes by itself, owned by its manager.
    pub(crate) fn control(&self, store: &mut Store, resource: &Resource, old: &Value, mut new: Value) {
        let mut managers = ManagedFields::of(old);
        let manager = Manager {
            name: "kube-controller-manager".to_owned(),
            operation: "Update".to_owned(),
            api_version: resource.api_version(),
            subresource: String::new(),
        };
        let (ignored, now) = (FieldSet::default(), meta::now());
        let schema = &resource.schema;
        managers.update(old, &new, &Write { schema, manager: &manager, ignored: &ignored, now: &now });
        managers.store(&mut new);
        if new != *old {
            let object = store.put(&resource.storage, new);
            finish_deletion(store, resource, object);
            self.after_write(store, resource);
        }
    }

    /// Follow-up of a write in the same critical section.
    pub(crate) fn after_write(&self, store: &mut Store, resource: &Resource) {
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
            self.refresh(store);
            let custom: Vec<String> = self.registry().custom_storages();
            custom.iter().for_each(|storage| store.begin(storage));
        }
    }
}

/// The configuration as it is owned: without what the server sets.
fn owned(mut config: Value) -> Value {
    let metadata = meta::metadata(&mut config);
    for field in ["managedFields", "creationTimestamp", "selfLink", "generation"] {
        metadata.remove(field);
    }
    config
}

fn same_type(resource: &Resource, object: &Value) -> ApiResult<()> {
    if !object.is_object() {
        return Err(ApiError::bad_request("the request's body is not an object"));
    }
    for field in ["kind", "apiVersion"] {
        if object.get(field).is_some_and(|found| !found.is_string() && !found.is_null()) {
            let why = format!("couldn't get version/kind; json parse error: {field} is no string");
            return Err(ApiError::bad_request(why));
        }
    }
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if !kind.is_empty() && kind != resource.kind {
        return Err(ApiError::bad_request(format!(
            "{kind} in version \"{version}\" cannot be handled as a {}",
            resource.kind
        )));
    }
    if !version.is_empty() && version != resource.api_version() {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({})",
            resource.api_version()
        )));
    }
    Ok(())
}

fn named(ctx: &Context, object: &Value) -> ApiResult<()> {
    let name = meta::name(object);
    if !name.is_empty() && name != ctx.info.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            ctx.info.name
        )));
    }
    let namespace = meta::namespace(object);
    if ctx.resource.namespaced && !namespace.is_empty() && namespace != ctx.info.namespace {
        return Err(ApiError::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        ));
    }
    Ok(())
}

/// A patched object that cannot be decoded is a fault of the patch.
fn of_patch(ctx: &Context, error: ApiError) -> ApiError {
    if ctx.info.verb != "patch" || ctx.resource.custom.is_some() || error.code != 400 {
        return error;
    }
    let why = error
        .message
        .split_once("cannot be handled as a ")
        .map_or(error.message.as_str(), |(_, why)| why.split_once(": ").map_or(why, |(_, why)| why));
    ApiError::invalid("", "", "", vec![Cause::invalid("patch", &Value::Null, why)])
}

/// Takes over from the stored object what the endpoint cannot change.
fn subresource(ctx: &Context, old: &Value, new: &mut Value) {
    let mut keep = |field: &str| {
        let map = meta::as_map(new);
        match old.get(field) {
            Some(value) => map.insert(field.to_owned(), value.clone()),
            None => map.remove(field),
        };
    };
    if ctx.info.subresource == "status" {
        let fields: Vec<String> = old.as_object().into_iter().flatten().map(|(k, _)| k.clone()).collect();
        for field in fields.iter().filter(|f| *f != "status" && *f != "metadata") {
            keep(field);
        }
        if ctx.resource.custom.is_some() {
            keep("metadata");
        }
    } else if ctx.resource.has_status && ctx.info.subresource.is_empty() {
        keep("status");
    }
}

/// Whether anything but metadata and status differs.
fn spec_changed(old: &Value, new: &Value) -> bool {
    let fields = |object: &Value| {
        let mut map = object.as_object().cloned().unwrap_or_default();
        ["metadata", "status", "apiVersion", "kind"].iter().for_each(|f| {
            map.remove(*f);
        });
        map
    };
    fields(old) != fields(new)
}

/// Removes an object whose deletion waited for a finalizer that is gone now.
pub(crate) fn finish_deletion(store: &mut Store, resource: &Resource, object: Arc<Value>) -> Arc<Value> {
    let waits =
        object.pointer("/metadata/deletionGracePeriodSeconds").and_then(Value::as_i64).unwrap_or(0) > 0;
    let held = resource.is("", "namespaces")
        && object.pointer("/spec/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
    if !meta::is_deleting(&object) || waits || held || !meta::list(&object, "finalizers").is_empty() {
        return object;
    }
    let (namespace, name) = (meta::namespace(&object).to_owned(), meta::name(&object).to_owned());
    store.remove(&resource.storage, &namespace, &name).unwrap_or(object)
}

/// Refuses to create in a namespace that is missing or going away.
fn namespace_open(store: &Store, resource: &Resource, namespace: &str, name: &str) -> ApiResult<()> {
    let Some(found) = store.get("namespaces", "", namespace) else {
        return Err(ApiError::not_found("", "namespaces", namespace));
    };
    if !meta::is_deleting(&found) {
        return Ok(());
    }
    let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut error = ApiError::forbidden(&resource.group, &resource.plural, name, &why);
    if let Some(details) = &mut error.details {
        details["causes"] = json!([{
            "reason": "NamespaceTerminating",
            "message": format!("namespace {namespace} is being terminated"),
            "field": "metadata.namespace",
        }]);
    }
    Err(error)
}
