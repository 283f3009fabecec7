//! Decides which bytes of a scenario have a history, and what may ever be found there.

use std::collections::{BTreeMap, BTreeSet};

use super::scenario::{Op, Scenario, Span};
use crate::check::history::{OF_FILE, Owner, Word};

/// The registers of a scenario: words if no operation divides a word, otherwise bytes.
#[derive(Debug)]
pub(super) struct Registers {
    /// How many bytes one register has.
    pub(super) grain: u64,
    /// What each register holds in the beginning.
    pub(super) initial: BTreeMap<Word, u64>,
    /// What operations put into the registers of files, in some order of all operations, or in
    /// none.
    possible: BTreeMap<Word, BTreeSet<u64>>,
}

impl Registers {
    /// The registers that an operation names, and all from which their contents may have come.
    pub(super) fn of(scenario: &Scenario) -> Self {
        let grain = scenario.grain();
        let maps = &scenario.maps;
        let mut files = BTreeSet::new();
        let mut initial = BTreeMap::new();
        let bytes = |span: Span| (span.at..span.end()).step_by(grain as usize);
        for op in scenario.ops() {
            if let Some(span) = op.of_file() {
                files.extend(bytes(span).map(|at| (span.of, at)));
            }
            if let Some(span) = op.of_map() {
                files.extend(bytes(span).map(|at| (maps[span.of].file, at)));
                if maps[span.of].private {
                    let own = |offset| (Word { owner: Owner::Mapping(span.of), offset }, OF_FILE);
                    initial.extend(bytes(span).map(own));
                }
            }
        }
        // Each operation runs once, so nothing has moved more often than there are operations.
        let moves: Vec<Op> = scenario.ops().filter(|op| op.moves()).collect();
        for _ in &moves {
            let from: Vec<(usize, u64)> = files
                .iter()
                .flat_map(|&(file, at)| moves.iter().filter_map(move |op| op.origin(maps, file, at)))
                .collect();
            let before = files.len();
            files.extend(from);
            if files.len() == before {
                break;
            }
        }
        initial.extend(files.iter().map(|&(file, at)| (Word::of_file(file, at), 0)));
        let possible = possible(scenario, &files, &moves);
        Self { grain, initial, possible }
    }

    /// Whether some operation puts the value there, or the value is zero.
    pub(super) fn may_hold(&self, word: Word, value: u64) -> bool {
        value == 0 || self.possible.get(&word).is_some_and(|values| values.contains(&value))
    }
}

fn possible(
    scenario: &Scenario,
    files: &BTreeSet<(usize, u64)>,
    moves: &[Op],
) -> BTreeMap<Word, BTreeSet<u64>> {
    let mut possible: BTreeMap<Word, BTreeSet<u64>> = BTreeMap::new();
    for (value, op) in scenario.values() {
        let written = match op {
            Op::Write(span) => Some(span),
            Op::Store(span) | Op::DirectWrite(span) if !scenario.maps[span.of].private => {
                Some(Span { of: scenario.maps[span.of].file, ..span })
            }
            _ => None,
        };
        let Some(Span { of, at, .. }) = written else { continue };
        let end = written.map_or(0, Span::end);
        for &(file, offset) in files.range((of, at)..(of, end)) {
            possible.entry(Word::of_file(file, offset)).or_default().insert(value);
        }
    }
    for _ in moves {
        for &(file, at) in files {
            for (from, offset) in moves.iter().filter_map(|op| op.origin(&scenario.maps, file, at)) {
                let values = possible.get(&Word::of_file(from, offset)).cloned().unwrap_or_default();
                possible.entry(Word::of_file(file, at)).or_default().extend(values);
            }
        }
    }
    possible
}
