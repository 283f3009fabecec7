//! Checks I2 to I5: entries, translations, the block map and the allocator agree while no call is
//! under way.

use super::{Finding, Invariant};
use crate::entries::{DaxEntry, Present};
use crate::file::File;
use crate::fs::{Extent, FileSystem, Inode};
use crate::mm::{PMD_SIZE, Pte, Target, Vma};
use crate::pmem::BLOCK_SIZE;

/// Checks that the entries, the translations, the block map and the allocator agree (I2 to I5) for
/// `files`, which are files of `fs`. No call on these files may be in progress.
pub fn check(fs: &FileSystem<'_>, files: &[File<'_>]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        let mut inspection = Inspection { fs, inode: file.inode(), findings: &mut findings };
        inspection.entries();
        inspection.extents();
        for vma in file.inode().i_mmap.all() {
            inspection.translations(&vma);
        }
    }
    findings
}

struct Inspection<'a> {
    fs: &'a FileSystem<'a>,
    inode: &'a Inode,
    findings: &'a mut Vec<Finding>,
}

impl Inspection<'_> {
    fn find(&mut self, broken: Invariant, text: String) {
        self.findings.push(Finding::new(broken, text));
    }

    fn entries(&mut self) {
        let entries: Vec<Present> = self.inode.entries.present(0, u64::MAX).collect();
        for Present { first, last, entry, locked, .. } in entries {
            if locked {
                self.find(Invariant::Liveness, format!("the entry of page {first} was left locked"));
            }
            if first != last && self.inode.entries.has_pages_around(first) {
                self.find(
                    Invariant::Size,
                    format!("an entry of a page lies below that of 2 MiB at page {first}"),
                );
            }
            // All blocks of 2 MiB are of one extent, so its two ends are enough.
            for page in [first, last] {
                self.entry_of_page(page, entry, page - first);
            }
        }
    }

    fn entry_of_page(&mut self, page: u64, entry: DaxEntry, offset: u64) {
        let extent = self.inode.extents.look_up(page);
        match entry {
            // The block's side shows that a zero page has no block.
            DaxEntry::Empty | DaxEntry::ZeroPage => {}
            DaxEntry::Block { block, .. } => {
                let block = block + offset;
                if !matches!(extent, Extent::Written(b) | Extent::Shared(b) if b == block) {
                    let text = format!("page {page} has the entry of block {block}, and {}", of(extent));
                    self.find(Invariant::Mapping, text);
                }
                self.not_free(block, || format!("the entry of page {page}"));
            }
        }
    }

    fn extents(&mut self) {
        // If one entry is wrong in many pages, only one of them is reported.
        let mut told = None;
        for (page, extent) in self.inode.extents.all() {
            if let Some(block) = extent.block() {
                self.not_free(block, || format!("page {page}"));
            }
            let is_written = matches!(extent, Extent::Written(_) | Extent::Shared(_));
            let entry = self.inode.entries.present(page, page).next();
            if let Some(Present { first, entry: DaxEntry::ZeroPage, .. }) = entry
                && is_written
                && told.replace(first) != Some(first)
            {
                let text = format!("page {page} has the entry of a hole, and {}", of(extent));
                self.find(Invariant::Mapping, text);
            }
        }
    }

    fn translations(&mut self, vma: &Vma) {
        let translations: Vec<(u64, u64, Pte)> = vma.pages.present(0, u64::MAX).collect();
        for (first, len, pte) in translations {
            if len > 1 && vma.pages.has_pages_around(first) {
                self.find(Invariant::Size, format!("a page is mapped below the 2 MiB at page {first}"));
            }
            let entry = self.inode.entries.present(first, first).next();
            let entry_says = entry.map(|entry| match entry.entry {
                DaxEntry::Empty => None,
                DaxEntry::ZeroPage => Some(Target::ZeroPage),
                DaxEntry::Block { block, .. } => Some(Target::Block(block + (first - entry.first))),
            });
            let target = pte.target();
            match target {
                Target::Anonymous(_) => continue,
                Target::Block(block) => self.not_free(block, || format!("a translation of page {first}")),
                Target::ZeroPage => {}
            }
            if len > 1 && !(vma.address + first * BLOCK_SIZE - vma.start).is_multiple_of(PMD_SIZE) {
                self.find(
                    Invariant::Mapping,
                    format!("the 2 MiB at page {first} are mapped at a page's address"),
                );
            }
            if entry_says.flatten() != Some(target) {
                let entry = entry.map_or("no entry".into(), |entry| format!("the entry of {}", entry.entry));
                self.find(Invariant::Mapping, format!("page {first} is mapped as {pte:?}, and has {entry}"));
            } else if pte.is_writable() && !entry.is_some_and(|entry| entry.entry.is_dirty()) {
                let text = format!("page {first} is mapped as {pte:?}, and its entry is not dirty");
                self.find(Invariant::Protection, text);
            } else if pte.is_writable() && matches!(self.inode.extents.look_up(first), Extent::Shared(_)) {
                let text = format!("page {first} is mapped as {pte:?}, and its block is shared");
                self.find(Invariant::Protection, text);
            }
        }
    }

    fn not_free(&mut self, block: u64, user: impl FnOnce() -> String) {
        if self.fs.is_free(block) {
            let text = format!("block {block} is free, and {} has it", user());
            self.find(Invariant::Freeing, text);
        }
    }
}

