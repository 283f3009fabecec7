//! The search for deadlocks: what is one is found, what is none is not, and nothing is left of
//! either.
//!
//! The tests of a process share its graph, so each looks only at what concerns its own locks. A
//! thread is known to be blocked a moment after its request is in the lock, so what must be found
//! is looked for until it is.

mod common;

use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{self, Builder, Scope, ScopedJoinHandle};
use std::time::Duration;

use common::{ask, check_free, until_waiting};
use range_lock::deadlock::{self, Deadlock, Kind, Stake};
use range_lock::{RangeLock, RangeUpgradableReadGuard, Request};

/// What is found that concerns one of `locks`.
fn found(locks: &[&RangeLock]) -> Vec<Deadlock> {
    let concerns = |stake: &Stake| locks.iter().any(|lock| std::ptr::from_ref(*lock).addr() == stake.lock());
    let mut deadlocks = deadlock::check();
    deadlocks.retain(|deadlock| deadlock.participants().iter().any(|p| p.waits_for().iter().any(concerns)));
    deadlocks
}

/// The same, as soon as there is something.
fn until_found(locks: &[&RangeLock]) -> Vec<Deadlock> {
    loop {
        let found = found(locks);
        if !found.is_empty() {
            return found;
        }
        thread::yield_now();
    }
}

/// Printed with names in place of addresses.
fn printed(deadlock: &Deadlock, locks: &[(&str, &RangeLock)]) -> String {
    locks.iter().fold(deadlock.to_string(), |printed, (name, lock)| {
        printed.replace(&format!("{:#x}", std::ptr::from_ref(*lock).addr()), name)
    })
}

fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    f: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    Builder::new().name(name.to_owned()).spawn_scoped(scope, f).unwrap()
}

/// Runs `scene` with longer and longer time-outs until it has been found before they were over.
fn with_time_outs(scene: impl Fn(Duration) -> bool) {
    let found = (1..).find(|attempt| scene(Duration::from_millis(20) * *attempt));
    assert!(found.is_some());
}

/// Two threads: each takes what it `has`, and then asks for what the other has, both with
/// time-outs.
fn abba(locks: [(&str, &RangeLock); 2], ranges: [std::ops::Range<u64>; 2], expected: [&str; 2]) {
    let [a, b] = locks.map(|(_, lock)| lock);
    with_time_outs(|timeout| {
        let both_hold = Barrier::new(2);
        let deadlocks = thread::scope(|scope| {
            let threads = [("left", a, 0, b, 1), ("right", b, 1, a, 0)].map(|(name, has, x, wants, y)| {
                let (both_hold, ranges) = (&both_hold, &ranges);
                spawn(scope, name, move || {
                    let _mine = has.write(ranges[x].clone());
                    both_hold.wait();
                    // So that the other one gets what it asks for only if this one gives up.
                    let theirs = wants.try_write_for(ranges[y].clone(), timeout);
                    both_hold.wait();
                    drop(theirs);
                })
            });
            loop {
                let deadlocks = found(&[a, b]);
                if !deadlocks.is_empty() || threads.iter().all(|thread| thread.is_finished()) {
                    break deadlocks;
                }
                thread::yield_now();
            }
        });
        assert!(found(&[a, b]).is_empty(), "after the time-outs there is nothing");
        check_free(a);
        check_free(b);
        let Some(deadlock) = deadlocks.first() else { return false };
        assert_eq!((deadlocks.len(), deadlock.kind()), (1, Kind::Cycle));
        let printed = printed(deadlock, &locks);
        assert!(expected.contains(&printed.as_str()), "{printed}");
        for participant in deadlock.participants() {
            assert!(participant.waits_for().iter().all(|stake| stake.request().since().is_some()));
            let backtrace = participant.backtrace().to_string();
            assert!(backtrace.contains("try_write_for") || cfg!(miri), "{backtrace}");
        }
        true
    });
}

#[test]
fn two_locks_taken_in_different_order() {
    let (a, b) = (RangeLock::new(), RangeLock::new());
    let left = "thread \"left\": write 5..=9 waiting in lock B; kept out by thread \"right\": write 5..=9 held in lock B";
    let right = "thread \"right\": write 0..=4 waiting in lock A; kept out by thread \"left\": write 0..=4 held in lock A";
    abba(
        [("A", &a), ("B", &b)],
        [0..5, 5..10],
        [
            &format!("deadlock of 2 threads\n{left}\n{right}"),
            &format!("deadlock of 2 threads\n{right}\n{left}"),
        ],
    );
}

#[test]
fn two_ranges_of_one_lock() {
    let lock = RangeLock::new();
    let left = "thread \"left\": write 90..=99 waiting in lock L; kept out by thread \"right\": write 90..=99 held in lock L";
    let right = "thread \"right\": write 0..=4 waiting in lock L; kept out by thread \"left\": write 0..=4 held in lock L";
    abba(
        [("L", &lock), ("L", &lock)],
        [0..5, 90..100],
        [
            &format!("deadlock of 2 threads\n{left}\n{right}"),
            &format!("deadlock of 2 threads\n{right}\n{left}"),
        ],
    );
}

