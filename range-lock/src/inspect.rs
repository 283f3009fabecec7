//! Looking into a lock: what [`RangeLock::requests`](crate::RangeLock::requests) lists. It uses the
//! partition.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crate::ids::RequestId;
use crate::leaf::{Entry, Leaf, Order};
use crate::mode::Mode;
#[cfg(feature = "deadlock_detection")]
use crate::owner::Owner;
use crate::partition::Locked;
use crate::span::Span;

/// A copy of a request, or of one range of a request for several ranges.
/// [`RangeLock::requests`](crate::RangeLock::requests) returns a list of these copies.
///
/// `Display` prints mode, range and state. `Debug` also prints the id. If the request waited when
/// the copy was made, `Debug` also prints the ids of the requests that this request waited for, and
/// the time from the beginning of the wait to the printing. `Debug` prints at most 8 of these ids,
/// and counts the others:
///
/// ```
/// # let lock = range_lock::RangeLock::new();
/// let writer = lock.write(0..4096);
/// std::thread::scope(|scope| {
///     scope.spawn(|| drop(lock.read(0..10)));
///     # while lock.requests().len() < 2 { std::thread::yield_now() }
///     // As soon as that thread waits:
///     let [first, second] = &lock.requests()[..] else { panic!() };
///     assert_eq!(second.waits_for(), [first.id()]);
///     assert_eq!(second.to_string(), "read 0..=9 waiting");
///     assert!(format!("{second:?}").starts_with("#2 read 0..=9 waiting for #1 for ")); // For example "1.2 ms".
///     drop(writer);
/// });
/// ```
#[derive(Clone)]
pub struct RequestInfo {
    /// What was in the lock at the same moment.
    snapshot: Arc<Snapshot>,
    /// Which request of the snapshot this is.
    at: usize,
    /// In ascending order, each once. Derived when it is first asked for.
    waits_for: OnceLock<Vec<RequestId>>,
}

/// Whether a request has its range.
///
/// ```
/// use range_lock::{RangeLock, RequestState};
///
/// let lock = RangeLock::new();
/// let guard = lock.read(0..10);
/// let waiting = lock.requests().iter().filter(|request| request.state() != RequestState::Held).count();
/// assert_eq!(waiting, 0);
/// # drop(guard);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestState {
    /// The request holds its range in its mode.
    Held,
    /// The request waits for its range.
    Waiting,
    /// The request holds its range in mode [`Upgradable`](Mode::Upgradable) and waits for mode
    /// [`Write`](Mode::Write).
    Upgrading,
}

/// One span of one request, copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) span: Span,
    pub(crate) id: RequestId,
    pub(crate) mode: Mode,
    pub(crate) state: RequestState,
    /// Its place among those that wait: without meaning for what is held.
    pub(crate) order: Order,
    since: Option<Instant>,
    #[cfg(feature = "deadlock_detection")]
    pub(crate) owner: Owner,
}

impl Seen {
    fn new(entry: Entry<'_>) -> Self {
        // One look: a request that is in other locks too may be granted there at any moment.
        let waiting = entry.queued.filter(|queued| !queued.waiter.is_granted());
        Seen {
            span: entry.span,
            id: entry.id,
            mode: entry.mode,
            state: match waiting {
                None => RequestState::Held,
                Some(queued) if queued.order == Order::UPGRADE => RequestState::Upgrading,
                Some(_) => RequestState::Waiting,
            },
            order: waiting.map_or(Order::UPGRADE, |queued| queued.order),
            since: waiting.and_then(|queued| queued.waiter.since()),
            #[cfg(feature = "deadlock_detection")]
            owner: entry.owner,
        }
    }

    /// Orders what is listed.
    fn place(&self) -> (u64, RequestId) {
        (self.span.first, self.id)
    }

    /// Where it stands among those of its lock: what is held, then upgrades, then what waits.
    pub(crate) fn rank(&self) -> u64 {
        match self.state {
            RequestState::Held => 1,
            RequestState::Upgrading => 2,
            RequestState::Waiting => self.order.rank() + 2,
        }
    }

    /// Whether it waits for `other`, by the admission rule: if two conflict, the one with the
    /// higher rank waits for the other.
    pub(crate) fn waits_for(&self, other: &Seen) -> bool {
        other.rank() < self.rank()
            && other.id != self.id
            && other.span.overlaps(self.span)
            && other.mode.conflicts(self.mode)
    }

    /// Prints it for `Debug`, with those that it waits for: of `ids` 8 are named, and the rest is
    /// counted. Unless they are `all`, there may be more.
    fn print(&self, f: &mut fmt::Formatter<'_>, ids: &[RequestId], all: bool) -> fmt::Result {
        const NAMED: usize = 8;
        write!(f, "{} {self}", self.id)?;
        let (named, others) = ids.split_at(ids.len().min(NAMED));
        if let [first, second @ ..] = named {
            write!(f, " for {first}")?;
            second.iter().try_for_each(|other| write!(f, ", {other}"))?;
        }
        if !others.is_empty() {
            write!(f, " and {}{} more", if all { "" } else { "at least " }, others.len())?;
        }
        match self.since {
            Some(since) => write!(f, " for {}", WithUnit(since.elapsed())),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Read => "read",
            Mode::Upgradable => "upgradable read",
            Mode::Write => "write",
        };
        let state = match self.state {
            RequestState::Held => "held",
            RequestState::Waiting => "waiting",
            RequestState::Upgrading => "upgrading",
        };
        write!(f, "{mode} {:?} {state}", RangeInclusive::from(self.span))
    }
}

