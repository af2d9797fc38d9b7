//! What the operator promises of its writes, on the sandbox's API server and workload controllers, without a
//! node: pods stay Pending, which these tests need nothing of.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test says what broke"
)]

mod bench;
mod changes;
mod drift;
mod install;
mod layering;
mod leaders;
mod start;
mod trouble;
