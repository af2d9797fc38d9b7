//! What the cluster can do, read through discovery and kept for a while.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, ListParams, ResourceExt};
use kube::{Client, Error};
use tokio::sync::Mutex;

use super::stores::Scope;
use super::{ClusterFacts, Fact};
use crate::apply::writer::{READ_TIMEOUT, RequestError, within};

/// How long what was read is believed: what a cluster can do changes when somebody installs something.
const FRESH: Duration = Duration::from_secs(600);
/// How long a failed read is not tried again.
const RETRY: Duration = Duration::from_secs(5);
const DEFAULT_CLASS: &str = "storageclass.kubernetes.io/is-default-class";

/// Reads what the cluster can do.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    scope: Scope,
    cached: Arc<Mutex<Option<Cached>>>,
}

struct Cached {
    until: Instant,
    fact: Fact<ClusterFacts>,
}

impl Cluster {
    /// A reader with nothing read yet.
    pub fn new(client: Client, scope: Scope) -> Self {
        Self { client, scope, cached: Arc::default() }
    }

    /// What the cluster can do. What was known stays known where a later read fails.
    pub async fn read(&self) -> Fact<ClusterFacts> {
        let mut cached = self.cached.lock().await;
        if let Some(cached) = cached.as_ref().filter(|cached| cached.until > Instant::now()) {
            return cached.fact.clone();
        }
        let (fact, length) = match self.ask().await {
            Ok(facts) => (Fact::Known(facts), FRESH),
            Err(error) => match cached.take().map(|cached| cached.fact) {
                Some(Fact::Known(before)) => (Fact::Known(before), RETRY),
                _ => (Fact::Unavailable(error.to_string()), RETRY),
            },
        };
        *cached = Some(Cached { until: Instant::now() + length, fact: fact.clone() });
        fact
    }

    async fn ask(&self) -> Result<ClusterFacts, RequestError> {
        let groups = within(READ_TIMEOUT, self.client.list_api_groups()).await?;
        let serves = |name: &str| groups.groups.iter().any(|group| group.name == name);
        Ok(ClusterFacts {
            http_route: serves("gateway.networking.k8s.io"),
            prometheus_operator: serves("monitoring.coreos.com"),
            default_storage_class: self.default_storage_class().await?,
        })
    }

    /// None too where classes cannot be listed: an install without cluster-wide rights, which does not ask
    /// for what it is not given, works with the default class without knowing its name.
    async fn default_storage_class(&self) -> Result<Option<String>, RequestError> {
        if self.scope != Scope::Cluster {
            return Ok(None);
        }
        let api: Api<StorageClass> = Api::all(self.client.clone());
        let params = ListParams::default();
        let classes = match within(READ_TIMEOUT, api.list(&params)).await {
            Ok(classes) => classes,
            Err(RequestError::Api(error)) if is_refusal(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let is_default =
            |class: &StorageClass| class.annotations().get(DEFAULT_CLASS).is_some_and(|v| v == "true");
        Ok(classes.iter().find(|class| is_default(class)).map(ResourceExt::name_any))
    }
}

fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}
