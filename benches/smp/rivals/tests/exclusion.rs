//! Exclusion under real threads. Runs by plain `cargo test` too, without instrumentation.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use smp_rivals::{Livelock, Lock, NoLock, Setup, Visitor, each};

const PAGE: u64 = 4096;
const SLOTS: u64 = 64;
const THREADS: usize = 4;

fn setup() -> Setup {
    Setup { threads: THREADS, held: 1, held_before: 0, domain: SLOTS * PAGE }
}

/// Threads write their number into all slots of random ranges and look whether it stays there.
/// Returns how often it did not.
fn intrusions<L: Lock>() -> u64 {
    const ROUNDS: u64 = 300;
    let lock = L::new(&setup());
    let slots: Vec<AtomicU64> = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
    let section = |range: Range<u64>, found: u64, left: u64| {
        let slots = &slots[range.start as usize..range.end as usize];
        let differ = || slots.iter().filter(|slot| slot.load(Ordering::Relaxed) != found).count() as u64;
        if found == left {
            return differ();
        }
        let before = differ();
        slots.iter().for_each(|slot| slot.store(left, Ordering::Relaxed));
        before
    };
    let work = |me: usize| {
        let mut random = me as u64 + 1;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut wrong = 0;
        for round in 0..ROUNDS {
            let first = next(SLOTS);
            let range = if round % 20 == 0 { 0..SLOTS } else { first..first + 1 + next(SLOTS - first) };
            let bytes = range.start * PAGE..range.end * PAGE;
            let mine = me as u64 + 1;
            if round % 2 == 0 {
                let _guard = lock.write(me, bytes);
                wrong += section(range.clone(), 0, mine);
                thread::yield_now();
                wrong += section(range.clone(), mine, mine);
                wrong += section(range, mine, 0);
            } else {
                let _guard = lock.read(me, bytes);
                wrong += section(range.clone(), 0, 0);
                thread::yield_now();
                wrong += section(range, 0, 0);
            }
        }
        wrong
    };
    thread::scope(|scope| {
        let work = &work;
        let threads: Vec<_> = (0..THREADS).map(|me| scope.spawn(move || work(me))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    })
}

#[test]
fn each_lock_excludes() {
    struct Excludes;
    impl Visitor for Excludes {
        fn visit<L: Lock>(&mut self) {
            if L::NAME != NoLock::NAME && L::NAME != Livelock::NAME {
                assert_eq!(intrusions::<L>(), 0, "{}", L::NAME);
            }
        }
    }
    each(&mut Excludes);
}

#[test]
fn the_control_does_not() {
    assert_ne!(intrusions::<NoLock>(), 0);
}

#[test]
fn readers_let_each_other_in_where_they_are_said_to() {
    struct Shares;
    impl Visitor for Shares {
        fn visit<L: Lock>(&mut self) {
            if L::SHARED {
                let lock = L::new(&setup());
                let _first = lock.read(0, 0..PAGE);
                // Hangs with a lock that does not share.
                thread::scope(|scope| scope.spawn(|| drop(lock.read(1, 0..PAGE))).join().unwrap());
            }
        }
    }
    each(&mut Shares);
}

#[test]
fn a_thread_holds_as_many_ranges_as_it_said() {
    struct Holds;
    impl Visitor for Holds {
        fn visit<L: Lock>(&mut self) {
            let held = L::MOST_HELD.min(100);
            let lock = L::new(&Setup { held, ..setup() });
            let guards: Vec<_> =
                (0..held as u64).map(|at| lock.write(0, 2 * at * PAGE..(2 * at + 1) * PAGE)).collect();
            drop(guards);
            drop(lock.write(0, 0..u64::MAX >> 16));
        }
    }
    each(&mut Holds);
}
