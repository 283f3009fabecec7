//! One thread, nobody else: what acquire + release cost beside `parking_lot::RwLock` and `std::sync::RwLock`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use range_lock::RangeLock;

/// Offsets of 4 KiB blocks, far enough apart to look random to the branch predictor, cheap enough not to be measured.
fn next_block(block: &mut u64) -> std::ops::Range<u64> {
    *block = (*block + 40_503) % 65_536;
    *block * 4096..(*block + 1) * 4096
}

fn uncontended(c: &mut Criterion) {
    let mut group = c.benchmark_group("uncontended");
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));

    let lock = RangeLock::new();
    let mut block = 0;
    group.bench_function("range-lock/write", |b| {
        b.iter(|| drop(black_box(&lock).write(next_block(&mut block))));
    });
    group.bench_function("range-lock/read", |b| {
        b.iter(|| drop(black_box(&lock).read(next_block(&mut block))));
    });
    group.bench_function("range-lock/write whole", |b| b.iter(|| drop(black_box(&lock).write(..))));

    let lock = parking_lot::RwLock::new(());
    group.bench_function("parking_lot::RwLock/write", |b| {
        b.iter(|| {
            black_box(next_block(&mut block));
            drop(black_box(&lock).write());
        });
    });
    group.bench_function("parking_lot::RwLock/read", |b| {
        b.iter(|| {
            black_box(next_block(&mut block));
            drop(black_box(&lock).read());
        });
    });

    let lock = std::sync::RwLock::new(());
    group.bench_function("std::sync::RwLock/write", |b| {
        b.iter(|| {
            black_box(next_block(&mut block));
            drop(black_box(&lock).write());
        });
    });
    group.bench_function("std::sync::RwLock/read", |b| {
        b.iter(|| {
            black_box(next_block(&mut block));
            drop(black_box(&lock).read());
        });
    });
    group.finish();
}

criterion_group!(benches, uncontended);
criterion_main!(benches);
