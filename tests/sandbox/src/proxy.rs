//! Addresses of Services: a listener per address and port that hands each connection to a ready endpoint.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::controllers::endpoint_service_label;
use crate::informer::{Informer, Watched};

/// Connections that one listener carries at once.
const CONNECTIONS: usize = 1024;
const CONNECT: Duration = Duration::from_secs(5);

/// Ready endpoints, and who gets which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Targets {
    ready: Vec<SocketAddr>,
    /// Whether a client stays with its endpoint while that is ready (`sessionAffinity: ClientIP`).
    sticky: bool,
}

/// Endpoints by the address and port of a Service. A Service without a ready one is not in it: its port is
/// closed, as it is in a cluster.
type Routes = BTreeMap<SocketAddr, Targets>;

/// Whose turn it is.
#[derive(Default)]
struct Turns {
    next: usize,
    clients: HashMap<IpAddr, SocketAddr>,
}

impl Turns {
    /// The ready endpoints in the order in which a client's connection tries them.
    fn order(&mut self, targets: &Targets, client: IpAddr) -> Vec<SocketAddr> {
        let mut order = targets.ready.clone();
        if order.is_empty() {
            return order;
        }
        if !targets.sticky {
            self.clients.clear();
        } else if let Some(at) =
            self.clients.get(&client).and_then(|last| order.iter().position(|one| one == last))
        {
            order.rotate_left(at);
            return order;
        }
        let length = order.len();
        order.rotate_left(self.next % length);
        self.next += 1;
        if targets.sticky {
            self.clients.insert(client, order[0]);
        }
        order
    }
}

/// The routes of all Services.
fn build_routes(services: &[Arc<Service>], slices: &[Arc<EndpointSlice>]) -> Routes {
    let mut routes = Routes::new();
    for service in services {
        let spec = service.spec.clone().unwrap_or_default();
        let Some(address) = spec.cluster_ip.as_ref().and_then(|address| address.parse::<IpAddr>().ok())
        else {
            continue;
        };
        let own: Vec<_> = slices
            .iter()
            .filter(|slice| slice.namespace() == service.namespace())
            .filter(|slice| slice.labels().get(endpoint_service_label()) == Some(&service.name_any()))
            .collect();
        for port in spec.ports.iter().flatten() {
            let ready: Vec<_> = own
                .iter()
                .flat_map(|slice| targets(slice, port.name.as_deref().unwrap_or_default()))
                .collect();
            if let (Ok(number), false) = (u16::try_from(port.port), ready.is_empty()) {
                let sticky = spec.session_affinity.as_deref() == Some("ClientIP");
                routes.insert(SocketAddr::new(address, number), Targets { ready, sticky });
            }
        }
    }
    routes
}

/// Ready endpoints of a slice at the port of a name.
fn targets(slice: &EndpointSlice, port: &str) -> Vec<SocketAddr> {
    let named = |number: &&k8s_openapi::api::discovery::v1::EndpointPort| {
        number.name.as_deref().unwrap_or_default() == port
    };
    let number = slice.ports.iter().flatten().find(named).and_then(|port| u16::try_from(port.port?).ok());
    let Some(number) = number else { return Vec::new() };
    slice
        .endpoints
        .iter()
        .flatten()
        .filter(|endpoint| endpoint.conditions.as_ref().and_then(|state| state.ready) != Some(false))
        .filter_map(|endpoint| Some(SocketAddr::new(endpoint.addresses.first()?.parse().ok()?, number)))
        .collect()
}

struct Listener {
    targets: Arc<RwLock<Targets>>,
    stop: CancellationToken,
}

/// Follows Services and EndpointSlices until the token is cancelled. Returns at once.
pub fn start(client: &Client, stop: &CancellationToken) {
    let services: Arc<Informer<Service>> =
        Informer::start(Api::all(client.clone()), watcher::Config::default(), stop.clone());
    let slices: Arc<Informer<EndpointSlice>> =
        Informer::start(Api::all(client.clone()), watcher::Config::default(), stop.clone());
    let stop = stop.clone();
    tokio::spawn(async move {
        let following = follow(&services, &slices, &stop);
        tokio::select! { () = stop.cancelled() => (), () = following => () }
    });
}

