//! The reference model: a list of requests in the order of their arrival, and the admission rule. Slow and obvious.

use range_lock::Mode;

/// One span of a request: in which lock, its first and last point, and the mode.
pub(crate) type Part = (usize, u64, u64, Mode);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    Waiting,
    /// Holds its parts as an upgradable reader and waits to be a writer. Counts as held for writing.
    Upgrading,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) id: usize,
    pub(crate) parts: Vec<Part>,
    pub(crate) state: State,
}

impl Request {
    fn conflicts(&self, other: &Request) -> bool {
        self.parts
            .iter()
            .any(|a| other.parts.iter().any(|b| a.0 == b.0 && a.1 <= b.2 && b.1 <= a.2 && a.3.conflicts(b.3)))
    }
}

/// All requests that are in, in the order of their arrival.
#[derive(Debug, Default)]
pub(crate) struct Model {
    pub(crate) requests: Vec<Request>,
    last_id: usize,
}

impl Model {
    /// A request arrives; returns its id. Whether it is granted is seen by its state after [`settle`](Self::settle).
    pub(crate) fn enter(&mut self, parts: Vec<Part>) -> usize {
        self.last_id += 1;
        self.requests.push(Request { id: self.last_id, parts, state: State::Waiting });
        self.settle();
        self.last_id
    }

    /// A request that leaves no trace unless it is granted at once.
    pub(crate) fn try_enter(&mut self, parts: Vec<Part>) -> Option<usize> {
        let id = self.enter(parts);
        if self.get(id).state == State::Held {
            return Some(id);
        }
        self.leave(id);
        None
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
        self.requests.insert(at, Request { id: self.last_id, parts: right, state: State::Held });
        self.last_id
    }

    /// A held upgradable reader asks to be a writer.
    pub(crate) fn upgrade(&mut self, id: usize) {
        let request = self.get_mut(id);
        request.parts.iter_mut().for_each(|part| part.3 = Mode::Write);
        request.state = State::Upgrading;
        self.settle();
    }

    /// The admission rule: a request is granted when it conflicts with nothing that is held and with nothing that waits and
    /// came before. An upgrade counts as held, and waits for what is held alone.
    fn settle(&mut self) {
        for at in 0..self.requests.len() {
            let request = &self.requests[at];
            let in_the_way = |(other_at, other): (usize, &Request)| {
                let before = other_at < at && request.state == State::Waiting;
                other_at != at && (other.state != State::Waiting || before) && request.conflicts(other)
            };
            let blocked = self.requests.iter().enumerate().any(in_the_way);
            if !blocked {
                self.requests[at].state = State::Held;
            }
        }
    }

    pub(crate) fn get(&self, id: usize) -> &Request {
        self.requests.iter().find(|request| request.id == id).unwrap()
    }

    fn get_mut(&mut self, id: usize) -> &mut Request {
        self.requests.iter_mut().find(|request| request.id == id).unwrap()
    }
}
