//! Mirrors that come back by what is on their legs.

use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use barespdk::module::Bdev;

use crate::harness::PATIENCE;
use crate::rig::{BLOCK_SIZE, RIGS, Rig};
use crate::support::{
    A_WHILE, Failure, Outcome, check, check_eq, open, pause, read, rpc, rpc_done, write,
};

/// Of a leg: the metadata, and four regions.
pub(crate) const NUM_BLOCKS: usize = 5 << 11;

/// Where the mirror's first block is on a leg.
pub(crate) const DATA: usize = 1 << 11;

/// Blocks of a region.
pub(crate) const REGION: u64 = 1 << 11;

pub(crate) fn blank(name: &str) -> Result<Bdev<Rig>, Failure> {
    Rig::of(name, vec![0; NUM_BLOCKS * BLOCK_SIZE])
}

pub(crate) async fn create(legs: &[&str]) -> Outcome {
    let params = format!(r#"{{"name":"M","base_bdevs":{legs:?},"sync":"assume_clean"}}"#);
    rpc_done("raid1_create", &params).await
}

async fn waiting() -> Result<String, Failure> {
    rpc("raid1_get_bdevs", r#"{"category":"configuring"}"#).await
}

async fn all() -> Result<String, Failure> {
    rpc("raid1_get_bdevs", r#"{"category":"all"}"#).await
}

/// Waits until what is told of mirrors has a text.
pub(crate) async fn told(text: &str) -> Outcome {
    let start = Instant::now();
    loop {
        let list = all().await?;
        if list.contains(text) {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            return Err(Failure(format!("not told: {text}, but: {list}")));
        }
        pause(Duration::from_millis(2)).await;
    }
}

/// Waits until the mirror is there, with so many legs in sync.
pub(crate) async fn online(legs: usize) -> Outcome {
    told(&format!(
        r#""state":"online","raid_level":"raid1","superblock":true,"num_base_bdevs":2,"num_base_bdevs_discovered":{legs},"num_base_bdevs_operational":{legs}"#
    ))
    .await
}

/// Takes legs away. What is on them.
pub(crate) async fn unplug(legs: Vec<Bdev<Rig>>) -> Result<Vec<Vec<u8>>, Failure> {
    let mut contents = Vec::new();
    for leg in legs {
        leg.unregister().await?;
        contents.push(leg.device().content());
    }
    Ok(contents)
}

/// Two legs of a mirror that was stopped in order, with a block of 7 at its start.
async fn stopped() -> Result<[Vec<u8>; 2], Failure> {
    let legs = vec![blank("A")?, blank("B")?];
    create(&["A", "B"]).await?;
    write(&open("M")?, 0, 7).await?;
    rpc_done("raid1_delete", r#"{"name":"M","keep_metadata":true}"#).await?;
    let contents = unplug(legs).await?;
    contents
        .try_into()
        .map_err(|_| Failure("two legs were made".into()))
}

pub(crate) async fn delete(legs: Vec<Bdev<Rig>>) -> Outcome {
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    unplug(legs).await?;
    check!(!all().await?.contains(r#""name":"M""#));
    Ok(())
}

/// It is offline until it is started, and then has what was written.
pub(crate) async fn after_a_stop() -> Outcome {
    let legs = vec![blank("A")?, blank("B")?];
    create(&["A", "B"]).await?;
    let desc = open("M")?;
    write(&desc, 5, 1).await?;
    drop(desc);
    rpc_done("raid1_stop", r#"{"name":"M"}"#).await?;
    check!(open("M").is_err());
    let list = waiting().await?;
    check!(list.contains(r#""state":"configuring""#) && list.contains("it was stopped"));
    check!(list.contains(r#""name":"A""#) && list.contains(r#""num_base_bdevs_discovered":2"#));
    let again = rpc("raid1_stop", r#"{"name":"M"}"#).await?;
    check!(again.contains(r#""code":-19,"#));
    pause(A_WHILE).await;
    check!(open("M").is_err());

    rpc_done("raid1_start", r#"{"name":"M"}"#).await?;
    online(2).await?;
    check_eq!(read(&open("M")?, 5).await?, 1);
    // Nothing was dirty, so nothing is copied.
    check_eq!(legs[1].device().byte(DATA + 5), 1);
    let again = rpc("raid1_start", r#"{"name":"M"}"#).await?;
    check!(again.contains(r#""code":-17,"#));
    delete(legs).await
}

/// As soon as all legs are there, by themselves.
pub(crate) async fn whatever_the_order_and_the_names() -> Outcome {
    let [a, b] = stopped().await?;
    for turned in [false, true] {
        let (first, second) = if turned { (&b, &a) } else { (&a, &b) };
        let first = Rig::of("X", first.clone())?;
        told("waits_for").await?;
        check!(open("M").is_err());
        let second = Rig::of("Y", second.clone())?;
        online(2).await?;
        check_eq!(read(&open("M")?, 0).await?, 7);
        rpc_done("raid1_delete", r#"{"name":"M","keep_metadata":true}"#).await?;
        unplug(vec![first, second]).await?;
    }
    Ok(())
}

/// What it has missed is copied to it, and nothing else.
pub(crate) async fn without_a_leg_that_comes_later() -> Outcome {
    let [a, b] = stopped().await?;
    let a = Rig::of("A", a)?;
    told("slot 1 (was bdev 'B')").await?;
    pause(A_WHILE).await;
    check!(open("M").is_err());
    rpc_done("raid1_start", r#"{"name":"M"}"#).await?;
    online(1).await?;
    let desc = open("M")?;
    write(&desc, 2 * REGION + 1, 9).await?;

    let b = Rig::of("B2", b)?;
    online(2).await?;
    check_eq!(b.device().byte(DATA + 2 * REGION as usize + 1), 9);
    check_eq!(b.device().byte(DATA), 7);
    // It is one of them again: it can go on alone.
    rpc_done("raid1_remove_base_bdev", r#"{"name":"A"}"#).await?;
    check_eq!(read(&desc, 2 * REGION + 1).await?, 9);
    check_eq!(read(&desc, 0).await?, 7);
    drop(desc);
    delete(vec![a, b]).await
}

/// The time that is set counts, and can be changed meanwhile.
pub(crate) async fn without_a_leg_when_it_has_waited() -> Outcome {
    let refused = rpc("raid1_set_options", r#"{"assemble_timeout_s":86401}"#).await?;
    check!(refused.contains("expected 0 to 86400, found 86401"));
    rpc_done("raid1_set_options", r#"{"assemble_timeout_s":0}"#).await?;
    let [a, _] = stopped().await?;
    let a = Rig::of("A", a)?;
    told("waits_for").await?;
    pause(Duration::from_millis(600)).await;
    check!(open("M").is_err());
    rpc_done("raid1_set_options", r#"{"assemble_timeout_s":1}"#).await?;
    online(1).await?;
    rpc_done("raid1_set_options", r#"{"assemble_timeout_s":30}"#).await?;
    delete(vec![a]).await
}

/// Each leg was written to without the other: somebody has to choose.
pub(crate) async fn not_of_histories_that_went_apart() -> Outcome {
    let mut contents = Vec::new();
    for (byte, content) in (1..).zip(stopped().await?) {
        let leg = Rig::of("X", content)?;
        told("waits_for").await?;
        rpc_done("raid1_start", r#"{"name":"M"}"#).await?;
        online(1).await?;
        write(&open("M")?, REGION, byte).await?;
        rpc_done("raid1_stop", r#"{"name":"M"}"#).await?;
        contents.extend(unplug(vec![leg]).await?);
    }
    for (chosen, byte) in [("neither", 0), ("A", 1), ("1", 2)] {
        let legs = vec![
            Rig::of("A", contents[0].clone())?,
            Rig::of("B", contents[1].clone())?,
        ];
        // The first goes on as it did.
        online(1).await?;
        told("split brain").await?;
        // One mirror, with a leg that waits.
        let list = all().await?;
        check_eq!(list.matches(r#""raid_level""#).count(), 1);
        check!(list.contains(r#""waiting_base_bdevs":[{"name":"B","#));
        check!(!waiting().await?.contains(r#""raid_level""#));
        if chosen == "neither" {
            // The other history is not deleted with it, and does not take its place.
            rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
            told("it was stopped").await?;
            rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
            check!(!all().await?.contains(r#""name":"M""#));
            unplug(legs).await?;
            continue;
        }
        let refused = rpc("raid1_start", r#"{"name":"M","source":"C"}"#).await?;
        check!(refused.contains(r#""code":-22,"#));
        let params = format!(r#"{{"name":"M","source":"{chosen}"}}"#);
        if chosen == "1" {
            let refused = rpc("raid1_start", &params).await?;
            check!(refused.contains(r#""code":-17,"#));
            rpc_done("raid1_stop", r#"{"name":"M"}"#).await?;
            let refused = rpc("raid1_start", r#"{"name":"M"}"#).await?;
            check!(refused.contains("'A' (slot 0,") && refused.contains("'B' (slot 1,"));
        }
        rpc_done("raid1_start", &params).await?;
        online(2).await?;
        check_eq!(read(&open("M")?, REGION).await?, byte);
        for leg in &legs {
            check_eq!(leg.device().byte(DATA + REGION as usize), byte);
        }
        // They are of one history from now on.
        rpc_done("raid1_stop", r#"{"name":"M"}"#).await?;
        rpc_done("raid1_start", r#"{"name":"M"}"#).await?;
        online(2).await?;
        delete(legs).await?;
    }
    Ok(())
}

/// A copy of a leg is none, whether the mirror is there or waits.
pub(crate) async fn not_of_copies() -> Outcome {
    let [a, b] = stopped().await?;
    let mut legs = vec![Rig::of("A", a.clone())?];
    told("waits_for").await?;
    legs.push(Rig::of("A2", a.clone())?);
    legs.push(Rig::of("B", b)?);
    online(2).await?;
    legs.push(Rig::of("A3", a)?);
    pause(A_WHILE).await;
    let list = all().await?;
    check!(!list.contains("A2") && !list.contains("A3"));
    delete(legs).await
}

/// What was acknowledged is there, and legs are equal in the end, at whatever moment it stopped.
pub(crate) async fn after_a_crash() -> Outcome {
    for moment in 0..6_u8 {
        let mut legs = vec![blank("A")?, blank("B")?];
        create(&["A", "B"]).await?;
        let desc = open("M")?;
        write(&desc, REGION, 3).await?;
        for leg in &legs {
            leg.device().holds_writes.store(true, SeqCst);
        }
        let (first, second) = (desc.clone(), desc.clone());
        let writes = barespdk::runtime::spawn_local(async move {
            let _ = write(&first, REGION, 4).await;
            let _ = write(&second, 3 * REGION, 5).await;
        });
        writes?;
        pause(Duration::from_millis(2)).await;
        // The first leg goes on, the other one lags behind.
        legs[usize::from(moment % 2)]
            .device()
            .holds_writes
            .store(false, SeqCst);
        pause(Duration::from_millis(moment.into())).await;
        let images: Vec<_> = legs.iter().map(|leg| leg.device().content()).collect();
        for leg in &legs {
            leg.device().holds_writes.store(false, SeqCst);
        }
        drop(desc);
        delete(std::mem::take(&mut legs)).await?;

        let legs = vec![
            Rig::of("B", images[1].clone())?,
            Rig::of("A", images[0].clone())?,
        ];
        online(2).await?;
        let desc = open("M")?;
        let byte = read(&desc, REGION).await?;
        check!(byte == 3 || byte == 4);
        check!([0, 5].contains(&read(&desc, 3 * REGION).await?));
        let start = Instant::now();
        let data = DATA * BLOCK_SIZE..;
        while legs[0].device().content()[data.clone()] != legs[1].device().content()[data.clone()] {
            check!(start.elapsed() < PATIENCE);
            pause(Duration::from_millis(2)).await;
        }
        check_eq!(read(&desc, REGION).await?, byte);
        drop(desc);
        delete(legs).await?;
    }
    Ok(())
}

/// What the first of two legs has on it when they have just been started.
async fn after_a_start(a: &[u8], b: &[u8]) -> Result<Vec<u8>, Failure> {
    let legs = vec![Rig::of("A", a.to_vec())?, Rig::of("B", b.to_vec())?];
    online(2).await?;
    let content = legs[0].device().content();
    rpc_done("raid1_delete", r#"{"name":"M","keep_metadata":true}"#).await?;
    unplug(legs).await?;
    Ok(content)
}

/// Makes a leg what it was before the last generation was written.
fn forget_newest_copy(leg: &mut [u8]) {
    let copies = [0, 64 << 10];
    let generation = |at: &usize| {
        leg[at + 16..][..8]
            .iter()
            .rev()
            .copied()
            .collect::<Vec<_>>()
    };
    let newest = copies.into_iter().max_by_key(generation).unwrap_or(0);
    leg[newest..][..4096].fill(0);
}

/// An image of a leg from while the mirror was stopped, put back after a start: all is copied to it.
pub(crate) async fn with_an_image_from_before_the_start() -> Outcome {
    let [a, mut b] = stopped().await?;
    let ahead = after_a_start(&a, &b).await?;
    // What was written since, in a region that is clean again.
    let block = DATA + 2 * REGION as usize;
    b[block * BLOCK_SIZE..][..BLOCK_SIZE].fill(9);
    let legs = vec![Rig::of("A", ahead)?, Rig::of("B", b)?];
    online(2).await?;
    check_eq!(legs[1].device().byte(block), 0);
    check_eq!(read(&open("M")?, 2 * REGION).await?, 0);
    delete(legs).await
}

/// A start that one leg has not heard of: it is brought up to the other, which may be missing again.
pub(crate) async fn after_a_crash_of_the_start() -> Outcome {
    let [a, b] = stopped().await?;
    // Only the first has heard, of the first of the two generations of a start.
    let mut ahead = after_a_start(&a, &b).await?;
    forget_newest_copy(&mut ahead);
    let legs = vec![Rig::of("A", ahead.clone())?, Rig::of("B", b.clone())?];
    online(2).await?;
    check_eq!(read(&open("M")?, 0).await?, 7);
    delete(legs).await?;

    // The other starts alone, and the first, which blames nobody, is taken back.
    let leg_b = Rig::of("B", b)?;
    told("waits_for").await?;
    rpc_done("raid1_start", r#"{"name":"M"}"#).await?;
    online(1).await?;
    write(&open("M")?, REGION, 8).await?;
    let leg_a = Rig::of("A", ahead)?;
    online(2).await?;
    check_eq!(leg_a.device().byte(DATA + REGION as usize), 8);
    delete(vec![leg_a, leg_b]).await
}

/// It is looked at again, and is a leg as soon as it can be read.
pub(crate) async fn with_a_leg_that_cannot_be_read_at_first() -> Outcome {
    let [a, b] = stopped().await?;
    let legs = vec![Rig::of("A", a)?, Rig::of("B", b)?];
    // Before anybody has looked.
    for leg in &legs {
        leg.device().bad_reads.store(usize::MAX, SeqCst);
    }
    pause(A_WHILE).await;
    check!(!all().await?.contains(r#""name":"M""#));
    legs[0].device().bad_reads.store(0, SeqCst);
    told("slot 1 (was bdev 'B')").await?;
    legs[1].device().bad_reads.store(0, SeqCst);
    online(2).await?;
    check_eq!(read(&open("M")?, 0).await?, 7);
    delete(legs).await
}

/// It is tried again, and nothing is lost by that somebody else had it.
pub(crate) async fn with_a_leg_that_is_claimed_at_first() -> Outcome {
    let [a, b] = stopped().await?;
    for starts in [false, true] {
        let leg_b = Rig::of("B", b.clone())?;
        told("waits_for").await?;
        let claim = open("B")?;
        RIGS.claim(&claim)?;
        let legs = vec![Rig::of("A", a.clone())?, leg_b];
        told("slot 1 (bdev 'B' cannot be claimed: ").await?;
        check!(open("M").is_err());
        if starts {
            rpc_done("raid1_start", r#"{"name":"M"}"#).await?;
            online(1).await?;
            write(&open("M")?, 2 * REGION, 9).await?;
        }
        drop(claim);
        online(2).await?;
        check_eq!(read(&open("M")?, 0).await?, 7);
        if starts {
            check_eq!(legs[1].device().byte(DATA + 2 * REGION as usize), 9);
        }
        delete(legs).await?;
    }
    Ok(())
}

/// What waits can be deleted, from its legs too; what is claimed by others stays.
pub(crate) async fn not_what_was_deleted() -> Outcome {
    let [a, b] = stopped().await?;
    let a = Rig::of("A", a)?;
    told("waits_for").await?;
    let claim = open("A")?;
    RIGS.claim(&claim)?;
    let refused = rpc("raid1_delete", r#"{"name":"M"}"#).await?;
    check!(
        refused.contains(r#""code":-5,"#) && refused.contains("base bdev 'A' cannot be claimed")
    );
    drop(claim);
    rpc_done("raid1_delete", r#"{"name":"M","keep_metadata":true}"#).await?;
    check!(!all().await?.contains(r#""name":"M""#));
    let content = unplug(vec![a]).await?.remove(0);

    let legs = vec![Rig::of("A", content)?];
    told("waits_for").await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    check!(!all().await?.contains(r#""name":"M""#));
    let again = rpc("raid1_delete", r#"{"name":"M"}"#).await?;
    check!(again.contains(r#""code":-19,"#));
    let content = unplug(legs).await?.remove(0);
    check!(content[..128 << 10].iter().all(|byte| *byte == 0));
    // The other waits for it.
    let legs = vec![Rig::of("A", content)?, Rig::of("B", b)?];
    told("slot 0 (was bdev 'A')").await?;
    rpc_done("raid1_delete", r#"{"name":"M"}"#).await?;
    unplug(legs).await?;
    Ok(())
}

/// It waits, and comes online when the name is free.
pub(crate) async fn not_where_the_name_is_taken() -> Outcome {
    let [a, b] = stopped().await?;
    let other = Rig::make("M")?;
    let legs = vec![Rig::of("A", a)?, Rig::of("B", b)?];
    told("there is a bdev 'M' already").await?;
    let refused = rpc("raid1_start", r#"{"name":"M"}"#).await?;
    check!(refused.contains("there is a bdev 'M' already"));
    other.unregister().await?;
    online(2).await?;
    check_eq!(read(&open("M")?, 0).await?, 7);
    delete(legs).await
}
