//! Requests to bdevs of our own.

use std::future::Future;
use std::sync::Mutex;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use barespdk::bdev::{Data, IoError, IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Options, Request};

use crate::lab::{Bench, Lab, Serving, status, through};
use crate::support::{
    Outcome, both, check, check_eq, disk, filled, is_full, misaligned, open, peek, poll_once,
    reads, turn, write,
};

const FAILED: Result<(), IoError> = Err(IoError::Failed(Status::Failed));

/// Peer fault: "block length that does not divide the request: heap overflow in release".
pub(crate) async fn blocks_of_another_size() -> Outcome {
    fn rescaled<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let (lower, data) = (&bench.lowers[0], request.data());
            let (ours, theirs) = (
                u64::from(request.block_size()),
                u64::from(lower.block_size()),
            );
            let offset = request.offset_blocks() * ours / theirs;
            match request.io_type() {
                IoType::READ => status(lower.read(&data, offset).await),
                _ => status(lower.write(&data, offset).await),
            }
        })
    }
    let fine = Lab::new(rescaled)
        .over(open("Malloc4k")?)
        .make("fine", 512, 8192)?;
    let coarse = Lab::new(rescaled)
        .over(open("Malloc")?)
        .make("coarse", 4096, 1024)?;
    {
        let (fine, coarse) = (disk("fine")?, disk("coarse")?);
        write(&fine, 8, 8192, 4).await?;
        check!(reads(&fine, 8, 8192, 4).await?);
        check!(reads(&disk("Malloc4k")?, 1, 8192, 4).await?);
        for blocks in [1, 7, 9] {
            check_eq!(fine.write_buf(filled(blocks * 512, 1)?, 8).await.0, FAILED);
            check_eq!(fine.read_buf(filled(blocks * 512, 1)?, 8).await.0, FAILED);
        }
        write(&coarse, 1, 8192, 5).await?;
        check!(reads(&coarse, 1, 8192, 5).await?);
        check!(reads(&disk("Malloc")?, 8, 8192, 5).await?);
    }
    fine.unregister().await?;
    coarse.unregister().await?;
    Ok(())
}

/// What a request ends with is what its submitter sees, code for code.
pub(crate) async fn every_status() -> Outcome {
    fn planned<'a>(lab: &'a Lab, _: &'a Bench, _: Request<'a>) -> Serving<'a> {
        Box::pin(async { lab.plan.lock().unwrap().pop().unwrap_or(Status::Success) })
    }
    let lab = Lab::new(planned).make("planned", 512, 8192)?;
    let planned = disk("planned")?;
    for status in [
        Status::Failed,
        Status::Aborted,
        Status::Miscompare,
        Status::FirstFusedFailed,
        Status::Nvme {
            cdw0: 0xdead_beef,
            sct: 7,
            sc: 0xff,
        },
        Status::Nvme {
            cdw0: 1,
            sct: 2,
            sc: 0x81,
        },
        Status::Scsi {
            sc: 2,
            sk: 3,
            asc: 0x11,
            ascq: 0,
        },
        Status::Scsi {
            sc: 0x18,
            sk: 0xf,
            asc: 0xff,
            ascq: 0xff,
        },
        Status::Aio(-5),
        Status::Aio(i32::MIN),
    ] {
        lab.device().plan.lock().unwrap().push(status);
        check_eq!(planned.flush(0, 1).await, Err(IoError::Failed(status)));
    }
    // Codes that say success are success.
    for status in [
        Status::Success,
        Status::Nvme {
            cdw0: 0,
            sct: 0,
            sc: 0,
        },
        Status::Aio(0),
    ] {
        lab.device().plan.lock().unwrap().push(status);
        check_eq!(planned.flush(0, 1).await, Ok(()));
    }
    drop(planned);
    lab.unregister().await?;
    Ok(())
}

/// A request that ends for lack of memory is submitted once more by the bdev layer.
pub(crate) async fn no_memory_is_tried_again() -> Outcome {
    fn planned<'a>(lab: &'a Lab, _: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            if request.buffer().await.is_err() {
                return Status::Failed;
            }
            lab.plan.lock().unwrap().pop().unwrap_or(Status::Success)
        })
    }
    let mut options = Options::new(512, 8192);
    options.required_alignment = 16;
    let lab = Lab::new(planned).make_with("short", &options)?;
    lab.device()
        .plan
        .lock()
        .unwrap()
        .extend([Status::NoMemory; 7]);
    let short = disk("short")?;
    let mut reads = Vec::new();
    for _ in 0..20 {
        reads.push(short.read(&misaligned(4096, 1)?, 0));
    }
    for io in reads {
        check_eq!(io.await, Ok(()));
    }
    check_eq!(lab.device().served.get(), 27);
    drop(short);
    lab.unregister().await?;
    Ok(())
}

