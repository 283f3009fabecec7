//! The tree of a file's DAX entries, and the entry lock.
//!
//! Follows `get_unlocked_mapping_entry`, `grab_mapping_entry`, `put_locked_mapping_entry` and
//! `put_unlocked_mapping_entry` of Linux 4.12.
//!
//! This differs from Linux: a word changes by atomic steps, so there is no tree_lock. In Linux,
//! tree_lock ensures that an entry of 2 MiB and an entry of a page below it are never both there.
//! Here a thread inserts its entry first, and then looks for an entry of the other size. If it
//! finds one, it takes its own back. All steps are sequentially consistent, so of two threads that
//! insert at once at least one sees the other. Other threads see at most a locked placeholder that
//! goes away again. A thread that wants a page then tries again. A thread that wants 2 MiB falls
//! back to a page: pages always win, as in Linux.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::entry::{DIRTY, DaxEntry, EMPTY, LOCKED, PMD, TOWRITE, VALUE};
use super::wait_table::{self, Wake};
use crate::radix::{HUGE, Radix};
use crate::schedule::{Asked, Held, LockClass, LockRequest, PlantedFault, Schedule, SchedulePoint};

/// The entries of one file.
#[derive(Debug)]
pub(crate) struct DaxEntries(Radix);

/// An entry that was seen, locked or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    /// Its first page.
    pub(crate) first: u64,
    /// Its last.
    pub(crate) last: u64,
    pub(crate) entry: DaxEntry,
    /// The TOWRITE tag.
    pub(crate) to_write: bool,
    /// A thread has locked it.
    pub(crate) locked: bool,
}

impl DaxEntries {
    pub(crate) fn new() -> Self {
        Self(Radix::new())
    }

    /// Locks the entry of `page`, made EMPTY if there is none. What is there may be an entry of 2
    /// MiB.
    #[track_caller]
    pub(crate) fn grab<'a>(&'a self, page: u64, schedule: &'a Schedule) -> LockedEntry<'a> {
        let asked = self.locking(page, schedule);
        loop {
            if let Some(locked) = self.lock_present(page, |_| true, schedule) {
                return locked.guard(schedule, asked);
            }
            schedule.pass(SchedulePoint::EntryInsert, page);
            let slot = self.0.slot_or_insert(page);
            if slot.compare_exchange(0, VALUE | EMPTY | LOCKED, SeqCst, SeqCst).is_err() {
                continue;
            }
            if self.0.load_huge(page) == 0 {
                let locked = Locked { slot, entry: DaxEntry::Empty, first: page, last: page };
                return locked.guard(schedule, asked);
            }
            take_back(slot);
        }
    }

    /// Locks the entry of the 2 MiB around `page`, made EMPTY if there is none. Returns `None` if
    /// there are entries of pages (-EEXIST).
    #[track_caller]
    pub(crate) fn grab_pmd<'a>(&'a self, page: u64, schedule: &'a Schedule) -> Option<LockedEntry<'a>> {
        let asked = self.locking(page, schedule);
        loop {
            if let Some(locked) = self.lock_present(page, |_| true, schedule) {
                let locked = locked.guard(schedule, asked);
                return locked.is_pmd().then_some(locked);
            }
            if !self.0.leaf_is_empty(page) {
                return None;
            }
            schedule.pass(SchedulePoint::EntryInsert, page);
            let slot = self.0.huge_or_insert(page);
            if slot.compare_exchange(0, VALUE | PMD | EMPTY | LOCKED, SeqCst, SeqCst).is_err() {
                continue;
            }
            if self.0.leaf_is_empty(page) {
                let first = page - page % HUGE;
                let locked = Locked { slot, entry: DaxEntry::Empty, first, last: first + HUGE - 1 };
                return Some(locked.guard(schedule, asked));
            }
            take_back(slot);
            return None;
        }
    }

