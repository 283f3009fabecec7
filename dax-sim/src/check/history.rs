//! Decides whether what reads saw of a few calls is coherent, word by word.
//!
//! "Completely coherent with mmap(2)" is what [Kara's 2017 e-mail] asks of read(2) and write(2):
//! each 8-byte word of a file behaves as one register, whichever way it is read or written. So the
//! history of each word must be linearisable, or of each byte where an operation divides a word.
//! There must be one order of all reads and writes of the word in which each read sees the write
//! before it. In that order, a call that ended before another began comes first. Then no later read
//! loses what a returned write or an earlier read has shown.
//!
//! The judgement is exact. It uses the search of Wing and Gong (1993), which is fast enough because
//! histories of explored schedules are short.
//!
//! [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::rc::Rc;

use super::{Finding, Invariant};

/// What a word belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    /// A file of the scenario.
    File(usize),
    /// The pages that a private mapping has copied.
    Mapping(usize),
}

/// A word of one of the files of a scenario, or of a private mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Word {
    pub(crate) owner: Owner,
    /// In bytes, from the start of the file.
    pub(crate) offset: u64,
}

impl Word {
    pub(crate) fn of_file(file: usize, offset: u64) -> Self {
        Self { owner: Owner::File(file), offset }
    }

    fn is_of_file(self) -> bool {
        matches!(self.owner, Owner::File(_))
    }
}

/// What a word of a private mapping holds until the mapping copies its page: what the file holds.
pub(crate) const OF_FILE: u64 = u64::MAX;

/// What an operation did to a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It saw this.
    Read(u64),
    /// It saw this through a private mapping, of this word of the file: the mapping's own word, or
    /// what the file held at some time.
    ReadThrough(u64, Word),
    /// It ensured that a crash would leave this.
    Left(u64),
    /// It wrote this.
    Write(u64),
    /// It wrote what it found at another word. Any value that this other word ever held is
    /// possible, since the time of the look is not known.
    Copy(Word),
}

/// What one operation did to one word, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) effect: Effect,
    /// When the operation began, and when it returned.
    pub(crate) start: u32,
    pub(crate) end: u32,
    /// The operation's name, for messages.
    pub(crate) who: Rc<str>,
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
        self.words.insert(word, vec![Event { effect, start: 0, end: 0, who: Rc::from("the beginning") }]);
    }

    /// The words that are watched of `bytes`.
    pub(crate) fn watched(&self, owner: Owner, bytes: Range<u64>) -> Vec<Word> {
        let (from, to) = (Word { owner, offset: bytes.start }, Word { owner, offset: bytes.end });
        if from < to { self.words.range(from..to).map(|(word, _)| *word).collect() } else { Vec::new() }
    }

    /// Records what an operation has done to a word. The operation has returned. A failed operation
    /// has done nothing.
    pub(crate) fn record(&mut self, word: Word, event: Event) {
        self.words.entry(word).or_default().push(event);
    }

    /// What no order explains, as findings. Each finding covers one register, or several in a row
    /// to which the same was done. It names the first read that no order explains.
    pub(crate) fn judge(&self) -> Vec<Finding> {
        let held = self.held();
        let mut before: Option<(Owner, &[Event])> = None;
        let mut findings = Vec::new();
        for (word, events) in &self.words {
            if before.replace((word.owner, events)) != Some((word.owner, events)) {
                findings.extend(blame(*word, &resolved(*word, events, &held), &held));
            }
        }
        findings
    }

    /// What each word ever held, as far as the events show it.
    fn held(&self) -> Held {
        let mut held = Held::new();
        loop {
            let mut grows = false;
            for (word, events) in &self.words {
                for event in events {
                    let values = match event.effect {
                        Effect::Write(value) => vec![value],
                        Effect::Copy(source) => values_of(&held, source),
                        Effect::Read(_) | Effect::ReadThrough(..) | Effect::Left(_) => Vec::new(),
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

/// The values that a word ever held; zero for a word that is not watched.
fn values_of(held: &Held, word: Word) -> Vec<u64> {
    held.get(&word).map_or_else(|| vec![0], |values| values.iter().copied().collect())
}

/// The events of a word, with the reads through a private mapping resolved: each becomes a read of
/// the mapping's own word or of the file's.
fn resolved<'e>(word: Word, events: &'e [Event], held: &Held) -> Cow<'e, [Event]> {
    if word.is_of_file() {
        return events.into();
    }
    let resolve = |event: &Event| {
        let Effect::ReadThrough(seen, of_file) = event.effect else { return event.clone() };
        let is_of_file = !values_of(held, word).contains(&seen) && values_of(held, of_file).contains(&seen);
        Event { effect: Effect::Read(if is_of_file { OF_FILE } else { seen }), ..event.clone() }
    };
    events.iter().map(resolve).collect()
}

fn blame(word: Word, events: &[Event], held: &Held) -> Option<Finding> {
    if is_register(events, held) {
        return None;
    }
    // All writes, and the shortest prefix of the reads, by their ends, that no order explains.
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
            format!(", though {} had seen {} before", event.who, shown(*value))
        }
        Effect::Write(value) => format!(", though {} of {} had returned before", event.who, shown(*value)),
        Effect::Copy(source) => format!(", though {}, a copy of {source}, had returned before", event.who),
        Effect::ReadThrough(..) => unreachable!("it is resolved"),
    });
    let who = &read.who;
    match read.effect {
        Effect::Left(left) => Finding::new(
            Invariant::Durability,
            format!("after {who} a crash would leave {left:#x} at {word}{instead}"),
        ),
        Effect::Read(seen) => {
            Finding::new(Invariant::Coherence, format!("{who} sees {} at {word}{instead}", shown(seen)))
        }
        Effect::Write(_) | Effect::Copy(_) | Effect::ReadThrough(..) => {
            unreachable!("only reads are blamed, and they are resolved")
        }
    }
}

