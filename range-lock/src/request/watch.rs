//! Watches: waiting until a range is free, without asking for it. A watch waits for the conflicting
//! requests that are in the lock at one moment.
//!
//! All leaves of the range are locked while the watch begins, so that it sees one moment.
//! Afterwards each change of one of these requests is made under the mutexes of all its leaves. The
//! change tells whether the request is still in the way. Later requests are in no watch, and a
//! watch keeps no request out.

use crate::claim::Claim;
use crate::partition::Partition;
use crate::sync::{Arc, Deadline};
use crate::waiter::{Waited, Waiter};

/// A call that waits until a range is free.
#[derive(Debug)]
pub(crate) struct Watch {
    claim: Claim,
    /// Tells it from all others, and from requests.
    number: u64,
    pub(crate) waiter: Arc<Waiter>,
}

/// Begins to wait for all that conflicts with `claim`. Returns `None` if nothing does.
pub(crate) fn watch(partition: &Partition, claim: Claim) -> Option<Watch> {
    let mut leaves = partition.look_over(claim.span);
    if super::is_free_over(&leaves, claim) {
        return None;
    }
    let number = leaves.first().draw_id(partition.ids()).get();
    // Not from the spare records: they are for requests.
    let waiter = Arc::new(Waiter::new(0, 0));
    leaves.iter_mut().for_each(|leaf| leaf.begin_watch(number, claim, &waiter));
    Some(Watch { claim, number, waiter })
}

/// Gives up waiting. Returns `true` if the range was free before.
pub(crate) fn unwatch(partition: &Partition, Watch { claim, number, waiter }: &Watch) -> bool {
    let mut leaves = partition.look_over(claim.span);
    // Under the mutexes the count is not lowered.
    if waiter.is_granted() {
        return true;
    }
    leaves.iter_mut().for_each(|leaf| leaf.end_watch(*number, *claim));
    false
}

/// Waits for all that conflicts with `claim` now. `false` if the deadline comes first.
pub(crate) fn wait_until_free(partition: &Partition, claim: Claim, deadline: Deadline) -> bool {
    if deadline.has_passed() {
        return super::is_free_over(&partition.look_over(claim.span), claim);
    }
    let Some(watch) = watch(partition, claim) else { return true };
    match watch.waiter.wait(deadline) {
        Waited::Granted => true,
        Waited::TimedOut => unwatch(partition, &watch),
    }
}
