//! Blocks that go, come or move under accesses; and threads that wait for an entry that goes.

use super::super::scenario::{Op, Scenario, word};
use super::{INVERSION, ONE_PAGE};
use crate::pmem::BLOCK_SIZE;
use crate::variant::Variant::EntryLockOutside;

pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "punch-vs-store",
        about: "generic/567: a hole is punched under stores; nothing comes back, nothing is lost",
        setup: &[Op::Write { file: 0, at: 0, words: 2 }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Punch { file: 0, at: 0, len: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: word(0, 1) }, Op::Load { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "punch-straddles",
        about: "generic/567: what is punched begins and ends inside pages, under stores to them",
        pages: 2,
        setup: &[
            Op::Write { file: 0, at: word(0, 510), words: 4 },
            Op::Store { map: 0, at: word(0, 510) },
            Op::Store { map: 0, at: word(1, 0) },
        ],
        threads: &[
            &[Op::Punch { file: 0, at: word(0, 511), len: 16 }],
            &[Op::Store { map: 0, at: word(0, 510) }, Op::Store { map: 0, at: word(1, 0) }],
        ],
        finally: &[Op::Load { map: 1, at: word(0, 511) }, Op::Read { file: 0, at: word(0, 510), words: 4 }],
        ..ONE_PAGE
    },
    Scenario {
        name: "zero-vs-store",
        about: "generic/567: a range is zeroed under stores, and its blocks stay",
        setup: &[Op::Write { file: 0, at: 0, words: 2 }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Zero { file: 0, at: 0, len: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: word(0, 1) }, Op::Load { map: 1, at: word(0, 1) }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "truncate-vs-store",
        about: "generic/029: a file is cut and grows again under stores; nothing comes back, nothing is lost",
        setup: &[Op::Write { file: 0, at: 0, words: 2 }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Truncate { file: 0, size: 0 }, Op::Truncate { file: 0, size: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: word(0, 1) }, Op::Load { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "truncate-in-page",
        about: "generic/030: a file is cut inside a page and grows again, under stores to both sides of the cut",
        setup: &[Op::Write { file: 0, at: 0, words: 3 }, Op::Store { map: 0, at: 0 }],
        threads: &[
            &[Op::Truncate { file: 0, size: word(0, 1) }, Op::Truncate { file: 0, size: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: 0 }, Op::Store { map: 0, at: word(0, 1) }],
        ],
        finally: &[Op::Load { map: 1, at: word(0, 2) }, Op::Read { file: 0, at: 0, words: 3 }],
        ..ONE_PAGE
    },
    Scenario {
        name: "truncate-vs-load",
        about: "generic/469 and 029: accesses past a new end fail, and read zeros when the file grows again",
        setup: &[Op::Write { file: 0, at: 0, words: 1 }],
        threads: &[
            &[Op::Truncate { file: 0, size: 0 }, Op::Truncate { file: 0, size: BLOCK_SIZE }],
            &[Op::Load { map: 0, at: 0 }, Op::Load { map: 0, at: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        ..ONE_PAGE
    },
    Scenario {
        name: "free-under-access",
        about: "a block that is punched out is not another file's before the last access through it is over",
        files: 2,
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Punch { file: 0, at: 0, len: BLOCK_SIZE }, Op::Write { file: 1, at: 0, words: 1 }],
            &[Op::Load { map: 0, at: 0 }, Op::Store { map: 0, at: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 1, at: 0, words: 1 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "pinned-vs-punch",
        about: "generic/503: a page is the target of a direct read while it is punched out",
        files: 2,
        setup: &[Op::Write { file: 0, at: 0, words: 1 }],
        threads: &[
            &[Op::DirectWrite { map: 0, at: 0 }],
            &[Op::Punch { file: 0, at: 0, len: BLOCK_SIZE }, Op::Write { file: 1, at: 0, words: 1 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 1, at: 0, words: 1 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "collapse-vs-fault",
        about: "a page is collapsed under a fault behind it: what is mapped is what has moved there",
        pages: 2,
        setup: &[
            Op::Write { file: 0, at: 0, words: 1 },
            Op::Write { file: 0, at: word(1, 0), words: 1 },
            Op::Truncate { file: 0, size: 3 * BLOCK_SIZE },
        ],
        threads: &[&[Op::Collapse { file: 0, page: 0 }], &[Op::Load { map: 0, at: word(1, 0) }]],
        finally: &[Op::Load { map: 0, at: word(1, 0) }, Op::Read { file: 0, at: word(1, 0), words: 1 }],
        ..ONE_PAGE
    },
    Scenario {
        name: "insert-vs-fault",
        about: "a page is inserted under a fault behind it: what is mapped is what has moved there",
        pages: 2,
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Write { file: 0, at: word(1, 0), words: 1 }],
        threads: &[&[Op::Insert { file: 0, page: 0 }], &[Op::Load { map: 0, at: word(1, 0) }]],
        finally: &[Op::Load { map: 0, at: word(1, 0) }, Op::Read { file: 0, at: word(1, 0), words: 1 }],
        ..ONE_PAGE
    },
    Scenario {
        name: "fallocate-vs-store",
        about: "generic/438: preallocation past the end of the file does not eat what is stored before it",
        setup: &[Op::Truncate { file: 0, size: 8 }],
        threads: &[&[Op::Fallocate { file: 0, page: 0, pages: 1 }], &[Op::Store { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "waiters-of-deleted",
        about: "two fsyncs wait for an entry that a punch deletes: both come to an end",
        setup: &[Op::Truncate { file: 0, size: BLOCK_SIZE }, Op::Store { map: 0, at: 0 }],
        threads: &[
            &[Op::Punch { file: 0, at: 0, len: BLOCK_SIZE }],
            &[Op::Fsync { file: 0 }],
            &[Op::Fsync { file: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
    Scenario {
        name: "wake-up",
        about: "who is woken for an entry and does not lock it passes the wake-up on: two fsyncs, and a fault",
        setup: &[
            Op::Truncate { file: 0, size: BLOCK_SIZE },
            Op::Store { map: 0, at: 0 },
            Op::Fsync { file: 0 },
            Op::Store { map: 0, at: 0 },
        ],
        threads: &[&[Op::Fsync { file: 0 }], &[Op::Fsync { file: 0 }], &[Op::Load { map: 1, at: 0 }]],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(EntryLockOutside, INVERSION)],
        ..ONE_PAGE
    },
];
