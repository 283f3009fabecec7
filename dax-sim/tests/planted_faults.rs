//! A checker that has never failed is no checker: each is run where one thing is done wrong on
//! purpose, in a variant that is right otherwise.

use dax_sim::check::Invariant;
use dax_sim::explore::{Effort, explore_with_fault, scenario};
use dax_sim::schedule::PlantedFault;
use dax_sim::variant::Variant;

/// No luck is needed: all schedules with two preemptions are tried.
const EFFORT: Effort = Effort { preemptions: 2, random: 0 };

/// Asserts that the checker of `invariant` finds the fault, and nothing is found without it.
#[track_caller]
fn caught(fault: PlantedFault, name: &str, variant: Variant, invariant: Invariant) {
    let scenario = scenario(name).unwrap();
    let right = explore_with_fault(scenario, variant, EFFORT, None).unwrap();
    assert!(right.broken.is_empty(), "{name} in {variant}: {:#?}", right.shortest);
    let wrong = explore_with_fault(scenario, variant, EFFORT, Some(fault)).unwrap();
    assert!(wrong.broken.contains(&invariant), "{fault:?} in {variant}, {name}: only {:?}", wrong.broken);
}

#[test]
fn one_invalidation_is_skipped() {
    for variant in [Variant::Linux412, Variant::Rwsem, Variant::RangeLock, Variant::RangeLockCopy] {
        caught(PlantedFault::SkipInvalidation, "write-vs-read-fault", variant, Invariant::Coherence);
        caught(PlantedFault::SkipInvalidation, "write-vs-read-fault", variant, Invariant::Mapping);
    }
}

#[test]
fn the_dirty_tag_is_cleared_too_early() {
    let fault = PlantedFault::CleanBeforeFlush;
    caught(fault, "fsync-vs-store", Variant::Linux412, Invariant::Durability);
    caught(fault, "fsync-vs-store", Variant::RangeLock, Invariant::Durability);
}

#[test]
fn blocks_are_freed_before_they_are_unmapped() {
    let fault = PlantedFault::FreeBeforeUnmap;
    caught(fault, "free-under-access", Variant::Linux412, Invariant::Freeing);
    caught(fault, "free-under-access", Variant::RangeLock, Invariant::Freeing);
}

#[test]
fn a_wake_up_is_not_passed_on() {
    caught(PlantedFault::ForgetWake, "wake-up", Variant::Linux412, Invariant::Liveness);
}

#[test]
fn what_is_clean_is_mapped_writable() {
    let fault = PlantedFault::MapWritableWhenClean;
    caught(fault, "punch-vs-store", Variant::Linux412, Invariant::Protection);
    caught(fault, "punch-vs-store", Variant::RangeLock, Invariant::Protection);
}

/// What is durable is told by copies of the metadata that commits have made, and not by what fsync
/// looks at.
#[test]
fn metadata_do_not_become_durable() {
    let caught = |fault, name| {
        caught(fault, name, Variant::Linux412, Invariant::Durability);
        caught(fault, name, Variant::RangeLock, Invariant::Durability);
    };
    caught(PlantedFault::FsyncWithoutCommit, "fsync-vs-store");
    caught(PlantedFault::FsyncWithoutCommit, "map-sync");
    caught(PlantedFault::ResizeUnknown, "truncate-vs-fsync");
    caught(PlantedFault::CommitOverHandles, "forced-commit");
}

#[test]
fn the_flush_of_the_tlb_is_skipped() {
    let fault = PlantedFault::SkipTlbFlush;
    caught(fault, "free-under-access", Variant::Linux412, Invariant::Freeing);
    caught(fault, "free-under-access", Variant::RangeLock, Invariant::Coherence);
}

