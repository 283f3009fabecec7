//! Two threads, each rival: where they are in different places, and where they meet. One iteration is one operation of
//! *each* thread, so a lock that lets both run takes as long as for one.
//!
//! The states in which a virtual machine has its CPUs near or far from each other are not told apart here; the program
//! `scaling` does that.

use std::cell::RefCell;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use range_lock_benches::measure::{Plan, on_threads};
use range_lock_benches::rival::{PAGE, Rival, User, page};
use range_lock_benches::rivals::{self, Visitor};
use range_lock_benches::workload::pattern::Random;

const THREADS: usize = 2;

/// Pages in the part of one thread, as a power of two.
const PART: u32 = 14;

/// Does `op` so many times on each thread; the time from the first one's start to the last one's end.
fn timed<R: Rival>(
    lock: &R,
    iterations: u64,
    op: impl Fn(&R::User<'_>, u64, &mut Random) + Sync,
) -> Duration {
    let at_once = Plan { warm_up: Duration::ZERO, duration: Duration::ZERO };
    let stints = on_threads(THREADS, at_once, |thread, start_line| {
        let (user, mut random) = (lock.user(), Random::new(thread));
        let mut clock = start_line.wait();
        for _ in 0..iterations {
            op(&user, thread as u64, &mut random);
        }
        clock.lap(iterations);
        clock.stint()
    });
    let start = stints.iter().map(|stint| stint.start).min();
    let end = stints.iter().map(|stint| stint.end).max();
    start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start)
}

/// Copies a page, from and to where the two do not lie at the same offsets of theirs: processors take that for an overlap.
fn copy_page() {
    const LENGTH: usize = PAGE as usize;
    const TO: usize = 2 * LENGTH + LENGTH / 2;
    thread_local!(static PAGES: RefCell<Vec<u8>> = RefCell::new(vec![1; TO + LENGTH]));
    PAGES.with_borrow_mut(|pages| {
        let (from, to) = pages.split_at_mut(TO);
        black_box(to).copy_from_slice(black_box(&from[..LENGTH]));
    });
}

struct TwoThreads<'a>(BenchmarkGroup<'a, WallTime>);

impl Visitor for TwoThreads<'_> {
    fn visit<R: Rival + 'static>(&mut self) {
        let lock = R::new();
        self.0.bench_function(format!("{}/disjoint writes", R::NAME), |b| {
            b.iter_custom(|iterations| {
                timed(&lock, iterations, |user, thread, random| {
                    drop(user.write(page((thread << PART) + random.bits(PART))));
                })
            });
        });
        let lock = R::new();
        self.0.bench_function(format!("{}/disjoint writes, a page copied", R::NAME), |b| {
            b.iter_custom(|iterations| {
                timed(&lock, iterations, |user, thread, random| {
                    let _guard = user.write(page((thread << PART) + random.bits(PART)));
                    copy_page();
                })
            });
        });
        let lock = R::new();
        self.0.bench_function(format!("{}/95 % reads", R::NAME), |b| {
            b.iter_custom(|iterations| {
                timed(&lock, iterations, |user, _, random| match random.bits_and_chance(18, 95) {
                    (at, true) => drop(user.read(page(at))),
                    (at, false) => drop(user.write(page(at))),
                })
            });
        });
        let lock = R::new();
        self.0.bench_function(format!("{}/one block, written", R::NAME), |b| {
            b.iter_custom(|iterations| timed(&lock, iterations, |user, _, _| drop(user.write(page(0)))));
        });
    }
}

fn two_threads(c: &mut Criterion) {
    let mut group = c.benchmark_group("two threads");
    group.sample_size(20).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    rivals::each(&mut TwoThreads(group));
}

criterion_group!(benches, two_threads);
criterion_main!(benches);
