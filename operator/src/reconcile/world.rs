//! What a reconcile works with: the reader, the writer, and what is remembered from one time to the next.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::jiff::Timestamp;
use kube::api::DynamicObject;
use kube::{CustomResourceExt, ResourceExt};
use obstack_crds::record::{ChosenBy, Phase};
use obstack_crds::status::CONFIGURATION_LIVE;
use obstack_crds::workload::SecretKey;
use obstack_crds::{Component, ObservabilityStack, ObservabilityStackStatus};
use serde_json::json;

use super::{Built, Caches, Decided, Outcome, Rejections, SecretNames};
use crate::apply::alerts::Teller;
use crate::apply::writer::RequestError;
use crate::apply::{Applier, Done, Owner};
use crate::controller::events::Recorder;
use crate::decide::calibration::{Reading, compared};
use crate::decide::watch::WireNow;
use crate::decide::{Catalog, Measurements, Plan, Previous, measured, records};
use crate::desired::{Context, Pinned};
use crate::endpoint::Endpoint;
use crate::error::Class;
use crate::metrics::{DecisionMetric, Metrics, WireMetric};
use crate::names::{Role, StackId};
use crate::observe::observer::{address, is_ready};
use crate::observe::stores::Shown;
use crate::observe::{Fact, Facts, Observer};
use crate::running::Generation;
use crate::scrape::is_handed_over;
use crate::scrape::sources::Objects;
use crate::status::{End, Happened, Reached, build_alerts, derive, happenings};
use crate::validate::Valid;

/// What the operator was started with.
#[derive(Debug)]
pub struct Settings {
    /// The options that are weighed.
    pub catalog: Catalog,
    /// Image that a new stack's reloader is taken from.
    pub operator_image: String,
    /// Namespace of the operator's own pods; none where it is not known or must not be looked into.
    pub operator_namespace: Option<String>,
}

/// What a reconcile works with.
pub struct World {
    /// Reads.
    pub observer: Observer,
    /// Writes.
    pub applier: Applier,
    /// Tells.
    pub recorder: Recorder,
    /// Tells Alertmanager what no engine can.
    pub teller: Teller,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// What the operator was started with.
    pub settings: Settings,
    /// What was decided last.
    pub decided: Decided,
    /// The objects that were built last.
    pub built: Built,
    /// What objects of others became.
    pub caches: Caches,
    /// What is kept out of each stack, all of it.
    pub rejections: Arc<Rejections>,
    /// The statuses that were written last, by UID: the watch may not show them yet.
    pub statuses: Mutex<HashMap<String, WrittenStatus>>,
    /// The generations that were built last, by UID of the stack.
    pub generations: Mutex<HashMap<String, BTreeMap<Role, Arc<Generation>>>>,
    /// When a candidate was delivered last, by UID of the stack.
    pub delivered: Mutex<HashMap<String, Instant>>,
}

/// How long a stack whose engines ran what was wanted is left to take up a change before its status says that
/// it is on its way: most are through by then, and cost one write of the status and no Event.
const TAKE_UP: Duration = Duration::from_millis(1_500);

/// A status that was written, with the version of the stack that it made.
#[derive(Clone, Debug)]
pub struct WrittenStatus {
    version: u64,
    status: ObservabilityStackStatus,
}

