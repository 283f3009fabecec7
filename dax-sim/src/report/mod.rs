//! Tables, plots, JSON and the page: everything that says what a comparison showed; it uses
//! `compare` and the rooms below.
//!
//! A [`Report`] holds what was measured and where; each of the modules below renders it in one
//! form.

pub(crate) mod json;
pub(crate) mod number;
pub(crate) mod page;
pub(crate) mod palette;
pub(crate) mod plot;
pub(crate) mod table;
pub(crate) mod verdict;
pub(crate) mod words;

use std::fs;
use std::time::Duration;

use crate::compare::Outcome;
use crate::compare::stats::{Interval, Ratio, order_interval};
use crate::pmem::Device;
use crate::variant::Variant;
use crate::workload::{Point, Setup, Workload};

/// One comparison with its circumstances.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) host: Host,
    pub(crate) file: BackingFile,
    /// How long each sample was planned to take.
    pub(crate) duration: Duration,
    /// How long the shortest one took, where preparation left less time than planned.
    pub(crate) shortest: Duration,
    pub(crate) rounds: usize,
    /// What was not left to the variants, and whether reads were judged.
    pub(crate) setup: Setup,
    /// The variant to which tables and plots quote ratios.
    pub(crate) baseline: Variant,
    pub(crate) outcomes: Vec<Outcome>,
}

/// The machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// What this process may run on at once: a container or an affinity mask may allow less than
    /// the machine has.
    pub(crate) hardware_threads: usize,
    pub(crate) cpu: Option<String>,
    pub(crate) kernel: Option<String>,
}

impl Host {
    /// The machine that the program runs on.
    pub(crate) fn detect() -> Host {
        let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        Host {
            hardware_threads: std::thread::available_parallelism().map_or(1, usize::from),
            cpu,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").ok().map(|text| text.trim().to_owned()),
        }
    }
}

/// What the device was mapped from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackingFile {
    /// `None` for a memfd, which has no path.
    pub(crate) path: Option<String>,
    pub(crate) backing: String,
}

impl BackingFile {
    /// What `device` was mapped from.
    pub(crate) fn of(device: &Device) -> BackingFile {
        BackingFile {
            path: device.path().map(|path| path.display().to_string()),
            backing: device.backing().name().to_owned(),
        }
    }

    /// The path if there is one, and what stands behind it.
    pub(crate) fn describe(&self) -> String {
        match &self.path {
            Some(path) => format!("{path} ({})", self.backing),
            None => format!("anonymous memory ({})", self.backing),
        }
    }
}

impl Report {
    /// How load was put on: stated with every comparison.
    pub(crate) const LOAD_MODEL: &str = "closed loop";

    /// What the levels of locking are made of in every variant, if that was asked for.
    pub(crate) fn imposed_locks(&self) -> Option<String> {
        let levels = [("i_rwsem", self.setup.locks.i_rwsem), ("i_mmap_sem", self.setup.locks.i_mmap_sem)];
        let said: Vec<String> = levels
            .into_iter()
            .filter_map(|(level, kind)| kind.map(|kind| format!("{level} is `{kind}`")))
            .collect();
        (!said.is_empty()).then(|| format!("in every variant {}", said.join(" and ")))
    }