/// What was in a lock at one moment: a copy, so that looking at it holds nothing up.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// In the order of their first points, then of their ids.
    pub(crate) all: Vec<Seen>,
}

impl Snapshot {
    /// Of all requests that overlap `span`, all of whose leaves are locked. They are unlocked as
    /// soon as all is copied.
    pub(crate) fn new(leaves: Locked<'_>, span: Span) -> Arc<Self> {
        let all = Self::copy(&leaves, span);
        drop(leaves);
        Arc::new(Self::of(all))
    }

    /// Copies what overlaps `span`.
    pub(crate) fn copy(leaves: &Locked<'_>, span: Span) -> Vec<Seen> {
        // Each span is in the leaf in which the overlap begins, once.
        let begins_in =
            |leaf: &Leaf, entry: &Entry<'_>| leaf.bounds().contains(entry.span.first.max(span.first));
        let here = |leaf: &Leaf| leaf.entries_over(span).filter(|entry| begins_in(leaf, entry)).count();
        let mut all = Vec::with_capacity(leaves.iter().map(here).sum());
        for leaf in leaves.iter() {
            all.extend(leaf.entries_over(span).filter(|entry| begins_in(leaf, entry)).map(Seen::new));
        }
        all
    }

    pub(crate) fn of(mut all: Vec<Seen>) -> Self {
        all.sort_unstable_by_key(Seen::place);
        Snapshot { all }
    }

