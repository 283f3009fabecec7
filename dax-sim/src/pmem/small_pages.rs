//! Judges from a DAX file's faults whether it is mapped by 4 KiB pages where 2 MiB were possible.

use std::fmt;

use super::{BLOCK_SIZE, Backing};

/// The size of a huge page, in bytes.
pub(super) const HUGE: u64 = 2 << 20;

/// A report that the kernel maps a DAX file by 4 KiB pages, wholly or in part, although the file is
/// large enough for 2 MiB pages. With 4 KiB pages each 2 MiB takes 512 faults, and 512 entries of
/// the page table. `Display` prints one line, which names a probable reason if FIEMAP gives an
/// answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallPages {
    /// How many faults the mapping took.
    pub faults: u64,
    /// How many pages of 4 KiB the mapping has.
    pub pages: u64,
    /// Whether FIEMAP reports an extent that holds an aligned 2 MiB of the file at an aligned place
    /// of the file system's device. `None` if FIEMAP gives no answer.
    pub aligned: Option<bool>,
}

impl SmallPages {
    /// What `faults` for all pages of a file of `size` bytes show.
    pub(super) fn of(
        backing: Backing,
        size: u64,
        faults: u64,
        aligned: impl FnOnce() -> Option<bool>,
    ) -> Option<SmallPages> {
        let pages = size / BLOCK_SIZE;
        // The end of a file that is no multiple of 2 MiB takes small pages in any case.
        let expected = size / HUGE + size % HUGE / BLOCK_SIZE;
        let small = backing.is_dax() && size >= HUGE && faults > 2 * expected;
        small.then(|| SmallPages { faults, pages, aligned: aligned() })
    }
}

impl fmt::Display for SmallPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SmallPages { faults, pages, aligned } = self;
        write!(
            f,
            "the file is mapped by 4 KiB pages ({faults} faults for {pages} pages), and 2 MiB were possible: "
        )?;
        match aligned {
            Some(false) => f.write_str(
                "its blocks are not aligned to 2 MiB on the device; on ext4, make the file system with \
                 `-b 4096 -E stride=512,stripe_width=512` and mount it with `-o dax=always,stripe=512`",
            ),
            Some(true) => f.write_str(
                "some of its blocks are aligned to 2 MiB on the device, so its extents may be too short, or the \
                 namespace not aligned (`ndctl list -N`)",
            ),
            None => f.write_str("where its blocks are, the file system does not tell"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u64 = 64 << 20;

    #[test]
    fn small_pages_are_told_where_large_ones_were_possible() {
        let of = |backing, size, faults| SmallPages::of(backing, size, faults, || Some(false));
        let told = of(Backing::PmemSync, SIZE, 16_384).unwrap();
        assert_eq!(told, SmallPages { faults: 16_384, pages: 16_384, aligned: Some(false) });
        assert!(of(Backing::Dax, SIZE, 32_768).is_some());
        // By 2 MiB, with a few faults more.
        assert_eq!(of(Backing::PmemSync, SIZE, 34), None);
        // Its end is no 2 MiB.
        assert_eq!(of(Backing::PmemSync, SIZE + HUGE - BLOCK_SIZE, 32 + 511), None);
        // No room for one, and no DAX.
        assert_eq!(of(Backing::PmemSync, HUGE / 2, 256), None);
        assert_eq!(of(Backing::Tmpfs, SIZE, 16_384), None);
        assert_eq!(of(Backing::PageCache, SIZE, 16_384), None);
    }

    #[test]
    fn the_line_names_the_reason_and_the_remedy() {
        for (aligned, named) in [(Some(false), "stripe=512"), (Some(true), "ndctl"), (None, "does not tell")]
        {
            let line = SmallPages { faults: 16_384, pages: 16_384, aligned }.to_string();
            assert!(line.contains("16384 faults for 16384 pages") && line.contains(named), "{line}");
            assert!(!line.contains('\n'), "{line}");
        }
    }
}
