//! Reads the log: one operation a line.
//!
//! ```text
//! name 0xOFFSET 0xLENGTH [0xDEST] 0xSIZE_BEFORE [keep_size] [close_open] [unshare] [*]
//! ```
//!
//! DEST is present only in the operations with two ranges. For truncate LENGTH is the new size.
//! SIZE_BEFORE is the size that the file had when fsx wrote the line. A replay begins with the size
//! that the first line names. fsx keeps its last 10,000 operations. So the log of a longer run is a
//! tail, which begins with a file that is not empty. `*` marks the lines that touched the byte
//! which fsx found to be wrong. Numbers are hexadecimal with `0x`: fsx writes no others. (fsx also
//! reads decimal numbers from logs written by hand, and does not notice a forgotten `0x`.) Empty
//! lines and lines that begin with `skip` or `#` are passed over, and count as lines.

use std::borrow::Cow;

use super::BadLine;
use crate::text::quoted;

/// What an operation does. The variants are named after the names in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Read,
    Write,
    MapRead,
    MapWrite,
    Truncate,
    Fallocate,
    PunchHole,
    ZeroRange,
    CollapseRange,
    InsertRange,
    CloneRange,
    DedupeRange,
    CopyRange,
    Fsync,
}

/// All names. On DAX there is no cache to keep out of, and one thread cannot tear a write. So the
/// special forms of read and write are the plain ones.
const NAMES: [(&str, Verb); 17] = [
    ("read", Verb::Read),
    ("write", Verb::Write),
    ("mapread", Verb::MapRead),
    ("mapwrite", Verb::MapWrite),
    ("truncate", Verb::Truncate),
    ("fallocate", Verb::Fallocate),
    ("punch_hole", Verb::PunchHole),
    ("zero_range", Verb::ZeroRange),
    ("collapse_range", Verb::CollapseRange),
    ("insert_range", Verb::InsertRange),
    ("clone_range", Verb::CloneRange),
    ("dedupe_range", Verb::DedupeRange),
    ("copy_range", Verb::CopyRange),
    ("fsync", Verb::Fsync),
    ("read_dontcache", Verb::Read),
    ("write_dontcache", Verb::Write),
    ("write_atomic", Verb::Write),
];

/// fsx' names of operations that are not simulated.
const UNSUPPORTED: [&str; 1] = ["exchange_range"];

/// One operation of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operation {
    /// The line, counted from 1.
    pub(crate) number: u64,
    pub(crate) verb: Verb,
    pub(crate) offset: u64,
    pub(crate) len: u64,
    /// Where the second range begins, if there are two.
    pub(crate) dest: u64,
    /// The size that the file had before, according to the log.
    pub(crate) size_before: u64,
    pub(crate) keep_size: bool,
    pub(crate) close_open: bool,
    pub(crate) unshare: bool,
}

impl Verb {
    pub(crate) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, verb)| *verb == self).map_or("", |(name, _)| name)
    }

    /// Whether the line has a DEST.
    fn has_dest(self) -> bool {
        matches!(self, Verb::CloneRange | Verb::DedupeRange | Verb::CopyRange)
    }
}

impl Operation {
    /// The end of the bytes that the operation names. `None` if it overflows.
    pub(super) fn end(&self) -> Option<u64> {
        match self.verb {
            Verb::Fsync => Some(0),
            Verb::Truncate => Some(self.len),
            _ => self.offset.max(self.dest).checked_add(self.len),
        }
    }
}

/// The text of a log. What is not UTF-8 reads as replacement characters, for [`parse`] to quote.
///
/// # Errors
///
/// An error for UTF-16, in which no line of a log could be found.
pub(crate) fn text_of(log: &[u8]) -> Result<Cow<'_, str>, BadLine> {
    let is_utf16 = match *log {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => true,
        // Without a byte order mark: two characters of ASCII.
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] => a != 0 && b != 0 && a.is_ascii() && b.is_ascii(),
        _ => false,
    };
    if is_utf16 {
        let expected = "expected UTF-8, not UTF-16 (which `>` of PowerShell writes): save the log as UTF-8";
        return Err(BadLine { number: 1, expected: expected.to_owned() });
    }
    Ok(String::from_utf8_lossy(log))
}

/// The size of the file with which a replay of this log begins: not 0 for a tail.
pub(crate) fn initial_size(operations: &[Operation]) -> u64 {
    operations.first().map_or(0, |first| first.size_before)
}

/// Reads a log for a file of at most `size_max` bytes. Ranges that `trims` will trim may end
/// anywhere.
///
/// # Errors
///
/// The first line that is not one of a log, or names a byte past `size_max`.
pub(crate) fn parse(text: &str, size_max: u64, trims: bool) -> Result<Vec<Operation>, BadLine> {
    if text.starts_with('\u{feff}') {
        let expected = "expected an operation, not a byte order mark (U+FEFF): save the log without one";
        return Err(BadLine { number: 1, expected: expected.to_owned() });
    }
    let mut operations = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let mut words = line.split_ascii_whitespace();
        let name = match words.next() {
            None | Some("skip") => continue,
            Some(word) if word.starts_with('#') => continue,
            Some(name) => name,
        };
        let is_first = operations.is_empty();
        let operation = operation(number, name, words)
            .and_then(|operation| match operation.verb {
                Verb::Truncate => within(operation, size_max),
                _ if trims => Ok(operation),
                _ => within(operation, size_max),
            })
            .and_then(|operation| if is_first { begins_within(operation, size_max) } else { Ok(operation) })
            .map_err(|expected| BadLine { number, expected })?;
        operations.push(operation);
    }
    Ok(operations)
}

