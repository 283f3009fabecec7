//! Plans which points a comparison visits, in which order, and for how long.

use std::time::Duration;

use super::pace::Pace;
use crate::variant::Variant;
use crate::workload::{Point, Workload};

/// Everything a comparison needs to know before it starts.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) variants: Vec<Variant>,
    pub(crate) threads: Vec<usize>,
    pub(crate) media: Vec<Duration>,
    /// The number of rounds that measure throughput.
    pub(crate) rounds: usize,
    pub(crate) pace: Pace,
}

/// How many times longer a sample of latencies is than one of throughput: a percentile needs many
/// operations.
pub(crate) const LATENCY_LENGTH: u32 = 3;

impl Plan {
    /// Every point, in the order in which reports list them.
    pub(crate) fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.settings()
            .flat_map(|setting| self.variants.iter().map(move |&variant| setting.in_variant(variant)))
    }

    /// How many samples are taken in all.
    pub(crate) fn samples(&self) -> usize {
        self.points().count() * self.rounds + self.latency_samples()
    }

    /// The total length of all samples, in lengths of a sample of throughput.
    pub(crate) fn lengths(&self) -> usize {
        self.points().count() * self.rounds + self.latency_samples() * LATENCY_LENGTH as usize
    }

    fn latency_samples(&self) -> usize {
        self.latency_settings().count() * self.variants.len()
    }

    /// The settings in which latencies are taken: the fewest threads and the most. A run of one
    /// round is only a look at throughput, and takes none.
    pub(crate) fn latency_settings(&self) -> impl Iterator<Item = Setting> + '_ {
        let (fewest, most) = (self.threads.iter().min(), self.threads.iter().max());
        self.settings()
            .filter(move |setting| self.rounds > 1 && [fewest, most].contains(&Some(&setting.threads)))
    }

    /// The settings: points without the variant. Variants are compared within one setting.
    pub(crate) fn settings(&self) -> impl Iterator<Item = Setting> + '_ {
        self.workloads.iter().flat_map(move |&workload| {
            self.media.iter().flat_map(move |&media| {
                self.threads.iter().map(move |&threads| Setting { workload, media, threads })
            })
        })
    }
}

/// A point without its variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Setting {
    pub(crate) workload: Workload,
    pub(crate) media: Duration,
    pub(crate) threads: usize,
}

impl Setting {
    /// The point that runs `variant` in this setting.
    pub(crate) fn in_variant(self, variant: Variant) -> Point {
        Point { workload: self.workload, variant, threads: self.threads, media: self.media }
    }
}
