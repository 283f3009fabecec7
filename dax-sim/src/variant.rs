//! How faults and I/O are serialised: one value for each answer to Kara's 2017 e-mail. It uses no
//! other module.
//!
//! [Jan Kara's e-mail of 25 April 2017][race] shows a race. A page fault looks up a block and
//! installs the answer. In between, write(2) can allocate the block and invalidate what is mapped.
//! [His e-mail of the next day][cures], "Kara's 2017 e-mail" below, names the two options. Each
//! [`Variant`] is one way to deal with the race. Its [`Rules`] are all that the paths in `fs` and
//! `dax` ask of it.
//!
//! [race]: https://lore.kernel.org/r/20170425111043.GH2793@quack2.suse.cz
//! [cures]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz

use crate::text::unknown;
use std::fmt;
use std::str::FromStr;

/// One answer to "faults race with block allocation".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    /// Linux 4.10 and 4.11. A fault looks up the block, and then locks the entry. A fault that maps
    /// the zero page of a hole replaces any entry that the fault finds. This variant has both races
    /// of Kara's 2017 e-mail.
    Linux411,
    /// Ross Zwisler's idea, which Kara's 2017 e-mail answers. This variant is like Linux 4.11,
    /// except that write(2) invalidates once more after the copy. The race of write(2) and a read
    /// fault occurs less often, and still occurs.
    InvalidateTwice,
    /// Option 1 of Kara's 2017 e-mail, applied to the kernel's code of April 2017. A fault that
    /// allocates takes the entry lock, and then begins its transaction. write(2) copies inside its
    /// transaction. This variant can deadlock.
    EntryLockOutside,
    /// Linux 4.12 (option 1 of Kara's 2017 e-mail). A fault takes the entry lock, and then looks up
    /// the block. A write fault starts its transaction before it takes the entry lock.
    Linux412,
    /// Option 2 of Kara's 2017 e-mail. This variant is like Linux 4.11, with two exceptions. Write
    /// faults hold i_mmap_sem exclusively. write(2) holds i_mmap_sem shared while it looks up. If
    /// the write(2) must allocate, it then holds i_mmap_sem exclusively while it looks up again,
    /// allocates and invalidates.
    Rwsem,
    /// Option 2 with a range lock in place of i_rwsem and another in place of i_mmap_sem. An
    /// operation locks in the same sections of code as in [`Variant::Rwsem`], but locks only the
    /// range that the operation needs.
    RangeLock,
    /// Like [`Variant::Rwsem`], but write(2) also holds i_mmap_sem exclusively during the copy. A
    /// write(2) hangs if its copy must fault on a mapping of the same file.
    RwsemCopy,
    /// Like [`Variant::RangeLock`], but write(2) also holds the range of i_mmap_sem during the
    /// copy. write(2) first faults the buffer in, and then copies with faults off.
    RangeLockCopy,
    /// Like Linux 4.12, without i_mmap_sem and i_rwsem. This variant is incorrect, and shows
    /// roughly the upper bound of the throughput.
    Unserialised,
}

impl Variant {
    /// All variants, in the order in which tables list them.
    pub const ALL: [Variant; 9] = [
        Variant::Linux411,
        Variant::InvalidateTwice,
        Variant::EntryLockOutside,
        Variant::Linux412,
        Variant::Rwsem,
        Variant::RwsemCopy,
        Variant::RangeLock,
        Variant::RangeLockCopy,
        Variant::Unserialised,
    ];

    /// The variants that `compare` compares by default, in the same order.
    pub const COMPARED: [Variant; 5] =
        [Variant::Linux411, Variant::Linux412, Variant::Rwsem, Variant::RangeLock, Variant::Unserialised];

