//! Handles system calls of simulated code that no door has taken. The kernel sends SIGSYS instead
//! of running them (Syscall User Dispatch, Linux 5.11), as long as `ACTIVE` is set.
//!
//! Calls that manage the process's own memory and signal mask are run, since the C library makes
//! them by itself. Any other call stops the program with its number.
//!
//! Invariant S1: while the handler is installed, the calling thread's SIGSYS comes only from a
//! system call of simulated code, between two of its instructions and never inside of the
//! simulator.

use std::arch::global_asm;
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering;

use crate::cpus::ACTIVE;
use crate::lender::raw_syscall;

const PR_SET_SYSCALL_USER_DISPATCH: usize = 59;
const ON: usize = 1;
const OFF: usize = 0;

// The return from the handler is also a system call. Its address is exempt.
global_asm!(
    ".pushsection .text.smp_restorer, \"ax\", @progbits",
    ".balign 16",
    ".globl smp_restorer, smp_restorer_end",
    ".hidden smp_restorer, smp_restorer_end",
    "smp_restorer:",
    "mov eax, 15",
    "syscall",
    "smp_restorer_end:",
    "ud2",
    ".popsection",
);

unsafe extern "C" {
    fn smp_restorer();
    fn smp_restorer_end();
}

/// A signal action as the kernel has it.
#[repr(C)]
struct KernelAction {
    handler: usize,
    flags: u64,
    restorer: usize,
    mask: u64,
}

/// While it lives, the kernel reports system calls of simulated code.
#[derive(Debug)]
pub(crate) struct Caught;

impl Caught {
    pub(crate) fn begin() -> Caught {
        const SA_RESTORER: u64 = 0x0400_0000;
        let action = KernelAction {
            handler: on_sigsys as *const () as usize,
            flags: libc::SA_SIGINFO as u64 | SA_RESTORER | libc::SA_NODEFER as u64,
            restorer: smp_restorer as *const () as usize,
            mask: 0,
        };
        let start = smp_restorer as *const () as usize;
        // One more: the kernel looks at the address behind the instruction.
        let bytes = smp_restorer_end as *const () as usize - start + 1;
        let selector = ACTIVE.as_ptr() as usize;
        // SAFETY: the action is as the kernel has it, and `ACTIVE` lives for ever. A kernel without
        // the dispatch refuses it, and then system calls are not caught.
        unsafe {
            let act = [libc::SIGSYS as usize, &raw const action as usize, 0, 8, 0, 0];
            raw_syscall(libc::SYS_rt_sigaction, act);
            raw_syscall(libc::SYS_prctl, [PR_SET_SYSCALL_USER_DISPATCH, ON, start, bytes, selector, 0]);
        }
        Caught
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        // SAFETY: no memory is involved.
        unsafe { raw_syscall(libc::SYS_prctl, [PR_SET_SYSCALL_USER_DISPATCH, OFF, 0, 0, 0, 0]) };
    }
}

/// Whether simulated code may make this call: it concerns memory, the signal mask or the signal
/// stack of the process, or the name of a thread. The C library asks for the affinity when it looks
/// for the bounds of a stack. Its own locks, such as the lock of `malloc`, wait for a real thread
/// that is not simulated, because simulated threads do not lose their CPU inside of the C library.
fn is_own_business(number: i64, arguments: [usize; 6]) -> bool {
    /// The value of a lock of the C library that other threads wait for.
    const CONTENDED: usize = 2;
    if number == libc::SYS_futex {
        return match arguments[1] as c_int & !libc::FUTEX_PRIVATE_FLAG {
            libc::FUTEX_WAIT => arguments[2] == CONTENDED && arguments[3] == 0,
            operation => operation == libc::FUTEX_WAKE,
        };
    }
    matches!(
        number,
        libc::SYS_mmap
            | libc::SYS_munmap
            | libc::SYS_mprotect
            | libc::SYS_mremap
            | libc::SYS_madvise
            | libc::SYS_brk
            | libc::SYS_rt_sigprocmask
            | libc::SYS_sigaltstack
            | libc::SYS_prctl
            | libc::SYS_sched_getaffinity
    )
}

extern "C" fn on_sigsys(_: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    ACTIVE.store(0, Ordering::Relaxed);
    // SAFETY: the kernel passes a valid context. For SIGSYS the number is the int behind the
    // address of the call, at byte 24 of the information.
    let (registers, number) = unsafe {
        let registers = &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs;
        (registers, i64::from(info.cast::<u8>().add(24).cast::<i32>().read()))
    };
    let argument = |register: c_int| registers[register as usize] as usize;
    let arguments = [
        argument(libc::REG_RDI),
        argument(libc::REG_RSI),
        argument(libc::REG_RDX),
        argument(libc::REG_R10),
        argument(libc::REG_R8),
        argument(libc::REG_R9),
    ];
    if !is_own_business(number, arguments) {
        stop(number);
    }
    // SAFETY: the call that the code wanted to make, with its arguments.
    let result = unsafe { raw_syscall(number, arguments) };
    registers[libc::REG_RAX as usize] = result;
    ACTIVE.store(1, Ordering::Relaxed);
}

/// Ends the program because simulated code made a system call that is not simulated.
pub(crate) fn stop(number: i64) -> ! {
    ACTIVE.store(0, Ordering::Relaxed);
    eprintln!(
        "simulated code made system call {number}, which is not simulated; \
         call it in `smp_machine::aside`, or add a door for it"
    );
    std::process::exit(STOPPED);
}

/// The exit status after [`stop`].
const STOPPED: i32 = 97;
