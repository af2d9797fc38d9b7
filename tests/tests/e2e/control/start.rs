//! Coming up where something is missing: what is said, and what is waited for.

use std::net::SocketAddr;
use std::time::Duration;

use obstack::controller::{self, Options, start::StartError};
use obstack::http::decisions::DecisionsAccess;
use obstack::observe::stores::Scope;
use obstack_tests::wait::until;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::bench::{BOUND, Bench};

fn options(listen: SocketAddr) -> Options {
    Options {
        listen,
        decisions_access: DecisionsAccess::default(),
        scope: Scope::Cluster,
        lease_namespace: None,
        catalog: obstack::decide::Catalog::embedded().unwrap(),
        identity: "test".to_owned(),
        namespace: None,
        image: "ghcr.io/obstack/obstack:0.1.0".to_owned(),
        resync: Duration::from_secs(1),
        startup_timeout: Duration::from_secs(1),
        answer_timeout: Duration::from_secs(1),
        sync_timeout: Duration::from_secs(1),
        tripwire_divisors: Vec::new(),
    }
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = controller::run(options(address), CancellationToken::new()).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&address.to_string()) && message.contains("--listen"), "{message}");
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_named_after_the_time_that_was_given() {
    obstack::tls::install_provider();
    // Bound and not listening to anybody: a port that nobody else can take meanwhile.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let config = kube::Config::new(url.parse().unwrap());
    let clients = controller::start::clients_of(config, Duration::from_secs(1)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let options = options(listener.local_addr().unwrap());
    let run = controller::run_on(clients, listener, options, CancellationToken::new());
    let error = tokio::time::timeout(BOUND, run).await.unwrap().unwrap_err();
    assert!(matches!(error, StartError::Unreachable { .. }), "{error}");
    assert!(
        error.to_string().starts_with(&format!("the API server {url}/ was not reached within 1 s")),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_that_are_not_installed_are_waited_for() {
    let bench = Bench::without_types().await;
    let operator = bench.operator().await;
    until("the operator to say what is missing", BOUND, || async {
        let (code, text) = operator.get("/readyz").await;
        if code == 503 && text.contains("kubectl apply -f crds/") { Ok(()) } else { Err(text) }
    })
    .await;
    assert_eq!(operator.get("/healthz").await.0, 200);
    bench.install_types().await;
    until("the operator to be ready", BOUND, || async {
        let (code, text) = operator.get("/readyz").await;
        if code == 200 { Ok(()) } else { Err(text) }
    })
    .await;
    operator.stop().await;
    bench.stop().await;
}
