//! The reference model: a list of requests in the order of their arrival, and the admission rule.
//! Slow and obvious.

use range_lock::Mode;

/// One span of a request: in which lock, its first and last point, and the mode.
pub(crate) type Part = (usize, u64, u64, Mode);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Waiting,
    /// Holds its parts as an upgradable reader and waits to be a writer. Counts as held for
    /// writing.
    Upgrading,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: usize,
    pub(crate) parts: Vec<Part>,
    pub(crate) state: State,
    /// A future that has been polled sleeps.
    sleeps: bool,
    /// How many pairs of later requests may still pass this request while it sleeps.
    passes: usize,
    /// The range was granted or offered since the future was last polled.
    pub(crate) is_woken: bool,
}

impl Request {
    fn new(id: usize, parts: Vec<Part>, state: State, passes: usize) -> Self {
        Request { id, parts, state, sleeps: false, passes, is_woken: false }
    }

    fn conflicts(&self, other: &Request) -> bool {
        self.pairs(other) != 0
    }

    fn pairs(&self, other: &Request) -> usize {
        let conflict = |a: &Part, b: &Part| a.0 == b.0 && a.1 <= b.2 && b.1 <= a.2 && a.3.conflicts(b.3);
        self.parts.iter().map(|a| other.parts.iter().filter(|b| conflict(a, b)).count()).sum()
    }
}

/// A wait until a range is free, which is no request.
#[derive(Clone, Debug)]
struct Watch {
    id: usize,
    part: Part,
    /// The requests that were in the way when it began, and have been ever since.
    awaited: Vec<usize>,
}

/// All requests that are in, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) requests: Vec<Request>,
    watches: Vec<Watch>,
    /// How many may pass a sleeper, for each lock.
    bypass: [usize; 2],
    last_id: usize,
}

impl Model {
    pub(crate) fn with_bypass(bypass: [usize; 2]) -> Self {
        Model { bypass, ..Model::default() }
    }

    /// A request arrives; returns its id. Its state says whether it is granted. If it is not, it
    /// sleeps.
    pub(crate) fn enter(&mut self, parts: Vec<Part>) -> usize {
        self.arrive(parts, true)
    }

    /// A request that passes no other, and leaves no trace unless it is granted at once.
    pub(crate) fn try_enter(&mut self, parts: Vec<Part>) -> Option<usize> {
        let id = self.arrive(parts, false);
        self.keep_if_held(id)
    }

    /// A request that gives up unless it is granted at once.
    pub(crate) fn enter_and_time_out(&mut self, parts: Vec<Part>) -> Option<usize> {
        let id = self.enter(parts);
        self.keep_if_held(id)
    }

    fn keep_if_held(&mut self, id: usize) -> Option<usize> {
        if self.get(id).state == State::Held {
            return Some(id);
        }
        self.leave(id);
        None
    }

    fn arrive(&mut self, parts: Vec<Part>, may_pass: bool) -> usize {
        self.last_id += 1;
        let passes = parts.iter().map(|part| self.bypass[part.0]).min().unwrap_or(0);
        let mut request = Request::new(self.last_id, parts, State::Waiting, passes);
        if may_pass && passes != 0 && self.pass(&request) {
            request.state = State::Held;
        }
        self.requests.push(request);
        self.settle();
        self.get_mut(self.last_id).sleeps = true;
        self.last_id
    }

    /// If each request in the way sleeps and may still be passed by all pairs of the new one, all
    /// are passed.
    fn pass(&mut self, new: &Request) -> bool {
        let may_be_passed = |r: &Request| r.state == State::Waiting && r.sleeps && r.passes >= r.pairs(new);
        let passed = self.requests.iter().all(|r| !r.conflicts(new) || may_be_passed(r));
        if passed {
            self.requests.iter_mut().for_each(|r| r.passes -= r.pairs(new));
        }
        passed
    }

