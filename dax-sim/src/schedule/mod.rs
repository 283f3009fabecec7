//! The one door between the paths and the order of threads. It uses the tools of the ground floor.
//!
//! Each step passes here that another thread may see, or wait for: there is a [`SchedulePoint`]
//! before the step (docs/design.md lists the steps without one), and the waits themselves (`door`).
//! A file system can run in four ways:
//!
//! * Nothing happens at a point, as in benchmarks: a point is one predictable branch.
//! * Threads linger at some points ([`Schedule::widen`]): the races of [Kara's 2017 e-mail] need a
//!   few nanoseconds' luck.
//! * Points call a function ([`Schedule::hook`]), so that a test or a demonstration can order two
//!   threads step by step.
//! * Threads are driven: one simulated thread runs at a time, and at every point the driver chooses
//!   which goes on (`Schedule::controlled`, for [`explore`](crate::explore)).
//!
//! The points and the delays are the same in every variant.
//!
//! [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz

mod class;
mod door;
pub(crate) mod ranks;
pub(crate) mod simulated;
pub(crate) mod thread;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use class::LockClass;
pub(crate) use class::LockRequest;
pub(crate) use door::{Asked, Held};
pub(crate) use simulated::Wait;

/// A step at which the order of threads matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchedulePoint {
    /// A fault has asked the file system where the page's block is, and has not yet installed the
    /// answer.
    FaultLookedUp {
        /// Whether it is a write fault.
        write: bool,
    },
    /// The fault of the first store to a page that is mapped for loads has found the page's entry
    /// unchanged. The fault is about to make the entry dirty.
    PfnMkwrite,
    /// A call such as write(2) has published a new block of a page, and has not yet invalidated the
    /// mappings of the page.
    WritePublished,
    /// write(2) has copied, and is about to invalidate once more.
    Invalidate,
    /// The thread did not get i_rwsem at once, and is about to wait for i_rwsem.
    IRwsemContended,
    /// The thread did not get i_mmap_sem at once, and is about to wait for i_mmap_sem.
    IMmapSemContended,
    /// The thread has found the entry locked, and is about to wait for the lock of the entry.
    EntryContended,
    /// The thread has announced that it waits for the lock of the entry. The thread is about to
    /// check once more whether it must wait.
    EntryAnnounced,
    /// The thread must free, move or share the block of a page, and the block is pinned. The thread
    /// is about to wait until no pin of the block is left.
    LayoutBusy,
    /// An access through a mapping has read a translation, or read(2) has found a shared block. The
    /// access or the read(2) has not yet used this translation or block.
    Translated,
    /// The thread is about to ask for the lock.
    Lock(LockClass),
    /// About to ask the block map.
    LookUp,
    /// About to change the block map, with i_data_sem held.
    Publish,
    /// About to insert an entry where none was found.
    EntryInsert,
    /// About to change or to delete a locked entry.
    EntryChange,
    /// About to read a translation.
    Translate,
    /// About to install a translation.
    Install,
    /// About to remove translations.
    Unmap,
    /// About to write-protect translations.
    WriteProtect,
    /// The thread has changed translations or replaced a shared block. The thread is about to wait
    /// for the accesses that may still use the old translations or the old block.
    Shootdown,
    /// read(2) or write(2) is about to touch a block.
    Copy,
    /// About to write a page back.
    Flush,
    /// About to zero a part of a block.
    Zero,
    /// About to tag dirty entries for a write-back.
    Tag,
    /// About to change the size of the file.
    Resize,
    /// All handles of the transaction have stopped, and no handle can start. The thread is about to
    /// make the changes of the transaction durable.
    Commit,
    /// About to give blocks back.
    Free,
}

/// A fault planted on purpose, to show that the checkers find the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[doc(hidden)]
pub enum PlantedFault {
    /// write(2) does not invalidate the pages whose blocks are new.
    SkipInvalidation,
    /// Write-back clears the dirty tag before it flushes.
    CleanBeforeFlush,
    /// Punch and truncate free blocks before they are unmapped.
    FreeBeforeUnmap,
    /// A thread that was woken for an entry and does not lock it wakes no other.
    ForgetWake,
    /// A read fault maps its block writable.
    MapWritableWhenClean,
    /// No thread waits for accesses that use an old translation.
    SkipTlbFlush,
    /// fsync writes back and does not commit.
    FsyncWithoutCommit,
    /// A commit does not wait for open handles.
    CommitOverHandles,
    /// The transaction does not know of the size that truncate sets.
    ResizeUnknown,
    /// A fault of a page does not look at the PMD again when it has locked the entry.
    PteUnderPmd,
    /// A fault of 2 MiB does not look for a table of pages again when it has locked the entry.
    PmdOverTable,
    /// A fault of 2 MiB ignores the address at which the pages are mapped.
    IgnoreColour,
    /// Deleting an entry wakes only the first thread that waits for it.
    WakeOneOfDeleted,
    /// The second fault of a private page copies it once more.
    CopyTwice,
    /// A shared block whose place a copy has taken is given up while read(2)s look at it.
    ReleaseUnderRead,
    /// No thread waits for pins.
    FreePinned,
    /// A write fault allocates before it unmaps the zero page.
    AllocateUnderZeroPage,
    /// Collapse and insert hold i_mmap_sem over their first page, and not over all pages that move.
    LockFirstPageOnly,
    /// A clone does not write back the blocks that it shares.
    CloneWithoutWriteback,
    /// The rest of a page that is cut is not zeroed.
    KeepWhatIsCut,
    /// A store through MAP_SYNC does not wait for the metadata.
    MapSyncWithoutSync,
    /// write(2) leaves what it copied in the caches.
    WriteWithoutFlush,
    /// write(2) writes back its whole words, and not the bytes behind the last of them.
    FlushWholeWordsOnly,
    /// A block becomes the file's, and its transaction is committed, before the block's contents
    /// are written back: zeros, or the copy of a shared block.
    CommitBeforeData,
    /// A dedupe shares blocks that hold different bytes.
    DedupeUnseen,
    /// Write-back flushes the first page of an entry of 2 MiB.
    FlushFirstPageOnly,
    /// A fault that comes second to an unwritten block zeroes it once more.
    ConvertTwice,
}

