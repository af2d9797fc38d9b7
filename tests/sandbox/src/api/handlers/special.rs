//! Subresources and reviews.

use super::super::auth::User;
use super::super::errors::{ApiError, ApiResult, Cause};
use super::super::logs::LogOptions;
use super::super::registry::ScalePaths;
use super::super::server::{Context, Server};
use super::super::{lock, meta, rbac};
use super::read::{Form, View};
use super::{Answer, json as json_response, read_body};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, header};
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers what the plain verbs do not; `None` leaves it to them.
pub(super) fn serve(
    server: &Arc<Server>,
    ctx: &Context,
    headers: &HeaderMap,
    body: &Bytes,
) -> ApiResult<Option<Answer>> {
    let resource = &ctx.resource;
    if resource.create_only {
        if ctx.info.verb != "create" || !ctx.info.subresource.is_empty() {
            return Err(ApiError::method_not_allowed());
        }
        return review(server, ctx, read_body(headers, body)?).map(Some);
    }
    match ctx.info.subresource.as_str() {
        "status" if resource.has_status => match ctx.info.verb.as_str() {
            "get" | "update" | "patch" => Ok(None),
            _ => Err(ApiError::method_not_allowed()),
        },
        "scale" => match &resource.scale {
            Some(paths) => scale(server, ctx, paths, headers, body).map(Some),
            None => Err(ApiError::no_resource()),
        },
        "finalize" if resource.is("", "namespaces") => Ok(None),
        "token" if resource.is("", "serviceaccounts") => {
            token(server, ctx, read_body(headers, body)?).map(Some)
        }
        "log" if resource.is("", "pods") => log(server, ctx).map(Some),
        "eviction" if resource.is("", "pods") => evict(server, ctx, headers, body).map(Some),
        "binding" if resource.is("", "pods") => bind(server, ctx, read_body(headers, body)?).map(Some),
        "exec" | "attach" | "portforward" | "proxy" | "ephemeralcontainers" | "resize"
            if resource.is("", "pods") =>
        {
            Err(ApiError::not_served(format!("pods/{}", ctx.info.subresource)))
        }
        "proxy" if resource.is("", "services") || resource.is("", "nodes") => {
            Err(ApiError::not_served(format!("{}/proxy", resource.plural)))
        }
        _ => Err(ApiError::no_resource()),
    }
}

fn created(value: &Value) -> Answer {
    json_response(201, value).into()
}

fn token(server: &Server, ctx: &Context, mut request: Value) -> ApiResult<Answer> {
    if ctx.info.verb != "create" {
        return Err(ApiError::method_not_allowed());
    }
    let account = lock(&server.store)
        .get("serviceaccounts", &ctx.info.namespace, &ctx.info.name)
        .ok_or_else(|| ctx.not_found(&ctx.info.name))?;
    let seconds = request.pointer("/spec/expirationSeconds").and_then(Value::as_i64).unwrap_or(3600);
    if seconds < 600 {
        let why = "may not specify a duration less than 10 minutes";
        let cause = Cause::invalid("spec.expirationSeconds", &json!(seconds), why);
        return Err(ApiError::invalid("authentication.k8s.io", "TokenRequest", "", vec![cause]));
    }
    let audiences: Vec<String> = request
        .pointer("/spec/audiences")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|a| a.as_str().map(str::to_owned))
        .collect();
    let user = User::account(&ctx.info.namespace, &ctx.info.name, meta::uid(&account));
    let token = server.tokens.issue(&user, &audiences, seconds);
    let now = jiff::Timestamp::now();
    let until = now.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(now);
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    meta::set(&mut request, "name", Some(ctx.info.name.clone().into()));
    meta::set(&mut request, "namespace", Some(ctx.info.namespace.clone().into()));
    request["spec"]["expirationSeconds"] = seconds.into();
    if audiences.is_empty() {
        request["spec"]["audiences"] = json!([super::super::AUDIENCE]);
    }
    request["status"] = json!({
        "token": token,
        "expirationTimestamp": until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
    });
    Ok(created(&request))
}

/// The value at a dotted path.
pub(crate) fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').filter(|p| !p.is_empty()).try_fold(object, |at, part| at.get(part))
}

fn scale_of(paths: &ScalePaths, object: &Value) -> Value {
    let number = |path: &str| at(object, path).and_then(Value::as_i64);
    let metadata = &object["metadata"];
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"], "creationTimestamp": metadata["creationTimestamp"],
        },
        "spec": {},
        "status": {"replicas": number(&paths.status).unwrap_or(0)},
    });
    // A zero is left out.
    if let Some(replicas) = number(&paths.spec).filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = replicas.into();
    }
    match paths.selector.as_deref().and_then(|path| at(object, path)) {
        Some(Value::String(text)) => scale["status"]["selector"] = text.clone().into(),
        Some(selector) => {
            let labels = selector.get("matchLabels").and_then(Value::as_object);
            let list: Vec<String> = labels
                .into_iter()
                .flatten()
                .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
                .collect();
            scale["status"]["selector"] = list.join(",").into();
        }
        None => {}
    }
    scale
}

