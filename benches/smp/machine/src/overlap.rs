//! What a CPU has under way at a time, if its accesses overlap.

use crate::Ps;

/// How many loads that miss a CPU has under way, at most.
pub(crate) const MOST_LOADS: usize = 10;

/// The loads and the stores of one thread that are under way.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    /// Lines and their arrivals.
    loads: Vec<(u64, Ps)>,
    stores: Vec<(u64, Ps)>,
    /// When the last store takes effect: stores do so in their order.
    last_store: Ps,
}

impl Outstanding {
    /// A load that misses is under way until `arrival`. Returns when the CPU goes on.
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

    /// A store that misses is under way until `arrival`. Returns when it takes effect.
    pub(crate) fn store(&mut self, line: u64, now: Ps, arrival: Ps) -> Ps {
        self.stores.retain(|s| now < s.1);
        self.last_store = self.last_store.max(arrival);
        self.stores.push((line, self.last_store));
        self.last_store
    }

    /// When this line is there, if it is under way.
    pub(crate) fn arrival_of(&self, line: u64, now: Ps) -> Ps {
        let all = self.loads.iter().chain(&self.stores);
        all.filter(|l| l.0 == line).map(|l| l.1).fold(now, Ps::max)
    }

    /// Whether all have arrived.
    pub(crate) fn is_drained(&self, now: Ps) -> bool {
        self.loads.iter().chain(&self.stores).all(|l| l.1 <= now)
    }

    /// Waits for all; returns when that is done.
    pub(crate) fn drain(&mut self, now: Ps) -> Ps {
        let all = self.loads.drain(..).chain(self.stores.drain(..));
        all.map(|l| l.1).fold(now, Ps::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
