//! Records where the pages of a file are on the device.
//!
//! A look-up is one load per page and takes no lock, as ext4 looks into its extent status tree
//! before it takes i_data_sem. Every change holds i_data_sem exclusively, and looks again under it.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crossbeam_utils::CachePadded;
use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::radix::{CAPACITY, HUGE, Radix};
use crate::schedule::{Asked, Held, LockClass, LockRequest, Schedule, SchedulePoint};

/// What the block map says about one page of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// No block. The page reads as zeros.
    Hole,
    /// A block that a call has reserved for the page. The contents of the block do not count: the
    /// page reads as zeros.
    Unwritten(u64),
    /// The block that holds the bytes of the page. No other page has this block.
    Written(u64),
    /// Like [`Extent::Written`], but other pages of this file or of another file may have the same
    /// block (reflink). No thread writes to a shared block. A writer first copies the block for the
    /// page, or makes the block the page's own if no other page has the block.
    Shared(u64),
}

const KIND: u64 = 0b11;
const UNWRITTEN: u64 = 0b01;
const WRITTEN: u64 = 0b10;
const SHARED: u64 = 0b11;
const BLOCK_SHIFT: u32 = 8;

impl Extent {
    #[inline]
    fn from_word(word: u64) -> Self {
        let block = word >> BLOCK_SHIFT;
        match word & KIND {
            UNWRITTEN => Extent::Unwritten(block),
            WRITTEN => Extent::Written(block),
            SHARED => Extent::Shared(block),
            _ => Extent::Hole,
        }
    }

    fn word(self) -> u64 {
        match self {
            Extent::Hole => 0,
            Extent::Unwritten(block) => block << BLOCK_SHIFT | UNWRITTEN,
            Extent::Written(block) => block << BLOCK_SHIFT | WRITTEN,
            Extent::Shared(block) => block << BLOCK_SHIFT | SHARED,
        }
    }

    /// The block, written or not.
    pub fn block(self) -> Option<u64> {
        match self {
            Extent::Hole => None,
            Extent::Unwritten(block) | Extent::Written(block) | Extent::Shared(block) => Some(block),
        }
    }
}

/// The block map of one file.
#[derive(Debug)]
pub(crate) struct ExtentMap {
    pages: Radix,
    // On lines of its own: a look-up reads what lies beside it.
    changes: CachePadded<Changes>,
}

/// What every change writes to. It is on one line, so that a thread that has fetched the line from
/// another thread for one word has it for the other.
#[derive(Debug, Default)]
struct Changes {
    i_data_sem: RwLock<()>,
    /// The transaction that changed blocks or size last.
    i_datasync_tid: AtomicU64,
}

impl ExtentMap {
    pub(crate) fn new() -> Self {
        Self { pages: Radix::new(), changes: CachePadded::default() }
    }

    /// The transaction that changed blocks or size last (`i_datasync_tid`).
    pub(super) fn datasync_tid(&self) -> &AtomicU64 {
        &self.changes.i_datasync_tid
    }

    /// What the block map says about `page` at this moment.
    #[inline]
    pub(crate) fn look_up(&self, page: u64) -> Extent {
        Extent::from_word(self.pages.load(page))
    }

    /// The pages that are not holes, each as it is when the iterator reaches it.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u64, Extent)> + '_ {
        self.pages.occupied(0, u64::MAX).map(|found| (found.first, Extent::from_word(found.word)))
    }

    /// Keeps changes out, for a look at several pages at one instant.
    #[track_caller]
    pub(crate) fn read(&self, schedule: &Schedule) -> ExtentReader<'_> {
        let asked = self.locking(false, schedule);
        ExtentReader {
            map: self,
            _i_data_sem: schedule.read(&self.changes.i_data_sem),
            _held: asked.granted(),
        }
    }

    /// Takes the lock for changes.
    #[track_caller]
    pub(crate) fn write<'a>(&'a self, schedule: &'a Schedule) -> ExtentWriter<'a> {
        let asked = self.locking(true, schedule);
        let i_data_sem = schedule.write(&self.changes.i_data_sem);
        ExtentWriter { map: self, _i_data_sem: i_data_sem, _held: asked.granted(), schedule }
    }

    #[track_caller]
    fn locking(&self, exclusive: bool, schedule: &Schedule) -> Asked {
        schedule.locking(|| LockRequest::whole(LockClass::IDataSem, self, exclusive))
    }
}

/// i_data_sem held shared.
pub(crate) struct ExtentReader<'a> {
    map: &'a ExtentMap,
    _i_data_sem: RwLockReadGuard<'a, ()>,
    _held: Held,
}

impl ExtentReader<'_> {
    /// The pages of `first..=last` that are not holes.
    pub(crate) fn allocated(&self, first: u64, last: u64) -> impl Iterator<Item = (u64, Extent)> + '_ {
        self.map.pages.occupied(first, last).map(|found| (found.first, Extent::from_word(found.word)))
    }
}

