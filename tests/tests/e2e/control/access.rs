//! Who sees what on the decisions page, by the token that he brings.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DeleteParams};
use obstack::http::decisions::DecisionsAccess;
use obstack_crds::ObservabilityStack;
use obstack_sandbox::api::{Fault, RequestInfo};
use obstack_tests::wait::until;
use serde_json::json;

use super::bench::{BOUND, Bench, NAMESPACE, OPERATOR, Operator, Shared};

/// A namespace that the viewer may not see.
const OTHER: &str = "shop";
const REVIEWS: &str = "selfsubjectaccessreviews";
/// What stands in the page for each of the two stacks.
const HERE: &str = "id=\"monitoring.main.\"";
const THERE: &str = "id=\"shop.till.\"";

/// Two namespaces with a stack each; `viewer` and `late` may get stacks in the first, `stranger` nowhere.
async fn two_teams() -> Bench {
    let bench = Bench::start().await;
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": OTHER } });
    bench.put(&ApiResource::erase::<Namespace>(&()), None, namespace).await;
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": { "name": "stacks", "namespace": NAMESPACE },
        "rules": [{ "apiGroups": ["obstack.io"], "resources": ["observabilitystacks"], "verbs": ["get"] }]
    });
    bench.put(&ApiResource::erase::<Role>(&()), Some(NAMESPACE), role).await;
    for name in ["viewer", "late", "stranger"] {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": name, "namespace": NAMESPACE }
        });
        bench.put(&ApiResource::erase::<ServiceAccount>(&()), Some(NAMESPACE), account).await;
        if name != "stranger" {
            let binding = json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": { "name": name, "namespace": NAMESPACE },
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "stacks" },
                "subjects": [{ "kind": "ServiceAccount", "name": name, "namespace": NAMESPACE }]
            });
            bench.put(&ApiResource::erase::<RoleBinding>(&()), Some(NAMESPACE), binding).await;
        }
    }
    let stack = json!({
        "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack",
        "metadata": { "name": "till", "namespace": OTHER }, "spec": {}
    });
    bench.put(&ApiResource::erase::<ObservabilityStack>(&()), Some(OTHER), stack).await;
    bench.stack(json!({})).await;
    bench
}

fn bearer(bench: &Bench, account: &str) -> String {
    format!("Bearer {}", bench.server().token_for(NAMESPACE, account))
}

/// Waits until both stacks are decided, as somebody sees who may see everything.
async fn decided(bench: &Bench, operator: &Operator) {
    let all = format!("Bearer {}", bench.server().token_for_user("boss", &["system:masters"]));
    until("both stacks to be decided", BOUND, || async {
        let (code, text) = operator.get_with("/decisions", Some(&all)).await;
        let both = text.contains("decisions/monitoring/main/main-metrics-store-0001")
            && text.contains("decisions/shop/till/till-metrics-store-0001");
        if both { Ok(()) } else { Err((code, text)) }
    })
    .await;
}

