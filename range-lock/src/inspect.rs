//! Looking in: what [`RangeLock::requests`](crate::RangeLock::requests) lists.
//! It uses the partition.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use crate::ids::RequestId;
use crate::leaf::{Entry, Order};
use crate::mode::Mode;
use crate::partition::Locked;

/// One request, or one range of a request for several, as it stood when
/// [`RangeLock::requests`](crate::RangeLock::requests) looked.
///
/// `Display` says what and whether, `Debug` also whom it waits for and how long it has done so by the time of printing:
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
///     assert!(format!("{second:?}").starts_with("#2 read 0..=9 waiting for #1 for ")); // "1.2 ms", say.
///     drop(writer);
/// });
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RequestInfo {
    id: RequestId,
    range: RangeInclusive<u64>,
    mode: Mode,
    state: RequestState,
    /// In ascending order, each once.
    waits_for: Vec<RequestId>,
    since: Option<Instant>,
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
    /// It holds its range in its mode.
    Held,
    /// It waits for its range.
    Waiting,
    /// It holds its range in mode [`Upgradable`](Mode::Upgradable) and waits for [`Write`](Mode::Write).
    Upgrading,
}

impl RequestInfo {
    /// What is to be known about an entry; `leaves` are all of its lock.
    pub(crate) fn new(leaves: &Locked<'_>, entry: Entry<'_>) -> Self {
        // One look: a request that is in other locks too may be granted there at any moment.
        let waiting = entry.queued.filter(|queued| !queued.waiter.is_granted());
        let mut waits_for: Vec<_> =
            leaves.iter().flat_map(|leaf| leaf.counted_by(entry)).map(|other| other.id).collect();
        waits_for.sort_unstable();
        waits_for.dedup();
        RequestInfo {
            id: entry.id,
            range: entry.span.into(),
            mode: entry.mode,
            state: match waiting {
                None => RequestState::Held,
                Some(queued) if queued.order == Order::UPGRADE => RequestState::Upgrading,
                Some(_) => RequestState::Waiting,
            },
            waits_for,
            since: waiting.and_then(|queued| queued.waiter.since()),
        }
    }

    /// Which request of the lock it is. Those of another lock may have the same ids.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let guards = (lock.read(0..10), lock.read(0..10));
    /// let [a, b] = &lock.requests()[..] else { panic!() };
    /// assert_ne!(a.id(), b.id()); // Alike, and yet two.
    /// # drop(guards);
    /// ```
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// The range asked for; what is left of it, once shrunk.
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
        self.range.clone()
    }

    /// The mode asked for: of an upgrade that waits, [`Write`](Mode::Write).
    ///
    /// ```
    /// # use range_lock::{Mode, RangeLock};
    /// # let lock = RangeLock::new();
    /// let _guard = lock.upgradable_read(0..10);
    /// assert_eq!(lock.requests()[0].mode(), Mode::Upgradable);
    /// ```
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it has what it asked for.
    ///
    /// ```
    /// # use range_lock::{RangeLock, RequestState};
    /// # let lock = RangeLock::new();
    /// let _guard = lock.read(0..10);
    /// assert_eq!(lock.requests()[0].state(), RequestState::Held);
    /// ```
    pub fn state(&self) -> RequestState {
        self.state
    }

    /// Whom it waits for, in ascending order: the requests of the same lock that must leave, or give up this range, before
    /// it can be granted. They conflict with it, and are held, or are upgrades that wait, or wait themselves and came before.
    ///
    /// Empty if it is held. It may also be empty while it waits: a request for several ranges is granted as a whole, and those
    /// that are in its way may be in the way of another range of it, or in another lock; and where requests may be
    /// [passed](crate::Builder::bypass), one that sleeps has its range only when it wakes.
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let _guard = lock.read(0..10);
    /// assert!(lock.requests()[0].waits_for().is_empty());
    /// ```
    pub fn waits_for(&self) -> &[RequestId] {
        &self.waits_for
    }

    /// When it began to wait; `None` if it does not, or where std has no clock (`wasm32-unknown-unknown`).
    ///
    /// ```
    /// # let lock = range_lock::RangeLock::new();
    /// let longest = lock.requests().iter().filter_map(|request| request.since()).map(|since| since.elapsed()).max();
    /// assert_eq!(longest, None); // Nobody waits.
    /// ```
    pub fn since(&self) -> Option<Instant> {
        self.since
    }
}

impl fmt::Display for RequestInfo {
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
        write!(f, "{mode} {:?} {state}", self.range)
    }
}

impl fmt::Debug for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {self}", self.id)?;
        if let [first, others @ ..] = &self.waits_for[..] {
            write!(f, " for {first}")?;
            others.iter().try_for_each(|other| write!(f, ", {other}"))?;
        }
        match self.since {
            Some(since) => write!(f, " for {}", WithUnit(since.elapsed())),
            None => Ok(()),
        }
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
