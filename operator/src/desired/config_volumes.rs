//! Volumes that carry the running configuration into a pod. All that live delivery will need is declared from
//! the start: a new volume would restart the pod.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, KeyToPath, ProjectedVolumeSource, SecretProjection, Volume, VolumeMount,
    VolumeProjection,
};

use crate::names::{Role, StackId};
use crate::running::{
    MAX_PARTS, PART_KEY, POINTER_KEY, PROVEN_FILE, Slot, TARGET, Which, part_file, part_secret,
    pointer_secret_name,
};

/// Volume of the files that the engine reads.
const RUNNING: &str = "running";
/// Volume of the operator's binary, copied there by the first container.
const TOOLS: &str = "tools";
/// Folder of the operator's binary in every container of the pod.
pub(super) const TOOLS_PATH: &str = "/obstack/bin";

/// Folder of a mounted slot.
pub(super) fn slot_path(slot: Slot) -> String {
    format!("/etc/obstack/slots/{}", slot.as_str())
}

/// The volumes of an engine that the reloader looks after.
pub(super) fn build_volumes(stack: &StackId, role: Role) -> Vec<Volume> {
    let mut volumes = vec![empty_dir(RUNNING), empty_dir(TOOLS)];
    volumes.extend(Slot::MOUNTED.map(|slot| build_slot(stack, role, slot)));
    volumes
}

/// An empty folder that lives as long as the pod.
pub(super) fn empty_dir(name: &str) -> Volume {
    Volume { name: name.into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Default::default() }
}

/// One projected volume per slot, so that the kubelet swaps all parts of a slot at once. Every Secret is
/// optional: a generation has as many parts as it needs.
fn build_slot(stack: &StackId, role: Role, slot: Slot) -> Volume {
    let project = |secret: String, key: &str, path: String| VolumeProjection {
        secret: Some(SecretProjection {
            name: secret,
            items: Some(vec![KeyToPath { key: key.into(), path, ..Default::default() }]),
            optional: Some(true),
        }),
        ..Default::default()
    };
    let pointers = Which::ALL.map(|which| {
        let file = match which {
            Which::Candidate => POINTER_KEY,
            Which::Proven => PROVEN_FILE,
        };
        project(pointer_secret_name(stack, role, which), POINTER_KEY, file.to_owned())
    });
    let parts = (0..MAX_PARTS)
        .map(|index| project(part_secret(stack, role, slot, index), PART_KEY, part_file(index)));
    Volume {
        name: slot_volume(slot),
        projected: Some(ProjectedVolumeSource {
            sources: Some(pointers.into_iter().chain(parts).collect()),
            // Readable by the pod's group alone.
            default_mode: Some(0o440),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn slot_volume(slot: Slot) -> String {
    format!("slot-{}", slot.as_str())
}

/// Mounts of the reloader: what it reads, and the folder that it writes.
pub(super) fn build_reloader_mounts() -> Vec<VolumeMount> {
    let mut mounts = vec![tools_mount(true), mount(RUNNING, TARGET, false)];
    mounts.extend(Slot::MOUNTED.map(|slot| mount(&slot_volume(slot), &slot_path(slot), true)));
    mounts
}

/// Mount of the configuration in the engine's container.
pub(super) fn engine_mount() -> VolumeMount {
    mount(RUNNING, TARGET, true)
}

/// Mount of the operator's binary.
pub(super) fn tools_mount(read_only: bool) -> VolumeMount {
    mount(TOOLS, TOOLS_PATH, read_only)
}

/// A volume at a path.
pub(super) fn mount(volume: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: volume.into(),
        mount_path: path.into(),
        read_only: read_only.then_some(true),
        ..Default::default()
    }
}
