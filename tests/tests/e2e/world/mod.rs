//! Whole clusters with the operator and real engines in them. These tests run on the sandbox's API server
//! and, with `OBSTACK_TEST_SERVER=control-plane`, on a real control plane, with the same assertions. All
//! other tests of this program need what only the sandbox's server has: faults on demand, and a look at its
//! store.

mod alerts;
mod at_rest;
mod delivery;
mod engine_death;
mod goldens;
mod handover;
mod kubectl;
mod objects;
mod quickstart;
mod refusal;
mod refusals;
mod rights;
mod settings;
mod types;
mod upgrade;
mod volumes;
