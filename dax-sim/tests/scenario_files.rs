//! Scenarios in files: those of `tests/scenarios`, after bugs of Linux file systems that others
//! have found, and the examples of docs/scenarios.md.

use std::fs;
use std::path::{Path, PathBuf};

use dax_sim::check::Invariant::{self, Coherence, Durability, Freeing, LockOrder, Mapping};
use dax_sim::explore::{Cell, Effort, Scenario, explore, explore_with_fault, parse};
use dax_sim::schedule::PlantedFault::{self, *};
use dax_sim::variant::Variant;

const EFFORT: Effort = Effort { preemptions: 1, random: 100 };

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn leaked(name: &str, text: &str) -> &'static Scenario {
    let scenario = parse(name, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(parse(name, &scenario.to_string()).as_ref(), Ok(&scenario), "what is printed is read");
    Box::leak(Box::new(scenario))
}

fn of_file(name: &str) -> &'static Scenario {
    leaked(name, &fs::read_to_string(folder().join(format!("{name}.scenario"))).unwrap())
}

/// How a file is shown red.
#[derive(Debug)]
enum Red {
    /// By a fault that is planted in a variant.
    By(PlantedFault, Variant, Invariant),
    /// In a variant that is broken.
    In(Variant, Invariant),
}

/// One test for each file.
macro_rules! files {
    ($($test:ident $name:literal $red:expr,)*) => {
        $(
            #[test]
            fn $test() {
                holds_and_turns_red($name, $red);
            }
        )*

        #[test]
        fn every_file_has_its_test() {
            let mut tested = vec![$($name),*];
            tested.sort_unstable();
            let mut there: Vec<String> = fs::read_dir(folder())
                .unwrap()
                .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
                .collect();
            there.sort_unstable();
            assert_eq!(tested, there, "`files!` has a line for each file of {}", folder().display());
        }
    };
}

fn holds_and_turns_red(name: &str, red: Red) {
    let scenario = of_file(name);
    for variant in Variant::ALL {
        let cell = explore(scenario, variant, EFFORT).unwrap();
        assert!(
            cell.is_as_expected(),
            "not as expected in {variant}: {:?}\n{:#?}",
            cell.broken,
            cell.shortest
        );
        assert!(!variant.is_correct() || cell.broken.is_empty(), "{variant}: {:?}", cell.shortest);
    }
    let effort = Effort { preemptions: 2, random: 0 };
    let (cell, wanted): (Cell, _) = match red {
        Red::By(fault, variant, wanted) => {
            (explore_with_fault(scenario, variant, effort, Some(fault)).unwrap(), wanted)
        }
        Red::In(variant, wanted) => (explore(scenario, variant, effort).unwrap(), wanted),
    };
    assert!(cell.broken.contains(&wanted), "{name} is to be red {red:?}, and breaks {:?}", cell.broken);
}

files! {
    two_stores_one_unwritten_block "two-stores-one-unwritten-block" Red::By(ConvertTwice, Variant::Linux411, Coherence),
    zero_pages_then_huge "zero-pages-then-huge" Red::In(Variant::Linux411, Mapping),
    pin_truncate_fault "pin-truncate-fault" Red::By(FreePinned, Variant::Linux412, Freeing),
    write_to_shared_block "write-to-shared-block" Red::By(CommitBeforeData, Variant::Linux412, Durability),
    cow_stores_vs_fsync "cow-stores-vs-fsync" Red::By(CleanBeforeFlush, Variant::Linux412, Durability),
    clone_twice_under_stores "clone-twice-under-stores" Red::By(CloneWithoutWriteback, Variant::Linux412, Durability),
    store_behind_end_vs_write "store-behind-end-vs-write" Red::By(KeepWhatIsCut, Variant::Linux412, Coherence),
    fsync_of_huge_vs_store "fsync-of-huge-vs-store" Red::By(FlushFirstPageOnly, Variant::Linux412, Durability),
    pin_in_huge_vs_cut "pin-in-huge-vs-cut" Red::By(FreePinned, Variant::Linux412, Freeing),
    private_copy_of_huge_zero "private-copy-of-huge-zero" Red::In(Variant::Linux411, Mapping),
    zero_range_vs_fsync "zero-range-vs-fsync" Red::By(FsyncWithoutCommit, Variant::Linux412, Durability),
    // Pins that are not waited for do not turn it red: the page moves with its pin, as if the
    // pinned write had come before.
    insert_vs_pin "insert-vs-pin" Red::In(Variant::EntryLockOutside, LockOrder),
}

/// The blocks of docs/scenarios.md that begin with this line.
const FENCE: &str = "```scenario";

#[test]
fn the_examples_of_the_documentation_do_what_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/scenarios.md");
    let page = fs::read_to_string(page).unwrap();
    let examples: Vec<&str> =
        page.split(FENCE).skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(examples.len(), 3, "three examples");
    for (number, text) in examples.into_iter().enumerate() {
        let scenario = leaked(&format!("example {number}"), text);
        for variant in Variant::ALL {
            let cell = explore(scenario, variant, EFFORT).unwrap();
            assert!(cell.is_as_expected(), "{number} in {variant}: {:?}\n{:#?}", cell.broken, cell.shortest);
        }
    }
}

/// What the operations do that no other scenario has, with and without a fault in it.
#[test]
fn what_is_remapped_copied_and_mapped_anew_is_judged() {
    let text = "
        files 3
        map M0 F0
        map M1 F1 later
        setup:
            pwrite F0 0 4K
            pwrite F1 0 4K
            copy F2 0 4K from F0 0
        thread A:
            dedupe F1 0 4K from F0 0
            dedupe F2 0 4K from F0 0
            fallocate F2 0 4K unshare
        thread B:
            mmap M1
            store M1 16
            msync M1 16 8
            munmap M1
            store M0 8
        finally:
            mmap M1
            fallocate F1 4K 4K keep-size
            copy F1 128 64 from F2 8
            load M1 128
            pread F1 0 24
            pread F2 0 24
            pread F0 0 24";
    let scenario = leaked("remaps", text);
    for variant in Variant::ALL.into_iter().filter(|variant| variant.is_correct()) {
        let cell = explore(scenario, variant, EFFORT).unwrap();
        assert!(cell.broken.is_empty(), "{variant}: {:#?}", cell.shortest);
    }
    let cell = explore_with_fault(scenario, Variant::RangeLock, EFFORT, Some(DedupeUnseen)).unwrap();
    assert!(cell.broken.contains(&Coherence), "{:?}", cell.broken);
}
