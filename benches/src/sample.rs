//! What was measured, in the form in which a file keeps it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::placement::Placement;

/// One measurement of one rival.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sample {
    /// The workload's name.
    pub workload: String,
    /// The number of threads.
    pub threads: usize,
    /// The rival's name.
    pub rival: String,
    /// The round. Samples of one round were taken one after the other.
    pub round: usize,
    /// The time in which a cache line changed hands before and after the sample. `None` if there is
    /// only one CPU.
    pub hand_over_ns: Option<[f64; 2]>,
    /// All threads' operations per second, from the first one's start to the last one's end, each
    /// by its own clock.
    pub ops_per_s: f64,
    /// The operations of the slowest thread divided by those of the fastest.
    pub fairness: f64,
    /// How long requests waited, if the workload measures it.
    pub wait_us: Option<Waits>,
}

/// How long requests waited, in microseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Waits {
    /// Median.
    pub p50: f64,
    /// 99th percentile.
    pub p99: f64,
    /// The longest wait.
    pub max: f64,
}

impl Sample {
    /// How far the CPUs were from each other. `None` if that changed meanwhile. With one CPU
    /// everything is near.
    pub fn placement(&self) -> Option<Placement> {
        let Some([before, after]) = self.hand_over_ns else { return Some(Placement::Near) };
        let (before, after) = (Placement::of(before), Placement::of(after));
        (before == after).then_some(before)
    }
}

/// The size of a rival, in bytes.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Footprint {
    /// The rival's name.
    pub rival: String,
    /// The lock itself.
    pub lock: usize,
    /// What a new lock keeps on the heap, as far as the allocator reports it.
    pub heap: Option<usize>,
    /// A read guard and a write guard.
    pub guards: [usize; 2],
    /// The heap for each range held, as far as the allocator reports it. `None` if the rival cannot
    /// hold many.
    pub per_range: Option<f64>,
}

/// The machine.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Host {
    /// How many CPUs the program may use.
    pub hardware_threads: usize,
    /// The processor's name.
    pub cpu: String,
    /// The kernel's release.
    pub kernel: String,
}

impl Host {
    /// The machine that this program runs on.
    pub fn this() -> Host {
        let cpu = fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("model name"))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        });
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
        Host {
            hardware_threads: crate::placement::cpus().len(),
            cpu: cpu.unwrap_or_else(|| "unknown processor".to_owned()),
            kernel: kernel.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned()),
        }
    }
}

/// Everything that was measured on one machine.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Record {
    /// The machine.
    pub host: Host,
    /// How long a sample took, in milliseconds. Samples of some workloads took a multiple of it.
    pub millis: u64,
    /// The samples of speed.
    pub samples: Vec<Sample>,
    /// The sizes of the rivals.
    pub footprints: Vec<Footprint>,
}

impl Record {
    /// Reads a record from a file.
    ///
    /// # Errors
    ///
    /// If there is no such file, or the file holds something else.
    pub fn read(path: &Path) -> io::Result<Record> {
        Ok(serde_json::from_slice(&fs::read(path)?)?)
    }

