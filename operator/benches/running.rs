//! What packing the configuration of 10,000 monitors takes: all of it, and one change.
#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use obstack::running::{Engine, Files, Fragment, Generation};

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

fn main_file() -> Vec<Fragment> {
    vec![Fragment::new("main", "prometheus.yaml", b"global: {}\n".to_vec())]
}

fn packing(c: &mut Criterion) {
    let mut group = c.benchmark_group("packing");
    group.sample_size(20);
    for count in [100, 1_000, 10_000] {
        let jobs: Vec<Fragment> = (0..count).map(|monitor| job(monitor, 0)).collect();
        group.bench_function(format!("{count} monitors, all"), |b| {
            let build = |main| {
                let files: Files = jobs.iter().collect();
                let built =
                    Generation::build_with(Engine::Prometheus, main, &files, None, &[]).expect("it fits");
                (files, built)
            };
            b.iter_batched(main_file, build, BatchSize::LargeInput);
        });
        let mut files: Files = jobs.iter().collect();
        let mut before =
            Generation::build_with(Engine::Prometheus, main_file(), &files, None, &[]).expect("it fits");
        let mut version = 0;
        group.bench_function(format!("{count} monitors, one change"), |b| {
            b.iter(|| {
                files.remove(&job(7, version));
                version += 1;
                files.add(&job(7, version));
                let built =
                    Generation::build_with(Engine::Prometheus, main_file(), &files, Some(&before), &[]);
                before = built.expect("it fits");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, packing);
criterion_main!(benches);
