//! Keeps a word for each block of the device, as Linux has a `struct page` for each page frame.
//!
//! A block's word shares its cache line only with the words of its seven neighbours. So threads
//! that change the words of other blocks write to other lines. The words lie in pieces of 512. A
//! piece is made when one of its words is first changed.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

const PIECE: usize = 512;

/// A word for each block. It is 0 where it was never changed.
pub(super) struct BlockWords {
    pieces: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl BlockWords {
    pub(super) fn new(blocks: u64) -> Self {
        let pieces = usize::try_from(blocks).expect("a device is mapped as a whole").div_ceil(PIECE);
        Self { pieces: std::iter::repeat_with(OnceLock::new).take(pieces).collect() }
    }

    pub(super) fn load(&self, block: u64) -> u64 {
        let (piece, at) = place(block);
        self.pieces[piece].get().map_or(0, |words| words[at].load(SeqCst))
    }

    /// Changes a word in one step to what `change` makes of it, and returns the old word. If
    /// `change` returns `None`, the word stays, and comes back as the error.
    pub(super) fn update(&self, block: u64, change: impl Fn(u64) -> Option<u64>) -> Result<u64, u64> {
        let (piece, at) = place(block);
        let piece = &self.pieces[piece];
        if piece.get().is_none() && change(0).is_none() {
            return Err(0);
        }
        let words = piece.get_or_init(|| std::iter::repeat_with(AtomicU64::default).take(PIECE).collect());
        words[at].fetch_update(SeqCst, SeqCst, change)
    }

    /// The blocks whose words are not 0, with their words.
    pub(super) fn changed(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let words = self.pieces.iter().enumerate().flat_map(|(piece, words)| {
            let first = (piece * PIECE) as u64;
            (first..).zip(words.get().into_iter().flatten())
        });
        words.map(|(block, word)| (block, word.load(SeqCst))).filter(|(_, word)| *word != 0)
    }
}

fn place(block: u64) -> (usize, usize) {
    (block as usize / PIECE, block as usize % PIECE)
}

impl fmt::Debug for BlockWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.changed()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_zero_until_it_is_changed_and_may_be_left_as_it_is() {
        let words = BlockWords::new(1025);
        assert_eq!(words.update(1024, |word| word.checked_sub(1)), Err(0));
        assert!(words.pieces.iter().all(|piece| piece.get().is_none()), "nothing had to be made");
        for block in [0, 511, 512, 1024] {
            assert_eq!(words.update(block, |word| Some(word + block + 1)), Ok(0));
            assert_eq!(words.load(block), block + 1);
            assert_eq!(words.update(block, |_| None), Err(block + 1));
        }
        assert_eq!((words.load(1), words.load(513)), (0, 0));
        assert_eq!(words.changed().collect::<Vec<_>>(), [(0, 1), (511, 512), (512, 513), (1024, 1025)]);
    }
}
