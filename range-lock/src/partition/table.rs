//! The table of a partition: where each leaf begins. It is a hint, which threads read without a
//! lock and change under a mutex. See "Finding a leaf" in the [parent](super).
//!
//! A row stands for a leaf. The rows lie in ascending order, in groups of a cache line each. In
//! each group in use the first rows are in use. The other rows are room for leaves to come. So a
//! cut moves rows of one group or of two, and other threads keep most of the lines that they
//! search.
//!
//! A row has the last point *before* its leaf. A row that is not in use has the last point of the
//! domain, and so lies behind every point.
//!
//! The leaves, except the root, are made in chunks when they are first needed. They stay where they
//! are until the lock is dropped. So a lock that is cut once needs no pointer for each leaf that
//! there may be.
//!
//! Before it searches the rows, a thread looks into the [grid], which names most leaves at once.
//!
//! # Invariant of the unsafe code
//!
//! **made**: a pointer in `chunks` is null, or names a chunk of `Structure::made`, which is freed
//! with the table. The pointer is stored once, before any row, cell, link or key has the index of
//! one of the chunk's leaves. All of these are handed from thread to thread by a release and an
//! acquire. The pointer `grid` is null, or names a grid of `Structure::grids`, which is freed with
//! the table.

use std::iter;
use std::ops::RangeInclusive;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crossbeam_utils::CachePadded;

use super::LeafCell;
use super::grid::{Grid, Tile};
use crate::bounds::Bounds;
use crate::claim::LeafIndex;
use crate::leaf::Leaf;
use crate::sync::{AtomicHint, AtomicIndex, Mutex};

/// Where each leaf begins, and the leaves except for the root.
pub(crate) struct Table {
    /// Null until the lock is first cut, and while the grid is placed anew.
    grid: AtomicPtr<Grid>,
    /// How many of the `levels` are searched: as many as the groups in use need.
    searched: AtomicHint,
    /// The last points before the leaves, in ascending order; then those of the firsts of these
    /// groups, likewise, and so on until they are one group.
    pub(crate) levels: Vec<Box<[Group]>>,
    /// Which leaves they are.
    pub(crate) indices: Box<[AtomicIndex]>,
    /// How many leaves there may be.
    max_leaves: usize,
    /// Where the leaves are, except the root.
    chunks: Box<[AtomicPtr<Chunk>]>,
    /// Odd while the table is changed.
    version: CachePadded<AtomicHint>,
    pub(super) structure: CachePadded<Mutex<Structure>>,
}

/// Leaves that are made at a time.
type Chunk = [LeafCell; Table::CHUNK];

/// The points of some rows.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Group([AtomicHint; Table::FAN_OUT]);

impl Group {
    fn new() -> Self {
        Group(std::array::from_fn(|_| AtomicHint::new(u64::MAX)))
    }

    /// Which is the last row that does not lie behind `point`. Looks at all rows. A binary search
    /// would take as many steps, each of which is dependent on the previous one, or mispredicted
    /// half of the time.
    #[inline]
    fn find(&self, point: u64) -> usize {
        self.0[1..].iter().map(|before| usize::from(before.get() < point)).sum()
    }
}

/// What a thread that cuts or joins must hold.
#[derive(Debug)]
pub(super) struct Structure {
    /// How many leaves are in use.
    pub(super) leaves: usize,
    /// Those that have been in use.
    unused: Vec<LeafIndex>,
    /// From this one on none has been in use.
    fresh: usize,
    /// Of std in a model too: what is done with it involves nothing that is modelled.
    made: Vec<std::sync::Arc<Chunk>>,
    /// One for each size that has been needed.
    grids: Vec<std::sync::Arc<Grid>>,
    /// Which leaf is asked next whether it is quiet.
    pub(super) hand: usize,
    /// How many rows of each group are in use, for the groups in use.
    filled: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    before: u64,
    leaf: LeafIndex,
}

impl Table {
    const FAN_OUT: usize = 8;
    /// How many leaves are made at a time.
    const CHUNK: usize = 4;
    /// How many groups away a free row may be before the rows are spread anew.
    const REACH: usize = 2;

