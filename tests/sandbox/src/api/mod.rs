//! The embedded API server: one store, one resource version, tables instead of special cases per kind.
//!
//! It serves what kube-rs controllers, Prometheus' discovery and everyday kubectl send, and answers like a
//! kube-apiserver. What it does not serve it refuses with 501 and the name of what is missing.

mod admit;
mod audit;
mod auth;
mod bootstrap;
mod controllers;
mod errors;
mod fault;
mod handlers;
mod journal;
mod jsonpath;
mod logs;
mod meta;
mod openapi;
mod patch;
mod protobuf;
mod rbac;
mod registry;
mod request;
mod schema;
mod selector;
mod serve;
mod server;
mod store;
mod table;
mod tls;
mod write;

pub use audit::AuditEntry;
pub use fault::{AfterHook, BeforeHook, Fault};
pub use logs::{LogOptions, LogSource, LogStream};
pub use request::RequestInfo;
pub use serve::{ApiServer, Config, Handle, StartError};

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Issuer and audience of tokens.
const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

/// A lock whose holder panicked still guards data that is whole: every write replaces it at once.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}
