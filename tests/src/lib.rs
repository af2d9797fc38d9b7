//! What the end-to-end tests share: bounded waiting, a control plane in this process and a real one, an
//! operator as a process of its own, a receiver in Slack's shape, a target whose series a test sets, and short
//! ways to ask Prometheus and Alertmanager.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test says what broke"
)]

pub mod ask;
pub mod breaches;
pub mod calibrate;
pub mod chromium;
pub mod contract;
pub mod control_plane;
pub mod coreos;
pub mod load;
pub mod mutate;
pub mod parts;
pub mod plane;
pub mod ports;
pub mod process;
pub mod receiver;
pub mod scale;
pub mod server;
pub mod wait;
pub mod world;
