//! Checks the order of locks at every acquisition.
//!
//! Each thread keeps a list of what it holds, and of what it has asked for. A thread must not ask
//! for a lock whose rank is at most that of a lock it holds. A violation is reported at once,
//! whether or not it leads to a deadlock this time. lockdep does the same, but learns the order
//! while it runs. Here ranks are known beforehand. Two locks of one rank are taken in the order of
//! their objects' addresses, and then of their ranges.
//!
//! A report has the stacks of both acquisitions. To walk a stack takes microseconds. So a thread of
//! the machine does it once for each place and each set of locks held there, and uses that stack
//! for later acquisitions, as lockdep does. A simulated thread does it every time if an observer is
//! there ([`observed`]), and never otherwise.

use std::backtrace::Backtrace;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::Location;
use std::sync::Arc;

use super::{LockRequest, thread};
use crate::finding::{Finding, Invariant};

/// Names one acquisition of this thread. Later ones are larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Id(u64);

/// A lock that the thread holds, or has asked for.
#[derive(Clone, Debug)]
pub(crate) struct HeldLock {
    pub(crate) id: Id,
    pub(crate) request: LockRequest,
    /// Whether it is held.
    pub(crate) granted: bool,
    /// Where the thread asked for it.
    site: &'static Location<'static>,
    /// How the thread came there.
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
    /// How the thread first came to a place where it asked for a lock. The key hashes this place
    /// and the places where it took the locks that it held.
    static WAYS: RefCell<HashMap<u64, Arc<Backtrace>>> = RefCell::default();
}

