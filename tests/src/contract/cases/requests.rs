//! Requests of the shapes that real clients send: `tests/contract/requests.txt`.

use super::prelude::*;
use crate::contract::replay::client;
use crate::contract::shapes::Shape;

cases! { "requests":
    requests_of_the_operator,
    requests_of_the_engines,
    requests_of_the_controllers_and_the_kubelet,
    requests_of_kubectl,
    requests_for_logs,
    requests_for_quotas differs "quotas and limit ranges are not there, which kubectl takes for none",
    requests_for_the_older_open_api,
}

fn is_log(shape: &Shape) -> bool {
    shape.path.ends_with("/log")
}

fn is_quota(shape: &Shape) -> bool {
    ["/limitranges", "/resourcequotas"].iter().any(|end| shape.path.ends_with(end))
}

fn is_older(shape: &Shape) -> bool {
    shape.path == "/openapi/v2"
}

async fn requests_of_the_operator(s: &Scope) -> Outcome {
    client(s, "operator", "operator", |_| true).await
}

async fn requests_of_the_engines(s: &Scope) -> Outcome {
    client(s, "reloader and engines", "engines", |_| true).await
}

async fn requests_of_the_controllers_and_the_kubelet(s: &Scope) -> Outcome {
    client(s, "controllers and kubelet", "controllers", |_| true).await
}

async fn requests_of_kubectl(s: &Scope) -> Outcome {
    client(s, "kubectl", "kubectl", |shape| !is_log(shape) && !is_quota(shape) && !is_older(shape)).await
}

async fn requests_for_logs(s: &Scope) -> Outcome {
    client(s, "kubectl", "logs", is_log).await
}

async fn requests_for_quotas(s: &Scope) -> Outcome {
    client(s, "kubectl", "quotas", is_quota).await
}

async fn requests_for_the_older_open_api(s: &Scope) -> Outcome {
    client(s, "kubectl", "older-open-api", is_older).await
}
