//! The entries of a leaf: the forms in which they are kept and looked at, and what tells requests
//! apart and orders them in time.

use std::num::NonZeroU64;

use crossbeam_utils::atomic::AtomicCell;

use crate::ids::RequestId;
use crate::interval_tree::{Key, NIL};
use crate::mode::Mode;
#[cfg(feature = "deadlock_detection")]
use crate::owner::Owner;
use crate::span::Span;
use crate::sync::Arc;
use crate::waiter::Waiter;

/// A place for an entry that never had to wait.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) span: Span,
    /// `None` if it has not been used yet. `occupied` tells whether it is in use.
    pub(super) tag: Option<Tag>,
    #[cfg(feature = "deadlock_detection")]
    pub(super) owner: Owner,
}

impl Slot {
    pub(super) const VACANT: Slot = Slot {
        span: Span::WHOLE,
        tag: None,
        #[cfg(feature = "deadlock_detection")]
        owner: Owner::Task,
    };
}

/// A request's id and the mode of one of its entries, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag(NonZeroU64);

impl Tag {
    const MODE_BITS: u32 = 2;

    #[inline]
    pub(super) fn new(id: RequestId, mode: Mode) -> Self {
        let mode = NonZeroU64::MIN.saturating_add(mode as u64);
        Tag(mode | (id.get() << Self::MODE_BITS))
    }

    #[inline]
    pub(super) fn id(self) -> u64 {
        self.0.get() >> Self::MODE_BITS
    }

    #[inline]
    pub(super) fn mode(self) -> Mode {
        match self.0.get() % (1 << Self::MODE_BITS) {
            1 => Mode::Read,
            2 => Mode::Upgradable,
            _ => Mode::Write,
        }
    }
}

/// What the forest has of an entry besides its key.
#[derive(Debug)]
pub(crate) struct Filed {
    pub(super) mode: Mode,
    /// Set if the request had to wait. It still does while the waiter's count is not zero.
    pub(super) queued: Option<Queued>,
    /// The place of the entry that this one is registered with. [`NIL`] if nothing here keeps it
    /// out.
    pub(super) keeper: u32,
    /// The next in the keeper's list. [`NIL`] at its end.
    pub(super) next: u32,
    /// The one before it in the keeper's list; of the first, the last.
    pub(super) before: u32,
    /// The first of those that are registered with this one. [`NIL`] if there is none.
    pub(super) kept: u32,
    /// Of those that stand behind this one, the last: see [twins](super::twins). [`NIL`] if there
    /// is none, or if this one stands behind another itself.
    pub(super) tail: u32,
    /// What the record's [`distance`](Waiter::set_distance) was last set to, as far as it fits. The
    /// record itself is in the cache of the CPU that looks at it.
    pub(super) distance: u16,
    #[cfg(feature = "deadlock_detection")]
    pub(super) owner: Owner,
}

/// One span of one request, wherever it is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) span: Span,
    pub(crate) id: RequestId,
    pub(crate) mode: Mode,
    /// Set if the request had to wait. It still does while the waiter's count is not zero.
    pub(crate) queued: Option<&'a Queued>,
    /// What made the request. Which thread has its guard by now is not known.
    #[cfg(feature = "deadlock_detection")]
    pub(crate) owner: Owner,
}

/// What an entry has more if its request had to wait.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) order: Order,
    pub(crate) waiter: Arc<Waiter>,
    /// 1 if this entry keeps the record for the next request, 0 if not: of a request's entries one
    /// does, since a record that is spare twice is never seen to be held once only.
    ///
    /// Not a `bool`: the compiler would mark the `None` of `Option<Queued>` by one byte of it, and
    /// a wider load that copies [`Filed`] would wait for the store of that byte. With a `u8` the
    /// mark is the null pointer of `waiter`, a whole word.
    pub(crate) keeps: u8,
}

impl Queued {
    /// The same for another entry of the request.
    pub(crate) fn again(&self) -> Queued {
        Queued { keeps: 0, ..self.clone() }
    }
}

/// The place of a waiting request among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order(u64);

impl Order {
    /// As a rank in the forest.
    pub(crate) fn rank(self) -> u64 {
        self.0
    }

    /// Upgrades pass all requests that wait.
    pub(crate) const UPGRADE: Order = Order(0);

