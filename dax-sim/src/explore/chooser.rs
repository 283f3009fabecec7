//! Chooses which thread goes on: at random, by priorities (PCT), all ways in turn, or by a seed.

use fastrand::Rng;

use super::engine::{Choice, Chooser};

/// Each thread that can go on is as likely as any other.
#[derive(Debug)]
pub(super) struct Random(Rng);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }
}

impl Chooser for Random {
    fn choose(&mut self, choice: Choice<'_>) -> usize {
        choice.enabled[self.0.usize(..choice.enabled.len())]
    }
}

/// Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte, ASPLOS 2010):
/// the thread of highest priority goes on. At a few steps, drawn beforehand, its priority falls
/// below all others. A fault that needs `d` of these steps is found with a probability of at least
/// 1 / (n k^(d-1)), for n threads and k steps.
#[derive(Debug)]
pub(super) struct Pct {
    /// By thread. The largest goes first.
    priorities: Vec<u32>,
    /// The steps at which a priority falls, in ascending order, last first.
    falls: Vec<u32>,
}

impl Pct {
    /// For `threads` threads and about `steps` steps, with `falls` changes of priority.
    pub(super) fn new(seed: u64, threads: usize, steps: u32, falls: u32) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut priorities: Vec<u32> = (0..threads as u32).map(|thread| falls + thread).collect();
        rng.shuffle(&mut priorities);
        let mut falls: Vec<u32> = (0..falls).map(|_| rng.u32(..steps.max(1))).collect();
        falls.sort_unstable_by(|a, b| b.cmp(a));
        Self { priorities, falls }
    }
}

impl Chooser for Pct {
    fn choose(&mut self, choice: Choice<'_>) -> usize {
        let first = |priorities: &[u32]| {
            let enabled = choice.enabled.iter().copied();
            enabled.max_by_key(|&thread| priorities[thread]).expect("some thread can go on")
        };
        while self.falls.last().is_some_and(|&at| at <= choice.step) {
            let falling = first(&self.priorities);
            self.falls.pop();
            self.priorities[falling] = self.falls.len() as u32;
        }
        first(&self.priorities)
    }
}

/// All schedules with at most `preemptions` preemptions, one after another, depth first.
///
/// A switch away from a thread that cannot go on is no preemption, and all ways to make it are
/// tried.
#[derive(Debug)]
pub(super) struct Exhaustive {
    preemptions: u32,
    /// The choices of the schedule under way, or of the last one.
    path: Vec<Branch>,
    depth: usize,
}

#[derive(Debug)]
struct Branch {
    /// The choices still to be tried here. The last one is under way.
    untried: Vec<u8>,
    /// The running thread, if the choice of another is a preemption.
    running: Option<u8>,
    /// Preemptions before this choice.
    spent: u32,
}

impl Exhaustive {
    pub(super) fn new(preemptions: u32) -> Self {
        Self { preemptions, path: Vec::new(), depth: 0 }
    }

    /// Goes on to the next schedule, if there is one.
    pub(super) fn advance(&mut self) -> bool {
        self.depth = 0;
        while let Some(branch) = self.path.last_mut() {
            branch.untried.pop();
            if !branch.untried.is_empty() {
                return true;
            }
            self.path.pop();
        }
        false
    }

    fn spent(&self) -> u32 {
        self.path.last().map_or(0, |branch| {
            let chosen = *branch.untried.last().expect("one is under way");
            branch.spent + u32::from(branch.running.is_some_and(|running| running != chosen))
        })
    }
}

