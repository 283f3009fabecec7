//! Counts instructions of the fast path by callgrind. The counts repeat exactly, also on the
//! noisiest machine. Each figure is one acquisition and its release by one thread, in a lock that
//! has been used before. `.ci/instructions` runs this benchmark.

#![allow(missing_docs, reason = "the macros make items that have none")]

use std::hint::black_box;

use gungraun::{library_benchmark, library_benchmark_group, main};
use range_lock::RangeLock;
use range_lock_benches::rival::page;

/// A lock that has already allocated what it needs.
fn used() -> RangeLock {
    let lock = RangeLock::new();
    drop((lock.write(page(1)), lock.read(page(3))));
    lock
}

/// The same for the rwsem.
fn used_rwsem() -> parking_lot::RwLock<()> {
    let lock = parking_lot::RwLock::new(());
    drop(lock.write());
    lock
}

// The locks are returned, so the counts do not include dropping them.

#[library_benchmark]
#[bench::one(used())]
fn write(lock: RangeLock) -> RangeLock {
    drop(black_box(&lock).write(black_box(page(7))));
    lock
}

#[library_benchmark]
#[bench::one(used())]
fn read(lock: RangeLock) -> RangeLock {
    drop(black_box(&lock).read(black_box(page(7))));
    lock
}

#[library_benchmark]
#[bench::one(used())]
fn write_whole(lock: RangeLock) -> RangeLock {
    drop(black_box(&lock).write(..));
    lock
}

#[library_benchmark]
#[bench::one(used())]
fn try_write(lock: RangeLock) -> RangeLock {
    drop(black_box(&lock).try_write(black_box(page(7))));
    lock
}

#[library_benchmark]
#[bench::one(used_rwsem())]
fn rwsem_write(lock: parking_lot::RwLock<()>) -> parking_lot::RwLock<()> {
    drop(black_box(&lock).write());
    lock
}

#[library_benchmark]
#[bench::one(used_rwsem())]
fn rwsem_read(lock: parking_lot::RwLock<()>) -> parking_lot::RwLock<()> {
    drop(black_box(&lock).read());
    lock
}

library_benchmark_group!(
    name = short_path,
    benchmarks = [write, read, write_whole, try_write, rwsem_write, rwsem_read]
);

main!(library_benchmark_groups = short_path);
