//! What deciding all components of a stack takes, flip points included.
#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use criterion::{Criterion, criterion_group, criterion_main};
use obstack::decide::{Catalog, DecideFacts, Previous, decide};
use obstack::names::StackId;
use obstack::validate::validate;

/// Stacks of unlike size and wishes.
const STACKS: [(&str, &str); 4] = [
    ("empty spec", "{}"),
    ("production", "{ environment: prod, requirements: { activeSeries: 3M, retention: 90d } }"),
    (
        "with budgets",
        "{ requirements: { activeSeries: 800k, licences: { deny: [AGPL-3.0] }, budget: { memory: 64Gi, storage: 8Ti, \
         monthlyCost: '2000' } } }",
    ),
    ("out of reach", "{ requirements: { activeSeries: 300M, retention: 2y, recoveryTime: 1m } }"),
];

fn stacks(c: &mut Criterion) {
    let catalog = Catalog::embedded().expect("the catalog");
    let mut group = c.benchmark_group("decide, all components, all flip points");
    for (name, text) in STACKS {
        let spec = serde_saphyr::from_str(text).expect("a spec");
        let id = StackId { namespace: "monitoring".into(), name: "main".into() };
        let valid = validate(id, &spec, None).expect("a valid stack");
        group.bench_function(name, |b| {
            b.iter(|| decide(&valid, &DecideFacts::offline(), &Previous::default(), &catalog));
        });
    }
    group.finish();
}

criterion_group!(benches, stacks);
criterion_main!(benches);
