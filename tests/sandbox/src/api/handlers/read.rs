//! Get and list.

use super::super::errors::{ApiError, ApiResult};
use super::super::schema::{decode, defaults};
use super::super::selector::Selector;
use super::super::server::{Context, Server};
use super::super::table::Include;
use super::super::{lock, meta};
use super::json as json_response;
use axum::body::Body;
use axum::http::{HeaderMap, Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::sync::Arc;

/// What of an object a client wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum View {
    Full,
    Table,
    Metadata,
}

/// The form in which a client wants an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) view: View,
    /// YAML instead of JSON.
    pub(crate) yaml: bool,
}

const ACCEPTED: &str = "only the following media types are accepted: application/json, application/yaml, \
                        application/vnd.kubernetes.protobuf";

/// The first form in `Accept` that is served.
///
/// # Errors
/// Not acceptable, when there is none, or when it is one for lists and this is none, or the other way round.
pub(crate) fn form(ctx: &Context, headers: &HeaderMap) -> ApiResult<Form> {
    let accept = super::text(headers, header::ACCEPT);
    let list = ctx.info.verb == "list";
    let full = |yaml| Ok(Form { view: View::Full, yaml });
    if accept.is_empty() {
        return full(false);
    }
    for part in accept.split(',') {
        let part = part.replace(' ', "");
        let mut parameters = part.split(';');
        let yaml = match parameters.next().unwrap_or_default() {
            "application/json" | "*/*" | "application/*" => false,
            "application/yaml" => true,
            _ => continue,
        };
        let parameter = parameters.find_map(|p| p.strip_prefix("as="));
        let view = match parameter {
            None => return full(yaml),
            Some("Table") => View::Table,
            Some(wanted @ ("PartialObjectMetadata" | "PartialObjectMetadataList")) => {
                let kind = &ctx.resource.kind;
                match (list, wanted == "PartialObjectMetadataList") {
                    (true, false) => {
                        return Err(ApiError::not_acceptable(format!(
                            "you requested {wanted}, but the requested object is a list (*core.{kind}List)"
                        )));
                    }
                    (false, true) if ctx.info.verb == "get" => {
                        return Err(ApiError::not_acceptable(format!(
                            "you requested {wanted}, but the requested object is not a list (*core.{kind})"
                        )));
                    }
                    _ => View::Metadata,
                }
            }
            Some(_) => continue,
        };
        return Ok(Form { view, yaml });
    }
    // A log is text, and a client that asks for protobuf alone gets JSON, which it can read as well.
    if accept.contains(super::super::protobuf::MEDIA_TYPE) || !ctx.info.subresource.is_empty() {
        return full(false);
    }
    Err(ApiError::not_acceptable(ACCEPTED))
}

/// An object in its served version.
pub(crate) fn served(ctx: &Context, object: &Value) -> Value {
    let mut object = super::super::registry::defaults::events_out(&ctx.resource, object.clone());
    object["apiVersion"] = ctx.resource.api_version().into();
    if let Some(custom) = &ctx.resource.custom {
        // What is stored may be from before the schema's last change, or of another version: it has the defaults of
        // the version in which it is stored, and the fields of the one that is asked for.
        defaults::apply(&mut object, custom.stored.as_ref().unwrap_or(&ctx.resource.schema));
        decode::prune(&mut object, &ctx.resource.schema);
    }
    object
}

/// Only type and metadata.
pub(crate) fn metadata_only(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
        "metadata": object.get("metadata").cloned().unwrap_or_default(),
    })
}

/// One object in the form that the client wants.
pub(crate) fn object_response(ctx: &Context, form: Form, code: u16, object: &Value) -> Response<Body> {
    let object = served(ctx, object);
    match form.view {
        View::Full if form.yaml => yaml_response(code, &object),
        View::Full => json_response(code, &object),
        View::Metadata => json_response(code, &metadata_only(&object)),
        View::Table => {
            let version = meta::text(&object, "resourceVersion").to_owned();
            let metadata = json!({"resourceVersion": version});
            let include = Include::of(ctx.query.get("includeObject"));
            json_response(code, &super::super::table::of(&ctx.resource, &[&object], metadata, true, include))
        }
    }
}

fn yaml_response(code: u16, object: &Value) -> Response<Body> {
    let mut response = json_response(code, object);
    // What came in as JSON can be written as YAML.
    *response.body_mut() = Body::from(serde_saphyr::to_string(object).unwrap_or_default());
    let kind = header::HeaderValue::from_static("application/yaml");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

pub(super) fn get(server: &Server, ctx: &Context, form: Form) -> ApiResult<Response<Body>> {
    let found = lock(&server.store).get(&ctx.resource.storage, ctx.namespace(), &ctx.info.name);
    let object = found.ok_or_else(|| ctx.not_found(&ctx.info.name))?;
    Ok(object_response(ctx, form, 200, &object))
}

/// Selectors of a list or watch request.
pub(crate) fn selector(ctx: &Context) -> ApiResult<Selector> {
    let selector =
        Selector::parse(ctx.query.get("labelSelector"), ctx.query.get("fieldSelector"), &ctx.resource)?;
    Ok(if ctx.info.name.is_empty() { selector } else { selector.with_name(&ctx.info.name) })
}

/// The namespace that a collection is limited to.
pub(crate) fn scope(ctx: &Context) -> Option<&str> {
    (ctx.resource.namespaced && !ctx.info.namespace.is_empty()).then_some(ctx.info.namespace.as_str())
}

/// Where a limited list goes on.
struct Continue {
    version: u64,
    after: (String, String),
}

impl Continue {
    fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!({"v": self.version, "ns": self.after.0, "n": self.after.1}).to_string())
    }

    fn decode(token: &str) -> Option<Self> {
        let value: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self { version: value.get("v")?.as_u64()?, after: (text("ns")?, text("n")?) })
    }
}

