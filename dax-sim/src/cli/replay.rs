//! `dax-sim replay`: a log of operations on one file, and what the file holds in the end.

use std::fmt::Write as _;
use std::io::{Seek, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sha2::{Digest, Sha256};

use super::locks::LockOptions;
use super::output::{OutputFile, same_file};
use super::{Failure, answer, value};
use crate::file::File as SimulatedFile;
use crate::fs::MAX_FILE_SIZE;
use crate::pmem::DeviceError;
use crate::replay::log;
use crate::replay::run::{self, ReplayError};
use crate::variant::{Mix, Variant};

/// Options of `dax-sim replay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A line is `name 0xOFFSET 0xLENGTH [0xDEST] 0xSIZE_BEFORE [keep_size] [close_open] [unshare] [*]`, \
as fsx writes it with --record-ops. Byte o of the file, when the operation of line k writes it, is \
(31 k + o) mod 251.")]
pub(crate) struct ReplayOptions {
    /// The log
    #[arg(value_name = "FILE")]
    log: PathBuf,

    /// How faults and I/O are serialised
    #[arg(long, value_name = "V", default_value_t = Variant::RangeLock)]
    variant: Variant,

    #[command(flatten)]
    locks: LockOptions,

    /// The largest size that the file may have: 16M, 1GiB, …
    #[arg(long, value_name = "N", value_parser = size_max, default_value = "16M", allow_hyphen_values = true)]
    size_max: u64,

    /// Also write what the file holds in the end to OUT, which is replaced
    #[arg(long, value_name = "OUT")]
    dump: Option<PathBuf>,
}

fn size_max(text: &str) -> Result<u64, String> {
    match value::size(text)? {
        size if size <= MAX_FILE_SIZE => Ok(size),
        size => Err(format!("{size} is more than the largest file, {MAX_FILE_SIZE} bytes")),
    }
}

/// Replays the log, and prints the size and the SHA-256 of what the file holds in the end.
pub(super) fn run(options: &ReplayOptions) -> Result<ExitCode, Failure> {
    let name = options.log.display();
    let unreadable = |error| Failure::refused(format!("cannot read the log `{name}`: {error}"));
    let log = std::fs::read(&options.log).map_err(unreadable)?;
    let dump = options.dump.as_deref().map(OutputFile::check).transpose()?;
    if let Some(dump) = dump.as_ref().filter(|dump| same_file(dump.path(), &options.log)) {
        let path = dump.path().display();
        return Err(Failure::refused(format!("`{path}` is the log itself; name another file with `--dump`")));
    }
    let bad_line = |bad: crate::replay::BadLine| Failure::at_line(&options.log, bad.number, bad.expected);
    let operations = log::parse(&String::from_utf8_lossy(&log), options.size_max).map_err(bad_line)?;
    let mix = Mix { variant: options.variant, locks: options.locks.locks() };
    let outcome =
        run::run(&operations, mix, options.size_max, |file| Ok((file.size(), digest(file, dump.as_ref())?)));
    let (size, digest) = outcome.map_err(|error| match error {
        ReplayError::Line(bad) => bad_line(bad),
        ReplayError::Device(DeviceError::NoSpace { place, size, free }) => Failure::refused(format!(
            "the log may need {size} bytes for the blocks of its file, and `{}` has {free} free; keep the file \
             smaller, for which `--size-max` sets a bound ({} now)",
            place.display(),
            options.size_max
        )),
        ReplayError::Device(error) => Failure::refused(error),
        ReplayError::Failed { number, error } => Failure::broken(format!("{name}:{number}: {error}")),
    })??;
    let mut report = format!("size   {size}\nsha256 ");
    for byte in digest {
        write!(report, "{byte:02x}").expect("a string takes everything");
    }
    report.push('\n');
    answer(&report)
}

/// The SHA-256 of what the file holds, which is also dumped. Pieces of zeros are left out of the dump as holes.
fn digest(file: &SimulatedFile<'_>, dump: Option<&OutputFile>) -> Result<[u8; 32], Failure> {
    let mut sha256 = Sha256::new();
    match dump {
        Some(dump) => dump.write_with(|out| {
            run::each_piece(file, |piece| {
                sha256.update(piece);
                if piece.iter().all(|byte| *byte == 0) {
                    out.seek_relative(piece.len() as i64)
                } else {
                    out.write_all(piece)
                }
            })?;
            out.set_len(file.size())
        })?,
        None => run::each_piece(file, |piece| {
            sha256.update(piece);
            Ok(())
        })
        .map_err(|error| Failure::broken(format!("cannot read the file: {error}")))?,
    }
    Ok(sha256.finalize().into())
}
