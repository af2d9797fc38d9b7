//! What the server refuses because it does not have it.

use crate::harness::{error, start};
use serde_json::json;

#[tokio::test]
async fn what_is_left_out_is_named() {
    let api = start().await;
    for (path, what) in [
        (
            "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
            "horizontalpodautoscalers.autoscaling",
        ),
        (
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations",
            "validatingwebhookconfigurations.admissionregistration.k8s.io",
        ),
        ("/api/v1/namespaces/default/replicationcontrollers", "replicationcontrollers"),
        ("/openapi/v2", "/openapi/v2; ask for /openapi/v3"),
    ] {
        assert_eq!(error(api.get(path).await, 501), format!("the sandbox does not serve {what}"));
    }
    let exec = api.post("/api/v1/namespaces/default/pods/x/exec", json!({})).await;
    assert_eq!(error(exec, 501), "the sandbox does not serve pods/exec");
    assert_eq!(api.get("/api/v1/namespaces/default/nonsense").await.code, 404);
}
