//! Every bug that range locks are known to have had and that could be had here, as a test named
//! after it.
//!
//! Each test names its source and says what went wrong there. A file has the bugs of one subject.
//! Those that are about the order of memory accesses or of threads are models and stand in
//! `tests/loom`, under the names given here. Hashes are commits of openzfs/zfs, spdk/spdk,
//! facebook/rocksdb and lustre/lustre-release on GitHub. The models:
//!
//! * thuaduc/concurrent-range-locking v2 marks a node with a plain load and store, and loses what
//!   is inserted behind it meanwhile: `three_writers_exclude`.
//! * A completion flag without ordering, found in several hand-over schemes:
//!   `a_reader_sees_what_the_writer_wrote`, `a_time_out_that_races_a_grant_loses_nothing`.
//! * OpenZFS 8926ab7a50 and 450dc149bd, where a condition variable was freed with sleepers on it,
//!   SPDK f79e44c3d3 (unlock against unregister) and TiKV #19957 (a guard's drop frees what it
//!   stands on): `an_owned_guard_is_released_on_another_thread_that_outlives_the_lock`.
//!
//! # What cannot be had here
//!
//! * Requests are read and changed under mutexes only, and what they lie in is freed only under
//!   them. So no thread meets the node of a failed try that is being freed (FreeBSD,
//!   `RL_TRYLOCK_FAILED_MARKED`), a list that is reclaimed during a walk (Odinfs), or an iterator
//!   that has been erased (flstar/RangeLock). And the tree is in safe code.
//! * There are no reader slots that a writer must revoke (Odinfs, `BRAVO_NO_REVOCATION`).
//! * A lock cannot prevent what its users do wrong. They took locks in two orders (OpenZFS
//!   a140dc5469), or ranges narrower than what they touched (OpenZFS f763c3d1df). They retried
//!   endlessly under a range (OpenZFS 54828b3aa2), or copied with a fault on the range held (Jan
//!   Kara, linux-fsdevel, 27 September 2013). The second of two orders is found by feature
//!   `deadlock_detection`; the others concern `dax-sim`.

mod changes;
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "async")]
mod futures;
mod giving_up;
mod ranges;
mod releases;
mod reports;
mod waiting;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use common::{ask, check_free, requests, until_waiting, waiting};
use range_lock::{
    ArcRangeWriteGuard, Mode, RangeLock, RangeReadGuard, RangeUpgradableReadGuard, RangeWriteGuard,
};

/// Longer than any test takes: for waits that must not end by it.
const LONG: Duration = Duration::from_secs(3600);
/// Long enough to be queued: a deadline that has passed is not.
const SOON: Duration = Duration::from_micros(100);
