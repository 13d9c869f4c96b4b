//! How long the layer takes, beside what others take: `cargo bench --bench overhead`.
//!
//! A token is in hand and fresh, as it is for all but one request in thousands; the answer is read to its end.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

#[allow(dead_code, unused_imports, reason = "each bench uses its part")]
mod support;

fn overhead(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("overhead");
    for case in support::cases() {
        let mut sender = (case.sender)();
        group.bench_function(case.name, |bencher| {
            bencher.iter_batched(case.request, &mut sender, BatchSize::SmallInput);
        });
    }
    for (name, is_bare) in [("bare_frame", true), ("frame", false)] {
        let mut read = support::frames(is_bare);
        group.bench_function(name, |bencher| bencher.iter(&mut read));
    }
    group.finish();
}

criterion_group!(benches, overhead);
criterion_main!(benches);
