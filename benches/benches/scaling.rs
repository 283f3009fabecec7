//! Measures how the lock scales: six locks, five workloads, 1 to 16 threads. One iteration is one
//! operation of *each* thread, so the throughput of a lock that scales grows with the threads.
//!
//! A thread that has done its operations waits for the other threads. So at the end of each sample
//! fewer threads compete, most of all under a lock that prefers some threads.

use std::sync::Arc;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};
use crossbeam_utils::CachePadded;
use range_lock_benches::crew::{Crew, Threads};
use range_lock_benches::rival::Rival;
use range_lock_benches::rivals::{
    AsItComes, NaiveRangeLock, OneLeaf, Ours, PackedPageLocks, PageLocks, ParkingLotRwLock, StdRwLock,
};
use range_lock_benches::workload::op;
use range_lock_benches::workload::pattern::Random;

mod budget;

const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

#[derive(Clone, Copy)]
enum Workload {
    DisjointWrites,
    ReadMostly,
    SameBlockReads,
    HandOver,
    Sleep,
}

impl Workload {
    const ALL: [Workload; 5] = [
        Workload::DisjointWrites,
        Workload::ReadMostly,
        Workload::SameBlockReads,
        Workload::HandOver,
        Workload::Sleep,
    ];

    /// The name of its group, with the workload's name from the comparison with rivals.
    fn name(self) -> &'static str {
        match self {
            Workload::DisjointWrites => "scaling, writes in own parts (W2)",
            Workload::ReadMostly => "scaling, 95 % reads of random pages (W3)",
            Workload::SameBlockReads => "scaling, reads of one page (W4)",
            Workload::HandOver => "scaling, writes of one page, 200 ns each (W7)",
            Workload::Sleep => "scaling, random writes asleep for 50 us (W8)",
        }
    }
}

/// One line of a group's chart.
fn curve<R: Rival + 'static>(group: &mut BenchmarkGroup<'_, WallTime>, workload: Workload) {
    for threads in THREADS {
        let lock = Arc::new(CachePadded::new(R::new()));
        let mut crew = Crew::new(threads, move |thread, turns| {
            let (user, mut random, part) = (lock.user(), Random::new(thread), thread as u64);
            match workload {
                Workload::DisjointWrites => turns.each(|| op::disjoint_write(&user, part, &mut random)),
                Workload::ReadMostly => turns.each(|| op::mostly_read(&user, &mut random)),
                Workload::SameBlockReads => turns.each(|| op::same_block_read(&user)),
                Workload::HandOver => {
                    op::prepare_work();
                    turns.each(|| op::hand_over(&user));
                }
                Workload::Sleep => {
                    op::punctually();
                    turns.each(|| op::sleeping_write(&user, &mut random));
                }
            }
        });
        // The line chart's axis is the number of elements: one for each thread.
        group.throughput(Throughput::Elements(threads as u64));
        group.bench_function(BenchmarkId::new(R::NAME, Threads(threads)), |b| {
            crew.prepare();
            b.iter_custom(|iterations| crew.run(iterations));
        });
    }
}

fn scaling(c: &mut Criterion) {
    for workload in Workload::ALL {
        let mut group = c.benchmark_group(workload.name());
        curve::<Ours<AsItComes>>(&mut group, workload);
        curve::<Ours<OneLeaf>>(&mut group, workload);
        curve::<ParkingLotRwLock>(&mut group, workload);
        curve::<StdRwLock>(&mut group, workload);
        curve::<PageLocks<PackedPageLocks>>(&mut group, workload);
        curve::<NaiveRangeLock>(&mut group, workload);
        group.finish();
    }
}

fn main() {
    budget::run("scaling", &[scaling]);
}
