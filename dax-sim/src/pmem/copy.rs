//! The one routine through which the bytes of the device are touched.
//!
//! User threads store to pages that others read, so a plain Rust copy would be a data race, and
//! with it undefined behaviour. On x86-64 the copy is inline assembly, which the language's memory
//! model does not look into: the hardware's model holds, as it does for the kernel's own copy
//! routines. Elsewhere, under Miri, and with `--cfg dax_sim_atomic_copy`, it is relaxed atomics: by
//! words where the device's side is aligned, by bytes at the ends. That option is for
//! ThreadSanitizer, which cannot see into assembly and would report what is ordered around it.
//!
//! Either way a copy that starts at an aligned word of the device moves whole words: a load of a
//! word, beside a copy over it, sees it before or after, never half. The string instructions move 4
//! KiB in less than half the time of the atomic words.

use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(any(miri, dax_sim_atomic_copy, not(target_arch = "x86_64")))]
use atomic as with;
#[cfg(not(any(miri, dax_sim_atomic_copy, not(target_arch = "x86_64"))))]
use string_instructions as with;

/// Copies from the device.
///
/// # Safety
///
/// `source` is readable for the length of `target`, and touched by nothing but this module while
/// this runs.
pub(super) unsafe fn copy_out(target: &mut [u8], source: *const u8) {
    // SAFETY: the caller's promise, handed on.
    unsafe { with::copy_out(target, source) }
}

/// Copies to the device.
///
/// # Safety
///
/// `target` is writable for the length of `source`, and touched by nothing but this module while
/// this runs.
pub(super) unsafe fn copy_in(target: *mut u8, source: &[u8]) {
    // SAFETY: the caller's promise, handed on.
    unsafe { with::copy_in(target, source) }
}

/// Writes zeros to the device.
///
/// # Safety
///
/// `target` is writable for `len` bytes, and touched by nothing but this module while this runs.
pub(super) unsafe fn zero(target: *mut u8, len: usize) {
    // SAFETY: the caller's promise, handed on.
    unsafe { with::zero(target, len) }
}

/// Loads a word (acquire).
///
/// # Safety
///
/// `word` is aligned and readable, and touched by nothing but this module while this runs.
pub(super) unsafe fn load_u64(word: *mut u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { AtomicU64::from_ptr(word) }.load(Ordering::Acquire)
}

/// Stores a word (release).
///
/// # Safety
///
/// `word` is aligned and writable, and touched by nothing but this module while this runs.
pub(super) unsafe fn store_u64(word: *mut u64, value: u64) {
    // SAFETY: the caller's promise.
    unsafe { AtomicU64::from_ptr(word) }.store(value, Ordering::Release);
}

/// Writes cache lines back to memory. `clflush` also drops them, which CLWB would not, but every
/// x86-64 has it.
///
/// # Safety
///
/// `start` is readable for `len` bytes.
#[cfg(all(target_arch = "x86_64", not(miri)))]
pub(super) unsafe fn write_back(start: *const u8, len: usize) {
    const LINE: usize = 64;
    let first = start.addr() & !(LINE - 1);
    for line in (first..start.addr() + len).step_by(LINE) {
        // SAFETY: the line holds at least one byte of the caller's range, and a line never spans
        // two pages.
        unsafe { std::arch::x86_64::_mm_clflush(start.with_addr(line)) }
    }
}

/// Where the instruction is not known, `Device::fence` relies on msync alone.
///
/// # Safety
///
/// None is needed.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(super) unsafe fn write_back(_start: *const u8, _len: usize) {}

/// Orders the write-backs before whatever follows.
pub(super) fn store_fence() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    std::sync::atomic::fence(Ordering::SeqCst);
}

/// x86-64's own block copies. The direction flag is clear on entry, as the ABI and the `asm!`
/// contract say.
#[cfg(not(any(miri, dax_sim_atomic_copy, not(target_arch = "x86_64"))))]
mod string_instructions {
    use std::arch::asm;

    pub(super) unsafe fn copy_out(target: &mut [u8], source: *const u8) {
        // SAFETY: both ranges are valid for the length of `target`, one by the caller's promise,
        // one as a slice.
        unsafe { copy(target.as_mut_ptr(), source, target.len(), source) }
    }

    pub(super) unsafe fn copy_in(target: *mut u8, source: &[u8]) {
        // SAFETY: both ranges are valid for the length of `source`, one by the caller's promise,
        // one as a slice.
        unsafe { copy(target, source.as_ptr(), source.len(), target) }
    }

    pub(super) unsafe fn zero(target: *mut u8, len: usize) {
        let words = if target.addr().is_multiple_of(8) { len / 8 } else { 0 };
        // SAFETY: the instructions write 8 * words + (len - 8 * words) bytes from `target` on,
        // which the caller promises to be writable.
        unsafe {
            asm!(
                "rep stosq",
                "mov rcx, {rest}",
                "jrcxz 2f",
                "rep stosb",
                "2:",
                rest = in(reg) len - words * 8,
                inout("rdi") target => _,
                inout("rcx") words => _,
                in("rax") 0_u64,
                options(nostack, preserves_flags)
            );
        }
    }

