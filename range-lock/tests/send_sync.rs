//! Which of the public types may be sent, shared, moved while pinned, and seen after a panic: a
//! table that the compiler checks.
//!
//! A type's place in it is part of the interface, and changes without notice where a field does.

use std::cell::Cell;
use std::panic::{RefUnwindSafe, UnwindSafe};
use std::rc::Rc;

use range_lock::{
    ArcManyGuard, ArcRangeReadGuard, ArcRangeRwLockReadGuard, ArcRangeRwLockUpgradableReadGuard,
    ArcRangeRwLockWriteGuard, ArcRangeUpgradableReadGuard, ArcRangeWriteGuard, ArcRequest, ManyGuard,
    MappedRangeRwLockReadGuard, MappedRangeRwLockWriteGuard, Mode, RangeLock, RangeReadGuard, RangeRwLock,
    RangeRwLockReadGuard, RangeRwLockUpgradableReadGuard, RangeRwLockWriteGuard, RangeUpgradableReadGuard,
    RangeWriteGuard, Request, RequestId, RequestInfo, RequestState,
};

/// Whether a type implements a trait: the inherent constant is preferred to that of the blanket
/// trait, where its bound holds.
macro_rules! implements {
    ($Type:ty, $($bound:tt)+) => {{
        #[allow(dead_code, reason = "unused where the bound holds")]
        trait Otherwise {
            const IS: bool = false;
        }
        impl<T: ?Sized> Otherwise for T {}
        struct Ask<T: ?Sized>(std::marker::PhantomData<T>);
        #[allow(dead_code, reason = "unused where the bound does not hold")]
        impl<T: ?Sized + $($bound)+> Ask<T> {
            const IS: bool = true;
        }
        <Ask<$Type>>::IS
    }};
}

const YES: bool = true;
const NO: bool = false;

macro_rules! table {
    ($($Type:ty: $send:ident $sync:ident $unpin:ident $unwind:ident $ref_unwind:ident;)+) => {
        $(
            const _: () = assert!(implements!($Type, Send) == $send, concat!(stringify!($Type), ": Send"));
            const _: () = assert!(implements!($Type, Sync) == $sync, concat!(stringify!($Type), ": Sync"));
            const _: () = assert!(implements!($Type, Unpin) == $unpin, concat!(stringify!($Type), ": Unpin"));
            const _: () =
                assert!(implements!($Type, UnwindSafe) == $unwind, concat!(stringify!($Type), ": UnwindSafe"));
            const _: () = assert!(
                implements!($Type, RefUnwindSafe) == $ref_unwind,
                concat!(stringify!($Type), ": RefUnwindSafe")
            );
        )+
    };
}

/// May be sent, but not shared.
type Sent = Cell<u8>;
/// May be shared, but not sent.
type Shared = std::sync::MutexGuard<'static, u8>;
/// Neither.
type Bound = Rc<u8>;

