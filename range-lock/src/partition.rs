//! The leaves of a lock: finding, crossing, cutting and joining them. It uses leaves and `sync`,
//! and knows no transition.
//!
//! An interval tree under one mutex is slower than a plain rwsem that is taken shared. Few ranges
//! are held at a time, and every thread meets on that mutex (Dave Chinner, linux-fsdevel:
//! <https://lore.kernel.org/r/20190503041727.GL29573@dread.disaster.area> in 2019,
//! <https://lore.kernel.org/r/20220919230947.GM3600936@dread.disaster.area> in 2022). So the domain
//! is *partitioned*. A lock starts as one [`Leaf`]. It cuts a leaf in two where threads meet on the
//! leaf's mutex, and joins neighbours that stay quiet. The idea is that of the contention-adapting
//! search trees of Sagonas and Winblad (ISPDC 2015; JPDC 115, 2018).
//!
//! * **tiles**: the bounds of the leaves in use tile the domain, in the order of their links. The
//!   first leaf, the root, is always in use.
//! * **links**: bounds and link of a leaf change only under its mutex. The bounds of two neighbours
//!   change only under both mutexes. So under a leaf's mutex its link names a leaf in use, whose
//!   part begins where this leaf's part ends.
//! * **all at once**: a thread that enters, changes or takes out a request holds the mutexes of all
//!   the leaves under its span, from left to right along the links. So the request is in all of
//!   them, or gone from all, at one instant. If a thread took the mutexes one after the other, a
//!   join could pair what is left of a half-released request with requests that never met it.
//! * **table last**: a thread that holds the table's mutex waits for no mutex except that of a leaf
//!   that is not in use. A thread waits for the table's mutex only while it holds no leaf of this
//!   lock.
//! * **ascending**: a thread that holds a leaf's mutex waits only for the mutex of a leaf to the
//!   right in the same lock, or of a lock with a higher address. It also waits for the mutex of a
//!   leaf that is not in use, whose holder came there by an old hint and waits for nothing. So no
//!   thread waits in a cycle. The link tells which leaf is to the right. The table may be out of
//!   date, and name a leaf that the thread holds.
//!
//! # Finding a leaf
//!
//! The [table] has the points at which the leaves begin, in order, and a [grid] that leads to most
//! leaves by one look. Both are hints: threads read them without a lock, and change them under a
//! mutex of the table. The bounds in the leaf, read under its mutex, are the truth. If these show
//! that the point lies elsewhere, the table is being changed, or has been changed since the thread
//! read it. (A thread changes the table before it releases the mutexes of the leaves concerned.)
//! While the table is being changed, rows and cells that have nothing to do with the change may
//! also lead to a wrong leaf.
//!
//! A thread on the slow path also reads the table's *version*. If the table leads it to a wrong
//! leaf, it compares the version. If the version has changed, the thread searches again. If the
//! version is odd, the table is being changed, and the thread waits for the table's mutex. It
//! sleeps there if it must. So the thread that changes the table can run, even if it has a lower
//! priority and the same CPU. The version is a hint too: the thread also waits if it was misled and
//! finds the version unchanged.
//!
//! A leaf that is joined to its neighbour stays allocated, with bounds that hold no point, until it
//! is used again or the lock is dropped.
//!
//! # When to cut and to join
//!
//! A request that finds its leaf's mutex taken leaves a note of its span, unless it had to wait and
//! is released. The leaf is cut when there are several notes, each made within a thousand requests
//! of the previous note, and none a million behind it. It is cut where one of these requests
//! begins. Of the points behind the middle that no noted span crosses, the point nearest to the
//! middle is chosen. But if the lengths are multiples of a power of two, a point that is such a
//! multiple comes first, because pages of several sizes all begin at multiples of the largest.
//!
//! * If all requests begin at the same point, no cut helps. Then the leaf waits for twice as many
//!   meetings before it is considered again.
//! * If the requests move up, as those do that append to a file, a cut at where they were does not
//!   help either. They move up if all noted spans begin behind all noted spans of the last time.
//!   Some requests for each CPU must have come since, so that the requests that were under way then
//!   are gone. While some of the noted spans begin behind all of the last time, twice as many must
//!   have come.
//! * A leaf that is cut and joined in turn is cut less and less often, because changing the
//!   partition costs more than either state.
//! * If it is too soon to tell, or another thread changes the partition at the moment, the leaf is
//!   considered again after as many meetings as this time.
//! * A request that met a request which crossed several leaves makes no note. More leaves would not
//!   have kept the two apart.
//!
//! Requests that meet no other request pay nothing for all this.
//!
//! Leaves cost the requests that cross them. So such requests join neighbours, when they have come
//! by several times and no threads have met in either neighbour since.
//!
//! If all possible leaves are in use, the lock joins two neighbours to get a leaf for a cut. It
//! does so only if far fewer threads met in the two of late than in the leaf to be cut. Under an
//! even load no two neighbours meet this condition, and the partition stays as it is. An exchange
//! of leaves costs microseconds, in which threads meet that would not have met otherwise. So
//! exchanges that gain little would bring about the next exchanges. The number of recent meetings
//! is the leaf's *heat*. Each meeting adds one, and the leaf loses half whenever it is asked. Both
//! halves of a leaf that is cut have half of its heat.
//!
//! # Invariant of the unsafe code
//!
//! **locked**: a [`Locked`] holds the mutexes of the leaves from `first` to `last` along the links.
//! It has kept their guards, and only it gives them up. Since it holds the leaves, the links
//! between them stay as they are.

