//! How a lock is made, and [`Builder`]: what can be set about it, and seldom need be.

use std::num::NonZeroU16;

use super::{Home, RangeLock};
use crate::partition::Settings;

// Here and not beside the verbs, so that rustdoc lists `new` first. It lists methods in the order
// of the modules, those of inner modules before those of the outer one.
impl RangeLock {
    /// A lock in which nothing is locked. Allocates nothing.
    ///
    /// ```
    /// static LOCK: range_lock::RangeLock = range_lock::RangeLock::new();
    /// ```
    #[cfg(not(any(loom, shuttle)))]
    pub const fn new() -> Self {
        Self::with_settings(Settings::DEFAULT)
    }

    /// A lock in which nothing is locked. Not `const`: the mutexes of a model cannot be made in
    /// one.
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

/// Makes a [`RangeLock`] that differs from what [`RangeLock::new`] makes; by
/// [`RangeLock::builder`].
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

    /// How many parts the lock may cut its domain into where its users get in each other's way,
    /// each with a mutex of its own. From 1, which is a lock that is never cut, to 32768. The
    /// default is 16 for each CPU, at least 64 and at most 4096.
    ///
    /// Each part beyond the first takes 128 bytes (with feature `stats` more than a kilobyte). They
    /// are allocated a few at a time, as they are needed. More parts are better for many threads
    /// with small ranges in random places, and worse for threads that lock much of the domain at
    /// once: they take the mutex of each part that they touch.
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

    /// How many requests may pass one that sleeps: from 0 (strict order, the default) to 1024.
    ///
    /// Under strict order a range that is wanted all the time changes hands by waking a sleeper
    /// each time. With a bound of `n`, a new request is granted immediately if every request in its
    /// way is asleep and has been passed fewer than `n` times. A sleeper whose turn comes is woken,
    /// and has the range when it runs, unless it has been passed again by then. A request that is
    /// awake or held is not passed, and neither is an upgrade. A request of several ranges passes
    /// all that are in its way or none, and only if all of its locks allow it. The `try_` verbs
    /// without a timeout pass no request.
    ///
    /// A bound of 1 also cures chains of neighbours that share one point and would run one after
    /// the other under strict order: see
    /// [fairness](crate::docs::fairness#neighbours-that-share-a-point), with an example.
    ///
    /// So the number of requests that one waits for is still bounded: those before it, those that
    /// they wait for, and up to `n` that pass it or any of these.
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

    /// The lock. Allocates nothing.
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
