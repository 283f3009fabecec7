//! How faults and I/O are serialised: one value for each answer to the mail.

use std::fmt;
use std::str::FromStr;

/// One answer to "faults race with block allocation".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variant {
    Linux411,
    Linux412,
    Rwsem,
    RangeLock,
    Unserialised,
}

impl Variant {
    /// All of them, in the order in which tables list them.
    pub const ALL: [Variant; 5] =
        [Variant::Linux411, Variant::Linux412, Variant::Rwsem, Variant::RangeLock, Variant::Unserialised];

    /// The name on the command line, in tables and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Linux411 => "linux-4.11",
            Variant::Linux412 => "linux-4.12",
            Variant::Rwsem => "rwsem",
            Variant::RangeLock => "range-lock",
            Variant::Unserialised => "unserialised",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Variant {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        Variant::ALL.into_iter().find(|v| v.name() == name).ok_or_else(|| {
            format!("unknown variant `{name}`; known ones: {}", Variant::ALL.map(Variant::name).join(", "))
        })
    }
}
