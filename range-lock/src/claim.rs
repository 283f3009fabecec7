//! What a request asks for ([`Claim`]), and how its entries are found again ([`Hold`]).
//! It uses spans, modes and ids.

use std::ops::RangeBounds;

use crate::ids::RequestId;
use crate::mode::Mode;
use crate::span::Span;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) span: Span,
    pub(crate) mode: Mode,
}

/// What is asked for. `None` if the range is empty.
#[inline]
#[track_caller]
pub(crate) fn claim(range: &impl RangeBounds<u64>, mode: Mode) -> Option<Claim> {
    Span::new(range).map(|span| Claim { span, mode })
}

/// A request's entries in the lock: what its owner needs in order to change them or take them out.
/// Not `Clone`, since each entry is taken out once.
#[derive(Debug)]
pub(crate) struct Hold {
    pub(crate) span: Span,
    pub(crate) key: Key,
}

/// Where an entry is, and which request it belongs to. A key is returned in two registers, so the
/// way from the leaf to the guard leads through no memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Tells the request from all others of the lock, also from later ones in the same place.
    pub(crate) id: RequestId,
    /// Which was the first of its leaves when it entered (above), where that kept it (the lower
    /// half), and [`WAITED`](Key::WAITED).
    place: u64,
}

impl Key {
    #[inline]
    pub(crate) fn new(id: RequestId, leaf: LeafIndex, slot: u32) -> Self {
        Key { id, place: u64::from(leaf.0) << 32 | u64::from(slot) }
    }

    /// Beside the place: the request had to wait.
    const WAITED: u64 = 1 << 63;

    /// The key of a request that has to wait.
    pub(crate) fn of_waiting(id: RequestId, leaf: LeafIndex, slot: u32) -> Self {
        let Key { id, place } = Key::new(id, leaf, slot);
        Key { id, place: place | Self::WAITED }
    }

    /// Whether it had to wait. Not known of a request of several ranges, or whose span has changed.
    #[inline]
    pub(crate) fn had_to_wait(self) -> bool {
        self.place & Self::WAITED != 0
    }

    /// Which leaf to look in first.
    #[inline]
    pub(crate) fn leaf(self) -> LeafIndex {
        LeafIndex((self.place >> 32) as u16)
    }

    /// Where in it.
    #[inline]
    pub(crate) fn slot(self) -> u32 {
        self.place as u32
    }
}

/// Which of the lock's leaves: 0 is the root, the others are those of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LeafIndex(pub(crate) u16);

impl LeafIndex {
    pub(crate) const ROOT: LeafIndex = LeafIndex(0);
    pub(crate) const NONE: LeafIndex = LeafIndex(u16::MAX);
}
