//! The futures of [`RangeRwLock`] (feature `async`): those of its [`RangeLock`](crate::RangeLock), with the elements that they lock.
//!
//! Nothing is unsafe here but `Send` and `Sync`: a future has the pointer of the guard that it will give, and does not look at it.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use super::{
    RangeRwLock, RangeRwLockReadGuard, RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard, Storage,
    indices, points,
};
use crate::futures;
use crate::lock::RangeUpgradableReadGuard;

/// A future around one of [`RangeLock`](crate::RangeLock)'s.
macro_rules! elements {
    ($(#[$doc:meta])* $Future:ident around $Inner:ident gives $Guard:ident, Send where $($send:ident),+) => {
        $(#[$doc])*
        ///
        /// It may be sent and polled on any thread, if the guard may be sent, and dropped at any time.
        #[must_use = "futures do nothing unless polled"]
        pub struct $Future<'a, T> {
            /// The elements whose range `inner` will hold.
            slice: NonNull<[T]>,
            inner: futures::$Inner<'a>,
            _borrows: PhantomData<&'a mut [T]>,
        }

        // SAFETY: it stands for the guard that it will give, which is `Send` under the same bounds.
        unsafe impl<T: $($send +)+> Send for $Future<'_, T> {}
        // SAFETY: through `&self` it gives nothing.
        unsafe impl<T: Sync> Sync for $Future<'_, T> {}

        impl<'a, T> Future for $Future<'a, T> {
            type Output = $Guard<'a, T>;

            /// # Panics
            ///
            /// If polled again after it has completed, or if it would have to wait for too many
            /// ranges, as the blocking verbs say.
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let slice = self.slice;
                let inner = Pin::new(&mut self.inner);
                inner.poll(cx).map(|held| $Guard { slice, held, _borrows: PhantomData })
            }
        }

        impl<T> fmt::Debug for $Future<'_, T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($Future)).field(&self.inner).finish()
            }
        }
    };
}

/// The same, and the verb that makes it.
macro_rules! elements_async {
    (
        $Future:ident around $Inner:ident gives $Guard:ident, Send where $($send:ident),+;
        $verb:ident, $blocking:literal
    ) => {
        elements! {
            #[doc = concat!("Made by [`RangeRwLock::", stringify!($verb), "`].")]
            $Future around $Inner gives $Guard, Send where $($send),+
        }

        impl<S: Storage> RangeRwLock<S> {
            #[doc = concat!("As [`", $blocking, "`](Self::", $blocking, "), for tasks (feature `async`).")]
            ///
            /// ```
            /// use range_lock::RangeRwLock;
            ///
            /// async fn sum(table: &RangeRwLock<Vec<u64>>) -> u64 {
            #[doc = concat!("    let elements = table.", stringify!($verb), "(1..3).await;")]
            ///     elements.iter().sum()
            /// }
            /// # let table = RangeRwLock::new(vec![1, 2, 3, 4]);
            /// # let mut future = std::pin::pin!(sum(&table));
            /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            /// # assert_eq!(future.as_mut().poll(&mut cx), std::task::Poll::Ready(5));
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted or reaches past the end: at once, not when polled.
            ///
            /// # Fairness and cancel safety
            ///
            /// It enters when first polled, and may be dropped at any time: see the [module](crate::future).
            #[track_caller]
            pub fn $verb(&self, range: impl RangeBounds<usize>) -> $Future<'_, S::Item> {
                let indices = indices(&range, self.len());
                $Future {
                    slice: self.part(&indices),
                    inner: self.lock.$verb(points(&indices)),
                    _borrows: PhantomData,
                }
            }
        }
    };
}

elements_async! {
    ReadElements around Read gives RangeRwLockReadGuard, Send where Sync;
    read_async, "read"
}

elements_async! {
    UpgradableReadElements around UpgradableRead gives RangeRwLockUpgradableReadGuard, Send where Send, Sync;
    upgradable_read_async, "upgradable_read"
}

elements_async! {
    WriteElements around Write gives RangeRwLockWriteGuard, Send where Send, Sync;
    write_async, "write"
}

elements! {
    /// Made by [`RangeRwLockUpgradableReadGuard::upgrade_async`]. Dropped before it has completed, it releases the elements.
    UpgradeElements around UpgradeRead gives RangeRwLockWriteGuard, Send where Send, Sync
}

impl<'a, T> RangeRwLockUpgradableReadGuard<'a, T> {
    /// As [`upgrade`](Self::upgrade), for tasks (feature `async`).
    ///
    /// ```
    /// use range_lock::{RangeRwLock, RangeRwLockUpgradableReadGuard};
    ///
    /// async fn sort(table: &RangeRwLock<Vec<u64>>) {
    ///     let looking = table.upgradable_read_async(..).await;
    ///     if !looking.is_sorted() {
    ///         RangeRwLockUpgradableReadGuard::upgrade_async(looking).await.sort();
    ///     }
    /// }
    /// # let table = RangeRwLock::new(vec![2, 1]);
    /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    /// # assert!(std::pin::pin!(sort(&table)).poll(&mut cx).is_ready());
    /// # assert_eq!(table.into_inner(), [1, 2]);
    /// ```
    ///
    /// # Fairness
    ///
    /// It claims the upgrade when first polled: from then on waiting requests are passed, and nobody passes it.
    ///
    /// # Cancel safety
    ///
    /// The future owns the guard: to drop it is to release the elements. Nothing else is left of it.
    pub fn upgrade_async(guard: Self) -> UpgradeElements<'a, T> {
        let inner = RangeUpgradableReadGuard::upgrade_async(guard.held);
        UpgradeElements { slice: guard.slice, inner, _borrows: PhantomData }
    }
}
