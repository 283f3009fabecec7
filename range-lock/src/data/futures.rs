//! The futures of [`RangeRwLock`] (feature `async`): those of its [`RangeLock`](crate::RangeLock),
//! with the elements that they lock.
//!
//! Only the implementations of `Send` and `Sync` are unsafe here. A future has the pointer of the
//! guard that it will give, and does not look at it.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::RangeBounds;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::guard::Share;
use super::{
    ArcRangeRwLockReadGuard, ArcRangeRwLockUpgradableReadGuard, ArcRangeRwLockWriteGuard, Elements,
    RangeRwLock, RangeRwLockReadGuard, RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard, Storage,
    indices, points,
};
use crate::claim::claim;
use crate::futures::{Acquire, Upgrade, upgrade_unless};
use crate::lock::RangeLock;
use crate::mode::Mode;

/// A future around one of [`RangeLock`](crate::RangeLock)'s.
macro_rules! elements {
    (
        $(#[$doc:meta])*
        $Future:ident [$($generics:tt)*] [$($arguments:tt)*] of $T:ty, around $inner:ty, borrows $borrows:ty,
        gives $Guard:ident, Send where [$($send:tt)*]
    ) => {
        $(#[$doc])*
        ///
        /// A task may drop the future at any time. If the guard of the future is `Send`, a task may
        /// send the future to another thread and poll the future there.
        #[must_use = "futures do nothing unless polled"]
        pub struct $Future<$($generics)*> {
            /// The elements whose range `inner` will hold.
            slice: NonNull<[$T]>,
            inner: $inner,
            _borrows: PhantomData<$borrows>,
        }

        // SAFETY: it stands for the guard that it will give, which is `Send` under the same bounds.
        unsafe impl<$($generics)*> Send for $Future<$($arguments)*> where $($send)* {}
        // SAFETY: through `&self` it gives nothing.
        unsafe impl<$($generics)*> Sync for $Future<$($arguments)*> where $T: Sync {}
        // It does not care where it lies, and the elements lie elsewhere.
        impl<$($generics)*> Unpin for $Future<$($arguments)*> {}

        impl<$($generics)*> Future for $Future<$($arguments)*> {
            type Output = $Guard<$($arguments)*>;

            /// # Panics
            ///
            /// If the future is polled again after it has completed.
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                let this = self.get_mut();
                let slice = this.slice;
                this.inner.poll(cx).map(|held| $Guard::new(Elements { slice, held }))
            }
        }

        impl<$($generics)*> fmt::Debug for $Future<$($arguments)*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let waiting = self.inner.is_waiting();
                f.debug_struct(stringify!($Future)).field("waiting", &waiting).finish_non_exhaustive()
            }
        }
    };
}

