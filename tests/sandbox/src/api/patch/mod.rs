//! The four kinds of patches, and who owns which field.

pub(crate) mod apply;
pub(crate) mod fieldset;
pub(crate) mod managed;
pub(crate) mod strategic;

use json_patch::{AddOperation, PatchOperation};
use serde_json::Value;

/// RFC 7386.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}

/// Applies a JSON patch in place, one operation after the other. To replace a field that an object does not have
/// is to add it, as in the API server.
pub(crate) fn json(value: &mut Value, patch: &json_patch::Patch) -> Result<(), json_patch::PatchError> {
    for operation in &patch.0 {
        let operation = match operation {
            PatchOperation::Replace(replace) if adds(value, replace.path.as_str()) => {
                let (path, value) = (replace.path.clone(), replace.value.clone());
                PatchOperation::Add(AddOperation { path, value })
            }
            other => other.clone(),
        };
        json_patch::patch(value, &[operation])?;
    }
    Ok(())
}

fn adds(value: &Value, path: &str) -> bool {
    let parent = path.rsplit_once('/').and_then(|(parent, _)| value.pointer(parent));
    parent.is_some_and(Value::is_object) && value.pointer(path).is_none()
}
