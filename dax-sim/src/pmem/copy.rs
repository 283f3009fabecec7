//! Copies bytes to and from the device: no other code touches them.
//!
//! User threads store to pages that others read, so a plain Rust copy would be a data race, and
//! with it undefined behaviour. On x86-64 the copy is inline assembly, which the language's memory
//! model does not look into. There the hardware's model holds, as for the kernel's own copy
//! routines. Elsewhere, under Miri, and with `--cfg dax_sim_atomic_copy`, the copy uses relaxed
//! atomics: words where the device's side is aligned, bytes at the ends. That option is for
//! ThreadSanitizer, which cannot see into assembly and would report what is ordered around it.
//!
//! In both forms a copy that starts at an aligned word of the device moves whole words. A load of a
//! word, beside a copy over it, sees the word before or after the copy, never half of each. The
//! string instructions move 4 KiB in less than half the time of the atomic words.

use std::sync::atomic::{AtomicU64, Ordering};

use super::write_back::WriteBack;
#[cfg(not(any(miri, dax_sim_atomic_copy, not(target_arch = "x86_64"))))]
use super::write_back::store_fence;

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
    #[cfg(range_lock_smp)]
    if unsafe { super::simulated::copy(target.as_mut_ptr(), source, target.len()) } {
        return;
    }
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
    #[cfg(range_lock_smp)]
    if unsafe { super::simulated::copy(target, source.as_ptr(), source.len()) } {
        return;
    }
    // SAFETY: the caller's promise, handed on.
    unsafe { with::copy_in(target, source) }
}

/// Copies to the device past the CPU's caches, as Linux' `memcpy_flushcache` does: nothing is left
/// to be written back when it returns. Words that are aligned on the device are stored by `movnti`.
/// The bytes before and behind them go through the caches and are written back. A store fence ends
/// the copy.
///
/// Where there is no such instruction it copies and writes back.
///
/// # Safety
///
/// As that of [`copy_in`].
pub(super) unsafe fn copy_in_past_caches(target: *mut u8, source: &[u8], write_back: WriteBack) {
    // SAFETY: the caller's promise, handed on; it holds for each part.
    unsafe {
        #[cfg(not(any(miri, dax_sim_atomic_copy, not(target_arch = "x86_64"))))]
        {
            let head = target.align_offset(8).min(source.len());
            let words = (source.len() - head) / 8;
            let end = head + words * 8;
            for part in [0..head, end..source.len()].into_iter().filter(|part| !part.is_empty()) {
                let start = target.add(part.start);
                with::copy_in(start, &source[part.clone()]);
                write_back.write_back_raw(start, part.len());
            }
            with::copy_words_past_caches(target.add(head), source.as_ptr().add(head), words);
            store_fence();
        }
        #[cfg(any(miri, dax_sim_atomic_copy, not(target_arch = "x86_64")))]
        {
            with::copy_in(target, source);
            write_back.write_back_raw(target, source.len());
        }
    }
}