#[test]
fn a_fault_of_one_size_overlooks_one_of_the_other() {
    for variant in [Variant::Linux412, Variant::RangeLock] {
        caught(PlantedFault::PteUnderPmd, "pmd-vs-pte", variant, Invariant::Size);
        caught(PlantedFault::PmdOverTable, "pmd-over-table", variant, Invariant::Liveness);
        caught(PlantedFault::IgnoreColour, "misaligned-pmd", variant, Invariant::Mapping);
    }
}

#[test]
fn only_one_waiter_of_a_deleted_entry_is_woken() {
    let fault = PlantedFault::WakeOneOfDeleted;
    caught(fault, "waiters-of-deleted", Variant::Linux412, Invariant::Liveness);
}

#[test]
fn a_private_page_is_copied_twice() {
    caught(PlantedFault::CopyTwice, "private-threads", Variant::Linux412, Invariant::Coherence);
}

#[test]
fn a_shared_block_is_given_up_under_a_read() {
    caught(PlantedFault::ReleaseUnderRead, "read-of-shared", Variant::Linux412, Invariant::Coherence);
}

#[test]
fn what_was_stored_is_not_written_back_before_it_is_cloned() {
    let fault = PlantedFault::CloneWithoutWriteback;
    caught(fault, "clone-vs-store", Variant::Linux412, Invariant::Durability);
}

#[test]
fn pins_are_not_waited_for() {
    caught(PlantedFault::FreePinned, "pinned-vs-punch", Variant::Linux412, Invariant::Freeing);
    caught(PlantedFault::FreePinned, "pinned-vs-punch", Variant::RangeLock, Invariant::Freeing);
}

/// The third race, which Kara's 2017 e-mail does not mention.
#[test]
fn a_write_fault_allocates_under_the_zero_page() {
    let fault = PlantedFault::AllocateUnderZeroPage;
    caught(fault, "zero-page-under-write", Variant::Linux412, Invariant::Coherence);
}

#[test]
fn what_moves_is_not_locked() {
    for name in ["collapse-vs-fault", "insert-vs-fault"] {
        caught(PlantedFault::LockFirstPageOnly, name, Variant::RangeLock, Invariant::Coherence);
    }
}

#[test]
fn what_is_cut_stays() {
    for name in ["truncate-in-page", "punch-straddles"] {
        caught(PlantedFault::KeepWhatIsCut, name, Variant::Linux412, Invariant::Coherence);
    }
}

#[test]
fn a_store_through_map_sync_does_not_wait() {
    for name in ["map-sync", "map-sync-vs-clone"] {
        caught(PlantedFault::MapSyncWithoutSync, name, Variant::Linux412, Invariant::Durability);
    }
}

/// Of each of them a part of what was promised is left in a cache, and a copy of what was written
/// back tells, byte by byte.
#[test]
fn what_was_promised_is_not_written_back() {
    for variant in [Variant::Linux412, Variant::RangeLock] {
        let caught = |fault, name| caught(fault, name, variant, Invariant::Durability);
        caught(PlantedFault::WriteWithoutFlush, "fsync-to-the-byte");
        caught(PlantedFault::FlushWholeWordsOnly, "fsync-to-the-byte");
        caught(PlantedFault::CleanBeforeFlush, "msync-to-the-byte");
        caught(PlantedFault::FsyncWithoutCommit, "msync-to-the-byte");
        caught(PlantedFault::MapSyncWithoutSync, "persist-to-the-byte");
        caught(PlantedFault::CommitBeforeData, "commit-vs-write");
    }
}

/// Why lengths that are no multiple of 8 are tried: whole words do not show it.
#[test]
fn whole_words_do_not_show_the_bytes_behind_them() {
    let fault = Some(PlantedFault::FlushWholeWordsOnly);
    for name in ["fsync-vs-store", "truncate-vs-fsync", "forced-commit"] {
        let cell = explore_with_fault(scenario(name).unwrap(), Variant::Linux412, EFFORT, fault).unwrap();
        assert!(cell.broken.is_empty(), "{name}: {:#?}", cell.shortest);
    }
}
