//! The decisions page: what was chosen for each component of each stack, against what, why and at what cost.
//! Server-rendered, without scripts; every value that is not ours is escaped by construction.

mod denied;
mod history;
mod html;
mod index;
mod parts;
mod record;
mod rejected;
#[cfg(test)]
mod tests;
mod view;
mod watch;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::BoxFuture;
use obstack_crds::status::Rejected;
use serde::Serialize;

use crate::decide::madr;
use crate::names::StackId;

pub use denied::Denied;
pub use index::render_index;
pub use record::render_record;
pub use view::{DecisionJson, StackView, views};

/// Who may read the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecisionsAccess {
    /// Whoever brings a token of the cluster: those namespaces in which the token may get stacks.
    #[default]
    Token,
    /// Everybody everything.
    Open,
}

/// Who asks.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Viewer {
    /// The token of the request, where there is one.
    pub token: Option<String>,
}

/// What one viewer may see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The stacks, by namespace and name.
    pub stacks: Vec<StackView>,
    /// Whether there may be others that this viewer may not see.
    pub limited: bool,
}

/// Where the page takes its content from.
pub trait DecisionsSource: Send + Sync {
    /// What this viewer may see.
    fn stacks<'a>(&'a self, viewer: &'a Viewer) -> BoxFuture<'a, Result<Seen, Denied>>;

    /// All that is kept out of a stack; none where this process does not know it, as one that does not lead.
    fn rejected(&self, _: &StackId) -> Option<Arc<[Rejected]>> {
        None
    }
}

/// The page's routes.
pub fn router(source: Arc<dyn DecisionsSource>) -> Router {
    Router::new()
        .route("/decisions", get(serve_index))
        .route("/decisions.json", get(serve_json))
        .route("/rejected.json", get(serve_rejected))
        .route("/decisions/{namespace}/{stack}/{record}", get(serve_record))
        .with_state(source)
}

type Source = State<Arc<dyn DecisionsSource>>;

/// The token of a request: a bearer's, or the password of a browser's, which knows no other way to bring one.
fn viewer(headers: &HeaderMap) -> Viewer {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token = value.and_then(|v| v.split_once(' ')).and_then(|(scheme, rest)| {
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            Some(rest.to_owned())
        } else if scheme.eq_ignore_ascii_case("basic") {
            let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
            pair.split_once(':').map(|(_, password)| password.trim().to_owned())
        } else {
            None
        }
    });
    Viewer { token: token.filter(|token| !token.is_empty()) }
}

async fn serve_index(State(source): Source, headers: HeaderMap) -> Response {
    match source.stacks(&viewer(&headers)).await {
        Ok(seen) => page(StatusCode::OK, render_index(&seen)),
        Err(denied) => refuse(&denied, true),
    }
}

async fn serve_json(State(source): Source, headers: HeaderMap) -> Response {
    let seen = match source.stacks(&viewer(&headers)).await {
        Ok(seen) => seen,
        Err(denied) => return refuse(&denied, false),
    };
    json(&seen.stacks.iter().map(StackView::report).collect::<Vec<_>>())
}

async fn serve_rejected(State(source): Source, headers: HeaderMap) -> Response {
    match source.stacks(&viewer(&headers)).await {
        Ok(seen) => json(&rejected::lists(&seen, |id| source.rejected(id))),
        Err(denied) => refuse(&denied, false),
    }
}

fn json(content: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(content) {
        Ok(json) => answer(StatusCode::OK, "application/json", json + "\n"),
        Err(error) => {
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", format!("{error}\n"))
        }
    }
}

async fn serve_record(
    State(source): Source,
    Path((namespace, stack, record)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let (name, markdown) = match record.strip_suffix(".md") {
        Some(name) => (name, true),
        None => (record.as_str(), false),
    };
    let seen = match source.stacks(&viewer(&headers)).await {
        Ok(seen) => seen,
        Err(denied) => return refuse(&denied, !markdown),
    };
    let view = seen.stacks.iter().find(|v| v.id.namespace == namespace && v.id.name == stack);
    let Some((view, found)) = view.and_then(|v| Some((v, v.record(name)?))) else {
        return page(StatusCode::NOT_FOUND, record::render_missing());
    };
    if markdown {
        let text = madr::render(&view.id.namespace, &found.spec, found.status.as_ref());
        return answer(StatusCode::OK, "text/markdown; charset=utf-8", text);
    }
    page(StatusCode::OK, render_record(view, found))
}

/// Shows nothing, and says why: as a page, or as a line where a program asks.
fn refuse(denied: &Denied, html: bool) -> Response {
    let mut response = if html {
        page(denied.status(), denied::render_denied(denied))
    } else {
        answer(denied.status(), "text/plain; charset=utf-8", format!("{denied}\n"))
    };
    if denied.status() == StatusCode::UNAUTHORIZED {
        for challenge in denied::CHALLENGES {
            response.headers_mut().append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    response
}

fn page(status: StatusCode, html: String) -> Response {
    let mut response = answer(status, "text/html; charset=utf-8", html);
    if let Ok(policy) = html::policy().parse() {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another site must not read it through a browser that has a token.
        (header::HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    (status, headers, body).into_response()
}