    /// The name on the command line, in tables and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Linux411 => "linux-4.11",
            Variant::InvalidateTwice => "invalidate-twice",
            Variant::EntryLockOutside => "entry-lock-outside",
            Variant::Linux412 => "linux-4.12",
            Variant::Rwsem => "rwsem",
            Variant::RangeLock => "range-lock",
            Variant::RwsemCopy => "rwsem-copy",
            Variant::RangeLockCopy => "range-lock-copy",
            Variant::Unserialised => "unserialised",
        }
    }

    /// Returns whether write(2), read(2) and mapped accesses are coherent in this variant with its
    /// own locks. In a coherent variant no read is stale.
    pub fn is_coherent(self) -> bool {
        !matches!(self, Variant::Linux411 | Variant::InvalidateTwice | Variant::Unserialised)
    }

    /// Returns whether the variant is coherent, and every operation ends.
    pub fn is_correct(self) -> bool {
        matches!(self, Variant::Linux412 | Variant::Rwsem | Variant::RangeLock | Variant::RangeLockCopy)
    }

    /// Returns whether calls in this variant always take their locks in the order of the ranks. Two
    /// variants violate the order by design. For these two variants a workload does not check the
    /// order, because the first violation would end the program.
    pub fn is_in_order(self) -> bool {
        !matches!(self, Variant::EntryLockOutside | Variant::RwsemCopy)
    }

    /// The rules by which the paths behave in this variant.
    pub fn rules(self) -> Rules {
        let linux_4_11 = Rules {
            i_rwsem: LockKind::Rwsem,
            i_mmap_sem: LockKind::Rwsem,
            fault_order: FaultOrder::LookUpThenLock,
            hole_replaces_any_entry: true,
            exclusive_allocation: false,
            write_copy: WriteCopy::Released,
        };
        let linux_4_12 =
            Rules { fault_order: FaultOrder::LockThenLookUp, hole_replaces_any_entry: false, ..linux_4_11 };
        let option_2 = Rules { exclusive_allocation: true, ..linux_4_11 };
        let range_lock = Rules { i_rwsem: LockKind::RangeLock, i_mmap_sem: LockKind::RangeLock, ..option_2 };
        match self {
            Variant::Linux411 => linux_4_11,
            Variant::InvalidateTwice => Rules { write_copy: WriteCopy::InvalidatedTwice, ..linux_4_11 },
            Variant::EntryLockOutside => Rules {
                fault_order: FaultOrder::LockThenTransaction,
                write_copy: WriteCopy::InTransaction,
                ..linux_4_12
            },
            Variant::Linux412 => linux_4_12,
            Variant::Rwsem => option_2,
            Variant::RwsemCopy => Rules { write_copy: WriteCopy::Held, ..option_2 },
            Variant::RangeLock => range_lock,
            Variant::RangeLockCopy => Rules { write_copy: WriteCopy::HeldWithoutFaults, ..range_lock },
            Variant::Unserialised => {
                Rules { i_rwsem: LockKind::None, i_mmap_sem: LockKind::None, ..linux_4_12 }
            }
        }
    }
}

/// How the paths behave in a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The lock that read(2) takes shared, and that every system call that changes a file takes
    /// exclusively.
    pub i_rwsem: LockKind,
    /// The lock that faults take shared, except write faults under [`Rules::exclusive_allocation`].
    /// Truncate, punch and other calls that free or move blocks take this lock exclusively.
    pub i_mmap_sem: LockKind,
    /// What a fault does first.
    pub fault_order: FaultOrder,
    /// Whether a read fault that saw a hole replaces every entry with the zero page, even the entry
    /// of a block. A read fault of Linux up to 4.11 replaces every entry.
    pub hole_replaces_any_entry: bool,
    /// Whether the variant is option 2 of Kara's 2017 e-mail. In option 2 a write fault holds
    /// i_mmap_sem exclusively. A write(2) holds i_mmap_sem at least while it looks up, allocates
    /// and invalidates. While the write(2) allocates and invalidates, it holds i_mmap_sem
    /// exclusively.
    pub exclusive_allocation: bool,
    /// What surrounds the copy of write(2).
    pub write_copy: WriteCopy,
}

/// The kind of lock at a level of locking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockKind {
    /// One `parking_lot::RwLock<()>` over the whole file.
    Rwsem,
    /// One `RangeLock`. An operation locks only the range that the operation needs.
    RangeLock,
    /// No lock.
    None,
}

