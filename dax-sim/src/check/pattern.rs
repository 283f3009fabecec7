//! The words that a checked write writes: each 8-byte word of a page holds the page's number and
//! the version of the write.

pub use crate::pmem::word_at;

/// Bytes in a page.
const PAGE: usize = crate::pmem::BLOCK_SIZE as usize;

/// Returns the word that the write of this version writes to this page. The word is never 0,
/// because a hole reads as 0.
pub fn word(page: u64, version: u32) -> u64 {
    (page + 1) << 32 | u64::from(version)
}

/// Returns the page and the version that a word names. A word whose upper 32 bits are 0 names no
/// page. For such a word the returned page is `u64::MAX`.
pub fn parse(word: u64) -> (u64, u32) {
    ((word >> 32).wrapping_sub(1), word as u32)
}

/// Fills whole words with `word`.
///
/// # Panics
///
/// If the length is not a multiple of 8.
pub fn fill(bytes: &mut [u8], word: u64) {
    assert!(bytes.len().is_multiple_of(8), "{} bytes are no whole words", bytes.len());
    for chunk in bytes.chunks_exact_mut(8) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
}

/// Returns whether all words of a page are equal, as after one write of the whole page. The word at
/// index `except` may be different.
///
/// # Panics
///
/// If `page` is not a whole page, or `except` is 0.
pub fn is_uniform(page: &[u8], except: usize) -> bool {
    assert!(page.len() == PAGE && except > 0, "a whole page, judged by its first word");
    let expected = word_at(page, 0);
    let differing = |words: &[u8]| {
        // Without a branch per word the compiler compares several at once.
        words.chunks_exact(8).fold(0, |sum, chunk| {
            sum | (u64::from_le_bytes(chunk.try_into().expect("eight bytes")) ^ expected)
        })
    };
    differing(&page[..except * 8]) | differing(&page[(except + 1) * 8..]) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_foreign_word_is_noticed_anywhere_but_at_the_exception() {
        let mut page = vec![0; PAGE];
        fill(&mut page, word(7, 9));
        assert_eq!(parse(word_at(&page, 100)), (7, 9));
        for index in 1..PAGE / 8 {
            page[index * 8] ^= 1;
            assert_eq!(is_uniform(&page, 1), index == 1, "word {index}");
            page[index * 8] ^= 1;
        }
    }
}
