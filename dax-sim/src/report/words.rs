//! What workloads and variants are, in one line each, and how far a reader may trust them.

use crate::variant::Variant;
use crate::workload::Workload;

/// What a workload does.
pub(crate) fn workload(workload: Workload) -> &'static str {
    match workload {
        Workload::WriteDisjoint => "Each thread writes its own pages.",
        Workload::WriteShared => "All threads write random pages of one file, 4 KiB at a time.",
        Workload::FaultVsWrite => "Each thread writes into holes, then loads and stores where others do.",
        Workload::ReadMostly => "All threads use random pages of one file: 95 % reads, the rest writes.",
    }
}

/// How a variant serialises faults and I/O.
pub(crate) fn variant(variant: Variant) -> &'static str {
    match variant {
        Variant::Linux411 => {
            "A fault asks the file system first and takes the entry lock afterwards: it races."
        }
        Variant::InvalidateTwice => {
            "As 4.11, and write(2) invalidates what is mapped once more after the copy: it races less."
        }
        Variant::EntryLockOutside => {
            "As 4.12, but the transaction begins under the entry lock, and write(2) copies inside of it: it deadlocks."
        }
        Variant::Linux412 => {
            "A fault takes the entry lock first and asks the file system under it: how Linux cured the race."
        }
        Variant::Rwsem => {
            "As 4.11, with faults and allocation kept apart by one reader-writer semaphore over the whole file."
        }
        Variant::RangeLock => "The very same sections, locked over the pages concerned only.",
        Variant::RwsemCopy => {
            "As rwsem, with the copy of write(2) inside: it hangs where the copy must fault."
        }
        Variant::RangeLockCopy => {
            "As range-lock, with the copy of write(2) inside, and faults off meanwhile."
        }
        Variant::Unserialised => "As 4.12, with neither of the two locks. Incorrect: an upper bound only.",
    }
}

/// The variant's name, marked where its throughput is no fair answer.
pub(crate) fn marked_name(variant: Variant) -> String {
    if variant == Variant::Unserialised { format!("{variant}†") } else { variant.to_string() }
}

/// What the mark of [`marked_name`] means.
pub(crate) const UNSERIALISED_MARK: &str = "† incorrect: upper bound only";
