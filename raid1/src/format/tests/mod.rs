extern crate std;

use alloc::string::String;
use alloc::vec::Vec;

use proptest::prelude::*;

use barespdk::uuid::Uuid;

use super::*;

mod bdev_raid;
mod copies;
mod corpus;
mod document;
mod foreign;
mod golden;
mod layout;
mod leaf;
mod superblock;

/// A mirror of three legs, of which one has failed.
fn sample() -> Superblock {
    let leg = |byte, state, name| LegEntry {
        uuid: uuid(byte),
        state,
        data_offset_blocks: 2048,
        base_name: Name::cut(name),
        ..LegEntry::default()
    };
    let mut legs = [LegEntry::default(); LEGS_MAX];
    legs[0] = leg(0x11, LegState::InSync, "Leg0");
    legs[1] = LegEntry {
        write_mostly: true,
        left_generation: 6,
        data_offset_blocks: 4096,
        ..leg(0x22, LegState::Failed, "Leg1")
    };
    legs[3] = LegEntry {
        left_generation: 5,
        checkpoint_blocks: 0x1234,
        ..leg(0x33, LegState::Rebuilding, "Leg3é")
    };
    Superblock {
        generation: 7,
        epoch: 0x0102_0304_0506_0708,
        uuid: uuid(0xaa),
        name: Name::cut("Mirror0"),
        clean: true,
        num_legs: 4,
        own_slot: 3,
        source: Some(0),
        block_size: 512,
        md: MdFormat {
            size: 8,
            interleaved: true,
            dif_type: 1,
            dif_pi_format: 0,
            dif_is_head: true,
        },
        data_size_blocks: 0x10_0000,
        region_size_blocks: 2048,
        update_time: 1_800_000_000,
        legs,
    }
}

fn uuid(byte: u8) -> Uuid {
    Uuid::from_bytes([byte; 16])
}

fn encoded(superblock: &Superblock) -> Vec<u8> {
    let mut bytes = alloc::vec![0xee; SUPERBLOCK_BYTES];
    superblock.encode(&mut bytes).unwrap();
    bytes
}

prop_compose! {
    fn names()(text in "\\PC{0,63}") -> Name {
        Name::cut(&text)
    }
}

prop_compose! {
    fn leg_entries()(
        uuid in any::<[u8; 16]>(),
        state in 1..5_u8,
        write_mostly: bool,
        data_offset_blocks in 2048..1_u64 << 40,
        left_generation in 0..100_u64,
        checkpoint_blocks in 0..1_u64 << 20,
        base_name in names(),
    ) -> LegEntry {
        LegEntry {
            uuid: Uuid::from_bytes(uuid),
            state: state.try_into().unwrap(),
            write_mostly,
            data_offset_blocks,
            left_generation,
            checkpoint_blocks,
            base_name,
        }
    }
}

prop_compose! {
    /// Superblocks that are valid.
    fn superblocks()(
        entries in proptest::collection::vec(proptest::option::of(leg_entries()), 1..=LEGS_MAX),
        own in any::<prop::sample::Index>(),
        (generation, epoch) in (100..1_u64 << 62, 1..=u64::MAX),
        uuid in any::<[u8; 16]>(),
        name in names(),
        (clean, has_source) in any::<(bool, bool)>(),
        (log, growth) in (9..=16_u32, 0..4_u64),
        (md_size, interleaved, dif_is_head) in (1..=65536_u32, any::<bool>(), any::<bool>()),
        (has_md, dif_type, dif_pi_format) in (any::<bool>(), 0..=3_u8, 0..=2_u8),
        data_size_blocks in 1_u64 << 20..1 << 40,
        update_time: u64,
    ) -> Superblock {
        let mut legs = [LegEntry::default(); LEGS_MAX];
        for (to, from) in legs.iter_mut().zip(&entries) {
            *to = from.unwrap_or_default();
        }
        let own = own.index(entries.len());
        if legs[own].state == LegState::Absent {
            legs[own] = LegEntry { uuid: Uuid::from_bytes([0xfe; 16]), data_offset_blocks: 2048, ..LegEntry::default() };
        }
        legs[own].state = LegState::InSync;
        let block_size = 1 << log;
        let name = if name.is_empty() { Name::cut("x") } else { name };
        let layout = Layout::with_data(block_size, 2048, data_size_blocks, None).unwrap();
        Superblock {
            generation,
            epoch,
            uuid: Uuid::from_bytes(uuid),
            name,
            clean,
            num_legs: entries.len() as u8,
            own_slot: own as u8,
            source: has_source.then_some(own as u8),
            block_size,
            md: if has_md {
                MdFormat { size: md_size, interleaved, dif_type, dif_pi_format, dif_is_head }
            } else {
                MdFormat::default()
            },
            data_size_blocks,
            region_size_blocks: layout.region_size_blocks << growth,
            update_time,
            legs,
        }
    }
}

/// Bytes that begin as if they were valid, with a checksum that fits where there is room for one.
fn signed(magic: &'static [u8], bytes: Vec<u8>) -> Vec<u8> {
    let mut signed: Vec<u8> = magic.iter().copied().chain(bytes).collect();
    if magic == super::superblock::MAGIC && signed.len() >= SUPERBLOCK_BYTES {
        seal(&mut signed);
    }
    signed
}

/// Makes the checksum of a superblock fit.
fn seal(bytes: &mut [u8]) {
    bytes[12..16].fill(0);
    let crc = crc32c::crc32c(&[&bytes[..SUPERBLOCK_BYTES]]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// What is written down as hexadecimal digits, blanks and line ends apart.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = (text.chars())
        .filter_map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn message(error: impl core::fmt::Display) -> String {
    alloc::string::ToString::to_string(&error)
}
