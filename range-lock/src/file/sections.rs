//! [`Sections`]: the table, and the spans of the table that threads have to themselves. It uses the
//! table, the slots, and the library's own mutex, because leaving that mutex takes no locked
//! instruction.
//!
//! A section is like a mutex over a span. A thread has the section while it asks the table, calls
//! the kernel and counts itself. Threads whose spans overlap take turns, in the order in which they
//! came. Other threads do not wait. A `RangeLock` would do the same. But a section uses the mutex
//! of the table, which the thread has to take anyway, and so saves the time of a second lock.
//!
//! A reader needs no section if neither the table nor another thread has a part of its span. Such a
//! reader has a slot. It takes the mutex when it enters, or not at all if the slot was kept for its
//! span. It takes no mutex when it leaves.
//!
//! # What holds
//!
//! **apart**: no slot that is not empty overlaps another such slot, the table, or the section of a
//! thread that is in. An empty slot is taken only where that is so, and behind every thread that
//! waits for a section. A thread that enters a section first empties the slots that overlap it: the
//! thread moves their readers into the table, and waits for slots that are busy. No thread waits
//! for another while its slot is busy.

use std::sync::PoisonError;

use super::primitives::{self, Condvar};
use super::slots::{SLOTS, Slot, Slots, Vacated};
use super::table::Table;
use crate::span::Span;
use crate::sync::{Mutex, MutexGuard, lock};

#[derive(Debug)]
pub(super) struct Sections {
    state: Mutex<State>,
    slots: Slots,
    /// Locked by a thread that is about to sleep before it unlocks the state, and by one that
    /// wakes.
    sleep: primitives::Mutex<()>,
    /// A thread has left its section, and others sleep.
    left: Condvar,
}

#[derive(Debug)]
struct State {
    table: Table,
    /// Which threads are in, or wait to be, in the order in which they came.
    entered: Vec<(u64, Span)>,
    next: u64,
    asleep: usize,
    /// The slots that may not be empty, by their bits.
    used: u16,
    /// The spans of the slots that were taken last, so that a thread in another place need not look
    /// at the slots themselves.
    spans: [Span; SLOTS],
}

const _: () = assert!(SLOTS == u16::BITS as usize);

/// What a reader enters.
#[derive(Debug)]
pub(super) enum Entered<'a> {
    Alone(Alone<'a>),
    Section(Section<'a>),
}

/// A slot that is busy: its span is about to be locked in the file, or unlocked. Dropping it
/// reports that the span is not locked.
#[derive(Debug)]
pub(super) struct Alone<'a> {
    sections: &'a Sections,
    slot: &'a Slot,
    held: bool,
}

/// A span that a thread has to itself, with the table locked or not.
#[derive(Debug)]
pub(super) struct Section<'a> {
    sections: &'a Sections,
    state: Option<MutexGuard<'a, State>>,
    id: u64,
}

impl Sections {
    pub(super) fn new() -> Self {
        Sections {
            state: Mutex::new(State {
                table: Table::new(),
                entered: Vec::new(),
                next: 0,
                asleep: 0,
                used: 0,
                spans: [Span { first: 0, last: 0 }; SLOTS],
            }),
            slots: Slots::new(),
            sleep: primitives::Mutex::new(()),
            left: Condvar::new(),
        }
    }

    /// Enters as a reader of `span`: alone where that can be, otherwise as [`enter`](Self::enter).
    #[inline]
    pub(super) fn enter_alone(&self, span: Span) -> Entered<'_> {
        let slot = self.slots.at(Slots::place(span));
        if slot.enter(span) {
            return Entered::Alone(Alone { sections: self, slot, held: false });
        }
        let mut state = lock(&self.state);
        match state.take_slot(&self.slots, span) {
            Some(slot) => Entered::Alone(Alone { sections: self, slot, held: false }),
            None => Entered::Section(self.enter_locked(state, span)),
        }
    }

    /// What the reader of `span` has had alone, and leaves. `None` if the table counts it by now.
    #[inline]
    pub(super) fn leave_alone(&self, span: Span) -> Option<Alone<'_>> {
        let slot = self.slots.at(Slots::place(span));
        // A closure: one that is made and dropped would end it.
        slot.leave(span).then(|| Alone { sections: self, slot, held: false })
    }

    /// Enters a section. Waits until the sections that came before, and overlap it, have ended. The
    /// table is locked then.
    #[inline]
    pub(super) fn enter(&self, span: Span) -> Section<'_> {
        self.enter_locked(lock(&self.state), span)
    }

    #[inline]
    fn enter_locked<'a>(&'a self, mut state: MutexGuard<'a, State>, span: Span) -> Section<'a> {
        let id = state.next;
        state.next += 1;
        state.entered.push((id, span));
        if state.must_wait(&self.slots, id, span) {
            state = self.wait(state, id, span);
        }
        Section { sections: self, state: Some(state), id }
    }

    #[cold]
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, id: u64, span: Span) -> MutexGuard<'a, State> {
        while state.must_wait(&self.slots, id, span) {
            state.asleep += 1;
            let sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            drop(state);
            drop(self.left.wait(sleep));
            state = lock(&self.state);
            state.asleep -= 1;
        }
        state
    }

    /// Wakes all threads that sleep. Each looks for itself.
    #[cold]
    fn wake(&self) {
        // A thread that saw this section in its way has locked this, or sleeps.
        let _sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.left.notify_all();
    }

    /// Counts a reader of `span`. The caller holds it for writing in this process. A slot that was
    /// kept for a part of it is given up ("apart").
    pub(super) fn add(&self, span: Span) {
        self.vacated(span).table.add(span);
    }

    /// Takes a reader of `span` out of the count. The caller holds it for writing in this process.
    pub(super) fn remove(&self, span: Span) {
        self.vacated(span).table.remove(span);
    }

    /// The state, when no slot overlaps `span`, which the caller holds for writing in this process.
    fn vacated(&self, span: Span) -> MutexGuard<'_, State> {
        let mut state = lock(&self.state);
        let vacated = state.vacate(&self.slots, span);
        debug_assert!(vacated, "another thread is busy in {span:?}");
        state
    }
}