/// Each type, through a bdev of our own.
pub(crate) async fn every_type_through() -> Outcome {
    let lab = Lab::new(through)
        .over(open("Malloc")?)
        .make("through", 512, 8192)?;
    {
        let disk = disk("through")?;
        write(&disk, 0, 4096, 3).await?;
        check!(reads(&disk, 0, 4096, 3).await?);
        check_eq!(disk.compare_buf(filled(4096, 3)?, 0).await.0, Ok(()));
        let miscompare = Err(IoError::Failed(Status::Miscompare));
        check_eq!(disk.compare_buf(filled(4096, 4)?, 0).await.0, miscompare);
        let three = Data::from_buffer(filled(512, 3)?);
        let four = Data::from_buffer(filled(512, 4)?);
        check_eq!(disk.compare_and_write(&three, &four, 1).await, Ok(()));
        check_eq!(disk.compare_and_write(&three, &four, 1).await, miscompare);
        check!(reads(&disk, 1, 512, 4).await?);
        check_eq!(disk.copy(16, 0, 8).await, Ok(()));
        check_eq!(disk.write_zeroes(0, 2).await, Ok(()));
        check_eq!(disk.unmap(2, 2).await, Ok(()));
        check!(reads(&disk, 0, 2048, 0).await?);
        check!(reads(&disk, 18, 512, 3).await?);
        check_eq!(disk.flush(0, 8).await, Ok(()));
        check_eq!(disk.reset().await, Ok(()));
        // The device says yes to all; this no request could serve.
        check!(!disk.desc().supports(IoType::ZCOPY));
    }
    lab.unregister().await?;
    Ok(())
}

/// SPDK does not say of a comparison what is to be checked of its data: not what was checked of
/// whatever had its memory before.
pub(crate) async fn compared_where_data_is_checked() -> Outcome {
    let mut options = Options::new(512, 8192);
    // The guard: `SPDK_DIF_FLAGS_GUARD_CHECK`.
    options.dif_check_flags = 1 << 28;
    let lab = Lab::new(through)
        .over(open("Malloc")?)
        .make_with("checked", &options)?;
    {
        write(&disk("Malloc")?, 1, 512, 3).await?;
        let disk = disk("checked")?;
        let three = Data::from_buffer(filled(512, 3)?);
        let four = Data::from_buffer(filled(512, 4)?);
        check_eq!(disk.compare_and_write(&three, &four, 1).await, Ok(()));
    }
    lab.unregister().await?;
    Ok(())
}

/// A device whose `submit` is no `async fn` may use the request before its task is polled.
pub(crate) async fn used_before_the_first_poll() -> Outcome {
    fn eager<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        let (lower, offset) = (&bench.lowers[0], request.offset_blocks());
        let mut waiting = request.buffer();
        let mut noop = std::task::Context::from_waker(Waker::noop());
        let _ = std::pin::Pin::new(&mut waiting).poll(&mut noop);
        if offset % 2 == 0 {
            let Ok(mut passed) = request.fan_out() else {
                return Box::pin(std::future::ready(Status::Failed));
            };
            passed.write(lower, offset);
            passed.write(lower, u64::MAX);
        } else {
            drop(lower.write(&request.data(), offset));
            lab.passed.add();
        }
        Box::pin(std::future::ready(Status::Success))
    }
    let lab = Lab::new(eager)
        .over(open("Malloc")?)
        .make("eager", 512, 8192)?;
    let disk = disk("eager")?;
    for round in 0..20 {
        write(&disk, 300 + round, 512, 60 + round as u8).await?;
    }
    drop(disk);
    lab.unregister().await?;
    for round in 0..20 {
        check!(
            reads(
                &crate::support::disk("Malloc")?,
                300 + round,
                512,
                60 + round as u8
            )
            .await?
        );
    }
    Ok(())
}

/// Peer fault: "request readable after completion": it is complete when its last I/O is over, though
/// its future has long ended and dropped them.
pub(crate) async fn completed_after_its_last_io() -> Outcome {
    fn hasty<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let (lower, data) = (&bench.lowers[0], request.data());
            drop(lower.write(&data, request.offset_blocks()));
            // Kept by the thread, beyond the request.
            let mut flush = lower.write(&data, 1000 + request.offset_blocks());
            let _ = poll_once(&mut flush).await;
            bench.kept.borrow_mut().push(flush);
            Status::Success
        })
    }
    let lab = Lab::new(hasty)
        .over(open("Slow")?)
        .make("hasty", 512, 8192)?;
    {
        let disk = disk("hasty")?;
        let start = Instant::now();
        write(&disk, 5, 512, 99).await?;
        check!(start.elapsed() >= Duration::from_millis(15));
        let slow = peek("SlowBase")?;
        check!(reads(&slow, 5, 512, 99).await? && reads(&slow, 1005, 512, 99).await?);
    }
    lab.unregister().await?;
    Ok(())
}

