//! Threads that write disjoint blocks, each in its own part: the range lock beside a global rwsem
//! (`parking_lot::RwLock`, taken whole).
//!
//! Two figures for each number of threads. `empty`: nothing is done under the lock, so that its own cost is seen; with
//! more threads than the machine has this measures the scheduler. `copy`: 4 KiB are copied under the lock, as a write(2) to
//! persistent memory does. One iteration is one operation of *every* thread, so a lock that scales stays level while
//! threads are added, as long as there are hardware threads for them; what is printed as throughput counts the operations
//! of all threads.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use range_lock::RangeLock;

const BLOCK: usize = 4096;
/// Blocks of each thread's own part.
const PART: u64 = 256;

/// Runs `op(thread, iteration)` so many times on each thread, started together; the time from the first thread's start to
/// the last one's end, by their own clocks: with more threads than the machine has, this one may be let run only when the
/// others are done.
fn on_all(threads: usize, iterations: u64, op: impl Fn(usize, u64) + Sync) -> Duration {
    let start_line = Barrier::new(threads + 1);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|t| {
                let (start_line, op) = (&start_line, &op);
                scope.spawn(move || {
                    start_line.wait();
                    let start = Instant::now();
                    for i in 0..iterations {
                        op(t, i);
                    }
                    (start, Instant::now())
                })
            })
            .collect();
        start_line.wait();
        let (starts, ends): (Vec<_>, Vec<_>) =
            workers.into_iter().map(|worker| worker.join().unwrap()).unzip();
        match (starts.into_iter().min(), ends.into_iter().max()) {
            (Some(start), Some(end)) => end - start,
            _ => Duration::ZERO,
        }
    })
}

/// Blocks of its own for each thread.
fn block(thread: usize, iteration: u64) -> std::ops::Range<u64> {
    let block = thread as u64 * PART + iteration * 97 % PART;
    block * BLOCK as u64..(block + 1) * BLOCK as u64
}

/// Copies a page, from and to where the two do not lie at the same offsets of theirs: processors take that for an overlap.
fn copy_block() {
    const TO: usize = 2 * BLOCK + BLOCK / 2;
    thread_local!(static PAGES: RefCell<Vec<u8>> = RefCell::new(vec![1; TO + BLOCK]));
    PAGES.with_borrow_mut(|pages| {
        let (from, to) = pages.split_at_mut(TO);
        black_box(to).copy_from_slice(black_box(&from[..BLOCK]));
    });
}

fn scaling(c: &mut Criterion) {
    let hardware_threads = thread::available_parallelism().map_or(0, usize::from);
    eprintln!("{hardware_threads} hardware threads: points with more threads are oversubscribed");
    for (work, under_lock) in [("empty", (|| ()) as fn()), ("copy", copy_block)] {
        let mut group = c.benchmark_group(format!("disjoint-write/{work}"));
        group
            .sample_size(20)
            .measurement_time(Duration::from_secs(2))
            .warm_up_time(Duration::from_millis(500));
        for threads in [1, 2, 4, 8] {
            group.throughput(Throughput::Elements(threads as u64));
            let lock = RangeLock::new();
            group.bench_function(BenchmarkId::new("range-lock", threads), |b| {
                b.iter_custom(|iterations| {
                    on_all(threads, iterations, |t, i| {
                        let _guard = lock.write(block(t, i));
                        under_lock();
                    })
                });
            });
            let rwsem = parking_lot::RwLock::new(());
            group.bench_function(BenchmarkId::new("rwsem", threads), |b| {
                b.iter_custom(|iterations| {
                    on_all(threads, iterations, |t, i| {
                        black_box(block(t, i));
                        let _guard = rwsem.write();
                        under_lock();
                    })
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, scaling);
criterion_main!(benches);
