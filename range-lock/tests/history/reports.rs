//! What the lock says of its state.

use super::*;

/// Linux 2018, `range_is_locked` again: true for ranges that somebody merely waits for. Ours says
/// "held" and means it.
#[test]
fn linux_is_locked_does_not_count_waiters() {
    let lock = RangeLock::new();
    let holder = lock.read(0..10);
    thread::scope(|scope| {
        let writer = ask(scope, || lock.write(0..100));
        until_waiting(&lock, 1);
        assert!(lock.is_locked(0..10));
        assert!(!lock.is_locked(10..100));
        drop(holder);
        drop(writer.recv().unwrap());
    });
    check_free(&lock);
}

/// RocksDB d9d456de49: the owner of a lock is freed while another one's record says that it waits
/// for it, and the report made of that reads freed memory. A report here owns what it says.
#[test]
fn rocksdb_a_report_outlives_whom_it_names() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let report = thread::scope(|scope| {
        let waiter = ask(scope, || lock.read(0..10));
        until_waiting(&lock, 1);
        let report = lock.requests();
        drop(holder);
        drop(waiter.recv().unwrap());
        report
    });
    check_free(&lock);
    drop(lock);
    let [holder, waiter] = &report[..] else { panic!("{report:?}") };
    assert_eq!(waiter.waits_for(), [holder.id()]);
    assert!(format!("{waiter:?}").starts_with("#2 read 0..=9 waiting for #1 for "));
}
