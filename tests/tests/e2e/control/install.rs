//! The rights of the install manifests: every request is covered, and no right is held for nothing.

use std::collections::BTreeSet;

use obstack::observe::stores::Scope;
use obstack_sandbox::api::AuditEntry;
use serde_json::{Value, json};

use kube::api::ApiResource;
use obstack_tests::wait::until;

use super::bench::{BOUND, Bench, HOME, NAMESPACE};

/// User of the manifests' account.
const ACCOUNT: &str = "system:serviceaccount:obstack-system:obstack";

/// One right: API group, resource with its subresource, verb.
type Right = (String, String, String);

/// Rights that are held to be granted on, and are not used by the operator itself.
const GRANTED_ON: [(&str, &str); 1] = [("discovery.k8s.io", "endpointslices")];

fn documents(file: &str) -> Vec<Value> {
    let path = format!("{}/../deploy/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    text.split("\n---\n").map(|document| serde_saphyr::from_str(document).unwrap()).collect()
}

/// The rights of the roles in a manifest, the Lease's apart.
fn rights(file: &str) -> BTreeSet<Right> {
    let mut rights = BTreeSet::new();
    let is_role = |document: &&Value| {
        matches!(document["kind"].as_str(), Some("Role" | "ClusterRole"))
            && document["metadata"]["name"] != "obstack-leader"
    };
    for role in documents(file).iter().filter(is_role) {
        for rule in role["rules"].as_array().unwrap() {
            let strings = |field: &str| {
                let list = rule[field].as_array().unwrap();
                list.iter().map(|text| text.as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            for group in strings("apiGroups") {
                for resource in strings("resources") {
                    for verb in strings("verbs") {
                        rights.insert((group.clone(), resource.clone(), verb));
                    }
                }
            }
        }
    }
    rights
}

fn used(entry: &AuditEntry) -> Right {
    let request = &entry.request;
    let resource = match request.subresource.as_str() {
        "" => request.resource.clone(),
        subresource => format!("{}/{subresource}", request.resource),
    };
    (request.group.clone(), resource, request.verb.clone())
}

/// What an operator asks for over the life of a stack, as the account of a manifest and with its rights.
async fn requests(file: &str, scope: Scope, spec: Value) -> BTreeSet<Right> {
    let bench = Bench::start().await;
    for document in documents(file).into_iter().filter(|document| document["kind"] != "Deployment") {
        let namespace = document["metadata"]["namespace"].as_str().map(str::to_owned);
        bench.put(&resource_of(&document), namespace.as_deref(), document).await;
    }
    bench.stack(spec).await;
    let kubeconfig = bench.server().kubeconfig_for_account(HOME, "obstack");
    let operator = bench.operator_as(&kubeconfig, "operator", |options| options.scope = scope).await;
    until("the stack to be taken up", BOUND, || async {
        let degraded = bench.condition("Degraded").await;
        if degraded == "False AsExpected" { Ok(()) } else { Err(degraded) }
    })
    .await;
    bench.settled_for(ACCOUNT).await;
    bench.stacks().delete("main", &kube::api::DeleteParams::background()).await.unwrap();
    until("the stack to be swept", BOUND, || async {
        let left = bench.of("ClusterRole").get_opt("obstack:monitoring:main:metrics").await.unwrap();
        left.map_or(Ok(()), |_| Err("a role is left"))
    })
    .await;
    operator.stop().await;
    let log = bench.server().audit_since(0);
    let ours = |entry: &&AuditEntry| entry.request.user == ACCOUNT && entry.request.is_resource();
    let requests = log.iter().filter(ours).map(used).collect();
    bench.stop().await;
    requests
}

fn resource_of(document: &Value) -> ApiResource {
    let (group, version) = match document["apiVersion"].as_str().unwrap().split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", document["apiVersion"].as_str().unwrap()),
    };
    let kind = document["kind"].as_str().unwrap();
    ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk(group, version, kind))
}

/// The rights that a way of using the operator needs beside those that one life of a stack shows.
fn more_of_a_writer(rights: &BTreeSet<Right>) -> BTreeSet<Right> {
    // Whatever can be applied can be deleted and created, and what is watched is listed and read.
    let writers: BTreeSet<(String, String)> = rights
        .iter()
        .filter(|(_, _, verb)| verb == "patch")
        .map(|(g, r, _)| (g.clone(), r.clone()))
        .collect();
    let implied = writers.iter().filter(|(_, resource)| !resource.contains('/'));
    implied
        .flat_map(|(group, resource)| {
            ["create", "delete"].map(|verb| (group.clone(), resource.clone(), verb.to_owned()))
        })
        .chain(
            rights
                .iter()
                .filter(|(_, _, verb)| verb == "watch")
                .map(|(g, r, _)| (g.clone(), r.clone(), "get".to_owned())),
        )
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_role_is_what_is_used() {
    let granted = rights("install.yaml");
    let asked =
        requests("install.yaml", Scope::Cluster, json!({ "collection": { "namespaces": ["*"] } })).await;
    let missing: Vec<&Right> = asked.difference(&granted).collect();
    assert!(missing.is_empty(), "the ClusterRole lacks {missing:?}");
    let mut needed = asked.clone();
    needed.extend(more_of_a_writer(&asked));
    // Records beyond the history are deleted, which one short life does not show.
    needed.insert(("obstack.io".to_owned(), "decisionrecords".to_owned(), "delete".to_owned()));
    let idle: Vec<&Right> = granted
        .difference(&needed)
        .filter(|(group, resource, _)| !GRANTED_ON.contains(&(group.as_str(), resource.as_str())))
        .collect();
    assert!(idle.is_empty(), "the ClusterRole holds for nothing {idle:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_install_for_one_namespace_asks_for_nothing_cluster_wide() {
    let granted = rights("install-namespaced.yaml");
    let asked =
        requests("install-namespaced.yaml", Scope::Namespaces(vec![NAMESPACE.to_owned()]), json!({})).await;
    let asked: BTreeSet<Right> =
        asked.into_iter().filter(|(_, resource, _)| resource != "storageclasses").collect();
    let missing: Vec<&Right> = asked.difference(&granted).collect();
    assert!(missing.is_empty(), "the Role lacks {missing:?}");
    assert!(granted.iter().all(|(_, resource, _)| !resource.starts_with("cluster")));
}

#[test]
fn the_operator_itself_runs_restricted() {
    for file in ["install.yaml", "install-namespaced.yaml"] {
        let documents = documents(file);
        let deployment = documents.iter().find(|document| document["kind"] == "Deployment").unwrap();
        let pod = &deployment["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{file}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{file}");
        let container = &pod["containers"][0];
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{file}");
        assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{file}");
        assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]), "{file}");
        let image = container["image"].as_str().unwrap();
        assert!(image.ends_with(concat!(":", env!("CARGO_PKG_VERSION"))), "{file}: {image}");
        let args: Vec<&str> =
            container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(args.contains(&format!("--image={image}").as_str()), "{file}: {args:?}");
    }
}
