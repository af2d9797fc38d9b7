//! What a program that embeds the API server can do with it. That the server answers as a kube-apiserver does
//! is the contract's concern: `tests/tests/contract.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod harness;
mod history;
mod left_out;
mod state;