    /// The future is polled; says whether that gives it its range.
    pub(crate) fn poll(&mut self, id: usize) -> bool {
        let at = self.requests.iter().position(|request| request.id == id).unwrap();
        // One that has its range keeps it, though an upgrade that conflicts waits by now.
        let is_blocked = self.requests[at].state != State::Held && self.is_blocked(at);
        let request = &mut self.requests[at];
        request.is_woken = false;
        if !is_blocked {
            request.state = State::Held;
        }
        !is_blocked
    }

    /// Held or waiting, it is gone.
    pub(crate) fn leave(&mut self, id: usize) {
        self.requests.retain(|request| request.id != id);
        self.settle();
    }

    /// A held request has other parts from now on.
    pub(crate) fn change(&mut self, id: usize, parts: Vec<Part>) {
        self.get_mut(id).parts = parts;
        self.settle();
    }

    /// A second request that holds what it is given, at the place of one that held it before.
    pub(crate) fn split(&mut self, id: usize, left: Vec<Part>, right: Vec<Part>) -> usize {
        self.last_id += 1;
        let at = self.requests.iter().position(|request| request.id == id).unwrap();
        self.requests[at].parts = left;
        self.requests.insert(at, Request::new(self.last_id, right, State::Held, 0));
        for watch in self.watches.iter_mut().filter(|watch| watch.awaited.contains(&id)) {
            watch.awaited.push(self.last_id);
        }
        self.settle();
        self.last_id
    }

    /// Somebody begins to wait until a range is free.
    pub(crate) fn watch(&mut self, part: Part) -> usize {
        self.last_id += 1;
        let awaited = self.requests.iter().map(|request| request.id).collect();
        self.watches.push(Watch { id: self.last_id, part, awaited });
        self.settle();
        self.last_id
    }

    /// Whether all that was in the way when the watch began has left.
    pub(crate) fn is_over(&self, watch: usize) -> bool {
        self.watches.iter().any(|other| other.id == watch && other.awaited.is_empty())
    }

    /// A held upgradable reader asks to be a writer.
    pub(crate) fn upgrade(&mut self, id: usize) {
        let request = self.get_mut(id);
        request.parts.iter_mut().for_each(|part| part.3 = Mode::Write);
        request.state = State::Upgrading;
        request.is_woken = false;
        self.settle();
    }

    /// The admission rule: a request is granted when it conflicts with nothing that is held and
    /// with nothing that waits and came before. An upgrade counts as held, and waits for what is
    /// held alone. A sleeper that may still be passed is only woken, and granted when it is polled,
    /// if it is not blocked then.
    fn settle(&mut self) {
        for at in 0..self.requests.len() {
            if self.requests[at].state == State::Held || self.is_blocked(at) {
                continue;
            }
            let request = &mut self.requests[at];
            request.is_woken = true;
            if request.state == State::Upgrading || !request.sleeps || request.passes == 0 {
                request.state = State::Held;
            }
        }
        for watch in &mut self.watches {
            let range = Request::new(0, vec![watch.part], State::Waiting, 0);
            let in_the_way =
                |request: &Request| watch.awaited.contains(&request.id) && request.conflicts(&range);
            watch.awaited = self.requests.iter().filter(|r| in_the_way(r)).map(|r| r.id).collect();
        }
    }

    fn is_blocked(&self, at: usize) -> bool {
        let request = &self.requests[at];
        let in_the_way = |(other_at, other): (usize, &Request)| {
            let before = other_at < at && request.state == State::Waiting;
            other_at != at && (other.state != State::Waiting || before) && request.conflicts(other)
        };
        self.requests.iter().enumerate().any(in_the_way)
    }

    pub(crate) fn get(&self, id: usize) -> &Request {
        self.requests.iter().find(|request| request.id == id).unwrap()
    }

    fn get_mut(&mut self, id: usize) -> &mut Request {
        self.requests.iter_mut().find(|request| request.id == id).unwrap()
    }
}
