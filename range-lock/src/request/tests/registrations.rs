//! What is registered with whom: how many entries a release looks at again, and that an upgrade is
//! before the requests that came first.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::MEANWHILE;
use crate::interval_tree::VISITS;
use crate::leaf::tests::LOOKS;
use crate::sync::Arc;
use crate::{
    __private, RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard, Request, future,
};

fn poll<T: Future>(future: &mut Pin<Box<T>>) -> Poll<T::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Futures that have been polled, and wait.
fn waiting<T: Future>(futures: impl IntoIterator<Item = T>) -> Vec<Pin<Box<T>>> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    futures.iter_mut().for_each(|future| assert!(poll(future).is_pending()));
    futures
}

/// A reader that had to wait, and is held.
fn reader_that_waited(lock: &RangeLock) -> Poll<RangeReadGuard<'_>> {
    let writer = lock.write(0..10);
    let mut one = Box::pin(lock.read_async(0..10));
    assert!(poll(&mut one).is_pending());
    drop(writer);
    poll(&mut one)
}

/// Writers of one range are in no tree but for the first, however many wait. A request for part of
/// the range and one for more are let in in their order nevertheless.
#[test]
fn twins_stand_behind_each_other() {
    let lock = RangeLock::new();
    let before = VISITS.get();
    let mut guard = lock.write(0..10);
    let mut twins = waiting((0..100).map(|_| lock.write_async(0..10))).into_iter();
    for twin in twins.by_ref().take(50) {
        guard = next(guard, twin);
    }
    assert_eq!(VISITS.get(), before, "twins visit no tree");
    let others = waiting([5..6, 0..20, 0..10, 0..10].map(|range| lock.write_async(range)));
    for other in twins.chain(others) {
        guard = next(guard, other);
    }
    drop(guard);
    assert!(lock.requests().is_empty());
}

/// Hands the range over.
fn next<'l, T: Future<Output = RangeWriteGuard<'l>>>(
    guard: RangeWriteGuard<'l>,
    mut waiting: Pin<Box<T>>,
) -> RangeWriteGuard<'l> {
    assert!(poll(&mut waiting).is_pending(), "it is not its turn");
    drop(guard);
    let Poll::Ready(next) = poll(&mut waiting) else { panic!("it is its turn") };
    next
}

fn looks(f: impl FnOnce()) -> usize {
    let before = LOOKS.get();
    f();
    LOOKS.get() - before
}

/// What `f` returns, and how much each of so many operations in it looked at: nodes of trees, and
/// entries that were looked at again. At most 4 log2 of them.
fn cheap<T>(what: &str, operations: usize, f: impl FnOnce() -> T) -> T {
    let before = (VISITS.get(), LOOKS.get());
    let value = f();
    let looked = VISITS.get() - before.0 + LOOKS.get() - before.1;
    let each = looked as f64 / operations as f64;
    println!("{what}, {operations} operations: {each:.1} looks each");
    assert!(each <= 4.0 * (operations as f64).log2(), "{what}: {each:.1} looks in each of {operations}");
    value
}

/// In which order what is in hand goes.
fn in_order<T>(mut all: Vec<T>, order: &str) -> Vec<T> {
    match order {
        "first first" => {}
        "last first" => all.reverse(),
        _ => {
            let mut random = 1_u64;
            for end in (1..all.len()).rev() {
                random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                all.swap(end, (random >> 33) as usize % (end + 1));
            }
        }
    }
    all
}

/// The cases of the benchmark `many_at_one_place`, whose times also hold how far away memory is.
#[test]
fn an_operation_among_many_looks_at_few() {
    let sizes: &[usize] = if cfg!(miri) { &[100] } else { &[1000, 10_000] };
    sizes.iter().for_each(|&m| all_cases(m));
}

#[test]
#[ignore = "takes seconds; the other sizes show the same"]
fn an_operation_among_a_hundred_thousand_looks_at_few() {
    all_cases(100_000);
}

fn all_cases(m: usize) {
    writers_and_readers(m);
    for order in ["first first", "last first", "at random"] {
        releases_and_futures(m, order);
    }
    wide_ones(m);
}

fn writers_and_readers(m: usize) {
    let lock = RangeLock::new();
    let mut before = Some(lock.write(0..10));
    let writers = cheap("writers that enter", m, || waiting((0..m).map(|_| lock.write_async(0..10))));
    cheap("writers in turn", m, || {
        for mut writer in writers {
            drop(before.take());
            let Poll::Ready(guard) = poll(&mut writer) else { panic!("it is its turn") };
            before = Some(guard);
        }
    });
    drop(before);
    let _readers: Vec<_> = cheap("readers that enter", m, || (0..m).map(|_| lock.read(..)).collect());
    cheap("readers beside readers", m, || {
        (0..m as u64).for_each(|n| drop(lock.read(n..n + 10)));
    });
}

