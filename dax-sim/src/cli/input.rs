//! Reads files of the user's, which may be longer than memory, or endless.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Unread {
    Failed(io::Error),
    TooLong { most: usize, remedy: &'static str },
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Failed(error) => error.fmt(f),
            Unread::TooLong { most, remedy } => {
                write!(f, "the file is longer than {most} bytes; {remedy}")
            }
        }
    }
}

/// Reads a file of at most `most` bytes. If the file is longer, the error ends with `remedy`.
pub(super) fn read(path: &Path, most: usize, remedy: &'static str) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Unread::Failed)?;
    file.take(most as u64 + 1).read_to_end(&mut bytes).map_err(Unread::Failed)?;
    if bytes.len() > most { Err(Unread::TooLong { most, remedy }) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5, "").unwrap(), b"12345");
        let error = read(&path, 4, "give less").unwrap_err().to_string();
        assert_eq!(error, "the file is longer than 4 bytes; give less");
        assert!(matches!(read(&folder.path().join("none"), 5, ""), Err(Unread::Failed(_))));
    }
}