/// Writes zeros to the device.
///
/// # Safety
///
/// `target` is writable for `len` bytes, and touched by nothing but this module while this runs.
pub(super) unsafe fn zero(target: *mut u8, len: usize) {
    // SAFETY: the caller's promise, handed on.
    #[cfg(range_lock_smp)]
    if unsafe { super::simulated::zero(target, len) } {
        return;
    }
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

/// x86-64's own block copies. The direction flag is clear on entry, as the ABI and the `asm!`
/// contract guarantee.
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

    /// Stores words past the caches. `target` is aligned.
    pub(super) unsafe fn copy_words_past_caches(target: *mut u8, source: *const u8, words: usize) {
        let (fours, rest) = (words / 4, words % 4);
        // SAFETY: the instructions read 32 * fours + 8 * rest bytes from `source` on and store them
        // to `target`, which is `words` words; the caller promises both.
        unsafe {
            asm!(
                "test {fours}, {fours}",
                "jz 3f",
                // Four words a turn, as in Linux.
                "2:",
                "mov {a}, [{source}]",
                "mov {b}, [{source} + 8]",
                "mov {c}, [{source} + 16]",
                "mov {d}, [{source} + 24]",
                "movnti [{target}], {a}",
                "movnti [{target} + 8], {b}",
                "movnti [{target} + 16], {c}",
                "movnti [{target} + 24], {d}",
                "add {source}, 32",
                "add {target}, 32",
                "sub {fours}, 1",
                "jnz 2b",
                "3:",
                "test {rest}, {rest}",
                "jz 5f",
                "4:",
                "mov {a}, [{source}]",
                "movnti [{target}], {a}",
                "add {source}, 8",
                "add {target}, 8",
                "sub {rest}, 1",
                "jnz 4b",
                "5:",
                source = inout(reg) source => _,
                target = inout(reg) target => _,
                fours = inout(reg) fours => _,
                rest = inout(reg) rest => _,
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                options(nostack)
            );
        }
    }

    /// Copies words as long as the device's side is aligned, then bytes.
    unsafe fn copy(target: *mut u8, source: *const u8, len: usize, device: *const u8) {
        let words = if device.addr().is_multiple_of(8) { len / 8 } else { 0 };
        // SAFETY: the instructions read 8 * words + (len - 8 * words) bytes from `source` on and
        // write them to `target`; the caller promises both.
        unsafe {
            asm!(
                "rep movsq",
                "mov rcx, {rest}",
                // Even a move of nothing takes as long as a tenth of a page.
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

/// Relaxed atomics. Also compiled for the tests, which compare both forms.
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

    /// How many bytes come before the first aligned word, and how many words follow.
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

    #[test]
    fn a_copy_past_the_caches_moves_exactly_the_bytes_asked_for() {
        let bytes: Vec<u8> = (0..=255).collect();
        for write_back in WriteBack::supported() {
            for offset in 0..10 {
                for len in 0..200 {
                    let mut device = [0xee_u8; 256];
                    let from = &bytes[offset % 3..][..len];
                    // SAFETY: offset + len is less than 256.
                    unsafe { copy_in_past_caches(device.as_mut_ptr().add(offset), from, write_back) };
                    let mut expected = [0xee_u8; 256];
                    expected[offset..offset + len].copy_from_slice(from);
                    assert_eq!(device, expected, "{len} bytes at {offset}");
                }
            }
        }
    }

    /// Prints the cost of copies that leave nothing in the caches. It times one copy of 4 KiB, in
    /// turns within each round, as a multiple of a copy by `movnti`. Measure with
    /// `cargo test --release -p dax-sim --lib copies_of_a_page -- --ignored --nocapture`.
    #[test]
    #[ignore = "measures, and asserts nothing"]
    fn copies_of_a_page() {
        use crate::compare::stats::{Ratio, median};
        use crate::pmem::{BLOCK_SIZE, Device, DeviceOptions};

        const PAGES: u64 = 16_384;
        let size = PAGES * BLOCK_SIZE;
        let device = Device::open(&DeviceOptions { path: None, size, overwrite: false }).unwrap();
        let bytes = vec![7; BLOCK_SIZE as usize];
        let thread_time = || {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: `time` has room for the answer.
            unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
            time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
        };
        let copies = |way: Option<Option<WriteBack>>| {
            let begin = thread_time();
            for page in 0..PAGES {
                // Scattered, so that the neighbour of a page is not prefetched.
                let target = device.span(page * 7919 % PAGES * BLOCK_SIZE, bytes.len());
                // SAFETY: *Mapped* and *In bounds*.
                unsafe {
                    match way {
                        None => copy_in_past_caches(target, &bytes, WriteBack::detect()),
                        Some(None) => copy_in(target, &bytes),
                        Some(Some(write_back)) => {
                            copy_in(target, &bytes);
                            write_back.write_back_raw(target, bytes.len());
                        }
                    }
                }
            }
            (thread_time() - begin) / PAGES as f64 * 1e9
        };
        let ways: Vec<_> = [None, Some(None)]
            .into_iter()
            .chain(WriteBack::supported().into_iter().map(|w| Some(Some(w))))
            .collect();
        let mut times = vec![Vec::new(); ways.len()];
        for round in 0..21 {
            for turn in 0..ways.len() {
                let way = (round + turn) % ways.len();
                times[way].push(copies(ways[way]));
            }
        }
        for (way, times_of) in ways.iter().zip(&times) {
            let name = match way {
                None => "movnti, sfence".to_owned(),
                Some(None) => "rep movsq, nothing written back".to_owned(),
                Some(Some(write_back)) => format!("rep movsq, {write_back}, sfence"),
            };
            let Ratio { median: ratio, low, high, .. } = Ratio::of(times_of, &times[0]).unwrap();
            let ns = median(times_of).unwrap();
            println!("{name:32} {ns:6.0} ns, {ratio:.2} ({low:.2} to {high:.2})");
        }
    }
}