/// The futures of one mode, and the verbs that make them.
macro_rules! elements_async {
    (
        $mode:expr, where [$($shared:tt)*], Send where $send:ident $(+ $sends:ident)?;
        $Future:ident gives $Guard:ident; $verb:ident, $blocking:literal;
        $FutureArc:ident gives $ArcGuard:ident; $verb_arc:ident
    ) => {
        elements! {
            #[doc = concat!("The future of [`RangeRwLock::", stringify!($verb), "`].")]
            $Future ['a, T] ['a, T] of T, around Acquire<&'a RangeLock>, borrows &'a mut [T],
            gives $Guard, Send where [T: $send $(+ $sends)?]
        }

        elements! {
            #[doc = concat!("The future of [`RangeRwLock::", stringify!($verb_arc), "`].")]
            $FutureArc [S: Storage] [S] of S::Item, around Acquire<Share<S>>, borrows S,
            gives $ArcGuard, Send where [S::Item: Send + $send $(+ $sends)?, S: Send]
        }

        impl<S: Storage> RangeRwLock<S> {
            #[doc = concat!("Like [`", $blocking, "`](Self::", $blocking, "), but for tasks.")]
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
            /// If the range is inverted, or reaches past the last element. The method itself
            /// panics, before a task polls the future.
            ///
            /// # Fairness and cancel safety
            ///
            /// The request enters the lock when a task first polls the future. A task may drop the
            /// future at any time: see the module [`future`](crate::future).
            #[track_caller]
            pub fn $verb(&self, range: impl RangeBounds<usize>) -> $Future<'_, S::Item>
            where
                $($shared)*
            {
                let indices = indices(&range, self.len());
                $Future {
                    slice: self.part(&indices),
                    inner: Acquire::new(&self.lock, claim(&points(&indices), $mode)),
                    _borrows: PhantomData,
                }
            }

            #[doc = concat!("Like [`", stringify!($verb), "`](Self::", stringify!($verb), "), but the guard and the future own")]
            /// a share of the lock, and so have no lifetime.
            ///
            /// ```
            /// use range_lock::RangeRwLock;
            /// use std::sync::Arc;
            ///
            /// async fn sum(table: Arc<RangeRwLock<Vec<u64>>>) -> u64 {
            #[doc = concat!("    let elements = table.", stringify!($verb_arc), "(1..3).await;")]
            ///     elements.iter().sum()
            /// }
            /// # let table = Arc::new(RangeRwLock::new(vec![1, 2, 3, 4]));
            /// # let mut future = std::pin::pin!(sum(table));
            /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            /// # assert_eq!(future.as_mut().poll(&mut cx), std::task::Poll::Ready(5));
            /// ```
            ///
            /// # Panics
            ///
            /// If the range is inverted, or reaches past the last element. The method itself
            /// panics, before a task polls the future.
            #[track_caller]
            pub fn $verb_arc(self: &Arc<Self>, range: impl RangeBounds<usize>) -> $FutureArc<S>
            where
                $($shared)*
            {
                let indices = indices(&range, self.len());
                $FutureArc {
                    slice: self.part(&indices),
                    inner: Acquire::new(Share::of(self), claim(&points(&indices), $mode)),
                    _borrows: PhantomData,
                }
            }
        }
    };
}

elements_async! {
    Mode::Read, where [S::Item: Sync], Send where Sync;
    ReadElements gives RangeRwLockReadGuard; read_async, "read";
    ReadElementsArc gives ArcRangeRwLockReadGuard; read_arc_async
}

elements_async! {
    Mode::Upgradable, where [S::Item: Sync], Send where Send + Sync;
    UpgradableReadElements gives RangeRwLockUpgradableReadGuard; upgradable_read_async, "upgradable_read";
    UpgradableReadElementsArc gives ArcRangeRwLockUpgradableReadGuard; upgradable_read_arc_async
}

elements_async! {
    Mode::Write, where [], Send where Send;
    WriteElements gives RangeRwLockWriteGuard; write_async, "write";
    WriteElementsArc gives ArcRangeRwLockWriteGuard; write_arc_async
}

