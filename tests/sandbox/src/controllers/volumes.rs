//! The default StorageClass: a claim becomes a folder of this machine.

use std::path::Path;

use k8s_openapi::api::core::v1::{
    HostPathVolumeSource, ObjectReference, PersistentVolume, PersistentVolumeClaim,
    PersistentVolumeClaimStatus, PersistentVolumeSpec, PersistentVolumeStatus,
};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::json;

use super::{Action, Plan, Target, View};

/// Name of the default StorageClass.
pub(crate) const CLASS: &str = "standard";
/// Provisioner whose claims become folders.
pub(super) const PROVISIONER: &str = "sandbox.obstack.io/folder";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// The default StorageClass.
pub(crate) fn build_class() -> StorageClass {
    StorageClass {
        metadata: ObjectMeta {
            name: Some(CLASS.to_owned()),
            annotations: Some([(DEFAULT_CLASS.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        provisioner: PROVISIONER.to_owned(),
        reclaim_policy: Some("Delete".to_owned()),
        volume_binding_mode: Some("Immediate".to_owned()),
        allow_volume_expansion: Some(true),
        ..StorageClass::default()
    }
}

pub(super) fn plan_all(view: &View<'_>) -> Plan {
    let mut plan = Plan::default();
    let classes = view.caches.classes.all();
    if !classes.iter().any(|class| class.name_any() == CLASS) {
        plan.actions.push(Action::create(&build_class()));
    }
    for claim in view.caches.claims.all().iter().filter(|claim| claim.metadata.deletion_timestamp.is_none()) {
        let volume = bound_volume(view, claim);
        plan.actions.extend(bind(claim, volume.as_deref(), &classes, &view.settings.volumes));
    }
    for volume in view.caches.volumes.all() {
        let reference = volume.spec.as_ref().and_then(|spec| spec.claim_ref.clone());
        let alive = reference.as_ref().is_some_and(|reference| {
            let (namespace, name) = (reference.namespace.as_deref(), reference.name.as_deref());
            let claim = view.caches.claims.get(namespace.unwrap_or_default(), name.unwrap_or_default());
            claim.is_some_and(|claim| reference.uid.is_none() || claim.uid() == reference.uid)
        });
        plan.actions.extend(tend(&volume, reference.is_some(), alive));
    }
    plan
}

/// The volume that a claim has, or that waits for this very claim.
fn bound_volume(view: &View<'_>, claim: &PersistentVolumeClaim) -> Option<std::sync::Arc<PersistentVolume>> {
    if let Some(name) = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()) {
        return view.caches.volumes.get("", name);
    }
    view.caches.volumes.all().into_iter().find(|volume| {
        volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()).is_some_and(|reference| {
            reference.name == claim.metadata.name
                && reference.namespace == claim.metadata.namespace
                && (reference.uid.is_none() || reference.uid == claim.metadata.uid)
        })
    })
}

/// Steps that bind one claim: a volume, its name in the claim, and the claim's status.
fn bind(
    claim: &PersistentVolumeClaim,
    volume: Option<&PersistentVolume>,
    classes: &[std::sync::Arc<StorageClass>],
    root: &Path,
) -> Vec<Action> {
    let spec = claim.spec.clone().unwrap_or_default();
    let mut actions = Vec::new();
    let default = || {
        let is_default = |class: &StorageClass| {
            class.annotations().get(DEFAULT_CLASS).is_some_and(|value| value == "true")
        };
        classes.iter().find(|class| is_default(class)).map(|class| class.name_any())
    };
    let Some(class) = spec.storage_class_name.clone().or_else(default) else { return actions };
    if spec.storage_class_name.is_none() {
        actions.push(Action::patch(claim, json!({ "spec": { "storageClassName": class } })));
    }
    let Some(volume) = volume else {
        let ours = classes.iter().find(|known| known.name_any() == class && known.provisioner == PROVISIONER);
        if let Some(ours) = ours.filter(|_| spec.volume_name.is_none()) {
            actions.push(Action::create(&build_volume(claim, ours, root)));
        }
        return actions;
    };
    if spec.volume_name.is_none() {
        actions.push(Action::patch(claim, json!({ "spec": { "volumeName": volume.name_any() } })));
    }
    let requested = spec.resources.and_then(|resources| resources.requests);
    let capacity = requested.or_else(|| volume.spec.as_ref().and_then(|spec| spec.capacity.clone()));
    let status = PersistentVolumeClaimStatus {
        phase: Some("Bound".to_owned()),
        access_modes: spec.access_modes,
        capacity,
        ..PersistentVolumeClaimStatus::default()
    };
    actions.extend(Action::status(claim, claim.status.as_ref(), &status));
    actions
}

pub(super) fn build_volume(
    claim: &PersistentVolumeClaim,
    class: &StorageClass,
    root: &Path,
) -> PersistentVolume {
    let uid = claim.uid().unwrap_or_default();
    let spec = claim.spec.clone().unwrap_or_default();
    let namespace = claim.namespace().unwrap_or_default();
    let folder = root.join(format!("{namespace}_{}_{uid}", claim.name_any()));
    PersistentVolume {
        metadata: ObjectMeta {
            name: Some(format!("pvc-{uid}")),
            annotations: Some([(PROVISIONED_BY.to_owned(), PROVISIONER.to_owned())].into()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeSpec {
            access_modes: spec.access_modes,
            capacity: spec.resources.and_then(|resources| resources.requests),
            claim_ref: Some(ObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("PersistentVolumeClaim".to_owned()),
                namespace: Some(namespace),
                name: Some(claim.name_any()),
                uid: Some(uid),
                ..ObjectReference::default()
            }),
            host_path: Some(HostPathVolumeSource {
                path: folder.to_string_lossy().into_owned(),
                type_: Some("DirectoryOrCreate".to_owned()),
            }),
            persistent_volume_reclaim_policy: class.reclaim_policy.clone(),
            storage_class_name: Some(class.name_any()),
            volume_mode: Some("Filesystem".to_owned()),
            ..PersistentVolumeSpec::default()
        }),
        status: None,
    }
}

/// Keeps the phase of a volume, and gives it back by its reclaim policy once its claim is gone.
fn tend(volume: &PersistentVolume, claimed: bool, alive: bool) -> Vec<Action> {
    let phase = match (claimed, alive) {
        (_, true) => "Bound",
        (true, false) => "Released",
        (false, false) => "Available",
    };
    if phase == "Released" && is_reclaimed(volume) {
        return reclaim(volume);
    }
    let old = volume.status.clone().unwrap_or_default();
    let status = PersistentVolumeStatus { phase: Some(phase.to_owned()), ..old };
    Action::status(volume, volume.status.as_ref(), &status).into_iter().collect()
}

/// Whether a volume is ours and goes with its claim.
pub(super) fn is_reclaimed(volume: &PersistentVolume) -> bool {
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    let provisioner = volume.annotations().get(PROVISIONED_BY);
    provisioner.is_some_and(|by| by == PROVISIONER) && policy == Some("Delete")
}

/// Removes a volume and its folder.
pub(super) fn reclaim(volume: &PersistentVolume) -> Vec<Action> {
    let mut actions = vec![Action::Delete(Target::of(volume))];
    let folder = volume.spec.as_ref().and_then(|spec| spec.host_path.as_ref());
    actions.extend(folder.map(|folder| Action::RemoveFolder(folder.path.clone().into())));
    actions
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::controllers::pods::fixtures::meta;

    fn claim() -> PersistentVolumeClaim {
        PersistentVolumeClaim { metadata: meta("data"), spec: Some(Default::default()), status: None }
    }

    #[test]
    fn a_claim_without_a_class_becomes_a_folder_of_the_default_one() {
        let classes = [Arc::new(build_class())];
        let actions = bind(&claim(), None, &classes, Path::new("/v"));
        let [Action::Patch(_, patch), Action::Create(_, body)] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        assert_eq!(patch["spec"]["storageClassName"], CLASS);
        assert_eq!(body["spec"]["hostPath"]["path"], "/v/ns_data_uid-data");
        let volume: PersistentVolume = serde_json::from_value(body.clone()).unwrap();
        let actions = bind(&claim(), Some(&volume), &classes, Path::new("/v"));
        let [_, Action::Patch(_, name), Action::PatchStatus(_, status)] = actions.as_slice() else {
            panic!("{actions:?}")
        };
        assert_eq!(name["spec"]["volumeName"], volume.name_any());
        assert_eq!(status["status"]["phase"], "Bound");
    }

    #[test]
    fn a_claim_of_a_foreign_class_is_left_alone() {
        let mut claim = claim();
        claim.spec.as_mut().unwrap().storage_class_name = Some("fast".to_owned());
        assert_eq!(bind(&claim, None, &[Arc::new(build_class())], Path::new("/v")), []);
    }

    #[test]
    fn a_volume_without_its_claim_goes_by_its_policy() {
        let class = build_class();
        let mut volume = build_volume(&claim(), &class, Path::new("/v"));
        assert!(matches!(
            tend(&volume, true, false).as_slice(),
            [Action::Delete(_), Action::RemoveFolder(_)]
        ));
        volume.spec.as_mut().unwrap().persistent_volume_reclaim_policy = Some("Retain".to_owned());
        let actions = tend(&volume, true, false);
        let [Action::PatchStatus(_, patch)] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!(patch["status"]["phase"], "Released");
    }
}
