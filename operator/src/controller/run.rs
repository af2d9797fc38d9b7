//! The event loop: triggers go into the queue, stacks that are due are reconciled, and what came of it goes
//! back into the queue.

use std::collections::{BTreeSet, HashMap};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use kube::Client;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Options;
use super::queue::{Next, Queue};
use crate::apply::writer::within;
use crate::error::Class;
use crate::http::Health;
use crate::names::StackId;
use crate::observe::Haste;
use crate::observe::stores::{Shown, Trigger};
use crate::reconcile::{Outcome, World, reconcile};
use crate::scrape::contents::Holder;

/// Stacks that are reconciled at the same time.
const AT_ONCE: usize = 4;
/// The event loop goes round at least this often.
const BEAT: Duration = Duration::from_secs(1);
/// How often the API server is asked whether it answers, where nothing else has asked it meanwhile: with leader
/// election the Lease always has.
const PING: Duration = Duration::from_secs(5);
/// How long reconciles may take to end when the operator stops.
const DRAIN: Duration = Duration::from_secs(10);
/// How long sweeps go on after a stack went: longer than a watch lags and than a reconcile takes.
const SWEEP_FOR: Duration = Duration::from_secs(60);
/// How long after a sweep the next one comes, where one has failed or a stack went a moment ago.
const SWEEP_AGAIN: Duration = Duration::from_secs(5);

/// What came of one task.
enum Ended {
    Reconcile { id: StackId, outcome: Outcome, length: Duration },
    Sweep { ok: bool },
}

/// The event loop.
pub(super) struct Controller {
    world: Arc<World>,
    client: Client,
    health: Arc<Health>,
    leads: watch::Receiver<bool>,
    queue: Queue,
    tasks: JoinSet<Ended>,
    reconciling: usize,
    secrets: HashMap<StackId, BTreeSet<String>>,
    /// Tells a reconcile on its way that something waits for its end.
    haste: HashMap<StackId, watch::Sender<bool>>,
    /// What watches have shown of a stack while it was looked at.
    shown: HashMap<StackId, Vec<Shown>>,
    sweep_at: Option<Instant>,
    /// Until when sweeps go on although one has succeeded.
    sweep_until: Option<Instant>,
    sweeping: bool,
    sync_until: Instant,
}

impl Controller {
    pub(super) fn new(
        world: Arc<World>,
        client: Client,
        health: Arc<Health>,
        leads: watch::Receiver<bool>,
        options: &Options,
    ) -> Self {
        Self {
            world,
            client,
            health,
            leads,
            queue: Queue::new(options.resync),
            tasks: JoinSet::new(),
            reconciling: 0,
            secrets: HashMap::new(),
            haste: HashMap::new(),
            shown: HashMap::new(),
            sweep_at: None,
            sweep_until: None,
            sweeping: false,
            sync_until: Instant::now() + options.sync_timeout,
        }
    }