mod grid;
mod place;
mod table;

use std::fmt;
use std::iter;
use std::marker::PhantomData;
use std::mem;
use std::num::NonZeroU16;
use std::ptr;
use std::sync::OnceLock;
use std::thread;

use crossbeam_utils::CachePadded;

pub(crate) use place::Place;
use table::{Structure, Table};

use crate::bounds::Bounds;
use crate::claim::{Hold, LeafIndex};
use crate::ids::Ids;
use crate::leaf::models::{self, Restructuring};
use crate::leaf::{Attempt, Contention, Crossings, Leaf, Surplus};
use crate::span::Span;
use crate::spares::Spares;
use crate::sync::{self, Mutex, MutexGuard};

/// A leaf with its mutex, on cache lines of its own.
pub(crate) type LeafCell = CachePadded<Mutex<Leaf>>;

// Two cache lines, with the features that are on by default.
#[cfg(all(
    target_arch = "x86_64",
    not(any(loom, shuttle, feature = "stats", feature = "deadlock_detection"))
))]
const _: () = assert!(size_of::<Mutex<Leaf>>() <= 128);

/// One place to fail for all that could be wrong with an index, so that the way to a leaf stays
/// short enough to be inlined where a guard is dropped.
#[cold]
#[inline(never)]
fn no_such_leaf() -> ! {
    panic!("an index is that of a leaf")
}

/// The leaves of one lock. See the [module](self).
pub(crate) struct Partition {
    pub(crate) root: LeafCell,
    /// It is on other cache lines than the root, because all threads read it and it hardly ever
    /// changes.
    pub(crate) shared: CachePadded<Shared>,
}

pub(crate) struct Shared {
    pub(crate) table: OnceLock<Box<Table>>,
    settings: Settings,
    pub(crate) stores: Stores,
}

/// What leaves draw from. It changes now and then, so it begins a cache line: every request reads
/// the line of the table and the settings. On machines with longer lines it shares that line, so
/// that a lock stays small.
#[repr(align(64))]
pub(crate) struct Stores {
    pub(crate) ids: Ids,
    spares: Spares,
}

impl Shared {
    #[cfg(not(any(loom, shuttle)))]
    const fn new(settings: Settings) -> Self {
        let stores = Stores { ids: Ids::new(), spares: Spares::new() };
        Shared { table: OnceLock::new(), settings, stores }
    }

