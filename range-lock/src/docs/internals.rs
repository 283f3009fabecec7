//! How the lock works, for readers of the code.
//!
//! # The rule
//!
//! The lock is Jan Kara's range lock of 2013 with the readers that Davidlohr Bueso added in 2017
//! (the links are at [`RangeLock`](crate::RangeLock#origin)). A request is granted when no earlier
//! conflicting request is held or waits. In the locks of Kara and Bueso, a request counts the
//! earlier requests that conflict with it. In this lock, a request is *registered* with one of
//! them.
//!
//! # Registrations
//!
//! Each request, held or waiting, has an entry in each [leaf](#leaves) that it touches. If earlier
//! conflicting entries keep an entry out, the entry is registered with **one** of them. The *count*
//! of a request is the number of its registered entries. The request is granted when its count is
//! zero.
//!
//! When an entry leaves, the lock looks again only at the entries that are registered with it. If
//! another entry keeps such an entry out, the lock registers it with that other entry. Otherwise
//! the lock lowers the count of the request. The thread that lowers a count to zero wakes the
//! waiter. So a release searches no queue, and wakes only threads that can run.
//!
//! ```text
//! A holds [0, 20)                          A leaves: B is free of all, and runs
//! B wants [10, 30), registered with A      B leaves: C is free of all, and runs
//! C wants [5, 15), registered with B
//! ```
//!
//! C conflicts with A too, but one registration suffices. As long as B is in the leaf, C must wait
//! anyway. When B leaves, the second look finds any other entry that keeps C out. A waiting entry
//! is registered with the latest of the earlier entries. So m writers of one range form a chain,
//! and the release of one writer looks at one entry.
//!
//! An operation looks at registrations if, and only if, it changes which entries conflict:
//!
//! | change | which entries are looked at again |
//! |---|---|
//! | release, giving up | all entries registered with the entry that leaves |
//! | downgrade | the registered entries that no longer conflict |
//! | shrink | the registered entries that no longer overlap |
//! | split | all registered entries: each is registered with the half that it overlaps |
//! | upgrade | waiting readers that no entry kept out: they are registered with the upgrade |
//!
//! # Waiting
//!
//! A request that is granted immediately has entries and nothing else. A request that waits also
//! has a record. The record has the request's count, and the place where the request's thread
//! sleeps or the waker of its task. The count is atomic, so a waiter reads it without a mutex, and
//! goes on without a mutex when its request is granted. Lowering the count is a release operation,
//! and the waiter's last read of the count is an acquire operation. So the waiter sees what the
//! previous holders wrote.
//!
//! A waiter first spins, and then yields to other threads. Then it sets a bit next to the count,
//! and parks. The bit tells the thread that grants the request to wake the waiter. That thread
//! notes the wake-up while it has the mutex, and wakes the waiter after it has released the mutex.
//! So a woken thread does not find the mutex taken, and a waker may call back into the lock.
//!
//! Records are reference-counted. A record is used again only when no other thread holds it. So a
//! late wake-up wakes the right sleeper or no sleeper.
//!
//! # Leaves
//!
//! Entries and registrations lie in *leaves*, which tile the domain. A new lock has one leaf. The
//! lock cuts a leaf in two where threads repeatedly meet on its mutex. It joins two neighbours when
//! many requests have crossed both since threads last met there.
//!
//! A request has an entry, with its whole span, in each leaf that it touches. It enters, changes
//! and leaves under the mutexes of all these leaves. An entry is registered only with entries of
//! its own leaf. The partition is internal to the lock: it changes neither which requests are
//! granted nor their order.
//!
//! A table leads from a point to its leaf. A thread reads the table without a lock, and checks the
//! answer under the leaf's mutex. An uncontended request that touches one leaf takes its mutex once
//! to enter and once to leave, and writes one cache line.
//!
//! Threads wait in line for the mutex of a leaf. Each thread in line waits at a *seat*, a cache
//! line of its own. Therefore a large number of CPUs can wait without slowing down the thread that
//! has the mutex. That thread can hand the mutex over to the first thread in line.
//!
//! # The trees
//!
//! A leaf keeps three granted entries right behind its mutex. Its other granted entries, and the
//! entries that wait, are in interval trees. Each mode has its own trees, so a search on behalf of
//! a reader does not visit readers.
//!
//! The trees are B-trees, ordered by the beginnings of the spans. A node knows the largest end
//! below each of its children, so a search skips each subtree that ends before the span in
//! question. Nodes and values name each other by `u32` index. The trees contain no unsafe code.
//!
//! # How the lock is tested
//!
//! * Random histories call all methods. After every step a reference model of a hundred lines
//!   checks the lock.
//! * loom explores the methods in every order of their steps.
//! * Real threads run the methods against an oracle.
//! * For each bug that other range locks are known to have had, there is a test.
//!
//! `docs/testing.md` in the repository lists what each kind of test proves.
