//! The graph of waits. Its nodes are the blocked threads, known by their places in the registry. It
//! uses copies of what is in the locks.
//!
//! An edge leads from a thread that waits to the thread that made a request which it waits for.
//! With n threads that wait for one range there are n²/2 edges, so the edges are not stored. A
//! search keeps the requests of the threads that it has not visited in [interval trees](Forest).
//! The trees tell whether one of these requests is in the way of a given request. When a thread is
//! visited, its requests are taken out of the trees. So each question either leads to another
//! thread or is the last question about a request. A search asks no more questions than there are
//! requests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::blocked::{Blocked, Waiting};
use crate::inspect::{RequestState, Seen, Snapshot};
use crate::interval_tree::{Forest, Key};
use crate::mode::Mode;
use crate::owner::Owner;

/// One span of one request: in which lock, and which of those that were seen there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) lock: usize,
    pub(super) index: usize,
}

pub(super) struct Graph<'a> {
    locks: &'a BTreeMap<usize, Arc<Snapshot>>,
    threads: Vec<Node>,
}

/// A blocked thread.
#[derive(Default)]
struct Node {
    /// What the thread waits for. Empty if its request has been granted and the thread has not run
    /// since.
    wants: Vec<At>,
    /// All that it has made, held or waiting.
    has: Vec<At>,
}

/// Which way a search follows the edges.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To the threads that a thread waits for.
    Forward,
    /// To the threads that wait for a thread.
    Back,
}

impl<'a> Graph<'a> {
    /// Of these threads, and of what is in the locks in which they are blocked.
    pub(super) fn new<'b>(
        blocked: impl Iterator<Item = &'b Blocked>,
        locks: &'a BTreeMap<usize, Arc<Snapshot>>,
    ) -> Self {
        let (mut threads, mut waiting, mut ids) = (Vec::new(), HashMap::new(), HashMap::new());
        for (n, blocked) in blocked.enumerate() {
            threads.push(Node::default());
            ids.insert(blocked.thread.id(), n);
            waiting.extend(blocked.requests.iter().map(|&Waiting { lock, id, .. }| ((lock, id), n)));
        }
        for (&lock, snapshot) in locks {
            for (index, seen) in snapshot.all.iter().enumerate() {
                let at = At { lock, index };
                if let Some(&n) = waiting.get(&(lock, seen.id)) {
                    if seen.state != RequestState::Held {
                        threads[n].wants.push(at);
                    }
                }
                if let Owner::Thread(id) = seen.owner {
                    if let Some(&n) = ids.get(&id) {
                        threads[n].has.push(at);
                    }
                }
            }
        }
        Graph { locks, threads }
    }

    /// What a thread waits for.
    pub(super) fn wants(&self, n: usize) -> &[At] {
        &self.threads[n].wants
    }

    /// What a thread has for which another waits.
    pub(super) fn in_the_way(&self, waiting: usize, n: usize) -> impl Iterator<Item = At> + '_ {
        let wants = &self.threads[waiting].wants;
        let is_in_the_way = move |at: &At| {
            wants.iter().any(|want| want.lock == at.lock && self.seen(*want).waits_for(self.seen(*at)))
        };
        self.threads[n].has.iter().copied().filter(is_in_the_way)
    }

    /// The threads that wait for what they have themselves.
    pub(super) fn waiting_for_themselves(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.threads.len()).filter(|&n| self.in_the_way(n, n).next().is_some())
    }

    /// One cycle, with at least two threads, for each group of threads that wait for each other: a
    /// shortest one through the first of them.
    pub(super) fn circles(&self) -> Vec<Vec<usize>> {
        let mut circles: Vec<_> = self.groups().iter().map(|group| self.shortest_circle(group)).collect();
        circles.sort_unstable_by_key(|circle| circle[0]);
        circles
    }

    /// The groups of at least two threads that wait for each other, directly or through others.
    /// Each is in ascending order.
    ///
    /// S. R. Kosaraju's algorithm: depth first along the edges, then back along them, from those
    /// that the first search left last.
    fn groups(&self) -> Vec<Vec<usize>> {
        let all = || 0..self.threads.len();
        let mut left = Vec::new();
        let mut unvisited = Unvisited::new(self, Way::Forward, all());
        all().for_each(|n| unvisited.visit_from(n, |n| left.push(n)));
        let mut groups = Vec::new();
        let mut unvisited = Unvisited::new(self, Way::Back, all());
        for &n in left.iter().rev() {
            let mut group = Vec::new();
            unvisited.visit_from(n, |n| group.push(n));
            if group.len() > 1 {
                group.sort_unstable();
                groups.push(group);
            }
        }
        groups
    }

    /// A shortest way from the first of a group back to it through others of the group: breadth
    /// first.
    fn shortest_circle(&self, group: &[usize]) -> Vec<usize> {
        let start = group[0];
        let mut came_from = HashMap::new();
        let mut queue = VecDeque::from([start]);
        let of_start = Unvisited::new(self, Way::Forward, [start]);
        let mut unvisited = Unvisited::new(self, Way::Forward, group[1..].iter().copied());
        while let Some(n) = queue.pop_front() {
            let wants = &self.threads[n].wants;
            if n != start && wants.iter().any(|&want| of_start.beside(want).is_some()) {
                let mut circle: Vec<_> =
                    std::iter::successors(Some(n), |n| came_from.get(n).copied()).collect();
                circle.reverse();
                return circle;
            }
            for &want in wants {
                while let Some(to) = unvisited.beside(want) {
                    unvisited.take_out(to);
                    came_from.insert(to, n);
                    queue.push_back(to);
                }
            }
        }
        unreachable!("each of a group waits for each other one")
    }

    fn seen(&self, at: At) -> &'a Seen {
        &self.locks[&at.lock].all[at.index]
    }
}

