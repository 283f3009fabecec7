//! Guards of several ranges: what is left of them when they are released, weakened and upgraded in
//! part; and owned ones.

mod common;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use common::{ask, check_free, until_waiting};
use proptest::prelude::*;
use range_lock::{__private, ArcManyGuard, ArcRequest, ManyGuard, Mode, RangeLock, Request};

const SOON: Duration = Duration::from_millis(1);

/// The mode in which a guard holds each point of each lock.
fn held(guard: &ManyGuard<'_>, locks: &[RangeLock; 2]) -> BTreeMap<(usize, u64), Mode> {
    let which = |lock: &RangeLock| usize::from(std::ptr::eq(lock, &locks[1]));
    let ranges = guard.ranges();
    ranges.flat_map(|(lock, range, mode)| range.map(move |point| ((which(lock), point), mode))).collect()
}

/// The same, as the locks list it.
fn listed(locks: &[RangeLock; 2]) -> BTreeMap<(usize, u64), Mode> {
    let of = |which: usize| {
        let requests = locks[which].requests();
        requests
            .iter()
            .flat_map(move |r| r.range().map(move |point| ((which, point), r.mode())).collect::<Vec<_>>())
            .collect::<Vec<_>>()
    };
    [0, 1].into_iter().flat_map(of).collect()
}

#[derive(Clone, Debug)]
enum Change {
    Release(usize, u64, u64),
    Shrink(usize, u64, u64),
    Downgrade(usize, u64, u64),
    Upgrade,
    Cut(usize, u64),
    Join(usize, u64),
}

fn changes() -> impl Strategy<Value = Change> {
    let range = || (0..2_usize, 0..20_u64, 0..20_u64).prop_map(|(lock, a, b)| (lock, a.min(b), a.max(b)));
    prop_oneof![
        3 => range().prop_map(|(lock, a, b)| Change::Release(lock, a, b)),
        1 => range().prop_map(|(lock, a, b)| Change::Shrink(lock, a, b)),
        3 => range().prop_map(|(lock, a, b)| Change::Downgrade(lock, a, b)),
        1 => Just(Change::Upgrade),
        2 => (0..2_usize, 0..20_u64).prop_map(|(lock, at)| Change::Cut(lock, at)),
        1 => (0..2_usize, 0..20_u64).prop_map(|(lock, at)| Change::Join(lock, at)),
    ]
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Read), Just(Mode::Upgradable), Just(Mode::Write)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 4 } else { 1000 }, ..ProptestConfig::default() })]

    #[test]
    fn what_is_left_of_a_guard_is_what_a_map_of_points_says(
        asked in prop::collection::vec((0..2_usize, 0..20_u64, 0..20_u64, modes()), 1..6),
        changes in prop::collection::vec(changes(), 0..12),
    ) {
        let locks = [RangeLock::new(), RangeLock::new()];
        let requests = asked.iter().map(|&(lock, a, b, mode)| {
            let (lock, range) = (&locks[lock], a.min(b)..=a.max(b));
            match mode {
                Mode::Read => Request::read(lock, range),
                Mode::Upgradable => Request::upgradable_read(lock, range),
                Mode::Write => Request::write(lock, range),
            }
        });
        let mut guard = RangeLock::acquire_many(requests);
        let mut model = BTreeMap::new();
        for &(lock, a, b, mode) in &asked {
            for point in a.min(b)..=a.max(b) {
                let at = model.entry((lock, point)).or_insert(mode);
                *at = mode.max(*at);
            }
        }
        let ids = [0, 1].map(|lock: usize| guard.id(&locks[lock]));
        let listed_ids = [0, 1].map(|lock: usize| locks[lock].requests().first().map(|request| request.id()));
        prop_assert_eq!(ids, listed_ids);
        for change in changes {
            match change {
                Change::Release(lock, a, b) => {
                    ManyGuard::release(&mut guard, &locks[lock], a..=b);
                    model.retain(|&(of, point), _| of != lock || !(a..=b).contains(&point));
                }
                Change::Shrink(lock, a, b) => {
                    ManyGuard::shrink(&mut guard, &locks[lock], a..=b);
                    model.retain(|&(of, point), _| of != lock || (a..=b).contains(&point));
                }
                Change::Downgrade(lock, a, b) => {
                    ManyGuard::downgrade(&mut guard, &locks[lock], a..=b);
                    model
                        .iter_mut()
                        .filter(|((of, point), _)| *of == lock && (a..=b).contains(point))
                        .for_each(|(_, mode)| *mode = Mode::Read);
                }
                Change::Upgrade => {
                    prop_assert!(ManyGuard::try_upgrade(&mut guard), "nobody reads");
                    let upgradable = model.values_mut().filter(|mode| **mode == Mode::Upgradable);
                    upgradable.for_each(|mode| *mode = Mode::Write);
                }
                Change::Cut(lock, at) => _ = __private::cut(&locks[lock], at),
                Change::Join(lock, at) => _ = __private::join(&locks[lock], at),
            }
            prop_assert_eq!(&held(&guard, &locks), &model);
            prop_assert_eq!(&listed(&locks), &model);
            for lock in 0..2 {
                let is_in = model.keys().any(|&(of, _)| of == lock);
                prop_assert_eq!(guard.id(&locks[lock]), ids[lock].filter(|_| is_in));
            }
        }
        drop(guard);
        locks.iter().for_each(check_free);
    }
}

