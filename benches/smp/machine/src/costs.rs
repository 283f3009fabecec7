//! The cost of each step of the machine, in picoseconds of virtual time.

use crate::Ps;
use crate::overlap::MOST_AHEAD;

/// One nanosecond.
pub const NS: Ps = 1_000;

/// One microsecond.
pub const US: Ps = 1_000 * NS;

/// The cost of each step. All times are in picoseconds.
///
/// `transfer`, `hit` and `locked` describe the memory and matter most. The costs of the kernel are
/// those of a futex, a timer and the scheduler of Linux on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Costs {
    /// A transfer of a line, or its invalidation: within a cluster, within a socket, between
    /// sockets.
    pub transfer: [Ps; 3],
    /// An access that hits, with the instructions around it.
    pub hit: Ps,
    /// A locked instruction, besides its hit or miss.
    pub locked: Ps,
    /// With [`Overlap::Ahead`](crate::Overlap::Ahead): how many locked instructions a CPU executes
    /// ahead, from 1 to 64.
    pub window: usize,
    /// The same: how many loads after a locked instruction an address may depend on and still be
    /// known ahead.
    pub known: usize,
    /// For how many percent of a transfer the CPU that loses the line can still use it.
    pub keeps: u64,
    /// How long a line stays at least with the CPU that got it exclusively.
    pub hold: Ps,
    /// How long the home of a line is busy with one reader of a shared line.
    pub occupancy: Ps,
    /// The additional cost of the invalidation for each sharer.
    pub per_sharer: Ps,
    /// The first fetch of a line, from memory.
    pub memory: Ps,
    /// One turn of the pause instruction.
    pub pause: Ps,
    /// Entering and leaving the kernel, with a futex's lookup.
    pub syscall: Ps,
    /// From the call of a blocking futex wait until the CPU is free.
    pub sleep: Ps,
    /// A waker's cost for each thread that it wakes up.
    pub wake: Ps,
    /// From the wake-up until the thread runs, on an idle CPU.
    pub wake_latency: Ps,
    /// How long the kernel delays a timer.
    pub timer_slack: Ps,
    /// The same for a thread with the smallest timer slack.
    pub timer_latency: Ps,
    /// Reading the clock.
    pub clock: Ps,
    /// `sched_yield` with no other thread to run.
    pub sched_yield: Ps,
    /// From one thread to another on the same CPU.
    pub context_switch: Ps,
    /// How long a thread runs while another waits for its CPU. The value is multiplied by 1 with
    /// one CPU, 2 with two, 3 with four, and 4 with eight or more: see `update_sysctl` in Linux's
    /// `kernel/sched/fair.c`.
    pub time_slice: Ps,
    /// One allocation or one release of memory.
    pub malloc: Ps,
    /// Latencies vary by up to this many percent, up and down.
    pub jitter: u32,
    /// Whether accesses that hit run ahead of events of other CPUs that cannot yet affect them.
    /// Lookahead makes simulations several times as fast.
    pub lookahead: bool,
}

impl Costs {
    /// A server of one socket whose CPUs exchange a line within 80 ns.
    pub const SERVER: Costs = Costs {
        transfer: [40 * NS, 40 * NS, 130 * NS],
        hit: 60,
        locked: 4_600,
        window: 6,
        known: 4,
        keeps: 50,
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
        timer_latency: 5 * US,
        clock: 20 * NS,
        sched_yield: 300 * NS,
        context_switch: 1_500 * NS,
        time_slice: 700 * US,
        malloc: 20 * NS,
        jitter: 20,
        lookahead: true,
    };

    /// The same costs with other latencies of a transfer.
    pub const fn with_transfer(mut self, cluster: Ps, socket: Ps, machine: Ps) -> Self {
        self.transfer = [cluster, socket, machine];
        self
    }

    /// The same costs with one changed, by its name: in nanoseconds, or the unit of the field.
    /// `transfer` sets all distances.
    ///
    /// # Errors
    ///
    /// If no cost has this name, or the value is outside its bounds.
    pub fn with(mut self, name: &str, value: f64) -> Result<Self, String> {
        let (least, most) = match name {
            "window" => (1.0, MOST_AHEAD as f64),
            "keeps" | "jitter" => (0.0, 100.0),
            _ => (0.0, 1e12),
        };
        if !(least..=most).contains(&value) {
            return Err(format!("give {least} to {most}"));
        }
        let ps = (value * NS as f64).round() as Ps;
        macro_rules! set {
            ($($field:ident)*) => {
                match name {
                    "transfer" => self.transfer = [ps; 3],
                    "window" => self.window = value as usize,
                    "known" => self.known = value as usize,
                    "keeps" => self.keeps = value as u64,
                    "jitter" => self.jitter = value as u32,
                    "lookahead" => self.lookahead = value != 0.0,
                    $(stringify!($field) => self.$field = ps,)*
                    _ => {
                        let all = ["transfer", "window", "known", "keeps", "jitter", "lookahead", $(stringify!($field)),*];
                        return Err(format!("no cost is called {name:?}: choose of {}", all.join(", ")));
                    }
                }
            };
        }
        set!(hit locked hold occupancy per_sharer memory pause syscall sleep wake wake_latency timer_slack
            timer_latency clock sched_yield context_switch time_slice malloc);
        // A line stays at least as long as a locked instruction.
        self.hold = self.hold.max(self.locked);
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_set_by_name() {
        let costs = Costs::SERVER.with("hit", 0.25).and_then(|c| c.with("keeps", 60.0)).unwrap();
        assert_eq!((costs.hit, costs.keeps, costs.locked), (250, 60, Costs::SERVER.locked));
        assert!(Costs::SERVER.with("hits", 1.0).unwrap_err().contains("choose of"));
        for (name, value) in
            [("hit", -1.0), ("hit", f64::NAN), ("window", 0.0), ("window", 65.0), ("keeps", 101.0)]
        {
            assert!(Costs::SERVER.with(name, value).unwrap_err().contains("give"), "{name}={value}");
        }
    }
}
