//! Revisions of a StatefulSet's template, kept as ControllerRevisions.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use kube::{Resource, ResourceExt};
use serde_json::json;

use crate::controllers::{Action, short_hash};

/// The label of a pod that names the revision it was made from.
pub(super) const LABEL: &str = "controller-revision-hash";

/// The revisions that matter: what pods are made from now, and what they shall become.
pub(super) struct Revisions {
    /// Name of the revision that pods below the partition keep.
    pub(super) current: String,
    /// Template of that revision.
    pub(super) current_template: PodTemplateSpec,
    /// Name of the revision of the set's own template.
    pub(super) update: String,
}

impl Revisions {
    /// The template and the name of the revision for a pod that is made anew.
    pub(super) fn for_ordinal<'a>(
        &'a self,
        set_template: &'a PodTemplateSpec,
        ordinal: i32,
        partition: i32,
        current_replicas: i32,
    ) -> (&'a PodTemplateSpec, &'a str) {
        if self.current != self.update && (ordinal < partition || ordinal < current_replicas.min(partition)) {
            (&self.current_template, &self.current)
        } else {
            (set_template, &self.update)
        }
    }
}

/// Finds the revisions of a set, and the writes that keep their history: a new revision where the template is
/// new, a higher number where an old one came back, and no more old ones than the set wants.
pub(super) fn resolve(
    set: &StatefulSet,
    template: &PodTemplateSpec,
    known: &[Arc<ControllerRevision>],
    in_use: &[&str],
) -> (Revisions, Vec<Action>) {
    let name = format!("{}-{}", set.name_any(), short_hash(template));
    let newest = known.iter().filter_map(|revision| revision.revision).max().unwrap_or(0);
    let mut actions = Vec::new();
    match known.iter().find(|revision| revision.name_any() == name) {
        Some(revision) if revision.revision == Some(newest) => (),
        Some(revision) => actions.push(Action::patch(&**revision, json!({ "revision": newest + 1 }))),
        None => actions.push(Action::create(&ControllerRevision {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: set.namespace(),
                labels: template.metadata.as_ref().and_then(|meta| meta.labels.clone()),
                owner_references: set.controller_owner_ref(&()).map(|reference| vec![reference]),
                ..ObjectMeta::default()
            },
            data: RawExtension(json!({ "spec": { "template": template } })),
            revision: Some(newest + 1),
        })),
    }
    let current = set
        .status
        .as_ref()
        .and_then(|status| status.current_revision.clone())
        .filter(|current| known.iter().any(|revision| revision.name_any() == *current))
        .unwrap_or_else(|| name.clone());
    let current_template = known
        .iter()
        .find(|revision| revision.name_any() == current)
        .and_then(|revision| serde_json::from_value(revision.data.0["spec"]["template"].clone()).ok())
        .unwrap_or_else(|| template.clone());

    let mut old: Vec<_> = known
        .iter()
        .filter(|revision| {
            let revision = revision.name_any();
            revision != name && revision != current && !in_use.contains(&revision.as_str())
        })
        .collect();
    old.sort_by_key(|revision| revision.revision);
    let limit = set.spec.revision_history_limit.unwrap_or(10);
    let spare = old.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    actions.extend(old.into_iter().take(spare).map(|revision| Action::delete(&**revision)));
    (Revisions { current, current_template, update: name }, actions)
}
