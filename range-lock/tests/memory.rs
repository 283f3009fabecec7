//! What a lock keeps of the memory that it has needed.
//!
//! Not for Miri, which would take minutes.
#![cfg(all(feature = "async", not(miri), not(feature = "deadlock_detection")))]

#[path = "common/counting_allocator.rs"]
mod counting_allocator;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use counting_allocator::{counted, live_bytes};
use range_lock::{__private, ManyGuard, RangeLock, Request};

/// So many writers wait for one range, and then give up. Returns how often the lock allocated.
fn crowd(lock: &RangeLock, at: u64, n: usize) -> usize {
    crowd_and(lock, at, n, || ())
}

/// The same, and calls `f` before they give up.
fn crowd_and(lock: &RangeLock, at: u64, n: usize, f: impl FnOnce()) -> usize {
    let mut writers: Vec<_> = (0..n).map(|_| Box::pin(lock.write_async(at..at + 10))).collect();
    counted(|| {
        let holder = lock.write(at..at + 10);
        for writer in &mut writers {
            assert!(Pin::new(writer).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        f();
        drop((holder, writers));
    })
}

/// One after the other, so that no other allocates meanwhile.
#[test]
fn what_crowds_leave_behind() {
    a_crowd_that_moves_on_leaves_little_behind();
    a_crowd_that_comes_back_allocates_little();
    an_upgrade_of_several_ranges_leaves_little_behind();
    a_cut_beside_a_crowd_leaves_little_behind();
    // With its statistics a part takes more than a KiB.
    if cfg!(not(feature = "stats")) {
        a_lock_that_was_cut_once_is_small();
    }
}

fn a_crowd_that_comes_back_allocates_little() {
    let mut lock = RangeLock::builder().max_leaves(2).build();
    assert!(__private::cut(&lock, 1000));
    let before = live_bytes();
    let kept = || live_bytes().saturating_sub(before);
    // In two parts by turns: what one has left the other uses.
    (0..2).for_each(|part| _ = crowd(&lock, part * 1000, 10_000));
    for part in [0, 1, 1, 0] {
        let allocations = crowd(&lock, part * 1000, 10_000);
        assert!(allocations <= 10, "{allocations} allocations for 10,000 requests");
        // 1 MiB for the lock, and the records of 256 requests in each part.
        assert!(kept() <= 1200 << 10, "{} bytes are kept", kept());
    }
    lock.shrink_to_fit();
    assert!(kept() <= 4 << 10, "{} bytes are kept after `shrink_to_fit`", kept());
}

/// Of a number of parts that suits any machine.
fn a_lock_that_was_cut_once_is_small() {
    for (max_leaves, most) in [(64, 3 << 10), (512, 9 << 10)] {
        let lock = RangeLock::builder().max_leaves(max_leaves).build();
        let before = live_bytes();
        assert!(__private::cut(&lock, 1000));
        let kept = live_bytes().saturating_sub(before);
        println!("{kept} bytes for two parts of {max_leaves} that may be");
        assert!(kept <= most, "{kept} bytes for two parts of {max_leaves} that may be");
    }
}

fn a_crowd_that_moves_on_leaves_little_behind() {
    let mut lock = RangeLock::builder().max_leaves(32).build();
    (1..32).for_each(|part| assert!(__private::cut(&lock, part * 1000)));
    let before = live_bytes();
    let kept = || live_bytes().saturating_sub(before);
    (0..32).for_each(|part| _ = crowd(&lock, part * 1000, 10_000));
    assert!(kept() <= 4 << 20, "{} bytes are kept after crowds of 10,000", kept());
    (0..32).for_each(|part| _ = crowd(&lock, part * 1000, 100));
    (0..31).for_each(|_| assert!(__private::join(&lock, 0)));
    assert!(kept() <= 4 << 20, "{} bytes are kept after the parts have been joined", kept());
    lock.shrink_to_fit();
    assert!(kept() <= 32 << 10, "{} bytes are kept after `shrink_to_fit`", kept());
}

/// Its record may come from what a crowd has left.
fn an_upgrade_of_several_ranges_leaves_little_behind() {
    let lock = RangeLock::builder().max_leaves(32).build();
    (1..32).for_each(|part| assert!(__private::cut(&lock, part * 1000)));
    let before = live_bytes();
    for at in (20..31).map(|part| part * 1000) {
        _ = crowd(&lock, 31_000, 10_000);
        let reader = lock.read(31_000..31_010);
        let ranges = [Request::read(&lock, at..at + 10), Request::upgradable_read(&lock, 31_000..31_010)];
        let mut guard = RangeLock::acquire_many(ranges);
        assert!(!ManyGuard::try_upgrade_for(&mut guard, Duration::from_millis(1)));
        drop((reader, guard));
    }
    let kept = live_bytes().saturating_sub(before);
    assert!(kept <= 2 << 20, "{kept} bytes are kept after crowds of 10,000");
}

/// The crowd and its records go to the right half.
fn a_cut_beside_a_crowd_leaves_little_behind() {
    let lock = RangeLock::builder().max_leaves(32).build();
    let before = live_bytes();
    for at in (1..32).map(|part| part * 1000) {
        _ = crowd_and(&lock, at, 10_000, || assert!(__private::cut(&lock, at)));
    }
    let kept = live_bytes().saturating_sub(before);
    assert!(kept <= 2 << 20, "{kept} bytes are kept after crowds of 10,000");
}
