//! Decides which versions a read may see.
//!
//! A word is a register. Writes to it begin and end, and overlapping writes may take effect in any
//! order. So the oracle draws a version when a write *begins*, and calls a run of overlapping
//! writes a busy period. When a busy period closes, whatever was written before the period began
//! has been overwritten. So the period's first version becomes the *floor*. A read that begins
//! later and sees an older version is stale.
//!
//! The oracle judges nothing between overlapping writes, so it raises no false alarms. A version
//! that was never drawn, or a word of another page, is always wrong.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use parking_lot::Mutex;

use super::pattern;

/// A word of each page that is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Register {
    /// The first word: only write(2) and punch hole write it.
    Io,
    /// The second word: stores through mappings write it as well.
    Stored,
}

impl Register {
    /// The register's place in the page, in words.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The register's place in the file, in bytes.
    pub fn offset(self, page: u64) -> u64 {
        page * crate::pmem::BLOCK_SIZE + self.index() as u64 * 8
    }
}

/// The registers that a write writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Covers {
    /// Both registers (write(2) of the whole page).
    Page,
    /// Both registers, with zeros (punch hole).
    PageWithZeros,
    /// [`Register::Stored`] (a store through a mapping).
    StoredWord,
}

/// The judgement on a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Verdict {
    /// The read saw something that it may see.
    Good,
    /// The read saw a value that a write had replaced before the read began.
    Stale,
    /// The read saw something that no thread wrote there.
    Foreign,
}

/// A write that has begun. The caller passes this value to [`Oracle::end`] when the write has
/// returned, or to [`Oracle::fail`] if the write has failed.
#[derive(Debug)]
#[must_use = "a write that never ends keeps its page from being judged"]
pub struct Write {
    page: u64,
    version: u32,
    covers: Covers,
}

impl Write {
    /// The word that the write must write.
    pub fn word(&self) -> u64 {
        match self.covers {
            Covers::PageWithZeros => 0,
            Covers::Page | Covers::StoredWord => pattern::word(self.page, self.version),
        }
    }
}

/// An oracle for one file. For each [`Register`] of every page, the oracle knows which versions a
/// read may still see.
#[derive(Debug)]
pub struct Oracle {
    pages: Box<[Page]>,
}

#[derive(Debug, Default)]
struct Page {
    /// The last version drawn.
    drawn: AtomicU32,
    /// The last version drawn for zeros, which is what a zero counts as. If there was none it is 0,
    /// the version of a fresh page.
    zeroed: AtomicU32,
    /// By register: a read that begins now may see nothing older.
    floor: [AtomicU32; 2],
    busy: Mutex<[Busy; 2]>,
}

/// The busy period of a register.
#[derive(Clone, Copy, Debug, Default)]
struct Busy {
    writes: u32,
    first: u32,
    /// Whether a write of the period has failed.
    failed: bool,
}

impl Oracle {
    /// Builds an oracle for a file of `pages` pages, all of which are holes.
    pub fn new(pages: u64) -> Self {
        Self { pages: std::iter::repeat_with(Page::default).take(pages as usize).collect() }
    }

    /// Begins a write: call it before the write.
    ///
    /// # Panics
    ///
    /// If the file has no such page.
    pub fn begin(&self, page: u64, covers: Covers) -> Write {
        let state = &self.pages[page as usize];
        let mut busy = state.busy.lock();
        let version = state.drawn.load(SeqCst) + 1;
        state.drawn.store(version, SeqCst);
        if covers == Covers::PageWithZeros {
            state.zeroed.store(version, SeqCst);
        }
        for register in covered(covers) {
            let busy = &mut busy[register];
            if busy.writes == 0 {
                *busy = Busy { writes: 0, first: version, failed: false };
            }
            busy.writes += 1;
        }
        Write { page, version, covers }
    }

    /// Ends a write: call it once the write has returned.
    pub fn end(&self, write: Write) {
        self.close(&write, false);
    }

    /// Ends a write that has failed. The write may have taken effect or not. A run of overlapping
    /// writes that contains a failed write does not raise the [`floor`](Oracle::floor). A later run
    /// of overlapping writes raises the floor if none of its writes fails.
    pub fn fail(&self, write: Write) {
        self.close(&write, true);
    }

    fn close(&self, write: &Write, failed: bool) {
        let state = &self.pages[write.page as usize];
        let mut busy = state.busy.lock();
        for register in covered(write.covers) {
            let busy = &mut busy[register];
            busy.writes -= 1;
            busy.failed |= failed;
            if busy.writes == 0 && !busy.failed {
                state.floor[register].store(busy.first, SeqCst);
            }
        }
    }

    /// Runs `read`, and judges the word that `read` returns. `read` must read the register of the
    /// page.
    ///
    /// # Errors
    ///
    /// The errors of `read`.
    pub fn check<E>(
        &self,
        page: u64,
        register: Register,
        read: impl FnOnce() -> Result<u64, E>,
    ) -> Result<Verdict, E> {
        let floor = self.floor(page, register);
        Ok(self.judge(page, floor, read()?))
    }