    /// How a user sees all of it.
    pub(crate) fn requests(self: &Arc<Self>) -> impl Iterator<Item = RequestInfo> + '_ {
        (0..self.all.len()).map(|at| self.request(at))
    }

    /// How a user sees one of it.
    pub(crate) fn request(self: &Arc<Self>, at: usize) -> RequestInfo {
        RequestInfo { snapshot: Arc::clone(self), at, waits_for: OnceLock::new() }
    }

    fn waits_for(&self, at: usize) -> Vec<RequestId> {
        let seen = &self.all[at];
        let end = self.all.partition_point(|other| other.span.first <= seen.span.last);
        let others = self.all[..end].iter().filter(|other| seen.waits_for(other));
        let mut ids: Vec<_> = others.map(|other| other.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

impl PartialEq for RequestInfo {
    fn eq(&self, other: &Self) -> bool {
        let facts = |info: &Self| {
            let Seen { span, id, mode, state, since, .. } = *info.seen();
            (span, id, mode, state, since)
        };
        facts(self) == facts(other) && self.waits_for() == other.waits_for()
    }
}

impl Eq for RequestInfo {}

impl RequestInfo {
    fn seen(&self) -> &Seen {
        &self.snapshot.all[self.at]
    }

    /// Returns the id of the request in its lock. A request of another lock may have the same id.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let guards = (lock.read(0..10), lock.read(0..10));
    /// let [a, b] = &lock.requests()[..] else { panic!() };
    /// assert_ne!(a.id(), b.id()); // Alike, and yet two.
    /// # drop(guards);
    /// ```
    pub fn id(&self) -> RequestId {
        self.seen().id
    }

    /// Returns the range of the request. If a caller shrank or split the guard before the copy was
    /// made, the result is the range that the guard still held.
    ///
    /// ```
    /// # use range_lock::RangeWriteGuard;
    /// # let lock = range_lock::RangeLock::new();
    /// let mut guard = lock.write(..);
    /// assert_eq!(lock.requests()[0].range(), 0..=u64::MAX);
    /// RangeWriteGuard::shrink(&mut guard, 3..7);
    /// assert_eq!(lock.requests()[0].range(), 3..=6);
    /// ```
    pub fn range(&self) -> RangeInclusive<u64> {
        self.seen().span.into()
    }

    /// Returns the mode of the request. For an upgrade that waits, the result is
    /// [`Write`](Mode::Write).
    ///
    /// ```
    /// # use range_lock::{Mode, RangeLock};
    /// # let lock = RangeLock::new();
    /// let _guard = lock.upgradable_read(0..10);
    /// assert_eq!(lock.requests()[0].mode(), Mode::Upgradable);
    /// ```
    pub fn mode(&self) -> Mode {
        self.seen().mode
    }

    /// Returns whether the request holds its range, waits for its range, or waits for an upgrade.
    ///
    /// ```
    /// # use range_lock::{RangeLock, RequestState};
    /// # let lock = RangeLock::new();
    /// let _guard = lock.read(0..10);
    /// assert_eq!(lock.requests()[0].state(), RequestState::Held);
    /// ```
    pub fn state(&self) -> RequestState {
        self.seen().state
    }

    /// Returns the ids of the requests of the same lock that this request waits for, in ascending
    /// order. Each listed request conflicts with this request. A listed request is held, or is an
    /// upgrade that waits, or entered earlier than this request and waits. Before the lock can
    /// grant this request, each listed request must leave or cease to conflict.
    ///
    /// The first call computes the list from the copies that
    /// [`requests`](crate::RangeLock::requests) made. So the call takes no mutex of the lock. If
    /// [`requests_over`](crate::RangeLock::requests_over) made the copies, the list contains only
    /// the ids of requests that also overlap the range of `requests_over`.
    ///
    /// The list is empty if the request is held. The list may also be empty while the request
    /// waits, for three reasons:
    ///
    /// * A request for several ranges waits until no other request keeps out any of its ranges.
    ///   Conflicting requests may keep out another range of this request, perhaps in another lock.
    /// * If [`requests_over`](crate::RangeLock::requests_over) made the copies, all requests that
    ///   this request waits for may lie outside of the range of `requests_over`.
    /// * With [`Builder::bypass`](crate::Builder::bypass), a sleeping request that no other request
    ///   keeps out may still wait until its own thread or task wakes up.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let _guard = lock.read(0..10);
    /// assert!(lock.requests()[0].waits_for().is_empty());
    /// ```
    pub fn waits_for(&self) -> &[RequestId] {
        self.waits_for.get_or_init(|| self.snapshot.waits_for(self.at))
    }

    /// Returns when the request began to wait. Returns `None` if the request does not wait, or on a
    /// platform where std has no clock (`wasm32-unknown-unknown`).
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let longest = lock.requests().iter().filter_map(|request| request.since()).map(|since| since.elapsed()).max();
    /// assert_eq!(longest, None); // No request waits.
    /// ```
    pub fn since(&self) -> Option<Instant> {
        self.seen().since
    }
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen().fmt(f)
    }
}

/// The first requests of a lock, and how many more there are, for `Debug`.
pub(crate) struct Printed {
    shown: Vec<Shown>,
    more: usize,
}

struct Shown {
    seen: Seen,
    /// Those that it waits for.
    ids: Vec<RequestId>,
    /// Whether these are all.
    all: bool,
}

impl Printed {
    /// How many requests are printed.
    const SHOWN: usize = 64;
    /// How many of those that one waits for are counted.
    const COUNTED: usize = 256;

    /// Copies only what is printed: nothing takes longer because there are many.
    pub(crate) fn new(leaves: &Locked<'_>) -> Self {
        let mut first = Vec::new();
        for leaf in leaves.iter() {
            let room = Self::SHOWN - first.len();
            let mut here: Vec<_> = leaf.first_entries(room).map(Seen::new).collect();
            here.sort_unstable_by_key(Seen::place);
            here.truncate(room);
            first.append(&mut here);
        }
        let shown = |seen: Seen| {
            if seen.state == RequestState::Held {
                return Shown { seen, ids: Vec::new(), all: true };
            }
            let others = leaves.iter().flat_map(|leaf| leaf.before(seen.span, seen.mode, seen.order));
            let others = others.map(Seen::new).filter(|other| seen.waits_for(other));
            let mut ids: Vec<_> = others.map(|other| other.id).take(Self::COUNTED + 1).collect();
            let all = ids.len() <= Self::COUNTED;
            ids.truncate(Self::COUNTED);
            ids.sort_unstable();
            ids.dedup();
            Shown { seen, ids, all }
        };
        let all: usize = leaves.iter().map(Leaf::entries_begun).sum();
        Printed { more: all - first.len(), shown: first.into_iter().map(shown).collect() }
    }
}

impl fmt::Debug for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut list = f.debug_list();
        list.entries(&self.shown);
        match self.more {
            0 => list.finish(),
            more => list.entry(&format_args!("and {more} more")).finish(),
        }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen.print(f, &self.ids, self.all)
    }
}

impl fmt::Debug for RequestInfo {
    /// Prints the request, the requests that it waits for, and for how long. Of the requests that
    /// it waits for, it names 8 and counts the rest.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.seen().print(f, self.waits_for(), true)
    }
}

/// Prints a time with one decimal, a space and its unit: "2.4 s".
struct WithUnit(Duration);

impl fmt::Display for WithUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = format!("{:.1?}", self.0);
        let (number, unit) = time.split_at(time.find(char::is_alphabetic).unwrap_or(time.len()));
        write!(f, "{number} {unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, WithUnit};

    #[test]
    fn a_time_is_printed_with_a_space_before_its_unit() {
        let printed = |time| WithUnit(time).to_string();
        assert_eq!(printed(Duration::from_millis(2400)), "2.4 s");
        assert_eq!(printed(Duration::from_secs(3600)), "3600.0 s");
        assert_eq!(printed(Duration::from_micros(1250)), "1.2 ms");
        assert_eq!(printed(Duration::from_nanos(4700)), "4.7 µs");
        assert_eq!(printed(Duration::ZERO), "0.0 ns");
    }
}
