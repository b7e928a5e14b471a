//! Damage to free memory, as a stray write of a driver or a device does it, is found.
#![cfg(not(loom))]

use barespdk_alloc_dma::{CheckError, LocalArena, SystemBacking};

/// Frees three blocks, writes `word` over the start of the one that is free longest but one, and checks.
fn check_after(word: impl FnOnce([usize; 3]) -> usize) -> (Result<(), CheckError>, [usize; 3]) {
    let arena = LocalArena::new(SystemBacking).unwrap();
    let mut bufs: [_; 3] = std::array::from_fn(|_| arena.alloc(4096, 64).unwrap());
    let places = bufs.each_mut().map(|buf| buf.as_mut_ptr().cast::<usize>());
    let addresses = places.map(|place| place.addr());
    drop(bufs);
    arena.check().unwrap();
    // SAFETY: none; the block is the arena's now. Nothing but the check looks at it after this, and the
    // arena is not used nor dropped.
    unsafe { places[1].write(word(addresses)) };
    let result = arena.check();
    // SAFETY: as above; mended, so that the arena can be dropped.
    unsafe { places[1].write(addresses[0]) };
    assert!(arena.check().is_ok());
    (result, addresses)
}

#[test]
fn a_link_to_nowhere() {
    let (result, _) = check_after(|_| 0x1234_5678_9abc_d000);
    let address = 0x1234_5678_9abc_d000;
    assert_eq!(
        result,
        Err(CheckError::StrayBlock {
            address,
            size: 4096
        })
    );
}

#[test]
fn a_link_into_a_block() {
    let (result, addresses) = check_after(|addresses| addresses[0] + 64);
    let address = addresses[0] + 64;
    assert_eq!(
        result,
        Err(CheckError::StrayBlock {
            address,
            size: 4096
        })
    );
}

#[test]
fn a_list_that_ends_early() {
    let (result, _) = check_after(|_| 0);
    assert!(
        matches!(result, Err(CheckError::Sum { used: 0, .. })),
        "{result:?}"
    );
}

#[test]
fn a_list_without_end() {
    let (result, _) = check_after(|addresses| addresses[1]);
    assert_eq!(result, Err(CheckError::Cycle { size: 4096 }));
}
