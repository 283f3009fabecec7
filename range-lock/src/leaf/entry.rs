//! What lies in a leaf: the entries, in the forms in which they are kept and looked at, and what tells requests apart and apart in time.

use std::num::NonZeroU64;

use crossbeam_utils::atomic::AtomicCell;

use crate::ids::RequestId;
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
    /// `None` if it has not been used yet; whether it is used at the moment says `occupied`.
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

/// An entry in the tree.
#[derive(Debug)]
pub(crate) struct Filed {
    pub(super) id: RequestId,
    pub(super) mode: Mode,
    /// Set if the request had to wait. It still does while the waiter's count is not zero.
    pub(super) queued: Option<Queued>,
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
    /// Who made the request; whoever has its guard by now is not known.
    #[cfg(feature = "deadlock_detection")]
    pub(crate) owner: Owner,
}

/// What an entry has more if its request had to wait.
#[derive(Clone, Debug)]
pub(crate) struct Queued {
    pub(crate) order: Order,
    pub(crate) waiter: Arc<Waiter>,
    /// Whether this entry keeps the record for the next request: of a request's entries one does, since a record that is
    /// spare twice is never seen to be held by nobody else.
    pub(crate) keeps: bool,
}

impl Queued {
    /// The same for another entry of the request.
    pub(crate) fn again(&self) -> Queued {
        Queued { keeps: false, ..self.clone() }
    }
}

/// The place of a waiting request among those that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order(u64);

impl Order {
    /// Upgrades pass all requests that wait.
    pub(crate) const UPGRADE: Order = Order(0);

    /// The place behind all that have been drawn. To be drawn under the mutexes of all the leaves that the request
    /// enters, so that it is behind whatever waits there.
    pub(super) fn draw() -> Order {
        /// One for the whole process, since a request may wait in several locks. Only those that wait come here.
        static LAST: AtomicCell<u64> = AtomicCell::new(0);
        Order(LAST.fetch_add(1) + 1)
    }
}

impl Entry<'_> {
    /// Whether it waits to be admitted or to be upgraded.
    pub(crate) fn waits(&self) -> bool {
        self.queued.is_some_and(|queued| !queued.waiter.is_granted())
    }

    /// Whether it has its range: in its own mode, or, if it waits for an upgrade, in the one before.
    pub(crate) fn is_held(&self) -> bool {
        self.queued.is_none_or(|queued| queued.order == Order::UPGRADE || queued.waiter.is_granted())
    }
}

/// Where a leaf has an entry.
#[derive(Clone, Copy, Debug)]
pub(super) enum Position {
    Slot(usize),
    Tree(u32),
}

impl Filed {
    pub(super) fn entry(&self, span: Span) -> Entry<'_> {
        Entry {
            span,
            id: self.id,
            mode: self.mode,
            queued: self.queued.as_ref(),
            #[cfg(feature = "deadlock_detection")]
            owner: self.owner,
        }
    }
}
