//! From an HTTP request to an answer.

pub(crate) mod delete;
mod discovery;
mod options;
pub(crate) mod read;
mod special;
mod watch;

pub(crate) use read::{Form, metadata_only};

use super::auth::User;
use super::errors::{ApiError, ApiResult};
use super::fault::Fault;
use super::patch;
use super::rbac::{self, Attributes};
use super::request::{Query, RequestInfo, parse};
use super::server::{Context, Outcome, Server};
use super::{lock, meta};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::Value;
use std::sync::Arc;

/// Largest body, as in the API server.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// Closes the connection that a request came over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Connection(pub(crate) tokio_util::sync::CancellationToken);

/// Answer and whether anything was changed.
pub(crate) struct Answer {
    pub(crate) response: Response<Body>,
    pub(crate) changed: bool,
}

impl From<Response<Body>> for Answer {
    fn from(response: Response<Body>) -> Self {
        Self { response, changed: false }
    }
}

/// Handles one request from its first byte to the start of its answer.
pub(crate) async fn handle(server: Arc<Server>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let mut info = parse(&parts.method, parts.uri.path(), &query);
    info.dry_run = query.dry_run(info.options()).unwrap_or(false);
    info.user_agent = text(&parts.headers, header::USER_AGENT).to_owned();
    info.parameters = query.names();
    info.content_type = text(&parts.headers, header::CONTENT_TYPE).to_owned();
    info.accept = text(&parts.headers, header::ACCEPT).to_owned();
    let user = server.authenticate(&parts.headers);
    info.user = user.as_ref().map_or_else(|| "system:anonymous".to_owned(), |u| u.name.clone());
    let connection = parts.extensions.get::<Connection>().cloned().unwrap_or_default();

    if let Some(fault) = server.faults.before(&info)
        && let Some(response) = suffer(fault, &connection).await
    {
        server.audit.record(info, response.as_ref().map_or(0, |r| r.status().as_u16()), false);
        return match response {
            Some(response) => response,
            None => std::future::pending().await,
        };
    }
    let result = match axum::body::to_bytes(body, MAX_BODY).await {
        Err(_) => Err(too_large()),
        Ok(bytes) => dispatch(&server, user, info.clone(), query, &parts.method, &parts.headers, bytes).await,
    };
    let (response, changed) = match result {
        Ok(answer) => (answer.response, answer.changed),
        Err(error) => (failure(&error), false),
    };
    let code = response.status().as_u16();
    let fault = server.faults.after(&info, code, changed);
    server.audit.record(info, code, changed);
    match fault {
        None => response,
        Some(fault) => match suffer(fault, &connection).await {
            None => response,
            Some(Some(replaced)) => replaced,
            Some(None) => std::future::pending().await,
        },
    }
}

fn too_large() -> ApiError {
    ApiError::new(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {MAX_BODY}"))
}

/// What a fault makes of a request: `None` to go on, else an answer or none at all.
async fn suffer(fault: Fault, connection: &Connection) -> Option<Option<Response<Body>>> {
    match fault {
        Fault::Status { code, reason, message } => Some(Some(failure(&ApiError::new(code, reason, message)))),
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            None
        }
        Fault::Hang => Some(None),
        Fault::Drop => {
            connection.0.cancel();
            Some(None)
        }
    }
}

pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> &str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

/// An answer with a JSON body.
pub(crate) fn json(code: u16, value: &Value) -> Response<Body> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

fn failure(error: &ApiError) -> Response<Body> {
    let mut response = json(error.code, &error.status());
    if let Some(seconds) = error.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn plain(text: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(text.to_owned()));
    let value = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, value);
    response
}