impl Chooser for Exhaustive {
    fn choose(&mut self, choice: Choice<'_>) -> usize {
        if self.depth == self.path.len() {
            let spent = self.spent();
            let running = choice.running.map(|thread| thread as u8);
            let mut untried: Vec<u8> = match running {
                Some(running) if spent == self.preemptions => vec![running],
                _ => choice.enabled.iter().rev().map(|&thread| thread as u8).collect(),
            };
            // The usual choice comes first.
            untried.retain(|&thread| thread != choice.usual() as u8);
            untried.push(choice.usual() as u8);
            self.path.push(Branch { untried, running, spent });
        }
        let chosen = usize::from(*self.path[self.depth].untried.last().expect("one is under way"));
        assert!(
            choice.enabled.contains(&chosen),
            "a schedule does not repeat itself at step {}",
            choice.step
        );
        self.depth += 1;
        chosen
    }
}

/// The usual choice, except at the steps that the seed names.
#[derive(Debug)]
pub(super) struct Told<'a>(pub(super) &'a [(u32, usize)]);

impl Chooser for Told<'_> {
    fn choose(&mut self, choice: Choice<'_>) -> usize {
        let told = self.0.iter().find(|(step, _)| *step == choice.step).map(|&(_, thread)| thread);
        told.filter(|thread| choice.enabled.contains(thread)).unwrap_or_else(|| choice.usual())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashSet;

    use super::super::engine::{self, Body, End, Outcome, Stacks};
    use super::*;
    use crate::schedule::{Schedule, SchedulePoint};

    /// Runs threads that each write down their letters, with a point before each letter.
    fn interleave(lengths: &[usize], chooser: &mut dyn Chooser) -> (Vec<usize>, Outcome) {
        let (schedule, written) = (&Schedule::controlled(), &RefCell::new(Vec::new()));
        let body = |(thread, &length): (usize, &usize)| -> Body<'_> {
            Box::new(move || {
                for _ in 0..length {
                    schedule.pass(SchedulePoint::LookUp, 0);
                    written.borrow_mut().push(thread);
                }
            })
        };
        let bodies = lengths.iter().enumerate().map(body).collect();
        let outcome = engine::run(bodies, &mut Stacks::default(), chooser, &mut |_| {});
        (written.take(), outcome)
    }

    fn all(lengths: &[usize], preemptions: u32) -> Vec<Vec<usize>> {
        let mut chooser = Exhaustive::new(preemptions);
        let mut found = Vec::new();
        loop {
            let (written, outcome) = interleave(lengths, &mut chooser);
            assert_eq!(outcome.end, End::Complete);
            let (again, same) = interleave(lengths, &mut Told(&outcome.deviations));
            assert_eq!((&again, same.steps), (&written, outcome.steps), "{:?}", outcome.deviations);
            found.push(written);
            if !chooser.advance() {
                return found;
            }
        }
    }

    #[test]
    fn the_exhaustive_search_finds_every_order_and_repeats_none_it_need_not() {
        let distinct = |found: &[Vec<usize>]| found.iter().cloned().collect::<HashSet<_>>().len();
        // Without a bound: all orders of two and two. A thread's first step is up to its first
        // point.
        assert_eq!(distinct(&all(&[2, 2], 9)), 6);
        assert_eq!(distinct(&all(&[2, 2, 2], 9)), 90);
        // One thread after the other, in either order.
        assert_eq!(distinct(&all(&[2, 2], 0)), 2);
        let one = all(&[3, 3], 1);
        assert!(one.contains(&vec![0, 1, 1, 1, 0, 0]) && !one.contains(&vec![0, 1, 0, 1, 1, 0]));
    }

    #[test]
    fn random_and_pct_schedules_repeat_with_their_seed_and_differ_without() {
        fn random(seed: u64) -> Box<dyn Chooser> {
            Box::new(Random::new(seed))
        }
        fn pct(seed: u64) -> Box<dyn Chooser> {
            Box::new(Pct::new(seed, 3, 12, 2))
        }
        for make in [random, pct] {
            let run = |seed| interleave(&[3, 3, 3], &mut *make(seed)).0;
            assert!((0..50).all(|seed| run(seed) == run(seed)));
            assert!((0..50).map(run).collect::<HashSet<_>>().len() > 5);
        }
    }
}