table! {
    //                                               Send Sync Unpin UnwindSafe RefUnwindSafe
    RangeLock:                                       YES  YES  YES   YES        YES;
    Mode:                                            YES  YES  YES   YES        YES;
    Request<'static>:                                YES  YES  YES   YES        YES;
    RequestId:                                       YES  YES  YES   YES        YES;
    RequestInfo:                                     YES  YES  YES   YES        YES;
    RequestState:                                    YES  YES  YES   YES        YES;
    RangeReadGuard<'static>:                         YES  YES  YES   YES        YES;
    RangeUpgradableReadGuard<'static>:               YES  YES  YES   YES        YES;
    RangeWriteGuard<'static>:                        YES  YES  YES   YES        YES;
    ArcRangeReadGuard:                               YES  YES  YES   YES        YES;
    ArcRangeUpgradableReadGuard:                     YES  YES  YES   YES        YES;
    ArcRangeWriteGuard:                              YES  YES  YES   YES        YES;
    ArcManyGuard:                                    YES  YES  YES   YES        YES;
    ArcRequest:                                      YES  YES  YES   YES        YES;
    ManyGuard<'static>:                              YES  YES  YES   YES        YES;

    // The lock that owns the data: as a `RwLock` of the elements.
    RangeRwLock<Vec<u8>>:                            YES  YES  YES   YES        NO;
    RangeRwLock<Box<[u8]>>:                          YES  YES  YES   YES        NO;
    RangeRwLock<[u8; 4]>:                            YES  YES  YES   YES        NO;
    RangeRwLock<&'static mut [u8]>:                  YES  YES  YES   YES        NO;
    RangeRwLock<Vec<Sent>>:                          YES  YES  YES   NO         NO;
    RangeRwLock<Vec<Shared>>:                        NO   NO   YES   YES        NO;
    RangeRwLock<Vec<Bound>>:                         NO   NO   YES   YES        NO;
    RangeRwLockReadGuard<'static, u8>:               YES  YES  YES   NO         YES;
    RangeRwLockReadGuard<'static, Sent>:             NO   NO   YES   NO         NO;
    RangeRwLockReadGuard<'static, Shared>:           YES  YES  YES   NO         YES;
    RangeRwLockReadGuard<'static, Bound>:            NO   NO   YES   NO         YES;
    RangeRwLockUpgradableReadGuard<'static, u8>:     YES  YES  YES   NO         YES;
    RangeRwLockUpgradableReadGuard<'static, Sent>:   NO   NO   YES   NO         NO;
    RangeRwLockUpgradableReadGuard<'static, Shared>: NO   YES  YES   NO         YES;
    RangeRwLockUpgradableReadGuard<'static, Bound>:  NO   NO   YES   NO         YES;
    RangeRwLockWriteGuard<'static, u8>:              YES  YES  YES   NO         YES;
    RangeRwLockWriteGuard<'static, Sent>:            YES  NO   YES   NO         NO;
    RangeRwLockWriteGuard<'static, Shared>:          NO   YES  YES   NO         YES;
    RangeRwLockWriteGuard<'static, Bound>:           NO   NO   YES   NO         YES;
    ArcRangeRwLockReadGuard<Vec<u8>>:                YES  YES  YES   NO         NO;
    ArcRangeRwLockReadGuard<Vec<Sent>>:              NO   NO   YES   NO         NO;
    ArcRangeRwLockReadGuard<Vec<Shared>>:            NO   YES  YES   NO         NO;
    ArcRangeRwLockUpgradableReadGuard<Vec<u8>>:      YES  YES  YES   NO         NO;
    ArcRangeRwLockUpgradableReadGuard<Vec<Sent>>:    NO   NO   YES   NO         NO;
    ArcRangeRwLockWriteGuard<Vec<u8>>:               YES  YES  YES   NO         NO;
    ArcRangeRwLockWriteGuard<Vec<Sent>>:             YES  NO   YES   NO         NO;
    ArcRangeRwLockWriteGuard<Vec<Shared>>:           NO   YES  YES   NO         NO;
    MappedRangeRwLockReadGuard<'static, u8>:         YES  YES  YES   YES        YES;
    MappedRangeRwLockReadGuard<'static, Sent>:       NO   NO   YES   NO         NO;
    MappedRangeRwLockReadGuard<'static, Shared>:     YES  YES  YES   YES        YES;
    MappedRangeRwLockWriteGuard<'static, u8>:        YES  YES  YES   NO         YES;
    MappedRangeRwLockWriteGuard<'static, Sent>:      YES  NO   YES   NO         NO;
    MappedRangeRwLockWriteGuard<'static, Shared>:    NO   YES  YES   NO         YES;
}

#[cfg(feature = "async")]
mod futures {
    use range_lock::future::{
        AcquireMany, AcquireManyArc, Read, ReadArc, ReadElements, ReadElementsArc, UpgradableRead,
        UpgradableReadArc, UpgradableReadElements, UpgradableReadElementsArc, UpgradeElements,
        UpgradeElementsArc, UpgradeRead, UpgradeReadArc, WaitUntilFree, Write, WriteArc, WriteElements,
        WriteElementsArc,
    };

    use super::*;

