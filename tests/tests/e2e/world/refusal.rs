//! What only the engine's own checker finds wrong: the engine never gets it, the stack names it, and the rest
//! becomes live without it.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use obstack_crds::status::{CONFIGURATION_LIVE, DEGRADED, Rejected};
use obstack_tests::ask;
use obstack_tests::wait::until;
use obstack_tests::world::{HOME, World};
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(90);

/// A stack with one good rule, and with ten more that come at once, of which two have a template that calls what is
/// no function: no reader but the engine's own knows its functions.
fn spec(broken: bool) -> Value {
    let good = |name: &str| json!({ "name": name, "rules": [{ "record": "good", "expr": "vector(1)" }] });
    let more = |number: usize| {
        if ![3, 7].contains(&number) {
            return good(&format!("good-{number}"));
        }
        json!({ "name": format!("broken-{number}"), "rules": [{
            "alert": "Broken", "expr": "vector(1)", "annotations": { "summary": "{{ $value | nonesuch }}" },
        }]})
    };
    let more = (0..10).filter(|_| broken).map(more);
    json!({ "rules": { "groups": std::iter::once(good("good")).chain(more).collect::<Vec<_>>() } })
}

/// Waits until the stack names both parts that its engine refuses, while all else is live.
async fn left_out(world: &World) -> Vec<Rejected> {
    until("the culprits to be named and the rest to be live", BOUND, || async {
        let stack = world.stack("main").await;
        let live = World::condition(&stack, CONFIGURATION_LIVE).ok_or("no condition".to_owned())?;
        let degraded = World::condition(&stack, DEGRADED).ok_or("no condition".to_owned())?;
        let status = stack.status.ok_or("no status".to_owned())?;
        let mut out = status.rejected;
        out.retain(|part| part.object.contains("broken-3") || part.object.contains("broken-7"));
        if live.status == "True" && degraded.reason == "PartsRejected" && out.len() == 2 {
            assert!(status.look_at.is_some());
            assert!(out.iter().all(|part| part.reason.contains("nonesuch")), "{out:?}");
            return Ok(out);
        }
        Err(format!("{} {}: {out:?}", live.status, degraded.reason))
    })
    .await
}

/// Names of the rule groups that a Prometheus has loaded, of those that the spec has.
async fn groups(prometheus: &str) -> Vec<String> {
    let rules = ask::json(&format!("{prometheus}/api/v1/rules")).await.unwrap();
    let groups = rules["data"]["groups"].as_array().unwrap();
    let names = groups.iter().filter_map(|group| group["name"].as_str());
    let ours = names.filter(|name| name.starts_with("good") || name.starts_with("broken"));
    ours.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_the_checker_refuses_is_left_out_until_it_is_mended() {
    let world = World::start().await;
    // The first configuration of all has one: it goes live without it.
    world.create_stack("main", spec(true)).await;
    left_out(&world).await;
    world.patch_stack("main", json!({ "spec": spec(false) })).await;
    world.live("main", BOUND).await;
    let prometheus = world.url("main", "metrics").await;

    world.patch_stack("main", json!({ "spec": spec(true) })).await;
    left_out(&world).await;
    let running = groups(&prometheus).await;
    assert_eq!(running.len(), 9, "what ran before still runs, and the eight good ones: {running:?}");
    assert!(running.iter().all(|name| name.starts_with("good")), "{running:?}");
    // Other changes go live meanwhile, and a new operator knows what is left out.
    let pods: Api<Pod> = Api::namespaced(world.client(), HOME);
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        pods.delete(&pod.name_any(), &DeleteParams::default()).await.unwrap();
    }
    let mut more = spec(true);
    more["rules"]["groups"][0]["rules"][0]["expr"] = json!("vector(2)");
    world.patch_stack("main", json!({ "spec": more })).await;
    until("the other change to be live", BOUND, || async {
        let rules = ask::text(&format!("{prometheus}/api/v1/rules")).await?;
        if rules.contains("vector(2)") { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    left_out(&world).await;

    world.patch_stack("main", json!({ "spec": spec(false) })).await;
    world.live("main", BOUND).await;
    world.stop().await;
}
