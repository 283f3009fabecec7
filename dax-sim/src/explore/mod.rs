//! Threads whose order is chosen: every race of a small scenario, one schedule after another.
//!
//! A file system whose [`Schedule`](crate::schedule::Schedule) is driven gives way at every point where another
//! thread matters. Here schedules are run (`engine`) as somebody chooses (`chooser`).

mod chooser;
mod engine;

/// What a simulated thread is called.
fn letter(thread: usize) -> char {
    char::from(b'A' + thread as u8)
}