    #[cfg(any(loom, shuttle))]
    fn new(settings: Settings) -> Self {
        let stores = Stores { ids: Ids::new(), spares: Spares::new() };
        Shared { table: OnceLock::new(), settings, stores }
    }
}

/// What the builder of a lock can set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How many leaves there may be. `None` for as many as suit the machine.
    pub(crate) max_leaves: Option<NonZeroU16>,
    /// How many requests may pass one that sleeps.
    pub(crate) bypass: u16,
}

impl Settings {
    pub(crate) const DEFAULT: Settings = Settings { max_leaves: None, bypass: 0 };
}

impl Partition {
    /// One leaf. Allocates nothing.
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new(settings: Settings) -> Self {
        Partition {
            root: CachePadded::new(Mutex::new(Leaf::new(Bounds::WHOLE))),
            shared: CachePadded::new(Shared::new(settings)),
        }
    }

    /// One leaf. Not `const`: the mutexes of a model cannot be made in one.
    #[cfg(any(loom, shuttle))]
    pub(crate) fn new(settings: Settings) -> Self {
        Partition {
            root: CachePadded::new(Mutex::new(Leaf::new(Bounds::WHOLE))),
            shared: CachePadded::new(Shared::new(settings)),
        }
    }

    /// Where the ids of requests come from.
    #[inline]
    pub(crate) fn ids(&self) -> &Ids {
        &self.shared.stores.ids
    }

    /// Records that crowds have left behind.
    pub(crate) fn spares(&self) -> &Spares {
        &self.shared.stores.spares
    }

    /// How many requests may pass one that sleeps.
    pub(crate) fn bypass(&self) -> usize {
        self.shared.settings.bypass.into()
    }