fn operation<'a>(
    number: u64,
    name: &str,
    mut words: impl Iterator<Item = &'a str>,
) -> Result<Operation, String> {
    let verb = verb(name)?;
    let mut value = |what: &str| {
        let word = words.next().ok_or_else(|| format!("expected a number for {what} of `{name}`"))?;
        number_of(word).ok_or_else(|| {
            let word = quoted(word);
            format!("expected a hexadecimal number such as 0x1000 for {what} of `{name}`, not {word}")
        })
    };
    let offset = value("the offset")?;
    let len = value(if verb == Verb::Truncate { "the new size" } else { "the length" })?;
    let dest = if verb.has_dest() { value("the destination")? } else { 0 };
    let size_before = value("the size before")?;
    let (mut keep_size, mut close_open, mut unshare) = (false, false, false);
    for word in words {
        match word {
            "keep_size" => keep_size = true,
            "close_open" => close_open = true,
            "unshare" => unshare = true,
            "*" => {}
            _ => {
                let word = quoted(word);
                return Err(format!("expected `keep_size`, `close_open`, `unshare` or `*`, not {word}"));
            }
        }
    }
    Ok(Operation { number, verb, offset, len, dest, size_before, keep_size, close_open, unshare })
}

fn verb(name: &str) -> Result<Verb, String> {
    if let Some((_, verb)) = NAMES.iter().find(|(known, _)| *known == name) {
        return Ok(*verb);
    }
    let problem = if UNSUPPORTED.contains(&name) { "is not simulated" } else { "is not one" };
    let names: Vec<_> = NAMES.iter().map(|(name, _)| *name).collect();
    let (name, names) = (quoted(name), names.join(", "));
    Err(format!("expected an operation, and {name} {problem}; known ones: {names}"))
}

fn number_of(word: &str) -> Option<u64> {
    let digits = word.strip_prefix("0x")?;
    // from_str_radix takes a sign as well.
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}

fn within(operation: Operation, size_max: u64) -> Result<Operation, String> {
    match operation.end() {
        Some(end) if end <= size_max => Ok(operation),
        end => Err(format!(
            "expected a range that ends by {size_max:#x} (see `--size-max`), not {}",
            end.map_or("past 2^64".to_owned(), |end| format!("at {end:#x}"))
        )),
    }
}