fn of(extent: Extent) -> String {
    match extent {
        Extent::Hole => "no block".into(),
        Extent::Unwritten(block) => format!("the unwritten block {block}"),
        Extent::Written(block) => format!("block {block}"),
        Extent::Shared(block) => format!("the shared block {block}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Mapping;
    use crate::pmem::{Device, DeviceOptions};
    use crate::schedule::{Schedule, simulated, thread};
    use crate::variant::Variant;

    /// What is found after `spoil` has spoilt one thing in a file of one written page that is
    /// mapped.
    fn found(spoil: impl FnOnce(&FileSystem<'_>, &Inode, &Mapping<'_>, u64)) -> Vec<Invariant> {
        let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
        let fs = FileSystem::format(&device, Variant::Linux412).with_schedule(Schedule::none());
        let files = [fs.create()];
        files[0].write_at(&[1; BLOCK_SIZE as usize], 0).unwrap();
        let mapping = files[0].mmap(0..BLOCK_SIZE);
        mapping.load_u64(0).unwrap();
        assert_eq!(check(&fs, &files), []);
        let block = files[0].extents()[0].1.block().unwrap();
        spoil(&fs, files[0].inode(), &mapping, block);
        let mut broken: Vec<_> = check(&fs, &files).into_iter().map(|finding| finding.broken).collect();
        broken.dedup();
        broken
    }

    #[test]
    fn whatever_is_spoilt_is_found() {
        // Unchecked, because a lock is leaked below.
        let schedule = Schedule::none().with_checks(false);
        let zero_page = found(|_, inode, _, _| inode.entries.grab(0, &schedule).set(DaxEntry::ZeroPage));
        assert_eq!(zero_page, [Invariant::Mapping]);
        let no_entry = found(|_, inode, _, _| inode.entries.grab(0, &schedule).delete());
        assert_eq!(no_entry, [Invariant::Mapping]);
        let writable = found(|_, _, mapping, block| {
            mapping.vma().pages.make_writable(0, Pte::writable(block));
        });
        assert_eq!(writable, [Invariant::Protection]);
        let freed = found(|fs, inode, _, block| {
            fs.blocks.free(vec![block]);
            // Otherwise the file would free the block once more.
            let _ = inode.extents.write(&schedule).remove(0, 0);
        });
        assert!(freed.contains(&Invariant::Freeing));
        let both_sizes = found(|_, _, mapping, _| mapping.vma().pages.insert_pmd(0, Pte::ZERO));
        assert!(both_sizes.contains(&Invariant::Size), "{both_sizes:?}");
        let locked = found(|_, inode, _, _| std::mem::forget(inode.entries.grab(0, &schedule)));
        assert_eq!(locked, [Invariant::Liveness]);
    }

    #[test]
    fn whoever_uses_a_free_block_or_frees_a_pinned_one_is_found() {
        let device = Device::open(&DeviceOptions { path: None, size: 1 << 20, overwrite: false }).unwrap();
        let fs = FileSystem::format(&device, Variant::Linux412).with_schedule(Schedule::controlled());
        let file = fs.create();
        let mapping = file.mmap(0..3 * BLOCK_SIZE);
        simulated::begin(1);
        simulated::with(0, &mut simulated::Aside::default(), || {
            let found = || -> Vec<String> {
                thread::findings().into_iter().map(|finding| finding.to_string()).collect()
            };
            let mut bytes = vec![1; 3 * BLOCK_SIZE as usize];
            file.write_at(&bytes, 0).unwrap();
            let blocks: Vec<u64> = file.extents().iter().filter_map(|(_, extent)| extent.block()).collect();
            assert_eq!(blocks, [blocks[0], blocks[0] + 1, blocks[0] + 2], "one copy is made of them");
            let pin = mapping.pin(0..8, false).unwrap();
            file.read_at(&mut bytes, 0).unwrap();
            pin.read(0, &mut [0; 8]);
            assert_eq!(found(), [""; 0]);

            fs.about_to_free(&blocks);
            let pinned = format!("I4: block {} is pinned, and goes from its file", blocks[0]);
            assert_eq!(found(), [pinned]);
            let of_file = file.inode().extents.write(&fs.schedule).remove(0, 2);
            let used = [0, 2].map(|page| format!("I4: block {} is free, and is used", blocks[page]));
            fs.blocks.free(vec![blocks[0], blocks[2]]);
            pin.read(0, &mut [0; 8]);
            assert_eq!(found(), used[..1]);
            // As a look-up from before the change would have left it.
            let mut map = file.inode().extents.write(&fs.schedule);
            (0..).zip(of_file).for_each(|(page, extent)| map.publish(page, extent));
            drop(map);
            file.read_at(&mut bytes, 0).unwrap();
            assert_eq!(found(), used);
            file.write_at(&bytes[..BLOCK_SIZE as usize + 8], BLOCK_SIZE).unwrap();
            assert_eq!(found(), used[1..]);
            // Otherwise the file would free the blocks once more.
            let _ = file.inode().extents.write(&fs.schedule).remove(0, 2);
        });
    }
}
