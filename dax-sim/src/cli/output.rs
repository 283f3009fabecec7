//! Writes files at the end of a run, and checks at its beginning that they can be written.
//!
//! A run of a minute that ends in "permission denied" is a minute lost. So every destination is
//! tried before anything runs, without leaving a trace. An existing file stays until its successor
//! is complete.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat, openat};

use super::Failure;

/// A file to be replaced as a whole.
#[derive(Clone, Debug)]
pub(crate) struct OutputFile {
    path: PathBuf,
}

impl OutputFile {
    /// A file that needs no check, because its folder has been checked.
    pub(crate) fn at(path: PathBuf) -> OutputFile {
        OutputFile { path }
    }

    /// Refuses a file that could not be written at the end.
    pub(crate) fn check(path: &Path) -> Result<OutputFile, Failure> {
        let refuse = |why: String| Failure::refused(format!("cannot write `{}`: {why}", path.display()));
        // Through a symbolic link, so that the link stays and its target is replaced.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        match fs::metadata(&target) {
            Err(_) if target.is_symlink() => {
                return Err(refuse("it is a symbolic link that leads nowhere; name a file".to_owned()));
            }
            Ok(found) if found.is_dir() => {
                return Err(refuse("it is a folder; name a file in it".to_owned()));
            }
            Ok(found) if !found.is_file() => {
                return Err(refuse("it is not a regular file; name one that may be replaced".to_owned()));
            }
            // Opened, but not truncated: this only asks for permission.
            Ok(_) => drop(
                OpenOptions::new()
                    .write(true)
                    .open(&target)
                    .map_err(|error| refuse(format!("{error}; name a file that may be replaced")))?,
            ),
            Err(_) if target.file_name().is_none() => {
                return Err(refuse("it names no file; name one in an existing folder".to_owned()));
            }
            Err(_) => {}
        }
        let file = OutputFile { path: target };
        probe(file.folder()).map_err(|error| {
            refuse(format!(
                "{error} in `{}`; name a file in a folder that can be written",
                file.folder().display()
            ))
        })?;
        Ok(file)
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file by `contents` at once: a reader finds the old file or the new one.
    /// Permissions stay as they were.
    pub(crate) fn write(&self, contents: &[u8]) -> Result<(), Failure> {
        self.write_with(|file| file.write_all(contents).map_err(|error| self.failed(error)))
    }

    /// The same with what `write` writes to the new file, which is empty at first. If `write` fails
    /// the old file stays.
    pub(crate) fn write_with(
        &self,
        write: impl FnOnce(&mut File) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let failed = |error| self.failed(error);
        let mut new = NewFile::create(self.folder()).map_err(failed)?;
        if let Ok(old) = fs::metadata(&self.path) {
            new.file.set_permissions(old.permissions()).map_err(failed)?;
        }
        write(&mut new.file)?;
        new.rename_to(&self.path).map_err(failed)
    }

    /// The failure to write the file.
    pub(crate) fn failed(&self, error: io::Error) -> Failure {
        let remedy = match error.kind() {
            io::ErrorKind::FileTooLarge => "; raise the limit on the size of a file (`ulimit -f`)",
            _ => "",
        };
        Failure::broken(format!("cannot write `{}`: {error}{remedy}", self.path.display()))
    }

    fn folder(&self) -> &Path {
        folder_of(&self.path)
    }
}

/// A file that has no name until it is complete, so that nothing is left if the program is killed
/// before. If the file system or `/proc` does not allow this, it has a name that no other process
/// uses. If it is dropped before the end, its name is removed.
struct NewFile {
    file: File,
    sibling: PathBuf,
    named: bool,
}

impl NewFile {
    fn create(folder: &Path) -> io::Result<NewFile> {
        let sibling = sibling(folder);
        if let Some(file) = nameless(folder) {
            return Ok(NewFile { file, sibling, named: false });
        }
        let file = File::create_new(&sibling)?;
        Ok(NewFile { file, sibling, named: true })
    }

    fn rename_to(mut self, path: &Path) -> io::Result<()> {
        if !self.named {
            // The link that the kernel shows for the descriptor leads to the file itself.
            linkat(CWD, in_proc(&self.file), CWD, &self.sibling, AtFlags::SYMLINK_FOLLOW)?;
            self.named = true;
        }
        fs::rename(&self.sibling, path)?;
        self.named = false;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.named {
            // If it cannot be removed, it stays. The error says where to look.
            let _ = fs::remove_file(&self.sibling);
        }
    }
}

/// A file without a name in `folder`, which can be given a name later. `None` where this is not
/// possible.
fn nameless(folder: &Path) -> Option<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    // As a new file of the standard library: the kernel takes the umask away.
    let file = File::from(openat(CWD, folder, flags, Mode::from_raw_mode(0o666)).ok()?);
    let (named, found) = (fs::metadata(in_proc(&file)).ok()?, file.metadata().ok()?);
    ((named.dev(), named.ino()) == (found.dev(), found.ino())).then_some(file)
}

fn in_proc(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Where results go by default. If `cargo run` has started this program it is the target folder of
/// the workspace, otherwise the current folder.
pub(crate) fn default_folder() -> PathBuf {
    let environment = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if environment("CARGO_PKG_NAME").is_none_or(|name| name != env!("CARGO_PKG_NAME")) {
        return PathBuf::from("dax-sim-report");
    }
    let target = environment("CARGO_TARGET_DIR").map(PathBuf::from);
    // Cargo marks a target folder, wherever its settings have put it.
    let marked = || {
        let program = std::env::current_exe().ok()?;
        program.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists()).map(Path::to_owned)
    };
    target.or_else(marked).map_or_else(|| PathBuf::from("dax-sim-report"), |target| target.join("dax-sim"))
}

