//! Models of requests that are registered with one of several that keep them out, and looked at
//! again when that one goes.

use super::partition::write_and_add;
use super::*;

/// The request in the middle is registered with one of the others, and when that goes with the
/// other, while the leaf is cut under all of them.
#[test]
fn a_second_look_races_a_cut() {
    model(|| {
        let g =
            Arc::new(Guarded { lock: RangeLock::builder().max_leaves(3).build(), data: UnsafeCell::new(0) });
        let (left, right) = (g.lock.write(0..4), g.lock.write(6..10));
        let middle = spawn(&g, |g| write_and_add(g, 3..8));
        let cutter = spawn(&g, |g| assert!(__private::cut(&g.lock, 5)));
        drop(left);
        g.add(1);
        drop(right);
        middle.join().unwrap();
        cutter.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

/// The same while the leaves are joined.
#[test]
fn a_second_look_races_a_join() {
    model(|| {
        let g =
            Arc::new(Guarded { lock: RangeLock::builder().max_leaves(3).build(), data: UnsafeCell::new(0) });
        assert!(__private::cut(&g.lock, 5));
        let (left, right) = (g.lock.write(0..4), g.lock.write(6..10));
        let middle = spawn(&g, |g| write_and_add(g, 3..8));
        let joiner = spawn(&g, |g| assert!(__private::join(&g.lock, 0)));
        drop(left);
        g.add(1);
        drop(right);
        middle.join().unwrap();
        joiner.join().unwrap();
        assert_eq!(g.get(), 2);
        g.check_free();
    });
}

/// The reader waits in the right leaf only. The upgrade, in the left one, finds it waiting, and it
/// has to wait for the writer; or it finds that it has been let in, and waits for it.
#[test]
fn an_upgrade_in_one_leaf_races_a_grant_through_the_other() {
    model(|| {
        let g = Guarded::new();
        let looking = g.lock.upgradable_read(0..3);
        let elsewhere = spawn(&g, |g| drop(g.lock.write(7..9)));
        let reader = spawn(&g, |g| {
            let _guard = g.lock.read(0..10);
            g.get()
        });
        let writer = RangeUpgradableReadGuard::upgrade(looking);
        g.add(1);
        drop(writer);
        elsewhere.join().unwrap();
        assert!(reader.join().unwrap() <= 1);
        g.check_free();
    });
}

#[test]
fn three_requests_over_two_leaves() {
    model_of_many_schedules(|| {
        let g = Guarded::new();
        let others = [0..10, 4..6].map(|range| spawn(&g, move |g| write_and_add(g, range)));
        write_and_add(&g, 2..8);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(g.get(), 3);
        g.check_free();
    });
}
