//! Measures one thread alone: what an acquisition and its release cost with each rival.

use std::hint::black_box;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use range_lock_benches::rival::{Rival, User, page};
use range_lock_benches::rivals::{self, Visitor};

mod budget;

/// Pages far enough apart to look random to the branch predictor, cheap enough not to be measured.
fn next(at: &mut u64) -> u64 {
    *at = (*at + 40_503) % 65_536;
    *at
}

struct Uncontended<'a>(BenchmarkGroup<'a, WallTime>);

impl Visitor for Uncontended<'_> {
    fn visit<R: Rival + 'static>(&mut self) {
        let lock = R::new();
        let user = lock.user();
        let mut at = 0;
        self.0.bench_function(format!("{}/write", R::NAME), |b| {
            b.iter(|| drop(black_box(&user).write(page(next(&mut at)))));
        });
        self.0.bench_function(format!("{}/read", R::NAME), |b| {
            b.iter(|| drop(black_box(&user).read(page(next(&mut at)))));
        });
        self.0.bench_function(format!("{}/write whole", R::NAME), |b| {
            b.iter(|| drop(black_box(&user).write_whole()));
        });
    }
}

fn uncontended(c: &mut Criterion) {
    rivals::each(&mut Uncontended(c.benchmark_group("uncontended")));
}

fn main() {
    budget::run("uncontended", &[uncontended]);
}
