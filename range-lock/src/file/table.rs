//! [`Table`]: how many guards of this process hold each byte.
//! It uses spans.
//!
//! A table that has had as many runs before does not allocate.

use crate::span::Span;

/// How many guards hold each byte. Its bytes end at the last one that the kernel can lock, so the
/// byte behind a span can always be named.
#[derive(Debug)]
pub(super) struct Table {
    /// In ascending order and disjoint. Runs that touch have different counts, and no count is 0.
    runs: Vec<Run>,
    /// Where a change is put together.
    changed: Vec<Run>,
}

/// Bytes that are held by the same number of guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    span: Span,
    count: usize,
}

impl Table {
    pub(super) const fn new() -> Self {
        Table { runs: Vec::new(), changed: Vec::new() }
    }

    /// Whether each byte of `span` is held.
    #[inline]
    pub(super) fn covers(&self, span: Span) -> bool {
        match self.alike(span) {
            Some(count) => count != 0,
            None => self.pieces(span).all(|run| run.count != 0),
        }
    }

    /// The first and longest part of `span` that is held by exactly `count` guards.
    #[inline]
    pub(super) fn part(&self, span: Span, count: usize) -> Option<Span> {
        match self.alike(span) {
            Some(all) => (all == count).then_some(span),
            None => self.pieces(span).find(|run| run.count == count).map(|run| run.span),
        }
    }

    /// One guard more holds `span`.
    #[inline]
    pub(super) fn add(&mut self, span: Span) {
        let at = self.first_run(span);
        // The usual case: no other guard is near.
        if self.stands_alone(at, span) {
            self.runs.insert(at, Run { span, count: 1 });
        } else {
            self.change(span, |count| count + 1);
        }
    }

    /// One of the guards that hold `span` holds it no longer.
    #[inline]
    pub(super) fn remove(&mut self, span: Span) {
        let at = self.first_run(span);
        if self.runs.get(at) == Some(&Run { span, count: 1 }) {
            self.runs.remove(at);
            return;
        }
        self.change(span, |count| {
            debug_assert_ne!(count, 0, "bytes of {span:?} are held by no guard");
            count.saturating_sub(1)
        });
    }

    /// Whether `span` neither overlaps nor touches a run. `at` is the first that does not end
    /// before it.
    fn stands_alone(&self, at: usize, span: Span) -> bool {
        let before = at.checked_sub(1).and_then(|before| self.runs.get(before));
        let after = self.runs.get(at);
        before.is_none_or(|run| run.span.last + 1 < span.first)
            && after.is_none_or(|run| span.last + 1 < run.span.first)
    }

    /// By how many guards `span` is held, if that is the same for all of it and quick to tell.
    fn alike(&self, span: Span) -> Option<usize> {
        match self.runs.get(self.first_run(span)) {
            Some(run) if run.span.covers(span) => Some(run.count),
            Some(run) if run.span.overlaps(span) => None,
            _ => Some(0),
        }
    }

    /// `span` cut into pieces that are held by the same number of guards, 0 included.
    fn pieces(&self, span: Span) -> impl Iterator<Item = Run> + '_ {
        let mut runs = self.runs[self.first_run(span)..].iter().peekable();
        let mut rest = Some(span);
        std::iter::from_fn(move || {
            let Span { first, last } = rest?;
            let piece = match runs.peek() {
                Some(run) if run.span.first <= first => {
                    let piece = Run { span: Span { first, last: last.min(run.span.last) }, ..**run };
                    runs.next();
                    piece
                }
                Some(run) if run.span.first <= last => {
                    Run { span: Span { first, last: run.span.first - 1 }, count: 0 }
                }
                _ => Run { span: Span { first, last }, count: 0 },
            };
            rest = (piece.span.last < last).then(|| Span { first: piece.span.last + 1, last });
            Some(piece)
        })
    }

    /// The index of the first run that does not end before `span`.
    fn first_run(&self, span: Span) -> usize {
        self.runs.partition_point(|run| run.span.last < span.first)
    }

    #[cold]
    fn change(&mut self, span: Span, count: impl Fn(usize) -> usize) {
        let mut changed = std::mem::take(&mut self.changed);
        let from = self.first_run(span);
        let to = from + self.runs[from..].partition_point(|run| run.span.first <= span.last);
        // The neighbours too, since a run may come to touch one that has the same count.
        let (from, to) = (from.saturating_sub(1), self.runs.len().min(to + 1));
        for run in &self.runs[from..to] {
            if run.span.first < span.first {
                let last = run.span.last.min(span.first - 1);
                push(&mut changed, Run { span: Span { last, ..run.span }, ..*run });
            }
        }
        for piece in self.pieces(span) {
            push(&mut changed, Run { count: count(piece.count), ..piece });
        }
        for run in &self.runs[from..to] {
            if run.span.last > span.last {
                let first = run.span.first.max(span.last + 1);
                push(&mut changed, Run { span: Span { first, ..run.span }, ..*run });
            }
        }
        self.runs.splice(from..to, changed.drain(..));
        self.changed = changed;
    }
}

/// Appends `run`, or makes the last one longer.
fn push(runs: &mut Vec<Run>, run: Run) {
    match runs.last_mut() {
        _ if run.count == 0 => {}
        Some(before) if before.count == run.count && before.span.last + 1 == run.span.first => {
            before.span.last = run.span.last;
        }
        _ => runs.push(run),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against an array with a count for each byte.
        #[test]
        fn counts_as_an_array_does(steps in prop::collection::vec((0_u64..40, 0_u64..40, any::<u16>()), 1..60)) {
            let mut table = Table::new();
            let (mut bytes, mut held) = ([0; 40], Vec::new());
            for (a, b, which) in steps {
                let span = Span { first: a.min(b), last: a.max(b) };
                if which % 2 == 0 || held.is_empty() {
                    table.add(span);
                    held.push(span);
                    (span.first..=span.last).for_each(|byte| bytes[byte as usize] += 1);
                } else {
                    let span = held.swap_remove(usize::from(which) % held.len());
                    table.remove(span);
                    (span.first..=span.last).for_each(|byte| bytes[byte as usize] -= 1);
                }
                for run in &table.runs {
                    prop_assert!(bytes[run.span.first as usize..=run.span.last as usize].iter().all(|n| *n == run.count));
                }
                let counted: u64 = table.runs.iter().map(|run| run.span.last - run.span.first + 1).sum();
                prop_assert_eq!(counted, bytes.iter().filter(|count| **count != 0).count() as u64);
                for pair in table.runs.windows(2) {
                    let touch = pair[0].span.last + 1 == pair[1].span.first;
                    prop_assert!(pair[0].span.last < pair[1].span.first);
                    prop_assert!(!touch || pair[0].count != pair[1].count);
                }
                let counts = &bytes[span.first as usize..=span.last as usize];
                prop_assert_eq!(table.covers(span), counts.iter().all(|count| *count != 0));
                for count in 0..3 {
                    let first = counts.iter().position(|n| *n == count).map(|at| span.first + at as u64);
                    let part = table.part(span, count);
                    prop_assert_eq!(part.map(|part| part.first), first);
                    if let Some(part) = part {
                        let after = part.last + 1;
                        prop_assert!(after > span.last || bytes[after as usize] != count);
                    }
                }
            }
        }
    }
}
