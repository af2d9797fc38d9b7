//! The reloader in front of real engines: what becomes live, what is refused, what waits, and what an
//! unrelated change must not move.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test says what broke")]

mod alertmanager;
mod cold_start;
mod prometheus;
mod rig;
