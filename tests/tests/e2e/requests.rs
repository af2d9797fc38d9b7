//! Records what the clients of a stack send, and compares it to the list that the contract goes by.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use obstack_sandbox::api::RequestInfo;
use obstack_tests::contract::shapes::{Shape, keep, kept};
use obstack_tests::contract::updating;
use obstack_tests::server::Mark;
use obstack_tests::world::{NAMESPACE, World};
use tokio::process::Command;

/// Longest time of one command.
const BOUND: Duration = Duration::from_secs(60);

/// What a person does with a stack and small objects of their own. `{file}` is a manifest, and the second
/// element says whether the command may end with something else than 0: a difference is 1, a watch never ends.
const COMMANDS: &[(&str, bool)] = &[
    ("version", false),
    ("api-resources", false),
    ("auth can-i list pods", true),
    ("get observabilitystacks -A", false),
    ("get pods,services,statefulsets,deployments -n monitoring", false),
    ("get pods -n monitoring -o wide --show-labels", false),
    ("get observabilitystacks -n monitoring -o yaml", false),
    ("get pods -n monitoring -l app.kubernetes.io/managed-by=obstack -o json", false),
    ("get pods -n monitoring -w --request-timeout=2s", true),
    ("get events -n monitoring", false),
    ("events -n monitoring", false),
    ("describe observabilitystacks -n monitoring", false),
    ("describe pods -n monitoring", false),
    ("describe statefulsets -n monitoring", false),
    ("describe services -n monitoring", false),
    ("describe namespace monitoring", false),
    ("explain observabilitystacks.spec", false),
    ("explain pods.spec.containers", false),
    ("create namespace tried", false),
    ("create configmap made -n tried --from-literal=a=b", false),
    ("create serviceaccount made -n tried", false),
    ("create token made -n tried", false),
    ("apply -n tried -f {file}", false),
    ("apply -n tried -f {file}", false),
    ("diff -n tried -f {file}", true),
    ("apply -n tried --server-side --force-conflicts -f {file}", false),
    ("diff -n tried --server-side --force-conflicts -f {file}", true),
    ("apply -n tried --dry-run=server -f {file}", false),
    ("label configmap made -n tried a=b", false),
    ("annotate configmap made -n tried a=b", false),
    ("patch configmap made -n tried --type=merge -p {\"data\":{\"a\":\"c\"}}", false),
    ("patch configmap made -n tried --type=strategic -p {\"data\":{\"a\":\"d\"}}", false),
    (
        "patch configmap made -n tried --type=json -p [{\"op\":\"add\",\"path\":\"/data/e\",\"value\":\"f\"}]",
        false,
    ),
    ("scale deployment tried -n tried --replicas=0", false),
    ("rollout status deployment/tried -n tried --timeout=20s", false),
    ("rollout restart deployment/tried -n tried", false),
    ("rollout history deployment/tried -n tried", false),
    ("rollout status statefulset -n monitoring -l app.kubernetes.io/managed-by=obstack --timeout=60s", true),
    ("wait deployment/tried -n tried --for=jsonpath={.spec.replicas}=0 --timeout=20s", false),
    ("wait pods -n monitoring --all --for=condition=Ready --timeout=60s", true),
    ("logs -n obstack-system deployment/obstack --tail=1", false),
    ("logs -n obstack-system -l app.kubernetes.io/name=obstack --tail=1", true),
    ("replace -n tried -f {file}", true),
    ("delete configmap made -n tried", false),
    ("delete deployment tried -n tried --cascade=foreground", false),
    ("delete -n tried -f {file} --ignore-not-found", false),
    ("delete namespace tried", false),
];

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: tried}
spec:
  replicas: 0
  selector: {matchLabels: {app: tried}}
  template:
    metadata: {labels: {app: tried}}
    spec: {containers: [{name: main, image: registry/app:1}]}
---
apiVersion: v1
kind: Service
metadata: {name: tried}
spec: {selector: {app: tried}, ports: [{port: 80}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn the_kept_list_has_every_request_that_clients_send() {
    let world = World::start().await;
    world.apply_example("quickstart.yaml").await;
    world.live("main", Duration::from_secs(180)).await;
    let folder = tempfile::TempDir::new().unwrap();
    let kubeconfig = world.server().kubeconfig();
    let manifest = folder.path().join("manifest.yaml");
    std::fs::write(&manifest, MANIFEST).unwrap();
    let has_kubectl = Command::new("kubectl").arg("help").output().await.is_ok();
    if has_kubectl {
        let mut failed = Vec::new();
        for (command, may_fail) in COMMANDS {
            let said = kubectl(&kubeconfig, &manifest, command).await;
            failed.extend(said.filter(|_| !may_fail).map(|said| format!("kubectl {command}: {said}")));
        }
        assert!(failed.is_empty(), "{}", failed.join("\n"));
    } else {
        println!("kubectl is not on the PATH: its requests are not looked at");
    }
    let mut found: BTreeMap<String, BTreeSet<Shape>> = BTreeMap::new();
    for entry in world.server().answered_since(Mark::BEGIN) {
        found.entry(client(&entry.request).to_owned()).or_default().insert(Shape::of(&entry.request));
    }
    world.stop().await;
    if updating() {
        assert!(has_kubectl, "the list has kubectl's requests too: put kubectl on the PATH");
        // What is sent differs with the course of events, so the list only grows; lines are taken out by hand.
        for (client, shapes) in kept() {
            found.entry(client).or_default().extend(shapes);
        }
        keep(&found);
        return;
    }
    let kept: BTreeSet<Shape> = kept().into_values().flatten().collect();
    let new: Vec<String> = found
        .into_values()
        .flatten()
        .filter(|shape| !kept.contains(shape))
        .map(|shape| shape.to_string())
        .collect();
    assert!(
        new.is_empty(),
        "not in tests/contract/requests.txt; UPDATE_GOLDEN=1 writes it:\n{}",
        new.join("\n")
    );
}

/// Whose request it is.
fn client(request: &RequestInfo) -> &'static str {
    let engines = format!("system:serviceaccount:{NAMESPACE}:");
    if request.user_agent.starts_with("kubectl") {
        "kubectl"
    } else if request.user == "system:serviceaccount:obstack-system:obstack" {
        "operator"
    } else if request.user.starts_with(&engines) {
        "reloader and engines"
    } else {
        "controllers and kubelet"
    }
}

/// Runs a command; what it says when it fails.
async fn kubectl(kubeconfig: &Path, manifest: &Path, command: &str) -> Option<String> {
    let manifest = manifest.display().to_string();
    let arguments = command.split(' ').map(|part| part.replace("{file}", &manifest));
    let running = Command::new("kubectl")
        .args(arguments)
        // Its own cache: what is discovered is asked for each time.
        .arg(format!("--cache-dir={}", Path::new(&manifest).with_extension("cache").display()))
        .env("KUBECONFIG", kubeconfig)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(BOUND, running).await {
        Ok(Ok(output)) if output.status.success() => None,
        Ok(Ok(output)) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("took more than {} s", BOUND.as_secs())),
    }
}
