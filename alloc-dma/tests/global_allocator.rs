//! A program, this one, whose every allocation comes from a shared arena.
#![cfg(not(loom))]

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::mpsc,
};

use barespdk_alloc_dma::{SharedArena, SystemBacking};

#[global_allocator]
static ARENA: SharedArena<SystemBacking> = SharedArena::new(SystemBacking);

#[test]
fn collections_live_in_the_arena() {
    let mut map = HashMap::new();
    let mut tree = BTreeMap::new();
    for key in 0..20_000_u64 {
        map.insert(key, key.to_string());
        tree.insert(key.reverse_bits(), vec![key as u8; (key % 300) as usize]);
    }
    tree.retain(|key, _| {
        map.remove(&key.reverse_bits())
            .is_some_and(|text| text.len() > 3)
    });
    assert_eq!(tree.len(), 19_000);
    assert!(
        tree.iter()
            .all(|(key, bytes)| bytes.len() as u64 == key.reverse_bits() % 300)
    );
    assert!(ARENA.stats().in_use_bytes > 19_000 * 64);
    ARENA.check().unwrap();
}

#[test]
fn a_vector_grows_through_every_class_and_beyond() {
    let mut bytes = Vec::new();
    for n in 0..6_000_000_usize {
        bytes.push(n as u8);
    }
    assert!(bytes.iter().enumerate().all(|(n, byte)| *byte == n as u8));
    bytes.truncate(10);
    bytes.shrink_to_fit();
    assert_eq!(bytes, (0..10).collect::<Vec<u8>>());
    let zeroed = vec![0_u8; 5 << 20];
    assert!(zeroed.iter().all(|byte| *byte == 0));
}

#[test]
fn alignments_are_kept() {
    #[repr(align(4096))]
    struct Page([u8; 100]);
    let pages: VecDeque<_> = (0..50).map(|n| Box::new(Page([n; 100]))).collect();
    for (n, page) in pages.iter().enumerate() {
        assert_eq!(std::ptr::from_ref(&**page).addr() % 4096, 0);
        assert!(page.0.iter().all(|byte| usize::from(*byte) == n));
    }
}

#[test]
fn threads_free_what_others_allocated() {
    let (send, receive) = mpsc::channel::<Box<[usize]>>();
    let makers: Vec<_> = (0..4)
        .map(|maker| {
            let send = send.clone();
            std::thread::spawn(move || {
                for n in 0..5_000 {
                    send.send(vec![maker; 1 + n % 200].into_boxed_slice())
                        .unwrap();
                }
            })
        })
        .collect();
    drop(send);
    let mut sum = 0;
    while let Ok(items) = receive.recv() {
        assert!(items.iter().all(|item| *item == items[0]));
        sum += items[0];
    }
    makers.into_iter().for_each(|maker| maker.join().unwrap());
    assert_eq!(sum, 5_000 * (1 + 2 + 3));
    ARENA.check().unwrap();
}
