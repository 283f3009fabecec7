//! Prints a scenario as text.

use std::fmt;

use super::super::letter;
use super::super::scenario::{Op, Place, Scenario, Span};
use crate::pmem::BLOCK_SIZE;

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "about {}\n", self.about)?;
        if self.files != 1 {
            writeln!(f, "files {}", self.files)?;
        }
        if self.pages != 1 {
            writeln!(f, "pages {}", self.pages)?;
        }
        if self.huge {
            writeln!(f, "huge")?;
        }
        for (index, map) in self.maps.iter().enumerate() {
            let address = map.address.map_or_else(String::new, |address| format!(" at {address:#x}"));
            let flag = |set: bool, word: &'static str| if set { word } else { "" };
            let flags = [
                flag(map.private, " private"),
                flag(map.sync, " sync"),
                flag(map.small, " small"),
                flag(map.later, " later"),
            ];
            writeln!(f, "map M{index} F{}{}{address}", map.file, flags.concat())?;
        }
        let mut block = |name: String, ops: &[Op]| {
            if ops.is_empty() {
                return Ok(());
            }
            writeln!(f, "\n{name}:")?;
            ops.iter().try_for_each(|op| writeln!(f, "    {}", written(*op)))
        };
        block("setup".into(), &self.setup)?;
        for (thread, ops) in self.threads.iter().enumerate() {
            block(format!("thread {}", letter(thread)), ops)?;
        }
        block("finally".into(), &self.finally)?;
        for (index, (variant, among)) in self.broken_in.iter().enumerate() {
            let among: Vec<&str> = among.iter().map(|invariant| invariant.name()).collect();
            writeln!(f, "{}expect {variant} {}", if index == 0 { "\n" } else { "" }, among.join(" "))?;
        }
        Ok(())
    }
}

/// An operation in the form in which it is read.
fn written(op: Op) -> String {
    let span =
        |letter: char, Span { of, at, len }: Span| format!("{letter}{of} {} {}", number(at), number(len));
    // The length is left out if it is a word's.
    let short = |Span { of, at, len }: Span| {
        if len == 8 { format!("M{of} {}", number(at)) } else { span('M', Span { of, at, len }) }
    };
    let place = |letter: char, Place { of, at }: Place| format!("{letter}{of} {}", number(at));
    match op {
        Op::Write(bytes) => format!("pwrite {}", span('F', bytes)),
        Op::WriteFrom(bytes, from) => format!("pwrite {} from {}", span('F', bytes), place('M', from)),
        Op::Read(bytes) => format!("pread {}", span('F', bytes)),
        Op::ReadInto(bytes, to) => format!("pread {} into {}", span('F', bytes), place('M', to)),
        Op::Load(bytes) => format!("load {}", short(bytes)),
        Op::Store(bytes) => format!("store {}", short(bytes)),
        Op::DirectWrite(bytes) => format!("pin-write {}", short(bytes)),
        Op::Persist(bytes) => format!("persist {}", short(bytes)),
        Op::DontNeed(bytes) => format!("madvise {} dontneed", span('M', bytes)),
        Op::Msync(bytes) => format!("msync {}", span('M', bytes)),
        Op::Mmap { map } => format!("mmap M{map}"),
        Op::Munmap { map } => format!("munmap M{map}"),
        Op::Fsync { file } => format!("fsync F{file}"),
        Op::Truncate { file, size } => format!("ftruncate F{file} {}", number(size)),
        Op::Fallocate(bytes) => format!("fallocate {}", span('F', bytes)),
        Op::KeepSize(bytes) => format!("fallocate {} keep-size", span('F', bytes)),
        Op::Punch(bytes) => format!("fallocate {} punch", span('F', bytes)),
        Op::Zero(bytes) => format!("fallocate {} zero", span('F', bytes)),
        Op::Collapse(bytes) => format!("fallocate {} collapse", span('F', bytes)),
        Op::Insert(bytes) => format!("fallocate {} insert", span('F', bytes)),
        Op::Unshare(bytes) => format!("fallocate {} unshare", span('F', bytes)),
        Op::Clone(bytes, from) => format!("clone {} from {}", span('F', bytes), place('F', from)),
        Op::Dedupe(bytes, from) => format!("dedupe {} from {}", span('F', bytes), place('F', from)),
        Op::Copy(bytes, from) => format!("copy {} from {}", span('F', bytes), place('F', from)),
    }
}

/// A number of bytes in the form in which it is read.
pub(super) fn number(bytes: u64) -> String {
    const M: u64 = 1 << 20;
    let rest = bytes % BLOCK_SIZE;
    let pages = bytes - rest;
    match (pages, rest) {
        (0, rest) => rest.to_string(),
        (pages, 0) if pages.is_multiple_of(M) => format!("{}M", pages / M),
        (pages, 0) => format!("{}K", pages >> 10),
        (pages, rest) => format!("{}+{rest}", number(pages)),
    }
}
