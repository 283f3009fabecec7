//! The oracle of exclusion: it records which sections are held, and reports when two conflict.

use std::collections::BTreeMap;
use std::ops::Range;

/// The sections that are held at the moment.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// By start and number: the end, whether it is a write, and the thread.
    held: BTreeMap<(u64, u64), (u64, bool, usize)>,
    /// The length of the longest held range.
    longest: u64,
    sections: u64,
    violations: Vec<String>,
}

/// Names a section that is held.
#[derive(Debug)]
pub(crate) struct Held((u64, u64));

/// How many violations are described.
const MOST: usize = 5;

impl Oracle {
    /// Begins a section.
    pub(crate) fn enter(&mut self, thread: usize, range: Range<u64>, write: bool) -> Held {
        self.sections += 1;
        let from = range.start.saturating_sub(self.longest);
        for (&(start, _), &(end, writes, other)) in self.held.range((from, 0)..(range.end, 0)) {
            if end > range.start && (write || writes) && self.violations.len() < MOST {
                let verb = |write| if write { "writes" } else { "reads" };
                self.violations.push(format!(
                    "thread {thread} {} {range:?} while thread {other} {} {start}..{end}",
                    verb(write),
                    verb(writes)
                ));
            }
        }
        let key = (range.start, self.sections);
        self.longest = self.longest.max(range.end - range.start);
        self.held.insert(key, (range.end, write, thread));
        Held(key)
    }

    /// Ends a section.
    pub(crate) fn leave(&mut self, held: Held) {
        self.held.remove(&held.0);
        if self.held.is_empty() {
            self.longest = 0;
        }
    }

    /// How many sections there were, and the first violations.
    pub(crate) fn result(&self) -> (u64, Vec<String>) {
        (self.sections, self.violations.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writers_conflict_with_what_overlaps_and_readers_with_writers() {
        for (write, other_writes, other, conflicts) in [
            (true, true, 5..15, true),
            (true, false, 5..15, true),
            (false, false, 5..15, false),
            (true, true, 20..30, false),
            (true, true, 0..10, false),
        ] {
            let mut oracle = Oracle::default();
            let first = oracle.enter(0, 10..20, other_writes);
            let second = oracle.enter(1, other.clone(), write);
            assert_eq!(!oracle.result().1.is_empty(), conflicts, "{write} {other_writes} {other:?}");
            oracle.leave(first);
            oracle.leave(second);
            oracle.enter(2, 10..20, true);
            assert_eq!(oracle.result().1.len(), usize::from(conflicts));
        }
    }
}
