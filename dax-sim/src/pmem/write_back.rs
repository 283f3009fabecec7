//! Writes cache lines back to memory: by which instruction, and which lines.
//!
//! std has neither `clwb` nor `clflushopt`, so this module asks CPUID for them, and issues them as
//! inline assembly.
//!
//! # Invariants
//!
//! The unsafe code of this module relies on these:
//!
//! * **Supported**: a [`WriteBack`] that names an instruction was made by [`WriteBack::detect`] or
//!   [`WriteBack::supported`], which asked the CPU for it: an unknown instruction ends the program.
//! * **Lines**: each line of [`lines`] holds at least one byte of the range, and a line never spans
//!   two pages. So an instruction on a line touches no page that the range does not.

use std::fmt;
use std::ops::Range;

/// The size of a cache line, in bytes.
#[cfg(any(test, all(target_arch = "x86_64", not(miri))))]
const LINE: usize = 64;

/// How a CPU writes a cache line back to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WriteBack(Instruction);

/// In the order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Instruction {
    /// Leaves the line in the cache. Several may be under way at once.
    Clwb,
    /// Drops the line. Several may be under way at once.
    Clflushopt,
    /// Drops the line. Only one is under way at a time. Every x86-64 has it.
    Clflush,
    /// None is known: not x86-64, or Miri.
    #[cfg_attr(all(target_arch = "x86_64", not(miri)), allow(dead_code))]
    None,
}

impl WriteBack {
    /// The best that this CPU has: `clwb`, otherwise `clflushopt`, otherwise `clflush`.
    pub fn detect() -> WriteBack {
        WriteBack::supported()[0]
    }

    /// The instructions among `clwb`, `clflushopt` and `clflush` that this CPU has, the best first.
    /// If the program knows no instruction, the list has one item, `none`.
    pub fn supported() -> Vec<WriteBack> {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        let known = of_cpuid(leaf_7_ebx());
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let known = vec![Instruction::None];
        known.into_iter().map(WriteBack).collect()
    }

    /// Returns the name of the instruction, as tables and JSON have it. The name is `none` if the
    /// program knows no instruction.
    pub fn name(self) -> &'static str {
        match self.0 {
            Instruction::Clwb => "clwb",
            Instruction::Clflushopt => "clflushopt",
            Instruction::Clflush => "clflush",
            Instruction::None => "none",
        }
    }

    /// Writes the cache lines of `bytes` back, and then executes a store fence. The fence orders
    /// the write-backs before every later store of the thread. So when another thread sees a later
    /// store, the lines have been written back.
    ///
    /// If the program knows no instruction, the call executes only the fence.
    pub fn write_back(self, bytes: &[u8]) {
        // SAFETY: a slice is readable.
        unsafe { self.write_back_raw(bytes.as_ptr(), bytes.len()) }
    }

    /// The same for bytes to which there is no reference.
    ///
    /// # Safety
    ///
    /// `start` is readable for `len` bytes.
    pub(super) unsafe fn write_back_raw(self, start: *const u8, len: usize) {
        // One branch for the whole range.
        // SAFETY: *Supported*; *Lines*, and the caller's promise.
        unsafe {
            match self.0 {
                #[cfg(all(target_arch = "x86_64", not(miri)))]
                Instruction::Clwb => each_line(start, len, |line| {
                    std::arch::asm!("clwb [{}]", in(reg) line, options(nostack, preserves_flags));
                }),
                #[cfg(all(target_arch = "x86_64", not(miri)))]
                Instruction::Clflushopt => each_line(start, len, |line| {
                    std::arch::asm!("clflushopt [{}]", in(reg) line, options(nostack, preserves_flags));
                }),
                #[cfg(all(target_arch = "x86_64", not(miri)))]
                Instruction::Clflush => each_line(start, len, |line| {
                    std::arch::asm!("clflush [{}]", in(reg) line, options(nostack, preserves_flags));
                }),
                _ => {
                    let _ = (start, len);
                }
            }
        }
        // `clwb` and `clflushopt` wait only for a fence of their own thread.
        store_fence();
    }
}

