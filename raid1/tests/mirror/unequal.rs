//! Legs that are not equal, or not yet.

use std::sync::atomic::Ordering::SeqCst;

use crate::assembly::{DATA, NUM_BLOCKS, REGION, blank, create, delete, online};
use crate::rig::{BLOCK_SIZE, Rig};
use crate::support::{Outcome, check, check_eq, open, read, rpc_done, write};

/// A leg that a new mirror has not been copied to is not read, not even where the first one cannot be.
pub(crate) async fn what_was_on_a_new_leg_is_never_read() -> Outcome {
    let full_of = |byte| vec![byte; NUM_BLOCKS * BLOCK_SIZE];
    let legs = vec![Rig::of("A", full_of(0xaa))?, Rig::of("B", full_of(0xbb))?];
    let [a, b] = [legs[0].device(), legs[1].device()];
    // Neither the copy nor a write of ours gets there before we have looked.
    let block = DATA + REGION as usize + 5;
    a.bad_block.store(block as u64, SeqCst);
    rpc_done("raid1_create", r#"{"name":"M","base_bdevs":["A","B"]}"#).await?;
    let desc = open("M")?;
    check!(read(&desc, REGION + 5).await.is_err());
    check_eq!(read(&desc, REGION + 6).await?, 0xaa);
    check_eq!(a.byte(block), 0xaa);
    write(&desc, REGION + 5, 0xcc).await?;
    online(2).await?;
    let data = DATA * BLOCK_SIZE..;
    check!(a.content()[data.clone()] == b.content()[data]);
    check_eq!(a.byte(block), 0xcc);
    drop(desc);
    delete(legs).await
}

/// Where legs may differ after a crash, another leg stands in for the block that the first cannot read, and for
/// none of those around it: they may have been read already.
pub(crate) async fn a_bad_block_of_the_first_leg() -> Outcome {
    let legs = vec![blank("A")?, blank("B")?];
    create(&["A", "B"]).await?;
    write(&open("M")?, REGION, 3).await?;
    let [a, mut b] = [0, 1].map(|leg: usize| legs[leg].device().content());
    delete(legs).await?;
    // Writes were in flight: one leg has them, the other does not.
    let first = DATA + REGION as usize;
    let mut ahead = a.clone();
    ahead[(first + 1) * BLOCK_SIZE..][..8 * BLOCK_SIZE].fill(4);
    b[(first + 1) * BLOCK_SIZE..][..8 * BLOCK_SIZE].fill(5);
    let leg_a = Rig::of("A", ahead)?;
    leg_a.device().bad_block.store(first as u64 + 4, SeqCst);
    let legs = vec![leg_a, Rig::of("B", b)?];
    online(2).await?;
    crate::assembly::told(r#""unequal_regions":0"#).await?;
    for leg in &legs {
        let bytes = [0, 1, 3, 4, 5, 8, 9].map(|block| leg.device().byte(first + block));
        check_eq!(bytes, [3, 4, 4, 5, 4, 4, 0]);
    }
    delete(legs).await
}
