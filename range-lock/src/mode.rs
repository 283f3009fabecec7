//! [`Mode`]: how a request means to use its range.
//! It uses nothing of this crate.

/// How a request uses its range.
///
/// Two requests *conflict* when their ranges overlap and their modes are not compatible:
///
/// | | `Read` | `Upgradable` | `Write` |
/// |---|---|---|---|
/// | `Read` | compatible | compatible | conflict |
/// | `Upgradable` | compatible | conflict | conflict |
/// | `Write` | conflict | conflict | conflict |
///
/// The modes are ordered from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// A request in this mode shares its range with all requests except writers.
    Read,
    /// A request in this mode shares its range with plain readers. At most one request at a time
    /// holds a point in this mode. So an upgrade never waits for another upgradable reader.
    Upgradable,
    /// A request in this mode shares its range with no other request.
    Write,
}

impl Mode {
    /// Returns whether two requests in these modes conflict if their ranges overlap.
    ///
    /// ```
    /// use range_lock::Mode;
    ///
    /// assert!(!Mode::Read.conflicts(Mode::Upgradable));
    /// assert!(Mode::Read.conflicts(Mode::Write));
    /// assert!(Mode::Read < Mode::Upgradable && Mode::Upgradable < Mode::Write);
    /// ```
    #[inline]
    pub const fn conflicts(self, other: Mode) -> bool {
        // Two upgradable ones (1 + 1) conflict as a reader and a writer (0 + 2) do.
        self as u8 + other as u8 >= 2
    }
}
