//! The scenarios: the two races of [Kara's 2017 e-mail], and others from the tests and bug fixes of
//! Linux file systems.
//!
//! Each is a file of the form that docs/scenarios.md describes. It is small enough to run all its
//! schedules. It can go wrong in what it is named after: `tests/planted_faults.rs` plants a fault
//! for each thing that the variants do right.
//!
//! [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz

use std::sync::LazyLock;

use super::form::parse;
use super::scenario::Scenario;

/// All scenarios.
pub static SCENARIOS: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let parsed = TEXTS
        .iter()
        .map(|(name, text)| parse(name, text).unwrap_or_else(|error| panic!("{name}.scenario, {error}")));
    parsed.collect()
});

/// Name and text of each scenario.
macro_rules! texts {
    ($($name:literal,)*) => {
        &[$(($name, include_str!(concat!($name, ".scenario")))),*]
    };
}

/// `entry-lock-outside` asks for a transaction with an entry locked. If another thread commits at
/// the same time, that is a deadlock: the order of locks, or I7. It never has a stale read.
const TEXTS: &[(&str, &str)] = texts! {
    // Faults against write(2), and against each other.
    "write-vs-read-fault",
    "read-fault-vs-write-fault",
    "zero-page-under-write",
    "holetest-pwrite",
    "holetest",
    "write-vs-two-faults",
    "unwritten",
    "append-vs-load",
    "dontneed-vs-store",
    // What fsync, a commit and MAP_SYNC promise.
    "fsync-vs-store",
    "truncate-vs-fsync",
    "forced-commit",
    "map-sync",
    "map-sync-vs-clone",
    "fsync-to-the-byte",
    "msync-to-the-byte",
    "persist-to-the-byte",
    "commit-vs-write",
    // Blocks that go, come or move under accesses, and threads that wait for an entry that goes.
    "punch-vs-store",
    "punch-straddles",
    "zero-vs-store",
    "truncate-vs-store",
    "truncate-in-page",
    "truncate-vs-load",
    "free-under-access",
    "pinned-vs-punch",
    "collapse-vs-fault",
    "insert-vs-fault",
    "fallocate-vs-store",
    "waiters-of-deleted",
    "wake-up",
    // User memory that is itself a mapping of a file.
    "self-write",
    "same-page",
    "self-read",
    "overlapping",
    "buffer-of-another-file",
    "crossing-writers",
    // Blocks that files share, and pages that private mappings copy.
    "clone-vs-store",
    "copies-diverge",
    "read-of-shared",
    "private-copies",
    "private-threads",
    // Pages of 2 MiB.
    "stale-pmd",
    "pmd-vs-pte",
    "pmd-over-table",
    "misaligned-pmd",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_of_a_scenario_is_its_file() {
        for (scenario, (name, text)) in SCENARIOS.iter().zip(TEXTS) {
            let without_comments: Vec<&str> =
                text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
            assert_eq!(scenario.to_string().lines().collect::<Vec<_>>(), without_comments, "{name}");
        }
    }
}
