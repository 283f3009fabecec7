//! The medium behind a device: persistent memory, DRAM or memory behind CXL.
//!
//! Lines of the device are not kept in the directory: there are too many, and copies go over them
//! in streams. For each line the medium records the CPU that touched it last, and whether it is
//! dirty. So two CPUs that read one page take its lines from each other, and requests for a line do
//! not queue.
//!
//! All CPUs of a socket share its bandwidth, separately for reads and for writes. The lines of a
//! step of a copy take their shares together, after the shares of the step before, whichever CPU
//! made it. The CPU waits until then.

use std::ops::Range;
use std::str::FromStr;

use crate::Ps;
use crate::costs::NS;

/// The costs of the lines of a device, in picoseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Medium {
    /// Its name on the command line.
    pub name: &'static str,
    /// What the medium stands for, and the source of its figures.
    pub what: &'static str,
    /// A line that the CPU touched last, in a copy.
    pub held: Ps,
    /// The first line of a copy's first step that comes from the medium, and a single word.
    pub latency: Ps,
    /// Each further line of the copy.
    pub read: Ps,
    /// A line that a copy writes.
    pub write: Ps,
    /// How long a line occupies the medium of a socket, for a read and for a write.
    pub shares: [Ps; 2],
    /// Whether copies to it go past the caches, and data in the caches must be written back: the
    /// cost of a line, and of the fence that waits for it.
    pub durable: Option<[Ps; 2]>,
}

const MEDIA: [Medium; 3] = [
    Medium {
        name: "dram",
        what: "DRAM, not durable. Held: 4 KiB copied in 115 ns as measured. Latency 100 ns, a stream of one CPU \
               12 GB/s, of a socket 150 and 75 GB/s: guesses",
        held: 1_700,
        latency: 100 * NS,
        read: 5_000,
        write: 5_000,
        shares: [430, 850],
        durable: None,
    },
    Medium {
        name: "optane",
        what: "six Optane DIMMs a socket. Latency 305 ns, read 39.4 GB/s, full with 17 CPUs, write 13.9 GB/s, \
               full with 4: Yang and others, FAST 2020, and Izraelevitz and others, 2019. Write-back and fence 62 ns",
        held: 1_700,
        latency: 305 * NS,
        read: 27_600,
        write: 18_400,
        shares: [1_620, 4_600],
        durable: Some([5 * NS, 57 * NS]),
    },
    Medium {
        name: "cxl",
        what: "durable memory behind one CXL link of 8 lanes a socket. Latency 250 ns (2 to 5 times DRAM, arXiv \
               2405.14209), 30 GB/s each way, one CPU 5 GB/s: guesses",
        held: 1_700,
        latency: 250 * NS,
        read: 12_500,
        write: 12_500,
        shares: [2_130, 2_130],
        durable: Some([5 * NS, 140 * NS]),
    },
];

impl Medium {
    /// All presets.
    pub fn presets() -> &'static [Medium] {
        &MEDIA
    }

    /// The first preset.
    pub fn dram() -> Medium {
        MEDIA[0].clone()
    }
}

impl FromStr for Medium {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = MEDIA.iter().find(|medium| medium.name == name).cloned();
        let names = MEDIA.iter().map(|medium| medium.name).collect::<Vec<_>>();
        found.ok_or_else(|| format!("no medium is called {name:?}: choose of {}", names.join(", ")))
    }
}

/// A bit in the word of a line: it must be written back.
const DIRTY: u16 = 1 << 15;

/// The medium of a run.
#[derive(Debug)]
pub(crate) struct Lines {
    medium: Medium,
    /// The number of the first line.
    first: u64,
    /// For each line: the number of the CPU that touched it last, from 1. 0 if the line is in no
    /// cache.
    holders: Vec<u16>,
    /// For each CPU: its socket, and when everything that it has written back is durable.
    cpus: Vec<(usize, Ps)>,
    /// For each socket: when its medium is free for the next read, and for the next write.
    free: Vec<[Ps; 2]>,
    /// How many lines were read from the medium, and written to it.
    pub(crate) moved: [u64; 2],
}