fn releases_and_futures(m: usize, order: &str) {
    let lock = RangeLock::new();
    let _one = reader_that_waited(&lock);
    for merged in [false, true] {
        assert!(!merged || __private::cut(&lock, 5));
        let readers = in_order((0..m).map(|_| lock.read(0..10)).collect(), order);
        if merged {
            _ = __private::join(&lock, 0); // They may have joined them already.
            assert_eq!(__private::parts(&lock), 1);
        }
        cheap(&format!("releases {order}, merged: {merged}"), m, || drop(readers));
    }
    let lock = RangeLock::new();
    let _holder = lock.write(0..10);
    let writers = in_order(waiting((0..m).map(|_| lock.write_async(0..10))), order);
    cheap(&format!("futures dropped {order}"), m, || drop(writers));
    let both: Vec<_> = (0..m)
        .map(|n| (n % 2 == 0).then(|| lock.write_async(0..10)).ok_or_else(|| lock.read_async(0..10)))
        .map(|future| async move {
            match future {
                Ok(writer) => drop(writer.await),
                Err(reader) => drop(reader.await),
            }
        })
        .collect();
    let both = in_order(waiting(both), order);
    cheap(&format!("half readers, dropped {order}"), m, || drop(both));
}

fn wide_ones(m: usize) {
    let lock = RangeLock::new();
    let readers: Vec<_> = (0..1000).map(|_| lock.read(..)).collect();
    let mut writers = waiting((0..m as u64).map(|n| lock.write_async(n..=n)));
    // Each writer is looked at O(log 1000) times. For how many looks: see below.
    let before = LOOKS.get();
    drop(readers);
    let each = (LOOKS.get() - before) as f64 / m as f64;
    println!("narrow writers behind 1000 wide readers, {m}: {each:.1} looks at each");
    assert!(each <= 20.0 * 1000_f64.log2(), "{each} looks at each of {m} writers");
    assert!(writers.iter_mut().all(|writer| poll(writer).is_ready()));
    drop(writers);

    let lock = RangeLock::builder().max_leaves(64).build();
    (1..64).for_each(|part| assert!(__private::cut(&lock, part * 100)));
    let n = m / 64;
    let readers: Vec<_> =
        cheap("readers of 64 parts", 64 * n.max(2), || (0..n).map(|_| lock.read(..)).collect());
    cheap("readers of 64 parts that leave", 64 * n.max(2), || drop(readers));
}

/// The reader came first. The upgrade, granted at once, is in its way nevertheless.
#[test]
fn an_upgrade_is_before_whoever_waits() {
    for cut in [None, Some(5), Some(15)] {
        let lock = RangeLock::new();
        assert!(cut.is_none_or(|at| __private::cut(&lock, at)));
        let (w0, x) = (lock.write(0..10), lock.write(20..30));
        let mut r = Box::pin(lock.read_async(0..30));
        let mut u = Box::pin(lock.upgradable_read_async(0..10));
        assert!(poll(&mut r).is_pending() && poll(&mut u).is_pending());
        drop(w0);
        let Poll::Ready(u) = poll(&mut u) else { panic!("nothing is in its way") };
        let u = RangeUpgradableReadGuard::upgrade(u);
        drop(x);
        assert!(poll(&mut r).is_pending(), "it reads beside a writer");
        drop(u);
        assert!(poll(&mut r).is_ready());
    }
}

/// Those of one range stand behind each other. Those of different ranges are registered, each with
/// the one before it.
#[test]
fn writers_that_overlap_are_a_chain() {
    for longer in [0, 1] {
        let lock = RangeLock::new();
        let guard = lock.write(0..10);
        let writers = waiting((0..1000).map(|n| lock.write_async(0..10 + n * longer)));
        let looked = looks(|| drop(writers.into_iter().fold(guard, next)));
        assert!(looked <= 1000, "{looked} looks in 1000 releases, each range longer by {longer}");
    }
}

#[test]
fn futures_that_give_up_are_linear_in_any_order() {
    for order in 0..3 {
        let lock = RangeLock::new();
        let _holder = lock.write(0..10);
        let mut writers = waiting((0..1000).map(|_| lock.write_async(0..10)));
        match order {
            0 => {}
            1 => writers.reverse(),
            _ => writers
                .sort_by_key(|future| std::ptr::from_ref(&**future).addr().wrapping_mul(0x9e37_79b9) % 1009),
        }
        let looked = looks(|| drop(writers));
        assert!(looked <= 1000, "{looked} looks in 1000 cancellations, order {order}");
    }
}