    /// Locks the leaf in which `span` begins.
    pub(crate) fn lock_at(&self, span: Span) -> LeafGuard<'_> {
        self.lock_right(self.try_lock(self.route(span.first)), span)
    }

    /// Locks a leaf if no thread has it.
    #[inline]
    pub(crate) fn try_lock(&self, index: LeafIndex) -> Option<LeafGuard<'_>> {
        Some(LeafGuard { leaf: sync::try_lock(self.cell(index))?, index })
    }

    /// Locks the leaf in which `span` begins: the one that is locked, if that is it.
    #[inline]
    pub(crate) fn lock_right<'a>(&'a self, locked: Option<LeafGuard<'a>>, span: Span) -> LeafGuard<'a> {
        right(locked, span).unwrap_or_else(|| self.find_and_lock(span, false))
    }

    /// The same to release what is held. Others may well wait for a request that had to wait
    /// itself. So where the leaf is taken, its thread looks again soon, unless others may pass
    /// those that wait.
    #[inline]
    pub(crate) fn lock_to_release<'a>(&'a self, locked: Option<LeafGuard<'a>>, hold: &Hold) -> LeafGuard<'a> {
        right(locked, hold.span).unwrap_or_else(|| {
            let soon = hold.key.had_to_wait() && self.bypass() == 0;
            self.find_and_lock(hold.span, soon)
        })
    }

    /// A thread that looks again `soon` makes no note of those that it meets. They may all want
    /// what it releases, and a cut would not keep them apart.
    #[cold]
    #[inline(never)]
    fn find_and_lock(&self, span: Span, soon: bool) -> LeafGuard<'_> {
        let point = span.first;
        let mut version = self.version();
        loop {
            let index = self.route(point);
            let cell = self.cell(index);
            let (mut leaf, met) = match sync::try_lock_again(cell) {
                Some(leaf) => (leaf, false),
                None => (sync::lock_taken(cell, soon), !soon),
            };
            if leaf.bounds().contains(point) {
                if met && leaf.note_meeting(span) {
                    self.cut_where_they_met(&mut leaf);
                    if !leaf.bounds().contains(point) {
                        continue;
                    }
                }
                return LeafGuard { leaf, index };
            }
            drop(leaf);
            let before = mem::replace(&mut version, self.version());
            // A thread that changes the table may be preempted, perhaps by this one, and must run
            // before the table leads to the right leaf.
            if version % 2 != 0 || version == before {
                self.wait_for_table();
                version = self.version();
            }
        }
    }

    /// Changes with the table, and is odd while that is changed. A hint, as the table.
    fn version(&self) -> u64 {
        self.shared.table.get().map_or(0, |table| table.version())
    }

    /// Waits until no thread changes the table. The caller holds no leaf of this lock.
    fn wait_for_table(&self) {
        #[cfg(all(test, not(any(loom, shuttle))))]
        tests::WAITED_FOR_TABLE.set(tests::WAITED_FOR_TABLE.get() + 1);
        drop(sync::lock(&self.table().structure));
    }

    /// Locks all leaves in which a point of `span` lies.
    pub(crate) fn lock_over(&self, span: Span) -> Locked<'_> {
        let mut locked = self.lock_at(span).into_locked(self);
        locked.extend_to(span.last);
        locked
    }

    /// The same for a look: a look does not join what it crosses.
    pub(crate) fn look_over(&self, span: Span) -> Locked<'_> {
        let mut locked = self.lock_at(span).into_locked(self);
        locked.reach(span.last, |_| ());
        locked
    }

    /// Which leaf `point` lies in, as far as can be told without a lock.
    #[inline]
    pub(crate) fn route(&self, point: u64) -> LeafIndex {
        match self.shared.table.get() {
            None => LeafIndex::ROOT,
            Some(table) => table.route(point),
        }
    }

    /// Whether there may be another leaf than the root.
    #[inline]
    pub(crate) fn was_cut(&self) -> bool {
        self.shared.table.get().is_some()
    }

    #[inline]
    fn cell(&self, index: LeafIndex) -> &LeafCell {
        let cell = match usize::from(index.0).checked_sub(1) {
            None => Some(&self.root),
            Some(n) => self.shared.table.get().and_then(|table| table.cell(n)),
        };
        cell.unwrap_or_else(|| no_such_leaf())
    }

    /// The table. It is made when it is first needed, under the mutex of some leaf.
    fn table(&self) -> &Table {
        self.shared.table.get_or_init(|| {
            let max =
                self.shared.settings.max_leaves.map_or_else(default_max_leaves, |max| usize::from(max.get()));
            Box::new(Table::new(max))
        })
    }

    /// Cuts `leaf` between its users, where they met.
    fn cut_where_they_met(&self, leaf: &mut MutexGuard<'_, Leaf>) {
        let bounds = leaf.bounds();
        let place = leaf.contention().place_to_cut(bounds);
        let attempt = match place {
            None => Attempt::InVain,
            Some(place) if leaf.is_crossed(place) => Attempt::InVain,
            Some(_) if self.is_too_soon(leaf) => Attempt::NotNow,
            Some(place) => self.cut(leaf, place),
        };
        if attempt == Attempt::Cut {
            models::note(Restructuring::Cut);
        }
        leaf.contention().considered(attempt);
    }

    /// Whether fewer requests came since a cut of `leaf` was considered than may have been under
    /// way at that time. That is a quarter of the number of leaves that there may be: by default 4
    /// for each CPU. While some of those that meet are above all that were there, it is twice that
    /// number: the others may be late. With less, a lock to which 64 simulated CPUs append was cut
    /// in vain. With twice the number in any case, a lock whose pages are used at random was cut
    /// half as fast.
    fn is_too_soon(&self, leaf: &mut Leaf) -> bool {
        if self.shared.settings.max_leaves == Some(NonZeroU16::MIN) {
            return false;
        }
        let max = self.table().max_leaves();
        let contention = leaf.contention();
        contention.is_young(max / 4) || contention.is_young(max / 2) && contention.some_rise()
    }

    /// Cuts `leaf` at `mid`, if there is a leaf that is not in use.
    fn cut(&self, leaf: &mut MutexGuard<'_, Leaf>, mid: u64) -> Attempt {
        if self.shared.settings.max_leaves == Some(NonZeroU16::MIN) {
            return Attempt::InVain;
        }
        let table = self.table();
        // The thread that changes the partition at the moment may be waiting for this leaf.
        let Some(mut structure) = sync::try_lock(&table.structure) else { return Attempt::NotNow };
        let mut unused = table.draw_unused(&mut structure);
        if unused.is_none() && self.reclaim(table, &mut structure, leaf.heat()) {
            unused = table.draw_unused(&mut structure);
        }
        let Some(index) = unused else { return Attempt::InVain };
        // No thread keeps it long: one that comes here by an old hint finds that it holds no point.
        let mut right = sync::lock(self.cell(index));
        right.begin_ids(self.ids());
        leaf.cut(mid, &mut right);
        leaf.next = index;
        table.insert(&mut structure, mid, index);
        drop((right, structure));
        if leaf.has_surplus() {
            self.keep_or_free(vec![leaf.take_surplus()]);
        }
        Attempt::Cut
    }

    /// Joins two neighbours in which far fewer met of late than in a leaf of heat `hot`. All leaves
    /// are in use.
    fn reclaim(&self, table: &Table, structure: &mut Structure, hot: u32) -> bool {
        /// How many leaves are asked. Each is a line that is taken from its users.
        const ASKED: usize = 16;
        // Out of order, so waits for none. What the caller holds is passed over.
        for _ in 0..structure.leaves.min(ASKED) {
            let at = LeafIndex(structure.hand as u16);
            structure.hand = (structure.hand + 1) % structure.leaves;
            let Some(mut left) = sync::try_lock(self.cell(at)) else { continue };
            let heat = left.cool();
            let index = left.next;
            if index == LeafIndex::NONE || !Contention::is_worth_an_exchange(hot, heat) {
                continue;
            }
            let Some(mut right) = sync::try_lock(self.cell(index)) else { continue };
            let of_right = right.heat();
            if Contention::is_worth_an_exchange(hot, heat.saturating_add(of_right)) {
                let border = right.bounds().first;
                left.join(&mut right);
                left.contention().warm(of_right);
                table.remove(structure, border);
                models::note(Restructuring::Reclaim);
                return true;
            }
        }
        false
    }

    /// Cuts the leaf in which `at` lies, there. For tests. `false` if that cannot be done.
    pub(crate) fn cut_at(&self, at: u64) -> bool {
        let mut leaf = self.lock_at(Span { first: at, last: at }).leaf;
        at != leaf.bounds().first && self.cut(&mut leaf, at) == Attempt::Cut
    }

    /// Joins the leaf in which `at` lies and the one to the right. For tests. `false` if that
    /// cannot be done.
    pub(crate) fn join_at(&self, at: u64) -> bool {
        let mut left = self.lock_at(Span { first: at, last: at }).leaf;
        let index = left.next;
        if index == LeafIndex::NONE {
            return false;
        }
        let table = self.table();
        let mut right = sync::lock(self.cell(index));
        let Some(mut structure) = sync::try_lock(&table.structure) else { return false };
        let border = right.bounds().first;
        left.join(&mut right);
        table.remove(&mut structure, border);
        true
    }

    /// Gives back what memory the leaves do not need, those too that are not in use.
    pub(crate) fn shrink_to_fit(&self) {
        let others = self.shared.table.get().into_iter().flat_map(|table| table.leaves());
        iter::once(&self.root).chain(others).for_each(|cell| sync::lock(cell).shrink_to_fit());
        self.spares().clear();
    }

    /// Keeps some of what crowds have left behind, and frees the rest, which takes its time. To be
    /// called with no leaf of this lock held, except after a cut, which has copied a crowd.
    #[cold]
    #[inline(never)]
    fn keep_or_free(&self, all: Vec<Surplus>) {
        for Surplus { records, forest } in all {
            drop(forest);
            self.spares().give(records);
        }
    }

    /// How many leaves there are.
    pub(crate) fn len(&self) -> usize {
        self.shared.table.get().map_or(1, |table| sync::lock(&table.structure).leaves)
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition").field("leaves", &self.len()).finish_non_exhaustive()
    }
}

