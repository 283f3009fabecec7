//! Every rival must exclude, and admit, as its adapter says. The test must detect a rival that does
//! not.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use range_lock_benches::rival::{PAGE, Rival, Scope, User, page};
use range_lock_benches::rivals::{self, NoLock, Visitor};

const SLOTS: u64 = 64;

/// Threads write their number into all slots of random ranges. If nothing excludes the other
/// threads, a thread sees its number overwritten. Returns how often that happened.
fn intrusions<R: Rival>(threads: u64) -> u64 {
    const ROUNDS: u64 = 300;
    let lock = R::new();
    let slots: Vec<AtomicU64> = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
    let mut total = 0;
    thread::scope(|scope| {
        let workers: Vec<_> = (1..=threads)
            .map(|me| {
                let (lock, slots) = (&lock, &slots);
                scope.spawn(move || {
                    let user = lock.user();
                    let mut random = fastrand::Rng::with_seed(me);
                    let mut intrusions = 0;
                    for round in 0..ROUNDS {
                        let mut all_are = |range: Range<u64>, wanted: u64| {
                            let slots = &slots[range.start as usize..range.end as usize];
                            let strange = slots.iter().filter(|slot| slot.load(Ordering::Relaxed) != wanted);
                            intrusions += strange.count() as u64;
                        };
                        let fill = |range: Range<u64>, with: u64| {
                            for slot in &slots[range.start as usize..range.end as usize] {
                                slot.store(with, Ordering::Relaxed);
                            }
                        };
                        let first = random.u64(0..SLOTS);
                        let range = first..random.u64(first..SLOTS) + 1;
                        let bytes = range.start * PAGE..range.end * PAGE;
                        // A writer's slots have no other thread's number, and get none while others
                        // run.
                        if round % 20 == 0 {
                            let _guard = user.write_whole();
                            fill(0..SLOTS, me);
                            thread::yield_now();
                            all_are(0..SLOTS, me);
                            fill(0..SLOTS, 0);
                        } else if round % 2 == 0 {
                            let _guard = user.write(bytes);
                            all_are(range.clone(), 0);
                            fill(range.clone(), me);
                            thread::yield_now();
                            all_are(range.clone(), me);
                            fill(range, 0);
                        } else {
                            let _guard = user.read(bytes);
                            all_are(range.clone(), 0);
                            thread::yield_now();
                            all_are(range, 0);
                        }
                    }
                    intrusions
                })
            })
            .collect();
        total = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    });
    total
}

#[test]
fn every_rival_excludes() {
    struct Excludes;
    impl Visitor for Excludes {
        fn visit<R: Rival + 'static>(&mut self) {
            if R::SCOPE != Scope::Nothing {
                for threads in [2, 4, 8] {
                    assert_eq!(intrusions::<R>(threads), 0, "{}, {threads} threads", R::NAME);
                }
            }
        }
    }
    rivals::each(&mut Excludes);
}

#[test]
fn the_control_does_not() {
    assert_ne!(intrusions::<NoLock>(4), 0);
}

/// Another user gets `range` while this one holds `held`. With a lock that excludes where it should
/// not, this hangs.
fn other_gets_in<R: Rival>(write: bool, held: Range<u64>, range: Range<u64>) {
    let lock = R::new();
    let user = lock.user();
    let enter = || {
        let other = lock.user();
        if write { drop(other.write(range)) } else { drop(other.read(range)) }
    };
    thread::scope(|scope| {
        if write {
            let _guard = user.write(held);
            scope.spawn(enter).join().unwrap();
        } else {
            let _guard = user.read(held);
            scope.spawn(enter).join().unwrap();
        }
    });
}

#[test]
fn readers_let_each_other_in_where_they_are_said_to() {
    struct Shares;
    impl Visitor for Shares {
        fn visit<R: Rival + 'static>(&mut self) {
            if R::SHARED {
                other_gets_in::<R>(false, page(1), page(1));
            }
        }
    }
    rivals::each(&mut Shares);
}

#[test]
fn who_is_exact_lets_neighbours_in_and_holds_as_many_as_it_is_said_to() {
    struct Exact;
    impl Visitor for Exact {
        fn visit<R: Rival + 'static>(&mut self) {
            if R::SCOPE == Scope::Exact {
                for neighbour in [0, 2] {
                    other_gets_in::<R>(true, page(1), page(neighbour));
                }
            }
            let lock = R::new();
            let user = lock.user();
            let guards: Vec<_> =
                (0..R::MOST_HELD.min(2000) as u64).map(|at| user.write(page(2 * at))).collect();
            drop(guards);
        }
    }
    rivals::each(&mut Exact);
}
