//! Tracks the accesses that a CPU has under way at a time, if its accesses overlap.

use crate::Ps;

/// How many loads that miss a CPU has under way at most.
pub(crate) const MOST_LOADS: usize = 10;

/// The loads and the stores of one thread that are under way.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    /// Lines and their arrivals.
    loads: Vec<(u64, Ps)>,
    stores: Vec<(u64, Ps)>,
    /// When the last store takes effect: stores take effect in their order.
    last_store: Ps,
}

impl Outstanding {
    /// Adds a load that misses and is under way until `arrival`. Returns when the CPU goes on.
    pub(crate) fn load(&mut self, line: u64, now: Ps, arrival: Ps) -> Ps {
        self.loads.retain(|l| now < l.1);
        self.loads.push((line, arrival));
        if self.loads.len() <= MOST_LOADS {
            return now;
        }
        let first = self.loads.iter().map(|l| l.1).min().unwrap_or(now);
        self.loads.retain(|l| first < l.1);
        first.max(now)
    }

    /// Adds a store that misses and is under way until `arrival`. Returns when it takes effect.
    pub(crate) fn store(&mut self, line: u64, now: Ps, arrival: Ps) -> Ps {
        self.stores.retain(|s| now < s.1);
        self.last_store = self.last_store.max(arrival);
        self.stores.push((line, self.last_store));
        self.last_store
    }

    /// When this line arrives, if it is under way.
    pub(crate) fn arrival_of(&self, line: u64, now: Ps) -> Ps {
        let all = self.loads.iter().chain(&self.stores);
        all.filter(|l| l.0 == line).map(|l| l.1).fold(now, Ps::max)
    }

    /// Whether all accesses have arrived.
    pub(crate) fn is_drained(&self, now: Ps) -> bool {
        self.loads.iter().chain(&self.stores).all(|l| l.1 <= now)
    }

    /// Waits for all accesses. Returns when they have arrived.
    pub(crate) fn drain(&mut self, now: Ps) -> Ps {
        let all = self.loads.drain(..).chain(self.stores.drain(..));
        all.map(|l| l.1).fold(now, Ps::max)
    }
}

/// How many locked instructions a CPU executes ahead at most.
pub(crate) const MOST_AHEAD: usize = 64;

/// The last instructions of a thread: they decide how far ahead of an access its CPU can send the
/// request.
#[derive(Debug)]
pub(crate) struct Window {
    /// When its last locked instructions ended.
    locked: [Ps; MOST_AHEAD],
    next: usize,
    /// How many loads of shared memory there were since the last locked instruction.
    loads: usize,
    begin: Ps,
}

impl Default for Window {
    fn default() -> Self {
        Window { locked: [0; MOST_AHEAD], next: 0, loads: 0, begin: 0 }
    }
}

impl Window {
    /// Records a load of memory that is not the thread's own stack.
    #[inline]
    pub(crate) fn load(&mut self) {
        self.loads += 1;
    }

    /// Records a locked instruction that ended.
    #[inline]
    pub(crate) fn locked(&mut self, at: Ps) {
        self.locked[self.next % MOST_AHEAD] = at;
        self.next += 1;
        self.loads = 0;
    }

    /// No later instruction is executed before this time.
    pub(crate) fn begin(&mut self, at: Ps) {
        self.begin = at;
    }

    /// The time from which the CPU can send the request of the next access. It executes `window`
    /// locked instructions ahead. It does not know an address that took more than `known` loads
    /// since the last locked instruction. Such an access waits for that instruction.
    pub(crate) fn sent(&self, window: usize, known: usize, now: Ps) -> Ps {
        if self.loads > known || window > self.next {
            return now;
        }
        self.locked[(self.next - window) % MOST_AHEAD].max(self.begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_sent_some_locked_instructions_ahead_unless_its_address_is_searched_for() {
        let mut w = Window::default();
        assert_eq!(w.sent(2, 1, 50), 50);
        (1..=100).for_each(|at| w.locked(at));
        assert_eq!([1, 2, 63].map(|n| w.sent(n, 1, 150)), [100, 99, 38]);
        w.load();
        assert_eq!(w.sent(2, 1, 150), 99);
        w.load();
        assert_eq!(w.sent(2, 1, 150), 150);
        w.locked(101);
        w.begin(101);
        assert_eq!(w.sent(2, 1, 150), 101);
    }

    #[test]
    fn ten_loads_overlap_and_the_next_waits_for_the_first() {
        let mut o = Outstanding::default();
        for line in 0..10 {
            assert_eq!(o.load(line, line, 100 + line), line);
        }
        assert_eq!(o.load(10, 10, 200), 100);
        assert_eq!(o.load(11, 100, 200), 101);
        assert_eq!(o.drain(101), 200);
        assert_eq!(o.drain(201), 201);
    }

    #[test]
    fn stores_never_wait_and_take_effect_in_order() {
        let mut o = Outstanding::default();
        assert_eq!(o.store(1, 0, 100), 100);
        assert_eq!(o.store(2, 1, 50), 100);
        assert_eq!(o.store(3, 2, 150), 150);
        assert_eq!(o.arrival_of(2, 3), 100);
        assert_eq!(o.arrival_of(4, 3), 3);
        assert!(!o.is_drained(149) && o.is_drained(150));
        assert_eq!(o.drain(3), 150);
    }

    #[test]
    fn what_has_arrived_takes_no_place() {
        let mut o = Outstanding::default();
        for line in 0..100 {
            assert_eq!(o.load(line, 10 * line, 10 * line + 50), 10 * line);
        }
    }
}
