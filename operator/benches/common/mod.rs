//! What the benchmarks build from, shared with the trials of size.

// Each benchmark uses a part of it.
#![allow(dead_code, unreachable_pub, reason = "shared by several programs")]

#[path = "../../../tests/src/scale/objects.rs"]
pub mod objects;
#[path = "../../../tests/src/scale/stack.rs"]
pub mod stack;
