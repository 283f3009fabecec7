//! How the lock works, for readers of the code.
//!
//! # The rule
//!
//! The lock is Jan Kara's range lock of 2013 with Davidlohr Bueso's readers (2017; the links are at
//! [`RangeLock`](crate::RangeLock#origin)). A request is granted when no earlier conflicting
//! request is held or waits. Both of these locks count the requests in the way. This lock
//! *registers*.
//!
//! # Registrations
//!
//! All requests, held and waiting, are entries in interval trees. An entry that an earlier
//! conflicting one keeps out is registered with **one** such entry. The request's *count* is the
//! number of its entries that are registered. At zero it is granted.
//!
//! When an entry leaves, only the entries registered with it are looked at again. Each of them is
//! registered with another entry that keeps it out, or its request's count is lowered. The thread
//! that lowers the count to zero wakes the waiter. No queue is searched, and no thread is woken
//! that cannot run.
//!
//! ```text
//! A holds [0, 20)                          A leaves: B is free of all, and runs
//! B wants [10, 30), registered with A      B leaves: C is free of all, and runs
//! C wants [5, 15), registered with B
//! ```
//!
//! C conflicts with A too. One registration suffices: as long as B is there C must wait anyway, and
//! when B leaves the look finds whatever else is in the way. A waiting entry is registered with the
//! latest earlier one, so m writers of one range form a chain. Releasing one of them looks at one
//! entry.
//!
//! So everything that changes what conflicts looks at registrations, and nothing else does:
//!
//! | change | which entries are looked at again |
//! |---|---|
//! | release, giving up | those registered with the entry |
//! | downgrade | those of them that no longer conflict |
//! | shrink | those of them that no longer overlap |
//! | split | all of them: each is registered with the half that it overlaps |
//! | upgrade | waiting readers that nothing kept out: they are registered with the upgrade |
//!
//! # Waiting
//!
//! A request that is granted at once exists only as an entry. One that waits also has a record,
//! with its count and the place where its thread sleeps (or its task's waker). The count is atomic:
//! the waiter looks at it without any mutex, and a granted waiter goes on without taking one.
//! Decrements release and the final look acquires, so what the previous holders wrote is visible.
//!
//! A waiter spins for a moment, and lets others run. Then it sets a bit next to the count, which
//! tells the thread that grants it to wake it, and parks. Wake-ups are collected under the mutex
//! and done after it has been dropped. So a woken thread does not run into the mutex, and a waker
//! may call back into the lock.
//!
//! Records are reference-counted, and are used again only when no other thread holds them. A
//! wake-up that comes late finds the right sleeper or none.
//!
//! # Leaves
//!
//! All of this happens in *leaves*, which tile the domain. A new lock has one. A leaf is cut in two
//! where threads keep meeting on its mutex. Neighbours that requests cross, and in which no threads
//! have met for long, are joined. A request has an entry, with its whole span, in each leaf that it
//! touches. It enters, changes and leaves under the mutexes of all of them. Registrations stay
//! within a leaf. So the partition is the lock's business alone: which requests are granted, and in
//! which order, is the same with one leaf and with many.
//!
//! A table tells in which leaf a point lies. It is read without a lock, and checked under the
//! leaf's mutex. An uncontended request of one leaf takes one mutex to enter and one to leave, and
//! writes one cache line.
//!
//! The mutex of a leaf hands itself over to threads that wait in line for it, each at a seat with a
//! cache line of its own. So many CPUs can wait for it without slowing down the one that has it.
//!
//! # The trees
//!
//! A leaf keeps its first three granted entries in place. The rest, and the entries that wait, are
//! in interval trees: one for each mode, so that a reader never meets readers.
//!
//! These are B-trees ordered by where spans begin. Their nodes know the largest end below each of
//! their children, so a subtree that ends before the span asked for is never entered. Nodes and
//! values name each other by `u32` index. No unsafe code.
//!
//! # How it is known to be right
//!
//! The same verbs are driven by random histories and compared with a reference model of a hundred
//! lines after every step. loom explores them in every order. Real threads run them against an
//! oracle. And each bug that other range locks are known to have had has a test. `docs/testing.md`
//! in the repository lists what each of these proves.
