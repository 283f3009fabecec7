//! Replaces the functions of the C library that wait, create threads, tell the time, or ask for
//! CPUs or randomness. The linker finds these functions before the C library's. For code that is
//! not simulated they do what the C library's functions do.
//!
//! Invariant D1: callers keep the contracts of the C functions of the same names.

#![expect(unreachable_pub, reason = "the linker needs the symbols")]

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};
use std::ptr;
use std::sync::atomic::AtomicU32;

use libc::{pthread_attr_t, pthread_t, timespec};

use crate::addresses::{are_fixed, fixed_random};
use crate::costs::{NS, US};
use crate::cpus::{self, Woken, aside, simulated};
use crate::lender::raw_syscall;
use crate::{Ps, system_calls};

/// What the virtual clocks show at the beginning of a run: 1000 s.
const BOOT_NS: u64 = 1_000_000_000_000;

/// Sets `errno` if a system call failed.
fn as_libc(result: i64) -> i64 {
    if (-4095..0).contains(&result) {
        // SAFETY: the calling thread's `errno`.
        unsafe { *libc::__errno_location() = -result as c_int };
        return -1;
    }
    result
}

fn in_ps(time: &timespec) -> Ps {
    let seconds = (time.tv_sec as u64).saturating_mul(1_000_000 * US);
    seconds.saturating_add((time.tv_nsec as u64).saturating_mul(NS))
}

/// The duration from now until this time of the virtual clocks.
fn until(time: &timespec) -> Ps {
    in_ps(time).saturating_sub(BOOT_NS * NS).saturating_sub(cpus::now())
}

/// The C library's own functions.
pub(crate) mod real {
    use std::ffi::{CStr, c_int, c_long, c_void};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use libc::{pthread_attr_t, pthread_t};

    /// The next definition of a symbol, which must be of type `F`.
    macro_rules! next {
        ($name:literal as $type:ty) => {{
            static FOUND: AtomicUsize = AtomicUsize::new(0);
            // SAFETY: the C library defines the symbol, with this type.
            let next = unsafe { std::mem::transmute::<usize, $type>(find(&FOUND, $name)) };
            next
        }};
    }

    fn find(found: &AtomicUsize, name: &CStr) -> usize {
        match found.load(Ordering::Relaxed) {
            0 => {
                // SAFETY: the name is a C string.
                let address = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) }.addr();
                assert!(address != 0, "the C library has no {name:?}");
                found.store(address, Ordering::Relaxed);
                address
            }
            address => address,
        }
    }

    pub(crate) type Start = extern "C" fn(*mut c_void) -> *mut c_void;

    /// # Safety
    ///
    /// As that of the C function.
    pub(crate) unsafe fn pthread_create(
        thread: *mut pthread_t,
        attributes: *const pthread_attr_t,
        start: Start,
        argument: *mut c_void,
    ) -> c_int {
        type Create =
            unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Start, *mut c_void) -> c_int;
        let create = next!(c"pthread_create" as Create);
        // SAFETY: the caller's.
        unsafe { create(thread, attributes, start, argument) }
    }

    pub(crate) fn pthread_join(thread: pthread_t) -> c_int {
        // SAFETY: callers pass a thread that they created and that was not joined.
        unsafe { join(thread, std::ptr::null_mut()) }
    }

    /// # Safety
    ///
    /// As that of `pthread_join`.
    pub(crate) unsafe fn join(thread: pthread_t, result: *mut *mut c_void) -> c_int {
        type Join = unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int;
        let join = next!(c"pthread_join" as Join);
        // SAFETY: the caller's.
        unsafe { join(thread, result) }
    }

    /// # Safety
    ///
    /// As that of `pthread_detach`.
    pub(crate) unsafe fn detach(thread: pthread_t) -> c_int {
        type Detach = unsafe extern "C" fn(pthread_t) -> c_int;
        let detach = next!(c"pthread_detach" as Detach);
        // SAFETY: the caller's.
        unsafe { detach(thread) }
    }

    /// # Safety
    ///
    /// As that of `pthread_attr_getguardsize`.
    pub(crate) unsafe fn guard_size(attributes: *const pthread_attr_t, bytes: *mut usize) -> c_int {
        type GuardSize = unsafe extern "C" fn(*const pthread_attr_t, *mut usize) -> c_int;
        let guard_size = next!(c"pthread_attr_getguardsize" as GuardSize);
        // SAFETY: the caller's.
        unsafe { guard_size(attributes, bytes) }
    }

    pub(crate) fn sysconf(name: c_int) -> c_long {
        type Sysconf = unsafe extern "C" fn(c_int) -> c_long;
        let sysconf = next!(c"sysconf" as Sysconf);
        // SAFETY: it has no precondition.
        unsafe { sysconf(name) }
    }
}

