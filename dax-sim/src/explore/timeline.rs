//! Draws a schedule as a picture. There is one column for each thread. Beside each step are the
//! locks that its thread held in it, and the state of the page after it.
//!
//! A lock stands beside every step from the one in which it was granted to the one in which it was
//! released. In the last one it is in brackets. A lock that a thread has asked for is not held,
//! however often the thread stops before it is granted. An example is the lock of an entry that is
//! locked, or that is still to be inserted.

use std::cmp::Reverse;
use std::fmt::Write as _;

use super::cell::{Failure, Replayed, replay};
use super::engine::{Place, Step};
use super::letter;
use super::scenario::Scenario;
use super::seed::Seed;
use super::world::World;
use crate::entries::DaxEntry;
use crate::file::Mapping;
use crate::fs::{CopyRetries, Extent, Inode};
use crate::pmem::DeviceError;
use crate::schedule::ranks::{HeldLock, Id};
use crate::schedule::{LockClass, LockRequest, SchedulePoint, Wait};
use crate::text::{fold, push_folded, push_row};
use crate::variant::Mix;

/// A schedule with a description of each step.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// What went wrong, if anything did.
    pub failure: Failure,
    /// How often write(2) had to copy again.
    pub copy_retries: CopyRetries,
    threads: usize,
    lines: Vec<Line>,
    /// What the operations after the end of all threads did.
    afterwards: Vec<String>,
    /// The steps after which another thread comes between.
    overtaken: Vec<u32>,
    /// The wrong values that reads saw, in the words of the picture's lines.
    wrong: Vec<String>,
}

/// Why a line of a picture stands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// After this step another thread comes between.
    Overtaken,
    /// What a read sees here must not be seen.
    Wrong,
}

#[derive(Clone, Debug)]
struct Line {
    step: u32,
    thread: usize,
    text: String,
    locks: String,
    state: String,
}

impl Timeline {
    /// Runs the schedule of a seed once more, and records it.
    ///
    /// # Errors
    ///
    /// If there is no memory for the device.
    pub fn of(scenario: &'static Scenario, mix: impl Into<Mix>, seed: &Seed) -> Result<Self, DeviceError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut number = 0;
        let mut newest = None;
        let replayed = replay(scenario, mix.into(), seed, &mut |world, step| {
            number += 1;
            let locks = locks(&step);
            let state = state(world);
            let mut texts: Vec<String> =
                describe(world, &step, newest).into_iter().map(|text| format!("  {text}")).collect();
            texts.extend(world.notes());
            texts.extend(waits(&step).map(|text| format!("  {text}")));
            newest = step.locks.iter().chain(step.given_up).map(|lock| lock.id).chain(newest).max();
            for text in texts {
                let (locks, state) = (locks.clone(), state.clone());
                lines.push(Line { step: number, thread: step.thread, text, locks, state });
            }
        })?;
        let Replayed { failure, copy_retries, afterwards } = replayed;
        let overtaken = failure.seed.0.iter().map(|&(step, _)| step).filter(|&step| step > 0).collect();
        let wrong = failure.findings.iter().filter_map(|finding| seen(&finding.text)).collect();
        let threads = scenario.threads.len();
        Ok(Self { failure, copy_retries, threads, lines, afterwards, overtaken, wrong })
    }

    /// Returns the picture. Without a `width`, the picture is as wide as necessary. With a `width`,
    /// lines have at most `width` characters if possible. If the picture is too wide, the method
    /// folds the cells within their columns. If the picture is still too wide, the method puts all
    /// threads into one column. If this picture is too wide as well, the method writes the locks
    /// and the state of the page below each step.
    pub fn draw(&self, width: Option<usize>) -> String {
        self.draw_marked(width, |_, line| line.to_owned())
    }

