//! Random histories of all verbs by two locks of one file, against a model that lists what is held.
//! When a verb has returned, a third description looks at the file byte by byte, and sees what the
//! model says.
//!
//! The bytes are 0 to 63 and the last 8 that `off_t` can express. One thread runs the history, so a
//! verb that would wait for ever is called in a form that gives up.

use std::ops::Bound;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use range_lock::Mode;
use range_lock::file::{
    ArcFileReadGuard, ArcFileUpgradableReadGuard, ArcFileWriteGuard, FileManyGuard, FileRangeLock, Request,
    Unchanged,
};

use crate::seen::Seen;

const LAST: u64 = i64::MAX as u64;
/// How many bytes the model has.
const BYTES: usize = 72;

/// The byte of the file that byte `n` of the model stands for.
fn byte(n: usize) -> u64 {
    if n < 64 { n as u64 } else { LAST - (BYTES - 1 - n) as u64 }
}

/// Bytes of the model: the first and the last.
type Ends = (usize, usize);

#[derive(Clone, Debug)]
enum Step {
    Acquire { lock: usize, mode: Mode, ends: Ends, how: u8 },
    Many { lock: usize, parts: Vec<(Ends, Mode)>, how: u8 },
    Change { which: usize, what: u8, ends: Ends },
}

fn ends() -> impl Strategy<Value = Ends> {
    let near = (0..64_usize, 0..12_usize).prop_map(|(first, more)| (first, (first + more).min(63)));
    let far = (64..BYTES, 64..BYTES).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let across = (0..BYTES, 0..BYTES).prop_map(|(a, b)| (a.min(b), a.max(b)));
    // A lock keeps something for a span that comes again.
    let again = prop::sample::select(vec![(8, 15), (12, 19)]);
    prop_oneof![4 => near, 2 => far, 1 => across, 5 => again]
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![4 => Just(Mode::Read), 1 => Just(Mode::Upgradable), 2 => Just(Mode::Write)]
}

fn step() -> impl Strategy<Value = Step> {
    let part = (ends(), prop_oneof![Just(Mode::Read), Just(Mode::Write)]);
    prop_oneof![
        6 => (0..2_usize, mode(), ends(), any::<u8>())
            .prop_map(|(lock, mode, ends, how)| Step::Acquire { lock, mode, ends, how }),
        1 => (0..2_usize, prop::collection::vec(part, 0..4), any::<u8>())
            .prop_map(|(lock, parts, how)| Step::Many { lock, parts, how }),
        6 => (any::<usize>(), any::<u8>(), ends())
            .prop_map(|(which, what, ends)| Step::Change { which, what, ends }),
    ]
}

enum Guard<'a> {
    Read(ArcFileReadGuard),
    Upgradable(ArcFileUpgradableReadGuard),
    Write(ArcFileWriteGuard),
    Many(Box<FileManyGuard<'a>>),
}

struct Held<'a> {
    guard: Guard<'a>,
    lock: usize,
    parts: Vec<(Ends, Mode)>,
}

