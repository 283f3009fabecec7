//! Decides which thread has which CPU: run queues, time slices and idle CPUs. It is pure, like the
//! directory.
//!
//! Invariant: a thread is on a CPU, in one run queue, or asleep, and never in two of these states.

use std::collections::VecDeque;

use crate::Ps;

/// One CPU.
#[derive(Debug, Default)]
struct Cpu {
    running: Option<usize>,
    /// Threads that could run, with the times since which they could.
    queue: VecDeque<(usize, Ps)>,
    /// When a thread left it, if it is idle.
    free_at: Ps,
    slice_end: Ps,
}

/// A thread gets a CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dispatch {
    pub(crate) thread: usize,
    pub(crate) cpu: usize,
    /// When the CPU is free for the thread, without the cost of the change.
    pub(crate) at: Ps,
    /// Whether the CPU was idle.
    pub(crate) idle: bool,
}

/// The CPUs of a machine.
#[derive(Debug)]
pub(crate) struct RunQueues {
    cpus: Vec<Cpu>,
    /// How many threads are in all queues.
    waiting: usize,
}

impl RunQueues {
    pub(crate) fn new(cpus: usize) -> Self {
        RunQueues { cpus: (0..cpus).map(|_| Cpu::default()).collect(), waiting: 0 }
    }

    /// Lets a thread run from `at` on. It gets the CPU it had, or the nearest idle CPU, or waits
    /// for the CPU it had.
    pub(crate) fn ready(
        &mut self,
        thread: usize,
        cpu: usize,
        at: Ps,
        distance: impl Fn(usize, usize) -> usize,
    ) -> Option<Dispatch> {
        let idle = if self.cpus[cpu].running.is_none() {
            Some(cpu)
        } else {
            let idle = (0..self.cpus.len()).filter(|&c| self.cpus[c].running.is_none());
            idle.min_by_key(|&c| distance(cpu, c))
        };
        if let Some(cpu) = idle {
            let c = &mut self.cpus[cpu];
            c.running = Some(thread);
            return Some(Dispatch { thread, cpu, at: at.max(c.free_at), idle: true });
        }
        self.cpus[cpu].queue.push_back((thread, at));
        self.waiting += 1;
        None
    }

    /// Lets a CPU that is free from `at` on take the next thread of its own queue, or one of the
    /// longest queue.
    pub(crate) fn next(&mut self, cpu: usize, at: Ps) -> Option<Dispatch> {
        self.cpus[cpu].running = None;
        self.cpus[cpu].free_at = at;
        if self.waiting == 0 {
            return None;
        }
        let from = if self.cpus[cpu].queue.is_empty() {
            let longest = (0..self.cpus.len()).max_by_key(|&c| (self.cpus[c].queue.len(), usize::MAX - c));
            longest?
        } else {
            cpu
        };
        let (thread, since) = self.cpus[from].queue.pop_front()?;
        self.waiting -= 1;
        self.cpus[cpu].running = Some(thread);
        Some(Dispatch { thread, cpu, at: at.max(since), idle: false })
    }

    /// Gives the CPU to the next thread of its queue, if there is one.
    pub(crate) fn rotate(&mut self, cpu: usize, at: Ps) -> Option<Dispatch> {
        if self.cpus[cpu].queue.is_empty() {
            return None;
        }
        let thread = self.cpus[cpu].running?;
        self.cpus[cpu].queue.push_back((thread, at));
        self.waiting += 1;
        self.next(cpu, at)
    }

    /// Lets the thread on this CPU stay until `end`, if another thread waits.
    pub(crate) fn begin_slice(&mut self, cpu: usize, end: Ps) {
        self.cpus[cpu].slice_end = end;
    }

    /// How long the thread on this CPU may stay. `None` if no other thread waits for it.
    #[inline]
    pub(crate) fn slice_end(&self, cpu: usize) -> Option<Ps> {
        if self.waiting == 0 || self.cpus[cpu].queue.is_empty() {
            return None;
        }
        Some(self.cpus[cpu].slice_end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: usize, b: usize) -> usize {
        a.abs_diff(b)
    }

    fn got(dispatch: Option<Dispatch>) -> Option<(usize, usize, Ps)> {
        dispatch.map(|d| (d.thread, d.cpu, d.at))
    }

    #[test]
    fn a_thread_gets_its_cpu_or_the_nearest_idle_one_or_waits() {
        let mut q = RunQueues::new(3);
        assert_eq!(got(q.ready(0, 1, 5, near)), Some((0, 1, 5)));
        assert_eq!(got(q.ready(1, 1, 6, near)), Some((1, 0, 6)));
        assert_eq!(got(q.ready(2, 0, 7, near)), Some((2, 2, 7)));
        assert_eq!(got(q.ready(3, 1, 8, near)), None);
        assert_eq!(q.slice_end(0), None);
        q.begin_slice(1, 100);
        assert_eq!(q.slice_end(1), Some(100));
        assert_eq!(got(q.rotate(1, 100)), Some((3, 1, 100)));
        assert_eq!(got(q.next(1, 150)), Some((0, 1, 150)));
        assert_eq!(got(q.rotate(1, 160)), None);
    }

    #[test]
    fn an_idle_cpu_takes_from_the_longest_queue() {
        let mut q = RunQueues::new(2);
        for thread in 0..2 {
            q.ready(thread, thread, 0, near);
        }
        q.ready(2, 1, 3, near);
        assert_eq!(got(q.next(0, 10)), Some((2, 0, 10)));
        assert_eq!(got(q.next(1, 11)), None);
        assert_eq!(got(q.ready(1, 1, 4, near)), Some((1, 1, 11)));
    }
}
