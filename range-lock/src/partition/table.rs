//! The table of a partition: where each leaf begins. A hint, read by all without a lock, and changed under a mutex; see "Finding a leaf"
//! in the [parent](super).

use crossbeam_utils::CachePadded;

use super::LeafCell;
use crate::bounds::Bounds;
use crate::claim::LeafIndex;
use crate::leaf::Leaf;
use crate::sync::{AtomicHint, Mutex};

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
    pub(crate) indices: Box<[AtomicHint]>,
    pub(crate) leaves: Box<[LeafCell]>,
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
    pub(super) unused: Vec<LeafIndex>,
    /// Where to look for quiet leaves next.
    pub(super) hand: usize,
}

impl Table {
    const FAN_OUT: usize = 8;

    pub(super) fn new(max_leaves: usize) -> Self {
        let leaf = |_| CachePadded::new(Mutex::new(Leaf::new(Bounds::NOTHING)));
        let root = u64::from(LeafIndex::ROOT.0);
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
            indices: (0..rows).map(|_| AtomicHint::new(root)).collect(),
            leaves: (1..max_leaves).map(leaf).collect(),
            structure: Mutex::new(Structure {
                leaves: 1,
                unused: (1..max_leaves).rev().map(|n| LeafIndex(n as u16)).collect(),
                hand: 0,
            }),
        };
        table.set_lower(0, 0);
        table
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
        LeafIndex(self.indices.get(row).map_or(0, |index| index.get() as u16))
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
        self.indices[at].set(u64::from(leaf.0));
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
        let last = u64::from(self.leaf(structure.leaves - 1).0);
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