/// i_data_sem held exclusively.
pub(crate) struct ExtentWriter<'a> {
    map: &'a ExtentMap,
    _i_data_sem: RwLockWriteGuard<'a, ()>,
    _held: Held,
    schedule: &'a Schedule,
}

impl ExtentWriter<'_> {
    pub(crate) fn look_up(&self, page: u64) -> Extent {
        self.map.look_up(page)
    }

    /// Publishes `extent` for `page`: from now on look-ups find it.
    pub(crate) fn publish(&mut self, page: u64, extent: Extent) {
        self.schedule.pass(SchedulePoint::Publish, page);
        self.map.pages.slot_or_insert(page).store(extent.word(), SeqCst);
    }

    /// Publishes 512 blocks, one after another from `block` on, for the pages from `first` on.
    /// There is one schedule point, before the first.
    pub(crate) fn publish_huge(&mut self, first: u64, block: u64, extent: fn(u64) -> Extent) {
        self.schedule.pass(SchedulePoint::Publish, first);
        for page in 0..HUGE {
            self.map.pages.slot_or_insert(first + page).store(extent(block + page).word(), SeqCst);
        }
    }

    /// The pages of `first..=last` that are not holes.
    pub(crate) fn allocated(&self, first: u64, last: u64) -> Vec<(u64, Extent)> {
        let words = self.map.pages.occupied(first, last);
        words.map(|found| (found.first, Extent::from_word(found.word))).collect()
    }

    /// Turns `first..=last` into a hole. Returns what was there.
    #[must_use = "blocks that are not freed are lost"]
    pub(crate) fn remove(&mut self, first: u64, last: u64) -> Vec<Extent> {
        let removed = self.allocated(first, last);
        for &(page, _) in &removed {
            self.publish(page, Extent::Hole);
        }
        removed.into_iter().map(|(_, extent)| extent).collect()
    }

    /// Moves what is at `first` and behind it `pages` pages towards the start of the file. The
    /// pages that it lands on must be holes.
    pub(crate) fn shift_down(&mut self, first: u64, pages: u64) {
        for (page, extent) in self.allocated(first, u64::MAX) {
            self.publish(page, Extent::Hole);
            self.publish(page - pages, extent);
        }
    }

    /// Moves what is at `first` and behind it `pages` pages towards the end, which leaves a hole.
    /// Returns `false`, and moves nothing, if the last of it would lie past the largest file.
    pub(crate) fn shift_up(&mut self, first: u64, pages: u64) -> bool {
        let moving = self.allocated(first, u64::MAX);
        if moving.last().is_some_and(|&(last, _)| last + pages >= CAPACITY) {
            return false;
        }
        for (page, extent) in moving.into_iter().rev() {
            self.publish(page, Extent::Hole);
            self.publish(page + pages, extent);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ExtentMap {
        /// Whether i_data_sem is held at this moment, and if so, whether exclusively.
        pub(crate) fn taken(&self) -> Option<bool> {
            let i_data_sem = &self.changes.i_data_sem;
            i_data_sem.is_locked().then(|| i_data_sem.is_locked_exclusive())
        }
    }

    #[test]
    fn removing_gives_back_exactly_the_extents_of_the_range() {
        let (map, schedule) = (ExtentMap::new(), Schedule::none());
        for page in 0..1000 {
            map.write(&schedule)
                .publish(page, if page % 2 == 0 { Extent::Written(page) } else { Extent::Unwritten(page) });
        }
        let blocks: Vec<_> = map.write(&schedule).remove(10, 600).into_iter().map(Extent::block).collect();
        assert_eq!(blocks, (10..=600).map(Some).collect::<Vec<_>>());
        assert_eq!(map.look_up(600), Extent::Hole);
        assert_eq!(map.look_up(601), Extent::Unwritten(601));
        assert_eq!(map.read(&schedule).allocated(0, 605).count(), 10 + 5);
        assert_eq!(map.write(&schedule).remove(10, 600), []);
    }

    #[test]
    fn shifting_moves_everything_behind_a_page_and_nothing_before_it() {
        let (map, schedule) = (ExtentMap::new(), Schedule::none());
        let extents = [(1, Extent::Written(5)), (600, Extent::Shared(6)), (601, Extent::Unwritten(7))];
        for (page, extent) in extents {
            map.write(&schedule).publish(page, extent);
        }
        assert!(map.write(&schedule).shift_up(2, 512));
        let up = [extents[0], (1112, extents[1].1), (1113, extents[2].1)];
        assert_eq!(map.read(&schedule).allocated(0, u64::MAX).collect::<Vec<_>>(), up);
        assert!(!map.write(&schedule).shift_up(1113, CAPACITY - 1113), "past the largest file");
        map.write(&schedule).shift_down(1000, 512);
        assert_eq!(map.read(&schedule).allocated(0, u64::MAX).collect::<Vec<_>>(), extents);
        assert!(map.write(&schedule).shift_up(601, CAPACITY - 602));
        assert_eq!(map.look_up(CAPACITY - 1), extents[2].1);
    }
}
