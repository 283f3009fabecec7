//! `RangeRwLock`: every kind of storage, the bounds, and what is sound at the edges.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;
use std::time::{Duration, Instant};

use range_lock::{
    RangeRwLock, RangeRwLockReadGuard, RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard, Storage,
};

/// Writes from several threads at a time, reads everything back, and takes the storage out again.
fn fill_and_take<S: Storage<Item = u8> + Send>(storage: S) -> S {
    let lock = RangeRwLock::new(storage);
    let quarter = lock.len() / 4;
    thread::scope(|scope| {
        for part in 0..4 {
            let lock = &lock;
            scope.spawn(move || {
                let mut guard = lock.write(part * quarter..(part + 1) * quarter);
                guard.fill(part as u8);
                let (left, right) =
                    RangeRwLockWriteGuard::split_at(guard, if cfg!(miri) { 1 } else { quarter / 2 });
                drop(left);
                let reader = RangeRwLockWriteGuard::downgrade(right);
                assert!(reader.iter().all(|&b| b == part as u8));
            });
        }
    });
    let all = lock.read(..);
    assert!(all.iter().enumerate().all(|(i, &b)| b as usize == i / quarter));
    drop(all);
    let mut moved = lock;
    moved.get_mut()[0] = 77;
    assert_eq!(moved.read(0..1)[0], 77);
    moved.into_inner()
}

#[test]
fn every_kind_of_storage() {
    assert_eq!(fill_and_take([9; 64])[..2], [77, 0]);
    assert_eq!(fill_and_take(vec![9; 64]).len(), 64);
    assert_eq!(fill_and_take(vec![9; 64].into_boxed_slice()).len(), 64);
    let mut array = [9; 64];
    fill_and_take(&mut array[..]);
    assert_eq!(array[62..], [3, 3]);
}

#[test]
#[cfg(all(feature = "memmap2", not(miri)))]
fn an_anonymous_mapping() {
    let mapping = memmap2::MmapMut::map_anon(4096).unwrap();
    assert_eq!(fill_and_take(mapping)[..2], [77, 0]);
}

#[test]
fn a_vector_with_spare_capacity_keeps_it() {
    let mut vec = Vec::with_capacity(100);
    vec.push(String::from("a"));
    let lock = RangeRwLock::from(vec);
    lock.write(0..1)[0].push('b');
    let vec = lock.into_inner();
    assert_eq!((vec.len(), vec.capacity()), (1, 100));
    assert_eq!(vec, ["ab"]);
}

