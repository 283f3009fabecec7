//! Keeps what a crash would leave of the data, for I6.
//!
//! It models the device's caches as far as the check needs them: a copy of each block as it was
//! when its lines were last written back. It is kept only where threads are simulated.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::FileSystem;
use crate::pmem::{BLOCK_SIZE, word_at};
use crate::schedule::PlantedFault;

const LINE: u64 = 64;

/// The durable contents of blocks that differ from zeros.
#[derive(Debug, Default)]
pub(crate) struct Durable(Mutex<HashMap<u64, Box<[u8]>>>);

impl Durable {
    /// The word, or the byte if `len` is 1, at a place on the device.
    pub(crate) fn value(&self, offset: u64, len: u64) -> u64 {
        let blocks = self.0.lock();
        let Some(bytes) = blocks.get(&(offset / BLOCK_SIZE)) else { return 0 };
        let in_block = (offset % BLOCK_SIZE) as usize;
        if len == 1 { bytes[in_block].into() } else { word_at(bytes, in_block / 8) }
    }
}

impl FileSystem<'_> {
    /// Writes the range of the device back, as [`Device::flush`](crate::pmem::Device::flush) does.
    #[inline]
    pub(crate) fn flush(&self, offset: u64, len: u64) {
        self.device.flush(offset, len);
        self.flushed(offset, len);
    }

    /// Records that the range of the device was written back.
    #[inline]
    pub(crate) fn flushed(&self, offset: u64, len: u64) {
        if !self.schedule.is_quiet() {
            self.note_flush(offset, len);
        }
    }

    /// Zeroes blocks that are about to be given to a file, and writes the zeros back
    /// (`sb_issue_zeroout`).
    #[inline]
    pub(crate) fn zero_blocks(&self, block: u64, blocks: u64) {
        self.device.zero(block * BLOCK_SIZE, blocks * BLOCK_SIZE);
        if self.schedule.has(PlantedFault::CommitBeforeData) {
            return;
        }
        self.device.flush(block * BLOCK_SIZE, blocks * BLOCK_SIZE);
        if self.schedule.is_controlled() {
            self.durable.0.lock().retain(|other, _| !(block..block + blocks).contains(other));
        }
    }

    #[cold]
    fn note_flush(&self, offset: u64, len: u64) {
        if !self.schedule.is_controlled() {
            return;
        }
        let mut blocks = self.durable.0.lock();
        let (first, end) = (offset / LINE * LINE, (offset + len).next_multiple_of(LINE));
        for line in (first..end).step_by(LINE as usize) {
            let mut bytes = [0; LINE as usize];
            self.device.read(line, &mut bytes);
            let at = (line % BLOCK_SIZE) as usize;
            let block = line / BLOCK_SIZE;
            if bytes != [0; LINE as usize] || blocks.contains_key(&block) {
                let block = blocks.entry(block).or_insert_with(|| vec![0; BLOCK_SIZE as usize].into());
                block[at..at + LINE as usize].copy_from_slice(&bytes);
            }
        }
    }
}