/// The upgrade for tasks, of one kind of upgradable guard.
macro_rules! upgrade_async {
    (
        $Future:ident [$($generics:tt)*] [$($arguments:tt)*] of $T:ty, by $lock:ty, borrows $borrows:ty,
        $Upgradable:ident gives $Write:ident, Send where [$($send:tt)*],
        $table:literal, $acquire:literal
    ) => {
        elements! {
            #[doc = concat!("The future of [`", stringify!($Upgradable), "::upgrade_async`].")]
            /// If a task drops the future before the future has completed, the drop releases the
            /// elements.
            $Future [$($generics)*] [$($arguments)*] of $T, around Upgrade<$lock>, borrows $borrows,
            gives $Write, Send where [$($send)*]
        }

        impl<$($generics)*> $Upgradable<$($arguments)*> {
            /// This function is the form of [`upgrade`](Self::upgrade) for tasks.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), "};")]
            ///
            #[doc = concat!("async fn sort(table: ", $table, ") {")]
            #[doc = concat!("    let looking = table.", $acquire, "(..).await;")]
            ///     if !looking.is_sorted() {
            #[doc = concat!("        ", stringify!($Upgradable), "::upgrade_async(looking).await.sort();")]
            ///     }
            /// }
            /// # let table = std::sync::Arc::new(RangeRwLock::new(vec![2, 1]));
            /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            /// # assert!(std::pin::pin!(sort(&table)).poll(&mut cx).is_ready());
            /// # assert_eq!(table.read(..)[..], [1, 2]);
            /// ```
            ///
            /// # Fairness
            ///
            /// The upgrade begins when a task first polls the future. The upgrade passes the
            /// waiting requests, and no request passes the upgrade.
            ///
            /// # Cancel safety
            ///
            /// The future owns the guard. If a task drops the future before the future has
            /// completed, the drop withdraws the upgrade and releases the elements.
            /// [`try_upgrade_async`](Self::try_upgrade_async) returns the guard if the upgrade
            /// gives up.
            pub fn upgrade_async(guard: Self) -> $Future<$($arguments)*> {
                let Elements { slice, held } = guard.into_elements();
                $Future { slice, inner: Upgrade::new(held), _borrows: PhantomData }
            }

            /// Turns the guard into a write guard. Gives up if a poll finds that the future
            /// `give_up` has completed, and the lock has not granted the upgrade by then. `give_up`
            /// can be a timer of the executor. This function is the form of
            /// [`try_upgrade_for`](Self::try_upgrade_for) for tasks.
            ///
            /// ```
            #[doc = concat!("use range_lock::{RangeRwLock, ", stringify!($Upgradable), "};")]
            ///
            #[doc = concat!("async fn sort(table: ", $table, ", timer: impl Future<Output = ()>) {")]
            #[doc = concat!("    let looking = table.", $acquire, "(..).await;")]
            #[doc = concat!("    match ", stringify!($Upgradable), "::try_upgrade_async(looking, timer).await {")]
            ///         Ok(mut changing) => changing.sort(),
            ///         Err(looking) => drop(looking), // Upgradable as before.
            ///     }
            /// }
            /// # let table = std::sync::Arc::new(RangeRwLock::new(vec![2, 1]));
            /// # let reader = table.read(..1);
            /// # let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
            /// # let timer = std::future::ready(());
            /// # assert!(std::pin::pin!(sort(&table, timer)).poll(&mut cx).is_ready());
            /// ```
            ///
            /// # Errors
            ///
            /// Returns the guard, upgradable as before, if the upgrade gives up.
            ///
            /// # Fairness
            ///
            /// The upgrade passes the waiting requests, like
            /// [`upgrade_async`](Self::upgrade_async). Each poll looks for the grant first. So if
            /// the grant and the completion of `give_up` come between the same two polls, the guard
            /// is upgraded.
            ///
            /// # Cancel safety
            ///
            /// If the upgrade gives up, the lock grants the readers that waited only for the
            /// upgrade, and nothing else changes. If a task drops the returned future before the
            /// future has completed, the drop releases the elements.
            pub async fn try_upgrade_async(
                guard: Self,
                give_up: impl Future<Output = ()>,
            ) -> Result<$Write<$($arguments)*>, Self> {
                let mut upgrading = Self::upgrade_async(guard);
                let upgraded = upgrade_unless(&mut upgrading, give_up).await;
                upgraded.ok_or(()).or_else(|()| {
                    let slice = upgrading.slice;
                    match upgrading.inner.give_up() {
                        Ok(held) => Ok($Write::new(Elements { slice, held })),
                        Err(held) => Err(Self::new(Elements { slice, held })),
                    }
                })
            }
        }
    };
}

upgrade_async! {
    UpgradeElements ['a, T] ['a, T] of T, by &'a RangeLock, borrows &'a mut [T],
    RangeRwLockUpgradableReadGuard gives RangeRwLockWriteGuard, Send where [T: Send + Sync],
    "&RangeRwLock<Vec<u64>>", "upgradable_read_async"
}

upgrade_async! {
    UpgradeElementsArc [S: Storage] [S] of S::Item, by Share<S>, borrows S,
    ArcRangeRwLockUpgradableReadGuard gives ArcRangeRwLockWriteGuard,
    Send where [S::Item: Send + Sync, S: Send],
    "&std::sync::Arc<RangeRwLock<Vec<u64>>>", "upgradable_read_arc_async"
}
