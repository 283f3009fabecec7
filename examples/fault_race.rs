//! Plays the race of [Kara's 2017 e-mail] step by step: a read fault has looked up "hole", and
//! write(2) allocates the block before the fault installs what it saw. The output has the form of
//! the e-mail, with one column for each CPU. In Linux 4.11's order the reader goes on seeing zeros.
//! With the range lock the writer waits until the fault is done.
//!
//! [Kara's 2017 e-mail]: https://lore.kernel.org/r/20170426085235.GA21738@quack2.suse.cz
//!
//! ```text
//! cargo run --release -p range-lock-examples --bin fault_race [VARIANT...]
//! ```

use std::cell::Cell;
use std::fmt::Write;
use std::process::ExitCode;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::{Schedule, SchedulePoint};
use dax_sim::variant::Variant;

/// What the writer stores and the reader should see.
const DATA: u64 = 0x4441_5441;

const WIDTH: usize = 44;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Cpu {
    Writer,
    Reader,
}

thread_local! {
    /// Which of the two CPUs this thread plays, if any.
    static CPU: Cell<Option<Cpu>> = const { Cell::new(None) };
}

/// Orders the two threads, and records what they do.
///
/// One thread has the turn, and the other one stands still at its next schedule point. The thread
/// that takes a step records it while it has the turn. So the steps are recorded in the order in
/// which they happen.
struct Director {
    scene: Mutex<Scene>,
    turn_changed: Condvar,
}

struct Scene {
    turn: Cpu,
    /// The threads that have played their parts. No other thread waits for them.
    ended: Vec<Cpu>,
    reader_looked_up: bool,
    /// What each CPU did, in the order in which it happened.
    steps: Vec<(Cpu, String)>,
}

impl Director {
    fn new() -> Self {
        let scene =
            Scene { turn: Cpu::Reader, ended: Vec::new(), reader_looked_up: false, steps: Vec::new() };
        Self { scene: Mutex::new(scene), turn_changed: Condvar::new() }
    }

    /// Waits until this thread has the turn.
    fn turn(&self, cpu: Cpu) -> MutexGuard<'_, Scene> {
        let must_wait = |scene: &mut Scene| scene.turn != cpu && scene.ended.is_empty();
        // A thread that panics ends its part, and the other one goes on.
        let scene = self.scene.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn_changed.wait_while(scene, must_wait).unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, cpu: Cpu, step: impl Into<String>) {
        self.turn(cpu).steps.push((cpu, step.into()));
    }

    /// Records a step, then gives the turn to the other thread.
    fn note_and_give(&self, cpu: Cpu, step: impl Into<String>) {
        let mut scene = self.turn(cpu);
        scene.steps.push((cpu, step.into()));
        scene.turn = if cpu == Cpu::Reader { Cpu::Writer } else { Cpu::Reader };
        drop(scene);
        self.turn_changed.notify_all();
    }

    /// Called when a thread passes a schedule point. The reader's fault is held between look-up and
    /// installation until the writer has returned or must wait. A writer that must wait is held
    /// until the reader has loaded.
    fn pass(&self, point: SchedulePoint) {
        let Some(cpu) = CPU.get() else { return };
        let looked_up = self.turn(cpu).reader_looked_up;
        match point {
            SchedulePoint::FaultLookedUp { write: false } if !looked_up => {
                self.turn(cpu).reader_looked_up = true;
                self.note_and_give(cpu, "  iomap_begin: a hole");
                self.note(cpu, "  installs that answer: the zero page");
            }
            SchedulePoint::FaultLookedUp { write: false } => {
                self.note(cpu, "  faults again, iomap_begin: the block");
            }
            SchedulePoint::WritePublished => {
                self.note(cpu, "  iomap_begin: allocates the block");
                self.note(cpu, "  invalidates what is mapped");
            }
            SchedulePoint::IMmapSemContended => self.note_and_give(cpu, "  waits for i_mmap_sem"),
            SchedulePoint::EntryContended => self.note_and_give(cpu, "  waits for the entry lock"),
            _ => {}
        }
    }

    /// Begins the part of this thread, which ends when the result is dropped.
    fn play(&self, cpu: Cpu) -> Part<'_> {
        CPU.set(Some(cpu));
        Part { director: self, cpu }
    }
}

/// The part of one thread. When it ends, in whatever way, the other thread no longer waits for it.
struct Part<'a> {
    director: &'a Director,
    cpu: Cpu,
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        CPU.set(None);
        let scene = self.director.scene.lock();
        scene.unwrap_or_else(PoisonError::into_inner).ended.push(self.cpu);
        self.director.turn_changed.notify_all();
    }
}

/// The steps, one column for each CPU.
fn picture(steps: &[(Cpu, String)]) -> String {
    let mut picture = format!("{:WIDTH$}  CPU2 - read fault\n", "CPU1 - write(2)");
    for (cpu, step) in steps {
        match cpu {
            Cpu::Writer => writeln!(picture, "{step}"),
            Cpu::Reader => writeln!(picture, "{:WIDTH$}  {step}", ""),
        }
        .expect("a string takes everything");
    }
    picture
}

