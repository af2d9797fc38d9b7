//! At rest nobody writes: no mutating request from the operator's or the reloaders' accounts, Leases aside,
//! counted at the API server, dry runs included.

use std::time::Duration;

use obstack_crds::Component;
use obstack_tests::ask;
use obstack_tests::wait::until;
use obstack_tests::world::World;

/// Tripwires that need 20 to 45 minutes of scrapes until they are known, which is news and is written. Where it is
/// waited for longer than a minute, all that they count is divided by this, and they are known before.
const SLOW: [(Component, &str, u32); 4] = [
    (Component::MetricsStore, "memory", 15),
    (Component::MetricsStore, "rules-missed", 10),
    (Component::MetricsStore, "queries", 10),
    (Component::Collection, "sample-limit", 10),
];

/// How long nothing may be written: 60 s, or `OBSTACK_SOAK_SECONDS`.
fn span() -> Duration {
    let seconds = std::env::var("OBSTACK_SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_written_at_rest() {
    // Shortened, so that a minute holds many rounds.
    let soaks = span() > Duration::from_secs(60);
    let slow = if soaks { SLOW.as_slice() } else { &[] };
    let divided =
        slow.iter().map(|(component, wire, by)| format!("--tripwire-divisor={component}/{wire}={by}"));
    let args: Vec<String> = std::iter::once("--resync=2s".to_owned()).chain(divided).collect();
    let world = World::start_with(&args.iter().map(String::as_str).collect::<Vec<_>>()).await;
    world.apply_example("quickstart.yaml").await;
    world.live("main", Duration::from_secs(60)).await;
    // What the first scrapes tell of tripwires is news; what needs hours of them comes after this test.
    world.watched("main", Duration::from_secs(120)).await;
    let slow: Vec<(Component, &str)> = slow.iter().map(|(component, wire, _)| (*component, *wire)).collect();
    world.known("main", &slow, Duration::from_secs(600)).await;
    world.quiet(Duration::from_secs(5), Duration::from_secs(60)).await;

    let rounds = || async { reconciles(&world).await.ok_or("no count") };
    let before = until("the operator's metrics", Duration::from_secs(10), rounds).await;
    let from = world.server().mark();
    tokio::time::sleep(span()).await;
    let writes = world.writes_since(from);
    let after = until("the operator's metrics", Duration::from_secs(10), rounds).await;

    let requests = world.server().answered_since(from);
    let users: std::collections::BTreeSet<_> =
        requests.into_iter().map(|answered| answered.request.user).collect();
    println!("{:?} at rest: {} rounds, {} writes; users: {users:?}", span(), after - before, writes.len());
    assert!(writes.is_empty(), "{writes:#?}");
    assert!(after - before >= span().as_secs_f64() / 4.0, "the operator was at work: {before} to {after}");
    world.stop().await;
}

/// Rounds that the operator says it made.
async fn reconciles(world: &World) -> Option<f64> {
    let metrics = ask::text(&format!("{}/metrics", world.operator_url().await)).await.ok()?;
    let lines = metrics.lines().filter(|line| line.starts_with("obstack_reconciles_total"));
    let counts: Vec<f64> = lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    if counts.is_empty() { None } else { Some(counts.iter().sum()) }
}
