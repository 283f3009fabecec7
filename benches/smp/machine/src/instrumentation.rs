//! The functions that ThreadSanitizer's instrumentation calls: for each load, store and atomic of
//! an instrumented crate, with its real address. The names and the arguments are those of LLVM's
//! `tsan_interface.h` and `tsan_interface_atomic.h`.
//!
//! Plain accesses announce themselves here, and the code makes them afterwards. Atomics are made
//! here. Each entry passes on its return address, by which reports name the function.
//!
//! Invariant I1: the compiler calls these functions with the addresses and the sizes of accesses
//! that are valid at that place, and aligned for atomics.

#![expect(unreachable_pub, reason = "the linker needs the symbols")]

use std::arch::naked_asm;
use std::ptr;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::SeqCst};

use crate::cpus::{self, simulated};

extern "C" fn access<const SIZE: usize, const WRITE: bool>(address: usize, pc: usize) {
    if simulated() {
        cpus::plain(address, SIZE, WRITE, pc);
    }
}

/// Entries of one argument.
macro_rules! plain {
    ($($name:ident $size:literal $write:literal;)*) => {$(
        #[doc = "An entry of the instrumentation."]
        ///
        /// # Safety
        ///
        /// Only instrumented code calls it.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name(address: usize) {
            naked_asm!("mov rsi, [rsp]", "jmp {}", sym access::<$size, $write>)
        }
    )*};
}

plain! {
    __tsan_read1 1 false; __tsan_read2 2 false; __tsan_read4 4 false; __tsan_read8 8 false;
    __tsan_read16 16 false;
    __tsan_write1 1 true; __tsan_write2 2 true; __tsan_write4 4 true; __tsan_write8 8 true;
    __tsan_write16 16 true;
    __tsan_unaligned_read2 2 false; __tsan_unaligned_read4 4 false; __tsan_unaligned_read8 8 false;
    __tsan_unaligned_read16 16 false;
    __tsan_unaligned_write2 2 true; __tsan_unaligned_write4 4 true; __tsan_unaligned_write8 8 true;
    __tsan_unaligned_write16 16 true;
    __tsan_read_write1 1 true; __tsan_read_write2 2 true; __tsan_read_write4 4 true;
    __tsan_read_write8 8 true; __tsan_read_write16 16 true;
    __tsan_unaligned_read_write2 2 true; __tsan_unaligned_read_write4 4 true;
    __tsan_unaligned_read_write8 8 true; __tsan_unaligned_read_write16 16 true;
    __tsan_vptr_read 8 false;
}

/// Entries that have nothing to simulate.
macro_rules! nothing {
    ($($name:ident)*) => {$(
        #[doc = "An entry of the instrumentation that does nothing."]
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() {}
    )*};
}

nothing! {
    __tsan_init __tsan_func_entry __tsan_func_exit __tsan_vptr_update __tsan_ignore_thread_begin
    __tsan_ignore_thread_end __tsan_atomic_signal_fence
}

extern "C" fn range<const WRITE: bool>(address: usize, bytes: usize, pc: usize) {
    if simulated() {
        cpus::plain(address, bytes, WRITE, pc);
    }
}

extern "C" fn fence(order: i32) {
    if order == SEQ_CST && simulated() {
        cpus::fence();
    }
}

/// LLVM's number for sequential consistency.
const SEQ_CST: i32 = 5;

extern "C" fn copy<const OVERLAP: bool>(to: *mut u8, from: *const u8, bytes: usize, pc: usize) -> *mut u8 {
    if simulated() {
        cpus::plain(from.addr(), bytes, false, pc);
        cpus::plain(to.addr(), bytes, true, pc);
    }
    // SAFETY: I1. `ptr::copy` also allows an overlap.
    unsafe { ptr::copy(from, to, bytes) };
    to
}

extern "C" fn set(to: *mut u8, value: i32, bytes: usize, pc: usize) -> *mut u8 {
    if simulated() {
        cpus::plain(to.addr(), bytes, true, pc);
    }
    // SAFETY: I1.
    unsafe { ptr::write_bytes(to, value as u8, bytes) };
    to
}

/// Entries that pass on their arguments, and their return address in the named register.
macro_rules! pass {
    ($($name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)? => $register:literal $to:expr;)*) => {$(
        #[doc = "An entry of the instrumentation."]
        ///
        /// # Safety
        ///
        /// Only instrumented code calls it.
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        pub unsafe extern "C" fn $name($($argument: $type),*) $(-> $result)? {
            naked_asm!(concat!("mov ", $register, ", [rsp]"), "jmp {}", sym $to)
        }
    )*};
}

pass! {
    __tsan_read_range(address: usize, bytes: usize) => "rdx" range::<false>;
    __tsan_write_range(address: usize, bytes: usize) => "rdx" range::<true>;
    __tsan_memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 => "rcx" copy::<false>;
    __tsan_memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 => "rcx" copy::<true>;
    __tsan_memset(to: *mut u8, value: i32, bytes: usize) -> *mut u8 => "rcx" set;
    __tsan_atomic_thread_fence(order: i32) => "rsi" fence;
}

