//! What a pod is reported as: a pure function of what its containers do.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;

use super::fields::Addresses;

/// What one container does now.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ContainerView {
    /// Waiting, running or terminated.
    pub(crate) state: ContainerState,
    /// How the run before ended.
    pub(crate) last: Option<ContainerState>,
    /// Runs after the first.
    pub(crate) restarts: i32,
    /// Whether its readiness probe passes.
    pub(crate) ready: bool,
    /// Whether its startup probe has passed.
    pub(crate) started: bool,
    /// Whether it has run before: the next start is then a restart.
    pub(crate) ran: bool,
}

impl ContainerView {
    /// Waiting for a reason.
    pub(crate) fn wait(&mut self, reason: &str, message: Option<String>) {
        let waiting = ContainerStateWaiting { reason: Some(reason.to_owned()), message };
        self.state = ContainerState { waiting: Some(waiting), ..ContainerState::default() };
        self.ready = false;
        self.started = false;
    }

    /// Running since a time.
    pub(crate) fn run(&mut self, started_at: Timestamp) {
        let running = ContainerStateRunning { started_at: Some(Time(started_at)) };
        self.state = ContainerState { running: Some(running), ..ContainerState::default() };
    }

    /// Ended with an exit code, which says why.
    pub(crate) fn end(&mut self, exit_code: i32, started_at: Timestamp, now: Timestamp) {
        self.end_because(None, exit_code, started_at, now);
    }

    /// Ended with an exit code, for a reason that the code alone does not say.
    pub(crate) fn end_because(
        &mut self,
        reason: Option<&str>,
        exit_code: i32,
        started_at: Timestamp,
        now: Timestamp,
    ) {
        let by_code = if exit_code == 0 { "Completed" } else { "Error" };
        let terminated = ContainerStateTerminated {
            exit_code,
            reason: Some(reason.unwrap_or(by_code).to_owned()),
            started_at: Some(Time(started_at)),
            finished_at: Some(Time(now)),
            ..ContainerStateTerminated::default()
        };
        self.state = ContainerState { terminated: Some(terminated), ..ContainerState::default() };
        self.ready = false;
        self.started = false;
    }

    fn exit_code(&self) -> Option<i32> {
        self.state.terminated.as_ref().map(|terminated| terminated.exit_code)
    }
}

/// What the containers of a pod do, for all tasks that take part, with a signal for each change.
pub(crate) struct Board {
    views: Mutex<BTreeMap<String, ContainerView>>,
    changed: watch::Sender<u64>,
}

impl Board {
    pub(crate) fn new() -> Self {
        Self { views: Mutex::new(BTreeMap::new()), changed: watch::Sender::new(0) }
    }

    /// Changes what is known of a container.
    pub(crate) fn set(&self, container: &str, change: impl FnOnce(&mut ContainerView)) {
        let mut views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let view = views.entry(container.to_owned()).or_default();
        let before = view.clone();
        change(view);
        let moved = *view != before;
        drop(views);
        if moved {
            self.changed.send_modify(|count| *count += 1);
        }
    }

    /// What a container does now.
    pub(crate) fn get(&self, container: &str) -> ContainerView {
        self.all().remove(container).unwrap_or_default()
    }

