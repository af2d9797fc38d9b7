//! One pod of this node, from its first sight to the end of its folder.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::{Container, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::container::{Part, PodRun, Stop};
use super::context::{Context, PodObjects};
use super::fields::Addresses;
use super::hosts;
use super::status::{Board, build_status, is_sidecar};
use super::volumes::Volumes;
use crate::controllers::merge_patch;

/// How long containers get when the whole sandbox stops, or when their pod is gone without a word.
const SHORT_GRACE: Duration = Duration::from_secs(5);

/// Looks after one pod until it is gone. `pod` carries its newest version; `gone` is cancelled when the server
/// no longer has it, `shutdown` when the kubelet stops.
pub(crate) async fn look_after(
    context: Arc<Context>,
    pod: watch::Receiver<Arc<Pod>>,
    gone: CancellationToken,
    shutdown: CancellationToken,
) {
    let first = pod.borrow().clone();
    let uid = first.uid().unwrap_or_default();
    let folder = context.pod_folder(&uid);
    let had = first.status.as_ref().and_then(|status| status.pod_ip.clone());
    let Some(address) = context.pool.take(&uid, had.as_deref()) else {
        context.warn(&first, "FailedCreatePodSandBox", "no address is left in the range".to_owned());
        return;
    };
    let run = PodRun {
        addresses: Addresses { pod: address.to_string(), host: context.options.range.node().to_string() },
        board: Board::new(),
        volumes: Mutex::new(Volumes::new(folder.join("volumes"), context.options.ca.clone())),
        etc: folder.join("etc"),
        logs: context.log_folder(&uid),
        pod,
        context: context.clone(),
    };
    run.take_over();
    let worker = Worker { run: &run, gone: &gone, shutdown: &shutdown };
    worker.work().await;
    context.pool.give_back(&uid);
    if !shutdown.is_cancelled() {
        let _ = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await;
    }
}

struct Worker<'a> {
    run: &'a PodRun,
    gone: &'a CancellationToken,
    shutdown: &'a CancellationToken,
}