/// The leaf that is locked, if `span` begins there.
#[inline]
fn right<'a>(locked: Option<LeafGuard<'a>>, span: Span) -> Option<LeafGuard<'a>> {
    locked.filter(|at| at.leaf.bounds().contains(span.first))
}

/// How many leaves a lock may have by default: so many that two threads in random places seldom
/// meet.
fn default_max_leaves() -> usize {
    const FOR_EACH_CPU: usize = 16;
    const BOUNDS: (usize, usize) = (64, 4096);
    let cpus =
        if cfg!(any(loom, shuttle)) { 1 } else { thread::available_parallelism().map_or(1, usize::from) };
    (cpus * FOR_EACH_CPU).next_power_of_two().clamp(BOUNDS.0, BOUNDS.1)
}

/// One leaf whose mutex is held.
#[derive(Debug)]
pub(crate) struct LeafGuard<'a> {
    pub(crate) leaf: MutexGuard<'a, Leaf>,
    pub(crate) index: LeafIndex,
}

impl<'a> LeafGuard<'a> {
    /// As the beginning of several.
    pub(crate) fn into_locked(self, partition: &'a Partition) -> Locked<'a> {
        let cell = partition.cell(self.index);
        sync::keep(self.leaf);
        Locked { partition, index: self.index, first: cell, last: cell, _kept: PhantomData }
    }
}

/// Neighbouring leaves whose mutexes are held.
pub(crate) struct Locked<'a> {
    partition: &'a Partition,
    /// Of the first one.
    index: LeafIndex,
    first: &'a LeafCell,
    last: &'a LeafCell,
    /// It may be sent and shared where the guards that it has kept may.
    _kept: PhantomData<MutexGuard<'a, Leaf>>,
}

