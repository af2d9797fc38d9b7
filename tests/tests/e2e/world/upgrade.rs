//! Upgrades: a running stack goes on, and stacks of older API types stay what they are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{ApiResource, PostParams};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, Client, ResourceExt};
use obstack_sandbox::manifests;
use obstack_tests::ask;
use obstack_tests::server::Server;
use obstack_tests::wait::until;
use obstack_tests::world::{World, repository};
use serde_json::{Value, json};

use super::goldens::stacks;

const BOUND: Duration = Duration::from_secs(90);
/// Targets of the stack's own namespace; the operator's own pod is replaced, so it is none of them.
const TARGETS: &str = r#"up{namespace="monitoring"}"#;
/// Seconds between two samples, and the window in which none may be missing.
const INTERVAL: usize = 2;
const WINDOW: usize = 20;

/// Installs the operator again, as a user would: types and manifests, with another tag of its image.
async fn upgrade(world: &World, tag: &str) {
    let mut install = manifests::load(&[repository("crds"), repository("deploy/install.yaml")]).unwrap();
    for object in &mut install {
        if object.types.as_ref().is_some_and(|types| types.kind == "Deployment") {
            let container = &mut object.data["spec"]["template"]["spec"]["containers"][0];
            container["image"] = with_tag(&container["image"], tag);
            let arguments = container["args"].as_array_mut().unwrap();
            let image = arguments.iter_mut().find(|one| one.as_str().unwrap().starts_with("--image="));
            let image = image.expect("the operator is told where the reloader comes from");
            *image = with_tag(image, tag);
        }
    }
    manifests::apply(&world.client(), &install).await.unwrap();
    let deployments: Api<Deployment> = Api::namespaced(world.client(), "obstack-system");
    until("the new operator alone to run", BOUND, || async {
        let found = deployments.get("obstack").await.map_err(|error| error.to_string())?;
        let status = found.status.clone().unwrap_or_default();
        let all = [status.replicas, status.updated_replicas, status.available_replicas] == [Some(1); 3];
        let current = status.observed_generation == found.metadata.generation;
        if all && current { Ok(()) } else { Err(serde_json::to_string(&status).unwrap_or_default()) }
    })
    .await;
}

fn with_tag(image: &Value, tag: &str) -> Value {
    let (repository, _) = image.as_str().unwrap().rsplit_once(':').unwrap();
    json!(format!("{repository}:{tag}"))
}

/// Name, UID and restarts of each pod of the namespace.
async fn pods(world: &World) -> BTreeMap<String, (Option<String>, i32)> {
    let row = |pod: Pod| {
        let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.clone());
        let restarts = statuses.unwrap_or_default().iter().map(|container| container.restart_count).sum();
        (pod.name_any(), (pod.uid(), restarts))
    };
    world.pods("").await.into_iter().map(row).collect()
}

/// The targets that are up, by job and pod.
async fn targets(prometheus: &str) -> Result<BTreeSet<String>, String> {
    let up = ask::query(prometheus, &format!("{TARGETS} == 1")).await?;
    let name = |sample: &Value| format!("{} {}", sample["metric"]["job"], sample["metric"]["pod"]);
    Ok(up.iter().map(name).collect())
}

