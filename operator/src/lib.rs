//! obstack: one `ObservabilityStack` becomes a running metrics stack, and every choice in it carries a record.
//!
//! Dependencies run one way: `crds <- decide <- desired <- reconcile`. Only `observe`, `apply`, `controller`,
//! `http`, `reloader` and `main` may name a Kubernetes client or an HTTP client; a test holds that.

pub mod apply;
pub mod check;
pub mod cli;
pub mod controller;
pub mod decide;
pub mod desired;
pub mod endpoint;
pub mod error;
pub mod http;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod observe;
pub mod reconcile;
pub mod reloader;
pub mod rules;
pub mod running;
pub mod scrape;
pub mod status;
pub mod text;
pub mod tls;
pub mod units;
pub mod validate;
pub mod yaml;