fn overlap(a: Ends, b: Ends) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// Whether a request of `lock` is granted beside what is held.
fn is_granted(held: &[Held<'_>], lock: usize, (ends, mode): (Ends, Mode)) -> bool {
    held.iter().all(|held| {
        held.parts.iter().all(|&(other, theirs)| {
            let conflict = if held.lock == lock {
                mode.conflicts(theirs)
            } else {
                mode == Mode::Write || theirs == Mode::Write
            };
            !conflict || !overlap(ends, other)
        })
    })
}

/// What the third description must see.
fn expected(held: &[Held<'_>]) -> String {
    let parts = || held.iter().flat_map(|held| &held.parts);
    let kind = |n| {
        let of_byte = || parts().filter(|(ends, _)| overlap(*ends, (n, n)));
        match (of_byte().any(|(_, mode)| *mode == Mode::Write), of_byte().next()) {
            (true, _) => 'w',
            (false, Some(_)) => 'r',
            (false, None) => '-',
        }
    };
    (0..BYTES).map(kind).collect()
}

/// Calls one of the verbs of a mode. `granted` says whether it may wait for ever.
macro_rules! acquire {
    ($lock:ident, $range:ident, $how:expr, $granted:ident, $wait:ident, $try:ident, $for:ident, $until:ident) => {
        match $how % 4 {
            0 if $granted => Some($lock.$wait($range).unwrap()),
            0 | 1 => $lock.$try($range).unwrap(),
            2 => $lock.$for($range, Duration::from_micros(100)).unwrap(),
            _ => $lock.$until($range, Instant::now()).unwrap(),
        }
    };
}

fn acquire<'a>(
    lock: &Arc<FileRangeLock>,
    mode: Mode,
    ends: Ends,
    how: u8,
    granted: bool,
) -> Option<Guard<'a>> {
    let (first, last) = (byte(ends.0), byte(ends.1));
    // The last byte there is, by its number or as an open end.
    let is_open = last == LAST && how >= 128;
    let range = (Bound::Included(first), if is_open { Bound::Unbounded } else { Bound::Included(last) });
    Some(match mode {
        Mode::Read => Guard::Read(acquire!(
            lock,
            range,
            how,
            granted,
            read_arc,
            try_read_arc,
            try_read_arc_for,
            try_read_arc_until
        )?),
        Mode::Upgradable => Guard::Upgradable(acquire!(
            lock,
            range,
            how,
            granted,
            upgradable_read_arc,
            try_upgradable_read_arc,
            try_upgradable_read_arc_for,
            try_upgradable_read_arc_until
        )?),
        Mode::Write => Guard::Write(acquire!(
            lock,
            range,
            how,
            granted,
            write_arc,
            try_write_arc,
            try_write_arc_for,
            try_write_arc_until
        )?),
    })
}

/// The parts of a request of several ranges, made disjoint: the stronger mode wins.
fn disjoint(parts: &[(Ends, Mode)]) -> Vec<(Ends, Mode)> {
    let strongest = |n| parts.iter().filter(|(ends, _)| overlap(*ends, (n, n))).map(|(_, mode)| *mode).max();
    (0..BYTES).filter_map(|n| Some(((n, n), strongest(n)?))).collect()
}

/// Changes a guard of one range; returns what is left of it.
fn change<'a>(
    guard: Guard<'a>,
    (ends, mode): (Ends, Mode),
    what: u8,
    to: Ends,
    alone: bool,
) -> Vec<(Guard<'a>, Option<(Ends, Mode)>)> {
    // Some bytes of the range.
    let len = ends.1 - ends.0 + 1;
    let (a, b) = (ends.0 + to.0 % len, ends.0 + to.1 % len);
    let part = (a.min(b), a.max(b));
    let range = byte(part.0)..=byte(part.1);
    macro_rules! shrunk {
        ($Guard:ident, $kind:ident, $guard:ident) => {{
            let mut guard = $guard;
            $Guard::shrink(&mut guard, range).unwrap();
            vec![(Guard::$kind(guard), Some((part, mode)))]
        }};
    }
    macro_rules! split {
        ($Guard:ident, $kind:ident, $guard:ident) => {{
            let (left, right) = $Guard::split_at($guard, byte(a));
            let before = (a > ends.0).then(|| ((ends.0, a - 1), mode));
            vec![(Guard::$kind(left), before), (Guard::$kind(right), Some(((a, ends.1), mode)))]
        }};
    }
    match (guard, what % 8) {
        (guard, 0) => {
            drop(guard);
            Vec::new()
        }
        (Guard::Read(guard), 1) => {
            ArcFileReadGuard::release(guard).unwrap();
            Vec::new()
        }
        (Guard::Write(guard), 1) => {
            ArcFileWriteGuard::release(guard).unwrap();
            Vec::new()
        }
        (Guard::Read(guard), 2) => shrunk!(ArcFileReadGuard, Read, guard),
        (Guard::Upgradable(guard), 2) => shrunk!(ArcFileUpgradableReadGuard, Upgradable, guard),
        (Guard::Write(guard), 2) => shrunk!(ArcFileWriteGuard, Write, guard),
        (Guard::Read(guard), 3) => split!(ArcFileReadGuard, Read, guard),
        (Guard::Upgradable(guard), 3) => split!(ArcFileUpgradableReadGuard, Upgradable, guard),
        (Guard::Write(guard), 3) => split!(ArcFileWriteGuard, Write, guard),
        (Guard::Write(guard), 4) => {
            vec![(Guard::Read(ArcFileWriteGuard::downgrade(guard).unwrap()), Some((ends, Mode::Read)))]
        }
        (Guard::Write(guard), 5) => {
            let guard = ArcFileWriteGuard::downgrade_to_upgradable(guard).unwrap();
            vec![(Guard::Upgradable(guard), Some((ends, Mode::Upgradable)))]
        }
        (Guard::Upgradable(guard), 4) => {
            let guard = ArcFileUpgradableReadGuard::downgrade(guard).unwrap();
            vec![(Guard::Read(guard), Some((ends, Mode::Read)))]
        }
        (Guard::Upgradable(guard), 5..) => {
            let upgraded = match what % 8 {
                5 => ArcFileUpgradableReadGuard::try_upgrade(guard),
                6 => ArcFileUpgradableReadGuard::try_upgrade_for(guard, Duration::from_micros(100)),
                _ => ArcFileUpgradableReadGuard::try_upgrade_until(guard, Instant::now()),
            };
            assert_eq!(upgraded.is_ok(), alone);
            match upgraded {
                Ok(guard) => vec![(Guard::Write(guard), Some((ends, Mode::Write)))],
                Err(Unchanged { guard, .. }) => vec![(Guard::Upgradable(guard), Some((ends, mode)))],
            }
        }
        (guard, _) => {
            assert!(match &guard {
                Guard::Read(guard) => ArcFileReadGuard::is_still_held(guard).unwrap(),
                Guard::Upgradable(guard) => ArcFileUpgradableReadGuard::is_still_held(guard).unwrap(),
                Guard::Write(guard) => ArcFileWriteGuard::is_still_held(guard).unwrap(),
                Guard::Many(_) => true,
            });
            vec![(guard, Some((ends, mode)))]
        }
    }
}

