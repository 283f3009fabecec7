//! Models of a lock whose domain is cut into leaves, and joined again, while it is used.

use super::*;

/// A lock that is cut at 5, and its data, whichever way the models go.
fn cut_in_two() -> Arc<Guarded> {
    let g = Arc::new(Guarded { lock: RangeLock::builder().max_leaves(3).build(), data: UnsafeCell::new(0) });
    assert!(__private::cut(&g.lock, 5));
    g
}

fn whole() -> Arc<Guarded> {
    Arc::new(Guarded { lock: RangeLock::builder().max_leaves(3).build(), data: UnsafeCell::new(0) })
}

pub(super) fn write_and_add(g: &Guarded, range: std::ops::Range<u64>) {
    let _guard = g.lock.write(range);
    g.add(1);
}

/// Tries the schedules with at most three preemptions, once.
fn once(f: impl Fn() + Send + Sync + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = model.preemption_bound.or(Some(3));
    model.check(f);
}

#[test]
fn a_cut_races_an_acquisition_and_its_release() {
    once(|| {
        let g = whole();
        let other = spawn(&g, |g| write_and_add(g, 3..9));
        assert!(__private::cut(&g.lock, 5));
        write_and_add(&g, 4..8);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

#[test]
fn a_cut_races_the_release_of_what_it_cuts() {
    once(|| {
        let g = whole();
        let held = g.lock.write(0..10);
        let other = spawn(&g, |g| {
            assert!(__private::cut(&g.lock, 5));
            write_and_add(g, 5..9);
        });
        g.add(1);
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

#[test]
fn a_cut_moves_those_who_wait() {
    once(|| {
        let g = whole();
        let held = g.lock.write(0..10);
        let other = spawn(&g, |g| write_and_add(g, 3..9));
        assert!(__private::cut(&g.lock, 5));
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 1);
        g.check_free();
    });
}

#[test]
fn a_cut_races_a_time_out() {
    once(|| {
        let g = whole();
        let held = g.lock.write(0..10);
        let other = spawn(&g, |g| {
            assert!(__private::cut(&g.lock, 5));
            write_and_add(g, 7..9);
        });
        assert!(g.lock.try_write_for(2..8, SOON).is_none());
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 1);
        g.check_free();
    });
}

#[test]
fn a_join_races_an_acquisition_and_its_release() {
    once(|| {
        let g = cut_in_two();
        let other = spawn(&g, |g| write_and_add(g, 4..8));
        assert!(__private::join(&g.lock, 0));
        write_and_add(&g, 6..9);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        assert_eq!(__private::parts(&g.lock), 1);
        g.check_free();
    });
}

#[test]
fn a_join_keeps_those_who_wait() {
    once(|| {
        let g = cut_in_two();
        let held = g.lock.write(7..10);
        let other = spawn(&g, |g| write_and_add(g, 6..9));
        assert!(__private::join(&g.lock, 0));
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 1);
        g.check_free();
    });
}

/// A request that crosses the border waits for one pair, however many leaves it lies in.
#[test]
fn a_join_changes_no_count() {
    once(|| {
        let g = cut_in_two();
        let held = g.lock.write(0..10);
        let other = spawn(&g, |g| write_and_add(g, 3..9));
        assert!(__private::join(&g.lock, 0));
        g.add(1);
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

#[test]
fn a_join_races_the_release_of_what_crosses() {
    once(|| {
        let g = cut_in_two();
        let held = g.lock.write(0..10);
        let other = spawn(&g, |g| {
            assert!(__private::join(&g.lock, 0));
            write_and_add(g, 2..9);
        });
        g.add(1);
        drop(held);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

#[test]
fn two_requests_that_cross_exclude_and_do_not_deadlock() {
    exhaustive(|| {
        let g = cut_in_two();
        let other = spawn(&g, |g| write_and_add(g, 3..9));
        write_and_add(&g, 0..7);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

/// A point is looked up, and by the time that its leaf is locked this has been joined, and is used
/// for another part.
#[test]
fn a_stale_route_leads_nowhere_wrong() {
    once(|| {
        let g = cut_in_two();
        let held = g.lock.write(6..7);
        let other = spawn(&g, |g| {
            assert!(g.lock.try_write(6..7).is_none());
            assert!(g.lock.try_write(8..9).is_some());
        });
        assert!(__private::join(&g.lock, 0));
        assert!(__private::cut(&g.lock, 8));
        other.join().unwrap();
        drop(held);
        g.check_free();
    });
}

/// Several spans of one request, while the leaves that they lie in are joined.
#[test]
fn a_request_for_two_spans_races_a_join() {
    once(|| {
        let g = cut_in_two();
        let other = spawn(&g, |g| {
            let both = [Request::write(&g.lock, 0..5), Request::write(&g.lock, 6..9)];
            let _both = RangeLock::acquire_many(both);
            g.add(1);
        });
        assert!(__private::join(&g.lock, 0));
        write_and_add(&g, 4..7);
        other.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

#[test]
fn a_downgrade_races_a_cut() {
    once(|| {
        let g = whole();
        let writer = g.lock.write(0..10);
        g.add(1);
        let other = spawn(&g, |g| {
            assert!(__private::cut(&g.lock, 5));
            let _guard = g.lock.read(7..12);
            g.get()
        });
        let downgraded = RangeWriteGuard::downgrade(writer);
        assert_eq!(other.join().unwrap(), 1);
        drop(downgraded);
        g.check_free();
    });
}

#[test]
fn an_upgrade_races_a_join() {
    once(|| {
        let g = cut_in_two();
        let looking = g.lock.upgradable_read(0..10);
        let other = spawn(&g, |g| {
            let reader = g.lock.read(6..8);
            assert!(__private::join(&g.lock, 0));
            drop(reader);
        });
        let writer = RangeUpgradableReadGuard::upgrade(looking);
        g.add(1);
        drop(writer);
        other.join().unwrap();
        g.check_free();
    });
}

/// The locks of three threads: what a request that crosses keeps out waits in both leaves.
#[test]
fn who_waits_in_one_leaf_and_who_waits_in_the_other_are_let_in_by_one_release() {
    model(|| {
        let g = cut_in_two();
        let held = g.lock.write(3..8);
        g.add(1);
        let others = [(0..4), (7..10)].map(|range| {
            spawn(&g, move |g| {
                let _guard = g.lock.read(range);
                g.get()
            })
        });
        drop(held);
        others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), 1));
        g.check_free();
    });
}
