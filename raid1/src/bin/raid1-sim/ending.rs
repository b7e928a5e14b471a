//! The end of a life: what legs hold then is checked, and left to the next one.

use crate::checker::{Checker, Value as Content};
use crate::disk::Disk;
use crate::lives::Death;
use crate::media::{RESERVED_BYTES, blocks};
use crate::passed::Passed;
use crate::plan::NUM_BLOCKS;
use crate::world::World;
use crate::{content, leg, life, verdict};

/// Ends this life, and has the next one begin. A death, or none if the mirror was stopped.
pub(crate) fn ends(death: Option<Death>) -> ! {
    match death {
        Some(death) => verdict::trace(|| format!("the life ends: {death:?}")),
        None => verdict::trace(|| "the life ends: stopped".to_owned()),
    }
    let power_is_lost = death == Some(Death::PowerLoss);
    let requests = life::requests_before() + leg::requests();
    let legs = || (0..).map_while(leg::get);
    let failed_flush: Vec<_> = legs().map(|leg| leg.has_failed_flush()).collect();
    let disks: Vec<_> = legs().map(|leg| leg.take_disk(power_is_lost)).collect();
    let checker = World::with(|world| std::mem::replace(&mut world.checker, Checker::new(0)));
    let passed = judge(life::leaves(requests, disks, checker), death, &failed_flush);
    let error = passed.begin();
    verdict::failed(&format!("the next life does not begin: {error}"));
}

/// Checks what the legs hold at the end of a life.
fn judge(mut passed: Passed, death: Option<Death>, failed_flush: &[bool]) -> Passed {
    let media = life::read(&passed.disks, life::is_hidden);
    let contents = |disk: &Disk| {
        let bytes = disk.blocks(blocks(RESERVED_BYTES), NUM_BLOCKS);
        content::values(bytes, 0)
    };
    let legs: Vec<_> = (0..passed.disks.len())
        .filter(|leg| passed.is_created && media.is_in_sync(*leg))
        .map(|leg| (leg, contents(&passed.disks[leg])))
        .collect();
    for (leg, contents) in &legs {
        for (block, found) in (0..).zip(contents) {
            // It is copied to at the next start.
            if failed_flush[*leg] && media.is_dirty(block) {
                continue;
            }
            let checked = match death {
                Some(Death::PowerLoss) => passed.checker.check_after_crash(block, found),
                _ => passed.checker.check_leg(block, found),
            };
            if let Err(violation) = checked {
                verdict::failed(&format!(
                    "at the end of the life, leg {leg}, in sync: {violation}"
                ));
            }
        }
    }
    let may_differ: Vec<_> = (0..NUM_BLOCKS)
        .map(|block| media.may_differ(block))
        .collect();
    if media.newest().is_some_and(|newest| newest.is_clean) {
        equal(&legs, "after a clean stop", |_| true);
    }
    // What is not made equal at the next start has to be equal.
    let mut legs = legs;
    legs.retain(|(leg, _)| !failed_flush[*leg]);
    equal(
        &legs,
        "at the end of a life, in a region that is clean",
        |block| !may_differ[block],
    );
    // What a leg has lost, and was not told to have lost, is lost if it is the only one next time.
    let has_lost = (0..failed_flush.len()).any(|leg| failed_flush[leg] && media.is_in_sync(leg));
    let loses = has_lost || death == Some(Death::PowerLoss);
    passed.checker.life_ends(loses, true);
    if let Some(apart) = &mut passed.apart {
        apart.other.life_ends(loses, true);
    }
    passed
}

/// Compares what legs hold in blocks that `matter`.
pub(crate) fn equal(
    legs: &[(usize, Vec<Result<Content, String>>)],
    when: &str,
    matters: impl Fn(usize) -> bool,
) {
    let Some(((first, wanted), others)) = legs.split_first() else {
        return;
    };
    for (leg, found) in others {
        let differs = |block: &usize| matters(*block) && wanted[*block] != found[*block];
        if let Some(block) = (0..wanted.len()).find(differs) {
            verdict::failed(&format!(
                "{when}, block {block} is {:?} on leg {first}, and {:?} on leg {leg}",
                wanted[block], found[block]
            ));
        }
    }
}