async fn dispatch(
    server: &Arc<Server>,
    user: Option<User>,
    info: RequestInfo,
    query: Query,
    method: &Method,
    headers: &HeaderMap,
    body: Bytes,
) -> ApiResult<Answer> {
    if matches!(info.path.as_str(), "/healthz" | "/livez" | "/readyz") {
        return Ok(plain("ok").into());
    }
    let user = user.ok_or_else(ApiError::unauthorized)?;
    let user = rbac::impersonate(&lock(&server.store), user, headers)?;
    let info = RequestInfo { user: user.name.clone(), ..info };
    let selected = Query::field(&query, "metadata.name");
    rbac::authorize(&lock(&server.store), &user, &Attributes::of(&info, selected.as_deref()))?;
    if !info.is_resource() {
        return discovery::serve(server, &info, method, headers).map(Into::into);
    }
    let resource =
        server.registry().get(&info.group, &info.version, &info.resource).ok_or_else(|| absent(&info))?;
    let named_space = !info.namespace.is_empty();
    if !resource.namespaced && named_space && !resource.is("", "namespaces") {
        return Err(ApiError::no_resource());
    }
    if resource.namespaced && !named_space && !matches!(info.verb.as_str(), "list" | "watch") {
        return Err(ApiError::method_not_allowed());
    }
    let ctx = Context { info, query, user, resource };
    fits_path(&ctx)?;
    options::check(&ctx)?;
    let form = read::form(&ctx, headers)?;
    let special = !ctx.info.subresource.is_empty() || ctx.resource.create_only;
    if special && let Some(answer) = special::serve(server, &ctx, headers, &body)? {
        return Ok(answer);
    }
    match ctx.info.verb.as_str() {
        "get" => read::get(server, &ctx, form).map(Into::into),
        "list" => read::list(server, &ctx, form).map(Into::into),
        "watch" => watch::serve(server, &ctx, form).map(Into::into),
        "create" => {
            let object = read_body(headers, &body)?;
            written(&ctx, form, server.create(&ctx, incoming(&ctx, object), false)?)
        }
        "update" => {
            let object = incoming(&ctx, read_body(headers, &body)?);
            if meta::name(&object).is_empty() {
                let causes = vec![super::errors::Cause::required("metadata.name", "name must be provided")];
                return Err(ctx.invalid("", causes));
            }
            written(&ctx, form, server.put(&ctx, object)?)
        }
        "patch" => written(&ctx, form, patched(server, &ctx, headers, &body)?),
        "delete" => delete::one(server, &ctx, &body, headers, form),
        "deletecollection" => delete::many(server, &ctx, &body, headers),
        other => Err(ApiError::not_served(format!("{other} on {}", ctx.resource.qualified()))),
    }
}

/// A verb belongs to a collection or to one object.
fn fits_path(ctx: &Context) -> ApiResult<()> {
    let named = !ctx.info.name.is_empty();
    match ctx.info.verb.as_str() {
        "create" if named && ctx.info.subresource.is_empty() => Err(ApiError::method_not_allowed()),
        "update" | "patch" if !named => Err(ApiError::method_not_allowed()),
        _ => Ok(()),
    }
}

/// Groups and resources of a real cluster that are left out, beside those that nobody has heard of.
const LEFT_OUT: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "bindings",
            "componentstatuses",
            "limitranges",
            "podtemplates",
            "replicationcontrollers",
            "resourcequotas",
        ],
    ),
    ("admissionregistration.k8s.io", &[]),
    ("apiregistration.k8s.io", &[]),
    ("autoscaling", &[]),
    ("certificates.k8s.io", &[]),
    ("flowcontrol.apiserver.k8s.io", &[]),
    ("networking.k8s.io", &["ipaddresses", "servicecidrs"]),
    ("node.k8s.io", &[]),
    ("resource.k8s.io", &[]),
    ("storage.k8s.io", &["csidrivers", "csinodes", "csistoragecapacities", "volumeattachments"]),
];

/// The answer for a resource that is not in the registry.
fn absent(info: &RequestInfo) -> ApiError {
    let known = LEFT_OUT.iter().any(|(group, resources)| {
        *group == info.group && (resources.is_empty() || resources.contains(&info.resource.as_str()))
    });
    // kubectl asks for quotas and limits when it describes a namespace, and takes 404 for "none here".
    let asked_along =
        matches!(info.resource.as_str(), "limitranges" | "resourcequotas") && !info.is_mutating();
    if known && !asked_along {
        ApiError::not_served(super::errors::qualified(&info.group, &info.resource))
    } else {
        ApiError::no_resource()
    }
}

/// The stored form of an object that comes in.
pub(crate) fn incoming(ctx: &Context, object: Value) -> Value {
    super::registry::defaults::events_in(&ctx.resource, object)
}

/// Formats of bodies.
const BODIES: &[&str] = &["application/json", "application/yaml", super::protobuf::MEDIA_TYPE];

pub(crate) fn read_body(headers: &HeaderMap, body: &Bytes) -> ApiResult<Value> {
    let kind = text(headers, header::CONTENT_TYPE);
    if kind.starts_with(super::protobuf::MEDIA_TYPE) {
        return super::protobuf::decode(body).map_err(ApiError::bad_request);
    }
    if kind.contains("cbor") {
        return Err(unsupported(kind, BODIES));
    }
    if kind.contains("yaml") {
        return from_yaml(body);
    }
    if !kind.is_empty() && !kind.starts_with("application/json") {
        return Err(unsupported(kind, BODIES));
    }
    serde_json::from_slice(body).map(whole).map_err(|error| {
        ApiError::bad_request(format!("couldn't get version/kind; json parse error: {error}"))
    })
}