macro_rules! doors {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty { $($body:tt)* })*) => {$(
        #[doc = concat!("`", stringify!($name), "` of the C library.")]
        ///
        /// # Safety
        ///
        /// That of the C function.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result { $($body)* }
    )*};
}

/// A system call of code that is not simulated.
fn outside(number: c_long, a: usize, b: usize, c: usize, d: usize) -> i64 {
    // SAFETY: D1.
    as_libc(unsafe { raw_syscall(number, [a, b, c, d, 0, 0]) })
}

doors! {
    fn sched_yield() -> c_int {
        if simulated() {
            cpus::sched_yield();
            return 0;
        }
        outside(libc::SYS_sched_yield, 0, 0, 0, 0) as c_int
    }

    fn clock_gettime(clock: c_int, time: *mut timespec) -> c_int {
        if simulated() {
            let ns = BOOT_NS + cpus::read_clock() / NS;
            let value = timespec { tv_sec: (ns / 1_000_000_000) as i64, tv_nsec: (ns % 1_000_000_000) as i64 };
            // SAFETY: D1.
            unsafe { time.write(value) };
            return 0;
        }
        outside(libc::SYS_clock_gettime, clock as usize, time as usize, 0, 0) as c_int
    }

    fn nanosleep(request: *const timespec, left: *mut timespec) -> c_int {
        if simulated() {
            // SAFETY: D1.
            cpus::nap(in_ps(unsafe { &*request }));
            return 0;
        }
        outside(libc::SYS_nanosleep, request as usize, left as usize, 0, 0) as c_int
    }

    fn clock_nanosleep(clock: c_int, flags: c_int, request: *const timespec, left: *mut timespec) -> c_int {
        if simulated() {
            // SAFETY: D1.
            let request = unsafe { &*request };
            cpus::nap(if flags & libc::TIMER_ABSTIME != 0 { until(request) } else { in_ps(request) });
            return 0;
        }
        let arguments = [clock as usize, flags as usize, request as usize, left as usize, 0, 0];
        // SAFETY: D1.
        -unsafe { raw_syscall(libc::SYS_clock_nanosleep, arguments) } as c_int
    }

    fn getrandom(to: *mut c_void, bytes: usize, flags: c_uint) -> isize {
        if !simulated() && !are_fixed() {
            return outside(libc::SYS_getrandom, to as usize, bytes, flags as usize, 0) as isize;
        }
        fill(to.cast(), bytes);
        bytes as isize
    }

    fn syscall(number: c_long, a: usize, b: usize, c: usize, d: usize, e: usize, f: usize) -> c_long {
        if !(simulated() || number == libc::SYS_getrandom && are_fixed()) {
            // SAFETY: D1.
            return as_libc(unsafe { raw_syscall(number, [a, b, c, d, e, f]) });
        }
        as_libc(match number {
            // SAFETY: D1.
            libc::SYS_futex => unsafe { futex(a, b as c_int, c as u32, d as *const timespec) },
            libc::SYS_getrandom => {
                fill(a as *mut u8, b);
                b as i64
            }
            libc::SYS_sched_yield => {
                cpus::sched_yield();
                0
            }
            libc::SYS_gettid => cpus::gettid(),
            _ => system_calls::stop(number),
        })
    }

    fn gettid() -> libc::pid_t {
        if simulated() {
            return cpus::gettid() as libc::pid_t;
        }
        outside(libc::SYS_gettid, 0, 0, 0, 0) as libc::pid_t
    }

    fn sched_getcpu() -> c_int {
        if simulated() {
            return cpus::cpu() as c_int;
        }
        let mut cpu: c_uint = 0;
        let result = outside(libc::SYS_getcpu, &raw mut cpu as usize, 0, 0, 0);
        if result < 0 { -1 } else { cpu as c_int }
    }

    fn sched_getaffinity(pid: libc::pid_t, bytes: usize, set: *mut libc::cpu_set_t) -> c_int {
        if let Some(cpus) = cpus::visible_cpus() {
            // SAFETY: D1: there is room for `bytes` bytes.
            unsafe {
                ptr::write_bytes(set.cast::<u8>(), 0, bytes);
                for cpu in 0..cpus.min(8 * bytes) {
                    *set.cast::<u8>().add(cpu / 8) |= 1 << (cpu % 8);
                }
            }
            return 0;
        }
        let result = outside(libc::SYS_sched_getaffinity, pid as usize, bytes, set as usize, 0);
        if let Ok(filled) = usize::try_from(result) {
            // The kernel fills the bytes for which it has CPUs.
            // SAFETY: D1.
            unsafe { ptr::write_bytes(set.cast::<u8>().add(filled), 0, bytes - filled) };
        }
        result.min(0) as c_int
    }

    fn sysconf(name: c_int) -> c_long {
        match (name, cpus::visible_cpus()) {
            (libc::_SC_NPROCESSORS_ONLN | libc::_SC_NPROCESSORS_CONF, Some(cpus)) => cpus as c_long,
            _ => real::sysconf(name),
        }
    }

    // `available_parallelism` looks for limits of control groups in files. A simulated machine has
    // none.
    fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        // SAFETY: D1.
        unsafe { open(path, flags, mode) }
    }

    fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
        // SAFETY: D1.
        let is_of_groups = || unsafe { std::ffi::CStr::from_ptr(path) }.to_bytes().starts_with(b"/proc/self/cgroup");
        if cpus::visible_cpus().is_some() && is_of_groups() {
            return as_libc(-i64::from(libc::ENOENT)) as c_int;
        }
        if simulated() {
            system_calls::stop(libc::SYS_openat);
        }
        outside(libc::SYS_openat, libc::AT_FDCWD as usize, path as usize, flags as usize, mode as usize) as c_int
    }

    fn pthread_create(
        thread: *mut pthread_t, attributes: *const pthread_attr_t, start: real::Start, argument: *mut c_void
    ) -> c_int {
        if simulated() {
            let argument = argument.expose_provenance();
            let created = cpus::create_thread(Box::new(move || {
                start(ptr::with_exposed_provenance_mut(argument));
            }));
            // SAFETY: D1.
            unsafe { thread.write(created) };
            return 0;
        }
        // SAFETY: D1.
        unsafe { real::pthread_create(thread, attributes, start, argument) }
    }

    fn pthread_join(thread: pthread_t, result: *mut *mut c_void) -> c_int {
        if simulated() {
            if !result.is_null() {
                // SAFETY: D1. What the thread returned is not kept.
                unsafe { result.write(ptr::null_mut()) };
            }
            return if cpus::join_thread(thread) { 0 } else { libc::ESRCH };
        }
        // SAFETY: D1.
        unsafe { real::join(thread, result) }
    }

    // std asks for it at the start of a thread, and expects a guard page. The stack of a lender was
    // passed to the C library, which does not know the guard page below it.
    fn pthread_attr_getguardsize(attributes: *const pthread_attr_t, bytes: *mut usize) -> c_int {
        if simulated() {
            // SAFETY: D1.
            unsafe { bytes.write(GUARD) };
            return 0;
        }
        // SAFETY: D1.
        unsafe { real::guard_size(attributes, bytes) }
    }

    fn pthread_detach(thread: pthread_t) -> c_int {
        if simulated() {
            // Its lender is released at the end of the run.
            return 0;
        }
        // SAFETY: D1.
        unsafe { real::detach(thread) }
    }
}

