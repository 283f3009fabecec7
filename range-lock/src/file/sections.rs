//! [`Sections`]: the table, and the spans of it that threads have to themselves.
//! It uses the table, and the library's own mutex: leaving that one takes no locked instruction.
//!
//! A section is what a mutex over a span would be: a thread has it while it asks the table, calls
//! the kernel and counts itself. Threads whose spans overlap take turns, in the order in which they
//! came. Others do not wait. A `RangeLock` would do the same; this one shares the mutex of the
//! table, which is to be taken anyway, and so saves the time of a second lock.

use std::sync::{self, Condvar, PoisonError};

use super::table::Table;
use crate::span::Span;
use crate::sync::{Mutex, MutexGuard, lock};

#[derive(Debug)]
pub(super) struct Sections {
    state: Mutex<State>,
    /// Locked by a thread that is about to sleep before it unlocks the state, and by one that
    /// wakes.
    sleep: sync::Mutex<()>,
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
}

/// A span that a thread has to itself, with the table locked or not.
#[derive(Debug)]
pub(super) struct Section<'a> {
    sections: &'a Sections,
    state: Option<MutexGuard<'a, State>>,
    id: u64,
}

impl Sections {
    pub(super) const fn new() -> Self {
        let state = State { table: Table::new(), entered: Vec::new(), next: 0, asleep: 0 };
        Sections { state: Mutex::new(state), sleep: sync::Mutex::new(()), left: Condvar::new() }
    }

    /// Enters a section; waits until those that came before, and overlap it, have left. The table
    /// is locked then.
    #[inline]
    pub(super) fn enter(&self, span: Span) -> Section<'_> {
        let mut state = lock(&self.state);
        let id = state.next;
        state.next += 1;
        let before = state.entered.len();
        state.entered.push((id, span));
        if state.entered[..before].iter().any(|(_, other)| other.overlaps(span)) {
            state = self.wait(state, id, span);
        }
        Section { sections: self, state: Some(state), id }
    }

    #[cold]
    fn wait<'a>(&'a self, mut state: MutexGuard<'a, State>, id: u64, span: Span) -> MutexGuard<'a, State> {
        let is_in_the_way = |state: &State| {
            let mut before = state.entered.iter().take_while(|(other, _)| *other != id);
            before.any(|(_, other)| other.overlaps(span))
        };
        while is_in_the_way(&state) {
            state.asleep += 1;
            let sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
            drop(state);
            drop(self.left.wait(sleep));
            state = lock(&self.state);
            state.asleep -= 1;
        }
        state
    }

    /// Wakes all that sleep: they look for themselves.
    #[cold]
    fn wake(&self) {
        // A thread that saw this section in its way has locked this, or sleeps.
        let _sleep = self.sleep.lock().unwrap_or_else(PoisonError::into_inner);
        self.left.notify_all();
    }

    /// Counts a reader of `span`. The caller holds it for writing in this process.
    pub(super) fn add(&self, span: Span) {
        lock(&self.state).table.add(span);
    }

    /// Takes a reader of `span` out of the count. The caller holds it for writing in this process.
    pub(super) fn remove(&self, span: Span) {
        lock(&self.state).table.remove(span);
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
