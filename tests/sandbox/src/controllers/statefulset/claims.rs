//! Claims of a StatefulSet's pods: made from templates, and given owners by the retention policy.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::controllers::{Action, View};

/// The claims that the pod of an ordinal mounts, as they would be made.
pub(super) fn of_ordinal(set: &StatefulSet, ordinal: i32) -> Vec<(String, PersistentVolumeClaim)> {
    let selected = set.spec.selector.match_labels.clone();
    let templates = set.spec.volume_claim_templates.clone().unwrap_or_default();
    let claim = |template: PersistentVolumeClaim| {
        let volume = template.name_any();
        let mut labels = template.metadata.labels.unwrap_or_default();
        labels.extend(selected.clone().unwrap_or_default());
        let metadata = ObjectMeta {
            name: Some(format!("{volume}-{}-{ordinal}", set.name_any())),
            namespace: set.namespace(),
            labels: Some(labels).filter(|labels| !labels.is_empty()),
            annotations: template.metadata.annotations,
            ..ObjectMeta::default()
        };
        (volume, PersistentVolumeClaim { metadata, spec: template.spec, status: None })
    };
    templates.into_iter().map(claim).collect()
}

/// Puts the claims of an ordinal in the place of the volumes of the same name.
pub(super) fn mount(set: &StatefulSet, ordinal: i32, pod: &mut Pod) {
    let Some(spec) = &mut pod.spec else { return };
    let volumes = spec.volumes.get_or_insert_default();
    // As in a cluster, they come before the pod's other volumes.
    for (place, (name, claim)) in of_ordinal(set, ordinal).into_iter().enumerate() {
        volumes.retain(|volume| volume.name != name);
        volumes.insert(
            place,
            Volume {
                name,
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: claim.name_any(),
                    read_only: Some(false),
                }),
                ..Volume::default()
            },
        );
    }
}

/// What the retention policy lacks on the claims of one pod. With `Delete` a claim is owned by the set
/// (when the set is deleted) or by its pod (when the pod is scaled away); with `Retain` by neither.
pub(super) fn owners(
    view: &View<'_>,
    set: &StatefulSet,
    ordinal: i32,
    pod: Option<&Pod>,
    condemned: bool,
) -> Vec<Action> {
    let policy = set.spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    let deletes = |choice: &Option<String>| choice.as_deref() == Some("Delete");
    let namespace = set.namespace().unwrap_or_default();
    let mut wanted: Vec<OwnerReference> = Vec::new();
    if condemned && deletes(&policy.when_scaled) {
        wanted.extend(pod.and_then(|pod| pod.owner_ref(&())));
    } else if deletes(&policy.when_deleted) {
        wanted.extend(set.owner_ref(&()));
    }
    of_ordinal(set, ordinal)
        .iter()
        .filter_map(|(_, claim)| view.caches.claims.get(&namespace, &claim.name_any()))
        .filter_map(|claim| {
            let present = claim.metadata.owner_references.clone().unwrap_or_default();
            let ours = |reference: &OwnerReference| {
                (reference.kind == "StatefulSet" && reference.name == set.name_any())
                    || (reference.kind == "Pod" && reference.name == format!("{}-{ordinal}", set.name_any()))
            };
            let mut next: Vec<_> = present.iter().filter(|reference| !ours(reference)).cloned().collect();
            next.extend(wanted.clone());
            (next != present)
                .then(|| Action::patch(&*claim, json!({ "metadata": { "ownerReferences": next } })))
        })
        .collect()
}