/// How a line is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Touch {
    /// By a step of a copy: the first one, or one for which the CPU has asked ahead.
    Stream { write: bool, is_first: bool },
    /// By a load or a store.
    Word { write: bool },
}

impl Lines {
    /// The medium of a device at these addresses, for CPUs in these sockets.
    pub(crate) fn new(medium: Medium, addresses: Range<usize>, sockets: Vec<usize>) -> Self {
        let most = sockets.iter().copied().max().unwrap_or(0);
        Lines {
            medium,
            first: addresses.start as u64 / 64,
            holders: vec![0; addresses.len().div_ceil(64)],
            cpus: sockets.into_iter().map(|socket| (socket, 0)).collect(),
            free: vec![[0; 2]; most + 1],
            moved: [0; 2],
        }
    }

    /// Whether the line is one of the device.
    #[inline]
    pub(crate) fn contains(&self, line: u64) -> bool {
        line.wrapping_sub(self.first) < self.holders.len() as u64
    }

    /// Takes the shares of `lines` lines that a CPU reads, and of those that it writes, from `now`
    /// on. Returns when the medium has moved them.
    fn moves(&mut self, cpu: usize, lines: [u64; 2], now: Ps) -> Ps {
        let free = &mut self.free[self.cpus[cpu].0];
        let mut done = now;
        for way in [0, 1] {
            if lines[way] != 0 {
                self.moved[way] += lines[way];
                free[way] = now.max(free[way]) + lines[way] * self.medium.shares[way];
                done = done.max(free[way]);
            }
        }
        done
    }

    /// Touches lines of the device for a CPU, `transfer` away from other CPUs. Returns when it is
    /// done.
    pub(crate) fn touch(
        &mut self,
        cpu: usize,
        lines: Range<u64>,
        touch: Touch,
        now: Ps,
        transfer: impl Fn(usize) -> Ps,
    ) -> Ps {
        /// How many transfers of a copy are under way at a time.
        const AT_ONCE: u64 = 10;
        // When the CPU would be done if it had the medium to itself, and what comes from there.
        let (mut at, mut moved) = (now, [0; 2]);
        let me = cpu as u16 + 1;
        let mut first = matches!(touch, Touch::Stream { is_first: true, .. });
        for line in lines {
            let line = (line - self.first) as usize;
            let holder = self.holders[line] & !DIRTY;
            let dirty = self.holders[line] & DIRTY;
            match touch {
                Touch::Stream { write: true, .. } if self.medium.durable.is_some() => {
                    at += self.medium.write;
                    moved[1] += 1;
                    self.holders[line] = 0;
                }
                Touch::Stream { write, .. } => {
                    at += match holder {
                        0 if write => self.medium.write,
                        0 if first => self.medium.latency,
                        0 => self.medium.read,
                        holder if holder == me => self.medium.held,
                        other => self.medium.held.max(transfer(usize::from(other) - 1) / AT_ONCE),
                    };
                    moved[usize::from(write)] += u64::from(holder == 0);
                    first &= holder != 0;
                    self.holders[line] = me | if write { DIRTY } else { dirty };
                }
                Touch::Word { write } => {
                    at += match holder {
                        0 => self.medium.latency,
                        holder if holder == me => 0,
                        other => transfer(usize::from(other) - 1),
                    };
                    moved[0] += u64::from(holder == 0);
                    self.holders[line] = me | if write { DIRTY } else { dirty };
                }
            }
        }
        at.max(self.moves(cpu, moved, now))
    }

