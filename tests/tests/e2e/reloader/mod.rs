//! The reloader in front of real engines: what becomes live, what is refused, what waits, and what an
//! unrelated change must not move.

mod alertmanager;
mod api;
mod cold_start;
mod memory;
mod prometheus;
mod rig;