impl Worker<'_> {
    fn pod(&self) -> Arc<Pod> {
        self.run.pod.borrow().clone()
    }

    async fn work(&self) {
        let (stop, stopped) = watch::channel::<Stop>(None);
        let phase = self.pod().status.as_ref().and_then(|status| status.phase.clone());
        let over = matches!(phase.as_deref(), Some("Succeeded" | "Failed"));
        let living = async {
            if !over {
                self.live(&stopped).await;
            }
            // A pod that has run to its end stays, with its logs, until it is deleted.
            let mut stopped = stopped.clone();
            let _ = stopped.wait_for(Option::is_some).await;
        };
        tokio::select! {
            () = living => (),
            () = async { tokio::join!(self.tell_stop(&stop), self.report(over), self.refresh()); } => (),
        }
        if self.gone.is_cancelled() || self.shutdown.is_cancelled() {
            return;
        }
        if !over {
            self.report_once().await;
        }
        self.delete().await;
    }

    /// Runs all containers to their end.
    async fn live(&self, stop: &watch::Receiver<Stop>) {
        if !self.make_volumes(stop).await {
            return;
        }
        let spec = self.pod().spec.clone().unwrap_or_default();
        let inits = spec.init_containers.unwrap_or_default();
        let sidecars: Vec<_> = inits.iter().filter(|container| is_sidecar(container)).cloned().collect();
        // Sidecars are told to stop only when the main containers have ended.
        let (stop_sidecars, sidecar_stop) = watch::channel::<Stop>(None);
        let (starts, started) = watch::channel(0usize);
        let beside = join_all(sidecars.iter().enumerate().map(|(index, container)| {
            let (mut started, sidecar_stop) = (started.clone(), sidecar_stop.clone());
            async move {
                if started.wait_for(|count| *count > index).await.is_ok() {
                    self.run.run_container(container, Part::Sidecar, sidecar_stop).await;
                }
            }
        }));
        let main = async {
            if self.initialize(&inits, stop, &starts).await {
                let all = spec
                    .containers
                    .iter()
                    .map(|container| self.run.run_container(container, Part::Main, stop.clone()));
                join_all(all).await;
            }
            let deadline = stop.borrow().unwrap_or_else(|| Instant::now() + SHORT_GRACE);
            stop_sidecars.send_replace(Some(deadline.max(Instant::now() + Duration::from_secs(1))));
            drop(starts);
        };
        // The sender for the sidecars' start is moved into `main`: those that never started end with it.
        tokio::join!(beside, main);
    }

    /// Runs the init containers in order; whether all of them did what they should.
    async fn initialize(
        &self,
        inits: &[Container],
        stop: &watch::Receiver<Stop>,
        starts: &watch::Sender<usize>,
    ) -> bool {
        for container in inits {
            if stop.borrow().is_some() {
                return false;
            }
            if is_sidecar(container) {
                starts.send_modify(|count| *count += 1);
                let mut changes = self.run.board.changes();
                let mut stop = stop.clone();
                while !self.run.board.get(&container.name).started {
                    tokio::select! {
                        Ok(()) = changes.changed() => (),
                        _ = stop.wait_for(Option::is_some) => return false,
                    }
                }
                continue;
            }
            self.run.run_container(container, Part::Init, stop.clone()).await;
            let ended = self.run.board.get(&container.name).state.terminated;
            if ended.is_none_or(|ended| ended.exit_code != 0) {
                return false;
            }
        }
        stop.borrow().is_none()
    }

    /// Makes folders, files and names; false when the pod is stopped before that is done.
    async fn make_volumes(&self, stop: &watch::Receiver<Stop>) -> bool {
        let mut stop = stop.clone();
        let mut told = String::new();
        loop {
            let Err(error) = self.sync().await else { return true };
            if error != told {
                self.run.context.warn(&self.pod(), "FailedMount", error.clone());
                told = error;
            }
            // A change that matters wakes the loop through the caches within this time, too.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(250)) => (),
                _ = stop.wait_for(Option::is_some) => return false,
            }
        }
    }

    /// Brings volumes and names up to date.
    async fn sync(&self) -> Result<(), String> {
        let (run, pod) = (self.run, self.pod());
        let namespace = pod.namespace().unwrap_or_default();
        let caches = &run.context.caches;
        let names = hosts::build_names(&namespace, &caches.services.all(), &caches.slices.all());
        let spec = pod.spec.clone().unwrap_or_default();
        let user = spec.security_context.and_then(|security| security.run_as_user).unwrap_or(65534);
        hosts::write_etc(&run.etc, &pod.name_any(), user)
            .and_then(|()| {
                hosts::replace(&run.etc, "hosts", &hosts::build_hosts(&pod, &run.addresses.pod, &names))
            })
            .map_err(|error| error.to_string())?;
        let objects = PodObjects::new(&run.context, &pod);
        let mut volumes = run.volumes.lock().await;
        let syncing = volumes.sync(&run.context.client, &pod, &run.addresses, &objects);
        syncing.await.map_err(|error| error.to_string())
    }

    /// Keeps volumes and names up to date while the pod lives.
    async fn refresh(&self) {
        let mut changes: Vec<_> =
            self.run.context.caches.referred().iter().map(|cache| cache.changes()).collect();
        let mut pod = self.run.pod.clone();
        loop {
            let renewal = self.run.volumes.lock().await.next_renewal();
            let any =
                futures::future::select_all(changes.iter_mut().map(|change| Box::pin(change.changed())));
            let wait = renewal.map_or(Duration::from_secs(60), |at| {
                at.saturating_duration_since(std::time::Instant::now())
                    .clamp(Duration::from_secs(1), Duration::from_secs(60))
            });
            tokio::select! {
                _ = any => (),
                Ok(()) = pod.changed() => (),
                () = tokio::time::sleep(wait) => (),
            }
            // Changes come in groups: one look for all of them.
            tokio::time::sleep(Duration::from_millis(50)).await;
            if let Err(error) = self.sync().await {
                tracing::debug!(pod = %self.pod().name_any(), %error, "volumes are not up to date");
            }
        }
    }

    /// Tells the containers when to stop: at deletion, when the server forgot the pod, or with the kubelet.
    async fn tell_stop(&self, stop: &watch::Sender<Stop>) {
        let mut pod = self.run.pod.clone();
        loop {
            let meta = pod.borrow_and_update().metadata.clone();
            if meta.deletion_timestamp.is_some() {
                let seconds = u64::try_from(meta.deletion_grace_period_seconds.unwrap_or(30)).unwrap_or(0);
                sooner(stop, Instant::now() + Duration::from_secs(seconds));
            }
            tokio::select! {
                Ok(()) = pod.changed() => (),
                () = self.gone.cancelled() => break,
                () = self.shutdown.cancelled() => break,
            }
        }
        sooner(stop, Instant::now() + SHORT_GRACE);
        std::future::pending().await
    }

    /// Keeps the server's picture of the pod up to date.
    async fn report(&self, over: bool) {
        if over {
            return std::future::pending().await;
        }
        let mut changes = self.run.board.changes();
        let mut pod = self.run.pod.clone();
        loop {
            self.report_once().await;
            tokio::select! {
                Ok(()) = changes.changed() => (),
                Ok(()) = pod.changed() => (),
            }
        }
    }

    /// Writes the status where it differs from the server's, until the server takes it.
    async fn report_once(&self) {
        let mut pause = Duration::from_millis(250);
        loop {
            if self.gone.is_cancelled() || self.shutdown.is_cancelled() {
                return;
            }
            let pod = self.pod();
            let views = self.run.board.all();
            let status = build_status(&pod, &views, Some(&self.run.addresses), Timestamp::now());
            let old = serde_json::to_value(&pod.status).unwrap_or_default();
            let new = serde_json::to_value(&status).unwrap_or_default();
            let Some(patch) = merge_patch(&old, &new) else { return };
            let api: Api<Pod> =
                Api::namespaced(self.run.context.client.clone(), &pod.namespace().unwrap_or_default());
            let uid = json!({ "metadata": { "uid": pod.uid() }, "status": patch });
            let (name, params, patch) = (pod.name_any(), PatchParams::default(), Patch::Merge(uid));
            let patching = api.patch_status(&name, &params, &patch);
            match tokio::time::timeout(Duration::from_secs(10), patching).await {
                Ok(Ok(answer)) => {
                    self.await_version(&answer).await;
                    return;
                }
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.is_conflict() => return,
                Ok(Err(error)) => tracing::debug!(pod = %pod.name_any(), %error, "status not written"),
                Err(_) => tracing::debug!(pod = %pod.name_any(), "status not written within 10 s"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Waits until the cache shows what was written, so that the next patch is made against it.
    async fn await_version(&self, written: &Pod) {
        let version = |pod: &Pod| pod.resource_version().and_then(|version| version.parse::<u64>().ok());
        let wanted = version(written);
        let mut pod = self.run.pod.clone();
        let caught_up = pod.wait_for(|pod| version(pod) >= wanted);
        let _ = tokio::time::timeout(Duration::from_secs(2), caught_up).await;
    }

    /// Removes the pod from the server, now that nothing of it runs.
    async fn delete(&self) {
        let pod = self.pod();
        let api: Api<Pod> =
            Api::namespaced(self.run.context.client.clone(), &pod.namespace().unwrap_or_default());
        let params = DeleteParams {
            grace_period_seconds: Some(0),
            preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
            ..DeleteParams::default()
        };
        while !self.gone.is_cancelled() && !self.shutdown.is_cancelled() {
            let name = pod.name_any();
            let deleting = api.delete(&name, &params);
            match tokio::time::timeout(Duration::from_secs(10), deleting).await {
                Ok(Ok(_)) => return,
                Ok(Err(kube::Error::Api(status))) if status.is_not_found() || status.is_conflict() => return,
                Ok(Err(error)) => tracing::debug!(pod = %name, %error, "pod not deleted; tried again"),
                Err(_) => tracing::debug!(pod = %name, "pod not deleted within 10 s; tried again"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Sets the time by which containers have to be gone, unless it is sooner already.
fn sooner(stop: &watch::Sender<Stop>, deadline: Instant) {
    stop.send_if_modified(|now| {
        let next = now.map_or(deadline, |now| now.min(deadline));
        let changed = *now != Some(next);
        *now = Some(next);
        changed
    });
}
