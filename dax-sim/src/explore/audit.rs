//! Compares the locks that simulated threads claim to hold with the locks themselves, after each
//! step.

use super::SCENARIOS;
use super::cell::replay;
use super::engine::Step;
use super::seed::Seed;
use super::world::World;
use crate::schedule::ranks::HeldLock;
use crate::schedule::{LockClass, simulated};
use crate::variant::Variant;

/// What each thread holds or has asked for.
type Threads = Vec<Vec<HeldLock>>;

/// All locks of a kind, of one object or of any.
fn all(threads: &Threads, class: LockClass, object: Option<usize>) -> Vec<&HeldLock> {
    let all = threads.iter().flatten().filter(|lock| lock.request.class == class);
    all.filter(|lock| object.is_none_or(|object| lock.request.object == object)).collect()
}

/// The locks of `all` that a thread claims to hold.
fn held(threads: &Threads, class: LockClass, object: Option<usize>) -> Vec<&HeldLock> {
    all(threads, class, object).into_iter().filter(|lock| lock.granted).collect()
}

fn shown(locks: &[&HeldLock]) -> Vec<String> {
    locks.iter().map(|lock| lock.to_string()).collect()
}

fn addr<T>(object: &T) -> Option<usize> {
    Some(std::ptr::from_ref(object).addr())
}

fn audit(world: &World<'_>, threads: &Threads) {
    // For a lock that one thread holds exclusively, or some threads hold shared.
    let whole = |class, object, taken: Option<bool>| {
        let held = held(threads, class, object);
        let said = held.first().map(|lock| lock.request.exclusive);
        assert_eq!(said, taken, "{class:?}: {:?}", shown(&held));
        assert!(held.len() == 1 || said != Some(true), "{class:?}: {:?}", shown(&held));
    };
    // For a range lock that hands ranges on to a waiter before the waiter knows of it.
    let ranges = |class, object, taken: Vec<(_, bool)>| {
        let key = |lock: &HeldLock| (lock.request.range.clone(), lock.request.exclusive);
        for lock in held(threads, class, object) {
            assert!(taken.contains(&key(lock)), "{lock} is not held: {taken:?}");
        }
        let asked: Vec<_> = all(threads, class, object).into_iter().map(key).collect();
        assert!(taken.iter().all(|taken| asked.contains(taken)), "{class:?}: {taken:?} held, not {asked:?}");
    };
    for file in world.files {
        let inode = file.inode();
        ranges(LockClass::IRwsem, addr(&*inode.i_rwsem), inode.i_rwsem.taken());
        ranges(LockClass::IMmapSem, addr(&*inode.i_mmap_sem), inode.i_mmap_sem.taken());
        whole(LockClass::IDataSem, addr(&inode.extents), inode.extents.taken());
        whole(LockClass::IMmap, addr(&inode.i_mmap), inode.i_mmap.taken());
        let present = inode.entries.present(0, u64::MAX);
        let locked: Vec<_> = present.filter(|present| present.locked).collect();
        let entries = held(threads, LockClass::Entry, addr(&inode.entries));
        let is_locked = |page: u64| locked.iter().any(|entry| (entry.first..=entry.last).contains(&page));
        assert!(entries.iter().all(|entry| is_locked(entry.request.range.start)), "{:?}", shown(&entries));
        assert_eq!(entries.len(), locked.len(), "{:?}, {locked:?}", shown(&entries));
    }
    for (_, map) in world.maps() {
        whole(LockClass::MmapLock, addr(&*map.vma().mm), map.vma().mm.taken());
    }
    // A commit that ends holds all handles.
    let handles = held(threads, LockClass::Handle, None);
    let open = handles.iter().filter(|handle| !handle.request.exclusive).count();
    assert_eq!(open, world.fs.journal.open_handles());
    assert_eq!(held(threads, LockClass::Access, None).len(), simulated::accesses());
}

/// Covers every scenario and variant, in a few schedules at random.
#[test]
fn what_is_said_to_be_held_is_held_after_every_step() {
    let mut random = fastrand::Rng::with_seed(5);
    let (mut steps, mut waits) = (0, 0);
    for scenario in SCENARIOS.iter() {
        for variant in Variant::ALL {
            for _ in 0..4 {
                let mut at: Vec<u32> = (0..random.usize(..6)).map(|_| random.u32(..40)).collect();
                at.sort_unstable();
                at.dedup();
                let threads = scenario.threads.len();
                let seed = Seed(at.into_iter().map(|at| (at, random.usize(..threads))).collect());
                let mut threads = vec![Vec::new(); threads];
                let observe = &mut |world: &World<'_>, step: Step<'_>| {
                    threads[step.thread] = step.locks.to_vec();
                    audit(world, &threads);
                    assert!(step.given_up.iter().all(|lock| lock.granted));
                    steps += 1;
                    waits += step.locks.iter().filter(|lock| !lock.granted).count();
                };
                replay(scenario, variant.into(), &seed, observe).unwrap();
            }
        }
    }
    assert!(steps > 10_000 && waits > 1000, "{waits} locks were asked for and not granted in {steps} steps");
}
