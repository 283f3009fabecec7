//! Explains workloads and variants, in one line each, and how far a reader may trust them.

use crate::variant::Variant;
use crate::workload::Workload;

/// What a workload does.
pub(crate) fn workload(workload: Workload) -> &'static str {
    match workload {
        Workload::WriteDisjoint => "Each thread writes random pages of its own part of one file.",
        Workload::WriteShared => "All threads write random pages of one file, 4 KiB at a time.",
        Workload::FaultVsWrite => {
            "Each thread punches holes and writes into them, then loads and stores through a mapping where others do."
        }
        Workload::ReadMostly => "All threads use random pages of one file: 95 % reads, 5 % writes.",
    }
}

/// Where the workload of this name looks, as the beginning of a sentence.
pub(crate) fn place(workload: &str) -> &'static str {
    match workload {
        "write-disjoint" => "Where threads write apart",
        "write-shared" => "Where writes meet writes",
        "fault-vs-write" => "Where page faults meet writes",
        "read-mostly" => "Where reads meet writes",
        _ => "In one workload",
    }
}

/// How a variant serialises faults and I/O. Each text can be understood without the others.
pub(crate) fn variant(variant: Variant) -> &'static str {
    match variant {
        Variant::Linux411 => {
            "Linux 4.11: a page fault asks the file system first and locks the page's entry afterwards. It races with \
             write(2)."
        }
        Variant::InvalidateTwice => {
            "Linux 4.11, and write(2) removes mappings once more after the copy. It races less often."
        }
        Variant::EntryLockOutside => {
            "A page fault locks the page's entry before its transaction, and write(2) copies inside its own. It \
             deadlocks."
        }
        Variant::Linux412 => {
            "Linux 4.12: a page fault locks the page's entry first and asks the file system then. It cured the race."
        }
        Variant::Rwsem => {
            "One reader/writer semaphore over the whole file keeps page faults and allocating writes apart."
        }
        Variant::RangeLock => {
            "A range lock over only the pages concerned keeps page faults and allocating writes apart."
        }
        Variant::RwsemCopy => {
            "One reader/writer semaphore over the whole file, held over the copy of write(2) too. It hangs where the \
             copy must fault."
        }
        Variant::RangeLockCopy => {
            "A range lock over only the pages concerned, held over the copy of write(2) too, with faults off meanwhile."
        }
        Variant::Unserialised => {
            "No lock above the page's entry. Incorrect: an upper bound of what locking could gain."
        }
    }
}

/// The variant's name, with a mark if its throughput is not a fair answer.
pub(crate) fn marked_name(variant: Variant) -> String {
    if variant == Variant::Unserialised { format!("{variant}†") } else { variant.to_string() }
}

/// What the mark of [`marked_name`] means.
pub(crate) const UNSERIALISED_MARK: &str = "† incorrect: upper bound only";