    table! {
        //                       Send Sync Unpin UnwindSafe RefUnwindSafe
        Read<'static>:           YES  YES  YES   YES        YES;
        UpgradableRead<'static>: YES  YES  YES   YES        YES;
        Write<'static>:          YES  YES  YES   YES        YES;
        UpgradeRead<'static>:    YES  YES  YES   YES        YES;
        ReadArc:                 YES  YES  YES   YES        YES;
        UpgradableReadArc:       YES  YES  YES   YES        YES;
        WriteArc:                YES  YES  YES   YES        YES;
        UpgradeReadArc:          YES  YES  YES   YES        YES;
        AcquireManyArc:          YES  YES  YES   YES        YES;
        WaitUntilFree<'static>:  YES  YES  YES   YES        YES;
        AcquireMany<'static>:    YES  YES  YES   YES        YES;

        // Those of the lock that owns the data: as the guards that they give.
        ReadElements<'static, u8>:               YES YES YES NO YES;
        ReadElements<'static, Sent>:             NO  NO  YES NO NO;
        ReadElements<'static, Shared>:           YES YES YES NO YES;
        UpgradableReadElements<'static, u8>:     YES YES YES NO YES;
        UpgradableReadElements<'static, Sent>:   NO  NO  YES NO NO;
        UpgradableReadElements<'static, Shared>: NO  YES YES NO YES;
        UpgradeElements<'static, u8>:            YES YES YES NO YES;
        UpgradeElements<'static, Sent>:          NO  NO  YES NO NO;
        UpgradeElements<'static, Shared>:        NO  YES YES NO YES;
        WriteElements<'static, u8>:              YES YES YES NO YES;
        WriteElements<'static, Sent>:            YES NO  YES NO NO;
        WriteElements<'static, Shared>:          NO  YES YES NO YES;
        ReadElementsArc<Vec<u8>>:                YES YES YES NO NO;
        ReadElementsArc<Vec<Sent>>:              NO  NO  YES NO NO;
        UpgradableReadElementsArc<Vec<u8>>:      YES YES YES NO NO;
        UpgradeElementsArc<Vec<u8>>:             YES YES YES NO NO;
        WriteElementsArc<Vec<u8>>:               YES YES YES NO NO;
        WriteElementsArc<Vec<Sent>>:             YES NO  YES NO NO;
    }
}

#[cfg(all(feature = "file", target_os = "linux", target_pointer_width = "64"))]
mod file {
    use range_lock::file::{
        Access, ArcFileReadGuard, ArcFileUpgradableReadGuard, ArcFileWriteGuard, Conflict, FileManyGuard,
        FileRangeLock, FileReadGuard, FileUpgradableReadGuard, FileWriteGuard, Request, Unchanged,
    };

    use super::*;

    table! {
        //                                Send Sync Unpin UnwindSafe RefUnwindSafe
        FileRangeLock:                    YES  YES  YES   YES        YES;
        Access:                           YES  YES  YES   YES        YES;
        Conflict:                         YES  YES  YES   YES        YES;
        FileReadGuard<'static>:           YES  YES  YES   YES        YES;
        FileUpgradableReadGuard<'static>: YES  YES  YES   YES        YES;
        FileWriteGuard<'static>:          YES  YES  YES   YES        YES;
        ArcFileReadGuard:                 YES  YES  YES   YES        YES;
        ArcFileUpgradableReadGuard:       YES  YES  YES   YES        YES;
        ArcFileWriteGuard:                YES  YES  YES   YES        YES;
        FileManyGuard<'static>:           YES  YES  YES   YES        YES;

        // An `io::Error` may hold anything.
        Request:                          YES  YES  YES   NO         NO;
        Unchanged<ArcFileReadGuard>:      YES  YES  YES   NO         NO;
    }
}

#[cfg(feature = "memmap2")]
table! {
    RangeRwLock<memmap2::MmapMut>: YES YES YES YES NO;
}

#[cfg(feature = "stats")]
table! {
    range_lock::Stats:     YES YES YES YES YES;
    range_lock::ModeStats: YES YES YES YES YES;
    range_lock::Waits:     YES YES YES YES YES;
}

#[cfg(feature = "deadlock_detection")]
table! {
    range_lock::deadlock::Deadlock:    YES YES YES YES YES;
    range_lock::deadlock::Kind:        YES YES YES YES YES;
    range_lock::deadlock::Participant: YES YES YES YES YES;
    range_lock::deadlock::Stake:       YES YES YES YES YES;
}

#[test]
fn the_table_can_say_no() {
    assert!(!implements!(Bound, Send) && implements!(u8, Send));
}
