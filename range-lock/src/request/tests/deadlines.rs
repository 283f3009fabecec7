//! Requests with a deadline, and upgrades whose deadline comes as they are granted.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::__private;
use crate::claim::Claim;
use crate::mode::Mode;
use crate::request::{self, Entered};
use crate::span::Span;
use crate::spin::counted::{Wait, waits_in, waits_in_with};
use crate::{RangeLock, RangeUpgradableReadGuard, Request};

/// One that has passed neither spins nor yields, and no other request finds it in its way.
#[test]
fn a_deadline_that_has_passed_is_not_waited_for() {
    for cut in [false, true] {
        let (lock, other) = (RangeLock::new(), RangeLock::new());
        assert!(!cut || __private::cut(&lock, 10));
        let holder = lock.write(5..15);
        let looking = RangeLock::upgradable_read(&other, ..);
        let reader = other.read(0..1);
        let before = (lock.requests().len(), other.requests().len());
        let mut looking = Some(looking);
        let waits = waits_in(|| {
            for past in [Instant::now(), Instant::now() - Duration::from_secs(1)] {
                assert!(lock.try_read_until(0..20, past).is_none());
                assert!(lock.try_upgradable_read_until(14..16, past).is_none());
                assert!(lock.try_write_until(14..16, past).is_none());
                assert!(lock.try_write_for(0..=9, Duration::ZERO).is_none());
                let two = [Request::read(&lock, 0..6), Request::read(&other, ..)];
                assert!(RangeLock::try_acquire_many_until(two, past).is_none());
                let held = looking.take().unwrap();
                looking = RangeUpgradableReadGuard::try_upgrade_until(held, past).err();
                // What is free is granted nevertheless.
                assert!(lock.try_write_until(15..30, past).is_some());
                assert!(RangeLock::try_acquire_many_until([Request::write(&lock, 0..5)], past).is_some());
            }
        });
        assert_eq!(waits, [], "pauses and yields");
        assert_eq!((lock.requests().len(), other.requests().len()), before);
        drop((holder, looking, reader));
        assert!(lock.try_write(..).is_some() && other.try_write(..).is_some());
    }
}

/// A yield may take as long as the others want the CPU.
#[test]
fn a_deadline_that_passes_during_a_yield_is_the_last_one() {
    thread_local! {
        static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let lock = RangeLock::new();
    let _holder = lock.write(0..10);
    let limit = Duration::from_millis(if cfg!(miri) { 20_000 } else { 300 }); // Miri needs seconds to the first yield.
    let deadline = Instant::now() + limit;
    DEADLINE.set(Some(deadline));
    let others_run = || while Instant::now() < DEADLINE.get().unwrap() {};
    let waits = waits_in_with(others_run, || assert!(lock.try_write_until(0..10, deadline).is_none()));
    assert_eq!(waits.iter().filter(|wait| **wait == Wait::Yield).count(), 1);
}

/// A request that is queued has an id, which no later one has.
#[test]
fn a_request_whose_deadline_has_passed_is_not_queued() {
    let lock = RangeLock::new();
    let holder = lock.write(0..10);
    let next_id = || {
        let _probe = lock.write(90..91);
        lock.requests().last().expect("the probe is listed").id().get()
    };
    let before = next_id();
    let past = Instant::now();
    assert!(lock.try_read_until(5..20, past).is_none());
    assert!(lock.try_write_for(0..1, Duration::ZERO).is_none());
    let two = [Request::write(&lock, 5..6), Request::read(&lock, 50..60)];
    assert!(RangeLock::try_acquire_many_until(two, past).is_none());
    assert_eq!(next_id(), before + 1);
    drop(holder);
}

/// The deadline of an upgrade comes, then the last reader leaves, and only then is the upgrade to
/// be taken back: it stays.
#[test]
fn an_upgrade_that_is_granted_before_it_is_taken_back_is_kept() {
    for cut in [None, Some(5)] {
        let lock = RangeLock::builder().max_leaves(2).build();
        assert!(cut.is_none_or(|cut| __private::cut(&lock, cut)));
        let reader = lock.read(0..10);
        let claim = Claim { span: Span { first: 0, last: 9 }, mode: Mode::Upgradable };
        let Entered::Granted(hold) = request::enter(lock.partition(), claim) else {
            panic!("nothing is in its way")
        };
        let waiter = request::begin_upgrade(lock.partition(), &hold).expect("a reader is in");
        drop(reader);
        assert!(waiter.is_granted());
        assert!(request::cancel_upgrade(lock.partition(), &hold), "it was granted");
        assert_eq!(lock.requests()[0].to_string(), "write 0..=9 held");
        assert!(lock.try_read(0..10).is_none());
        request::release(lock.partition(), &hold);
        assert!(lock.try_write(..).is_some());
    }
}
