//! The state of a server and the path that every write takes.

use super::audit::Audit;
use super::auth::{Tokens, User};
use super::errors::{ApiError, ApiResult, Cause};
use super::fault::Faults;
use super::logs::LogSource;
use super::patch::fieldset::FieldSet;
use super::patch::managed::Manager;
use super::registry::{Registry, Resource, crd, defaults, validate};
use super::request::{Query, RequestInfo};
use super::schema::{self, decode};
use super::store::Store;
use super::{meta, read, write};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, RwLock};
use tokio_util::sync::CancellationToken;

/// Everything that requests share.
pub(crate) struct Server {
    pub(crate) store: Mutex<Store>,
    registry: RwLock<Arc<Registry>>,
    pub(crate) tokens: Tokens,
    pub(crate) audit: Audit,
    pub(crate) faults: Faults,
    pub(crate) logs: RwLock<Option<Arc<dyn LogSource>>>,
    /// Base and prefix length of the addresses of Services.
    pub(crate) service_range: (Ipv4Addr, u8),
    /// Addresses of that range that are never given away.
    pub(crate) reserved: Vec<String>,
    pub(crate) ca: String,
    pub(crate) shutdown: CancellationToken,
}

/// One request to a resource, authenticated and parsed.
pub(crate) struct Context {
    pub(crate) info: RequestInfo,
    pub(crate) query: Query,
    pub(crate) user: User,
    pub(crate) resource: Arc<Resource>,
}

/// What a write came to.
pub(crate) struct Outcome {
    pub(crate) code: u16,
    pub(crate) object: Arc<Value>,
    pub(crate) changed: bool,
    /// Texts for `Warning` headers.
    pub(crate) warnings: Vec<String>,
}

impl Context {
    pub(crate) fn namespace(&self) -> &str {
        if self.resource.namespaced { &self.info.namespace } else { "" }
    }

    pub(crate) fn storage(&self) -> &str {
        &self.resource.storage
    }

    pub(crate) fn not_found(&self, name: &str) -> ApiError {
        ApiError::not_found(&self.resource.group, &self.resource.plural, name)
    }

    pub(crate) fn modified(&self, name: &str) -> ApiError {
        ApiError::modified(&self.resource.group, &self.resource.plural, name)
    }

    pub(crate) fn invalid(&self, name: &str, causes: Vec<Cause>) -> ApiError {
        // Events of both groups are one kind, of the core group.
        let group = if self.resource.kind == "Event" { "" } else { &self.resource.group };
        ApiError::invalid(group, &self.resource.kind, name, causes)
    }

    /// Who owns what this request writes.
    pub(crate) fn manager(&self, operation: &str) -> Manager {
        let asked = self.query.get("fieldManager");
        let agent = self.info.user_agent.split('/').next().unwrap_or_default();
        let name = if asked.is_empty() { agent } else { asked };
        let name = if name.is_empty() { "unknown" } else { name };
        Manager {
            name: name.chars().take(128).collect(),
            operation: operation.to_owned(),
            api_version: self.resource.api_version(),
            subresource: self.info.subresource.clone(),
        }
    }

    /// Fields that a write through this endpoint cannot own.
    pub(crate) fn ignored(&self) -> FieldSet {
        let mut set = FieldSet::default();
        if self.info.subresource == "status" {
            set.insert(&["f:spec"]);
            if self.resource.custom.is_some() {
                set.insert(&["f:metadata"]);
            }
        } else if self.resource.has_status {
            set.insert(&["f:status"]);
        }
        set
    }
}

impl Server {
    pub(crate) fn new(
        store: Store,
        registry: Registry,
        tokens: Tokens,
        ca: String,
        service_range: (Ipv4Addr, u8),
        reserved: Vec<String>,
    ) -> Self {
        Self {
            store: Mutex::new(store),
            registry: RwLock::new(Arc::new(registry)),
            tokens,
            audit: Audit::default(),
            faults: Faults::default(),
            logs: RwLock::new(None),
            service_range,
            reserved,
            ca,
            shutdown: CancellationToken::new(),
        }
    }

    pub(crate) fn registry(&self) -> Arc<Registry> {
        read(&self.registry).clone()
    }

    /// Builds the registry anew from the stored definitions. Schemas that did not change are compiled again:
    /// definitions change seldom.
    pub(crate) fn refresh(&self, store: &Store) {
        let mut registry = Registry::builtin();
        for definition in store.list(CRDS, None) {
            if definition.pointer("/status/conditions").is_some() {
                crd::resources(definition).into_iter().for_each(|r| registry.add(r));
            }
        }
        *write(&self.registry) = Arc::new(registry);
    }

    /// Decodes, prunes and defaults an object as it comes in.
    ///
    /// # Errors
    /// Bad request for what cannot be decoded, or for unknown fields where validation is strict.
    pub(crate) fn normalise(&self, ctx: &Context, object: &mut Value) -> ApiResult<Vec<String>> {
        let resource = &ctx.resource;
        object["apiVersion"] = resource.api_version().into();
        object["kind"] = resource.kind.clone().into();
        let cannot = |why: String| {
            let (version, kind) = (&resource.version, &resource.kind);
            ApiError::bad_request(format!(
                "{kind} in version \"{version}\" cannot be handled as a {kind}: {why}"
            ))
        };
        let unknown = if let Some(custom) = &resource.custom {
            let _ = custom;
            let mut unknown = decode::prune(object, &resource.schema);
            let mut metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
            let found = decode::decode(&mut metadata, resource.schema.child("metadata")).map_err(cannot)?;
            unknown.extend(found.into_iter().map(|f| format!("metadata.{f}")));
            object["metadata"] = metadata;
            unknown
        } else {
            decode::decode(object, &resource.schema).map_err(cannot)?
        };
        schema::defaults::apply(object, &resource.schema);
        if resource.custom.is_none() {
            defaults::apply(resource, object);
        }
        let texts: Vec<String> = unknown.iter().map(|f| format!("unknown field \"{f}\"")).collect();
        match ctx.query.get("fieldValidation") {
            "Strict" if !texts.is_empty() => {
                let kind = &resource.kind;
                let version = &resource.version;
                Err(ApiError::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {}",
                    texts.join(", ")
                )))
            }
            "Ignore" => Ok(Vec::new()),
            _ => Ok(texts),
        }
    }

    pub(crate) fn check(&self, ctx: &Context, object: &Value, old: Option<&Value>) -> ApiResult<()> {
        let mut causes = if old.is_none() {
            validate::metadata(&ctx.resource, object)
        } else {
            validate::changed_metadata(object)
        };
        if let Some(custom) = &ctx.resource.custom {
            causes.extend(schema::validate::check(object, &ctx.resource.schema));
            if !causes.iter().any(|cause| KEEPS_FROM_RULES.contains(&cause.reason)) {
                causes.extend(custom.rules.check(object, old));
            } else if custom.rules.any() {
                let why = "some validation rules were not checked because the object was invalid; correct the \
                           existing errors to complete validation";
                causes.push(Cause::new("FieldValueInvalid", "<nil>", format!("Invalid value: null: {why}")));
            }
        } else {
            causes.extend(validate::object(&ctx.resource, object, old));
        }
        if causes.is_empty() { Ok(()) } else { Err(ctx.invalid(meta::name(object), causes)) }
    }
}

/// Faults with which rules are not asked: they could not rely on the values.
const KEEPS_FROM_RULES: &[&str] = &[
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
];

/// Where definitions are stored.
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";
