//! What packing the configuration of 10,000 monitors takes: all of it, and one change.
#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use obstack::running::{Engine, Fragment, Generation};

/// About 1,500 bytes, which a monitor's job with the usual relabelling takes.
fn job(monitor: usize, version: usize) -> Fragment {
    let relabel = "  - {source_labels: [__meta_kubernetes_service_label_app], regex: app, action: keep}\n";
    let text = format!(
        "scrape_configs:\n- job_name: team-{}/monitor-{monitor}/{version}\n  relabel_configs:\n{}",
        monitor % 100,
        relabel.repeat(16)
    );
    Fragment::new(format!("monitor/{monitor}"), format!("scrape/{monitor}.yaml"), text.into_bytes())
}

fn fragments(count: usize) -> Vec<Fragment> {
    let main = Fragment::new("main", "prometheus.yaml", b"global: {}\n".to_vec());
    let mut all: Vec<Fragment> = (0..count).map(|monitor| job(monitor, 0)).chain([main]).collect();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    all
}

fn packing(c: &mut Criterion) {
    let mut group = c.benchmark_group("packing");
    group.sample_size(20);
    for count in [100, 1_000, 10_000] {
        let all = fragments(count);
        group.bench_function(format!("{count} monitors, all"), |b| {
            let build = |all| Generation::build(Engine::Prometheus, all).expect("it fits");
            b.iter_batched(|| all.clone(), build, BatchSize::LargeInput);
        });
        let before = Generation::build(Engine::Prometheus, all.clone()).expect("it fits");
        let mut changed = all;
        let place = changed.iter().position(|f| f.key == "monitor/7").expect("it is there");
        changed[place] = job(7, 1);
        group.bench_function(format!("{count} monitors, one change"), |b| {
            let build =
                |all| Generation::build_on(Engine::Prometheus, all, Some(&before), &[]).expect("it fits");
            b.iter_batched(|| changed.clone(), build, BatchSize::LargeInput);
        });
    }
    group.finish();
}

criterion_group!(benches, packing);
criterion_main!(benches);
