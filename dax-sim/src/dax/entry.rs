//! DAX entries and the entry lock.
//!
//! A file keeps one entry for each page that is, or was, mapped: what the block map answered when the page
//! was mapped. The entry has a lock of its own, a bit in it: everything that installs, replaces or removes an
//! answer holds it. Who finds it locked sleeps in the [`wait_table`].
//!
//! Follows `get_unlocked_mapping_entry`, `grab_mapping_entry`, `put_locked_mapping_entry` and
//! `put_unlocked_mapping_entry` of Linux 4.12. Different: a word changes by atomic steps, so there is no
//! tree_lock. Left out: 2 MiB entries, the TOWRITE tag (write-back takes what is dirty when it gets there).

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::wait_table::{self, Wake};
use crate::radix::Radix;
use crate::schedule::{Held, LockClass, LockRequest, PlantedFault, Schedule, SchedulePoint};

/// There is an entry: sets block 0 apart from nothing at all (the mark of XArray's value entries).
const VALUE: u64 = 1 << 0;
/// Somebody has locked the entry.
const LOCKED: u64 = 1 << 1;
/// The page is mapped by the zero page, and has no block.
const ZERO_PAGE: u64 = 1 << 2;
/// A placeholder that serves as a lock only.
const EMPTY: u64 = 1 << 3;
/// Somebody may have stored to the page since it was last written back. A tag of the tree in Linux.
const DIRTY: u64 = 1 << 4;
/// The block, where neither ZERO_PAGE nor EMPTY is set.
const BLOCK_SHIFT: u32 = 8;

/// What an entry says, but for its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DaxEntry {
    /// Nothing was mapped yet.
    Empty,
    /// The zero page is mapped.
    ZeroPage,
    /// This block is mapped.
    Block {
        block: u64,
        /// It may be mapped writable, and needs write-back.
        dirty: bool,
    },
}

impl DaxEntry {
    fn from_word(word: u64) -> Option<Self> {
        match word {
            0 => None,
            _ if word & EMPTY != 0 => Some(DaxEntry::Empty),
            _ if word & ZERO_PAGE != 0 => Some(DaxEntry::ZeroPage),
            _ => Some(DaxEntry::Block { block: word >> BLOCK_SHIFT, dirty: word & DIRTY != 0 }),
        }
    }

    fn word(self) -> u64 {
        VALUE
            | match self {
                DaxEntry::Empty => EMPTY,
                DaxEntry::ZeroPage => ZERO_PAGE,
                DaxEntry::Block { block, dirty: false } => block << BLOCK_SHIFT,
                DaxEntry::Block { block, dirty: true } => block << BLOCK_SHIFT | DIRTY,
            }
    }

    pub(crate) fn is_dirty(self) -> bool {
        matches!(self, DaxEntry::Block { dirty: true, .. })
    }
}

/// The entries of one file.
#[derive(Debug)]
pub(crate) struct DaxEntries(Radix);

impl DaxEntries {
    pub(crate) fn new() -> Self {
        Self(Radix::new())
    }

    /// Locks the entry of `page`, made EMPTY if there is none (`grab_mapping_entry`).
    #[track_caller]
    pub(crate) fn grab<'a>(&'a self, page: u64, schedule: &'a Schedule) -> LockedEntry<'a> {
        let held = self.locking(page, schedule);
        let slot = self.0.slot_or_insert(page);
        loop {
            let word = slot.load(SeqCst);
            if word & LOCKED != 0 {
                sleep_until_unlocked(slot, page, schedule);
                continue;
            }
            let entry = DaxEntry::from_word(word).unwrap_or(DaxEntry::Empty);
            if slot.compare_exchange(word, entry.word() | LOCKED, SeqCst, SeqCst).is_ok() {
                return LockedEntry { slot, entry: Some(entry), page, schedule, _held: held };
            }
        }
    }

