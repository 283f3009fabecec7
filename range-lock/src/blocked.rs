//! The registry of threads that are blocked in a lock at this moment, for the search for deadlocks
//! (feature `deadlock_detection`). Without the feature nothing is kept. It uses the partition.

#[cfg(feature = "deadlock_detection")]
pub(crate) use registry::{Blocked, Waiting, registry};

use crate::ids::RequestId;
use crate::partition::Place;

/// Calls `wait`, in which the calling thread blocks for a request. `requests` has the request's
/// name in each of its locks. To be called with no leaf's mutex held.
#[inline]
#[cfg_attr(
    not(feature = "deadlock_detection"),
    expect(unused_variables, reason = "the registry exists with the feature only")
)]
pub(crate) fn blocked<'a, T>(
    requests: impl IntoIterator<Item = (Place<'a>, RequestId)>,
    wait: impl FnOnce() -> T,
) -> T {
    #[cfg(feature = "deadlock_detection")]
    let _registration = registry::Registration::new(requests);
    wait()
}

#[cfg(feature = "deadlock_detection")]
mod registry {
    use std::backtrace::Backtrace;
    use std::sync::{self, Arc, PoisonError};
    use std::thread::{self, Thread};

    use crate::ids::RequestId;
    use crate::partition::{Partition, Place};

    /// A thread that is blocked.
    #[derive(Debug)]
    pub(crate) struct Blocked {
        pub(crate) thread: Thread,
        pub(crate) backtrace: Arc<Backtrace>,
        /// The one request that the thread waits for, as it is called in each lock concerned.
        pub(crate) requests: Vec<Waiting>,
    }

    /// A request that a blocked thread waits for, in one lock.
    #[derive(Debug)]
    pub(crate) struct Waiting {
        /// The lock's address.
        pub(crate) lock: usize,
        pub(crate) partition: Arc<Partition>,
        pub(crate) id: RequestId,
    }

    /// All threads that are blocked, in the order in which they did. Of std even in a model: what
    /// is done under its mutex there involves nothing that is modelled.
    static REGISTRY: sync::Mutex<Vec<Arc<Blocked>>> = sync::Mutex::new(Vec::new());

    pub(crate) fn registry() -> sync::MutexGuard<'static, Vec<Arc<Blocked>>> {
        // No code of the user's runs under it.
        REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// While it lives the calling thread is known to be blocked. To be made and dropped with no
    /// leaf's mutex held, and around the wait only.
    #[derive(Debug)]
    pub(super) struct Registration(Arc<Blocked>);

    impl Registration {
        /// Of one request: what it is called in each of its locks.
        pub(super) fn new<'a>(requests: impl IntoIterator<Item = (Place<'a>, RequestId)>) -> Self {
            let mut requests: Vec<_> = requests
                .into_iter()
                .map(|(place, id)| Waiting { lock: place.address(), partition: place.shared_partition(), id })
                .collect();
            requests.dedup_by_key(|waiting| waiting.lock); // Several ranges of one lock have one id.
            let blocked = Arc::new(Blocked {
                thread: thread::current(),
                backtrace: Arc::new(Backtrace::force_capture()),
                requests,
            });
            registry().push(Arc::clone(&blocked));
            Registration(blocked)
        }
    }

    impl Drop for Registration {
        fn drop(&mut self) {
            registry().retain(|blocked| !Arc::ptr_eq(blocked, &self.0));
        }
    }
}