    /// Locks the entry that covers `page`, if there is one and it is `wanted` when it is found
    /// unlocked.
    #[track_caller]
    pub(crate) fn lock_if<'a>(
        &'a self,
        page: u64,
        wanted: impl Fn(DaxEntry) -> bool,
        schedule: &'a Schedule,
    ) -> Option<LockedEntry<'a>> {
        let asked = self.locking(page, schedule);
        Some(self.lock_present(page, wanted, schedule)?.guard(schedule, asked))
    }

    fn lock_present(
        &self,
        page: u64,
        wanted: impl Fn(DaxEntry) -> bool,
        schedule: &Schedule,
    ) -> Option<Locked<'_>> {
        let mut woken = None;
        loop {
            let (slot, first, last) = self.slot_of(page)?;
            let word = slot.load(SeqCst);
            if word & LOCKED != 0 {
                schedule.pass(SchedulePoint::EntryContended, page);
                if wait_table::sleep(slot, page, || slot.load(SeqCst) & LOCKED != 0, schedule) {
                    woken = Some(slot);
                }
                continue;
            }
            let Some(entry) = DaxEntry::from_word(word) else {
                // A thread that deletes an entry wakes all its waiters. The entry may have come
                // back in the other size.
                if self.slot_of(page).is_some_and(|(again, ..)| !std::ptr::eq(again, slot)) {
                    continue;
                }
                return None;
            };
            if !wanted(entry) {
                // The wake-up is for a thread that locks the entry and so wakes the next one in the
                // end.
                let owes = woken.is_some_and(|woken| std::ptr::eq(woken, slot));
                if owes && !schedule.has(PlantedFault::ForgetWake) {
                    wait_table::wake(slot, Wake::One);
                }
                return None;
            }
            if slot.compare_exchange(word, word | LOCKED, SeqCst, SeqCst).is_ok() {
                return Some(Locked { slot, entry, first, last });
            }
        }
    }

    /// The entries that cover a page of `first..=last`, each as it is when the iterator reaches it,
    /// locked or not.
    pub(crate) fn present(&self, first: u64, last: u64) -> impl Iterator<Item = Present> + '_ {
        self.0.occupied(first, last).filter_map(|found| {
            let entry = DaxEntry::from_word(found.word)?;
            let to_write = found.word & TOWRITE != 0;
            let locked = found.word & LOCKED != 0;
            Some(Present { first: found.first, last: found.last(), entry, to_write, locked })
        })
    }

    /// Whether there are entries of pages in the 2 MiB around `page`.
    pub(crate) fn has_pages_around(&self, page: u64) -> bool {
        !self.0.leaf_is_empty(page)
    }

    /// Locks the entries that cover a page of `first..=last`, in ascending order, as long as they
    /// are `wanted`.
    pub(crate) fn lock_all<'a>(
        &'a self,
        first: u64,
        last: u64,
        wanted: impl Fn(DaxEntry) -> bool + 'a,
        schedule: &'a Schedule,
    ) -> impl Iterator<Item = LockedEntry<'a>> + 'a {
        let mut from = Some(first);
        std::iter::from_fn(move || {
            loop {
                let page = self.0.next(from?, last)?.first.max(from?);
                let locked = self.lock_if(page, &wanted, schedule);
                from = locked.as_ref().map_or(page, |locked| locked.last).checked_add(1);
                if locked.is_some() {
                    return locked;
                }
            }
        })
    }

    /// Tags the dirty entries in `first..=last` for a write-back, locked or not
    /// (`tag_pages_for_writeback`).
    pub(crate) fn tag_for_writeback(&self, first: u64, last: u64) {
        for found in self.0.occupied(first, last) {
            let slot = if found.len == HUGE { self.0.huge(found.first) } else { self.0.slot(found.first) };
            let tag = |word| (word & DIRTY != 0).then_some(word | TOWRITE);
            let _ = slot.map(|slot| slot.fetch_update(SeqCst, SeqCst, tag));
        }
    }

    #[inline]
    #[track_caller]
    fn locking(&self, page: u64, schedule: &Schedule) -> Asked {
        schedule.locking(|| LockRequest::part(LockClass::Entry, self, page..page + 1, true))
    }

    /// Where the entry that covers `page` is, and its first and last page.
    fn slot_of(&self, page: u64) -> Option<(&AtomicU64, u64, u64)> {
        match self.0.huge(page) {
            Some(slot) if slot.load(SeqCst) != 0 => {
                let first = page - page % HUGE;
                Some((slot, first, first + HUGE - 1))
            }
            _ => Some((self.0.slot(page)?, page, page)),
        }
    }
}

/// A slot that the thread has locked.
struct Locked<'a> {
    slot: &'a AtomicU64,
    entry: DaxEntry,
    first: u64,
    last: u64,
}

