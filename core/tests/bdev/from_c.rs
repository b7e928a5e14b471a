//! Requests such as only C submits.

use std::ffi::c_void;
use std::ptr;

use barespdk::bdev::{IoType, Status};
use barespdk::errno::Errno;
use barespdk::module::{Options, Request};
use libc::iovec;

use crate::lab::{Bench, Lab, Serving, status};
use crate::raw::{Raw, Way};
use crate::support::{Outcome, check, check_eq, disk, filled, open, write};

/// A request in pieces of three iovecs, which become others: nothing is copied, lost, or moved twice.
pub(crate) async fn split_and_gathered() -> Outcome {
    fn backwards<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let (lower, data) = (&bench.lowers[0], request.data());
            let mut parts = Vec::new();
            for block in (0..request.num_blocks()).rev() {
                let Ok(part) = data.slice(block * 512..block * 512 + 512) else {
                    return Status::Failed;
                };
                parts.push(match request.io_type() {
                    IoType::READ => lower.read(&part, request.offset_blocks() + block),
                    _ => lower.write(&part, request.offset_blocks() + block),
                });
            }
            for io in parts {
                if io.await.is_err() {
                    return Status::Failed;
                }
            }
            Status::Success
        })
    }
    let lab = Lab::new(backwards)
        .over(open("Malloc")?)
        .make("split", 512, 8192)?;
    {
        let raw = Raw::open(&open("split")?)?;
        let mut memory = filled(8 * 512, 0)?;
        for (index, byte) in memory.iter_mut().enumerate() {
            *byte = (index % 251) as u8;
        }
        let wanted = memory.to_vec();
        let pieces = [0, 100, 101, 1000, 1700, 2048, 4096];
        let at = memory.as_mut_ptr();
        let mut iovs: Vec<_> = pieces
            .windows(2)
            .map(|piece| iovec {
                iov_base: at.wrapping_add(piece[0]).cast(),
                iov_len: piece[1] - piece[0],
            })
            .collect();
        // SAFETY: the memory stays until the outcome is known.
        let written = unsafe { raw.submit(Way::Write, &mut iovs, ptr::null_mut(), 30, 8) };
        check!(written.await?.0);
        memory.fill(0);
        // SAFETY: as above.
        let read = unsafe { raw.submit(Way::Read, &mut iovs, ptr::null_mut(), 30, 8) };
        let (done, seen) = read.await?;
        check!(done && seen == wanted && *memory == *wanted);
    }
    lab.unregister().await?;
    Ok(())
}

/// SPDK's `get_buf`: the submitter leaves it to the bdev to find memory.
pub(crate) async fn a_read_without_a_buffer() -> Outcome {
    fn careless<'a>(lab: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            // Before it has asked there is nothing to move, in any way.
            let (lower, data) = (&bench.lowers[0], request.data());
            lab.note(format!("{:?}", lower.read(&data, 0).await));
            lab.note(format!("{:?}", data.copy_from(&[1; 512])));
            if let Ok(mut passed) = request.fan_out() {
                passed.read(lower, 0);
                let failed = (&mut passed).await;
                lab.note(format!("{failed:?} {:?}", passed.error(0)));
            }
            if let Ok(part) = data.slice(512..1024) {
                lab.note(format!("{:?}", lower.read(&part, 0).await));
            }
            if request.buffer().await.is_err() || request.buffer().await.is_err() {
                return Status::Failed;
            }
            status(lower.read(&request.data(), request.offset_blocks()).await)
        })
    }
    write(&disk("Malloc")?, 40, 4096, 41).await?;
    let lab = Lab::new(careless)
        .over(open("Malloc")?)
        .make("unbuffered", 512, 8192)?;
    {
        let raw = Raw::open(&open("unbuffered")?)?;
        let mut iovs = [iovec {
            iov_base: ptr::null_mut(),
            iov_len: 4096,
        }];
        // SAFETY: there is no memory but the iovec, which stays.
        let (done, seen) =
            unsafe { raw.submit(Way::Read, &mut iovs, ptr::null_mut(), 40, 8) }.await?;
        check!(done && seen == [41; 4096]);
    }
    let notes = lab.device().notes();
    check_eq!(notes.len(), 4);
    check!(
        notes
            .iter()
            .all(|note| note.contains(&format!("{:?}", Errno::EFAULT)))
    );
    lab.unregister().await?;
    Ok(())
}

/// Separate metadata goes on to a bdev that has as much of it, and to no other.
pub(crate) async fn metadata_of_another_size() -> Outcome {
    fn passes<'a>(_: &'a Lab, bench: &'a Bench, request: Request<'a>) -> Serving<'a> {
        Box::pin(async move {
            let (lower, offset) = (&bench.lowers[0], request.offset_blocks());
            let Ok(mut passed) = request.fan_out() else {
                return Status::Failed;
            };
            match request.io_type() {
                IoType::READ => passed.read(lower, offset),
                _ => passed.write(lower, offset),
            }
            let failed = (&mut passed).await;
            let again = match request.io_type() {
                IoType::READ => lower.read(&request.data(), offset).await,
                _ => lower.write(&request.data(), offset).await,
            };
            if failed.is_empty() {
                status(again)
            } else {
                Status::Failed
            }
        })
    }
    let mut options = Options::new(512, 1024);
    options.md_size = 8;
    for (lower, fits) in [("Meta8", true), ("Meta64", false), ("Malloc", false)] {
        let lab = Lab::new(passes)
            .over(open(lower)?)
            .make_with("meta", &options)?;
        {
            let raw = Raw::open(&open("meta")?)?;
            let (mut memory, mut metadata) = (filled(4096, 1)?, filled(64, 0x6d)?);
            let mut iovs = [iovec {
                iov_base: memory.as_mut_ptr().cast(),
                iov_len: 4096,
            }];
            let at = metadata.as_mut_ptr().cast::<c_void>();
            // SAFETY: the memory stays until the outcome is known.
            let outcome = unsafe { raw.submit(Way::Write, &mut iovs, at, 8, 8) };
            check_eq!(outcome.await?.0, fits);
            metadata.fill(0);
            // SAFETY: as above.
            let outcome = unsafe { raw.submit(Way::Read, &mut iovs, at, 8, 8) };
            check_eq!(outcome.await?.0, fits);
            check!(!fits || metadata.iter().all(|byte| *byte == 0x6d));
        }
        lab.unregister().await?;
    }
    Ok(())
}
