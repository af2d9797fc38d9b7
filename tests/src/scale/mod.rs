//! Large clusters: what the operator takes beside the measurements of prometheus-operator, and what an engine makes
//! of as much configuration.

pub mod engine;
pub mod load;
pub mod objects;
pub mod operator;
pub mod report;
pub mod stack;
pub mod trial;
