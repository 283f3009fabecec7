//! Pages of memory that are a mapping's own: what copy-on-write leaves in a private mapping.
//!
//! They are memory of this process, not blocks of the device. Threads may load from and store to one at once;
//! words move in one piece, as on the device.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use parking_lot::RwLock;

use crate::pmem::BLOCK_SIZE;

const WORDS: usize = BLOCK_SIZE as usize / 8;

/// The pages of one mapping, by page of the file.
#[derive(Debug, Default)]
pub(crate) struct AnonymousPages(RwLock<HashMap<u64, Arc<AnonymousPage>>>);

/// A page of memory.
#[derive(Debug)]
pub(crate) struct AnonymousPage([AtomicU64; WORDS]);

impl AnonymousPages {
    /// The page, which a translation that the caller's access uses leads to.
    pub(crate) fn get(&self, page: u64) -> Arc<AnonymousPage> {
        Arc::clone(
            self.0.read().get(&page).expect("a page goes after its translation, and the accesses to it"),
        )
    }

    /// Keeps a page, and lets `install` install the translation that leads to it; unless another thread, as
    /// `is_installed` says, has been faster: its copy may have been stored to (`pte_same`).
    pub(crate) fn insert(
        &self,
        page: u64,
        bytes: &[u8; BLOCK_SIZE as usize],
        is_installed: impl FnOnce() -> bool,
        install: impl FnOnce(),
    ) {
        let mut pages = self.0.write();
        if is_installed() {
            return;
        }
        pages.insert(page, Arc::new(AnonymousPage::new(bytes)));
        install();
    }

    /// Lets pages of `first..=last` go, those to which no translation leads any more, as `is_mapped` says: a
    /// shootdown is over since it was taken away.
    pub(crate) fn remove(&self, first: u64, last: u64, is_mapped: impl Fn(u64) -> bool) {
        self.0.write().retain(|&page, _| page < first || page > last || is_mapped(page));
    }
}

impl AnonymousPage {
    fn new(bytes: &[u8; BLOCK_SIZE as usize]) -> Self {
        let page = Self([const { AtomicU64::new(0) }; WORDS]);
        page.store(0, bytes);
        page
    }

    pub(crate) fn load_u64(&self, at: usize) -> u64 {
        self.0[at / 8].load(Acquire)
    }

    pub(crate) fn store_u64(&self, at: usize, value: u64) {
        self.0[at / 8].store(value, Release);
    }

    /// Loads bytes from `at` on.
    pub(crate) fn load(&self, at: usize, bytes: &mut [u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let (word, from) = ((at + done) / 8, (at + done) % 8);
            let part = (8 - from).min(bytes.len() - done);
            let value = self.0[word].load(Relaxed).to_ne_bytes();
            bytes[done..done + part].copy_from_slice(&value[from..from + part]);
            done += part;
        }
    }

    /// Stores bytes from `at` on. Their neighbours in the first and the last word stay as others leave them.
    pub(crate) fn store(&self, at: usize, bytes: &[u8]) {
        let mut done = 0;
        while done < bytes.len() {
            let (word, from) = ((at + done) / 8, (at + done) % 8);
            let part = (8 - from).min(bytes.len() - done);
            let merge = |old: u64| {
                let mut value = old.to_ne_bytes();
                value[from..from + part].copy_from_slice(&bytes[done..done + part]);
                Some(u64::from_ne_bytes(value))
            };
            let _ = self.0[word].fetch_update(Relaxed, Relaxed, merge);
            done += part;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_where_they_were_stored_at_any_offset() {
        let pages = AnonymousPages::default();
        let mut model = [7; BLOCK_SIZE as usize];
        pages.insert(3, &model, || false, || ());
        pages.insert(3, &[9; BLOCK_SIZE as usize], || true, || panic!("another copy is there"));
        let page = pages.get(3);
        for (at, len) in [(0, 4096), (1, 3), (5, 9), (4088, 8), (4095, 1), (100, 0), (8, 16)] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + at) as u8).collect();
            model[at..at + len].copy_from_slice(&bytes);
            page.store(at, &bytes);
            let mut seen = vec![0; len];
            page.load(at, &mut seen);
            assert_eq!(seen, bytes);
        }
        page.store_u64(16, 9);
        model[16..24].copy_from_slice(&9_u64.to_ne_bytes());
        let mut all = [0; BLOCK_SIZE as usize];
        page.load(0, &mut all);
        assert_eq!(all, model);
        assert_eq!(page.load_u64(16), 9);
        pages.remove(0, 2, |_| false);
        pages.remove(0, 9, |page| page == 3);
        assert_eq!(pages.get(3).load_u64(16), 9);
        pages.remove(3, 3, |_| false);
        assert!(pages.0.read().is_empty());
    }
}
