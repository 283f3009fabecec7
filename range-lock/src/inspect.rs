//! Looking in: what [`RangeLock::requests`](crate::RangeLock::requests) lists.

use std::fmt;
use std::ops::RangeInclusive;

use crate::leaf::Entry;
use crate::request::Mode;
use crate::span::Span;

/// One request as it stood when [`RangeLock::requests`](crate::RangeLock::requests) looked.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestInfo {
    range: RangeInclusive<u64>,
    mode: Mode,
    state: RequestState,
}

/// Whether a request has its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestState {
    /// It holds its range in its mode.
    Held,
    /// It waits for its range.
    Waiting,
    /// It holds its range in mode [`Upgradable`](Mode::Upgradable) and waits for [`Write`](Mode::Write).
    Upgrading,
}

impl RequestInfo {
    pub(crate) fn new(span: Span, entry: &Entry) -> Self {
        let state = match (entry.waits(), entry.is_held()) {
            (false, _) => RequestState::Held,
            (true, true) => RequestState::Upgrading,
            (true, false) => RequestState::Waiting,
        };
        RequestInfo { range: span.into(), mode: entry.mode, state }
    }

    /// The range asked for.
    pub fn range(&self) -> RangeInclusive<u64> {
        self.range.clone()
    }

    /// The mode asked for.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether it has what it asked for.
    pub fn state(&self) -> RequestState {
        self.state
    }
}

impl fmt::Display for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Read => "read",
            Mode::Upgradable => "upgradable read",
            Mode::Write => "write",
        };
        let state = match self.state {
            RequestState::Held => "held",
            RequestState::Waiting => "waiting",
            RequestState::Upgrading => "upgrading",
        };
        write!(f, "{mode} {:?} {state}", self.range)
    }
}

impl fmt::Debug for RequestInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
