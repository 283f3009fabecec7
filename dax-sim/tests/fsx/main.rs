//! Random operations in the manner of xfstests' fsx: what the simulator holds, what a model in
//! memory holds, and what a real file holds, must be the same bytes.

mod model;
mod op;
mod real;
mod simulated;

use std::fs;
use std::path::Path;
use std::process::Command;

use dax_sim::fs::{DataMode, FileSystem};
use dax_sim::pmem::{Device, DeviceOptions};
use dax_sim::schedule::Schedule;
use dax_sim::variant::Variant;
use sha2::{Digest, Sha256};

use model::Model;
use op::{Generator, LARGE, Op, SMALL, Sizes, Verb};
use real::Real;
use simulated::{Fault, Simulated};

/// What operations are done to.
trait Subject {
    /// Does the operation; returns the bytes of a read.
    fn apply(&mut self, number: u64, op: &Op) -> Vec<u8>;
    /// All of the file.
    fn contents(&mut self) -> Vec<u8>;
}

/// Operations in each random run. `.ci/long` asks for a million.
fn ops() -> u64 {
    std::env::var("DAX_SIM_FSX_OPS").map_or(12_000, |text| text.parse().expect("a number of operations"))
}

/// What an operation of this number writes there.
fn bytes(number: u64, offset: u64, len: u64) -> Vec<u8> {
    (offset..offset + len).map(|at| ((number * 31 + at) % 251) as u8).collect()
}

fn device(sizes: Sizes) -> Device {
    Device::open(&DeviceOptions { path: None, size: 4 * sizes.max, overwrite: false }).unwrap()
}

/// Two variants take locks in a wrong order by design, so their threads can deadlock (`dax-sim
/// race` shows it). In `entry-lock-outside` a fault does so whenever it allocates. In `rwsem-copy`
/// the copy does so whenever it faults. A single thread cannot deadlock. Its buffers are mappings
/// of another file, and it must find the right bytes.
fn format(device: &Device, variant: Variant) -> FileSystem<'_> {
    FileSystem::format(device, variant).with_schedule(Schedule::none().with_checks(variant.is_in_order()))
}

/// Runs as many operations; compares each read, and everything after every few of them. An error
/// says after which operation what differed.
fn run(
    seed: u64,
    ops: u64,
    sizes: Sizes,
    device: &Device,
    fs: &FileSystem<'_>,
    fault: Fault,
) -> Result<(), String> {
    let mut generator = Generator::new(seed, sizes);
    let mut model = Model::default();
    let file = fs.create();
    let mut most_shared = 0;
    let buffer = fs.create();
    let mut simulated = Simulated::new(fs, [&file, &buffer], device, sizes, fault);
    for number in 1..=ops {
        let op = generator.next(model.size());
        let told = |what: &str| format!("seed {seed}, operation {number}, {op:?}: {what}");
        if simulated.apply(number, &op) != model.apply(number, &op) {
            return Err(told("reads something else"));
        }
        if file.size() != model.size() {
            return Err(told(&format!("leaves {} bytes, not {}", file.size(), model.size())));
        }
        if number % 8 == 0 || number == ops {
            if simulated.contents() != model.contents() {
                return Err(told("other bytes"));
            }
            simulated.check_blocks(fs).map_err(|what| told(&what))?;
            most_shared = most_shared.max(fs.shared_blocks());
        }
    }
    let huge_accesses = simulated.huge_accesses();
    drop(simulated);
    drop((file, buffer));
    if sizes.max > SMALL.max && huge_accesses < ops / 200 {
        return Err(format!("only {huge_accesses} accesses went through mappings of 2 MiB"));
    }
    match (fs.free_blocks(), fs.shared_blocks()) {
        _ if most_shared < 8 => Err(format!("only {most_shared} blocks were ever shared")),
        (free, 0) if free == device.blocks() => Ok(()),
        (free, shared) => Err(format!("{free} of {} blocks free, {shared} shared", device.blocks())),
    }
}

#[test]
fn random_operations_leave_what_the_model_says_in_every_variant() {
    let device = device(SMALL);
    let start = std::time::Instant::now();
    for (seed, variant) in (1..).zip(Variant::ALL) {
        let fs = format(&device, variant);
        run(seed, ops(), SMALL, &device, &fs, Fault::None).unwrap_or_else(|what| panic!("{variant}: {what}"));
    }
    println!("{} operations in each of {} variants: {:?}", ops(), Variant::ALL.len(), start.elapsed());
}

