//! The embedded API server, held to the behaviour of a kube-apiserver through its own HTTP interface.
#![recursion_limit = "256"]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod apply;
mod clients;
mod collect;
mod custom;
mod harness;
mod objects;
mod state;
mod watches;
