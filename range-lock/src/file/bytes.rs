//! [`Bytes`]: what this process has locked of the file, kept in step with what its guards hold. It
//! uses the system calls, and the table with its sections.
//!
//! The kernel merges the locks of one description. Two readers of this process have one lock on the
//! bytes that both hold, and the first unlock would take the lock from both. So a table counts the
//! readers of each byte, and a byte is unlocked when its last reader leaves.
//!
//! # What holds
//!
//! **local**: a thread calls in here only while it holds the span in the `RangeLock` of this
//! process. It acquires the span there before it locks the span in the file, and releases it there
//! after it has unlocked the span in the file. So where a writer is, no other thread of this
//! process is. And a writer cannot make a reader of a byte weaker or stronger.
//!
//! **section**: some threads change the lock of the file on a byte, or the number of its readers.
//! Such a thread holds the byte for writing ("local"), or has it in a section or in a busy slot.
//! Threads whose spans overlap there take turns. Other threads do not. No call in a section, or for
//! a slot that is busy, waits for another description.
//!
//! **table**: this holds outside of sections, of slots that are busy, and of calls that wait. The
//! file has a read lock on a byte exactly if the table counts a reader of the byte, or a slot holds
//! it. The file has a write lock exactly if a writer of this process holds the byte. A call that
//! waits may have locked more, and so has an unlock that failed (`owed`).
//!
//! So a reader that leaves unlocks the bytes of which it is the last reader, each once, and touches
//! no other. A reader that has a slot is the only reader of its bytes, so it unlocks all of them.
//! No thread relies on what a waiting call has been given: a reader that leaves between the grant
//! and the next section may unlock some of it. In the section the thread asks again.
//!
//! **owed**: a thread that waits for other processes owes nothing of its span when it begins to
//! wait. Otherwise two processes could wait for each other, each for bytes that the other owes.

use std::io;
use std::mem;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use super::primitives::{AtomicBool, Mutex, Ordering};
use super::sections::{Entered, Section, Sections};
use super::sys::Description;
use crate::lock::RangeLock;
use crate::mode::Mode;
use crate::span::Span;
use crate::spin;

/// How long a verb waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wait {
    Not,
    Until(Instant),
    Forever,
}

impl Wait {
    /// For this long from now. For ever if the end is past what the clock can tell.
    pub(super) fn after(timeout: Duration) -> Wait {
        Instant::now().checked_add(timeout).map_or(Wait::Forever, Wait::Until)
    }
}

/// Looks again until the answer is yes, or the wait ends. Looks after pauses from 1 ms, doubling to
/// 50 ms, and a last time at the deadline.
fn look_again(wait: Wait, look: impl Fn() -> io::Result<bool>) -> io::Result<bool> {
    let mut pause = Duration::from_millis(1);
    loop {
        let left = match wait {
            Wait::Not => return Ok(false),
            Wait::Until(deadline) => deadline.saturating_duration_since(Instant::now()),
            Wait::Forever => Duration::MAX,
        };
        if left.is_zero() {
            return Ok(false);
        }
        spin::nap(pause.min(left));
        if look()? {
            return Ok(true);
        }
        pause = (pause * 2).min(Duration::from_millis(50));
    }
}

#[derive(Debug)]
pub(super) struct Bytes {
    pub(super) description: Description,
    /// Which bytes readers of this process hold. It is on cache lines of its own, because what
    /// stands beside it is read all the time.
    sections: CachePadded<Sections>,
    /// Spans that could not be unlocked when they were released.
    owed: Mutex<Vec<Span>>,
    /// Whether there are any.
    owes: AtomicBool,
}

impl Bytes {
    pub(super) fn new(description: Description) -> Self {
        Bytes {
            description,
            sections: CachePadded::new(Sections::new()),
            owed: Mutex::new(Vec::new()),
            owes: AtomicBool::new(false),
        }
    }

