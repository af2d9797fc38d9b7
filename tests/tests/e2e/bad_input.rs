//! Bad input in a cluster: a clear message, condition or exit code each; nothing half-applied, nothing lost,
//! and no secret where it does not belong. What needs no cluster is in `cli.rs`.
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use kube::client::Body;
use obstack_sandbox::api::Fault;
use obstack_tests::ask;
use obstack_tests::plane::{NAMESPACE, Plane, differences};
use obstack_tests::process::binary;
use obstack_tests::wait::until;
use serde_json::{Value, json};

/// How long a condition may take to show what is wrong.
const SEEN: Duration = Duration::from_secs(30);

/// A stack with this spec.
fn stack(spec: &str) -> String {
    named("main", spec)
}

fn named(name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: obstack.io/v1alpha1, kind: ObservabilityStack, metadata: {{name: {name}, namespace: \
         {NAMESPACE}}}, spec: {spec}}}"
    )
}

/// A spec with a receiver in Slack's shape, from a Secret.
fn slack(secret: &str) -> String {
    format!(
        "{{alerting: {{route: {{receiver: team}}, receivers: [{{name: team, slack: [{{apiUrl: {{name: \
         {secret}, key: url}}}}]}}]}}}}"
    )
}

fn secret(name: &str, key: &str, content: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: {NAMESPACE}}}, stringData: \
         {{{key}: '{content}'}}}}"
    )
}

