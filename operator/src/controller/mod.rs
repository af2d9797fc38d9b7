//! Watches, the queue, the Lease: what turns changes into reconciles.

mod access;
pub mod election;
pub mod events;
mod pages;
pub mod queue;
mod run;
pub mod start;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use obstack_crds::Component;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::apply::Applier;
use crate::apply::alerts::Teller;
use crate::apply::writer::Writer;
use crate::decide::Catalog;
use crate::http::decisions::DecisionsAccess;
use crate::http::{self, Health};
use crate::lease::{Gate, SystemClock};
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::observe::engines::Engines;
use crate::observe::measure::{Measurer, Readings};
use crate::observe::stores::{Scope, Stores};
use crate::reconcile::{Settings, World};
use election::Election;
use events::Recorder;
use pages::Pages;
use run::Controller;
use start::{Clients, StartError};

/// How the operator runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where it serves.
    pub listen: SocketAddr,
    /// Who may read the decisions page.
    pub decisions_access: DecisionsAccess,
    /// Which namespaces it watches.
    pub scope: Scope,
    /// Namespace of the Lease; none without leader election.
    pub lease_namespace: Option<String>,
    /// Name of this process in the Lease and in Events.
    pub identity: String,
    /// Namespace of the operator's own pods, where it runs in one.
    pub namespace: Option<String>,
    /// Image that a new stack's reloader is taken from.
    pub image: String,
    /// Options and numbers to decide by.
    pub catalog: Catalog,
    /// Time between two looks at a settled stack.
    pub resync: Duration,
    /// How long the API server may take to answer at first.
    pub startup_timeout: Duration,
    /// How long an answer of the API server may take until it begins, lists and watches included.
    pub answer_timeout: Duration,
    /// How long the stores may take to sync before a stack is looked at all the same: a kind that cannot be
    /// read must not stop the others.
    pub sync_timeout: Duration,
    /// Tripwires whose durations are divided, for trials.
    pub tripwire_divisors: Vec<TripwireDivisor>,
}

/// A tripwire whose durations are all divided by one number, so that a trial takes minutes and not days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TripwireDivisor {
    /// The component whose decision it watches.
    pub component: Component,
    /// Id of the tripwire.
    pub tripwire: String,
    /// The number, 1 or more.
    pub divisor: u32,
}

/// The catalog with these tripwires divided.
fn divided(mut catalog: Catalog, divisors: &[TripwireDivisor]) -> Result<Catalog, StartError> {
    for TripwireDivisor { component, tripwire, divisor } in divisors {
        if !catalog.divide(*component, tripwire, *divisor) {
            return Err(StartError::NoTripwire { component: *component, tripwire: tripwire.clone() });
        }
        tracing::warn!(%component, tripwire, divisor, "the durations of a tripwire are divided, for trials only");
    }
    Ok(catalog)
}

/// Runs the operator on the cluster that is configured, until `stop`.
///
/// # Errors
/// When it cannot start. What fails later is tried again.
pub async fn run(options: Options, stop: CancellationToken) -> Result<(), StartError> {
    let address = options.listen;
    let listener = http::bind(address).await.map_err(|source| StartError::Listen { address, source })?;
    let clients = start::clients(options.answer_timeout).await?;
    run_on(clients, listener, options, stop).await
}

