//! The start of a control plane, step by step, each waited for.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::http::Request;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::{Api, Client};
use tempfile::TempDir;

use super::certificates::Authority;
use super::flags::Plan;
use super::process::{Nursery, Process};
use super::{ControlPlane, Error, Options, kubeconfig};

/// Time between two looks at a condition.
const POLL: Duration = Duration::from_millis(50);
/// How long one question may take.
const ASK_BOUND: Duration = Duration::from_secs(5);

/// One try.
pub(super) async fn once(options: &Options, programs: &Path, setpriv: &Path) -> Result<ControlPlane, Error> {
    let began = Instant::now();
    let bound = options.bound;
    let folder = tempfile::Builder::new().prefix("obstack-control-plane-").tempdir();
    let folder: TempDir = folder.map_err(Error::io("a temporary folder"))?;
    let authority = Authority::generate()?;
    let plan = Plan::write(options, programs, folder.path(), &authority)?;
    let nursery = Nursery::new()?;
    let http = http_client(&authority.own.pem)?;

    let mut etcd = Process::start(&nursery, setpriv, &plan.etcd)?;
    wait(&mut etcd, "etcd's health", began, bound, || healthy(&http, &plan.etcd_health)).await?;

    let mut api_server = Process::start(&nursery, setpriv, &plan.api_server)?;
    let admin = kubeconfig::client(&plan.admin).await?;
    api_server_is_ready(&mut api_server, &admin, began, bound).await?;

    let mut clients = Vec::new();
    for (launch, _) in &plan.clients {
        clients.push(Process::start(&nursery, setpriv, launch)?);
    }
    for (process, (_, url)) in clients.iter_mut().zip(&plan.clients) {
        wait(process, "its health", began, bound, || healthy(&http, url)).await?;
    }
    // What the controllers make in every namespace; pods cannot start without.
    if let Some(controllers) = clients.first_mut() {
        wait(controllers, "what the namespace default begins with", began, bound, || beginning(&admin))
            .await?;
    }
    Ok(ControlPlane {
        clients,
        api_server: Some(api_server),
        etcd,
        nursery,
        setpriv: setpriv.to_owned(),
        plan,
        authority,
        bound,
        folder,
    })
}

/// Waits until the API server says that it is ready.
pub(super) async fn api_server_is_ready(
    process: &mut Process,
    admin: &Client,
    began: Instant,
    bound: Duration,
) -> Result<(), Error> {
    wait(process, "the API server's readiness", began, bound, || async {
        let request = Request::get("/readyz").body(Vec::new()).map_err(|error| error.to_string())?;
        admin.request_text(request).await.map(drop).map_err(|error| error.to_string())
    })
    .await
}

async fn beginning(admin: &Client) -> Result<(), String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    accounts.get("default").await.map_err(|error| error.to_string())?;
    maps.get("kube-root-ca.crt").await.map_err(|error| error.to_string())?;
    Ok(())
}

fn http_client(ca: &str) -> Result<reqwest::Client, Error> {
    let certificate = reqwest::Certificate::from_pem(ca.as_bytes());
    let built = certificate.and_then(|certificate| {
        reqwest::Client::builder().tls_certs_only([certificate]).no_proxy().timeout(ASK_BOUND).build()
    });
    built.map_err(|error| Error::Api { what: "a client".to_owned(), message: error.to_string() })
}

async fn healthy(http: &reqwest::Client, url: &str) -> Result<(), String> {
    let answer = http.get(url).send().await.and_then(reqwest::Response::error_for_status);
    answer.map(drop).map_err(|error| error.to_string())
}

/// Looks until `probe` is satisfied, at most for `bound` since `began`, and only while the process runs.
async fn wait<T, F>(
    process: &mut Process,
    what: &'static str,
    began: Instant,
    bound: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<T, Error>
where
    F: Future<Output = Result<T, String>>,
{
    loop {
        process.check()?;
        let last = match tokio::time::timeout(ASK_BOUND, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(last)) => last,
            Err(_) => "no answer".to_owned(),
        };
        if began.elapsed() > bound {
            return Err(Error::NotReady { what, bound, last, name: process.name, tail: process.tail() });
        }
        tokio::time::sleep(POLL).await;
    }
}
