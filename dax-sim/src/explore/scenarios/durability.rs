//! What fsync, a commit and MAP_SYNC promise.

use super::super::scenario::{Map, Op, Scenario, word};
use super::{FILE_0, FILE_1, INVERSION, ONE_PAGE};
use crate::check::Invariant::{Coherence, Liveness, LockOrder, Mapping};
use crate::pmem::BLOCK_SIZE;
use crate::variant::Variant::{EntryLockOutside, InvalidateTwice, Linux411};

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "fsync-vs-store",
        about: "two processes store and fsync: what fsync promised is durable, and the next store faults",
        setup: &[
            Op::Truncate { file: 0, size: BLOCK_SIZE },
            Op::Store { map: 0, at: 0 },
            Op::Store { map: 1, at: word(0, 1) },
        ],
        threads: &[
            &[Op::Store { map: 0, at: 0 }, Op::Fsync { file: 0 }],
            &[Op::Store { map: 1, at: word(0, 1) }, Op::Fsync { file: 0 }],
        ],
        finally: &[Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "truncate-vs-fsync",
        about: "a file is made larger in its last page, and what is stored there is fsynced",
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Fsync { file: 0 }],
        threads: &[
            &[Op::Truncate { file: 0, size: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: word(0, 1) }, Op::Fsync { file: 0 }],
        ],
        finally: &[
            Op::Store { map: 0, at: word(0, 1) },
            Op::Fsync { file: 0 },
            Op::Read { file: 0, at: 0, words: 2 },
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "forced-commit",
        about: "a commit between the handle of write(2) and that of a write fault: the inversion of Kara's 2017 e-mail",
        threads: &[
            &[Op::Write { file: 0, at: 0, words: 1 }],
            &[Op::Store { map: 0, at: word(0, 1) }],
            &[Op::Fsync { file: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Fsync { file: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, &[Liveness, LockOrder])],
        ..ONE_PAGE
    },
    Scenario {
        name: "map-sync",
        about: "generic/470: a crash after a store through MAP_SYNC does not lose its block",
        maps: &[Map { sync: true, ..FILE_0 }, FILE_0],
        threads: &[&[Op::Store { map: 0, at: 0 }], &[Op::Load { map: 1, at: 0 }]],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[
            (Linux411, &[Coherence, Mapping]),
            (InvalidateTwice, &[Coherence, Mapping]),
            (EntryLockOutside, INVERSION),
        ],
        ..ONE_PAGE
    },
    Scenario {
        name: "map-sync-vs-clone",
        about: "a file is cloned, and then punched, under stores through MAP_SYNC: each finds a durable place",
        files: 2,
        maps: &[Map { sync: true, ..FILE_0 }, FILE_1],
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Fsync { file: 0 }],
        threads: &[
            &[Op::Store { map: 0, at: 0 }, Op::Store { map: 0, at: word(0, 1) }],
            &[Op::Clone { file: 1, source: 0 }, Op::Punch { file: 0, at: 0, len: BLOCK_SIZE }],
        ],
        finally: &[
            Op::Load { map: 1, at: 0 },
            Op::Store { map: 0, at: 0 },
            Op::Load { map: 1, at: 0 },
            Op::Read { file: 0, at: 0, words: 2 },
        ],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
];