proptest! {
    #[test]
    fn the_file_has_what_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let file = tempfile::tempfile().unwrap();
        let locks = [(); 2].map(|()| Arc::new(FileRangeLock::from_file(&file).unwrap()));
        let seen = Seen::new(&file);
        let mut held: Vec<Held<'_>> = Vec::new();
        for step in steps {
            match step {
                Step::Acquire { lock, mode, ends, how } => {
                    let granted = is_granted(&held, lock, (ends, mode));
                    let guard = acquire(&locks[lock], mode, ends, how, granted);
                    prop_assert_eq!(guard.is_some(), granted);
                    held.extend(guard.map(|guard| Held { guard, lock, parts: vec![(ends, mode)] }));
                }
                Step::Many { lock, parts, how } => {
                    let parts_of_model = disjoint(&parts);
                    let granted = parts_of_model.iter().all(|part| is_granted(&held, lock, *part));
                    let requests = parts.into_iter().map(|((first, last), mode)| match mode {
                        Mode::Write => Request::write(byte(first)..=byte(last)),
                        _ => Request::read(byte(first)..=byte(last)),
                    });
                    let guard = match how % 4 {
                        0 if granted => Some(locks[lock].acquire_many(requests).unwrap()),
                        0 | 1 => locks[lock].try_acquire_many(requests).unwrap(),
                        2 => locks[lock].try_acquire_many_for(requests, Duration::from_micros(100)).unwrap(),
                        _ => locks[lock].try_acquire_many_until(requests, Instant::now()).unwrap(),
                    };
                    prop_assert_eq!(guard.is_some(), granted);
                    held.extend(guard.map(|guard| Held { guard: Guard::Many(Box::new(guard)), lock, parts: parts_of_model }));
                }
                Step::Change { which, what, ends } if !held.is_empty() => {
                    let Held { guard, lock, parts } = held.swap_remove(which % held.len());
                    match (guard, &parts[..]) {
                        (Guard::Many(guard), _) => FileManyGuard::release(*guard).unwrap(),
                        (guard, [part]) => {
                            let alone = is_granted(&held, lock, (part.0, Mode::Write));
                            for (guard, part) in change(guard, *part, what, ends, alone) {
                                held.extend(part.map(|part| Held { guard, lock, parts: vec![part] }));
                            }
                        }
                        _ => unreachable!("a guard of one range has one part"),
                    }
                }
                Step::Change { .. } => {}
            }
            let expected = expected(&held);
            prop_assert_eq!(seen.bytes(0..=63) + &seen.bytes(LAST - 7..=LAST), expected);
            for (number, lock) in locks.iter().enumerate() {
                let in_the_way = held.iter().any(|held| held.lock != number && !held.parts.is_empty());
                prop_assert_eq!(lock.conflicting(..).unwrap().is_some(), in_the_way);
            }
        }
    }
}
