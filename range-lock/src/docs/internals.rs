//! How the lock works, for readers of the code.
//!
//! # The rule
//!
//! The lock is Jan Kara's range lock of 2013 with Davidlohr Bueso's readers (2017; the links are at
//! [`RangeLock`](crate::RangeLock#origin)). A request is granted when no earlier conflicting
//! request is held or waits. The locks of Kara and Bueso count the requests in the way. This lock
//! *registers* a request, as the next section describes.
//!
//! # Registrations
//!
//! All requests, held and waiting, are entries in interval trees. An entry that earlier conflicting
//! entries keep out is registered with **one** of them. The *count* of a request is the number of
//! its entries that are registered. The request is granted when its count is zero.
//!
//! When an entry leaves, the lock looks again at the entries that are registered with it, and at no
//! others. Each of these is registered with another entry that keeps it out, if there is one.
//! Otherwise the count of its request is lowered. The thread that lowers a count to zero wakes the
//! waiter. So a release searches no queue, and wakes only threads that can run.
//!
//! ```text
//! A holds [0, 20)                          A leaves: B is free of all, and runs
//! B wants [10, 30), registered with A      B leaves: C is free of all, and runs
//! C wants [5, 15), registered with B
//! ```
//!
//! C conflicts with A too, but one registration suffices. As long as B is there, C must wait
//! anyway. When B leaves, the second look finds whatever else keeps C out. A waiting entry is
//! registered with the latest of the earlier entries. So m writers of one range form a chain, and
//! the release of one writer looks at one entry.
//!
//! Every operation that changes which entries conflict looks at registrations. No other operation
//! does.
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
//! A request that is granted at once exists only as an entry. A request that waits also has a
//! record. The record has the request's count, and the place where its thread sleeps or the waker
//! of its task. The count is atomic. So a waiter looks at its count without a mutex, and goes on
//! without a mutex when it is granted. Lowering the count is a release operation, and the final
//! look is an acquire operation. So the waiter sees what the previous holders wrote.
//!
//! A waiter spins for a moment, and lets other threads run. Then it sets a bit next to the count,
//! and parks. The bit tells the thread that grants the request to wake the waiter. The lock
//! collects wake-ups under the mutex, and does them after the mutex has been dropped. So a woken
//! thread does not run into the mutex, and a waker may call back into the lock.
//!
//! Records are reference-counted, and are used again only when no other thread holds them. A
//! wake-up that comes late finds the right sleeper or no sleeper.
//!
//! # Leaves
//!
//! Entries and registrations lie in *leaves*, which tile the domain. A new lock has one leaf. The
//! lock cuts a leaf in two where threads keep meeting on its mutex. The lock joins two neighbours
//! that requests cross, if no threads have met in them for a long time. A request has an entry,
//! with its whole span, in each leaf that it touches. The request enters, changes and leaves under
//! the mutexes of all these leaves. An entry is registered only with entries of its own leaf. So
//! the partition is internal to the lock: which requests are granted, and in which order, is the
//! same with one leaf and with many.
//!
//! A table tells in which leaf a point lies. A thread reads the table without a lock, and checks
//! the answer under the leaf's mutex. An uncontended request of one leaf takes one mutex to enter
//! and one to leave, and writes one cache line.
//!
//! Threads wait in line for the mutex of a leaf. Each thread waits at a seat, which has a cache
//! line of its own. So many CPUs can wait for the mutex without slowing down the thread that has
//! it. A thread that leaves the mutex can hand it over to the first thread in line.
//!
//! # The trees
//!
//! A leaf keeps its first three granted entries right behind its mutex. The other granted entries,
//! and the entries that wait, are in interval trees. Each mode has trees of its own, so a search on
//! behalf of a reader does not visit readers.
//!
//! The trees are B-trees, ordered by where spans begin. A node knows the largest end below each of
//! its children, so a search skips a subtree that ends before the span asked for. Nodes and values
//! name each other by `u32` index. The trees contain no unsafe code.
//!
//! # How the lock is tested
//!
//! * Random histories call the verbs, and a reference model of a hundred lines checks the lock
//!   after every step.
//! * loom explores the verbs in every order of their steps.
//! * Real threads run the verbs against an oracle.
//! * Each bug that other range locks are known to have had has a test.
//!
//! `docs/testing.md` in the repository lists what each kind of test proves.