impl<'a> Locked<'a> {
    /// Locks more, to the right, up to the leaf in which `point` lies. Makes a note in each leaf
    /// that a request came by that crosses it, and joins leaves that have long been quiet.
    pub(crate) fn extend_to(&mut self, point: u64) {
        if self.last().bounds().last >= point {
            return;
        }
        let is_quiet = |leaf: &mut Leaf| usize::from(leaf.crossings.note(leaf.last_id()));
        let mut quiet = if ptr::eq(self.first, self.last) { is_quiet(self.first()) } else { 0 };
        self.reach(point, |leaf| quiet += is_quiet(leaf));
        if quiet > 1 {
            self.join_quiet();
        }
    }

    /// Locks more, to the right, up to the leaf in which `point` lies, and calls `f` for each.
    fn reach(&mut self, point: u64, mut f: impl FnMut(&mut Leaf)) {
        while self.last().bounds().last < point {
            let next = self.partition.cell(self.last().next);
            let mut leaf = sync::lock(next);
            f(&mut leaf);
            sync::keep(leaf);
            self.last = next;
        }
    }

    /// Whose leaves they are.
    pub(crate) fn partition(&self) -> &'a Partition {
        self.partition
    }

    /// Which is the first.
    pub(crate) fn index(&self) -> LeafIndex {
        self.index
    }

    pub(crate) fn first(&mut self) -> &mut Leaf {
        // SAFETY: its mutex is held ("locked"), and `self` is borrowed exclusively.
        unsafe { &mut *sync::kept(self.first) }
    }

    fn last(&self) -> &Leaf {
        // SAFETY: its mutex is held ("locked").
        unsafe { &*sync::kept(self.last) }
    }

    /// The leaves, from left to right.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Leaf> {
        // SAFETY: their mutexes are held ("locked").
        self.cells().map(|cell| unsafe { &*sync::kept(cell) })
    }

    /// The leaves, from left to right.
    pub(crate) fn iter_mut(&mut self) -> IterMut<'_> {
        IterMut { partition: self.partition, next: Some(self.first), last: self.last, _leaves: PhantomData }
    }

    /// The leaves in which a point of `span` lies.
    pub(crate) fn over(&mut self, span: Span) -> impl Iterator<Item = &mut Leaf> {
        self.iter_mut().filter(move |leaf| leaf.bounds().meet(span))
    }

    fn cells(&self) -> impl Iterator<Item = &'a LeafCell> + use<'a> {
        let (partition, last) = (self.partition, self.last);
        iter::successors(Some(self.first), move |cell| {
            // SAFETY: its mutex is held ("locked").
            (!ptr::eq(*cell, last)).then(|| partition.cell(unsafe { (*sync::kept(cell)).next }))
        })
    }

    /// Joins neighbours that have both been quiet for long.
    #[cold]
    fn join_quiet(&mut self) {
        let table = self.partition.table();
        let Some(mut structure) = sync::try_lock(&table.structure) else { return };
        let mut at = self.first;
        while !ptr::eq(at, self.last) {
            // SAFETY: its mutex is held ("locked"), and `self` is borrowed exclusively.
            let left = unsafe { &mut *sync::kept(at) };
            let index = left.next;
            let cell = self.partition.cell(index);
            // SAFETY: as above; it is another leaf.
            let right = unsafe { &mut *sync::kept(cell) };
            if left.crossings.are_quiet() && right.crossings.are_quiet() {
                let border = right.bounds().first;
                left.join(right);
                left.crossings = Crossings::NONE;
                left.contention().undo();
                table.remove(&mut structure, border);
                models::note(Restructuring::Join);
                if ptr::eq(cell, self.last) {
                    self.last = at;
                }
                // SAFETY: its mutex is held ("locked"), and since it is linked no more `self` has
                // given it up.
                unsafe { sync::unlock_kept(cell) };
                if ptr::eq(at, self.last) {
                    return;
                }
            }
            // SAFETY: its mutex is held ("locked").
            at = self.partition.cell(unsafe { (*sync::kept(at)).next });
        }
    }
}