#[test]
fn elements_are_dropped_once() {
    struct Counted(Rc<Cell<usize>>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let dropped = Rc::new(Cell::new(0));
    drop(RangeRwLock::new(vec![Counted(dropped.clone()), Counted(dropped.clone())]));
    assert_eq!(dropped.get(), 2);
    drop(RangeRwLock::new([Counted(dropped.clone())]).into_inner());
    assert_eq!(dropped.get(), 3);
    std::mem::forget(RangeRwLock::new([Counted(dropped.clone())]));
    assert_eq!(dropped.get(), 3);
}

#[test]
fn out_of_bounds_panics_as_slices_do() {
    let lock = RangeRwLock::new([0; 10]);
    let message = |range: (std::ops::Bound<usize>, std::ops::Bound<usize>)| {
        let panic = catch_unwind(AssertUnwindSafe(|| drop(lock.write(range)))).unwrap_err();
        *panic.downcast::<String>().unwrap()
    };
    use std::ops::Bound::{Excluded, Included, Unbounded};
    assert_eq!(message((Included(0), Excluded(11))), "range end index 11 out of range for 10 elements");
    assert_eq!(message((Included(0), Included(10))), "range end index 11 out of range for 10 elements");
    assert_eq!(message((Included(11), Unbounded)), "range index starts at 11 but ends at 10");
    assert_eq!(message((Included(7), Excluded(3))), "range index starts at 7 but ends at 3");
    assert!(message((Unbounded, Included(usize::MAX))).contains("overflows"));
    assert!(message((Excluded(usize::MAX), Unbounded)).contains("overflows"));
    assert!(lock.range_lock().requests().is_empty(), "nothing is locked by what panics");
    assert!(lock.read(10..).is_empty());
    assert_eq!(lock.read(9..)[..], [0]);
}

#[test]
fn zero_sized_elements_and_no_elements() {
    let units = RangeRwLock::new(vec![(); usize::MAX]);
    assert_eq!((units.len(), units.is_empty()), (usize::MAX, false));
    let guard = units.write(1..usize::MAX);
    assert!(units.try_read(5..6).is_none());
    assert!(units.try_read(0..1).is_some());
    assert_eq!(guard.len(), usize::MAX - 1);
    let (left, right) = RangeRwLockWriteGuard::split_at(guard, 10);
    assert_eq!((left.len(), right.len()), (10, usize::MAX - 11));
    assert_eq!(RangeRwLockWriteGuard::range(&right), 11..usize::MAX);
    drop((left, right));

    let nothing = RangeRwLock::new(Vec::<u64>::new());
    assert!(nothing.is_empty());
    let all = nothing.write(..);
    assert_eq!(RangeRwLockWriteGuard::range(&all), 0..0);
    let (left, right) = RangeRwLockWriteGuard::split_at(all, 0);
    assert!(left.is_empty() && right.is_empty() && nothing.try_write(..).is_some());
}

#[test]
fn a_leaked_guard_leaves_the_rest_usable() {
    let mut lock = RangeRwLock::new(vec![1, 2, 3]);
    std::mem::forget(lock.write(0..1));
    assert!(lock.try_read(0..1).is_none());
    assert_eq!(lock.read(1..)[..], [2, 3]);
    lock.get_mut()[0] = 5;
    assert!(lock.try_read(0..1).is_none());
    lock.undo_leak();
    assert_eq!(lock.read(0..1)[0], 5);
    assert_eq!(lock.into_inner(), [5, 2, 3]);
}

#[test]
fn debug_prints_the_lock_and_not_the_elements() {
    let lock = RangeRwLock::new([7, 8, 9]);
    let _writer = lock.write(1..);
    assert_eq!(
        format!("{lock:?}"),
        "RangeRwLock { len: 3, lock: RangeLock { requests: [#1 write 1..=2 held] } }"
    );
}

#[test]
fn upgrade_and_split_keep_the_elements() {
    let lock = RangeRwLock::new([1, 2, 3, 4]);
    let looking = lock.upgradable_read(1..4);
    let reader = lock.read(0..2);
    let looking = RangeRwLockUpgradableReadGuard::try_upgrade(looking).unwrap_err();
    let (a, b) = RangeRwLockReadGuard::split_at(reader, 1);
    assert_eq!((&a[..], &b[..]), (&[1][..], &[2][..]));
    drop(b);
    let mut changing = RangeRwLockUpgradableReadGuard::upgrade(looking);
    changing[0] = 20;
    assert_eq!(format!("{changing:?}"), "[20, 3, 4]");
    drop(changing);
    drop(a);
    assert_eq!(lock.into_inner(), [1, 20, 3, 4]);
}

#[test]
#[should_panic(expected = "mid 3 is greater than 2")]
fn splitting_past_the_end_panics() {
    let lock = RangeRwLock::new([1, 2]);
    let _ = RangeRwLockReadGuard::split_at(lock.read(..), 3);
}

#[test]
fn every_way_between_the_modes_keeps_the_elements() {
    let lock = RangeRwLock::new([1, 2, 3, 4]);
    let writer = lock.write(1..3);
    let looking = RangeRwLockWriteGuard::downgrade_to_upgradable(writer);
    let reader = lock.read(..);
    let looking =
        RangeRwLockUpgradableReadGuard::try_upgrade_for(looking, Duration::from_micros(100)).unwrap_err();
    let looking = RangeRwLockUpgradableReadGuard::try_upgrade_until(looking, Instant::now()).unwrap_err();
    drop(reader);
    let mut writer = RangeRwLockUpgradableReadGuard::try_upgrade_for(looking, Duration::ZERO).unwrap();
    writer.fill(7);
    let looking = RangeRwLockWriteGuard::downgrade_to_upgradable(writer);
    let reader = RangeRwLockUpgradableReadGuard::downgrade(looking);
    assert_eq!(reader[..], [7, 7]);
    assert!(lock.try_upgradable_read(..).is_some() && lock.try_write(1..2).is_none());
    drop(reader);
    assert_eq!(lock.into_inner(), [1, 7, 7, 4]);
}

#[test]
fn a_shrunk_guard_has_the_elements_that_it_holds() {
    let lock = RangeRwLock::new([0, 1, 2, 3, 4, 5]);
    let mut writer = lock.write(1..);
    for past_the_end in [0..6, 6..6] {
        let shrink = AssertUnwindSafe(|| RangeRwLockWriteGuard::shrink(&mut writer, past_the_end));
        assert!(catch_unwind(shrink).is_err());
    }
    assert_eq!(writer[..], [1, 2, 3, 4, 5], "as it was");
    RangeRwLockWriteGuard::shrink(&mut writer, 1..4);
    assert_eq!((RangeRwLockWriteGuard::range(&writer), &writer[..]), (2..5, &[2, 3, 4][..]));
    let others = (lock.write(..2), lock.write(5..));
    writer.fill(9);
    assert!(lock.try_read(4..5).is_none());
    let mut reader = RangeRwLockWriteGuard::downgrade(writer);
    RangeRwLockReadGuard::shrink(&mut reader, 3..3);
    assert!(reader.is_empty() && lock.try_write(2..5).is_some());
    RangeRwLockReadGuard::shrink(&mut reader, ..);
    drop((reader, others));
    assert_eq!(lock.into_inner(), [0, 1, 9, 9, 9, 5]);

    let units = RangeRwLock::new(vec![(); usize::MAX]);
    let mut last = units.read(..);
    RangeRwLockReadGuard::shrink(&mut last, usize::MAX - 1..);
    assert_eq!(RangeRwLockReadGuard::range(&last), usize::MAX - 1..usize::MAX);
}

/// A waker that panics while a guard is shrunk must not leave it with elements that it does not
/// hold.
#[test]
#[cfg(feature = "async")]
fn a_panic_while_shrinking_leaves_no_element_that_is_not_held() {
    use std::future::Future;
    use std::sync::Arc;
    use std::task::{Context, Wake, Waker};

    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of the tests");
        }
    }

    let lock = RangeRwLock::new([0, 1, 2, 3]);
    let mut writer = lock.write(..);
    let mut waits = Box::pin(lock.range_lock().write_async(2..4));
    let waker = Waker::from(Arc::new(Panics));
    assert!(waits.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert!(catch_unwind(AssertUnwindSafe(|| RangeRwLockWriteGuard::shrink(&mut writer, ..2))).is_err());
    assert_eq!((RangeRwLockWriteGuard::range(&writer), &writer[..]), (0..2, &[0, 1][..]));
    assert!(waits.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
}

/// Tasks get the elements as threads do.
#[cfg(feature = "async")]
mod tasks {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_waits_is_granted_with_its_elements() {
        let lock = RangeRwLock::new([0, 1, 2, 3]);
        let mut writer = lock.write(..3);
        let (mut reads, mut looks, mut writes) =
            (lock.read_async(1..3), lock.upgradable_read_async(2..), lock.write_async(3..));
        assert!(poll(&mut reads).is_pending() && poll(&mut looks).is_pending());
        assert!(poll(&mut writes).is_pending(), "behind the upgradable reader");
        assert_eq!(format!("{reads:?}"), "ReadElements { waiting: true, .. }");
        writer[1] = 11;
        drop(writer);
        let Poll::Ready(read) = poll(&mut reads) else { panic!() };
        let Poll::Ready(looking) = poll(&mut looks) else { panic!() };
        assert_eq!((&read[..], &looking[..]), (&[11, 2][..], &[2, 3][..]));

        let mut upgrades = RangeRwLockUpgradableReadGuard::upgrade_async(looking);
        assert!(poll(&mut upgrades).is_pending(), "a reader is in");
        drop(read);
        let Poll::Ready(mut changing) = poll(&mut upgrades) else { panic!() };
        changing[1] = 33;
        drop(changing);
        let Poll::Ready(mut write) = poll(&mut writes) else { panic!() };
        assert_eq!(write[..], [33]);
        write[0] += 1;
        drop(write);
        assert_eq!(lock.read(..)[..], [0, 11, 2, 34]);
    }

    #[test]
    fn what_is_dropped_leaves_nothing() {
        let lock = RangeRwLock::new(vec![0; 10]);
        let reader = lock.read(..5);
        let mut writes = lock.write_async(..);
        assert!(poll(&mut writes).is_pending() && lock.try_read(9..).is_none());
        drop(writes);
        let mut upgrades = RangeRwLockUpgradableReadGuard::upgrade_async(lock.upgradable_read(..));
        assert!(poll(&mut upgrades).is_pending() && lock.try_read(9..).is_none());
        drop((upgrades, lock.read_async(..), reader));
        assert!(lock.range_lock().requests().is_empty());
    }

    #[test]
    #[should_panic(expected = "range end index 3 out of range for 2 elements")]
    fn out_of_bounds_panics_before_the_first_poll() {
        drop(RangeRwLock::new([1, 2]).write_async(..3));
    }
}