/// Threads 0, 1 and 2 hold a range each and wait for the next one's. The guards lie where the test
/// can break the circle.
#[test]
fn three_threads_in_a_circle() {
    let lock = RangeLock::new();
    let guards = [const { Mutex::new(None) }; 3];
    thread::scope(|scope| {
        let all_hold = Arc::new(Barrier::new(3));
        for n in 0..3 {
            let (lock, guards, all_hold) = (&lock, &guards, Arc::clone(&all_hold));
            spawn(scope, &format!("thread {n}"), move || {
                let n = n as usize;
                let range = |n: usize| 10 * n as u64..10 * n as u64 + 10;
                *guards[n].lock().unwrap() = Some(lock.write(range(n)));
                all_hold.wait();
                drop(lock.read(range((n + 1) % 3)));
                drop(guards[n].lock().unwrap().take());
            });
        }
        // One that waits for the circle and is not in it.
        until_waiting(&lock, 3);
        let outside = ask(scope, || lock.write(5..6));
        until_waiting(&lock, 4);
        let deadlocks = until_found(&[&lock]);
        assert_eq!((deadlocks.len(), deadlocks[0].kind()), (1, Kind::Cycle));
        let participants = deadlocks[0].participants();
        assert_eq!(participants.len(), 3);
        for (n, participant) in participants.iter().enumerate() {
            let next = &participants[(n + 1) % 3];
            let [wants] = participant.waits_for() else { panic!("{participant:?}") };
            let [in_the_way] = next.in_the_way() else { panic!("{next:?}") };
            assert_eq!(wants.request().range(), in_the_way.request().range());
            assert_eq!(wants.request().waits_for(), [in_the_way.request().id()]);
        }
        drop(guards[1].lock().unwrap().take());
        drop(outside.recv().unwrap());
    });
    assert!(found(&[&lock]).is_empty());
    check_free(&lock);
}

#[test]
fn a_thread_that_waits_for_itself() {
    let lock = RangeLock::new();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let lock = &lock;
        spawn(scope, "alone", move || {
            sender.send(lock.read(0..10)).unwrap();
            drop(lock.write(5..15));
        });
        let guard = receiver.recv().unwrap();
        let deadlocks = until_found(&[lock]);
        assert_eq!((deadlocks.len(), deadlocks[0].kind()), (1, Kind::PossibleSelf));
        assert_eq!(
            printed(&deadlocks[0], &[("L", lock)]),
            "possible self-deadlock\n\
             thread \"alone\": write 5..=14 waiting in lock L; kept out by thread \"alone\": read 0..=9 held in lock L"
        );
        assert_eq!(deadlocks[0].participants()[0].thread().name(), Some("alone"));
        let with_backtraces = format!("{:#}", deadlocks[0]);
        assert!(
            with_backtraces.contains("a_thread_that_waits_for_itself") || cfg!(miri),
            "{with_backtraces}"
        );
        drop(guard); // Only possible, it was.
    });
    assert!(found(&[&lock]).is_empty());
    check_free(&lock);
}

/// Reading again what one reads already: harmless until a writer waits in between.
#[test]
fn a_place_in_the_queue_is_in_the_way_too() {
    let lock = RangeLock::new();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let lock = &lock;
        spawn(scope, "reader", move || {
            sender.send(lock.read(0..10)).unwrap();
            until_waiting(lock, 1);
            drop(lock.read(0..10));
        });
        let guard = receiver.recv().unwrap();
        spawn(scope, "writer", || drop(lock.write(0..10)));
        let deadlocks = until_found(&[lock]);
        let writer = "thread \"writer\": write 0..=9 waiting in lock L; kept out by thread \"reader\": \
                      read 0..=9 held in lock L";
        let reader = "thread \"reader\": read 0..=9 waiting in lock L; kept out by thread \"writer\": \
                      write 0..=9 waiting in lock L";
        assert_eq!(deadlocks.len(), 1);
        let printed = printed(&deadlocks[0], &[("L", lock)]);
        let either =
            [(writer, reader), (reader, writer)].map(|(a, b)| format!("deadlock of 2 threads\n{a}\n{b}"));
        assert!(either.contains(&printed), "{printed}");
        drop(guard);
    });
    check_free(&lock);
}

