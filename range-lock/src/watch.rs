//! What the transitions tell those who watch: the statistics (feature `stats`). Without the feature every call here is
//! empty.
#![cfg_attr(not(feature = "stats"), expect(unused_variables, reason = "nobody watches"))]

use crate::leaf::Leaf;
use crate::lock::RangeLock;
use crate::request::Mode;
use crate::waiter::Waiter;

impl Leaf {
    /// A request has been granted at once.
    #[inline]
    pub(crate) fn note_granted(&mut self, mode: Mode) {
        #[cfg(feature = "stats")]
        self.stats.granted(mode);
    }
}

impl RangeLock {
    /// A request that waited with `waiter` waits no more: it has been granted, or has given up.
    #[inline]
    pub(crate) fn note_waited(&self, mode: Mode, waiter: &Waiter, granted: bool) {
        #[cfg(feature = "stats")]
        {
            let wait = waiter.since().map_or(std::time::Duration::ZERO, |since| since.elapsed());
            let stats = &mut crate::sync::lock(&self.leaf).stats;
            if granted {
                stats.waited(mode, wait);
            } else {
                stats.gave_up(mode);
            }
        }
    }
}
