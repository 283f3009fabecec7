//! The table of a partition: where each leaf begins. A hint, read by all without a lock, and changed under a mutex; see "Finding a leaf"
//! in the [parent](super).
//!
//! The leaves, except the root, are made in chunks when they are first needed, and stay where they
//! are until the lock is dropped.
//!
//! # Invariant of the unsafe code
//!
//! **made**: a pointer in `cells` is null, or names a leaf in a chunk of `Structure::chunks`, which
//! are freed with the table. It is stored once, before any row, link or key has the leaf's index, and
//! all of these are handed from thread to thread by a release and an acquire.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use crossbeam_utils::CachePadded;

use super::LeafCell;
use crate::bounds::Bounds;
use crate::claim::LeafIndex;
use crate::leaf::Leaf;
use crate::sync::{AtomicHint, AtomicIndex, Mutex};

/// Where each leaf begins, and the leaves but for the root.
pub(crate) struct Table {
    /// How many leaves are in use, for those who do not need to know exactly.
    in_use: AtomicHint,
    /// How many of the `levels` are searched: as many as the leaves in use need.
    searched: AtomicHint,
    /// Where the leaves begin, in ascending order, in groups of [`FAN_OUT`](Table::FAN_OUT), each a cache line; then the
    /// firsts of these groups, likewise, and so on until they are one group. What is not in use lies behind every point.
    pub(crate) levels: Vec<Box<[Group]>>,
    /// Which leaves they are. Behind those in use, the last one.
    pub(crate) indices: Box<[AtomicIndex]>,
    /// Where the leaves are, except the root.
    cells: Box<[AtomicPtr<LeafCell>]>,
    pub(super) structure: Mutex<Structure>,
}

/// Some lower bounds in ascending order.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Group([AtomicHint; Table::FAN_OUT]);

impl Group {
    fn new() -> Self {
        Group(std::array::from_fn(|_| AtomicHint::new(u64::MAX)))
    }

    /// Which is the last that does not lie behind `point`. All are looked at: to find the place by halves would take as many
    /// steps, each of which waits for the one before, or is guessed wrong half of the time.
    #[inline]
    fn find(&self, point: u64) -> usize {
        self.0[1..].iter().map(|lower| usize::from(lower.get() <= point)).sum()
    }
}

/// What whoever cuts or joins must hold.
#[derive(Debug)]
pub(super) struct Structure {
    /// How many leaves are in use.
    pub(super) leaves: usize,
    /// Those that have been in use.
    pub(super) unused: Vec<LeafIndex>,
    /// From this one on none has been in use.
    fresh: usize,
    /// Of std in a model too: what is done with it involves nothing that is modelled.
    chunks: Vec<std::sync::Arc<[LeafCell]>>,
    /// Where to look for quiet leaves next.
    pub(super) hand: usize,
}

impl Table {
    const FAN_OUT: usize = 8;
    /// How many leaves are made at a time.
    const CHUNK: usize = 7;

    pub(super) fn new(max_leaves: usize) -> Self {
        let mut levels = Vec::new();
        let mut rows = max_leaves;
        while {
            rows = rows.div_ceil(Self::FAN_OUT);
            levels.push((0..rows).map(|_| Group::new()).collect::<Box<[_]>>());
            rows > 1
        } {}
        let rows = levels[0].len() * Self::FAN_OUT;
        let table = Table {
            in_use: AtomicHint::new(1),
            searched: AtomicHint::new(1),
            levels,
            indices: (0..rows).map(|_| AtomicIndex::new(LeafIndex::ROOT.0)).collect(),
            cells: (1..max_leaves).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            structure: Mutex::new(Structure {
                leaves: 1,
                unused: Vec::new(),
                fresh: 1,
                chunks: Vec::new(),
                hand: 0,
            }),
        };
        table.set_lower(0, 0);
        table
    }

    /// A leaf that is not in use, if there may be one more.
    pub(super) fn draw_unused(&self, structure: &mut Structure) -> Option<LeafIndex> {
        structure.unused.pop().or_else(|| {
            let n = structure.fresh - 1;
            if self.cells.get(n)?.load(Ordering::Relaxed).is_null() {
                self.make_chunk(structure, n);
            }
            structure.fresh += 1;
            Some(LeafIndex(n as u16 + 1))
        })
    }

