//! Programs that users of range locks have written, and that have to compile.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use range_lock::{
    ArcRangeRwLockUpgradableReadGuard, ArcRangeRwLockWriteGuard, MappedRangeRwLockReadGuard,
    MappedRangeRwLockWriteGuard, RangeLock, RangeRwLock, RangeRwLockReadGuard, RangeRwLockWriteGuard,
};

#[test]
fn what_was_borrowed_is_used_after_the_last_use_of_the_lock() {
    let mut array = [0; 8];
    let mut vec = vec![0; 8];
    let in_array = RangeRwLock::new(&mut array);
    let in_slice = RangeRwLock::new(&mut vec[..]);
    in_array.write(2..4).fill(1);
    in_slice.write(4..).copy_from_slice(&in_array.read(..4));
    // Both locks are still there, and are dropped at the end.
    assert_eq!(array, [0, 0, 1, 1, 0, 0, 0, 0]);
    assert_eq!(vec, [0, 0, 0, 0, 0, 0, 1, 1]);
}

#[test]
fn an_array_by_reference_is_given_back() {
    let mut array = [1, 2, 3];
    let lock = RangeRwLock::new(&mut array);
    lock.write(1..)[0] = 7;
    let back: &mut [i32; 3] = lock.into_inner();
    assert_eq!(*back, [1, 7, 3]);
}

#[test]
fn elements_that_must_not_be_shared_are_locked_by_several_threads() {
    let lock = Arc::new(RangeRwLock::new(vec![Cell::new(0); 4]));
    std::thread::scope(|scope| {
        for n in 0..4 {
            let lock = &lock;
            scope.spawn(move || {
                for _ in 0..100 {
                    let cells = lock.write(n / 2..4);
                    cells.iter().for_each(|cell| cell.set(cell.get() + 1));
                }
                let guard = lock.write_arc(..1);
                scope.spawn(move || guard[0].set(guard[0].get() + 1));
            });
        }
    });
    let cells = Arc::into_inner(lock).expect("all guards are gone").into_inner();
    assert_eq!(cells.iter().map(Cell::get).collect::<Vec<_>>(), [204, 400, 400, 400]);
}

#[test]
fn owned_guards_of_data_outlive_the_callers_share_of_the_lock() {
    let lock = Arc::new(RangeRwLock::new(vec![3, 1, 2, 9]));
    let looking = lock.upgradable_read_arc(..3);
    let last = lock.write_arc(3..);
    drop(lock);
    let sorted = std::thread::spawn(move || {
        let mut changing = ArcRangeRwLockUpgradableReadGuard::upgrade(looking);
        changing.sort();
        ArcRangeRwLockWriteGuard::downgrade(changing)
    });
    drop(last);
    assert_eq!(sorted.join().expect("it has not panicked")[..], [1, 2, 3]);
}

#[test]
fn the_storage_is_dropped_once_with_the_lock_or_taken_out_of_it() {
    let item = Arc::new(());
    for storage in [vec![item.clone(); 3], Vec::with_capacity(8)] {
        drop(RangeRwLock::new(storage.clone()));
        drop(RangeRwLock::new(storage.clone().into_boxed_slice()));
        drop(RangeRwLock::new(storage.clone()).into_inner());
        drop(RangeRwLock::new(storage.into_boxed_slice()).into_inner());
    }
    drop(RangeRwLock::new([item.clone(), item.clone()]));
    assert_eq!(Arc::strong_count(&item), 1);
}

#[test]
fn a_lock_with_settings_of_its_own_owns_data() {
    let lock = RangeLock::builder().max_leaves(1).build();
    std::mem::forget(lock.write(..2));
    let mut table = RangeRwLock::with_lock([0; 4], lock);
    assert!(table.try_read(1..3).is_none()); // What was leaked stays locked,
    assert!(table.try_read_for(2.., Duration::ZERO).is_some());
    table.undo_leak(); // until it is forgotten.
    assert!(table.try_read(..).is_some());
}

#[test]
fn a_mapped_guard_holds_the_whole_range() {
    let lock = RangeRwLock::new([(1, "one".to_owned()), (2, "two".to_owned())]);
    let mut name = RangeRwLockWriteGuard::map(lock.write(..), |pairs| &mut pairs[1].1);
    name.push('!');
    let mut text = MappedRangeRwLockWriteGuard::map(name, |name| name.as_mut_str());
    text.make_ascii_uppercase();
    assert!(lock.try_read(..1).is_none());
    drop(text);
    let pair = RangeRwLockReadGuard::map(lock.read(1..), |pairs| &pairs[0]);
    let name = MappedRangeRwLockReadGuard::map(pair, |pair| pair.1.as_str());
    assert_eq!(&*name, "TWO!");
    assert_eq!(MappedRangeRwLockReadGuard::id(&name), Some(lock.range_lock().requests()[0].id()));
    assert!(lock.try_write(..1).is_some());
    assert!(lock.try_write(1..).is_none());
}

#[test]
fn a_guard_that_panics_while_it_is_mapped_releases() {
    let lock = RangeRwLock::new([1, 2]);
    let panics = std::panic::AssertUnwindSafe(|| {
        let _never = RangeRwLockWriteGuard::map(lock.write(..), |_| -> &mut i32 { panic!("planned") });
    });
    std::panic::catch_unwind(panics).expect_err("it panics");
    assert!(lock.try_write(..).is_some());
}

#[test]
fn guards_name_their_requests() {
    let lock = Arc::new(RangeLock::new());
    let (reader, writer) = (lock.read(0..10), lock.write_arc(20..30));
    let listed: Vec<_> = lock.requests().iter().map(|request| request.id()).collect();
    assert_eq!([reader.id(), writer.id()].map(Option::unwrap), listed[..]);
    let id = writer.id();
    let (left, right) = range_lock::ArcRangeWriteGuard::split_at(writer, 25);
    assert_eq!(left.id(), id);
    assert_ne!(right.id(), id);
    assert_eq!(lock.read(5..5).id(), None);
}
