//! Pages of memory that belong to a mapping: copy-on-write leaves them in a private mapping.
//!
//! They are memory of this process, not blocks of the device. Threads may load from and store to
//! one page at once. Words move in one piece, as on the device. A translation names its page by a
//! *frame*. A frame is reused only after the thread that removed the translation has waited for the
//! accesses that may still use it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crossbeam_utils::CachePadded;
use parking_lot::RwLock;

use crate::per_thread;
use crate::pmem::BLOCK_SIZE;

const WORDS: usize = BLOCK_SIZE as usize / 8;
const SHARDS: u64 = 8;

/// The pages of one mapping, by the thread that copied them. A thread that uses only its own pages
/// writes to no line that other threads write to.
#[derive(Debug, Default)]
pub(crate) struct AnonymousPages([CachePadded<RwLock<Frames>>; SHARDS as usize]);

#[derive(Debug, Default)]
struct Frames {
    /// By frame: of [`SHARDS`] consecutive frames one is here.
    pages: Vec<Option<Arc<AnonymousPage>>>,
    free: Vec<u64>,
}

/// A page of memory.
#[derive(Debug)]
pub(crate) struct AnonymousPage([AtomicU64; WORDS]);

impl AnonymousPages {
    /// The page of this frame. The caller's access uses a translation that leads to it.
    pub(crate) fn get(&self, frame: u64) -> Arc<AnonymousPage> {
        let page = self.shard(frame).read().pages[(frame / SHARDS) as usize].clone();
        page.expect("a frame is free after the accesses to it have ended")
    }

    /// Makes a page that holds `bytes`. Returns its frame.
    pub(crate) fn allocate(&self, bytes: &[u8; BLOCK_SIZE as usize]) -> u64 {
        let page = Some(Arc::new(AnonymousPage::new(bytes)));
        let own = per_thread::index() as u64 % SHARDS;
        let mut frames = self.shard(own).write();
        match frames.free.pop() {
            Some(frame) => {
                frames.pages[(frame / SHARDS) as usize] = page;
                frame
            }
            None => {
                frames.pages.push(page);
                (frames.pages.len() as u64 - 1) * SHARDS + own
            }
        }
    }

    /// Lets pages go. The caller has removed the translations to them and waited for the accesses.
    pub(super) fn free(&self, frames: Vec<u64>) {
        for frame in frames {
            let mut shard = self.shard(frame).write();
            shard.pages[(frame / SHARDS) as usize] = None;
            shard.free.push(frame);
        }
    }

    fn shard(&self, frame: u64) -> &RwLock<Frames> {
        &self.0[(frame % SHARDS) as usize]
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

    /// Stores bytes from `at` on. The other bytes of the first and the last word stay as other
    /// threads leave them.
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
        let frame = pages.allocate(&model);
        let page = pages.get(frame);
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
        let other = pages.allocate(&[1; BLOCK_SIZE as usize]);
        assert_ne!(frame, other);
        pages.free(vec![frame]);
        assert_eq!(pages.allocate(&[2; BLOCK_SIZE as usize]), frame);
        let bytes = [frame, other].map(|frame| pages.get(frame).load_u64(0) as u8);
        assert_eq!((bytes, page.load_u64(16)), ([2, 1], 9), "a holder of a page keeps it");
    }
}