/// Checks the size before of the first line, with which a replay begins.
fn begins_within(operation: Operation, size_max: u64) -> Result<Operation, String> {
    let size = operation.size_before;
    if size <= size_max {
        return Ok(operation);
    }
    Err(format!(
        "expected a size before of at most {size_max:#x} (see `--size-max`), with which to begin, not {size:#x}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE_MAX: u64 = 0x10_0000;

    fn parse(text: &str, size_max: u64) -> Result<Vec<Operation>, BadLine> {
        super::parse(text, size_max, false)
    }

    fn plain(number: u64, verb: Verb, offset: u64, len: u64) -> Operation {
        let (dest, size_before) = (0, 0);
        let (keep_size, close_open, unshare) = (false, false, false);
        Operation { number, verb, offset, len, dest, size_before, keep_size, close_open, unshare }
    }

    #[test]
    fn a_log_is_read_line_by_line() {
        let log = "\
            # by hand\n\
            write 0x0 0x1000 0x0\n\
            \n\
            skip exchange_range 0x0 nonsense\n\
            clone_range 0x1000 0x2000 0x8000 0x9000 close_open *\n\
            \tfallocate 0x1000 0x8 0x0 unshare keep_size\r\n\
            truncate 0x0 0x55 0x3000\n\
            write_atomic 0x0 0x1 0x0";
        let expected = [
            plain(2, Verb::Write, 0, 0x1000),
            Operation {
                dest: 0x8000,
                size_before: 0x9000,
                close_open: true,
                ..plain(5, Verb::CloneRange, 0x1000, 0x2000)
            },
            Operation { keep_size: true, unshare: true, ..plain(6, Verb::Fallocate, 4096, 8) },
            Operation { size_before: 0x3000, ..plain(7, Verb::Truncate, 0, 0x55) },
            plain(8, Verb::Write, 0, 1),
        ];
        assert_eq!(parse(log, SIZE_MAX).unwrap(), expected);
        assert_eq!(parse("", SIZE_MAX), Ok(Vec::new()));
        let marked = parse("\u{feff}write 0x0 0x1 0x0", SIZE_MAX).unwrap_err();
        assert!(marked.number == 1 && marked.expected.contains("byte order mark"), "{}", marked.expected);
    }

    #[test]
    fn every_name_of_the_log_has_a_verb_that_knows_its_name() {
        for (name, verb) in NAMES {
            let dest = if verb.has_dest() { " 0x2" } else { "" };
            let parsed = parse(&format!("{name} 0x0 0x1{dest} 0x3"), SIZE_MAX).unwrap();
            assert_eq!(parsed[0].verb, verb);
            assert!(name.starts_with(verb.name()), "{name}");
        }
    }

    #[test]
    fn bad_lines_say_what_was_expected() {
        for (line, parts) in [
            ("wrote 0x0 0x1 0x0", &["an operation", "`wrote`", "mapwrite", "clone_range"][..]),
            ("exchange_range 0x0 0x1 0x2 0x0", &["`exchange_range` is not simulated"]),
            ("write", &["a number for the offset of `write`"]),
            ("write 0x0", &["a number for the length of `write`"]),
            ("write 0x0 0x1", &["a number for the size before"]),
            ("copy_range 0x0 0x1 0x2", &["a number for the size before"]),
            ("truncate 0x0", &["a number for the new size"]),
            ("read 0xzz 0x1 0x0", &["a hexadecimal number such as 0x1000 for the offset", "`0xzz`"]),
            ("read 4096 0x1 0x0", &["`4096`"]),
            ("read 0x0 010 0x0", &["the length", "`010`"]),
            ("read 0x0 0x1 0", &["the size before", "`0`"]),
            ("read 0X10 0x1 0x0", &["`0X10`"]),
            ("read\u{200b} 0x10 0x1 0x0", &["`read\\u{200b}`"]),
            ("read 0x 0x1 0x0", &["`0x`"]),
            ("read -1 0x1 0x0", &["`-1`"]),
            ("read 0x+1 0x1 0x0", &["`0x+1`"]),
            ("read 08 0x1 0x0", &["`08`"]),
            ("read 12a 0x1 0x0", &["`12a`"]),
            ("read 0x10000000000000000 0x1 0x0", &["`0x10000000000000000`"]),
            ("fallocate 0x0 0x1 0x0 keepsize", &["`keep_size`", "not `keepsize`"]),
            ("write 0x0 0x1 0x2 0x3", &["not `0x3`"]),
            ("write 0x100000 0x1 0x0", &["0x100000", "--size-max", "0x100001"]),
            ("read 0xffffffffffffffff 0x1 0x0", &["2^64"]),
            ("copy_range 0x0 0x1000 0xff001 0x0", &["0x100001"]),
            ("truncate 0x0 0x100001 0x0", &["0x100001"]),
            (&format!("{} 0x0 0x1 0x0", "\0".repeat(100_000)), &["99980 characters more"]),
            (&format!("read 0x{} 0x1 0x0", "1".repeat(200_000)), &["the offset", "199962 characters more"]),
            (&format!("read 0x0 0x1 0x0 {}", "u".repeat(41)), &["1 characters more"]),
        ] {
            let bad = parse(&format!("fsync 0x0 0x0 0x0\n{line}\nnever read"), SIZE_MAX).unwrap_err();
            assert_eq!(bad.number, 2, "{line}");
            assert!(bad.expected.len() < 400, "{}", bad.expected.len());
            for part in parts {
                assert!(bad.expected.contains(part), "{line}: `{part}` is not in: {}", bad.expected);
            }
        }
    }

    #[test]
    fn the_first_line_says_with_which_size_to_begin() {
        let begins = |log: &str| initial_size(&parse(log, SIZE_MAX).unwrap());
        assert_eq!(begins(""), 0);
        assert_eq!(begins("# a tail\nskip read 0x0 0x0 0x9\nread 0x0 0x1 0x55\nread 0x0 0x1 0x66"), 0x55);
        let bad = parse("read 0x0 0x1 0x100001", SIZE_MAX).unwrap_err();
        assert!(bad.number == 1 && bad.expected.contains("--size-max"), "{}", bad.expected);
        assert!(parse("read 0x0 0x1 0x100000\nread 0x0 0x1 0x100001", SIZE_MAX).is_ok());
    }

    #[test]
    fn what_is_trimmed_may_end_anywhere() {
        for line in ["write 0x100000 0x1 0x0", "read 0xffffffffffffffff 0x1 0x0"] {
            assert!(super::parse(line, SIZE_MAX, true).is_ok(), "{line}");
        }
        for line in ["truncate 0x0 0x100001 0x0", "read 0x0 0x1 0x100001"] {
            assert!(super::parse(line, SIZE_MAX, true).is_err(), "{line}");
        }
    }

    #[test]
    fn utf_16_is_named() {
        let little: Vec<u8> = "write 0x0".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "write 0x0".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [&[0xff, 0xfe], &little[..]].concat();
        for log in [little, big, marked, vec![0xfe, 0xff]] {
            let bad = text_of(&log).unwrap_err();
            assert!(bad.number == 1 && bad.expected.contains("UTF-16"), "{}", bad.expected);
        }
        for log in [&b""[..], b"a\0", b"\0\0\0\0", b"write", b"\xff\xff", "\u{feff}write".as_bytes()] {
            assert!(text_of(log).is_ok());
        }
    }
}
