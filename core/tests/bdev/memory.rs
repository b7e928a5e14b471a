//! What happens when SPDK has no memory.

use std::rc::Rc;

use barespdk::bdev::{IoType, Status};
use barespdk::module::Request;

use crate::POOL;
use crate::lab::{Bench, Lab, Serving, has_served, status, through};
use crate::support::{
    Outcome, check, check_eq, disk, filled, is_full, misaligned, open, poll_once, turn, write,
};

/// Keeps requests until the test lets them go.
fn when_open<'a>(lab: &'a Lab, _: &'a Bench, _: Request<'a>) -> Serving<'a> {
    Box::pin(async {
        lab.opened().await;
        Status::Success
    })
}

/// Peer fault: "-ENOMEM becomes an I/O failure": each I/O that SPDK has no `spdk_bdev_io` for waits.
pub(crate) async fn no_io_left_waits() -> Outcome {
    let lab = Lab::new(when_open).make("few", 512, 8192)?;
    let few = disk("few")?;
    let flushes: Vec<_> = (0..3 * POOL as u64)
        .map(|block| few.flush(block, 1))
        .collect();
    check!(lab.device().served.get() < POOL + 1);
    check_eq!(few.load(), 1 + 3 * POOL);
    lab.device().let_go();
    for flush in flushes {
        check_eq!(flush.await, Ok(()));
    }
    check_eq!(lab.device().served.get(), 3 * POOL);
    drop(few);
    lab.unregister().await?;
    Ok(())
}

/// Nobody wants any more what waits for memory: it is never submitted, and leaks nothing.
pub(crate) async fn dropped_while_it_waits() -> Outcome {
    let lab = Lab::new(when_open).make("few", 512, 8192)?;
    let few = disk("few")?;
    let in_use = barespdk_alloc_dma::global().stats().in_use_bytes;
    let mut reads = Vec::new();
    for _ in 0..2 * POOL {
        let mut read = few.write_buf(filled(512, 1)?, 0);
        check!(poll_once(&mut read).await.is_pending());
        reads.push(read);
    }
    let begun = lab.device().served.get();
    check!(begun <= POOL);
    drop(reads);
    drop(few);
    lab.device().let_go();
    lab.unregister().await?;
    check!(lab.device().served.get() < 2 * POOL);
    check_eq!(barespdk_alloc_dma::global().stats().in_use_bytes, in_use);
    Ok(())
}

/// The I/O of a request waits too, and the request with it: awaited, or dropped by its future.
pub(crate) async fn requests_wait_too() -> Outcome {
    fn dropping<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let (data, offset) = (request.data(), request.offset_blocks());
            if offset % 2 == 0 {
                drop(bench.lowers[0].write(&data, offset));
                lab.passed.add();
                return Status::Success;
            }
            status(bench.lowers[0].write(&data, offset).await)
        })
    }
    let lower = Lab::new(when_open).make("lower", 512, 8192)?;
    let upper = Lab::new(dropping)
        .over(open("lower")?)
        .make("upper", 512, 8192)?;
    let (first, second) = (disk("lower")?, disk("upper")?);
    // Leaves a few, so that some of the requests get through to where their own I/O has to wait.
    let hogs: Vec<_> = (0..POOL as u64 - 40)
        .map(|block| first.flush(block, 1))
        .collect();
    let mut writes = Vec::new();
    for block in 0..64 {
        writes.push(second.write_buf(filled(512, 1)?, block));
    }
    turn().await;
    check!(lower.device().served.get() < POOL);
    lower.device().let_go();
    for hog in hogs {
        check_eq!(hog.await, Ok(()));
    }
    for (block, io) in writes.into_iter().enumerate() {
        // What the device gave up while it waited was aborted, not lost: the request still ended.
        let outcome = io.await.0;
        check!(outcome == Ok(()) || block % 2 == 0);
    }
    check_eq!(upper.device().served.get(), 64);
    drop((first, second));
    upper.unregister().await?;
    lower.unregister().await?;
    Ok(())
}

/// Reads without buffers of their submitters, more than the bdev layer has.
pub(crate) async fn no_buffer_left_waits() -> Outcome {
    fn slowly<'a>(lab: &'a Lab, _: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            if request.io_type() != IoType::READ {
                return Status::Success;
            }
            if request.buffer().await.is_err() {
                return Status::Failed;
            }
            lab.passed.add();
            lab.opened().await;
            let copied = request.data().copy_from(&[6; 1 << 16]);
            if copied.is_ok() {
                Status::Success
            } else {
                Status::Failed
            }
        })
    }
    // Aligned as no buffer of ours is: each read needs one of the layer's.
    let mut options = barespdk::module::Options::new(512, 1 << 20);
    options.required_alignment = 16;
    let lab = Lab::new(slowly).make_with("bounced", &options)?;
    let bounced = Rc::new(disk("bounced")?);
    let mut reads = Vec::new();
    for _ in 0..POOL - 60 {
        let data = misaligned(1 << 16, 1)?;
        reads.push((bounced.read(&data, 0), data));
    }
    check!(has_served(&lab, reads.len()).await);
    let granted = lab.device().passed.get();
    lab.device().let_go();
    for (io, data) in reads {
        check_eq!(io.await, Ok(()));
        check!(is_full(&data, 6));
    }
    check_eq!(lab.device().passed.get(), POOL - 60);
    check!(granted < POOL - 60);
    drop(bounced);
    lab.unregister().await?;
    Ok(())
}

/// More than the largest buffer of the layer is an error, of this request alone.
pub(crate) async fn a_buffer_too_large() -> Outcome {
    let lower = disk("Malloc")?;
    write(&lower, 0, 512, 1).await?;
    let mut options = barespdk::module::Options::new(512, 1 << 20);
    options.required_alignment = 12;
    let lab = Lab::new(through)
        .over(open("Malloc")?)
        .make_with("large", &options)?;
    let large = disk("large")?;
    // The bdev layer splits these, as it knows its buffers.
    let data = barespdk::bdev::Data::from_buffer(filled((1 << 20) + 4096, 3)?);
    let odd = data.slice(1..(1 << 20) + 1)?;
    check_eq!(large.write(&odd, 0).await, Ok(()));
    check_eq!(large.read(&odd, 0).await, Ok(()));
    check!(lab.device().served.get() > 2);
    drop(large);
    lab.unregister().await?;
    Ok(())
}
