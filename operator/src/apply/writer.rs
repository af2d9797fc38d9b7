//! Every write to the API goes through here: past the gate, with a time-out, and counted.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
};
use kube::{Client, Error};
use serde_json::Value;

use crate::error::Class;
use crate::lease::{Gate, NotLeader, WRITE_TIMEOUT};
use crate::metrics::{Metrics, Verb};
use crate::names::MANAGER;

/// Longest time that one read may take.
pub const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request to the API failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// This process may not write.
    #[error(transparent)]
    NotLeader(#[from] NotLeader),
    /// The API refused, or was not reached.
    #[error("{}", explain(.0))]
    Api(#[source] Box<Error>),
    /// No answer in time.
    #[error("no answer of the API server within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The object is one that cannot be sent.
    #[error("{0}")]
    Unusable(String),
}

/// The message of the API server where there is one; the client's own text repeats it.
fn explain(error: &Error) -> String {
    match error {
        Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

impl From<Error> for RequestError {
    fn from(error: Error) -> Self {
        Self::Api(Box::new(error))
    }
}

impl RequestError {
    /// What kind of obstacle this is; none where this process no longer leads, which is nobody's fault.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::NotLeader(_) => None,
            Self::Api(error) => Some(Class::of(error)),
            Self::TimedOut(_) => Some(Class::Transient),
            Self::Unusable(_) => Some(Class::Bug),
        }
    }

    /// The status code of the API's refusal.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Api(error) => match error.as_ref() {
                Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A request with a bound on its time.
pub async fn within<T>(
    limit: Duration,
    request: impl Future<Output = Result<T, Error>>,
) -> Result<T, RequestError> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(RequestError::TimedOut(limit)),
    }
}

/// Sends writes.
#[derive(Clone)]
pub struct Writer {
    client: Client,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
}

impl Writer {
    /// A writer behind this gate.
    pub fn new(client: Client, gate: Arc<Gate>, metrics: Arc<Metrics>) -> Self {
        Self { client, gate, metrics }
    }

    /// The API of a kind, in a namespace where it has one.
    pub fn api(&self, resource: &ApiResource, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Reads one object as it is now.
    pub async fn get(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<DynamicObject>, RequestError> {
        within(READ_TIMEOUT, self.api(resource, namespace).get_opt(name)).await
    }

    /// Server-side apply of a whole object, taking over the fields that are in it.
    pub async fn apply(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
        body: &Value,
    ) -> Result<DynamicObject, RequestError> {
        let api = self.api(resource, namespace);
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(body);
        let request = api.patch(name, &params, &patch);
        self.write(&resource.kind, Verb::Apply, request).await
    }

    /// Server-side apply of the status of an object.
    pub async fn apply_status(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
        body: &Value,
    ) -> Result<DynamicObject, RequestError> {
        let api = self.api(resource, Some(namespace));
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(body);
        let request = api.patch_status(name, &params, &patch);
        self.write(&resource.kind, Verb::ApplyStatus, request).await
    }

    /// Creates an object. That it exists already is an error of the API with code 409.
    pub async fn create(
        &self,
        resource: &ApiResource,
        namespace: &str,
        object: &DynamicObject,
    ) -> Result<DynamicObject, RequestError> {
        let api = self.api(resource, Some(namespace));
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        self.write(&resource.kind, Verb::Create, api.create(&params, object)).await
    }

    /// Deletes just the object that was seen, by its UID. One that is gone already is fine.
    pub async fn delete(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        name: &str,
        uid: Option<String>,
    ) -> Result<(), RequestError> {
        let api = self.api(resource, namespace);
        let preconditions = Preconditions { uid, resource_version: None };
        let params = DeleteParams::background().preconditions(preconditions);
        match self.write(&resource.kind, Verb::Delete, api.delete(name, &params)).await {
            Err(error) if error.code() == Some(404) => Ok(()),
            other => other.map(drop),
        }
    }

    /// One write: asks the gate right before it is sent, and counts it.
    pub async fn write<T>(
        &self,
        kind: &str,
        verb: Verb,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, RequestError> {
        // A future does nothing before it is polled, so nothing is sent without the permit.
        let _permit = self.gate.permit()?;
        let answer = within(WRITE_TIMEOUT, request).await;
        self.metrics.count_write(kind, verb, answer.is_ok());
        answer
    }
}
