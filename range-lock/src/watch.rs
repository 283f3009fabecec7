//! What the transitions tell those who watch: the statistics (feature `stats`) and the search for deadlocks (feature
//! `deadlock_detection`). Without the features every call here is empty.

#[cfg(feature = "deadlock_detection")]
use std::sync::{Arc, OnceLock};

#[cfg(feature = "deadlock_detection")]
use crate::deadlock;
use crate::leaf::Leaf;
use crate::lock::RangeLock;
use crate::partition::{Partition, Settings};
use crate::request::{Mode, RequestId};
use crate::waiter::Waiter;

/// Where a lock has its leaves: in itself.
#[cfg(not(feature = "deadlock_detection"))]
#[derive(Debug)]
pub(crate) struct Home(Partition);

/// Where a lock has its leaves: where the search for deadlocks can get at them too, who has not borrowed the lock.
#[cfg(feature = "deadlock_detection")]
#[derive(Debug)]
pub(crate) struct Home(OnceLock<Arc<Partition>>, Settings);

#[cfg(not(feature = "deadlock_detection"))]
impl Home {
    #[cfg(not(any(loom, shuttle)))]
    pub(crate) const fn new(settings: Settings) -> Self {
        Home(Partition::new(settings))
    }

    #[cfg(any(loom, shuttle))]
    pub(crate) fn new(settings: Settings) -> Self {
        Home(Partition::new(settings))
    }

    #[inline]
    pub(crate) fn partition(&self) -> &Partition {
        &self.0
    }
}

#[cfg(feature = "deadlock_detection")]
impl Home {
    pub(crate) const fn new(settings: Settings) -> Self {
        Home(OnceLock::new(), settings)
    }

    pub(crate) fn partition(&self) -> &Arc<Partition> {
        self.0.get_or_init(|| Arc::new(Partition::new(self.1)))
    }
}

impl Leaf {
    /// A request has been granted at once.
    #[inline]
    #[cfg_attr(not(feature = "stats"), expect(unused_variables, reason = "nobody counts"))]
    pub(crate) fn note_granted(&mut self, mode: Mode) {
        #[cfg(feature = "stats")]
        self.stats.granted(mode);
    }
}

impl RangeLock {
    /// A request that waited with `waiter` waits no more: it has been granted, or has given up.
    #[inline]
    #[cfg_attr(not(feature = "stats"), expect(unused_variables, reason = "nobody counts"))]
    pub(crate) fn note_waited(&self, mode: Mode, waiter: &Waiter, granted: bool) {
        #[cfg(feature = "stats")]
        {
            let wait = waiter.since().map_or(std::time::Duration::ZERO, |since| since.elapsed());
            let stats = &mut self.partition().lock_at(0).leaf.stats;
            if granted {
                stats.waited(mode, wait);
            } else {
                stats.gave_up(mode);
            }
        }
    }
}

/// Calls `wait`, in which the calling thread blocks for a request: what it is called in each of its locks. To be called with no
/// leaf's mutex held.
#[inline]
#[cfg_attr(
    not(feature = "deadlock_detection"),
    expect(unused_variables, reason = "nobody looks for deadlocks")
)]
pub(crate) fn blocked<'a, T>(
    requests: impl IntoIterator<Item = (&'a RangeLock, RequestId)>,
    wait: impl FnOnce() -> T,
) -> T {
    #[cfg(feature = "deadlock_detection")]
    let _registration = deadlock::Registration::new(requests);
    wait()
}

/// Calls `enter`, which enters a request for a task.
#[cfg(feature = "async")]
#[inline]
pub(crate) fn by_task<T>(enter: impl FnOnce() -> T) -> T {
    #[cfg(feature = "deadlock_detection")]
    let _scope = deadlock::TaskScope::enter();
    enter()
}