impl LockKind {
    /// All kinds, in the order in which messages list them.
    pub const ALL: [LockKind; 3] = [LockKind::Rwsem, LockKind::RangeLock, LockKind::None];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            LockKind::Rwsem => "rwsem",
            LockKind::RangeLock => "range-lock",
            LockKind::None => "none",
        }
    }
}

impl fmt::Display for LockKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LockKind {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let known = LockKind::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| unknown("lock", name, &LockKind::ALL.map(LockKind::name)))
    }
}

/// The kinds of lock that replace the variant's own locks. `None` keeps the lock of the variant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Locks {
    /// In place of the variant's i_rwsem.
    pub i_rwsem: Option<LockKind>,
    /// In place of the variant's i_mmap_sem.
    pub i_mmap_sem: Option<LockKind>,
}

/// A variant in which locks of other kinds may replace i_rwsem, i_mmap_sem or both.
/// `Mix::from(variant)` is the variant with its own locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mix {
    /// The variant.
    pub variant: Variant,
    /// The levels that the variant does not decide.
    pub locks: Locks,
}

impl From<Variant> for Mix {
    fn from(variant: Variant) -> Self {
        Self { variant, locks: Locks::default() }
    }
}

impl Mix {
    /// Returns whether the device must hold, when no call is under way, what write(2) wrote last.
    /// In every variant the locks ensure this. Without i_rwsem or i_mmap_sem, the calls of the
    /// program itself may lose what was written.
    pub(crate) fn keeps_writes(self) -> bool {
        let rules = self.variant.rules();
        let i_rwsem = self.locks.i_rwsem.unwrap_or(rules.i_rwsem);
        let i_mmap_sem = self.locks.i_mmap_sem.unwrap_or(rules.i_mmap_sem);
        ![i_rwsem, i_mmap_sem].contains(&LockKind::None)
    }
}

/// The order of the first steps of a fault. In every order, the fault holds the entry lock while it
/// stores the answer in the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultOrder {
    /// A fault calls `iomap_begin`, and then takes the entry lock (Linux 4.10 and 4.11, from commit
    /// 9f141d6ef625 on).
    LookUpThenLock,
    /// A write fault first starts its transaction. Each fault takes the entry lock, and then calls
    /// `iomap_begin` (Linux 4.12 and later).
    LockThenLookUp,
    /// A fault takes the entry lock, and then calls `iomap_begin`. If `iomap_begin` must allocate,
    /// it starts the transaction. Kara's 2017 e-mail warns of this inversion.
    LockThenTransaction,
}

/// How write(2) copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteCopy {
    /// With only i_rwsem held: the copy may fault.
    Released,
    /// Like [`WriteCopy::Released`], but write(2) invalidates the pages of the write once more
    /// after the copy.
    InvalidatedTwice,
    /// Inside the transaction of the allocation.
    InTransaction,
    /// With i_mmap_sem held exclusively. The copy may fault. A fault on a page of the same file
    /// waits for ever if the write(2) holds i_mmap_sem over this page.
    Held,
    /// With i_mmap_sem held exclusively and faults off. write(2) faults the buffer in before the
    /// copy, and again after a short copy. After eight copies in a row that copied nothing,
    /// write(2) copies at most a page through a bounce buffer.
    HeldWithoutFaults,
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Variant {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Variant::ALL.into_iter().find(|v| v.name() == name);
        known.ok_or_else(|| unknown("variant", name, &Variant::ALL.map(Variant::name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_are_kept_wherever_there_are_both_locks() {
        for variant in Variant::ALL {
            assert_eq!(Mix::from(variant).keeps_writes(), variant != Variant::Unserialised, "{variant}");
            let with = |i_rwsem, i_mmap_sem| Mix { variant, locks: Locks { i_rwsem, i_mmap_sem } };
            let (lock, none) = (Some(LockKind::RangeLock), Some(LockKind::None));
            assert!(with(lock, lock).keeps_writes(), "{variant}");
            assert!(!with(lock, none).keeps_writes() && !with(none, lock).keeps_writes(), "{variant}");
        }
    }
}
