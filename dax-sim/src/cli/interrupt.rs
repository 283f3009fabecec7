//! Ctrl-C: the first one ends the run after the sample that is under way, so that the device's file
//! is put back as it was found. The second one ends the program at once.
//!
//! A signal that the program inherits as ignored stays ignored. `nohup` ignores SIGHUP in this way.
//! A shell without job control ignores the SIGINT of a command that it starts with `&`.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

use super::signal;

/// Whether a signal has asked the program to end.
#[derive(Debug)]
pub(super) struct Interrupt(Arc<AtomicUsize>);

impl Interrupt {
    /// Records SIGINT, SIGTERM and SIGHUP from now on.
    pub(super) fn watch() -> io::Result<Interrupt> {
        let asked = Arc::new(AtomicBool::new(false));
        let by = Arc::new(AtomicUsize::new(0));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            if signal::is_ignored(number)? {
                continue;
            }
            // In this order: the second signal finds the flag set, and takes its default action.
            flag::register_conditional_default(number, Arc::clone(&asked))?;
            flag::register_usize(number, Arc::clone(&by), number as usize)?;
            flag::register(number, Arc::clone(&asked))?;
        }
        Ok(Interrupt(by))
    }

    /// The number of the signal that has come.
    pub(super) fn signal(&self) -> Option<u8> {
        u8::try_from(self.0.load(Ordering::Relaxed)).ok().filter(|&number| number != 0)
    }
}