    /// What every container does now.
    pub(crate) fn all(&self) -> BTreeMap<String, ContainerView> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A receiver that is told of every change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// Whether an init container runs beside the main ones.
pub(crate) fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

/// The restart policy of a pod.
pub(crate) fn restart_policy(pod: &Pod) -> &str {
    pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always")
}

/// The status of a pod. Times of conditions that hold their status are kept.
pub(crate) fn build_status(
    pod: &Pod,
    views: &BTreeMap<String, ContainerView>,
    addresses: Option<&Addresses>,
    now: Timestamp,
) -> PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    let spec = pod.spec.clone().unwrap_or_default();
    let inits = spec.init_containers.unwrap_or_default();
    let view = |container: &Container| views.get(&container.name).cloned().unwrap_or_default();
    let initialized = inits.iter().all(|container| {
        let view = view(container);
        if is_sidecar(container) { view.started } else { view.exit_code() == Some(0) }
    });
    let mains: Vec<_> = spec.containers.iter().map(view).collect();
    let sidecars_ready =
        inits.iter().filter(|container| is_sidecar(container)).all(|container| view(container).ready);
    let phase = phase(pod, &inits, views, &mains);
    let over = matches!(phase, "Succeeded" | "Failed");
    let all_ready = !mains.is_empty() && mains.iter().all(|view| view.ready) && sidecars_ready;
    let unready: Vec<_> = spec
        .containers
        .iter()
        .filter(|container| !view(container).ready)
        .map(|container| container.name.as_str())
        .collect();
    let why = match phase {
        "Succeeded" => Some(("PodCompleted", String::new())),
        "Failed" => Some(("PodFailed", String::new())),
        _ => Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))),
    };
    let gates = spec.readiness_gates.iter().flatten().all(|gate| {
        old.conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == gate.condition_type && condition.status == "True")
    });
    let gate_why = || Some(("ReadinessGatesNotReady", "a readiness gate of the pod is not True".to_owned()));
    let mut conditions: Vec<_> = old
        .conditions
        .iter()
        .flatten()
        .filter(|condition| !OWN.contains(&condition.type_.as_str()) && condition.type_ != "PodScheduled")
        .cloned()
        .collect();
    let mut set = |kind: &str, holds: bool, why: Option<(&str, String)>| {
        conditions.push(condition(&old, kind, holds, why.filter(|_| !holds), now));
    };
    set("PodReadyToStartContainers", addresses.is_some() && !over, None);
    let not_initialized = Some(("ContainersNotInitialized", "init containers have not ended yet".to_owned()));
    set("Initialized", initialized || over, not_initialized);
    set("ContainersReady", all_ready, why.clone());
    set("Ready", all_ready && gates, if all_ready { gate_why() } else { why });
    set("PodScheduled", true, None);
    PodStatus {
        phase: Some(phase.to_owned()),
        conditions: Some(conditions),
        init_container_statuses: statuses(&inits, views),
        container_statuses: statuses(&spec.containers, views),
        pod_ip: addresses.map(|addresses| addresses.pod.clone()),
        pod_ips: addresses.map(|addresses| vec![PodIP { ip: addresses.pod.clone() }]),
        host_ip: addresses.map(|addresses| addresses.host.clone()),
        host_ips: addresses.map(|addresses| vec![HostIP { ip: addresses.host.clone() }]),
        start_time: old.start_time.clone().or(Some(Time(now))),
        qos_class: old.qos_class.clone().or_else(|| Some(qos(&spec.containers).to_owned())),
        observed_generation: pod.metadata.generation,
        reason: None,
        message: None,
        ..old
    }
}

const OWN: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"];

fn condition(
    old: &PodStatus,
    kind: &str,
    holds: bool,
    why: Option<(&str, String)>,
    now: Timestamp,
) -> PodCondition {
    let status = if holds { "True" } else { "False" };
    let present = old.conditions.iter().flatten().find(|condition| condition.type_ == kind);
    let since = present
        .filter(|condition| condition.status == status)
        .and_then(|condition| condition.last_transition_time.clone());
    let (reason, message) = why.unzip();
    PodCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.map(str::to_owned),
        message: message.filter(|message| !message.is_empty()),
        last_transition_time: since.or(Some(Time(now))),
        ..PodCondition::default()
    }
}

fn phase(
    pod: &Pod,
    inits: &[Container],
    views: &BTreeMap<String, ContainerView>,
    mains: &[ContainerView],
) -> &'static str {
    let policy = restart_policy(pod);
    let init_failed = policy == "Never"
        && inits.iter().filter(|container| !is_sidecar(container)).any(|container| {
            views.get(&container.name).and_then(ContainerView::exit_code).is_some_and(|code| code != 0)
        });
    if init_failed {
        return "Failed";
    }
    let codes: Vec<_> = mains.iter().map(ContainerView::exit_code).collect();
    let all_ended = !codes.is_empty() && codes.iter().all(Option::is_some);
    let any_failed = codes.iter().flatten().any(|code| *code != 0);
    let leaving = pod.metadata.deletion_timestamp.is_some();
    if all_ended && (leaving || policy == "Never" || (policy == "OnFailure" && !any_failed)) {
        return if any_failed { "Failed" } else { "Succeeded" };
    }
    let begun = mains.iter().any(|view| {
        view.state.running.is_some()
            || view.state.terminated.is_some()
            || view.last.is_some()
            || view.restarts > 0
    });
    if begun { "Running" } else { "Pending" }
}