    /// Runs until `stop`, then lets what is in flight end.
    pub(super) async fn run(mut self, mut triggers: UnboundedReceiver<Trigger>, stop: CancellationToken) {
        let ping = ping(self.client.clone(), self.world.clone(), self.health.clone());
        let ping = AbortOnDropHandle::new(tokio::spawn(ping));
        let mut beat = tokio::time::interval(BEAT);
        let mut led = false;
        loop {
            let leads = *self.leads.borrow_and_update();
            if leads != led {
                led = leads;
                self.turned(leads);
            }
            let now = Instant::now();
            self.health.beat();
            self.show(now, leads);
            if leads && self.may_begin(now) {
                self.begin(now);
            }
            let due = self.queue.next_due().unwrap_or(now + BEAT).max(now + Duration::from_millis(5));
            tokio::select! {
                Some(trigger) = triggers.recv() => self.triggered(trigger),
                Some(ended) = self.tasks.join_next() => self.ended(ended),
                _ = self.leads.changed(), if self.leads.has_changed().is_ok() => {}
                () = tokio::time::sleep_until(due.into()) => {}
                _ = beat.tick() => {}
                () = stop.cancelled() => break,
            }
        }
        drop(ping);
        tracing::info!("stopping; what is in flight ends first");
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("reconciles took longer than {} s to end and were cut off", DRAIN.as_secs());
        }
    }

    /// This process began or stopped to lead.
    fn turned(&mut self, leads: bool) {
        if !leads {
            tracing::info!("this process follows: it watches and does not write");
            self.world.rejections.forget_all();
            return;
        }
        self.world.forget();
        let now = Instant::now();
        self.all_changed(now);
        self.sweep_at = Some(now);
    }

    fn may_begin(&self, now: Instant) -> bool {
        // A kind whose watch has failed is known to be unknown: it must not stop the others.
        now > self.sync_until || !self.world.observer.stores.is_pending()
    }

    fn show(&self, now: Instant, leads: bool) {
        let (depth, age) = self.queue.waiting(now);
        self.world.metrics.set_queue(depth, age);
        self.world.metrics.set_leader(leads);
    }

    fn begin(&mut self, now: Instant) {
        while self.reconciling < AT_ONCE {
            let Some((id, changed)) = self.queue.take(now) else { break };
            let Some(object) = self.world.observer.stores.stacks.get(Some(&id.namespace), &id.name) else {
                self.queue.remove(&id);
                continue;
            };
            let (world, failures) = (self.world.clone(), self.queue.failures(&id));
            let (hurry, haste) = Haste::new(changed);
            self.haste.insert(id.clone(), hurry);
            self.reconciling += 1;
            self.tasks.spawn(async move {
                let begun = Instant::now();
                let work = AssertUnwindSafe(reconcile(&world, &object, failures, &haste)).catch_unwind();
                let outcome = work.await.unwrap_or_else(|_| Outcome::bug(failures));
                Ended::Reconcile { id, outcome, length: begun.elapsed() }
            });
        }
        if self.sweep_at.is_some_and(|at| at <= now) && !self.sweeping {
            self.sweep_at = None;
            self.sweeping = true;
            let world = self.world.clone();
            self.tasks.spawn(async move { Ended::Sweep { ok: sweep(&world).await } });
        }
    }

    fn triggered(&mut self, trigger: Trigger) {
        let now = Instant::now();
        match trigger {
            Trigger::Stack(id) => {
                if self.world.observer.stores.stacks.get(Some(&id.namespace), &id.name).is_some() {
                    self.changed(id, now);
                }
            }
            // What a write was answered is known once the reconcile that wrote has ended. A reconcile that has not
            // written yet is in haste from here on: what is shown is no echo of it.
            Trigger::Shown(id, shown) if self.queue.is_running(&id) => {
                self.hurry(&id);
                self.shown.entry(id).or_default().push(shown);
            }
            Trigger::Shown(id, shown) => self.shown(id, &[shown], now),
            Trigger::Gone(id) => {
                tracing::info!(stack = %id, "the stack is gone; what an owner reference cannot reach is swept");
                self.queue.remove(&id);
                self.secrets.remove(&id);
                self.shown.remove(&id);
                self.world.forget_stack(&id);
                self.sweep_for_a_while(now);
            }
            Trigger::Content(place) => {
                let is_referred = self.world.observer.contents.forget(&place);
                let refers = |(id, names): (&StackId, &BTreeSet<String>)| {
                    let own = place.holder == Holder::Secret && id.namespace == place.namespace;
                    (is_referred || (own && names.contains(&place.name))).then(|| id.clone())
                };
                let stacks: Vec<StackId> = self.secrets.iter().filter_map(refers).collect();
                for id in stacks {
                    self.changed(id, now);
                }
            }
            Trigger::Contents => {
                self.world.observer.contents.forget_all();
                self.all_changed(now);
            }
            Trigger::Sources | Trigger::All => self.all_changed(now),
        }
    }

    /// Watches show objects that this process writes. What shows no more than its own writes is no change.
    fn shown(&mut self, id: StackId, shown: &[Shown], now: Instant) {
        let is_there = self.world.observer.stores.stacks.get(Some(&id.namespace), &id.name).is_some();
        if is_there && shown.iter().any(|shown| !self.world.is_echo(&id, shown)) {
            self.changed(id, now);
        }
    }

    fn all_changed(&mut self, now: Instant) {
        for id in self.world.observer.stores.stack_ids() {
            self.changed(id, now);
        }
    }

    fn changed(&mut self, id: StackId, now: Instant) {
        self.hurry(&id);
        self.queue.changed(id, now);
    }

    /// Lets a reconcile on its way wait no longer for replicas that hang.
    fn hurry(&self, id: &StackId) {
        if let Some(hurry) = self.haste.get(id) {
            hurry.send_replace(true);
        }
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        let now = Instant::now();
        match ended {
            Ok(Ended::Reconcile { id, outcome, length }) => {
                self.reconciling -= 1;
                self.haste.remove(&id);
                self.world.metrics.count_reconcile(outcome.result, length);
                let millis = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
                tracing::debug!(stack = %id, result = outcome.result, millis, "reconciled");
                if self.world.observer.stores.stacks.get(Some(&id.namespace), &id.name).is_none() {
                    // It went while it was looked at, and what was noted since goes too.
                    self.world.forget_stack(&id);
                    self.sweep_for_a_while(now);
                } else if outcome.next != Next::Forget {
                    self.secrets.insert(id.clone(), outcome.secrets);
                }
                self.queue.finish(&id, outcome.next, now, rand::random());
                let shown = self.shown.remove(&id).unwrap_or_default();
                self.shown(id, &shown, now);
                if self.reconciling == 0 {
                    self.world.observer.contents.release_unused();
                }
                self.count_managed();
            }
            Ok(Ended::Sweep { ok }) => {
                self.sweeping = false;
                if !ok || self.sweep_until.is_some_and(|until| now < until) {
                    self.sweep_at = Some(now + SWEEP_AGAIN);
                }
            }
            // Panics of a reconcile are caught inside of its task; what is left is the end of the runtime.
            Err(error) => tracing::error!(%error, "a task ended"),
        }
    }

    /// A stack is gone. What was made for it a moment ago may not have been seen by the watches yet, and what a
    /// reconcile on its way still makes comes after the first sweep: it is looked for again, without a request
    /// where there is nothing.
    fn sweep_for_a_while(&mut self, now: Instant) {
        self.sweep_at = Some(now);
        self.sweep_until = Some(now + SWEEP_FOR);
    }

    fn count_managed(&self) {
        for (kind, store) in &self.world.observer.stores.owned {
            if let Some(objects) = store.read().known() {
                self.world.metrics.set_managed(kind.name, objects.len());
            }
        }
    }
}

