use std::time::Duration;

use super::*;
#[cfg(feature = "async")]
use crate::spin::counted::{Wait, waits_in};

/// A record with `blocking` pairs before it, whose owner is going to sleep.
fn asleep(blocking: usize, passes: usize) -> Waiter {
    let waiter = Waiter::new(blocking, passes);
    waiter.word.fetch_or(ASLEEP, Ordering::Relaxed);
    waiter
}

#[test]
fn who_is_awake_is_not_passed() {
    let waiter = Waiter::new(1, 3);
    assert!(!waiter.pass(), "it has not gone to sleep yet");
    let waiter = asleep(1, 3);
    assert!(waiter.pass());
    assert!(!waiter.rise(), "it waits for two");
    assert!(!waiter.pass(), "it is looking");
    assert_eq!([waiter.lower(), waiter.lower()], [Lowered::Done; 2], "it will see for itself");
    assert!(waiter.is_granted() && !waiter.pass());
}

#[test]
fn who_has_been_passed_often_enough_is_granted_and_not_offered() {
    let waiter = asleep(1, 2);
    assert!(waiter.pass() && waiter.pass() && !waiter.pass());
    assert_eq!(waiter.blocking(), 3);
    assert_eq!([waiter.lower(), waiter.lower()], [Lowered::Done; 2]);
    assert!(!waiter.is_granted());
    assert_eq!(waiter.lower(), Lowered::ToBeWoken);
    assert!(waiter.is_granted() && !waiter.raise());
}

#[test]
fn an_offer_can_be_taken_back_until_it_is_taken() {
    let waiter = asleep(1, 2);
    assert_eq!(waiter.lower(), Lowered::ToBeWoken);
    assert!(!waiter.is_granted(), "offered");
    assert!(waiter.pass());
    assert!(!waiter.rise(), "passed");
    let waiter = asleep(1, 2);
    assert_eq!(waiter.lower(), Lowered::ToBeWoken);
    assert!(waiter.raise(), "by an upgrade");
    assert_eq!(waiter.lower(), Lowered::Done, "it has been woken for this sleep");
    assert!(waiter.rise() && waiter.is_granted() && !waiter.pass());
}

#[test]
fn a_pass_that_is_taken_back_can_be_given_again() {
    let waiter = asleep(2, 1);
    assert!(waiter.pass() && !waiter.pass());
    assert_eq!(waiter.take_pass_back(), Lowered::Done);
    assert!(waiter.pass());
    assert_eq!(waiter.blocking(), 3);
}

#[test]
fn a_waiter_is_in_one_list_at_most() {
    let waiter = asleep(1, 0);
    assert_eq!(waiter.lower(), Lowered::ToBeWoken);
    let waiter = asleep(1, 5);
    assert_eq!(waiter.lower(), Lowered::ToBeWoken);
    for _ in 0..2 {
        assert!(waiter.pass());
        assert_eq!(waiter.lower(), Lowered::Done);
    }
    assert!(waiter.pass() && !waiter.rise());
    waiter.word.fetch_or(ASLEEP, Ordering::Relaxed);
    assert_eq!(waiter.lower(), Lowered::Done, "it sleeps again, and is about to be woken");
    assert!(waiter.pass());
    waiter.wake();
    assert_eq!(waiter.lower(), Lowered::ToBeWoken, "it has been, and sleeps on");
}

#[test]
fn records_are_used_again_as_if_new() {
    let mut waiter = asleep(1, 7);
    assert!(waiter.pass());
    waiter.reset(2, 0);
    assert_eq!(waiter.blocking(), 2);
    assert!(!waiter.pass() && !waiter.is_granted());
    assert_eq!([waiter.lower(), waiter.lower()], [Lowered::Done; 2]);
    assert!(waiter.is_granted());
}

/// The sleeper has been offered its range and not been woken yet when its deadline comes: it has
/// the range.
#[test]
fn what_was_offered_before_the_deadline_is_kept() {
    loop {
        let waiter = Waiter::new(1, 1);
        let (waited, lowered) = thread::scope(|scope| {
            let sleeper = scope.spawn(|| waiter.wait(Deadline::after(Duration::from_millis(5))));
            while waiter.word.load(Ordering::Relaxed) & ASLEEP == 0 && !sleeper.is_finished() {
                thread::yield_now();
            }
            let lowered = waiter.lower();
            (sleeper.join().unwrap(), lowered)
        });
        // Else the deadline came before the offer, and shows nothing.
        if lowered == Lowered::ToBeWoken {
            assert_eq!(waited, Waited::Granted);
            assert!(waiter.is_granted());
            return;
        }
    }
}

