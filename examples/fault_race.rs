//! The race of Jan Kara's mail, step by step: a read fault has looked up "hole", and write(2) allocates the block before the
//! fault installs what it saw. Printed as the mail draws it, one column for each CPU: in Linux 4.11's order, where the reader
//! goes on seeing zeros, and with the range lock, where the writer waits until the fault is done.
//!
//! ```text
//! cargo run --release -p range-lock-examples --bin fault_race [VARIANT...]
//! ```

use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;

use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::{Schedule, SchedulePoint};
use dax_sim::variant::Variant;

/// What the writer stores and the reader should see.
const DATA: u64 = 0x4441_5441;

const WIDTH: usize = 44;

/// What each CPU did, in the order in which it happened.
#[derive(Clone, Default)]
struct Timeline(Arc<Mutex<Vec<(Cpu, String)>>>);

#[derive(Clone, Copy, PartialEq)]
enum Cpu {
    Writer,
    Reader,
}

impl Timeline {
    fn note(&self, cpu: Cpu, step: impl Into<String>) {
        self.0.lock().unwrap().push((cpu, step.into()));
    }

    fn print(&self) {
        println!("{:WIDTH$}  CPU2 - read fault", "CPU1 - write(2)");
        for (cpu, step) in self.0.lock().unwrap().iter() {
            match cpu {
                Cpu::Writer => println!("{step}"),
                Cpu::Reader => println!("{:WIDTH$}  {step}", ""),
            }
        }
    }
}

/// Holds the reader's fault between look-up and installation until the writer has returned or must wait, and notes the steps
/// between.
struct Director {
    timeline: Timeline,
    /// To the writer: the fault has looked up. Nobody listens the second time.
    looked_up: Sender<()>,
    /// From the writer: it has returned, or is about to wait.
    progress: Mutex<Receiver<()>>,
    /// The writer's end of `progress`, for the points at which it waits.
    about_to_wait: Sender<()>,
}

impl Director {
    fn pass(&self, point: SchedulePoint) {
        match point {
            SchedulePoint::FaultLookedUp { write: false } if self.looked_up.send(()).is_ok() => {
                self.timeline.note(Cpu::Reader, "  iomap_begin: a hole");
                let _ = self.progress.lock().unwrap().recv();
                self.timeline.note(Cpu::Reader, "  installs that answer: the zero page");
            }
            SchedulePoint::FaultLookedUp { write: false } => {
                self.timeline.note(Cpu::Reader, "  faults again, iomap_begin: the block");
            }
            SchedulePoint::WritePublished => {
                self.timeline.note(Cpu::Writer, "  iomap_begin: allocates the block");
                self.timeline.note(Cpu::Writer, "  invalidates what is mapped");
            }
            SchedulePoint::IMmapSemContended => self.writer_waits("i_mmap_sem"),
            SchedulePoint::EntryContended => self.writer_waits("the entry lock"),
            _ => {}
        }
    }

    fn writer_waits(&self, lock: &str) {
        self.timeline.note(Cpu::Writer, format!("  waits for {lock}"));
        let _ = self.about_to_wait.send(()); // Nobody listens once the fault is done.
    }
}

/// Plays the scene in `variant`; returns whether the reader goes on seeing what was there before the write.
fn play(variant: Variant) -> Result<bool, Box<dyn std::error::Error>> {
    let timeline = Timeline::default();
    let (looked_up, go) = mpsc::channel();
    let (returned, progress) = mpsc::channel();
    let director = Director {
        timeline: timeline.clone(),
        looked_up,
        progress: Mutex::new(progress),
        about_to_wait: returned.clone(),
    };
    let schedule = Schedule::hook(move |point, _page| director.pass(point));

    let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false })?;
    let fs = FileSystem::format(&device, variant).with_schedule(schedule);
    let file = fs.create();
    file.truncate(BLOCK_SIZE)?;
    let mapping = file.mmap(0..BLOCK_SIZE);

    thread::scope(|scope| {
        let (file, timeline) = (&file, &timeline);
        scope.spawn(move || {
            let told = go.recv();
            drop(go); // Only the first fault is held.
            if told.is_ok() {
                timeline.note(Cpu::Writer, "write(2) of a page");
                let page = DATA.to_le_bytes().repeat(BLOCK_SIZE as usize / 8);
                let written = file.write_at(&page, 0);
                timeline.note(Cpu::Writer, format!("  returns {}", written.unwrap_or(0)));
                let _ = returned.send(()); // Nobody listens if the fault did not wait for this.
            }
        });
        timeline.note(Cpu::Reader, "loads from the page: fault");
        let first = mapping.load_u64(0)?;
        timeline.note(Cpu::Reader, format!("  the load sees {first:#x}"));
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;

    let seen = mapping.load_u64(0)?;
    let stale = seen != DATA;
    let verdict = if stale { "STALE" } else { "what was written" };
    timeline.note(Cpu::Reader, format!("loads again: {seen:#x}, {verdict}"));
    println!("{variant}\n");
    timeline.print();
    println!();
    Ok(stale)
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
            Ok(stale) if stale && variant.is_correct() => {
                eprintln!("fault_race: a stale read in {variant}, which must not have any");
                return ExitCode::FAILURE;
            }
            Ok(_) => {}
            Err(error) => {
                eprintln!("fault_race: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}