    /// The place behind all that have been drawn. To be drawn under the mutexes of all the leaves
    /// that the request enters, so that it is behind whatever waits there.
    pub(super) fn draw() -> Order {
        /// One for the whole process, since a request may wait in several locks. Only those that
        /// wait come here.
        static LAST: AtomicCell<u64> = AtomicCell::new(0);
        Order(LAST.fetch_add(1) + 1)
    }
}

/// In which tree of a leaf's forest an entry is.
///
/// Entries that nothing in this leaf keeps out are *ahead*. They are before all that conflict with
/// them, so no order among them need be known. The others are *queued*, with their order as rank.
pub(super) mod lane {
    use super::Filed;
    use crate::interval_tree::Forest;
    use crate::mode::Mode;

    pub(in crate::leaf) const COUNT: usize = 7;
    /// From here on entries are queued. There is one lane for each mode.
    pub(in crate::leaf) const QUEUED: usize = 4;
    /// The lanes of writers.
    pub(in crate::leaf) const WRITERS: u8 =
        1 << (Mode::Write as u8) | 1 << (QUEUED as u8 + Mode::Write as u8);
    /// In place of a lane: a queued entry that is in none. See [twins](crate::leaf::twins).
    pub(in crate::leaf) const BEHIND: usize = Forest::<Filed, COUNT, QUEUED>::APART;
    /// Readers that waited, and may still wait because of another leaf. Such entries of the other
    /// modes are among those that are held.
    pub(in crate::leaf) const LOOSE_READ: usize = 3;
    /// Readers that are held.
    pub(in crate::leaf) const HELD_READ: usize = 0;
    const HELD: u8 = 0b111;

    /// The lane of an entry that is ahead. `is_held`: that is certain.
    pub(in crate::leaf) fn ahead(mode: Mode, is_held: bool) -> usize {
        if mode == Mode::Read && !is_held { LOOSE_READ } else { mode as usize }
    }

    /// The lane of an entry that is queued.
    pub(in crate::leaf) fn queued(mode: Mode) -> usize {
        QUEUED + mode as usize
    }

    /// The lanes of entries that are ahead and conflict with `mode`, a bit each.
    pub(in crate::leaf) fn ahead_of(mode: Mode) -> u8 {
        match mode {
            Mode::Read => HELD & 0b100,
            Mode::Upgradable => HELD & 0b110,
            Mode::Write => HELD | 1 << LOOSE_READ,
        }
    }

    /// The lanes of entries that are queued and conflict with `mode`.
    pub(in crate::leaf) fn queued_before(mode: Mode) -> u8 {
        (ahead_of(mode) & HELD) << QUEUED
    }

    /// The lanes in a set.
    pub(in crate::leaf) fn each(mut lanes: u8) -> impl Iterator<Item = usize> {
        std::iter::from_fn(move || {
            let lane = lanes.trailing_zeros();
            lanes &= lanes.wrapping_sub(1);
            (lane < COUNT as u32).then_some(lane as usize)
        })
    }
}

impl Entry<'_> {
    /// Whether it waits to be admitted or to be upgraded.
    pub(crate) fn waits(&self) -> bool {
        self.queued.is_some_and(|queued| !queued.waiter.is_granted())
    }

    /// Whether it has its range: in its own mode, or, if it waits for an upgrade, in the one
    /// before.
    pub(crate) fn is_held(&self) -> bool {
        self.queued.is_none_or(|queued| queued.order == Order::UPGRADE || queued.waiter.is_granted())
    }
}

impl Filed {
    /// One that is registered nowhere.
    pub(super) fn new(
        mode: Mode,
        queued: Option<Queued>,
        #[cfg(feature = "deadlock_detection")] owner: Owner,
    ) -> Self {
        Filed {
            mode,
            queued,
            keeper: NIL,
            next: NIL,
            before: NIL,
            kept: NIL,
            tail: NIL,
            distance: 0,
            #[cfg(feature = "deadlock_detection")]
            owner,
        }
    }

    /// Whether it is an upgrade: one that waits, or one that was granted after it had waited.
    pub(super) fn is_upgrade(&self) -> bool {
        self.queued.as_ref().is_some_and(|queued| queued.order == Order::UPGRADE)
    }

    pub(super) fn entry(&self, key: Key) -> Entry<'_> {
        Entry {
            span: key.span,
            id: RequestId::new(key.id),
            mode: self.mode,
            queued: self.queued.as_ref(),
            #[cfg(feature = "deadlock_detection")]
            owner: self.owner,
        }
    }
}