    /// Locks `span`, which the caller holds in this process ("local"), in the file. Returns whether
    /// it was granted. If not, or if it fails, nothing of `span` is locked.
    pub(super) fn enter(&self, span: Span, mode: Mode, wait: Wait) -> io::Result<bool> {
        if self.try_enter(span, mode)? {
            return Ok(true);
        }
        if let Wait::Not = wait {
            return Ok(false);
        }
        self.settle_own(span)?;
        match wait {
            Wait::Forever => self.enter_waiting(span, mode),
            _ => look_again(wait, || self.try_enter(span, mode)),
        }
    }

    /// Locks several spans, in ascending order, as [`enter`](Self::enter). Gives all back before
    /// each pause, since nothing detects a deadlock across processes.
    pub(super) fn enter_many(&self, parts: &[(Span, Mode)], wait: Wait) -> io::Result<bool> {
        if self.try_enter_many(parts)? {
            return Ok(true);
        }
        if let Wait::Not = wait {
            return Ok(false);
        }
        parts.iter().try_for_each(|(span, _)| self.settle_own(*span))?;
        look_again(wait, || self.try_enter_many(parts))
    }

    #[cold]
    fn enter_waiting(&self, span: Span, mode: Mode) -> io::Result<bool> {
        loop {
            self.description.set_waiting(span, mode)?;
            // For tests: others may come in just where they would find a fault.
            #[cfg(debug_assertions)]
            spin::yield_now();
            let entered = self.try_enter(span, mode);
            if let Ok(true) = entered {
                return entered;
            }
            // Some of what was granted may still be locked. What cannot be unlocked is owed.
            let _ = self.unlock_uncounted(span);
            entered?;
        }
    }

    fn try_enter(&self, span: Span, mode: Mode) -> io::Result<bool> {
        if mode == Mode::Write {
            return self.description.set(span, mode);
        }
        let mut section = match self.sections.enter_alone(span) {
            Entered::Section(section) => section,
            Entered::Alone(alone) => {
                let entered = self.description.set(span, mode)?;
                if entered {
                    alone.hold();
                }
                return Ok(entered);
            }
        };
        let entered =
            section.table().covers(span) || section.unlocked(|| self.description.set(span, mode))?;
        if entered {
            section.table().add(span);
        }
        Ok(entered)
    }

    fn try_enter_many(&self, parts: &[(Span, Mode)]) -> io::Result<bool> {
        let (Some((first, _)), Some((last, _))) = (parts.first(), parts.last()) else { return Ok(true) };
        let mut section = self.sections.enter(Span { first: first.first, last: last.last });
        for (n, (span, mode)) in parts.iter().enumerate() {
            let covered = *mode != Mode::Write && section.table().covers(*span);
            let set =
                if covered { Ok(true) } else { section.unlocked(|| self.description.set(*span, *mode)) };
            if !matches!(set, Ok(true)) {
                // None of them has been counted. What cannot be unlocked is owed.
                parts[..n].iter().for_each(|(span, _)| _ = self.unlock_parts(&mut section, *span, 0));
                return set;
            }
        }
        for (span, _) in parts.iter().filter(|(_, mode)| *mode != Mode::Write) {
            section.table().add(*span);
        }
        Ok(true)
    }

    /// Unlocks the bytes of `span` that no reader holds, as [`unlock_parts`](Self::unlock_parts).
    /// The caller holds `span` in this process, and has neither counted itself nor locked it for
    /// writing.
    #[cold]
    fn unlock_uncounted(&self, span: Span) -> io::Result<()> {
        self.unlock_parts(&mut self.sections.enter(span), span, 0)
    }

    /// Unlocks the bytes of `span` that `readers` readers hold. Bytes that cannot be unlocked are
    /// owed. Returns the first error.
    fn unlock_parts(&self, section: &mut Section<'_>, span: Span, readers: usize) -> io::Result<()> {
        let (mut result, mut rest) = (Ok(()), Some(span));
        while let Some(left) = rest {
            let Some(part) = section.table().part(left, readers) else { break };
            result = result.and(section.unlocked(|| self.unlock(part)));
            rest = (part.last < left.last).then(|| Span { first: part.last + 1, last: left.last });
        }
        result
    }