pub(super) fn list(server: &Server, ctx: &Context, form: Form) -> ApiResult<Response<Body>> {
    let selector = selector(ctx)?;
    let token = ctx.query.get("continue");
    let limit = ctx.query.number("limit").filter(|l| *l > 0).map_or(usize::MAX, |l| l as usize);
    let wanted = ctx.query.get("resourceVersion");
    let matching = ctx.query.get("resourceVersionMatch");
    if !token.is_empty() && !matches!(wanted, "" | "0") {
        let why = "specifying resource version is not allowed when using continue";
        return Err(ApiError::bad_request(why));
    }
    let mut page: Vec<Arc<Value>> = Vec::new();
    let mut rest = 0_u64;
    let mut exact = None;
    let (version, more) = {
        let store = lock(&server.store);
        let start = match token {
            "" => None,
            token => Some(Continue::decode(token).ok_or_else(|| {
                ApiError::bad_request("continue key is not valid: encoded continue token is not valid")
            })?),
        };
        if !wanted.is_empty() {
            let wanted: u64 = wanted.parse().map_err(|_| {
                ApiError::bad_request(format!(
                    "invalid resource version: resourceVersion: Invalid value: {wanted:?}: strconv.ParseUint: \
                     parsing {wanted:?}: invalid syntax"
                ))
            })?;
            if wanted > store.version() {
                let mut error = ApiError::new(
                    504,
                    "Timeout",
                    format!("Too large resource version: {wanted}, current: {}", store.version()),
                );
                error.details = Some(json!({
                    "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                    "retryAfterSeconds": 1,
                }));
                error.retry_after = Some(1);
                return Err(error);
            }
            if matching == "Exact" {
                exact = Some(wanted);
            }
        }
        let at = start.as_ref().map(|s| s.version).or(exact).unwrap_or(store.version());
        let objects: Vec<Arc<Value>> = if at == store.version() {
            store.list(&ctx.resource.storage, scope(ctx)).cloned().collect()
        } else {
            let too_old = if start.is_some() {
                "The provided continue parameter is too old to display a consistent list result. You can start a \
                 new list without the continue parameter."
                    .to_owned()
            } else {
                format!("The resourceVersion for the provided list is too old: {at}")
            };
            store.list_at(&ctx.resource.storage, scope(ctx), at).ok_or_else(|| ApiError::gone(too_old))?
        };
        let after = start.as_ref().map(|s| &s.after);
        for object in &objects {
            let passed = after.is_some_and(|a| {
                (a.0.as_str(), a.1.as_str()) >= (meta::namespace(object), meta::name(object))
            });
            if passed || !selector.matches(object) {
                continue;
            }
            if page.len() == limit {
                rest += 1;
                continue;
            }
            page.push(object.clone());
        }
        let version = at;
        let more = (rest > 0)
            .then(|| page.last().map(|l| (meta::namespace(l).to_owned(), meta::name(l).to_owned())))
            .flatten()
            .map(|after| Continue { version, after }.encode());
        (version, more)
    };
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if let Some(token) = more {
        metadata["continue"] = token.into();
        if selector.is_empty() {
            metadata["remainingItemCount"] = rest.into();
        }
    }
    let objects: Vec<Value> = page.iter().map(|o| served(ctx, o)).collect();
    let body = match form.view {
        View::Table => {
            let objects: Vec<&Value> = objects.iter().collect();
            let include = Include::of(ctx.query.get("includeObject"));
            super::super::table::of(&ctx.resource, &objects, metadata, true, include)
        }
        View::Metadata => json!({
            "kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
            "items": objects.iter().map(metadata_only).collect::<Vec<_>>(),
        }),
        View::Full => {
            let items: Vec<Value> = objects
                .into_iter()
                .map(|mut object| {
                    // Items of built-in lists carry no type, those of custom resources do.
                    if ctx.resource.custom.is_none()
                        && let Some(map) = object.as_object_mut()
                    {
                        map.remove("apiVersion");
                        map.remove("kind");
                    }
                    object
                })
                .collect();
            json!({
                "kind": ctx.resource.list_kind, "apiVersion": ctx.resource.api_version(),
                "metadata": metadata, "items": items,
            })
        }
    };
    Ok(if form.yaml { yaml_response(200, &body) } else { json_response(200, &body) })
}
