//! The order of locks, checked at every acquisition.
//!
//! Each thread keeps a list of what it holds, and of what it has asked for. Whoever asks for a lock whose rank is not larger than that of one
//! that it holds is reported at once, on the first occurrence, whether or not a deadlock comes of it this time:
//! as lockdep does, but with ranks that are known beforehand. Two locks of one rank are taken in the order of
//! their objects' addresses, and then of their ranges.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use super::{Finding, Invariant};
use crate::schedule::{LockRequest, simulated};

/// Names one acquisition of this thread; later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64);

/// A lock that is held, or asked for.
#[derive(Clone, Debug)]
pub(crate) struct HeldLock {
    pub(crate) id: Id,
    pub(crate) request: LockRequest,
    /// It is held.
    pub(crate) granted: bool,
    /// Where it was asked for.
    site: &'static Location<'static>,
    /// How the thread came there, where somebody observes ([`observed`]).
    stack: Option<Arc<Backtrace>>,
}

impl fmt::Display for HeldLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}:{}", self.request, self.site.file(), self.site.line())
    }
}

thread_local! {
    static LOCKS: RefCell<Locks> =
        const { RefCell::new(Locks { next: 0, held: Vec::new(), given_up: Vec::new() }) };
}

thread_local! {
    static OBSERVED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `run`, and lets this thread remember the stack of every acquisition meanwhile, which takes long, and what
/// it has given up ([`given_up`]).
pub(crate) fn observed<R>(run: impl FnOnce() -> R) -> R {
    let before = OBSERVED.replace(true);
    let result = run();
    OBSERVED.set(before);
    result
}

struct Locks {
    next: u64,
    held: Vec<HeldLock>,
    given_up: Vec<HeldLock>,
}

/// The thread asks for a lock. `in_order` is false for one that is asked for at once with the one before it.
///
/// # Panics
///
/// In a thread that is not simulated, if the order is wrong.
#[track_caller]
pub(crate) fn ask(request: LockRequest, in_order: bool) -> Id {
    let site = Location::caller();
    let stack = OBSERVED.get().then(|| Arc::new(Backtrace::force_capture()));
    LOCKS.with_borrow_mut(|locks| {
        let id = Id(locks.next);
        locks.next += 1;
        let wanted = HeldLock { id, request, granted: false, site, stack };
        if let Some(inversion) = find_inversion(&locks.held, &wanted).filter(|_| in_order) {
            assert!(simulated::current().is_some() || std::thread::panicking(), "{inversion}");
            simulated::find(Finding::new(Invariant::LockOrder, inversion));
        }
        locks.held.push(wanted);
        id
    })
}

/// The thread has been granted a lock that it asked for.
pub(crate) fn grant(id: Id) {
    LOCKS.with_borrow_mut(|locks| {
        if let Some(lock) = locks.held.iter_mut().rfind(|lock| lock.id == id) {
            lock.granted = true;
        }
    });
}

/// The thread has released a lock, or does not wait for it any more.
pub(crate) fn release(id: Id) {
    LOCKS.with_borrow_mut(|locks| {
        if let Some(at) = locks.held.iter().rposition(|lock| lock.id == id) {
            let lock = locks.held.remove(at);
            if lock.granted && OBSERVED.get() {
                locks.given_up.push(lock);
            }
        }
    });
}

/// What has been released since this was asked last, where somebody observes; whichever simulated thread did.
pub(crate) fn given_up() -> Vec<HeldLock> {
    LOCKS.with_borrow_mut(|locks| std::mem::take(&mut locks.given_up))
}

/// Exchanges the list of what this thread holds with another.
pub(crate) fn exchange(held: &mut Vec<HeldLock>) {
    LOCKS.with_borrow_mut(|locks| std::mem::swap(&mut locks.held, held));
}

fn find_inversion(held: &[HeldLock], wanted: &HeldLock) -> Option<String> {
    let against = held.iter().find(|held| !may_follow(&held.request, &wanted.request))?;
    let all: Vec<_> = held.iter().map(|held| format!("\n  holds    {held}")).collect();
    let stacks = [against, wanted].map(|lock| {
        lock.stack
            .as_ref()
            .map_or_else(String::new, |stack| format!("\n  {}, by way of{}", lock.request, frames(stack)))
    });
    Some(format!(
        "{} is asked for while {} is held{}\n  asks for {wanted}{}",
        wanted.request,
        against.request,
        all.concat(),
        stacks.concat()
    ))
}

/// The frames of a stack that are the simulator's own, innermost first, and not of what watches it.
fn frames(stack: &Backtrace) -> String {
    let text = stack.to_string();
    let mut lines = text.lines().map(str::trim).peekable();
    let mut frames = String::new();
    while let Some(line) = lines.next() {
        let Some(place) = lines.peek().and_then(|next| next.strip_prefix("at ")) else { continue };
        // Paths are told from where the program was started.
        let inside = place.split_once("dax-sim/src/").map(|(_, inside)| inside);
        let Some(place) = inside.or_else(|| place.strip_prefix("./src/")) else { continue };
        if ["check/", "schedule/", "explore/", "cli/"].iter().any(|room| place.starts_with(room)) {
            continue;
        }
        let name = line.split_once(": ").map_or(line, |(_, name)| name);
        let name = name.split('<').next().unwrap_or(name);
        frames.push_str(&format!("\n    {name} at {place}"));
    }
    frames
}

fn may_follow(held: &LockRequest, wanted: &LockRequest) -> bool {
    if held.class != wanted.class {
        return held.class < wanted.class;
    }
    match held.object.cmp(&wanted.object) {
        std::cmp::Ordering::Equal => held.range.end <= wanted.range.start,
        order => order.is_lt(),
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::schedule::{LockClass, Schedule};

    fn request(class: LockClass, range: std::ops::Range<u64>) -> LockRequest {
        LockRequest { class, object: 1, range, exclusive: false }
    }

    #[test]
    fn a_wrong_order_is_told_with_both_places_and_a_right_one_is_not() {
        let schedule = Schedule::none().with_checks(true);
        let inode = schedule.locking(|| request(LockClass::IRwsem, 0..u64::MAX));
        let first = schedule.locking(|| request(LockClass::Entry, 3..4));
        let second = schedule.locking(|| request(LockClass::Entry, 4..5));
        drop(first);
        let wrong =
            catch_unwind(AssertUnwindSafe(|| schedule.locking(|| request(LockClass::Handle, 0..u64::MAX))));
        let message = *wrong.unwrap_err().downcast::<String>().unwrap();
        assert!(
            message.contains("journal handle is asked for while entry lock of page 4 is held"),
            "{message}"
        );
        assert_eq!(message.matches("ranks.rs:").count(), 3, "{message}");
        drop((inode, second));
        let again = catch_unwind(AssertUnwindSafe(|| {
            let _held = schedule.locking(|| request(LockClass::Entry, 4..5));
            drop(schedule.locking(|| request(LockClass::Entry, 4..5)));
        }));
        assert!(again.is_err(), "what is held cannot be locked again");
        LOCKS.with_borrow(|locks| assert!(locks.held.is_empty(), "what is refused is not held"));
    }
}
