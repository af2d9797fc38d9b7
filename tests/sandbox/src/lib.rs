//! Embedded one-machine cluster for trying out and for tests: API server, workload controllers, process
//! kubelet. Never part of the operator's binary.

pub mod api;
pub mod cluster;
pub mod controllers;
pub mod demo;
pub mod images;
pub mod informer;
pub mod join;
pub mod kubelet;
pub mod manifests;
pub mod proxy;
pub mod ranges;
pub mod raw;
pub mod up;