#[test]
fn an_upgrade_and_a_request_for_several_ranges() {
    let (a, b, c) = (RangeLock::new(), RangeLock::new(), RangeLock::new());
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let (a, b, c) = (&a, &b, &c);
        let both_hold = Arc::new(Barrier::new(2));
        let ready = Arc::clone(&both_hold);
        spawn(scope, "several", move || {
            sender.send(a.read(0..10)).unwrap();
            ready.wait();
            drop(RangeLock::acquire_many([
                Request::write(b, 0..10),
                Request::read(b, 20..30),
                Request::write(c, 7..8),
            ]));
        });
        spawn(scope, "upgrade", move || {
            let _several = RangeLock::acquire_many([Request::read(b, 5..6), Request::read(b, 8..9)]);
            let upgradable = a.upgradable_read(0..5);
            both_hold.wait();
            drop(RangeUpgradableReadGuard::upgrade(upgradable));
        });
        let guard = receiver.recv().unwrap();
        let deadlocks = until_found(&[a, b, c]);
        assert_eq!((deadlocks.len(), deadlocks[0].kind()), (1, Kind::Cycle));
        let participants = deadlocks[0].participants();
        let by_name = |name| participants.iter().find(|p| p.thread().name() == Some(name)).unwrap();
        let stakes = |stakes: &[Stake]| {
            let name = |stake: &Stake| {
                let of = |lock: &RangeLock| std::ptr::from_ref(lock).addr() == stake.lock();
                if of(a) {
                    'a'
                } else if of(b) {
                    'b'
                } else {
                    'c'
                }
            };
            let mut printed: Vec<_> = stakes.iter().map(|s| format!("{} {}", name(s), s.request())).collect();
            printed.sort();
            printed
        };
        let (several, upgrade) = (by_name("several"), by_name("upgrade"));
        assert_eq!(
            stakes(several.waits_for()),
            ["b read 20..=29 waiting", "b write 0..=9 waiting", "c write 7..=7 waiting"]
        );
        assert_eq!(stakes(several.in_the_way()), ["a read 0..=9 held"]);
        assert_eq!(stakes(upgrade.waits_for()), ["a write 0..=4 upgrading"]);
        assert_eq!(stakes(upgrade.in_the_way()), ["b read 5..=5 held", "b read 8..=8 held"]);
        drop(guard);
    });
    for lock in [&a, &b, &c] {
        assert!(found(&[lock]).is_empty());
        check_free(lock);
    }
}

/// What a task has acquired is not booked to the thread that polled it; what that thread has taken
/// itself is.
#[cfg(feature = "async")]
#[test]
fn tasks_take_no_part() {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    let lock = RangeLock::new();
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        let lock = &lock;
        spawn(scope, "executor", move || {
            let mut cx = Context::from_waker(Waker::noop());
            let Poll::Ready(single) = pin!(lock.write_async(0..10)).poll(&mut cx) else { panic!() };
            let many = RangeLock::acquire_many_async([Request::write(lock, 10..20)]);
            let Poll::Ready(several) = pin!(many).poll(&mut cx) else { panic!() };
            sender.send((single, several, lock.write(20..30))).unwrap();
            drop(lock.read(0..30));
        });
        let guards = receiver.recv().unwrap();
        let deadlocks = until_found(&[lock]);
        let [alone] = deadlocks[0].participants() else { panic!("{deadlocks:?}") };
        let in_the_way: Vec<_> = alone.in_the_way().iter().map(|stake| stake.request().to_string()).collect();
        assert_eq!(in_the_way, ["write 20..=29 held"]);
        drop(guards);
    });
    check_free(&lock);
}

/// The last asker waits for the two before it. The nearer one waits for a thread that sleeps, so
/// only the other one is in the circle.
#[test]
fn a_circle_does_not_lead_through_the_nearest_before() {
    with_time_outs(|timeout| {
        let lock = RangeLock::new();
        let sleeping = lock.write(12..13);
        let (holds, asks) = (Barrier::new(2), Barrier::new(2));
        let deadlocks = thread::scope(|scope| {
            let a = spawn(scope, "A", || {
                let mine = lock.write(40..45);
                holds.wait();
                asks.wait();
                drop(lock.try_write_for(0..20, timeout));
                drop(mine);
            });
            holds.wait();
            let b = spawn(scope, "B", || drop(lock.read(0..50)));
            until_waiting(&lock, 1);
            let c = spawn(scope, "C", || drop(lock.read(10..15)));
            until_waiting(&lock, 2);
            asks.wait();
            let deadlocks = loop {
                let deadlocks = found(&[&lock]);
                if !deadlocks.is_empty() || a.is_finished() {
                    break deadlocks;
                }
                thread::yield_now();
            };
            drop(sleeping);
            [a, b, c].into_iter().for_each(|thread| thread.join().unwrap());
            deadlocks
        });
        check_free(&lock);
        let Some(deadlock) = deadlocks.first() else { return false };
        assert_eq!((deadlocks.len(), deadlock.kind()), (1, Kind::Cycle));
        let mut names: Vec<_> = deadlock.participants().iter().filter_map(|p| p.thread().name()).collect();
        names.sort_unstable();
        assert_eq!(names, ["A", "B"]);
        true
    });
}