    fn unlock(&self, span: Span) -> io::Result<()> {
        let result = self.description.unset(span);
        if result.is_err() {
            self.owe(span);
        }
        result
    }

    /// Unlocks what the caller, and no other thread, holds of `span`. The caller releases it in
    /// this process afterwards, even if the call fails: what could not be unlocked is owed.
    pub(super) fn leave(&self, span: Span, mode: Mode) -> io::Result<()> {
        if mode == Mode::Write {
            return self.unlock(span);
        }
        if let Some(_alone) = self.sections.leave_alone(span) {
            return self.unlock(span);
        }
        let mut section = self.sections.enter(span);
        let result = self.unlock_parts(&mut section, span, 1);
        section.table().remove(span);
        result
    }

    /// Turns a reader's lock on `span` into a lock for writing. Returns whether it did. The caller
    /// holds `span` for writing in this process. If not, or if it fails, nothing has changed.
    pub(super) fn upgrade(&self, span: Span, wait: Wait) -> io::Result<bool> {
        let set = || self.description.set(span, Mode::Write);
        let upgraded = set()? || look_again(wait, set)?;
        if upgraded {
            self.sections.remove(span);
        }
        Ok(upgraded)
    }

    /// Turns a writer's lock on `span` into a lock for reading. The caller does the same in this
    /// process afterwards. If the call fails, nothing has changed.
    pub(super) fn downgrade(&self, span: Span) -> io::Result<()> {
        let done = self.description.set(span, Mode::Read)?;
        debug_assert!(done, "what is locked for writing conflicts with nothing");
        self.sections.add(span);
        Ok(())
    }

    #[cold]
    fn owe(&self, span: Span) {
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        // It may have been owed before, and refused once more.
        if !owed.iter().any(|owed| owed.covers(span)) {
            owed.push(span);
        }
        self.owes.store(true, Ordering::Release);
    }

    /// Tries once more to unlock what could not be unlocked when it was released. Returns the first
    /// error. What this process has acquired again meanwhile stays as it is: `local`, the lock of
    /// this process, knows what writers hold, and the table what readers hold.
    #[inline]
    pub(super) fn settle(&self, local: &RangeLock) -> io::Result<()> {
        if self.owes.load(Ordering::Acquire) { self.settle_owed(local) } else { Ok(()) }
    }

    #[cold]
    fn settle_owed(&self, local: &RangeLock) -> io::Result<()> {
        let mut settling = Vec::new();
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        owed.retain(|span| {
            let Some(reading) = local.try_read(span.first..=span.last) else { return true };
            settling.push((*span, reading));
            false
        });
        self.owes.store(!owed.is_empty(), Ordering::Release);
        drop(owed);
        let mut result = Ok(());
        for (span, _reading) in settling {
            // What is refused again is owed again.
            result = result.and(self.unlock_uncounted(span));
        }
        result
    }

    /// Unlocks what is owed of `span`, for which the caller is about to wait ("owed"). The caller
    /// holds it in this process.
    #[inline]
    fn settle_own(&self, span: Span) -> io::Result<()> {
        if self.owes.load(Ordering::Acquire) { self.settle_owed_of(span) } else { Ok(()) }
    }

    #[cold]
    fn settle_owed_of(&self, span: Span) -> io::Result<()> {
        let mut settling = Vec::new();
        let mut owed = self.owed.lock().unwrap_or_else(PoisonError::into_inner);
        for before in mem::take(&mut *owed) {
            let Span { first, last } = before;
            if !before.overlaps(span) {
                owed.push(before);
                continue;
            }
            settling.push(Span { first: first.max(span.first), last: last.min(span.last) });
            if first < span.first {
                owed.push(Span { first, last: span.first - 1 });
            }
            if span.last < last {
                owed.push(Span { first: span.last + 1, last });
            }
        }
        self.owes.store(!owed.is_empty(), Ordering::Release);
        drop(owed);
        let mut result = Ok(());
        for span in settling {
            result = result.and(self.unlock_uncounted(span));
        }
        result
    }
}
