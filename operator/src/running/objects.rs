//! The objects that carry a generation: Secrets for its parts, and one for each pointer.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{MAX_PARTS, PackError, Part, Pointer, Slot, Which};
use crate::names::{Role, StackId};

/// Key of a part in its Secret.
pub const PART_KEY: &str = "part.gz";
/// Key of a pointer in its Secret, and file of the candidate's pointer in a mounted slot.
pub const POINTER_KEY: &str = "pointer.json";
/// File of the proven pointer in a mounted slot.
pub const PROVEN_FILE: &str = "proven.json";

/// File of a part in a mounted slot: `part-3.gz`.
pub fn part_file(index: usize) -> String {
    format!("part-{index}.gz")
}

/// Name of the Secret of a part: `main-metrics-a-3`.
pub fn part_secret(stack: &StackId, role: Role, slot: Slot, index: usize) -> String {
    stack.child_with(role, &format!("{}-{index}", slot.as_str()))
}

/// Name of the Secret of a pointer: `main-metrics-candidate`.
pub fn pointer_secret_name(stack: &StackId, role: Role, which: Which) -> String {
    stack.child_with(role, which.as_str())
}

/// Names of all Secrets that can carry the configuration of a role, the pointers first.
pub fn carrier_names(stack: &StackId, role: Role) -> Vec<String> {
    let pointers = Which::ALL.map(|which| pointer_secret_name(stack, role, which));
    let of_slot = |slot| (0..MAX_PARTS).map(move |index| part_secret(stack, role, slot, index));
    pointers.into_iter().chain(Slot::ALL.into_iter().flat_map(of_slot)).collect()
}

/// The Secret of a part in a slot.
pub fn part_object(stack: &StackId, role: Role, slot: Slot, part: &Part) -> Secret {
    opaque(stack, role, part_secret(stack, role, slot, part.index), PART_KEY, part.gzip.to_vec())
}

/// The Secret of a pointer.
///
/// # Errors
/// [`PackError::Encoding`] where it cannot be written as JSON.
pub fn pointer_object(
    stack: &StackId,
    role: Role,
    which: Which,
    pointer: &Pointer,
) -> Result<Secret, PackError> {
    let json = serde_json::to_vec(pointer).map_err(|e| PackError::Encoding(e.to_string()))?;
    Ok(opaque(stack, role, pointer_secret_name(stack, role, which), POINTER_KEY, json))
}

fn opaque(stack: &StackId, role: Role, name: String, key: &str, bytes: Vec<u8>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(stack.namespace.clone()),
            labels: Some(stack.role_labels(role)),
            ..Default::default()
        },
        data: Some(BTreeMap::from([(key.to_owned(), ByteString(bytes))])),
        type_: Some("Opaque".to_owned()),
        ..Default::default()
    }
}
