//! The directory of lines: which CPU has a copy of a line, and how long a request takes.
//!
//! The protocol is MESI with a home for each line that serves one request at a time. This module is
//! pure: a request names its time, and the answer is the time of its arrival.
//!
//! Invariant: at every instant either one CPU may write a line, or any number of CPUs may read it.
//! A copy that is taken away remains usable until the message reaches it. A copy that is given is
//! usable from its arrival on. Requests of one line are passed in the order of their times.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasherDefault, Hasher};

use crate::machine::{Directory, MOST_CPUS, Machine};
use crate::topology::Distance;
use crate::{Costs, Ps};

/// A set of CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set([u64; MOST_CPUS / 64]);

impl Set {
    fn contains(&self, cpu: usize) -> bool {
        self.0[cpu / 64] >> (cpu % 64) & 1 != 0
    }

    fn insert(&mut self, cpu: usize) {
        self.0[cpu / 64] |= 1 << (cpu % 64);
    }

    fn remove(&mut self, cpu: usize) {
        self.0[cpu / 64] &= !(1 << (cpu % 64));
    }

    fn len(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    fn is_empty(&self) -> bool {
        self.0 == [0; MOST_CPUS / 64]
    }

    fn meets(&self, other: &Set) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }

    fn is_within(&self, other: &Set) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & !b == 0)
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(i, mut word)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as usize;
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(i * 64 + bit)
            })
        })
    }
}

/// A hash of a number by one multiplication.
#[derive(Default)]
pub(crate) struct Multiply(u64);

impl Hasher for Multiply {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }

    fn write_usize(&mut self, n: usize) {
        self.write_u64(n as u64);
    }
}

/// A map whose order of iteration is the same in every process.
pub(crate) type Map<K, V> = HashMap<K, V, BuildHasherDefault<Multiply>>;

/// A copy that is being taken away.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    cpu: u16,
    until: Ps,
    exclusive: bool,
}

/// How many locked instructions of a line are recorded.
const AHEAD: usize = 8;

/// One line.
#[derive(Clone, Debug, Default)]
struct Line {
    /// The CPU that may write it.
    owner: Option<u16>,
    /// The CPUs that may read it, if there is no owner.
    sharers: Set,
    /// When its home can begin the next request.
    busy: Ps,
    /// The last locked instructions: a request that comes during one waits for its end. The owner
    /// runs ahead of other CPUs by less than [`AHEAD`] of them.
    locked: [(Ps, Ps); AHEAD],
    leaving: Vec<Leaving>,
    /// When a CPU last asked for the line exclusively.
    claimed: Ps,
    /// When a CPU last made its owner share it, and which CPU.
    shared: (Ps, u16),
    /// When the home began to serve this request.
    began: Ps,
    /// Readers with copies under way, and the arrivals.
    arriving: Vec<(u16, Ps)>,
    tally: Tally,
}

/// What happened to a line.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) misses: u64,
    pub(crate) locked: u64,
    pub(crate) waited: Ps,
}

/// A request for a line.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request {
    pub(crate) cpu: usize,
    /// The number of the line: its address divided by 64.
    pub(crate) line: u64,
    pub(crate) write: bool,
    pub(crate) at: Ps,
    /// The factor of latencies, in 1/65536.
    pub(crate) vary: u64,
    /// Other copies end as soon as they can: the request is a store that its CPU does not wait for.
    pub(crate) at_once: bool,
    /// How long before `at` the CPU could have sent it. It was not sent before the CPU last lost
    /// the line.
    pub(crate) lead: Ps,
}

/// The factor of latencies that do not vary.
#[cfg(test)]
pub(crate) const UNVARIED: u64 = 1 << 16;

/// The lines of a machine.
#[derive(Debug)]
pub(crate) struct Lines {
    lines: Map<u64, Line>,
    /// For each CPU: the CPUs in its cluster, and the CPUs in its socket.
    near: Vec<[Set; 2]>,
    distance: Vec<u8>,
    cpus: usize,
    costs: Costs,
    pipelined: bool,
}

impl Lines {
    pub(crate) fn new(machine: &Machine) -> Self {
        let cpus = machine.cpus;
        let mut near = vec![[Set::default(); 2]; cpus];
        let mut distance = Vec::with_capacity(cpus * cpus);
        for (a, sets) in near.iter_mut().enumerate() {
            for b in 0..cpus {
                let far = machine.topology.distance(a, b);
                distance.push(far as u8);
                if far <= Distance::Cluster {
                    sets[0].insert(b);
                }
                if far <= Distance::Socket {
                    sets[1].insert(b);
                }
            }
        }
        Lines {
            lines: Map::default(),
            near,
            distance,
            cpus,
            costs: machine.costs.clone(),
            pipelined: machine.directory == Directory::Pipelined,
        }
    }

    /// How far apart two CPUs are, as an index of [`Costs::transfer`].
    pub(crate) fn distance(&self, a: usize, b: usize) -> usize {
        usize::from(self.distance[a * self.cpus + b])
    }

    /// Whether a CPU can use its copy from `at` until `until`.
    #[inline]
    pub(crate) fn has(&self, cpu: usize, line: u64, write: bool, until: Ps) -> bool {
        let Some(line) = self.lines.get(&line) else { return false };
        line.owner == Some(cpu as u16)
            || (!write && line.sharers.contains(cpu))
            || line.leaving.iter().any(|l| l.cpu == cpu as u16 && until < l.until && (l.exclusive || !write))
    }

