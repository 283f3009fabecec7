//! How a lock is made, and [`Builder`], its settings. Few locks need other settings than the
//! default.

use std::num::NonZeroU16;

use super::{Home, RangeLock};
use crate::partition::Settings;

// Here and not beside the verbs, so that rustdoc lists `new` first. It lists methods in the order
// of the modules, those of inner modules before those of the outer one.
impl RangeLock {
    /// Makes a lock in which nothing is locked. Allocates nothing.
    ///
    /// ```
    /// static LOCK: range_lock::RangeLock = range_lock::RangeLock::new();
    /// ```
    #[cfg(not(any(loom, shuttle)))]
    pub const fn new() -> Self {
        Self::with_settings(Settings::DEFAULT)
    }

    /// Builds a lock in which nothing is locked. This method is not `const`, because a `const fn`
    /// cannot build the mutexes of loom and shuttle.
    #[cfg(any(loom, shuttle))]
    pub fn new() -> Self {
        Self::with_settings(Settings::DEFAULT)
    }

    /// Builds a lock with non-default settings.
    pub const fn builder() -> Builder {
        Builder::new()
    }

    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn with_settings(settings: Settings) -> Self {
        RangeLock { home: Home::new(settings) }
    }

    #[cfg(any(loom, shuttle))]
    pub(crate) fn with_settings(settings: Settings) -> Self {
        RangeLock { home: Home::new(settings) }
    }
}

/// Makes a [`RangeLock`] with non-default settings. [`RangeLock::builder`] makes a `Builder`.
///
/// ```
/// use range_lock::RangeLock;
///
/// static LOCK: RangeLock = RangeLock::builder().max_leaves(256).build();
/// let _guard = LOCK.write(0..10);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use = "a builder makes a lock only when asked to build it"]
pub struct Builder {
    settings: Settings,
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Builder { settings: Settings::DEFAULT }
    }

    /// Sets the largest number of parts (*leaves*) into which the lock may cut its domain. Each
    /// part has its own mutex. So threads whose ranges lie in different parts do not wait for the
    /// same mutex. `n` is from 1 to 32768. A lock with `n` = 1 never cuts its domain. The default
    /// is 16 parts for each CPU that the process may use, rounded up to a power of two, but at
    /// least 64 and at most 4096.
    ///
    /// On a 64-bit machine, each part beyond the first takes about 640 bytes (with feature `stats`
    /// about 1800 bytes). The lock allocates parts a few at a time, when it needs them. More parts
    /// are better for many threads that lock small ranges in random places. Fewer parts are better
    /// for threads that lock much of the domain at once, because a thread takes the mutex of each
    /// part that its range touches.
    ///
    /// # Panics
    ///
    /// If `n` is 0 or larger than 32768.
    #[track_caller]
    pub const fn max_leaves(mut self, n: usize) -> Self {
        assert!(0 < n && n <= 32768, "a range lock has 1 to 32768 leaves");
        self.settings.max_leaves = NonZeroU16::new(n as u16);
        self
    }

    /// Sets how many later requests may pass a sleeping request: from 0 (strict order, the default)
    /// to 1024. A request sleeps while its thread sleeps, or while its task waits for a poll.
    ///
    /// Suppose that writers sleep while they wait for a range. Under strict order, a release grants
    /// the range to one of these writers, which must first wake up. With a bound of `n`, the lock
    /// grants a new request immediately under two conditions. At most 256 waiting
    /// [entries](crate::docs::internals#registrations) of earlier requests are in the way of the
    /// new request. Each of these earlier requests sleeps, and fewer than `n` requests have passed
    /// it. If the new request has several ranges that conflict with an earlier request, each of
    /// these ranges counts as one request that passes.
    ///
    /// * If no request keeps a sleeping request out any more, the lock wakes up the thread or task
    ///   of the sleeping request. The thread or task has the range when it runs, unless another
    ///   request or an upgrade has passed the sleeping request by then.
    /// * No new request passes a request whose thread is awake, a held request, or an upgrade.
    /// * A request for several ranges passes all requests in its way, or none of them. The request
    ///   passes them only if each of its own locks has a bound of at least 1.
    /// * A method that locks a range at once or not at all, such as
    ///   [`try_write`](RangeLock::try_write), passes no request.
    ///
    /// A bound of 1 also helps writers of neighbouring ranges that share one point. Requests to
    /// write `0..=1`, `1..=2`, `2..=3` and so on form a chain. Under strict order the lock grants
    /// the requests of the chain one after the other.
    /// [fairness](crate::docs::fairness#neighbours-that-share-a-point) has an example.
    ///
    /// The number of requests that a request waits for has a bound. The request waits for the
    /// earlier requests that conflict with it, for the earlier requests that conflict with one of
    /// these, and so on. At most `n` requests pass each of these requests, and at most `n` requests
    /// pass the waiting request itself. The waiting request also waits for the requests that pass
    /// it or one of these earlier requests.
    ///
    /// ```
    /// use range_lock::RangeLock;
    ///
    /// static LOCK: RangeLock = RangeLock::builder().bypass(64).build();
    /// let _guard = LOCK.write(0..10);
    /// ```
    ///
    /// # Panics
    ///
    /// If `n` is larger than 1024.
    #[track_caller]
    pub const fn bypass(mut self, n: usize) -> Self {
        assert!(n <= 1024, "a sleeping request can be passed at most 1024 times");
        self.settings.bypass = n as u16;
        self
    }

    /// Builds the lock. Allocates nothing.
    #[cfg(not(any(loom, shuttle)))]
    pub const fn build(self) -> RangeLock {
        RangeLock::with_settings(self.settings)
    }

    /// The lock. Not `const` in a model.
    #[cfg(any(loom, shuttle))]
    pub fn build(self) -> RangeLock {
        RangeLock::with_settings(self.settings)
    }
}
