//! The real control plane does what tests take for granted about it, and leaves nothing behind.

use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use kube::{Client, Resource, ResourceExt};
use obstack_tests::control_plane::{ControlPlane, Error, Options, Stage, kubeconfig};
use obstack_tests::wait::until;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(60);

/// A value of a type of the API, from JSON.
fn object<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn config_map(name: &str, owner: Option<&ConfigMap>) -> ConfigMap {
    let owner_references = owner.map(|owner| vec![owner.owner_ref(&()).unwrap()]);
    let metadata = ObjectMeta { name: Some(name.to_owned()), owner_references, ..ObjectMeta::default() };
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("not an answer of the API server: {other}"),
    }
}

/// One control plane for all of these, because a start is what costs.
#[tokio::test]
async fn a_control_plane_does_what_a_cluster_does() {
    let began = Instant::now();
    let Some(mut plane) = ControlPlane::start_for_test(Options::default()).await else { return };
    println!("ready after {:?}", began.elapsed());
    let admin = plane.admin().await.unwrap();

    it_is_the_version_that_the_client_knows(&admin).await;
    its_admission_fills_in_and_refuses(&admin).await;
    an_account_may_do_what_it_was_granted_and_no_more(&plane, &admin).await;
    what_an_owner_leaves_is_collected(&admin).await;
    the_api_types_are_established(&admin).await;
    a_node_may_not_do_what_a_node_need_not(&plane).await;
    a_stopped_api_server_comes_back_with_all_data(&mut plane, &admin).await;
    for (name, id) in plane.processes() {
        println!("{name}: {} MiB resident", resident_mib(id));
    }
    nothing_is_left_of_it(plane).await;
}

async fn it_is_the_version_that_the_client_knows(admin: &Client) {
    let version = admin.apiserver_version().await.unwrap();
    assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "37"), "{version:?}");
    assert!(version.git_version.starts_with("v1.37."), "{version:?}");
}

async fn its_admission_fills_in_and_refuses(admin: &Client) {
    let namespaces: Api<Namespace> = Api::all(admin.clone());
    let labels = json!({ "pod-security.kubernetes.io/enforce": "restricted" });
    let restricted = object(json!({ "metadata": { "name": "restricted", "labels": labels } }));
    namespaces.create(&PostParams::default(), &restricted).await.unwrap();
    until("the account of a new namespace", BOUND, || async {
        Api::<ServiceAccount>::namespaced(admin.clone(), "restricted").get("default").await
    })
    .await;
    let pod = |name: &str| -> Pod {
        object(
            json!({ "metadata": { "name": name }, "spec": { "containers": [{ "name": "c", "image": "i" }] } }),
        )
    };
    let refused =
        Api::<Pod>::namespaced(admin.clone(), "restricted").create(&PostParams::default(), &pod("p")).await;
    let refused = refused.unwrap_err();
    assert_eq!(code(&refused), 403);
    assert!(refused.to_string().contains("violates PodSecurity"), "{refused}");

    let pods = Api::<Pod>::namespaced(admin.clone(), "default");
    let made = pods.create(&PostParams::default(), &pod("p")).await.unwrap().spec.unwrap();
    assert_eq!(made.service_account_name.as_deref(), Some("default"));
    let tolerations: Vec<_> = made.tolerations.into_iter().flatten().filter_map(|t| t.key).collect();
    assert!(tolerations.contains(&"node.kubernetes.io/not-ready".to_owned()), "{tolerations:?}");
    until("the scheduler says that there is no node", BOUND, || async {
        let conditions = pods.get("p").await.unwrap().status.and_then(|status| status.conditions);
        let seen = |reason: &str| conditions.iter().flatten().any(|c| c.reason.as_deref() == Some(reason));
        seen("Unschedulable").then_some(()).ok_or(conditions.clone())
    })
    .await;
}

