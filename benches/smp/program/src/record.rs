//! Results in the form of the JSON file.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A file of results.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The version of this format.
    pub(crate) schema: u32,
    pub(crate) results: Vec<Sample>,
}

/// The result of one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) lock: String,
    pub(crate) workload: String,
    pub(crate) cpus: usize,
    pub(crate) threads: usize,
    pub(crate) topology: String,
    pub(crate) directory: String,
    pub(crate) overlap: String,
    /// How long a section lasts, besides its accesses.
    pub(crate) section_ns: u64,
    /// Millions of operations per second of virtual time.
    pub(crate) mops: f64,
    pub(crate) slowest_to_fastest: f64,
    pub(crate) longest_wait_us: f64,
    pub(crate) seed: u64,
}

/// What one process prints about its point.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct PointLine {
    pub(crate) result: Sample,
    /// The median wait of the writer of the whole domain.
    pub(crate) whole_median_wait_us: Option<f64>,
    /// How many operations the window had, and its length.
    pub(crate) ops: u64,
    pub(crate) window_us: f64,
    /// See `notes` of the lock.
    pub(crate) notes: [u64; 3],
    pub(crate) accesses: u64,
    pub(crate) switches: u64,
    pub(crate) misses: u64,
    pub(crate) sleeps: u64,
    pub(crate) wakes: u64,
    pub(crate) naps: u64,
    pub(crate) yields: u64,
    pub(crate) preemptions: u64,
    /// How many sections were checked, and what the check found.
    pub(crate) checked: u64,
    pub(crate) violations: Vec<String>,
    /// Only for dax-sim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dax: Option<DaxPart>,
}

/// Additional results of a point of dax-sim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DaxPart {
    pub(crate) variant: String,
    pub(crate) level: String,
    pub(crate) workload: String,
    pub(crate) medium: String,
    /// Median, 99th percentile and longest wait for i_rwsem and i_mmap_sem.
    pub(crate) waits_us: [f64; 3],
    /// How many loads were judged, how many could have been stale, and how many were.
    pub(crate) judged: [u64; 3],
}

impl Record {
    pub(crate) fn new(results: Vec<Sample>) -> Self {
        Record { schema: 1, results }
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        fs::write(path, text + "\n").map_err(|error| format!("{}: {error}", path.display()))
    }
}
