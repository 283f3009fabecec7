//! Thread-locals of simulated threads. A real thread is parked and lends its block. While its
//! simulated thread runs, the FS base of the simulating thread points to this block.
//!
//! Invariants:
//! * L1. After a lender has reported where its block lies it runs nothing until it is released. So
//!   only the simulating thread uses the block.
//! * L2. A lender is released after its simulated thread has ended, or never.

use std::arch::asm;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::doors::real;
use crate::memory::LenderStack;

/// Where a lender and the simulating thread meet.
#[derive(Debug, Default)]
struct Meeting {
    fs: AtomicUsize,
    released: AtomicU32,
}

/// A parked thread.
#[derive(Debug)]
pub(crate) struct Lender {
    meeting: Box<Meeting>,
    pthread: libc::pthread_t,
    /// The stack, returned after the thread has ended.
    #[expect(dead_code, reason = "it is held")]
    stack: LenderStack,
}

impl Lender {
    /// Starts a thread and waits until it is parked.
    ///
    /// # Panics
    ///
    /// If the system has no more threads.
    pub(crate) fn start() -> Lender {
        let meeting = Box::<Meeting>::default();
        let stack = LenderStack::new();
        let (low, bytes) = stack.range();
        // SAFETY: all zero is a valid `pthread_attr_t` for `pthread_attr_init` to overwrite.
        let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
        let mut pthread = 0;
        // SAFETY: the stack is mapped and is used by no other thread; `meeting` outlives the
        // thread, since a `Lender` is dropped in `release` alone, and otherwise leaked.
        let error = unsafe {
            libc::pthread_attr_init(&mut attributes);
            let e =
                libc::pthread_attr_setstack(&mut attributes, ptr::with_exposed_provenance_mut(low), bytes);
            assert!(e == 0, "cannot set the stack of a thread: error {e}");
            real::pthread_create(&mut pthread, &attributes, lend, (&raw const *meeting).cast_mut().cast())
        };
        assert!(error == 0, "cannot start a thread that lends its thread-locals: error {error} (ulimit -u)");
        while meeting.fs.load(Ordering::Acquire) == 0 {
            futex(&raw const meeting.fs as usize, libc::FUTEX_WAIT, 0);
        }
        Lender { meeting, pthread, stack }
    }

    /// The address of its block.
    pub(crate) fn fs(&self) -> usize {
        self.meeting.fs.load(Ordering::Relaxed)
    }

    /// Its number in the C library.
    pub(crate) fn pthread(&self) -> libc::pthread_t {
        self.pthread
    }

    /// Lets it end, and waits for the end. The destructors of its thread-locals run now, not
    /// simulated.
    pub(crate) fn release(self) {
        self.meeting.released.store(1, Ordering::Release);
        futex(&raw const self.meeting.released as usize, libc::FUTEX_WAKE, 1);
        real::pthread_join(self.pthread);
    }
}

/// The body of a lender.
extern "C" fn lend(meeting: *mut c_void) -> *mut c_void {
    // SAFETY: `start` passed this pointer, and the meeting lives until this thread has ended.
    let meeting = unsafe { &*meeting.cast::<Meeting>() };
    meeting.fs.store(fs_base(), Ordering::Release);
    futex(&raw const meeting.fs as usize, libc::FUTEX_WAKE, 1);
    while meeting.released.load(Ordering::Acquire) == 0 {
        futex(&raw const meeting.released as usize, libc::FUTEX_WAIT, 0);
    }
    ptr::null_mut()
}

/// A futex call that touches no thread-local, not even `errno`.
#[inline(never)]
fn futex(address: usize, operation: c_int, value: usize) {
    // SAFETY: the address is that of a live atomic; a futex call changes no other memory.
    unsafe { raw_syscall(libc::SYS_futex, [address, operation as usize | 128, value, 0, 0, 0]) };
}

/// A system call that touches no thread-local.
///
/// # Safety
///
/// As that of the system call.
#[inline]
pub(crate) unsafe fn raw_syscall(number: i64, a: [usize; 6]) -> i64 {
    let result;
    // SAFETY: the caller's; the kernel changes rax, rcx and r11 alone.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
            in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Whether programs may use the instructions that read and write the FS base.
fn has_fsgsbase() -> bool {
    static KNOWN: AtomicU32 = AtomicU32::new(0);
    const FSGSBASE: u64 = 2;
    match KNOWN.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: `getauxval` has no precondition.
            let has = unsafe { libc::getauxval(libc::AT_HWCAP2) } & FSGSBASE != 0;
            KNOWN.store(1 + u32::from(has), Ordering::Relaxed);
            has
        }
        known => known == 2,
    }
}

const ARCH_SET_FS: usize = 0x1002;
const ARCH_GET_FS: usize = 0x1003;

/// The FS base of the calling thread.
#[inline(never)]
pub(crate) fn fs_base() -> usize {
    let mut fs: usize = 0;
    // SAFETY: the call writes to `fs` alone.
    unsafe { raw_syscall(libc::SYS_arch_prctl, [ARCH_GET_FS, &raw mut fs as usize, 0, 0, 0, 0]) };
    fs
}

/// Sets the FS base of the calling thread.
///
/// # Safety
///
/// It is the base of a block of thread-locals that no other thread uses (L1). No function up the
/// stack keeps the address of a thread-local over the call.
#[inline(never)]
pub(crate) unsafe fn set_fs_base(fs: usize) {
    if has_fsgsbase() {
        // SAFETY: the kernel allows the instruction; the rest is the caller's.
        unsafe { asm!("wrfsbase {}", in(reg) fs, options(nostack)) };
    } else {
        // SAFETY: the caller's.
        unsafe { raw_syscall(libc::SYS_arch_prctl, [ARCH_SET_FS, fs, 0, 0, 0, 0]) };
    }
}
