//! `dax-sim replay`: does a log of operations to one file, and prints its final size and SHA-256.

use std::fmt::Write as _;
use std::io::{Seek, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use sha2::{Digest, Sha256};

use super::interrupt::Interrupt;
use super::locks::LockOptions;
use super::output::{OutputFile, same_file};
use super::signal::MappedFile;
use super::{Failure, answer, complain, input, say, value};
use crate::error::FsError;
use crate::file::File as SimulatedFile;
use crate::fs::MAX_FILE_SIZE;
use crate::pmem::DeviceError;
use crate::replay::run::{self, OtherSize, ReplayError, Trimmed};
use crate::replay::{BadLine, log};
use crate::variant::{Mix, Variant};

/// Length of the longest log, in bytes: some millions of lines.
const LONGEST_LOG: usize = 256 << 20;

/// Options of `dax-sim replay`.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
A line is `name 0xOFFSET 0xLENGTH [0xDEST] 0xSIZE_BEFORE [keep_size] [close_open] [unshare] [*]`, \
as fsx writes it with --record-ops. Byte o of the file, when the operation of line k writes it, is \
(31 k + o) mod 251.

fsx keeps the last 10,000 operations. So the log of a longer run is a tail: the SIZE_BEFORE of its \
first line is not 0. The replay of a tail starts from a hole of this size, and reports the start in \
its first line of output. To check the replay, apply the same lines to a file made by \
`truncate -s SIZE_BEFORE`, and compare the two digests.")]
pub(crate) struct ReplayOptions {
    /// The log
    #[arg(value_name = "FILE")]
    log: PathBuf,

    /// How faults and I/O are serialised
    #[arg(long, value_name = "V", default_value_t = Variant::RangeLock)]
    variant: Variant,

    #[command(flatten)]
    locks: LockOptions,

    /// File to map as the device: on pmem, tmpfs or any other file system [default: a temporary
    /// file]. No other process may write to the file meanwhile, because the replay cannot detect
    /// such writes
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,

    /// Use the file even if it is not empty; its contents are lost
    #[arg(long, requires = "file")]
    overwrite: bool,

    /// The largest size that the file may have: 16M, 1GiB, …
    #[arg(long, value_name = "N", value_parser = size_max, default_value = "16M", allow_hyphen_values = true)]
    size_max: u64,

    /// Trim ranges to the file, and skip operations with nothing left, as fsx does when it replays
    /// a log
    #[arg(long)]
    trim: bool,

    /// Fail at the first line whose size is not the size of the file
    #[arg(long)]
    strict: bool,

    /// Also write the file's final contents to OUT, which is replaced
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
    let unreadable = |why| Failure::refused(format!("cannot read the log `{name}`: {why}"));
    let log = input::read(&options.log, LONGEST_LOG, "name a log as fsx records it").map_err(unreadable)?;
    let dump = options.dump.as_deref().map(OutputFile::check).transpose()?;
    if let Some(dump) = dump.as_ref().filter(|dump| same_file(dump.path(), &options.log)) {
        let path = dump.path().display();
        return Err(Failure::refused(format!("`{path}` is the log itself; name another file with `--dump`")));
    }
    if let Some(file) = &options.file {
        if same_file(file, &options.log) {
            let path = file.display();
            return Err(Failure::refused(format!("--file `{path}` is the log itself; name another file")));
        }
        if dump.as_ref().is_some_and(|dump| same_file(dump.path(), file)) {
            let path = file.display();
            return Err(Failure::refused(format!("--file `{path}` is where --dump goes; name another file")));
        }
    }
    let bad_line = |bad: BadLine| Failure::at_line(&options.log, bad.number, bad.expected);
    let text = log::text_of(&log).map_err(bad_line)?;
    let operations = log::parse(&text, options.size_max, options.trim).map_err(bad_line)?;
    let how = run::Options {
        mix: Mix { variant: options.variant, locks: options.locks.locks() },
        size_max: options.size_max,
        trims: options.trim,
    };
    // Before the file is touched, so that a signal finds it put back.
    let interrupt = options.file.as_ref().map(|_| Interrupt::watch()).transpose().map_err(Failure::broken)?;
    let asked = || interrupt.as_ref().and_then(Interrupt::signal);
    let device = run::device(&operations, options.size_max, options.file.as_deref(), options.overwrite)
        .map_err(|error| no_device(options, error))?;
    let watched =
        options.file.as_ref().map(|_| MappedFile::watch(&device)).transpose().map_err(Failure::broken)?;
    let mut noticed = Noticed { options, said: false };
    let differs = |other| noticed.differs(other);
    let interrupted = |signal| Failure::interrupted(signal, "nothing was written");
    let goes_on = || asked().map_or(Ok(()), |signal| Err(interrupted(signal)));
    let unchanged = || device.check_unchanged().map_err(Failure::broken);
    let look = |file: &SimulatedFile<'_>| Ok((file.size(), digest(file, dump.as_ref(), goes_on, unchanged)?));
    let outcome = run::run(&device, &operations, how, || asked().is_some(), differs, look);
    let outcome = match outcome {
        Ok((look, trimmed)) => look.map(|look| (look, trimmed)),
        Err(ReplayError::Line(bad)) => Err(bad_line(bad)),
        Err(ReplayError::Ended) => Err(interrupted(asked().unwrap_or_default())),
        Err(ReplayError::Failed { number, error }) => {
            Err(Failure::broken(format!("{name}:{number}: {error}")))
        }
    };
    drop(watched);
    // First: it says what has happened. A replay that fails can only say that something has.
    let ((size, digest), Trimmed { trimmed, passed_over }) =
        outcome.or_else(|failure| unchanged().and(Err(failure)))?;
    if options.trim {
        say(format_args!("{name}: {trimmed} ranges trimmed, {passed_over} operations passed over"));
    }
    let mut report = match log::initial_size(&operations) {
        0 => String::new(),
        begin => format!(
            "tail   begins with a hole of {begin} bytes: compare with these lines on a file of \
             `truncate -s {begin}`, not with the whole run\n"
        ),
    };
    write!(report, "size   {size}\nsha256 ").expect("a string takes everything");
    for byte in digest {
        write!(report, "{byte:02x}").expect("a string takes everything");
    }
    report.push('\n');
    answer(&report)
}

/// The error if there is no device to replay on.
fn no_device(options: &ReplayOptions, error: DeviceError) -> Failure {
    let needs = |size: u64, place: String| {
        Failure::refused(format!(
            "the log may need {size} bytes for the blocks of its file, and {place}; keep the file smaller, for which \
             `--size-max` sets a bound ({} now)",
            options.size_max
        ))
    };
    match error {
        DeviceError::NoSpace { place, size, free } => {
            needs(size, format!("`{}` has {free} free", place.display()))
        }
        DeviceError::TooLarge { path, size } => {
            needs(size, format!("`{}` may not be as large (`ulimit -f`)", path.display()))
        }
        DeviceError::TooSmall { path, len, size } => needs(size, format!("`{}` holds {len}", path.display())),
        error => Failure::refused(error),
    }
}

/// Reports lines whose size is not the size of the file.
struct Noticed<'a> {
    options: &'a ReplayOptions,
    /// One report is enough: a size that is wrong stays wrong.
    said: bool,
}