    /// Locks the entry of `page` if there is one, and it is `wanted` when it is found unlocked.
    #[track_caller]
    pub(crate) fn lock_if<'a>(
        &'a self,
        page: u64,
        wanted: impl Fn(DaxEntry) -> bool,
        schedule: &'a Schedule,
    ) -> Option<LockedEntry<'a>> {
        let held = self.locking(page, schedule);
        let slot = self.0.slot(page)?;
        let mut woken = false;
        loop {
            let word = slot.load(SeqCst);
            if word & LOCKED != 0 {
                woken |= sleep_until_unlocked(slot, page, schedule);
                continue;
            }
            let Some(entry) = DaxEntry::from_word(word).filter(|&entry| wanted(entry)) else {
                // The wake-up was meant for somebody who locks, and so wakes the next in the end.
                if woken && !schedule.has(PlantedFault::ForgetWake) {
                    wait_table::wake(slot, Wake::One);
                }
                return None;
            };
            if slot.compare_exchange(word, word | LOCKED, SeqCst, SeqCst).is_ok() {
                return Some(LockedEntry { slot, entry: Some(entry), page, schedule, _held: held });
            }
        }
    }

    #[inline]
    #[track_caller]
    fn locking(&self, page: u64, schedule: &Schedule) -> Held {
        schedule.locking(|| LockRequest::part(LockClass::Entry, self, page..=page, true))
    }

    /// The entries of `first..=last`, each as it is when it is reached, locked or not.
    pub(crate) fn present(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, DaxEntry)> + '_ {
        self.0.occupied(first, last).filter_map(|(page, word)| Some((page, DaxEntry::from_word(word)?)))
    }
}

/// A locked entry; dropping it unlocks (`put_locked_mapping_entry`).
#[derive(Debug)]
#[must_use]
pub(crate) struct LockedEntry<'a> {
    slot: &'a AtomicU64,
    /// `None` once deleted.
    entry: Option<DaxEntry>,
    page: u64,
    schedule: &'a Schedule,
    _held: Held,
}

impl LockedEntry<'_> {
    pub(crate) fn get(&self) -> DaxEntry {
        self.entry.unwrap_or(DaxEntry::Empty)
    }

    /// Replaces what the entry says.
    pub(crate) fn set(&mut self, entry: DaxEntry) {
        self.schedule.pass(SchedulePoint::EntryChange, self.page);
        self.slot.store(entry.word() | LOCKED, SeqCst);
        self.entry = Some(entry);
    }

    /// Removes the entry, and the lock with it.
    pub(crate) fn delete(mut self) {
        self.schedule.pass(SchedulePoint::EntryChange, self.page);
        self.entry = None;
    }
}

impl Drop for LockedEntry<'_> {
    fn drop(&mut self) {
        self.slot.store(self.entry.map_or(0, DaxEntry::word), SeqCst);
        wait_table::wake(self.slot, if self.entry.is_some() { Wake::One } else { Wake::All });
    }
}

/// Returns whether the thread was woken, and so owes the wake-up to the next if it does not lock the entry.
#[cold]
fn sleep_until_unlocked(slot: &AtomicU64, page: u64, schedule: &Schedule) -> bool {
    schedule.pass(SchedulePoint::EntryContended, page);
    wait_table::sleep(slot, || slot.load(SeqCst) & LOCKED != 0, schedule)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;
    use std::thread;

    use super::*;

    #[test]
    fn an_entry_keeps_what_it_was_told_and_is_gone_when_deleted() {
        let (entries, schedule) = (DaxEntries::new(), Schedule::none());
        assert!(entries.lock_if(3, |_| true, &schedule).is_none());
        let all = [
            DaxEntry::Empty,
            DaxEntry::ZeroPage,
            DaxEntry::Block { block: 0, dirty: false },
            DaxEntry::Block { block: 77, dirty: true },
        ];
        for said in all {
            let mut entry = entries.grab(3, &schedule);
            entry.set(said);
            assert_eq!(entries.present(0, 9).collect::<Vec<_>>(), [(3, said)]);
            drop(entry);
            assert_eq!(entries.lock_if(3, |_| true, &schedule).unwrap().get(), said);
        }
        entries.grab(3, &schedule).delete();
        assert_eq!(entries.present(0, 9).count(), 0);
    }

    #[test]
    fn the_entry_lock_excludes_and_wakes_everybody_though_entries_are_deleted() {
        let (entries, schedule) = (DaxEntries::new(), Schedule::none());
        let inside = AtomicU32::new(0);
        thread::scope(|s| {
            for thread in 0..6 {
                let (entries, schedule, inside) = (&entries, &schedule, &inside);
                s.spawn(move || {
                    for round in 0..2000 {
                        let entry = entries.grab(1, schedule);
                        assert_eq!(inside.fetch_add(1, SeqCst), 0);
                        if round % 16 == 0 {
                            thread::yield_now();
                        }
                        inside.fetch_sub(1, SeqCst);
                        if (round + thread) % 3 == 0 { entry.delete() } else { drop(entry) }
                    }
                });
            }
        });
    }
}
