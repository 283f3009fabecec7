//! Lower thresholds for the models of loom and shuttle, and a count of the restructurings. The
//! models are too short for the thresholds of [`contention`](super::contention). Outside of models
//! every function here returns its argument or does nothing. One exception: the simulated machine
//! of `benches/smp` counts restructurings.

pub(crate) use imp::*;

/// How a lock restructures its leaves by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Restructuring {
    /// A leaf was cut where its users met.
    Cut,
    /// A request joined quiet leaves that it crosses.
    Join,
    /// Quiet leaves were joined because another leaf is to be cut.
    Reclaim,
}

#[cfg(not(any(loom, shuttle)))]
mod imp {
    use super::Restructuring;

    #[inline]
    pub(crate) fn meetings(threshold: u32) -> u32 {
        threshold
    }

    #[inline]
    pub(crate) fn crossings(threshold: u16) -> u16 {
        threshold
    }

    #[cfg(not(range_lock_smp))]
    #[inline]
    pub(crate) fn note(_: Restructuring) {}

    #[cfg(range_lock_smp)]
    pub(crate) fn note(what: Restructuring) {
        unsafe extern "C" {
            /// Counts it in the report of the simulated machine of `benches/smp`.
            safe fn range_lock_smp_note(what: u32);
        }
        range_lock_smp_note(what as u32);
    }
}

#[cfg(any(loom, shuttle))]
mod imp {
    use std::cell::Cell;

    use super::Restructuring;

    // All threads of a model are one thread of the system.
    thread_local! {
        static MEETINGS: Cell<Option<u32>> = const { Cell::new(None) };
        static CROSSINGS: Cell<Option<u16>> = const { Cell::new(None) };
        static DONE: Cell<[usize; 3]> = const { Cell::new([0; 3]) };
    }

    pub(crate) fn meetings(threshold: u32) -> u32 {
        MEETINGS.get().unwrap_or(threshold)
    }

    pub(crate) fn crossings(threshold: u16) -> u16 {
        CROSSINGS.get().unwrap_or(threshold)
    }

    pub(crate) fn note(what: Restructuring) {
        let mut done = DONE.get();
        done[what as usize] += 1;
        DONE.set(done);
    }

    /// Calls `f` with these thresholds in place of those that are not `None`. Returns how often `f`
    /// restructured, in the order of [`Restructuring`].
    pub(crate) fn with_thresholds(
        meetings: Option<u32>,
        crossings: Option<u16>,
        f: impl FnOnce(),
    ) -> [usize; 3] {
        /// Also where `f` unwinds: the next test may run on this thread.
        struct Reset;
        impl Drop for Reset {
            fn drop(&mut self) {
                MEETINGS.set(None);
                CROSSINGS.set(None);
            }
        }

        let reset = Reset;
        MEETINGS.set(meetings);
        CROSSINGS.set(crossings);
        DONE.set([0; 3]);
        f();
        drop(reset);
        DONE.get()
    }
}
