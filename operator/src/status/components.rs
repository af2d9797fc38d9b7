//! How each component runs.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;
use kube::api::DynamicObject;
use obstack_crds::Component;
use obstack_crds::status::{ComponentState, ComponentStatus};

use super::{End, WantedEngine, engines, short_digest, shorten};
use crate::decide::Decision;
use crate::observe::handed::{Said, said};
use crate::observe::{Fact, Facts};
use crate::scrape::is_handed_over;

/// Reasons of a waiting container that pass by themselves.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// What is said where a cluster lacks the types that a stack hands its engines over with.
pub const TYPES_MISSING: &str = "the cluster does not serve Prometheus, Alertmanager and PrometheusRule of \
                                 monitoring.coreos.com/v1, so no engine is handed over and what runs stays; install \
                                 prometheus-operator with its types, or take delivery out of spec.decisions";
/// The option of a component that is left out on purpose.
const LEFT_OUT: &str = "None";

/// How each component runs, in the order in which they are decided.
pub(super) fn derive(end: &End<'_>, previous: &[ComponentStatus]) -> Vec<ComponentStatus> {
    end.plan.decisions.iter().map(|decision| component(end, decision, previous)).collect()
}

fn component(end: &End<'_>, decision: &Decision, previous: &[ComponentStatus]) -> ComponentStatus {
    let component = decision.component;
    let last = previous.iter().find(|status| status.component == component);
    let option = decision.in_force.clone().or_else(|| decision.chosen.clone());
    let mut status = ComponentStatus {
        component,
        option: option.unwrap_or_else(|| LEFT_OUT.to_owned()),
        state: ComponentState::Ready,
        message: None,
        replicas: None,
        ready: None,
        config_wanted: None,
        config_running: None,
        version: None,
    };
    let (state, message) = if decision.in_force.is_none() {
        (ComponentState::Undecided, Some(undecided(decision)))
    } else if !decision.deployable {
        (ComponentState::NotDeployable, Some(not_deployable(component, &status.option)))
    } else if let Some(engine) = end.engines.iter().find(|engine| engine.role.component() == component) {
        fill(&mut status, engine, end.facts, last);
        let (state, message) = if !engine.is_handed_over() {
            workload(engine, end.facts, &status, end.done.is_none())
        } else if lacks_types(end) {
            (ComponentState::Pending, Some("waits for the types of prometheus-operator".to_owned()))
        } else {
            resource(engine, end.facts, &status, end.done.is_none())
        };
        match held(end, component) {
            None => (state, message),
            Some(reason) => {
                // The configuration stays as it is, so what was wanted last still is.
                status.config_wanted = last.and_then(|last| last.config_wanted.clone());
                let state = if state == ComponentState::Ready { ComponentState::Unknown } else { state };
                (state, Some([message.as_slice(), &[reason]].concat().join("; ")))
            }
        }
    } else if component == Component::Delivery && lacks_types(end) {
        (ComponentState::Pending, Some(TYPES_MISSING.to_owned()))
    } else {
        (ComponentState::Ready, None)
    };
    status.state = state;
    status.message = message.map(|message| shorten(&message, 1024));
    status
}

/// Whether engines are to be handed over, and the cluster is known to lack the types for it.
fn lacks_types(end: &End<'_>) -> bool {
    is_handed_over(end.plan) && end.facts.cluster.known().is_some_and(|cluster| !cluster.prometheus_operator)
}

fn held(end: &End<'_>, component: Component) -> Option<String> {
    end.held.iter().find(|(held, _)| *held == component).map(|(_, reason)| reason.clone())
}

/// Says which requirement to relax where no option is left.
fn undecided(decision: &Decision) -> String {
    let relax = decision.relaxations.first();
    let hint = relax.map_or_else(|| "relax a requirement".to_owned(), Clone::clone);
    format!("every option for the {} is ruled out; {hint}", decision.component.title())
}

fn not_deployable(component: Component, option: &str) -> String {
    format!(
        "{option} was chosen for the {}, and this version of the operator cannot deploy it; nothing was \
         deployed in its place and what runs stays. Deploy it by hand, or choose another option in \
         spec.decisions.{} with the reason",
        component.title(),
        component.id(),
    )
}

fn fill(status: &mut ComponentStatus, engine: &WantedEngine, facts: &Facts, last: Option<&ComponentStatus>) {
    let last_running = last.and_then(|last| last.config_running.clone());
    let last_version = last.and_then(|last| last.version.clone());
    status.replicas = Some(engine.replicas);
    status.ready = ready_replicas(engine, facts).or_else(|| last.and_then(|last| last.ready));
    status.config_wanted = engine.generation.as_deref().map(short_digest);
    status.config_running =
        engines::agreed(engine, facts, last_running, |said| said.generation.as_deref().map(short_digest));
    status.version = engines::agreed(engine, facts, last_version, |said| Some(said.version.clone()));
}

