//! What a leaf counts (feature `stats`): plain numbers, changed under its mutex.

use std::time::Duration;

use crate::histogram::Histogram;
use crate::mode::Mode;

/// The counts of one leaf, by mode.
#[derive(Clone, Debug)]
pub(crate) struct Counters([ModeCounters; 3]);

/// What requests in one mode have done.
#[derive(Clone, Debug)]
pub(crate) struct ModeCounters {
    /// How many were granted, at once or after a wait.
    pub(crate) granted: u64,
    /// How many waited and came to nothing.
    pub(crate) gave_up: u64,
    /// How long those waited that were granted after a wait.
    pub(crate) waits: Histogram,
}

impl Counters {
    pub(crate) const NONE: Counters =
        Counters([const { ModeCounters { granted: 0, gave_up: 0, waits: Histogram::EMPTY } }; 3]);

    pub(crate) fn of(&self, mode: Mode) -> &ModeCounters {
        &self.0[mode as usize]
    }

    #[inline]
    pub(crate) fn granted(&mut self, mode: Mode) {
        self.0[mode as usize].granted += 1;
    }

    /// Counts a request that was granted after `wait`.
    pub(crate) fn waited(&mut self, mode: Mode, wait: Duration) {
        self.granted(mode);
        self.0[mode as usize].waits.add(wait);
    }

    pub(crate) fn gave_up(&mut self, mode: Mode) {
        self.0[mode as usize].gave_up += 1;
    }

    /// Adds what `other` has counted, which begins anew.
    pub(crate) fn take(&mut self, other: &mut Counters) {
        let other = std::mem::replace(other, Counters::NONE);
        for (mode, other) in self.0.iter_mut().zip(&other.0) {
            mode.granted += other.granted;
            mode.gave_up += other.gave_up;
            mode.waits.add_all(&other.waits);
        }
    }
}
