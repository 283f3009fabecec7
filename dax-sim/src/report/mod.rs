//! Writes reports of a comparison: tables, plots, JSON and the page. It uses `compare` and the
//! modules below.
//!
//! A [`Report`] holds what was measured and where. Each of the modules below renders it in one
//! form.

pub(crate) mod earlier;
mod html;
pub(crate) mod json;
pub(crate) mod machine;
pub(crate) mod number;
pub(crate) mod page;
pub(crate) mod palette;
pub(crate) mod plot;
pub(crate) mod provenance;
pub(crate) mod table;
mod tables;
pub(crate) mod verdict;
pub(crate) mod words;

use std::time::Duration;

use crate::compare::Outcome;
use crate::compare::stats::{CERTAIN, Interval, Ratio, order_interval};
use crate::pmem::{Device, WriteBack};
use crate::variant::Variant;
use crate::workload::{Point, Setup, Workload};
use earlier::Earlier;
pub(crate) use machine::Host;
use machine::State;
use provenance::Provenance;

/// One comparison with its circumstances.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) run: Provenance,
    pub(crate) host: Host,
    /// What else the machine did meanwhile.
    pub(crate) state: Option<State>,
    /// What is missing, if the run was stopped.
    pub(crate) partial: Option<Partial>,
    /// The run that this one is compared with.
    pub(crate) earlier: Option<Earlier>,
    pub(crate) file: BackingFile,
    /// The planned duration of each sample.
    pub(crate) duration: Duration,
    /// The duration of the shortest sample, where preparation left less time than planned.
    pub(crate) shortest: Duration,
    pub(crate) rounds: usize,
    /// The options that override the variants, and whether reads were judged.
    pub(crate) setup: Setup,
    /// The variant to which tables and plots quote ratios.
    pub(crate) baseline: Variant,
    pub(crate) outcomes: Vec<Outcome>,
}

/// How far a run came before a signal stopped it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partial {
    pub(crate) done: usize,
    pub(crate) total: usize,
}

impl Partial {
    /// In words.
    pub(crate) fn describe(self) -> String {
        format!(
            "PARTIAL: the run was interrupted after {} of {} samples, so figures are missing or rest on fewer rounds.",
            number::count(self.done as u64),
            number::count(self.total as u64)
        )
    }
}

/// What the device was mapped from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BackingFile {
    /// `None` for a memfd, which has no path.
    pub(crate) path: Option<String>,
    pub(crate) backing: String,
    /// How its cache lines are written back, where there is a medium.
    pub(crate) write_back: Option<&'static str>,
    /// Whether a DAX file was mapped by 4 KiB pages where 2 MiB were possible.
    pub(crate) small_pages: bool,
}

impl BackingFile {
    /// What `device` was mapped from.
    pub(crate) fn of(device: &Device) -> BackingFile {
        BackingFile {
            path: device.path().map(|path| path.display().to_string()),
            backing: device.backing().name().to_owned(),
            write_back: device.write_back().map(WriteBack::name),
            small_pages: device.small_pages().is_some(),
        }
    }

    /// The path if there is one, and what stands behind it.
    pub(crate) fn describe(&self) -> String {
        let path = self.path.as_deref().unwrap_or("anonymous memory");
        let write_back = self.write_back.map_or(String::new(), |name| format!(", {name}"));
        let small = if self.small_pages { ", 4 KiB pages" } else { "" };
        format!("{path} ({}{write_back}{small})", self.backing)
    }
}

impl Report {
    /// The load model. It is stated with every comparison.
    pub(crate) const LOAD_MODEL: &str = "closed loop";

    /// What the levels of locking are made of in every variant, if options chose it.
    pub(crate) fn imposed_locks(&self) -> Option<String> {
        let levels = [("i_rwsem", self.setup.locks.i_rwsem), ("i_mmap_sem", self.setup.locks.i_mmap_sem)];
        let said: Vec<String> = levels
            .into_iter()
            .filter_map(|(level, kind)| kind.map(|kind| format!("{level} is `{kind}`")))
            .collect();
        (!said.is_empty()).then(|| format!("in every variant {}", said.join(" and ")))
    }

