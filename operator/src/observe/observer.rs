//! Everything that one reconcile reads.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{DynamicObject, ResourceExt};
use obstack_crds::workload::SecretKey;
use tokio::sync::mpsc::UnboundedSender;

use super::answers::Haste;
use super::contents::Contents;
use super::engines::Engines;
use super::measure::Readings;
use super::records::Records;
use super::replicas::Replicas;
use super::stores::{Stores, Trigger};
use super::{ClusterFacts, Fact, Facts, Refusal, ReloaderFact, secrets};
use crate::names::{LABEL_ROLE, LABEL_STACK, LABEL_STACK_UID, Role, StackId};

/// Reads what a reconcile needs to know.
#[derive(Clone)]
pub struct Observer {
    client: Client,
    /// What the watches have seen.
    pub stores: Stores,
    /// What was read of Secrets and ConfigMaps that objects of others refer to.
    pub contents: Contents,
    replicas: Replicas,
    records: Records,
}

impl Observer {
    /// An observer over these stores. `late` is told of stacks whose replicas answered late.
    pub fn new(
        client: Client,
        stores: Stores,
        engines: Engines,
        readings: Readings,
        late: &UnboundedSender<Trigger>,
    ) -> Self {
        let replicas = Replicas::new(engines, readings, late);
        Self {
            contents: Contents::new(client.clone()),
            client,
            stores,
            replicas,
            records: Records::default(),
        }
    }

    /// Everything that one reconcile of a stack needs to know. What cannot be read is Unavailable. In haste, replicas
    /// that take long are given by what they said before.
    pub async fn observe(
        &self,
        id: &StackId,
        uid: &str,
        references: BTreeSet<SecretKey>,
        haste: &Haste,
    ) -> Facts {
        let pods = self.pods(id);
        let none = BTreeMap::new();
        let asked = pods.known().unwrap_or(&none);
        let (cluster, secrets, engines, reloaders, wires, readings) = tokio::join!(
            self.stores.cluster.read(),
            secrets::read(&self.client, &id.namespace, references),
            self.replicas.engines(id, asked, haste),
            self.replicas.reloaders(id, asked, haste),
            self.replicas.wires(id, asked, haste),
            self.replicas.readings(id, asked, haste),
        );
        let cluster = self.with_handed(cluster);
        let owned = self.owned(uid);
        let records = match self.stores.records.read() {
            Fact::Known(all) => self.records.of(id, &all),
            Fact::Unavailable(reason) => Fact::Unavailable(reason),
        };
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
