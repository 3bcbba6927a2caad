//! Log lines that are longer than the contract takes.

/// Where to cut what is left of a line so that its first piece has at most so many bytes, and at least
/// one: before a letter of UTF-8, where one begins near enough.
#[must_use]
pub fn cut(text: &[u8], most: usize) -> usize {
    let most = most.max(1);
    if text.len() <= most {
        return text.len();
    }
    let begins = |at: &usize| text[*at] & 0b1100_0000 != 0b1000_0000;
    let near = most.saturating_sub(3).max(1)..=most;
    near.rev().find(begins).unwrap_or(most)
}
