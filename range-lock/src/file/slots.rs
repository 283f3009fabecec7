//! [`Slots`]: the readers that the table does not count. It uses spans.
//!
//! Most readers of a file meet no other reader of their process. Such a reader has a *slot*, which
//! tells whether its bytes are locked in the file. A reader takes its slot under the mutex of the
//! table. After that, each step is one exchange of the slot's word by the reader itself:
//!
//! | word | meaning | next word, and what changes it |
//! |---|---|---|
//! | `EMPTY` | the slot has no span | `BUSY`: a reader, with the table locked |
//! | `IDLE` | nothing is locked, and the slot is kept for its span | `BUSY`: a reader of that span; `EMPTY`: a thread with the table locked |
//! | `BUSY` | a thread locks or unlocks the bytes in the file | `HELD` or `IDLE`: that thread; `AWAITED`: a thread with the table locked |
//! | `AWAITED` | as `BUSY`, and a thread waits for the end | `HELD` or `EMPTY`: the thread that is busy, which wakes the other |
//! | `HELD` | the bytes are locked in the file | `BUSY`: the reader, which leaves; `EMPTY`: a thread with the table locked, which counts the reader there |
//!
//! So a reader whose span was locked in the same slot before takes no mutex at all. The first byte
//! of a span leads to its slot. Two spans that share a slot displace each other.
//!
//! # What holds
//!
//! **turn**: the bits of the word above its state grow whenever an empty slot is taken, and the
//! span changes only then. Consider a thread that reads the word, then the span, and then exchanges
//! that word for another. It has read the span that belongs to the word.

use std::array;

use crossbeam_utils::CachePadded;

use super::primitives::{AtomicU64, Ordering};
use crate::span::Span;

/// How many there are.
pub(super) const SLOTS: usize = 16;

const EMPTY: u64 = 0;
const IDLE: u64 = 1;
const BUSY: u64 = 2;
const AWAITED: u64 = 3;
const HELD: u64 = 4;
/// Where the state is in the word.
const STATE: u64 = 7;
/// One span more.
const TURN: u64 = 8;

#[derive(Debug)]
pub(super) struct Slots([CachePadded<Slot>; SLOTS]);

#[derive(Debug)]
pub(super) struct Slot {
    word: AtomicU64,
    first: AtomicU64,
    last: AtomicU64,
}

/// What a thread that has the table locked finds in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Vacated {
    /// No reader had it.
    Unused,
    /// A reader held its span by it. The caller counts that reader in the table.
    Reader,
    /// A thread is about to lock or unlock its span.
    Busy,
}

impl Slots {
    pub(super) fn new() -> Self {
        Slots(array::from_fn(|_| CachePadded::new(Slot::new())))
    }

    /// Where a reader of `span` has its slot.
    #[inline]
    pub(super) fn place(span: Span) -> usize {
        // The upper bits of this product depend on all bits of the first byte's number.
        (span.first.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - SLOTS.ilog2())) as usize
    }

    #[inline]
    pub(super) fn at(&self, place: usize) -> &Slot {
        &self.0[place]
    }
}

impl Slot {
    fn new() -> Self {
        Slot { word: AtomicU64::new(EMPTY), first: AtomicU64::new(0), last: AtomicU64::new(0) }
    }

    /// Takes the slot, which is empty, for a reader of `span`: it is busy then. The caller has the
    /// table locked.
    #[inline]
    pub(super) fn take(&self, span: Span) {
        // Acquires what the last reader released: its bytes are unlocked.
        let empty = self.word.load(Ordering::Acquire);
        debug_assert_eq!(empty & STATE, EMPTY);
        self.word.store(empty.wrapping_add(TURN) | BUSY, Ordering::Relaxed);
        self.first.store(span.first, Ordering::Relaxed);
        self.last.store(span.last, Ordering::Relaxed);
    }

    /// Makes the slot busy, if it is kept for `span`.
    #[inline]
    pub(super) fn enter(&self, span: Span) -> bool {
        self.begin(span, IDLE)
    }

    /// Makes the slot busy, if it is held by the reader of `span`, which leaves.
    #[inline]
    pub(super) fn leave(&self, span: Span) -> bool {
        self.begin(span, HELD)
    }

    #[inline]
    fn begin(&self, span: Span, state: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        word & STATE == state
            && self.first.load(Ordering::Relaxed) == span.first
            && self.last.load(Ordering::Relaxed) == span.last
            // "turn"
            && self.exchange(word, BUSY).is_ok()
    }

    /// Ends what made the slot busy: its bytes are locked or not. Returns whether a thread has to
    /// be woken. In that case a slot that is not held is empty, so that its reader does not come
    /// again before that thread.
    #[inline]
    #[must_use]
    pub(super) fn end(&self, held: bool) -> bool {
        // It stays as long as the slot is busy.
        let turn = self.word.load(Ordering::Relaxed) & !STATE;
        let ended = self.exchange(turn | BUSY, if held { HELD } else { IDLE });
        if let Err(awaited) = ended {
            debug_assert_eq!(awaited, turn | AWAITED);
            self.word.store(turn | if held { HELD } else { EMPTY }, Ordering::Release);
        }
        ended.is_err()
    }

    /// Empties the slot, unless a thread is busy with it. That thread then wakes other threads at
    /// the end, if `wait` is set. The caller has the table locked.
    #[inline]
    pub(super) fn vacate(&self, wait: bool) -> Vacated {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let (state, vacated) = match word & STATE {
                EMPTY => return Vacated::Unused,
                IDLE => (EMPTY, Vacated::Unused),
                HELD => (EMPTY, Vacated::Reader),
                BUSY if wait => (AWAITED, Vacated::Busy),
                _ => return Vacated::Busy,
            };
            match self.exchange(word, state) {
                Ok(_) => return vacated,
                Err(changed) => word = changed,
            }
        }
    }

    #[inline]
    fn exchange(&self, word: u64, state: u64) -> Result<u64, u64> {
        let changed = (word & !STATE) | state;
        self.word.compare_exchange(word, changed, Ordering::AcqRel, Ordering::Acquire)
    }
}