impl fmt::Display for WriteBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Orders the write-backs and the stores past the caches before whatever follows.
pub(super) fn store_fence() {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: SSE is part of x86-64.
    unsafe {
        std::arch::x86_64::_mm_sfence();
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
}

/// What leaf 7 of CPUID has in EBX: 0 where there is no such leaf.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[allow(unused_unsafe, reason = "from Rust 1.94 on these are safe")]
fn leaf_7_ebx() -> u32 {
    use std::arch::x86_64::{__cpuid, __cpuid_count};
    // SAFETY: every x86-64 has the instruction, and leaf 7 was asked for.
    unsafe { if __cpuid(0).eax < 7 { 0 } else { __cpuid_count(7, 0).ebx } }
}

/// The instructions that these bits stand for, the best first.
#[cfg(any(test, all(target_arch = "x86_64", not(miri))))]
fn of_cpuid(ebx: u32) -> Vec<Instruction> {
    let mut found = vec![Instruction::Clflush];
    if ebx & 1 << 23 != 0 {
        found.insert(0, Instruction::Clflushopt);
    }
    if ebx & 1 << 24 != 0 {
        found.insert(0, Instruction::Clwb);
    }
    found
}

/// The addresses of the lines that hold a byte of the range.
#[cfg(any(test, all(target_arch = "x86_64", not(miri))))]
fn lines(bytes: Range<usize>) -> impl Iterator<Item = usize> {
    let first = bytes.start & !(LINE - 1);
    (first..bytes.end).step_by(LINE).filter(move |_| !bytes.is_empty())
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline(always)]
fn each_line(start: *const u8, len: usize, mut write_back: impl FnMut(*const u8)) {
    lines(start.addr()..start.addr() + len).for_each(|line| write_back(start.with_addr(line)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_instruction_comes_first_and_clflush_is_always_there() {
        use Instruction::{Clflush, Clflushopt, Clwb};
        assert_eq!(of_cpuid(0), [Clflush]);
        assert_eq!(of_cpuid(!(1 << 23 | 1 << 24)), [Clflush]);
        assert_eq!(of_cpuid(1 << 23), [Clflushopt, Clflush]);
        assert_eq!(of_cpuid(1 << 24), [Clwb, Clflush]);
        assert_eq!(of_cpuid(1 << 23 | 1 << 24), [Clwb, Clflushopt, Clflush]);
    }

    /// The kernel asks CPUID too.
    #[test]
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    fn what_is_detected_is_what_the_kernel_found() {
        let text = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let has = |name: &str| flags.split_whitespace().any(|flag| flag == name);
        let names: Vec<_> = WriteBack::supported().into_iter().map(WriteBack::name).collect();
        for name in ["clwb", "clflushopt", "clflush"] {
            assert_eq!(names.contains(&name), has(name), "{name}");
        }
        assert_eq!(WriteBack::detect().name(), names[0]);
    }

    #[test]
    fn every_line_that_has_a_byte_of_the_range_is_written_back_and_no_other() {
        for start in 0..2 * LINE {
            for len in 0..3 * LINE {
                let found: Vec<_> = lines(start..start + len).collect();
                let expected: Vec<_> = (0..6 * LINE)
                    .step_by(LINE)
                    .filter(|line| line + LINE > start && *line < start + len && len > 0)
                    .collect();
                assert_eq!(found, expected, "{len} bytes from {start}");
            }
        }
    }

    #[test]
    fn each_instruction_leaves_the_bytes_as_they_are() {
        let bytes: Vec<u8> = (0..4096).map(|i| (i % 251) as u8).collect();
        let copy = bytes.clone();
        for instruction in WriteBack::supported() {
            for (start, end) in [(0, 4096), (1, 4095), (63, 65), (5, 5), (4095, 4096)] {
                instruction.write_back(&bytes[start..end]);
            }
            assert!(bytes == copy, "{instruction}");
        }
    }
}