    pub(super) fn new(max_leaves: usize) -> Self {
        let mut levels = Vec::new();
        let mut groups = Self::groups_for(max_leaves, usize::MAX);
        let rows = groups * Self::FAN_OUT;
        loop {
            levels.push((0..groups).map(|_| Group::new()).collect::<Box<[_]>>());
            if groups == 1 {
                break;
            }
            groups = groups.div_ceil(Self::FAN_OUT);
        }
        let table = Table {
            grid: AtomicPtr::new(ptr::null_mut()),
            searched: AtomicHint::new(1),
            levels,
            indices: (0..rows).map(|_| AtomicIndex::new(LeafIndex::ROOT.0)).collect(),
            max_leaves,
            chunks: (1..max_leaves).step_by(Self::CHUNK).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            version: CachePadded::new(AtomicHint::new(0)),
            structure: CachePadded::new(Mutex::new(Structure {
                leaves: 1,
                unused: Vec::new(),
                fresh: 1,
                made: Vec::new(),
                grids: Vec::new(),
                hand: 0,
                filled: vec![1],
            })),
        };
        table.set_before(0, 0);
        table
    }

    /// Into how many groups, of at most `most`, `leaves` leaves are spread. Groups are half filled,
    /// unless that takes one level more than full groups do.
    fn groups_for(leaves: usize, most: usize) -> usize {
        let mut of_as_many_levels = 1;
        while of_as_many_levels * Self::FAN_OUT < leaves {
            of_as_many_levels *= Self::FAN_OUT;
        }
        leaves.div_ceil(Self::FAN_OUT / 2).min(of_as_many_levels).min(most)
    }

    /// How many leaves there may be.
    pub(super) fn max_leaves(&self) -> usize {
        self.max_leaves
    }

    /// Changes with each change of the table, and is odd during one.
    pub(super) fn version(&self) -> u64 {
        self.version.get()
    }

    /// A leaf that is not in use, if there may be one more.
    pub(super) fn draw_unused(&self, structure: &mut Structure) -> Option<LeafIndex> {
        structure.unused.pop().or_else(|| {
            let index = structure.fresh;
            if index >= self.max_leaves {
                return None;
            }
            let n = index - 1;
            if n % Self::CHUNK == 0 {
                self.make_chunk(structure, n / Self::CHUNK);
            }
            structure.fresh += 1;
            Some(LeafIndex(index as u16))
        })
    }

    /// Makes the leaves of a chunk. Of the last one some may be more than there may be.
    fn make_chunk(&self, structure: &mut Structure, n: usize) {
        let leaf = |_| CachePadded::new(Mutex::new(Leaf::new(Bounds::NOTHING)));
        let chunk: std::sync::Arc<Chunk> = std::sync::Arc::new(std::array::from_fn(leaf));
        self.chunks[n].store(std::sync::Arc::as_ptr(&chunk).cast_mut(), Ordering::Release);
        structure.made.push(chunk);
    }

    /// The `n`th leaf behind the root, if it has been made.
    #[inline]
    pub(super) fn cell(&self, n: usize) -> Option<&LeafCell> {
        let chunk = self.chunks.get(n / Self::CHUNK)?.load(Ordering::Acquire);
        // SAFETY: it is null or lives as long as the table ("made"), and is only shared.
        let chunk = unsafe { chunk.as_ref()? };
        Some(&chunk[n % Self::CHUNK])
    }

