//! Mirrors of legs that have metadata between the data of their blocks.

use std::sync::atomic::Ordering::SeqCst;

use barespdk::bdev::{Channel, Desc};
use barespdk::errno::Errno;
use barespdk::module::Bdev;

use crate::assembly::{DATA, NUM_BLOCKS, create, delete, online, unplug};
use crate::rig::{BLOCK_SIZE, Rig};
use crate::support::{Failure, Outcome, check, check_eq, open, rpc, rpc_done};

const MD_SIZE: usize = 8;
const WHOLE: usize = BLOCK_SIZE + MD_SIZE;

/// The blocks where the copies of the superblock begin.
const COPIES: [usize; 2] = [0, (64 << 10) / BLOCK_SIZE];

/// The blocks that a mirror has its metadata in.
const METADATA: std::ops::Range<usize> = 0..(400 << 10) / BLOCK_SIZE;

fn legs_of(contents: [Vec<u8>; 2]) -> Result<Vec<Bdev<Rig>>, Failure> {
    ["A", "B"]
        .into_iter()
        .zip(contents)
        .map(|(name, content)| Rig::interleaved(name, content, MD_SIZE))
        .collect()
}

fn blank() -> Result<Vec<Bdev<Rig>>, Failure> {
    legs_of([(); 2].map(|()| vec![0; NUM_BLOCKS * WHOLE]))
}

/// A block of which no two bytes beside each other are alike.
fn pattern(of: usize) -> Vec<u8> {
    (0..WHOLE).map(|at| ((at + of) % 251) as u8).collect()
}

async fn write(desc: &Desc, block: u64, content: &[u8]) -> Outcome {
    let mut buffer = desc.buffer(content.len()).map_err(|_| Errno::ENOMEM)?;
    buffer.as_mut_slice().copy_from_slice(content);
    let (outcome, _) = Channel::new(desc)?.write_buf(buffer, block).await;
    Ok(outcome?)
}

async fn read(desc: &Desc, block: u64) -> Result<Vec<u8>, Failure> {
    let buffer = desc.buffer(WHOLE).map_err(|_| Errno::ENOMEM)?;
    let (outcome, buffer) = Channel::new(desc)?.read_buf(buffer, block).await;
    outcome?;
    let buffer = buffer.ok_or(Errno::ENOMEM)?;
    Ok(buffer.as_slice().to_vec())
}

/// The data of blocks, without what stands between.
fn data_of(content: &[u8], blocks: std::ops::Range<usize>) -> Vec<u8> {
    let blocks = content[blocks.start * WHOLE..blocks.end * WHOLE].chunks(WHOLE);
    blocks
        .flat_map(|block| &block[..BLOCK_SIZE])
        .copied()
        .collect()
}

/// What stands between the data of blocks.
fn metadata_of(content: &mut [u8]) -> impl Iterator<Item = &mut u8> {
    let blocks = content[METADATA.start * WHOLE..METADATA.end * WHOLE].chunks_mut(WHOLE);
    blocks.flat_map(|block| &mut block[BLOCK_SIZE..])
}

/// Blocks come back as they were written, after a stop and where the legs are found, whatever stands between the
/// data of the mirror's own metadata.
pub(crate) async fn come_back() -> Outcome {
    let legs = blank()?;
    create(&["A", "B"]).await?;
    let desc = open("M")?;
    check_eq!((desc.block_size(), desc.md_size()), (WHOLE as u32, 8));
    check!(desc.is_md_interleaved());
    check_eq!(desc.num_blocks(), (NUM_BLOCKS - DATA) as u64);
    let last = desc.num_blocks() - 1;
    for block in [0, 1, last] {
        write(&desc, block, &pattern(block as usize)).await?;
    }
    drop(desc);
    rpc_done("raid1_stop", r#"{"name":"M"}"#).await?;
    rpc_done("raid1_start", r#"{"name":"M"}"#).await?;
    online(2).await?;
    rpc_done("raid1_delete", r#"{"name":"M","keep_metadata":true}"#).await?;

    let mut contents = unplug(legs).await?;
    for content in &mut contents {
        for block in [0, 1, last as usize] {
            let at = (DATA + block) * WHOLE;
            check!(content[at..at + WHOLE] == pattern(block));
        }
        for copy in COPIES {
            check!(data_of(content, copy..copy + 1).starts_with(b"BARERAID"));
        }
        check!(metadata_of(content).all(|byte| *byte == 0));
        metadata_of(content).for_each(|byte| *byte = 0x5a);
    }
    let contents: [Vec<u8>; 2] = contents.try_into().map_err(|_| Errno::EINVAL)?;
    let legs = legs_of(contents)?;
    online(2).await?;
    let desc = open("M")?;
    for block in [0, 1, last] {
        check_eq!(read(&desc, block).await?, pattern(block as usize));
    }
    drop(desc);
    let contents = delete_all(legs).await?;
    for content in contents {
        for copy in COPIES {
            check!(
                data_of(&content, copy..copy + 8)
                    .iter()
                    .all(|byte| *byte == 0)
            );
        }
    }
    Ok(())
}

async fn delete_all(legs: Vec<Bdev<Rig>>) -> Result<Vec<Vec<u8>>, Failure> {
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    unplug(legs).await
}

/// Legs of a mirror that is not made are what they were, with all that their blocks have.
pub(crate) async fn not_made() -> Outcome {
    let before: Vec<u8> = (0..NUM_BLOCKS).flat_map(pattern).collect();
    let legs = legs_of([before.clone(), before.clone()])?;
    legs[1].device().bad_writes.store(3, SeqCst);
    let params = r#"{"name":"M","base_bdevs":["A","B"],"force":true}"#;
    let answer = rpc("raid1_create", params).await?;
    check!(answer.contains("base bdev 'B' failed a write of metadata"));
    for content in unplug(legs).await? {
        check!(content == before);
    }
    Ok(())
}

/// `bdev_raid` has its superblock in the data of blocks, too.
pub(crate) async fn as_bdev_raid_has_them() -> Outcome {
    let legs = blank()?;
    create(&["A", "B"]).await?;
    write(&open("M")?, 3, &pattern(3)).await?;
    rpc_done("raid1_export", r#"{"name":"M"}"#).await?;
    for leg in &legs {
        let content = leg.device().content();
        check!(data_of(&content, 0..1).starts_with(b"SPDKRAID"));
    }
    let answer = rpc("raid1_create", r#"{"name":"N","base_bdevs":["A","B"]}"#).await?;
    check!(answer.contains("'force'") && answer.contains("bdev_raid"));
    let params = r#"{"base_bdevs":["A","B"],"assume_clean":true}"#;
    rpc_done("raid1_import", params).await?;
    check_eq!(read(&open("M")?, 3).await?, pattern(3));
    delete(legs).await
}
