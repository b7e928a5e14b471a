//! Bitmaps: a bit for each region, in leaves that are valid or torn each on its own.

use super::crc32c::crc32c;
use super::layout::Layout;
use super::{LEAVES_PER_BITMAP, LEGS_MAX};

/// What a leaf takes: the smallest block there is, so that no write tears one in a way that matters to
/// another.
pub(crate) const LEAF_BYTES: usize = 512;

/// Bytes of bits in a leaf.
const BITS_BYTES: usize = 496;

/// Regions of which a leaf has the bits.
pub(crate) const REGIONS_PER_LEAF: usize = BITS_BYTES * 8;

/// Words of 64 bits in a leaf; so that a word of a bitmap is never in two of them.
const WORDS_PER_LEAF: usize = BITS_BYTES / 8;

/// One of the bitmaps of a leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BitmapId(u16);

impl BitmapId {
    /// Regions that may be written to: the write-intent bitmap.
    pub(crate) const INTENT: Self = Self(0);

    /// Regions that the leg in a slot has missed.
    pub(crate) const fn missed(slot: usize) -> Self {
        Self(1 + (slot % LEGS_MAX) as u16)
    }

    /// Its place among the bitmaps of a leg.
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// The bits of a leaf; region `r` of it is bit `r % 8` of byte `r / 8`.
pub(crate) type LeafBits = [u8; BITS_BYTES];

/// Writes the leaf with the bits of regions from `leaf * REGIONS_PER_LEAF` on. `epoch` is the array's.
pub(crate) fn encode_leaf(
    bitmap: BitmapId,
    leaf: usize,
    epoch: u64,
    bits: &LeafBits,
    out: &mut [u8; LEAF_BYTES],
) {
    let identity = identity(bitmap, leaf);
    let epoch = epoch.to_le_bytes();
    let crc = crc32c(&[&identity, &epoch, bits]).to_le_bytes();
    let fields = crc.iter().chain(&identity).chain(&epoch).chain(bits);
    out.iter_mut()
        .zip(fields)
        .for_each(|(to, from)| *to = *from);
}

/// The bits of a leaf; `None` where it is damaged, another one, or of another array: then nothing is
/// known of its regions, and they count as set. See [`read_bitmap`].
pub(crate) fn parse_leaf(
    bitmap: BitmapId,
    leaf: usize,
    epoch: u64,
    bytes: &[u8],
) -> Option<&LeafBits> {
    let bytes: &[u8; LEAF_BYTES] = bytes.try_into().ok()?;
    let (crc, rest) = bytes.split_first_chunk::<4>()?;
    let (of, bits) = rest.split_first_chunk::<4>()?;
    let (of_epoch, bits) = bits.split_first_chunk::<8>()?;
    let valid = *of == identity(bitmap, leaf)
        && *of_epoch == epoch.to_le_bytes()
        && *crc == crc32c(&[rest]).to_le_bytes();
    bits.try_into().ok().filter(|_| valid)
}

fn identity(bitmap: BitmapId, leaf: usize) -> [u8; 4] {
    (u32::from(bitmap.0) << 16 | leaf as u32 & 0xffff).to_le_bytes()
}

/// Gives all words of a bitmap, in order: word `i` has the regions from `64 * i` on, lowest bit first,
/// and 0 for what is beyond the last region. `area` is what [`Layout::leaves`] says, as it was read;
/// where it is too short, or a leaf is not valid, all regions are set. Returns how many of the leaves
/// were not valid.
pub(crate) fn read_bitmap(
    area: &[u8],
    bitmap: BitmapId,
    epoch: u64,
    num_regions: u32,
    mut visit: impl FnMut(usize, u64),
) -> usize {
    let num_leaves = (num_regions as usize).div_ceil(REGIONS_PER_LEAF);
    let mut invalid = 0;
    for leaf in 0..num_leaves {
        // A leaf that no bitmap has room for is not in the area of this one.
        let start = (bitmap.index() * LEAVES_PER_BITMAP + leaf) * LEAF_BYTES;
        let bits = Some(start)
            .filter(|_| leaf < LEAVES_PER_BITMAP)
            .and_then(|start| area.get(start..start + LEAF_BYTES))
            .and_then(|bytes| parse_leaf(bitmap, leaf, epoch, bytes));
        invalid += usize::from(bits.is_none());
        let bits = bits.unwrap_or(&[0xff; BITS_BYTES]);
        let (words, _) = bits.as_chunks::<8>();
        for (word, bits) in (leaf * WORDS_PER_LEAF..).zip(words) {
            match regions_of(word, num_regions) {
                0 => break,
                regions => visit(word, u64::from_le_bytes(*bits) & regions),
            }
        }
    }
    invalid
}

/// Writes one of the units that leaves are written in, [`Layout::unit`]: all its leaves, which may be of
/// several bitmaps. `word` gives their words as [`read_bitmap`] would. What is beyond the last region is
/// written as set: if the mirror grows, its new regions are. `out` is [`Layout::write_unit`] bytes.
pub(crate) fn encode_unit(
    layout: &Layout,
    unit: usize,
    epoch: u64,
    mut word: impl FnMut(BitmapId, usize) -> u64,
    out: &mut [u8],
) {
    out.fill(0);
    let leaves = unit * layout.leaves_per_unit()..;
    let (out, _) = out.as_chunks_mut::<LEAF_BYTES>();
    for (index, out) in leaves.zip(out) {
        let bitmap = BitmapId((index / LEAVES_PER_BITMAP) as u16);
        if bitmap.index() > LEGS_MAX {
            break;
        }
        let leaf = index % LEAVES_PER_BITMAP;
        let mut bits = [0; BITS_BYTES];
        let (words, _) = bits.as_chunks_mut::<8>();
        for (index, to) in (leaf * WORDS_PER_LEAF..).zip(words) {
            let value = match regions_of(index, layout.num_regions) {
                0 => !0,
                regions => word(bitmap, index) | !regions,
            };
            *to = value.to_le_bytes();
        }
        encode_leaf(bitmap, leaf, epoch, &bits, out);
    }
}

/// The bits of a word that have a region.
fn regions_of(word: usize, num_regions: u32) -> u64 {
    match (num_regions as usize).saturating_sub(word * 64) {
        0 => 0,
        rest @ 1..64 => (1 << rest) - 1,
        _ => !0,
    }
}
