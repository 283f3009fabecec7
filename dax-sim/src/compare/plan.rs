//! Which points a comparison visits, in which order, and for how long.

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
    pub(crate) rounds: usize,
    pub(crate) pace: Pace,
}

impl Plan {
    /// Every point, in the order in which reports list them.
    pub(crate) fn points(&self) -> impl Iterator<Item = Point> + '_ {
        self.settings()
            .flat_map(|setting| self.variants.iter().map(move |&variant| setting.in_variant(variant)))
    }

    /// How many samples are taken in all.
    pub(crate) fn samples(&self) -> usize {
        self.workloads.len() * self.variants.len() * self.threads.len() * self.media.len() * self.rounds
    }

    /// Everything but the variant: within one setting the variants are compared.
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
