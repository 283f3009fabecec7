//! The scenarios: the two races of the mail, and what the tests of Linux file systems and its bug fixes know.

use super::scenario::{Map, Op, Scenario, word};
use crate::check::Invariant::{Coherence, Durability, Freeing, Liveness, LockOrder, Mapping};
use crate::pmem::BLOCK_SIZE;
use crate::radix::HUGE;
use crate::variant::Variant::{EntryLockOutside, InvalidateTwice, Linux411, RwsemCopy};

/// A mapping of file 0.
const FILE_0: Map = Map::of(0);
/// A mapping of file 1.
const FILE_1: Map = Map::of(1);

/// One file of one page, mapped twice, which is a hole at first.
const ONE_PAGE: Scenario = Scenario {
    name: "",
    about: "",
    files: 1,
    pages: 1,
    huge: false,
    maps: &[FILE_0, FILE_0],
    setup: &[Op::Truncate { file: 0, size: BLOCK_SIZE }],
    threads: &[],
    finally: &[],
    broken_in: &[],
};

/// One file of 2 MiB, mapped twice, which is a hole at first.
const HUGE_PAGE: Scenario = Scenario {
    pages: HUGE,
    huge: true,
    setup: &[Op::Truncate { file: 0, size: HUGE * BLOCK_SIZE }],
    ..ONE_PAGE
};