/// A folder that is created if it does not exist.
#[derive(Clone, Debug)]
pub(crate) struct OutputDir {
    path: PathBuf,
}

impl OutputDir {
    /// Refuses a folder that could not be made or written at the end. It makes nothing yet.
    pub(crate) fn check(path: &Path) -> Result<OutputDir, Failure> {
        let refuse = |why: String| {
            Failure::refused(format!(
                "cannot write to the folder `{}`: {why}; name another one with `--output`",
                path.display()
            ))
        };
        let here = Path::new(".");
        let existing = path
            .ancestors()
            .map(|ancestor| if ancestor.as_os_str().is_empty() { here } else { ancestor })
            .find(|ancestor| fs::symlink_metadata(ancestor).is_ok())
            .unwrap_or(here);
        if !existing.is_dir() {
            return Err(refuse(format!("`{}` is not a folder", existing.display())));
        }
        probe(existing).map_err(|error| refuse(format!("{error} in `{}`", existing.display())))?;
        Ok(OutputDir { path: path.to_owned() })
    }

    /// Makes the folder and those above it.
    pub(crate) fn create(&self) -> Result<(), Failure> {
        fs::create_dir_all(&self.path).map_err(|error| {
            Failure::broken(format!("cannot make the folder `{}`: {error}", self.path.display()))
        })
    }

    /// Where a file of this name in the folder is.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Whether both paths lead to one file, which need not exist yet.
pub(crate) fn same_file(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        (Err(_), Err(_)) => {
            let place = |path: &Path| Some((resolved(folder_of(path))?, path.file_name()?.to_owned()));
            place(a).is_some_and(|a| place(b) == Some(a))
        }
        _ => false,
    }
}

/// `folder` without links and dots, also where its last components do not exist yet.
fn resolved(folder: &Path) -> Option<PathBuf> {
    let existing = folder.ancestors().find(|ancestor| ancestor.exists());
    let (base, rest) = match existing {
        Some(existing) => (existing.canonicalize().ok()?, folder.strip_prefix(existing).ok()?),
        None => (std::env::current_dir().ok()?, folder),
    };
    Some(base.join(rest))
}

/// The folder that holds `path`. The current folder is `.`, never the empty path.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// A name that no other process uses or can foresee, beside the final one so that a rename can
/// replace it.
fn sibling(folder: &Path) -> PathBuf {
    folder.join(format!(".dax-sim-{}-{:08x}.tmp", std::process::id(), fastrand::u32(..)))
}

/// Whether a file can be made in `folder`. It makes one and removes it.
fn probe(folder: &Path) -> io::Result<()> {
    let sibling = sibling(folder);
    drop(File::create_new(&sibling)?);
    fs::remove_file(&sibling)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_check_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        OutputFile::check(&folder.path().join("new.json")).unwrap();
        OutputDir::check(&folder.path().join("a/b/c")).unwrap();
        assert_eq!(entries(folder.path()), 0);
    }

    #[test]
    fn an_existing_file_stays_until_it_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.json");
        fs::write(&path, "old").unwrap();
        let file = OutputFile::check(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        file.write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(entries(folder.path()), 1);
    }

    #[test]
    fn who_may_read_an_existing_file_stays_as_it_was() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("private.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        OutputFile::check(&path).unwrap().write(b"new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    /// With and without a name meanwhile, the new file has the permissions of any new file.
    #[test]
    fn a_new_file_is_as_any_other_and_has_no_name_before_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        let other = File::create(folder.path().join("other")).unwrap().metadata().unwrap().mode();
        let named = || {
            let sibling = sibling(folder.path());
            NewFile { file: File::create_new(&sibling).unwrap(), sibling, named: true }
        };
        let usual = || NewFile::create(folder.path()).unwrap();
        for create in [&usual as &dyn Fn() -> NewFile, &named] {
            drop(create());
            let mut new = create();
            assert_eq!(entries(folder.path()), 1 + usize::from(new.named));
            new.file.write_all(b"new").unwrap();
            new.rename_to(&path).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!((fs::metadata(&path).unwrap().mode(), entries(folder.path())), (other, 2));
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        OutputFile::check(&link).unwrap().write(b"new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let nowhere = folder.path().join("nowhere");
        std::os::unix::fs::symlink("no-such-file", &nowhere).unwrap();
        for path in [
            &nowhere,
            folder.path(),
            Path::new("/dev/null"),
            Path::new("/"),
            &folder.path().join("no/such"),
            &file.join("x"),
        ] {
            assert!(OutputFile::check(path).is_err(), "{}", path.display());
        }
        for path in [&file, &file.join("x"), Path::new("/proc/x"), Path::new("")] {
            let allowed = path.as_os_str().is_empty();
            assert_eq!(OutputDir::check(path).is_ok(), allowed, "{}", path.display());
        }
    }

    #[test]
    fn one_file_by_several_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        assert!(same_file(&path("new"), &path("sub/../new")));
        assert!(same_file(&path("not/yet/new"), &path("sub/../not/yet/new")));
        assert!(!same_file(&path("new"), &path("other")));
        fs::write(path("there"), "").unwrap();
        fs::hard_link(path("there"), path("sub/linked")).unwrap();
        assert!(same_file(&path("there"), &path("sub/linked")));
        assert!(!same_file(&path("there"), &path("new")));
    }
}
