//! The grid of a table: which leaf lies at each of many evenly spaced points. It leads to most
//! leaves by one look, where a search visits a group of rows on each level.
//!
//! The grid covers the part of the domain in which leaves begin. Each cell stands for as many
//! points, a power of two, beginning at a multiple of that power. Leaves begin at round points
//! where they can, so few of them begin inside a cell. Such a cell is *mixed*: it names no leaf,
//! and the table is searched. What lies before the grid belongs to its first cell, and what lies
//! behind it to its last.
//!
//! The grid is a hint, as the table is. Threads read it without a lock, and change it under the
//! mutex of the table, while the version is odd.

use std::ops::RangeInclusive;

use crate::claim::LeafIndex;
use crate::sync::{AtomicHint, AtomicIndex};

/// See the [module](self).
#[derive(Debug)]
#[repr(align(64))] // All threads read it.
pub(crate) struct Grid {
    /// A cell has two to this power points.
    shift: AtomicHint,
    /// The number of the first cell, if cells were numbered from the beginning of the domain.
    base: AtomicHint,
    /// The leaf in which all points of the cell lie. [`MIXED`](Grid::MIXED) if there is none.
    pub(crate) cells: Box<[AtomicIndex]>,
}

/// The points of a leaf, and the leaf.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tile {
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) leaf: LeafIndex,
}

impl Grid {
    const MIXED: LeafIndex = LeafIndex::NONE;
    /// Cells for each leaf: so many that few of them are mixed, if the leaves are alike. In models
    /// of shuttle each access takes time.
    const FOR_EACH_LEAF: usize = if cfg!(shuttle) { 1 } else { 8 };

    /// How many cells suit this number of leaves.
    pub(super) fn size_for(leaves: usize) -> usize {
        Self::FOR_EACH_LEAF * leaves.next_power_of_two()
    }

    /// A grid of which all cells are mixed.
    pub(super) fn new(size: usize) -> Self {
        Grid {
            shift: AtomicHint::new(0),
            base: AtomicHint::new(0),
            cells: (0..size).map(|_| AtomicIndex::new(Self::MIXED.0)).collect(),
        }
    }

    /// Which leaf `point` lies in. `None` if the table must be searched.
    #[inline]
    pub(super) fn look_up(&self, point: u64) -> Option<LeafIndex> {
        let index = self.cells.get(self.cell(point))?.get();
        (index != Self::MIXED.0).then_some(LeafIndex(index))
    }

    /// The cell in which `point` lies.
    #[inline]
    fn cell(&self, point: u64) -> usize {
        let cell = (point >> (self.shift.get() % 64)).saturating_sub(self.base.get());
        usize::try_from(cell).unwrap_or(usize::MAX).min(self.cells.len() - 1)
    }

    /// Whether the grid has neither far too many cells for `leaves` leaves nor too few, and covers
    /// all points at which leaves begin with cells that are at most twice as large as need be.
    pub(super) fn suits(&self, leaves: usize, borders: RangeInclusive<u64>) -> bool {
        let (shift, base) = (self.shift.get(), self.base.get());
        let size = Self::size_for(leaves);
        let behind = (borders.end() >> shift).saturating_sub(base) >= self.cells.len() as u64;
        (size..=2 * size).contains(&self.cells.len())
            && !behind
            && (borders.start() >> shift) >= base
            && shift <= u64::from(self.shift_for(&borders)) + 1
    }

    /// With how small cells the grid covers these points.
    fn shift_for(&self, borders: &RangeInclusive<u64>) -> u32 {
        (0..63).find(|shift| self.spare(borders, *shift).is_some_and(|spare| spare > 0)).unwrap_or(63)
    }

    /// How many cells are left if the others cover these points.
    fn spare(&self, borders: &RangeInclusive<u64>, shift: u32) -> Option<u64> {
        (self.cells.len() as u64 - 1).checked_sub((borders.end() >> shift) - (borders.start() >> shift))
    }

    /// Places the grid so that it covers these points with the smallest cells, or, with `room`,
    /// with cells twice as large: then borders may go on to move up or down for a while. All leaves
    /// are to be [painted](Self::paint) anew.
    pub(super) fn place(&self, borders: RangeInclusive<u64>, room: bool) {
        let shift = (self.shift_for(&borders) + u32::from(room)).min(63);
        // One cell at least for the leaf before the first border.
        let before = self.spare(&borders, shift).unwrap_or(0).div_ceil(2);
        self.shift.set(u64::from(shift));
        self.base.set((borders.start() >> shift).saturating_sub(before));
    }

    /// Paints the cells of a leaf, from the one in which `from` lies.
    pub(super) fn paint(&self, Tile { first, last, leaf }: Tile, from: u64) {
        let (begin, end) = (self.cell(first), self.cell(last));
        for cell in self.cell(from)..=end {
            let begins_before = cell > begin || first == 0 || self.cell(first - 1) < cell;
            let ends_behind = cell < end || last == u64::MAX || self.cell(last + 1) > cell;
            let leaf = if begins_before && ends_behind { leaf } else { Self::MIXED };
            // Does not take the line from its readers in vain.
            if self.cells[cell].get() != leaf.0 {
                self.cells[cell].set(leaf.0);
            }
        }
    }
}
