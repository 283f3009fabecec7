//! Runs every race of a small scenario, one schedule after another. It uses `check` and the modules
//! below.
//!
//! A file system whose [`Schedule`](crate::schedule::Schedule) is driven gives way at every point
//! where another thread matters. Here its threads are simulated (`engine`). The explorer chooses
//! one schedule after another (`chooser`): all with a few preemptions, and many at random. A
//! [`Scenario`] is a few operations of two or three threads. The checkers ([`check`](crate::check))
//! judge its every order, in every variant.
//!
//! ```
//! use dax_sim::explore::{Effort, explore, scenario};
//! use dax_sim::variant::Variant;
//!
//! let race = scenario("write-vs-read-fault").unwrap();
//! let cell = explore(race, Variant::Linux411, Effort::QUICK)?;
//! assert!(cell.shortest.is_some_and(|failure| failure.to_string().contains("load")));
//! assert!(explore(race, Variant::Linux412, Effort::QUICK)?.broken.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(test)]
mod audit;
mod cell;
mod chooser;
mod engine;
mod form;
mod registers;
mod scenario;
mod scenarios;
mod seed;
mod timeline;
mod world;

pub use cell::{Cell, Effort, Expected, Failure, Tally, explore, explore_with_fault};
pub use form::{FormError, LONGEST_SCENARIO, parse};
pub use scenario::Scenario;
pub use scenarios::SCENARIOS;
pub use seed::Seed;
pub use timeline::{Mark, Timeline};

/// The scenario of this name.
///
/// # Errors
///
/// If no built-in scenario has this name. The error is one line, which names all built-in
/// scenarios.
pub fn scenario(name: &str) -> Result<&'static Scenario, String> {
    SCENARIOS.iter().find(|scenario| scenario.name == name).ok_or_else(|| {
        let known: Vec<&str> = SCENARIOS.iter().map(|scenario| scenario.name.as_str()).collect();
        crate::text::unknown("scenario", name, &known)
    })
}

/// The letter that names a simulated thread.
fn letter(thread: usize) -> char {
    char::from(b'A' + thread as u8)
}
