//! What a write fills its blocks with, and what is read out of that.

use crate::checker::Value;
use crate::plan::BLOCK_SIZE;

/// Words of a block: its value and its place, by turns.
const WORD: usize = size_of::<u64>();

/// Fills blocks from `offset` on with a value.
pub(crate) fn fill(bytes: &mut [u8], value: Value, offset: u64) {
    for (place, block) in (offset..).zip(bytes.chunks_mut(BLOCK_SIZE as usize)) {
        for pair in block.chunks_exact_mut(2 * WORD) {
            pair[..WORD].copy_from_slice(&value.to_le_bytes());
            pair[WORD..].copy_from_slice(&place.to_le_bytes());
        }
    }
}

/// The values of blocks from `offset` on; or what else a block holds.
pub(crate) fn values(bytes: &[u8], offset: u64) -> Vec<Result<Value, String>> {
    let blocks = bytes.chunks(BLOCK_SIZE as usize);
    (offset..)
        .zip(blocks)
        .map(|(place, block)| value(block, place))
        .collect()
}

fn value(block: &[u8], place: u64) -> Result<Value, String> {
    let (first, rest) = block.split_at(2 * WORD);
    if rest.chunks(2 * WORD).any(|pair| pair != first) {
        return Err("parts of several writes".to_owned());
    }
    let word = |at: usize| u64::from_le_bytes(first[at..at + WORD].try_into().unwrap_or_default());
    match (word(0), word(WORD)) {
        (0, 0) => Ok(0),
        (value, found) if found == place => Ok(value),
        (value, found) => Err(format!("what {value} wrote to block {found}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_from_all_else() {
        let mut bytes = vec![0; 4 * BLOCK_SIZE as usize];
        fill(&mut bytes[..1024], 7, 10);
        bytes.copy_within(0..512, 1024);
        bytes[2000] = 1;
        let found = values(&bytes, 10);
        assert_eq!(found[..2], [Ok(7), Ok(7)]);
        assert_eq!(found[2], Err("what 7 wrote to block 10".to_owned()));
        assert_eq!(found[3], Err("parts of several writes".to_owned()));
        assert_eq!(values(&[0; 512], 3), [Ok(0)]);
    }
}
