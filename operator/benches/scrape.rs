//! What building the jobs of ServiceMonitors takes: a whole stack as the operator builds it, from what the watches
//! hold to compressed parts, all of it and after one change; and its steps, the one file of `obstack config` and the
//! reading of one object.
#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

mod common;

use common::objects::monitor;
use common::stack::{Kept, Stack, source};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use obstack::scrape::assets::HeldAssets;
use obstack::scrape::engine::{Additional, build_engine};
use obstack::scrape::jobs::{Built, build};
use obstack::scrape::objects::{Kind, Monitor};
use obstack::scrape::settings::Settings;
use obstack::scrape::sources::Sources;
use serde_json::{Value, json};

/// A ServiceMonitor as charts write them: two endpoints, steps of relabelling, credentials.
fn object(index: usize) -> Value {
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": { "name": format!("app-{index}"), "namespace": format!("team-{}", index % 100) },
        "spec": {
            "jobLabel": "app.kubernetes.io/name",
            "selector": { "matchLabels": {
                "app.kubernetes.io/name": format!("app-{index}"), "app.kubernetes.io/instance": "main",
            } },
            "namespaceSelector": { "matchNames": [format!("team-{}", index % 100)] },
            "endpoints": [
                {
                    "port": "http-metrics", "interval": "30s", "scrapeTimeout": "10s", "path": "/metrics",
                    "relabelings": [
                        { "sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node" },
                        { "sourceLabels": ["__meta_kubernetes_pod_phase"], "regex": "(Failed|Succeeded)",
                          "action": "drop" },
                    ],
                    "metricRelabelings": [
                        { "sourceLabels": ["__name__"], "regex": "go_(gc|memstats)_.*", "action": "drop" },
                    ],
                },
                {
                    "port": "admin", "scheme": "https",
                    "basicAuth": {
                        "username": { "name": "scrape", "key": "user" },
                        "password": { "name": "scrape", "key": "password" },
                    },
                    "tlsConfig": { "insecureSkipVerify": true },
                },
            ],
        },
    })
}

fn assets() -> HeldAssets {
    let mut held = HeldAssets::default();
    for team in 0..100 {
        held.add(&json!({
            "kind": "Secret",
            "metadata": { "name": "scrape", "namespace": format!("team-{team}") },
            "stringData": { "user": "u", "password": "p" },
        }));
    }
    held
}

fn monitors(count: usize) -> Vec<Monitor> {
    let read = |index| Monitor::read(Kind::ServiceMonitor, &object(index)).expect("a monitor");
    (0..count).map(read).collect()
}

fn settings() -> Settings {
    let object = json!({
        "kind": "Prometheus",
        "metadata": { "name": "main", "namespace": "monitoring" },
        "spec": { "version": "3.5.0", "scrapeInterval": "30s", "evaluationInterval": "30s" },
    });
    Settings::read(&object, None).expect("settings")
}

/// Namespaces that the stack's monitors are spread over.
const NAMESPACES: usize = 50;

fn stack(c: &mut Criterion) {
    let stack = Stack::new();
    let mut group = c.benchmark_group("stack");
    group.sample_size(20);
    for count in [100, 1_000, 10_000] {
        let mut sources: Sources = (0..count).map(|index| source(&monitor(index, NAMESPACES, 0))).collect();
        group.bench_function(format!("full build, {count} monitors"), |b| {
            b.iter_with_large_drop(|| {
                let mut kept = Kept::default();
                (stack.build(&sources, &mut kept, None), kept)
            });
        });
        let mut kept = Kept::default();
        let mut before = stack.build(&sources, &mut kept, None);
        let mut version = 0;
        group.bench_function(format!("one change, {count} monitors"), |b| {
            b.iter(|| {
                version += 1;
                let place = (version * 37) % count;
                sources.insert(source(&monitor(place, NAMESPACES, version)));
                let after = stack.build(&sources, &mut kept, Some(&before));
                assert_eq!(kept.cache.built(), 1, "the others are kept");
                assert_ne!(after.digest, before.digest, "the change is in it");
                before = after;
            });
        });
    }
    group.finish();
}

fn full(c: &mut Criterion) {
    let (settings, assets) = (settings(), assets());
    let mut group = c.benchmark_group("one file, ServiceMonitors of two endpoints");
    group.sample_size(20);
    for count in [100, 1_000, 10_000] {
        let monitors = monitors(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &monitors, |b, monitors| {
            b.iter(|| {
                let built: Vec<Built> = monitors
                    .iter()
                    .map(|monitor| build(&settings, monitor, &assets).expect("a good monitor"))
                    .collect();
                let jobs: Vec<(Kind, &Built)> =
                    built.iter().map(|built| (Kind::ServiceMonitor, built)).collect();
                build_engine(&settings, &jobs, &Additional::default(), &assets).expect("a configuration")
            });
        });
    }
    group.finish();
}

fn one(c: &mut Criterion) {
    let (settings, assets) = (settings(), assets());
    let monitor = monitors(1).remove(0);
    c.bench_function("one ServiceMonitor", |b| b.iter(|| build(&settings, &monitor, &assets)));
    let object = object(0);
    c.bench_function("reading one ServiceMonitor", |b| {
        b.iter_batched(
            || object.clone(),
            |object| Monitor::read(Kind::ServiceMonitor, &object),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, stack, full, one);
criterion_main!(benches);