    /// Like [`draw`](Self::draw), but calls `paint` for each line that has a [`Mark`]. The picture
    /// has the text that `paint` returns in place of the line.
    pub fn draw_marked(&self, width: Option<usize>, paint: impl Fn(Mark, &str) -> String) -> String {
        let mut picture = match (Drawing::of(self, false), width) {
            (drawing, None) => drawing.draw(&paint),
            (drawing, Some(width)) => {
                let mut drawing = drawing.within(width);
                if drawing.width() > width {
                    drawing = Drawing::of(self, true).within(width);
                }
                if drawing.width() > width { self.stacked(width, &paint) } else { drawing.draw(&paint) }
            }
        };
        if !self.afterwards.is_empty() {
            let mut after = String::new();
            let text = format!("      afterwards: {}", self.afterwards.join(", "));
            push_folded(&mut after, &text, width, 2);
            let is_wrong = |line: &str| self.wrong.iter().any(|wrong| has(line, wrong));
            push_painted(&mut picture, &after, |line| is_wrong(line).then_some(Mark::Wrong), &paint);
        }
        let mut below = |text: &str| push_folded(&mut picture, &format!("      {text}"), width, 2);
        if self.lines.iter().any(|line| line.locks.contains(LockClass::Access.name())) {
            below(ACCESS);
        }
        picture
    }

    /// For the narrowest terminals: what a step does, and below it the locks and the page.
    fn stacked(&self, width: usize, paint: &impl Fn(Mark, &str) -> String) -> String {
        let mut picture = String::new();
        let mut last: Option<&Line> = None;
        for (index, line) in self.lines.iter().enumerate() {
            let is_new = last.is_none_or(|last| last.step != line.step);
            let step = if is_new { line.step.to_string() } else { String::new() };
            let does = format!("{step:>4} {} {}", letter(line.thread), line.text);
            let indent = does.len() - does.trim_start().len();
            let mut text = String::new();
            push_folded(&mut text, &does, Some(width), 9 - indent);
            if is_new && !line.locks.is_empty() {
                push_folded(&mut text, &format!("         {HOLDS}: {}", line.locks), Some(width), 2);
            }
            if last.is_none_or(|last| last.state != line.state) && !line.state.is_empty() {
                push_folded(&mut text, &format!("         page: {}", line.state), Some(width), 2);
            }
            push_painted(&mut picture, &text, |_| self.mark(index), paint);
            last = Some(line);
        }
        picture
    }

    /// Whether the line stands out.
    fn mark(&self, index: usize) -> Option<Mark> {
        let line = &self.lines[index];
        let shows = |line: &Line, wrong: &String| has(&line.text, wrong);
        // If several reads saw the same value, mark the last one: an earlier one may have been
        // right.
        let is_last = |wrong: &&String| {
            shows(line, wrong) && !self.lines[index + 1..].iter().any(|later| shows(later, wrong))
        };
        if self.wrong.iter().any(|wrong| is_last(&wrong)) {
            Some(Mark::Wrong)
        } else if self.overtaken.contains(&line.step) {
            Some(Mark::Overtaken)
        } else {
            None
        }
    }

    /// The cells: the number of the step, what each thread does, locks, pages. If threads share a
    /// column, their letters stand in a column of their own before it.
    fn rows(&self, shared: bool) -> Vec<Vec<String>> {
        let threads = if shared { 2 } else { self.threads };
        let letters = (0..threads).map(|thread| if shared { String::new() } else { letter(thread).into() });
        let head =
            std::iter::once("step".into()).chain(letters).chain([HOLDS.into(), "page".into()]).collect();
        let mut rows: Vec<Vec<String>> = vec![head];
        let mut last: Option<&Line> = None;
        for line in &self.lines {
            let is_new = last.is_none_or(|last| last.step != line.step);
            let mut row = vec![String::new(); threads + 3];
            row[if shared { 2 } else { 1 + line.thread }].clone_from(&line.text);
            if is_new {
                row[0] = format!("{:4}", line.step);
                row[1 + threads].clone_from(&line.locks);
            }
            if shared && last.is_none_or(|last| last.thread != line.thread) {
                row[1] = letter(line.thread).into();
            }
            if last.is_none_or(|last| last.state != line.state) {
                row[2 + threads].clone_from(&line.state);
            }
            rows.push(row);
            last = Some(line);
        }
        rows
    }
}

/// The head of the column of locks.
const HOLDS: &str = "holds, [gives up]";

/// Explains the one thing that is no lock, and yet waited for.
const ACCESS: &str = "(access: a load or store may be using a translation; a shootdown waits for its end)";

/// Blanks between columns.
const GAP: usize = 2;

/// The cells of a picture, and how wide its columns are.
struct Drawing {
    rows: Vec<Vec<String>>,
    /// Row by row. The first row is the head.
    marks: Vec<Option<Mark>>,
    widths: Vec<usize>,
    /// By column, how far a cell's further lines are indented.
    hangs: Vec<usize>,
}

