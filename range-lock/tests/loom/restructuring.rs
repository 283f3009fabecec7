//! Models of a lock that cuts and joins its leaves by itself: where requests meet, where a request
//! crosses quiet leaves, and where all leaves are in use. The thresholds are one meeting and one
//! crossing. Each model fails unless some schedule restructured in the way that it is about.
//!
//! loom switches away from a thread that holds a mutex only where the thread is about to take
//! another one, which a second thread wants too. Therefore the thread that is met looks at the
//! requests of all leaves, and the one that meets it has been in the [last](in_the_last_leaf)
//! before.

use super::partition::write_and_add;
use super::*;

/// How often the schedules of a model restructured.
struct Restructured {
    cut: usize,
    joined: usize,
    reclaimed: usize,
}

/// Tries all schedules, unless `LOOM_MAX_PREEMPTIONS` says otherwise.
fn model_with(
    meetings: Option<u32>,
    crossings: Option<u16>,
    f: impl Fn() + Send + Sync + 'static,
) -> Restructured {
    let model = loom::model::Builder::new();
    let [cut, joined, reclaimed] = __private::with_thresholds(meetings, crossings, || model.check(f));
    Restructured { cut, joined, reclaimed }
}

/// A leaf is cut at the first meeting in it. No leaf is ever quiet.
fn a_meeting_cuts(f: impl Fn() + Send + Sync + 'static) -> Restructured {
    model_with(Some(1), None, f)
}

/// Each request that crosses leaves joins them. No leaf is cut.
fn a_crossing_joins(f: impl Fn() + Send + Sync + 'static) -> Restructured {
    model_with(None, Some(1), f)
}

/// A lock that has at most three leaves, cut at these points.
fn cut_at(cuts: &[u64]) -> Arc<Guarded> {
    let lock = RangeLock::builder().max_leaves(3).build();
    assert!(cuts.iter().all(|at| __private::cut(&lock, *at)));
    Arc::new(Guarded { lock, data: UnsafeCell::new(0) })
}

/// Uses the last leaf, in a place where nothing else is.
fn in_the_last_leaf(g: &Guarded) {
    drop(g.lock.try_read(30..31));
}

/// Nothing is left behind, also not in a leaf where no check would see it. Crosses no leaves.
fn check_free(g: &Guarded) {
    assert!(g.lock.requests().is_empty(), "{:?}", g.lock);
    while __private::join(&g.lock, 0) {}
    g.check_free();
}

#[test]
fn a_cut_where_requests_meet_races_an_acquisition_and_its_release() {
    let done = a_meeting_cuts(|| {
        let g = cut_at(&[10]);
        let other = spawn(&g, |g| {
            g.lock.requests();
            write_and_add(g, 2..4);
        });
        in_the_last_leaf(&g);
        write_and_add(&g, 3..5);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        check_free(&g);
    });
    assert_ne!(done.cut, 0);
}

/// What is held and what waits lie across the cut, and are released and granted during it.
#[test]
fn a_cut_where_requests_meet_races_a_release_that_lets_in_who_waits() {
    let done = a_meeting_cuts(|| {
        let g = cut_at(&[10]);
        let held = g.lock.write(1..8);
        let other = spawn(&g, |g| {
            in_the_last_leaf(g);
            write_and_add(g, 6..9);
        });
        g.lock.requests();
        g.add(1);
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        check_free(&g);
    });
    assert_ne!(done.cut, 0);
}

/// The upgrade is what meets, and cuts the leaf at its own first point.
#[test]
fn a_cut_where_requests_meet_races_an_upgrade() {
    let done = a_meeting_cuts(|| {
        let g = cut_at(&[10]);
        let looking = g.lock.upgradable_read(1..8);
        let other = spawn(&g, |g| {
            let reader = g.lock.read(2..9);
            g.lock.requests();
            g.get();
            drop(reader);
        });
        in_the_last_leaf(&g);
        let writer = RangeUpgradableReadGuard::upgrade(looking);
        g.add(1);
        drop(writer);
        other.join().unwrap();
        check_free(&g);
    });
    assert_ne!(done.cut, 0);
}

#[test]
fn a_join_by_a_request_that_crosses_races_another_that_crosses() {
    let done = a_crossing_joins(|| {
        let g = cut_at(&[5, 7]);
        let other = spawn(&g, |g| write_and_add(g, 5..9));
        write_and_add(&g, 0..6);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        check_free(&g);
    });
    assert_ne!(done.joined, 0);
}

#[test]
fn a_join_by_a_request_that_crosses_races_a_request_that_waits() {
    let done = a_crossing_joins(|| {
        let g = cut_at(&[5]);
        let held = g.lock.write(7..10);
        let other = spawn(&g, |g| write_and_add(g, 6..9));
        drop(g.lock.read(0..6));
        g.add(1);
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        check_free(&g);
    });
    assert_ne!(done.joined, 0);
}