/// Waits until a condition of the stack has this status and reason for its last generation; its message.
async fn condition(plane: &Plane, kind: &str, status: &str, reason: &str) -> String {
    until(&format!("{kind} is {status} because {reason}"), SEEN, || async {
        let stack = plane.stack("main");
        let conditions = stack["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default();
        let is_new = found["observedGeneration"] == stack["metadata"]["generation"];
        if is_new && found["status"] == status && found["reason"] == reason {
            return Ok(found["message"].as_str().unwrap_or_default().to_owned());
        }
        Err(json!({ "condition": found, "rejected": stack["status"]["rejected"] }))
    })
    .await
}

/// What the stack says that was kept out, once there is something.
async fn rejected(plane: &Plane) -> Vec<Value> {
    until("something is rejected", SEEN, || async {
        let rejected = plane.stack("main")["status"]["rejected"].as_array().cloned().unwrap_or_default();
        if rejected.is_empty() { Err(plane.stack("main")["status"].clone()) } else { Ok(rejected) }
    })
    .await
}

/// Everything that was made, without the stacks themselves: their spec and status are what changes.
fn made(plane: &Plane) -> std::collections::BTreeMap<String, Value> {
    let mut made = plane.dump();
    made.retain(|key, _| !key.starts_with("observabilitystacks"));
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_field_is_named_and_dropped() {
    let plane = Plane::start().await;
    let body = json!({
        "apiVersion": "obstack.io/v1alpha1", "kind": "ObservabilityStack",
        "metadata": {"name": "main", "namespace": NAMESPACE},
        "spec": {"metrics": {"replicsa": 2}, "retention": "15d"},
    });
    let warnings = post(&plane.admin, &body).await;
    for field in ["spec.metrics.replicsa", "spec.retention"] {
        let named = format!("unknown field \"{field}\"");
        assert!(warnings.iter().any(|warning| warning.contains(&named)), "{named}: {warnings:?}");
    }
    let spec = plane.stack("main")["spec"].clone();
    assert!(!spec.to_string().contains("replicsa") && spec.get("retention").is_none(), "{spec}");
    let operator = plane.operator(&[]);
    plane.settled(&operator).await;
    condition(&plane, "Accepted", "True", "Accepted").await;
    drop(operator);
    plane.stop().await;
}

/// Creates an object and gives the warnings of the answer, as kubectl prints them.
async fn post(client: &Client, body: &Value) -> Vec<String> {
    let uri =
        format!("/apis/obstack.io/v1alpha1/namespaces/{NAMESPACE}/observabilitystacks?fieldValidation=Warn");
    let request = axum::http::Request::post(uri)
        .header("content-type", "application/json")
        .body(Body::from(serde_json::to_vec(body).unwrap()))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let warnings = answer.headers().get_all("warning");
    // A header quotes the text; inside, quotes are escaped.
    warnings.iter().map(|warning| warning.to_str().unwrap().replace('\\', "")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_unit_is_refused_by_the_schema() {
    let plane = Plane::start().await;
    plane.apply(&stack("{requirements: {retention: 15d}}")).await;
    for (spec, path) in [
        ("{requirements: {retention: 15 days}}", "spec.requirements.retention"),
        ("{requirements: {activeSeries: lots}}", "spec.requirements.activeSeries"),
        ("{requirements: {budget: {memory: 32GB}}}", "spec.requirements.budget.memory"),
        ("{metrics: {replicas: 0}}", "spec.metrics.replicas"),
        ("{environment: production}", "spec.environment"),
    ] {
        let error = plane.try_apply(&stack(spec)).await.unwrap_err().to_string();
        assert!(error.contains(path), "{spec}: {error}");
        assert_eq!(plane.stack("main")["spec"], json!({"requirements": {"retention": "15d"}}), "{spec}");
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contradictory_requirements_change_nothing() {
    let plane = Plane::start().await;
    plane.apply(&stack("{metrics: {replicas: 2}}")).await;
    let operator = plane.operator(&[]);
    plane.settled(&operator).await;
    let before = made(&plane);

    // Three contradictions, beside a change that would be fine alone.
    let since = plane.api.audit_next();
    let spec = "{requirements: {availability: Replicated, retention: 10s, scrapeInterval: 30s}, metrics: \
                {replicas: 1}, alerting: {replicas: 1}, rules: {groups: [{name: mine, rules: [{alert: Mine, \
                expr: up == 7}]}]}}";
    plane.apply(&stack(spec)).await;
    let message = condition(&plane, "Accepted", "False", "Invalid").await;
    for path in ["spec.requirements.retention", "spec.metrics.replicas", "spec.alerting.replicas"] {
        assert!(message.contains(path), "{path}: {message}");
    }
    assert!(message.contains("found") && message.contains("write"), "{message}");
    condition(&plane, "Degraded", "True", "Invalid").await;
    let look_at = plane.stack("main")["status"]["lookAt"].to_string();
    assert!(look_at.contains("spec."), "{look_at}");
    let written = plane.writes_since(since);
    let written: Vec<&str> = written.iter().map(|write| write.request.path.as_str()).collect();
    assert!(written.iter().all(|path| path.ends_with("/observabilitystacks/main/status")), "{written:?}");
    assert_eq!(differences(&before, &made(&plane)), [""; 0]);

    // Still so after a restart: what runs is not forgotten with the process.
    drop(operator);
    let operator = plane.operator(&[]);
    let url = operator.url().await;
    let ready = format!("{url}/readyz");
    until("the operator is ready", SEEN, || ask::text(&ready)).await;
    until("it looked at the stack", SEEN, || async {
        let text = ask::text(&format!("{url}/metrics")).await?;
        let looked = text.contains("obstack_reconciles_total{result=\"invalid\"}");
        if looked { Ok(()) } else { Err(operator.tail()) }
    })
    .await;
    assert_eq!(differences(&before, &made(&plane)), [""; 0]);

    plane
        .apply(&stack(
            "{requirements: {availability: Replicated}, rules: {groups: [{name: mine, \
                        rules: [{alert: Mine, expr: up == 7}]}]}}",
        ))
        .await;
    plane.settled(&operator).await;
    condition(&plane, "Accepted", "True", "Accepted").await;
    let files = plane.configuration("main", "metrics").await;
    assert!(files.values().any(|text| text.contains("up == 7")));
    drop(operator);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_costs_its_receiver_until_it_appears() {
    let plane = Plane::start().await;
    plane.apply(&stack(&slack("later"))).await;
    let operator = plane.operator(&[]);
    let told = rejected(&plane).await;
    let text = told[0].to_string();
    assert!(told.len() == 1 && text.contains("spec.alerting.receivers[0].slack[0]"), "{told:?}");
    assert!(text.contains("later") && text.contains("kubectl create secret"), "{text}");
    condition(&plane, "Accepted", "True", "AcceptedInPart").await;
    plane.settled(&operator).await;
    let secrets = async || {
        let files = plane.configuration("main", "alerting").await;
        files.into_keys().any(|path| path.starts_with("secrets/"))
    };
    assert!(!secrets().await);

    // A Secret without the key, and one whose content is no URL, are no better.
    plane.apply(&secret("later", "other", "https://hooks.example/x")).await;
    plane.settled(&operator).await;
    assert_eq!(rejected(&plane).await.len(), 1);
    plane.apply(&secret("later", "url", "not-a-url-but-a-secret")).await;
    let told = until("the content is told to be no URL", SEEN, || async {
        let told = rejected(&plane).await[0]["reason"].as_str().unwrap_or_default().to_owned();
        if told.contains("no URL") { Ok(told) } else { Err(told) }
    })
    .await;
    assert!(!told.contains("not-a-url"), "{told}");

    plane.apply(&secret("later", "url", "https://hooks.example/services/T0")).await;
    condition(&plane, "Accepted", "True", "Accepted").await;
    plane.settled(&operator).await;
    assert!(secrets().await);
    assert_eq!(plane.stack("main")["status"].get("rejected"), None);
    drop(operator);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_promql_costs_its_group_and_no_other() {
    let plane = Plane::start().await;
    let groups = "{rules: {groups: [{name: good, rules: [{alert: Good, expr: up == 1}]}, {name: bad, rules: \
                  [{alert: Bad, expr: 'sum(up'}]}]}}";
    plane.apply(&stack(groups)).await;
    let operator = plane.operator(&[]);
    plane.settled(&operator).await;
    let told = rejected(&plane).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["object"], "spec.rules.groups[1]");
    let reason = told[0]["reason"].to_string();
    assert!(reason.contains("sum(up") && reason.contains("write"), "{reason}");
    condition(&plane, "Accepted", "True", "AcceptedInPart").await;
    let files = plane.configuration("main", "metrics").await;
    assert!(files.values().any(|text| text.contains("Good")));
    assert!(!files.values().any(|text| text.contains("sum(up")));
    let events = plane.api.peek_all("events.events.k8s.io");
    let events = if events.is_empty() { plane.api.peek_all("events") } else { events };
    assert!(
        events.iter().any(|event| event["reason"] == "Rejected" && event["type"] == "Warning"),
        "{events:?}"
    );
    let url = operator.url().await;
    let metrics = ask::text(&format!("{url}/metrics")).await.unwrap();
    let sample = format!("obstack_rejected_objects{{namespace=\"{NAMESPACE}\",stack=\"main\"}} 1");
    assert!(metrics.contains(&sample), "{metrics}");
    drop(operator);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_at_the_limit_is_taken_and_a_longer_one_refused() {
    let plane = Plane::start().await;
    let longest = "a".repeat(obstack_crds::MAX_STACK_NAME);
    let error = plane.try_apply(&named(&format!("{longest}a"), "{}")).await.unwrap_err().to_string();
    assert!(error.contains("write a name of at most 36 characters"), "{error}");
    let error = plane.try_apply(&named("a.b", "{}")).await.unwrap_err().to_string();
    assert!(error.contains("without dots"), "{error}");
    plane.apply(&named(&longest, "{environment: prod}")).await;
    let operator = plane.operator(&[]);
    plane.settled(&operator).await;
    let conditions = plane.stack(&longest)["status"]["conditions"].clone();
    let accepted = conditions.as_array().unwrap().iter().find(|c| c["type"] == "Accepted").unwrap();
    assert_eq!(accepted["status"], "True", "{conditions}");
    assert!(!conditions.to_string().contains("ApplyFailed"), "{conditions}");
    for set in plane.api.peek_all("statefulsets.apps") {
        // The hash of a revision, with its dash, makes a label of the pods.
        let name = set["metadata"]["name"].as_str().unwrap();
        assert!(name.len() + 11 <= 63, "{name}");
    }
    drop(operator);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_that_are_not_installed_are_waited_for() {
    let plane = Plane::bare().await;
    let operator = plane.operator(&[]);
    let url = operator.url().await;
    until("the log says what is missing", SEEN, || async {
        let log = operator.log();
        if log.contains("the API types are not installed; run `kubectl apply -f crds/`") {
            Ok(())
        } else {
            Err(log)
        }
    })
    .await;
    let ready = ask::text(&format!("{url}/readyz")).await;
    assert!(ready.is_err(), "an operator that waits is not ready: {ready:?}");
    assert_eq!(ask::text(&format!("{url}/healthz")).await.unwrap(), "ok\n", "a restart would not help");
    plane.install_types().await;
    plane.apply(&stack("{}")).await;
    plane.settled(&operator).await;
    condition(&plane, "Accepted", "True", "Accepted").await;
    drop(operator);
    plane.stop().await;
}

/// Runs an operator that cannot start, and gives its exit code and what it wrote. It has to end by itself.
async fn cannot_start(kubeconfig: &Path, listen: &str) -> (Option<i32>, String) {
    let mut command = tokio::process::Command::new(binary("obstack"));
    command
        .args(["operator", "--listen", listen, "--startup-timeout", "2s"])
        .env("KUBECONFIG", kubeconfig)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let begun = Instant::now();
    let output = tokio::time::timeout(Duration::from_secs(30), command.output()).await;
    let output = output.expect("it ends within 30 s").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}: {said}", begun.elapsed());
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_outside_ends_the_operator_with_a_clear_word() {
    let plane = Plane::bare().await;
    let kubeconfig = plane.kubeconfig("obstack");

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = cannot_start(&kubeconfig, &address).await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("cannot listen at {address}")) && said.contains("--listen"), "{said}");

    let (code, said) = cannot_start(&plane.folder().join("no-such-file"), "127.0.0.1:0").await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("no cluster is configured") && said.contains("KUBECONFIG"), "{said}");

    // One that accepts and never answers, and one that is not there.
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let own = plane.api.address().to_string();
    std::fs::write(&kubeconfig, text.replace(&own, &address)).unwrap();
    let (code, said) = cannot_start(&kubeconfig, "127.0.0.1:0").await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("{address}/ was not reached within 2 s")), "{said}");
    drop(taken);
    let (code, said) = cannot_start(&kubeconfig, "127.0.0.1:0").await;
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains(&format!("{address}/ was not reached within 2 s")), "{said}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_content_of_a_secret_is_nowhere_but_in_secrets() {
    const CONTENTS: [&str; 3] = ["sl4ck-c0ntent-7f3a", "h00k-c0ntent-91bd", "n0-url-c0ntent-55e0"];
    let plane = Plane::start().await;
    plane.apply(&secret("slack", "url", &format!("https://hooks.example/{}", CONTENTS[0]))).await;
    plane.apply(&secret("hook", "url", &format!("https://u:{}@hook.example/", CONTENTS[1]))).await;
    plane.apply(&secret("broken", "url", CONTENTS[2])).await;
    let receivers = "[{name: team, slack: [{apiUrl: {name: slack, key: url}}, {apiUrl: {name: broken, key: \
                     url}}], webhook: [{urlSecret: {name: hook, key: url}}]}]";
    plane
        .apply(&stack(&format!("{{alerting: {{route: {{receiver: team}}, receivers: {receivers}}}}}")))
        .await;

    // Everything is logged, and writes of Secrets fail at first, by refusals that repeat what was sent.
    let refuse = |request: &obstack_sandbox::api::RequestInfo| {
        (request.is_mutating() && request.resource == "secrets").then(Fault::unavailable)
    };
    plane.api.set_fault(Some(Arc::new(refuse)));
    let operator = plane.operator(&["--log", "trace"]);
    condition(&plane, "Progressing", "True", "Retrying").await;
    plane.api.set_fault(None);
    plane.settled(&operator).await;
    rejected(&plane).await;
    let files = plane.configuration("main", "alerting").await;
    for content in &CONTENTS[..2] {
        assert!(files.values().any(|text| text.contains(content)), "{content} reaches Alertmanager");
    }
    let url = operator.url().await;
    let password = generated(&plane);
    let hidden: Vec<String> = CONTENTS.iter().map(|c| (*c).to_owned()).chain([password]).collect();
    let mut places = everything(&plane).await;
    places.push(("the operator's log".to_owned(), operator.log()));
    for page in ["metrics", "decisions"] {
        places.push((page.to_owned(), ask::text(&format!("{url}/{page}")).await.unwrap()));
    }
    assert!(places.len() > 20, "{} places are too few", places.len());
    for (place, text) in &places {
        for content in &hidden {
            let found = [content.clone(), base64(content)].into_iter().find(|form| text.contains(form));
            assert_eq!(found, None, "in {place}");
        }
    }
    drop(operator);
    plane.stop().await;
}

/// The password that the operator made up for the dashboards.
fn generated(plane: &Plane) -> String {
    let secrets = plane.api.peek_all("secrets");
    let made_up = |secret: &&Value| secret["metadata"]["annotations"].get("obstack.io/generate").is_some();
    let data = &secrets.iter().find(made_up).expect("an admin Secret")["data"];
    let longest = data.as_object().unwrap().values().filter_map(Value::as_str).max_by_key(|v| v.len());
    let bytes: k8s_openapi::ByteString = serde_json::from_value(json!(longest.unwrap())).unwrap();
    String::from_utf8(bytes.0).unwrap()
}

/// The base64 of a text, without the last characters, which depend on what follows it.
fn base64(text: &str) -> String {
    let whole = serde_json::to_value(k8s_openapi::ByteString(text.as_bytes().to_vec())).unwrap();
    let whole = whole.as_str().unwrap().trim_end_matches('=');
    whole[..whole.len() - 1].to_owned()
}

/// Every object in the store that is no Secret, as text.
async fn everything(plane: &Plane) -> Vec<(String, String)> {
    let found = kube::discovery::Discovery::new(plane.admin.clone()).run().await.unwrap();
    let mut objects = Vec::new();
    for group in found.groups() {
        for (resource, _) in group.recommended_resources() {
            if resource.plural == "secrets" && resource.group.is_empty() {
                continue;
            }
            let storage = [resource.plural.as_str(), resource.group.as_str()].join(".");
            for object in plane.api.peek_all(storage.trim_end_matches('.')) {
                let name = &object["metadata"]["name"];
                objects.push((format!("{} {name}", resource.plural), object.to_string()));
            }
        }
    }
    objects
}
