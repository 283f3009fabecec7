//! How the lock works, for readers of the code.
//!
//! # The rule
//!
//! The lock has the rule of Jan Kara's range lock of 2013, with the readers that Davidlohr Bueso
//! added in 2017. The page of [`RangeLock`](crate::RangeLock#origin) has links to Kara's lock and
//! to Bueso's version of 2019. By this rule the lock grants a request when no earlier conflicting
//! request is held or waits. The locks of Kara and Bueso count the earlier requests that conflict
//! with a new request. `RangeLock` instead *registers* the new request with only one of these
//! earlier requests in each [leaf](#leaves).
//!
//! # Registrations
//!
//! Each request, held or waiting, has an entry in each [leaf](#leaves) that its range touches. If
//! earlier conflicting entries of the leaf keep an entry out, the lock registers the entry with
//! **one** of these earlier entries. The *count* of a request is the number of its registered
//! entries. When the count is zero, the lock grants the request. (With [bounded
//! bypass](super::fairness#bounded-bypass) the lock may instead offer the range to a sleeping
//! request.)
//!
//! When an entry leaves, the lock takes a second look at each entry that is registered with the
//! leaving entry, and at no other waiting entry. Let E be an entry that gets this second look. If
//! another entry still keeps E out, the lock registers E anew, with this other entry. Otherwise the
//! lock lowers the count of E's request. The thread that lowers a count to zero wakes up the thread
//! or task of the request, if this thread or task sleeps. So a release wakes up only threads and
//! tasks whose requests have the count zero.
//!
//! ```text
//! A holds [0, 20)                          A leaves: B is free of all, and runs
//! B wants [10, 30), registered with A      B leaves: C is free of all, and runs
//! C wants [5, 15), registered with B
//! ```
//!
//! C also conflicts with A, but one registration suffices. Without bypass, C must wait as long as B
//! is in the leaf. When B leaves, the second look finds another entry that keeps C out, if the leaf
//! has such an entry. If earlier conflicting entries wait, the lock usually registers a new entry
//! with the latest of these waiting entries. So m waiting writers of one range form a chain, in
//! which the release of a writer looks at one entry.
//!
//! The table lists the changes of an entry after which the lock looks at waiting entries again:
//!
//! | change | which entries are looked at again |
//! |---|---|
//! | release, giving up | all entries registered with the entry that leaves |
//! | downgrade | the registered entries that no longer conflict |
//! | shrink | the registered entries that no longer overlap |
//! | split | all registered entries: each is registered with the half that it overlaps |
//! | upgrade | waiting readers that no entry kept out: they are registered with the upgrade |
//! | bypass | passed entries that no entry kept out: they are registered with the entry of the request that passes |
//!
//! # Waiting
//!
//! A request that is granted immediately has entries, but no record. A request that waits also has
//! a record. The record has the request's count, and the place where the request's thread sleeps,
//! or the waker of the request's task. The count is atomic. So a waiting thread reads the count
//! without a mutex, and continues without a mutex when its request is granted. Lowering the count
//! is a release operation. The waiting thread's last read of the count is an acquire operation. So
//! the waiting thread sees every write that the previous holders made while they held the range.
//!
//! A waiting thread first spins, and then yields to other threads. (With bounded bypass, a thread
//! whose request may be passed parks at once.) Then the waiting thread sets a bit next to the
//! count, and parks. The bit tells the thread that grants the request to wake up the waiting
//! thread. The granting thread notes the wake-up while it has the mutexes of the leaves, and wakes
//! up the waiting thread after it has released these mutexes. So the waiting thread never wakes up
//! only to wait for these mutexes. A waker may call back into the lock, because the granting thread
//! calls the waker without a mutex.
//!
//! Records are reference-counted. The lock reuses a record only when no thread and no future refers
//! to the record. So a late wake-up wakes up the right thread or no thread.
//!
//! # Leaves
//!
//! Entries and registrations lie in *leaves*, which tile the domain. A new lock has one leaf. If
//! the mutex of a leaf is contended repeatedly, the lock cuts the leaf in two where a cut helps.
//! The lock joins two neighbouring leaves if many requests have crossed each of the two leaves
//! since a thread last found the mutex of this leaf taken. If all leaves are in use, the lock may
//! join two neighbouring leaves in order to cut another leaf.
//!
//! A request has an entry, with its whole span, in each leaf that the span touches. A thread that
//! enters, changes or releases the request holds the mutexes of all these leaves. The lock
//! registers an entry only with an entry of the same leaf. The partition affects neither which
//! requests the lock grants nor their order.
//!
//! A table leads from a point to its leaf. A thread reads the table without a lock, and checks the
//! answer under the leaf's mutex. Suppose that an uncontended request touches one leaf, which has
//! no other request. Its thread takes the leaf's mutex once to acquire the range and once to
//! release the range. The thread writes one cache line.
//!
//! Threads that find the mutex of a leaf taken wait in line. Each thread in line waits at a *seat*,
//! a cache line of its own. Only the first thread in line also reads the mutex. So many CPUs can
//! wait without slowing down the thread that has the mutex. The thread that has the mutex can hand
//! the mutex over to the first thread in line.
//!
//! # The trees
//!
//! A leaf keeps up to three granted entries right behind its mutex. The other granted entries, and
//! the waiting entries, are in interval trees. But of writers that wait for one and the same range,
//! often only the first is in a tree, and the next one stands behind it, and so on. Each mode has
//! its own trees. So a search for the conflicts of a reader does not visit the trees of readers.
//!
//! The trees are B-trees, ordered by the beginnings of the spans. A node records the largest end
//! below each of its children. So a search for the overlaps of a span skips each subtree whose
//! largest end lies before this span. Nodes and values refer to each other by `u32` index. The
//! trees contain no unsafe code.
//!
//! # How the lock is tested
//!
//! * A test calls all methods in random order. After every step the test compares the lock with a
//!   reference model of a hundred lines.
//! * loom explores small models of the methods, in every order of the threads or in every order
//!   with a limited number of preemptions.
//! * Real threads call the methods at the same time, and an oracle checks which ranges are held.
//! * For each bug of other range locks that this project knows, the crate has a test.
//!
//! `docs/testing.md` in the repository lists what each kind of test proves.