async fn an_account_may_do_what_it_was_granted_and_no_more(plane: &ControlPlane, admin: &Client) {
    let accounts: Api<ServiceAccount> = Api::namespaced(admin.clone(), "default");
    accounts
        .create(&PostParams::default(), &object(json!({ "metadata": { "name": "reader" } })))
        .await
        .unwrap();
    let position = plane.audit_position().unwrap();
    let reader = plane.kubeconfig_for_account("default", "reader").await.unwrap();
    let reader = kubeconfig::client(&reader).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(reader.clone(), "default");
    let secrets: Api<Secret> = Api::namespaced(reader, "default");
    assert_eq!(code(&maps.list(&ListParams::default()).await.unwrap_err()), 403);

    let meta = json!({ "name": "reader" });
    let rules = json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }]);
    let role = object(json!({ "metadata": meta, "rules": rules }));
    Api::<k8s_openapi::api::rbac::v1::Role>::namespaced(admin.clone(), "default")
        .create(&PostParams::default(), &role)
        .await
        .unwrap();
    let binding = object(json!({
        "metadata": meta,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader" },
        "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": "default" }],
    }));
    Api::<k8s_openapi::api::rbac::v1::RoleBinding>::namespaced(admin.clone(), "default")
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
    until("the role is in force", BOUND, || async { maps.list(&ListParams::default()).await }).await;
    assert_eq!(code(&secrets.list(&ListParams::default()).await.unwrap_err()), 403);

    until("the audit log has it all", BOUND, || async {
        let (events, _) = plane.audit_since(position).unwrap();
        let of_reader = |event: &&_| is_of(event, "system:serviceaccount:default:reader");
        let seen: Vec<_> = events
            .iter()
            .filter(of_reader)
            .map(|e| (e.verb.as_str(), e.resource.as_str(), e.namespace.as_str(), e.code, e.decision()))
            .collect();
        let wanted = [
            ("list", "configmaps", "default", 403, Some("forbid")),
            ("list", "configmaps", "default", 200, Some("allow")),
            ("list", "secrets", "default", 403, Some("forbid")),
        ];
        let token = events.iter().any(|e| {
            (e.verb.as_str(), e.resource.as_str(), e.subresource.as_str(), e.name.as_str(), e.code)
                == ("create", "serviceaccounts", "token", "reader", 201)
        });
        let all = token && wanted.iter().all(|wanted| seen.contains(wanted));
        all.then_some(()).ok_or(format!("{seen:?}"))
    })
    .await;
}

fn is_of(event: &obstack_tests::control_plane::AuditEvent, user: &str) -> bool {
    event.user == user && event.stage == Stage::ResponseComplete
}

async fn what_an_owner_leaves_is_collected(admin: &Client) {
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    let owner = maps.create(&PostParams::default(), &config_map("owner", None)).await.unwrap();
    maps.create(&PostParams::default(), &config_map("owned", Some(&owner))).await.unwrap();
    maps.create(&PostParams::default(), &config_map("free", None)).await.unwrap();
    maps.delete("owner", &DeleteParams::background()).await.unwrap();
    until("the owned one is gone", BOUND, || async {
        maps.get_opt("owned").await.unwrap().is_none().then_some(()).ok_or("it is there")
    })
    .await;
    maps.get("free").await.unwrap();
}

async fn the_api_types_are_established(admin: &Client) {
    let definitions: Api<CustomResourceDefinition> = Api::all(admin.clone());
    for definition in obstack_crds::all() {
        let name = definition.name_any();
        definitions.create(&PostParams::default(), &definition).await.unwrap();
        until("the definition is established", BOUND, || async {
            let status = definitions.get(&name).await.unwrap().status;
            let conditions = status.and_then(|status| status.conditions).unwrap_or_default();
            let is =
                |kind: &str, value: &str| conditions.iter().any(|c| c.type_ == kind && c.status == value);
            // A schema that is not structural would be served without validation.
            assert!(!is("NonStructuralSchema", "True"), "{name}: {conditions:?}");
            is("Established", "True").then_some(()).ok_or(conditions.clone())
        })
        .await;
    }
}