    /// Keeps a line with its owner while a locked instruction lasts.
    pub(crate) fn keep(&mut self, line: u64, from: Ps, until: Ps) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.locked[line.tally.locked as usize % AHEAD] = (from, until);
            line.tally.locked += 1;
        }
    }

    /// How long, from a time on, no request of that time or a later one takes a copy away.
    pub(crate) fn safe(&self) -> Ps {
        let nearest = self.costs.transfer.iter().min().copied().unwrap_or(0);
        nearest * u64::from(100 - self.costs.jitter) / 100 * self.costs.keeps / 100
    }

    /// Keeps a line that a store took from other CPUs at least until this time.
    pub(crate) fn delay(&mut self, line: u64, until: Ps) {
        if let Some(line) = self.lines.get_mut(&line) {
            line.busy = line.busy.max(until);
        }
    }

    /// Fetches a line that the CPU does not have in this mode. Returns when it arrives.
    pub(crate) fn fetch(&mut self, request: Request) -> Ps {
        let Request { cpu, line, write, at, vary, at_once, lead } = request;
        let Costs { transfer, hold, keeps, occupancy, per_sharer, memory, .. } = self.costs;
        let soon = at + self.safe();
        let kept = |latency: Ps| latency * keeps / 100;
        let varied = |ps: Ps| (ps * vary) >> 16;
        let [cluster, socket] = self.near[cpu];
        let row = &self.distance[cpu * self.cpus..][..self.cpus];
        let distance = |other: usize| usize::from(row[other]);
        let line = match self.lines.entry(line) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Line::default()),
        };
        line.leaving.retain(|l| at < l.until);
        line.arriving.retain(|&(_, arrival)| at < arrival);
        let during = line.locked.iter().find(|&&(from, until)| from <= at && at < until);
        let until = during.map_or(0, |&(_, until)| until);
        let (shared, by) = line.shared;
        let lost = if usize::from(by) == cpu { line.claimed } else { line.claimed.max(shared) };
        let sent = at.saturating_sub(lead).max(lost);
        // A CPU that executes ahead asks for the line in the mode that its next access needs.
        let together =
            lead != 0 && write && line.owner.is_none() && usize::from(by) == cpu && line.sharers.len() == 2;
        let busy = if together { line.began } else { line.busy };
        let start = sent.max(busy).max(until);
        if write {
            line.claimed = at;
        } else if line.owner.is_some() {
            line.shared = (at, cpu as u16);
            line.began = start;
        }
        // With a pipelined home the request has come half of its way while it waited.
        let ahead = |latency: Ps| if self.pipelined { (start - sent).min(latency / 2) } else { 0 };
        let arrival;
        if let Some(owner) = line.owner {
            let latency = varied(transfer[distance(usize::from(owner))]);
            arrival = (start + latency - ahead(latency)).max(at);
            let leaves = (start + kept(latency) - ahead(latency).min(kept(latency))).max(at);
            let until = if at_once { soon.min(leaves) } else { leaves };
            line.leaving.push(Leaving { cpu: owner, until, exclusive: true });
            if write {
                line.owner = Some(cpu as u16);
                line.busy = arrival + hold;
            } else {
                line.owner = None;
                line.sharers.insert(usize::from(owner));
                line.sharers.insert(cpu);
                line.busy = arrival;
                line.arriving.push((cpu as u16, arrival));
            }
        } else if line.sharers.is_empty() {
            // From memory. A reader gets it exclusively, too.
            arrival = (start + varied(memory)).max(at);
            line.owner = Some(cpu as u16);
            line.busy = arrival + hold;
        } else if write {
            let mut others = line.sharers;
            let upgrade = others.contains(cpu);
            others.remove(cpu);
            let farthest = if others.is_empty() || others.is_within(&cluster) {
                0
            } else if others.is_within(&socket) {
                1
            } else {
                2
            };
            let latency = if others.is_empty() && upgrade {
                varied(transfer[0] / 2)
            } else {
                varied(transfer[farthest]) + others.len() * per_sharer
            };
            let mut last = (start + latency - ahead(latency)).max(at);
            for other in others.iter() {
                let mut until = start + kept(varied(transfer[distance(other)]).min(latency));
                until = (until - ahead(latency).min(kept(latency))).max(at);
                if at_once {
                    until = until.min(soon);
                }
                // A copy under way is used once, at its arrival, before it is taken away.
                if let Some(&(_, arrives)) = line.arriving.iter().find(|a| usize::from(a.0) == other) {
                    until = until.max(arrives + 1);
                }
                last = last.max(until);
                if at < until {
                    line.leaving.push(Leaving { cpu: other as u16, until, exclusive: false });
                }
            }
            arrival = last;
            line.sharers = Set::default();
            line.arriving.clear();
            line.owner = Some(cpu as u16);
            line.busy = arrival + hold;
        } else {
            let nearest = if line.sharers.meets(&cluster) {
                0
            } else if line.sharers.meets(&socket) {
                1
            } else {
                2
            };
            let latency = varied(transfer[nearest]);
            arrival = (start + latency - ahead(latency)).max(at);
            line.busy = start + occupancy;
            line.sharers.insert(cpu);
            line.arriving.push((cpu as u16, arrival));
        }
        line.tally.misses += 1;
        line.tally.waited += arrival - at;
        arrival
    }

    /// The tallies of all lines that were fetched.
    pub(crate) fn tallies(&self) -> impl Iterator<Item = (u64, Tally)> {
        self.lines.iter().map(|(&line, l)| (line, l.tally))
    }
}

#[cfg(test)]
mod tests;