thread_local! {
    static OBSERVED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `run`. Meanwhile this thread remembers the stack of every acquisition, which takes long,
/// and what it has released ([`given_up`]).
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

/// Records that the thread asks for a lock. `in_order` is false for a lock that it asks for
/// together with the one before.
///
/// # Panics
///
/// In a thread that is not simulated, if the order is wrong.
#[track_caller]
pub(crate) fn ask(request: LockRequest, in_order: bool) -> Id {
    let site = Location::caller();
    LOCKS.with_borrow_mut(|locks| {
        let id = Id(locks.next);
        locks.next += 1;
        let stack = stack(&locks.held, site);
        let mut wanted = HeldLock { id, request, granted: false, site, stack };
        let against = locks.held.iter().find(|held| !may_follow(&held.request, &wanted.request));
        if let Some(against) = against.filter(|_| in_order) {
            let simulated = thread::current().is_some();
            if !simulated {
                wanted.stack = Some(Arc::new(Backtrace::force_capture()));
            }
            let inversion = inversion(&locks.held, against, &wanted);
            assert!(simulated || std::thread::panicking(), "{inversion}");
            thread::find(Finding::new(Invariant::LockOrder, inversion));
        }
        locks.held.push(wanted);
        id
    })
}

/// How the thread came to ask for a lock at this place, with these locks held.
fn stack(held: &[HeldLock], site: &'static Location<'static>) -> Option<Arc<Backtrace>> {
    let capture = || Arc::new(Backtrace::force_capture());
    if OBSERVED.get() || thread::current().is_some() {
        return OBSERVED.get().then(capture);
    }
    let mut hasher = DefaultHasher::new();
    held.iter()
        .map(|lock| lock.site)
        .chain([site])
        .for_each(|site| std::ptr::from_ref(site).hash(&mut hasher));
    // A thread that ends no longer has thread-local memory.
    let way = |ways: &RefCell<HashMap<_, _>>| {
        Arc::clone(ways.borrow_mut().entry(hasher.finish()).or_insert_with(capture))
    };
    WAYS.try_with(way).ok()
}

/// Records that the thread has been granted a lock that it asked for.
pub(crate) fn grant(id: Id) {
    LOCKS.with_borrow_mut(|locks| {
        if let Some(lock) = locks.held.iter_mut().rfind(|lock| lock.id == id) {
            lock.granted = true;
        }
    });
}

/// Records that the thread has released a lock, or no longer waits for it.
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

/// What has been released since the last call, under an observer, by any simulated thread.
pub(crate) fn given_up() -> Vec<HeldLock> {
    LOCKS.with_borrow_mut(|locks| std::mem::take(&mut locks.given_up))
}

/// Exchanges the list of what this thread holds with another.
pub(crate) fn exchange(held: &mut Vec<HeldLock>) {
    LOCKS.with_borrow_mut(|locks| std::mem::swap(&mut locks.held, held));
}

/// Describes a violation: `wanted` is asked for while `against`, one of `held`, is held.
fn inversion(held: &[HeldLock], against: &HeldLock, wanted: &HeldLock) -> String {
    let all: Vec<_> = held.iter().map(|held| format!("\n  holds    {held}")).collect();
    let stacks = [against, wanted].map(|lock| {
        let frames = lock.stack.as_ref().map_or_else(String::new, |stack| frames(&stack.to_string()));
        // A program without symbols has no frames.
        if frames.is_empty() { frames } else { format!("\n  {}, by way of{frames}", lock.request) }
    });
    format!(
        "{} is asked for while {} is held{}\n  asks for {wanted}{}",
        wanted.request,
        against.request,
        all.concat(),
        stacks.concat()
    )
}

/// The frames of a stack that are the simulator's own, innermost first, without those of the code
/// that watches it. In a program without debug information they have no places.
fn frames(stack: &str) -> String {
    let mut lines = stack.lines().map(str::trim).peekable();
    let mut frames = String::new();
    let watches =
        |module: &str| ["check", "schedule", "explore", "cli"].iter().any(|other| module.starts_with(other));
    while let Some(line) = lines.next() {
        let Some((_, name)) = line.split_once(": ") else { continue };
        let Some(place) = lines.peek().and_then(|next| next.strip_prefix("at ")) else {
            let inside = name.trim_start_matches('<').strip_prefix("dax_sim::");
            if inside.is_some_and(|inside| !watches(inside)) {
                frames.push_str(&format!("\n    {}", short(name)));
            }
            continue;
        };
        // Paths are relative to where the program was started.
        let inside = place.split_once("dax-sim/src/").map(|(_, inside)| inside);
        let Some(place) = inside.or_else(|| place.strip_prefix("./src/")) else { continue };
        if !watches(place) {
            frames.push_str(&format!("\n    {} at {place}", short(name)));
        }
    }
    frames
}

/// A function's name without its path and its type parameters.
fn short(name: &str) -> &str {
    let name = name.split_once("::<").filter(|_| name.ends_with('>')).map_or(name, |(name, _)| name);
    name.rsplit("::").next().unwrap_or(name)
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
    use crate::fs::FileSystem;
    use crate::pmem::{Device, DeviceOptions, MIN_DEVICE_SIZE};
    use crate::schedule::{LockClass, Schedule};
    use crate::variant::Variant;

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

    /// A write fault of `entry-lock-outside` starts its handle under the entry lock.
    #[test]
    fn in_a_thread_of_the_machine_an_inversion_is_told_with_both_stacks() {
        let device =
            Device::open(&DeviceOptions { path: None, size: MIN_DEVICE_SIZE, overwrite: false }).unwrap();
        let schedule = Schedule::none().with_checks(true);
        let fs = FileSystem::format(&device, Variant::EntryLockOutside).with_schedule(schedule);
        let file = fs.create();
        file.truncate(4096).unwrap();
        let mapping = file.mmap(0..4096);
        let told = catch_unwind(AssertUnwindSafe(|| mapping.store_u64(0, 1)));
        let told = *told.unwrap_err().downcast::<String>().unwrap();
        let (_, stacks) = told.split_once("asks for journal handle at").expect("it says what asks");
        let (one, other) = stacks.split_once("\n  journal handle, by way of\n").expect(&told);
        assert!(one.contains("\n  entry lock of page 0, by way of\n"), "{told}");
        for stack in [one, other] {
            assert!(stack.contains("dax_iomap_pte_fault at dax/fault/pte.rs:"), "{told}");
            assert!(stack.contains("store_u64 at file/mapping.rs:"), "{told}");
        }
    }

    #[test]
    fn frames_are_those_of_the_simulator_with_places_where_they_are_known() {
        let stack = "\
   0: dax_sim::schedule::ranks::ask
             at ./dax-sim/src/schedule/ranks.rs:88:5
   1: <dax_sim::fs::sem::Sem>::write
             at ./dax-sim/src/fs/sem.rs:106:18
   2: dax_sim::dax::rw::dax_iomap_write::<u8>
             at /root/dax-sim/src/dax/rw.rs:197:40
   3: std::rt::lang_start
             at /rustc/0/library/std/src/rt.rs:1:1";
        assert_eq!(frames(stack), "\n    write at fs/sem.rs:106:18\n    dax_iomap_write at dax/rw.rs:197:40");
        let stack = "\
   0: dax_sim::schedule::ranks::ask
   1: dax_sim::file::File::write_at
   2: main";
        assert_eq!(frames(stack), "\n    write_at");
        assert_eq!(frames("   0: <unknown>\n   1: <unknown>"), "");
    }
}
