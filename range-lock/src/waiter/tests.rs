use super::*;

#[cfg(feature = "async")]
thread_local! {
    /// For how many pairs a request can wait, for this thread: few, where a test tries what happens
    /// then.
    pub(crate) static MAX_PAIRS: std::cell::Cell<usize> = const { std::cell::Cell::new(COUNT) };
}

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
    assert!(waiter.is_granted() && waiter.raise().is_err());
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
    assert!(waiter.raise().is_ok(), "by an upgrade");
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
