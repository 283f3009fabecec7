//! How it works, for those who read the code.
//!
//! # Counting
//!
//! The lock is Jan Kara's range lock of 2013 with Davidlohr Bueso's readers (2017; the links are at
//! [`RangeLock`](crate::RangeLock#origin)). All requests, held and waiting, are entries in interval
//! trees. A request that enters counts the entries that it conflicts with: that is its *blocking
//! count*. At zero it is granted. Else it waits, and each of those that it counted takes itself out
//! of the count when it leaves; who takes the last one out wakes it. Nobody searches a queue, and
//! nobody is woken who cannot run.
//!
//! ```text
//! A holds [0, 20)  count 0          A leaves: B's count 1 -> 0, B runs; C's 2 -> 1
//! B wants [10, 30) count 1 (A)      B leaves: C's count 1 -> 0, C runs
//! C wants [5, 15)  count 2 (A, B)
//! ```
//!
//! The count of a waiting request is always the number of earlier conflicting entries that are
//! still in the tree. So everything that changes what conflicts changes counts, and nothing else
//! does:
//!
//! | change | whose counts | how |
//! |---|---|---|
//! | release | those that conflict and wait | one less |
//! | giving up | those that conflict, wait, and came later | one less |
//! | downgrade | those that no longer conflict | one less |
//! | shrink | those that no longer overlap | one less |
//! | split | those that overlap both halves | one more |
//! | upgrade | waiting readers, which now conflict | one more |
//!
//! # Waiting
//!
//! A request that is granted at once exists only as an entry. One that waits has a record besides,
//! with its count and the place where its thread sleeps (or its task's waker). The count is atomic:
//! the waiter looks at it without any mutex, and a granted one goes on without taking one.
//! Decrements release and the final look acquires, so what the previous holders wrote is visible.
//!
//! A waiter spins for a moment, lets others run, then sets a bit next to the count, which tells
//! whoever grants it to wake it, and parks. Wake-ups are collected under the mutex and done after
//! it has been dropped, so that a woken thread does not run into it, and a waker may call back into
//! the lock.
//!
//! Records are reference-counted and used again only when nobody else holds them: a wake-up that
//! comes late finds either the right sleeper or nobody.
//!
//! # Leaves
//!
//! All of this happens in *leaves*, which tile the domain: one at first; one is cut in two where
//! threads keep meeting on its mutex, and neighbours in which nobody has met for long are joined by
//! those who have to cross them. A request has an entry, with its whole span, in each leaf that it
//! touches, and enters, changes and leaves under the mutexes of all of them. Each pair of
//! conflicting spans is counted in one leaf, the one in which their overlap begins. So the
//! partition is nobody's business but the lock's: which requests are granted, and in which order,
//! is the same with one leaf and with many.
//!
//! Which leaf a point lies in is looked up in a table without a lock, and checked under the leaf's
//! mutex. An uncontended request of one leaf takes one mutex to enter and one to leave, and writes
//! one cache line.
//!
//! # The tree
//!
//! A leaf keeps its first three granted entries in place, and the rest, and those that wait, in an
//! interval tree.
//!
//! A B-tree ordered by where spans begin, whose nodes know the largest end below each of their
//! children: a subtree that ends before the span asked for is never entered. Nodes and values name
//! each other by `u32` index. No unsafe code.
//!
//! # How it is known to be right
//!
//! The same verbs are driven by random histories and held against a reference model of a hundred
//! lines after every step, explored in every order by loom, stressed on real threads against an
//! oracle, and tested against every bug that range locks are known to have had. `docs/testing.md`
//! in the repository says what each of these proves.