/// The requests of threads that a search has not visited.
struct Unvisited<'g, 'a> {
    graph: &'g Graph<'a>,
    way: Way,
    /// For each lock a tree for each mode. Forward, the rank is [`Seen::rank`]; on the way back the
    /// same, turned round.
    trees: HashMap<usize, Forest<usize, 3, 0>>,
    /// Where the requests of each thread are.
    entries: HashMap<usize, Vec<(usize, u32)>>,
}

impl<'g, 'a> Unvisited<'g, 'a> {
    fn new(graph: &'g Graph<'a>, way: Way, threads: impl IntoIterator<Item = usize>) -> Self {
        let mut unvisited = Unvisited { graph, way, trees: HashMap::new(), entries: HashMap::new() };
        for n in threads {
            let node = &graph.threads[n];
            let entries = if way == Way::Forward { &node.has } else { &node.wants };
            let entries = entries.iter().map(|&at| {
                let seen = graph.seen(at);
                let rank = match way {
                    Way::Forward => seen.rank(),
                    Way::Back => u64::MAX - seen.rank(),
                };
                let trees = unvisited.trees.entry(at.lock).or_insert_with(Forest::new);
                let key = Key { span: seen.span, id: seen.id.get(), rank };
                (at.lock, trees.insert_with(seen.mode as usize, key, || n))
            });
            let entries = entries.collect();
            unvisited.entries.insert(n, entries);
        }
        unvisited
    }

    /// A thread that has not been visited, one of whose requests is in the way of the request at
    /// `at`. On the way back: one of whose requests has the request at `at` in its way.
    fn beside(&self, at: At) -> Option<usize> {
        let seen = self.graph.seen(at);
        let trees = self.trees.get(&at.lock)?;
        let modes = [Mode::Read, Mode::Upgradable, Mode::Write];
        let before = match self.way {
            Way::Forward => seen.rank(),
            Way::Back => u64::MAX - seen.rank(),
        };
        let mut found = modes.into_iter().filter(|mode| mode.conflicts(seen.mode)).filter_map(|mode| {
            let index = trees.latest_before(mode as usize, seen.span, before)?;
            trees.get(index).map(|(_, &n)| n)
        });
        found.next()
    }

    fn take_out(&mut self, n: usize) {
        for (lock, index) in self.entries.remove(&n).unwrap_or_default() {
            if let Some(trees) = self.trees.get_mut(&lock) {
                trees.remove(index);
            }
        }
    }

    /// Depth first from `n`, if it has not been visited. Calls `leave` with each thread when all
    /// that can be reached from it have been visited.
    fn visit_from(&mut self, n: usize, mut leave: impl FnMut(usize)) {
        if !self.entries.contains_key(&n) {
            return;
        }
        self.take_out(n);
        // Which thread, and how many of its requests have been followed to the end.
        let mut path = vec![(n, 0)];
        while let Some((n, done)) = path.last_mut() {
            let node = &self.graph.threads[*n];
            let from = if self.way == Way::Forward { &node.wants } else { &node.has };
            match from.get(*done).map(|&at| self.beside(at)) {
                Some(Some(to)) => {
                    self.take_out(to);
                    path.push((to, 0));
                }
                Some(None) => *done += 1,
                None => {
                    leave(*n);
                    path.pop();
                }
            }
        }
    }
}
