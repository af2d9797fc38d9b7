//! Watches: a stream of changes from a resource version on.

use super::super::errors::{ApiError, ApiResult};
use super::super::selector::Selector;
use super::super::server::{Context, Server};
use super::super::store::{Change, Event};
use super::super::table::Include;
use super::super::{lock, meta};
use super::read::{self, Form, View};
use axum::body::{Body, Bytes};
use axum::http::{Response, header};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Longest watch where the client states none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(1800);
/// Time between bookmarks.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

struct Watch {
    server: Arc<Server>,
    ctx: Context,
    view: View,
    selector: Selector,
    version: u64,
    bookmarks: bool,
    queue: VecDeque<Bytes>,
    changed: tokio::sync::watch::Receiver<u64>,
    deadline: Instant,
    next_bookmark: Instant,
    first: bool,
    ended: bool,
}

pub(super) fn serve(server: &Arc<Server>, ctx: &Context, form: Form) -> ApiResult<Response<Body>> {
    let selector = read::selector(ctx)?;
    let wanted = ctx.query.get("resourceVersion");
    let initial = ctx.query.flag("sendInitialEvents");
    let bookmarks = ctx.query.flag("allowWatchBookmarks");
    let from: u64 = if wanted.is_empty() {
        0
    } else {
        wanted.parse().map_err(|_| {
            let why = format!("strconv.ParseUint: parsing {wanted:?}: invalid syntax");
            ApiError::new(500, "", format!("resourceVersion: Invalid value: {wanted:?}: {why}"))
        })?
    };
    let seconds = ctx.query.number("timeoutSeconds").filter(|s| *s > 0);
    let timeout = seconds.map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let now = Instant::now();
    let store = lock(&server.store);
    let mut watch = Watch {
        server: server.clone(),
        ctx: Context {
            info: ctx.info.clone(),
            query: ctx.query.clone(),
            user: ctx.user.clone(),
            resource: ctx.resource.clone(),
        },
        view: form.view,
        selector,
        version: if from == 0 || initial { store.version() } else { from },
        bookmarks,
        queue: VecDeque::new(),
        changed: store.subscribe(),
        deadline: now + timeout,
        next_bookmark: now + BOOKMARK_EVERY,
        first: true,
        ended: false,
    };
    if from == 0 || initial {
        let objects: Vec<Arc<Value>> = store
            .list(&ctx.resource.storage, read::scope(ctx))
            .filter(|o| watch.selector.matches(o))
            .cloned()
            .collect();
        for object in objects {
            watch.push("ADDED", &object);
        }
        if initial && bookmarks {
            watch.bookmark(true);
        }
    }
    drop(store);
    watch.collect();
    let stream = futures::stream::unfold(watch, |mut watch| async move {
        let bytes = watch.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(bytes), watch))
    });
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    Ok(response)
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                return Some(bytes);
            }
            if self.ended {
                return None;
            }
            tokio::select! {
                () = self.server.shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(self.deadline) => {
                    if self.bookmarks {
                        self.bookmark(false);
                    }
                    self.ended = true;
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => self.bookmark(false),
                changed = self.changed.changed() => {
                    if changed.is_err() {
                        return None;
                    }
                    self.collect();
                }
            }
        }
    }

    /// Takes over what happened since the last time.
    fn collect(&mut self) {
        self.changed.borrow_and_update();
        let (events, version) = {
            let store = lock(&self.server.store);
            (store.since(&self.ctx.resource.storage, self.version), store.version())
        };
        // A version that was never given out: the client knew another store, and must start over.
        let events = events.filter(|_| self.version <= version);
        let Some(events) = events else {
            let message = format!("too old resource version: {} ({version})", self.version);
            self.error(&ApiError::gone(message));
            return;
        };
        for event in &events {
            self.version = event.version;
            self.event(event);
        }
        // Without a change of this resource, later versions are the same to it.
        self.version = self.version.max(version);
        if self.gone() {
            self.ended = true;
        }
    }

    /// The definition of a custom resource was deleted: its watches end.
    fn gone(&self) -> bool {
        let resource = &self.ctx.resource;
        resource.custom.as_ref().is_some_and(|custom| {
            let current = self.server.registry().get(&resource.group, &resource.version, &resource.plural);
            let uid = current.as_ref().and_then(|r| r.custom.as_ref()).map(|c| &c.definition_uid);
            uid != Some(&custom.definition_uid)
        })
    }

    fn event(&mut self, event: &Event) {
        let inside = |object: &Value| {
            read::scope(&self.ctx).is_none_or(|ns| ns == meta::namespace(object))
                && self.selector.matches(object)
        };
        let after = event.change != Change::Deleted && inside(&event.object);
        let before = event.before.as_deref().is_some_and(inside);
        match (before, after) {
            (false, true) => self.push("ADDED", &event.object),
            (true, true) => self.push("MODIFIED", &event.object),
            (true, false) => {
                // As it was when it matched, with the version at which it ceased to.
                let mut object = event.before.as_deref().cloned().unwrap_or_default();
                let version = event.version.to_string();
                meta::set(&mut object, "resourceVersion", Some(version.into()));
                self.push("DELETED", &object);
            }
            (false, false) => {}
        }
    }

    fn push(&mut self, kind: &str, object: &Value) {
        let object = read::served(&self.ctx, object);
        let body = match self.view {
            View::Full => object,
            View::Metadata => read::metadata_only(&object),
            View::Table => {
                let version = meta::text(&object, "resourceVersion").to_owned();
                let metadata = json!({"resourceVersion": version});
                let include = Include::of(self.ctx.query.get("includeObject"));
                super::super::table::of(&self.ctx.resource, &[&object], metadata, self.first, include)
            }
        };
        self.first = false;
        self.send(kind, &body);
    }

    fn bookmark(&mut self, initial: bool) {
        self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
        let resource = &self.ctx.resource;
        let mut metadata = json!({"resourceVersion": self.version.to_string()});
        if initial {
            metadata["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = match self.view {
            View::Full => {
                json!({"kind": resource.kind, "apiVersion": resource.api_version(), "metadata": metadata})
            }
            View::Metadata => metadata_bookmark(&metadata),
            View::Table => json!({
                "kind": "Table", "apiVersion": "meta.k8s.io/v1",
                "metadata": {"resourceVersion": self.version.to_string()},
                "columnDefinitions": null,
                "rows": [{"cells": [], "object": metadata_bookmark(&metadata)}],
            }),
        };
        self.send("BOOKMARK", &object);
    }

    fn error(&mut self, error: &ApiError) {
        self.send("ERROR", &json!(error.status()));
        self.ended = true;
    }

    /// The type comes first, as an API server sends it: a reader knows by it what the object is.
    fn send(&mut self, kind: &str, object: &Value) {
        let mut bytes = format!(r#"{{"type":"{kind}","object":"#).into_bytes();
        bytes.extend(serde_json::to_vec(object).unwrap_or_default());
        bytes.extend(b"}\n");
        self.queue.push_back(Bytes::from(bytes));
    }
}

fn metadata_bookmark(metadata: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}
