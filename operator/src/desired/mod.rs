//! Pure: a valid stack, its plan and its configuration become the objects that are wanted, in the order in
//! which they are applied.

use obstack_crds::Component;
use serde_json::Value;

/// An object that is wanted, without what only the cluster knows: [`crate::apply`] adds the owner.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedObject {
    /// The object as it is applied: `apiVersion`, `kind`, `metadata`, and the rest.
    pub body: Value,
    /// The component that it belongs to.
    pub component: Component,
    /// How it is written.
    pub policy: Policy,
}

/// How an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Server-side apply; drift is put back.
    Apply,
    /// Created once with a random value under each key of the annotation `obstack.io/generate` (a comma
    /// list), then left alone: a generated password.
    CreateOnce,
}
