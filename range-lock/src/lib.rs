//! Stand-in with the final names: replaced by the real lock.
#![allow(missing_debug_implementations, missing_docs)]
use std::ops::{Bound, RangeBounds};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

pub struct RangeLock { held: Mutex<Vec<(u64, u64, bool)>>, freed: Condvar }
impl Default for RangeLock { fn default() -> Self { Self::new() } }
pub struct RangeReadGuard<'a>(&'a RangeLock, u64, u64);
pub struct RangeWriteGuard<'a>(&'a RangeLock, u64, u64);
fn span(r: impl RangeBounds<u64>) -> (u64, u64) {
    let a = match r.start_bound() { Bound::Included(a) => *a, Bound::Excluded(a) => a + 1, Bound::Unbounded => 0 };
    let b = match r.end_bound() { Bound::Included(b) => *b, Bound::Excluded(b) => b - 1, Bound::Unbounded => u64::MAX };
    (a, b)
}
impl RangeLock {
    pub const fn new() -> Self { Self { held: Mutex::new(Vec::new()), freed: Condvar::new() } }
    fn take(&self, (a, b): (u64, u64), w: bool, block: bool) -> bool {
        let mut held = self.held.lock().unwrap();
        while held.iter().any(|&(c, d, v)| a <= d && c <= b && (w || v)) {
            if !block { return false; }
            held = self.freed.wait(held).unwrap();
        }
        held.push((a, b, w));
        true
    }
    fn free(&self, x: (u64, u64, bool)) {
        let mut held = self.held.lock().unwrap();
        let i = held.iter().position(|y| *y == x).unwrap();
        held.swap_remove(i);
        self.freed.notify_all();
    }
    pub fn read(&self, r: impl RangeBounds<u64>) -> RangeReadGuard<'_> { let s = span(r); self.take(s, false, true); RangeReadGuard(self, s.0, s.1) }
    pub fn write(&self, r: impl RangeBounds<u64>) -> RangeWriteGuard<'_> { let s = span(r); self.take(s, true, true); RangeWriteGuard(self, s.0, s.1) }
    pub fn try_read(&self, r: impl RangeBounds<u64>) -> Option<RangeReadGuard<'_>> { let s = span(r); self.take(s, false, false).then(|| RangeReadGuard(self, s.0, s.1)) }
    pub fn try_write(&self, r: impl RangeBounds<u64>) -> Option<RangeWriteGuard<'_>> { let s = span(r); self.take(s, true, false).then(|| RangeWriteGuard(self, s.0, s.1)) }
    pub fn try_write_for(&self, r: impl RangeBounds<u64>, _t: Duration) -> Option<RangeWriteGuard<'_>> { self.try_write(r) }
}
impl<'a> RangeWriteGuard<'a> { pub fn downgrade(g: Self) -> RangeReadGuard<'a> { let (l, a, b) = (g.0, g.1, g.2); std::mem::forget(g); { let mut h = l.held.lock().unwrap(); let i = h.iter().position(|y| *y == (a, b, true)).unwrap(); h[i].2 = false; l.freed.notify_all(); } RangeReadGuard(l, a, b) } }
impl Drop for RangeReadGuard<'_> { fn drop(&mut self) { self.0.free((self.1, self.2, false)) } }
impl Drop for RangeWriteGuard<'_> { fn drop(&mut self) { self.0.free((self.1, self.2, true)) } }