/// Larger files and fewer operations, with pages of 2 MiB, and with blocks that only a commit
/// frees.
#[test]
fn random_operations_on_pages_of_2_mib_leave_what_the_model_says_in_every_variant() {
    let device = device(LARGE);
    for (seed, variant) in (201..).zip(Variant::ALL) {
        let fs = format(&device, variant).with_huge_pages().with_data_mode(DataMode::Ordered);
        run(seed, ops() / 40, LARGE, &device, &fs, Fault::None)
            .unwrap_or_else(|what| panic!("{variant}: {what}"));
    }
}

/// A checker that has never failed is none.
#[test]
fn planted_faults_are_found() {
    let device = device(SMALL);
    for fault in [Fault::WriteSharedBlocksInPlace, Fault::ForgetToZeroTheTail, Fault::LoseABlock] {
        let fs = format(&device, Variant::RangeLock);
        let found = run(7, 5000, SMALL, &device, &fs, fault).expect_err("the fault is found");
        println!("{fault:?}: {found}");
    }
}

#[test]
fn a_replay_leaves_what_the_same_log_leaves_in_a_real_file() {
    let folder = tempfile::tempdir().unwrap();
    let (log, dump) = (folder.path().join("ops"), folder.path().join("dump"));
    // The larger one is replayed through pages of 2 MiB.
    let runs = [(SMALL, 2500), (LARGE, 160)];
    let runs = runs.into_iter().flat_map(|(sizes, ops)| Variant::ALL.map(|variant| (sizes, ops, variant)));
    for (seed, (sizes, ops, variant)) in (101..).zip(runs) {
        let mut generator = Generator::new(seed, sizes);
        let (mut model, mut real) = (Model::default(), Real::new());
        let mut lines = String::from("# random operations\n");
        for number in 2..ops {
            let op = generator.next(model.size());
            lines.push_str(&op.line(model.size()));
            lines.push('\n');
            assert!(real.apply(number, &op) == model.apply(number, &op), "operation {number}, {op:?}");
        }
        let expected = real.contents();
        assert!(expected == model.contents(), "the real file is not what the model says");
        fs::write(&log, lines).unwrap();
        assert_eq!(replayed(variant, &log, &dump), result_of(&expected));
        assert!(fs::read(&dump).unwrap() == expected, "{variant}: other bytes than in a real file");
    }
}

/// fsx keeps the last operations of a long run. Replayed, they leave what they leave in a real file
/// that begins as one hole, with the size that the run's file had then.
#[test]
fn a_tail_of_a_log_leaves_what_it_leaves_in_a_real_file_of_holes() {
    const CUT: u64 = 200;
    let folder = tempfile::tempdir().unwrap();
    let (log, dump) = (folder.path().join("ops"), folder.path().join("dump"));
    for (seed, variant) in (301..).zip(Variant::ALL) {
        let mut generator = Generator::new(seed, SMALL);
        let mut whole = Model::default();
        let mut tail: Option<(Model, Real)> = None;
        let (mut lines, mut begin) = (String::new(), 0);
        for number in 1..4 * CUT {
            let op = generator.next(whole.size());
            let line = op.line(whole.size());
            if number > CUT && whole.size() > 0 && op.verb != Verb::Skip && tail.is_none() {
                begin = whole.size();
                tail = Some((Model::of_holes(begin), Real::of_holes(begin)));
            }
            // Lines keep their numbers, on which the bytes depend.
            lines += &if tail.is_some() { line } else { format!("# {line}") };
            lines.push('\n');
            whole.apply(number, &op);
            if let Some((model, real)) = &mut tail {
                assert!(real.apply(number, &op) == model.apply(number, &op), "operation {number}, {op:?}");
                assert_eq!(model.size(), whole.size(), "operation {number}, {op:?}");
            }
        }
        let (mut model, mut real) = tail.expect("the file is not always empty");
        let expected = real.contents();
        assert!(expected == model.contents(), "the real file is not what the model says");
        fs::write(&log, lines).unwrap();
        let said = replayed(variant, &log, &dump);
        let (head, result) = said.split_once('\n').unwrap();
        let words = [format!("tail   begins with a hole of {begin} bytes"), format!("`truncate -s {begin}`")];
        assert!(words.iter().all(|words| head.contains(words)), "{head}");
        assert_eq!(result, result_of(&expected));
        assert!(fs::read(&dump).unwrap() == expected, "{variant}: other bytes than in a real file");
    }
}

/// What a replay prints, which finds every size as the log says, also when that is demanded.
fn replayed(variant: Variant, log: &Path, dump: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_dax-sim"))
        .args(["replay", "--strict", "--variant", variant.name(), "--dump"])
        .args([dump, log])
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{variant}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "{variant}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What is printed of a file with these contents.
fn result_of(contents: &[u8]) -> String {
    let hash: String = Sha256::digest(contents).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("size   {}\nsha256 {hash}\n", contents.len())
}
