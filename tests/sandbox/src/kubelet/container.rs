//! One container of a pod: started, watched, restarted and ended.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Container, ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::context::{Context, PodObjects};
use super::env::{self, EnvError};
use super::fields::Addresses;
use super::health::run_hook;
use super::launch::{Launch, prepare_etc};
use super::logs::LogWriter;
use super::memory;
use super::probe::Prober;
use super::process::Process;
use super::status::Board;
use super::volumes::{Bind, VolumeError, Volumes};
use crate::images::{ImageError, listen_at};

/// When a container has to be gone: none while it shall run.
pub(crate) type Stop = Option<Instant>;

/// The part that a container plays in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Runs to its end before the next one starts.
    Init,
    /// Started among the init containers, and runs beside the main ones.
    Sidecar,
    /// What the pod is there for.
    Main,
}

/// What all containers of a pod share.
pub(crate) struct PodRun {
    pub(crate) context: Arc<Context>,
    pub(crate) pod: watch::Receiver<Arc<Pod>>,
    pub(crate) addresses: Addresses,
    pub(crate) board: Board,
    pub(crate) volumes: Mutex<Volumes>,
    /// Folder that is `/etc` in each container.
    pub(crate) etc: PathBuf,
    /// Folder of the logs.
    pub(crate) logs: PathBuf,
}

/// Why a container could not be made.
#[derive(Debug, thiserror::Error)]
enum LaunchError {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Env(#[from] EnvError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("container has runAsNonRoot and image will run as root")]
    Root,
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl LaunchError {
    /// The reason that a cluster gives for the same.
    fn reason(&self) -> &'static str {
        match self {
            Self::Image(_) => "ErrImagePull",
            Self::Env(_) | Self::Root => "CreateContainerConfigError",
            Self::Volume(_) | Self::Io(_) => "CreateContainerError",
        }
    }

    /// How long to wait before the next try.
    fn pause(&self) -> Duration {
        if matches!(self, Self::Image(_)) { Duration::from_secs(10) } else { Duration::from_secs(1) }
    }
}

/// What ended one run.
enum Ended {
    Itself(i32),
    OutOfMemory(i32),
    Unhealthy(i32),
    Stopped(i32),
}

impl PodRun {
    pub(crate) fn current(&self) -> Arc<Pod> {
        self.pod.borrow().clone()
    }

    /// Runs a container until its restart policy lets it end, or until it is told to stop.
    pub(crate) async fn run_container(
        &self,
        container: &Container,
        part: Part,
        mut stop: watch::Receiver<Stop>,
    ) {
        let mut crashes = 0;
        loop {
            if stop.borrow_and_update().is_some() {
                return;
            }
            let launch = match self.prepare(container).await {
                Ok(launch) => launch,
                Err(error) => {
                    self.cannot_start(container, &error);
                    wait_or_stop(error.pause(), &mut stop).await;
                    continue;
                }
            };
            let begun = Instant::now();
            let ended = self.run_once(container, &launch, &mut stop).await;
            let code = match ended {
                Ended::Stopped(_) => return,
                Ended::Itself(code) | Ended::OutOfMemory(code) => code,
                Ended::Unhealthy(code) => code.max(1),
            };
            if !restarts(&self.current(), part, code) {
                return;
            }
            let (first, longest) = self.context.options.backoff;
            crashes = if begun.elapsed() > longest * 2 { 1 } else { crashes + 1 };
            // The first restart is at once; each one after waits twice as long.
            if crashes > 1 {
                let pause = first.saturating_mul(1 << (crashes - 2).min(16)).min(longest);
                let message = format!(
                    "back-off {}s restarting failed container={} pod={}",
                    pause.as_secs(),
                    container.name,
                    self.current().name_any()
                );
                self.board.set(&container.name, |view| {
                    view.last = Some(view.state.clone());
                    view.wait("CrashLoopBackOff", Some(message.clone()));
                });
                self.context.warn(&self.current(), "BackOff", message);
                wait_or_stop(pause, &mut stop).await;
            }
        }
    }

    /// Goes on counting where a kubelet before this one stopped. Comes before the first report, which would
    /// otherwise overwrite what is counted on.
    pub(crate) fn take_over(&self) {
        let status = self.current().status.clone().unwrap_or_default();
        for known in status.container_statuses.iter().chain(status.init_container_statuses.iter()).flatten() {
            self.take_over_container(known);
        }
    }

