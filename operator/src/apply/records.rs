//! Writing records down.

use kube::CustomResourceExt;
use kube::api::DynamicObject;
use obstack_crds::record::DecisionRecordStatus;
use obstack_crds::{Component, DecisionRecord};
use serde_json::json;

use super::writer::RequestError;
use super::{Applier, Done, Failure, ObjectKey, Owner};
use crate::decide::records::RecordAction;
use crate::error::Class;

impl Applier {
    /// Makes the writes that are missing, in their order. A failure stops the rest: the next reconcile sees
    /// what is there and goes on from it.
    pub async fn record(&self, owner: &Owner, actions: &[RecordAction], done: &mut Done) {
        for action in actions {
            let (name, component) = subject(action);
            let Err(error) = self.record_one(owner, action, name).await else { continue };
            if matches!(error, RequestError::NotLeader(_)) {
                done.stopped = true;
                return;
            }
            let object = ObjectKey {
                kind: "DecisionRecord".to_owned(),
                namespace: Some(owner.id.namespace.clone()),
                name: name.to_owned(),
            };
            done.failures.push(Failure {
                component,
                class: error.class().unwrap_or(Class::Transient),
                reason: if error.code() == Some(403) { "Forbidden" } else { "RecordFailed" },
                message: format!("{object}: {error}"),
                object,
            });
            return;
        }
    }

    async fn record_one(&self, owner: &Owner, action: &RecordAction, name: &str) -> Result<(), RequestError> {
        let resource = DecisionRecord::api_resource();
        let namespace = owner.id.namespace.as_str();
        match action {
            // That it exists already means that the watch has not shown it yet: a conflict, looked at again
            // soon, and by no means the record that was meant.
            RecordAction::Create(record) => {
                let unusable = |error: serde_json::Error| RequestError::Unusable(error.to_string());
                let body = serde_json::to_value(record).map_err(unusable)?;
                let object: DynamicObject = serde_json::from_value(body).map_err(unusable)?;
                self.writer.create(&resource, namespace, &object).await.map(drop)
            }
            RecordAction::SetStatus { status, .. } => {
                let body = status_body(namespace, name, status);
                self.writer.apply_status(&resource, namespace, name, &body).await.map(drop)
            }
            RecordAction::Delete { .. } => self.writer.delete(&resource, Some(namespace), name, None).await,
        }
    }
}

fn subject(action: &RecordAction) -> (&str, Component) {
    match action {
        RecordAction::Create(record) => {
            (record.metadata.name.as_deref().unwrap_or_default(), record.spec.component)
        }
        RecordAction::SetStatus { name, .. } | RecordAction::Delete { name } => {
            let of_name = |component: &Component| name.contains(&format!("-{}-", component.slug()));
            (name, Component::ALL.into_iter().find(of_name).unwrap_or(Component::Delivery))
        }
    }
}

fn status_body(namespace: &str, name: &str, status: &DecisionRecordStatus) -> serde_json::Value {
    json!({
        "apiVersion": format!("{}/{}", obstack_crds::GROUP, obstack_crds::VERSION),
        "kind": "DecisionRecord",
        "metadata": { "name": name, "namespace": namespace },
        "status": status,
    })
}