fn from_yaml(body: &Bytes) -> ApiResult<Value> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(whole(value));
    }
    let text =
        std::str::from_utf8(body).map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))?;
    serde_saphyr::from_str(text)
        .map(whole)
        .map_err(|e| ApiError::bad_request(format!("error decoding YAML: {e}")))
}

/// Numbers without a fraction are kept as integers: Go writes 1.0 as 1.
fn whole(mut value: Value) -> Value {
    match &mut value {
        Value::Object(map) => map.values_mut().for_each(|child| *child = whole(child.take())),
        Value::Array(items) => items.iter_mut().for_each(|child| *child = whole(child.take())),
        Value::Number(number) if number.is_f64() => {
            // Its own text is exact where a cast would not be.
            let text = number.as_f64().map(|float| format!("{float:.0}")).unwrap_or_default();
            let same = |integer: &i64| number.as_f64() == format!("{integer}").parse().ok();
            if let Some(integer) = text.parse::<i64>().ok().filter(same) {
                return integer.into();
            }
        }
        _ => {}
    }
    value
}

fn unsupported(found: &str, wanted: &[&str]) -> ApiError {
    let message = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        wanted.join(", ")
    );
    let _ = found;
    ApiError::new(415, "UnsupportedMediaType", message)
}

fn patched(server: &Server, ctx: &Context, headers: &HeaderMap, body: &Bytes) -> ApiResult<Outcome> {
    let kind = text(headers, header::CONTENT_TYPE).split(';').next().unwrap_or_default().trim().to_owned();
    if kind == "application/apply-patch+yaml" {
        return server.apply(ctx, from_yaml(body)?);
    }
    if ctx.query.flag("force") {
        let cause = super::errors::Cause::forbidden("force", "may not be specified for non-apply patch");
        return Err(ApiError::invalid("meta.k8s.io", "PatchOptions", "", vec![cause]));
    }
    let mut all = vec!["application/json-patch+json", "application/merge-patch+json"];
    if ctx.resource.custom.is_none() {
        all.push("application/strategic-merge-patch+json");
    }
    all.push("application/apply-patch+yaml");
    let parsed = || {
        serde_json::from_slice::<Value>(body)
            .map(whole)
            .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))
    };
    match kind.as_str() {
        "application/json-patch+json" => {
            let patch: json_patch::Patch = serde_json::from_slice(body)
                .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
            server.update(ctx, |old| {
                let mut new = old.clone();
                patch::json(&mut new, &patch).map_err(|_| {
                    let message = "the server rejected our request due to an error in our request";
                    let details = Some(serde_json::json!({}));
                    ApiError { details, ..ApiError::new(422, "Invalid", message) }
                })?;
                Ok(new)
            })
        }
        "application/merge-patch+json" => {
            let change = parsed().map_err(|_| ApiError::bad_request("invalid JSON patch"))?;
            server.update(ctx, |old| {
                let mut new = old.clone();
                patch::merge(&mut new, &change);
                Ok(new)
            })
        }
        "application/strategic-merge-patch+json" if ctx.resource.custom.is_none() => {
            let change = parsed()?;
            server.update(ctx, |old| {
                let mut new = old.clone();
                patch::strategic::apply(&mut new, &change, &ctx.resource.schema)?;
                Ok(new)
            })
        }
        known if all.contains(&known) || known == "application/strategic-merge-patch+json" => {
            Err(unsupported(known, &all))
        }
        _ => {
            let mut error = ApiError::new(415, "UnsupportedMediaType", "415: Unsupported Media Type");
            error.details = Some(serde_json::json!({}));
            Err(error)
        }
    }
}

fn written(ctx: &Context, form: Form, outcome: Outcome) -> ApiResult<Answer> {
    let mut response = read::object_response(ctx, form, outcome.code, &outcome.object);
    for warning in outcome.warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = header::HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(header::WARNING, value);
        }
    }
    Ok(Answer { response, changed: outcome.changed })
}

impl Server {
    fn authenticate(&self, headers: &HeaderMap) -> Option<User> {
        let given = text(headers, header::AUTHORIZATION);
        if given.is_empty() {
            return Some(User::anonymous());
        }
        let user = self.tokens.check(given.strip_prefix("Bearer ")?.trim())?;
        // A token outlives neither its account nor the account's re-creation.
        if let Some((namespace, name)) = user.service_account()
            && !user.uid.is_empty()
        {
            let account = lock(&self.store).get("serviceaccounts", namespace, name)?;
            if meta::uid(&account) != user.uid {
                return None;
            }
        }
        Some(user)
    }
}
