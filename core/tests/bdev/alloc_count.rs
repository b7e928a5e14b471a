//! How often an I/O allocates. Counted for the thread of the reactor that runs the tests, with an
//! allocator that counts; what C allocates is not ours.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use barespdk::bdev::Data;
use barespdk::module::{Module, Options};

use crate::lab::{PLAIN, Plain, Through};
use crate::support::{Outcome, both, check, check_eq, disk, filled, open};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's word.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's word.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// I/O of the client, and requests of a module, with their futures, wait for nothing but SPDK.
pub(crate) async fn no_allocation_for_an_io() -> Outcome {
    const ROUNDS: usize = 1000;
    check!(Module::<Plain>::request_size() <= 1024);
    let registered = PLAIN.register(
        "plain",
        c"plain",
        &Options::new(512, 8192),
        Through(open("Malloc")?),
    );
    let bdev = registered.map_err(|(errno, _)| errno)?;
    {
        let plain = disk("plain")?;
        let data = Data::from_buffer(filled(8192, 1)?);
        let (first, second) = (data.slice(0..4096)?, data.slice(4096..8192)?);
        let mut buffer = Some(filled(4096, 1)?);
        let mut counted = 0;
        for round in 0..ROUNDS {
            // What is allocated once is not an I/O's: the slots of a channel.
            if round == 1 {
                counted = ALLOCATIONS.get();
            }
            let (one, two) = both(plain.write(&first, 0), plain.read(&second, 8)).await;
            check_eq!((one, two), (Ok(()), Ok(())));
            let Some(taken) = buffer.take() else { break };
            let (outcome, back) = plain.read_buf(taken, 16).await;
            check_eq!(outcome, Ok(()));
            buffer = back;
        }
        let counted = ALLOCATIONS.get() - counted;
        println!(
            "    {counted} allocations for {} I/O and as many requests",
            3 * (ROUNDS - 1)
        );
        check_eq!(counted, 0);
    }
    bdev.unregister().await?;
    Ok(())
}