    /// Makes the leaves from the `n`th behind the root on.
    fn make_chunk(&self, structure: &mut Structure, n: usize) {
        let leaf = |_| CachePadded::new(Mutex::new(Leaf::new(Bounds::NOTHING)));
        let cells = &self.cells[n..self.cells.len().min(n + Self::CHUNK)];
        let chunk: std::sync::Arc<[LeafCell]> = cells.iter().map(leaf).collect();
        for (cell, made) in cells.iter().zip(&*chunk) {
            cell.store(ptr::from_ref(made).cast_mut(), Ordering::Release);
        }
        structure.chunks.push(chunk);
    }

    /// The `n`th leaf behind the root, which has been made.
    #[inline]
    pub(super) fn cell(&self, n: usize) -> &LeafCell {
        // SAFETY: it is null or lives as long as the table ("made"), and is only shared.
        unsafe { self.cells[n].load(Ordering::Acquire).as_ref() }.expect("an index is that of a leaf")
    }

    /// The leaves that have been made, in use or not, in the order of their indices.
    pub(crate) fn leaves(&self) -> impl Iterator<Item = &LeafCell> {
        let is_made = |cell: &&AtomicPtr<LeafCell>| !cell.load(Ordering::Acquire).is_null();
        let made = self.cells.iter().take_while(is_made).count();
        (0..made).map(move |n| self.cell(n))
    }

    /// Whether there is more than one leaf.
    pub(super) fn is_cut(&self) -> bool {
        self.in_use.get() > 1
    }

    /// Which leaf `point` lies in: the last one that does not begin behind it.
    #[inline]
    pub(super) fn route(&self, point: u64) -> LeafIndex {
        let searched = self.searched.get() as usize;
        let mut row = 0;
        for level in self.levels[..searched].iter().rev() {
            // The last point of the domain lies in what is padded, behind the last group. (While the table is being changed any
            // other may seem to.)
            let group = row.min(level.len() - 1);
            row = group * Self::FAN_OUT + level[group].find(point);
        }
        self.leaf(row)
    }

    #[inline]
    pub(super) fn leaf(&self, row: usize) -> LeafIndex {
        LeafIndex(self.indices.get(row).map_or(0, AtomicIndex::get))
    }

    fn lower(&self, row: usize) -> u64 {
        self.levels[0][row / Self::FAN_OUT].0[row % Self::FAN_OUT].get()
    }

    fn set_lower(&self, mut row: usize, lower: u64) {
        for level in &self.levels {
            level[row / Self::FAN_OUT].0[row % Self::FAN_OUT].set(lower);
            if row % Self::FAN_OUT != 0 {
                return;
            }
            row /= Self::FAN_OUT;
        }
    }

    /// A leaf that begins at `lower` has come into use.
    pub(super) fn insert(&self, structure: &mut Structure, lower: u64, leaf: LeafIndex) {
        let mut at = structure.leaves;
        // From behind, so that no leaf is missing at any time.
        while self.lower(at - 1) > lower {
            self.copy(at - 1, at);
            at -= 1;
        }
        self.indices[at].set(leaf.0);
        self.set_lower(at, lower);
        structure.leaves += 1;
        self.pad(structure);
    }

    /// A leaf is not in use any more.
    pub(super) fn remove(&self, structure: &mut Structure, leaf: LeafIndex) {
        let at = (0..structure.leaves).find(|row| self.leaf(*row) == leaf).expect("a leaf in use has a row");
        (at + 1..structure.leaves).for_each(|from| self.copy(from, from - 1));
        structure.leaves -= 1;
        self.pad(structure);
    }

    /// Makes the rows behind those in use ready to be searched.
    fn pad(&self, structure: &Structure) {
        let last = self.leaf(structure.leaves - 1).0;
        for row in structure.leaves..self.indices.len() {
            self.set_lower(row, u64::MAX);
            self.indices[row].set(last);
        }
        let searched = (1..self.levels.len()).find(|n| structure.leaves <= Self::FAN_OUT.pow(*n as u32));
        self.searched.set(searched.unwrap_or(self.levels.len()) as u64);
        self.in_use.set(structure.leaves as u64);
    }

    fn copy(&self, from: usize, to: usize) {
        self.indices[to].set(self.indices[from].get());
        #[cfg(all(test, not(any(loom, shuttle))))]
        super::tests::in_the_middle_of_a_row(to);
        self.set_lower(to, self.lower(from));
    }
}
