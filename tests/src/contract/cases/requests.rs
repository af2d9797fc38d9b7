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
}

fn is_log(shape: &Shape) -> bool {
    shape.path.ends_with("/log")
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
    client(s, "kubectl", "kubectl", |shape| !is_log(shape)).await
}

async fn requests_for_logs(s: &Scope) -> Outcome {
    client(s, "kubectl", "logs", is_log).await
}
