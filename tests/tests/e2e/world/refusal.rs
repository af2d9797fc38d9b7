//! What only the engine's own checker finds wrong: the engine never gets it, and the stack says so.

use std::time::Duration;

use obstack_crds::status::{CONFIGURATION_LIVE, DEGRADED};
use obstack_tests::ask;
use obstack_tests::wait::until;
use obstack_tests::world::World;
use serde_json::{Value, json};

const BOUND: Duration = Duration::from_secs(90);

/// A stack with one good rule, and with one whose template calls what is no function: no reader but the
/// engine's own knows its functions.
fn spec(broken: bool) -> Value {
    let mut groups = vec![json!({ "name": "good", "rules": [{ "record": "good", "expr": "vector(1)" }] })];
    if broken {
        groups.push(json!({ "name": "broken", "rules": [{
            "alert": "Broken", "expr": "vector(1)", "annotations": { "summary": "{{ $value | nonesuch }}" },
        }]}));
    }
    json!({ "rules": { "groups": groups } })
}

/// Waits until the stack says that a configuration is refused, and returns what it says.
async fn refused(world: &World) -> String {
    until("the refusal to stand on the stack", BOUND, || async {
        let stack = world.stack("main").await;
        let live = World::condition(&stack, CONFIGURATION_LIVE).ok_or("no condition")?;
        let degraded = World::condition(&stack, DEGRADED).ok_or("no condition")?;
        if live.reason == "Refused" && degraded.reason == "ConfigurationRefused" {
            assert_eq!((live.status.as_str(), degraded.status.as_str()), ("False", "True"));
            assert!(stack.status.is_some_and(|status| status.look_at.is_some()));
            return Ok(live.message);
        }
        Err("not refused")
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_the_checker_refuses_leaves_the_engine_as_it_was() {
    let world = World::start().await;
    world.create_stack("main", spec(false)).await;
    world.live("main", BOUND).await;
    let prometheus = world.url("main", "metrics").await;

    world.patch_stack("main", json!({ "spec": spec(true) })).await;
    let message = refused(&world).await;
    assert!(message.contains("nonesuch") && message.contains("broken"), "{message}");
    let rules = ask::text(&format!("{prometheus}/api/v1/rules")).await.unwrap();
    assert!(rules.contains("\"good\"") && !rules.contains("Broken"), "what ran before still runs");

    world.patch_stack("main", json!({ "spec": spec(false) })).await;
    world.live("main", BOUND).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_configuration_that_the_checker_refuses_is_told_and_can_be_mended() {
    let world = World::start().await;
    world.create_stack("main", spec(true)).await;
    let message = refused(&world).await;
    assert!(message.contains("nonesuch"), "{message}");
    world.patch_stack("main", json!({ "spec": spec(false) })).await;
    world.live("main", BOUND).await;
    world.stop().await;
}
