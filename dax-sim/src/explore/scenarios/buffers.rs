//! User memory that is itself a mapping of a file.

use super::super::scenario::{Op, Scenario, word};
use super::{FILE_0, FILE_1, INVERSION, ONE_PAGE};
use crate::check::Invariant::{Coherence, Liveness, LockOrder, Mapping};
use crate::pmem::BLOCK_SIZE;
use crate::variant::Variant::{EntryLockOutside, InvalidateTwice, Linux411, RwsemCopy};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "self-write",
        about: "generic/647: write(fd, mmap(fd)), from another page of the same file, while that is loaded",
        pages: 2,
        setup: &[Op::Truncate { file: 0, size: 2 * BLOCK_SIZE }],
        threads: &[
            &[Op::WriteFrom { file: 0, at: 0, words: 1, map: 0, from: word(1, 0) }],
            &[Op::Load { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[
            (Linux411, &[Mapping, Coherence]),
            (InvalidateTwice, &[Mapping, Coherence]),
            (RwsemCopy, &[Liveness, LockOrder]),
            (EntryLockOutside, INVERSION),
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "same-page",
        about: "generic/248: write(2) from a mapping of the very page that it writes, into a hole",
        threads: &[
            &[Op::WriteFrom { file: 0, at: 0, words: 1, map: 0, from: word(0, 1) }],
            &[Op::Store { map: 1, at: word(0, 1) }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(RwsemCopy, &[Liveness, LockOrder]), (EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "self-read",
        about: "generic/647: read(fd, mmap(fd)), into another page of the same file, while that is written",
        pages: 2,
        setup: &[Op::Truncate { file: 0, size: 2 * BLOCK_SIZE }],
        threads: &[
            &[Op::ReadInto { file: 0, at: 0, words: 1, map: 0, to: word(1, 0) }],
            &[Op::Store { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 1, at: word(1, 0) }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "overlapping",
        about: "generic/638: write(2) from a mapping onto what it overlaps with",
        setup: &[Op::Write { file: 0, at: 0, words: 3 }],
        threads: &[
            &[Op::WriteFrom { file: 0, at: 0, words: 2, map: 0, from: word(0, 1) }],
            &[Op::Load { map: 1, at: word(0, 1) }, Op::Load { map: 1, at: word(0, 1) }],
        ],
        finally: &[Op::Load { map: 1, at: word(0, 1) }, Op::Read { file: 0, at: 0, words: 3 }],
        broken_in: &[(RwsemCopy, &[Liveness, LockOrder]), (EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "buffer-of-another-file",
        about: "generic/413: the mapping of one file is the buffer of write(2) to another, while it is punched",
        files: 2,
        maps: &[FILE_1, FILE_0],
        setup: &[Op::Write { file: 1, at: 0, words: 1 }, Op::Truncate { file: 0, size: BLOCK_SIZE }],
        threads: &[
            &[Op::WriteFrom { file: 0, at: 0, words: 1, map: 0, from: 0 }],
            &[Op::Punch { file: 1, at: 0, len: BLOCK_SIZE }],
        ],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(RwsemCopy, &[LockOrder]), (EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "crossing-writers",
        about: "A writes page 0 from a mapping of page 1, B page 1 from a mapping of page 0",
        pages: 2,
        setup: &[
            Op::Truncate { file: 0, size: 2 * BLOCK_SIZE },
            Op::Write { file: 0, at: word(1, 0), words: 1 },
        ],
        threads: &[
            &[Op::WriteFrom { file: 0, at: 0, words: 1, map: 0, from: word(1, 0) }],
            &[Op::WriteFrom { file: 0, at: word(1, 0), words: 1, map: 1, from: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Load { map: 0, at: word(1, 0) }],
        broken_in: &[(RwsemCopy, &[Liveness, LockOrder]), (EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
];
