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

#[path = "fault_race/director.rs"]
mod director;
#[cfg(test)]
#[path = "fault_race/tests.rs"]
mod tests;

use std::fmt::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use dax_sim::fs::FileSystem;
use dax_sim::pmem::{BLOCK_SIZE, Device, DeviceOptions};
use dax_sim::schedule::Schedule;
use dax_sim::variant::Variant;
use director::{Cpu, Director};

/// What the writer stores and the reader should see.
const DATA: u64 = 0x4441_5441;

const WIDTH: usize = 44;

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