impl Drawing {
    /// As wide as the cells are, except that very long descriptions of steps are folded.
    fn of(timeline: &Timeline, shared: bool) -> Self {
        let rows = timeline.rows(shared);
        let does = if shared { 2..3 } else { 1..1 + timeline.threads };
        let widest = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let doing = does.clone().map(widest).max().unwrap_or(0).clamp(24, 46);
        let columns = 0..rows[0].len();
        let hangs = columns.clone().map(|column| if does.contains(&column) { 2 } else { 0 }).collect();
        let widths =
            columns.map(|column| if does.contains(&column) { doing } else { widest(column) }).collect();
        let marks = (0..timeline.lines.len()).map(|index| timeline.mark(index));
        Self { rows, marks: std::iter::once(None).chain(marks).collect(), widths, hangs }
    }

    fn width(&self) -> usize {
        self.widths.iter().sum::<usize>() + GAP * (self.widths.len() - 1)
    }

    /// Narrows columns until a line fits, one column by one character at a time. It takes the
    /// column where that adds the fewest lines, and of several the widest. No column gets narrower
    /// than its longest word.
    fn within(mut self, most: usize) -> Self {
        while self.width() > most {
            let before = self.widths.clone();
            let mut best = None;
            for (column, &width) in before.iter().enumerate() {
                self.widths[column] -= 1;
                let is_folded = |row: &Vec<String>| {
                    self.cell(row, column).iter().all(|line| line.chars().count() <= self.widths[column])
                };
                if self.rows.iter().all(is_folded) {
                    let key = (self.height(), Reverse(width), column);
                    best = best.min(Some(key)).or(Some(key));
                }
                self.widths[column] = width;
            }
            let Some((.., column)) = best else { break };
            self.widths[column] -= 1;
        }
        self
    }

    fn cell(&self, row: &[String], column: usize) -> Vec<String> {
        fold(&row[column], self.widths[column], self.hangs[column])
    }

    /// How many lines the drawing has.
    fn height(&self) -> usize {
        let height = |row: &Vec<String>| (0..row.len()).map(|column| self.cell(row, column).len()).max();
        self.rows.iter().filter_map(height).sum()
    }

    fn draw(&self, paint: &impl Fn(Mark, &str) -> String) -> String {
        let mut picture = String::new();
        for (row, &mark) in self.rows.iter().zip(&self.marks) {
            let cells: Vec<Vec<String>> = (0..row.len()).map(|column| self.cell(row, column)).collect();
            let mut lines = String::new();
            push_row(&mut lines, &cells, &self.widths, GAP);
            push_painted(&mut picture, &lines, |_| mark, paint);
        }
        picture
    }
}

/// Appends lines. Lines with a mark go through `paint`.
fn push_painted(
    to: &mut String,
    lines: &str,
    mark: impl Fn(&str) -> Option<Mark>,
    paint: &impl Fn(Mark, &str) -> String,
) {
    for line in lines.lines() {
        match mark(line) {
            Some(mark) => to.push_str(&paint(mark, line)),
            None => to.push_str(line),
        }
        to.push('\n');
    }
}

/// The wrong value that a finding names: `sees 0x0`.
fn seen(finding: &str) -> Option<String> {
    let (_, value) = finding.split_once(" sees ")?;
    let value = value.split([' ', ',']).next()?;
    value.starts_with("0x").then(|| format!("sees {value}"))
}

/// Whether the text has exactly these words. The beginning of longer words does not count.
fn has(text: &str, words: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find(words) {
        rest = &rest[at + words.len()..];
        if !rest.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return true;
        }
    }
    false
}

/// The locks of the step: all that the thread held when the step began, or was granted in it. Locks
/// that it has released when the step ends are in brackets. The lock that it waits for is named
/// last.
fn locks(step: &Step<'_>) -> String {
    let mut locks: Vec<(&HeldLock, bool)> = step.given_up.iter().map(|lock| (lock, true)).collect();
    locks.extend(step.locks.iter().filter(|lock| lock.granted).map(|lock| (lock, false)));
    locks.sort_by_key(|(lock, _)| lock.id);
    let groups = locks.chunk_by(|one, next| one.1 == next.1).map(|group| {
        let names: Vec<&str> = group.iter().map(|(lock, _)| lock.request.name()).collect();
        let names = names.join(", ");
        if group[0].1 { format!("[{names}]") } else { names }
    });
    let mut text = groups.collect::<Vec<_>>().join(", ");
    if matches!(
        step.to,
        Place::Blocked(_) | Place::At(SchedulePoint::EntryContended | SchedulePoint::EntryAnnounced, ..)
    ) {
        for lock in step.locks.iter().filter(|lock| !lock.granted) {
            let _ =
                write!(text, "{}waits for {}", if text.is_empty() { "" } else { "; " }, lock.request.name());
        }
    }
    text
}

