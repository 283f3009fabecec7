//! Faults against write(2), and against each other.

use super::super::scenario::{Op, Scenario, word};
use super::{FILE_0, INVERSION, ONE_PAGE};
use crate::check::Invariant::{Coherence, Durability, Mapping};
use crate::pmem::BLOCK_SIZE;
use crate::variant::Variant::{EntryLockOutside, InvalidateTwice, Linux411};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "write-vs-read-fault",
        about: "the first race of Kara's 2017 e-mail: write(2) into a hole overtakes a read fault",
        maps: &[FILE_0],
        threads: &[&[Op::Write { file: 0, at: 0, words: 1 }], &[Op::Load { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(Linux411, &[Coherence, Mapping]), (InvalidateTwice, &[Coherence, Mapping])],
        ..ONE_PAGE
    },
    Scenario {
        name: "read-fault-vs-write-fault",
        about: "the second race of Kara's 2017 e-mail: a write fault overtakes a read fault of another process",
        threads: &[&[Op::Store { map: 1, at: 0 }, Op::Fsync { file: 0 }], &[Op::Load { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Load { map: 1, at: 0 }],
        broken_in: &[
            (Linux411, &[Coherence, Mapping, Durability]),
            (InvalidateTwice, &[Coherence, Mapping, Durability]),
            (EntryLockOutside, INVERSION),
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "zero-page-under-write",
        about: "a write fault allocates while the zero page is mapped elsewhere: write(2) must not return under it",
        setup: &[Op::Truncate { file: 0, size: BLOCK_SIZE }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Write { file: 0, at: 0, words: 1 }, Op::Load { map: 0, at: 0 }],
            &[Op::Store { map: 1, at: word(0, 1) }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }],
        broken_in: &[(Linux411, &[Coherence, Mapping]), (EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "holetest-pwrite",
        about: "xfstests generic/344: after a load, one thread writes and the other stores, each its own word",
        setup: &[Op::Truncate { file: 0, size: BLOCK_SIZE }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Write { file: 0, at: 0, words: 1 }],
            &[Op::Load { map: 1, at: word(0, 1) }, Op::Store { map: 1, at: word(0, 1) }],
        ],
        finally: &[
            Op::Load { map: 0, at: 0 },
            Op::Load { map: 0, at: word(0, 1) },
            Op::Read { file: 0, at: 0, words: 2 },
        ],
        broken_in: &[
            (Linux411, &[Mapping, Coherence]),
            (InvalidateTwice, &[Mapping, Coherence]),
            (EntryLockOutside, INVERSION),
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "holetest",
        about: "xfstests generic/340 and 345: two processes store to their own words of one page",
        threads: &[
            &[Op::Store { map: 0, at: 0 }, Op::Load { map: 0, at: word(0, 1) }],
            &[Op::Store { map: 1, at: word(0, 1) }, Op::Load { map: 1, at: 0 }],
        ],
        finally: &[
            Op::Load { map: 0, at: word(0, 1) },
            Op::Load { map: 1, at: 0 },
            Op::Read { file: 0, at: 0, words: 2 },
        ],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "write-vs-two-faults",
        about: "a store, a write(2) and a load of one hole, in three threads",
        threads: &[
            &[Op::Store { map: 0, at: 0 }],
            &[Op::Write { file: 0, at: word(0, 1), words: 1 }],
            &[Op::Load { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Load { map: 1, at: word(0, 1) }],
        broken_in: &[
            (Linux411, &[Coherence, Mapping]),
            (InvalidateTwice, &[Coherence, Mapping]),
            (EntryLockOutside, INVERSION),
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "unwritten",
        about: "xfs/166: a write and a store convert one unwritten extent, zeros around",
        setup: &[Op::Fallocate { file: 0, page: 0, pages: 1 }],
        threads: &[
            &[Op::Write { file: 0, at: 0, words: 1 }],
            &[Op::Store { map: 0, at: word(0, 1) }, Op::Load { map: 0, at: word(0, 2) }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 3 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "append-vs-load",
        about: "a page is appended under loads of it: they fail, or see zeros or all of it",
        pages: 2,
        setup: &[Op::Write { file: 0, at: 0, words: 1 }],
        threads: &[
            &[Op::Write { file: 0, at: word(1, 0), words: 1 }],
            &[Op::Load { map: 0, at: word(1, 0) }, Op::Load { map: 1, at: word(1, 0) }],
        ],
        finally: &[Op::Load { map: 0, at: word(1, 0) }, Op::Read { file: 0, at: word(1, 0), words: 1 }],
        ..ONE_PAGE
    },
    Scenario {
        name: "dontneed-vs-store",
        about: "generic/437: one thread drops the translations under which another stores and loads",
        setup: &[Op::Truncate { file: 0, size: BLOCK_SIZE }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::DontNeed { map: 0, page: 0 }, Op::Load { map: 0, at: 0 }],
            &[Op::Store { map: 0, at: 0 }, Op::Fsync { file: 0 }, Op::Store { map: 0, at: 0 }],
        ],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[
            (Linux411, &[Durability, Mapping, Coherence]),
            (InvalidateTwice, &[Durability, Mapping, Coherence]),
            (EntryLockOutside, INVERSION),
        ],
        ..ONE_PAGE
    },
];
