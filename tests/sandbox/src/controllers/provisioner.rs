//! The default StorageClass where another control plane binds claims: its controller asks for a volume with
//! an annotation on the claim, and says with a volume's phase that its claim is gone.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::{Client, ResourceExt};
use tokio_util::sync::CancellationToken;

use super::volumes::{CLASS, PROVISIONER, build_class, build_volume, is_reclaimed, reclaim};
use super::{Action, Plan, Table, follow, row};
use crate::informer::Informer;

/// Names the provisioner that a claim waits for.
const ASKS: &str = "volume.kubernetes.io/storage-provisioner";

/// Copies of what the provisioner looks at.
pub(super) struct Caches {
    claims: Arc<Informer<PersistentVolumeClaim>>,
    volumes: Arc<Informer<PersistentVolume>>,
    classes: Arc<Informer<StorageClass>>,
}

impl Caches {
    pub(super) fn start(client: &Client, stop: &CancellationToken) -> Self {
        Self { claims: follow(client, stop), volumes: follow(client, stop), classes: follow(client, stop) }
    }

    pub(super) fn table(&self) -> Table {
        BTreeMap::from([row(&self.claims), row(&self.volumes), row(&self.classes)])
    }

    pub(super) fn plan(&self, root: &Path) -> Plan {
        let actions = plan(&self.claims.all(), &self.volumes.all(), &self.classes.all(), root);
        Plan { actions, wake: None }
    }
}

fn plan(
    claims: &[Arc<PersistentVolumeClaim>],
    volumes: &[Arc<PersistentVolume>],
    classes: &[Arc<StorageClass>],
    root: &Path,
) -> Vec<Action> {
    let mut actions = Vec::new();
    if !classes.iter().any(|class| class.name_any() == CLASS) {
        actions.push(Action::create(&build_class()));
    }
    for claim in claims {
        let spec = claim.spec.clone().unwrap_or_default();
        let asks = claim.annotations().get(ASKS).is_some_and(|provisioner| provisioner == PROVISIONER);
        let class = classes.iter().find(|class| Some(class.name_any()) == spec.storage_class_name);
        let waits = spec.volume_name.is_none() && claim.metadata.deletion_timestamp.is_none();
        if let Some(class) = class.filter(|_| asks && waits) {
            let volume = build_volume(claim, class, root);
            if !volumes.iter().any(|known| known.metadata.name == volume.metadata.name) {
                actions.push(Action::create(&volume));
            }
        }
    }
    let released = |volume: &&Arc<PersistentVolume>| {
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        phase == Some("Released") && volume.metadata.deletion_timestamp.is_none()
    };
    let done = volumes.iter().filter(released).filter(|volume| is_reclaimed(volume));
    actions.extend(done.flat_map(|volume| reclaim(volume)));
    actions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claim(annotation: &str, volume: Option<&str>) -> Arc<PersistentVolumeClaim> {
        let claim = json!({
            "metadata": { "name": "data", "namespace": "ns", "uid": "u", "annotations": { ASKS: annotation } },
            "spec": { "storageClassName": CLASS, "volumeName": volume },
        });
        Arc::new(serde_json::from_value(claim).unwrap())
    }

    #[test]
    fn a_claim_that_asks_gets_one_volume_and_others_none() {
        let classes = [Arc::new(build_class())];
        let plan = |claim: &Arc<PersistentVolumeClaim>, volumes: &[Arc<PersistentVolume>]| {
            super::plan(std::slice::from_ref(claim), volumes, &classes, Path::new("/v"))
        };
        let asks = claim(PROVISIONER, None);
        let actions = plan(&asks, &[]);
        let [Action::Create(_, body)] = actions.as_slice() else { panic!("{actions:?}") };
        assert_eq!(body["spec"]["claimRef"]["uid"], "u");
        let made: PersistentVolume = serde_json::from_value(body.clone()).unwrap();
        assert_eq!(plan(&asks, &[Arc::new(made)]), [], "it has one, which is not bound yet");
        assert_eq!(plan(&claim(PROVISIONER, Some("pvc-u")), &[]), [], "it is bound");
        assert_eq!(plan(&claim("other.example.com/disk", None), &[]), []);
    }

    #[test]
    fn a_released_volume_is_removed_once() {
        let mut volume = build_volume(&claim(PROVISIONER, None), &build_class(), Path::new("/v"));
        let plan = |volume: &PersistentVolume| {
            super::plan(&[], &[Arc::new(volume.clone())], &[Arc::new(build_class())], Path::new("/v"))
        };
        volume.status = Some(serde_json::from_value(json!({ "phase": "Bound" })).unwrap());
        assert_eq!(plan(&volume), []);
        volume.status = Some(serde_json::from_value(json!({ "phase": "Released" })).unwrap());
        assert!(matches!(plan(&volume).as_slice(), [Action::Delete(_), Action::RemoveFolder(_)]));
        volume.metadata.deletion_timestamp =
            Some(serde_json::from_value(json!("2030-01-01T00:00:00Z")).unwrap());
        assert_eq!(plan(&volume), []);
    }
}
