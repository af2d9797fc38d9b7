//! What one change of the configuration costs, and how it comes to be proven.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use obstack::running::{POINTER_KEY, Pointer, Slot};
use obstack_tests::ask;
use obstack_tests::server::Mark;
use obstack_tests::wait::until;
use obstack_tests::world::{HOME, NAMESPACE, World};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(90);
/// Most requests of the operator for one isolated change: a part and its pointer, the same again when it is
/// proven, and the status once, or twice where it takes longer than a moment.
const MOST: usize = 6;

fn spec(version: u32) -> Value {
    let rule = json!({ "record": "mine", "expr": format!("vector(7700{version})") });
    json!({ "environment": "dev", "rules": { "groups": [{ "name": "mine", "rules": [rule] }] } })
}

async fn pointer(world: &World, which: &str) -> Result<Pointer, String> {
    let secrets: Api<Secret> = Api::namespaced(world.client(), NAMESPACE);
    let found = secrets.get(&format!("main-metrics-{which}")).await.map_err(|error| error.to_string())?;
    let bytes = found.data.and_then(|mut data| data.remove(POINTER_KEY)).ok_or("no pointer")?;
    Pointer::parse(&bytes.0).map_err(|error| error.to_string())
}

/// Waits until what is wanted is proven, and gives both pointers.
async fn proven(world: &World) -> (Pointer, Pointer) {
    until("the candidate to be proven", BOUND, || async {
        let (candidate, proven) = (pointer(world, "candidate").await?, pointer(world, "proven").await?);
        let differ = candidate.generation != proven.generation;
        if differ { Err("not proven yet".to_owned()) } else { Ok((candidate, proven)) }
    })
    .await
}

fn requests(world: &World, mark: Mark) -> Vec<String> {
    let operator = format!("system:serviceaccount:{HOME}:obstack");
    let asked = world.server().answered_since(mark).into_iter().map(|answered| answered.request);
    let ours = asked.filter(|r| r.user == operator && r.resource != "leases" && r.verb != "watch");
    // What the cluster serves is asked for once in a while, changes or not.
    let standing = |path: &str| ["/version", "/apis", "/apis/monitoring.coreos.com"].contains(&path);
    let ours = ours.filter(|r| !standing(&r.path) && r.resource != "storageclasses");
    ours.map(|r| format!("{} {}", r.verb, r.path)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_change_costs_six_requests_and_becomes_proven() {
    // Tripwires are looked at with each resync, and only a second look finds them known.
    let world = World::start_with(&["--resync=5s"]).await;
    world.create_stack("main", spec(0)).await;
    world.live("main", BOUND).await;
    let (candidate, proven_one) = proven(&world).await;
    assert!(candidate.parts.iter().chain(&proven_one.parts).all(|part| part.slot == Slot::A));
    world.watched("main", BOUND).await;
    let prometheus = world.url("main", "metrics").await;
    for version in 1..4 {
        world.quiet(Duration::from_secs(3), BOUND).await;
        let mark = world.server().mark();
        world.patch_stack("main", json!({ "spec": spec(version) })).await;
        let start = Instant::now();
        let wanted = format!("vector(7700{version})");
        until("the engine to run the change", BOUND, || async {
            let rules = ask::text(&format!("{prometheus}/api/v1/rules")).await?;
            if rules.contains(&wanted) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        let took = start.elapsed();
        world.live("main", BOUND).await;
        let (candidate, proven) = proven(&world).await;
        assert!(candidate.parts.iter().any(|part| Slot::LIVE.contains(&part.slot)), "{candidate:?}");
        assert!(proven.parts.iter().all(|part| Slot::MOUNTED.contains(&part.slot)), "{proven:?}");
        world.quiet(Duration::from_secs(3), BOUND).await;
        let asked = requests(&world, mark);
        println!("change {version}: live after {took:?}; {} requests: {asked:#?}", asked.len());
        assert!(asked.len() <= MOST, "{asked:#?}");
    }
    world.stop().await;
}
