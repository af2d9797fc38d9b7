//! What a case works with: a client, a namespace and names of its own, and waiting.

use super::expected;
use super::failure::{Check, Failure};
use super::target::Target;
use kube::config::{AuthInfo, Kubeconfig};
use obstack_sandbox::raw::{APPLY, Answer, Ask, JSON, JSON_PATCH, MERGE, Raw, STRATEGIC, Watch};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Longest time that a case waits for one thing.
const WAIT: Duration = Duration::from_secs(50);

/// What the requests of one case came to.
#[derive(Default)]
struct Seen {
    /// Method and path of the last one.
    last: Mutex<String>,
    /// One was refused because the sandbox does not serve it.
    refused: AtomicBool,
}

/// A user of the server, and the requests that a case sends as one.
#[derive(Clone)]
pub struct Api {
    raw: Raw,
    seen: Arc<Seen>,
}

/// The surroundings of one case.
pub struct Scope {
    api: Api,
    /// Its namespace.
    pub namespace: String,
    /// A label that no other case has, for names of cluster-scoped things.
    pub tag: String,
    kubeconfig: String,
    real: bool,
    /// Paths that are deleted at the end.
    leftovers: Mutex<Vec<String>>,
}

impl std::ops::Deref for Scope {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Api {
    fn note(&self, answer: &Answer) {
        *self.seen.last.lock().expect("no case panics here") = answer.request.clone();
        if answer.code == 501 {
            self.seen.refused.store(true, Ordering::SeqCst);
        }
    }

    pub(super) async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let answer = self.raw.ask(ask).await?;
        self.note(&answer);
        Ok(answer)
    }

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Failure> {
        let answer = self.raw.send(method, path, kind, body).await?;
        self.note(&answer);
        Ok(answer)
    }

    /// A request with a body that need not be JSON.
    pub(super) async fn text(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
    ) -> Result<Answer, Failure> {
        let headers = [("content-type", kind)];
        self.ask(Ask { method, path, headers: &headers, body: body.as_bytes().to_vec() }).await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send("GET", path, JSON, None).await
    }

    pub(super) async fn get_as(&self, path: &str, accept: &str) -> Result<Answer, Failure> {
        self.ask(Ask { method: "GET", path, headers: &[("accept", accept)], body: Vec::new() }).await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send("POST", path, JSON, Some(&body)).await
    }

