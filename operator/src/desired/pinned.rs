//! What a running workload has that cannot change, or must not change by itself.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use serde_json::Value;

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
    pub fn of(object: &Value) -> Option<(Role, Self)> {
        let label = object["metadata"]["labels"][LABEL_ROLE].as_str()?;
        let role = Role::ALL.into_iter().find(|role| role.as_str() == label)?;
        match object["kind"].as_str()? {
            "StatefulSet" => {}
            // A larger claim there would make all pods anew, and no volume larger.
            "Prometheus" | "Alertmanager" => {
                let claim = object["spec"]["storage"]["volumeClaimTemplate"].clone();
                let claim = serde_json::from_value(claim).ok();
                return Some((role, Self { operator_image: None, claim }));
            }
            _ => return None,
        }
        let set: StatefulSet = serde_json::from_value(object.clone()).ok()?;
        let pod = set.spec.template.spec.unwrap_or_default();
        let install =
            pod.init_containers.unwrap_or_default().into_iter().find(|c| c.name == INSTALL_CONTAINER);
        let mut claim = set.spec.volume_claim_templates.unwrap_or_default().into_iter().next();
        if let Some(claim) = &mut claim {
            claim.status = None;
        }
        Some((role, Self { operator_image: install.and_then(|c| c.image), claim }))
    }

    /// Size of the volume that is claimed already.
    pub(super) fn volume(&self) -> Option<Bytes> {
        let requests = self.claim.as_ref()?.spec.as_ref()?.resources.as_ref()?.requests.as_ref()?;
        requests.get("storage")?.0.parse().ok()
    }
}
