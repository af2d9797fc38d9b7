//! Holding the Lease: what [`crate::lease`] decides is done here.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::apply::writer::{RequestError, within};
use crate::http::Health;
use crate::lease::{Clock, Elector, Gate, Moment, Seen, Times, Turn, WRITE_TIMEOUT};

/// Name of the Lease.
pub const LEASE: &str = "obstack";

/// Takes and renews the Lease for as long as the operator runs.
pub struct Election {
    api: Api<Lease>,
    elector: Elector,
    clock: Arc<dyn Clock>,
    gate: Arc<Gate>,
    times: Times,
    leads: watch::Sender<bool>,
    /// Is told that the API server answers: the Lease is asked for all the time.
    health: Arc<Health>,
    warned: bool,
}

impl Election {
    /// An election in this namespace, by this identity. It opens and closes `gate`, and tells `leads` and `health`.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        clock: Arc<dyn Clock>,
        gate: Arc<Gate>,
        leads: watch::Sender<bool>,
        health: Arc<Health>,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            elector: Elector::new(identity),
            clock,
            gate,
            times: Times::default(),
            leads,
            health,
            warned: false,
        }
    }

    /// Runs until `stop`, then gives the Lease back.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            if let Err(error) = self.turn().await {
                self.warn(&error);
            }
            let leads = self.gate.is_open();
            self.leads.send_if_modified(|before| std::mem::replace(before, leads) != leads);
            tokio::select! {
                () = tokio::time::sleep(self.times.retry) => {}
                () = stop.cancelled() => break,
            }
        }
        let led = self.gate.is_open();
        self.gate.close();
        self.leads.send_replace(false);
        if led && let Err(error) = self.release().await {
            tracing::warn!(%error, "the Lease was not given back; the next leader waits until it expires");
        }
    }

    /// Says once that it does not work.
    fn warn(&mut self, error: &RequestError) {
        if self.warned {
            tracing::debug!(%error, "the Lease cannot be read or written");
        } else {
            tracing::warn!(%error, lease = LEASE, "the Lease cannot be read or written; it is tried again");
        }
        self.warned = true;
    }

    async fn turn(&mut self) -> Result<(), RequestError> {
        // The Lease counts from before it is asked for: the others may see the answer at any time after.
        let asked = self.clock.now();
        let lease = within(WRITE_TIMEOUT, self.api.get_opt(LEASE)).await?;
        self.health.answered();
        let seen = lease.as_ref().map(seen);
        match self.elector.turn(asked, seen.as_ref()) {
            Turn::Wait => {
                self.gate.close();
                self.warned = false;
                Ok(())
            }
            Turn::Create => {
                let lease = self.lease(None, 0, None);
                let created = within(WRITE_TIMEOUT, self.api.create(&PostParams::default(), &lease)).await;
                self.asked_for(asked, created)
            }
            Turn::Take { version, transitions } => {
                let acquired = lease.and_then(|lease| lease.spec).and_then(|spec| spec.acquire_time);
                let ours = seen.is_some_and(|seen| seen.holder == self.elector.identity());
                let lease = self.lease(Some(version), transitions, acquired.filter(|_| ours));
                let params = PostParams::default();
                let replaced = within(WRITE_TIMEOUT, self.api.replace(LEASE, &params, &lease)).await;
                self.asked_for(asked, replaced)
            }
        }
    }

    fn asked_for(&mut self, asked: Moment, answer: Result<Lease, RequestError>) -> Result<(), RequestError> {
        match answer {
            Ok(_) => {
                if !self.gate.is_open() {
                    tracing::info!(identity = self.elector.identity(), "this process leads");
                }
                self.gate.hold(asked, self.times.writes);
                self.warned = false;
                Ok(())
            }
            // Somebody else was faster: the next turn sees who.
            Err(error) if error.code() == Some(409) => {
                self.gate.close();
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn release(&self) -> Result<(), RequestError> {
        let Some(lease) = within(WRITE_TIMEOUT, self.api.get_opt(LEASE)).await? else { return Ok(()) };
        let seen = seen(&lease);
        if seen.holder != self.elector.identity() {
            return Ok(());
        }
        let mut free = self.lease(Some(seen.version), seen.transitions, None);
        if let Some(spec) = &mut free.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        within(WRITE_TIMEOUT, self.api.replace(LEASE, &PostParams::default(), &free)).await.map(drop)
    }

    fn lease(&self, version: Option<String>, transitions: i32, acquired: Option<MicroTime>) -> Lease {
        let now = MicroTime(Timestamp::now());
        Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                namespace: self.api.namespace().map(str::to_owned),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.elector.identity().to_owned()),
                lease_duration_seconds: i32::try_from(self.times.duration.as_secs()).ok(),
                acquire_time: Some(acquired.unwrap_or_else(|| now.clone())),
                renew_time: Some(now),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    Seen {
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds.unwrap_or(Times::default().duration.as_secs())),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        transitions: spec.lease_transitions.unwrap_or(0),
    }
}
