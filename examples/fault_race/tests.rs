//! What each variant prints, and that it is always the same.

use super::*;

const LINUX_4_11: &str = "
CPU1 - write(2)                               CPU2 - read fault
                                              loads from the page: fault
                                                iomap_begin: a hole
write(2) of a page
  iomap_begin: allocates the block
  invalidates what is mapped
  returns 4096
                                                installs that answer: the zero page
                                                the load sees 0x0
                                              loads again: 0x0, STALE
";

const RANGE_LOCK: &str = "
CPU1 - write(2)                               CPU2 - read fault
                                              loads from the page: fault
                                                iomap_begin: a hole
write(2) of a page
  waits for i_mmap_sem
                                                installs that answer: the zero page
                                                the load sees 0x0
  iomap_begin: allocates the block
  invalidates what is mapped
  returns 4096
                                                faults again, iomap_begin: the block
                                              loads again: 0x44415441, what was written
";

const LINUX_4_12: &str = "
CPU1 - write(2)                               CPU2 - read fault
                                              loads from the page: fault
                                                iomap_begin: a hole
write(2) of a page
  iomap_begin: allocates the block
  invalidates what is mapped
  waits for the entry lock
                                                installs that answer: the zero page
                                                the load sees 0x0
  returns 4096
                                                faults again, iomap_begin: the block
                                              loads again: 0x44415441, what was written
";

#[test]
fn steps_are_noted_in_the_order_in_which_they_happen() {
    for _ in 0..100 {
        for (variant, expected) in [
            (Variant::Linux411, LINUX_4_11),
            (Variant::InvalidateTwice, LINUX_4_11),
            (Variant::Linux412, LINUX_4_12),
            (Variant::Rwsem, RANGE_LOCK),
            (Variant::RangeLock, RANGE_LOCK),
        ] {
            let (picture, stale) = play(variant).unwrap();
            assert_eq!(picture, expected[1..], "{variant}");
            assert_eq!(stale, !variant.is_coherent());
        }
    }
}

#[test]
fn every_variant_comes_to_its_end() {
    for variant in Variant::ALL.into_iter().filter(|variant| variant.is_in_order()) {
        assert_eq!(play(variant).unwrap().0, play(variant).unwrap().0, "{variant}");
    }
}