impl<'a> Locked<'a> {
    fn guard(self, schedule: &'a Schedule, asked: Asked) -> LockedEntry<'a> {
        let Self { slot, entry, first, last } = self;
        LockedEntry { slot, entry: Some(entry), first, last, schedule, _held: asked.granted() }
    }
}

/// Removes a placeholder that found one of the other size. A thread may wait for it already.
fn take_back(slot: &AtomicU64) {
    slot.store(0, SeqCst);
    wait_table::wake(slot, Wake::All);
}

/// A locked entry; dropping it unlocks (`put_locked_mapping_entry`).
#[derive(Debug)]
#[must_use]
pub(crate) struct LockedEntry<'a> {
    slot: &'a AtomicU64,
    /// `None` once deleted.
    entry: Option<DaxEntry>,
    first: u64,
    last: u64,
    schedule: &'a Schedule,
    _held: Held,
}

impl LockedEntry<'_> {
    pub(crate) fn get(&self) -> DaxEntry {
        self.entry.unwrap_or(DaxEntry::Empty)
    }

    /// The first page that it covers.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// The last page that it covers.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Whether the entry is of 2 MiB.
    pub(crate) fn is_pmd(&self) -> bool {
        self.first != self.last
    }

    /// The block that the entry says is mapped at `page`, which the entry covers.
    pub(crate) fn block_of(&self, page: u64) -> Option<u64> {
        match self.get() {
            DaxEntry::Block { block, .. } => Some(block + (page - self.first)),
            DaxEntry::Empty | DaxEntry::ZeroPage => None,
        }
    }

    /// Replaces what the entry says. The TOWRITE tag stays as long as the entry is dirty.
    pub(crate) fn set(&mut self, entry: DaxEntry) {
        self.schedule.pass(SchedulePoint::EntryChange, self.first);
        let size = if self.is_pmd() { PMD } else { 0 };
        let word = |old: u64| {
            let tag = if entry.is_dirty() { old & TOWRITE } else { 0 };
            Some(entry.word() | size | LOCKED | tag)
        };
        let _ = self.slot.fetch_update(SeqCst, SeqCst, word);
        self.entry = Some(entry);
    }

    /// Takes the TOWRITE tag. Returns whether it was there.
    pub(crate) fn take_to_write(&mut self) -> bool {
        self.slot.fetch_and(!TOWRITE, SeqCst) & TOWRITE != 0
    }

    /// Removes the entry, and the lock with it.
    pub(crate) fn delete(mut self) {
        self.schedule.pass(SchedulePoint::EntryChange, self.first);
        self.entry = None;
    }
}