async fn closed(bench: &Bench) -> Operator {
    let operator = bench.operator_with(OPERATOR, |options| options.decisions_access = DecisionsAccess::Token);
    let operator = operator.await;
    decided(bench, &operator).await;
    operator
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_the_namespaces_whose_stacks_it_may_get() {
    let bench = two_teams().await;
    let operator = closed(&bench).await;
    let viewer = bearer(&bench, "viewer");

    let (code, text) = operator.get_with("/decisions", Some(&viewer)).await;
    assert_eq!(code, 200);
    assert!(text.contains(HERE) && !text.contains(OTHER), "{text}");
    let (code, text) = operator.get_with("/decisions.json", Some(&viewer)).await;
    assert_eq!(code, 200);
    assert!(text.contains("main-metrics-store-0001") && !text.contains("till"), "{text}");
    let own = "/decisions/monitoring/main/main-metrics-store-0001";
    let others = "/decisions/shop/till/till-metrics-store-0001";
    for end in ["", ".md"] {
        assert_eq!(operator.get_with(&format!("{own}{end}"), Some(&viewer)).await.0, 200);
        let (code, refused) = operator.get_with(&format!("{others}{end}"), Some(&viewer)).await;
        assert_eq!(code, 404);
        // What may not be seen looks as what is not there.
        let none = operator.get_with(&format!("/decisions/nowhere/none/none{end}"), Some(&viewer)).await;
        assert_eq!((code, refused), none);
    }
    // A browser sends the token as a password.
    let pair = STANDARD.encode(format!("me:{}", bench.server().token_for(NAMESPACE, "viewer")));
    let (code, text) = operator.get_with("/decisions", Some(&format!("Basic {pair}"))).await;
    assert_eq!(code, 200);
    assert!(text.contains(HERE) && !text.contains(OTHER), "{text}");

    let (code, text) = operator.get_with("/decisions", Some(&bearer(&bench, "stranger"))).await;
    assert_eq!(code, 200);
    assert!(text.contains("none that this token may see"), "{text}");
    assert!(!text.contains(HERE) && !text.contains(THERE), "{text}");

    // The question is the viewer's own: the operator has no right to ask for others, and needs none.
    let log = bench.server().audit_since(0);
    let asked: Vec<&str> = log
        .iter()
        .filter(|entry| entry.request.resource.ends_with("reviews"))
        .map(|entry| entry.request.user.as_str())
        .collect();
    assert!(asked.contains(&"system:serviceaccount:monitoring:viewer"), "{asked:?}");
    assert!(!asked.contains(&OPERATOR), "{asked:?}");
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_shown_without_a_token_that_holds() {
    let bench = two_teams().await;
    let operator = closed(&bench).await;
    let paths = ["/decisions", "/decisions.json", "/decisions/monitoring/main/main-metrics-store-0001"];
    let forged = format!("{}x", bearer(&bench, "viewer"));
    for (authorization, words) in [
        (None, "create token ACCOUNT"),
        (Some("Bearer "), "create token ACCOUNT"),
        (Some("Basic bm90IGEgcGFpcg=="), "create token ACCOUNT"),
        (Some("Bearer broken"), "does not accept this token"),
        (Some("Bearer br\u{f6}ken"), "create token ACCOUNT"),
        (Some(forged.as_str()), "does not accept this token"),
    ] {
        for path in paths {
            let (code, text) = operator.get_with(path, authorization).await;
            assert_eq!(code, 401, "{path} with {authorization:?}");
            assert!(text.contains(words), "{path} with {authorization:?}: {text}");
            assert!(!text.contains("main-metrics-store") && !text.contains(OTHER), "{text}");
        }
    }
    operator.stop().await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_say_shows_nothing_and_a_right_that_ends_is_noticed() {
    let bench = two_teams().await;
    let operator = closed(&bench).await;
    let late = bearer(&bench, "late");
    for fault in [Fault::unavailable(), Fault::Hang, Fault::Drop] {
        let of_reviews = move |request: &RequestInfo| (request.resource == REVIEWS).then(|| fault.clone());
        bench.server().set_fault(Some(Shared::new(of_reviews)));
        let (code, text) = operator.get_with("/decisions", Some(&late)).await;
        assert_eq!(code, 503, "{text}");
        assert!(text.contains("did not say what this token may see"), "{text}");
        assert!(!text.contains(HERE) && !text.contains(THERE), "{text}");
    }
    // It was not remembered as a refusal.
    bench.server().set_fault(None);
    let (code, text) = operator.get_with("/decisions", Some(&late)).await;
    assert_eq!(code, 200);
    assert!(text.contains(HERE), "{text}");

    let bindings = bench.api(&ApiResource::erase::<RoleBinding>(&()), Some(NAMESPACE));
    bindings.delete("late", &DeleteParams::default()).await.unwrap();
    until("the page to close", Duration::from_secs(60), || async {
        let (code, text) = operator.get_with("/decisions", Some(&late)).await;
        if code == 200 && !text.contains(HERE) { Ok(()) } else { Err((code, text)) }
    })
    .await;
    operator.stop().await;
    bench.stop().await;
}