impl World {
    /// Begins a reconcile.
    pub(super) fn turn<'a>(&'a self, owner: &'a Owner, object: &'a DynamicObject, failures: u32) -> Turn<'a> {
        let before = self.status_before(owner, object);
        Turn {
            world: self,
            owner,
            generation: object.metadata.generation,
            failures,
            before,
            secrets: BTreeSet::new(),
        }
    }

    /// The status before: ours, where the watch does not show it yet.
    fn status_before(&self, owner: &Owner, object: &DynamicObject) -> ObservabilityStackStatus {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = version(object);
        match statuses.get(&owner.uid) {
            Some(written) if shown.is_some_and(|shown| shown < written.version) => written.status.clone(),
            // A status that cannot be read is written anew.
            _ => serde_json::from_value(object.data["status"].clone()).unwrap_or_default(),
        }
    }

    /// Whether a watch shows no more than what this process wrote itself: the reconcile that wrote it has seen to it.
    pub fn is_echo(&self, id: &StackId, shown: &Shown) -> bool {
        match shown {
            Shown::Secret { name, version } => self.applier.knows_carrier(&id.namespace, name, *version),
            Shown::Stack { uid, version } => {
                let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
                statuses.get(uid).is_some_and(|written| written.version == *version)
            }
        }
    }

    /// What `desired` is to know beside the stack; the reason, where what runs could not be read.
    pub(super) fn context(&self, owner: &Owner, plan: &Plan, facts: &Facts) -> Result<Context, String> {
        let handed_over = is_handed_over(plan);
        let kinds: &[&str] = if handed_over { &["Prometheus", "Alertmanager"] } else { &["StatefulSet"] };
        let mut pinned = BTreeMap::new();
        for kind in kinds {
            let workloads = match facts.owned.get(*kind) {
                Some(Fact::Known(workloads)) => workloads,
                Some(Fact::Unavailable(reason)) => return Err(format!("{kind}s: {reason}")),
                None => return Err(format!("{kind}s are not watched")),
            };
            pinned.extend(workloads.iter().filter_map(|workload| Pinned::of(workload)));
        }
        let labels = self.observer.stores.namespace_labels();
        let labels = labels.known().and_then(|all| all.get(&owner.id.namespace)).cloned();
        Ok(Context {
            operator_image: self.settings.operator_image.clone(),
            operator_namespace: self.settings.operator_namespace.clone(),
            pinned,
            configuration: false,
            namespace_labels: labels.unwrap_or_default(),
        })
    }

    async fn write_status(
        &self,
        owner: &Owner,
        status: &ObservabilityStackStatus,
    ) -> Result<(), RequestError> {
        let body = json!({
            "apiVersion": format!("{}/{}", obstack_crds::GROUP, obstack_crds::VERSION),
            "kind": "ObservabilityStack",
            // The UID keeps the status of a stack that is gone off one that took its name.
            "metadata": { "name": owner.id.name, "namespace": owner.id.namespace, "uid": owner.uid },
            "status": status,
        });
        let resource = ObservabilityStack::api_resource();
        let (namespace, name) = (owner.id.namespace.as_str(), owner.id.name.as_str());
        let answer = self.applier.writer.apply_status(&resource, namespace, name, &body).await?;
        if let Some(version) = version(&answer) {
            let written = WrittenStatus { version, status: status.clone() };
            let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
            statuses.insert(owner.uid.clone(), written);
        }
        Ok(())
    }

    /// Forgets what was written: another process may have written since.
    pub fn forget(&self) {
        self.applier.forget();
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets a stack that is gone: its figures, and what its next reconcile would have gone by.
    pub fn forget_stack(&self, id: &StackId) {
        self.metrics.forget_stack(id);
        self.decided.forget(id);
        self.built.forget(id);
        self.caches.forget(id);
        self.rejections.forget(id);
        if let Fact::Known(stacks) = self.observer.stores.stacks.read() {
            let living: BTreeSet<String> = stacks.iter().filter_map(|stack| stack.uid()).collect();
            keep(&self.statuses, &living);
            keep(&self.generations, &living);
            keep(&self.delivered, &living);
        }
    }
}

/// Keeps what is of these UIDs.
fn keep<T>(of: &Mutex<HashMap<String, T>>, uids: &BTreeSet<String>) {
    of.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| uids.contains(uid));
}

fn version(object: &DynamicObject) -> Option<u64> {
    object.metadata.resource_version.as_deref()?.parse().ok()
}

/// One reconcile on its way.
pub(super) struct Turn<'a> {
    world: &'a World,
    owner: &'a Owner,
    generation: Option<i64>,
    failures: u32,
    /// The status before.
    pub(super) before: ObservabilityStackStatus,
    secrets: SecretNames,
}