    fn take_over_container(&self, known: &ContainerStatus) {
        let state = known.state.clone().unwrap_or_default();
        // How it ended while nobody looked is not known: it ended with the kubelet.
        let lost = state.running.map(|running| ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            started_at: running.started_at,
            finished_at: Some(Time(Timestamp::now())),
            ..ContainerStateTerminated::default()
        });
        let ended = state.terminated.or(lost);
        self.board.set(&known.name, |view| {
            view.restarts = known.restart_count;
            view.ran = ended.is_some() || known.last_state.is_some() || known.restart_count > 0;
            let last =
                ended.map(|ended| ContainerState { terminated: Some(ended), ..ContainerState::default() });
            view.last = last.or_else(|| known.last_state.clone());
            view.wait("PodInitializing", None);
        });
    }

    fn cannot_start(&self, container: &Container, error: &LaunchError) {
        let message = error.to_string();
        let news = self.board.get(&container.name).state.waiting.and_then(|waiting| waiting.message)
            != Some(message.clone());
        self.board.set(&container.name, |view| view.wait(error.reason(), Some(message.clone())));
        if news {
            self.context.warn(&self.current(), "Failed", message);
        }
    }

    /// Everything that a run of the container needs, from the objects as they are now.
    async fn prepare(&self, container: &Container) -> Result<Launch, LaunchError> {
        let pod = self.current();
        let objects = PodObjects::new(&self.context, &pod);
        let found = self.context.options.folders.resolve(container.image.as_deref().unwrap_or_default())?;
        let base = self.context.base_variables(&pod);
        let mut variables = env::build_env(&pod, container, &self.addresses, &objects, base)?;
        if let (Some((name, percent)), Some(limit)) = (found.image.memory, memory::limit(container)) {
            variables.entry(name.to_owned()).or_insert_with(|| (limit / 100 * percent).to_string());
        }
        let (user, group) = user(&pod, container, found.image.user)?;
        let mut binds: Vec<_> = found
            .binds
            .into_iter()
            .map(|(source, target)| Bind { source, target, read_only: true })
            .collect();
        binds.extend(self.volumes.lock().await.binds(&pod, container, &variables, &objects)?);
        prepare_etc(&self.etc, &binds)?;
        let expanded = |list: &Option<Vec<String>>| -> Option<Vec<String>> {
            let list = list.as_ref().filter(|list| !list.is_empty())?;
            Some(list.iter().map(|text| env::expand(text, &variables)).collect())
        };
        let own = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let command = match (expanded(&container.command), expanded(&container.args)) {
            (Some(command), arguments) => [command, arguments.unwrap_or_default()].concat(),
            (None, Some(arguments)) => [own(found.image.entrypoint), arguments].concat(),
            (None, None) => [own(found.image.entrypoint), own(found.image.arguments)].concat(),
        };
        let security = container.security_context.as_ref();
        Ok(Launch {
            hostname: pod.name_any(),
            command: listen_at(&self.addresses.pod, &command),
            directory: container.working_dir.clone().unwrap_or_else(|| found.image.directory.to_owned()),
            etc: self.etc.clone(),
            binds,
            user: self.context.users.then_some((user, group)),
            read_only_root: security.and_then(|security| security.read_only_root_filesystem) == Some(true),
            variables,
        })
    }

    /// One run, from start to end.
    async fn run_once(
        &self,
        container: &Container,
        launch: &Launch,
        stop: &mut watch::Receiver<Stop>,
    ) -> Ended {
        let name = &container.name;
        let mut told = stop.clone();
        let mut run = 0;
        self.board.set(name, |view| {
            if view.state.terminated.is_some() {
                view.last = Some(view.state.clone());
            }
            view.restarts += i32::from(view.ran);
            view.ran = true;
            run = view.restarts;
        });
        let begun = Timestamp::now();
        let started = match LogWriter::open(&self.logs, name, run) {
            Ok(log) => Process::start(&self.context.bwrap, launch).await.map(|process| (process, log)),
            Err(error) => Err(error),
        };
        let (mut process, log) = match started {
            Ok(started) => started,
            Err(error) => {
                self.board.set(name, |view| view.end(128, begun, Timestamp::now()));
                self.context.warn(&self.current(), "Failed", format!("container {name}: {error}"));
                return Ended::Itself(128);
            }
        };
        let copies = process.take_streams().copy(log);
        self.board.set(name, |view| view.run(begun));
        self.context.note(&self.current(), "Started", format!("Started container {name}"));
        let handle = process.handle();
        let prober = self.prober(handle);
        let limit = memory::limit(container);
        let watching = async {
            tokio::select! {
                code = process.wait() => Ended::Itself(code),
                used = memory::exceeded(handle, limit) => {
                    tracing::info!(container = %name, used, limit, "a container went over its memory limit");
                    handle.kill();
                    Ended::OutOfMemory(process.wait().await)
                }
                reason = self.watch_health(container, &prober) => {
                    let message = format!("Container {name} failed: {reason}; it will be restarted");
                    self.context.warn(&self.current(), "Killing", message);
                    let deadline = Instant::now() + self.grace(container);
                    Ended::Unhealthy(self.end(container, &prober, &mut process, deadline, stop).await)
                }
                deadline = stopped(&mut told) => {
                    self.board.set(name, |view| view.ready = false);
                    self.context.note(&self.current(), "Killing", format!("Stopping container {name}"));
                    Ended::Stopped(self.end(container, &prober, &mut process, deadline, stop).await)
                }
            }
        };
        // The output ends with the container: what it wrote last is read before its end is told.
        let (ended, ()) = tokio::join!(watching, copies);
        let (Ended::Itself(code) | Ended::OutOfMemory(code) | Ended::Unhealthy(code) | Ended::Stopped(code)) =
            ended;
        let reason = matches!(ended, Ended::OutOfMemory(_)).then_some(memory::REASON);
        self.board.set(name, |view| view.end_because(reason, code, begun, Timestamp::now()));
        ended
    }