    /// By words as long as the device's side is aligned, then by bytes.
    unsafe fn copy(target: *mut u8, source: *const u8, len: usize, device: *const u8) {
        let words = if device.addr().is_multiple_of(8) { len / 8 } else { 0 };
        // SAFETY: the instructions read 8 * words + (len - 8 * words) bytes from `source` on and
        // write them to `target`; the caller promises both.
        unsafe {
            asm!(
                "rep movsq",
                "mov rcx, {rest}",
                // To move nothing takes as long as a tenth of a page.
                "jrcxz 2f",
                "rep movsb",
                "2:",
                rest = in(reg) len - words * 8,
                inout("rdi") target => _,
                inout("rsi") source => _,
                inout("rcx") words => _,
                options(nostack, preserves_flags)
            );
        }
    }
}

/// Relaxed atomics. Also compiled for the tests, which hold both against each other.
#[cfg(any(test, miri, dax_sim_atomic_copy, not(target_arch = "x86_64")))]
mod atomic {
    use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

    pub(super) unsafe fn copy_out(target: &mut [u8], source: *const u8) {
        let source = source.cast_mut();
        let (head, words) = split(source, target.len());
        let (start, rest) = target.split_at_mut(head);
        let (middle, end) = rest.split_at_mut(words * 8);
        // SAFETY: every address lies in the `target.len()` bytes from `source` on that the caller
        // promised.
        unsafe {
            for (i, byte) in start.iter_mut().enumerate() {
                *byte = AtomicU8::from_ptr(source.add(i)).load(Relaxed);
            }
            for (i, word) in middle.chunks_exact_mut(8).enumerate() {
                let value = AtomicU64::from_ptr(source.add(head + i * 8).cast()).load(Relaxed);
                word.copy_from_slice(&value.to_ne_bytes());
            }
            for (i, byte) in end.iter_mut().enumerate() {
                *byte = AtomicU8::from_ptr(source.add(head + words * 8 + i)).load(Relaxed);
            }
        }
    }

    pub(super) unsafe fn copy_in(target: *mut u8, source: &[u8]) {
        let (head, words) = split(target, source.len());
        let (start, rest) = source.split_at(head);
        let (middle, end) = rest.split_at(words * 8);
        // SAFETY: every address lies in the `source.len()` bytes from `target` on that the caller
        // promised.
        unsafe {
            for (i, byte) in start.iter().enumerate() {
                AtomicU8::from_ptr(target.add(i)).store(*byte, Relaxed);
            }
            for (i, word) in middle.chunks_exact(8).enumerate() {
                let value = u64::from_ne_bytes(word.try_into().expect("chunks of eight"));
                AtomicU64::from_ptr(target.add(head + i * 8).cast()).store(value, Relaxed);
            }
            for (i, byte) in end.iter().enumerate() {
                AtomicU8::from_ptr(target.add(head + words * 8 + i)).store(*byte, Relaxed);
            }
        }
    }

    pub(super) unsafe fn zero(target: *mut u8, len: usize) {
        const ZEROS: [u8; 512] = [0; 512];
        for done in (0..len).step_by(ZEROS.len()) {
            let part = &ZEROS[..ZEROS.len().min(len - done)];
            // SAFETY: the part lies in the caller's `len` bytes.
            unsafe { copy_in(target.add(done), part) }
        }
    }

    /// Bytes before the first aligned word, and how many words follow.
    fn split(device: *mut u8, len: usize) -> (usize, usize) {
        let head = device.align_offset(8).min(len);
        (head, (len - head) / 8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_routines_move_exactly_the_bytes_asked_for() {
        let bytes: Vec<u8> = (0..64).collect();
        for offset in 0..10 {
            for len in 0..40 {
                let mut device = [[0xee_u8; 64]; 2];
                let mut back = [vec![0; len], vec![0; len]];
                // SAFETY: offset + len is less than 64.
                unsafe {
                    with::copy_in(device[0].as_mut_ptr().add(offset), &bytes[..len]);
                    atomic::copy_in(device[1].as_mut_ptr().add(offset), &bytes[..len]);
                    with::copy_out(&mut back[0], device[0].as_ptr().add(offset));
                    atomic::copy_out(&mut back[1], device[1].as_ptr().add(offset));
                }
                let mut expected = [0xee_u8; 64];
                expected[offset..offset + len].copy_from_slice(&bytes[..len]);
                assert_eq!(device, [expected; 2]);
                assert_eq!(back, [&bytes[..len]; 2]);
                // SAFETY: as above.
                unsafe {
                    with::zero(device[0].as_mut_ptr().add(offset), len);
                    atomic::zero(device[1].as_mut_ptr().add(offset), len);
                }
                expected[offset..offset + len].fill(0);
                assert_eq!(device, [expected; 2]);
            }
        }
    }
}