impl Turn<'_> {
    /// Notes which Secrets the stack refers to.
    pub(super) fn referring_to(mut self, references: &BTreeSet<SecretKey>) -> Self {
        self.secrets = references.iter().map(|key| key.name.clone()).collect();
        self
    }

    /// Shows what the model of the store that runs says beside what is measured.
    pub(super) fn show_sizing(
        &self,
        previous: &Previous,
        in_force: Option<&Measurements>,
        reading: Option<&Reading>,
    ) {
        let catalog = &self.world.settings.catalog;
        let component = measured::COMPONENT;
        let option = previous.get(component).and_then(|choice| catalog.option(component, &choice.option));
        let compared = option.zip(reading).map(|(option, now)| compared(option, in_force, now));
        self.world.metrics.set_sizing(&self.owner.id, component, &compared.unwrap_or_default());
    }

    /// Ends a reconcile that cannot decide or build: nothing is written but the status.
    pub(super) async fn wait(self, valid: &Valid, class: Class, reason: &str) -> Outcome {
        self.end(Reached::Waiting(valid, class, reason), None).await
    }

    /// Ends a reconcile, however far it came: derives the status, writes it where it changed, tells what is
    /// new, and says when to look again.
    pub(super) async fn end(self, reached: Reached<'_>, done: Option<&Done>) -> Outcome {
        if done.is_some_and(|done| done.stopped) {
            return Outcome::stopped();
        }
        let happened =
            Happened { generation: self.generation, previous: &self.before, reached, now: whole_second() };
        let status = derive(&happened);
        let jitter = rand::random();
        if self.is_taken_up(&status, &reached, done) {
            return Outcome::ended(&status, done, self.failures, jitter).referring_to(&self.secrets);
        }
        if status != self.before {
            match self.world.write_status(self.owner, &status).await {
                Ok(()) => {}
                Err(RequestError::NotLeader(_)) => return Outcome::stopped(),
                // The stack went meanwhile, or another took its name.
                Err(error) if matches!(error.code(), Some(404 | 409)) => {
                    return Outcome::failed(Class::Conflict, self.failures, jitter)
                        .referring_to(&self.secrets);
                }
                Err(error) => {
                    let class = error.class().unwrap_or(Class::Transient);
                    tracing::warn!(stack = %self.owner.id, %error, "the status was not written");
                    return Outcome::failed(class, self.failures, jitter).referring_to(&self.secrets);
                }
            }
        }
        let records = if let Reached::End(end) = reached { end.records } else { &[] };
        let none = Objects::default();
        let objects = if let Reached::End(end) = reached { end.objects } else { &none };
        let told = happenings(&self.before, &status, done, records);
        self.world.recorder.tell(self.owner, &told, objects).await;
        let decisions = decisions(&status, &reached);
        // The status names some of many; the metric counts them all.
        let rejected = match reached {
            Reached::End(end) => end.valid.rejected.len() + end.rejected.len(),
            _ => status.rejected.len(),
        };
        self.world.metrics.set_stack(&self.owner.id, rejected, decisions);
        if let Reached::End(end) = reached {
            let all = end.valid.rejected.iter().chain(end.rejected).cloned().collect();
            self.world.rejections.note(&self.owner.id, all);
            self.send_alerts(end).await;
        }
        let watched = records.iter().any(|record| {
            let phase = record.status.as_ref().and_then(|status| status.phase);
            phase == Some(Phase::Accepted) && !record.spec.tripwires.is_empty()
        });
        let outcome = match reached {
            Reached::Unreadable(_) | Reached::Invalid(_) => {
                Outcome::failed(Class::Invalid, self.failures, jitter)
            }
            Reached::Waiting(_, class, _) => Outcome::failed(class, self.failures, jitter),
            Reached::End(_) => Outcome::ended(&status, done, self.failures, jitter),
        };
        outcome.referring_to(&self.secrets).watching(watched)
    }

    /// Whether nothing is to be said yet, because a change was delivered a moment ago, all went well, and the
    /// engines are about to take it up.
    fn is_taken_up(
        &self,
        status: &ObservabilityStackStatus,
        reached: &Reached<'_>,
        done: Option<&Done>,
    ) -> bool {
        let live = |status: &ObservabilityStackStatus| {
            let mut conditions = status.conditions.iter();
            conditions.find(|c| c.type_ == CONFIGURATION_LIVE).map(|c| (c.status.clone(), c.reason.clone()))
        };
        let was = live(&self.before).is_some_and(|(status, _)| status == "True");
        let waits = live(status).is_some_and(|(_, reason)| reason == "OtherGeneration");
        let quiet =
            done.is_some_and(|done| done.is_clean() && done.drift.is_empty() && done.pruned.is_empty());
        let delivered = self.world.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        let just_now = delivered.get(&self.owner.uid).is_some_and(|at| at.elapsed() < TAKE_UP);
        matches!(reached, Reached::End(_)) && was && waits && quiet && just_now
    }

    /// Sends the alerts that no engine can. They end by themselves where they are not sent again.
    async fn send_alerts(&self, end: &End<'_>) {
        let endpoint = Endpoint::of(&self.owner.id, Role::Alerting);
        let pods = end.facts.pods.known().and_then(|pods| pods.get(&Role::Alerting)).into_iter().flatten();
        let ready = pods.filter(|pod| is_ready(pod)).filter_map(address);
        let replicas: Vec<String> = ready.map(|address| endpoint.url_at(address)).collect();
        for failed in self.world.teller.tell(&replicas, &build_alerts(end, Timestamp::now())).await {
            tracing::warn!(stack = %self.owner.id, failed, "an alert was not sent; it is tried again");
        }
    }
}

/// The API keeps times of transition by the second.
pub(super) fn whole_second() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn decisions(status: &ObservabilityStackStatus, reached: &Reached<'_>) -> Vec<DecisionMetric> {
    let by_person = |component| match reached {
        Reached::End(end) => end.plan.get(component).is_some_and(|d| d.chosen_by == ChosenBy::Person),
        _ => false,
    };
    status
        .decisions
        .iter()
        .map(|decision| DecisionMetric {
            component: decision.component,
            record: decision.record.clone(),
            chosen: decision.choice.clone().unwrap_or_default(),
            by_person: by_person(decision.component),
            state: decision.state,
            wires: wires(reached, decision.component),
        })
        .collect()
}

/// The tripwires of the record in force, as they are now.
fn wires(reached: &Reached<'_>, component: Component) -> Vec<WireMetric> {
    let Reached::End(end) = reached else { return Vec::new() };
    let Some(record) = records::accepted_of(&end.valid.id, end.records, component) else { return Vec::new() };
    let (name, before) = (record.metadata.name.clone().unwrap_or_default(), record.status.clone());
    let wires = end.watch.judge(&name, &record.spec, &before.unwrap_or_default());
    let metric = |wire: WireNow| WireMetric {
        record: name.clone(),
        tripwire: wire.status.id,
        value: wire.value,
        bound: wire.bound,
        pressure: wire.pressure,
    };
    wires.into_iter().flatten().map(metric).collect()
}