async fn follow(services: &Informer<Service>, slices: &Informer<EndpointSlice>, stop: &CancellationToken) {
    let mut listeners: BTreeMap<SocketAddr, Listener> = BTreeMap::new();
    let (mut first, mut second) = (services.changes(), slices.changes());
    loop {
        let mut failed = false;
        if services.synced() && slices.synced() {
            let routes = build_routes(&services.all(), &slices.all());
            listeners.retain(|address, listener| {
                let keep = routes.contains_key(address);
                if !keep {
                    listener.stop.cancel();
                }
                keep
            });
            for (address, targets) in routes {
                if let Some(listener) = listeners.get(&address) {
                    *listener.targets.write().unwrap_or_else(PoisonError::into_inner) = targets;
                    continue;
                }
                match TcpListener::bind(address).await {
                    Ok(socket) => {
                        let listener =
                            Listener { targets: Arc::new(RwLock::new(targets)), stop: stop.child_token() };
                        tokio::spawn(serve(socket, listener.targets.clone(), listener.stop.clone()));
                        listeners.insert(address, listener);
                    }
                    Err(error) => {
                        tracing::debug!(%address, %error, "cannot listen for a Service; tried again");
                        failed = true;
                    }
                }
            }
        }
        let wait = Duration::from_secs(if failed { 1 } else { 60 });
        tokio::select! {
            Ok(()) = first.changed() => (),
            Ok(()) = second.changed() => (),
            () = tokio::time::sleep(wait) => (),
        }
    }
}

async fn serve(socket: TcpListener, targets: Arc<RwLock<Targets>>, stop: CancellationToken) {
    let mut turns = Turns::default();
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = socket.accept() => accepted,
        };
        let (Ok((client, from)), Ok(slot)) = (accepted, slots.clone().acquire_owned().await) else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let order = turns.order(&targets.read().unwrap_or_else(PoisonError::into_inner), from.ip());
        let stop = stop.clone();
        tokio::spawn(async move {
            let carried = carry(client, &order);
            tokio::select! { () = stop.cancelled() => (), () = carried => () }
            drop(slot);
        });
    }
}

/// Carries one connection to the first endpoint that takes it.
async fn carry(mut client: TcpStream, order: &[SocketAddr]) {
    for target in order {
        if let Ok(Ok(mut server)) = tokio::time::timeout(CONNECT, TcpStream::connect(target)).await {
            // Either side may close at any time: that is the end of the connection, not an error.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn only_ready_endpoints_at_the_port_of_the_same_name_are_routes() {
        let service: Service = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "ns" },
            "spec": { "clusterIP": "127.43.0.5", "ports": [{ "name": "http", "port": 80 }, { "name": "none", "port": 81 }] },
        }))
        .unwrap();
        let slice: EndpointSlice = serde_json::from_value(json!({
            "metadata": { "name": "s", "namespace": "ns", "labels": { "kubernetes.io/service-name": "web" } },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 9090 }],
            "endpoints": [
                { "addresses": ["127.42.1.1"], "conditions": { "ready": true } },
                { "addresses": ["127.42.1.2"], "conditions": { "ready": false } },
            ],
        }))
        .unwrap();
        let routes = build_routes(&[Arc::new(service)], &[Arc::new(slice)]);
        let targets = Targets { ready: vec!["127.42.1.1:9090".parse().unwrap()], sticky: false };
        let expected = [("127.43.0.5:80".parse().unwrap(), targets)];
        assert_eq!(routes, BTreeMap::from(expected));
    }

    #[test]
    fn a_client_stays_with_its_endpoint_where_the_service_says_so() {
        let endpoint = |number: u8| SocketAddr::from(([127, 42, 1, number], 80));
        let client = |number: u8| IpAddr::from([127, 0, 0, number]);
        let mut targets = Targets { ready: vec![endpoint(1), endpoint(2)], sticky: true };
        let mut turns = Turns::default();
        let mut first = |targets: &Targets, number: u8| turns.order(targets, client(number))[0];
        assert_eq!([first(&targets, 1), first(&targets, 2)], [endpoint(1), endpoint(2)]);
        assert_eq!([first(&targets, 1), first(&targets, 2)], [endpoint(1), endpoint(2)]);
        targets.ready = vec![endpoint(2), endpoint(3)];
        assert_ne!(first(&targets, 1), endpoint(1), "its endpoint is gone");
        assert_eq!(first(&targets, 2), endpoint(2));
    }

    #[tokio::test]
    async fn connections_go_round_and_past_an_endpoint_that_is_gone() {
        async fn answer(text: &'static str) -> SocketAddr {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = socket.local_addr().unwrap();
            tokio::spawn(async move {
                while let Ok((mut stream, _)) = socket.accept().await {
                    let _ = stream.write_all(text.as_bytes()).await;
                }
            });
            address
        }
        let dead = {
            let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
            socket.local_addr().unwrap()
        };
        let ready = vec![answer("a").await, answer("b").await, dead];
        let targets = Arc::new(RwLock::new(Targets { ready, sticky: false }));
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = tokio::spawn(serve(socket, targets, stop.clone()));
        let mut seen = String::new();
        for _ in 0..6 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.read_to_string(&mut seen).await.unwrap();
        }
        assert_eq!(seen, "abaaba", "the third endpoint is gone: its turns go to the next one");
        stop.cancel();
        serving.await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