impl Drop for Locked<'_> {
    #[inline]
    fn drop(&mut self) {
        let mut surplus = Vec::new();
        let mut next = Some(self.first);
        while let Some(cell) = next {
            // SAFETY: its mutex is held ("locked"), and `self` is borrowed exclusively.
            let leaf = unsafe { &mut *sync::kept(cell) };
            if leaf.has_surplus() {
                surplus.push(leaf.take_surplus());
            }
            next = (!ptr::eq(cell, self.last)).then(|| self.partition.cell(leaf.next));
            // SAFETY: its mutex is held ("locked"), and not used any more: the one to the right is
            // known.
            unsafe { sync::unlock_kept(cell) };
        }
        if !surplus.is_empty() {
            self.partition.keep_or_free(surplus);
        }
    }
}

impl fmt::Debug for Locked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(Leaf::bounds)).finish()
    }
}

/// See [`Locked::iter_mut`].
pub(crate) struct IterMut<'l> {
    partition: &'l Partition,
    next: Option<&'l LeafCell>,
    last: &'l LeafCell,
    _leaves: PhantomData<&'l mut Leaf>,
}

impl<'l> Iterator for IterMut<'l> {
    type Item = &'l mut Leaf;

    fn next(&mut self) -> Option<&'l mut Leaf> {
        let cell = self.next?;
        // SAFETY: its mutex is held ("locked") by what is borrowed exclusively for `'l`, and each
        // leaf is given out once.
        let leaf = unsafe { &mut *sync::kept(cell) };
        self.next = (!ptr::eq(cell, self.last)).then(|| self.partition.cell(leaf.next));
        Some(leaf)
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests;
