//! The four kinds of patches, and who owns which field.

pub(crate) mod apply;
pub(crate) mod fieldset;
pub(crate) mod managed;
pub(crate) mod strategic;

use serde_json::Value;

/// RFC 7386.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}