/// Runs the operator on this cluster, serving at this listener, until `stop`.
///
/// # Errors
/// When it cannot start. What fails later is tried again.
pub async fn run_on(
    clients: Clients,
    listener: TcpListener,
    options: Options,
    stop: CancellationToken,
) -> Result<(), StartError> {
    let Clients { own: client, anonymous, url } = clients;
    let catalog = divided(options.catalog.clone(), &options.tripwire_divisors)?;
    let engines = Engines::new()?;
    let readings = Readings::new(Measurer::new(None)?, catalog.clone());
    let teller = Teller::new()?;
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let serving = CancellationToken::new();
    let _stop_serving = serving.clone().drop_guard();
    let rejections = Arc::<crate::reconcile::Rejections>::default();
    let pages = Pages::new(options.decisions_access, anonymous, rejections.clone());
    let router =
        http::router(metrics.clone(), health.clone(), http::decisions::router(Arc::new(pages.clone())));
    // Port 0 asks the system for one that is free: what it gave is what is told.
    let address = listener.local_addr().unwrap_or(options.listen);
    let server = tokio::spawn(http::serve(listener, router, serving.clone()));
    tracing::info!(%address, "serving /metrics, /healthz, /readyz, /rejected.json and /decisions");
    if is_exposed(options.decisions_access, address) {
        tracing::warn!(
            %address,
            "whoever reaches this address reads every decision of every namespace: leave \
             --decisions-access=open out, or listen on a loopback address"
        );
    }

    start::wait_for_api(&client, &url, options.startup_timeout, &health).await?;
    if !start::wait_for_types(&client, &options.scope, &health, &stop).await {
        return Ok(());
    }

    let (triggers, triggered) = mpsc::unbounded_channel();
    let mut watches = JoinSet::new();
    let stores = Stores::start(&client, &options.scope, &triggers, &mut watches);
    pages.fill(stores.clone());

    let clock = Arc::new(SystemClock::default());
    let (leads_sender, leads) = watch::channel(options.lease_namespace.is_none());
    let giving_back = CancellationToken::new();
    let _give_back = giving_back.clone().drop_guard();
    let (gate, election) = match &options.lease_namespace {
        None => (Arc::new(Gate::open()), None),
        Some(namespace) => {
            let gate = Arc::new(Gate::closed(clock.clone()));
            let identity = options.identity.clone();
            let told = (leads_sender, health.clone());
            let election = Election::new(client.clone(), namespace, identity, clock, gate.clone(), told);
            (gate, Some(tokio::spawn(election.run(giving_back.clone()))))
        }
    };

    let writer = Writer::new(client.clone(), gate, metrics.clone());
    let home = options.namespace.clone().filter(|namespace| options.scope.covers(namespace));
    let world = World {
        observer: Observer::new(client.clone(), stores.clone(), engines, readings, &triggers),
        applier: Applier::new(writer.clone(), stores.clone(), metrics.clone()),
        recorder: Recorder::new(client.clone(), writer, options.identity.clone()),
        teller,
        metrics: metrics.clone(),
        settings: Settings { catalog, operator_image: options.image.clone(), operator_namespace: home },
        decided: crate::reconcile::Decided::default(),
        built: crate::reconcile::Built::default(),
        caches: crate::reconcile::Caches::default(),
        rejections,
        statuses: std::sync::Mutex::default(),
        generations: std::sync::Mutex::default(),
        delivered: std::sync::Mutex::default(),
    };
    let controller = Controller::new(Arc::new(world), client, health, leads, &options);
    controller.run(triggered, stop).await;

    // Writes end first, then the Lease goes back, so that nobody else writes before.
    giving_back.cancel();
    if let Some(election) = election {
        let _ = tokio::time::timeout(Duration::from_secs(5), election).await;
    }
    serving.cancel();
    let _ = server.await;
    tracing::info!("stopped");
    Ok(())
}

/// Whether others than this machine's users read every decision without a token.
fn is_exposed(access: DecisionsAccess, address: SocketAddr) -> bool {
    access == DecisionsAccess::Open && !address.ip().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_page_is_exposed_beyond_loopback() {
        for (access, address, exposed) in [
            (DecisionsAccess::Open, "127.0.0.1:8080", false),
            (DecisionsAccess::Open, "127.42.0.1:8080", false),
            (DecisionsAccess::Open, "[::1]:8080", false),
            (DecisionsAccess::Open, "0.0.0.0:8080", true),
            (DecisionsAccess::Open, "10.0.0.1:8080", true),
            (DecisionsAccess::Token, "0.0.0.0:8080", false),
        ] {
            assert_eq!(is_exposed(access, address.parse().unwrap()), exposed, "{access:?} {address}");
        }
    }
}