fn shown(value: u64) -> String {
    if value == OF_FILE { "what the file has".into() } else { format!("{value:#x}") }
}

/// Whether there is an order of the events that explains each read.
fn is_register(events: &[Event], held: &Held) -> bool {
    assert!(events.len() <= 64, "a history of {} operations on one word is too long", events.len());
    Search { events, held, seen: HashSet::new() }.extend(0, 0)
}

struct Search<'a> {
    events: &'a [Event],
    held: &'a Held,
    /// Sets of operations that were put in order, each with the value that it left, from which no
    /// order led on.
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
        // An event that began after another had ended is not next.
        let first_end = left().map(|(_, event)| event.end).min().expect("some are left");
        left().filter(|(_, event)| event.start <= first_end).any(|(at, event)| {
            let done = done | 1 << at;
            match event.effect {
                Effect::Read(seen) | Effect::Left(seen) => seen == value && self.extend(done, value),
                Effect::ReadThrough(..) => unreachable!("it is resolved"),
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
        match self.owner {
            Owner::File(0) => Ok(()),
            Owner::File(file) => write!(f, " of file {file}"),
            Owner::Mapping(map) => write!(f, " of M{map}'s own pages"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(effect: Effect, start: u32, end: u32) -> Event {
        Event { effect, start, end, who: format!("[{start}, {end}]").into() }
    }
    fn read(value: u64, start: u32, end: u32) -> Event {
        event(Effect::Read(value), start, end)
    }
    fn write(value: u64, start: u32, end: u32) -> Event {
        event(Effect::Write(value), start, end)
    }

    fn register(events: &[Event]) -> bool {
        let source = Word::of_file(1, 0);
        is_register(events, &Held::from([(source, BTreeSet::from([5, 6]))]))
    }

    #[test]
    fn what_a_returned_write_made_visible_is_not_unseen() {
        assert!(register(&[write(1, 1, 2), read(1, 3, 4)]));
        assert!(!register(&[write(1, 1, 2), read(0, 3, 4)]));
        // While the write is under way a read may see either value, but not the new one and then
        // the old.
        assert!(register(&[write(1, 1, 9), read(0, 2, 3), read(1, 4, 5)]));
        assert!(!register(&[write(1, 1, 9), read(1, 2, 3), read(0, 4, 5)]));
        // All readers see two overlapping writes in one order.
        let both = [write(1, 1, 4), write(2, 1, 4)];
        assert!(register(&[both.clone().to_vec(), vec![read(2, 5, 6), read(2, 7, 8)]].concat()));
        assert!(!register(&[both.to_vec(), vec![read(2, 5, 6), read(1, 7, 8)]].concat()));
        assert!(!register(&[write(1, 1, 2), read(3, 3, 4)]), "no operation wrote it");
    }

    #[test]
    fn a_copy_writes_one_of_several_and_the_same_zero_may_come_twice() {
        let copy = event(Effect::Copy(Word::of_file(1, 0)), 1, 2);
        assert!(register(&[copy.clone(), read(6, 3, 4), read(6, 5, 6)]));
        assert!(!register(&[copy, read(6, 3, 4), read(5, 5, 6)]));
        assert!(register(&[write(1, 1, 2), write(0, 3, 4), read(0, 5, 6)]));
    }

    #[test]
    fn the_read_that_is_too_much_is_named() {
        let mut history = History::default();
        let word = Word::of_file(0, 8);
        history.watch(word, 0);
        history.record(word, write(0xa1, 1, 2));
        history.record(word, read(0xa1, 3, 4));
        assert_eq!(history.judge(), []);
        history.record(word, read(0, 5, 6));
        let found = history.judge();
        assert!(
            found[0].text.starts_with("[5, 6] sees 0x0 at byte 8, though [3, 4] had seen 0xa1"),
            "{found:?}"
        );
        let copy = Word::of_file(0, 16);
        history.record(copy, event(Effect::Copy(word), 7, 8));
        assert_eq!(values_of(&history.held(), copy), [0, 0xa1]);
        assert_eq!(values_of(&history.held(), Word::of_file(0, 24)), [0]);
        assert_eq!(history.watched(Owner::File(0), 0..9), [word]);
    }

    #[test]
    fn a_private_mapping_shows_what_the_file_held_until_it_has_its_own() {
        let own = Word { owner: Owner::Mapping(0), offset: 8 };
        let of_file = Word::of_file(0, 8);
        let load = |seen, start, end| event(Effect::ReadThrough(seen, of_file), start, end);
        let judge = |loads: &[Event]| {
            let mut history = History::default();
            history.watch(of_file, 0);
            history.watch(own, OF_FILE);
            history.record(of_file, write(7, 1, 2));
            history.record(own, write(0xb1, 5, 6));
            loads.iter().for_each(|load| history.record(own, load.clone()));
            history.judge().into_iter().map(|finding| finding.text).collect::<Vec<_>>()
        };
        assert!(judge(&[load(0, 1, 2), load(7, 3, 4), load(0xb1, 7, 8)]).is_empty());
        let lost = judge(&[load(0xb1, 5, 6), load(7, 7, 8)]);
        assert!(lost[0].starts_with("[7, 8] sees what the file has at byte 8 of M0's own pages"), "{lost:?}");
        assert!(!judge(&[load(9, 3, 4)]).is_empty(), "no operation wrote it");
    }
}