/// What a write brings is its submitter's: SPDK lends a page of zeroes to many.
pub(crate) async fn a_write_is_not_read_into() -> Outcome {
    fn greedy<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let (lower, data) = (&bench.lowers[0], request.data());
            lab.note(format!("{:?}", lower.read(&data, 0).await.is_err()));
            let part = data.slice(0..512).map(|part| lower.read(&part, 0));
            if let Ok(part) = part {
                lab.note(format!("{:?}", part.await.is_err()));
            }
            lab.note(format!("{:?}", data.copy_from(&[1]).is_err()));
            if let Ok(mut passed) = request.fan_out() {
                passed.read(lower, 0);
                lab.note(format!("{:?}", !(&mut passed).await.is_empty()));
            }
            Status::Success
        })
    }
    write(&disk("Malloc")?, 0, 4096, 0x55).await?;
    let mut lab = Lab::new(greedy).over(open("Malloc")?);
    lab.pass = |_, bench, pass| pass.read(&bench.lowers[0], 0);
    lab.supports = |io_type| matches!(io_type, IoType::READ | IoType::WRITE);
    let lab = lab.make("greedy", 512, 8192)?;
    {
        let disk = disk("greedy")?;
        let (outcome, buffer) = disk.write_buf(filled(4096, 7)?, 0).await;
        check!(
            outcome.is_ok() && buffer.is_some_and(|buffer| buffer.iter().all(|byte| *byte == 7))
        );
        // The bdev layer writes the zeroes that it has.
        check_eq!(disk.write_zeroes(0, 8).await, Ok(()));
    }
    let notes = lab.device().notes();
    check!(notes.len() == 8 && notes.iter().all(|refused| refused == "true"));
    lab.unregister().await?;
    Ok(())
}

static WAKERS: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

/// Peer fault: "waker outlives its task or poller", "from a std thread panics".
pub(crate) async fn a_wake_after_the_end() -> Outcome {
    fn leaves_its_waker<'a>(_: &'a Lab, _: &'a Bench, _: Request<'a>) -> Serving<'a> {
        Box::pin(async {
            let mut first = true;
            std::future::poll_fn(|cx| {
                WAKERS.lock().unwrap().push(cx.waker().clone());
                cx.waker().wake_by_ref();
                if std::mem::take(&mut first) {
                    Poll::Pending
                } else {
                    Poll::Ready(())
                }
            })
            .await;
            Status::Success
        })
    }
    let lab = Lab::new(leaves_its_waker).make("wakers", 512, 8192)?;
    {
        let disk = disk("wakers")?;
        for round in 0..100 {
            let (one, two) = both(disk.flush(0, 1), disk.flush(1, 1)).await;
            check_eq!((one, two), (Ok(()), Ok(())));
            let wakers = std::mem::take(&mut *WAKERS.lock().unwrap());
            for waker in &wakers {
                waker.wake_by_ref();
            }
            if round % 10 == 0 {
                let joined = std::thread::spawn(move || wakers.into_iter().for_each(Waker::wake));
                joined.join().map_err(|_| Errno::EIO)?;
            }
        }
    }
    lab.unregister().await?;
    turn().await;
    Ok(())
}

pub(crate) async fn a_buffer_asked_for_twice() -> Outcome {
    fn twice<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let (mut one, mut two) = (request.buffer(), request.buffer());
            let _ = poll_once(&mut one).await;
            drop(one);
            let (first, second) = both(&mut two, request.buffer()).await;
            if first.is_err() || second.is_err() {
                return Status::Failed;
            }
            status(
                bench.lowers[0]
                    .read(&request.data(), request.offset_blocks())
                    .await,
            )
        })
    }
    write(&disk("Malloc")?, 0, 4096, 0x21).await?;
    let mut options = Options::new(512, 8192);
    options.required_alignment = 14;
    let lab = Lab::new(twice)
        .over(open("Malloc")?)
        .make_with("twice", &options)?;
    {
        let disk = disk("twice")?;
        let mut ios = Vec::new();
        for _ in 0..60 {
            let data = misaligned(4096, 1)?;
            ios.push((disk.read(&data, 0), data));
        }
        for (io, data) in ios {
            check_eq!(io.await, Ok(()));
            check!(is_full(&data, 0x21));
        }
    }
    lab.unregister().await?;
    Ok(())
}
