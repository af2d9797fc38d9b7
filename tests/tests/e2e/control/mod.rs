//! What the operator promises of its writes, on the sandbox's API server and workload controllers, without a
//! node: pods stay Pending, which these tests need nothing of.

mod access;
mod bench;
mod changes;
mod drift;
mod haste;
mod install;
mod layering;
mod leaders;
mod page;
mod start;
mod trouble;
mod types;