fn scale(
    server: &Server,
    ctx: &Context,
    paths: &ScalePaths,
    headers: &HeaderMap,
    body: &Bytes,
) -> ApiResult<Answer> {
    let change = |wanted: Value| -> ApiResult<Answer> {
        let replicas = match wanted.pointer("/spec/replicas") {
            None | Some(Value::Null) => 0,
            Some(found) => found.as_i64().ok_or_else(|| not_a_number(found, &ctx.info.verb))?,
        };
        if replicas < 0 {
            let cause =
                Cause::invalid("spec.replicas", &json!(replicas), "must be greater than or equal to 0");
            return Err(ApiError::invalid("autoscaling", "Scale", &ctx.info.name, vec![cause]));
        }
        let version = wanted.pointer("/metadata/resourceVersion").cloned();
        let outcome = server.update(ctx, |old| {
            let mut new = old.clone();
            let mut slot = &mut new;
            for part in paths.spec.split('.') {
                slot = meta::as_map(slot).entry(part.to_owned()).or_insert(Value::Null);
            }
            *slot = replicas.into();
            if let Some(version) = version {
                meta::set(&mut new, "resourceVersion", Some(version));
            }
            Ok(new)
        })?;
        let response = json_response(200, &scale_of(paths, &outcome.object));
        Ok(Answer { response, changed: outcome.changed })
    };
    let current = || {
        let found = lock(&server.store).get(&ctx.resource.storage, ctx.namespace(), &ctx.info.name);
        found.map(|object| scale_of(paths, &object)).ok_or_else(|| ctx.not_found(&ctx.info.name))
    };
    match ctx.info.verb.as_str() {
        "get" => Ok(json_response(200, &current()?).into()),
        "update" => change(read_body(headers, body)?),
        "patch" => {
            let kind = super::text(headers, header::CONTENT_TYPE);
            let mut scale = current()?;
            meta::metadata(&mut scale).remove("resourceVersion");
            if kind.starts_with("application/json-patch") {
                let patch: json_patch::Patch = serde_json::from_slice(body)
                    .map_err(|e| ApiError::bad_request(format!("error decoding patch: {e}")))?;
                json_patch::patch(&mut scale, &patch)
                    .map_err(|e| ApiError::new(422, "Invalid", e.to_string()))?;
            } else {
                let patch: Value = super::from_yaml(body)?;
                super::super::patch::merge(&mut scale, &patch);
            }
            change(scale)
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

/// A number of replicas that is none: a fault of the patch, where it is one.
fn not_a_number(found: &Value, verb: &str) -> ApiError {
    let kind = if found.is_string() { "string" } else { "value" };
    let why =
        format!("json: cannot unmarshal {kind} into Go struct field ScaleSpec.spec.replicas of type int32");
    if verb == "patch" {
        return ApiError::invalid("", "", "", vec![Cause::invalid("patch", found, why)]);
    }
    ApiError::bad_request(format!("Scale in version \"v1\" cannot be handled as a Scale: {why}"))
}

fn log(server: &Server, ctx: &Context) -> ApiResult<Answer> {
    let pod = lock(&server.store)
        .get("pods", &ctx.info.namespace, &ctx.info.name)
        .ok_or_else(|| ctx.not_found(&ctx.info.name))?;
    let text = |key: &str| ctx.query.get(key).to_owned();
    let mut options = LogOptions {
        container: text("container"),
        follow: ctx.query.flag("follow"),
        previous: ctx.query.flag("previous"),
        timestamps: ctx.query.flag("timestamps"),
        tail_lines: ctx.query.number("tailLines"),
        since_seconds: ctx.query.number("sinceSeconds"),
        since_time: Some(text("sinceTime")).filter(|t| !t.is_empty()),
        limit_bytes: ctx.query.number("limitBytes"),
    };
    let names = |list: &str| -> Vec<String> {
        let found = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array);
        found.into_iter().flatten().filter_map(|c| c["name"].as_str().map(str::to_owned)).collect()
    };
    let (containers, inits) = (names("containers"), names("initContainers"));
    let name = &ctx.info.name;
    if options.container.is_empty() {
        match (containers.as_slice(), inits.is_empty()) {
            ([only], true) => options.container = only.clone(),
            _ => {
                let mut message = format!(
                    "a container name must be specified for pod {name}, choose one of: [{}]",
                    containers.join(" ")
                );
                if !inits.is_empty() {
                    message += &format!(" or one of the init containers: [{}]", inits.join(" "));
                }
                return Err(ApiError::bad_request(message));
            }
        }
    } else if !containers.contains(&options.container) && !inits.contains(&options.container) {
        return Err(ApiError::bad_request(format!(
            "container {} is not valid for pod {name}",
            options.container
        )));
    }
    let source = super::super::read(&server.logs).clone();
    let source = source.ok_or_else(|| ApiError::not_served("pods/log without a kubelet"))?;
    let stream = source.logs(&ctx.info.namespace, name, &options).map_err(ApiError::bad_request)?;
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    Ok(response.into())
}

fn evict(server: &Server, ctx: &Context, headers: &HeaderMap, body: &Bytes) -> ApiResult<Answer> {
    if ctx.info.verb != "create" {
        return Err(ApiError::method_not_allowed());
    }
    let eviction = read_body(headers, body)?;
    let store = lock(&server.store);
    let pod = store
        .get("pods", &ctx.info.namespace, &ctx.info.name)
        .ok_or_else(|| ctx.not_found(&ctx.info.name))?;
    let empty = json!({});
    for budget in store.list("poddisruptionbudgets.policy", Some(&ctx.info.namespace)) {
        let labels = budget.pointer("/spec/selector").unwrap_or(&empty);
        let covers = labels.get("matchLabels").and_then(Value::as_object).is_some_and(|m| {
            m.iter().all(|(k, v)| pod.pointer("/metadata/labels").and_then(|l| l.get(k)) == Some(v))
        });
        let allowed = budget.pointer("/status/disruptionsAllowed").and_then(Value::as_i64);
        if covers && allowed == Some(0) {
            let mut error = ApiError::new(
                429,
                "TooManyRequests",
                "Cannot evict pod as it would violate the pod's disruption budget.",
            );
            error.details = Some(json!({"causes": [{
                "reason": "DisruptionBudget",
                "message": format!("The disruption budget {} does not allow a disruption now.", meta::name(budget)),
            }]}));
            return Err(error);
        }
    }
    drop(store);
    let options = eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
    let body = Bytes::from(options.to_string());
    let mut headers = headers.clone();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    let answer = super::delete::one(server, ctx, &body, &headers, Form { view: View::Full, yaml: false })?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Answer { response: json_response(201, &status), changed: answer.changed })
}

fn bind(server: &Server, ctx: &Context, binding: Value) -> ApiResult<Answer> {
    let node = binding.pointer("/target/name").cloned().unwrap_or_default();
    let outcome = server.update(ctx, |old| {
        let mut new = old.clone();
        if let Some(there) = old["spec"]["nodeName"].as_str().filter(|there| !there.is_empty()) {
            let why = format!("pod {} is already assigned to node {there:?}", ctx.info.name);
            return Err(ApiError::conflict("", "pods/binding", &ctx.info.name, &why));
        }
        new["spec"]["nodeName"] = node;
        Ok(new)
    })?;
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Ok(Answer { response: json_response(201, &status), changed: outcome.changed })
}

fn review(server: &Server, ctx: &Context, mut object: Value) -> ApiResult<Answer> {
    object["kind"] = ctx.resource.kind.clone().into();
    object["apiVersion"] = ctx.resource.api_version().into();
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    let user = |user: &User| json!({"username": user.name, "uid": user.uid, "groups": user.groups});
    object["status"] = match ctx.resource.kind.as_str() {
        "TokenReview" => {
            let token = object.pointer("/spec/token").and_then(Value::as_str).unwrap_or_default();
            if token.is_empty() {
                return Err(ApiError::bad_request("token is required for TokenReview in authentication"));
            }
            let audiences: Vec<String> = object
                .pointer("/spec/audiences")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|a| a.as_str().map(str::to_owned))
                .collect();
            match server.tokens.check_for(token, &audiences) {
                Some((found, audiences)) => json!({
                    "authenticated": true, "user": user(&found), "audiences": audiences,
                }),
                None => json!({"authenticated": false, "user": {}, "error": "invalid bearer token"}),
            }
        }
        "SelfSubjectReview" => json!({"userInfo": user(&ctx.user)}),
        "SelfSubjectAccessReview" => rbac::review(&lock(&server.store), &ctx.user, &object["spec"]),
        "SelfSubjectRulesReview" => {
            let namespace = object.pointer("/spec/namespace").and_then(Value::as_str).unwrap_or("default");
            let rules = rbac::rules(&lock(&server.store), &ctx.user, namespace);
            let (paths, resources): (Vec<Value>, Vec<Value>) =
                rules.into_iter().partition(|r| r.get("nonResourceURLs").is_some());
            json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
        }
        _ => {
            let spec = &object["spec"];
            let groups = spec.get("groups").and_then(Value::as_array);
            let asked = User {
                name: spec["user"].as_str().unwrap_or_default().to_owned(),
                uid: String::new(),
                groups: groups.into_iter().flatten().filter_map(|g| g.as_str().map(str::to_owned)).collect(),
            };
            rbac::review(&lock(&server.store), &asked, spec)
        }
    };
    Ok(created(&object))
}
