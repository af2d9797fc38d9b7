//! What a request asks for, read from its method, path and query.

use super::errors::{ApiError, ApiResult, Cause};
use axum::http::Method;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a request is about: given to fault hooks and kept in the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RequestInfo {
    /// User name, such as `system:serviceaccount:monitoring:main-metrics`.
    pub user: String,
    /// Kubernetes verb: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`; for a
    /// path that is no resource the method in lower case.
    pub verb: String,
    /// API group; empty for the core group.
    pub group: String,
    /// API version.
    pub version: String,
    /// Plural of the resource; empty for a path that is no resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace, or empty.
    pub namespace: String,
    /// Name; empty for collections. For a create, the name in the body is not known yet.
    pub name: String,
    /// Path of the URL.
    pub path: String,
    /// Whether the request was a dry run.
    pub dry_run: bool,
    /// `User-Agent` of the client.
    pub user_agent: String,
    /// Names of the query's parameters, sorted, each once.
    pub parameters: Vec<String>,
    /// `Content-Type` of the body; empty without one.
    pub content_type: String,
    /// `Accept`, as it was sent.
    pub accept: String,
}

impl RequestInfo {
    /// Whether the verb is one that changes objects. Dry runs count: they cost the server the same.
    pub fn is_mutating(&self) -> bool {
        matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
    }

    /// Kind of the options that the request carries, such as `PatchOptions`.
    pub(crate) fn options(&self) -> &'static str {
        match self.verb.as_str() {
            "create" => "CreateOptions",
            "update" => "UpdateOptions",
            "patch" => "PatchOptions",
            "delete" | "deletecollection" => "DeleteOptions",
            _ => "ListOptions",
        }
    }

    /// Whether the path names a resource.
    pub fn is_resource(&self) -> bool {
        !self.resource.is_empty()
    }
}

/// Query parameters, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(BTreeMap<String, Vec<String>>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            map.entry(decode(key, true)).or_default().push(decode(value, true));
        }
        Self(map)
    }

    /// Names of the parameters, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    pub(crate) fn get(&self, key: &str) -> &str {
        self.0.get(key).and_then(|v| v.first()).map_or("", String::as_str)
    }

    pub(crate) fn all(&self, key: &str) -> &[String] {
        self.0.get(key).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn flag(&self, key: &str) -> bool {
        matches!(self.get(key), "true" | "1" | "True" | "TRUE" | "t" | "T")
    }

    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        self.get(key).parse().ok()
    }

    /// The value that a field selector asks for, if it asks for exactly one.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let parts = self.get("fieldSelector").split(',');
        let mut values = parts.filter_map(|part| {
            let (key, value) = part.split_once("==").or_else(|| part.split_once('='))?;
            (key == name).then(|| value.to_owned())
        });
        values.next()
    }

    /// Whether the request is a dry run; `options` is the kind of its options.
    ///
    /// # Errors
    /// A value other than `All`.
    pub(crate) fn dry_run(&self, options: &str) -> ApiResult<bool> {
        match self.all("dryRun") {
            [] => Ok(false),
            [one] if one == "All" => Ok(true),
            [one] if one.is_empty() => Ok(false),
            other => Err(unknown_dry_run(options, other)),
        }
    }
}

/// The answer to a dry run of another kind than `All`.
pub(crate) fn unknown_dry_run(options: &str, found: &[String]) -> ApiError {
    let text = format!("Unsupported value: {found:?}: supported values: \"All\"");
    ApiError::options(options, vec![Cause::new("FieldValueNotSupported", "dryRun", text)])
}

/// Percent-decoding; `+` is a blank in queries.
pub(crate) fn decode(text: &str, query: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        let hex = (byte == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match hex {
            Some(value) => {
                out.push(value);
                index += 3;
            }
            None => {
                out.push(if byte == b'+' && query { b' ' } else { byte });
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Reads method and path. For a path that is no resource, only `verb` and `path` are set.
pub(crate) fn parse(method: &Method, path: &str, query: &Query) -> RequestInfo {
    let mut info = RequestInfo { path: path.to_owned(), ..RequestInfo::default() };
    info.verb = method.as_str().to_lowercase();
    let parts: Vec<String> = path.split('/').filter(|p| !p.is_empty()).map(|p| decode(p, false)).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let (group, version, rest) = match parts.as_slice() {
        ["api", version, rest @ ..] if !rest.is_empty() => ("", *version, rest),
        ["apis", group, version, rest @ ..] if !rest.is_empty() => (*group, *version, rest),
        _ => return info,
    };
    info.group = group.to_owned();
    info.version = version.to_owned();
    let mut legacy_watch = false;
    let mut rest = rest;
    if rest[0] == "watch" && rest.len() > 1 {
        legacy_watch = true;
        rest = &rest[1..];
    }
    match rest {
        ["namespaces", namespace, resource, tail @ ..] if !matches!(*resource, "status" | "finalize") => {
            info.namespace = (*namespace).to_owned();
            info.resource = (*resource).to_owned();
            set_tail(&mut info, tail);
        }
        ["namespaces", namespace, tail @ ..] => {
            info.resource = "namespaces".to_owned();
            info.name = (*namespace).to_owned();
            info.namespace = (*namespace).to_owned();
            info.subresource = tail.join("/");
        }
        [resource, tail @ ..] => {
            info.resource = (*resource).to_owned();
            set_tail(&mut info, tail);
        }
        [] => {}
    }
    let collection = info.name.is_empty();
    let watching = legacy_watch || query.flag("watch");
    info.verb = match (method.as_str(), collection) {
        ("GET" | "HEAD", true) if watching => "watch",
        ("GET" | "HEAD", true) => "list",
        ("GET" | "HEAD", false) if watching && info.subresource.is_empty() => "watch",
        ("GET" | "HEAD", false) => "get",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "deletecollection",
        ("DELETE", false) => "delete",
        (other, _) => return RequestInfo { verb: other.to_lowercase(), ..info },
    }
    .to_owned();
    info
}

fn set_tail(info: &mut RequestInfo, tail: &[&str]) {
    if let Some(name) = tail.first() {
        info.name = (*name).to_owned();
    }
    info.subresource = tail.get(1..).unwrap_or_default().join("/");
}