#[test]
fn a_part_that_is_released_lets_in_who_waits_for_it_alone() {
    let (lock, other) = (RangeLock::new(), RangeLock::new());
    let mut guard = RangeLock::acquire_many([Request::write(&lock, 0..100), Request::write(&other, 0..10)]);
    thread::scope(|scope| {
        let middle = ask(scope, || lock.write(40..60));
        until_waiting(&lock, 1); // Or the reader may be first, and keep it out to the end.
        let both = ask(scope, || lock.read(50..70));
        until_waiting(&lock, 2);
        ManyGuard::release(&mut guard, &lock, 45..65);
        assert!(middle.try_recv().is_err());
        ManyGuard::release(&mut guard, &lock, 30..45);
        drop(middle.recv().expect("it is let in"));
        ManyGuard::downgrade(&mut guard, &lock, ..);
        drop(both.recv().expect("it is let in"));
    });
    assert!(lock.try_write(30..65).is_some());
    assert!(lock.try_read(0..30).is_some() && lock.try_write(0..30).is_none());
    assert!(other.try_read(..).is_none());
    drop(guard);
    check_free(&lock);
    check_free(&other);
}

#[test]
fn an_upgrade_of_several_ranges_waits_for_all_readers_or_leaves_no_trace() {
    let locks = [RangeLock::new(), RangeLock::new()];
    __private::cut(&locks[0], 5);
    let ranges = || locks.iter().map(|lock| Request::upgradable_read(lock, 0..10));
    let mut guard = RangeLock::acquire_many(ranges().chain([Request::read(&locks[0], 20..30)]));
    let reader = locks[1].read(9..12);
    assert!(!ManyGuard::try_upgrade(&mut guard));
    assert!(!ManyGuard::try_upgrade_for(&mut guard, SOON));
    assert!(!ManyGuard::try_upgrade_until(&mut guard, Instant::now() + SOON));
    assert!(locks.iter().all(|lock| lock.try_read(0..10).is_some()), "upgradable as before");
    thread::scope(|scope| {
        let (guard, locks) = (&mut guard, &locks);
        let upgrading = scope.spawn(move || ManyGuard::try_upgrade_for(guard, Duration::from_secs(600)));
        until_waiting(&locks[1], 1);
        drop(reader);
        assert!(upgrading.join().expect("it has not panicked"));
    });
    assert!(locks.iter().all(|lock| lock.try_read(0..10).is_none()));
    assert!(locks[0].try_read(20..30).is_some(), "what was not upgradable is as before");
    drop(guard);
    locks.iter().for_each(check_free);
}

#[test]
fn an_owned_guard_of_several_ranges_outlives_the_callers_shares() {
    let (from, to) = (Arc::new(RangeLock::new()), Arc::new(RangeLock::new()));
    let both = || [ArcRequest::read(&from, 0..10), ArcRequest::write(&to, 0..10)];
    let mut guard = RangeLock::acquire_many_arc(both());
    assert!(RangeLock::try_acquire_many_arc(both()).is_none());
    assert!(RangeLock::try_acquire_many_arc_for(both(), SOON).is_none());
    assert!(RangeLock::try_acquire_many_arc_until(both(), Instant::now()).is_none());
    ArcManyGuard::release(&mut guard, &from, ..);
    assert_eq!(Arc::strong_count(&from), 1, "nothing of it is held");
    let weak = Arc::downgrade(&to);
    drop(to);
    let to = weak;
    assert!(to.upgrade().expect("the guard has a share").try_read(5..6).is_none());
    thread::spawn(move || drop(guard)).join().expect("it has not panicked");
    assert!(to.upgrade().is_none());
    check_free(&from);
}

/// The guard goes into a thread that blocks, and into a task: neither compiles with a borrow.
#[cfg(all(feature = "async", not(miri)))]
#[test]
fn a_copy_between_two_files_goes_on_in_a_thread_that_blocks() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("it starts");
    runtime.block_on(async {
        let (from, to) = (Arc::new(RangeLock::new()), Arc::new(RangeLock::new()));
        let guard = RangeLock::acquire_many_arc_async([
            ArcRequest::read(&from, 0..4096),
            ArcRequest::write(&to, 4096..8192),
        ])
        .await;
        let copying = tokio::task::spawn_blocking(move || guard.ranges().count());
        let waiting = RangeLock::acquire_many_arc_async([ArcRequest::write(&to, ..)]);
        let after = tokio::spawn(async move { drop(waiting.await) });
        assert_eq!(copying.await.expect("it has not panicked"), 2);
        after.await.expect("it has not panicked");
        check_free(&from);
        check_free(&to);
    });
}

/// Where it changes nothing, it does not make several ranges of one either.
#[test]
fn a_downgrade_to_the_mode_that_is_held_leaves_a_range_whole() {
    let lock = RangeLock::new();
    let mut guard = RangeLock::acquire_many([Request::read(&lock, 0..10)]);
    ManyGuard::downgrade(&mut guard, &lock, 3..5);
    assert_eq!(guard.ranges().count(), 1);
    assert_eq!(lock.requests().len(), 1);
}
