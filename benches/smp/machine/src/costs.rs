//! What each step of the machine costs, in picoseconds of virtual time.

use crate::Ps;

/// One nanosecond.
pub const NS: Ps = 1_000;

/// One microsecond.
pub const US: Ps = 1_000 * NS;

/// What each step costs. All times are in picoseconds.
///
/// `transfer`, `hit` and `locked` describe the memory; they matter most. The costs of the kernel
/// are those of a futex, a timer and the scheduler of Linux on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// A transfer of a line, or its invalidation: within a cluster, within a socket, between
    /// sockets.
    pub transfer: [Ps; 3],
    /// An access that hits, with the instructions around it.
    pub hit: Ps,
    /// What a locked instruction costs besides its hit or miss.
    pub locked: Ps,
    /// How long a line stays with the CPU that got it exclusively, at least.
    pub hold: Ps,
    /// How long the home of a line is busy with one reader of a shared line.
    pub occupancy: Ps,
    /// What the invalidation of each sharer adds.
    pub per_sharer: Ps,
    /// The first fetch of a line, from memory.
    pub memory: Ps,
    /// One turn of the pause instruction.
    pub pause: Ps,
    /// Entering and leaving the kernel, with a futex's lookup.
    pub syscall: Ps,
    /// From the call of a blocking futex wait until the CPU is free.
    pub sleep: Ps,
    /// What a waker pays for each thread that it wakes up.
    pub wake: Ps,
    /// From the wake-up until the thread runs, on an idle CPU.
    pub wake_latency: Ps,
    /// By how much the kernel delays a timer.
    pub timer_slack: Ps,
    /// Reading the clock.
    pub clock: Ps,
    /// `sched_yield` with no other thread to run.
    pub sched_yield: Ps,
    /// From one thread to another on the same CPU.
    pub context_switch: Ps,
    /// How long a thread runs while another waits for its CPU, times 1 with one CPU, 2 with two, 3
    /// with four, and 4 with eight or more: see `update_sysctl` in Linux's `kernel/sched/fair.c`.
    pub time_slice: Ps,
    /// One allocation or one release of memory.
    pub malloc: Ps,
    /// Latencies vary by up to this many percent, up and down.
    pub jitter: u32,
}

impl Costs {
    /// A server of one socket whose CPUs exchange a line within 80 ns.
    pub const SERVER: Costs = Costs {
        transfer: [40 * NS, 40 * NS, 130 * NS],
        hit: 60,
        locked: 4_600,
        hold: 5 * NS,
        occupancy: 4 * NS,
        per_sharer: 300,
        memory: 80 * NS,
        pause: 26 * NS,
        syscall: 150 * NS,
        sleep: 1_200 * NS,
        wake: 1_200 * NS,
        wake_latency: 5 * US,
        timer_slack: 55 * US,
        clock: 20 * NS,
        sched_yield: 300 * NS,
        context_switch: 1_500 * NS,
        time_slice: 700 * US,
        malloc: 20 * NS,
        jitter: 20,
    };

    /// The same with other latencies of a transfer.
    pub const fn with_transfer(mut self, cluster: Ps, socket: Ps, machine: Ps) -> Self {
        self.transfer = [cluster, socket, machine];
        self
    }
}
