//! What it costs, where it loses, and how to keep it cheap.
//!
//! # What it costs
//!
//! Acquiring and releasing a free range take the lock's internal mutex once each and put an entry into a tree and out again. With
//! nobody else in the lock that is a few times the cost of an uncontended `RwLock`; with n requests in it, O(log n). Nothing is
//! allocated, once the lock has seen as many requests at a time as it ever will.
//!
//! What pays is what the sections overlap. If a section sleeps, does I/O, or copies pages, threads in disjoint ranges do that at the
//! same time, and the lock's own cost does not matter. If it takes nanoseconds, the cost is all there is.
//!
//! # Where it loses
//!
//! * **Sections of nanoseconds, many threads.** All threads meet on one mutex. A plain `RwLock` taken for reading is cheaper there,
//!   and an array of locks over fixed blocks scales better.
//! * **Nearly always the whole.** A lock taken for `..` is an expensive `RwLock`.
//! * **One hot range.** Strict order hands it from sleeper to sleeper: see [`fairness`](super::fairness).
//!
//! Measure with your own sections: `cargo bench -p range-lock-benches` has the uncontended cost beside `parking_lot` and `std`, and
//! disjoint writers beside one `RwLock`, each with and without a page copied under the lock.
//!
//! # Keeping it cheap
//!
//! * Lock what you touch. A range rounded up to more than needed meets neighbours that it need not.
//! * [`shrink`](crate::RangeWriteGuard::shrink) as soon as you know less will do, [`downgrade`](crate::RangeWriteGuard::downgrade) as
//!   soon as you have written.
//! * A lock is small and allocates nothing before it is used: have one for each file, not one for all.