    /// Writes lines back for a CPU. Returns when the CPU goes on.
    pub(crate) fn write_back(&mut self, cpu: usize, lines: Range<u64>, now: Ps) -> Ps {
        let Some([line_cost, _]) = self.medium.durable else { return now };
        let (mut at, mut moved) = (now, 0);
        for line in lines {
            let line = (line - self.first) as usize;
            at += self.medium.held;
            if self.holders[line] & DIRTY != 0 {
                self.holders[line] &= !DIRTY;
                at += line_cost;
                moved += 1;
            }
        }
        if moved != 0 {
            let durable = at.max(self.moves(cpu, [0, moved], now));
            self.cpus[cpu].1 = self.cpus[cpu].1.max(durable);
        }
        at
    }

    /// Waits for what a CPU has written back. Returns when it is durable.
    pub(crate) fn fence(&mut self, cpu: usize, now: Ps) -> Ps {
        let Some([_, fence]) = self.medium.durable else { return now };
        match std::mem::take(&mut self.cpus[cpu].1) {
            0 => now,
            durable => durable.max(now + fence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(name: &str, cpus: usize) -> Lines {
        Lines::new(name.parse().unwrap(), 0..64 * 1024, vec![0; cpus])
    }

    fn touch(lines: &mut Lines, cpu: usize, write: bool, now: Ps) -> Ps {
        lines.touch(cpu, 0..64, Touch::Stream { write, is_first: true }, now, |_| 40 * NS) - now
    }

    #[test]
    fn a_page_costs_what_its_lines_do() {
        let mut dram = lines("dram", 2);
        assert_eq!(touch(&mut dram, 0, true, 0), 64 * 5_000, "it is in no cache");
        assert_eq!(touch(&mut dram, 0, true, 1 << 40), 64 * 1_700, "it stays in the cache");
        assert_eq!(touch(&mut dram, 1, false, 1 << 41), 64 * 4_000, "another CPU has it");
        let mut optane = lines("optane", 2);
        // At different times, or the second write would wait for the medium.
        for now in [1 << 40, 1 << 41] {
            assert_eq!(touch(&mut optane, 0, true, now), 64 * 18_400, "it goes past the caches");
        }
        assert_eq!(touch(&mut optane, 0, false, 1 << 42), 305 * NS + 63 * 27_600);
        let later = Touch::Stream { write: false, is_first: false };
        let done = optane.touch(1, 64..72, later, 1 << 43, |_| 0);
        assert_eq!(done - (1 << 43), 8 * 27_600, "the CPU has asked ahead");
    }

    #[test]
    fn cpus_of_a_socket_share_its_bandwidth() {
        let alone = touch(&mut lines("optane", 1), 0, true, 0);
        for (cpus, slower) in [(4, 1.0), (16, 4.0)] {
            let mut optane = lines("optane", cpus);
            // In steps, as the machine copies.
            let mut ends = vec![0; cpus];
            for line in (0..64).step_by(8) {
                for (cpu, end) in ends.iter_mut().enumerate() {
                    let step = Touch::Stream { write: true, is_first: line == 0 };
                    *end = optane.touch(cpu, line..line + 8, step, *end, |_| 0);
                }
            }
            let last = ends.into_iter().max().unwrap() as f64 / alone as f64;
            assert!((slower * 0.94..slower * 1.06).contains(&last), "{cpus} CPUs: {last}");
        }
    }

    #[test]
    fn a_fence_waits_for_what_was_written_back_and_for_nothing_else() {
        let mut optane = lines("optane", 1);
        assert_eq!(optane.fence(0, 7), 7);
        let stored = optane.touch(0, 3..4, Touch::Word { write: true }, 0, |_| 0);
        let written = optane.write_back(0, 3..4, stored);
        assert_eq!(optane.fence(0, written), written + 57 * NS);
        assert_eq!(optane.fence(0, 1 << 40), 1 << 40);
        let clean = optane.write_back(0, 3..4, 1 << 40);
        assert_eq!(optane.fence(0, clean), clean, "it is clean");
        assert_eq!(lines("dram", 1).write_back(0, 0..64, 5), 5);
    }
}
