//! Requests of several ranges that are too large. The limits are low in unit tests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;

use super::wakers::poll;
use crate::__private;
use crate::waiter::{MOST_RANGES, MOST_SHARES};
use crate::{ManyGuard, RangeLock, Request};

/// The message of the panic in `f`, if it panics.
fn refused<T>(f: impl FnOnce() -> T) -> Option<String> {
    let refused = catch_unwind(AssertUnwindSafe(f)).map(drop).err()?;
    Some(*refused.downcast::<String>().expect("the message has numbers"))
}

fn apart(lock: &RangeLock, ranges: usize) -> impl Iterator<Item = Request<'_>> {
    (0..ranges as u64).map(move |at| Request::write(lock, 2 * at..2 * at + 1))
}

fn whole(locks: &[RangeLock]) -> impl Iterator<Item = Request<'_>> {
    locks.iter().map(|lock| Request::write(lock, ..))
}

type Pending<'a> = Pin<Box<dyn Future<Output = ManyGuard<'a>> + 'a>>;

#[test]
fn too_many_ranges_are_refused_before_any_is_entered() {
    let lock = RangeLock::new();
    drop(RangeLock::acquire_many(apart(&lock, MOST_RANGES)));
    for waits in [false, true] {
        let holder = waits.then(|| lock.read(0..1));
        let held = lock.requests().len();
        let mut asks: Pending<'_> = Box::pin(RangeLock::acquire_many_async(apart(&lock, MOST_RANGES + 1)));
        let said = refused(|| poll(&mut asks));
        assert_eq!(said.as_deref(), Some("a request has 201 ranges; it may have 200: make several of it"));
        assert_eq!(lock.requests().len(), held);
        drop((holder, asks));
        assert!(lock.try_write(..).is_some());
    }
}

/// All leaves of one lock are fewer than the limit, those of several locks together are not.
#[test]
fn a_request_that_waits_in_too_many_leaves_is_refused_before_it_enters() {
    let leaves = MOST_SHARES / 4 + 1;
    let lock = || {
        let lock = RangeLock::builder().max_leaves(leaves).build();
        assert!((1..leaves as u64).all(|at| __private::cut(&lock, at)));
        lock
    };
    let locks: [RangeLock; 4] = std::array::from_fn(|_| lock());
    // What need not wait has no limit.
    drop(RangeLock::acquire_many(whole(&locks)));
    let holders = locks.each_ref().map(|lock| lock.read(0..1));
    let mut waits: Pending<'_> = Box::pin(RangeLock::acquire_many_async(whole(&locks[..3])));
    assert!(poll(&mut waits).is_pending());
    drop(waits);
    let mut waits: Pending<'_> = Box::pin(RangeLock::acquire_many_async(whole(&locks)));
    let said = refused(|| poll(&mut waits)).expect("it is refused");
    assert!(said.contains("lies in 304 leaves") && said.contains("it may lie in 300"), "{said}");
    drop((holders, waits));
    for lock in &locks {
        assert!(lock.requests().is_empty() && lock.try_write(..).is_some());
    }
}
