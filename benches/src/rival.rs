//! What a lock has to offer to be measured.
//!
//! Everything in a measured loop is dispatched statically: a workload is compiled once for each
//! rival. At run time only the next cell is chosen, by [`Contender`](crate::workload::Contender).

use std::ops::Range;

/// Which requests a lock can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// No requests: the rival excludes nothing. The control.
    Nothing,
    /// One lock for everything.
    Whole,
    /// A fixed number of locks for everything: two requests that do not overlap may still exclude
    /// each other, and a thread that holds one range may not wait for a second.
    Hashed,
    /// Ranges, exactly.
    Exact,
    /// It is no lock: it shows what one workload can reach at most.
    Reference,
}

/// A lock, or what stands in for one.
pub trait Rival: Send + Sync + Sized {
    /// The rival's name in tables and on the command line.
    const NAME: &'static str;
    /// Which requests the rival can tell apart.
    const SCOPE: Scope;
    /// Whether readers let each other in. If not, a read is as exclusive as a write.
    const SHARED: bool;
    /// How many ranges a thread may hold while it asks for others. It is 0 if these could exclude
    /// each other. Otherwise it is as many as can be taken in a few seconds.
    const MOST_HELD: usize = match Self::SCOPE {
        Scope::Whole | Scope::Hashed => 0,
        Scope::Nothing | Scope::Exact | Scope::Reference => usize::MAX,
    };

    /// What a thread needs to use it.
    type User<'a>: User
    where
        Self: 'a;

    /// Builds a lock in which nothing is locked.
    fn new() -> Self;

    /// A new user. Each thread makes its own.
    fn user(&self) -> Self::User<'_>;

    /// The sizes of a read guard and of a write guard, in bytes.
    fn guard_bytes() -> (usize, usize) {
        (size_of::<ReadGuard<'_, '_, Self>>(), size_of::<WriteGuard<'_, '_, Self>>())
    }
}

/// The guard of a read by a user of `R`.
pub type ReadGuard<'a, 'u, R> = <<R as Rival>::User<'a> as User>::Read<'u>;
/// The guard of a write by a user of `R`.
pub type WriteGuard<'a, 'u, R> = <<R as Rival>::User<'a> as User>::Write<'u>;

/// A thread's way to a lock. Ranges are of bytes, in pages of [`PAGE`], below [`DOMAIN`].
pub trait User {
    /// Unlocks when dropped.
    type Read<'a>
    where
        Self: 'a;
    /// Unlocks when dropped.
    type Write<'a>
    where
        Self: 'a;

    /// Locks `range` for reading.
    fn read(&self, range: Range<u64>) -> Self::Read<'_>;
    /// Locks `range` for writing.
    fn write(&self, range: Range<u64>) -> Self::Write<'_>;
    /// Locks the whole domain for writing.
    fn write_whole(&self) -> Self::Write<'_>;
}

/// The size of a page in bytes, the unit of all workloads.
pub const PAGE: u64 = 4096;
/// Where the largest file of any workload ends, for locks that need to know.
pub const DOMAIN: u64 = 1 << 40;

/// The range of page number `page`.
#[inline]
pub fn page(page: u64) -> Range<u64> {
    page * PAGE..(page + 1) * PAGE
}