    /// Returns the oldest version that a read that begins now may see. The caller passes this
    /// version to [`Oracle::judge`].
    pub fn floor(&self, page: u64, register: Register) -> u32 {
        self.pages[page as usize].floor[register.index()].load(SeqCst)
    }

    /// The last version drawn for the page, if no write of the whole page is under way. If it is
    /// still the same after a read, no write overlapped the read.
    pub(crate) fn at_rest(&self, page: u64) -> Option<u32> {
        let state = &self.pages[page as usize];
        let busy = state.busy.lock();
        (busy[Register::Io.index()].writes == 0).then(|| state.drawn.load(SeqCst))
    }

    /// Judges `seen`, a word that a read of a register of the page has returned. `floor` is the
    /// result of a call of [`Oracle::floor`] that returned before the read began.
    pub fn judge(&self, page: u64, floor: u32, seen: u64) -> Verdict {
        let state = &self.pages[page as usize];
        let version = if seen == 0 {
            state.zeroed.load(SeqCst)
        } else {
            match pattern::parse(seen) {
                (of, version) if of == page && version <= state.drawn.load(SeqCst) => version,
                _ => return Verdict::Foreign,
            }
        };
        if version >= floor { Verdict::Good } else { Verdict::Stale }
    }
}

/// The places of the registers in a page's state.
fn covered(covers: Covers) -> impl Iterator<Item = usize> {
    match covers {
        Covers::Page | Covers::PageWithZeros => 0..2,
        Covers::StoredWord => 1..2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(oracle: &Oracle, register: Register, seen: u64) -> Verdict {
        oracle.judge(3, oracle.floor(3, register), seen)
    }

    #[test]
    fn what_was_overwritten_is_stale_and_what_overlaps_is_not_judged() {
        let oracle = Oracle::new(4);
        assert_eq!(judge(&oracle, Register::Io, 0), Verdict::Good);
        assert_eq!(judge(&oracle, Register::Io, pattern::word(3, 1)), Verdict::Foreign);
        let first = oracle.begin(3, Covers::Page);
        let one = first.word();
        assert_eq!([0, one].map(|seen| judge(&oracle, Register::Io, seen)), [Verdict::Good; 2]);
        oracle.end(first);
        assert_eq!(judge(&oracle, Register::Io, 0), Verdict::Stale);
        assert_eq!(judge(&oracle, Register::Io, one), Verdict::Good);
        assert_eq!(judge(&oracle, Register::Io, pattern::word(2, 1)), Verdict::Foreign);

        let (a, b) = (oracle.begin(3, Covers::Page), oracle.begin(3, Covers::Page));
        let words = [one, a.word(), b.word()];
        oracle.end(b);
        assert_eq!(words.map(|seen| judge(&oracle, Register::Io, seen)), [Verdict::Good; 3]);
        oracle.end(a);
        assert_eq!(
            words.map(|seen| judge(&oracle, Register::Io, seen)),
            [Verdict::Stale, Verdict::Good, Verdict::Good]
        );
    }

    #[test]
    fn a_write_that_failed_may_be_seen_or_not() {
        let oracle = Oracle::new(4);
        let (a, b) = (oracle.begin(3, Covers::Page), oracle.begin(3, Covers::Page));
        let words = [0, a.word(), b.word()];
        oracle.fail(a);
        oracle.end(b);
        assert_eq!(words.map(|seen| judge(&oracle, Register::Io, seen)), [Verdict::Good; 3]);
        let c = oracle.begin(3, Covers::Page);
        let word = c.word();
        oracle.end(c);
        assert_eq!(
            [words[2], word].map(|seen| judge(&oracle, Register::Io, seen)),
            [Verdict::Stale, Verdict::Good]
        );
    }

    #[test]
    fn zeros_may_be_seen_again_from_the_start_of_a_punch_on_and_must_be_after_it() {
        let oracle = Oracle::new(4);
        let write = oracle.begin(3, Covers::Page);
        let word = write.word();
        oracle.end(write);
        let punch = oracle.begin(3, Covers::PageWithZeros);
        assert_eq!([0, word].map(|seen| judge(&oracle, Register::Io, seen)), [Verdict::Good; 2]);
        oracle.end(punch);
        assert_eq!([0, word].map(|seen| judge(&oracle, Register::Io, seen)), [Verdict::Good, Verdict::Stale]);
        let store = oracle.begin(3, Covers::StoredWord);
        let stored = store.word();
        oracle.end(store);
        assert_eq!(judge(&oracle, Register::Io, 0), Verdict::Good);
        assert_eq!(judge(&oracle, Register::Stored, 0), Verdict::Stale);
        assert_eq!(judge(&oracle, Register::Stored, stored), Verdict::Good);
    }
}
