//! How a mirror is made: of fresh disks, of an array of `bdev_raid`, or of what the last try has left.

use barespdk::bdev::{Access, Desc};
use serde_json::{Value, json};

use crate::checker::{Checker, Value as Content};
use crate::media::{self, RESERVED_BYTES, blocks};
use crate::passed::Passed;
use crate::plan::{NUM_BLOCKS, Plan};
use crate::run::{MIRROR, expect_progress};
use crate::world::World;
use crate::{client, content, foreign, leg, rpc, verdict};

/// What legs hold before a mirror is made of them: this and their index.
const BEFORE: Content = 1 << 48;

/// What the first life begins with.
pub(crate) fn first(plan: &Plan, asked: String) -> Passed {
    let mut disks = leg::disks(plan);
    let mut checker = Checker::new(NUM_BLOCKS);
    let metadata = plan.metadata.as_ref();
    if metadata.is_some_and(|metadata| metadata.syncs) {
        let before = |index: usize| BEFORE + index as Content;
        for (index, disk) in disks.iter_mut().enumerate() {
            let fill = |bytes: &mut [u8]| content::fill(bytes, before(index), 0);
            disk.change(blocks(RESERVED_BYTES), NUM_BLOCKS, fill);
            disk.flush();
        }
        let any: Vec<_> = (0..disks.len()).map(before).collect();
        checker = Checker::of_any(NUM_BLOCKS, &any);
    }
    if metadata.is_some_and(|metadata| metadata.imports) {
        let superblock = foreign::superblock(MIRROR, disks.len(), blocks(RESERVED_BYTES));
        for disk in &mut disks {
            let put = |bytes: &mut [u8]| bytes[..superblock.len()].copy_from_slice(&superblock);
            disk.change(0, blocks(4096), put);
            disk.flush();
        }
    }
    Passed {
        life: 0,
        asked,
        requests: 0,
        is_created: false,
        disks,
        checker,
        apart: None,
    }
}

/// The call that makes the mirror of these legs, the first of which is right. `force` does away with what
/// they have.
pub(crate) fn call(plan: &Plan, legs: &[usize], force: bool) -> (&'static str, Value) {
    let names: Vec<_> = legs.iter().map(|leg| leg::name(*leg)).collect();
    let mut params = json!({ "name": MIRROR, "base_bdevs": names });
    let Some(metadata) = &plan.metadata else {
        params["superblock"] = false.into();
        return ("raid1_create", params);
    };
    params["region_size_kib"] = metadata.region_size_kib.into();
    if metadata.imports {
        match metadata.syncs {
            true => params["source"] = names[0].clone().into(),
            false => params["assume_clean"] = true.into(),
        }
        return ("raid1_import", params);
    }
    params["sync"] = if metadata.syncs {
        "full"
    } else {
        "assume_clean"
    }
    .into();
    params["force"] = force.into();
    ("raid1_create", params)
}

/// Makes the mirror, where there is none, of whatever the last life has left. Its first leg.
pub(crate) async fn again() -> usize {
    let plan = World::with(|world| world.plan.clone());
    for leg in 0..plan.legs {
        client::comes(leg).await;
    }
    let mut legs: Vec<_> = (0..plan.legs).collect();
    if plan
        .metadata
        .as_ref()
        .is_some_and(|metadata| metadata.imports)
    {
        let sequence =
            |leg: usize| leg::get(leg).and_then(|it| it.with_reserved(foreign::sequence));
        let newest = legs.iter().filter_map(|leg| sequence(*leg)).max();
        legs.retain(|leg| newest.is_some() && sequence(*leg) == newest);
        if legs.is_empty() {
            verdict::failed("there is no mirror, nor an array of bdev_raid");
        }
    }
    let (method, params) = call(&plan, &legs, true);
    expect(method, params).await;
    legs[0]
}

/// Calls a method that must succeed.
pub(crate) async fn expect(method: &'static str, params: Value) {
    expect_progress();
    let outcome = rpc::call(method, params).await;
    if outcome != Ok(Value::Bool(true)) {
        verdict::failed(&format!("{method}: {outcome:?}"));
    }
    expect_progress();
}

/// Gives the mirror back to `bdev_raid`, all legs being in sync and nothing in flight.
pub(crate) async fn export() {
    expect("raid1_export", json!({ "name": MIRROR })).await;
    if Desc::open(MIRROR, Access::Read, |_| {}).is_ok() {
        verdict::failed("the mirror was given back, and is there");
    }
    let legs: Vec<_> = (0..).map_while(leg::get).collect();
    let found = legs.iter().map(|leg| leg.with_reserved(foreign::sequence));
    let found: Vec<_> = found.collect();
    let is_ours = |leg: &leg::Leg| leg.with_reserved(|bytes| media::own(bytes).is_some());
    if found.iter().any(|it| it.is_none() || *it != found[0]) || legs.iter().any(|leg| is_ours(leg))
    {
        verdict::failed(&format!(
            "the mirror was given back, and legs have {found:?}"
        ));
    }
}
