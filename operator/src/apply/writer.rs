//! Every write to the API goes through here: past the gate, with a time-out, and counted.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
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

    /// One write: asks the gate right before it is sent and each time it goes on, and counts it. A process that
    /// is stopped on the way and continued later lets go of a request that is not on the wire yet.
    pub async fn write<T>(
        &self,
        kind: &str,
        verb: Verb,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, RequestError> {
        let mut request = pin!(request);
        let fenced = poll_fn(|context| match self.gate.permit() {
            Ok(_permit) => request.as_mut().poll(context).map_err(RequestError::from),
            Err(closed) => Poll::Ready(Err(closed.into())),
        });
        let late = |_| Err(RequestError::TimedOut(WRITE_TIMEOUT));
        let answer = tokio::time::timeout(WRITE_TIMEOUT, fenced).await.unwrap_or_else(late);
        if !matches!(answer, Err(RequestError::NotLeader(_))) {
            self.metrics.count_write(kind, verb, answer.is_ok());
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    fn client() -> Client {
        let nobody = tower::service_fn(|_: axum::http::Request<kube::client::Body>| async {
            Err::<axum::http::Response<kube::client::Body>, _>(std::io::Error::other("nobody is asked here"))
        });
        Client::new(nobody, "default")
    }

    #[tokio::test]
    async fn nothing_is_sent_behind_a_closed_gate_nor_when_it_closes_on_the_way() {
        let gate = Arc::new(Gate::open());
        let writer = Writer::new(client(), gate.clone(), Arc::default());
        let (begun, sent) = (AtomicBool::new(false), AtomicBool::new(false));
        let request = async {
            begun.store(true, Ordering::SeqCst);
            // The process is stopped here, and the Lease goes to somebody else.
            gate.close();
            tokio::task::yield_now().await;
            sent.store(true, Ordering::SeqCst);
            Ok(())
        };
        let answer = writer.write("Service", Verb::Apply, request).await;
        assert!(matches!(answer, Err(RequestError::NotLeader(_))), "{answer:?}");
        assert!(begun.load(Ordering::SeqCst));
        assert!(!sent.load(Ordering::SeqCst), "it went on behind a closed gate");

        let again = writer
            .write("Service", Verb::Apply, async {
                sent.store(true, Ordering::SeqCst);
                Ok(())
            })
            .await;
        assert!(matches!(again, Err(RequestError::NotLeader(_))), "{again:?}");
        assert!(!sent.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_write_that_is_not_answered_ends_before_the_lease_can() {
        let writer = Writer::new(client(), Arc::new(Gate::open()), Arc::default());
        let never = std::future::pending::<Result<(), Error>>();
        let answer = writer.write("Service", Verb::Apply, never).await;
        assert!(matches!(answer, Err(RequestError::TimedOut(limit)) if limit == WRITE_TIMEOUT), "{answer:?}");
        assert_eq!(answer.unwrap_err().class(), Some(Class::Transient));
    }
}