impl State {
    /// Whether a thread must wait before it is in its section: for those that came before it, and
    /// for slots. Where it must not, no slot overlaps its span ("apart").
    #[inline]
    fn must_wait(&mut self, slots: &Slots, id: u64, span: Span) -> bool {
        let vacated = self.vacate(slots, span);
        let mut before = self.entered.iter().take_while(|(other, _)| *other != id);
        !vacated || before.any(|(_, other)| other.overlaps(span))
    }

    /// Counts the readers whose slots overlap `span` in the table. Returns whether all slots that
    /// overlap it are empty now. Threads that are busy with such a slot wake all that sleep.
    #[inline]
    fn vacate(&mut self, slots: &Slots, span: Span) -> bool {
        let (mut used, mut vacated) = (self.used, true);
        while used != 0 {
            let place = used.trailing_zeros() as usize;
            used &= used - 1;
            if self.spans[place].overlaps(span) {
                vacated &= self.vacate_slot(slots, place, true);
            }
        }
        vacated
    }

    /// Counts the reader that has this slot in the table. Returns whether the slot is empty now. A
    /// thread that is busy with the slot wakes all that sleep, if `wait` is set.
    #[inline]
    fn vacate_slot(&mut self, slots: &Slots, place: usize, wait: bool) -> bool {
        match slots.at(place).vacate(wait) {
            Vacated::Unused => {}
            Vacated::Reader => self.table.add(self.spans[place]),
            Vacated::Busy => return false,
        }
        self.used &= !(1 << place);
        true
    }

    /// Takes a slot for a reader of `span`, if no other thread of the process has a part of it.
    #[inline]
    fn take_slot<'a>(&mut self, slots: &'a Slots, span: Span) -> Option<&'a Slot> {
        let place = Slots::place(span);
        let is_apart = self.vacate(slots, span)
            && self.table.part(span, 0) == Some(span)
            && !self.entered.iter().any(|(_, other)| other.overlaps(span))
            // A reader elsewhere, whose slot is this one.
            && (self.used & 1 << place == 0 || self.vacate_slot(slots, place, false));
        is_apart.then(|| {
            let slot = slots.at(place);
            slot.take(span);
            self.spans[place] = span;
            self.used |= 1 << place;
            slot
        })
    }
}

impl Alone<'_> {
    /// The span is locked in the file.
    #[inline]
    pub(super) fn hold(mut self) {
        self.held = true;
    }
}

impl Drop for Alone<'_> {
    #[inline]
    fn drop(&mut self) {
        // For tests: others may come in just where they would find a fault.
        #[cfg(debug_assertions)]
        crate::spin::yield_now();
        if self.slot.end(self.held) {
            // A thread that found the slot busy has locked `sleep` before it unlocks this.
            drop(lock(&self.sections.state));
            self.sections.wake();
        }
    }
}

impl<'a> Section<'a> {
    /// The table, locked until [`unlocked`](Self::unlocked) or the end of the section.
    #[inline]
    pub(super) fn table(&mut self) -> &mut Table {
        &mut self.state.get_or_insert_with(|| lock(&self.sections.state)).table
    }

    /// Calls `call` with the table unlocked.
    #[inline]
    pub(super) fn unlocked<R>(&mut self, call: impl FnOnce() -> R) -> R {
        self.state = None;
        call()
    }
}

impl Drop for Section<'_> {
    #[inline]
    fn drop(&mut self) {
        let id = self.id;
        let mut state = self.state.take().unwrap_or_else(|| lock(&self.sections.state));
        if let [_] = state.entered[..] {
            state.entered.clear(); // The usual case.
        } else {
            state.entered.retain(|(other, _)| *other != id);
        }
        let asleep = state.asleep;
        drop(state);
        if asleep != 0 {
            self.sections.wake();
        }
    }
}

