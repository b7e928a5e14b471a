//! Which of the two copies of the superblock counts.

use core::fmt;

use super::error::FormatError;
use super::superblock::{Superblock, refused};

/// The superblock of a leg.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) superblock: Superblock,
    /// What was wrong with the other copy, if there was one: torn by a crash, or damaged.
    pub(crate) damaged: Option<FormatError>,
}

/// A leg has something of ours on it, but nothing to go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoneUsable {
    /// What is wrong with copies A and B; `None` where there is nothing wrong, or nothing at all.
    pub(crate) copies: [Option<FormatError>; 2],
}

impl fmt::Display for NoneUsable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (copy, error) in ["A", "B"].iter().zip(self.copies) {
            if let Some(error) = error {
                write!(f, "{separator}copy {copy} of the superblock: {error}")?;
                separator = "; ";
            }
        }
        Ok(())
    }
}

impl core::error::Error for NoneUsable {}

/// The superblock of a leg: of its two copies the one of the higher generation. `Ok(None)` if there is
/// none. A torn copy is what a crash leaves, the other one counts. All else that is wrong with a copy was
/// written so, by a later version perhaps, and the other copy is out of date: neither counts.
///
/// # Errors
/// What is wrong with the copies.
pub(crate) fn newest(copy_a: &[u8], copy_b: &[u8]) -> Result<Option<Found>, NoneUsable> {
    let [a, b] = [(copy_a, 0), (copy_b, 1)].map(|(bytes, parity)| parse_copy(bytes, parity));
    let unusable = NoneUsable {
        copies: [a.as_ref().err().copied(), b.as_ref().err().copied()],
    };
    let found = |superblock, damaged| {
        Ok(Some(Found {
            superblock,
            damaged,
        }))
    };
    match (a, b) {
        (Ok(None), Ok(None)) => Ok(None),
        (Ok(Some(a)), Ok(Some(b))) => {
            if (a.uuid, a.own_leg().map(|leg| leg.uuid))
                != (b.uuid, b.own_leg().map(|leg| leg.uuid))
            {
                return Err(NoneUsable {
                    copies: [Some(FormatError::StrangeCopies); 2],
                });
            }
            found(if a.generation > b.generation { a } else { b }, None)
        }
        (Ok(Some(one)), Ok(None)) | (Ok(None), Ok(Some(one))) => found(one, None),
        (Ok(Some(one)), Err(torn @ FormatError::Crc { .. }))
        | (Err(torn @ FormatError::Crc { .. }), Ok(Some(one))) => found(one, Some(torn)),
        (Err(_), _) | (_, Err(_)) => Err(unusable),
    }
}

fn parse_copy(bytes: &[u8], parity: u64) -> Result<Option<Superblock>, FormatError> {
    let superblock = Superblock::parse(bytes)?;
    if let Some(superblock) = &superblock
        && superblock.generation % 2 != parity
    {
        let why = "it belongs in the other copy";
        return Err(refused("the generation", superblock.generation, why));
    }
    Ok(superblock)
}
