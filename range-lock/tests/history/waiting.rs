//! Requests that wait: each keeps its mode and its turn until it is granted.

use super::*;

/// Linux, versions 1 and 2 of Bueso's lock. The task pointer is stored after the reader mark was
/// set in its lowest bit, and erases it. So readers that wait look like writers to later readers.
#[test]
fn linux_waiting_reader_stays_a_reader() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    thread::scope(|scope| {
        let readers: Vec<_> = (1..=3)
            .map(|n| {
                let reader = ask(scope, || lock.read(0..10));
                until_waiting(&lock, n);
                reader
            })
            .collect();
        drop(holder);
        assert_eq!(requests(&lock), ["read 0..=9 held"; 3], "one release lets all of them in");
        readers.into_iter().for_each(|reader| drop(reader.recv().unwrap()));
    });
    check_free(&lock);
}

/// Odinfs, the list-based lock: a reader that validates stops at the first overlapping reader, so
/// that a short reader in front hides a writer behind it.
#[test]
fn odinfs_reader_does_not_hide_a_writer() {
    let lock = RangeLock::new();
    let holders = (lock.read(2..3), lock.write(5..8));
    assert!(lock.try_read(0..10).is_none());
    thread::scope(|scope| {
        let reader = ask(scope, || lock.read(0..10));
        until_waiting(&lock, 1);
        drop(holders.0);
        assert_eq!(waiting(&lock), 1);
        drop(holders.1);
        drop(reader.recv().unwrap());
    });
    check_free(&lock);
}

/// Odinfs: resizing the table of segments frees the one in use. Ours grows its arena.
#[test]
fn odinfs_growing_keeps_held_and_waiting_requests() {
    let lock = RangeLock::new();
    let holder = lock.write(0..1);
    thread::scope(|scope| {
        let waiter = ask(scope, || lock.write(0..1));
        until_waiting(&lock, 1);
        let many: Vec<_> = (1..=1000).map(|n| lock.write(n..n + 1)).collect();
        drop(holder);
        drop(waiter.recv().unwrap());
        drop(many);
    });
    check_free(&lock);
}

/// Lustre LU-15994 and LU-8735: any signal ends the wait. Here: an unpark that is none of the
/// lock's.
#[test]
fn lustre_a_stray_wake_up_is_not_a_grant() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let granted = AtomicUsize::new(0);
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            drop(lock.write(0..10));
            granted.store(1, Ordering::SeqCst);
        });
        until_waiting(&lock, 1);
        for _ in 0..100 {
            sleeper.thread().unpark();
            thread::yield_now();
        }
        assert_eq!(requests(&lock), ["write 0..=9 held", "write 0..=9 waiting"]);
        assert_eq!(granted.load(Ordering::SeqCst), 0);
        drop(holder);
    });
    check_free(&lock);
}

/// TiKV's `RangeLatch`: later requests pass earlier ones, without end. Conflicting requests are
/// granted in their order.
#[test]
fn tikv_nobody_jumps_the_queue() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let (granted, order) = mpsc::channel();
    thread::scope(|scope| {
        for n in 0..5 {
            let (lock, granted) = (&lock, granted.clone());
            scope.spawn(move || {
                let guard = lock.write(0..10);
                granted.send(n).unwrap();
                drop(guard);
            });
            until_waiting(lock, n + 1);
        }
        assert!(lock.try_read(5..6).is_none(), "a try does not pass those who wait either");
        drop(holder);
    });
    drop(granted);
    assert_eq!(order.iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    check_free(&lock);
}

/// Zijlstra's question to Bueso (linux-kernel, 15 May 2017): does a request wait for ever behind a
/// stream of others? A writer that waits keeps later readers out, also where only it, and no
/// holder, overlaps them.
#[test]
fn zijlstra_a_waiting_writer_is_not_starved() {
    let lock = RangeLock::new();
    let reader = lock.read(0..10);
    thread::scope(|scope| {
        let writer = ask(scope, || lock.write(5..96));
        until_waiting(&lock, 1);
        assert!(lock.try_read(0..10).is_none(), "a later reader waits behind the writer");
        assert!(lock.try_read(0..5).is_some(), "where it does not overlap it, it does not");
        assert!(lock.try_read(90..100).is_none(), "where nobody holds anything, it does");
        drop(reader);
        drop(writer.recv().unwrap());
    });
    check_free(&lock);
}