impl Outcome {
    fn bug(failures: u32) -> Self {
        tracing::error!("a reconcile panicked; this is a bug of the operator");
        let next = Next::Failed(Class::Bug.retry_after(failures, 0.5));
        Self { next, result: Class::Bug.as_str(), secrets: BTreeSet::new() }
    }
}

async fn sweep(world: &World) -> bool {
    match world.applier.sweep().await {
        Ok(swept) => {
            for object in swept {
                tracing::info!(%object, "deleted what a stack that is gone had left");
            }
            true
        }
        Err(error) => {
            tracing::warn!(%error, "what stacks that are gone have left was not swept; it is tried again");
            false
        }
    }
}

/// Keeps the readiness: every store has synced, and the API server answers. Whoever renews a Lease asks it often
/// enough; only without one it is asked for this alone.
async fn ping(client: Client, world: Arc<World>, health: Arc<Health>) {
    loop {
        let missing = world.observer.stores.missing();
        let is_shown = health.has_answered_within(PING);
        let answer = if is_shown { Ok(()) } else { within(PING, client.apiserver_version()).await.map(drop) };
        let problem = match answer {
            Err(error) => Some(format!("the API server does not answer: {error}")),
            Ok(()) if !missing.is_empty() => Some(format!("not known yet: {}", missing.join("; "))),
            Ok(()) => None,
        };
        let wait = match (problem.is_some(), is_shown) {
            (true, _) => Duration::from_millis(500),
            // A look that asks nothing costs nothing, and an outage is seen as soon as it would be by asking.
            (false, true) => BEAT,
            (false, false) => PING,
        };
        health.set_ready(problem);
        tokio::time::sleep(wait).await;
    }
}