async fn a_node_may_not_do_what_a_node_need_not(plane: &ControlPlane) {
    let node = kubeconfig::client(&plane.kubeconfig_for_node("n").unwrap()).await.unwrap();
    let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(node.clone());
    let named = |name: &str| object(json!({ "metadata": { "name": name } }));
    nodes.create(&PostParams::default(), &named("n")).await.unwrap();
    assert_eq!(code(&nodes.create(&PostParams::default(), &named("other")).await.unwrap_err()), 403);
    let secrets: Api<Secret> = Api::namespaced(node, "default");
    assert_eq!(code(&secrets.get("any").await.unwrap_err()), 403);
}

async fn a_stopped_api_server_comes_back_with_all_data(plane: &mut ControlPlane, admin: &Client) {
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    let address = plane.address();
    let began = Instant::now();
    plane.stop_api_server().await;
    println!("API server stopped after {:?}", began.elapsed());
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "it still listens");
    plane.start_api_server().await.unwrap();
    println!("and ready again after {:?}", began.elapsed());
    assert_eq!(plane.address(), address);
    until("the client gets through again", BOUND, || maps.get("free")).await;

    plane.pause_api_server().await.unwrap();
    let asked = tokio::time::timeout(Duration::from_secs(1), maps.get("free")).await;
    assert!(asked.is_err(), "a paused API server answers: {asked:?}");
    plane.resume_api_server();
    until("the client gets through again", BOUND, || maps.get("free")).await;
}

async fn nothing_is_left_of_it(plane: ControlPlane) {
    let processes = plane.processes();
    assert_eq!(processes.len(), 4, "{processes:?}");
    for (name, id) in &processes {
        assert!(Path::new(&format!("/proc/{id}")).exists(), "{name} does not run");
    }
    let folder = plane.folder().to_owned();
    let began = Instant::now();
    plane.stop().await.unwrap();
    println!("stopped after {:?}", began.elapsed());
    assert!(!folder.exists());
    for (name, id) in processes {
        assert!(!Path::new(&format!("/proc/{id}")).exists(), "{name} is left as process {id}");
    }
}

#[tokio::test]
async fn a_start_that_fails_shows_the_log_of_the_process_at_fault() {
    if !ControlPlane::can_start().await {
        return;
    }
    let options = Options { api_server_args: vec!["--no-such-flag".to_owned()], ..Options::default() };
    match ControlPlane::start(options).await.map(drop) {
        Err(error @ Error::Ended { name: "kube-apiserver", .. }) => {
            assert!(error.to_string().contains("unknown flag: --no-such-flag"), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

/// Set for a copy of this test that holds a control plane until it is killed: the file where it says what
/// runs.
const HOLD: &str = "OBSTACK_TEST_HOLD_CONTROL_PLANE";

#[tokio::test]
async fn nothing_runs_on_when_the_test_is_killed() {
    if let Some(file) = std::env::var_os(HOLD) {
        let plane = ControlPlane::start(Options::default()).await.unwrap();
        let ids: Vec<u32> = plane.processes().into_iter().map(|(_, id)| id).collect();
        let text = json!({ "ids": ids, "folder": plane.folder() }).to_string();
        let partial = Path::new(&file).with_extension("partial");
        std::fs::write(&partial, text).unwrap();
        std::fs::rename(&partial, &file).unwrap();
        tokio::time::sleep(BOUND).await;
        return;
    }
    if !ControlPlane::can_start().await {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("running");
    let mut holder = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "nothing_runs_on_when_the_test_is_killed"])
        .env(HOLD, &file)
        .spawn()
        .unwrap();
    let running = until("the copy has a control plane", BOUND, || async { std::fs::read(&file) }).await;
    let running: Value = serde_json::from_slice(&running).unwrap();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let ids: Vec<u64> = running["ids"].as_array().unwrap().iter().filter_map(Value::as_u64).collect();
    assert_eq!(ids.len(), 4);
    until("all its processes are gone", Duration::from_secs(10), || async {
        let left: Vec<_> = ids.iter().filter(|id| runs(**id)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    std::fs::remove_dir_all(running["folder"].as_str().unwrap()).unwrap();
}

/// Whether a process is there; one that has ended and that nobody waited for does not count.
fn runs(id: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
}

/// Memory of a process that is in use, in MiB; with what it shares with others.
fn resident_mib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}
