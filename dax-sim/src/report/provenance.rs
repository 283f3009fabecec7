//! Records when, by which program and by which command a report was made.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::text::for_a_shell;

/// The version with the commit that it was built from: `0.1.0 (0123456789ab)`.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("DAX_SIM_COMMIT"), ")");

/// Where a report comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// When the run began, in UTC: `2026-01-31 12:34:56 UTC`.
    pub(crate) date: String,
    pub(crate) version: &'static str,
    /// `unknown` if the program was not built from a repository. `-dirty` at its end if files were
    /// changed.
    pub(crate) commit: &'static str,
    pub(crate) command: String,
}

impl Provenance {
    /// The provenance of a report that this process makes now.
    pub(crate) fn now() -> Provenance {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let arguments = env::args_os().skip(1).map(|argument| for_a_shell(&argument.to_string_lossy()));
        Provenance {
            date: date(since),
            version: env!("CARGO_PKG_VERSION"),
            commit: env!("DAX_SIM_COMMIT"),
            command: std::iter::once("dax-sim".to_owned()).chain(arguments).collect::<Vec<_>>().join(" "),
        }
    }
}

/// The date at this time after 1 January 1970.
fn date(since: Duration) -> String {
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    // Years that begin in March end with the leap day; 400 of them have 146,097 days
    // (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year + month / 10, (month + 2) % 12 + 1);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01 00:00:00 UTC"),
            (951_782_399, "2000-02-28 23:59:59 UTC"),
            (951_782_400, "2000-02-29 00:00:00 UTC"),
            (951_868_800, "2000-03-01 00:00:00 UTC"),
            (1_735_689_599, "2024-12-31 23:59:59 UTC"),
            (1_795_903_200, "2026-11-28 22:00:00 UTC"),
        ] {
            assert_eq!(date(Duration::from_secs(seconds)), expected, "{seconds}");
        }
    }
}
