//! Every scenario in every variant, schedule by schedule: what is to be safe is, and what is to be
//! broken is found to be, in the way that is expected. `dax-sim race --all` does the same with more
//! schedules.

use std::collections::BTreeSet;

use dax_sim::check::Invariant;
use dax_sim::explore::{Cell, Effort, Failure, SCENARIOS, Timeline, explore, scenario};
use dax_sim::fs::CopyRetries;
use dax_sim::variant::Variant;

/// All schedules with one preemption, and some at random: nearly all that is broken shows in these.
const EFFORT: Effort = Effort { preemptions: 1, random: 100 };

fn explored(name: &str, variant: Variant, effort: Effort) -> Cell {
    explore(scenario(name).unwrap(), variant, effort).unwrap()
}

/// One test for each scenario.
macro_rules! scenarios {
    ($($test:ident $name:literal,)*) => {
        $(
            #[test]
            fn $test() {
                for variant in Variant::ALL {
                    // What takes two preemptions is worth the time where nothing else would show
                    // it.
                    let preemptions = if $name == "copies-diverge" { 2 } else { EFFORT.preemptions };
                    let cell = explored($name, variant, Effort { preemptions, ..EFFORT });
                    assert!(cell.is_as_expected(), "not as expected in {variant}: {:?}\n{:#?}", cell.broken, cell.shortest);
                    assert!(!variant.is_correct() || cell.broken.is_empty(), "{variant}: {:?}", cell.shortest);
                }
            }
        )*

        #[test]
        fn every_scenario_has_its_test() {
            let tested = BTreeSet::from([$($name),*]);
            let there = SCENARIOS.iter().map(|scenario| scenario.name.as_str()).collect();
            assert_eq!(tested, there, "`scenarios!` has a line for each built-in scenario");
        }
    };
}

scenarios! {
    write_vs_read_fault "write-vs-read-fault",
    read_fault_vs_write_fault "read-fault-vs-write-fault",
    zero_page_under_write "zero-page-under-write",
    holetest_pwrite "holetest-pwrite",
    holetest "holetest",
    write_vs_two_faults "write-vs-two-faults",
    unwritten "unwritten",
    append_vs_load "append-vs-load",
    dontneed_vs_store "dontneed-vs-store",
    fsync_vs_store "fsync-vs-store",
    truncate_vs_fsync "truncate-vs-fsync",
    forced_commit "forced-commit",
    map_sync "map-sync",
    map_sync_vs_clone "map-sync-vs-clone",
    fsync_to_the_byte "fsync-to-the-byte",
    msync_to_the_byte "msync-to-the-byte",
    persist_to_the_byte "persist-to-the-byte",
    commit_vs_write "commit-vs-write",
    punch_vs_store "punch-vs-store",
    punch_straddles "punch-straddles",
    zero_vs_store "zero-vs-store",
    truncate_vs_store "truncate-vs-store",
    truncate_in_page "truncate-in-page",
    truncate_vs_load "truncate-vs-load",
    free_under_access "free-under-access",
    pinned_vs_punch "pinned-vs-punch",
    collapse_vs_fault "collapse-vs-fault",
    insert_vs_fault "insert-vs-fault",
    fallocate_vs_store "fallocate-vs-store",
    waiters_of_deleted "waiters-of-deleted",
    wake_up "wake-up",
    self_write "self-write",
    same_page "same-page",
    self_read "self-read",
    overlapping "overlapping",
    buffer_of_another_file "buffer-of-another-file",
    crossing_writers "crossing-writers",
    clone_vs_store "clone-vs-store",
    copies_diverge "copies-diverge",
    read_of_shared "read-of-shared",
    private_copies "private-copies",
    private_threads "private-threads",
    stale_pmd "stale-pmd",
    pmd_vs_pte "pmd-vs-pte",
    pmd_over_table "pmd-over-table",
    misaligned_pmd "misaligned-pmd",
}

#[test]
fn invalidating_twice_narrows_the_race_and_does_not_close_it() {
    let share = |variant| {
        let cell = explored("write-vs-read-fault", variant, Effort { preemptions: 2, random: 0 });
        assert!(cell.broken.contains(&Invariant::Coherence), "{variant}");
        cell.exhaustive.failed as f64 / cell.exhaustive.run as f64
    };
    let (once, twice) = (share(Variant::Linux411), share(Variant::InvalidateTwice));
    assert!(0.0 < twice && twice < once, "{once} of all schedules, {twice} with another invalidation");
}

/// Each of two writers takes the other's buffer from the page tables, now and then just after it
/// was faulted in.
#[test]
fn copies_that_are_made_again_are_counted_in_explorations() {
    let counted = |variant| explored("crossing-writers", variant, EFFORT).copy_retries;
    assert!(counted(Variant::RangeLockCopy).retries > 0);
    assert_eq!(counted(Variant::RangeLock), CopyRetries::default());
}

#[test]
fn a_seed_repeats_its_schedule_step_by_step() {
    for (name, variant) in [
        ("write-vs-read-fault", Variant::Linux411),
        ("forced-commit", Variant::EntryLockOutside),
        ("crossing-writers", Variant::RwsemCopy),
        ("punch-vs-store", Variant::Unserialised),
    ] {
        let failure = explored(name, variant, EFFORT).shortest.expect("it goes wrong");
        let seed = failure.seed.to_string().parse().unwrap();
        let told = [(); 2].map(|()| Timeline::of(scenario(name).unwrap(), variant, &seed).unwrap());
        let broken =
            |failure: &Failure| failure.findings.iter().map(|found| found.broken).collect::<Vec<_>>();
        assert_eq!((&told[0].failure.seed, told[0].failure.steps), (&failure.seed, failure.steps), "{name}");
        assert_eq!(broken(&told[0].failure), broken(&failure), "{name} in {variant}");
        assert_eq!(told[0].draw(None), told[1].draw(None));
        assert!(told[0].draw(None).lines().count() > 5, "{}", told[0].draw(None));
    }
}

/// A wrong order of locks is told with the ways on which both came to be asked for.
#[test]
fn an_inversion_is_told_with_both_stacks() {
    let race = scenario("holetest").unwrap();
    let told = Timeline::of(race, Variant::EntryLockOutside, &"0".parse().unwrap()).unwrap();
    let text = told.failure.to_string();
    for part in [
        "entry lock of page 0, by way of",
        "journal handle, by way of",
        "dax_iomap_pte_fault at dax/fault/pte.rs",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

/// The deadlocks are named before anything hangs: what each thread waits for and holds.
#[test]
fn deadlocks_say_who_waits_for_what() {
    let text = |name, variant| {
        let failure = explored(name, variant, EFFORT).shortest.expect("it goes wrong");
        failure.to_string()
    };
    let inversion = text("forced-commit", Variant::EntryLockOutside);
    for part in [
        "deadlock",
        "for entry lock of page 0",
        "waits for the commit to end, for journal handle",
        "waits for open handles to stop",
        "journal handle is asked for while entry lock of page 0 is held",
    ] {
        assert!(inversion.contains(part), "{part}: {inversion}");
    }
    let itself = text("self-write", Variant::RwsemCopy);
    for part in ["deadlock", "A waits for i_mmap_sem shared", "holds i_mmap_sem exclusive"] {
        assert!(itself.contains(part), "{part}: {itself}");
    }
}