    /// Writes the record to a file.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.push(b'\n');
        fs::write(path, bytes)
    }

    /// The number of the next round.
    pub fn next_round(&self) -> usize {
        self.samples.iter().map(|sample| sample.round + 1).max().unwrap_or(0)
    }

    /// Adds what another run has measured, as further rounds.
    pub fn add(&mut self, other: Record) {
        let first = self.next_round();
        self.millis = other.millis;
        self.samples
            .extend(other.samples.into_iter().map(|sample| Sample { round: first + sample.round, ..sample }));
        let new: BTreeSet<String> = other.footprints.iter().map(|of| of.rival.clone()).collect();
        self.footprints.retain(|of| !new.contains(&of.rival));
        self.footprints.extend(other.footprints);
    }

    /// The samples of one cell in one state of the machine.
    pub fn of<'a>(&'a self, cell: CellName<'a>, rival: &'a str) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.workload == cell.workload
                && sample.threads == cell.threads
                && sample.rival == rival
                && sample.placement() == Some(cell.placement)
        })
    }

    /// The figure of one cell.
    pub fn spread<'a>(
        &'a self,
        cell: CellName<'a>,
        rival: &'a str,
        value: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Spread> {
        Spread::of(self.of(cell, rival).filter_map(value).collect())
    }

    /// The median over rounds of one rival's value divided by another's in the same round.
    pub fn ratio<'a>(
        &'a self,
        (cell, rival): (CellName<'a>, &'a str),
        (base_cell, base): (CellName<'a>, &'a str),
        value: impl Fn(&Sample) -> Option<f64>,
    ) -> Option<Spread> {
        let of_round = |round| self.of(base_cell, base).find(move |sample| sample.round == round);
        let ratios = self.of(cell, rival).filter_map(|sample| {
            let base = value(of_round(sample.round)?)?;
            (base > 0.0).then_some(value(sample)? / base)
        });
        Spread::of(ratios.collect())
    }
}

/// A workload with a number of threads, in one state of the machine.
#[derive(Clone, Copy, Debug)]
pub struct CellName<'a> {
    /// The workload's name.
    pub workload: &'a str,
    /// The number of threads.
    pub threads: usize,
    /// How far the CPUs are from each other.
    pub placement: Placement,
}

/// A median, with the smallest and the largest value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The middle value, or the mean of the two middle ones.
    pub median: f64,
    /// The smallest value.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// How many values there are.
    pub count: usize,
}

impl Spread {
    /// The spread of `values`, or `None` if there are none.
    pub fn of(mut values: Vec<f64>) -> Option<Spread> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            1 => values[middle],
            _ => f64::midpoint(values[middle - 1], values[middle]),
        };
        Some(Spread { median, min, max, count: values.len() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(rival: &str, round: usize, ops_per_s: f64, hand_over_ns: [f64; 2]) -> Sample {
        Sample {
            workload: "W3".to_owned(),
            threads: 2,
            rival: rival.to_owned(),
            round,
            hand_over_ns: Some(hand_over_ns),
            ops_per_s,
            fairness: 1.0,
            wait_us: None,
        }
    }

    const NEAR: CellName<'_> = CellName { workload: "W3", threads: 2, placement: Placement::Near };

    #[test]
    fn states_are_not_pooled_and_a_change_of_state_counts_for_neither() {
        let record = Record {
            samples: vec![
                sample("a", 0, 10.0, [40.0, 41.0]),
                sample("a", 1, 99.0, [240.0, 241.0]),
                sample("a", 2, 77.0, [40.0, 241.0]),
            ],
            ..Record::default()
        };
        let ops = |sample: &Sample| Some(sample.ops_per_s);
        assert_eq!(
            record.spread(NEAR, "a", ops).map(|spread| (spread.median, spread.count)),
            Some((10.0, 1))
        );
        let far = CellName { placement: Placement::Far, ..NEAR };
        assert_eq!(record.spread(far, "a", ops).map(|spread| (spread.median, spread.count)), Some((99.0, 1)));
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let near = [40.0; 2];
        let mut record = Record {
            samples: vec![
                sample("a", 0, 10.0, near),
                sample("b", 0, 5.0, near),
                sample("a", 1, 30.0, near), // No partner in this round.
            ],
            ..Record::default()
        };
        let again = record.clone();
        record.add(again);
        let ratio = record.ratio((NEAR, "a"), (NEAR, "b"), |sample| Some(sample.ops_per_s));
        assert_eq!(ratio.map(|ratio| (ratio.median, ratio.count)), Some((2.0, 2)));
    }

    #[test]
    fn median_of_odd_even_and_no_values() {
        let median = |values: &[f64]| Spread::of(values.to_vec()).map(|spread| spread.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }
}