/// The atomics of one width, in a module of their own.
macro_rules! atomics {
    ($module:ident $word:ty, $atomic:ty, $load:ident $store:ident $exchange:ident $add:ident $sub:ident
     $and:ident $or:ident $xor:ident $nand:ident $val:ident $strong:ident $weak:ident) => {
        mod $module {
            use super::*;

            fn at<'a>(address: usize) -> &'a $atomic {
                // SAFETY: I1: a live, aligned atomic of this width.
                unsafe { &*ptr::with_exposed_provenance::<$atomic>(address) }
            }

            pub(super) extern "C" fn load(address: usize, _: i32, pc: usize) -> $word {
                if simulated() {
                    cpus::atomic(address, false, pc);
                }
                at(address).load(SeqCst)
            }

            pub(super) extern "C" fn store(address: usize, value: $word, order: i32, pc: usize) {
                if simulated() {
                    // On x86 a sequentially consistent store is a locked exchange.
                    if order == SEQ_CST { cpus::locked(address, pc) } else { cpus::atomic(address, true, pc) }
                }
                at(address).store(value, SeqCst);
            }

            atomics!(@change $word, exchange swap, add fetch_add, sub fetch_sub, and fetch_and, or fetch_or,
                xor fetch_xor, nand fetch_nand);

            pub(super) extern "C" fn val(
                address: usize, expected: $word, value: $word, _: i32, _: i32, pc: usize,
            ) -> $word {
                if simulated() {
                    cpus::locked(address, pc);
                }
                match at(address).compare_exchange(expected, value, SeqCst, SeqCst) {
                    Ok(old) | Err(old) => old,
                }
            }

            pub(super) extern "C" fn strong(
                address: usize, expected: *mut $word, value: $word, success: i32, failure: i32, pc: usize,
            ) -> i32 {
                // SAFETY: I1.
                let old = unsafe { expected.read() };
                let got = val(address, old, value, success, failure, pc);
                if got == old {
                    return 1;
                }
                // SAFETY: I1.
                unsafe { expected.write(got) };
                0
            }
        }

        pass! {
            $load(address: usize, order: i32) -> $word => "rdx" $module::load;
            $store(address: usize, value: $word, order: i32) => "rcx" $module::store;
            $exchange(address: usize, value: $word, order: i32) -> $word => "rcx" $module::exchange;
            $add(address: usize, value: $word, order: i32) -> $word => "rcx" $module::add;
            $sub(address: usize, value: $word, order: i32) -> $word => "rcx" $module::sub;
            $and(address: usize, value: $word, order: i32) -> $word => "rcx" $module::and;
            $or(address: usize, value: $word, order: i32) -> $word => "rcx" $module::or;
            $xor(address: usize, value: $word, order: i32) -> $word => "rcx" $module::xor;
            $nand(address: usize, value: $word, order: i32) -> $word => "rcx" $module::nand;
            $val(address: usize, expected: $word, value: $word, success: i32, failure: i32) -> $word
                => "r9" $module::val;
            $strong(address: usize, expected: *mut $word, value: $word, success: i32, failure: i32) -> i32
                => "r9" $module::strong;
            $weak(address: usize, expected: *mut $word, value: $word, success: i32, failure: i32) -> i32
                => "r9" $module::strong;
        }
    };
    (@change $word:ty, $($name:ident $method:ident),*) => {$(
        pub(super) extern "C" fn $name(address: usize, value: $word, _: i32, pc: usize) -> $word {
            if simulated() {
                cpus::locked(address, pc);
            }
            at(address).$method(value, SeqCst)
        }
    )*};
}

atomics!(of8 u8, AtomicU8, __tsan_atomic8_load __tsan_atomic8_store __tsan_atomic8_exchange
    __tsan_atomic8_fetch_add __tsan_atomic8_fetch_sub __tsan_atomic8_fetch_and __tsan_atomic8_fetch_or
    __tsan_atomic8_fetch_xor __tsan_atomic8_fetch_nand __tsan_atomic8_compare_exchange_val
    __tsan_atomic8_compare_exchange_strong __tsan_atomic8_compare_exchange_weak);
atomics!(of16 u16, AtomicU16, __tsan_atomic16_load __tsan_atomic16_store __tsan_atomic16_exchange
    __tsan_atomic16_fetch_add __tsan_atomic16_fetch_sub __tsan_atomic16_fetch_and __tsan_atomic16_fetch_or
    __tsan_atomic16_fetch_xor __tsan_atomic16_fetch_nand __tsan_atomic16_compare_exchange_val
    __tsan_atomic16_compare_exchange_strong __tsan_atomic16_compare_exchange_weak);
atomics!(of32 u32, AtomicU32, __tsan_atomic32_load __tsan_atomic32_store __tsan_atomic32_exchange
    __tsan_atomic32_fetch_add __tsan_atomic32_fetch_sub __tsan_atomic32_fetch_and __tsan_atomic32_fetch_or
    __tsan_atomic32_fetch_xor __tsan_atomic32_fetch_nand __tsan_atomic32_compare_exchange_val
    __tsan_atomic32_compare_exchange_strong __tsan_atomic32_compare_exchange_weak);
atomics!(of64 u64, AtomicU64, __tsan_atomic64_load __tsan_atomic64_store __tsan_atomic64_exchange
    __tsan_atomic64_fetch_add __tsan_atomic64_fetch_sub __tsan_atomic64_fetch_and __tsan_atomic64_fetch_or
    __tsan_atomic64_fetch_xor __tsan_atomic64_fetch_nand __tsan_atomic64_compare_exchange_val
    __tsan_atomic64_compare_exchange_strong __tsan_atomic64_compare_exchange_weak);
