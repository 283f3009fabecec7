//! Bytes of a file, locked among threads and processes.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(any(loom, shuttle))))]

mod model;
mod network;
mod processes;
mod readme;
mod seen;
mod stress;
mod verbs;
