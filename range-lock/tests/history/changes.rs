//! Guards that are changed while other requests wait: upgrade, downgrade, shrink and split.

use super::*;

/// Odinfs, `range_write_upgrade`: locks `[0, start - 2]` instead of the range.
#[test]
fn odinfs_upgrade_keeps_to_its_range() {
    let lock = RangeLock::new();
    let upgraded = RangeUpgradableReadGuard::upgrade(lock.upgradable_read(1000..2000));
    assert_eq!(upgraded.range(), 1000..=1999);
    assert!(lock.try_write(..1000).is_some());
    assert!(lock.try_write(2000..).is_some());
    for inside in [1000, 1500, 1999] {
        assert!(lock.try_read(inside..=inside).is_none());
    }
    drop(upgraded);
    check_free(&lock);
}

/// RocksDB c9878baa87: the request's own shared lock counts as a blocker of its upgrade.
#[test]
fn rocksdb_own_read_does_not_block_the_upgrade() {
    let lock = RangeLock::new();
    let looking = lock.upgradable_read(0..10);
    let changing = RangeUpgradableReadGuard::try_upgrade(looking).expect("nobody else is in");
    let looking = RangeWriteGuard::downgrade_to_upgradable(changing);
    let reader = lock.read(5..15);
    let looking = RangeUpgradableReadGuard::try_upgrade(looking).expect_err("a reader is in");
    let looking = RangeUpgradableReadGuard::try_upgrade_for(looking, SOON).expect_err("a reader is in");
    drop(lock.try_read(0..10).expect("an upgrade that was given up keeps no reader out"));
    thread::scope(|scope| {
        let changing = ask(scope, || RangeUpgradableReadGuard::upgrade(looking));
        until_waiting(&lock, 1);
        assert!(lock.try_read(0..1).is_none(), "nobody passes an upgrade");
        drop(reader);
        drop(changing.recv().unwrap());
    });
    check_free(&lock);
}

/// Lustre f785bca0a9: a split that is wrong after the data structure changed. The parts are
/// disjoint and make up the whole, and a request that waited for both halves waits for both.
#[test]
fn lustre_split_keeps_waiters_out() {
    let lock = RangeLock::new();
    let holder = lock.write(0..100);
    thread::scope(|scope| {
        let left_only = ask(scope, || lock.write(0..50));
        until_waiting(&lock, 1);
        let right_only = ask(scope, || lock.write(50..100));
        until_waiting(&lock, 2);
        let middle = ask(scope, || lock.write(49..=50));
        until_waiting(&lock, 3);
        let (left, right) = RangeWriteGuard::split_at(holder, 50);
        assert_eq!((left.range(), right.range()), (0..=49, 50..=99));
        assert_eq!(waiting(&lock), 3, "a split lets nobody in");
        drop(left);
        let left_only = left_only.recv().unwrap();
        assert_eq!(waiting(&lock), 2);
        drop(right);
        let right_only = right_only.recv().unwrap();
        assert_eq!(waiting(&lock), 1, "the one in the middle waits for both of them");
        drop(left_only);
        assert_eq!(waiting(&lock), 1);
        drop(right_only);
        drop(middle.recv().unwrap());
    });
    check_free(&lock);
}

/// SPDK cc4335f442: a child of a split I/O queues behind the request that its parent keeps out.
/// Parts inherit the hold.
#[test]
fn spdk_split_parts_inherit_the_hold() {
    let lock = RangeLock::new();
    let parent = lock.write(0..100);
    thread::scope(|scope| {
        let whole = ask(scope, || lock.write(..));
        until_waiting(&lock, 1);
        let (first, rest) = RangeWriteGuard::split_at(parent, 30);
        let (second, third) = RangeWriteGuard::split_at(rest, 60);
        thread::scope(|scope| {
            for part in [first, second, third] {
                scope.spawn(move || drop(part));
            }
        });
        drop(whole.recv().unwrap());
    });
    check_free(&lock);
}

/// Asterinas #1217 and #1474, MatrixOne #24632: a waiter whose condition is never looked at again
/// after what it waits for has changed its shape. Here it shrinks, from either end, and is
/// downgraded.
#[test]
fn matrixone_waiter_is_granted_when_the_range_changes_shape() {
    let lock = RangeLock::new();
    let mut holder = lock.write(0..100);
    thread::scope(|scope| {
        let front = ask(scope, || lock.write(0..10));
        until_waiting(&lock, 1);
        let back = ask(scope, || lock.write(90..100));
        until_waiting(&lock, 2);
        let middle = ask(scope, || lock.read(40..60));
        until_waiting(&lock, 3);
        RangeWriteGuard::shrink(&mut holder, 10..100);
        drop(front.recv().unwrap());
        assert_eq!(waiting(&lock), 2);
        RangeWriteGuard::shrink(&mut holder, 10..90);
        drop(back.recv().unwrap());
        assert_eq!(waiting(&lock), 1);
        let holder = RangeWriteGuard::downgrade(holder);
        drop(middle.recv().unwrap());
        drop(holder);
    });
    check_free(&lock);
}
