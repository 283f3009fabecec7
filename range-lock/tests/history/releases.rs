//! Releases: a guard releases its own range, all of it, whichever way its section ends.

use super::*;

/// PhotonLibOS issue 1626 and thuaduc v0: unlocking by offset and length takes out the ranges of
/// other holders too.
#[test]
fn photon_one_of_two_equal_readers_leaves() {
    let lock = RangeLock::new();
    let (one, other) = (lock.read(0..10), lock.read(0..10));
    drop::<RangeReadGuard<'_>>(one);
    assert!(lock.try_write(0..10).is_none());
    drop(other);
    check_free(&lock);
}

/// Btrfs, "lock extents as we map them in DIO": an asynchronous read that comes back short leaves
/// its tail locked. An owned guard goes with the completion, and releases all that was locked.
#[test]
fn btrfs_short_completion_releases_everything() {
    let lock = Arc::new(RangeLock::new());
    let (submit, completions) = mpsc::channel::<(ArcRangeWriteGuard, usize)>();
    let device = thread::spawn(move || {
        for (mut guard, transferred) in completions {
            // What has been transferred is let go of first, the rest with the guard.
            let (first, last) = guard.range().into_inner();
            ArcRangeWriteGuard::shrink(&mut guard, first + transferred as u64..=last);
        }
    });
    submit.send((lock.write_arc(0..8192), 512)).unwrap();
    drop(submit);
    drop(lock.write(0..8192));
    device.join().unwrap();
    check_free(&lock);
}

/// Kirill Shutemov, "dax: use range_lock instead of i_mmap_lock" (linux-fsdevel, 10 August 2015):
/// an early return leaves the range locked, and one path unlocks where it should lock. Whichever
/// way a section is left, its guard goes with it.
#[test]
fn shutemov_an_early_return_unlocks() {
    let lock = RangeLock::new();
    let fault = |sigbus: bool| -> Result<(), &str> {
        let _guard = lock.read(0..10);
        if sigbus {
            return Err("SIGBUS");
        }
        panic!("in the middle of the section");
    };
    assert_eq!(fault(true), Err("SIGBUS"));
    check_free(&lock);
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fault(false))).is_err());
    check_free(&lock);
}

/// huhlig/rangelock and range-mutex: a leaked guard. Its range stays locked, the rest works, and
/// `undo_leak` frees it.
#[test]
fn a_leaked_guard_leaks_its_range_and_nothing_else() {
    let mut lock = RangeLock::new();
    std::mem::forget(lock.write(0..10));
    assert!(lock.try_read_for(5..15, SOON).is_none());
    drop(lock.write(10..));
    lock.undo_leak();
    check_free(&lock);
}
