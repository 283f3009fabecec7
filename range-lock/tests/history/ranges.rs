//! Ranges and their ends: a range locks its own points, and no others.

use super::*;

/// Linux, `range_write_trylock` and `range_is_locked`: they compare with the hull of all ranges in
/// the tree, so a hole between two holders counts as locked.
#[test]
fn linux_try_write_in_a_hole_between_holders() {
    let lock = RangeLock::new();
    let edges = (lock.write(0..10), lock.write(90..100));
    assert!(!lock.is_locked(40..50));
    assert!(lock.try_write(40..50).is_some());
    assert!(lock.try_write(10..90).is_some());
    assert!(lock.try_write(9..90).is_none());
    assert!(lock.try_read(10..91).is_none());
    drop(edges);
    check_free(&lock);
}

/// raphaelsc/byte-range-lock-cpp: a range whose end lies inside a block leaves that block unlocked.
#[test]
fn raphaelsc_last_unaligned_part_is_locked() {
    let lock = RangeLock::new();
    let holder = lock.write(1023..1025);
    assert!(lock.try_write(1024..1025).is_none());
    assert!(lock.try_write(1023..1024).is_none());
    assert!(lock.try_write(1025..1026).is_some());
    assert!(lock.try_write(1022..1023).is_some());
    drop(holder);
    check_free(&lock);
}

/// OpenZFS #8379 and 9abbee4912: a range of length zero corrupts the tree.
#[test]
fn zfs_zero_length_range() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let empty = (lock.write(5..5), lock.read(5..5), lock.try_write(0..0).unwrap());
    assert!(empty.0.range().is_empty());
    assert_eq!(requests(&lock), ["write 0..=9 held"], "an empty range never enters");
    drop(holder);
    assert!(lock.try_write(..).is_some(), "and conflicts with nothing");
    assert!(!lock.is_locked(5..5));
    let (left, right) = RangeWriteGuard::split_at(empty.0, 77);
    drop(RangeWriteGuard::downgrade(left));
    drop((right, empty.1, empty.2));
    check_free(&lock);
}

/// OpenZFS #8379, the other end: ranges that reach the largest offset there is.
#[test]
fn zfs_range_up_to_the_maximum() {
    let lock = RangeLock::new();
    for range in [0..=u64::MAX, u64::MAX..=u64::MAX, 1 << 63..=u64::MAX] {
        let holder = lock.write(range);
        assert!(lock.try_read(u64::MAX..).is_none());
        assert!(lock.try_read(u64::MAX - 1..=u64::MAX).is_none());
        drop(holder);
        check_free(&lock);
    }
    let holder = lock.write(..u64::MAX);
    assert!(lock.try_write(u64::MAX..).is_some());
    drop(holder);
    check_free(&lock);
}

/// OpenZFS 7ff329ac2e: a range wider than needed serialises everything. Two disjoint writers must
/// be able to meet inside.
#[test]
fn zfs_disjoint_writers_meet_inside() {
    let lock = RangeLock::new();
    let inside = Barrier::new(2);
    thread::scope(|scope| {
        for range in [0..4096, 4096..8192] {
            let (lock, inside) = (&lock, &inside);
            scope.spawn(move || {
                let _guard = lock.write(range);
                inside.wait();
            });
        }
    });
    check_free(&lock);
}

/// FreeBSD, `rangelock_may_recurse`: in its first mode the lock is one word, and a thread that
/// takes two disjoint ranges waits for itself.
#[test]
fn freebsd_one_thread_takes_two_ranges() {
    let lock = RangeLock::new();
    let first = lock.write(0..10);
    let second = lock.write(20..30);
    let third = lock.read(10..20);
    assert_eq!(lock.requests().len(), 3);
    drop((first, second, third));
    check_free(&lock);
}

/// Sanglok99/lock-free-range-lock: readers wait for writers that they do not overlap.
#[test]
fn sanglok_reader_ignores_a_disjoint_writer() {
    let lock = RangeLock::new();
    let writer = lock.write(20..30);
    drop(lock.read(0..10));
    drop(lock.read(30..40));
    drop(writer);
    check_free(&lock);
}

/// classicsong/Range-Lock: the key is the start shifted left by one, and loses its highest bit.
#[test]
fn song_high_offsets_are_distinct() {
    let lock = RangeLock::new();
    let high = lock.write(1 << 63..(1 << 63) + 10);
    assert!(lock.try_write(0..10).is_some());
    assert!(lock.try_write(1 << 63..=1 << 63).is_none());
    assert!(lock.try_write((1 << 63) + 10..).is_some());
    drop(high);
    check_free(&lock);
}