/// Waits until as many targets as there are have been up without a gap for the whole window.
async fn steady(prometheus: &str, wanted: &BTreeSet<String>) {
    let least = WINDOW / INTERVAL - 1;
    let steady = format!(
        "min_over_time({TARGETS}[{WINDOW}s]) == 1 and count_over_time({TARGETS}[{WINDOW}s]) >= {least}"
    );
    until("every target to be up without a gap", BOUND, || async {
        let found = ask::query(prometheus, &steady).await?.len();
        let up = targets(prometheus).await?;
        if found == wanted.len() && up == *wanted { Ok(()) } else { Err(format!("{found}: {up:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_of_the_operator_restarts_no_pod_and_loses_no_target() {
    let world = World::start().await;
    world.apply_example("quickstart.yaml").await;
    let quick = json!({ "spec": { "requirements": { "scrapeInterval": format!("{INTERVAL}s") } } });
    world.patch_stack("main", quick).await;
    world.live("main", BOUND).await;
    let prometheus = world.url("main", "metrics").await;
    // Prometheus, Alertmanager, the reloader of each, and two pods of the example.
    let wanted = until("all targets to be up", BOUND, || async {
        let up = targets(&prometheus).await?;
        if up.len() == 6 { Ok(up) } else { Err(format!("{up:?}")) }
    })
    .await;
    steady(&prometheus, &wanted).await;
    let before = pods(&world).await;

    let begun = jiff::Timestamp::now();
    upgrade(&world, "0.1.1").await;
    world.quiet(Duration::from_secs(5), BOUND).await;
    world.live("main", BOUND).await;
    assert_eq!(pods(&world).await, before, "engines keep the reloader that they started with");
    // From before the upgrade until now: no sample is missing, and none says that a target was down.
    let span = jiff::Timestamp::now().duration_since(begun).as_secs().unsigned_abs() + 4;
    let down = format!("min_over_time({TARGETS}[{span}s]) == 0");
    assert_eq!(ask::query(&prometheus, &down).await.unwrap(), Vec::<Value>::new());
    let least = span.saturating_sub(6) / INTERVAL as u64;
    let whole = format!("count_over_time({TARGETS}[{span}s]) >= {least}");
    assert_eq!(
        ask::query(&prometheus, &whole).await.unwrap().len(),
        wanted.len(),
        "at least {least} samples"
    );
    world.stop().await;
}

/// The released definitions, a folder per version.
pub(super) fn releases() -> Vec<PathBuf> {
    let root = repository("tests/crd-versions");
    let current = root.join(env!("CARGO_PKG_VERSION"));
    for entry in std::fs::read_dir(repository("crds")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let copy = current.join(file.file_name().unwrap());
        let same = std::fs::read(&copy).is_ok_and(|copy| copy == std::fs::read(&file).unwrap());
        assert!(same, "{} is not what crds/ has: run make generate", copy.display());
    }
    let mut folders: Vec<_> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    folders
}

/// Upgrades a server that has no types yet from those of a release to the present ones: the stacks on it stay valid and
/// unchanged.
pub(super) async fn stacks_outlive(server: &Server, release: &Path) {
    let client = server.client();
    manifests::apply(&client, &manifests::load(&[release.to_owned()]).unwrap()).await.unwrap();
    let stacks = stacks();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for stack in &stacks {
        let name = stack.namespace().unwrap();
        let namespace = serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap();
        namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    }
    manifests::apply(&client, &stacks).await.unwrap();
    let before = stored(&client, &stacks).await;

    manifests::apply(&client, &manifests::load(&[repository("crds")]).unwrap()).await.unwrap();
    let after = stored(&client, &stacks).await;
    for (old, new) in before.iter().zip(&after) {
        let case = new.namespace().unwrap();
        assert_eq!(old.data["spec"], new.data["spec"], "{case} from {}", release.display());
        assert_eq!(old.metadata.generation, new.metadata.generation, "{case}");
        let dry = PostParams { dry_run: true, ..PostParams::default() };
        let valid = api(&client, &case).replace(&new.name_any(), &dry, new).await;
        assert!(valid.is_ok(), "{case} from {}: {valid:?}", release.display());
    }
}

fn api(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("obstack.io", "v1alpha1", "ObservabilityStack"));
    Api::namespaced_with(client.clone(), namespace, &kind)
}

async fn stored(client: &Client, stacks: &[DynamicObject]) -> Vec<DynamicObject> {
    let mut found = Vec::new();
    for stack in stacks {
        let stored = api(client, &stack.namespace().unwrap()).get(&stack.name_any()).await;
        found.push(stored.unwrap());
    }
    found
}