/// Code of a user's may do anything with the request whose waker it is, also on another thread.
#[cfg(feature = "async")]
#[test]
fn wakers_are_cloned_woken_and_dropped_with_the_mutex_of_the_record_free() {
    use std::cell::RefCell;
    use std::mem::ManuallyDrop;
    use std::task::{RawWaker, RawWakerVTable};

    thread_local! {
        /// The calls into wakers, and whether the mutex was free.
        static SEEN: RefCell<Vec<(&'static str, bool)>> = const { RefCell::new(Vec::new()) };
    }

    /// A waker that looks at `record` whenever it is called. Two of different `vtable`s do not
    /// stand for each other.
    fn looking(record: &Waiter, vtable: &'static RawWakerVTable) -> ManuallyDrop<Waker> {
        // SAFETY: the functions take the data for a reference to the record, which outlives them.
        ManuallyDrop::new(unsafe {
            Waker::from_raw(RawWaker::new(std::ptr::from_ref(record).cast(), vtable))
        })
    }
    fn look(what: &'static str, record: *const ()) {
        // SAFETY: as above.
        let record = unsafe { &*record.cast::<Waiter>() };
        let free = sync::try_lock(&record.waker).is_some();
        SEEN.with_borrow_mut(|seen| seen.push((what, free)));
    }
    fn woken(record: *const ()) {
        look("woken", record);
    }
    fn dropped(record: *const ()) {
        look("dropped", record);
    }
    static ONE: RawWakerVTable = RawWakerVTable::new(
        |record| {
            look("cloned", record);
            RawWaker::new(record, &ONE)
        },
        woken,
        woken,
        dropped,
    );
    static OTHER: RawWakerVTable = RawWakerVTable::new(
        |record| {
            look("cloned", record);
            RawWaker::new(record, &OTHER)
        },
        woken,
        woken,
        dropped,
    );
    let saw = |expected: &[&'static str]| {
        let expected: Vec<_> = expected.iter().map(|what| (*what, true)).collect();
        assert_eq!(SEEN.take(), expected, "what was called, and whether the mutex was free");
    };

    let registered = Registered(Arc::new(Waiter::new(1, 0)));
    let [one, other] = [&ONE, &OTHER].map(|vtable| looking(&registered.0, vtable));
    let poll = |waker: &Waker| registered.0.poll_granted(&Context::from_waker(waker));
    assert!(poll(&one).is_pending());
    saw(&["cloned"]);
    assert!(poll(&other).is_pending());
    saw(&["cloned", "dropped"]);
    assert_eq!(registered.0.lower(), Lowered::ToBeWoken);
    registered.0.wake();
    saw(&["woken"]);
    // One that is still there when the request leaves.
    let record = Arc::clone(&registered.0);
    assert!(record.raise_if(|_| true, 1));
    assert!(poll(&one).is_pending());
    drop(registered);
    saw(&["cloned", "dropped"]);
}

/// The farther away its turn is, the shorter it pauses before it first yields.
#[cfg(feature = "async")]
#[test]
fn a_waiter_spins_so_long_and_no_longer_before_it_sleeps() {
    let is_yield = |wait: &Wait| *wait == Wait::Yield;
    for distance in [1, 2, 11, 128, 1000, 1 << 20] {
        let waiter = Waiter::new(1, 0);
        waiter.set_distance(u64::from(distance));
        let waits = waits_in(|| assert!(!waiter.spin(false, Deadline::Never)));
        let turns_at_once = if distance == 1 { 2 } else { 16 };
        let at_first = (SPIN_TURNS / distance).div_ceil(turns_at_once);
        assert_eq!(waits.iter().position(is_yield), Some(at_first as usize), "distance {distance}");
        let yields = waits.iter().filter(|wait| is_yield(wait)).count() as u32;
        let most = YIELDS + SPARE_YIELDS + SPARE_YIELDS_A_TURN * distance.min(128);
        assert!((YIELDS..=most).contains(&yields), "{yields} yields, {most} at most, distance {distance}");
        let most = at_first + most * TURNS_BETWEEN.div_ceil(turns_at_once);
        assert!(waits.len() as u32 - yields <= most, "{} waits, distance {distance}", waits.len());

        // One that may be passed does not yield: it sleeps, and can be passed.
        let waiter = Waiter::new(1, 3);
        waiter.set_distance(u64::from(distance));
        assert_eq!(waits_in(|| assert!(!waiter.spin(false, Deadline::Never))), []);
        let waits = waits_in(|| assert!(!waiter.spin(true, Deadline::Never)));
        assert_eq!(waits, vec![Wait::Pause; at_first as usize], "woken, distance {distance}");
    }
}
