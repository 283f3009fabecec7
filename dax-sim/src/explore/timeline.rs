//! A schedule as a picture: one column for each thread, and beside each step the locks that its thread holds and
//! what the page is.

use std::fmt::Write as _;

use super::cell::{Failure, replay};
use super::engine::{Place, Step};
use super::letter;
use super::scenario::Scenario;
use super::seed::Seed;
use super::world::World;
use crate::check::ranks::HeldLock;
use crate::dax::DaxEntry;
use crate::fs::{Extent, Inode};
use crate::pmem::DeviceError;
use crate::schedule::{SchedulePoint, Wait};
use crate::variant::Variant;

/// A schedule, told step by step.
#[derive(Clone, Debug)]
pub struct Timeline {
    /// What went wrong, if anything did.
    pub failure: Failure,
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
        let (failure, afterwards) = replay(scenario, variant, seed, &mut |world, step| {
            number += 1;
            let locks = held(&step);
            let state = state(world);
            let mut texts: Vec<String> =
                describe(&step).into_iter().map(|text| format!("  {text}")).collect();
            texts.extend(world.notes());
            texts.extend(waits(&step).map(|text| format!("  {text}")));
            for text in texts {
                let (locks, state) = (locks.clone(), state.clone());
                lines.push(Line { step: number, thread: step.thread, text, locks, state });
            }
        })?;
        Ok(Self { failure, threads: scenario.threads.len(), lines, afterwards })
    }

    /// The picture.
    pub fn draw(&self) -> String {
        let width = self.lines.iter().map(|line| line.text.chars().count()).max().unwrap_or(0).clamp(24, 46);
        let locks_width = self.lines.iter().map(|line| line.locks.chars().count()).max().unwrap_or(0).max(5);
        let mut picture = String::from("step  ");
        for thread in 0..self.threads {
            let _ = write!(picture, "{:width$}  ", letter(thread));
        }
        let _ = writeln!(picture, "{:locks_width$}  page", "holds");
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

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        text.to_owned()
    } else {
        text.chars().take(width - 1).chain(['…']).collect()
    }
}

fn held(step: &Step<'_>) -> String {
    let mut locks: Vec<&HeldLock> = step.locks.iter().collect();
    if matches!(step.to, Place::Blocked(wait) if wait != Wait::Unpin) {
        // It does not hold what it waits for.
        locks.pop();
    }
    let names: Vec<&str> = locks.iter().map(|lock| lock.request.class.name()).collect();
    names.join(", ")
}

/// What a thread did when it went on from where it was.
fn describe(step: &Step<'_>) -> Option<String> {
    let Place::At(point, page) = step.from else {
        return matches!(step.from, Place::Ready(_)).then(|| "goes on".to_owned());
    };
    let blocked = matches!(step.to, Place::Blocked(_));
    Some(match point {
        SchedulePoint::Lock(class) => {
            let asked = step.locks.iter().rev().find(|lock| lock.request.class == class);
            let what = asked.map_or_else(|| class.name().to_owned(), |lock| lock.request.to_string());
            format!("{} {what}", if blocked { "asks for" } else { "takes" })
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
        SchedulePoint::FaultLookedUp { write: false } => "(a read fault has its answer)".into(),
        SchedulePoint::FaultLookedUp { write: true } => "(a write fault has its answer)".into(),
        SchedulePoint::Invalidate => "(is about to invalidate again)".into(),
        SchedulePoint::LayoutBusy => "finds a page pinned".into(),
        SchedulePoint::WritePublished => "(is about to invalidate)".into(),
        SchedulePoint::PfnMkwrite => "(pfn_mkwrite: finds its entry as it was)".into(),
        SchedulePoint::EntryContended => "finds the entry locked".into(),
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
