//! W9: the size of each rival in bytes.

use std::hint::black_box;

use crate::rival::{Rival, User, page};
use crate::sample::Footprint;

/// The size of `R`: by its types, and by what the allocator has given out. Nothing else may run
/// meanwhile.
pub fn footprint<R: Rival>() -> Footprint {
    const RANGES: u64 = 20_000;
    let before = in_use();
    let lock = black_box(R::new());
    let idle = in_use();
    let per_range = (R::MOST_HELD >= RANGES as usize).then(|| {
        let user = lock.user();
        let mut guards = Vec::with_capacity(RANGES as usize);
        let before = in_use()?;
        guards.extend((0..RANGES).map(|at| user.write(page(2 * at))));
        Some(in_use()?.saturating_sub(before) as f64 / RANGES as f64)
    });
    let (read, write) = R::guard_bytes();
    Footprint {
        rival: R::NAME.to_owned(),
        lock: size_of::<R>(),
        heap: before.zip(idle).map(|(before, idle)| idle.saturating_sub(before)),
        guards: [read, write],
        per_range: per_range.flatten(),
    }
}

/// How many bytes the allocator has given out, including its headers, as far as it reports them.
#[cfg(target_env = "gnu")]
fn in_use() -> Option<usize> {
    // SAFETY: asks for nothing, and returns plain data.
    let info = unsafe { libc::mallinfo2() };
    Some(info.uordblks + info.hblkhd)
}

/// Only glibc reports it.
#[cfg(not(target_env = "gnu"))]
fn in_use() -> Option<usize> {
    None
}
