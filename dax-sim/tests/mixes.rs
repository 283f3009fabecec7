//! The locks of the two levels, chosen independently of the variant.

use dax_sim::explore::{Effort, explore, scenario};
use dax_sim::variant::{LockKind, Locks, Mix, Variant};

/// Both races of Kara's 2017 e-mail, and the crossing writers, in all schedules with two
/// preemptions: that a variant is correct hangs on what its locks exclude, and not on what they are
/// made of.
#[test]
fn the_correct_variants_stay_so_with_every_mix_of_locks() {
    for variant in Variant::ALL.into_iter().filter(|variant| variant.is_correct()) {
        for i_rwsem in [LockKind::Rwsem, LockKind::RangeLock] {
            for i_mmap_sem in [LockKind::Rwsem, LockKind::RangeLock] {
                let locks = Locks { i_rwsem: Some(i_rwsem), i_mmap_sem: Some(i_mmap_sem) };
                for name in ["write-vs-read-fault", "read-fault-vs-write-fault", "crossing-writers"] {
                    let effort = Effort { preemptions: 2, random: 0 };
                    let cell = explore(scenario(name).unwrap(), Mix { variant, locks }, effort).unwrap();
                    assert!(cell.exhaustive.run > 50, "{}", cell.exhaustive.run);
                    assert!(cell.broken.is_empty(), "{name}, {:?}: {:?}", cell.mix, cell.shortest);
                }
            }
        }
    }
}

/// And where the two races are, they are with range locks, too.
#[test]
fn linux_4_11_races_with_every_mix_of_locks() {
    for kind in [LockKind::Rwsem, LockKind::RangeLock] {
        let locks = Locks { i_rwsem: Some(kind), i_mmap_sem: Some(kind) };
        for name in ["write-vs-read-fault", "read-fault-vs-write-fault"] {
            let mix = Mix { variant: Variant::Linux411, locks };
            let cell = explore(scenario(name).unwrap(), mix, Effort { preemptions: 2, random: 0 }).unwrap();
            assert!(cell.shortest.is_some(), "{name}, {kind}");
        }
    }
}
