//! The shapes of requests: what distinguishes them for a server, without what differs from call to call. The
//! list `tests/contract/requests.txt` has those of the clients that a stack lives with, as
//! `tests/tests/requests.rs` records them.

use obstack_sandbox::api::{Handle, RequestInfo};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{Display, Formatter};

/// Verb, path with places for names, sorted names of parameters, formats of the body and the answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Kubernetes verb, or the method of a path that is no resource.
    pub verb: String,
    /// Such as `/api/v1/namespaces/{namespace}/pods/{name}/log`.
    pub path: String,
    /// Names of the query's parameters.
    pub parameters: Vec<String>,
    /// `Content-Type`, or nothing.
    pub content_type: String,
    /// `Accept`, or nothing.
    pub accept: String,
}

impl Shape {
    /// The shape of a request.
    pub fn of(request: &RequestInfo) -> Self {
        // A request without a body has no format of one, whatever some clients say.
        let bodiless = matches!(request.verb.as_str(), "get" | "list" | "watch");
        Self {
            verb: request.verb.clone(),
            path: path(request),
            parameters: request.parameters.clone(),
            content_type: if bodiless { String::new() } else { request.content_type.clone() },
            accept: request.accept.clone(),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(" | ");
        let (verb, target) = parts.next()?.split_once(' ')?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let format = |text: Option<&str>| text.filter(|text| *text != "-").unwrap_or_default().to_owned();
        Some(Self {
            verb: verb.to_owned(),
            path: path.to_owned(),
            parameters: query.split('&').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            content_type: format(parts.next()),
            accept: format(parts.next()),
        })
    }
}

impl Display for Shape {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let query = if self.parameters.is_empty() { "" } else { "?" };
        let format = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        let (content, accept) = (format(&self.content_type), format(&self.accept));
        let parameters = self.parameters.join("&");
        write!(f, "{} {}{query}{parameters} | {content} | {accept}", self.verb, self.path)
    }
}

fn path(request: &RequestInfo) -> String {
    if !request.is_resource() {
        return request.path.clone();
    }
    let mut path = match request.group.as_str() {
        "" => format!("/api/{}", request.version),
        group => format!("/apis/{group}/{}", request.version),
    };
    if !request.namespace.is_empty() && request.resource != "namespaces" {
        path += "/namespaces/{namespace}";
    }
    path += &format!("/{}", request.resource);
    if !request.name.is_empty() {
        path += "/{name}";
    }
    if !request.subresource.is_empty() {
        path += &format!("/{}", request.subresource);
    }
    path
}

/// The kept list: shapes by client.
pub fn kept() -> BTreeMap<String, BTreeSet<Shape>> {
    let text = std::fs::read_to_string(super::folder().join("requests.txt")).unwrap_or_default();
    let mut all: BTreeMap<String, BTreeSet<Shape>> = BTreeMap::new();
    let mut client = String::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut client);
        } else if !line.starts_with('#')
            && let Some(shape) = Shape::parse(line)
        {
            all.entry(client.clone()).or_default().insert(shape);
        }
    }
    all
}

/// Writes the list.
///
/// # Panics
/// When it cannot be written.
pub fn keep(all: &BTreeMap<String, BTreeSet<Shape>>) {
    let mut text = "\
# The requests of the clients that a stack lives with, by client: verb and path, names of the query's
# parameters | format of the body | formats of the answer. UPDATE_GOLDEN=1 cargo test --workspace --test e2e
# requests adds to it; every one is sent by a case of the contract.
"
    .to_owned();
    for (client, shapes) in all {
        text += &format!("\n## {client}\n");
        shapes.iter().for_each(|shape| text += &format!("{shape}\n"));
    }
    std::fs::write(super::folder().join("requests.txt"), text).expect("the list is written");
}

/// Kept shapes that no request to this server had.
pub fn uncovered(handle: &Handle) -> Vec<String> {
    let sent: BTreeSet<Shape> = handle.audit_since(0).iter().map(|entry| Shape::of(&entry.request)).collect();
    let all: BTreeSet<Shape> = kept().into_values().flatten().collect();
    all.difference(&sent).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::Shape;

    #[test]
    fn a_shape_is_read_as_it_is_written() {
        let line = "patch /apis/apps/v1/namespaces/{namespace}/deployments/{name}?fieldManager&force | \
                    application/apply-patch+yaml | application/json";
        assert_eq!(Shape::parse(line).map(|shape| shape.to_string()).as_deref(), Some(line));
        let line = "get /openapi/v3 | - | application/json";
        assert_eq!(Shape::parse(line).map(|shape| shape.to_string()).as_deref(), Some(line));
    }
}
