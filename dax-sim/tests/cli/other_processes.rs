//! A mapped file that another process shortens or writes under a run.

use std::fs::{self, File};

use super::folders::folders;
use super::running::{Running, on_device};

#[test]
fn a_mapped_file_that_fails_is_told_in_a_line() {
    for folder in folders() {
        let device = folder.path().join("device");
        // The file is the program's, the user's and empty, or the user's and full.
        for (before, more, after) in
            [(None, "", None), (Some(0), "", Some(0)), (Some(64 << 20), "--overwrite", Some(4096))]
        {
            let _ = fs::remove_file(&device);
            if let Some(length) = before {
                fs::write(&device, vec![1; length]).unwrap();
            }
            let more = format!("--workloads fault-vs-write --variants rwsem,range-lock {more}");
            let mut run = Running::start(on_device(folder.path(), &more));
            run.until_it_runs();
            // Nothing but the first page is left of it.
            File::options().write(true).open(&device).unwrap().set_len(4096).unwrap();
            let (said, code) = run.end();
            assert_eq!(code, Some(74), "{said}");
            let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with("dax-sim: ")).collect();
            assert_eq!(lines.len(), 1, "{said}");
            assert!(lines[0].starts_with("error: `device` failed at offset "), "{said}");
            assert!(lines[0].contains("another process made it shorter"), "{said}");
            assert_eq!(fs::metadata(&device).ok().map(|found| found.len()), after, "{before:?} {more}");
            assert!(!folder.path().join("target").exists(), "the folder for the page is left behind");
        }
    }
}

#[test]
fn what_others_write_is_not_the_variants_fault() {
    use rustix::fs::{FallocateFlags, fallocate};
    use std::os::unix::fs::FileExt;
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    for folder in folders() {
        let device = folder.path().join("device");
        let megabytes = vec![0; 64 << 20];
        for round in 0..5 {
            for zeros in [false, true] {
                let more = "--workloads fault-vs-write --variants linux-4.12";
                let mut run = Running::start(on_device(folder.path(), more));
                run.until_it_runs();
                let file = File::options().write(true).open(&device).unwrap();
                // Again and again, for once may fall on pages that are holes.
                while run.child.try_wait().unwrap().is_none() {
                    if zeros {
                        file.write_all_at(&megabytes, 0).unwrap();
                    } else {
                        fallocate(&file, punch, 0, 64 << 20).unwrap();
                    }
                }
                let (said, code) = run.end();
                assert_eq!(code, Some(1), "{round} {zeros}: {said}");
                assert!(said.contains("another process") && said.contains("figures are void"), "{said}");
                assert!(!said.contains("stale read"), "{said}");
                assert!(!device.exists());
            }
        }
    }
}

/// The file is made shorter, or is appended to.
#[test]
fn another_length_is_told_even_where_nothing_of_the_file_was_used() {
    for folder in folders() {
        let device = folder.path().join("device");
        for (length, now) in [(32 << 20, "33554432"), ((64 << 20) + 5, "67108869")] {
            let more = "--workloads write-disjoint --variants rwsem,range-lock";
            let mut run = Running::start(on_device(folder.path(), more));
            run.until_it_runs();
            File::options().write(true).open(&device).unwrap().set_len(length).unwrap();
            let (said, code) = run.end();
            assert_eq!(code, Some(1), "{said}");
            let told = format!("it had 67108864 bytes, and has {now}; figures are void");
            assert!(said.contains(&told), "{said}");
            assert!(!device.exists());
        }
    }
}