fn workload_object<'a>(engine: &WantedEngine, facts: &'a Facts) -> Option<Option<&'a DynamicObject>> {
    let name_ends = format!("-{}", engine.role.as_str());
    match facts.owned.get(&engine.kind) {
        Some(Fact::Known(objects)) => {
            Some(objects.iter().map(AsRef::as_ref).find(|object| object.name_any().ends_with(&name_ends)))
        }
        _ => None,
    }
}

fn ready_replicas(engine: &WantedEngine, facts: &Facts) -> Option<i32> {
    let object = workload_object(engine, facts)?;
    let field = if engine.is_handed_over() { "availableReplicas" } else { "readyReplicas" };
    let count = |object: &DynamicObject| number(object, field);
    Some(object.map_or(0, count))
}

fn number(object: &DynamicObject, field: &str) -> i32 {
    object.data["status"][field].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0)
}

/// The workload of an engine; else what is said without it.
fn there<'a>(
    engine: &WantedEngine,
    facts: &'a Facts,
    paused: bool,
) -> Result<&'a DynamicObject, (ComponentState, Option<String>)> {
    let Some(object) = workload_object(engine, facts) else {
        let reason = format!("{}s cannot be read; the last known numbers are shown", engine.kind);
        return Err((ComponentState::Unknown, Some(reason)));
    };
    object.ok_or_else(|| {
        let reason = if paused { "not created, because the stack is paused" } else { "being created" };
        (ComponentState::Progressing, Some(reason.to_owned()))
    })
}

/// How an engine stands that prometheus-operator runs, by what that says of its resource.
fn resource(
    engine: &WantedEngine,
    facts: &Facts,
    status: &ComponentStatus,
    paused: bool,
) -> (ComponentState, Option<String>) {
    let object = match there(engine, facts, paused) {
        Ok(object) => object,
        Err(said) => return said,
    };
    let (reconciled, available) = (said(object, "Reconciled"), said(object, "Available"));
    let more = |said: &Said<'_>| join(said.reason, Some(said.message).filter(|text| !text.is_empty()));
    if let Some(refused) = reconciled.as_ref().filter(|said| said.status == "False") {
        let message = format!("prometheus-operator cannot reconcile it: {}", more(refused));
        return (ComponentState::Pending, Some(message));
    }
    if available.as_ref().is_some_and(|said| said.status == "True") {
        return (ComponentState::Ready, None);
    }
    let pods = facts.pods.known().and_then(|pods| pods.get(&engine.role));
    if let Some(reason) = pods.into_iter().flatten().find_map(blocked) {
        return (ComponentState::Pending, Some(reason));
    }
    let message = match available {
        Some(said) => {
            let ready = status.ready.unwrap_or(0);
            format!("{ready} of {} replicas are available ({})", engine.replicas, more(&said))
        }
        None => format!(
            "prometheus-operator has not said anything of {} {} yet; see that it runs and watches this namespace",
            engine.kind,
            object.name_any()
        ),
    };
    (ComponentState::Progressing, Some(message))
}

/// How the pods of a workload stand.
fn workload(
    engine: &WantedEngine,
    facts: &Facts,
    status: &ComponentStatus,
    paused: bool,
) -> (ComponentState, Option<String>) {
    let object = match there(engine, facts, paused) {
        Ok(object) => object,
        Err(said) => return said,
    };
    let observed = object.data["status"]["observedGeneration"].as_i64() >= object.metadata.generation;
    let ready = status.ready.unwrap_or(0);
    let updated = number(object, "updatedReplicas");
    if observed && ready >= engine.replicas && updated >= engine.replicas {
        return (ComponentState::Ready, None);
    }
    let pods = facts.pods.known().and_then(|pods| pods.get(&engine.role));
    if let Some(reason) = pods.into_iter().flatten().find_map(blocked) {
        return (ComponentState::Pending, Some(reason));
    }
    let message = if ready < engine.replicas {
        format!("{ready} of {} replicas are ready", engine.replicas)
    } else {
        format!("{updated} of {} replicas are replaced", engine.replicas)
    };
    (ComponentState::Progressing, Some(message))
}

/// Why a pod cannot start, where that does not pass by itself.
fn blocked(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    let waiting = containers.filter_map(waiting_reason).next();
    let unschedulable = || {
        let mut conditions = status.conditions.iter().flatten();
        let condition = conditions.find(|c| c.type_ == "PodScheduled" && c.status == "False")?;
        Some(join(condition.reason.as_deref().unwrap_or("Unschedulable"), condition.message.as_deref()))
    };
    // Without the pod's name: most are random, and the status of a stack changes only when something does.
    waiting.or_else(unschedulable)
}

fn waiting_reason(container: &ContainerStatus) -> Option<String> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref().filter(|reason| !STARTING.contains(reason))?;
    Some(format!("container {}: {}", container.name, join(reason, waiting.message.as_deref())))
}

fn join(reason: &str, message: Option<&str>) -> String {
    message.map_or_else(|| reason.to_owned(), |message| format!("{reason}: {message}"))
}