    pub(super) async fn put(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send("PUT", path, JSON, Some(&body)).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, Failure> {
        self.send("DELETE", path, JSON, None).await
    }

    pub(super) async fn delete_with(&self, path: &str, options: Value) -> Result<Answer, Failure> {
        self.send("DELETE", path, JSON, Some(&options)).await
    }

    pub(super) async fn merge(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send("PATCH", path, MERGE, Some(&body)).await
    }

    pub(super) async fn strategic(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send("PATCH", path, STRATEGIC, Some(&body)).await
    }

    pub(super) async fn json(&self, path: &str, body: Value) -> Result<Answer, Failure> {
        self.send("PATCH", path, JSON_PATCH, Some(&body)).await
    }

    pub(super) async fn apply(&self, path: &str, manager: &str, body: Value) -> Result<Answer, Failure> {
        self.send("PATCH", &format!("{path}?fieldManager={manager}"), APPLY, Some(&body)).await
    }

    pub(super) async fn force(&self, path: &str, manager: &str, body: Value) -> Result<Answer, Failure> {
        self.send("PATCH", &format!("{path}?fieldManager={manager}&force=true"), APPLY, Some(&body)).await
    }

    pub(super) async fn watch(&self, path: &str) -> Result<Watch, Failure> {
        self.watch_as(path, JSON).await
    }

    pub(super) async fn watch_as(&self, path: &str, accept: &str) -> Result<Watch, Failure> {
        *self.seen.last.lock().expect("no case panics here") = format!("GET {path}");
        Ok(self.raw.watch(path, accept).await?)
    }

    /// Waits until `look` finds something.
    pub(super) async fn until<T>(
        &self,
        what: &str,
        look: impl AsyncFn() -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        let waiting = async {
            loop {
                if let Some(found) = look().await? {
                    return Ok(found);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let found = tokio::time::timeout(WAIT, waiting).await;
        found.unwrap_or_else(|_| Err(format!("waited {} s for {what}", WAIT.as_secs()).into()))
    }

    /// Waits until the path answers with 404.
    pub(super) async fn gone(&self, path: &str) -> Result<(), Failure> {
        self.until(&format!("the end of {path}"), async || {
            Ok((self.get(path).await?.code == 404).then_some(()))
        })
        .await
    }

    /// Waits until an object is as wanted, and returns it.
    pub(super) async fn becomes(
        &self,
        path: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Result<Value, Failure> {
        self.until(what, async || {
            let found = self.get(path).await?;
            Ok((found.code == 200 && wanted(&found.body)).then_some(found.body))
        })
        .await
    }
}

impl Scope {
    pub(super) async fn new(target: &Target, case: &str) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::SeqCst);
        // Names differ between runs too: a namespace of the last run may still be on its way out.
        let run = std::process::id();
        let tag = format!("c{run}x{number}");
        let api = Api { raw: target.raw.clone(), seen: Arc::default() };
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": tag, "annotations": {"contract.obstack.test/case": case}},
        });
        let made = api.post("/api/v1/namespaces", namespace).await.and_then(Check::ok);
        made.map_err(|failure| failure.to_string())?;
        // On a server that ends with the run it would only take the time of the cases that wait for an end.
        let namespace = target.outlives_the_run().then(|| format!("/api/v1/namespaces/{tag}"));
        let leftovers = Mutex::new(namespace.into_iter().collect());
        let (kubeconfig, real) = (target.kubeconfig.clone(), target.real);
        Ok(Self { api, namespace: tag.clone(), tag, kubeconfig, real, leftovers })
    }

    /// Path of a resource in this case's namespace.
    pub(super) fn at(&self, api_version: &str, plural: &str) -> String {
        let root = if api_version.contains('/') { "apis" } else { "api" };
        format!("/{root}/{api_version}/namespaces/{}/{plural}", self.namespace)
    }

    /// Path of the config maps in this case's namespace.
    pub(super) fn maps(&self) -> String {
        self.at("v1", "configmaps")
    }

    /// The rest of a case, for what it leaves outside of its namespace: deletes it at the end.
    pub(super) fn delete_later(&self, path: impl Into<String>) {
        self.leftovers.lock().expect("no case panics here").push(path.into());
    }

    /// Ends the case: what it made is deleted, and not waited for.
    pub(super) async fn end(&self) {
        let paths = std::mem::take(&mut *self.leftovers.lock().expect("no case panics here"));
        for path in paths.iter().rev() {
            // What is gone already, or cannot be deleted, is no concern of the case.
            let _ = self.api.raw.send("DELETE", path, JSON, None).await;
        }
    }

    /// Method and path of the last request.
    pub(super) fn last(&self) -> String {
        self.seen.last.lock().expect("no case panics here").clone()
    }

    /// Whether the sandbox said of a request that it does not serve it.
    pub(super) fn refused(&self) -> bool {
        self.seen.refused.load(Ordering::SeqCst)
    }

    /// Waits for what each namespace gets, which pods need.
    pub(super) async fn equipped(&self) -> Result<(), Failure> {
        self.becomes(&format!("{}/default", self.at("v1", "serviceaccounts")), "the default account", |_| {
            true
        })
        .await?;
        Ok(())
    }

    /// A token for an account of this namespace, which is made where it is missing.
    pub(super) async fn token(&self, account: &str) -> Result<String, Failure> {
        let accounts = self.at("v1", "serviceaccounts");
        let object = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}});
        self.post(&accounts, object).await?;
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        });
        let answer = self.post(&format!("{accounts}/{account}/token"), request).await?.code(201)?;
        Ok(answer["status"]["token"].as_str().unwrap_or_default().to_owned())
    }

    /// The server as an account of this namespace sees it.
    pub(super) async fn account(&self, account: &str) -> Result<Api, Failure> {
        let token = self.token(account).await?;
        self.with_token(Some(&token)).await
    }

    /// The server as the holder of a token sees it, or nobody.
    pub(super) async fn with_token(&self, token: Option<&str>) -> Result<Api, Failure> {
        let mut kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig).map_err(|e| e.to_string())?;
        for named in &mut kubeconfig.auth_infos {
            let token = token.map(|token| token.to_owned().into());
            named.auth_info = Some(AuthInfo { token, ..AuthInfo::default() });
        }
        let raw = Raw::from_kubeconfig(kubeconfig).await?;
        Ok(Api { raw, seen: self.seen.clone() })
    }

    /// The typed client of an administrator.
    pub(super) fn client(&self) -> kube::Client {
        self.api.raw.client()
    }

    /// Compares an answer, without what differs from run to run, to the one that is kept under this name.
    ///
    /// # Errors
    /// They differ, or none is kept.
    #[track_caller]
    pub(super) fn expect(&self, name: &str, found: &Value) -> Result<(), Failure> {
        let found = expected::normalise(found, &self.tag);
        expected::compare(name, &found, self.real)
    }
}
