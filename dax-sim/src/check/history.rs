//! Coherence, word by word.
//!
//! "Completely coherent with mmap(2)" is what the mail asks of read(2) and write(2): each 8-byte word of a file
//! behaves as one register, whichever way it is read or written. So the history of a word is held against that:
//! there must be one order of all its reads and writes in which each read sees the write before it, and in which
//! whatever ended before something else began comes first (linearizability). Then what a returned write made
//! visible is not un-seen, and what one read has seen a later one does not lose.
//!
//! Judged exactly, by the search of Wing and Gong (1993): histories of explored schedules are short.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::{Finding, Invariant};

/// A word of one of the files of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Word {
    pub(crate) file: usize,
    /// In bytes.
    pub(crate) offset: u64,
}

/// What an operation did to a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It saw this.
    Read(u64),
    /// It saw to it that a crash would leave this.
    Left(u64),
    /// It wrote this.
    Write(u64),
    /// It wrote what it found at another word: anything that this ever held, since nobody knows when it looked.
    Copy(Word),
}

/// What one operation did to one word, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) effect: Effect,
    /// When the operation began, and when it returned.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// Whose operation, for a reader.
    pub(crate) who: String,
}

/// All words of a scenario that are watched.
#[derive(Debug, Default)]
pub(crate) struct History {
    words: BTreeMap<Word, Vec<Event>>,
    time: u32,
}

impl History {
    /// The next moment.
    pub(crate) fn tick(&mut self) -> u32 {
        self.time += 1;
        self.time
    }

    /// Watches a word, which holds `initial`.
    pub(crate) fn watch(&mut self, word: Word, initial: u64) {
        let effect = Effect::Write(initial);
        self.words.insert(word, vec![Event { effect, start: 0, end: 0, who: "the beginning".into() }]);
    }

    /// The words that are watched of `file` in `first..end`.
    pub(crate) fn watched(&self, file: usize, first: u64, end: u64) -> Vec<Word> {
        let (from, to) = (Word { file, offset: first }, Word { file, offset: end });
        if first < end { self.words.range(from..to).map(|(word, _)| *word).collect() } else { Vec::new() }
    }

    /// An operation has done something to a word, or begun to: returns where, for [`History::end`].
    pub(crate) fn record(&mut self, word: Word, event: Event) -> usize {
        let events = self.words.entry(word).or_default();
        events.push(event);
        events.len() - 1
    }

    /// The operation that was recorded has ended.
    pub(crate) fn end(&mut self, word: Word, at: usize, end: u32) {
        if let Some(event) = self.words.get_mut(&word).and_then(|events| events.get_mut(at)) {
            event.end = end;
        }
    }

    /// What no order explains: one finding for each word, naming the first read that is too much.
    pub(crate) fn judge(&self) -> Vec<Finding> {
        let held = self.held();
        self.words.iter().filter_map(|(word, events)| blame(*word, events, &held)).collect()
    }

    /// What each word ever held, as far as it can be told.
    fn held(&self) -> Held {
        let mut held = Held::new();
        loop {
            let mut grows = false;
            for (word, events) in &self.words {
                for event in events {
                    let values = match event.effect {
                        Effect::Write(value) => vec![value],
                        Effect::Copy(source) => values_of(&held, source),
                        Effect::Read(_) | Effect::Left(_) => Vec::new(),
                    };
                    let of_word = held.entry(*word).or_default();
                    values.into_iter().for_each(|value| grows |= of_word.insert(value));
                }
            }
            if !grows {
                return held;
            }
        }
    }
}

type Held = BTreeMap<Word, BTreeSet<u64>>;

/// Zeros where nobody watches.
fn values_of(held: &Held, word: Word) -> Vec<u64> {
    held.get(&word).map_or_else(|| vec![0], |values| values.iter().copied().collect())
}

fn blame(word: Word, events: &[Event], held: &Held) -> Option<Finding> {
    if is_register(events, held) {
        return None;
    }
    // All writes, and as many reads, in the order in which they ended, as are needed to go wrong.
    let (mut history, mut reads): (Vec<Event>, Vec<Event>) =
        events.iter().cloned().partition(|event| matches!(event.effect, Effect::Write(_) | Effect::Copy(_)));
    reads.sort_by_key(|event| event.end);
    for read in reads {
        history.push(read.clone());
        if !is_register(&history, held) {
            return Some(describe(word, &history, &read));
        }
    }
    Some(Finding::new(Invariant::Coherence, format!("no order explains what was read at {word}")))
}

fn describe(word: Word, history: &[Event], read: &Event) -> Finding {
    let before = history.iter().filter(|event| event.end < read.start && event.effect != read.effect);
    let instead = before.max_by_key(|event| event.end).map_or(String::new(), |event| match &event.effect {
        Effect::Read(value) | Effect::Left(value) => {
            format!(", though {} had seen {value:#x} before", event.who)
        }
        Effect::Write(value) => format!(", though {} of {value:#x} had returned before", event.who),
        Effect::Copy(source) => format!(", though {}, a copy of {source}, had returned before", event.who),
    });
    let who = &read.who;
    match read.effect {
        Effect::Left(left) => Finding::new(
            Invariant::Durability,
            format!("after {who} a crash would leave {left:#x} at {word}{instead}"),
        ),
        Effect::Read(seen) => {
            Finding::new(Invariant::Coherence, format!("{who} sees {seen:#x} at {word}{instead}"))
        }
        Effect::Write(_) | Effect::Copy(_) => unreachable!("only reads are blamed"),
    }
}