    /// What a reader of the stale reads must know, if the run did not look for any.
    pub(crate) fn unchecked(&self) -> Option<&'static str> {
        (!self.setup.checks).then_some("no read was checked (`--no-checks`): nothing is said of stale reads")
    }

    /// The outcome of one point, if it was run.
    pub(crate) fn outcome(&self, point: Point) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.point == point)
    }

    /// How the outcome compares with the baseline at the same point, if that was run.
    pub(crate) fn ratio(&self, outcome: &Outcome) -> Option<Ratio> {
        self.ratio_to(outcome, self.baseline)
    }

    /// The same with any variant.
    pub(crate) fn ratio_to(&self, outcome: &Outcome, variant: Variant) -> Option<Ratio> {
        let base = self.outcome(Point { variant, ..outcome.point })?;
        Ratio::of(&outcome.rates, &base.rates)
    }

    /// Why ratios and medians need not divide exactly, and what the interval of a ratio is.
    pub(crate) fn ratios_explained(&self) -> String {
        let Interval { dropped, confidence } = order_interval(self.rounds);
        let bounds = match dropped {
            _ if self.rounds == 1 => return "One round gives no interval of a ratio.".to_owned(),
            0 => "from the smallest to the largest".to_owned(),
            _ => format!("without the {dropped} smallest and the {dropped} largest"),
        };
        format!(
            "Throughput is the median over rounds. The ratio to {} is the median of the ratios taken within each round, so \
             the two need not divide exactly. Its interval (lo–hi) is that of the {} rounds' ratios, {bounds}: it holds the true \
             median with {:.0} %, whatever the distribution.",
            self.baseline,
            self.rounds,
            confidence * 100.0
        )
    }

    /// The variants that were run, in the order of tables.
    pub(crate) fn variants(&self) -> Vec<Variant> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.variant))
    }

    /// The numbers of threads that were run, ascending.
    pub(crate) fn threads(&self) -> Vec<usize> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.threads))
    }

    /// The workloads that were run.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.workload))
    }

    /// The media times that were run, ascending.
    pub(crate) fn media(&self) -> Vec<Duration> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.media))
    }

    /// Each workload with each media time: what one plot, or one group of rows, is about.
    pub(crate) fn panels(&self) -> Vec<(Workload, Duration)> {
        let media = self.media();
        self.workloads()
            .into_iter()
            .flat_map(|workload| media.iter().map(move |&media| (workload, media)))
            .collect()
    }

    /// The most threads that were run.
    pub(crate) fn most_threads(&self) -> usize {
        self.threads().last().copied().unwrap_or(1)
    }

    /// Whether so many threads cannot all run at once here.
    pub(crate) fn is_oversubscribed(&self, threads: usize) -> bool {
        threads > self.host.hardware_threads
    }

    /// A number of threads, with a star where it is oversubscribed.
    pub(crate) fn marked_threads(&self, threads: usize) -> String {
        format!("{threads}{}", if self.is_oversubscribed(threads) { "*" } else { "" })
    }

    /// What the star of [`Report::marked_threads`] means; `None` if it was not used.
    pub(crate) fn oversubscription(&self) -> Option<String> {
        self.is_oversubscribed(self.most_threads())
            .then(|| format!("* more threads than the {}: oversubscribed", self.hardware_threads()))
    }

    /// `2 hardware threads`.
    pub(crate) fn hardware_threads(&self) -> String {
        format!(
            "{} hardware thread{}",
            self.host.hardware_threads,
            if self.host.hardware_threads == 1 { "" } else { "s" }
        )
    }

    /// How often and how long each point was sampled.
    pub(crate) fn sampling(&self) -> String {
        let rounds = format!("{} round{}", self.rounds, if self.rounds == 1 { "" } else { "s" });
        let planned = self.duration.as_millis();
        if self.shortest < self.duration {
            format!("{rounds} of {} to {planned} ms samples", self.shortest.as_millis())
        } else {
            format!("{rounds} of {planned} ms samples")
        }
    }
}

fn distinct<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items.dedup();
    items
}

#[cfg(test)]
pub(crate) mod fixture {
    //! A small comparison with fixed figures, for the tests of every form.

    use super::*;
    use crate::compare::Wait;
    use crate::compare::stats::Spread;

    /// Two threads' worth of machine; `range-lock` scales where `rwsem` does not.
    pub(crate) fn report() -> Report {
        let mut outcomes = Vec::new();
        for workload in [Workload::WriteDisjoint, Workload::FaultVsWrite] {
            for media in [Duration::ZERO, Duration::from_micros(50)] {
                for threads in [1, 2, 16] {
                    for variant in Variant::COMPARED {
                        outcomes.push(outcome(Point { workload, variant, threads, media }));
                    }
                }
            }
        }
        Report {
            host: Host {
                hardware_threads: 2,
                cpu: Some("Test <CPU> & Co".to_owned()),
                kernel: Some("6.1.0".to_owned()),
            },
            file: BackingFile { path: Some("/dev/shm/dax-sim".to_owned()), backing: "tmpfs".to_owned() },
            duration: Duration::from_millis(105),
            shortest: Duration::from_millis(105),
            rounds: 3,
            setup: Setup::default(),
            baseline: crate::compare::BASE,
            outcomes,
        }
    }

    fn outcome(point: Point) -> Outcome {
        let scales = matches!(point.variant, Variant::RangeLock | Variant::Unserialised);
        let ratio = match (scales, point.media.is_zero()) {
            (true, false) => point.threads as f64,
            (true, true) => 0.95,
            (false, _) => 1.0,
        };
        let median = 10_000.0 * ratio;
        // The base was slow where the others were fast.
        let rounds =
            if point.variant == crate::compare::BASE { [1.05, 0.95, 1.0] } else { [0.95, 1.05, 1.0] };
        let races = point.workload == Workload::FaultVsWrite && point.variant == Variant::Linux411;
        Outcome {
            point,
            ops_per_s: Spread { median, min: median * 0.95, max: median * 1.05 },
            rates: rounds.map(|round| median * round).to_vec(),
            wait_us: Wait { p50: 0.0, p99: 52.0, max: 1234.5 },
            stale_reads: if races { 7 } else { 0 },
            checked_reads: if point.workload == Workload::FaultVsWrite { 1000 } else { 0 },
        }
    }
}
