//! What a running workload has that cannot change, or must not change by itself.

use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::DynamicObject;
use serde::Deserialize;

use super::INSTALL_CONTAINER;
use crate::names::{LABEL_ROLE, Role};
use crate::units::Bytes;

/// What stays as it is while a workload exists.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pinned {
    /// Image that the reloader was taken from: an upgrade of the operator restarts no engine.
    pub operator_image: Option<String>,
    /// The claim of each replica: the API server refuses every change of a StatefulSet's claims.
    pub claim: Option<PersistentVolumeClaim>,
}

impl Pinned {
    /// What is pinned by an object that the stack owns, with its role; none for any object but a workload with
    /// volumes.
    pub fn of(object: &DynamicObject) -> Option<(Role, Self)> {
        let label = object.metadata.labels.as_ref()?.get(LABEL_ROLE)?;
        let role = Role::ALL.into_iter().find(|role| role.as_str() == label)?;
        let spec = &object.data["spec"];
        match object.types.as_ref()?.kind.as_str() {
            "StatefulSet" => {}
            // A larger claim there would make all pods anew, and no volume larger.
            "Prometheus" | "Alertmanager" => {
                let claim = PersistentVolumeClaim::deserialize(&spec["storage"]["volumeClaimTemplate"]).ok();
                return Some((role, Self { operator_image: None, claim }));
            }
            _ => return None,
        }
        // Just these two are read, not a whole set with its hundred volumes: it is done in every reconcile.
        let install = spec["template"]["spec"]["initContainers"].as_array();
        let install = install.into_iter().flatten().find(|container| container["name"] == INSTALL_CONTAINER);
        let operator_image = install.and_then(|container| container["image"].as_str()).map(str::to_owned);
        let claim = spec["volumeClaimTemplates"].get(0).map(PersistentVolumeClaim::deserialize);
        let mut claim = claim.transpose().ok()?;
        if let Some(claim) = &mut claim {
            claim.status = None;
        }
        Some((role, Self { operator_image, claim }))
    }

    /// Size of the volume that is claimed already.
    pub(super) fn volume(&self) -> Option<Bytes> {
        let requests = self.claim.as_ref()?.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
        requests.get("storage")?.0.parse().ok()
    }
}