/// Whether there is an order.
fn is_register(events: &[Event], held: &Held) -> bool {
    assert!(events.len() <= 64, "a history of {} operations on one word is too long", events.len());
    Search { events, held, seen: HashSet::new() }.extend(0, 0)
}

struct Search<'a> {
    events: &'a [Event],
    held: &'a Held,
    /// Sets of operations that were put in order, with the value that they left, from which no way led on.
    seen: HashSet<(u64, u64)>,
}

impl Search<'_> {
    fn extend(&mut self, done: u64, value: u64) -> bool {
        if done.count_ones() as usize == self.events.len() {
            return true;
        }
        if !self.seen.insert((done, value)) {
            return false;
        }
        let events = self.events;
        let left = || events.iter().enumerate().filter(move |(at, _)| done & 1 << at == 0);
        // Who began after somebody else had ended is not next.
        let first_end = left().map(|(_, event)| event.end).min().expect("some are left");
        left().filter(|(_, event)| event.start <= first_end).any(|(at, event)| {
            let done = done | 1 << at;
            match event.effect {
                Effect::Read(seen) | Effect::Left(seen) => seen == value && self.extend(done, value),
                Effect::Write(value) => self.extend(done, value),
                Effect::Copy(source) => {
                    values_of(self.held, source).into_iter().any(|value| self.extend(done, value))
                }
            }
        })
    }
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "byte {}", self.offset)?;
        if self.file > 0 { write!(f, " of file {}", self.file) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(effect: Effect, start: u32, end: u32) -> Event {
        Event { effect, start, end, who: format!("[{start}, {end}]") }
    }
    fn read(value: u64, start: u32, end: u32) -> Event {
        event(Effect::Read(value), start, end)
    }
    fn write(value: u64, start: u32, end: u32) -> Event {
        event(Effect::Write(value), start, end)
    }

    fn register(events: &[Event]) -> bool {
        let source = Word { file: 1, offset: 0 };
        is_register(events, &Held::from([(source, BTreeSet::from([5, 6]))]))
    }

    #[test]
    fn what_a_returned_write_made_visible_is_not_unseen() {
        assert!(register(&[write(1, 1, 2), read(1, 3, 4)]));
        assert!(!register(&[write(1, 1, 2), read(0, 3, 4)]));
        // While it is under way either may be seen; but not the new and then the old.
        assert!(register(&[write(1, 1, 9), read(0, 2, 3), read(1, 4, 5)]));
        assert!(!register(&[write(1, 1, 9), read(1, 2, 3), read(0, 4, 5)]));
        // Two writes at once are seen in one order by everybody.
        let both = [write(1, 1, 4), write(2, 1, 4)];
        assert!(register(&[both.clone().to_vec(), vec![read(2, 5, 6), read(2, 7, 8)]].concat()));
        assert!(!register(&[both.to_vec(), vec![read(2, 5, 6), read(1, 7, 8)]].concat()));
        assert!(!register(&[write(1, 1, 2), read(3, 3, 4)]), "nobody wrote it");
    }

    #[test]
    fn a_copy_writes_one_of_several_and_the_same_zero_may_come_twice() {
        let copy = event(Effect::Copy(Word { file: 1, offset: 0 }), 1, 2);
        assert!(register(&[copy.clone(), read(6, 3, 4), read(6, 5, 6)]));
        assert!(!register(&[copy, read(6, 3, 4), read(5, 5, 6)]));
        assert!(register(&[write(1, 1, 2), write(0, 3, 4), read(0, 5, 6)]));
    }

    #[test]
    fn the_read_that_is_too_much_is_named() {
        let mut history = History::default();
        let word = Word { file: 0, offset: 8 };
        history.watch(word, 0);
        let at = history.record(word, write(0xa1, 1, u32::MAX));
        history.end(word, at, 2);
        history.record(word, read(0xa1, 3, 4));
        assert_eq!(history.judge(), []);
        history.record(word, read(0, 5, 6));
        let found = history.judge();
        assert!(
            found[0].text.starts_with("[5, 6] sees 0x0 at byte 8, though [3, 4] had seen 0xa1"),
            "{found:?}"
        );
        let copy = Word { file: 0, offset: 16 };
        history.record(copy, event(Effect::Copy(word), 7, 8));
        assert_eq!(values_of(&history.held(), copy), [0, 0xa1]);
        assert_eq!(values_of(&history.held(), Word { file: 0, offset: 24 }), [0]);
        assert_eq!(history.watched(0, 0, 9), [word]);
    }
}