#[test]
fn narrow_writers_behind_wide_readers_are_looked_at_a_few_times_each() {
    let (wide, narrow) = (1000_u64, 200_u64);
    let lock = RangeLock::new();
    let readers: Vec<_> = (0..wide).map(|_| lock.read(..)).collect();
    let mut writers: Vec<Pin<Box<future::Write<'_>>>> = waiting((0..narrow).map(|n| lock.write_async(n..=n)));
    let looked = looks(|| drop(readers)) as u64;
    let most = narrow * 20 * u64::from(wide.ilog2());
    assert!(looked <= most, "{looked} looks at {narrow} writers");
    assert!(writers.iter_mut().all(|writer| poll(writer).is_ready()));
}

#[test]
fn a_reader_that_leaves_beside_one_that_waited_looks_at_nobody() {
    let lock = RangeLock::new();
    let _one = reader_that_waited(&lock);
    let readers: Vec<_> = (0..1000).map(|_| lock.read(0..10)).collect();
    assert_eq!(looks(|| drop(readers)), 0);
}

/// However many readers wait elsewhere, an upgrade that one reader prevents moves none of them.
/// That reader was let in at once, or waited in the leaf of the upgrade, or in another one.
#[test]
fn a_try_upgrade_that_a_reader_prevents_looks_at_nobody() {
    for waited_at in [None, Some(0..5), Some(150..160)] {
        let lock = RangeLock::builder().max_leaves(2).build();
        assert!(__private::cut(&lock, 100));
        let before = waited_at.clone().map(|range| lock.write(range));
        let mut reader = Box::pin(lock.read_async(0..200));
        let entered = poll(&mut reader);
        drop(before);
        let entered = if entered.is_ready() { entered } else { poll(&mut reader) };
        assert!(entered.is_ready());
        let _elsewhere = lock.write(250..260);
        let _readers = waiting((0..10).map(|_| lock.read_async(0..300)));
        let looking = lock.upgradable_read(0..10);
        let mut kept = None;
        let looked = looks(|| kept = RangeUpgradableReadGuard::try_upgrade(looking).err());
        assert!(kept.is_some(), "a reader is in");
        assert_eq!(looked, 0, "the reader waited at {waited_at:?}");
    }
}

/// Readers that waited in the leaf of the upgrade are in the lane of those that are held. So are
/// readers that waited in a leaf which has been joined to it.
#[test]
fn an_upgrade_beside_readers_that_waited_visits_few() {
    for is_cut in [false, true] {
        let lock = RangeLock::new();
        assert!(!is_cut || __private::cut(&lock, 5));
        let before = lock.write(7..8);
        let mut readers = waiting((0..40).map(|_| lock.read_async(0..10)));
        drop(before);
        let _readers: Vec<_> = readers.iter_mut().map(poll).collect();
        assert!(!is_cut || __private::join(&lock, 0), "they have joined the leaves themselves");
        let looking = lock.upgradable_read(0..3);
        let mut upgrade = Box::pin(RangeUpgradableReadGuard::upgrade_async(looking));
        let before = VISITS.get();
        assert!(poll(&mut upgrade).is_pending());
        let visits = VISITS.get() - before;
        assert!(visits <= 10, "{visits} visits, cut and joined: {is_cut}");
    }
}

/// Two readers wait because of other locks. One is let in between the look at them and the upgrade,
/// which has put the other one behind itself when it finds that.
#[test]
fn a_try_upgrade_that_fails_late_lets_go_of_those_it_has_put_behind() {
    let (lock, one, other) = (RangeLock::new(), Arc::new(RangeLock::new()), RangeLock::new());
    let looking = lock.upgradable_read(0..10);
    let (in_one, in_other) = (one.write_arc(0..1), other.write(0..1));
    let one = &*one;
    let both = |elsewhere| {
        RangeLock::acquire_many_async([Request::read(&lock, 0..10), Request::read(elsewhere, 0..1)])
    };
    let (mut first, mut second) = (Box::pin(both(one)), Box::pin(both(&other)));
    assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
    MEANWHILE.set(Some(Box::new(in_one)));
    let Err(looking) = RangeUpgradableReadGuard::try_upgrade(looking) else { panic!("a reader is in") };
    assert!(poll(&mut first).is_ready() && poll(&mut second).is_pending());
    drop(in_other);
    assert!(poll(&mut second).is_ready(), "nothing is in its way");
    drop(looking);
}
