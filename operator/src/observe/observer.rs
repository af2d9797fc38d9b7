//! Everything that one reconcile reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{DynamicObject, ResourceExt};
use obstack_crds::DecisionRecord;
use obstack_crds::workload::SecretKey;

use super::contents::Contents;
use super::engines::Engines;
use super::measure::Readings;
use super::stores::Stores;
use super::{ClusterFacts, EngineFact, Fact, Facts, Refusal, ReloaderFact, WireReading, secrets};
use crate::decide::calibration::Reading;
use crate::endpoint::{Endpoint, RELOADER_PORT};
use crate::names::own_job;
use crate::names::{LABEL_ROLE, LABEL_STACK, LABEL_STACK_UID, Role, StackId};

/// Reads what a reconcile needs to know.
#[derive(Clone)]
pub struct Observer {
    client: Client,
    /// What the watches have seen.
    pub stores: Stores,
    /// What was read of Secrets and ConfigMaps that objects of others refer to.
    pub contents: Contents,
    engines: Engines,
    readings: Readings,
}

impl Observer {
    /// An observer over these stores.
    pub fn new(client: Client, stores: Stores, engines: Engines, readings: Readings) -> Self {
        Self { contents: Contents::new(client.clone()), client, stores, engines, readings }
    }

    /// Everything that one reconcile of a stack needs to know. What cannot be read is Unavailable.
    pub async fn observe(&self, id: &StackId, uid: &str, references: BTreeSet<SecretKey>) -> Facts {
        let pods = self.pods(id);
        let (cluster, secrets, engines, reloaders, wires, readings) = tokio::join!(
            self.stores.cluster.read(),
            secrets::read(&self.client, &id.namespace, references),
            self.ask_engines(id, &pods),
            self.ask_reloaders(&pods),
            self.ask_for_wires(id, &pods),
            self.measure(id, &pods),
        );
        let cluster = self.with_handed(cluster);
        let (owned, records) = (self.owned(uid), self.records(id));
        let refusals = refusals(&reloaders);
        Facts { cluster, owned, pods, secrets, records, engines, refusals, reloaders, wires, readings }
    }

    /// That the group is served says little of the types in it. Where a stack wants them, they are known.
    fn with_handed(&self, cluster: Fact<ClusterFacts>) -> Fact<ClusterFacts> {
        match (cluster, self.stores.handed.served()) {
            (Fact::Known(mut facts), Fact::Known(served)) => {
                facts.prometheus_operator = served;
                Fact::Known(facts)
            }
            (cluster, _) => cluster,
        }
    }

    fn owned(&self, uid: &str) -> BTreeMap<String, Fact<Vec<Arc<DynamicObject>>>> {
        let of_stack = |store: &super::stores::Watched<DynamicObject>| match store.read() {
            Fact::Known(objects) => {
                Fact::Known(objects.into_iter().filter(|object| belongs(object.as_ref(), uid)).collect())
            }
            Fact::Unavailable(reason) => Fact::Unavailable(reason),
        };
        self.stores.owned.iter().map(|(kind, store)| (kind.name.to_owned(), of_stack(store))).collect()
    }

    fn pods(&self, id: &StackId) -> Fact<BTreeMap<Role, Vec<Pod>>> {
        let all = match self.stores.pods.read() {
            Fact::Known(pods) => pods,
            Fact::Unavailable(reason) => return Fact::Unavailable(reason),
        };
        let mut by_role: BTreeMap<Role, Vec<Pod>> = BTreeMap::new();
        for pod in all {
            let labels = pod.labels();
            let ours = pod.metadata.namespace.as_deref() == Some(&id.namespace)
                && labels.get(LABEL_STACK) == Some(&id.name);
            let role = labels.get(LABEL_ROLE);
            let role = Role::ALL.into_iter().find(|known| role.is_some_and(|role| role == known.as_str()));
            if let Some(role) = role.filter(|_| ours) {
                by_role.entry(role).or_default().push(Pod::clone(&pod));
            }
        }
        for pods in by_role.values_mut() {
            pods.sort_by_key(ResourceExt::name_any);
        }
        Fact::Known(by_role)
    }

    /// Records in the order of their names. Where one cannot be read, none is known: the decision in force
    /// could be the one that it holds.
    fn records(&self, id: &StackId) -> Fact<Vec<DecisionRecord>> {
        let all = match self.stores.records.read() {
            Fact::Known(records) => records,
            Fact::Unavailable(reason) => return Fact::Unavailable(reason),
        };
        let of_stack = |object: &&Arc<DynamicObject>| {
            object.metadata.namespace.as_deref() == Some(&id.namespace)
                && object.labels().get(LABEL_STACK) == Some(&id.name)
        };
        let read = |object: &Arc<DynamicObject>| {
            let record = DynamicObject::clone(object).try_parse::<DecisionRecord>();
            record.map_err(|error| format!("{} cannot be read: {error}", object.name_any()))
        };
        match all.iter().filter(of_stack).map(read).collect::<Result<Vec<DecisionRecord>, String>>() {
            Ok(mut records) => {
                records.sort_by_key(ResourceExt::name_any);
                Fact::Known(records)
            }
            Err(reason) => Fact::Unavailable(reason),
        }
    }

