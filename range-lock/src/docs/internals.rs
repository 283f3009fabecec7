//! How the lock works, for readers of the code.
//!
//! # The rule
//!
//! The lock has the rule of Jan Kara's range lock of 2013, with the readers that Davidlohr Bueso
//! added in 2017. The page of [`RangeLock`](crate::RangeLock#origin) has the links. A request is
//! granted when no earlier conflicting request is held or waits. In the locks of Kara and Bueso, a
//! request counts the earlier requests that conflict with it. In `RangeLock`, a request is
//! *registered* with one of these earlier requests.
//!
//! # Registrations
//!
//! Each request, held or waiting, has an entry in each [leaf](#leaves) that its range touches. If
//! earlier conflicting entries keep an entry out, the entry is registered with **one** of these
//! entries. The *count* of a request is the number of its registered entries. The request is
//! granted when its count is zero.
//!
//! When an entry leaves, the lock takes a second look at the entries that are registered with this
//! entry, and at no other entries. If another entry keeps a registered entry out, the lock
//! registers the registered entry anew, with that other entry. Otherwise the lock lowers the count
//! of the registered entry's request. The thread that lowers a count to zero wakes up the waiting
//! thread or task. So a release searches no queue, and wakes up only threads that can run.
//!
//! ```text
//! A holds [0, 20)                          A leaves: B is free of all, and runs
//! B wants [10, 30), registered with A      B leaves: C is free of all, and runs
//! C wants [5, 15), registered with B
//! ```
//!
//! C also conflicts with A, but one registration suffices. As long as B is in the leaf, C must wait
//! in any case. When B leaves, the second look finds any other entry that keeps C out. If earlier
//! entries wait, a new entry is registered with the latest of them. So m writers of one range form
//! a chain. The release of one writer looks at one entry.
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
//! A request that is granted immediately has entries, but no record. A request that waits also has
//! a record. The record has the request's count. It also has the place where the request's thread
//! sleeps, or the waker of the request's task. The count is atomic. So a waiting thread reads the
//! count without a mutex, and continues without a mutex when its request is granted. Lowering the
//! count is a release operation. The last read of the count by the waiting thread is an acquire
//! operation. So this thread sees every write that previous holders made.
//!
//! A waiting thread first spins, and then yields to other threads. Then it sets a bit next to the
//! count, and parks. The bit tells the thread that grants the request to wake up the waiting
//! thread. The granting thread notes the wake-up while it has the mutex, and wakes up the waiting
//! thread after it has released the mutex. So a thread that wakes up does not find the mutex taken.
//! For the same reason a waker may call back into the lock.
//!
//! Records are reference-counted. The lock reuses a record only when no other thread refers to the
//! record. So a late wake-up wakes up the right thread or no thread.
//!
//! # Leaves
//!
//! Entries and registrations lie in *leaves*, which tile the domain. A new lock has one leaf. The
//! lock cuts a leaf in two if the leaf's mutex is repeatedly contended. It joins two neighbouring
//! leaves if many requests have crossed both leaves since one of their mutexes was last contended.
//!
//! A request has an entry, with its whole span, in each leaf that the span touches. The request
//! enters, changes and leaves under the mutexes of all these leaves. An entry is registered only
//! with entries of its own leaf. The partition does not affect which requests are granted, nor
//! their order.
//!
//! A table leads from a point to its leaf. A thread reads the table without a lock, and checks the
//! answer under the leaf's mutex. An uncontended request that touches one leaf takes the leaf's
//! mutex once to enter and once to leave. It writes one cache line.
//!
//! Threads wait in line for the mutex of a leaf. Each thread in line waits at a *seat*, a cache
//! line of its own. Therefore a large number of CPUs can wait without slowing down the thread that
//! has the mutex. The thread that has the mutex can hand the mutex over to the first thread in
//! line.
//!
//! # The trees
//!
//! A leaf keeps three granted entries right behind its mutex. The other granted entries, and the
//! waiting entries, are in interval trees. Each mode has its own trees. So a search for the
//! conflicts of a reader does not visit readers.
//!
//! The trees are B-trees, ordered by the beginnings of the spans. A node records the largest end
//! below each of its children. So a search for the overlaps of a span skips each subtree that ends
//! before this span. Nodes and values refer to each other by `u32` index. The trees contain no
//! unsafe code.
//!
//! # How the lock is tested
//!
//! * Random histories call all methods. After every step a reference model of a hundred lines
//!   checks the lock.
//! * loom explores the methods in every order of their steps.
//! * Real threads run the methods against an oracle.
//! * For each known bug of other range locks, the crate has a test.
//!
//! `docs/testing.md` in the repository lists what each kind of test proves.
