//! Every stack of `tests/golden`, on a server that judges: the stack is accepted, nothing that the operator
//! makes of it is refused, and every pod is admitted in a namespace that enforces the restricted Pod Security
//! Standard.

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use kube::{Api, ResourceExt};
use obstack_crds::ObservabilityStack;
use obstack_sandbox::manifests;
use obstack_tests::coreos;
use obstack_tests::process::Operator;
use obstack_tests::server::Server;
use obstack_tests::wait::until;
use obstack_tests::world::repository;
use serde_json::{Value, json};

/// Long, because all stacks are made at once and the machine may be busy with other tests.
const BOUND: Duration = Duration::from_secs(180);
/// Where the operator is installed.
const HOME: &str = "obstack-system";

/// The stacks, each in a namespace of the name of its case.
pub(super) fn stacks() -> Vec<DynamicObject> {
    let mut stacks = Vec::new();
    for entry in std::fs::read_dir(repository("tests/golden")).unwrap() {
        let folder = entry.unwrap().path();
        let file = folder.join("stack.yaml");
        if !file.exists() {
            continue;
        }
        let case = folder.file_name().unwrap().to_string_lossy().into_owned();
        for mut object in manifests::load(&[file]).unwrap() {
            if object.types.as_ref().is_some_and(|types| types.kind == "ObservabilityStack") {
                object.metadata.namespace = Some(case.clone());
                stacks.push(object);
            }
        }
    }
    assert!(stacks.len() >= 12, "{} stacks", stacks.len());
    stacks
}

async fn restricted(namespaces: &Api<Namespace>, name: &str) {
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": name, "labels": { "pod-security.kubernetes.io/enforce": "restricted" }
    } });
    namespaces.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(namespace)).await.unwrap();
}

/// How many pods a workload wants, and how many were made.
fn pods(spec: Option<i32>, status: &Value) -> (i64, i64) {
    (i64::from(spec.unwrap_or(1)), status["replicas"].as_i64().unwrap_or(0))
}

/// Asks a server without a node.
pub(super) async fn what_is_made_of_each_golden_stack_is_taken(server: &Server) {
    let client = server.client();
    let mut install = manifests::load(&[repository("crds"), repository("deploy/install.yaml")]).unwrap();
    // The operator runs beside the cluster, with the rights of its account in it.
    install.retain(|object| object.types.as_ref().is_none_or(|types| types.kind != "Deployment"));
    manifests::apply(&client, &install).await.unwrap();
    for definition in coreos::definitions() {
        manifests::apply(&client, &[serde_json::from_value(definition).unwrap()]).await.unwrap();
    }
    // The classes that stacks name are the cluster's own.
    for class in ["important", "low"] {
        let class = json!({ "apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
                            "metadata": { "name": class }, "value": 1 });
        manifests::apply(&client, &[serde_json::from_value(class).unwrap()]).await.unwrap();
    }
    let stacks = stacks();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for stack in &stacks {
        restricted(&namespaces, &stack.namespace().unwrap()).await;
        for foreign in stack.data["spec"]["collection"]["namespaces"].as_array().into_iter().flatten() {
            if foreign != "*" {
                restricted(&namespaces, foreign.as_str().unwrap()).await;
            }
        }
    }
    let folder = tempfile::TempDir::new().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    std::fs::write(&kubeconfig, server.kubeconfig_for_account(HOME, "obstack").await).unwrap();
    let log = folder.path().join("operator.log");
    let operator = Operator::start(&kubeconfig, &log, "obstack-0", &["--listen", "127.0.0.1:0"]).unwrap();

    let mark = server.mark();
    // One after the other: all at once, a busy server does not come to each write in the time that a write is given.
    for stack in &stacks {
        manifests::apply(&client, std::slice::from_ref(stack)).await.unwrap();
        let namespace = stack.namespace().unwrap();
        let of_stack: Api<ObservabilityStack> = Api::namespaced(client.clone(), &namespace);
        until("the stack to be looked at", BOUND, || async {
            let found = of_stack.get(&stack.name_any()).await.map_err(|error| error.to_string())?;
            let seen = found.status.and_then(|status| status.observed_generation);
            if seen == found.metadata.generation {
                Ok(())
            } else {
                Err(format!("{namespace}: {}", operator.tail()))
            }
        })
        .await;
    }
    let sets: Api<StatefulSet> = Api::all(client.clone());
    let deployments: Api<Deployment> = Api::all(client.clone());
    until("every workload to have its pods", BOUND, || async {
        let mut found = Vec::new();
        for set in sets.list(&ListParams::default()).await.map_err(|error| error.to_string())? {
            let status = serde_json::to_value(&set.status).unwrap();
            found.push((set.namespace(), set.name_any(), pods(set.spec.replicas, &status)));
        }
        for set in deployments.list(&ListParams::default()).await.map_err(|error| error.to_string())? {
            let status = serde_json::to_value(&set.status).unwrap();
            found.push((set.namespace(), set.name_any(), pods(set.spec.replicas, &status)));
        }
        let lacking: Vec<_> = found.iter().filter(|(_, _, (wanted, made))| wanted != made).collect();
        let missing: Vec<_> = stacks
            .iter()
            .map(ResourceExt::namespace)
            .filter(|namespace| found.iter().all(|(of, ..)| of != namespace))
            .collect();
        if missing.is_empty() && lacking.is_empty() {
            Ok(())
        } else {
            Err(format!("without workloads: {missing:?}; without their pods: {lacking:?}"))
        }
    })
    .await;
    let user = format!("system:serviceaccount:{HOME}:obstack");
    let refused: Vec<_> = server
        .answered_since(mark)
        .into_iter()
        .filter(|answered| answered.request.user == user && answered.request.is_mutating())
        // What is deleted may be gone, and what another wrote first is tried again.
        .filter(|answered| answered.code >= 400 && !matches!(answered.code, 404 | 409))
        .collect();
    assert!(refused.is_empty(), "{refused:#?}\n{}", operator.log());
}