/// What a thread did when it went on from where it was. Locks that it asked for in this step came
/// after `newest`.
fn describe(world: &World<'_>, step: &Step<'_>, newest: Option<Id>) -> Option<String> {
    let Place::At(point, page, mapping) = step.from else {
        return matches!(step.from, Place::Ready(_)).then(|| "goes on".to_owned());
    };
    // A mapping of the scenario, by the address that the point names.
    let is_it = |map: &Mapping<'_>| Some(std::ptr::from_ref(map.vma()).addr()) == mapping;
    let map = world.maps().into_iter().find(|(_, map)| is_it(map));
    let map = map.map_or_else(String::new, |(number, _)| format!(" in M{number}"));
    Some(match point {
        SchedulePoint::Lock(class) => {
            let mut locks = step.locks.iter().chain(step.given_up);
            let asked = locks.find(|lock| lock.request.class == class && Some(lock.id) > newest);
            match asked.map(|lock| (&lock.request, lock.granted)) {
                Some((LockRequest { class: LockClass::Handle, exclusive: true, .. }, granted)) => {
                    if granted { "commits" } else { "is about to commit" }.into()
                }
                Some((request, true)) => format!("takes {request}"),
                Some((request, false)) => format!("asks for {request}"),
                // Released at once, and never held.
                None => format!("finds no {} of page {page} to take", class.name()),
            }
        }
        SchedulePoint::LookUp => format!("iomap_begin: looks page {page} up"),
        SchedulePoint::Publish => format!("publishes page {page} anew"),
        SchedulePoint::EntryInsert => format!("inserts an entry of page {page}"),
        SchedulePoint::EntryChange => format!("changes the entry of page {page}"),
        SchedulePoint::Translate => format!("translates page {page}"),
        SchedulePoint::Translated => "uses the translation".into(),
        SchedulePoint::Install => format!("maps page {page}"),
        SchedulePoint::Unmap => format!("unmaps page {page}{map}"),
        SchedulePoint::WriteProtect => format!("write-protects page {page}{map}"),
        SchedulePoint::Shootdown => "shoots down old translations".into(),
        SchedulePoint::Copy => "copies".into(),
        SchedulePoint::Flush => format!("writes page {page} back"),
        SchedulePoint::Resize => "changes the size".into(),
        SchedulePoint::Free => "gives blocks back".into(),
        SchedulePoint::Commit => "ends the commit: metadata are durable".into(),
        SchedulePoint::FaultLookedUp { write: false } => "(a read fault has its answer)".into(),
        SchedulePoint::FaultLookedUp { write: true } => "(a write fault has its answer)".into(),
        SchedulePoint::Invalidate => "(is about to invalidate again)".into(),
        SchedulePoint::LayoutBusy => "finds a page pinned".into(),
        SchedulePoint::WritePublished => "(is about to invalidate)".into(),
        SchedulePoint::PfnMkwrite => "(pfn_mkwrite: finds its entry as it was)".into(),
        SchedulePoint::EntryContended => "queues up for the entry".into(),
        SchedulePoint::EntryAnnounced if matches!(step.to, Place::Blocked(_)) => {
            "finds the entry locked".into()
        }
        SchedulePoint::EntryAnnounced => "finds the entry unlocked meanwhile".into(),
        SchedulePoint::Zero => format!("zeroes a part of page {page}"),
        SchedulePoint::Tag => "tags what is dirty".into(),
        point => format!("{point:?}"),
    })
}

fn waits(step: &Step<'_>) -> Option<String> {
    let Place::Blocked(wait) = step.to else { return None };
    Some(match wait {
        Wait::Lock => "waits".into(),
        Wait::WakeUp => "sleeps until it is woken".into(),
        Wait::CommitToEnd => "waits for the commit to end".into(),
        Wait::OpenHandles => "waits for open handles to stop".into(),
        Wait::Unpin => "waits for a page to be unpinned".into(),
        Wait::Accesses => "waits for accesses to end".into(),
    })
}

