//! What is served: groups, versions, resources.

use super::super::errors::{ApiError, ApiResult};
use super::super::openapi;
use super::super::registry::{Registry, Resource};
use super::super::request::RequestInfo;
use super::super::server::Server;
use super::json as json_response;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Response, header};
use serde_json::{Value, json};

pub(super) fn serve(
    server: &Server,
    info: &RequestInfo,
    method: &Method,
    headers: &HeaderMap,
) -> ApiResult<Response<Body>> {
    if method != Method::GET && method != Method::HEAD {
        return Err(ApiError::method_not_allowed());
    }
    let registry = server.registry();
    let aggregated = super::text(headers, header::ACCEPT).split(',').any(|p| {
        p.contains("g=apidiscovery.k8s.io") && p.contains("v=v2;") && p.contains("application/json")
    });
    let parts: Vec<&str> = info.path.split('/').filter(|p| !p.is_empty()).collect();
    let body = match parts.as_slice() {
        ["version"] => version(),
        ["api"] if aggregated => return Ok(aggregated_response(&aggregate(&registry, true))),
        ["apis"] if aggregated => return Ok(aggregated_response(&aggregate(&registry, false))),
        ["api"] => json!({
            "kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": "127.0.0.1"}],
        }),
        ["api", "v1"] => resource_list(&registry, "", "v1"),
        ["apis"] => json!({
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": registry.groups().iter().map(|(g, v)| group(g, v, false)).collect::<Vec<_>>(),
        }),
        ["apis", name] => match registry.groups().get(*name) {
            Some(versions) => group(name, versions, true),
            None => return Err(ApiError::no_resource()),
        },
        ["apis", name, version] if registry.of_version(name, version).next().is_some() => {
            resource_list(&registry, name, version)
        }
        ["openapi", "v3"] => openapi::index(&registry),
        ["openapi", "v3", "api", version] if registry.of_version("", version).next().is_some() => {
            openapi::document(&registry, "", version)
        }
        ["openapi", "v3", "apis", group, version] if registry.of_version(group, version).next().is_some() => {
            openapi::document(&registry, group, version)
        }
        ["openapi", "v2"] => return Err(ApiError::not_served("/openapi/v2; ask for /openapi/v3")),
        [] => json!({"paths": paths(&registry)}),
        _ => return Err(ApiError::no_resource()),
    };
    Ok(json_response(200, &body))
}

fn version() -> Value {
    json!({
        "major": "1", "minor": "37", "gitVersion": "v1.37.0", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-08-01T00:00:00Z", "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}

fn paths(registry: &Registry) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, versions) in registry.groups() {
        paths.push(format!("/apis/{group}"));
        paths.extend(versions.iter().map(|v| format!("/apis/{group}/{v}")));
    }
    paths.extend(["/healthz", "/livez", "/openapi/v3", "/readyz", "/version"].map(str::to_owned));
    paths
}

fn group(name: &str, versions: &[String], typed: bool) -> Value {
    let entry = |v: &String| json!({"groupVersion": format!("{name}/{v}"), "version": v});
    let mut group = json!({
        "name": name,
        "versions": versions.iter().map(entry).collect::<Vec<_>>(),
        "preferredVersion": versions.first().map(entry),
    });
    if typed {
        group["kind"] = "APIGroup".into();
        group["apiVersion"] = "v1".into();
    }
    group
}

/// Verbs and kind of a subresource.
fn subresource(resource: &Resource, name: &str) -> (Value, &'static [&'static str]) {
    let own = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    match name {
        "scale" => {
            (json!({"group": "autoscaling", "version": "v1", "kind": "Scale"}), &["get", "patch", "update"])
        }
        "eviction" => (json!({"group": "policy", "version": "v1", "kind": "Eviction"}), &["create"]),
        "token" => {
            (json!({"group": "authentication.k8s.io", "version": "v1", "kind": "TokenRequest"}), &["create"])
        }
        "binding" => (json!({"group": "", "version": "v1", "kind": "Binding"}), &["create"]),
        "log" => (own, &["get"]),
        "finalize" => (own, &["update"]),
        _ => (own, &["get", "patch", "update"]),
    }
}

fn resource_list(registry: &Registry, group: &str, version: &str) -> Value {
    let mut resources = Vec::new();
    for resource in registry.of_version(group, version) {
        let mut entry = json!({
            "name": resource.plural, "singularName": resource.singular, "namespaced": resource.namespaced,
            "kind": resource.kind, "verbs": resource.verbs(),
        });
        if !resource.short_names.is_empty() {
            entry["shortNames"] = json!(resource.short_names);
        }
        if !resource.categories.is_empty() {
            entry["categories"] = json!(resource.categories);
        }
        resources.push(entry);
        for name in resource.subresources() {
            let (kind, verbs) = subresource(resource, name);
            let mut entry = json!({
                "name": format!("{}/{name}", resource.plural), "singularName": "",
                "namespaced": resource.namespaced, "kind": kind["kind"], "verbs": verbs,
            });
            if kind["group"] != resource.group.as_str() {
                entry["group"] = kind["group"].clone();
                entry["version"] = kind["version"].clone();
            }
            resources.push(entry);
        }
    }
    let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
}

fn aggregate(registry: &Registry, core: bool) -> Value {
    let groups: Vec<(String, Vec<String>)> = if core {
        vec![(String::new(), vec!["v1".to_owned()])]
    } else {
        registry.groups().into_iter().collect()
    };
    let items: Vec<Value> = groups
        .iter()
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> =
                        registry.of_version(group, version).map(|r| aggregated_resource(r)).collect();
                    json!({"version": version, "freshness": "Current", "resources": resources})
                })
                .collect();
            let metadata = if group.is_empty() { json!({}) } else { json!({"name": group}) };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items,
    })
}

fn own_kind(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

/// A kind of the built-in resource's own group and version is named without them.
fn same_group(resource: &Resource, mut kind: Value) -> Value {
    if resource.custom.is_none() && kind["group"] == resource.group && kind["version"] == resource.version {
        kind["group"] = "".into();
        kind["version"] = "".into();
    }
    kind
}

fn aggregated_resource(resource: &Resource) -> Value {
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": same_group(resource, own_kind(resource)),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": resource.verbs(),
    });
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
    let subresources: Vec<Value> = resource
        .subresources()
        .into_iter()
        .map(|name| {
            let (kind, verbs) = subresource(resource, name);
            json!({"subresource": name, "responseKind": same_group(resource, kind), "verbs": verbs})
        })
        .collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

fn aggregated_response(body: &Value) -> Response<Body> {
    let mut response = json_response(200, body);
    let kind = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}
