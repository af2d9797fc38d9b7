//! Watches, the queue, the Lease.
pub mod election;
pub mod events;
pub mod queue;
