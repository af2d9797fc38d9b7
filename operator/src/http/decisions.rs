//! The decisions page: what was chosen for each component of each stack, against what, why and at what cost.
//! Server-rendered, without scripts; every value that is not ours is escaped by construction.

mod html;
mod index;
mod parts;
mod record;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures::future::BoxFuture;

use crate::decide::madr;

pub use index::render_index;
pub use record::render_record;
pub use view::{DecisionJson, StackView, views};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Viewer {
    /// The bearer token of the request, where there is one.
    pub token: Option<String>,
}

/// Where the page takes its content from.
pub trait DecisionsSource: Send + Sync {
    /// The stacks that this viewer may see, by namespace and name.
    fn stacks<'a>(&'a self, viewer: &'a Viewer) -> BoxFuture<'a, Vec<StackView>>;
}

/// The page's routes.
pub fn router(source: Arc<dyn DecisionsSource>) -> Router {
    Router::new()
        .route("/decisions", get(serve_index))
        .route("/decisions.json", get(serve_json))
        .route("/decisions/{namespace}/{stack}/{record}", get(serve_record))
        .with_state(source)
}

type Source = State<Arc<dyn DecisionsSource>>;

fn viewer(headers: &HeaderMap) -> Viewer {
    let value = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let token =
        value.and_then(|v| v.split_once(' ')).filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Viewer { token: token.map(|(_, token)| token.trim().to_owned()) }
}

async fn serve_index(State(source): Source, headers: HeaderMap) -> Response {
    page(StatusCode::OK, render_index(&source.stacks(&viewer(&headers)).await))
}

async fn serve_json(State(source): Source, headers: HeaderMap) -> Response {
    let stacks = source.stacks(&viewer(&headers)).await;
    let reports: Vec<_> = stacks.iter().map(StackView::report).collect();
    match serde_json::to_string_pretty(&reports) {
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
    let stacks = source.stacks(&viewer(&headers)).await;
    let (name, markdown) = match record.strip_suffix(".md") {
        Some(name) => (name, true),
        None => (record.as_str(), false),
    };
    let view = stacks.iter().find(|v| v.id.namespace == namespace && v.id.name == stack);
    let Some((view, found)) = view.and_then(|v| Some((v, v.record(name)?))) else {
        return page(StatusCode::NOT_FOUND, record::render_missing());
    };
    if markdown {
        let text = madr::render(&view.id.namespace, &found.spec, found.status.as_ref());
        return answer(StatusCode::OK, "text/markdown; charset=utf-8", text);
    }
    page(StatusCode::OK, render_record(view, found))
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
    ];
    (status, headers, body).into_response()
}