/// What happens at schedule points.
#[derive(Clone)]
pub struct Schedule {
    kind: Kind,
    /// Whether the order of locks is checked at every acquisition.
    checked: bool,
    fault: Option<PlantedFault>,
    /// Whether nothing happens at points and nothing is checked: the one branch that every point
    /// takes.
    quiet: bool,
}

#[derive(Clone)]
enum Kind {
    Nothing,
    Widen { one_in: u32, delay: Duration },
    Hook(Arc<dyn Fn(SchedulePoint, u64) + Send + Sync>),
    Controlled,
}

impl Schedule {
    fn new(kind: Kind) -> Self {
        let quiet = matches!(kind, Kind::Nothing);
        Self { kind, checked: false, fault: None, quiet }.with_checks(cfg!(debug_assertions))
    }

    /// Nothing happens at points.
    pub fn none() -> Self {
        Self::new(Kind::Nothing)
    }

    /// Delays some threads that pass [`SchedulePoint::FaultLookedUp`] or
    /// [`SchedulePoint::WritePublished`]. The schedule delays a passing thread with a probability
    /// of 1 in `one_in`. The thread yields the CPU again and again, until a random time of at most
    /// `delay` is over. If `one_in` is 0, the schedule delays no thread.
    pub fn widen(one_in: u32, delay: Duration) -> Self {
        Self::new(Kind::Widen { one_in, delay })
    }

    /// Calls `hook` in each thread that passes a point. The arguments are the point, and the index
    /// of a page in the file. The index is 0 if the point concerns no page. The hook may block.
    pub fn hook(hook: impl Fn(SchedulePoint, u64) + Send + Sync + 'static) -> Self {
        Self::new(Kind::Hook(Arc::new(hook)))
    }

    /// Threads are simulated, and their driver chooses at every point. A thread that is not
    /// simulated passes all points, and must not have to wait.
    pub(crate) fn controlled() -> Self {
        Self::new(Kind::Controlled).with_checks(true)
    }

    /// Sets whether the schedule checks each acquisition of a lock against the order of locks. A
    /// thread of the operating system that violates the order panics. In an exploration the check
    /// is on, and a violation is a finding. In other runs the check is by default on in builds with
    /// debug assertions, and off in other builds.
    #[must_use]
    pub fn with_checks(mut self, checked: bool) -> Self {
        self.checked = checked;
        self.refresh()
    }

    /// Plants a fault.
    #[doc(hidden)]
    #[must_use]
    pub fn with_fault(mut self, fault: Option<PlantedFault>) -> Self {
        self.fault = fault;
        self.refresh()
    }

    fn refresh(mut self) -> Self {
        self.quiet = matches!(self.kind, Kind::Nothing) && !self.checked && self.fault.is_none();
        self
    }

    /// A thread passes `point`, at work on `page`.
    #[inline]
    pub(crate) fn pass(&self, point: SchedulePoint, page: u64) {
        if !self.quiet {
            self.act(point, page, None);
        }
    }

    /// The same, at work on one of several mappings.
    #[inline]
    pub(crate) fn pass_in<T>(&self, point: SchedulePoint, page: u64, mapping: &T) {
        if !self.quiet {
            self.act(point, page, Some(std::ptr::from_ref(mapping).addr()));
        }
    }

    /// Whether the fault is planted.
    #[inline]
    pub(crate) fn has(&self, fault: PlantedFault) -> bool {
        !self.quiet && self.fault == Some(fault)
    }

    /// Whether nothing happens at points, and nothing is checked.
    #[inline]
    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether threads are simulated.
    pub(crate) fn is_controlled(&self) -> bool {
        matches!(self.kind, Kind::Controlled)
    }

    #[cold]
    fn act(&self, point: SchedulePoint, page: u64, mapping: Option<usize>) {
        match &self.kind {
            Kind::Nothing => {}
            Kind::Widen { one_in, delay } => {
                let widened =
                    matches!(point, SchedulePoint::FaultLookedUp { .. } | SchedulePoint::WritePublished);
                if widened && *one_in > 0 && fastrand::u32(..*one_in) == 0 {
                    linger(delay.mul_f64(fastrand::f64()));
                }
            }
            Kind::Hook(hook) => hook(point, page),
            Kind::Controlled => simulated::pass(point, page, mapping),
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Nothing => f.write_str("Nothing"),
            Kind::Widen { one_in, delay } => {
                f.debug_struct("Widen").field("one_in", one_in).field("delay", delay).finish()
            }
            Kind::Hook(_) => f.write_str("Hook"),
            Kind::Controlled => f.write_str("Controlled"),
        }
    }
}

/// Yields and does not spin: with more threads than CPUs a spinner would only keep out the thread
/// that is to overtake it.
fn linger(delay: Duration) {
    let start = Instant::now();
    loop {
        std::thread::yield_now();
        if start.elapsed() >= delay {
            return;
        }
    }
}