impl Drop for LockedEntry<'_> {
    fn drop(&mut self) {
        // Waking the next waiter is enough, except that no thread will unlock a deleted entry.
        let which = if self.entry.is_some() {
            self.slot.fetch_and(!LOCKED, SeqCst);
            Wake::One
        } else {
            self.slot.store(0, SeqCst);
            if self.schedule.has(PlantedFault::WakeOneOfDeleted) { Wake::One } else { Wake::All }
        };
        wait_table::wake(self.slot, which);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, AtomicU32};
    use std::thread;

    use super::*;

    fn seen(entries: &DaxEntries) -> Vec<(u64, u64, DaxEntry)> {
        entries.present(0, u64::MAX).map(|seen| (seen.first, seen.last, seen.entry)).collect()
    }

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
            assert_eq!(seen(&entries), [(3, 3, said)]);
            drop(entry);
            assert!(entries.lock_if(3, |entry| entry != said, &schedule).is_none());
            assert_eq!(entries.lock_if(3, |_| true, &schedule).unwrap().get(), said);
        }
        entries.grab(3, &schedule).delete();
        assert_eq!(seen(&entries), []);
    }

    #[test]
    fn an_entry_of_2_mib_is_found_from_all_of_its_pages_and_keeps_none_beside_it() {
        let (entries, schedule) = (DaxEntries::new(), Schedule::none());
        let said = DaxEntry::Block { block: 512, dirty: true };
        entries.grab_pmd(700, &schedule).unwrap().set(said);
        for page in [512, 700, 1023] {
            let entry = entries.grab(page, &schedule);
            assert!(entry.is_pmd());
            assert_eq!((entry.first(), entry.last(), entry.get()), (512, 1023, said));
            assert_eq!(entry.block_of(page), Some(page));
        }
        assert_eq!(seen(&entries), [(512, 1023, said)]);
        drop(entries.grab(511, &schedule));
        drop(entries.grab(1024, &schedule));
        assert!(entries.grab_pmd(0, &schedule).is_none(), "pages win");
        let pages: Vec<_> = entries.lock_all(0, 2000, |_| true, &schedule).map(|e| e.first()).collect();
        assert_eq!(pages, [511, 512, 1024]);
        entries.lock_if(600, |_| true, &schedule).unwrap().delete();
        drop(entries.grab(600, &schedule));
        assert!(entries.grab_pmd(512, &schedule).is_none());
        entries.lock_if(600, |_| true, &schedule).unwrap().delete();
        assert!(entries.grab_pmd(512, &schedule).is_some());
    }

    #[test]
    fn what_is_dirty_is_tagged_though_it_is_locked_and_loses_the_tag_when_it_is_clean() {
        let (entries, schedule) = (DaxEntries::new(), Schedule::none());
        let tagged = || entries.present(0, u64::MAX).filter(|seen| seen.to_write).count();
        let mut entry = entries.grab(5, &schedule);
        entry.set(DaxEntry::Block { block: 1, dirty: false });
        entries.tag_for_writeback(0, 9);
        assert_eq!(tagged(), 0);
        entry.set(DaxEntry::Block { block: 1, dirty: true });
        entries.tag_for_writeback(6, 9);
        assert_eq!(tagged(), 0);
        entries.tag_for_writeback(0, 9);
        drop(entry);
        assert_eq!(tagged(), 1);
        let mut entry = entries.grab(5, &schedule);
        entry.set(DaxEntry::Block { block: 2, dirty: true });
        assert!(entry.take_to_write() && !entry.take_to_write());
        entries.tag_for_writeback(0, 9);
        entry.set(DaxEntry::Block { block: 2, dirty: false });
        assert_eq!(tagged(), 0);
    }

    #[test]
    fn the_entry_lock_excludes_and_wakes_everybody_though_entries_are_deleted_and_change_their_size() {
        let (entries, schedule) = (DaxEntries::new(), Schedule::none());
        let inside = AtomicU32::new(0);
        thread::scope(|s| {
            for thread in 0..6 {
                let (entries, schedule, inside) = (&entries, &schedule, &inside);
                s.spawn(move || {
                    for round in 0..2000 {
                        let entry = match thread {
                            0 | 1 => match entries.grab_pmd(1, schedule) {
                                Some(entry) => entry,
                                None => continue,
                            },
                            2 => match entries.lock_if(1, |_| round % 2 == 0, schedule) {
                                Some(entry) => entry,
                                None => continue,
                            },
                            _ => entries.grab(1, schedule),
                        };
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

    type Grabbed = Mutex<Option<LockedEntry<'static>>>;

    /// A schedule that calls `other` when a thread is about to insert an entry, for the first time.
    /// It keeps what `other` grabs until a thread finds the entry locked.
    fn overtaken_by(
        other: fn(&'static DaxEntries) -> Option<LockedEntry<'static>>,
    ) -> (&'static DaxEntries, Schedule) {
        let entries: &DaxEntries = Box::leak(Box::new(DaxEntries::new()));
        let (grabbed, is_first) = (Grabbed::default(), AtomicBool::new(true));
        let hook = move |point, _| match point {
            SchedulePoint::EntryInsert if is_first.swap(false, SeqCst) => {
                *grabbed.lock().unwrap() = other(entries);
            }
            SchedulePoint::EntryContended => drop(grabbed.lock().unwrap().take()),
            _ => {}
        };
        (entries, Schedule::hook(hook).with_checks(false))
    }

    fn quiet() -> &'static Schedule {
        Box::leak(Box::new(Schedule::none().with_checks(false)))
    }

    #[test]
    fn who_inserts_a_page_and_finds_2_mib_takes_it_back_and_waits() {
        let (entries, schedule) = overtaken_by(|entries| {
            let mut entry = entries.grab_pmd(5, quiet())?;
            entry.set(DaxEntry::Block { block: 512, dirty: false });
            Some(entry)
        });
        let entry = entries.grab(5, &schedule);
        assert!(entry.is_pmd());
        assert_eq!(seen(entries), [(0, HUGE - 1, DaxEntry::Block { block: 512, dirty: false })]);
    }

    #[test]
    fn who_inserts_2_mib_and_finds_a_page_takes_them_back_and_gives_up() {
        let (entries, schedule) = overtaken_by(|entries| Some(entries.grab(5, quiet())));
        assert!(entries.grab_pmd(0, &schedule).is_none());
        assert_eq!(seen(entries), [(5, 5, DaxEntry::Empty)]);
    }
}
