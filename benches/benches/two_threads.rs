//! Measures two threads under each rival, in different places and in the same place. One iteration
//! is one operation of *each* thread, so a lock that lets both run takes as long as for one.
//!
//! On a virtual machine the two CPUs may be near or far from each other. This benchmark does not
//! distinguish these states. The program `rivals` does.

use std::cell::RefCell;
use std::hint::black_box;
use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use crossbeam_utils::CachePadded;
use range_lock_benches::crew::Crew;
use range_lock_benches::rival::{PAGE, Rival, User, page};
use range_lock_benches::rivals::{self, Visitor};
use range_lock_benches::workload::op;
use range_lock_benches::workload::pattern::Random;

mod budget;

const THREADS: usize = 2;

/// Pages in the part of one thread, as a power of two.
const PART: u32 = 14;

/// Copies a page between different offsets of two frames: processors treat equal offsets as an
/// overlap.
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

impl TwoThreads<'_> {
    /// Measures `op(user, thread, random)` on a new lock.
    fn measure<R: Rival + 'static>(
        &mut self,
        name: &str,
        op: impl Fn(&R::User<'_>, u64, &mut Random) + Send + Sync + 'static,
    ) {
        let lock = Arc::new(CachePadded::new(R::new()));
        let mut crew = Crew::new(THREADS, move |thread, turns| {
            let (user, mut random) = (lock.user(), Random::new(thread));
            turns.each(|| op(&user, thread as u64, &mut random));
        });
        self.0.bench_function(format!("{}/{name}", R::NAME), |b| {
            crew.prepare();
            b.iter_custom(|iterations| crew.run(iterations));
        });
    }
}

impl Visitor for TwoThreads<'_> {
    fn visit<R: Rival + 'static>(&mut self) {
        self.measure::<R>("disjoint writes", |user, thread, random| op::disjoint_write(user, thread, random));
        self.measure::<R>("disjoint writes, a page copied", |user, thread, random| {
            let _guard = user.write(page((thread << PART) + random.bits(PART)));
            copy_page();
        });
        self.measure::<R>("95 % reads", |user, _, random| op::mostly_read(user, random));
        self.measure::<R>("one block, written", |user, _, _| drop(user.write(page(0))));
    }
}

fn two_threads(c: &mut Criterion) {
    rivals::each(&mut TwoThreads(c.benchmark_group("two threads")));
}

fn main() {
    budget::run("two_threads", &[two_threads]);
}
