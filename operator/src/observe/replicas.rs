//! What the replicas of a stack say: their engines, and the reloaders beside them.

use std::collections::BTreeMap;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ResourceExt;
use tokio::sync::mpsc::UnboundedSender;

use super::answers::{Answers, Haste};
use super::engines::Engines;
use super::measure::Readings;
use super::observer::{address, is_ready};
use super::stores::Trigger;
use super::{EngineFact, Fact, ReloaderFact, WireReading};
use crate::decide::calibration::Reading;
use crate::endpoint::{Endpoint, RELOADER_PORT};
use crate::names::{Role, StackId, own_job};

/// Pods by their role.
type Pods = BTreeMap<Role, Vec<Pod>>;

/// Asks replicas, all at once.
#[derive(Clone)]
pub(super) struct Replicas {
    engines: Engines,
    readings: Readings,
    said: Answers<EngineFact>,
    reloaders: Answers<ReloaderFact>,
    wires: Answers<Vec<WireReading>>,
    measured: Answers<Reading>,
}

impl Replicas {
    pub(super) fn new(engines: Engines, readings: Readings, late: &UnboundedSender<Trigger>) -> Self {
        Self {
            engines,
            readings,
            said: Answers::new(late.clone()),
            reloaders: Answers::new(late.clone()),
            wires: Answers::new(late.clone()),
            measured: Answers::new(late.clone()),
        }
    }

    /// What each engine says of itself.
    pub(super) async fn engines(
        &self,
        id: &StackId,
        pods: &Pods,
        haste: &Haste,
    ) -> BTreeMap<Role, BTreeMap<String, Fact<EngineFact>>> {
        let questions = configured(pods).map(|(role, pod)| async move {
            let Some(url) = url(id, role, pod) else { return (role, pod.name_any(), not_ready()) };
            let engines = self.engines.clone();
            let question = async move { engines.ask(role, &url).await };
            (role, pod.name_any(), self.said.ask(&replica(pod), id, haste, question).await)
        });
        by_role(join_all(questions).await)
    }

    /// What the reloaders say, those of pods that are not ready included: a first configuration that is refused
    /// keeps its pod from becoming ready.
    pub(super) async fn reloaders(
        &self,
        id: &StackId,
        pods: &Pods,
        haste: &Haste,
    ) -> BTreeMap<Role, BTreeMap<String, Fact<ReloaderFact>>> {
        let questions = configured(pods).filter_map(|(role, pod)| {
            let address = address(pod)?;
            let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
            let url = format!("http://{host}:{RELOADER_PORT}");
            let engines = self.engines.clone();
            let question = async move { engines.reloader(&url).await };
            Some(async move {
                (role, pod.name_any(), self.reloaders.ask(&replica(pod), id, haste, question).await)
            })
        });
        by_role(join_all(questions).await)
    }

    /// How the tripwires stand, by each replica of the metrics store: each has its own data, and judges by itself.
    pub(super) async fn wires(
        &self,
        id: &StackId,
        pods: &Pods,
        haste: &Haste,
    ) -> BTreeMap<String, Fact<Vec<WireReading>>> {
        let questions = pods.get(&Role::Metrics).into_iter().flatten().map(|pod| async move {
            let Some(url) = url(id, Role::Metrics, pod) else { return (pod.name_any(), not_ready()) };
            let (engines, stack) = (self.engines.clone(), id.clone());
            let question = async move { engines.wires(&stack, &url).await };
            (pod.name_any(), self.wires.ask(&replica(pod), id, haste, question).await)
        });
        join_all(questions).await.into_iter().collect()
    }

    /// What the ready replicas of the metrics store measure of themselves. Each scrapes all of them, and its own
    /// metrics are told apart by its pod.
    pub(super) async fn readings(
        &self,
        id: &StackId,
        pods: &Pods,
        haste: &Haste,
    ) -> BTreeMap<String, Fact<Reading>> {
        let questions = pods.get(&Role::Metrics).into_iter().flatten().filter_map(|pod| {
            let url = url(id, Role::Metrics, pod)?;
            let (name, job) = (pod.name_any(), own_job(Role::Metrics.as_str()));
            let matchers = format!("job={job:?},namespace={:?},pod={name:?}", id.namespace);
            let readings = self.readings.clone();
            let question = async move { readings.of(&url, &matchers).await };
            Some(async move { (name, self.measured.ask(&replica(pod), id, haste, question).await) })
        });
        join_all(questions).await.into_iter().collect()
    }
}

/// The pods with a reloader, whose engines say what they run; Grafana has neither.
fn configured(pods: &Pods) -> impl Iterator<Item = (Role, &Pod)> {
    let configured = pods.iter().filter(|(role, _)| **role != Role::Dashboards);
    configured.flat_map(|(role, pods)| pods.iter().map(move |pod| (*role, pod)))
}

/// The URL of a ready replica's engine, prefix included.
fn url(id: &StackId, role: Role, pod: &Pod) -> Option<String> {
    address(pod).filter(|_| is_ready(pod)).map(|address| Endpoint::of(id, role).url_at(address))
}

fn not_ready<T>() -> Fact<T> {
    Fact::Unavailable("its pod is not ready".to_owned())
}

/// One pod of all there ever were, at one address: what was said from another is not its answer.
fn replica(pod: &Pod) -> String {
    let uid = pod.metadata.uid.as_deref().unwrap_or_default();
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}/{uid}/{}", pod.name_any(), address(pod).unwrap_or_default())
}

fn by_role<T>(answers: Vec<(Role, String, Fact<T>)>) -> BTreeMap<Role, BTreeMap<String, Fact<T>>> {
    let mut all: BTreeMap<Role, BTreeMap<String, Fact<T>>> = BTreeMap::new();
    for (role, pod, fact) in answers {
        all.entry(role).or_default().insert(pod, fact);
    }
    all
}
