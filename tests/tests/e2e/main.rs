//! The end-to-end tests, in one program: they wait far more than they compute, so they run side by side, each on a
//! cluster of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test says what broke"
)]

mod bad_input;
mod calibrate;
mod cli;
mod control;
mod crash;
mod golden;
mod leader;
mod live;
mod objects;
mod reads;
mod reloader;
mod requests;
mod tripwires;
mod world;
