//! Patterns of use that users of range locks have asked for.
//!
//! # Data and lock in one
//!
//! If the ranges are ranges of a slice, let the lock own the slice. The guards of
//! [`RangeRwLock`](crate::RangeRwLock) give `&[T]` and `&mut [T]`. The compiler lets threads that
//! share the lock access the elements only through guards. A guard gives access only to the
//! elements of its range.
//!
//! ```
//! use range_lock::RangeRwLock;
//!
//! let image = RangeRwLock::new(vec![0_u8; 1 << 20].into_boxed_slice());
//! std::thread::scope(|scope| {
//!     for chunk in 0..4 {
//!         let image = &image;
//!         scope.spawn(move || image.write(chunk << 18..(chunk + 1) << 18).fill(chunk as u8));
//!     }
//! });
//! assert_eq!(image.read(3 << 18..)[0], 3);
//! ```
//!
//! # Appending to a file
//!
//! A thread that appends learns the offset of its data only when it holds the range. So lock the
//! range from a lower bound of the offset to the end of the domain. Then read the size of the file,
//! and release the part that the append does not need:
//!
//! ```
//! use std::sync::atomic::{AtomicU64, Ordering};
//! use range_lock::{RangeLock, RangeWriteGuard};
//!
//! struct File {
//!     size: AtomicU64,
//!     lock: RangeLock,
//! }
//!
//! impl File {
//!     fn append(&self, len: u64) -> RangeWriteGuard<'_> {
//!         let mut tail = self.lock.write(self.size.load(Ordering::Acquire)..);
//!         let end = self.size.load(Ordering::Acquire); // It may have grown while we waited.
//!         self.size.store(end + len, Ordering::Release);
//!         RangeWriteGuard::shrink(&mut tail, end..end + len); // The next append may go on.
//!         tail
//!     }
//! }
//!
//! let file = File { size: AtomicU64::new(0), lock: RangeLock::new() };
//! let (a, b) = (file.append(100), file.append(50));
//! assert_eq!((a.range(), b.range()), (0..=99, 100..=149));
//! ```
//!
//! # I/O that completes elsewhere
//!
//! An owned guard has no lifetime parameter. So a program can put the guard into its I/O request.
//! The thread that completes the I/O drops the guard.
//!
//! ```
//! use std::sync::{Arc, mpsc};
//! use range_lock::{ArcRangeWriteGuard, RangeLock};
//!
//! let lock = Arc::new(RangeLock::new());
//! let (submit, device) = mpsc::channel::<ArcRangeWriteGuard>();
//! let completions = std::thread::spawn(move || device.into_iter().for_each(drop));
//! submit.send(lock.write_arc(0..4096)).unwrap();
//! drop(lock.read(0..4096)); // Waits for the completion.
//! drop(submit);
//! completions.join().unwrap();
//! ```
//!
//! # Two files at once
//!
//! A copy between two files needs a range of each file. Two threads that copy in opposite
//! directions can deadlock if each thread takes one range after the other. The two threads cannot
//! deadlock if each thread takes both ranges as one request, by
//! [`RangeLock::acquire_many`](crate::RangeLock::acquire_many).
//!
//! If the copy completes in a task or on another thread, use
//! [`acquire_many_arc`](crate::RangeLock::acquire_many_arc). The caller can send the guard of this
//! method to the task or thread. During the copy, the owner of the guard can release the parts that
//! have been copied, by [`ArcManyGuard::release`](crate::ArcManyGuard::release).
//!
//! # A flush
//!
//! A flush must wait for the current writes, and must not delay later writes.
//! [`wait_until_free`](crate::RangeLock::wait_until_free) is the method for a flush. If the flush
//! locked the whole file for reading, every later writer would wait until all earlier writers have
//! left and the flush has unlocked the file.
//!
//! ```
//! use range_lock::{Mode, RangeLock};
//!
//! fn flush(blocks: &RangeLock) {
//!     blocks.wait_until_free(.., Mode::Read); // For readers, so it waits for writers.
//!     // fsync: all that was written before the call is in the file by now.
//! }
//! # flush(&RangeLock::new());
//! ```
//!
//! # Lock coupling (B-trees)
//!
//! A thread that descends a tree must not block on a child while the thread holds the child's
//! parent. Another thread, for example a thread that scans the whole tree, may wait for a range
//! that contains both nodes. Then the two threads wait for each other: see
//! [Deadlocks](crate::RangeLock#deadlocks). Two ways are safe:
//!
//! * A thread that descends tries to lock the child with a `try_` method. If the method fails, the
//!   thread releases the parent and restarts from the root.
//! * A thread that splits a node holds nothing, and takes all nodes of the split as one request.
//!   Then the thread checks that the tree still has these nodes at the same places.
//!
//! ```
//! use range_lock::{RangeLock, RangeReadGuard, Request};
//!
//! /// Descends from node 0 along `path`. Returns with the last node locked.
//! fn descend<'a>(nodes: &'a RangeLock, path: &[u64]) -> RangeReadGuard<'a> {
//!     'restart: loop {
//!         let mut parent = nodes.read(0..=0); // Nothing else is held: this may block.
//!         for &child in path {
//!             let Some(guard) = nodes.try_read(child..=child) else {
//!                 drop(parent);
//!                 std::thread::yield_now();
//!                 continue 'restart;
//!             };
//!             parent = guard; // Releases the parent, after the child has been locked.
//!         }
//!         return parent;
//!     }
//! }
//!
//! let nodes = RangeLock::new();
//! let leaf = descend(&nodes, &[3, 17]);
//! assert_eq!(leaf.range(), 17..=17);
//! drop(leaf);
//!
//! // A split of leaf 17 into 17 and 18 below node 3.
//! let split = RangeLock::acquire_many([Request::write(&nodes, 3..=3), Request::write(&nodes, 17..=18)]);
//! // Look whether 17 is still a child of 3 here; if not, release and descend again.
//! drop(split);
//! ```
//!
//! A thread that restarts keeps no place in the queue for the child. So a steady stream of writers
//! could delay the descent for ever. Two ways prevent this delay:
//!
//! * After a few restarts, take the parent and the child as one request with `acquire_many`.
//! * Let each node keep the largest key that belongs in the node. Then the thread can release the
//!   parent, and wait for the child while it holds nothing. When the thread has locked the child,
//!   the thread checks whether the key that it looks for still belongs in the child.
//!
//! If restarts are rare, [`wait_until_free`](crate::RangeLock::wait_until_free) is simpler. The
//! thread that descends releases the parent, waits until the child is free, and restarts. To wait
//! for nodes in a [`RangeRwLock`](crate::RangeRwLock), call `wait_until_free` on the lock that
//! [`range_lock`](crate::RangeRwLock::range_lock) returns.
//!
//! The program `page_cache` in the folder `examples` of the repository is a whole B-tree with lock
//! coupling, over a cache of pages.
//!
//! # Tasks: time-outs and shutdown
//!
//! With feature `async`, each method of `RangeLock`, `RangeRwLock` or their guards that waits for a
//! range without a time limit has a form that returns a future. The program `async_service` in the
//! folder `examples` of the repository uses these futures under tokio, in three ways:
//!
//! * A task may drop a future at any time. So a timer of the runtime can end a wait. An aborted
//!   task drops its futures and guards, and so leaves nothing locked.
//! * A task can send an owned guard to a thread that may block.
//! * For an orderly shutdown, the service refuses new requests, and then waits until `..` is free
//!   for writing.
//!
//! A block device is a smaller example. A write waits in a task for its range. Then a thread that
//! may block does the I/O and releases the range:
//!
#![cfg_attr(all(feature = "async", unix), doc = "```")]
#![cfg_attr(not(all(feature = "async", unix)), doc = "```ignore")]
//! use std::fs::File;
//! use std::io;
//! use std::os::unix::fs::FileExt;
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use range_lock::{Mode, RangeLock};
//! use tokio::task::spawn_blocking;
//! use tokio::time::timeout;
//!
//! struct Device {
//!     file: Arc<File>,
//!     lock: Arc<RangeLock>,
//! }
//!
//! impl Device {
//!     async fn write(&self, offset: u64, data: Vec<u8>) -> io::Result<()> {
//!         let range = offset..offset + data.len() as u64;
//!         // Of the forms with `arc`, because the guard goes to another thread.
//!         let guard = timeout(Duration::from_secs(5), self.lock.write_arc_async(range)).await?;
//!         let file = Arc::clone(&self.file);
//!         let written = spawn_blocking(move || {
//!             file.write_all_at(&data, offset)?;
//!             drop(guard); // Moves here, so an aborted task does not unlock too early.
//!             Ok(())
//!         });
//!         written.await.expect("it has not panicked")
//!     }
//!
//!     async fn flush(&self) -> io::Result<()> {
//!         self.lock.wait_until_free_async(.., Mode::Read).await;
//!         let file = Arc::clone(&self.file);
//!         spawn_blocking(move || file.sync_data()).await.expect("it has not panicked")
//!     }
//! }
//! # tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
//! # let device = Device { file: Arc::new(tempfile::tempfile().unwrap()), lock: Arc::default() };
//! # device.write(512, vec![1; 512]).await.unwrap();
//! # device.flush().await.unwrap();
//! # assert!(!device.lock.is_locked(..));
//! # });
//! ```
//!
//! # Looking first, changing if need be
//!
//! An upgradable reader excludes writers and other upgradable readers, and admits plain readers.
//! The upgradable reader can become a writer, and the lock grants no other writer in between.
//!
//! ```
//! use range_lock::{RangeLock, RangeUpgradableReadGuard};
//!
//! let lock = RangeLock::new();
//! # let (allocated, allocate) = (|_: u64| false, |_: u64| ());
//! let looking = lock.upgradable_read(7..8);
//! if !allocated(7) {
//!     let changing = RangeUpgradableReadGuard::upgrade(looking);
//!     allocate(7); // Still not allocated: no writer came in between.
//!     drop(changing);
//! }
//! ```
//!
//! # Checking that something is locked
//!
//! [`is_locked`](crate::RangeLock::is_locked) is for assertions:
//! `debug_assert!(lock.is_locked(page..page + 1))`. `is_locked` returns whether any request holds a
//! part of the range, even a request of another thread.
//!
//! # Splitting work
//!
//! Lock the whole range, split the guard, and give each of the new guards to a thread. Each thread
//! drops its own guard when the thread's work is done.
//!
//! ```
//! use range_lock::{RangeLock, RangeWriteGuard};
//!
//! let lock = RangeLock::new();
//! let (left, right) = RangeWriteGuard::split_at(lock.write(0..100), 50);
//! std::thread::scope(|scope| {
//!     scope.spawn(move || drop(left));
//!     scope.spawn(move || drop(right));
//! });
//! assert!(!lock.is_locked(..));
//! ```