    async fn ask_engines(
        &self,
        id: &StackId,
        pods: &Fact<BTreeMap<Role, Vec<Pod>>>,
    ) -> BTreeMap<Role, BTreeMap<String, Fact<EngineFact>>> {
        let questions = pods.known().into_iter().flatten().flat_map(|(role, pods)| {
            let endpoint = Endpoint::of(id, *role);
            pods.iter().map(move |pod| {
                let endpoint = endpoint.clone();
                async move { (*role, pod.name_any(), self.ask_engine(*role, &endpoint, pod).await) }
            })
        });
        let mut engines: BTreeMap<Role, BTreeMap<String, Fact<EngineFact>>> = BTreeMap::new();
        for (role, pod, answer) in join_all(questions).await {
            if let Some(answer) = answer {
                engines.entry(role).or_default().insert(pod, answer);
            }
        }
        engines
    }

    /// How the tripwires stand, by each replica of the metrics store: each has its own data, and judges by
    /// itself.
    async fn ask_for_wires(
        &self,
        id: &StackId,
        pods: &Fact<BTreeMap<Role, Vec<Pod>>>,
    ) -> BTreeMap<String, Fact<Vec<WireReading>>> {
        let endpoint = Endpoint::of(id, Role::Metrics);
        let pods = pods.known().and_then(|pods| pods.get(&Role::Metrics)).into_iter().flatten();
        let questions = pods.map(|pod| {
            let url = address(pod).filter(|_| is_ready(pod)).map(|address| endpoint.url_at(address));
            async move {
                let said = match url {
                    Some(url) => self.engines.wires(id, &url).await,
                    None => Fact::Unavailable("its pod is not ready".to_owned()),
                };
                (pod.name_any(), said)
            }
        });
        join_all(questions).await.into_iter().collect()
    }

    /// What the reloaders say, those of pods that are not ready included: a first configuration that is refused
    /// keeps its pod from becoming ready.
    async fn ask_reloaders(
        &self,
        pods: &Fact<BTreeMap<Role, Vec<Pod>>>,
    ) -> BTreeMap<Role, BTreeMap<String, Fact<ReloaderFact>>> {
        let configured = |role: &Role| *role != Role::Dashboards;
        let pods = pods.known().into_iter().flatten().filter(|(role, _)| configured(role));
        let questions = pods.flat_map(|(role, pods)| pods.iter().map(move |pod| (*role, pod))).filter_map(
            |(role, pod)| {
                let address = pod.status.as_ref()?.pod_ip.as_deref()?;
                let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
                let url = format!("http://{host}:{RELOADER_PORT}");
                Some(async move { (role, pod.name_any(), self.engines.reloader(&url).await) })
            },
        );
        let mut reloaders: BTreeMap<Role, BTreeMap<String, Fact<ReloaderFact>>> = BTreeMap::new();
        for (role, pod, fact) in join_all(questions).await {
            reloaders.entry(role).or_default().insert(pod, fact);
        }
        reloaders
    }

    /// What the ready replicas of the metrics store measure of themselves. Each scrapes all of them, and its own
    /// metrics are told apart by its pod.
    async fn measure(
        &self,
        id: &StackId,
        pods: &Fact<BTreeMap<Role, Vec<Pod>>>,
    ) -> BTreeMap<String, Fact<Reading>> {
        let endpoint = Endpoint::of(id, Role::Metrics);
        let stores = pods.known().and_then(|pods| pods.get(&Role::Metrics)).into_iter().flatten();
        let questions = stores.filter(|pod| is_ready(pod)).filter_map(|pod| {
            let url = endpoint.url_at(pod.status.as_ref()?.pod_ip.as_deref()?);
            let (name, job) = (pod.name_any(), own_job(Role::Metrics.as_str()));
            let matchers = format!("job={job:?},namespace={:?},pod={name:?}", id.namespace);
            Some(async move { (name, self.readings.of(&url, &matchers).await) })
        });
        join_all(questions).await.into_iter().collect()
    }

    async fn ask_engine(&self, role: Role, endpoint: &Endpoint, pod: &Pod) -> Option<Fact<EngineFact>> {
        match address(pod).filter(|_| is_ready(pod)) {
            Some(address) => self.engines.ask(role, &endpoint.url_at(address)).await,
            None => Some(Fact::Unavailable("its pod is not ready".to_owned())),
        }
    }
}

/// What the reloaders keep out of their engines. One that does not answer keeps out nothing: then what the
/// engine says has to do.
fn refusals(
    reloaders: &BTreeMap<Role, BTreeMap<String, Fact<ReloaderFact>>>,
) -> BTreeMap<Role, BTreeMap<String, Refusal>> {
    let of_role = |pods: &BTreeMap<String, Fact<ReloaderFact>>| {
        let refused =
            |(pod, fact): (&String, &Fact<ReloaderFact>)| Some((pod.clone(), fact.known()?.refused.clone()?));
        pods.iter().filter_map(refused).collect::<BTreeMap<_, _>>()
    };
    let all = reloaders.iter().map(|(role, pods)| (*role, of_role(pods)));
    all.filter(|(_, refused)| !refused.is_empty()).collect()
}

/// The address of a pod, once it has one.
pub fn address(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.pod_ip.as_deref()
}

/// Whether an object belongs to the stack with this UID: by its owner, or by its label where an owner cannot
/// reach.
pub fn belongs(object: &DynamicObject, uid: &str) -> bool {
    object.owner_references().iter().any(|owner| owner.uid == uid)
        || object.labels().get(LABEL_STACK_UID).is_some_and(|label| label == uid)
}

/// Whether a pod says that it is ready.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