    /// What a reader of the stale reads must know if the run did not look for any.
    pub(crate) fn unchecked(&self) -> Option<&'static str> {
        (!self.setup.checks).then_some("No read was checked (`--no-checks`), so nothing is said of old data")
    }

    /// The outcome of one point, if it was run.
    pub(crate) fn outcome(&self, point: Point) -> Option<&Outcome> {
        self.outcomes.iter().find(|outcome| outcome.point == point)
    }

    /// How the outcome compares with the baseline at the same point, if the baseline was run.
    pub(crate) fn ratio(&self, outcome: &Outcome) -> Option<Ratio> {
        self.ratio_to(outcome, self.baseline)
    }

    /// The same with any variant.
    pub(crate) fn ratio_to(&self, outcome: &Outcome, variant: Variant) -> Option<Ratio> {
        let base = self.outcome(Point { variant, ..outcome.point })?;
        Ratio::of(&outcome.rates, &base.rates)
    }

    /// What a row of figures prints, and what the interval is.
    pub(crate) fn ratios_explained(&self) -> String {
        let Interval { dropped, confidence } = order_interval(self.rounds);
        let base = self.baseline;
        let cell = format!(
            "A factor is the throughput divided by that of {base}: the median over rounds of the ratio within each round."
        );
        let bounds = match dropped {
            _ if self.rounds == 1 => return format!("{cell} One round gives no interval."),
            0 => "from the smallest to the largest".to_owned(),
            _ => format!("without the {dropped} smallest and the {dropped} largest"),
        };
        let warning = if confidence >= CERTAIN {
            ""
        } else {
            " Fewer than 6 rounds give no interval of 95 %, so no difference is claimed."
        };
        format!(
            "{cell} The interval in brackets covers the {} rounds' ratios {bounds}. It holds the true median with \
             {:.0} %, whatever the distribution.{warning}",
            self.rounds,
            (confidence * 100.0).floor()
        )
    }

    /// Whether there are enough rounds for intervals of 95 %.
    pub(crate) fn ratios_are_certain(&self) -> bool {
        order_interval(self.rounds).confidence >= CERTAIN
    }

    /// What should make a reader doubt the figures.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let partial = self.partial.map(Partial::describe);
        let busy = self.state.as_ref().and_then(State::warning);
        partial.into_iter().chain(busy).collect()
    }

    /// The variants that were run, in the order of tables.
    pub(crate) fn variants(&self) -> Vec<Variant> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.variant))
    }

    /// The numbers of threads that were run, in ascending order.
    pub(crate) fn threads(&self) -> Vec<usize> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.threads))
    }

    /// The workloads that were run.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.workload))
    }

    /// The media times that were run, in ascending order.
    pub(crate) fn media(&self) -> Vec<Duration> {
        distinct(self.outcomes.iter().map(|outcome| outcome.point.media))
    }

    /// Each workload with each media time: one plot, or one group of rows, for each.
    pub(crate) fn panels(&self) -> Vec<(Workload, Duration)> {
        let media = self.media();
        self.workloads()
            .into_iter()
            .flat_map(|workload| media.iter().map(move |&media| (workload, media)))
            .collect()
    }

    /// The names of the plots, each in a file of its own.
    pub(crate) fn files(&self) -> Vec<String> {
        self.panels().into_iter().map(|(workload, media)| plot::file_name(workload, media)).collect()
    }

    /// The largest number of threads that was run.
    pub(crate) fn most_threads(&self) -> usize {
        self.threads().last().copied().unwrap_or(1)
    }

    /// Whether more threads than can run at once here.
    pub(crate) fn is_oversubscribed(&self, threads: usize) -> bool {
        threads > self.host.hardware_threads
    }

    /// A number of threads, with a star where it is oversubscribed.
    pub(crate) fn marked_threads(&self, threads: usize) -> String {
        format!("{threads}{}", if self.is_oversubscribed(threads) { "*" } else { "" })
    }

    /// What the star of [`Report::marked_threads`] means. `None` if no number has it.
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
    use crate::compare::stats::Spread;
    use crate::compare::{Latency, Wait};

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
            run: Provenance {
                date: "2026-11-28 22:00:00 UTC".to_owned(),
                version: "0.1.0",
                commit: "0123456789ab",
                command: "dax-sim --rounds 6".to_owned(),
            },
            host: Host {
                hardware_threads: 2,
                cpu: Some("Test <CPU> & Co".to_owned()),
                kernel: Some("6.1.0".to_owned()),
                governor: None,
            },
            file: BackingFile {
                path: Some("/dev/shm/dax-sim".to_owned()),
                backing: "tmpfs".to_owned(),
                write_back: None,
                small_pages: false,
            },
            state: Some(State { load: 0.25, others: 0.01, stolen: 0.001 }),
            partial: None,
            earlier: None,
            duration: Duration::from_millis(105),
            shortest: Duration::from_millis(105),
            rounds: 6,
            setup: Setup::default(),
            baseline: crate::compare::BASE,
            outcomes,
        }
    }

    fn outcome(point: Point) -> Outcome {
        let scales = matches!(point.variant, Variant::RangeLock | Variant::Unserialised);
        let ratio = match (scales, point.media.is_zero(), point.workload) {
            (true, false, Workload::FaultVsWrite) => point.threads as f64 * 0.9,
            (true, false, _) => point.threads as f64,
            (true, true, _) => 0.95,
            (false, ..) => 1.0,
        };
        let median = 10_000.0 * ratio;
        // The base was slow in rounds in which the others were fast.
        let rounds = [0.95, 1.05, 1.0, 0.98, 1.02, 1.0];
        let rounds =
            if point.variant == crate::compare::BASE { rounds.map(|round| 2.0 - round) } else { rounds };
        let races = point.workload == Workload::FaultVsWrite && point.variant == Variant::Linux411;
        Outcome {
            point,
            ops_per_s: Spread { median, min: median * 0.95, max: median * 1.05 },
            rates: rounds.map(|round| median * round).to_vec(),
            wait_us: Wait { p50: 0.0, p99: 52.0, max: 1234.5 },
            latency_us: (point.threads != 2).then_some(Latency {
                p50: 1.25,
                p99: 63.0,
                p999: (!point.media.is_zero()).then_some(456.0),
                max: 1300.0,
            }),
            fairness: (point.threads > 1).then_some(0.875),
            stale_reads: if races { 7 } else { 0 },
            checked_reads: if point.workload == Workload::FaultVsWrite { 1000 } else { 0 },
        }
    }
}