/// The state of the pages that the scenario names after a step. What is not there is left out.
fn state(world: &World<'_>) -> String {
    let mut state = Vec::new();
    for (index, file) in world.files.iter().enumerate() {
        let pages = world.pages(index);
        for &page in &pages {
            let mut text = String::new();
            if world.files.len() > 1 {
                let _ = write!(text, "file {index} ");
            }
            if pages.len() > 1 {
                let _ = write!(text, "page {page} ");
            }
            text.push_str(&describe_page(file.inode(), page));
            for (map, mapping) in world.maps() {
                let pte = mapping.vma().pages.translate(page);
                if world.scenario.maps[map].file == index && pte.is_present() {
                    let _ = write!(text, "; M{map} {pte:?}");
                }
            }
            state.push(text);
        }
    }
    state.join(" | ")
}

fn describe_page(inode: &Inode, page: u64) -> String {
    let mut text = match inode.extents.look_up(page) {
        Extent::Hole => "hole".into(),
        Extent::Unwritten(block) => format!("unwritten block {block}"),
        Extent::Written(block) => format!("block {block}"),
        Extent::Shared(block) => format!("shared block {block}"),
    };
    if let Some(present) = inode.entries.present(page, page).next() {
        text.push_str(match present.entry {
            DaxEntry::Empty => "; entry empty",
            DaxEntry::ZeroPage => "; entry zero page",
            DaxEntry::Block { dirty: false, .. } => "; entry block",
            DaxEntry::Block { dirty: true, .. } => "; entry block, dirty",
        });
        if present.locked {
            text.push_str(", locked");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::scenario;
    use crate::variant::Variant;

    /// The last step in which a thread did this, and the locks that it held in it.
    #[track_caller]
    fn holds(timeline: &Timeline, thread: usize, text: &str) -> (u32, String) {
        let mut lines = timeline.lines.iter().rev();
        let line = lines.find(|line| line.thread == thread && line.text.trim() == text);
        let line = line.unwrap_or_else(|| panic!("no `{text}` in\n{}", timeline.draw(None)));
        (line.step, line.locks.clone())
    }

    #[track_caller]
    fn timeline(name: &str, variant: Variant, seed: &str) -> Timeline {
        let seed: Seed = seed.parse().unwrap();
        let timeline = Timeline::of(scenario(name).unwrap(), variant, &seed).unwrap();
        assert_eq!(timeline.failure.seed, seed, "some of it cannot be done");
        timeline
    }

    /// The first race of Kara's 2017 e-mail: no lock stands there before it is granted, or after it
    /// is released.
    #[test]
    fn a_lock_is_held_from_the_step_that_grants_it_to_the_one_that_gives_it_up() {
        let race = timeline("write-vs-read-fault", Variant::Linux411, "0B-5A");
        for (thread, text, locks) in [
            (0, "takes i_rwsem exclusive", "i_rwsem"),
            (0, "takes journal handle", "i_rwsem, journal handle"),
            (0, "takes i_data_sem exclusive", "i_rwsem, journal handle, i_data_sem"),
            (0, "publishes page 0 anew", "i_rwsem, [journal handle, i_data_sem]"),
            (0, "(is about to invalidate)", "i_rwsem"),
            (0, "copies", "[i_rwsem]"),
            // There is no entry yet, and so its lock is not held.
            (1, "asks for entry lock of page 0", "mmap_lock, i_mmap_sem"),
            (1, "inserts an entry of page 0", "mmap_lock, i_mmap_sem, entry lock"),
            (1, "changes the entry of page 0", "mmap_lock, i_mmap_sem, entry lock"),
            (1, "maps page 0", "[mmap_lock, i_mmap_sem, entry lock], access"),
            (1, "uses the translation", "[access]"),
        ] {
            assert_eq!(holds(&race, thread, text).1, locks, "{text}\n{}", race.draw(None));
        }
        for line in &race.lines {
            let is_locked = line.state.ends_with("locked");
            let is_held = line.locks.contains("entry lock") && !line.locks.contains("entry lock]");
            assert_eq!(is_held, is_locked, "step {}\n{}", line.step, race.draw(None));
        }
    }

    /// A stores and holds the entry lock when B's load comes for it.
    #[test]
    fn a_lock_that_is_waited_for_is_not_held() {
        let race = timeline("read-fault-vs-write-fault", Variant::Linux412, "8B");
        let before = "mmap_lock, i_mmap_sem";
        let (asked, locks) = holds(&race, 1, "asks for entry lock of page 0");
        assert_eq!(locks, format!("{before}; waits for entry lock"));
        let (found, locks) = holds(&race, 1, "finds the entry locked");
        assert_eq!(locks, format!("{before}; waits for entry lock"));
        assert_eq!(holds(&race, 1, "sleeps until it is woken").0, found);
        let (given_up, locks) = holds(&race, 0, "maps page 0");
        assert!(locks.ends_with("entry lock], access"), "{locks}");
        let (granted, locks) = holds(&race, 1, "goes on");
        assert_eq!(locks, format!("{before}, entry lock"));
        assert!(asked < found && found < given_up && given_up < granted, "{}", race.draw(None));
        // The same for a rwsem: A's write(2) holds it, and B's waits.
        let race = timeline("crossing-writers", Variant::Rwsem, "2B");
        assert_eq!(holds(&race, 1, "asks for i_rwsem exclusive").1, "waits for i_rwsem");
        assert_eq!(holds(&race, 1, "goes on").1, "i_rwsem");
    }

    #[test]
    fn a_picture_fits_the_terminal_and_loses_no_word() {
        for (name, variant, seed) in [
            ("write-vs-read-fault", Variant::Linux411, "0B-5A"),
            ("clone-vs-store", Variant::RangeLock, "0B"),
            ("crossing-writers", Variant::RwsemCopy, "0B"),
            ("wake-up", Variant::Linux411, "2B"),
        ] {
            let timeline = timeline(name, variant, seed);
            // Except for the letters, which stand beside what threads do if they share a column.
            let words = |text: &str| {
                let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                words.retain(|word| !["A", "B", "C"].contains(&word.as_str()));
                words.sort();
                words
            };
            let whole = timeline.draw(None);
            for width in [30, 40, 60, 80, 120, 250] {
                let drawn = timeline.draw(Some(width));
                let widest = drawn.lines().map(|line| line.chars().count()).max().unwrap();
                assert!(widest <= width, "{widest} of {width}\n{drawn}");
                if width < 60 {
                    // Each line brings its own heads.
                    assert!(
                        words(&whole).iter().filter(|word| *word != "step").all(|word| drawn.contains(word)),
                        "{drawn}"
                    );
                    continue;
                }
                assert_eq!(words(&drawn), words(&whole), "{width}\n{drawn}");
            }
        }
    }

    /// The look-up that is overtaken, and the value that must not be seen.
    #[test]
    fn the_steps_that_matter_stand_out() {
        let race = timeline("write-vs-read-fault", Variant::Linux411, "0B-5A");
        for width in [None, Some(80), Some(40)] {
            let painted = race.draw_marked(width, |mark, line| format!("{mark:?}{line}"));
            let marked = |mark: &str| -> Vec<String> {
                painted.lines().filter_map(|line| Some(line.strip_prefix(mark)?.to_owned())).collect()
            };
            let overtaken = marked("Overtaken").join(" ");
            assert!(overtaken.trim_start().starts_with("5 "), "{overtaken}");
            assert!(overtaken.contains("iomap_begin:"), "{overtaken}");
            let wrong = marked("Wrong").join(" ");
            assert!(wrong.contains("sees 0x0") && !wrong.contains("0xa1 written"), "{wrong}");
            let plain = painted.replace("Overtaken", "").replace("Wrong", "");
            assert_eq!(plain, race.draw(width), "{width:?}");
        }
        assert!(has("sees 0x0, and", "sees 0x0") && !has("sees 0x01", "sees 0x0"));
        assert_eq!(seen("the last load sees 0x0 at byte 0").as_deref(), Some("sees 0x0"));
        assert_eq!(seen("sees what the file has"), None);
    }

    #[test]
    fn what_is_unmapped_is_told_with_the_mapping() {
        let drawn = timeline("clone-vs-store", Variant::Linux412, "0B").draw(None);
        assert!(drawn.contains("unmaps page 0 in M0") && drawn.contains("unmaps page 0 in M1"), "{drawn}");
        let drawn = timeline("fsync-vs-store", Variant::Linux412, "0").draw(None);
        assert!(drawn.contains("write-protects page 0 in M1"), "{drawn}");
    }
}
