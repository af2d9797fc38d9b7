//! Kubeconfigs, and clients made from them.

use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client};
use serde_json::{Value, json};

use super::Error;
use super::certificates::Certificate;

/// How long a token of an account is good, in seconds.
const TOKEN_SECONDS: i64 = 24 * 60 * 60;
/// How long a request for a token may take.
const TOKEN_BOUND: Duration = Duration::from_secs(20);

fn base64(text: &str) -> Value {
    json!(ByteString(text.as_bytes().to_vec()))
}

/// A kubeconfig with a client certificate.
pub(super) fn of_certificate(server: &str, ca: &str, certificate: &Certificate) -> String {
    let user = json!({
        "client-certificate-data": base64(&certificate.pem),
        "client-key-data": base64(&certificate.key_pem),
    });
    text(&json!({ "server": server, "certificate-authority-data": base64(ca) }), &user)
}

/// JSON is YAML too.
fn text(cluster: &Value, user: &Value) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
        "current-context": "test",
    });
    format!("{config:#}\n")
}

/// A client of a kubeconfig. No request waits longer than 10 s for a connection.
///
/// # Errors
/// When the kubeconfig cannot be used.
pub async fn client(kubeconfig: &str) -> Result<Client, Error> {
    obstack::tls::install_provider();
    let unusable = |message: String| Error::Api { what: "a client".to_owned(), message };
    let config = Kubeconfig::from_yaml(kubeconfig).map_err(|error| unusable(error.to_string()))?;
    let config = kube::Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await;
    let mut config = config.map_err(|error| unusable(error.to_string()))?;
    config.connect_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(|error| unusable(error.to_string()))
}

/// The kubeconfig of a ServiceAccount in the cluster of another kubeconfig, with a token for 24 hours.
///
/// # Errors
/// When the account does not exist, or the kubeconfig's user may not ask for its token.
pub async fn for_account(admin: &str, namespace: &str, name: &str) -> Result<String, Error> {
    let what = format!("a token of {namespace}/{name}");
    let failed = |message: &str| Error::Api { what: what.clone(), message: message.to_owned() };
    let accounts: Api<ServiceAccount> = Api::namespaced(client(admin).await?, namespace);
    let spec = TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..TokenRequestSpec::default() };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let params = PostParams::default();
    let request = accounts.create_token_request(name, &params, &request);
    let answer = tokio::time::timeout(TOKEN_BOUND, request).await.map_err(|_| failed("no answer in time"))?;
    let status = answer.map_err(|error| failed(&error.to_string()))?.status;
    let token = status.map(|status| status.token).ok_or_else(|| failed("an answer without a token"))?;

    let config = Kubeconfig::from_yaml(admin).map_err(|error| failed(&error.to_string()))?;
    let context =
        config.contexts.iter().find(|context| Some(&context.name) == config.current_context.as_ref());
    let wanted = context.and_then(|context| Some(context.context.as_ref()?.cluster.clone()));
    let cluster = config.clusters.iter().find(|cluster| Some(&cluster.name) == wanted.as_ref());
    let cluster = cluster.and_then(|cluster| cluster.cluster.as_ref());
    let cluster = cluster.ok_or_else(|| failed("the kubeconfig has no cluster for its current context"))?;
    let cluster = serde_json::to_value(cluster).map_err(|error| failed(&error.to_string()))?;
    Ok(text(&cluster, &json!({ "token": token })))
}
