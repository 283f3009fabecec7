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
    /// Shared with all requests except writers.
    Read,
    /// Shared with readers. At most one request holds a point in this mode at a time. So an upgrade
    /// never meets another upgradable reader.
    Upgradable,
    /// Shared with no other request.
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
