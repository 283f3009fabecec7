//! Pages of 2 MiB.

use super::super::scenario::{Map, Op, Scenario, word};
use super::{FILE_0, HUGE_PAGE, INVERSION};
use crate::check::Invariant::{Coherence, Mapping};
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;
use crate::variant::Variant::{EntryLockOutside, InvalidateTwice, Linux411};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "stale-pmd",
        about: "generic/428: the huge zero page is mapped, write(2) puts a block below it",
        threads: &[
            &[Op::Write { file: 0, at: word(7, 0), words: 1 }],
            &[Op::Load { map: 0, at: word(7, 0) }],
        ],
        finally: &[Op::Load { map: 0, at: word(7, 0) }, Op::Read { file: 0, at: word(7, 0), words: 1 }],
        broken_in: &[(Linux411, &[Coherence, Mapping]), (InvalidateTwice, &[Coherence, Mapping])],
        ..HUGE_PAGE
    },
    Scenario {
        name: "pmd-vs-pte",
        about: "d0f0931de936: a fault of a page and one of 2 MiB around it, in one page table",
        maps: &[FILE_0, Map { small: true, ..FILE_0 }],
        setup: &[
            Op::Truncate { file: 0, size: HUGE * BLOCK_SIZE },
            // A page's entry: the first fault of the other mapping falls back.
            Op::Load { map: 1, at: word(7, 0) },
        ],
        threads: &[
            &[Op::Punch { file: 0, at: word(7, 0), len: BLOCK_SIZE }, Op::Store { map: 0, at: word(7, 0) }],
            &[Op::Load { map: 0, at: word(8, 0) }],
        ],
        finally: &[
            Op::Load { map: 0, at: word(7, 0) },
            Op::Punch { file: 0, at: word(8, 0), len: BLOCK_SIZE },
            Op::Store { map: 0, at: word(8, 0) },
            Op::Load { map: 1, at: word(8, 0) },
        ],
        broken_in: &[
            (Linux411, &[Mapping, Coherence]),
            (InvalidateTwice, &[Mapping, Coherence]),
            (EntryLockOutside, INVERSION),
        ],
        ..HUGE_PAGE
    },
    Scenario {
        name: "pmd-over-table",
        about: "a fault of 2 MiB finds that there is a table of pages by now, and none of them mapped",
        maps: &[FILE_0, Map { small: true, ..FILE_0 }],
        setup: &[Op::Truncate { file: 0, size: HUGE * BLOCK_SIZE }, Op::Load { map: 1, at: word(7, 0) }],
        threads: &[
            &[Op::Load { map: 0, at: word(7, 0) }, Op::Punch { file: 0, at: word(7, 0), len: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: word(8, 0) }],
        ],
        finally: &[Op::Fsync { file: 0 }, Op::Store { map: 0, at: word(8, 0) }],
        broken_in: &[
            (Linux411, &[Mapping, Coherence]),
            (InvalidateTwice, &[Mapping, Coherence]),
            (EntryLockOutside, INVERSION),
        ],
        ..HUGE_PAGE
    },
    Scenario {
        name: "misaligned-pmd",
        about: "fffa281b48a9: 2 MiB at an address that is not theirs fall back to pages",
        maps: &[Map { address: Some((1 << 32) + BLOCK_SIZE), ..FILE_0 }, FILE_0],
        threads: &[
            &[Op::Load { map: 0, at: word(7, 0) }, Op::Load { map: 0, at: word(8, 0) }],
            &[Op::Load { map: 1, at: word(8, 0) }, Op::Write { file: 0, at: word(8, 0), words: 1 }],
        ],
        finally: &[Op::Load { map: 0, at: word(8, 0) }, Op::Load { map: 1, at: word(8, 0) }],
        broken_in: &[(Linux411, &[Coherence, Mapping]), (InvalidateTwice, &[Coherence, Mapping])],
        ..HUGE_PAGE
    },
];