fn statuses(
    containers: &[Container],
    views: &BTreeMap<String, ContainerView>,
) -> Option<Vec<ContainerStatus>> {
    if containers.is_empty() {
        return None;
    }
    let status = |container: &Container| {
        let view = views.get(&container.name).cloned().unwrap_or_else(|| {
            let mut view = ContainerView::default();
            view.wait("PodInitializing", None);
            view
        });
        let image = container.image.clone().unwrap_or_default();
        ContainerStatus {
            name: container.name.clone(),
            image_id: if view.state.waiting.is_some() && view.restarts == 0 {
                String::new()
            } else {
                image.clone()
            },
            image,
            ready: view.ready,
            started: Some(view.started),
            restart_count: view.restarts,
            state: Some(view.state),
            last_state: view.last,
            ..ContainerStatus::default()
        }
    };
    Some(containers.iter().map(status).collect())
}

fn qos(containers: &[Container]) -> &'static str {
    let resources: Vec<_> =
        containers.iter().map(|container| container.resources.clone().unwrap_or_default()).collect();
    let set = |resources: &k8s_openapi::api::core::v1::ResourceRequirements| {
        resources.limits.as_ref().is_some_and(|limits| !limits.is_empty())
            || resources.requests.as_ref().is_some_and(|requests| !requests.is_empty())
    };
    let guaranteed = resources.iter().all(|resources| {
        let limits = resources.limits.clone().unwrap_or_default();
        let equal = resources.requests.iter().flatten().all(|(name, value)| limits.get(name) == Some(value));
        limits.contains_key("cpu") && limits.contains_key("memory") && equal
    });
    match (guaranteed, resources.iter().any(set)) {
        (true, _) => "Guaranteed",
        (false, true) => "Burstable",
        (false, false) => "BestEffort",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(policy: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "p" },
            "spec": {
                "restartPolicy": policy,
                "initContainers": [{ "name": "init" }, { "name": "side", "restartPolicy": "Always" }],
                "containers": [{ "name": "main" }],
            },
        }))
        .unwrap()
    }

    fn build(pod: &Pod, change: impl FnOnce(&Board)) -> PodStatus {
        let board = Board::new();
        change(&board);
        build_status(pod, &board.all(), Some(&Addresses::default()), Timestamp::UNIX_EPOCH)
    }

    fn is(status: &PodStatus, kind: &str) -> bool {
        status
            .conditions
            .iter()
            .flatten()
            .any(|condition| condition.type_ == kind && condition.status == "True")
    }

    const AT: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn a_pod_is_ready_when_all_its_containers_are() {
        let running = |view: &mut ContainerView| {
            view.run(AT);
            (view.ready, view.started) = (true, true);
        };
        let status = build(&pod("Always"), |_| ());
        assert_eq!(status.phase.as_deref(), Some("Pending"));
        assert!(!is(&status, "Initialized"));
        let status = build(&pod("Always"), |board| {
            board.set("init", |view| view.end(0, AT, AT));
            board.set("side", running);
            board.set("main", |view| view.run(AT));
        });
        assert_eq!(status.phase.as_deref(), Some("Running"));
        assert!(is(&status, "Initialized") && !is(&status, "Ready"));
        let status = build(&pod("Always"), |board| {
            board.set("init", |view| view.end(0, AT, AT));
            board.set("side", running);
            board.set("main", running);
        });
        assert!(is(&status, "Ready") && is(&status, "ContainersReady"));
    }

    #[test]
    fn a_pod_ends_only_where_its_policy_lets_it() {
        for (policy, code, phase) in [
            ("Always", 0, "Running"),
            ("OnFailure", 1, "Running"),
            ("OnFailure", 0, "Succeeded"),
            ("Never", 1, "Failed"),
            ("Never", 0, "Succeeded"),
        ] {
            let status = build(&pod(policy), |board| {
                board.set("init", |view| view.end(0, AT, AT));
                board.set("main", |view| view.end(code, AT, AT));
            });
            assert_eq!(status.phase.as_deref(), Some(phase), "{policy} {code}");
        }
        let status = build(&pod("Never"), |board| board.set("init", |view| view.end(1, AT, AT)));
        assert_eq!(status.phase.as_deref(), Some("Failed"));
    }

    #[test]
    fn a_condition_keeps_its_time_while_it_holds() {
        let mut pod = pod("Always");
        pod.status = Some(build(&pod, |_| ()));
        let later: Timestamp = "2030-01-01T00:00:00Z".parse().unwrap();
        let views = BTreeMap::new();
        let status = build_status(&pod, &views, Some(&Addresses::default()), later);
        assert_eq!(Some(&status), pod.status.as_ref(), "nothing changed, so nothing is to be written");
    }
}