    /// The leaves that have been made, in use or not, in the order of their indices.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &LeafCell> {
        let is_made = |chunk: &&AtomicPtr<Chunk>| !chunk.load(Ordering::Acquire).is_null();
        let made = self.chunks.iter().take_while(is_made).count();
        (0..made * Self::CHUNK).filter_map(move |n| self.cell(n))
    }

    /// Which leaf `point` lies in: the last one that does not begin behind it.
    #[inline]
    pub(super) fn route(&self, point: u64) -> LeafIndex {
        match self.grid().and_then(|grid| grid.look_up(point)) {
            Some(leaf) => leaf,
            None => self.search(point),
        }
    }

    /// The grid. `None` until the lock is first cut, and while the grid is placed anew.
    #[inline]
    pub(crate) fn grid(&self) -> Option<&Grid> {
        // SAFETY: it is null or lives as long as the table ("made"), and is only shared.
        unsafe { self.grid.load(Ordering::Acquire).as_ref() }
    }

    /// The same as [`route`](Self::route), by the rows.
    #[inline(never)]
    fn search(&self, point: u64) -> LeafIndex {
        let (group, slot) = self.find(point);
        LeafIndex(self.indices[group * Self::FAN_OUT + slot].get())
    }

    /// The row of the leaf in which `point` lies: its group, and which it is there.
    fn find(&self, point: u64) -> (usize, usize) {
        let searched = self.searched.get() as usize;
        let (mut group, mut slot) = (0, 0);
        for level in self.levels[..searched].iter().rev() {
            // While the table is being changed it may lead behind its end.
            group = (group * Self::FAN_OUT + slot).min(level.len() - 1);
            slot = level[group].find(point);
        }
        (group, slot)
    }

    fn row(&self, at: usize) -> Row {
        let (group, slot) = (at / Self::FAN_OUT, at % Self::FAN_OUT);
        Row { before: self.levels[0][group].0[slot].get(), leaf: LeafIndex(self.indices[at].get()) }
    }

    fn set(&self, at: usize, row: Row) {
        self.indices[at].set(row.leaf.0);
        #[cfg(all(test, not(any(loom, shuttle))))]
        super::tests::in_the_middle_of_a_row(at);
        self.set_before(at, row.before);
    }

    fn set_before(&self, mut at: usize, before: u64) {
        for level in &self.levels {
            let (group, slot) = (at / Self::FAN_OUT, at % Self::FAN_OUT);
            level[group].0[slot].set(before);
            if slot != 0 {
                return;
            }
            at = group;
        }
    }

    /// A leaf that begins at `lower` has come into use.
    pub(super) fn insert(&self, structure: &mut Structure, lower: u64, leaf: LeafIndex) {
        self.begin_change();
        let row = Row { before: lower - 1, leaf };
        // Its left half.
        let (group, slot) = self.find(lower);
        match self.room_near(structure, group) {
            Some(room) => self.insert_behind(structure, (group, slot), room, row),
            None => self.spread(structure, Some(row)),
        }
        structure.leaves += 1;
        self.end_change(structure, lower);
    }

    /// The nearest group with a free row. `None` if all near ones are full and the rows could be
    /// spread over more groups.
    fn room_near(&self, structure: &Structure, group: usize) -> Option<usize> {
        let groups = structure.filled.len();
        let could_be = Self::groups_for(structure.leaves + 1, self.levels[0].len());
        let reach = if could_be > groups { Self::REACH } else { groups };
        let has_room =
            |at: &usize| structure.filled.get(*at).is_some_and(|n| usize::from(*n) < Self::FAN_OUT);
        (0..=reach).find_map(|n| iter::once(group + n).chain(group.checked_sub(n)).find(has_room))
    }

    /// Enters `row` behind that in `slot` of `group`. The next free row is in group `room`: those
    /// between move by one, in such an order that no leaf is missing at any time.
    fn insert_behind(&self, structure: &mut Structure, (group, slot): (usize, usize), room: usize, row: Row) {
        let at = group * Self::FAN_OUT + slot + 1;
        let free = room * Self::FAN_OUT + usize::from(structure.filled[room]);
        if room >= group {
            (at..free).rev().for_each(|from| self.set(from + 1, self.row(from)));
            self.set(at, row);
        } else {
            let first = (room + 1) * Self::FAN_OUT;
            let to = iter::once(free).chain(first..at - 1);
            (first..at).zip(to).for_each(|(from, to)| self.set(to, self.row(from)));
            self.set(at - 1, row);
        }
        structure.filled[room] += 1;
    }

    /// The leaf that begins at `lower` is not in use any more.
    pub(super) fn remove(&self, structure: &mut Structure, lower: u64) {
        self.begin_change();
        let (group, slot) = self.find(lower);
        let filled = usize::from(structure.filled[group]);
        let at = group * Self::FAN_OUT;
        structure.unused.push(self.row(at + slot).leaf);
        (slot + 1..filled).for_each(|from| self.set(at + from - 1, self.row(at + from)));
        structure.filled[group] -= 1;
        structure.leaves -= 1;
        if filled > 1 {
            self.set_before(at + filled - 1, u64::MAX);
        } else {
            self.spread(structure, None);
        }
        self.end_change(structure, lower);
    }

    /// Brings the grid up to date with the rows, which have changed at `border`: a leaf begins
    /// there, or does not begin there any more.
    fn paint(&self, structure: &mut Structure, border: u64) {
        if structure.leaves == 1 {
            let all = self.tile(structure, (0, 0));
            return self.grid().into_iter().for_each(|grid| grid.paint(all, 0));
        }
        let lowest = self.tile(structure, (0, 0)).last + 1;
        let highest = self.tile(structure, self.find(u64::MAX)).first;
        match self.grid() {
            Some(grid) if grid.suits(structure.leaves, lowest..=highest) => {
                let left = self.tile(structure, self.find(border - 1));
                // To the left of the border nothing has changed.
                grid.paint(left, border - 1);
                if left.last < border {
                    grid.paint(self.tile(structure, self.find(border)), border);
                }
            }
            grid => {
                let size = Grid::size_for(structure.leaves);
                // A border that moves on would have all cells painted each time.
                let room = grid.is_some_and(|grid| grid.cells.len() == size);
                self.paint_all(structure, size, lowest..=highest, room);
            }
        }
    }

    /// Paints a grid of `size` cells, which is the one in use from now on. With `room` for borders
    /// to come.
    #[cold]
    fn paint_all(&self, structure: &mut Structure, size: usize, borders: RangeInclusive<u64>, room: bool) {
        // Meanwhile threads search the rows.
        self.grid.store(ptr::null_mut(), Ordering::Release);
        let made = structure.grids.iter().position(|grid| grid.cells.len() == size);
        let made = made.unwrap_or_else(|| {
            structure.grids.push(std::sync::Arc::new(Grid::new(size)));
            structure.grids.len() - 1
        });
        let grid = &structure.grids[made];
        grid.place(borders, room);
        for (group, filled) in structure.filled.iter().enumerate() {
            for slot in 0..usize::from(*filled) {
                let tile = self.tile(structure, (group, slot));
                grid.paint(tile, tile.first);
            }
        }
        self.grid.store(std::sync::Arc::as_ptr(grid).cast_mut(), Ordering::Release);
    }

    /// The leaf in a row, with its points.
    fn tile(&self, structure: &Structure, (group, slot): (usize, usize)) -> Tile {
        let row = self.row(group * Self::FAN_OUT + slot);
        let next = match slot + 1 < usize::from(structure.filled[group]) {
            true => Some((group, slot + 1)),
            false => Some((group + 1, 0)).filter(|(group, _)| *group < structure.filled.len()),
        };
        let last = next.map_or(u64::MAX, |(group, slot)| self.row(group * Self::FAN_OUT + slot).before);
        let first = if (group, slot) == (0, 0) { 0 } else { row.before + 1 };
        Tile { first, last, leaf: row.leaf }
    }

    /// Spreads the rows, and one more, evenly over as many groups as suit them.
    #[cold]
    fn spread(&self, structure: &mut Structure, added: Option<Row>) {
        let groups = structure.filled.iter().enumerate();
        let mut rows: Vec<Row> = groups
            .flat_map(|(group, filled)| {
                (0..usize::from(*filled)).map(move |slot| group * Self::FAN_OUT + slot)
            })
            .map(|at| self.row(at))
            .collect();
        if let Some(row) = added {
            // The root's is not compared.
            let at = 1 + rows[1..].partition_point(|other| other.before < row.before);
            rows.insert(at, row);
        }
        let before = structure.filled.len();
        let groups = Self::groups_for(rows.len(), self.levels[0].len());
        structure.filled.clear();
        for group in 0..groups {
            let part = &rows[group * rows.len() / groups..(group + 1) * rows.len() / groups];
            structure.filled.push(part.len() as u8);
            for slot in 0..Self::FAN_OUT {
                let at = group * Self::FAN_OUT + slot;
                match part.get(slot) {
                    Some(row) => self.set(at, *row),
                    None => self.set_before(at, u64::MAX),
                }
            }
        }
        (groups * Self::FAN_OUT..before * Self::FAN_OUT).for_each(|at| self.set_before(at, u64::MAX));
    }

    fn begin_change(&self) {
        self.version.set(self.version.get() + 1);
    }

    /// A leaf begins at `border`, or does not begin there any more.
    fn end_change(&self, structure: &mut Structure, border: u64) {
        let groups = structure.filled.len();
        let searched = (0..self.levels.len()).find(|n| groups <= Self::FAN_OUT.pow(*n as u32));
        set_if_other(&self.searched, 1 + searched.expect("the last level is one group") as u64);
        self.paint(structure, border);
        self.version.set(self.version.get() + 1);
    }
}

/// Does not take the line from its readers in vain.
fn set_if_other(hint: &AtomicHint, number: u64) {
    if hint.get() != number {
        hint.set(number);
    }
}