#[cfg(all(test, loom))]
mod models;

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    use std::thread;

    use super::*;

    fn span(first: u64, last: u64) -> Span {
        Span { first, last }
    }

    fn alone(sections: &Sections, span: Span) -> Alone<'_> {
        match sections.enter_alone(span) {
            Entered::Alone(alone) => alone,
            Entered::Section(_) => panic!("{span:?} has met another reader"),
        }
    }

    #[test]
    fn a_reader_that_meets_another_has_a_section_and_both_are_counted() {
        let sections = Sections::new();
        alone(&sections, span(0, 9)).hold();
        alone(&sections, span(20, 29)).hold();
        let Entered::Section(mut section) = sections.enter_alone(span(5, 14)) else { panic!("not alone") };
        assert_eq!(section.table().part(span(0, 30), 1), Some(span(0, 9)));
        section.table().add(span(5, 14));
        drop(section);
        // The table counts it, so it leaves by a section.
        assert!(sections.leave_alone(span(0, 9)).is_none());
        // The other reader was left where it was.
        assert!(sections.leave_alone(span(20, 29)).is_some());
        // Where no reader is, one can be alone again, but not in a part of what is held.
        drop(alone(&sections, span(20, 29)));
        assert!(matches!(sections.enter_alone(span(9, 9)), Entered::Section(_)));
    }

    #[test]
    fn a_slot_is_found_only_by_its_own_span() {
        let sections = Sections::new();
        alone(&sections, span(0, 9)).hold();
        assert!(sections.leave_alone(span(0, 8)).is_none());
        drop(sections.leave_alone(span(0, 9)).unwrap());
        assert!(sections.leave_alone(span(0, 9)).is_none());
        // It is kept for that span, and for no other.
        assert!(!sections.slots.at(Slots::place(span(0, 9))).enter(span(0, 8)));
        alone(&sections, span(0, 8)).hold();
        drop(sections.leave_alone(span(0, 8)).unwrap());
        // One that was refused is not held.
        drop(alone(&sections, span(0, 9)));
        assert!(sections.leave_alone(span(0, 9)).is_none());
    }

    #[test]
    fn two_spans_that_share_a_slot_displace_each_other() {
        let sections = Sections::new();
        let first = span(0, 0);
        let same = |at: &u64| Slots::place(span(*at, *at)) == Slots::place(first);
        let other = (1..).find(same).map(|at| span(at, at)).unwrap();
        let busy = alone(&sections, first);
        // The slot cannot be had, and nothing is waited for.
        drop(sections.enter_alone(other));
        busy.hold();
        alone(&sections, other).hold();
        assert!(sections.leave_alone(first).is_none());
        assert!(sections.enter(first).table().covers(first));
        assert!(sections.leave_alone(other).is_some());
    }

    #[test]
    fn a_slot_that_was_kept_is_given_up_where_a_writer_becomes_a_reader() {
        let sections = Sections::new();
        let (kept, written) = (span(0, 9), span(9, 20));
        drop(alone(&sections, kept));
        sections.add(written);
        assert!(matches!(sections.enter_alone(kept), Entered::Section(_)), "byte 9 has a reader");
        sections.remove(written);
        drop(alone(&sections, kept));
    }

    /// Lets another thread `enter`; asserts that it sleeps until `leave` has been called, and
    /// returns `true` then.
    fn waits(sections: &Sections, enter: impl FnOnce() -> bool + Send, leave: impl FnOnce()) {
        let is_in = AtomicBool::new(false);
        thread::scope(|scope| {
            let entering = scope.spawn(|| {
                let right = enter();
                is_in.store(true, SeqCst);
                right
            });
            while lock(&sections.state).asleep == 0 {
                assert!(!is_in.load(SeqCst), "it did not wait");
                thread::yield_now();
            }
            leave();
            assert!(entering.join().unwrap());
        });
    }

    /// While a reader locks or unlocks its bytes, a thread that needs some of them waits.
    #[test]
    fn a_busy_slot_is_waited_for() {
        let sections = Sections::new();
        let (bytes, others) = (span(0, 9), span(9, 20));
        let busy = alone(&sections, bytes);
        waits(&sections, || sections.enter(others).table().covers(bytes), || busy.hold());
        sections.remove(bytes);
        alone(&sections, bytes).hold();
        let busy = sections.leave_alone(bytes).unwrap();
        waits(&sections, || !sections.enter(others).table().covers(bytes), || drop(busy));
    }

    /// While a thread is in a section, a reader of some of its bytes waits, also one that would be
    /// alone, and one for which a slot was kept.
    #[test]
    fn a_section_is_waited_for_by_a_reader_that_would_be_alone() {
        let sections = Sections::new();
        let (bytes, others) = (span(0, 9), span(9, 20));
        for kept in [false, true] {
            if kept {
                drop(alone(&sections, bytes));
            }
            let mut section = sections.enter(others);
            section.unlocked(|| ());
            let enter = || matches!(sections.enter_alone(bytes), Entered::Section(_));
            waits(&sections, enter, || drop(section));
        }
    }
}