#[test]
fn a_join_by_a_request_that_crosses_races_an_upgrade() {
    let done = a_crossing_joins(|| {
        let g = cut_at(&[5]);
        let looking = g.lock.upgradable_read(6..8);
        let other = spawn(&g, |g| {
            let reader = g.lock.read(7..9);
            drop(g.lock.read(0..6));
            g.get();
            drop(reader);
        });
        let writer = RangeUpgradableReadGuard::upgrade(looking);
        g.add(1);
        drop(writer);
        other.join().unwrap();
        check_free(&g);
    });
    assert_ne!(done.joined, 0);
}

#[test]
fn leaves_are_reclaimed_while_what_crosses_them_is_acquired() {
    let done = a_meeting_cuts(|| {
        let g = cut_at(&[5, 20]);
        let other = spawn(&g, |g| {
            g.lock.requests();
            write_and_add(g, 15..25);
        });
        in_the_last_leaf(&g);
        drop(g.lock.write(3..5));
        write_and_add(&g, 18..22);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        check_free(&g);
    });
    assert_ne!(done.reclaimed, 0);
}

/// What is held and what waits crosses the leaves.
#[test]
fn leaves_are_reclaimed_while_a_release_lets_in_who_waits() {
    let done = a_meeting_cuts(|| {
        let g = cut_at(&[5, 20]);
        let held = g.lock.write(15..25);
        let other = spawn(&g, |g| {
            in_the_last_leaf(g);
            drop(g.lock.write(3..5));
            write_and_add(g, 18..22);
        });
        g.lock.requests();
        g.add(1);
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        check_free(&g);
    });
    assert_ne!(done.reclaimed, 0);
}

/// Futures wait for what is held, and are dropped or granted while leaves are cut, joined and
/// reclaimed.
#[cfg(feature = "async")]
mod futures {
    use std::task::Poll;

    use super::super::tasks::{Signal, poll};
    use super::*;

    /// `held` keeps out a future for `range`. While the future is dropped, `other` runs, and then a
    /// request behind it is let in.
    fn race(
        cuts: &'static [u64],
        [held, range, behind]: [std::ops::Range<u64>; 3],
        other: impl Fn(&Guarded) + Copy + 'static,
    ) {
        let g = cut_at(cuts);
        let held = g.lock.read(held);
        let mut future = Box::pin(g.lock.write_async(range));
        assert!(poll(&mut future.as_mut(), &Signal::new()).is_pending());
        let other = spawn(&g, move |g| {
            in_the_last_leaf(g);
            other(g);
        });
        g.lock.requests();
        drop(future);
        // Only the future kept it out.
        drop(g.lock.read(behind));
        other.join().unwrap();
        drop(held);
        check_free(&g);
    }

    #[test]
    fn a_cut_where_requests_meet_races_a_dropped_future() {
        let done = a_meeting_cuts(|| race(&[10], [1..8, 2..9, 4..6], |g| drop(g.lock.try_read(5..9))));
        assert_ne!(done.cut, 0);
    }

    #[test]
    fn a_join_by_a_request_that_crosses_races_a_dropped_future() {
        let done = a_crossing_joins(|| race(&[5], [7..9, 6..9, 6..8], |g| drop(g.lock.read(0..6))));
        assert_ne!(done.joined, 0);
    }

    #[test]
    fn leaves_are_reclaimed_while_a_future_is_dropped() {
        let done = a_meeting_cuts(|| {
            race(&[5, 20], [15..25, 10..22, 12..21], |g| drop(g.lock.write(3..5)));
        });
        assert_ne!(done.reclaimed, 0);
    }

    /// The cut takes into use the leaf in which the guard that is released was acquired, and where
    /// its release looks first. A future that waits for the guard moves there, too, and before it.
    #[test]
    fn a_cut_where_requests_meet_races_a_release_by_an_old_hint() {
        let done = a_meeting_cuts(|| {
            let g = cut_at(&[5, 10]);
            let signal = Signal::new();
            let first = g.lock.read(7..8);
            let mut held = Box::pin(g.lock.write_async(7..9));
            assert!(poll(&mut held.as_mut(), &signal).is_pending());
            drop(first);
            let Poll::Ready(held) = poll(&mut held.as_mut(), &signal) else { panic!("not let in") };
            assert!(__private::join(&g.lock, 0));
            let mut future = Box::pin(g.lock.write_async(6..9));
            assert!(poll(&mut future.as_mut(), &signal).is_pending());
            let other = spawn(&g, |g| {
                in_the_last_leaf(g);
                drop(g.lock.try_read(5..6));
            });
            g.lock.requests();
            drop(held);
            assert!(poll(&mut future.as_mut(), &signal).is_ready(), "not let in");
            other.join().unwrap();
            check_free(&g);
        });
        assert_ne!(done.cut, 0);
    }
}
