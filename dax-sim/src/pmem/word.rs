//! Reads words in copies of a page.

/// The word at `index` of a page.
///
/// # Panics
///
/// If the page is shorter.
pub fn word_at(page: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(page[index * 8..][..8].try_into().expect("eight bytes"))
}