/// The size of the guard page of a lender's stack.
const GUARD: usize = 4096;

/// Fills a buffer: in a run from the run's seed, otherwise as in each process.
fn fill(to: *mut u8, bytes: usize) {
    let next = if simulated() { cpus::random } else { fixed_random };
    aside(|| {
        for i in 0..bytes {
            // SAFETY: D1: there is room for `bytes` bytes.
            unsafe { to.add(i).write((next() >> 32) as u8) };
        }
    });
}

/// # Safety
///
/// That of the system call.
unsafe fn futex(address: usize, operation: c_int, value: u32, time: *const timespec) -> i64 {
    const COMMANDS: c_int = 0x7f;
    // SAFETY: D1: the time is null or valid.
    let time = unsafe { time.as_ref() };
    let timeout = match operation & COMMANDS {
        libc::FUTEX_WAKE => return cpus::wake_futex(address, value as usize) as i64,
        libc::FUTEX_WAIT => time.map(in_ps),
        libc::FUTEX_WAIT_BITSET => time.map(until),
        _ => system_calls::stop(libc::SYS_futex),
    };
    debug_assert!(address.is_multiple_of(align_of::<AtomicU32>()));
    // SAFETY: the caller's.
    match unsafe { cpus::wait_on_futex(address, value, timeout, futex as *const () as usize) } {
        Woken::ByWake => 0,
        Woken::ValueDiffers => -i64::from(libc::EAGAIN),
        Woken::TimedOut => -i64::from(libc::ETIMEDOUT),
    }
}