/// All of them.
pub static SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "write-vs-read-fault",
        about: "the first race of the mail: write(2) into a hole overtakes a read fault",
        maps: &[FILE_0],
        threads: &[&[Op::Write { file: 0, at: 0, words: 1 }], &[Op::Load { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(Linux411, Coherence), (InvalidateTwice, Coherence)],
        ..ONE_PAGE
    },
    Scenario {
        name: "read-fault-vs-write-fault",
        about: "the second race of the mail: a write fault overtakes a read fault of another process",
        threads: &[&[Op::Store { map: 1, at: 0 }, Op::Fsync { file: 0 }], &[Op::Load { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Load { map: 1, at: 0 }],
        broken_in: &[(Linux411, Coherence), (InvalidateTwice, Coherence), (EntryLockOutside, LockOrder)],
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
        broken_in: &[(Linux411, Mapping), (InvalidateTwice, Mapping), (EntryLockOutside, LockOrder)],
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
        broken_in: &[(EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
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
        broken_in: &[(EntryLockOutside, LockOrder)],
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
        broken_in: &[(EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
    Scenario {
        name: "fallocate-vs-store",
        about: "generic/438: preallocation past the end of the file does not eat what is stored before it",
        setup: &[Op::Truncate { file: 0, size: 8 }],
        threads: &[&[Op::Fallocate { file: 0, page: 0, pages: 1 }], &[Op::Store { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
    Scenario {
        name: "punch-vs-store",
        about: "generic/567: a hole is punched under stores; nothing comes back, nothing is lost",
        setup: &[Op::Write { file: 0, at: 0, words: 2 }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Punch { file: 0, at: 0, len: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: word(0, 1) }, Op::Load { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, LockOrder)],
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
        broken_in: &[(EntryLockOutside, LockOrder)],
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
        broken_in: &[(Linux411, Durability), (InvalidateTwice, Durability), (EntryLockOutside, LockOrder)],
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
        name: "truncate-vs-store",
        about: "generic/029: a file is cut and grows again under stores; nothing comes back, nothing is lost",
        setup: &[Op::Write { file: 0, at: 0, words: 2 }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Truncate { file: 0, size: 0 }, Op::Truncate { file: 0, size: BLOCK_SIZE }],
            &[Op::Store { map: 0, at: word(0, 1) }, Op::Load { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, LockOrder)],
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
        broken_in: &[(EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
    Scenario {
        name: "collapse-vs-fault",
        about: "a page is collapsed under a fault: what is mapped is what has moved there",
        pages: 2,
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Write { file: 0, at: word(1, 0), words: 1 }],
        threads: &[&[Op::Collapse { file: 0, page: 0 }], &[Op::Load { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        ..ONE_PAGE
    },
    Scenario {
        name: "insert-vs-fault",
        about: "a page is inserted under a fault: what is mapped is the hole",
        setup: &[Op::Write { file: 0, at: 0, words: 1 }],
        threads: &[&[Op::Insert { file: 0, page: 0 }], &[Op::Load { map: 0, at: 0 }]],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
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
        name: "waiters-of-deleted",
        about: "two faults wait for an entry that write(2) deletes: both come to an end",
        setup: &[Op::Truncate { file: 0, size: BLOCK_SIZE }, Op::Load { map: 0, at: 0 }],
        threads: &[
            &[Op::Write { file: 0, at: 0, words: 1 }],
            &[Op::Load { map: 0, at: 0 }],
            &[Op::Load { map: 1, at: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Load { map: 1, at: 0 }],
        broken_in: &[(Linux411, Coherence), (InvalidateTwice, Coherence)],
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
        broken_in: &[(EntryLockOutside, LockOrder)],
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
        broken_in: &[(Linux411, Coherence), (InvalidateTwice, Coherence), (EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
    Scenario {
        name: "forced-commit",
        about: "a commit between the handle of write(2) and that of a write fault: the inversion of the mail",
        threads: &[
            &[Op::Write { file: 0, at: 0, words: 1 }],
            &[Op::Store { map: 0, at: word(0, 1) }],
            &[Op::Fsync { file: 0 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Fsync { file: 0 }, Op::Read { file: 0, at: 0, words: 2 }],
        broken_in: &[(EntryLockOutside, Liveness)],
        ..ONE_PAGE
    },
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
            (Linux411, Mapping),
            (InvalidateTwice, Mapping),
            (RwsemCopy, Liveness),
            (EntryLockOutside, LockOrder),
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
        broken_in: &[(RwsemCopy, Liveness), (EntryLockOutside, LockOrder)],
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
        broken_in: &[(EntryLockOutside, LockOrder)],
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
        broken_in: &[(RwsemCopy, Liveness), (EntryLockOutside, LockOrder)],
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
        broken_in: &[(RwsemCopy, LockOrder), (EntryLockOutside, LockOrder)],
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
        broken_in: &[(RwsemCopy, Liveness), (EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
    Scenario {
        name: "clone-vs-store",
        about: "generic/578: a file is cloned while it is stored to: the clone has the old or the new",
        files: 2,
        maps: &[FILE_0, FILE_1],
        setup: &[Op::Write { file: 0, at: 0, words: 1 }, Op::Load { map: 0, at: 0 }],
        threads: &[&[Op::Clone { file: 1, source: 0 }], &[Op::Store { map: 0, at: 0 }]],
        finally: &[
            Op::Load { map: 1, at: 0 },
            Op::Store { map: 1, at: 0 },
            Op::Load { map: 0, at: 0 },
            Op::Read { file: 1, at: 0, words: 1 },
        ],
        broken_in: &[(EntryLockOutside, LockOrder)],
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
        broken_in: &[(Linux411, Freeing), (InvalidateTwice, Freeing), (EntryLockOutside, LockOrder)],
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
        name: "pinned-vs-punch",
        about: "generic/503: a page is the target of a direct read while it is punched out",
        files: 2,
        setup: &[Op::Write { file: 0, at: 0, words: 1 }],
        threads: &[
            &[Op::DirectWrite { map: 0, at: 0 }],
            &[Op::Punch { file: 0, at: 0, len: BLOCK_SIZE }, Op::Write { file: 1, at: 0, words: 1 }],
        ],
        finally: &[Op::Load { map: 0, at: 0 }, Op::Read { file: 1, at: 0, words: 1 }],
        broken_in: &[(EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
    Scenario {
        name: "map-sync",
        about: "generic/470: a crash after a store through MAP_SYNC does not lose its block",
        maps: &[Map { sync: true, ..FILE_0 }, FILE_0],
        threads: &[&[Op::Store { map: 0, at: 0 }], &[Op::Load { map: 1, at: 0 }]],
        finally: &[Op::Load { map: 1, at: 0 }, Op::Read { file: 0, at: 0, words: 1 }],
        broken_in: &[(Linux411, Coherence), (InvalidateTwice, Coherence), (EntryLockOutside, LockOrder)],
        ..ONE_PAGE
    },
    Scenario {
        name: "stale-pmd",
        about: "generic/428: the huge zero page is mapped, write(2) puts a block below it",
        threads: &[
            &[Op::Write { file: 0, at: word(7, 0), words: 1 }],
            &[Op::Load { map: 0, at: word(7, 0) }],
        ],
        finally: &[Op::Load { map: 0, at: word(7, 0) }, Op::Read { file: 0, at: word(7, 0), words: 1 }],
        broken_in: &[(Linux411, Coherence), (InvalidateTwice, Coherence)],
        ..HUGE_PAGE
    },
    Scenario {
        name: "pmd-vs-pte",
        about: "d0f0931de936: a fault of 2 MiB against one of a page below it",
        maps: &[FILE_0, Map { small: true, ..FILE_0 }],
        threads: &[&[Op::Load { map: 0, at: word(7, 0) }], &[Op::Store { map: 1, at: word(7, 0) }]],
        finally: &[Op::Load { map: 0, at: word(7, 0) }, Op::Load { map: 1, at: word(7, 0) }],
        broken_in: &[(EntryLockOutside, LockOrder)],
        ..HUGE_PAGE
    },
    Scenario {
        name: "misaligned-pmd",
        about: "fffa281b48a9: 2 MiB at an address that is not theirs fall back to pages, and nobody waits for ever",
        maps: &[Map { address: Some((1 << 32) + BLOCK_SIZE), ..FILE_0 }, FILE_0],
        threads: &[
            &[Op::Load { map: 0, at: word(7, 0) }, Op::Load { map: 0, at: word(8, 0) }],
            &[Op::Load { map: 1, at: word(8, 0) }, Op::Write { file: 0, at: word(8, 0), words: 1 }],
        ],
        finally: &[Op::Load { map: 0, at: word(8, 0) }, Op::Load { map: 1, at: word(8, 0) }],
        broken_in: &[(Linux411, Coherence), (InvalidateTwice, Coherence)],
        ..HUGE_PAGE
    },
];
