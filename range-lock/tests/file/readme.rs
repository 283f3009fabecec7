//! What the README shows of locks on bytes of a file, which its doc tests leave out.

use std::io;

use range_lock::file::{Access, FileRangeLock};

#[test]
fn the_example_of_the_readme_runs() -> io::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("pages.db"), [0; 16384])?;
    // As in the README, from here
    let lock = FileRangeLock::open(path("pages.db"), Access::ReadWrite)?;
    let header = lock.read(0..4096)?; // Shared with readers of all processes.
    let page = lock.write(8192..12288)?; // Excludes threads and processes.
    assert!(lock.try_write(..)?.is_none());
    // to here.
    drop((header, page));
    Ok(())
}

#[test]
fn it_is_the_one_of_the_readme() {
    let without_space = |text: &str| text.split_whitespace().collect::<String>();
    let (_, ours) = include_str!("readme.rs").split_once("from here\n").expect("it begins");
    let (ours, _) = ours.split_once("// to here").expect("it ends");
    let (_, quoted) = include_str!("../../../README.md").split_once("```rust,ignore\n").expect("it is there");
    let (quoted, _) = quoted.split_once("```").expect("it ends");
    let quoted = quoted.replace("use range_lock::file::{Access, FileRangeLock};\n", "");
    assert_eq!(without_space(&quoted), without_space(&ours.replace(r#"path("pages.db")"#, r#""pages.db""#)));
}
