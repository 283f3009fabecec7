//! Reads the words of a line: names, numbers, and messages about words that are wrong.

use std::fmt;

use super::super::scenario::{Place, Span};
use super::print::number;
use crate::pmem::BLOCK_SIZE;
use crate::text::quoted;

/// The last place and the longest range, in bytes: two pages of 2 MiB.
const LAST_BYTE: u64 = 4 << 20;

/// The words of one line, taken one by one.
pub(super) struct Words<'t> {
    words: std::slice::Iter<'t, &'t str>,
    usage: &'static str,
}

impl<'t> Words<'t> {
    pub(super) fn new(words: &'t [&'t str], usage: &'static str) -> Self {
        Words { words: words.iter(), usage }
    }

    /// How the line is written.
    pub(super) fn usage(&self) -> &'static str {
        self.usage
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.words.as_slice().is_empty()
    }

    pub(super) fn wrong(&self, what: impl fmt::Display) -> String {
        format!("{what}; write it as `{}`", self.usage)
    }

    /// The next word, if there is one.
    pub(super) fn pop(&mut self) -> Option<&'t str> {
        self.words.next().copied()
    }

    pub(super) fn next(&mut self, what: &str) -> Result<&'t str, String> {
        self.words
            .next()
            .copied()
            .ok_or_else(|| self.wrong(format_args!("{what} is missing at the end of the line")))
    }

    pub(super) fn end(&mut self) -> Result<(), String> {
        match self.words.next() {
            Some(word) => Err(self.wrong(format_args!("{} is one word too many", quoted(word)))),
            None => Ok(()),
        }
    }

    /// The number in `F0` or `M0`.
    pub(super) fn name(&mut self, letter: char, count: usize) -> Result<usize, String> {
        let what = if letter == 'F' { "a file" } else { "a mapping" };
        let word = self.next(what)?;
        let number = word.strip_prefix(letter).and_then(|digits| plain(digits, 99));
        let Some(number) = number else {
            let text = format!("{} is not {what}, whose names are {letter}0, {letter}1, ...", quoted(word));
            return Err(self.wrong(text));
        };
        if (number as usize) < count {
            return Ok(number as usize);
        }
        let remedy = match (letter, count) {
            ('F', 1) => "there is one file, F0; say `files 2` above for two".into(),
            ('F', _) => format!("there are {count} files; say `files NUMBER` above for more"),
            (_, 0) => "there is no mapping; say `map M0 F0` above".into(),
            _ => format!("there are {count} mappings, from M0 on; say `map M{count} F0` above for one more"),
        };
        Err(format!("there is no {}: {remedy}", quoted(word)))
    }

    pub(super) fn number(&mut self, what: &str) -> Result<u64, String> {
        let word = self.next(what)?;
        bytes(word, LAST_BYTE).map_err(|text| self.wrong(text))
    }

    /// A file or a mapping, one of `count`, and a place in it.
    pub(super) fn place(&mut self, letter: char, count: usize) -> Result<Place, String> {
        Ok(Place { of: self.name(letter, count)?, at: self.number("a place")? })
    }

    /// The same with a length.
    pub(super) fn span(&mut self, letter: char, count: usize) -> Result<Span, String> {
        let Place { of, at } = self.place(letter, count)?;
        Ok(Span { of, at, len: self.number("a length")? })
    }

    /// Bytes of a mapping: 8 bytes if the line ends before the length.
    pub(super) fn access(&mut self, maps: usize) -> Result<Span, String> {
        let Place { of, at } = self.place('M', maps)?;
        let len = if self.is_at_end() { 8 } else { self.number("a length")? };
        Ok(Span { of, at, len })
    }

    /// How many files or pages there are.
    pub(super) fn count(&mut self, what: &str, most: u64) -> Result<u64, String> {
        let word = self.next("a number")?;
        let number = plain(word, most).filter(|number| *number > 0);
        number.ok_or_else(|| format!("{} is no number of {what}; say 1 to {most}", quoted(word)))
    }

    /// An address at which a page begins.
    pub(super) fn address(&mut self) -> Result<u64, String> {
        let word = self.next("an address")?;
        let fits = |address: &u64| *address > 0 && address.is_multiple_of(BLOCK_SIZE);
        plain(word, 1 << 46).filter(fits).ok_or_else(|| {
            self.wrong(format_args!(
                "{} is no address; one is a multiple of {BLOCK_SIZE} up to 0x400000000000",
                quoted(word)
            ))
        })
    }

    pub(super) fn expect(&mut self, wanted: &str) -> Result<(), String> {
        let word = self.next(&format!("`{wanted}`"))?;
        if word == wanted {
            Ok(())
        } else {
            Err(self.wrong(format_args!("{} stands where `{wanted}` belongs", quoted(word))))
        }
    }
}

/// A number in digits.
fn plain(word: &str, most: u64) -> Option<u64> {
    let (digits, radix) = word.strip_prefix("0x").map_or((word, 10), |digits| (digits, 16));
    let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    if !all {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().filter(|number| *number <= most)
}

/// A sum of numbers, each with K or M behind it, or without.
pub(super) fn bytes(word: &str, most: u64) -> Result<u64, String> {
    let mut sum = 0_u64;
    for term in word.split('+') {
        let (digits, unit) = match term.strip_suffix('K') {
            Some(digits) => (digits, 1 << 10),
            None => term.strip_suffix('M').map_or((term, 1), |digits| (digits, 1 << 20)),
        };
        let is_number = plain(digits, u64::MAX).is_some() || is_long(digits);
        if !is_number {
            return Err(format!("{} is not a number like 8, 0x40, 4K or 4K+8", quoted(word)));
        }
        let term = plain(digits, u64::MAX).and_then(|number| number.checked_mul(unit));
        let total = term.and_then(|term| sum.checked_add(term)).filter(|total| *total <= most);
        sum = total.ok_or_else(|| format!("{} is more than {}", quoted(word), number(most)))?;
    }
    Ok(sum)
}

/// Digits, however many.
fn is_long(digits: &str) -> bool {
    !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit())
}