/// Plays the scene in `variant`. Returns its picture, and whether the reader goes on seeing what
/// was there before the write.
fn play(variant: Variant) -> Result<(String, bool), Box<dyn std::error::Error>> {
    let director = Arc::new(Director::new());
    let hook = Arc::clone(&director);
    let schedule = Schedule::hook(move |point, _page| hook.pass(point));

    let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false })?;
    let fs = FileSystem::format(&device, variant).with_schedule(schedule);
    let file = fs.create();
    file.truncate(BLOCK_SIZE)?;
    let mapping = file.mmap(0..BLOCK_SIZE);

    thread::scope(|scope| {
        let (file, director) = (&file, &director);
        scope.spawn(move || {
            let _part = director.play(Cpu::Writer);
            director.note(Cpu::Writer, "write(2) of a page");
            let page = DATA.to_le_bytes().repeat(BLOCK_SIZE as usize / 8);
            let written = file.write_at(&page, 0);
            director.note_and_give(Cpu::Writer, format!("  returns {}", written.unwrap_or(0)));
        });
        let _part = director.play(Cpu::Reader);
        director.note(Cpu::Reader, "loads from the page: fault");
        let first = mapping.load_u64(0)?;
        director.note(Cpu::Reader, format!("  the load sees {first:#x}"));
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;

    // The writer has ended, and the reader goes on alone.
    let _part = director.play(Cpu::Reader);
    let seen = mapping.load_u64(0)?;
    let stale = seen != DATA;
    let verdict = if stale { "STALE" } else { "what was written" };
    director.note(Cpu::Reader, format!("loads again: {seen:#x}, {verdict}"));
    let picture = picture(&director.turn(Cpu::Reader).steps);
    Ok((picture, stale))
}

fn main() -> ExitCode {
    let named: Result<Vec<Variant>, _> = std::env::args().skip(1).map(|name| name.parse()).collect();
    let variants = match named {
        Ok(variants) if variants.is_empty() => vec![Variant::Linux411, Variant::RangeLock],
        Ok(variants) => variants,
        Err(message) => {
            eprintln!("fault_race: {message}");
            return ExitCode::from(2);
        }
    };
    for variant in variants {
        match play(variant) {
            Ok((picture, stale)) => {
                println!("{variant}\n\n{picture}");
                if stale && variant.is_correct() {
                    eprintln!("fault_race: a stale read in {variant}, which must not have any");
                    return ExitCode::FAILURE;
                }
            }
            Err(error) => {
                eprintln!("fault_race: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX_4_11: &str = "
CPU1 - write(2)                               CPU2 - read fault
                                              loads from the page: fault
                                                iomap_begin: a hole
write(2) of a page
  iomap_begin: allocates the block
  invalidates what is mapped
  returns 4096
                                                installs that answer: the zero page
                                                the load sees 0x0
                                              loads again: 0x0, STALE
";

    const RANGE_LOCK: &str = "
CPU1 - write(2)                               CPU2 - read fault
                                              loads from the page: fault
                                                iomap_begin: a hole
write(2) of a page
  waits for i_mmap_sem
                                                installs that answer: the zero page
                                                the load sees 0x0
  iomap_begin: allocates the block
  invalidates what is mapped
  returns 4096
                                                faults again, iomap_begin: the block
                                              loads again: 0x44415441, what was written
";

    const LINUX_4_12: &str = "
CPU1 - write(2)                               CPU2 - read fault
                                              loads from the page: fault
                                                iomap_begin: a hole
write(2) of a page
  iomap_begin: allocates the block
  invalidates what is mapped
  waits for the entry lock
                                                installs that answer: the zero page
                                                the load sees 0x0
  returns 4096
                                                faults again, iomap_begin: the block
                                              loads again: 0x44415441, what was written
";

    #[test]
    fn steps_are_noted_in_the_order_in_which_they_happen() {
        for _ in 0..100 {
            for (variant, expected) in [
                (Variant::Linux411, LINUX_4_11),
                (Variant::InvalidateTwice, LINUX_4_11),
                (Variant::Linux412, LINUX_4_12),
                (Variant::Rwsem, RANGE_LOCK),
                (Variant::RangeLock, RANGE_LOCK),
            ] {
                let (picture, stale) = play(variant).unwrap();
                assert_eq!(picture, expected[1..], "{variant}");
                assert_eq!(stale, !variant.is_coherent());
            }
        }
    }

    #[test]
    fn every_variant_comes_to_its_end() {
        for variant in Variant::ALL.into_iter().filter(|variant| variant.is_in_order()) {
            assert_eq!(play(variant).unwrap().0, play(variant).unwrap().0, "{variant}");
        }
    }
}
