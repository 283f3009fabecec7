//! The doors to the simulated machine (`benches/smp`), which builds this crate with `--cfg
//! range_lock_smp`. Its instrumentation does not look into assembly, so the machine makes the
//! copies itself. It touches their lines, lets the time pass that they take, and moves the bytes.
//! Each door returns `false` where nothing is simulated, and has then done nothing.

unsafe extern "C" {
    safe fn range_lock_smp_medium(start: usize, bytes: usize);
    fn range_lock_smp_copy(to: *mut u8, from: *const u8, bytes: usize) -> bool;
    fn range_lock_smp_zero(to: *mut u8, bytes: usize) -> bool;
    fn range_lock_smp_write_back(start: *const u8, bytes: usize) -> bool;
    safe fn range_lock_smp_store_fence() -> bool;
}

/// Declares that what lies at these addresses is the medium of later runs.
pub(super) fn is_medium(start: usize, bytes: usize) {
    range_lock_smp_medium(start, bytes);
}

/// Copies.
///
/// # Safety
///
/// As `copy::copy_in` and `copy::copy_out`.
#[inline]
pub(super) unsafe fn copy(to: *mut u8, from: *const u8, bytes: usize) -> bool {
    // SAFETY: the caller's promise, handed on.
    unsafe { range_lock_smp_copy(to, from, bytes) }
}

/// Writes zeros.
///
/// # Safety
///
/// As `copy::zero`.
#[inline]
pub(super) unsafe fn zero(to: *mut u8, bytes: usize) -> bool {
    // SAFETY: the caller's promise, handed on.
    unsafe { range_lock_smp_zero(to, bytes) }
}

/// Writes lines back to the medium.
///
/// # Safety
///
/// The bytes are of the device.
#[inline]
pub(super) unsafe fn write_back(start: *const u8, bytes: usize) -> bool {
    // SAFETY: the caller's promise, handed on.
    unsafe { range_lock_smp_write_back(start, bytes) }
}

/// Waits for what was written back.
#[inline]
pub(super) fn store_fence() -> bool {
    range_lock_smp_store_fence()
}
