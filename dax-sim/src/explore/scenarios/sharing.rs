//! Blocks that files share, and pages that private mappings copy.

use super::super::scenario::{Map, Op, Scenario, word};
use super::{FILE_0, FILE_1, INVERSION, ONE_PAGE};
use crate::check::Invariant::{Coherence, Freeing, Mapping};
use crate::pmem::BLOCK_SIZE;
use crate::variant::Variant::{EntryLockOutside, InvalidateTwice, Linux411};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "clone-vs-store",
        about: "generic/578: a file is cloned while it is stored to: the clone has the old or the new",
        files: 2,
        maps: &[FILE_0, FILE_1],
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Store { map: 0, at: 0 }],
        threads: &[&[Op::Clone { file: 1, source: 0 }], &[Op::Store { map: 0, at: 0 }]],
        finally: &[
            Op::Load { map: 1, at: 0 },
            Op::Fsync { file: 1 },
            Op::Store { map: 1, at: 0 },
            Op::Load { map: 0, at: 0 },
            Op::Read { file: 1, at: 0, words: 1 },
        ],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "copies-diverge",
        about: "generic/578: two files with one block: a store to the one is not seen in the other",
        files: 2,
        maps: &[FILE_0, FILE_1],
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Clone { file: 1, source: 0 }],
        threads: &[
            &[Op::Store { map: 0, at: 0 }, Op::Load { map: 1, at: 0 }],
            &[Op::Read { file: 0, at: 0, words: 1 }, Op::Write { file: 1, at: 0, words: 1 }],
        ],
        finally: &[
            Op::Load { map: 0, at: 0 },
            Op::Load { map: 1, at: 0 },
            Op::Read { file: 1, at: 0, words: 1 },
        ],
        broken_in: &[
            (Linux411, &[Freeing, Coherence, Mapping]),
            (InvalidateTwice, &[Freeing, Coherence, Mapping]),
            (EntryLockOutside, INVERSION),
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "read-of-shared",
        about: "a shared block is read while one file copies it, and the other gives it up to a third",
        files: 3,
        maps: &[FILE_0, FILE_1],
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Clone { file: 1, source: 0 }],
        threads: &[
            &[Op::Store { map: 0, at: 0 }],
            &[Op::Punch { file: 1, at: 0, len: BLOCK_SIZE }, Op::Write { file: 2, at: 0, words: 1 }],
            &[Op::Read { file: 0, at: 0, words: 1 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "private-copies",
        about: "generic/354 and 437: what is stored to a private mapping is seen nowhere else",
        maps: &[Map { private: true, ..FILE_0 }, FILE_0],
        setup: &[Op::Write { file: 0, at: 0, words: 1 }],
        threads: &[
            &[Op::Load { map: 0, at: 0 }, Op::Store { map: 0, at: 0 }, Op::DontNeed { map: 0, page: 0 }],
            &[Op::Store { map: 1, at: 0 }, Op::Load { map: 1, at: 0 }],
        ],
        finally: &[
            Op::Load { map: 0, at: 0 },
            Op::Load { map: 1, at: 0 },
            Op::Read { file: 0, at: 0, words: 1 },
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "private-threads",
        about: "generic/437: two threads store to one page of a private mapping, and copy it once",
        maps: &[Map { private: true, ..FILE_0 }],
        setup: &[Op::Write { file: 0, at: 0, words: 3 }],
        threads: &[
            &[Op::Store { map: 0, at: 0 }, Op::Load { map: 0, at: 0 }],
            &[Op::Store { map: 0, at: word(0, 1) }],
        ],
        finally: &[
            Op::Load { map: 0, at: 0 },
            Op::Load { map: 0, at: word(0, 1) },
            Op::Load { map: 0, at: word(0, 2) },
            Op::Read { file: 0, at: 0, words: 2 },
        ],
        ..ONE_PAGE
    },
];
