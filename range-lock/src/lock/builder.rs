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
    /// cannot build the mutexes of a model.
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

    /// Sets how many parts (*leaves*) the lock may cut its domain into. Each part has its own
    /// mutex. So threads in different parts do not wait for each other's mutex. The smallest `n` is
    /// 1, and the largest is 32768. A lock with `n` = 1 is never cut. The default is 16 for each
    /// CPU, but at least 64 and at most 4096.
    ///
    /// Each part beyond the first takes about 170 bytes (with feature `stats` more than a
    /// kilobyte). The lock allocates parts a few at a time, when it needs them. More parts are
    /// better for many threads that lock small ranges in random places. Fewer parts are better for
    /// threads that lock much of the domain at once. The reason is that a thread takes the mutex of
    /// each part that its range touches.
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
    /// to 1024.
    ///
    /// Under strict order, each release of a contended range grants the range to a sleeping
    /// request. The thread of this request must first wake up. With a bound of `n`, a new request
    /// is granted immediately if every request in its way is asleep and has been passed fewer than
    /// `n` times.
    ///
    /// * When the turn of a sleeping request has come, the lock wakes up its thread. The thread has
    ///   the range when it runs, unless another request has passed the sleeping request by then.
    /// * No request passes a request whose thread is awake, a held request, or an upgrade.
    /// * A request for several ranges passes all requests in its way, or none of them. It passes
    ///   them only if all locks of the request allow the passing.
    /// * A `try_` method without a timeout passes no request.
    ///
    /// A bound of 1 also helps neighbouring ranges that share one point. Requests for `0..=1`,
    /// `1..=2`, `2..=3` and so on form a chain. Under strict order the requests of the chain run
    /// one after the other. [fairness](crate::docs::fairness#neighbours-that-share-a-point) has an
    /// example.
    ///
    /// The number of requests that a request waits for remains limited. The request waits for the
    /// earlier requests that conflict with it, for the requests that conflict with one of these,
    /// and so on. At most `n` requests pass each of these requests, and at most `n` pass the
    /// request itself. The request also waits for the requests that pass.
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