    fn grace(&self, container: &Container) -> Duration {
        let probe =
            container.liveness_probe.as_ref().and_then(|probe| probe.termination_grace_period_seconds);
        let pod = self.current().spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
        Duration::from_secs(u64::try_from(probe.or(pod).unwrap_or(30)).unwrap_or(30))
    }

    /// Ends a container by its deadline, or by an earlier one that arrives meanwhile; its exit code.
    async fn end(
        &self,
        container: &Container,
        prober: &Prober,
        process: &mut Process,
        deadline: Instant,
        stop: &watch::Receiver<Stop>,
    ) -> i32 {
        let mut stop = stop.clone();
        let ending = async {
            if let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.pre_stop.as_ref())
                && let Err(error) = run_hook(container, prober, hook).await
            {
                let message = format!("PreStop hook failed: {error}");
                self.context.warn(&self.current(), "FailedPreStopHook", message);
            }
            let handle = process.handle();
            tokio::select! {
                code = process.wait() => return code,
                () = handle.terminate() => (),
            }
            process.wait().await
        };
        let late = async {
            let mut deadline = deadline;
            loop {
                let told = *stop.borrow_and_update();
                deadline = told.map_or(deadline, |told| told.min(deadline));
                tokio::select! {
                    () = tokio::time::sleep_until(deadline) => return,
                    Ok(()) = stop.changed() => (),
                }
            }
        };
        tokio::select! {
            code = ending => return code,
            () = late => (),
        }
        process.handle().kill();
        process.wait().await
    }
}

/// Whether a container is started again after it ended.
fn restarts(pod: &Pod, part: Part, code: i32) -> bool {
    match (part, super::status::restart_policy(pod)) {
        (Part::Sidecar, _) | (Part::Main, "Always") => true,
        (_, "Never") => false,
        (Part::Init, _) | (Part::Main, _) => code != 0,
    }
}

/// User and group that a container runs as: its own, the pod's, or the image's.
fn user(pod: &Pod, container: &Container, image: i64) -> Result<(i64, i64), LaunchError> {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default();
    let own = container.security_context.clone().unwrap_or_default();
    let user = own.run_as_user.or(of_pod.run_as_user).unwrap_or(image);
    let group = own.run_as_group.or(of_pod.run_as_group).unwrap_or(user);
    if user == 0 && own.run_as_non_root.or(of_pod.run_as_non_root) == Some(true) {
        return Err(LaunchError::Root);
    }
    Ok((user, group))
}

/// Waits until the containers are told to stop; the time by which they have to be gone.
async fn stopped(stop: &mut watch::Receiver<Stop>) -> Instant {
    match stop.wait_for(Option::is_some).await {
        Ok(deadline) => deadline.unwrap_or_else(Instant::now),
        // Nobody is left who could say stop: the pod is gone.
        Err(_) => Instant::now(),
    }
}

async fn wait_or_stop(pause: Duration, stop: &mut watch::Receiver<Stop>) {
    tokio::select! {
        () = tokio::time::sleep(pause) => (),
        _ = stopped(stop) => (),
    }
}

/// Variables of every container, before its own.
pub(crate) fn base_variables(hostname: String, server: std::net::SocketAddr) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("PATH".to_owned(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()),
        ("HOSTNAME".to_owned(), hostname),
        ("HOME".to_owned(), "/".to_owned()),
        ("KUBERNETES_SERVICE_HOST".to_owned(), server.ip().to_string()),
        ("KUBERNETES_SERVICE_PORT".to_owned(), server.port().to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS".to_owned(), server.port().to_string()),
    ])
}