impl Noticed<'_> {
    fn differs(&mut self, OtherSize { number, says, has }: OtherSize) -> Result<(), BadLine> {
        if self.options.strict {
            let expected = format!(
                "expected a file of {says:#x} bytes before this line, as the log says, not of {has:#x}"
            );
            return Err(BadLine { number, expected });
        }
        if !self.said {
            self.said = true;
            let warning = format_args!(
                "warning: the log says that the file has {says:#x} bytes before this line, and it has {has:#x} \
                 (reported once; `--strict` makes it an error)"
            );
            complain(Failure::at_line(&self.options.log, number, warning).message);
        }
        Ok(())
    }
}

/// The SHA-256 of what the file holds, which is also dumped. Pieces of zeros become holes in the
/// dump.
///
/// It ends early if `goes_on` fails, which it asks at each piece. If `unchanged` fails in the end,
/// there is no digest. In both cases an older dump stays.
fn digest(
    file: &SimulatedFile<'_>,
    dump: Option<&OutputFile>,
    goes_on: impl Fn() -> Result<(), Failure>,
    unchanged: impl Fn() -> Result<(), Failure>,
) -> Result<[u8; 32], Failure> {
    let mut sha256 = Sha256::new();
    match dump {
        Some(dump) => dump.write_with(|out| {
            let failed = |error| dump.failed(error);
            run::each_piece(file, |piece| {
                goes_on()?;
                sha256.update(piece);
                let written = if piece.iter().all(|byte| *byte == 0) {
                    out.seek_relative(piece.len() as i64)
                } else {
                    out.write_all(piece)
                };
                written.map_err(failed)
            })?;
            out.set_len(file.size()).map_err(failed)?;
            unchanged()
        })?,
        None => {
            run::each_piece(file, |piece| {
                goes_on()?;
                sha256.update(piece);
                Ok::<(), Failure>(())
            })?;
            unchanged()?;
        }
    }
    Ok(sha256.finalize().into())
}

impl From<FsError> for Failure {
    fn from(error: FsError) -> Failure {
        Failure::broken(format!("cannot read the file: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fs::FileSystem;
    use crate::pmem::{Device, DeviceOptions};

    #[test]
    fn a_dump_stays_if_the_device_was_changed_or_a_signal_came() {
        let folder = tempfile::tempdir().unwrap();
        let (path, out) = (folder.path().join("device"), folder.path().join("out"));
        fs::write(&out, "the dump before").unwrap();
        let dump = OutputFile::check(&out).unwrap();
        let device = DeviceOptions { path: Some(path.clone()), size: 2 << 20, overwrite: false };
        let device = Device::open(&device).unwrap();
        let simulated = FileSystem::format(&device, Variant::RangeLock);
        let file = simulated.create();
        file.truncate(3 << 20).unwrap();
        let ok = || Ok(());
        let unchanged = || device.check_unchanged().map_err(Failure::broken);
        let signalled = || Err(Failure::interrupted(15, "nothing was written"));
        assert_eq!(digest(&file, Some(&dump), signalled, unchanged).unwrap_err().code, 143);
        assert_eq!(digest(&file, None, signalled, unchanged).unwrap_err().code, 143);
        // Nothing of the device is used, so the digest itself does not notice.
        fs::File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        for dump in [Some(&dump), None] {
            let failure = digest(&file, dump, ok, unchanged).unwrap_err();
            assert!(failure.message.contains("figures are void"), "{}", failure.message);
        }
        assert_eq!(fs::read(&out).unwrap(), b"the dump before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
