//! A schedule as a picture: one column for each thread, and beside each step the locks that its thread held in it and
//! what the page is after it.
//!
//! A lock stands beside every step from the one in which it was granted to the one in which it was given up; it is
//! in brackets there. One that is asked for is not held, however often the thread stops before it is granted: so the
//! lock of an entry that is locked, or that is still to be inserted.

use std::fmt::Write as _;

use super::cell::{Failure, Replayed, replay};
use super::engine::{Place, Step};
use super::letter;
use super::scenario::Scenario;
use super::seed::Seed;
use super::world::World;
use crate::check::ranks::{HeldLock, Id};
use crate::dax::DaxEntry;
use crate::fs::{CopyRetries, Extent, Inode};
use crate::pmem::DeviceError;
use crate::schedule::{LockClass, LockRequest, SchedulePoint, Wait};
use crate::variant::Variant;

/// A schedule, told step by step.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// What went wrong, if anything did.
    pub failure: Failure,
    /// How often write(2) had to copy again.
    pub copy_retries: CopyRetries,
    threads: usize,
    lines: Vec<Line>,
    /// What the operations did that came when all threads had ended.
    afterwards: Vec<String>,
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
    /// Runs the schedule of a seed once more, and listens.
    ///
    /// # Errors
    ///
    /// If there is no memory for the device.
    pub fn of(scenario: &'static Scenario, variant: Variant, seed: &Seed) -> Result<Self, DeviceError> {
        let mut lines: Vec<Line> = Vec::new();
        let mut number = 0;
        let mut newest = None;
        let replayed = replay(scenario, variant, seed, &mut |world, step| {
            number += 1;
            let locks = locks(&step);
            let state = state(world);
            let mut texts: Vec<String> =
                describe(&step, newest).into_iter().map(|text| format!("  {text}")).collect();
            texts.extend(world.notes());
            texts.extend(waits(&step).map(|text| format!("  {text}")));
            newest = step.locks.iter().chain(step.given_up).map(|lock| lock.id).chain(newest).max();
            for text in texts {
                let (locks, state) = (locks.clone(), state.clone());
                lines.push(Line { step: number, thread: step.thread, text, locks, state });
            }
        })?;
        let Replayed { failure, copy_retries, afterwards } = replayed;
        Ok(Self { failure, copy_retries, threads: scenario.threads.len(), lines, afterwards })
    }

    /// The picture.
    pub fn draw(&self) -> String {
        let width = self.lines.iter().map(|line| line.text.chars().count()).max().unwrap_or(0).clamp(24, 46);
        let locks_width =
            self.lines.iter().map(|line| line.locks.chars().count()).max().unwrap_or(0).max(HOLDS.len());
        let mut picture = String::from("step  ");
        for thread in 0..self.threads {
            let _ = write!(picture, "{:width$}  ", letter(thread));
        }
        let _ = writeln!(picture, "{HOLDS:locks_width$}  page");
        let mut last: Option<&Line> = None;
        for line in &self.lines {
            let is_new = last.is_none_or(|last| last.step != line.step);
            let mut row = if is_new { format!("{:4}  ", line.step) } else { " ".repeat(6) };
            for thread in 0..self.threads {
                let text = if thread == line.thread { cut(&line.text, width) } else { String::new() };
                let _ = write!(row, "{text:width$}  ");
            }
            if is_new {
                let _ = write!(row, "{:locks_width$}  ", line.locks);
            }
            if last.is_none_or(|last| last.state != line.state) {
                if !is_new {
                    let _ = write!(row, "{:locks_width$}  ", "");
                }
                row.push_str(&line.state);
            }
            picture.push_str(row.trim_end());
            picture.push('\n');
            last = Some(line);
        }
        if !self.afterwards.is_empty() {
            let _ = writeln!(picture, "      afterwards: {}", self.afterwards.join(", "));
        }
        picture
    }
}

/// The head of the column of locks.
const HOLDS: &str = "holds, [gives up]";

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        text.to_owned()
    } else {
        text.chars().take(width - 1).chain(['…']).collect()
    }
}

/// What the thread held in the step: all that it held when the step began, or was granted in it; in brackets what
/// it has given up when the step ends. What it waits for then is named last.
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
    if matches!(step.to, Place::Blocked(_) | Place::At(SchedulePoint::EntryContended, _)) {
        for lock in step.locks.iter().filter(|lock| !lock.granted) {
            let _ =
                write!(text, "{}waits for {}", if text.is_empty() { "" } else { "; " }, lock.request.name());
        }
    }
    text
}

/// What a thread did when it went on from where it was. What it asked for in this step came after `newest`.
fn describe(step: &Step<'_>, newest: Option<Id>) -> Option<String> {
    let Place::At(point, page) = step.from else {
        return matches!(step.from, Place::Ready(_)).then(|| "goes on".to_owned());
    };
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
                // Given up at once, and never held.
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
        SchedulePoint::Unmap => format!("unmaps page {page}"),
        SchedulePoint::WriteProtect => format!("write-protects page {page}"),
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
        SchedulePoint::EntryContended if matches!(step.to, Place::Blocked(_)) => {
            "finds the entry locked".into()
        }
        SchedulePoint::EntryContended => "finds the entry unlocked meanwhile".into(),
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

/// What the pages that the scenario names are after a step. What is not there is left out.
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
            for (map, mapping) in world.maps.iter().enumerate() {
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

    /// The last step of a thread's that says so, and what the thread held in it.
    #[track_caller]
    fn holds(timeline: &Timeline, thread: usize, text: &str) -> (u32, String) {
        let mut lines = timeline.lines.iter().rev();
        let line = lines.find(|line| line.thread == thread && line.text.trim() == text);
        let line = line.unwrap_or_else(|| panic!("no `{text}` in\n{}", timeline.draw()));
        (line.step, line.locks.clone())
    }

    #[track_caller]
    fn timeline(name: &str, variant: Variant, seed: &str) -> Timeline {
        let seed: Seed = seed.parse().unwrap();
        let timeline = Timeline::of(scenario(name).unwrap(), variant, &seed).unwrap();
        assert_eq!(timeline.failure.seed, seed, "some of it cannot be done");
        timeline
    }

    /// The first race of the mail: no lock stands there before it is granted, or after it is given up.
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
            // There is no entry yet, and so no lock of it.
            (1, "asks for entry lock of page 0", "mmap_lock, i_mmap_sem"),
            (1, "inserts an entry of page 0", "mmap_lock, i_mmap_sem, entry lock"),
            (1, "changes the entry of page 0", "mmap_lock, i_mmap_sem, entry lock"),
            (1, "maps page 0", "[mmap_lock, i_mmap_sem, entry lock], access"),
            (1, "uses the translation", "[access]"),
        ] {
            assert_eq!(holds(&race, thread, text).1, locks, "{text}\n{}", race.draw());
        }
        for line in &race.lines {
            let is_locked = line.state.ends_with("locked");
            let is_held = line.locks.contains("entry lock") && !line.locks.contains("entry lock]");
            assert_eq!(is_held, is_locked, "step {}\n{}", line.step, race.draw());
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
        assert!(asked < found && found < given_up && given_up < granted, "{}", race.draw());
        // And a rwsem: A's write(2) holds it, B's waits.
        let race = timeline("crossing-writers", Variant::Rwsem, "2B");
        assert_eq!(holds(&race, 1, "asks for i_rwsem exclusive").1, "waits for i_rwsem");
        assert_eq!(holds(&race, 1, "goes on").1, "i_rwsem");
    }
}
